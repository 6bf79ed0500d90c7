//! The index of one tree: one file, read whole, looked up by binary search.
//!
//! Owns the format. It is written by ourselves into a folder of root's, and is still read with a
//! check on every offset: a damaged index is an error, never a panic. It holds no code and no text
//! of modules, only names, hashes and who needs whom.
//!
//! Layout, little-endian: magic, checksum of the rest, flags, then for each section its offset and
//! count, then the sections. `files` and `names` are sorted by bytes, `modules` are in the order in
//! which they are sourced.

mod build;
#[cfg(any(test, fuzzing))]
mod hostile;
mod renew;
#[cfg(test)]
mod tests;

use std::{
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

pub use build::{Input, build};
#[cfg(any(test, fuzzing))]
pub use hostile::survive;
pub use renew::{renew, renew_same_paths};

use crate::Error;

const MAGIC: &[u8; 8] = b"ldiidx\x00\x01";
const HEADER: usize = 8 + 8 + 4 + SECTIONS * 8;
const SECTIONS: usize = 7;
const STRINGS: usize = 0;
const FILES: usize = 1;
const MODULES: usize = 2;
const UNITS: usize = 3;
const NAMES: usize = 4;
const LISTS: usize = 5;
const PYTHON: usize = 6;
/// Bytes per record of each section.
const SIZES: [usize; SECTIONS] = [1, 48, 12, 12, 16, 4, 1];

const VERIFIED: u32 = 1;
/// No index of 100,000 files comes near this.
const MAX_BYTES: u64 = 256 << 20;

pub(crate) const MODULE_ALWAYS: u32 = 1;
pub(crate) const MODULE_RETURNS: u32 = 2;
pub(crate) const MODULE_OWN_SOURCE: u32 = 4;
pub(crate) const UNIT_GENERAL: u32 = 1;
pub(crate) const NAME_WHOLE: u32 = 1;
pub(crate) const NAME_RUNS_ARGUMENTS: u32 = 2;
pub(crate) const NAME_VARIABLE: u32 = 4;
pub(crate) const DEF_REPLACES: u32 = 1;
pub(crate) const NONE: u32 = u32::MAX;

/// A file of the tree as the index knows it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Path within the tree.
    pub path: &'a str,
    /// Bytes.
    pub size: u64,
    /// SHA-256; `None` in a working tree, whose files are taken as they are.
    pub sha256: Option<&'a [u8]>,
    /// Mode 0755.
    pub executable: bool,
}

/// One module of bash.
#[derive(Debug, Clone, Copy)]
pub struct Module {
    /// Its file.
    pub file: u32,
    /// `MODULE_*`.
    pub flags: u32,
    /// Its top level.
    pub unit: u32,
}

/// One definition of a name.
#[derive(Debug, Clone, Copy)]
pub struct Def {
    /// By this module.
    pub module: u32,
    /// Its code; [`NONE`] for a variable.
    pub unit: u32,
    /// `DEF_*`.
    pub flags: u32,
}

/// The index, in memory.
#[derive(Debug)]
pub struct Index {
    data: Vec<u8>,
    sections: [(usize, usize); SECTIONS],
    verified: bool,
    from: PathBuf,
}

impl Index {
    /// Reads the file that [`build`] made.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { what: "read the loader's index", path: path.into(), source };
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(path)
            .map_err(io)?;
        let length = file.metadata().map_err(io)?.len();
        if length > MAX_BYTES {
            return Err(Error::Damaged { path: path.into() });
        }
        let mut data = Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1);
        file.take(MAX_BYTES).read_to_end(&mut data).map_err(io)?;
        Self::parse(data, path)
    }

    /// Takes bytes that [`build`] made; `from` is for messages.
    pub fn parse(data: Vec<u8>, from: &Path) -> Result<Self, Error> {
        Self::try_parse(data, from).ok_or_else(|| Error::Damaged { path: from.into() })
    }

    fn try_parse(data: Vec<u8>, from: &Path) -> Option<Self> {
        if data.len() < HEADER || !data.starts_with(MAGIC) {
            return None;
        }
        let sum = u64::from_le_bytes(data.get(8..16)?.try_into().ok()?);
        if sum != checksum(&data[16..]) {
            return None;
        }
        let mut sections = [(0, 0); SECTIONS];
        for (n, section) in sections.iter_mut().enumerate() {
            let offset = read_u32(&data, 20 + n * 8)? as usize;
            let count = read_u32(&data, 24 + n * 8)? as usize;
            let end = offset.checked_add(count.checked_mul(SIZES[n])?)?;
            if offset < HEADER || end > data.len() {
                return None;
            }
            *section = (offset, count);
        }
        let verified = read_u32(&data, 16)? & VERIFIED != 0;
        Some(Self { data, sections, verified, from: from.into() })
    }

    /// The error for a reference that leads nowhere.
    pub fn damaged(&self) -> Error {
        Error::Damaged { path: self.from.clone() }
    }

    /// Whether files are compared with hashes.
    pub fn verified(&self) -> bool {
        self.verified
    }

    fn count(&self, section: usize) -> u32 {
        u32::try_from(self.sections[section].1).unwrap_or(u32::MAX)
    }

    /// Number of modules.
    pub fn modules(&self) -> u32 {
        self.count(MODULES)
    }

    /// Number of units.
    pub fn units(&self) -> u32 {
        self.count(UNITS)
    }

    /// Number of names.
    pub fn names(&self) -> u32 {
        self.count(NAMES)
    }

    /// Number of files.
    pub fn files(&self) -> u32 {
        self.count(FILES)
    }

    fn section(&self, section: usize) -> &[u8] {
        let (offset, count) = self.sections[section];
        self.data.get(offset..offset + count * SIZES[section]).unwrap_or_default()
    }

    fn record(&self, section: usize, at: u32) -> Option<&[u8]> {
        let (offset, count) = self.sections[section];
        let at = at as usize;
        if at >= count {
            return None;
        }
        let from = offset + at * SIZES[section];
        self.data.get(from..from + SIZES[section])
    }

    fn string(&self, offset: u32, length: u32) -> Option<&[u8]> {
        let (start, count) = self.sections[STRINGS];
        let end = (offset as usize).checked_add(length as usize)?;
        if end > count {
            return None;
        }
        self.data.get(start + offset as usize..start + end)
    }

    fn list(&self, offset: u32, length: u32) -> Option<impl Iterator<Item = u32> + '_> {
        let (start, count) = self.sections[LISTS];
        let end = (offset as usize).checked_add(length as usize)?;
        if end > count {
            return None;
        }
        let bytes = self.data.get(start + offset as usize * 4..start + end * 4)?;
        Some(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])))
    }

    /// A file by its number.
    pub fn file(&self, at: u32) -> Option<Entry<'_>> {
        let record = self.record(FILES, at)?;
        let path = self.string(read_u32(record, 0)?, u32::from(read_u16(record, 4)?))?;
        Some(Entry {
            path: std::str::from_utf8(path).ok()?,
            executable: read_u16(record, 6)? & 1 != 0,
            size: u64::from_le_bytes(record.get(8..16)?.try_into().ok()?),
            sha256: self.verified.then_some(record.get(16..48)?),
        })
    }

    /// A file by its path.
    pub fn find_file(&self, path: &str) -> Option<u32> {
        search(self.files(), |at| Some(self.file(at)?.path.as_bytes().cmp(path.as_bytes())))
    }

    /// The number of the first file whose path is not before `path`.
    pub fn first_file(&self, path: &str) -> u32 {
        let (mut low, mut high) = (0, self.files());
        while low < high {
            let mid = low + (high - low) / 2;
            match self.file(mid) {
                Some(file) if file.path < path => low = mid + 1,
                _ => high = mid,
            }
        }
        low
    }

    /// A module by its place in the order.
    pub fn module(&self, at: u32) -> Option<Module> {
        let record = self.record(MODULES, at)?;
        Some(Module {
            file: read_u32(record, 0)?,
            flags: read_u32(record, 4)?,
            unit: read_u32(record, 8)?,
        })
    }

    /// A unit's flags and the names that it uses.
    pub fn unit(&self, at: u32) -> Option<(u32, impl Iterator<Item = u32> + '_)> {
        let record = self.record(UNITS, at)?;
        Some((read_u32(record, 0)?, self.list(read_u32(record, 4)?, read_u32(record, 8)?)?))
    }

    /// A name's text and flags.
    pub fn name(&self, at: u32) -> Option<(&[u8], u32)> {
        let record = self.record(NAMES, at)?;
        let text = self.string(read_u32(record, 0)?, u32::from(read_u16(record, 4)?))?;
        Some((text, u32::from(read_u16(record, 6)?)))
    }

    /// A name's definitions in the order in which they are sourced.
    pub fn defs(&self, at: u32) -> Option<Vec<Def>> {
        let record = self.record(NAMES, at)?;
        let (offset, count) = (read_u32(record, 8)?, read_u32(record, 12)?);
        let flat: Vec<u32> = self.list(offset, count.checked_mul(3)?)?.collect();
        Some(flat.chunks_exact(3).map(|d| Def { module: d[0], unit: d[1], flags: d[2] }).collect())
    }

    /// A name by its text.
    pub fn find_name(&self, text: &[u8]) -> Option<u32> {
        search(self.names(), |at| Some(self.name(at)?.0.cmp(text)))
    }

    /// The names that start with `prefix` and end with `suffix`.
    pub fn matching(&self, prefix: &[u8], suffix: &[u8]) -> Vec<u32> {
        let (mut low, mut high) = (0, self.names());
        while low < high {
            let mid = low + (high - low) / 2;
            match self.name(mid) {
                Some((text, _)) if text < prefix => low = mid + 1,
                _ => high = mid,
            }
        }
        (low..self.names())
            .take_while(|&at| self.name(at).is_some_and(|(t, _)| t.starts_with(prefix)))
            .filter(|&at| self.name(at).is_some_and(|(t, _)| fits(t, prefix, suffix)))
            .collect()
    }

    /// The Python modules, as the prelude reads them.
    pub fn python(&self) -> &[u8] {
        self.section(PYTHON)
    }
}

fn fits(text: &[u8], prefix: &[u8], suffix: &[u8]) -> bool {
    text.len() >= prefix.len() + suffix.len() && text.starts_with(prefix) && text.ends_with(suffix)
}

fn search(count: u32, compare: impl Fn(u32) -> Option<std::cmp::Ordering>) -> Option<u32> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let mid = low + (high - low) / 2;
        match compare(mid)? {
            std::cmp::Ordering::Equal => return Some(mid),
            std::cmp::Ordering::Less => low = mid + 1,
            std::cmp::Ordering::Greater => high = mid,
        }
    }
    None
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn read_u16(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

/// Finds accidents, not attacks: whoever can write the index is root.
fn checksum(data: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    // Four lanes, so that one multiplication does not wait for the last.
    let mut lanes = [data.len() as u64, 1, 2, 3];
    let mut chunks = data.chunks_exact(32);
    for chunk in &mut chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
            let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
            *lane = (*lane ^ word).wrapping_mul(MIX).rotate_left(29);
        }
    }
    for &byte in chunks.remainder() {
        lanes[0] = (lanes[0] ^ u64::from(byte)).wrapping_mul(MIX).rotate_left(29);
    }
    lanes.iter().fold(MIX, |sum, lane| (sum ^ lane).wrapping_mul(MIX).rotate_left(31))
}
