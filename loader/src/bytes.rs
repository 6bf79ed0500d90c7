//! Opens a file once, compares it with its hash, and keeps those bytes where nobody can change
//! them: a sealed memory file on Linux, an unlinked private file elsewhere.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, Write},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

use crate::{Error, index::Entry};

/// What an unsigned file may have: enough for any script or tool, and a bound.
pub const MAX_UNSIGNED: u64 = 256 << 20;

/// Reads `entry` of `tree`; the bytes are the signed ones or it is an error.
pub fn read(tree: &Path, entry: &Entry<'_>) -> Result<Vec<u8>, Error> {
    let path = tree.join(entry.path);
    let tampered = || Error::Tampered { path: entry.path.to_owned() };
    let bound = if entry.sha256.is_some() { entry.size } else { MAX_UNSIGNED };
    let bytes = match slurp(&path, bound, entry.sha256.is_none()) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(tampered()),
        // A file that was signed and is gone, or is a link or a folder now.
        Err(e) if entry.sha256.is_some() && is_change(&e) => return Err(tampered()),
        Err(source) => return Err(Error::Io { what: "read", path, source }),
    };
    if let Some(expected) = entry.sha256
        && (bytes.len() as u64 != entry.size || Sha256::digest(&bytes).as_slice() != expected)
    {
        return Err(tampered());
    }
    Ok(bytes)
}

fn is_change(error: &io::Error) -> bool {
    use io::ErrorKind as K;
    matches!(error.kind(), K::NotFound | K::NotADirectory | K::IsADirectory)
        || error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32)
}

/// The content of a regular file; `None` when it is longer than `bound` or not regular. With
/// `follow`, the last part of the path may be a link.
pub fn slurp(path: &Path, bound: u64, follow: bool) -> io::Result<Option<Vec<u8>>> {
    // O_NONBLOCK: a pipe that was put in its place must not hold us up.
    let mut flags = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    flags.set(OFlag::O_NOFOLLOW, !follow);
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() > bound {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0) + 1);
    file.take(bound + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= bound).then_some(bytes))
}

/// A descriptor from which exactly `bytes` can be read, and nothing else ever.
pub fn seal(bytes: &[u8]) -> Result<OwnedFd, Error> {
    private_file(bytes).map_err(|source| Error::Io {
        what: "keep a private copy of",
        path: "a verified file".into(),
        source,
    })
}

#[cfg(target_os = "linux")]
fn private_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    use nix::{
        fcntl::{FcntlArg, SealFlag, fcntl},
        sys::memfd::{MFdFlags, memfd_create},
    };
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let mut file = File::from(memfd_create(c"ldi", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = SealFlag::F_SEAL_SEAL
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Without a name and readable through this descriptor only. `/dev/fd/N` shares the offset here,
/// so it stands at the start.
#[cfg(not(target_os = "linux"))]
fn private_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file: File = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}
