//! The one story of a client: refresh, choose, fetch, verify, stage, activate.

use std::{path::PathBuf, time::Duration};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Result, store::Staged};

/// Where to sync from and to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client's root folder; see [`crate::store`].
    pub root: PathBuf,
    /// Sources in the order to try them: `ssh://user@host[:port]/path` or `file:///path`.
    pub sources: Vec<String>,
    /// The ring to follow.
    pub ring: String,
    /// The root.json that was pinned when this machine was set up. Used only until a newer root
    /// has been accepted.
    pub trusted_root: PathBuf,
    /// Private SSH key; `<identity>-cert.pub` beside it is used when present.
    pub identity: Option<PathBuf>,
    /// The pinned host keys.
    pub known_hosts: Option<PathBuf>,
    /// Limit for connecting and authenticating, and for any silence after that.
    pub connect_timeout: Duration,
    /// How long to wait for another sync of this root to end before saying busy.
    pub lock_wait: Duration,
}

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

/// Called with a release that is verified and on disk, before it becomes active; an error stops
/// the activation. The daemon builds the loader's index here.
pub type Prepare<'a> = dyn Fn(&Staged) -> std::result::Result<(), String> + 'a;

/// Told how many of how many bytes have arrived.
pub type Progress<'a> = dyn Fn(u64, u64) + 'a;

/// Syncs `settings.root` with the first source that answers and can be verified.
///
/// Unreachable and refusing sources are a [`Report`], not an error; errors are local: a held
/// lock ([`crate::Kind::Busy`]), a wrong configuration, a full disk. `now` is the clock by which
/// signatures expire.
pub fn sync(
    settings: &Settings,
    now: DateTime<Utc>,
    prepare: &Prepare<'_>,
    progress: &Progress<'_>,
) -> Result<Report> {
    let _ = (settings, now, prepare, progress);
    Err(crate::Error::new(crate::Kind::Io, "stub"))
}
