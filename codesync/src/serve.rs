//! `codesync serve`: hands out a library's files to one client, on stdin and stdout.
//!
//! Reads only; never looks at what it hands out. Memory does not depend on what is asked.

use std::{
    fs,
    io::{BufWriter, Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    Error, Kind, Result,
    library::Library,
    name,
    record::{Counted, Log, Visit},
    trust::{ROOTS_MAX, TEAMS_MAX, Versions},
    wire::{Failure, FileHead, OBJECTS_MAX, Op, PIECE, Request, Tag, VERSION},
    wire::{read_frame, write_frame},
};

mod delta;
mod pipe;

pub use delta::sane;
pub use pipe::{Pipe, stdio};

/// Longest silence of a client, and longest wait for one that does not read.
pub const SILENCE: Duration = Duration::from_secs(60);
const REQUESTS_MAX: u32 = 100_000;
const SESSION_MAX: Duration = Duration::from_secs(24 * 3600);
/// Most bytes that a client may send in one session.
const RECEIVED_MAX: u64 = 1 << 30;
/// Bytes of answers after which no further request of a session is answered.
const SENT_MAX: u64 = 1 << 40;

/// One session on stdin and stdout, and its line in the record.
pub fn run(library: &Path, log: Option<&Path>) -> Result<()> {
    let mut log = Log::open("synced", log);
    let mut visit = Visit::default();
    let result = Library::open(library).and_then(|library| {
        let (mut reader, mut writer) = stdio()?;
        serve(&library, &mut reader, &mut writer, &mut visit)
    });
    log.write(&visit, &result);
    result
}

/// Answers requests from `reader` on `writer` until the client ends; tells in `visit` what it was.
pub fn serve(
    library: &Library,
    reader: &mut impl Read,
    writer: &mut impl Write,
    visit: &mut Visit,
) -> Result<()> {
    let (mut reader, mut writer) = (Counted::new(reader), Counted::new(writer));
    let result = session(library, &mut reader, &mut writer, visit);
    (visit.received, visit.sent) = (reader.bytes, writer.bytes);
    result
}

fn session<R: Read, W: Write>(
    library: &Library,
    reader: &mut Counted<R>,
    writer: &mut Counted<W>,
    visit: &mut Visit,
) -> Result<()> {
    let began = Instant::now();
    let mut out = BufWriter::with_capacity(PIECE + 16, writer);
    let mut payload = Vec::new();
    for _ in 0..REQUESTS_MAX {
        match read_frame(reader, &mut payload) {
            Ok(None) => return Ok(()),
            Ok(Some(Tag::Request)) => {}
            Ok(Some(_)) => return end(&mut out, "bad-request", "a request was expected"),
            Err(error) if error.kind() == Kind::Refused => {
                return end(&mut out, "limit", &error.to_string());
            }
            Err(error) => return Err(error),
        }
        let request: Request = match serde_json::from_slice(&payload) {
            Ok(request) => request,
            Err(error) => return end(&mut out, "bad-request", &error.to_string()),
        };
        if request.v != VERSION {
            return end(&mut out, "bad-request", "this server speaks version 1");
        }
        if began.elapsed() > SESSION_MAX {
            return end(&mut out, "limit", "the session is too old; connect anew");
        }
        if reader.bytes > RECEIVED_MAX || out.get_ref().bytes > SENT_MAX {
            return end(&mut out, "limit", "too many bytes in one session; connect anew");
        }
        match answer(library, &request.op, reader, &mut out, visit) {
            Ok(()) => {}
            Err(Answer::Refuse(code, message)) if code == "not-found" => {
                fail(&mut out, code, &message)?;
                visit.missing = Some(message);
            }
            Err(Answer::Refuse(code, message)) => return end(&mut out, code, &message),
            Err(Answer::Gone(error)) => return Err(error),
        }
        out.flush().map_err(|error| crate::wire::gone(&error))?;
    }
    end(&mut out, "limit", "too many requests in one session; connect anew")
}

enum Answer {
    Refuse(&'static str, String),
    Gone(Error),
}

impl From<std::io::Error> for Answer {
    fn from(error: std::io::Error) -> Self {
        Answer::Gone(crate::wire::gone(&error))
    }
}

fn fail(out: &mut impl Write, code: &str, message: &str) -> Result<()> {
    let message = message.chars().take(500).collect();
    let failure = Failure { code: code.to_owned(), message };
    let payload = serde_json::to_vec(&failure).unwrap_or_default();
    write_frame(out, Tag::Error, &payload).map_err(|error| crate::wire::gone(&error))
}

fn end(out: &mut impl Write, code: &str, message: &str) -> Result<()> {
    fail(out, code, message)?;
    out.flush().map_err(|error| crate::wire::gone(&error))?;
    Err(Error::new(Kind::Usage, format!("the session was ended: {message}")))
}

fn answer(
    library: &Library,
    op: &Op,
    reader: &mut impl Read,
    out: &mut impl Write,
    visit: &mut Visit,
) -> Result<(), Answer> {
    match op {
        Op::Refresh { ring, root, timestamp, snapshot, targets, roles } => {
            let have = Versions {
                root: *root,
                timestamp: *timestamp,
                snapshot: *snapshot,
                targets: *targets,
                teams: roles.clone().unwrap_or_default(),
            };
            let files = newer(library, ring, &have, roles.is_some())?;
            visit.ring = Some(ring.clone());
            visit.previous = have.release();
            visit.release = match files.is_empty() {
                true => have.release(),
                false => library.versions(ring).map_or(0, |versions| versions.release()),
            };
            for (name, bytes) in files {
                send(out, &name, bytes.len() as u64, &mut bytes.as_slice())?;
            }
        }
        Op::Target { ring, name, offset } => {
            if !name::is_target_file(name) {
                return Err(Answer::Refuse("bad-request", "that is no target's name".into()));
            }
            let path = ring_folder(library, ring)?.join("targets").join(name);
            let mut file = open(&path, name)?;
            let length = file.metadata()?.len().saturating_sub(*offset);
            file.seek(SeekFrom::Start(*offset))?;
            send(out, name, length, &mut file)?;
        }
        Op::Objects { sha256, offset } => {
            if sha256.len() > OBJECTS_MAX || !sha256.iter().all(|hash| name::is_sha256(hash)) {
                return Err(Answer::Refuse("bad-request", "at most 500 SHA-256 in hex".into()));
            }
            if *offset > 0 && sha256.len() != 1 {
                return Err(Answer::Refuse("bad-request", "an offset is for one content".into()));
            }
            for hash in sha256 {
                let mut file = open(&object(library, hash), hash)?;
                let length = file.metadata()?.len().saturating_sub(*offset);
                file.seek(SeekFrom::Start(*offset))?;
                send(out, hash, length, &mut file)?;
            }
        }
        Op::Delta { sha256, length } => delta::answer(library, sha256, *length, reader, out)?,
    }
    write_frame(out, Tag::End, &[])?;
    Ok(())
}

/// The metadata of `ring` that a client with `have` lacks, in the order of verification; that of
/// teams only for a client that knows of `teams`.
fn newer(
    library: &Library,
    ring: &str,
    have: &Versions,
    teams: bool,
) -> Result<Vec<(String, Vec<u8>)>, Answer> {
    ring_folder(library, ring)?;
    let internal = |error: Error| Answer::Refuse("internal", error.to_string());
    let root = library.root_version(ring).map_err(internal)?;
    // Damaged metadata is handed out as it is, up to the point where nobody can say what follows:
    // the client refuses it, and says which file it was.
    let newest = library.versions(ring).unwrap_or(Versions { timestamp: u64::MAX, ..have.clone() });
    let mut names = Vec::new();
    for version in (have.root + 1..=root).take(ROOTS_MAX) {
        names.push(format!("{version}.root.json"));
    }
    let all = !names.is_empty();
    if newest.timestamp != 0 && (all || newest.timestamp != have.timestamp) {
        names.push("timestamp.json".to_owned());
    }
    if newest.snapshot != 0 && (all || newest.snapshot != have.snapshot) {
        names.push(format!("{}.snapshot.json", newest.snapshot));
    }
    if newest.targets != 0 && (all || newest.targets != have.targets) {
        names.push(format!("{}.targets.json", newest.targets));
    }
    if teams && !newest.teams.is_empty() {
        let top = library.published(ring, newest.targets).ok().flatten();
        for team in top.map(|top| top.teams()).unwrap_or_default().iter().take(TEAMS_MAX) {
            let version = newest.of(&team.name);
            if version != 0 && version != have.of(&team.name) {
                names.push(format!("{version}.{}.json", team.name));
            }
        }
    }
    let mut files = Vec::new();
    for name in names {
        // A file that is gone is the client's to miss, by name.
        if let Some(bytes) = library.metadata(ring, &name).map_err(internal)? {
            files.push((name, bytes));
        }
    }
    Ok(files)
}

fn ring_folder(library: &Library, ring: &str) -> Result<std::path::PathBuf, Answer> {
    library
        .ring(ring)
        .map_err(|_| Answer::Refuse("not-found", format!("there is no ring {ring:?}")))
}

fn object(library: &Library, hash: &str) -> std::path::PathBuf {
    let mut sha256 = [0; 32];
    // The caller checked that it is 64 hex digits.
    let _ = hex::decode_to_slice(hash, &mut sha256);
    library.object(&sha256)
}

fn open(path: &Path, name: &str) -> Result<fs::File, Answer> {
    fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Answer::Refuse("not-found", format!("there is no {name}")),
        _ => Answer::Refuse("internal", format!("{name} cannot be read")),
    })
}

fn send(
    out: &mut impl Write,
    name: &str,
    length: u64,
    content: &mut impl Read,
) -> Result<(), Answer> {
    let head = FileHead { name: name.to_owned(), length };
    write_frame(out, Tag::File, &serde_json::to_vec(&head).unwrap_or_default())?;
    let mut left = length;
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        content.read_exact(&mut piece[..want])?;
        write_frame(out, Tag::Data, &piece[..want])?;
        left -= want as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
