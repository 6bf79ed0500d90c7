//! Removing from a copy what no recent release of any of its rings needs.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    Error, Result, library::Library, name, publish::PATCHES, store::remove, trust::Target,
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
        let oldest = |role: &str| newest.of(role).saturating_sub(PATCHES - 1).max(1);
        let mut targets: BTreeSet<String> = BTreeSet::new();
        let roles = std::iter::once("targets").chain(newest.teams.keys().map(String::as_str));
        for role in roles {
            for version in oldest(role)..=newest.of(role) {
                // A copy that is made once a day lacks some.
                let Some(published) = library.signed(&ring, role, version)? else { continue };
                for (name, target) in published.signed["targets"].as_object().into_iter().flatten()
                {
                    let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
                    targets.insert(format!("{hash}.{name}"));
                }
                if version == newest.of(role) {
                    targets.extend(library.older(&ring, &published)?.values().map(Target::file));
                }
                if !published.manifest().0.is_empty() {
                    let manifest = library.manifest(&ring, &published)?;
                    objects.extend(manifest.files().map(|file| hex::encode(file.sha256)));
                }
            }
        }
        let folder = library.ring(&ring)?;
        removed += sweep(&folder.join("targets"), &|name| targets.contains(name))?;
        removed += sweep(&folder, &|name| {
            let numbered = name.strip_suffix(".json").and_then(|name| name.split_once('.'));
            let numbered = numbered.and_then(|(n, role)| Some((n.parse::<u64>().ok()?, role)));
            match numbered {
                Some((_, "root")) => true,
                Some((version, "snapshot")) => version + SNAPSHOTS > newest.snapshot,
                Some((version, role)) => version >= oldest(role),
                None => !name.starts_with(".new-"),
            }
        })?;
    }
    for prefix in list(&folder.join("objects"))? {
        removed += sweep(&folder.join("objects").join(prefix), &|name| objects.contains(name))?;
    }
    Ok(removed)
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
