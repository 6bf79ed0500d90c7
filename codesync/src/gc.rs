//! `codesync gc`: removes what none of the last releases of any ring needs.
//!
//! Keeps all metadata, so that the log stays. Never runs beside a publication or a push, and
//! never touches what the newest releases hand out.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    Error, Result,
    library::Library,
    name, publish,
    receive::{Incoming, KEPT},
    store,
};

/// Fewest releases of a ring that stay: a client may be fetching the last but one.
pub const KEEP_MIN: u64 = 2;

/// What was, or would be, removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Bundles and manifests.
    pub targets: u64,
    /// Contents.
    pub objects: u64,
    /// What crashes left.
    pub leftovers: u64,
    /// Bytes of all these.
    pub bytes: u64,
    /// Nothing was removed.
    pub dry_run: bool,
}

/// What the last `keep` releases of each ring need.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    /// Files of each ring's `targets/`, as paths.
    pub(crate) targets: HashSet<PathBuf>,
    /// Names of objects.
    pub(crate) objects: HashSet<String>,
}

impl Needed {
    /// Reads the last `keep` releases of every ring. A newest release that cannot be read is an
    /// error: nothing may be called unneeded then.
    pub(crate) fn of(library: &Library, keep: u64) -> Result<Self> {
        let mut needed = Self::default();
        for ring in library.rings()? {
            let newest = library.versions(&ring)?.targets;
            let folder = library.ring(&ring)?.join("targets");
            for number in newest.saturating_sub(keep - 1).max(1)..=newest {
                // A pushed library lacks the releases that were never pushed.
                let Some(published) = library.published(&ring, number)? else { continue };
                // Nor does what an earlier gc has taken apart need anything any more.
                if number < newest && !library.has_manifest(&ring, &published)? {
                    continue;
                }
                for (name, target) in published.signed["targets"].as_object().into_iter().flatten()
                {
                    let hash = target["hashes"]["sha256"].as_str().unwrap_or_default();
                    needed.targets.insert(folder.join(format!("{hash}.{name}")));
                }
                let manifest = library.manifest(&ring, &published)?;
                let hashes = manifest.files().map(|file| hex::encode(file.sha256));
                needed.objects.extend(hashes);
            }
        }
        Ok(needed)
    }
}

/// Removes what none of the last `keep` (at least [`KEEP_MIN`]) releases of any ring needs.
pub fn gc(library: &Library, keep: u64, dry_run: bool) -> Result<Report> {
    let incoming = library.folder().join("incoming");
    let pushes = if incoming.is_dir() { Some(Incoming::open(library.folder())?) } else { None };
    let _lock = publish::lock(library)?;
    let needed = Needed::of(library, keep.max(KEEP_MIN))?;
    let mut report = Report { dry_run, ..Report::default() };
    let mut remove = |path: &Path, what: fn(&mut Report) -> &mut u64| -> Result<()> {
        let size = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        if !dry_run {
            store::remove(path)?;
        }
        report.bytes += size;
        *what(&mut report) += 1;
        Ok(())
    };
    for ring in library.rings()? {
        let folder = library.ring(&ring)?;
        let newest = library.versions(&ring)?.snapshot;
        for path in entries(&folder)? {
            let text = file_name(&path);
            let number = text.strip_suffix(".snapshot.json").and_then(|n| n.parse::<u64>().ok());
            // A client in the middle of a refresh may still ask for the ones just before.
            if text.starts_with(".new-") || number.is_some_and(|number| number + 10 < newest) {
                remove(&path, |report| &mut report.leftovers)?;
            }
        }
        for path in entries(&folder.join("targets"))? {
            if file_name(&path).starts_with(".new-") {
                remove(&path, |report| &mut report.leftovers)?;
            } else if name::is_target_file(&file_name(&path)) && !needed.targets.contains(&path) {
                remove(&path, |report| &mut report.targets)?;
            }
        }
    }
    let objects = library.folder().join("objects");
    for folder in entries(&objects)? {
        if file_name(&folder).starts_with(".new-") {
            remove(&folder, |report| &mut report.leftovers)?;
            continue;
        }
        if !folder.is_dir() {
            continue;
        }
        for path in entries(&folder)? {
            let text = file_name(&path);
            if text.starts_with(".new-") {
                remove(&path, |report| &mut report.leftovers)?;
            } else if name::is_sha256(&text) && !needed.objects.contains(&text) {
                remove(&path, |report| &mut report.objects)?;
            }
        }
    }
    if let (Some(pushes), false) = (pushes, dry_run) {
        pushes.clean(Some(KEPT))?;
    }
    Ok(report)
}

/// What is in `folder`, by path, in order; nothing if it does not exist.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let read = match fs::read_dir(folder) {
        Ok(read) => read,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", folder, &error)),
    };
    let mut paths = read
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .map_err(|error| Error::io("read", folder, &error))?;
    paths.sort_unstable();
    Ok(paths)
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
