//! `codesync receive`: takes in signed releases from one publisher, on stdin and stdout.
//!
//! Verifies everything as a client would before anything can be seen, and stores nothing that is
//! not signed. Holds no keys. Refuses versions that go back, and a second publisher at a time.

use std::{
    io::{BufWriter, Read, Write},
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    Error, Kind, Result,
    trust::{self, ROOTS_MAX, TEAMS_MAX},
    upload::{ANSWER_MAX, Op, Request, Step},
    wire::{Failure, FileHead, PIECE, Tag, VERSION, gone, read_frame, write_frame},
};

mod incoming;
mod install;
mod session;
mod unpack;

pub use incoming::{Incoming, KEPT};
use session::{Pending, Session};

const REQUESTS_MAX: u32 = 2_000_000;
const SESSION_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often a publisher hears that a long request is still worked on.
const WORKING: Duration = Duration::from_secs(5);

/// Answers a publisher's requests from `reader` on `writer` until it ends. `folder` is the
/// library, or an empty folder that becomes one with the first commit. `now` is the clock by
/// which signatures expire. Returns what was committed.
pub fn receive(
    folder: &Path,
    reader: &mut impl Read,
    writer: &mut impl Write,
    now: DateTime<Utc>,
) -> Result<Vec<Step>> {
    let began = Instant::now();
    let mut out = BufWriter::with_capacity(PIECE + 16, writer);
    let mut session: Option<Session> = None;
    let mut payload = Vec::new();
    for _ in 0..REQUESTS_MAX {
        let step = read_request(reader, &mut payload).and_then(|op| match op {
            None => Ok(false),
            Some(_) if began.elapsed() > SESSION_MAX => {
                Err(Error::new(Kind::Unreachable, "the session is too old; push again"))
            }
            Some(op) => answer(folder, &mut session, op, reader, &mut out, now).map(|()| true),
        });
        match step {
            Ok(true) => out.flush().map_err(|error| gone(&error))?,
            Ok(false) => return Ok(session.map(|session| session.done).unwrap_or_default()),
            Err(error) => {
                // Whoever is gone does not hear it; the exit status and stderr say it too.
                let _ = fail(&mut out, &error);
                return Err(error);
            }
        }
    }
    let error = Error::new(Kind::Unreachable, "too many requests in one session; push again");
    let _ = fail(&mut out, &error);
    Err(error)
}

fn read_request(reader: &mut impl Read, payload: &mut Vec<u8>) -> Result<Option<Op>> {
    let usage = |what: String| Error::new(Kind::Usage, what);
    match read_frame(reader, payload)? {
        None => return Ok(None),
        Some(Tag::Request) => {}
        Some(_) => return Err(usage("a request was expected".into())),
    }
    let request: Request = serde_json::from_slice(payload)
        .map_err(|error| usage(format!("the request is not understood: {error}")))?;
    if request.v != VERSION {
        return Err(usage("this server speaks version 1".into()));
    }
    Ok(Some(request.op))
}

fn fail(out: &mut impl Write, error: &Error) -> std::io::Result<()> {
    let code = match error.kind() {
        Kind::Refused | Kind::Stale => "refused",
        Kind::Busy => "busy",
        Kind::Usage => "bad-request",
        _ => "internal",
    };
    let message = error.to_string().chars().take(500).collect();
    let failure = Failure { code: code.to_owned(), message };
    write_frame(out, Tag::Error, &serde_json::to_vec(&failure).unwrap_or_default())?;
    out.flush()
}

fn answer(
    folder: &Path,
    session: &mut Option<Session>,
    op: Op,
    reader: &mut impl Read,
    out: &mut impl Write,
    now: DateTime<Utc>,
) -> Result<()> {
    if let Op::Begin { rings } = op {
        if session.is_some() {
            return Err(Error::new(Kind::Usage, "begin comes once"));
        }
        let begun = Session::begin(folder, now)?;
        send(out, &begun.state(&rings)?)?;
        *session = Some(begun);
        return Ok(());
    }
    let session = session.as_mut().ok_or_else(|| Error::new(Kind::Usage, "begin comes first"))?;
    match op {
        Op::Begin { .. } => Ok(()),
        Op::Offer { ring, files } => {
            let files = read_files(&files, reader)?;
            let bundles = working(out, || session.offer(&ring, &files))?;
            send(out, &bundles)
        }
        Op::Put { sha256, length, offset } => {
            session.put(&sha256, (offset, length), reader)?;
            write_frame(out, Tag::End, &[]).map_err(|error| gone(&error))
        }
        Op::Contents { ring } => {
            let contents = working(out, || session.contents(&ring))?;
            send(out, &contents)
        }
        Op::Commit => {
            let done = working(out, || install::commit(session))?;
            send(out, &done)?;
            session.done.extend(done.rings);
            Ok(())
        }
    }
}

/// Runs `work`, telling the publisher every few seconds that it goes on.
fn working<T: Send>(out: &mut impl Write, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let (alive, ended) = channel::<()>();
        let worker = scope.spawn(move || {
            let _alive = alive;
            work()
        });
        while ended.recv_timeout(WORKING) == Err(RecvTimeoutError::Timeout) {
            // A publisher that went away does not stop a commit half way.
            let _ = write_frame(out, Tag::Work, &[]).and_then(|()| out.flush());
        }
        worker.join().map_err(|_| Error::new(Kind::Io, "the server failed unexpectedly"))?
    })
}

fn send(out: &mut impl Write, answer: &impl Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(answer).unwrap_or_default();
    if bytes.len() as u64 > ANSWER_MAX {
        return Err(Error::new(
            Kind::Io,
            "the answer would be too long; this is a fault of codesync",
        ));
    }
    let head = FileHead { name: "answer".into(), length: bytes.len() as u64 };
    let write = |out: &mut dyn Write| {
        let mut out = out;
        write_frame(&mut out, Tag::File, &serde_json::to_vec(&head).unwrap_or_default())?;
        for piece in bytes.chunks(PIECE) {
            write_frame(&mut out, Tag::Data, piece)?;
        }
        write_frame(&mut out, Tag::End, &[])
    };
    write(out).map_err(|error| gone(&error))
}

/// The metadata files of an offer, each within the limit of its kind.
fn read_files(heads: &[FileHead], reader: &mut impl Read) -> Result<Vec<(String, Vec<u8>)>> {
    if heads.len() > ROOTS_MAX + 4 + TEAMS_MAX {
        return Err(Error::new(Kind::Usage, "too many metadata files in one offer"));
    }
    let mut files = Vec::new();
    let mut payload = Vec::new();
    for head in heads {
        let allowed = trust::limit(&head.name).is_some_and(|limit| head.length <= limit);
        if !allowed {
            return Err(Error::new(Kind::Usage, "that is no metadata, or too long to be any"));
        }
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < head.length {
            match read_frame(reader, &mut payload)? {
                Some(Tag::Data) if !payload.is_empty() => bytes.extend_from_slice(&payload),
                Some(_) => return Err(incoming::unexpected()),
                None => return Err(gone(&std::io::ErrorKind::UnexpectedEof.into())),
            }
        }
        if bytes.len() as u64 != head.length {
            return Err(incoming::unexpected());
        }
        files.push((head.name.clone(), bytes));
    }
    Ok(files)
}

#[cfg(test)]
mod tests;
