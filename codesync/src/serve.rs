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
    manifest::{BUNDLED_MAX, File},
    name,
    trust::{ROOTS_MAX, Versions},
    wire::{Failure, FileHead, OBJECTS_MAX, Op, PIECE, Request, SIGNATURE_MAX, Tag, VERSION},
    wire::{read_frame, write_frame},
};

mod pipe;

pub use pipe::Pipe;

/// Longest silence of a client, and longest wait for one that does not read.
pub const SILENCE: Duration = Duration::from_secs(60);
const REQUESTS_MAX: u32 = 100_000;
const SESSION_MAX: Duration = Duration::from_secs(24 * 3600);

/// Answers requests from `reader` on `writer` until the client ends.
pub fn serve(library: &Library, reader: &mut impl Read, writer: &mut impl Write) -> Result<()> {
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
        match answer(library, &request.op, reader, &mut out) {
            Ok(()) => {}
            Err(Answer::Refuse(code, message)) if code == "not-found" => {
                fail(&mut out, code, &message)?;
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
) -> Result<(), Answer> {
    match op {
        Op::Refresh { ring, root, timestamp, snapshot, targets } => {
            let have = Versions {
                root: *root,
                timestamp: *timestamp,
                snapshot: *snapshot,
                targets: *targets,
            };
            for (name, bytes) in newer(library, ring, have)? {
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
        Op::Delta { sha256, length } => delta(library, sha256, *length, reader, out)?,
    }
    write_frame(out, Tag::End, &[])?;
    Ok(())
}

/// The metadata of `ring` that a client with `have` lacks, in the order of verification.
fn newer(library: &Library, ring: &str, have: Versions) -> Result<Vec<(String, Vec<u8>)>, Answer> {
    ring_folder(library, ring)?;
    let internal = |error: Error| Answer::Refuse("internal", error.to_string());
    let root = library.root_version(ring).map_err(internal)?;
    // Damaged metadata is handed out as it is, up to the point where nobody can say what follows:
    // the client refuses it, and says which file it was.
    let newest = library.versions(ring).unwrap_or(Versions { timestamp: u64::MAX, ..have });
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

fn delta(
    library: &Library,
    hash: &str,
    length: u64,
    reader: &mut impl Read,
    out: &mut impl Write,
) -> Result<(), Answer> {
    if !name::is_sha256(hash) || length > SIGNATURE_MAX {
        return Err(Answer::Refuse("bad-request", "no such signature".into()));
    }
    let mut signature = Vec::new();
    let mut payload = Vec::new();
    while (signature.len() as u64) < length {
        match read_frame(reader, &mut payload).map_err(Answer::Gone)? {
            Some(Tag::Signature) if !payload.is_empty() => signature.extend_from_slice(&payload),
            _ => return Err(Answer::Refuse("bad-request", "a signature was expected".into())),
        }
    }
    let path = object(library, hash);
    let size = open(&path, hash)?.metadata()?.len();
    if size > BUNDLED_MAX {
        return Err(Answer::Refuse("not-found", format!("{hash} is too large for a delta")));
    }
    let mut sha256 = [0; 32];
    let _ = hex::decode_to_slice(hash, &mut sha256);
    let file = File { path: hash.to_owned(), sha256, size, executable: false };
    let content =
        library.content(&file).map_err(|error| Answer::Refuse("internal", error.to_string()))?;
    let bad = |_| Answer::Refuse("bad-request", "the signature is damaged".into());
    if !sane(&signature) {
        return Err(Answer::Refuse("bad-request", "the signature's block sizes are odd".into()));
    }
    let signature = fast_rsync::Signature::deserialize(signature).map_err(bad)?;
    let mut delta = Vec::new();
    fast_rsync::diff(&signature.index(), &content, &mut delta)
        .map_err(|error| Answer::Refuse("internal", error.to_string()))?;
    send(out, hash, delta.len() as u64, &mut delta.as_slice())
}

/// The library trusts the sizes in a signature's header; a client could ask for blocks of no
/// bytes, or for hashes of four bits that collide everywhere.
fn sane(signature: &[u8]) -> bool {
    let field = |at: usize| {
        let bytes = signature.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    field(4).is_some_and(|block| (128..=1 << 20).contains(&block))
        && field(8).is_some_and(|hash| (8..=16).contains(&hash))
}

#[cfg(test)]
mod tests;
