//! The client's releases on disk.
//!
//! `ROOT/releases/N/` are whole trees, `ROOT/lib` a link to the active one, `ROOT/meta/N/` what
//! belongs to release N but not into its tree (its manifest, the loader's index, its lock),
//! `ROOT/trust/` the TUF metadata last accepted, `ROOT/staging/` what is being built. A release
//! becomes visible by renames only, so a crash leaves the old state or the new one.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

pub use crate::manifest::{File, Manifest};
use crate::{Error, Kind, Result, disk, manifest::Hash};

mod release;

pub(crate) use release::{is_intact, read_intact};

/// Releases that stay on disk, the active one included.
pub const KEPT: usize = 3;

/// A client's root folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// One release on disk, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its number.
    pub number: u64,
    /// Its tree (`ROOT/releases/N`).
    pub tree: PathBuf,
    /// Its side files (`ROOT/meta/N`): `manifest.json`, `manifest.sum`, `index`, `lock`, and `damaged` once a file
    /// of the tree was found to differ from what was signed.
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
    pub manifest: Manifest,
    /// The active release that it replaces, and that release's files: what both have was prepared
    /// then.
    pub before: Option<(Release, Manifest)>,
}

/// What a release's manifest is, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// SHA-256 of its text.
    pub hash: Hash,
    /// Files in it.
    pub files: u64,
}

/// Keeps a release's tree from being removed or changed while a job runs from it.
#[derive(Debug)]
pub struct Hold {
    _lock: fs::File,
}

impl Store {
    /// The store under `root`, creating its folders where they are missing.
    pub fn open(root: &Path) -> Result<Self> {
        for (name, mode) in [
            ("", 0o755),
            ("releases", 0o755),
            ("meta", 0o755),
            ("trust", 0o755),
            ("staging", 0o700),
            ("logs", 0o750),
            ("var", 0o755),
            ("key", 0o700),
            ("tags", 0o755),
        ] {
            disk::make_folder(&root.join(name), mode)?;
        }
        // What is in them is removed and replaced by name; a link would lead that elsewhere.
        for name in ["releases", "meta", "trust", "staging"] {
            if !disk::is_folder(&root.join(name)) {
                return Err(Error::new(
                    Kind::Config,
                    format!(
                        "{} is a link and must be a folder; remove the link",
                        root.join(name).display()
                    ),
                ));
            }
        }
        Ok(Self { root: root.to_owned() })
    }

    /// The store under `root`, for reading: nothing is created.
    pub fn existing(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The TUF metadata last accepted.
    pub fn trust_folder(&self) -> PathBuf {
        self.root.join("trust")
    }

    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Where the tree of the release that was replaced last but [`KEPT`] waits to be built upon.
    pub(crate) fn spare(&self) -> PathBuf {
        self.staging().join("spare")
    }

    /// Where downloads that were cut off wait for their rest; see [`crate::fetch`].
    pub(crate) fn partial(&self) -> PathBuf {
        self.staging().join("partial")
    }

    /// What is remembered of sources that failed; see [`crate::pull`].
    pub(crate) fn backoff(&self) -> PathBuf {
        self.root.join("var/sources.json")
    }

    /// The active release, if there is one.
    pub fn active(&self) -> Result<Option<Release>> {
        let link = self.root.join("lib");
        let target = match fs::read_link(&link) {
            Ok(target) => target,
            // Nothing there, or a real folder that another tool left.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
                return Ok(None);
            }
            Err(error) => return Err(Error::io("read", &link, &error)),
        };
        let number = target.strip_prefix("releases").ok().and_then(|n| n.to_str()?.parse().ok());
        Ok(number.and_then(|number| self.release(number)))
    }

    /// Release `number`, if it is on disk.
    pub fn release(&self, number: u64) -> Option<Release> {
        let tree = self.root.join("releases").join(number.to_string());
        let meta = self.root.join("meta").join(number.to_string());
        let whole = disk::is_folder(&tree)
            && disk::is_folder(&meta)
            && meta.join("manifest.json").is_file();
        whole.then_some(Release { number, tree, meta })
    }

    /// The numbers of the releases on disk, oldest first.
    pub fn releases(&self) -> Result<Vec<u64>> {
        let folder = self.root.join("releases");
        let mut numbers: Vec<u64> = list(&folder)?
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter(|number| self.release(*number).is_some())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes `number`, which is on disk, the active release.
    pub fn activate(&self, number: u64) -> Result<()> {
        if self.release(number).is_none() {
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "release {number} is not on this machine; its releases are {:?}",
                    self.releases()?
                ),
            ));
        }
        let lib = self.root.join("lib");
        if fs::symlink_metadata(&lib).is_ok_and(|metadata| metadata.is_dir()) {
            let aside = self.root.join(format!("lib.before-{number}"));
            fs::rename(&lib, &aside).map_err(|error| Error::io("set aside", &lib, &error))?;
        }
        let fail = |error: std::io::Error| Error::io("switch", &lib, &error);
        let staged = tempfile::Builder::new().prefix("link-").tempdir_in(self.staging());
        let link = staged.map_err(fail)?;
        let new = link.path().join("lib");
        symlink(format!("releases/{number}"), &new).map_err(fail)?;
        fs::rename(&new, &lib).map_err(fail)?;
        disk::sync_folder(&self.root)
    }

    /// The release at which this machine is held: no sync makes another one active.
    ///
    /// A pin of a release that is no longer here holds nothing.
    pub fn pinned(&self) -> Result<Option<u64>> {
        let text = disk::read_bounded(&self.pin_file(), 32)?.unwrap_or_default();
        let number = std::str::from_utf8(&text).ok().and_then(|text| text.trim_end().parse().ok());
        Ok(number.filter(|number| self.release(*number).is_some()))
    }

    /// Makes release `number`, which is on disk, the active one, and holds this machine at it.
    /// Waits for a sync that is under way.
    pub fn pin(&self, number: u64, wait: Duration) -> Result<()> {
        let _lock = self.lock(wait)?;
        if self.release(number).is_some() {
            // First the pin: a sync that comes after a crash in between does the rest.
            disk::replace(&self.pin_file(), format!("{number}\n").as_bytes(), 0o644)?;
        }
        self.activate(number)
    }

    /// Lets syncs go on; the release that was held, if one was.
    pub fn unpin(&self, wait: Duration) -> Result<Option<u64>> {
        let _lock = self.lock(wait)?;
        let pinned = self.pinned()?;
        remove(&self.pin_file())?;
        disk::sync_folder(&self.root)?;
        Ok(pinned)
    }

    fn pin_file(&self) -> PathBuf {
        self.root.join("pinned")
    }

    /// Notes that a file of release `number` is not what was signed; the next sync repairs it.
    pub fn mark_damaged(&self, number: u64, path: &str) -> Result<()> {
        let release = self.release(number).ok_or_else(|| {
            Error::new(Kind::Io, format!("release {number} is no longer on this machine"))
        })?;
        disk::replace(&release.meta.join("damaged"), path.as_bytes(), 0o644)
    }

    /// Takes the lock under which the store is changed.
    pub(crate) fn lock(&self, wait: Duration) -> Result<fs::File> {
        disk::lock(&self.root.join(".sync.lock"), wait, "another sync")
    }

    /// Removes what a crash left. Call under the lock.
    pub(crate) fn clean(&self) -> Result<()> {
        for name in list(&self.staging())? {
            let path = self.staging().join(&name);
            if name == "spare" && path.join("meta/manifest.json").is_file() {
                continue;
            }
            if path == self.partial() && disk::is_folder(&path) {
                crate::fetch::expire(&path)?;
                continue;
            }
            remove(&path)?;
        }
        for (side, other) in [("releases", "meta"), ("meta", "releases")] {
            for name in list(&self.root.join(side))? {
                let whole = name.parse().is_ok_and(|number| self.release(number).is_some());
                let twin = self.root.join(other).join(&name);
                let held = side == "meta" && twin.exists();
                if !whole && !held {
                    remove(&self.root.join(side).join(&name))?;
                }
            }
        }
        // A sync that was cut off after it switched, or a job that has ended since, left one more.
        self.retire()
    }

    /// Makes `staged` visible under its number, active, and retires what is too old.
    pub(crate) fn adopt(&self, staged: &Staged) -> Result<()> {
        let name = staged.number.to_string();
        for (from, to) in [(&staged.meta, "meta"), (&staged.tree, "releases")] {
            let to = self.root.join(to).join(&name);
            fs::rename(from, &to).map_err(|error| Error::io("rename to", &to, &error))?;
        }
        disk::sync_folder(&self.root.join("meta"))?;
        disk::sync_folder(&self.root.join("releases"))?;
        self.activate(staged.number)
    }

    /// Takes releases beyond the last [`KEPT`] out of sight: one becomes the spare, on which the
    /// next release is built; others are removed. What a job runs from stays until it ended.
    pub(crate) fn retire(&self) -> Result<()> {
        let active = self.active()?.map(|release| release.number);
        let mut numbers = self.releases()?;
        numbers.retain(|number| Some(*number) != active);
        let surplus = numbers.len().saturating_sub(KEPT - 1);
        for number in numbers.into_iter().take(surplus).rev() {
            let Some(release) = self.release(number) else { continue };
            let Some(_exclusive) = release.claim()? else { continue };
            let damaged = release.is_damaged();
            let work = tempfile::Builder::new()
                .prefix("old-")
                .tempdir_in(self.staging())
                .map_err(|error| Error::io("write in", &self.staging(), &error))?;
            for (from, to) in [(&release.tree, "tree"), (&release.meta, "meta")] {
                fs::rename(from, work.path().join(to))
                    .map_err(|error| Error::io("retire", from, &error))?;
            }
            if !damaged && !self.spare().exists() {
                let kept = work.keep();
                fs::rename(&kept, self.spare())
                    .map_err(|error| Error::io("rename", &kept, &error))?;
            }
        }
        Ok(())
    }
}

fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder, &error)),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// Removes a file, a link or a whole folder; links are not followed.
pub(crate) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, &error)),
        _ => Ok(()),
    }
}
