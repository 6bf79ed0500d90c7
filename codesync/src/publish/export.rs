//! The plain tree for old rsync clients: links to the objects, changed file by file.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use crate::{
    Error, Result, disk,
    library::Library,
    manifest::{File, Manifest},
};

/// Makes `export/RING` equal to `manifest`, touching only what differs.
///
/// `export/.RING` names the manifest that the tree equals. Where that is the one of `former`, only
/// what differs from it is looked at; otherwise, or without it, every file is.
///
/// An rsync that runs at the same time sees each file old or new, never half of one.
pub(crate) fn update(
    library: &Library,
    ring: &str,
    manifest: &Manifest,
    former: Option<&Manifest>,
) -> Result<()> {
    let tree = library.folder().join("export").join(ring);
    disk::make_folder(&tree, 0o755)?;
    let mark = mark(library, ring);
    let stands = disk::read_bounded(&mark, 64).ok().flatten().unwrap_or_default();
    let former = former.filter(|former| hex::encode(former.hash()).as_bytes() == stands);
    // Gone while the tree is neither: a crash from here on leads to a full comparison.
    crate::store::remove(&mark)?;
    let empty = Manifest::default();
    let changes = manifest.changes(former.unwrap_or(&empty));
    match former {
        // First what goes: a file can make room for a folder of its name.
        Some(old) => {
            let gone = changes.iter().filter(|change| change.new.is_none());
            for at in gone.filter_map(|change| change.old) {
                remove(&tree, &old.path(at))?;
            }
        }
        None => drop(remove_others(&tree, "", manifest)?),
    }
    let mut last = None;
    for file in changes.iter().filter_map(|change| manifest.at(change.new?)) {
        let path = tree.join(&file.path);
        if let Some(folder) = path.parent()
            && last.as_deref() != Some(folder)
        {
            disk::make_folder(folder, 0o755)?;
            last = Some(folder.to_owned());
        }
        place(library, &file, &path)?;
    }
    // Not synced: a mark that is lost or torn is no mark.
    fs::write(&mark, hex::encode(manifest.hash()))
        .map_err(|error| Error::io("write", &mark, &error))
}

fn mark(library: &Library, ring: &str) -> PathBuf {
    // No ring's name begins with a dot.
    library.folder().join("export").join(format!(".{ring}"))
}

/// Removes a file that is not in the release any more, and folders that it leaves empty.
fn remove(tree: &Path, path: &str) -> Result<()> {
    let file = tree.join(path);
    crate::store::remove(&file)?;
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != tree) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
    Ok(())
}

fn place(library: &Library, file: &File, path: &Path) -> Result<()> {
    let object = library.object(&file.sha256);
    let fail = |error: std::io::Error| Error::io("export to", path, &error);
    let source = fs::metadata(&object).map_err(|error| Error::io("read", &object, &error))?;
    if let Ok(there) = fs::symlink_metadata(path) {
        let linked = there.ino() == source.ino();
        // A copy carries its object's time, so time and size tell whether it is still the same.
        let copied = there.mode() & 0o777 == 0o755
            && there.size() == source.size()
            && (there.mtime(), there.mtime_nsec()) == (source.mtime(), source.mtime_nsec());
        if (linked && !file.executable) || (copied && file.executable) {
            return Ok(());
        }
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let staged = tempfile::Builder::new().prefix(".new-").tempdir_in(folder).map_err(fail)?;
    let new = staged.path().join("file");
    if file.executable {
        // Links share a mode, so an executable needs a file of its own.
        fs::copy(&object, &new).map_err(fail)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).map_err(fail)?;
        let times = fs::FileTimes::new().set_modified(source.modified().map_err(fail)?);
        fs::File::options()
            .write(true)
            .open(&new)
            .and_then(|f| f.set_times(times))
            .map_err(fail)?;
    } else {
        fs::hard_link(&object, &new).map_err(fail)?;
    }
    fs::rename(&new, path).map_err(fail)
}

/// Removes what the manifest does not have, and folders that became empty.
fn remove_others(tree: &Path, folder: &str, manifest: &Manifest) -> Result<bool> {
    let here = tree.join(folder);
    let fail = |error: std::io::Error| Error::io("clean", &here, &error);
    let mut empty = true;
    for entry in fs::read_dir(&here).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let part = entry.file_name();
        let part = part.to_string_lossy();
        let path = if folder.is_empty() { part.into_owned() } else { format!("{folder}/{part}") };
        let is_folder = entry.file_type().map_err(fail)?.is_dir();
        if is_folder {
            if manifest.get(&path).is_some() {
                fs::remove_dir_all(entry.path()).map_err(fail)?;
            } else if remove_others(tree, &path, manifest)? {
                fs::remove_dir(entry.path()).map_err(fail)?;
            } else {
                empty = false;
            }
        } else if manifest.get(&path).is_none() {
            fs::remove_file(entry.path()).map_err(fail)?;
        } else {
            empty = false;
        }
    }
    Ok(empty)
}
