//! Reading a file of a release once it is known to be the signed one.

use std::{io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use codesync::store::File;
use sha2::{Digest, Sha256};

/// The first bytes of a file whose whole content was compared with its signed hash.
pub(super) fn head(tree: &Path, file: &File) -> Result<Vec<u8>, String> {
    verified(tree, file, jobs::header::BYTES)
}

const READ_AT_ONCE: usize = 1 << 16;

/// Reads all of a file, keeps the first `keep` bytes, and refuses what was not signed.
pub(super) fn verified(tree: &Path, file: &File, keep: usize) -> Result<Vec<u8>, String> {
    let path = tree.join(&file.path);
    // A pipe in its place would wait for a writer for ever.
    let mut from = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(&path)
        .map_err(|e| format!("cannot open {}: {e}", path.display()))?
        .take(file.size + 1);
    let (mut hash, mut kept, mut buffer) = (
        Sha256::new(),
        Vec::new(),
        vec![0; READ_AT_ONCE.min(usize::try_from(file.size).unwrap_or(READ_AT_ONCE) + 1)],
    );
    loop {
        let n =
            from.read(&mut buffer).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        let room = keep - kept.len();
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    if hash.finalize().as_slice() != file.sha256 {
        return Err(format!(
            "{} is not what was signed for this release; it was not run and the next sync repairs it",
            file.path
        ));
    }
    Ok(kept)
}
