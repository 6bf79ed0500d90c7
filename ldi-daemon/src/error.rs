//! What a command ends with when it cannot do its work: an exit code and one sentence.

use std::{fmt, io, path::Path};

/// A failure: the documented exit code (contract.md, "Exit codes"), and one sentence that says
/// what happened, to what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

/// This crate's result.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Exit codes.
pub mod code {
    /// Something that was run failed.
    pub const FAILED: u8 = 1;
    /// The call's words are off.
    pub const USAGE: u8 = 2;
    /// Source or server unreachable, or no release yet.
    pub const UNREACHABLE: u8 = 69;
    /// A lock is held.
    pub const BUSY: u8 = 75;
    /// Verification failed.
    pub const REFUSED: u8 = 76;
    /// The operating system said no.
    pub const NOT_PERMITTED: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

impl Failure {
    /// A failure with this exit code, told in `message`.
    pub fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A local read or write of `path` failed.
    pub fn io(what: &str, path: &Path, source: &io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::PermissionDenied => code::NOT_PERMITTED,
            _ => code::FAILED,
        };
        Self::new(code, format!("cannot {what} {}: {source}", path.display()))
    }

    /// The configuration is wrong.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(code::CONFIG, message)
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<codesync::Error> for Failure {
    fn from(error: codesync::Error) -> Self {
        Self::new(error.kind().exit_code(), error.to_string())
    }
}

impl From<loader::Error> for Failure {
    fn from(error: loader::Error) -> Self {
        let code = match &error {
            loader::Error::Tampered { .. } | loader::Error::Damaged { .. } => code::REFUSED,
            loader::Error::NotFound(_) | loader::Error::Usage(_) => code::USAGE,
            loader::Error::NoInterpreter { .. } => code::CONFIG,
            loader::Error::Io { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                code::NOT_PERMITTED
            }
            loader::Error::Io { .. } => code::FAILED,
        };
        Self::new(code, error.to_string())
    }
}
