//! A release's targets: its manifest and the bundles that lead to it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{PATCHES, large};
use crate::{
    Error, Kind, Result, bundle, disk,
    library::{Library, Published},
    manifest::{Manifest, sha256},
};

/// Writes manifest and bundles of `release`; returns `targets` of its metadata, and the bytes of
/// what a client of the release before fetches.
pub(super) fn store_targets(
    library: &Library,
    ring: &str,
    release: u64,
    manifest: &Manifest,
    former: Option<&Published>,
) -> Result<(Map<String, Value>, u64)> {
    let folder = library.ring(ring)?.join("targets");
    let mut targets = Map::new();
    let mut put = |name: String, bytes: &[u8]| -> Result<u64> {
        let hash = hex::encode(sha256(bytes));
        disk::replace(&folder.join(format!("{hash}.{name}")), bytes, 0o644)?;
        targets.insert(name, json!({"length": bytes.len(), "hashes": {"sha256": hash}}));
        Ok(bytes.len() as u64)
    };
    put("manifest".into(), manifest.text().as_bytes())?;

    // A patch from the release that has the full bundle keeps that bundle in use, however old it
    // is: making a new one takes a hundred times as long as a patch.
    let full = former.and_then(full_of);
    let oldest = release.saturating_sub(PATCHES).max(1);
    let mut basis = BTreeMap::new();
    for number in full.iter().map(|full| full.0).chain(oldest..release) {
        if let Some(published) = library.published(ring, number)?
            && library.has_manifest(ring, &published)?
        {
            basis.insert(number, library.manifest(ring, &published)?);
        }
    }
    let patches = patches(library, release, manifest, &basis)?;
    let mut bytes = 0;
    for (from, patch) in &patches {
        bytes = put(format!("{from}-{release}.patch.zst"), patch)?;
    }

    let older = full.filter(|(number, _, target)| {
        let length = target["length"].as_u64().unwrap_or(0);
        patches.get(number).is_some_and(|patch| patch.len() as u64 * 4 <= length)
    });
    match older {
        Some((_, name, target)) => {
            targets.insert(name, target);
        }
        None => {
            let full = bundle_of((0, &Manifest::default()), (release, manifest), library)?;
            let length = put(format!("{release}.full.zst"), &full)?;
            if former.is_none() {
                bytes = length;
            }
        }
    }
    targets.append(&mut large::patches(library, &folder, manifest, &basis, former)?);
    Ok((targets, bytes))
}

/// The full bundle that `published` lists: its release, name and target.
fn full_of(published: &Published) -> Option<(u64, String, Value)> {
    let targets = published.signed["targets"].as_object()?;
    let (name, target) = targets.iter().find(|(name, _)| name.ends_with(".full.zst"))?;
    let number = name.strip_suffix(".full.zst")?.parse().ok()?;
    Some((number, name.clone(), target.clone()))
}

/// One patch from each of `basis`, made on all cores.
fn patches(
    library: &Library,
    release: u64,
    manifest: &Manifest,
    basis: &BTreeMap<u64, Manifest>,
) -> Result<BTreeMap<u64, Vec<u8>>> {
    let queue = std::sync::Mutex::new(basis.iter());
    let worker = || -> Result<Vec<(u64, Vec<u8>)>> {
        let mut done = Vec::new();
        loop {
            let next = match queue.lock() {
                Ok(mut queue) => queue.next(),
                Err(_) => None,
            };
            let Some((&number, old)) = next else { return Ok(done) };
            done.push((number, bundle_of((number, old), (release, manifest), library)?));
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        let mut patches = BTreeMap::new();
        for thread in threads {
            let made = thread
                .join()
                .map_err(|_| Error::new(Kind::Io, "making a patch failed unexpectedly"))?;
            patches.extend(made?);
        }
        Ok(patches)
    })
}

fn bundle_of(old: (u64, &Manifest), new: (u64, &Manifest), library: &Library) -> Result<Vec<u8>> {
    let carried: u64 = new.1.carried(old.1).iter().map(|file| file.size).sum();
    // Level 19 for what people change in a day; long-distance matching at level 3 beats it on
    // large binaries and is much quicker (docs/performance.md).
    let level = match carried {
        0..=0x0400_0000 => 19,
        0x0400_0001..=0x1000_0000 => 12,
        _ => 3,
    };
    let mut bytes = Vec::new();
    bundle::encode(old, new, &|file| library.content(file), level, &mut bytes)?;
    Ok(bytes)
}
