//! Removing from a copy what no recent release of any of its rings needs.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    Error, Result, library::Library, name, publish::PATCHES, store::remove, trust::TIMESTAMP_MAX,
};

/// Snapshots that stay: a client in the middle of a refresh may still ask for the one before.
const SNAPSHOTS: u64 = 10;

/// Removes what none of the last 8 releases of any ring in `folder` needs; how many files.
pub(super) fn prune(folder: &Path) -> Result<usize> {
    let library = Library::open(folder)?;
    let mut objects: BTreeSet<String> = BTreeSet::new();
    let mut removed = 0;
    for ring in library.rings()? {
        let newest = library.versions(&ring)?;
        let oldest = newest.targets.saturating_sub(PATCHES - 1).max(1);
        let mut targets: BTreeSet<String> = BTreeSet::new();
        for release in oldest..=newest.targets {
            // A copy that is made once a day lacks some.
            let Some(published) = library.published(&ring, release)? else { continue };
            for (name, target) in published.signed["targets"].as_object().into_iter().flatten() {
                let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
                targets.insert(format!("{hash}.{name}"));
            }
            let manifest = library.manifest(&ring, &published)?;
            objects.extend(manifest.files().map(|file| hex::encode(file.sha256)));
        }
        // Teams sign for their own targets; what they name is not told by the number of a release.
        let folder = library.ring(&ring)?;
        let teams = targets_of_teams(&folder)?;
        removed +=
            sweep(&folder.join("targets"), &|name| targets.contains(name) || teams.contains(name))?;
        removed += sweep(&folder, &|name| {
            let version = |role: &str| name.strip_suffix(role).and_then(|n| n.parse::<u64>().ok());
            match (version(".targets.json"), version(".snapshot.json")) {
                (Some(release), _) => release >= oldest,
                (_, Some(version)) => version + SNAPSHOTS > newest.snapshot,
                _ => !name.starts_with(".new-"),
            }
        })?;
    }
    for prefix in list(&folder.join("objects"))? {
        removed += sweep(&folder.join("objects").join(prefix), &|name| objects.contains(name))?;
    }
    Ok(removed)
}

/// The target files that delegated roles in `folder` name.
fn targets_of_teams(folder: &Path) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for name in list(folder)? {
        let role = name.strip_suffix(".json").and_then(|name| name.split_once('.'));
        let Some((_, role)) = role else { continue };
        if matches!(role, "root" | "snapshot" | "targets") {
            continue;
        }
        let bytes = crate::disk::read_bounded(&folder.join(&name), TIMESTAMP_MAX * 128)?;
        let json: serde_json::Value =
            serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default();
        for (name, target) in json["signed"]["targets"].as_object().into_iter().flatten() {
            let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
            found.insert(format!("{hash}.{name}"));
        }
    }
    Ok(found)
}

/// Removes the files of `folder` that `keep` does not name.
fn sweep(folder: &Path, keep: &dyn Fn(&str) -> bool) -> Result<usize> {
    let mut removed = 0;
    for name in list(folder)? {
        let path = folder.join(&name);
        let plain = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        let ours = name::is_sha256(&name) || name.contains('.');
        if plain && ours && !keep(&name) {
            remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, &error))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}
