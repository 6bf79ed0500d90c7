//! New keys for a role: a new root, signed by the old root's keys, that names them.

use std::fs;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Lifetimes, after, lock, root, sign_online};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    sign::{Key, Keys, Role, envelope},
};

/// What became of a new root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// Its version.
    pub version: u64,
    /// Signatures that it still lacks; with 0 it is in force.
    pub lacking: u64,
}

/// Gives `role` new keys in every ring of `library`; without a role, only a new expiry.
///
/// The former keys stay in the folder as `NAME.before-V.pem`, V being that version. Clients follow
/// through every root in turn, however long they were away. Where fewer root keys are at hand
/// than must sign, the root waits for signatures from elsewhere: see [`super::root`].
pub fn rotate(
    library: &Library,
    keys: &Keys,
    role: impl Into<Option<Role>>,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    let role = role.into();
    let _lock = lock(library)?;
    root::none_pending(keys)?;
    let (version, mut signed) = newest_root(library, &library.rings()?)?;
    let mut signers = root_keys(keys, &signed)?;
    let version = version + 1;

    // The new keys are written first: a crash may leave keys that nothing names, never a root that
    // names keys which nobody has.
    let names = role.map_or_else(Vec::new, |role| key_names(role, &signed));
    let mut fresh = Vec::new();
    for (name, role) in names.iter().zip(role.into_iter().cycle()) {
        let new = format!("{name}.new");
        let _ = fs::remove_file(keys.path(&new));
        fresh.push(keys.create(&new, role, Some(name))?);
    }
    signed["version"] = json!(version);
    signed["expires"] = json!(after(now, lifetimes.root));
    for key in &fresh {
        signed["keys"][key.id()] = key.public();
    }
    if let Some(role) = role {
        let ids: Vec<&str> = fresh.iter().map(Key::id).collect();
        signed["roles"][role.to_string()]["keyids"] = json!(ids);
    }
    drop_unused_keys(&mut signed);
    if role == Some(Role::Root) {
        signers.extend(fresh);
    }
    root::leave(keys, &envelope(&signed, &signers.iter().collect::<Vec<_>>())?)?;
    root::finish(library, keys, lifetimes, now)
}

/// The names of a role's keys in the folder.
pub(super) fn key_names(role: Role, signed: &Value) -> Vec<String> {
    match role {
        Role::Root => {
            let count = signed["roles"]["root"]["keyids"].as_array().map_or(1, Vec::len);
            (1..=count).map(|index| format!("root-{index}")).collect()
        }
        role => vec![role.to_string()],
    }
}

/// Puts `root`, which is signed as it must be, in force in every ring, and signs anew what the
/// new keys must sign. May be repeated after a crash.
pub(super) fn install(
    library: &Library,
    keys: &Keys,
    root: &[u8],
    (old, new): (&Value, &Value),
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<()> {
    let version = new["version"].as_u64().unwrap_or_default();
    let changed = |role: Role| {
        let ids = |signed: &Value| signed["roles"][role.to_string()]["keyids"].clone();
        ids(old) != ids(new)
    };
    for role in [Role::Root, Role::Targets, Role::Snapshot, Role::Timestamp] {
        for name in key_names(role, new) {
            let fresh = keys.path(&format!("{name}.new"));
            if !changed(role) || !fresh.exists() {
                continue;
            }
            if keys.path(&name).exists() {
                rename(&keys.path(&name), &keys.path(&format!("{name}.before-{version}")))?;
            }
            rename(&fresh, &keys.path(&name))?;
        }
    }
    for ring in library.rings()? {
        disk::replace(&library.ring(&ring)?.join(format!("{version}.root.json")), root, 0o644)?;
        let versions = library.versions(&ring)?;
        if versions.targets == 0 {
            continue;
        }
        if changed(Role::Targets) {
            resign_targets(library, keys, &ring, versions.targets)?;
        }
        let online = [Role::Targets, Role::Snapshot, Role::Timestamp];
        if online.into_iter().any(changed) {
            sign_online(library, keys, &ring, versions, lifetimes, now)?;
        }
    }
    Ok(())
}

/// Refuses to sign with a key that clients would not accept.
pub(super) fn check_authorized(library: &Library, ring: &str, role: Role, key: &Key) -> Result<()> {
    let (version, signed) = newest_root(library, &[ring.to_owned()])?;
    let known = signed["roles"][role.to_string()]["keyids"]
        .as_array()
        .is_some_and(|ids| ids.iter().any(|id| id == key.id()));
    if known {
        return Ok(());
    }
    Err(Error::new(
        Kind::Config,
        format!(
            "the {role} key at hand is not the one that root {version} of ring {ring} names; clients would refuse what it signs: use the key folder of the last rotation"
        ),
    ))
}

pub(super) fn newest_root(library: &Library, rings: &[String]) -> Result<(u64, Value)> {
    let mut newest: Option<(u64, Vec<u8>)> = None;
    for ring in rings {
        let version = library.root_version(ring)?;
        let bytes = library.metadata(ring, &format!("{version}.root.json"))?.unwrap_or_default();
        if newest.as_ref().is_none_or(|(other, _)| version > *other) {
            newest = Some((version, bytes));
        }
    }
    let damaged = || Error::new(Kind::Io, "the library's newest root.json is missing or damaged");
    let (version, bytes) = newest.ok_or_else(damaged)?;
    let mut json: Value = serde_json::from_slice(&bytes).map_err(|_| damaged())?;
    Ok((version, json["signed"].take()))
}

/// The root keys in the folder that `signed` names; the others may sign elsewhere.
fn root_keys(keys: &Keys, signed: &Value) -> Result<Vec<Key>> {
    let role = &signed["roles"]["root"];
    let ids = role["keyids"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for index in 1..=32 {
        let path = keys.path(&format!("root-{index}"));
        if path.exists() {
            let key = keys.read(&format!("root-{index}"))?;
            if ids.iter().any(|id| id == key.id()) {
                found.push(key);
            }
        }
    }
    Ok(found)
}

fn drop_unused_keys(signed: &mut Value) {
    let used: Vec<Value> = signed["roles"]
        .as_object()
        .map(|roles| {
            roles.values().filter_map(|role| role["keyids"].as_array()).flatten().cloned().collect()
        })
        .unwrap_or_default();
    if let Some(keys) = signed["keys"].as_object_mut() {
        keys.retain(|id, _| used.iter().any(|one| one == id));
    }
}

/// The newest targets keep their content and number; only the signature is new.
fn resign_targets(library: &Library, keys: &Keys, ring: &str, release: u64) -> Result<()> {
    let published = library.published(ring, release)?.ok_or_else(|| {
        Error::new(Kind::Io, format!("{release}.targets.json of ring {ring} is missing"))
    })?;
    let key = keys.role(Role::Targets)?;
    let path = library.ring(ring)?.join(format!("{release}.targets.json"));
    disk::replace(&path, &envelope(&published.signed, &[&key])?, 0o644)
}

fn rename(from: &std::path::Path, to: &std::path::Path) -> Result<()> {
    fs::rename(from, to).map_err(|error| Error::io("rename", from, &error))
}
