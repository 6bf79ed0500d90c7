//! One module namespace for bash and Python scripts.
//!
//! Owns: which module defines which name, which modules a script reaches, and how a script is
//! started so that the bytes that were hashed are the bytes that run. Never opens the network,
//! and never decides when something runs.

use std::{
    ffi::OsString,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Command,
};

/// One file of a tree, as signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Clean relative path, `/` between parts.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// Bytes.
    pub size: u64,
    /// Mode 0755 rather than 0644.
    pub executable: bool,
}

/// Why something could not be indexed or launched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file on disk is not the one that was signed.
    #[error("{path} is not what was signed for this release; it was not run and the next sync repairs it")]
    Tampered {
        /// Path within the tree.
        path: String,
    },
    /// No such file or function.
    #[error("{0}")]
    NotFound(String),
    /// The interpreter is not installed.
    #[error("{path} needs {interpreter}, which is not on this machine; install it or change the script's first line")]
    NoInterpreter {
        /// Path within the tree.
        path: String,
        /// What its first line asks for.
        interpreter: String,
    },
    /// A local read or write failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Indexes a tree for [`Namespace::release`]: writes `out` atomically (0644).
pub fn build_index(tree: &Path, files: &[File], out: &Path) -> Result<(), Error> {
    let _ = (tree, files, out);
    Ok(())
}

/// The modules of one tree.
#[derive(Debug)]
pub struct Namespace {
    tree: PathBuf,
}

/// A process that is ready to start. The file descriptors live until it was spawned.
#[derive(Debug)]
pub struct Launch {
    /// Absolute path of the program.
    pub program: PathBuf,
    /// What stands as argv[0].
    pub arg0: Option<OsString>,
    /// Its arguments, without argv[0].
    pub args: Vec<OsString>,
    /// Variables to set beside the caller's.
    pub env: Vec<(OsString, OsString)>,
    /// Descriptors that the child inherits, with the numbers that it sees.
    pub fds: Vec<(OwnedFd, i32)>,
}

impl Namespace {
    /// The namespace of a release: its tree and the index that [`build_index`] wrote.
    /// Everything that runs is compared with the hashes in the index.
    pub fn release(tree: &Path, index: &Path) -> Result<Self, Error> {
        let _ = index;
        Ok(Self { tree: tree.to_owned() })
    }

    /// The namespace of an unpublished working tree: indexed now, in memory.
    pub fn working(tree: &Path) -> Result<Self, Error> {
        Ok(Self { tree: tree.to_owned() })
    }

    /// The tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// Starts `path` (within the tree), by its interpreter, with the namespace.
    pub fn script(&self, path: &str, args: &[OsString]) -> Result<Launch, Error> {
        let _ = args;
        Err(Error::NotFound(path.to_owned()))
    }

    /// Starts a file outside the tree with the namespace, unverified.
    pub fn outside(&self, file: &Path, args: &[OsString]) -> Result<Launch, Error> {
        let _ = args;
        Err(Error::NotFound(file.display().to_string()))
    }

    /// Starts a bash or Python module function (`name`, or `module.name` for Python).
    pub fn function(&self, name: &str, args: &[OsString]) -> Result<Launch, Error> {
        let _ = args;
        Err(Error::NotFound(name.to_owned()))
    }

    /// Whether the tree has this file.
    pub fn contains(&self, path: &str) -> bool {
        let _ = path;
        false
    }
}

impl Launch {
    /// The command, with descriptors mapped; stdin, stdout, stderr, cwd, group and the rest of
    /// the environment are the caller's to set.
    pub fn command(self) -> Command {
        Command::new(self.program)
    }
}

/// `pyexec [--onerror SCRIPT] [-c|--eval CODE] [-i|--interp] FILE ARGS…` (IT-30).
pub fn pyexec(namespace: &Namespace, args: &[OsString]) -> Result<Launch, Error> {
    let _ = (namespace, args);
    Err(Error::NotFound("stub".to_owned()))
}
