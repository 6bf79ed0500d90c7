//! One module namespace for bash and Python scripts.
//!
//! Owns: which module defines which name, which modules a script reaches, and how a script is
//! started so that the bytes that were hashed are the bytes that run. Never opens the network,
//! and never decides when something runs. What is promised is written in `docs/loader.md`.

mod bash;
mod bytes;
mod closure;
mod cores;
mod index;
mod interpreter;
mod launch;
mod namespace;
mod pyexec;
mod python;
mod scan;
mod suggest;
pub mod survey;
mod tree;

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

pub use launch::Launch;
pub use namespace::Namespace;
pub use pyexec::pyexec;

use index::Entry;
#[cfg(fuzzing)]
pub use index::survive;

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
    #[error(
        "{path} is not what was signed for this release; it was not run and the next sync repairs it"
    )]
    Tampered {
        /// Path within the tree.
        path: String,
    },
    /// No such file or function.
    #[error("{0}")]
    NotFound(String),
    /// The arguments of a command are wrong.
    #[error("{0}")]
    Usage(String),
    /// The interpreter is not installed.
    #[error(
        "{path} needs {interpreter}, which is not on this machine; install it or change the script's first line"
    )]
    NoInterpreter {
        /// Path within the tree.
        path: String,
        /// What its first line asks for.
        interpreter: String,
    },
    /// The index is not one that this version wrote.
    #[error("the loader's index {} is damaged; it was not used and the next activation writes a new one", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
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

/// An earlier tree that is still there, and its index.
#[derive(Debug, Clone, Copy)]
pub struct Former<'a> {
    /// The tree.
    pub tree: &'a Path,
    /// What [`build_index`] wrote for it.
    pub index: &'a Path,
    /// The files that are others now, where both trees have the same paths.
    pub changed: Option<&'a [File]>,
}

/// Indexes a tree for [`Namespace::release`]: writes `out` atomically (0644). Modules that do not
/// have the hashes of `files` are [`Error::Tampered`].
///
/// What is known of a `former` tree is taken over where the modules are the same or say the same to
/// others; then only those that changed are read.
pub fn build_index(
    tree: &Path,
    files: impl FnOnce() -> Vec<File>,
    former: Option<Former<'_>>,
    out: &Path,
) -> Result<(), Error> {
    // What cannot be read is written anew.
    let former = former.and_then(|one| Some((one, index::Index::open(one.index).ok()?)));
    let same_paths = former
        .as_ref()
        .and_then(|(one, former)| index::renew_same_paths(former, one.changed?, (one.tree, tree)));
    let data = match same_paths {
        Some(data) => data,
        None => {
            let mut files = files();
            files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
            let renewed = former.and_then(|(one, former)| {
                let python = python::table(&files, "modules", true);
                index::renew(&former, &files, &python, (one.tree, tree))
            });
            match renewed {
                Some(data) => data,
                None => index_bytes(tree, files, true)?,
            }
        }
    };
    let io = |source| Error::Io { what: "write the loader's index", path: out.into(), source };
    let folder = out.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".index-").tempfile_in(folder).map_err(io)?;
    file.write_all(&data).map_err(io)?;
    let as_file = file.as_file();
    as_file.set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(io)?;
    as_file.sync_all().map_err(io)?;
    file.persist(out).map_err(|e| io(e.error))?;
    Ok(())
}

fn index_bytes(tree: &Path, mut files: Vec<File>, verified: bool) -> Result<Vec<u8>, Error> {
    files.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    let places: Vec<usize> =
        (0..files.len()).filter(|&at| tree::is_bash_module(&files[at].path)).collect();
    let read = |at: &usize| {
        let file = &files[*at];
        let entry = Entry {
            path: &file.path,
            size: file.size,
            sha256: verified.then_some(file.sha256.as_slice()),
            executable: file.executable,
        };
        Ok((*at, bytes::read(tree, &entry)?))
    };
    let modules = cores::map(&places, read).into_iter().collect::<Result<_, Error>>()?;
    let python = python::table(&files, "modules", verified);
    Ok(index::build(&index::Input { files: &files, modules, verified, python }))
}
