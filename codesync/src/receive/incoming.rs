//! `LIBRARY/incoming`: what publishers have uploaded and nobody else can see.
//!
//! `<sha256>.part` is on its way; `<sha256>` is whole. Files are kept over sessions, so that a cut
//! upload goes on, for a bounded time. Nothing is called whole before this session hashed it.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Result, disk,
    manifest::{Hash, sha256},
    name, store,
    wire::{Tag, read_frame},
};

/// How long what was uploaded waits for its commit.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
const LOCK_WAIT: Duration = Duration::from_secs(2);

/// The folder, and the lock of its only user.
#[derive(Debug)]
pub struct Incoming {
    folder: PathBuf,
    whole: HashSet<Hash>,
    _lock: fs::File,
}

impl Incoming {
    /// The folder in the library at `library`, cleaned of what is too old. Busy while another
    /// push uses it.
    pub fn open(library: &Path) -> Result<Self> {
        let folder = library.join("incoming");
        disk::make_folder(&folder, 0o700)?;
        let lock = disk::lock(&folder.join(".lock"), LOCK_WAIT, "another push")?;
        let incoming = Self { folder, whole: HashSet::new(), _lock: lock };
        incoming.clean(Some(KEPT))?;
        Ok(incoming)
    }

    /// Removes what is older than `age`, or everything, and whatever has no business here.
    pub fn clean(&self, age: Option<Duration>) -> Result<()> {
        let fail = |error: std::io::Error| Error::io("read", &self.folder, &error);
        for entry in fs::read_dir(&self.folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let file = entry.file_name();
            let text = file.to_str().unwrap_or_default();
            if text == ".lock" {
                continue;
            }
            let known = name::is_sha256(text.strip_suffix(".part").unwrap_or(text));
            let fresh = |age: Duration| {
                entry.metadata().and_then(|m| m.modified()).is_ok_and(|time| {
                    // A time in the future is a clock that was set; the file is taken as new.
                    time.elapsed().map_or(true, |since| since < age)
                })
            };
            if !(known && age.is_some_and(fresh)) {
                store::remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// A folder for the verification of metadata, removed when dropped.
    pub fn workshop(&self) -> Result<tempfile::TempDir> {
        tempfile::Builder::new()
            .prefix("trust-")
            .tempdir_in(&self.folder)
            .map_err(|error| Error::io("write in", &self.folder, &error))
    }

    /// Where the whole `hash` is.
    pub fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hex::encode(hash))
    }

    fn part(&self, hash: &Hash) -> PathBuf {
        self.folder.join(format!("{}.part", hex::encode(hash)))
    }

    /// Whether `hash` is here, whole; what only has its name is removed.
    pub fn has(&mut self, hash: &Hash) -> Result<bool> {
        if self.whole.contains(hash) {
            return Ok(true);
        }
        let path = self.path(hash);
        match disk::digest(&path)? {
            Some((found, _)) if found == *hash => {
                self.whole.insert(*hash);
                Ok(true)
            }
            Some(_) => store::remove(&path).map(|()| false),
            None => Ok(false),
        }
    }

    /// Bytes of `hash` that an earlier session left.
    pub fn begun(&self, hash: &Hash, length: u64) -> u64 {
        fs::metadata(self.part(hash)).map_or(0, |metadata| metadata.len().min(length))
    }

    /// The content `hash` if it is here.
    pub fn read(&self, hash: &Hash, size: u64) -> Option<Vec<u8>> {
        let bytes = disk::read_bounded(&self.path(hash), size).ok()??;
        (sha256(&bytes) == *hash).then_some(bytes)
    }

    /// Keeps `content`, whose hash is `hash`.
    pub fn store(&mut self, hash: &Hash, content: &[u8]) -> Result<()> {
        if self.whole.contains(hash) {
            return Ok(());
        }
        let part = self.part(hash);
        let fail = |error: std::io::Error| Error::io("write", &part, &error);
        open(&part)
            .and_then(|mut file| file.set_len(0).and_then(|()| file.write_all(content)))
            .map_err(fail)?;
        self.finish(hash)
    }

    /// Takes the data frames with bytes `offset` to `length` of `hash` from `reader`.
    ///
    /// What has arrived stays when the connection breaks. Bytes of another hash are removed.
    pub fn put(
        &mut self,
        hash: &Hash,
        (offset, length): (u64, u64),
        reader: &mut impl Read,
    ) -> Result<()> {
        let part = self.part(hash);
        let fail = |error: std::io::Error| Error::io("write", &part, &error);
        let mut file = open(&part).map_err(fail)?;
        if offset > length || offset > file.metadata().map_err(fail)?.len() {
            return Err(Error::new(
                crate::Kind::Usage,
                format!("an upload of {} begins beyond what is here", hex::encode(hash)),
            ));
        }
        file.set_len(offset).map_err(fail)?;
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 64 << 10];
        let mut left = offset;
        while left > 0 {
            let read = file.read(&mut piece).map_err(fail)?;
            if read == 0 {
                return Err(fail(std::io::ErrorKind::UnexpectedEof.into()));
            }
            hasher.update(&piece[..read]);
            left -= read as u64;
        }
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut left = length - offset;
        while left > 0 {
            match read_frame(reader, &mut piece)? {
                Some(Tag::Data) if !piece.is_empty() && piece.len() as u64 <= left => {}
                Some(_) => return Err(unexpected()),
                None => return Err(crate::wire::gone(&std::io::ErrorKind::UnexpectedEof.into())),
            }
            file.write_all(&piece).map_err(fail)?;
            hasher.update(&piece);
            left -= piece.len() as u64;
        }
        let found: Hash = hasher.finalize().into();
        if found != *hash {
            store::remove(&part)?;
            return Err(Error::refused(format!(
                "the bytes of {} are others than its hash says; the publisher's library is damaged there: run codesync doctor on it",
                hex::encode(hash)
            )));
        }
        self.finish(hash)
    }

    fn finish(&mut self, hash: &Hash) -> Result<()> {
        let (part, path) = (self.part(hash), self.path(hash));
        fs::rename(&part, &path).map_err(|error| Error::io("rename", &part, &error))?;
        self.whole.insert(*hash);
        Ok(())
    }

    /// Makes the whole `hash` visible as `path`, replacing what is there. It stays here too.
    pub fn place(&self, hash: &Hash, path: &Path) -> Result<()> {
        let from = self.path(hash);
        let fail = |error: std::io::Error| Error::io("move to", path, &error);
        match fs::hard_link(&from, path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            other => return other.map_err(fail),
        }
        let beside =
            tempfile::Builder::new().prefix("link-").tempdir_in(&self.folder).map_err(fail)?;
        let link = beside.path().join("file");
        fs::hard_link(&from, &link).and_then(|()| fs::rename(&link, path)).map_err(fail)
    }
}

/// The publisher sent something else than the bytes that it announced.
pub fn unexpected() -> Error {
    Error::new(crate::Kind::Usage, "other frames arrived than were announced")
}

fn open(part: &Path) -> std::io::Result<fs::File> {
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o644)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(part)
}
