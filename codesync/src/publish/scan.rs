//! Reading the tree that is to be published, and storing each content once.

use std::{
    fs,
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::Mutex,
};

use sha2::{Digest, Sha256};

use crate::{
    Error, Kind, Result,
    library::Library,
    manifest::{File, Hash, Manifest},
    name,
};

/// Reads `tree` and stores its contents in `library`'s objects.
///
/// Refuses, by name, what may not be in a library: links, devices, odd names.
pub fn scan(tree: &Path, library: &Library) -> Result<Manifest> {
    let mut paths = Vec::new();
    walk(tree, "", &mut paths)?;
    paths.sort_unstable();
    name::check_set(paths.iter().map(String::as_str))?;
    if paths.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} holds no files; an empty release would remove everything from every client",
                tree.display()
            ),
        ));
    }
    let queue = Mutex::new(paths.into_iter());
    let worker = || -> Result<Vec<File>> {
        let mut files = Vec::new();
        loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.next());
            let Some(path) = next else { return Ok(files) };
            files.push(store(tree, path, library)?);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let mut files = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut files = Vec::new();
        for thread in threads {
            let read =
                thread.join().map_err(|_| Error::new(Kind::Io, "reading the tree failed"))?;
            files.extend(read?);
        }
        Ok::<_, Error>(files)
    })?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Manifest::new(files)
}

fn walk(tree: &Path, folder: &str, paths: &mut Vec<String>) -> Result<()> {
    let here = tree.join(folder);
    let fail = |error: std::io::Error| Error::io("read", &here, &error);
    for entry in fs::read_dir(&here).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let refuse = |path: &dyn std::fmt::Debug, fault: &str| {
            Error::refused(format!("the path {path:?} may not be in a library: {fault}"))
        };
        let Ok(part) = entry.file_name().into_string() else {
            return Err(refuse(&entry.path(), "its name is not UTF-8"));
        };
        let path = if folder.is_empty() { part } else { format!("{folder}/{part}") };
        let kind = entry.file_type().map_err(fail)?;
        if let Some(fault) = name::path_fault(&path) {
            return Err(refuse(&path, fault));
        }
        if kind.is_dir() {
            walk(tree, &path, paths)?;
        } else if kind.is_symlink() {
            return Err(refuse(
                &path,
                "it is a symbolic link; only regular files can be published",
            ));
        } else if kind.is_file() {
            paths.push(path);
        } else {
            return Err(refuse(&path, "it is not a regular file"));
        }
    }
    Ok(())
}

/// Hashes one file and stores its content; what is stored is what was hashed, from one reading.
fn store(tree: &Path, path: String, library: &Library) -> Result<File> {
    let from = tree.join(&path);
    let fail = |error: std::io::Error| Error::io("read", &from, &error);
    // A file that became a link since the walk is not followed.
    let mut file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(&from)
        .map_err(fail)?;
    let metadata = file.metadata().map_err(fail)?;
    if !metadata.is_file() {
        return Err(Error::refused(format!("{} changed while it was read", from.display())));
    }
    let executable = metadata.permissions().mode() & 0o111 != 0;

    const WHOLE: u64 = 4 << 20;
    if metadata.len() <= WHOLE {
        let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
        (&mut file).take(WHOLE + 1).read_to_end(&mut content).map_err(fail)?;
        if content.len() as u64 > WHOLE {
            return Err(Error::refused(format!("{} grew while it was read", from.display())));
        }
        let sha256: Hash = Sha256::digest(&content).into();
        let object = library.object(&sha256);
        if !stored(&object, content.len() as u64) {
            put(&object, |out| out.write_all(&content))?;
        }
        return Ok(File { path, sha256, size: content.len() as u64, executable });
    }
    // Large: hash on the way into a new object, which is dropped if it was known.
    let mut hasher = Sha256::new();
    let mut size = 0;
    let mut staged = staged(&library.folder().join("objects"))?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = file.read(&mut buffer).map_err(fail)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size += read as u64;
        staged.write_all(&buffer[..read]).map_err(|e| Error::io("write", staged.path(), &e))?;
    }
    let sha256: Hash = hasher.finalize().into();
    let object = library.object(&sha256);
    if !stored(&object, size) {
        finish(staged, &object)?;
    }
    Ok(File { path, sha256, size, executable })
}

/// A power cut can leave an object empty, so its size must be right too.
fn stored(object: &Path, size: u64) -> bool {
    fs::metadata(object).is_ok_and(|metadata| metadata.len() == size)
}

fn staged(folder: &Path) -> Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(|error| Error::io("write in", folder, &error))
}

fn put(object: &Path, write: impl FnOnce(&mut fs::File) -> std::io::Result<()>) -> Result<()> {
    let folder = object.parent().unwrap_or(Path::new("/"));
    crate::disk::make_folder(folder, 0o755)?;
    let mut staged = staged(folder)?;
    write(staged.as_file_mut()).map_err(|error| Error::io("write", object, &error))?;
    finish(staged, object)
}

fn finish(staged: tempfile::NamedTempFile, object: &Path) -> Result<()> {
    let folder = object.parent().unwrap_or(Path::new("/"));
    crate::disk::make_folder(folder, 0o755)?;
    staged
        .as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .map_err(|error| Error::io("write", object, &error))?;
    staged.persist(object).map_err(|error| Error::io("write", object, &error.error))?;
    Ok(())
}
