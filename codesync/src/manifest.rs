//! A release's list of files: its one text form (docs/format.md), and what is asked of it.
//!
//! A manifest *is* its text. A release of 100,000 files has 15 MB of it, of which a sync changes ten
//! lines: so nothing here is built from the text that the text does not already say, lines are read
//! when they are asked for, and two manifests are compared line by line.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{Arc, OnceLock},
};

use sha2::{Digest, Sha256};

use crate::{Error, Result, name};

mod line;

pub(crate) use line::Builder;
use line::{Line, hash_of};

/// The longest manifest that is accepted, in bytes.
pub const MANIFEST_MAX: u64 = 512 << 20;
/// Contents above this size stay out of bundles.
pub const BUNDLED_MAX: u64 = 64 << 20;

const BEGIN: &str = "{\"format\":1,\"files\":[\n";
const END: &str = "]}\n";
/// No line is shorter: it holds a hash.
const LINE_MIN: usize = 64;

/// A SHA-256.
pub type Hash = [u8; 32];

/// One file of a release's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Clean relative path, `/` between parts.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: Hash,
    /// Bytes.
    pub size: u64,
    /// Mode 0755 rather than 0644.
    pub executable: bool,
}

/// All files of a release, sorted by the bytes of their paths, checked by [`name::check_set`].
/// Cloning it costs nothing.
#[derive(Clone)]
pub struct Manifest {
    inner: Arc<Inner>,
}

struct Inner {
    text: String,
    /// Where each file's line begins, and where the last one ends.
    starts: Vec<u32>,
    hash: OnceLock<Hash>,
}

/// Where two manifests differ at one path: places in the old and in the new one, at least one of
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Place in the old manifest.
    pub old: Option<usize>,
    /// Place in the new manifest.
    pub new: Option<usize>,
}

impl Default for Manifest {
    fn default() -> Self {
        Builder::default().finish()
    }
}

impl PartialEq for Manifest {
    fn eq(&self, other: &Self) -> bool {
        self.inner.text == other.inner.text
    }
}

impl Eq for Manifest {}

impl std::fmt::Debug for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.inner.text)
    }
}

impl Manifest {
    /// A manifest of `files`, which must be sorted.
    pub fn new(files: Vec<File>) -> Result<Self> {
        name::check_set(files.iter().map(|file| file.path.as_str()))?;
        let mut builder = Builder::default();
        for file in files {
            builder.file(&file);
        }
        Ok(builder.finish())
    }

    /// Reads the text form. Formats other than 1, and other ways to write the same, are refused.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let manifest = Self::read_back(text)?;
        let mut last = Cow::Borrowed("");
        for at in 0..manifest.len() {
            let read = Line::parse(manifest.line(at))
                .ok_or_else(|| bad(&format!("line {} is not as it should be", at + 2)))?;
            let comma = manifest.separator(at) == ",\n";
            if comma != (at + 1 < manifest.len()) {
                return Err(bad("a comma is missing"));
            }
            if *last >= *read.path {
                return Err(bad(&format!("{:?} is not in order", read.path)));
            }
            last = read.path;
        }
        manifest.check_set()?;
        Ok(manifest)
    }

    /// Reads a text of which it is known (by its hash) that [`Manifest::parse`] accepted it once:
    /// only where its lines begin is found again.
    pub(crate) fn read_back(text: &[u8]) -> Result<Self> {
        if text.len() as u64 > MANIFEST_MAX {
            return Err(bad("it is longer than 512 MiB"));
        }
        let text = std::str::from_utf8(text).map_err(|_| bad("it is not UTF-8"))?;
        let Some(rest) = text.strip_prefix(BEGIN) else {
            let format = text.strip_prefix("{\"format\":").and_then(|rest| rest.split(',').next());
            return Err(match format {
                Some(format) if format != "1" && format.len() < 20 => Error::refused(format!(
                    "the manifest has format {format}; this version knows format 1: update ldi"
                )),
                _ => bad("it does not begin as a manifest"),
            });
        };
        let body = rest.strip_suffix(END).ok_or_else(|| bad("its end is missing"))?;
        if !body.is_empty() && !body.ends_with('\n') {
            return Err(bad("a line does not end"));
        }
        let mut starts = Vec::with_capacity(body.len() / 120 + 2);
        let mut at = BEGIN.len();
        for line in body.split_inclusive('\n') {
            if line.len() < LINE_MIN {
                return Err(bad(&format!("line {} is not as it should be", starts.len() + 2)));
            }
            // Bounded by MANIFEST_MAX.
            starts.push(u32::try_from(at).unwrap_or(u32::MAX));
            at += line.len();
        }
        starts.push(u32::try_from(at).unwrap_or(u32::MAX));
        let inner = Inner { text: text.to_owned(), starts, hash: OnceLock::new() };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The same, of which the hash is known already.
    pub(crate) fn of_hash(self, hash: Hash) -> Self {
        self.inner.hash.get_or_init(|| hash);
        self
    }

    /// Compares the paths with each other, and each with what a path may be.
    pub(crate) fn check_set(&self) -> Result<()> {
        // Without escapes, which no clean path but one with a quote needs, nothing is copied.
        let paths: Vec<Cow<'_, str>> = (0..self.len()).map(|at| self.path(at)).collect();
        name::check_set(paths.iter().map(AsRef::as_ref))
    }

    /// The text form, over which the signed hash goes.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// The SHA-256 of the text.
    pub fn hash(&self) -> Hash {
        *self.inner.hash.get_or_init(|| sha256(self.inner.text.as_bytes()))
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.inner.starts.len() - 1
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The files, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = File> + '_ {
        (0..self.len()).map(|at| self.file(at))
    }

    /// The file at place `at`.
    pub fn at(&self, at: usize) -> Option<File> {
        (at < self.len()).then(|| self.file(at))
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<File> {
        self.search(path).ok().map(|at| self.file(at))
    }

    /// The place of `path`, or the one where it would be.
    pub fn search(&self, path: &str) -> std::result::Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.path(middle).as_ref().cmp(path) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// The path at place `at`; empty beyond the end.
    pub fn path(&self, at: usize) -> Cow<'_, str> {
        self.view(at).map_or(Cow::Borrowed(""), |line| line.path)
    }

    /// The line of place `at`, as it stands, without what separates it from the next.
    pub(crate) fn line(&self, at: usize) -> &str {
        let line = self.whole_line(at);
        line.strip_suffix(",\n").or_else(|| line.strip_suffix('\n')).unwrap_or(line)
    }

    fn separator(&self, at: usize) -> &str {
        let line = self.whole_line(at);
        line.get(self.line(at).len()..).unwrap_or_default()
    }

    fn whole_line(&self, at: usize) -> &str {
        let bounds = self.inner.starts.get(at).zip(self.inner.starts.get(at + 1));
        let line = bounds.and_then(|(from, to)| self.inner.text.get(*from as usize..*to as usize));
        line.unwrap_or_default()
    }

    /// How many lines from place `at` are, byte for byte, those of `old` from place `from`.
    fn alike(&self, at: usize, old: &Manifest, from: usize) -> usize {
        let start_of = |manifest: &Self, at: usize| {
            manifest.inner.starts.get(at).map_or(usize::MAX, |start| *start as usize)
        };
        let (start, theirs) = (start_of(self, at), start_of(old, from));
        let new = self.inner.text.as_bytes().get(start..).unwrap_or_default();
        let old = old.inner.text.as_bytes().get(theirs..).unwrap_or_default();
        let same = common(new, old);
        let ends = self.inner.starts.get(at + 1..).unwrap_or_default();
        ends.partition_point(|end| *end as usize - start <= same)
    }

    fn view(&self, at: usize) -> Option<Line<'_>> {
        // Every line was read once when this was made: none fails here.
        Line::parse(self.line(at))
    }

    fn file(&self, at: usize) -> File {
        let Some(line) = self.view(at) else {
            return File { path: String::new(), sha256: [0; 32], size: 0, executable: false };
        };
        let mut sha256 = [0; 32];
        let _ = hex::decode_to_slice(line.sha256, &mut sha256);
        File { path: line.path.into_owned(), sha256, size: line.size, executable: line.executable }
    }

    /// Where `self` differs from `old`, in the order of paths.
    pub fn changes(&self, old: &Manifest) -> Vec<Change> {
        let (mut a, mut b) = (0, 0);
        let mut changes = Vec::new();
        while a < old.len() || b < self.len() {
            if a < old.len() && b < self.len() {
                let alike = self.alike(b, old, a);
                if alike > 0 {
                    (a, b) = (a + alike, b + alike);
                    continue;
                }
                // The last line of one of them has no comma.
                if old.line(a) == self.line(b) {
                    (a, b) = (a + 1, b + 1);
                    continue;
                }
                match old.path(a).cmp(&self.path(b)) {
                    Ordering::Equal => {
                        changes.push(Change { old: Some(a), new: Some(b) });
                        (a, b) = (a + 1, b + 1);
                        continue;
                    }
                    Ordering::Greater => {
                        changes.push(Change { old: None, new: Some(b) });
                        b += 1;
                        continue;
                    }
                    Ordering::Less => {}
                }
            } else if b < self.len() {
                changes.push(Change { old: None, new: Some(b) });
                b += 1;
                continue;
            }
            changes.push(Change { old: Some(a), new: None });
            a += 1;
        }
        changes
    }

    /// The contents that a bundle from `old` to this manifest carries, in its order.
    pub fn carried(&self, old: &Manifest) -> Vec<File> {
        self.carried_of(&self.changes(old), old)
    }

    /// The same, where what differs is known.
    pub(crate) fn carried_of(&self, changes: &[Change], old: &Manifest) -> Vec<File> {
        let mut files = self.missing_of(changes, old);
        files.retain(|file| file.size <= BUNDLED_MAX);
        files
    }

    /// The contents that are not in `old`: for each, the first file that has it.
    pub fn missing(&self, old: &Manifest) -> Vec<File> {
        self.missing_of(&self.changes(old), old)
    }

    fn missing_of(&self, changes: &[Change], old: &Manifest) -> Vec<File> {
        // A line that both have adds no content.
        let changed = changes.iter().filter_map(|change| change.new);
        let mut files: Vec<File> = changed.map(|at| self.file(at)).collect();
        let mut new: HashSet<Hash> = files.iter().map(|file| file.sha256).collect();
        old.having(&new).keys().for_each(|hash| {
            new.remove(hash);
        });
        files.retain(|file| new.remove(&file.sha256));
        files
    }

    /// The first place of each of `wanted` contents that is in this manifest.
    pub(crate) fn having(&self, wanted: &HashSet<Hash>) -> HashMap<Hash, usize> {
        let mut found = HashMap::new();
        if wanted.is_empty() {
            return found;
        }
        // Few of many lines are wanted: nearly all are told by their first two bytes.
        let mut heads = vec![false; 1 << 16];
        for &[first, second, ..] in wanted {
            if let Some(head) = heads.get_mut(usize::from(u16::from_be_bytes([first, second]))) {
                *head = true;
            }
        }
        for at in 0..self.len() {
            let text = hash_of(self.line(at));
            let head = text.get(..4).and_then(|head| usize::from_str_radix(head, 16).ok());
            if head.and_then(|head| heads.get(head)) != Some(&true) {
                continue;
            }
            let mut hash = [0; 32];
            if hex::decode_to_slice(text, &mut hash).is_ok() && wanted.contains(&hash) {
                found.entry(hash).or_insert(at);
            }
        }
        found
    }

    /// Files of `self` that `other` lacks or has otherwise, in order.
    pub fn differing(&self, other: &Manifest) -> Vec<File> {
        self.changes(other).iter().filter_map(|change| Some(self.file(change.new?))).collect()
    }
}

fn bad(what: &str) -> Error {
    Error::refused(format!("the manifest is damaged: {what}"))
}

/// How many bytes are the same at the beginning of both.
fn common(a: &[u8], b: &[u8]) -> usize {
    const BLOCK: usize = 4096;
    let blocks = a.chunks_exact(BLOCK).zip(b.chunks_exact(BLOCK));
    let at = blocks.take_while(|(a, b)| a == b).count() * BLOCK;
    let rest = a.get(at..).unwrap_or_default().iter().zip(b.get(at..).unwrap_or_default());
    at + rest.take_while(|(a, b)| a == b).count()
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests;
