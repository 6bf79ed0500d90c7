//! One release on disk: its manifest, its lock, and whether its files are what was signed.

use std::{fs, io::ErrorKind, os::unix::fs::OpenOptionsExt, path::Path};

use nix::fcntl::OFlag;

use super::{Hold, Release, Summary};
use crate::{
    Error, Kind, Result, disk,
    manifest::{BUNDLED_MAX, File, MANIFEST_MAX, Manifest, sha256},
};

impl Release {
    /// The manifest: every file that was signed as part of this release.
    pub fn manifest(&self) -> Result<Manifest> {
        let text = self.manifest_text()?;
        // What was accepted once need not be compared with itself again.
        match self.noted() {
            Some(noted) if sha256(&text) == noted.hash => Manifest::read_back(&text),
            _ => Manifest::parse(&text),
        }
    }

    /// Writes the manifest, and beside it what [`Release::summary`] reads.
    pub(crate) fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let path = self.meta.join("manifest.json");
        disk::replace(&path, manifest.text().as_bytes(), 0o644)?;
        let Some(stamp) = stamp(&path) else { return Ok(()) };
        let text = format!("{} {} {stamp}\n", hex::encode(manifest.hash()), manifest.len());
        disk::replace(&self.meta.join("manifest.sum"), text.as_bytes(), 0o644)
    }

    /// What the manifest is; read from the manifest itself if it was touched since it was written.
    pub(crate) fn summary(&self) -> Option<Summary> {
        if let Some(noted) = self.noted() {
            return Some(noted);
        }
        let manifest = Manifest::read_back(&self.manifest_text().ok()?).ok()?;
        Some(Summary { hash: manifest.hash(), files: manifest.len() as u64 })
    }

    /// What was noted when the manifest was written, if nobody has touched it since.
    fn noted(&self) -> Option<Summary> {
        let text = disk::read_bounded(&self.meta.join("manifest.sum"), 1024).ok()??;
        let text = String::from_utf8(text).ok()?;
        let (hash, rest) = text.trim_end().split_once(' ')?;
        let (files, noted) = rest.split_once(' ')?;
        let mut sha256 = [0; 32];
        hex::decode_to_slice(hash, &mut sha256).ok()?;
        let same = stamp(&self.meta.join("manifest.json"))? == noted;
        same.then_some(Summary { hash: sha256, files: files.parse().ok()? })
    }

    pub(crate) fn manifest_text(&self) -> Result<Vec<u8>> {
        let path = self.meta.join("manifest.json");
        disk::read_bounded(&path, MANIFEST_MAX)?
            .ok_or_else(|| Error::io("read", &path, &ErrorKind::NotFound.into()))
    }

    /// Keeps this release's tree in place until the hold is dropped.
    pub fn hold(&self) -> Result<Hold> {
        let lock = self.lock_file()?;
        lock.lock_shared().map_err(|error| Error::io("lock", &self.meta, &error))?;
        // It may have been retired while we waited.
        if !self.tree.is_dir() {
            return Err(Error::new(
                Kind::Busy,
                format!("release {} was just replaced; try again", self.number),
            ));
        }
        Ok(Hold { _lock: lock })
    }

    /// Whether a file was found to differ from what was signed.
    pub fn is_damaged(&self) -> bool {
        self.meta.join("damaged").exists()
    }

    /// Compares every file with what was signed: the paths that differ, are missing, or should not
    /// be there.
    pub fn verify(&self) -> Result<Vec<String>> {
        let manifest = self.manifest()?;
        let mut wrong: Vec<String> = manifest
            .files()
            .filter(|file| !is_intact(&self.tree, file))
            .map(|file| file.path)
            .collect();
        crate::stage::walk(&self.tree, "", &mut |path, kind| {
            if kind != crate::stage::Entry::Folder && manifest.get(path).is_none() {
                wrong.push(path.to_owned());
            }
            Ok(())
        })?;
        wrong.sort_unstable();
        wrong.dedup();
        Ok(wrong)
    }

    /// The exclusive lock, or `None` while somebody holds the release.
    pub(super) fn claim(&self) -> Result<Option<fs::File>> {
        let lock = self.lock_file()?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(Error::io("lock", &self.meta, &error)),
        }
    }

    fn lock_file(&self) -> Result<fs::File> {
        let path = self.meta.join("lock");
        // Following a link would lock, or make, a file elsewhere; a pipe would wait for ever.
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        // Reading is enough to hold a lock, and all that a user other than root may do.
        if let Ok(file) = fs::OpenOptions::new().read(true).custom_flags(flags).open(&path) {
            return Ok(file);
        }
        fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .custom_flags(flags)
            .open(&path)
            .map_err(|error| Error::io("open", &path, &error))
    }
}

/// Whether `file` is in `tree` with the signed content and mode.
pub(crate) fn is_intact(tree: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    let path = tree.join(&file.path);
    let mode = if file.executable { 0o755 } else { 0o644 };
    let plain = fs::symlink_metadata(&path)
        .is_ok_and(|m| m.is_file() && m.len() == file.size && m.mode() & 0o7777 == mode);
    plain
        && match file.size {
            0..=BUNDLED_MAX => read_intact(tree, file).is_some(),
            _ => disk::digest(&path).is_ok_and(|there| there == Some((file.sha256, file.size))),
        }
}

/// The content of `file` in `tree`, if it is the signed one.
pub(crate) fn read_intact(tree: &Path, file: &File) -> Option<Vec<u8>> {
    let bytes = disk::read_bounded(&tree.join(&file.path), file.size).ok()??;
    (bytes.len() as u64 == file.size && sha256(&bytes) == file.sha256).then_some(bytes)
}

/// What changes when somebody writes the file at `path`, or puts another in its place.
fn stamp(path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let file = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(format!("{} {} {}.{}", file.len(), file.ino(), file.ctime(), file.ctime_nsec()))
}
