//! Snapshot and timestamp: what the online keys sign.

use std::{fs, time::Duration};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use super::{Lifetimes, after, rotate};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    manifest::sha256,
    sign::{Keys, Role, envelope},
    trust::Versions,
};

/// Signs snapshot and timestamp of `ring` anew, so that they do not expire.
pub fn refresh(
    library: &Library,
    keys: &Keys,
    ring: &str,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Versions> {
    let _lock = lock(library)?;
    let versions = library.versions(ring)?;
    if versions.targets == 0 {
        return Err(Error::new(
            Kind::Usage,
            format!("ring {ring} has no release yet; publish one first"),
        ));
    }
    sign_online(library, keys, ring, versions, lifetimes, now)
}

/// The lock under which a library is changed.
pub(crate) fn lock(library: &Library) -> Result<fs::File> {
    disk::lock(&library.folder().join(".lock"), Duration::from_secs(10), "another publication")
}

/// Signs snapshot and timestamp of `ring` with versions above those of `floor`, which a server's
/// own `codesync refresh` has reached. Call under the lock.
pub(crate) fn raise(
    library: &Library,
    keys: &Keys,
    ring: &str,
    floor: &Versions,
    now: DateTime<Utc>,
) -> Result<Versions> {
    let own = library.versions(ring)?;
    let above = Versions {
        timestamp: own.timestamp.max(floor.timestamp),
        snapshot: own.snapshot.max(floor.snapshot),
        ..own
    };
    sign_online(library, keys, ring, above, Lifetimes::default(), now)
}

/// Signs a snapshot that names the targets and teams of `old`, and a timestamp, each with the version
/// after those of `old`.
pub(super) fn sign_online(
    library: &Library,
    keys: &Keys,
    ring: &str,
    old: Versions,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Versions> {
    let folder = library.ring(ring)?;
    let snapshot_key = keys.role(Role::Snapshot)?;
    let timestamp_key = keys.role(Role::Timestamp)?;
    rotate::check_authorized(library, ring, Role::Snapshot, &snapshot_key)?;
    rotate::check_authorized(library, ring, Role::Timestamp, &timestamp_key)?;
    // A version that was written before a crash, but never named by a timestamp, is overwritten.
    let new = Versions { timestamp: old.timestamp + 1, snapshot: old.snapshot + 1, ..old };
    // A team that is gone stays named: no client takes a snapshot that leaves one out.
    let teams = new.teams.iter().map(|(team, version)| (team.as_str(), *version));
    let named = teams.chain([("targets", new.targets)]);
    let meta: Map<String, Value> = named
        .map(|(role, version)| (format!("{role}.json"), json!({"version": version})))
        .collect();
    let snapshot = envelope(
        &json!({
            "_type": "snapshot", "spec_version": "1.0.0", "version": new.snapshot,
            "expires": after(now, lifetimes.snapshot), "ring": ring,
            "meta": meta,
        }),
        &[&snapshot_key],
    )?;
    disk::replace(&folder.join(format!("{}.snapshot.json", new.snapshot)), &snapshot, 0o644)?;
    let timestamp = envelope(
        &json!({
            "_type": "timestamp", "spec_version": "1.0.0", "version": new.timestamp,
            "expires": after(now, lifetimes.timestamp), "ring": ring,
            "meta": {"snapshot.json": {
                "version": new.snapshot,
                "length": snapshot.len(),
                "hashes": {"sha256": hex::encode(sha256(&snapshot))},
            }},
        }),
        &[&timestamp_key],
    )?;
    disk::replace(&folder.join("timestamp.json"), &timestamp, 0o644)?;
    // Old snapshots are of no use to anybody but a client in the middle of a refresh.
    if let Some(gone) = new.snapshot.checked_sub(10) {
        let _ = fs::remove_file(folder.join(format!("{gone}.snapshot.json")));
    }
    Ok(new)
}
