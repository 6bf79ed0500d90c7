//! The private folder of one run: the runner's own files, and a folder for each test.
//!
//! ROOM/site holds what tests are driven with; ROOM/N is one test's: `work` is the test's own,
//! beside it lie its report, its calls and its captured output, which it has no reason to touch.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use tempfile::TempDir;

use crate::Error;

const SITE: &[(&str, &str)] = &[
    ("driver.sh", include_str!("driver.sh")),
    ("words.sh", include_str!("words.sh")),
    ("stub.sh", include_str!("stub.sh")),
    ("date.sh", include_str!("date.sh")),
    ("uname.sh", include_str!("uname.sh")),
    ("sw_vers.sh", include_str!("sw_vers.sh")),
    ("driver.py", include_str!("driver.py")),
    ("ldi_test.py", include_str!("ldi_test.py")),
    ("sitecustomize.py", include_str!("sitecustomize.py")),
];

/// The folder of one run; removed with it.
#[derive(Debug)]
pub struct Room {
    folder: TempDir,
    root: PathBuf,
    next: AtomicUsize,
}

impl Room {
    /// A new one, which only this account may enter.
    pub fn new() -> Result<Self, Error> {
        let folder = tempfile::Builder::new().prefix("codesync-test-").tempdir().map_err(|e| {
            Error::io(
                "make a folder for tests in",
                std::env::var_os("TMPDIR").unwrap_or("/tmp".into()),
                e,
            )
        })?;
        // As bash and Python will say it: without links.
        let root =
            fs::canonicalize(folder.path()).map_err(|e| Error::io("open", folder.path(), e))?;
        let site = root.join("site");
        let io = |e| Error::io("write", &site, e);
        fs::create_dir(&site).map_err(io)?;
        for (name, text) in SITE {
            fs::write(site.join(name), text).map_err(io)?;
        }
        Ok(Self { folder, root, next: AtomicUsize::new(1) })
    }

    /// The runner's own files.
    pub fn site(&self) -> PathBuf {
        self.root.join("site")
    }

    /// A folder for one test.
    pub fn place(&self) -> Result<Place, Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.root.join(number.to_string());
        for name in ["work/bin", "work/state", "work/home", "work/tmp", "work/root/logs"] {
            let path = folder.join(name);
            fs::create_dir_all(&path).map_err(|e| Error::io("make", &path, e))?;
        }
        let of = self.root.file_name().unwrap_or_default().to_string_lossy();
        Ok(Place { run: format!("{of}-{number}"), folder })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        remove(self.folder.path());
    }
}

/// The folder of one test; removed with it.
#[derive(Debug)]
pub struct Place {
    /// What this test's processes have as LDI_RUN, and no others.
    pub run: String,
    folder: PathBuf,
}

impl Place {
    /// The whole.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The test's own part.
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where its records are.
    pub fn report(&self) -> PathBuf {
        self.folder.join("report")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes a folder that a test may have closed to its own account.
fn remove(folder: &Path) {
    if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
        return;
    }
    open(folder, 100);
    // What still cannot be removed is left: in a private folder among temporary files.
    let _ = fs::remove_dir_all(folder);
}

fn open(folder: &Path, depth: usize) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open(&entry.path(), depth - 1);
        }
    }
}
