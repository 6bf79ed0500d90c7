//! New keys for a role: a new root, signed by the old root's keys, that names them.

use std::fs;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Lifetimes, after, lock, sign_online};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    sign::{Key, Keys, Role, envelope},
};

/// Gives `role` new keys in every ring of `library`; returns the new root's version.
///
/// The former keys stay in the folder as `NAME.before-V.pem`, V being that version. Clients follow
/// through every root in turn, however long they were away.
pub fn rotate(
    library: &Library,
    keys: &Keys,
    role: Role,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<u64> {
    let _lock = lock(library)?;
    let rings = library.rings()?;
    let (version, mut signed) = newest_root(library, &rings)?;
    let mut signers = root_keys(keys, &signed)?;
    let version = version + 1;

    // The new keys are written first: a crash may leave keys that nothing names, never a root that
    // names keys which nobody has.
    let names: Vec<String> = match role {
        Role::Root => {
            let count = signed["roles"]["root"]["keyids"].as_array().map_or(1, Vec::len);
            (1..=count).map(|index| format!("root-{index}")).collect()
        }
        role => vec![role.to_string()],
    };
    let mut fresh = Vec::new();
    for name in &names {
        let path = keys.path(&format!("{name}.new"));
        let _ = fs::remove_file(&path);
        fresh.push(Key::create(&path)?);
    }
    let ids: Vec<&str> = fresh.iter().map(Key::id).collect();
    signed["version"] = json!(version);
    signed["expires"] = json!(after(now, lifetimes.root));
    signed["roles"][role.to_string()]["keyids"] = json!(ids);
    for key in &fresh {
        signed["keys"][key.id()] = key.public();
    }
    drop_unused_keys(&mut signed);
    if role == Role::Root {
        signers.extend(fresh);
    }
    let root = envelope(&signed, &signers.iter().collect::<Vec<_>>())?;
    for name in &names {
        let old = keys.path(&format!("{name}.before-{version}"));
        if keys.path(name).exists() {
            rename(&keys.path(name), &old)?;
        }
        rename(&keys.path(&format!("{name}.new")), &keys.path(name))?;
    }
    for ring in &rings {
        disk::replace(&library.ring(ring)?.join(format!("{version}.root.json")), &root, 0o644)?;
        let versions = library.versions(ring)?;
        if versions.targets == 0 {
            continue;
        }
        if role == Role::Targets {
            resign_targets(library, keys, ring, versions.targets)?;
        }
        if role != Role::Root {
            sign_online(library, keys, ring, versions, versions.targets, lifetimes, now)?;
        }
    }
    Ok(version)
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

fn newest_root(library: &Library, rings: &[String]) -> Result<(u64, Value)> {
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

/// The root keys in the folder that `signed` names: at least its threshold.
fn root_keys(keys: &Keys, signed: &Value) -> Result<Vec<Key>> {
    let role = &signed["roles"]["root"];
    let ids = role["keyids"].as_array().cloned().unwrap_or_default();
    let mut found = Vec::new();
    for index in 1..=32 {
        let path = keys.path(&format!("root-{index}"));
        if path.exists() {
            let key = Key::read(&path)?;
            if ids.iter().any(|id| id == key.id()) {
                found.push(key);
            }
        }
    }
    let threshold = role["threshold"].as_u64().unwrap_or(1);
    if (found.len() as u64) < threshold {
        return Err(Error::new(
            Kind::Config,
            format!(
                "a new root needs {threshold} of the {} root keys, and {} has {}: bring the others there",
                ids.len(),
                keys.folder().display(),
                found.len()
            ),
        ));
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
