//! The inventory: what the collectors of the library found, as one document.
//!
//! A collector is a job of the tier `collect`: supervised, journaled and left out by its breaker
//! like any other. What it prints on standard output is JSON and stands in the document under its
//! name without the ending; what failed stands beside it, with what it wrote.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use codesync::store::File;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    Failure, Result,
    error::code,
    logs::{self, Frame, Stream},
    parse::{self, Span},
    tier::{JobReport, World},
    tiers::Keys,
};

/// The tier whose jobs are collectors.
pub const TIER: &str = "collect";
/// Where the newest document stands, in ROOT.
const FILE: &str = "inventory.json";
/// A document is no longer than this.
const MOST: u64 = 16 << 20;
/// What is kept of a failed collector's output, of each pipe.
const MOST_SAID: usize = 4096;
/// A document that says nothing new is told in full so often.
const WHOLE_EVERY: TimeDelta = TimeDelta::hours(24);
/// A collector's time limit when its header names none.
const TIMEOUT: u64 = 60;
/// The note under which the journal keeps which document was spooled whole, and when.
const SPOOLED: &str = "inventory_spooled";

/// What one round of the collectors found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// When.
    pub collected_at: DateTime<Utc>,
    /// Of which release the collectors were.
    pub release: u64,
    /// What each collector printed.
    pub plugins: Map<String, Value>,
    /// Those that failed.
    pub failed: Map<String, Value>,
}

/// Why a collector has no data.
#[derive(Debug, Serialize)]
struct Fault<'a> {
    outcome: &'a str,
    reason: &'a str,
    exit_status: Option<i32>,
    stdout: String,
    stderr: String,
}

/// As the spool has it: without `plugins` and `failed` where they are those of the last document
/// with the same hash.
#[derive(Debug, Serialize)]
pub struct Told<'a> {
    collected_at: DateTime<Utc>,
    release: u64,
    /// Of the JSON of plugins and failed.
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugins: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<&'a Map<String, Value>>,
}

/// A collector's keys where its header does not say otherwise: they run side by side, not for long.
pub fn settle(keys: &mut Keys) {
    keys.parallel = true;
    keys.timeout.get_or_insert(Span::seconds(TIMEOUT));
}

/// The name of a collector's data: its file's without the ending.
fn key(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| stem)
}

/// Takes out every collector whose data would have the name of an earlier one's; a sentence for
/// each. `scripts` are sorted by path, and stand with their tiers.
pub fn without_twins(scripts: &mut Vec<(File, String)>) -> Vec<String> {
    let (mut seen, mut notes) = (BTreeSet::new(), Vec::new());
    scripts.retain(|(file, tier)| {
        let first = tier != TIER || seen.insert(key(&file.path).to_owned());
        if !first {
            let name = key(&file.path);
            notes.push(format!("{}: another collector is called {name}; left out", file.path));
        }
        first
    });
    notes
}

/// Writes down what the collectors of `release` found, for people and for the fleet server.
pub fn remember(world: &Arc<World>, release: u64, jobs: &[JobReport]) {
    let now = Utc::now();
    let folder = world.config.root.join("logs");
    let inventory = gather(&folder, release, jobs, now);
    let written = serde_json::to_vec(&inventory)
        .map_err(|e| Failure::new(code::FAILED, e.to_string()))
        .and_then(|mut bytes| {
            bytes.push(b'\n');
            Ok(codesync::disk::replace(&world.config.root.join(FILE), &bytes, 0o600)?)
        })
        .and_then(|()| spool(world, &inventory, now));
    if let Err(error) = written {
        tracing::warn!("the inventory could not be written down: {error}");
    }
}

/// The newest document, as it was written.
pub fn read(root: &Path) -> Result<String> {
    let path = root.join(FILE);
    let bytes = parse::read_bounded(&path, MOST).map_err(|e| Failure::io("read", &path, &e))?;
    String::from_utf8(bytes)
        .map_err(|_| Failure::new(code::FAILED, format!("{} is not text", path.display())))
}

fn gather(logs: &Path, release: u64, jobs: &[JobReport], now: DateTime<Utc>) -> Inventory {
    let (mut plugins, mut failed) = (Map::new(), Map::new());
    for job in jobs {
        let name = key(&job.job).to_owned();
        // Not for this machine: nothing to say.
        let Some(run) = &job.run else { continue };
        let (out, err) = said(logs, run);
        let fault = match data(job, out.as_deref()) {
            Ok(value) => {
                plugins.insert(name, value);
                continue;
            }
            Err(reason) => reason,
        };
        let fault = Fault {
            outcome: if job.outcome == "ok" { "failed" } else { job.outcome },
            reason: &fault,
            exit_status: job.exit_status,
            stdout: short(out.as_deref().unwrap_or_default()),
            stderr: short(&err),
        };
        failed.insert(name, serde_json::to_value(fault).unwrap_or_default());
    }
    Inventory { collected_at: now, release, plugins, failed }
}

/// What a collector found, or why that is not known.
fn data(job: &JobReport, out: Option<&[u8]>) -> std::result::Result<Value, String> {
    if job.outcome != "ok" {
        return Err(job.reason.clone().unwrap_or_else(|| job.outcome.to_owned()));
    }
    let Some(out) = out else {
        return Err("its output is too long, or was lost".to_owned());
    };
    serde_json::from_slice(out).map_err(|e| format!("what it printed is not JSON: {e}"))
}

/// What a run wrote to each pipe; nothing of the first where it is not all there.
fn said(logs: &Path, run: &str) -> (Option<Vec<u8>>, Vec<u8>) {
    let Ok((_, frames)) = logs::read(logs, run) else { return (None, Vec::new()) };
    let (mut out, mut err) = (Some(Vec::new()), Vec::new());
    for frame in frames {
        match frame {
            Frame::Bytes(Stream::Err, bytes) => err.extend(bytes),
            Frame::Bytes(Stream::Out, bytes) => {
                if let Some(out) = &mut out {
                    out.extend(bytes);
                }
            }
            Frame::Cut(Stream::Out, _) => out = None,
            Frame::Cut(Stream::Err, _) => {}
        }
    }
    (out, err)
}

fn short(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(MOST_SAID)]).into_owned()
}

/// Adds it to what the fleet server shall hear, whole if it says something new.
fn spool(world: &World, inventory: &Inventory, now: DateTime<Utc>) -> Result<()> {
    let Inventory { collected_at, release, plugins, failed } = inventory;
    let text = serde_json::to_vec(&(plugins, failed)).unwrap_or_default();
    let sha256 = hex::encode(Sha256::digest(text));
    let noted = world.journal.noted(SPOOLED)?;
    let known = noted.as_deref().and_then(|noted| {
        let (hash, at) = noted.split_once(' ')?;
        let age = now - DateTime::from_timestamp(at.parse().ok()?, 0)?;
        (hash == sha256 && (TimeDelta::zero()..WHOLE_EVERY).contains(&age)).then_some(())
    });
    let whole = known.is_none();
    let told = Told {
        collected_at: *collected_at,
        release: *release,
        sha256: sha256.clone(),
        plugins: whole.then_some(plugins),
        failed: whole.then_some(failed),
    };
    if world.journal.spool_inventory(&told, now)? && whole {
        world.journal.note(SPOOLED, &format!("{sha256} {}", now.timestamp()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> File {
        File { path: path.into(), sha256: [0; 32], size: 0, executable: true }
    }

    #[test]
    fn two_collectors_of_one_name_are_one_and_a_note() {
        let mut scripts: Vec<(File, String)> =
            ["scripts/collect/a.py", "scripts/collect/a.sh", "scripts/collect/b"]
                .map(|path| (file(path), TIER.to_owned()))
                .into();
        scripts.push((file("scripts/daily/a"), "daily".into()));
        let notes = without_twins(&mut scripts);
        let left: Vec<&str> = scripts.iter().map(|(file, _)| file.path.as_str()).collect();
        assert_eq!(left, ["scripts/collect/a.py", "scripts/collect/b", "scripts/daily/a"]);
        assert_eq!(notes, ["scripts/collect/a.sh: another collector is called a; left out"]);
    }
}
