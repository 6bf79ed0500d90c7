//! One error type: a kind that callers match, and a sentence for people.

use std::{fmt, io, path::Path};

/// What kind of failure happened; it decides the exit code and what a caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The call's words are off.
    Usage,
    /// A source could not be reached, or went away; another try may succeed.
    Unreachable,
    /// Somebody else holds the lock; try again.
    Busy,
    /// Verification failed. Final for that source.
    Refused,
    /// Everything verified, but it has expired: nothing newer can be accepted.
    Stale,
    /// The operating system or the server's policy said no.
    NotPermitted,
    /// Configuration or the local set-up is wrong.
    Config,
    /// A local read or write failed.
    Io,
}

impl Kind {
    /// The documented exit code (contract.md, "Exit codes").
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Io => 1,
            Kind::Usage => 2,
            Kind::Unreachable => 69,
            Kind::Busy => 75,
            Kind::Refused | Kind::Stale => 76,
            Kind::NotPermitted => 77,
            Kind::Config => 78,
        }
    }
}

/// A failure: its kind, and one sentence that says what happened, to what, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// This crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `kind`, told in `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// Verification failed.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A local read or write of `path` failed.
    pub fn io(what: &str, path: &Path, source: &io::Error) -> Self {
        let kind = match source.kind() {
            io::ErrorKind::PermissionDenied => Kind::NotPermitted,
            _ => Kind::Io,
        };
        Self::new(kind, format!("cannot {what} {}: {source}", path.display()))
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
