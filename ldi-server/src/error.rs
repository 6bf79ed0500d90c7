//! What goes wrong: a sentence for the keeper of the server, and an exit code. What a client is
//! told is another type, in [`crate::api`], so that this one cannot leak.

use std::{fmt, io, path::Path};

/// This crate's result.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Exit codes of every program of the house.
pub mod code {
    /// It did not work.
    pub const FAILED: u8 = 1;
    /// The call's words are off.
    pub const USAGE: u8 = 2;
    /// The database cannot be reached.
    pub const UNREACHABLE: u8 = 69;
    /// The operating system said no.
    pub const NOT_PERMITTED: u8 = 77;
    /// The configuration is wrong.
    pub const CONFIG: u8 = 78;
}

/// A failure: an exit code, and one sentence that says what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// See [`code`].
    pub code: u8,
    /// One sentence.
    pub sentence: String,
}

impl Failure {
    /// With this exit code.
    pub fn new(code: u8, sentence: impl Into<String>) -> Self {
        Self { code, sentence: sentence.into() }
    }

    /// The configuration is wrong.
    pub fn config(sentence: impl Into<String>) -> Self {
        Self::new(code::CONFIG, sentence)
    }

    /// A local read or write failed.
    pub fn io(what: &str, path: &Path, source: &io::Error) -> Self {
        let code = match source.kind() {
            io::ErrorKind::PermissionDenied => code::NOT_PERMITTED,
            _ => code::FAILED,
        };
        Self::new(code, format!("cannot {what} {}: {source}", path.display()))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Failure {}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        let code = match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::Tls(_) => {
                code::UNREACHABLE
            }
            _ => code::FAILED,
        };
        Self::new(code, format!("the database: {error}"))
    }
}
