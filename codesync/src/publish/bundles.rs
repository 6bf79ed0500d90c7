//! A release's targets: its manifest and the bundles that lead to it.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Newest, PATCHES, Place, Progress, Step, large};
use crate::{
    Error, Kind, Result, bundle,
    disk::Unsynced,
    library::{Library, Published},
    manifest::Manifest,
    older::{self, Patches},
    trust::prefix,
};

/// Patches that are made at once: each holds an old manifest.
const AT_ONCE: usize = 4;

/// A file of `targets/` that was written.
struct Stored {
    name: String,
    hash: String,
    length: u64,
}

impl Stored {
    fn target(&self) -> (String, Value) {
        let target = json!({"length": self.length, "hashes": {"sha256": self.hash}});
        (self.name.clone(), target)
    }
}

/// Where a role's targets are written to, and what was written.
struct Shelf<'a> {
    library: &'a Library,
    folder: PathBuf,
    /// With what their names begin.
    prefix: String,
    release: u64,
    manifest: &'a Manifest,
    written: Mutex<&'a mut Unsynced>,
}

/// Writes manifest and bundles of version `release` of one role's part; returns `targets` of its
/// metadata, and the bytes of what a client of the version before fetches. What was written is added
/// to `written`.
pub(super) fn store_targets(
    library: &Library,
    place: Place<'_>,
    release: u64,
    manifest: &Manifest,
    newest: &Newest,
    written: &mut Unsynced,
    progress: &Progress<'_>,
) -> Result<(Map<String, Value>, u64)> {
    let (ring, role) = (place.ring, place.role());
    let folder = library.ring(ring)?.join("targets");
    let prefix = prefix(role);
    let written = Mutex::new(written);
    let shelf = Shelf { library, folder, prefix, release, manifest, written };
    let mut targets = Map::new();
    let stored = shelf.text("manifest", manifest.text())?;
    targets.extend([stored.target()]);

    // A patch from the release that has the full bundle keeps that bundle in use, however old it
    // is: making a new one takes a hundred times as long as a patch.
    let former = newest.published.as_ref();
    let full = former.and_then(full_of);
    let oldest = release.saturating_sub(PATCHES).max(1);
    let mut basis = BTreeMap::new();
    for number in full.iter().map(|full| full.0).chain(oldest..release) {
        if let Some(published) = library.signed(ring, role, number)?
            && library.has_manifest(ring, &published)?
        {
            basis.insert(number, published);
        }
    }
    let older = older(library, place, former, release)?;
    if !older.is_empty() {
        targets.extend([shelf.text(older::NAME, &older::text(&older))?.target()]);
    }
    let patches = shelf.patches(ring, &basis, newest, progress)?;
    let mut bytes = 0;
    for patch in patches.values() {
        bytes = patch.length;
        targets.extend([patch.target()]);
    }

    let older = full.filter(|(number, _, target)| {
        let length = target["length"].as_u64().unwrap_or(0);
        patches.get(number).is_some_and(|patch| patch.length * 4 <= length)
    });
    match older {
        Some((_, name, target)) => {
            targets.insert(name, target);
        }
        None => {
            let name = format!("{release}.full.zst");
            let none = Manifest::default();
            let of = manifest.carried(&none).iter().map(|file| file.size).sum();
            let packed = AtomicU64::new(0);
            let count = |size| {
                let done = packed.fetch_add(size, Ordering::Relaxed) + size;
                progress(Step::Packed { done, of });
            };
            let full = shelf.bundle(&name, (0, &none), &count)?;
            if former.is_none() {
                bytes = full.length;
            }
            targets.extend([full.target()]);
        }
    }
    let place = (ring, shelf.folder.as_path(), shelf.prefix.as_str());
    targets.append(&mut large::patches(library, place, manifest, &basis, former)?);
    Ok((targets, bytes))
}

/// The patches of earlier releases that `release` lists: those that `former` listed or offered.
fn older(
    library: &Library,
    place: Place<'_>,
    former: Option<&Published>,
    release: u64,
) -> Result<Patches> {
    let Some(former) = former else { return Ok(Patches::new()) };
    let folder = library.ring(place.ring)?.join("targets");
    let mut all = library.older(place.ring, former)?;
    all.extend(former.patches());
    // What gc has removed is offered no longer.
    all.retain(|_, target| folder.join(target.file()).is_file());
    Ok(older::listed(all, release, PATCHES))
}

/// The full bundle that `published` lists: its release, name and target.
fn full_of(published: &Published) -> Option<(u64, String, Value)> {
    let targets = published.signed["targets"].as_object()?;
    let (name, target) = targets.iter().find(|(name, _)| name.ends_with(".full.zst"))?;
    let number = name.strip_prefix(&prefix(&published.role))?.strip_suffix(".full.zst")?;
    let number = number.parse().ok()?;
    Some((number, name.clone(), target.clone()))
}

impl Shelf<'_> {
    /// Writes the target `name`, which is `text`.
    fn text(&self, name: &str, text: &str) -> Result<Stored> {
        let fail = |error| Error::io("write", &self.folder, &error);
        self.put(name, |out| out.write_all(text.as_bytes()).map_err(fail))
    }

    /// Writes the target `name`, which `fill` writes, under its hash.
    fn put(&self, name: &str, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Stored> {
        let fail = |error: std::io::Error| Error::io("write in", &self.folder, &error);
        let mode = fs::Permissions::from_mode(0o644);
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(mode.clone())
            .tempfile_in(&self.folder)
            .map_err(fail)?;
        let mut out = Hashed { file: BufWriter::new(file), hasher: Sha256::new(), length: 0 };
        fill(&mut out)?;
        let Hashed { file, hasher, length } = out;
        let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
        // The umask may have taken bits away.
        file.as_file().set_permissions(mode).map_err(fail)?;
        let hash = hex::encode(hasher.finalize());
        let name = format!("{}{name}", self.prefix);
        let path = self.folder.join(format!("{hash}.{name}"));
        file.persist(&path).map_err(|error| fail(error.error))?;
        if let Ok(mut written) = self.written.lock() {
            written.add(path);
        }
        Ok(Stored { name, hash, length })
    }

    /// One patch from each of `basis`, made on several cores.
    fn patches(
        &self,
        ring: &str,
        basis: &BTreeMap<u64, Published>,
        newest: &Newest,
        progress: &Progress<'_>,
    ) -> Result<BTreeMap<u64, Stored>> {
        let queue = Mutex::new((basis.iter(), 0));
        let worker = || -> Result<Vec<(u64, Stored)>> {
            let mut done = Vec::new();
            loop {
                let next = queue.lock().ok().and_then(|mut queue| queue.0.next());
                let Some((&number, published)) = next else { return Ok(done) };
                let name = format!("{number}-{}.patch.zst", self.release);
                let old = match &newest.published {
                    Some(former) if former.release == number => None,
                    _ => Some(self.library.manifest(ring, published)?),
                };
                let old = old.as_ref().unwrap_or(&newest.manifest);
                done.push((number, self.bundle(&name, (number, old), &|_| ())?));
                if let Ok(mut queue) = queue.lock() {
                    queue.1 += 1;
                    progress(Step::Patched { done: queue.1, of: basis.len() });
                }
            }
        };
        let cores =
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(AT_ONCE);
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

    /// Writes the bundle `name` that leads from `old` to the new release; `count` is told the bytes
    /// of each content that is taken up.
    fn bundle(
        &self,
        name: &str,
        old: (u64, &Manifest),
        count: &(dyn Fn(u64) + Sync),
    ) -> Result<Stored> {
        let content = |file: &crate::manifest::File| {
            count(file.size);
            self.library.content(file)
        };
        let new = (self.release, self.manifest);
        self.put(name, |out| bundle::encode(old, new, &content, out))
    }
}

/// Hashes and counts what goes into a file.
struct Hashed {
    file: BufWriter<tempfile::NamedTempFile>,
    hasher: Sha256,
    length: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
