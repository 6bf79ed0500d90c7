//! Writing to disk so that a crash leaves the old file or the new one, never half of either.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use nix::fcntl::OFlag;

use crate::{Error, Kind, Result};

/// Up to this many files are synced one by one; more, all at once.
const SYNC_SINGLY: usize = 512;
/// Threads that wait for the disk.
const SYNCS: usize = 16;

/// Replaces `path` by `bytes` with `mode`: a new file beside it, synced, renamed, folder synced.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let folder = match path.parent() {
        // A bare name is in the working folder.
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => Path::new("/"),
    };
    let fail = |error: &std::io::Error| Error::io("write", path, error);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(folder)
        .map_err(|error| fail(&error))?;
    file.as_file_mut().write_all(bytes).map_err(|error| fail(&error))?;
    // The umask may have taken bits away.
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode))
        .and_then(|()| file.as_file().sync_all())
        .map_err(|error| fail(&error))?;
    file.persist(path).map_err(|error| fail(&error.error))?;
    sync_folder(folder)
}

/// Makes renames and removals in `folder` survive a power cut.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::io("sync", folder, &error))
}

/// Writes out everything that was written to the file system of `folder`: for many small files
/// this costs one pass where a sync of each would cost thousands.
pub fn sync_everything(folder: &Path) -> Result<()> {
    #[cfg(target_os = "linux")]
    {
        let file = File::open(folder).map_err(|error| Error::io("open", folder, &error))?;
        nix::unistd::syncfs(&file).map_err(|error| Error::io("sync", folder, &error.into()))
    }
    #[cfg(not(target_os = "linux"))]
    {
        nix::unistd::sync();
        sync_folder(folder)
    }
}

/// Files that are whole under their names but may not survive a power cut yet.
#[derive(Debug, Default)]
pub struct Unsynced {
    files: Vec<PathBuf>,
}

impl Unsynced {
    /// Adds `file`.
    pub fn add(&mut self, file: PathBuf) {
        self.files.push(file);
    }

    /// Makes all of them, and their names, survive a power cut. They are in folders of `root`,
    /// which may be new themselves.
    pub fn sync(self, root: &Path) -> Result<()> {
        if self.files.len() > SYNC_SINGLY {
            return sync_everything(root);
        }
        let files: BTreeSet<&Path> = self.files.iter().map(PathBuf::as_path).collect();
        let folders = files.iter().flat_map(|file| file.ancestors().skip(1).take(2));
        let folders: BTreeSet<&Path> = folders.collect();
        sync_at_once(&files)?;
        sync_at_once(&folders)
    }
}

/// Syncs files or folders. At once, as a file system writes what several wait for in one go.
fn sync_at_once(paths: &BTreeSet<&Path>) -> Result<()> {
    let queue = Mutex::new(paths.iter());
    let worker = || {
        loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.next());
            let Some(path) = next else { return Ok(()) };
            sync_folder(path)?;
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SYNCS.min(paths.len())).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| Error::new(Kind::Io, "syncing to the disk failed"))?
        })
    })
}

/// Creates `path` and what is missing above it.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path)
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .map_err(|error| Error::io("create", path, &error))
}

/// Whether `path` is a folder itself, and no link to one.
pub fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Reads a file of at most `limit` bytes; `None` when it does not exist.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    use std::io::Read as _;
    // A pipe that somebody put there would wait for a writer for ever.
    let file = match OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Error::io("read", path, &error))?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(
            Kind::Io,
            format!("{} is longer than {limit} bytes, which it must not be", path.display()),
        ));
    }
    Ok(Some(bytes))
}

/// SHA-256 and length of the file at `path`; `None` when there is no regular file.
pub fn digest(path: &Path) -> Result<Option<([u8; 32], u64)>> {
    use sha2::{Digest as _, Sha256};
    use std::io::Read as _;
    let fail = |error: &std::io::Error| Error::io("read", path, error);
    let mut file = match OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        // What O_NOFOLLOW says about a link.
        Err(error) if error.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => {
            return Ok(None);
        }
        Err(error) => return Err(fail(&error)),
    };
    if !file.metadata().map_err(|error| fail(&error))?.is_file() {
        return Ok(None);
    }
    let mut hasher = Sha256::new();
    let mut length = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).map_err(|error| fail(&error))? {
            0 => return Ok(Some((hasher.finalize().into(), length))),
            read => {
                hasher.update(&piece[..read]);
                length += read as u64;
            }
        }
    }
}

/// Takes the lock file at `path`, waiting at most `wait`; busy after that. Released on drop.
pub fn lock(path: &Path, wait: std::time::Duration, what: &str) -> Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        // Following a link would make a file elsewhere.
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(|error| Error::io("open", path, &error))?;
    let deadline = std::time::Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) if std::time::Instant::now() < deadline => {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            Err(fs::TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Busy,
                    format!("{what} is already running (it holds {}); try again", path.display()),
                ));
            }
            Err(fs::TryLockError::Error(error)) => return Err(Error::io("lock", path, &error)),
        }
    }
}
