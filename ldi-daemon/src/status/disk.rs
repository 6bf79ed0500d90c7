//! Whether the disk under ROOT can be written: asked of the kernel, not tried.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

/// Below this much room a release, a log and the journal cannot be written.
const LITTLE: u64 = 1 << 20;

/// The file system of ROOT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Disk {
    /// Bytes that an ordinary account can still write.
    pub free: u64,
    /// Nothing can be written.
    pub read_only: bool,
    /// No file more can be made.
    pub no_files: bool,
}

impl Disk {
    pub(super) fn is_full(self) -> bool {
        self.free < LITTLE || self.no_files
    }
}

/// The disk of `root`; `None` when the kernel does not say.
pub(super) fn of(root: &Path) -> Option<Disk> {
    let stat = statvfs(root).ok()?;
    // Their widths differ between systems.
    #[allow(clippy::useless_conversion)]
    let free = u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size()));
    Some(Disk {
        free,
        read_only: stat.flags().contains(FsFlags::ST_RDONLY),
        // Some file systems count no files at all.
        no_files: stat.files() > 0 && stat.files_available() == 0,
    })
}
