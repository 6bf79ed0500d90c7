//! One verified download: bounded by its signed length, hashed as it arrives, resumed after a cut.
//!
//! What has arrived stays in a folder of partial files, named by the hash that the whole must have.
//! A partial file is believed as little as a carrier: only the hash of the whole counts, and one
//! that led to another is dropped once and fetched anew.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Kind, Result,
    manifest::{File, Hash},
    source::Source,
    store::remove,
    trust::Target,
};

/// What is shorter starts anew after a cut: keeping it would cost as much.
const RESUMED_MIN: u64 = 256 << 10;
/// A partial file that nobody came back for is removed after this.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// A slower sync would look silent to the server.
pub const RATE_MIN: u64 = 16 << 10;

/// Something whose length and hash are signed.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// A target of this ring's metadata.
    Target(&'a str, &'a Target),
    /// A content of its own.
    Object(&'a File),
}

impl Wanted<'_> {
    fn name(&self) -> &str {
        match self {
            Wanted::Target(_, target) => &target.name,
            Wanted::Object(file) => &file.path,
        }
    }

    fn sha256(&self) -> &Hash {
        match self {
            Wanted::Target(_, target) => &target.sha256,
            Wanted::Object(file) => &file.sha256,
        }
    }

    fn length(&self) -> u64 {
        match self {
            Wanted::Target(_, target) => target.length,
            Wanted::Object(file) => file.size,
        }
    }

    fn ask(&self, source: &mut dyn Source, offset: u64, out: &mut dyn Write) -> Result<()> {
        match self {
            Wanted::Target(ring, target) => source.target(ring, target, offset, out),
            Wanted::Object(file) => source.object(file, offset, out),
        }
    }
}

/// Where downloads wait for their rest, and how fast they may come.
#[derive(Debug)]
pub struct Downloads {
    folder: PathBuf,
    pace: Pace,
    /// Hashes of what was asked for so far.
    used: BTreeSet<String>,
}

impl Downloads {
    /// Downloads into `folder`, which is made when it is needed; at most `rate` bytes a second.
    pub fn new(folder: &Path, rate: Option<u64>) -> Result<Self> {
        if let Some(rate) = rate.filter(|rate| *rate < RATE_MIN) {
            return Err(Error::new(
                Kind::Config,
                format!("sync.max_rate is {rate} bytes a second; {RATE_MIN} is the least"),
            ));
        }
        Ok(Self { folder: folder.to_owned(), pace: Pace::new(rate), used: BTreeSet::new() })
    }

    /// Fetches `wanted` and compares it with its signed length and hash before anything else looks
    /// at it. The file stands at its beginning. It stays in the folder until [`Downloads::finish`],
    /// so that a cut in what comes next does not cost it.
    pub fn fetch(
        &mut self,
        source: &mut dyn Source,
        wanted: Wanted<'_>,
        progress: &dyn Fn(u64),
    ) -> Result<fs::File> {
        crate::disk::make_folder(&self.folder, 0o700)?;
        let name = hex::encode(wanted.sha256());
        let path = self.folder.join(&name);
        self.used.insert(name);
        let resumable = wanted.length() >= RESUMED_MIN;
        let fail = |error: std::io::Error| Error::io("write", &path, &error);
        for fresh in [!resumable, true] {
            let mut file = match resumable {
                true => open(&path, fresh)?,
                false => tempfile::tempfile_in(&self.folder).map_err(fail)?,
            };
            let mut hasher = Sha256::new();
            let there = hash_into(&mut file, &mut hasher, wanted.length()).map_err(fail)?;
            let mut into = Incoming {
                file: &file,
                hasher,
                length: there,
                limit: wanted.length(),
                pace: &mut self.pace,
                progress,
                full: None,
            };
            if there < wanted.length() || there == 0 {
                let result = wanted.ask(source, there, &mut into);
                if let Some(error) = into.full.take() {
                    return Err(fail(error));
                }
                result?;
            }
            let right =
                into.length == wanted.length() && into.hasher.finalize()[..] == wanted.sha256()[..];
            if right {
                file.rewind().map_err(fail)?;
                return Ok(file);
            }
            remove(&path)?;
            // What was there before, not what came now, may have been the wrong part.
            if there == 0 {
                break;
            }
        }
        Err(Error::refused(format!(
            "{} is not the file that was signed: the source is damaged or hostile",
            wanted.name()
        )))
    }

    /// The bytes of the content `hash` that an earlier try has left.
    pub fn have(&self, hash: &Hash) -> u64 {
        fs::symlink_metadata(self.folder.join(hex::encode(hash))).map_or(0, |there| there.len())
    }

    /// Slows down to the pace after `bytes` that came by another way.
    pub fn passed(&mut self, bytes: usize) {
        self.pace.passed(bytes);
    }

    /// Removes what was neither asked for here nor is wanted by `keep`: what another release had
    /// begun.
    pub fn prune(&self, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        clean(&self.folder, &|name, _| self.used.contains(name) || keep(name))
    }

    /// Removes everything: what was fetched is where it belongs.
    pub fn finish(&self) -> Result<()> {
        clean(&self.folder, &|_, _| false)
    }
}

/// Removes the partial files under `folder` that nobody came back for.
pub(crate) fn expire(folder: &Path) -> Result<()> {
    let now = SystemTime::now();
    clean(folder, &|_, written| now.duration_since(written).is_ok_and(|age| age < KEPT))
}

fn clean(folder: &Path, keep: &dyn Fn(&str, SystemTime) -> bool) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", folder, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", folder, &error))?;
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        let name = entry.file_name();
        let wanted = name.to_str().filter(|name| crate::name::is_sha256(name));
        match (wanted, written) {
            (Some(name), Ok(written)) if keep(name, written) => {}
            _ => remove(&entry.path())?,
        }
    }
    Ok(())
}

/// The partial file at `path`; empty if it is to be `fresh`, or is no plain file.
fn open(path: &Path, fresh: bool) -> Result<fs::File> {
    let plain = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    if fresh || !plain {
        remove(path)?;
    }
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Error::io("write", path, &error))
}

/// Hashes what `file` holds, and stands at its end. More than `limit` bytes are none.
fn hash_into(file: &mut fs::File, hasher: &mut Sha256, limit: u64) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    if length > limit {
        file.set_len(0)?;
        return Ok(0);
    }
    let mut piece = vec![0; 64 << 10];
    let mut left = length;
    while left > 0 {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        left = left.saturating_sub(read as u64);
    }
    file.seek(SeekFrom::End(0))
}

/// Counts, hashes and bounds what arrives.
struct Incoming<'a> {
    file: &'a fs::File,
    hasher: Sha256,
    length: u64,
    limit: u64,
    pace: &'a mut Pace,
    progress: &'a dyn Fn(u64),
    /// Why the disk did not take it.
    full: Option<std::io::Error>,
}

impl Write for Incoming<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.length += bytes.len() as u64;
        if self.length > self.limit {
            return Err(std::io::Error::other("more bytes than were signed"));
        }
        self.hasher.update(bytes);
        if let Err(error) = self.file.write_all(bytes) {
            let again = std::io::Error::from(error.kind());
            self.full = Some(error);
            return Err(again);
        }
        (self.progress)(self.length);
        self.pace.passed(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Holds the average down to a rate, by not reading for a while.
#[derive(Debug)]
struct Pace {
    rate: Option<u64>,
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new(rate: Option<u64>) -> Self {
        Self { rate, began: Instant::now(), bytes: 0 }
    }

    fn passed(&mut self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        if self.bytes == 0 {
            self.began = Instant::now();
        }
        self.bytes += bytes as u64;
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(rate);
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        std::thread::sleep(due.saturating_sub(self.began.elapsed()));
    }
}

#[cfg(test)]
mod tests;
