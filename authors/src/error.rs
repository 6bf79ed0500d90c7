//! Why a command could not do its work.

use std::{io, path::PathBuf};

/// One sentence, and its exit code (contract.md, "Exit codes").
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The call's words are off.
    #[error("{0}")]
    Usage(String),
    /// A local read or write failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The loader refused.
    #[error(transparent)]
    Loader(#[from] loader::Error),
}

impl Error {
    /// A local read or write of `path` failed.
    pub fn io(what: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { what, path: path.into(), source }
    }

    /// The exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => 77,
            Self::Io { .. } => 1,
            Self::Loader(loader::Error::NotFound(_) | loader::Error::Usage(_)) => 2,
            Self::Loader(loader::Error::NoInterpreter { .. }) => 78,
            Self::Loader(_) => 1,
        }
    }
}
