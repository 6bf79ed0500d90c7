//! `ROOT/agent/state.json`: read, changed under a lock, written so that a crash leaves the old or
//! the new one.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::Utc;
use codesync::disk;

use super::state::{Moment, State};
use crate::{Failure, Result, error::code, machine::Machine};

const STATE_MAX: u64 = 256 << 10;
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// Where all of it is.
pub fn folder(root: &Path) -> PathBuf {
    root.join("agent")
}

fn path(root: &Path) -> PathBuf {
    folder(root).join("state.json")
}

/// The lock that a watcher holds as long as it lives.
pub fn watch_lock(root: &Path) -> PathBuf {
    folder(root).join("watch.lock")
}

/// What is remembered. Where nothing can be read, nothing is known: the base serves, and the
/// library brings its agent again.
pub fn read(root: &Path) -> State {
    let path = path(root);
    match disk::read_bounded(&path, STATE_MAX) {
        Ok(None) => State::default(),
        Ok(Some(text)) => serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!("{} is damaged and not used: {error}", path.display());
            State::default()
        }),
        Err(error) => {
            tracing::warn!("{error}");
            State::default()
        }
    }
}

/// Changes what is remembered. What `change` returned counts only if this did not fail: then it is
/// on disk.
pub fn change<T>(root: &Path, change: impl FnOnce(&mut State) -> T) -> Result<T> {
    let folder = folder(root);
    make_folder(root)?;
    let _lock = disk::lock(&folder.join("lock"), LOCK_WAIT, "another change of the agent")?;
    let mut state = read(root);
    let before = state.clone();
    let result = change(&mut state);
    if state != before {
        let text = serde_json::to_vec_pretty(&state)
            .map_err(|e| Failure::new(code::FAILED, format!("cannot write JSON: {e}")))?;
        disk::replace(&path(root), &text, 0o644)?;
    }
    Ok(result)
}

/// Makes [`folder`] where it is missing.
pub fn make_folder(root: &Path) -> Result<()> {
    disk::make_folder(&folder(root), 0o755)?;
    is_ours(&folder(root))
}

/// Refuses a folder that another account could change: what is in it becomes this process.
pub fn is_ours(path: &Path) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|e| Failure::io("examine", path, &e))?;
    let ours = found.uid() == nix::unistd::Uid::effective().as_raw();
    if found.is_dir() && ours && found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(Failure::new(
        code::NOT_PERMITTED,
        format!(
            "{} must be a folder that only the account of ldi can write; remove it, and ldi makes it",
            path.display()
        ),
    ))
}

/// Now. The clock stands while the machine sleeps, and cannot be set.
pub fn now(machine: &Machine) -> Moment {
    let steady = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    let at = steady.map_or(0, |spec| u64::try_from(spec.tv_sec()).unwrap_or(0));
    Moment { boot: machine.boot.clone(), at, time: Utc::now() }
}
