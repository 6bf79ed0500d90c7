//! What stands in a tree: clean paths, and the files of a working tree.

use std::path::{Path, PathBuf};

use crate::{Error, File};

/// More files than this in `modules/` are a mistake in the path, not a library.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 20;

/// A relative path that stays in its tree.
pub fn is_clean(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// The `.sh` and `.py` files of `modules/`, unhashed, sorted.
pub fn modules(tree: &Path) -> Result<Vec<File>, Error> {
    let mut files = Vec::new();
    let folder = tree.join("modules");
    match walk(&folder, "modules", MAX_DEPTH, &mut files) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => return Err(Error::Io { what: "read", path: folder, source }),
        Ok(()) => {}
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// The Python files in `folder` and `depth` levels of packages beneath.
pub fn python_files(tree: &Path, folder: &str, depth: usize) -> Vec<File> {
    let mut files = Vec::new();
    // What cannot be read cannot be imported either, and then says so itself.
    let _ = walk(&tree.join(folder), folder, depth, &mut files);
    files.retain(|file| file.path.ends_with(".py"));
    files
}

fn walk(folder: &Path, name: &str, depth: usize, files: &mut Vec<File>) -> std::io::Result<()> {
    let mut folders: Vec<(PathBuf, String)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(own) = entry.file_name().into_string() else { continue };
        if own.starts_with('.') || own == "__pycache__" || own.chars().any(char::is_control) {
            continue;
        }
        let path = format!("{name}/{own}");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            folders.push((entry.path(), path));
        } else if own.ends_with(".sh") || own.ends_with(".py") {
            if files.len() >= MAX_FILES {
                return Err(std::io::Error::other("too many files"));
            }
            files.push(File { path, sha256: [0; 32], size: 0, executable: false });
        }
    }
    if depth > 0 {
        for (folder, name) in folders {
            walk(&folder, &name, depth - 1, files)?;
        }
    }
    Ok(())
}

/// Whether `path` is a module of bash: directly in `modules/`, and not the stand-in for scripts
/// that run without the loader.
pub fn is_bash_module(path: &str) -> bool {
    path.strip_prefix("modules/").is_some_and(|name| {
        name.ends_with(".sh")
            && !name.contains('/')
            && !name.starts_with('.')
            && name != "autoinit.sh"
    })
}
