//! Folders as values: what a tree contains, and how two trees differ.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file: SHA-256, bytes, and whether its owner may execute it.
    File([u8; 32], u64, bool),
    /// A symbolic link and where it points.
    Link(PathBuf),
    /// Anything else: a device, a socket, a pipe.
    Other,
}

/// A tree by relative path. Folders count only through what is in them.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// Reads the whole tree under `root`.
pub fn read(root: &Path) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = root.join(&folder);
        let list =
            fs::read_dir(&full).with_context(|| format!("cannot list {}", full.display()))?;
        for item in list {
            let item = item?;
            let path = folder.join(item.file_name());
            let kind = item.file_type()?;
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                let bytes = fs::read(item.path())?;
                let executable = item.metadata()?.permissions().mode() & 0o100 != 0;
                let hash: [u8; 32] = Sha256::digest(&bytes).into();
                tree.insert(path, Entry::File(hash, bytes.len() as u64, executable));
            } else if kind.is_symlink() {
                tree.insert(path, Entry::Link(fs::read_link(item.path())?));
            } else {
                tree.insert(path, Entry::Other);
            }
        }
    }
    Ok(tree)
}

/// The first differences between two trees, one line each; empty if there is none.
pub fn differences(left: &Tree, right: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in left {
        match right.get(path) {
            None => lines.push(format!("only left: {}", path.display())),
            Some(other) if other != entry => lines.push(format!("differs: {}", path.display())),
            Some(_) => {}
        }
    }
    for path in right.keys().filter(|path| !left.contains_key(*path)) {
        lines.push(format!("only right: {}", path.display()));
    }
    lines
}

/// Requires that the trees under `left` and `right` are the same, contents and modes.
pub fn same(left: &Path, right: &Path) -> Result<()> {
    let lines = differences(&read(left)?, &read(right)?);
    ensure!(
        lines.is_empty(),
        "{} and {} differ in {} places, first: {:?}",
        left.display(),
        right.display(),
        lines.len(),
        lines.iter().take(5).collect::<Vec<_>>()
    );
    Ok(())
}

/// Writes `content` to `root/path`, creating folders; executable or not.
pub fn put(root: &Path, path: &str, content: &[u8], executable: bool) -> Result<()> {
    let full = root.join(path);
    if let Some(parent) = full.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&full, content).with_context(|| format!("cannot write {}", full.display()))?;
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(&full, fs::Permissions::from_mode(mode))?;
    Ok(())
}
