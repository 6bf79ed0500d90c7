//! The client's releases on disk.
//!
//! `ROOT/releases/N/` are whole trees, `ROOT/lib` a link to the active one, `ROOT/meta/N/` what
//! belongs to release N but not into its tree (its manifest, the loader's index, its lock),
//! `ROOT/trust/` the TUF metadata last accepted.

use std::path::{Path, PathBuf};

use crate::Result;

/// A client's root folder.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// One release on disk, complete.
#[derive(Debug, Clone)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// Its tree (`ROOT/releases/N`).
    pub tree: PathBuf,
    /// Its side files (`ROOT/meta/N`): `manifest.json`, `index`.
    pub meta: PathBuf,
}

/// A release that is about to become active.
#[derive(Debug)]
pub struct Staged {
    /// Its number.
    pub number: u64,
    /// Where its tree is now (it will be renamed to `ROOT/releases/N`).
    pub tree: PathBuf,
    /// Where its side files are now (will be renamed to `ROOT/meta/N`).
    pub meta: PathBuf,
    /// Every file of the tree.
    pub files: Vec<File>,
}

/// One file of a release's manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Clean relative path, `/` between parts.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// Mode 0755 rather than 0644.
    pub executable: bool,
}

/// Keeps a release's tree from being removed while a job runs from it.
#[derive(Debug)]
pub struct Hold {
    _lock: std::fs::File,
}

impl Store {
    /// The store under `root`, creating its folders where they are missing.
    pub fn open(root: &Path) -> Result<Self> {
        Ok(Self { root: root.to_owned() })
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The active release, if there is one.
    pub fn active(&self) -> Result<Option<Release>> {
        Ok(None)
    }

    /// Notes that a file of release `number` is not what was signed; the next sync repairs it.
    pub fn mark_damaged(&self, number: u64, path: &str) -> Result<()> {
        let _ = (number, path);
        Ok(())
    }
}

impl Release {
    /// Every file that was signed as part of this release.
    pub fn files(&self) -> Result<Vec<File>> {
        Ok(Vec::new())
    }

    /// Keeps this release's tree in place until the hold is dropped.
    pub fn hold(&self) -> Result<Hold> {
        Err(crate::Error::new(crate::Kind::Io, "stub"))
    }
}
