//! The plain tree for old rsync clients: links to the objects, changed file by file.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use crate::{
    Error, Result, disk,
    library::Library,
    manifest::{File, Manifest},
};

/// Makes `export/RING` equal to `manifest`, touching only what differs.
///
/// An rsync that runs at the same time sees each file old or new, never half of one.
pub fn update(library: &Library, ring: &str, manifest: &Manifest) -> Result<()> {
    let tree = library.folder().join("export").join(ring);
    disk::make_folder(&tree, 0o755)?;
    remove_others(&tree, "", manifest)?;
    let mut last = None;
    for file in manifest.files() {
        let path = tree.join(&file.path);
        if let Some(folder) = path.parent()
            && last.as_deref() != Some(folder)
        {
            disk::make_folder(folder, 0o755)?;
            last = Some(folder.to_owned());
        }
        place(library, &file, &path)?;
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
