//! A tree of which nothing is known: one that another tool left, or whose manifest is gone.
//!
//! What it has of the offered release is copied by hash; what looks like an older version of a file
//! is the basis of an rsync delta. Nothing in it is believed, and nothing in it is changed.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use super::{Attempt, Transfer, fill::Fault, large::Checked, parts, route, route::cost};
use crate::{
    Result, disk,
    manifest::{BUNDLED_MAX, File, Hash, Manifest},
    older::Patches,
    source::Source,
    stage::{Entry, Stage, walk},
    store::{Release, Store, read_intact},
    trust::{Part, Tree},
};

/// A delta of text is about this much shorter than the text.
const DELTA_GAIN: u64 = 4;
/// Each is asked for on its own: a round trip is worth about as many bytes.
const ROUND_TRIP: u64 = 16 << 10;

/// The tree in the place of `store`'s library whose content is unknown, if there is one.
pub(super) fn unknown_tree(store: &Store, active: Option<&Release>) -> Option<PathBuf> {
    let lib = store.root().join("lib");
    let folder = fs::symlink_metadata(&lib).is_ok_and(|metadata| metadata.is_dir());
    active.map(|release| release.tree.clone()).or_else(|| folder.then_some(lib))
}

impl Attempt<'_> {
    /// Brings `stage` to the offered release by what the unknown tree `seed` has, where that is
    /// cheaper than bundles; `None` where it is not.
    pub(super) fn fill_from_seed(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
        seed: &Path,
        stage: &mut Stage,
    ) -> Result<Option<(Vec<Manifest>, Transfer)>, Fault> {
        let none = Patches::new();
        let full = |part: &Part| route(&part.offer, &none, None).map(|(_, way)| cost(&way));
        // Where a part has no bundle there is nothing that files would have to be cheaper than.
        let bundles = tree.parts.iter().map(full).sum::<Option<u64>>().unwrap_or(u64::MAX);
        let names: u64 = tree.parts.iter().map(|part| part.offer.manifest.length).sum();
        if names >= bundles {
            return Ok(None);
        }
        let manifests = self.fetch_manifests(source, tree)?;
        let whole = parts::whole(tree, &manifests)?;
        let there = index(seed, &whole)?;
        let rest: u64 = whole
            .missing(&Manifest::default())
            .iter()
            .filter(|file| !there.contains_key(&file.sha256))
            .map(|file| match seed.join(&file.path).is_file() {
                true => (file.size / DELTA_GAIN + ROUND_TRIP).min(file.size),
                false => file.size,
            })
            .sum();
        if names.saturating_add(rest) >= bundles {
            return Ok(None);
        }
        stage.retarget(&whole)?;
        let mut transfer = Transfer::Files;
        for file in stage.needed() {
            if let Some(path) = there.get(&file.sha256) {
                self.take(seed, path, &file, stage)?;
            } else if let Some(content) = self.by_delta(source, seed, &file)? {
                stage.put(&file, content)?;
                transfer = Transfer::Delta;
            }
        }
        self.fetch_missing(source, tree, stage)?;
        Ok(Some((manifests, transfer)))
    }

    /// Copies the content of `file` from `path` of `seed`; leaves it out if it changed meanwhile.
    fn take(&self, seed: &Path, path: &str, file: &File, stage: &mut Stage) -> Result<()> {
        if file.size <= BUNDLED_MAX {
            let here = File { path: path.to_owned(), ..file.clone() };
            return match read_intact(seed, &here) {
                Some(content) => stage.put(file, content),
                None => Ok(()),
            };
        }
        let from = seed.join(path);
        let Ok(mut content) = fs::File::open(&from) else { return Ok(()) };
        let mut copy = Checked::new(&self.store.partial())?;
        std::io::copy(&mut content, &mut copy)
            .map_err(|error| crate::Error::io("copy", &from, &error))?;
        match copy.finish(file) {
            Ok(content) => stage.put_large(file, content),
            Err(_) => Ok(()),
        }
    }
}

/// Where `seed` has contents of `whole`: only files of a size that it names are read.
fn index(seed: &Path, whole: &Manifest) -> Result<HashMap<Hash, String>> {
    let sizes: HashSet<u64> = whole.files().map(|file| file.size).collect();
    let mut found = HashMap::new();
    walk(seed, "", &mut |path, kind| {
        let full = seed.join(path);
        let size = fs::symlink_metadata(&full).map(|metadata| metadata.len());
        if kind == Entry::File
            && size.is_ok_and(|size| sizes.contains(&size))
            && let Ok(Some((hash, _))) = disk::digest(&full)
        {
            found.entry(hash).or_insert_with(|| path.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}
