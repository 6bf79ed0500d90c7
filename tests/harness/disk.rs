//! A disk of its own for a folder: a small one that can be full, or one that takes no writes.
//! Linux and root.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use nix::sys::statvfs::statvfs;

use crate::{
    parts::program,
    process::{command, run},
};

/// Room on such a disk is counted in these.
pub const PAGE: u64 = 4096;
const ROOMY: u64 = 1 << 30;

/// The disk; unmounted when dropped.
#[derive(Debug)]
pub struct Small(PathBuf);

impl Small {
    /// Whether one can be mounted here.
    pub fn possible() -> Result<bool> {
        if !cfg!(target_os = "linux") || !nix::unistd::Uid::effective().is_root() {
            return Ok(false);
        }
        let probe = tempfile::tempdir()?;
        Ok(Self::mount(probe.path()).is_ok())
    }

    /// Mounts it on `folder`, which is made, with plenty of room.
    pub fn mount(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        mount(&["-t", "tmpfs", "-o", &format!("size={ROOMY},mode=755"), "small"], folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Bytes that are taken.
    pub fn used(&self) -> Result<u64> {
        let now = statvfs(&self.0)?;
        Ok(now.blocks().saturating_sub(now.blocks_free()) * now.fragment_size())
    }

    /// Leaves `room` bytes free.
    pub fn leave(&self, room: u64) -> Result<()> {
        self.remount(&format!("size={}", (self.used()? + room).max(PAGE)))
    }

    /// Makes plenty of room.
    pub fn make_room(&self) -> Result<()> {
        self.remount(&format!("size={ROOMY}"))
    }

    fn remount(&self, options: &str) -> Result<()> {
        mount(&["-o", &format!("remount,{options}")], &self.0)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// A folder whose disk takes no writes; it takes them again when dropped.
#[derive(Debug)]
pub struct ReadOnly(PathBuf);

impl ReadOnly {
    /// Makes `folder` read-only for whoever opens a file from now on.
    pub fn mount(folder: &Path) -> Result<Self> {
        let folder_text = folder.display().to_string();
        mount(&["--bind", &folder_text], folder)?;
        let this = Self(folder.to_owned());
        mount(&["-o", "remount,bind,ro"], folder)?;
        Ok(this)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        // Whoever has files open there keeps them, and can write them again.
        mount(&["-o", "remount,bind,rw"], &self.0).ok();
        unmount(&self.0);
    }
}

fn mount(words: &[&str], folder: &Path) -> Result<()> {
    run(command(&program("mount")?).args(words).arg(folder))?.success().map(drop)
}

fn unmount(folder: &Path) {
    if let Ok(umount) = program("umount") {
        run(command(&umount).arg("-l").arg(folder)).ok();
    }
}
