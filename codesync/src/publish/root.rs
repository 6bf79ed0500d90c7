//! A new root that is signed in steps, by people who do not meet: the pending root in the
//! publisher's key folder, the bytes to sign, and signatures coming in.
//!
//! Nothing of it reaches the library before both the old and the new root keys have signed as
//! often as they must.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    Lifetimes, lock,
    rotate::{Rotation, install, newest_root},
};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    sign::{Key, Keys, Passphrase, verify},
    trust::{self, ROOT_MAX},
};

fn pending(keys: &Keys) -> PathBuf {
    keys.folder().join("pending-root.json")
}

pub(super) fn none_pending(keys: &Keys) -> Result<()> {
    let path = pending(keys);
    if path.exists() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "a new root already waits for signatures; finish it with codesync root import, or remove {} to give it up",
                path.display()
            ),
        ));
    }
    Ok(())
}

pub(super) fn leave(keys: &Keys, envelope: &[u8]) -> Result<()> {
    disk::replace(&pending(keys), envelope, 0o600)
}

fn read(keys: &Keys) -> Result<Value> {
    let path = pending(keys);
    let bytes = disk::read_bounded(&path, ROOT_MAX)?.ok_or_else(|| {
        Error::new(Kind::Usage, "no root waits for signatures; codesync rotate begins one")
    })?;
    serde_json::from_slice(&bytes).map_err(|_| {
        Error::new(Kind::Config, format!("{} is damaged; remove it and begin anew", path.display()))
    })
}

/// Writes the exact bytes that root keys must sign to `file`.
pub fn export(keys: &Keys, file: &Path) -> Result<u64> {
    let root = read(keys)?;
    disk::replace(file, &trust::canonical(&root["signed"])?, 0o644)?;
    Ok(root["signed"]["version"].as_u64().unwrap_or_default())
}

/// Signs the bytes in `file` with the root key at `key`; returns the signature's file and what
/// was signed. Needs neither library nor key folder.
pub fn sign(key: &Path, passphrase: &Passphrase, file: &Path) -> Result<(PathBuf, Value)> {
    let refuse = |what: &str| Error::refused(format!("{} was not signed: {what}", file.display()));
    let bytes = disk::read_bounded(file, ROOT_MAX)?.ok_or_else(|| refuse("it does not exist"))?;
    let signed: Value = serde_json::from_slice(&bytes).map_err(|_| refuse("it is not JSON"))?;
    // A root key signs roots and nothing else.
    if signed["_type"] != "root" || trust::canonical(&signed)? != bytes {
        return Err(refuse("it is not what codesync root export writes"));
    }
    let key = Key::read(key, passphrase)?;
    let mut out = file.as_os_str().to_owned();
    out.push(format!(".{}.sig", key.id().get(..8).unwrap_or_default()));
    let out = PathBuf::from(out);
    let signature = key.sign(&bytes).to_string();
    disk::replace(&out, format!("{signature}\n").as_bytes(), 0o644)?;
    Ok((out, signed))
}

/// Adds signatures to the pending root, and puts it in force when there are enough. A file holds
/// what [`sign`] writes, or the 64 raw bytes of another tool.
pub fn import(
    library: &Library,
    keys: &Keys,
    files: &[PathBuf],
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    let _lock = lock(library)?;
    let mut root = read(keys)?;
    let (_, old) = newest_root(library, &library.rings()?)?;
    let message = trust::canonical(&root["signed"])?;
    for file in files {
        let bytes = disk::read_bounded(file, 4096)?
            .ok_or_else(|| Error::new(Kind::Usage, format!("{} does not exist", file.display())))?;
        let text = match serde_json::from_slice::<Value>(&bytes) {
            Ok(json) => json["sig"].as_str().unwrap_or_default().to_owned(),
            Err(_) => hex::encode(&bytes),
        };
        let known = [&old, &root["signed"]].into_iter().find_map(|signed| {
            let ids = signed["roles"]["root"]["keyids"].as_array()?;
            ids.iter()
                .filter_map(Value::as_str)
                .find_map(|id| verify(&signed["keys"][id], &message, &text).then(|| id.to_owned()))
        });
        let id = known.ok_or_else(|| {
            Error::refused(format!(
                "{} is no signature of a root key over the pending root; export and sign it again",
                file.display()
            ))
        })?;
        if let Some(all) = root["signatures"].as_array_mut() {
            all.retain(|one| one["keyid"] != *id);
            all.push(json!({"keyid": id, "sig": text}));
        }
    }
    leave(keys, &trust::canonical(&root)?)?;
    finish(library, keys, lifetimes, now)
}

/// Puts the pending root in force if it is signed as it must be. Call under the lock.
pub(super) fn finish(
    library: &Library,
    keys: &Keys,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Rotation> {
    let root = read(keys)?;
    let new = &root["signed"];
    let version = new["version"].as_u64().unwrap_or_default();
    // After a crash in the middle some rings have the new root already: judge by the one before.
    let old = before(library, version)?;
    let message = trust::canonical(new)?;
    let lacking = |signed: &Value| {
        let role = &signed["roles"]["root"];
        let ids: BTreeSet<&str> =
            role["keyids"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let good: BTreeSet<&str> = root["signatures"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| {
                let id = one["keyid"].as_str().filter(|id| ids.contains(id))?;
                verify(&signed["keys"][id], &message, one["sig"].as_str()?).then_some(id)
            })
            .collect();
        role["threshold"].as_u64().unwrap_or(u64::MAX).saturating_sub(good.len() as u64)
    };
    let lacking = lacking(&old).max(lacking(new));
    if lacking == 0 {
        install(library, keys, &trust::canonical(&root)?, (&old, new), lifetimes, now)?;
        let path = pending(keys);
        fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))?;
    }
    Ok(Rotation { version, lacking })
}

/// `signed` of the root before `version`.
fn before(library: &Library, version: u64) -> Result<Value> {
    let stale = || {
        Error::new(
            Kind::Config,
            format!(
                "the pending root {version} does not follow the library's newest; remove it from the key folder and begin anew"
            ),
        )
    };
    let (newest, signed) = newest_root(library, &library.rings()?)?;
    if newest + 1 == version {
        return Ok(signed);
    }
    if newest != version {
        return Err(stale());
    }
    for ring in library.rings()? {
        let file = format!("{}.root.json", version - 1);
        if let Some(bytes) = library.metadata(&ring, &file)? {
            let mut json: Value = serde_json::from_slice(&bytes).map_err(|_| stale())?;
            return Ok(json["signed"].take());
        }
    }
    Err(stale())
}
