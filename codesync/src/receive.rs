//! `codesync receive`: takes in signed releases from one publisher, on stdin and stdout.
//!
//! Verifies everything as a client would before anything can be seen, and stores nothing that is
//! not signed. Holds no keys. Refuses versions that go back, and a second publisher at a time.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::{BufWriter, Read, Write},
    path::Path,
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    Error, Kind, Result, disk,
    library::Library,
    manifest::{Hash, Manifest, sha256},
    name,
    trust::{self, Part, ROOTS_MAX, TEAMS_MAX, Trust, Versions},
    union::union,
    upload::{
        ANSWER_MAX, BUNDLE_MAX, Bundle, Bundles, CONTENT_MAX, Content, Contents, LISTED_MAX, Op,
        RINGS_MAX, Request, State, Step,
    },
    wire::{Failure, FileHead, PIECE, Tag, VERSION, gone, read_frame, write_frame},
};

mod incoming;
mod install;
mod unpack;

pub use incoming::{Incoming, KEPT};

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

/// One publisher's visit.
struct Session {
    library: Library,
    incoming: Incoming,
    pending: BTreeMap<String, Pending>,
    /// Signed lengths of what may be uploaded.
    wanted: HashMap<Hash, u64>,
    /// What became visible.
    done: Vec<Step>,
    now: DateTime<Utc>,
}

/// A ring whose metadata has been verified.
struct Pending {
    before: Versions,
    after: Versions,
    files: Vec<(String, Vec<u8>)>,
    parts: Vec<PendingPart>,
    /// The tree that the parts make, once nothing is lacking.
    tree: Option<Manifest>,
}

/// What one role signed of it.
struct PendingPart {
    part: Part,
    unpacked: bool,
    manifest: Option<Manifest>,
}

impl Session {
    fn begin(folder: &Path, now: DateTime<Utc>) -> Result<Self> {
        let empty = || {
            fs::read_dir(folder).map(|entries| {
                entries.flatten().all(|entry| {
                    let name = entry.file_name();
                    name == "incoming" || name.as_encoded_bytes().starts_with(b".")
                })
            })
        };
        if !folder.join("rings").is_dir() && !empty().map_err(|e| Error::io("read", folder, &e))? {
            return Err(Error::new(
                Kind::Config,
                "the server's folder is neither a library nor empty; name the right one",
            ));
        }
        Ok(Self {
            library: Library::at(folder),
            incoming: Incoming::open(folder)?,
            pending: BTreeMap::new(),
            wanted: HashMap::new(),
            done: Vec::new(),
            now,
        })
    }

    fn state(&self, rings: &[String]) -> Result<State> {
        if rings.len() > RINGS_MAX {
            return Err(Error::new(
                Kind::Usage,
                "too many rings in one push; push fewer at a time",
            ));
        }
        let mut state = State::default();
        for ring in rings {
            state.rings.insert(ring.clone(), self.versions(ring)?.into());
        }
        state.root = self.first_root()?.map(|root| hex::encode(sha256(&root)));
        Ok(state)
    }

    /// The versions that are here of `ring`; zeros if there is no such ring.
    fn versions(&self, ring: &str) -> Result<Versions> {
        name::check_ring(ring)?;
        if !self.library.folder().join("rings").join(ring).is_dir() {
            return Ok(Versions::default());
        }
        self.library.versions(ring)
    }

    /// The root.json with which the rings here began.
    fn first_root(&self) -> Result<Option<Vec<u8>>> {
        if !self.library.folder().join("rings").is_dir() {
            return Ok(None);
        }
        for ring in self.library.rings()? {
            if let Some(root) = self.library.metadata(&ring, "1.root.json")? {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }

    /// Verifies metadata as a client that has what the server has.
    fn offer(&mut self, ring: &str, files: &[(String, Vec<u8>)]) -> Result<Bundles> {
        let before = self.versions(ring)?;
        let workshop = self.incoming.workshop()?;
        let put =
            |name: &str, bytes: &[u8]| disk::replace(&workshop.path().join(name), bytes, 0o600);
        let find = |wanted: &str| files.iter().find(|(name, _)| name == wanted).map(|(_, b)| b);
        let pinned = workshop.path().join("pinned.json");
        if before.root == 0 {
            let first = find("1.root.json")
                .ok_or_else(|| Error::new(Kind::Usage, "a new ring needs its 1.root.json"))?;
            if self.first_root()?.is_some_and(|root| root != *first) {
                return Err(Error::refused(format!(
                    "ring {ring} began with another root than the rings that the server has: it is another library's"
                )));
            }
            put("pinned.json", first)?;
        } else {
            let mut held = vec![
                (format!("{}.root.json", before.root), "pinned.json".to_owned()),
                ("timestamp.json".to_owned(), "timestamp.json".to_owned()),
                (format!("{}.snapshot.json", before.snapshot), "snapshot.json".to_owned()),
                (format!("{}.targets.json", before.targets), "targets.json".to_owned()),
            ];
            let teams = before.teams.iter();
            held.extend(
                teams.map(|(team, v)| (format!("{v}.{team}.json"), format!("{team}.json"))),
            );
            for (own, theirs) in held {
                if let Some(bytes) = self.library.metadata(ring, &own)? {
                    put(&theirs, &bytes)?;
                }
            }
        }
        let mut trust = Trust::open(workshop.path(), &pinned, Some(ring))?;
        trust.refresh(files, self.now)?;
        let after = trust.versions();
        let mut kept = Vec::new();
        for version in before.root + 1..=after.root {
            let name = format!("{version}.root.json");
            if let Some(bytes) = find(&name) {
                kept.push((name, bytes.clone()));
            }
        }
        // The same version must be the same bytes: else two publishers went different ways.
        for (name, accepted) in trust.accepted()? {
            match find(&name) {
                Some(bytes) if accepted == *bytes => kept.push((name, accepted)),
                _ => {
                    return Err(Error::refused(format!(
                        "ring {ring}: the server has another {name} of the same version; two libraries went different ways: publish from a copy of the server's"
                    )));
                }
            }
        }
        let parts = trust.tree()?.parts;
        let mut lacking = Vec::new();
        for target in parts.iter().flat_map(|part| part.offer.bundles()) {
            let there =
                self.library.folder().join("rings").join(ring).join("targets").join(target.file());
            let is = |path: &Path| {
                disk::digest(path).map(|found| found.is_some_and(|(hash, _)| hash == target.sha256))
            };
            if self.incoming.has(&target.sha256)? || is(&there)? {
                continue;
            }
            if target.length > BUNDLE_MAX || !name::is_target_file(&target.file()) {
                return Err(Error::refused(format!(
                    "the bundle {} is too large, or its name odd",
                    target.name
                )));
            }
            self.wanted.insert(target.sha256, target.length);
            let have = self.incoming.begun(&target.sha256, target.length);
            lacking.push(Bundle { name: target.file(), have });
        }
        let pending = Pending {
            before,
            after,
            files: kept,
            parts: parts
                .into_iter()
                .map(|part| PendingPart { part, unpacked: false, manifest: None })
                .collect(),
            tree: None,
        };
        self.pending.insert(ring.to_owned(), pending);
        Ok(Bundles { bundles: lacking })
    }

    fn put(&mut self, hash: &str, span: (u64, u64), reader: &mut impl Read) -> Result<()> {
        let mut sha256 = [0; 32];
        let hashed = name::is_sha256(hash) && hex::decode_to_slice(hash, &mut sha256).is_ok();
        if !hashed || self.wanted.get(&sha256) != Some(&span.1) {
            return Err(Error::new(Kind::Usage, "an upload of something that no signature names"));
        }
        self.incoming.put(&sha256, span, reader)
    }

    /// What is still lacking of `ring`.
    fn contents(&mut self, ring: &str) -> Result<Contents> {
        let pending = self
            .pending
            .get_mut(ring)
            .ok_or_else(|| Error::new(Kind::Usage, "contents come after an offer"))?;
        let mut known: HashSet<Hash> = HashSet::new();
        let mut contents = Vec::new();
        let mut manifests = Vec::new();
        for one in &mut pending.parts {
            let PendingPart { part, unpacked, manifest } = one;
            let newest = pending.before.of(&part.role);
            let base = unpack::base(&self.library, ring, &part.role, newest);
            known.extend(base.iter().flat_map(|(_, m)| m.files()).map(|file| file.sha256));
            if !*unpacked {
                *unpacked = true;
                let (library, incoming) = (&self.library, &mut self.incoming);
                *manifest = unpack::unpack(library, incoming, ring, &part.offer, base.as_ref());
            }
            let target = &part.offer.manifest;
            if manifest.is_none() {
                *manifest = unpack::uploaded(&mut self.incoming, target)?;
            }
            match manifest {
                Some(manifest) => {
                    part.paths.check(manifest)?;
                    manifests.push((part.role.as_str(), &*manifest));
                }
                None => {
                    self.wanted.insert(target.sha256, target.length);
                    let have = self.incoming.begun(&target.sha256, target.length);
                    let sha256 = hex::encode(target.sha256);
                    contents.push(Content { sha256, length: target.length, have });
                }
            }
        }
        if !contents.is_empty() {
            return Ok(Contents { contents });
        }
        let manifest = union(&manifests)?;
        for file in manifest.missing(&Manifest::default()) {
            let object = self.library.object(&file.sha256);
            // What the newest release has was hashed when it came; a power cut shows in the length.
            let there = if known.contains(&file.sha256) {
                fs::metadata(&object).is_ok_and(|metadata| metadata.len() == file.size)
            } else {
                disk::digest(&object)?.is_some_and(|found| found == (file.sha256, file.size))
            };
            if there || self.incoming.has(&file.sha256)? {
                continue;
            }
            if file.size > CONTENT_MAX {
                return Err(Error::refused(format!("{} is larger than 16 GiB", file.path)));
            }
            self.wanted.insert(file.sha256, file.size);
            let have = self.incoming.begun(&file.sha256, file.size);
            contents.push(Content { sha256: hex::encode(file.sha256), length: file.size, have });
            if contents.len() == LISTED_MAX {
                break;
            }
        }
        pending.tree = contents.is_empty().then_some(manifest);
        Ok(Contents { contents })
    }
}

#[cfg(test)]
mod tests;
