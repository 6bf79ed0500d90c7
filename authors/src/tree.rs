//! The files of a tree that tools look at: regular files of `modules/`, `scripts/`, `conf/` and
//! `agent/`, in order. Follows no link, opens nothing, and is bounded.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The folders that are a code library; what else lies beside them is the author's own.
pub const FOLDERS: [&str; 4] = ["modules", "scripts", "conf", "agent"];
/// More files are a mistake in the path, not a library.
const MAX_FILES: usize = 200_000;
const MAX_DEPTH: usize = 32;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path within the tree, `/` between parts.
    pub path: String,
    /// Somebody may execute it.
    pub executable: bool,
}

/// What cannot be taken as a file of the tree.
#[derive(Debug, PartialEq, Eq)]
pub enum Odd {
    /// The name is not UTF-8.
    Name,
    /// A symbolic link.
    Link,
    /// A device, a pipe or a socket.
    Special,
    /// Deeper than any library.
    Deep,
    /// More files than any library; what follows was not looked at.
    Many,
    /// It could not be read.
    Unreadable(String),
}

/// What a tree holds.
#[derive(Debug, Default)]
pub struct Listing {
    /// By path, in the order of its bytes.
    pub files: Vec<Entry>,
    /// Path, and what is odd about it.
    pub odd: Vec<(String, Odd)>,
}

/// Lists the tree at `root`. A tree that is no folder, or has none of [`FOLDERS`], is an error.
pub fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut some = false;
    fs::read_dir(root)?;
    for folder in FOLDERS {
        let path = root.join(folder);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => walk(&path, folder, 1, &mut listing),
            Ok(found) if found.is_symlink() => listing.odd.push((folder.to_owned(), Odd::Link)),
            Ok(_) => listing.odd.push((folder.to_owned(), Odd::Special)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => listing.odd.push((folder.to_owned(), Odd::Unreadable(e.to_string()))),
        }
        some = true;
    }
    if !some {
        let what = format!("it has none of the folders {}", FOLDERS.join(", "));
        return Err(io::Error::other(what));
    }
    listing.files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    listing.odd.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(listing)
}

fn walk(folder: &Path, name: &str, depth: usize, listing: &mut Listing) {
    let unreadable = |e: io::Error| (name.to_owned(), Odd::Unreadable(e.to_string()));
    if depth > MAX_DEPTH {
        return listing.odd.push((name.to_owned(), Odd::Deep));
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) => return listing.odd.push(unreadable(e)),
    };
    let mut folders: Vec<(PathBuf, String)> = Vec::new();
    for entry in entries {
        if listing.files.len() + listing.odd.len() >= MAX_FILES {
            return listing.odd.push((name.to_owned(), Odd::Many));
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => return listing.odd.push(unreadable(e)),
        };
        let own = match entry.file_name().into_string() {
            Ok(own) => own,
            Err(own) => {
                let path = format!("{name}/{}", own.to_string_lossy());
                listing.odd.push((path, Odd::Name));
                continue;
            }
        };
        // What Python writes beside modules.
        if own == "__pycache__" {
            continue;
        }
        let path = format!("{name}/{own}");
        match entry.metadata() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => listing.odd.push((path, Odd::Unreadable(e.to_string()))),
            Ok(found) if found.is_dir() => folders.push((entry.path(), path)),
            Ok(found) if found.is_symlink() => listing.odd.push((path, Odd::Link)),
            Ok(found) if found.is_file() => listing
                .files
                .push(Entry { path, executable: found.permissions().mode() & 0o111 != 0 }),
            Ok(_) => listing.odd.push((path, Odd::Special)),
        }
    }
    for (folder, name) in folders {
        if listing.odd.last().is_some_and(|(_, odd)| *odd == Odd::Many) {
            return;
        }
        walk(&folder, &name, depth + 1, listing);
    }
}

/// What of the tree a person names by `file`: a path within it, or a path that leads into it.
pub fn within(root: &Path, file: &Path) -> Option<String> {
    let clean = |path: &Path| {
        let text = path.to_str()?;
        let normal = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        (normal && !text.is_empty()).then(|| text.trim_end_matches('/').to_owned())
    };
    if let Some(path) = clean(file).filter(|path| root.join(path).symlink_metadata().is_ok()) {
        return Some(path);
    }
    let whole = fs::canonicalize(file).ok()?;
    clean(whole.strip_prefix(fs::canonicalize(root).ok()?).ok()?)
}
