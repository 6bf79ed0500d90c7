//! Reading the tree that is to be published, and storing each content once.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use sha2::{Digest, Sha256};

use super::{
    Progress, Step,
    cache::{Cache, Stamp},
};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    manifest::{Builder, File, Hash, MANIFEST_MAX, Manifest},
    name,
};

/// Files between two reports of progress.
const REPORT: usize = 256;

/// A tree that is to be published, and how to read it.
#[derive(Clone, Copy)]
pub struct Tree<'a> {
    /// Its folder.
    pub folder: &'a Path,
    /// A folder of the publisher's own, where it is remembered which files need no second reading.
    pub cache: Option<&'a Path>,
    /// Read every file, and compare what the library stores with its hash.
    pub rehash: bool,
    /// Told how far the publication is.
    pub progress: &'a Progress<'a>,
    /// May refuse it before anything is signed.
    pub check: &'a Check<'a>,
}

/// What a publication would change, for whoever may refuse it.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// What this role published last; empty where that is nothing.
    pub former: &'a Manifest,
    /// What it is about to publish.
    pub manifest: &'a Manifest,
    /// Others publish parts of the tree too.
    pub teams: bool,
}

/// Refuses a publication, or returns words that are to be signed with its note.
pub type Check<'a> = dyn Fn(News<'_>) -> Result<Option<String>> + Sync + 'a;

impl std::fmt::Debug for Tree<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tree").field(&self.folder).finish()
    }
}

impl<'a, P: AsRef<Path> + ?Sized> From<&'a P> for Tree<'a> {
    /// Every file is read, nothing is remembered or refused.
    fn from(folder: &'a P) -> Self {
        Self {
            folder: folder.as_ref(),
            cache: None,
            rehash: false,
            progress: &|_| (),
            check: &|_| Ok(None),
        }
    }
}

/// Reads `tree` and stores its contents in `library`'s objects. What `former`, the newest release,
/// holds is there; also told is whether some of that was not and had to be stored again.
///
/// Refuses, by name, what may not be in a library: links, devices, odd names.
pub(super) fn scan(
    tree: &Tree<'_>,
    library: &Library,
    former: &Manifest,
) -> Result<(Manifest, bool)> {
    let mut paths = Vec::new();
    walk(tree.folder, "", &mut paths)?;
    paths.sort_unstable();
    // The paths of the newest release were checked when it was made.
    let same = paths.len() == former.len()
        && paths.iter().enumerate().all(|(at, path)| *path == former.path(at));
    if !same {
        name::check_set(paths.iter().map(String::as_str))?;
    }
    if paths.is_empty() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} holds no files; an empty release would remove everything from every client",
                tree.folder.display()
            ),
        ));
    }
    let mut cache = Cache::open(tree.cache, tree.folder);
    let none = Cache::default();
    let reading =
        Reading { tree, library, former, known: if tree.rehash { &none } else { &cache } };
    let of = paths.len();
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let worker = || -> Result<Vec<(usize, Seen)>> {
        let mut read = Vec::with_capacity(of / cores);
        loop {
            let from = next.fetch_add(REPORT, Ordering::Relaxed);
            if from >= of {
                return Ok(read);
            }
            let part = paths.iter().enumerate().skip(from).take(REPORT);
            for (at, path) in part {
                read.push((at, reading.file(path)?));
            }
            let now = done.fetch_add(REPORT, Ordering::Relaxed) + REPORT;
            (tree.progress)(Step::Read { done: now.min(of), of });
        }
    };
    let mut read = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut all = Vec::with_capacity(of);
        for thread in threads {
            let read =
                thread.join().map_err(|_| Error::new(Kind::Io, "reading the tree failed"))?;
            all.extend(read?);
        }
        Ok::<_, Error>(all)
    })?;
    read.sort_unstable_by_key(|(at, _)| *at);
    let found = || paths.iter().zip(&read);
    cache.replace(found().map(|(path, (_, read))| (path.as_str(), read.stamp, read.sha256)));
    cache.save();
    let written: HashSet<Hash> =
        read.iter().filter(|(_, seen)| seen.written).map(|(_, seen)| seen.sha256).collect();
    let mended = !former.having(&written).is_empty();
    let mut builder = Builder::default();
    for (path, (_, Seen { sha256, size, executable, .. })) in paths.into_iter().zip(read) {
        builder.file(&File { path, sha256, size, executable });
    }
    let manifest = builder.finish();
    if manifest.text().len() as u64 > MANIFEST_MAX {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "the tree's {} files need a manifest of more than 512 MiB, which no client reads; publish fewer",
                manifest.len()
            ),
        ));
    }
    Ok((manifest, mended))
}

/// What is known of one file.
struct Seen {
    sha256: Hash,
    size: u64,
    executable: bool,
    stamp: Stamp,
    /// Its content was not in the library.
    written: bool,
}

struct Reading<'a> {
    tree: &'a Tree<'a>,
    library: &'a Library,
    former: &'a Manifest,
    known: &'a Cache,
}

impl Reading<'_> {
    /// One file, from memory if it looks as it did and its content is stored.
    fn file(&self, path: &str) -> Result<Seen> {
        if let Some(entry) = self.known.get(path) {
            let from = self.tree.folder.join(path);
            let found = fs::symlink_metadata(&from).map_err(|e| Error::io("read", &from, &e))?;
            let stamp = Stamp::of(&found);
            let sha256 = entry.sha256;
            let published = || self.former.get(path).is_some_and(|file| file.sha256 == sha256);
            let stored = || stored(&self.library.object(&sha256), found.len());
            if found.is_file() && entry.is(&stamp) && (published() || stored()) {
                let executable = found.permissions().mode() & 0o111 != 0;
                return Ok(Seen { sha256, size: found.len(), executable, stamp, written: false });
            }
        }
        self.store(path)
    }

    /// Hashes one file and stores its content; what is stored is what was hashed, from one reading.
    fn store(&self, path: &str) -> Result<Seen> {
        let from = self.tree.folder.join(path);
        let fail = |error: std::io::Error| Error::io("read", &from, &error);
        // A file that became a link since the walk is not followed.
        let mut file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(
                nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits(),
            )
            .open(&from)
            .map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if !metadata.is_file() {
            return Err(Error::refused(format!("{} changed while it was read", from.display())));
        }
        let stamp = Stamp::of(&metadata);
        let executable = metadata.permissions().mode() & 0o111 != 0;

        const WHOLE: u64 = 4 << 20;
        if metadata.len() <= WHOLE {
            let mut content = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
            (&mut file).take(WHOLE + 1).read_to_end(&mut content).map_err(fail)?;
            if content.len() as u64 > WHOLE {
                return Err(Error::refused(format!("{} grew while it was read", from.display())));
            }
            let sha256: Hash = Sha256::digest(&content).into();
            let object = self.library.object(&sha256);
            let written = !self.stored(&object, &sha256, content.len() as u64)?;
            if written {
                put(&object, |out| out.write_all(&content))?;
            }
            return Ok(Seen { sha256, size: content.len() as u64, executable, stamp, written });
        }
        // Large: hash on the way into a new object, which is dropped if it was known.
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut staged = staged(&self.library.folder().join("objects"))?;
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
        let object = self.library.object(&sha256);
        let written = !self.stored(&object, &sha256, size)?;
        if written {
            finish(staged, &object)?;
        }
        Ok(Seen { sha256, size, executable, stamp, written })
    }

    /// Whether `object` is stored: compared by length, or by hash where everything is read anew.
    fn stored(&self, object: &Path, hash: &Hash, size: u64) -> Result<bool> {
        if !self.tree.rehash {
            return Ok(stored(object, size));
        }
        Ok(disk::digest(object)?.is_some_and(|found| found == (*hash, size)))
    }
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
