//! Which files of a tree need not be read again: their path, times, size, inode and hash as of an
//! earlier publication.
//!
//! A file is known again when device, inode, size, modification and change time are what they were.
//! The change time cannot be set back by ordinary means, so a restored modification time fools nobody.
//! Files that were written in the two seconds before a scan are not remembered: another edit could
//! leave the same times (git's "racy" entries). The cache is the publisher's own, beside no library:
//! who may write it decides what is signed. A file that is damaged, or that others may write, is no
//! cache.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::{
    disk,
    manifest::{Hash, MANIFEST_MAX, sha256},
};

const MAGIC: &[u8; 5] = b"LDIC\x01";
/// What a file system may not tell apart: FAT's two seconds are the coarsest.
const RACY: Duration = Duration::from_secs(2);
const NUMBERS: usize = 5;

/// What a file looked like when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    numbers: [u64; NUMBERS],
    newest: i128,
}

impl Stamp {
    pub(super) fn of(found: &fs::Metadata) -> Self {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        let changed = nanoseconds(found.ctime(), found.ctime_nsec());
        let modified = nanoseconds(found.mtime(), found.mtime_nsec());
        // Times beyond 500 years lose bits and are compared by the rest.
        let bits = |time: i128| i64::try_from(time).unwrap_or(0).cast_unsigned();
        Self {
            numbers: [found.dev(), found.ino(), found.size(), bits(modified), bits(changed)],
            newest: changed.max(modified),
        }
    }
}

/// One file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    path: String,
    numbers: [u64; NUMBERS],
    pub(super) sha256: Hash,
}

impl Entry {
    /// Whether the file still looks as it did.
    pub(super) fn is(&self, stamp: &Stamp) -> bool {
        self.numbers == stamp.numbers
    }
}

/// The cache of one tree.
#[derive(Debug, Default)]
pub(super) struct Cache {
    file: Option<PathBuf>,
    /// Sorted by path.
    entries: Vec<Entry>,
    /// Files that were touched later than this are not remembered.
    settled: i128,
    dirty: bool,
}

impl Cache {
    /// The cache of `tree` in `folder`, empty where there is none to be believed.
    pub(super) fn open(folder: Option<&Path>, tree: &Path) -> Self {
        let settled = SystemTime::now()
            .checked_sub(RACY)
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0));
        let file = folder.zip(fs::canonicalize(tree).ok()).map(|(folder, tree)| {
            folder.join(hex::encode(sha256(tree.as_os_str().as_encoded_bytes())))
        });
        let entries = file.as_deref().and_then(read).unwrap_or_default();
        Self { file, entries, settled, dirty: false }
    }

    /// What is remembered of `path`.
    pub(super) fn get(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path)).ok()?;
        self.entries.get(at)
    }

    /// Remembers `read`, what was found at each path of a tree, in order, and nothing else.
    pub(super) fn replace<'a>(&mut self, read: impl Iterator<Item = (&'a str, Stamp, Hash)>) {
        let entries: Vec<Entry> = read
            .filter(|(_, stamp, _)| stamp.newest < self.settled)
            .map(|(path, stamp, sha256)| Entry {
                path: path.to_owned(),
                numbers: stamp.numbers,
                sha256,
            })
            .collect();
        self.dirty = entries != self.entries;
        self.entries = entries;
    }

    /// Writes it. What cannot be written costs time in the next publication and nothing else.
    pub(super) fn save(&self) {
        let (Some(file), true) = (&self.file, self.dirty) else { return };
        let Some(folder) = file.parent() else { return };
        let mut bytes = MAGIC.to_vec();
        for entry in &self.entries {
            // Paths were checked: at most 1,024 bytes.
            let length = u16::try_from(entry.path.len()).unwrap_or(0);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(entry.path.as_bytes());
            entry.numbers.iter().for_each(|number| bytes.extend_from_slice(&number.to_le_bytes()));
            bytes.extend_from_slice(&entry.sha256);
        }
        bytes.extend_from_slice(&sha256(&bytes));
        let write = || -> Option<()> {
            disk::make_folder(folder, 0o700).ok()?;
            let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).ok()?;
            new.write_all(&bytes).ok()?;
            // Not synced: what a power cut leaves of it does not have its hash.
            new.persist(file).ok().map(drop)
        };
        let _ = write();
    }
}

/// The entries in `file`; `None` if anything about it is odd.
fn read(file: &Path) -> Option<Vec<Entry>> {
    let mut opened = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(file)
        .ok()?;
    let found = opened.metadata().ok()?;
    let own = found.uid() == nix::unistd::geteuid().as_raw();
    let safe = own && found.is_file() && found.permissions().mode() & 0o022 == 0;
    if !safe || found.len() > MANIFEST_MAX {
        return None;
    }
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).ok()?);
    (&mut opened).take(MANIFEST_MAX).read_to_end(&mut bytes).ok()?;
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (bytes, hash) = bytes.split_last_chunk::<32>()?;
    if sha256(bytes) != *hash {
        return None;
    }
    let mut rest = bytes.strip_prefix(MAGIC)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(rest.len() / 120);
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (path, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
        let (numbers, after) = after.split_first_chunk::<{ NUMBERS * 8 }>()?;
        let (sha256, after) = after.split_first_chunk::<32>()?;
        let mut entry = Entry {
            path: String::from_utf8(path.to_vec()).ok()?,
            numbers: [0; NUMBERS],
            sha256: *sha256,
        };
        for (number, bytes) in entry.numbers.iter_mut().zip(numbers.chunks_exact(8)) {
            *number = u64::from_le_bytes(bytes.try_into().ok()?);
        }
        if entries.last().is_some_and(|last| last.path >= entry.path) {
            return None;
        }
        entries.push(entry);
        rest = after;
    }
    Some(entries)
}

#[cfg(test)]
mod tests;
