//! Large patches of a release: from the versions of its large contents that clients may have.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    Error, Result,
    large::{self, Content},
    library::{Library, Published},
    manifest::{BUNDLED_MAX, File, Manifest},
};

/// Shorter versions are of no use.
const OLD_MIN: u64 = 1 << 20;
/// Most patches to one content, and to all contents of a release.
const EACH_MAX: usize = 8;
const ALL_MAX: usize = 64;

/// Makes the large patches to `manifest` from what the manifests of `basis` have, keeping those that
/// `former` lists; returns them as targets by name.
pub(super) fn patches(
    library: &Library,
    (ring, folder, prefix): (&str, &Path, &str),
    manifest: &Manifest,
    basis: &BTreeMap<u64, Published>,
    former: Option<&Published>,
) -> Result<Map<String, Value>> {
    let mut targets = Map::new();
    if !manifest.files().any(|file| file.size > BUNDLED_MAX) {
        return Ok(targets);
    }
    let basis = basis
        .iter()
        .map(|(&number, published)| Ok((number, library.manifest(ring, published)?)))
        .collect::<Result<_>>()?;
    for (old, new) in pairs(manifest, &basis).into_iter().take(ALL_MAX) {
        let name = format!("{prefix}{}", large::name(&old.sha256, &new.sha256));
        let listed = former.and_then(|former| former.signed["targets"].get(&name));
        let there = |target: &&Value| {
            let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
            let path = folder.join(format!("{hash}.{name}"));
            fs::metadata(path).is_ok_and(|found| Some(found.len()) == target["length"].as_u64())
        };
        if let Some(target) = listed.filter(there) {
            targets.insert(name, target.clone());
        } else if let Some(target) = make(library, folder, &name, &old, &new)? {
            targets.insert(name, target);
        }
    }
    Ok(targets)
}

/// Pairs of an old version and a large content of `manifest`, newest releases first.
fn pairs(manifest: &Manifest, basis: &BTreeMap<u64, Manifest>) -> Vec<(File, File)> {
    let mut seen = BTreeSet::new();
    let mut pairs = Vec::new();
    for new in manifest.files().filter(|file| file.size > BUNDLED_MAX) {
        let versions = basis.values().rev().filter_map(|old| former_version(old, &new));
        let mut fresh = versions.filter(|old| {
            old.sha256 != new.sha256 && old.size >= OLD_MIN && seen.insert((old.sha256, new.sha256))
        });
        pairs.extend(fresh.by_ref().take(EACH_MAX).map(|old| (old, new.clone())));
    }
    pairs
}

/// What `old` has in the place of `new`: the same path, or else a file of the same name.
fn former_version(old: &Manifest, new: &File) -> Option<File> {
    let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let wanted = name(&new.path);
    old.get(&new.path).or_else(|| {
        old.files().filter(|file| file.size >= OLD_MIN).find(|file| name(&file.path) == wanted)
    })
}

/// Makes one patch; `None` when it is hardly shorter than the content.
fn make(
    library: &Library,
    folder: &Path,
    name: &str,
    old: &File,
    new: &File,
) -> Result<Option<Value>> {
    let open = |file: &File| {
        let path = library.object(&file.sha256);
        fs::File::open(&path).map_err(|error| Error::io("read", &path, &error))
    };
    let fail = |error: io::Error| Error::io("write in", folder, &error);
    let file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(fail)?;
    let mut out = Hashing { out: io::BufWriter::new(file), hasher: Sha256::new(), length: 0 };
    let (before, after) = (open(old)?, open(new)?);
    large::encode(
        Content { reader: before, file: old },
        Content { reader: after, file: new },
        &mut out,
    )?;
    let (length, hash) = (out.length, hex::encode(out.hasher.finalize()));
    if length * 4 >= new.size * 3 {
        return Ok(None);
    }
    let file = out.out.into_inner().map_err(|error| fail(error.into_error()))?;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(0o644))
        .and_then(|()| file.as_file().sync_all())
        .map_err(fail)?;
    let path = folder.join(format!("{hash}.{name}"));
    file.persist(&path).map_err(|error| Error::io("write", &path, &error.error))?;
    crate::disk::sync_folder(folder)?;
    Ok(Some(json!({"length": length, "hashes": {"sha256": hash}})))
}

/// Counts and hashes what is written.
struct Hashing<W> {
    out: W,
    hasher: Sha256,
    length: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(&str, u8, u64)]) -> Manifest {
        let file = |&(path, hash, size): &(&str, u8, u64)| File {
            path: path.into(),
            sha256: [hash; 32],
            size,
            executable: false,
        };
        Manifest::new(files.iter().map(file).collect()).unwrap()
    }

    #[test]
    fn versions_that_clients_may_have_are_paired_once() {
        let big = BUNDLED_MAX + 1;
        let now = manifest(&[("a", 1, big), ("b/pkg", 2, big), ("c", 3, 100), ("d", 4, big)]);
        let basis = BTreeMap::from([
            (1, manifest(&[("a", 10, big), ("c", 30, big), ("old/pkg", 20, 2 << 20)])),
            (2, manifest(&[("a", 11, big), ("b/pkg", 2, big), ("d", 40, 1000)])),
            (3, manifest(&[("a", 11, big), ("b/pkg", 2, big)])),
        ]);
        let pairs: Vec<(u8, u8)> =
            pairs(&now, &basis).iter().map(|(old, new)| (old.sha256[0], new.sha256[0])).collect();
        assert_eq!(pairs, [(11, 1), (10, 1), (20, 2)]);
    }
}
