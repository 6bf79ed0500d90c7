//! A release's list of files, and its one text form (docs/format.md).

use std::{collections::HashSet, fmt::Write as _};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{Error, Result, name};

/// The longest manifest that is accepted, in bytes.
pub const MANIFEST_MAX: u64 = 512 << 20;
/// Contents above this size stay out of bundles.
pub const BUNDLED_MAX: u64 = 64 << 20;

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    pub(crate) files: Vec<File>,
}

#[derive(Deserialize)]
struct Text<'a> {
    format: u32,
    #[serde(borrow)]
    files: Vec<Line<'a>>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    path: std::borrow::Cow<'a, str>,
    sha256: &'a str,
    size: u64,
    mode: &'a str,
}

impl Manifest {
    /// A manifest of `files`, which must be sorted.
    pub fn new(files: Vec<File>) -> Result<Self> {
        name::check_set(files.iter().map(|file| file.path.as_str()))?;
        Ok(Self { files })
    }

    /// Reads the text form. Formats other than 1 are refused.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::refused(format!("the manifest is damaged: {what}"));
        let text: Text = serde_json::from_slice(text).map_err(|error| bad(error.to_string()))?;
        if text.format != 1 {
            return Err(Error::refused(format!(
                "the manifest has format {}; this version knows format 1: update ldi",
                text.format
            )));
        }
        let mut files = Vec::with_capacity(text.files.len());
        for line in text.files {
            let mut sha256 = [0; 32];
            let hashed = name::is_sha256(line.sha256);
            if !hashed || hex::decode_to_slice(line.sha256, &mut sha256).is_err() {
                return Err(bad(format!("{:?} has no proper sha256", line.path)));
            }
            let executable = match line.mode {
                "0644" => false,
                "0755" => true,
                mode => return Err(bad(format!("{:?} has mode {mode:?}", line.path))),
            };
            files.push(File { path: line.path.into_owned(), sha256, size: line.size, executable });
        }
        Self::new(files)
    }

    /// The text form, over which the signed hash goes.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(32 + self.files.len() * 160);
        text.push_str("{\"format\":1,\"files\":[\n");
        let mut hash = [0; 64];
        for (index, file) in self.files.iter().enumerate() {
            if index > 0 {
                text.push_str(",\n");
            }
            // 64 bytes hold the hex of 32: this cannot fail.
            let _ = hex::encode_to_slice(file.sha256, &mut hash);
            text.push_str("{\"path\":\"");
            for c in file.path.chars() {
                if c == '"' || c == '\\' {
                    text.push('\\');
                }
                text.push(c);
            }
            text.push_str("\",\"sha256\":\"");
            text.push_str(std::str::from_utf8(&hash).unwrap_or_default());
            let mode = if file.executable { "0755" } else { "0644" };
            let _ = write!(text, "\",\"size\":{},\"mode\":\"{mode}\"}}", file.size);
        }
        if !self.files.is_empty() {
            text.push('\n');
        }
        text.push_str("]}\n");
        text
    }

    /// The files, in order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The file at `path`.
    pub fn get(&self, path: &str) -> Option<&File> {
        let at = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        self.files.get(at)
    }

    /// The contents that a bundle from `old` to this manifest carries, in its order.
    pub fn carried<'a>(&'a self, old: &Manifest) -> Vec<&'a File> {
        self.missing(old).into_iter().filter(|file| file.size <= BUNDLED_MAX).collect()
    }

    /// The contents that are not in `old`: for each, the first file that has it.
    pub fn missing<'a>(&'a self, old: &Manifest) -> Vec<&'a File> {
        // A content that is not in `old` is in a file that differs: few, where two releases follow
        // each other.
        let differing = self.differing(old);
        let mut wanted: HashSet<Hash> = differing.iter().map(|file| file.sha256).collect();
        if !wanted.is_empty() {
            for file in &old.files {
                wanted.remove(&file.sha256);
            }
        }
        differing.into_iter().filter(|file| wanted.remove(&file.sha256)).collect()
    }

    /// Files at paths that `other` does not have, in order.
    pub fn only<'a>(&'a self, other: &Manifest) -> Vec<&'a File> {
        let mut theirs = other.files.iter().peekable();
        let lacks = |file: &&File| {
            while theirs.next_if(|other| other.path < file.path).is_some() {}
            theirs.peek().is_none_or(|other| other.path != file.path)
        };
        self.files.iter().filter(lacks).collect()
    }

    /// Files of `self` that `other` lacks or has otherwise, in order.
    pub fn differing<'a>(&'a self, other: &Manifest) -> Vec<&'a File> {
        let mut theirs = other.files.iter().peekable();
        let differs = |file: &&File| {
            while theirs.next_if(|other| other.path < file.path).is_some() {}
            theirs.peek().is_none_or(|other| *other != *file)
        };
        self.files.iter().filter(differs).collect()
    }
}

/// The SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, content: &str, executable: bool) -> File {
        File {
            path: path.into(),
            sha256: sha256(content.as_bytes()),
            size: content.len() as u64,
            executable,
        }
    }

    #[test]
    fn text_form_round_trips_and_is_json() {
        for files in [vec![], vec![file("a\"b", "1", true), file("ä/ö", "2", false)]] {
            let manifest = Manifest::new(files).unwrap();
            let text = manifest.text();
            assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["format"], 1);
        }
    }

    #[test]
    fn damaged_text_is_refused() {
        let good =
            Manifest::new(vec![file("a", "1", false), file("b", "2", false)]).unwrap().text();
        for (from, to) in [
            ("\"format\":1", "\"format\":2"),
            ("0644", "4755"),
            ("\"a\"", "\"../a\""),
            ("\"a\"", "\"b\""),
            ("\"a\"", "\"c\""),
            ("]}", "]"),
        ] {
            assert!(Manifest::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{from}→{to}");
        }
    }

    #[test]
    fn differences() {
        let old = Manifest::new(vec![file("a", "1", false), file("b", "2", false)]).unwrap();
        let new =
            Manifest::new(vec![file("b", "2", true), file("c", "1", false), file("d", "3", false)])
                .unwrap();
        let names = |files: Vec<&File>| files.iter().map(|f| f.path.clone()).collect::<Vec<_>>();
        assert_eq!(names(new.differing(&old)), ["b", "c", "d"]);
        assert_eq!(names(old.differing(&new)), ["a", "b"]);
        assert_eq!(names(new.missing(&old)), ["d"]);
        assert_eq!(names(old.only(&new)), ["a"]);
        assert_eq!(names(new.only(&old)), ["c", "d"]);
    }
}
