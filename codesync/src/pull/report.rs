//! What a sync says of itself.

use serde::{Deserialize, Serialize};

use crate::Kind;

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A new release is active.
    Updated,
    /// The active release is the newest.
    Current,
    /// No source could be reached; the last good release stays.
    Unreachable,
    /// What a source offered failed verification; the last good release stays.
    Refused,
}

/// The way in which content travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transfer {
    /// Nothing but metadata.
    None,
    /// A full bundle.
    Full,
    /// One or more patches.
    Patch,
    /// Per-file deltas.
    Delta,
    /// Whole files.
    Files,
}

/// What a sync did: the `ldi sync --json` object of contract.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The release that is active now.
    pub release: Option<u64>,
    /// The release that was active before.
    pub previous: Option<u64>,
    /// The source that answered, or the last one tried.
    pub source: Option<String>,
    /// The way in which content travelled.
    pub transfer: Transfer,
    /// Application bytes read from the source.
    pub bytes_received: u64,
    /// Application bytes written to the source.
    pub bytes_sent: u64,
    /// Files in the active release.
    pub files_total: u64,
    /// Files that were written or removed.
    pub files_changed: u64,
    /// The metadata has expired: nothing newer can be accepted until it is signed anew.
    pub stale: bool,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Why it was not `updated` or `current`, or what else is worth knowing.
    pub reason: Option<String>,
}

impl Report {
    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        match self.outcome {
            Outcome::Updated | Outcome::Current => 0,
            Outcome::Unreachable => Kind::Unreachable.exit_code(),
            Outcome::Refused => Kind::Refused.exit_code(),
        }
    }
}
