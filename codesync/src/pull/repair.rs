//! Making a damaged active release whole again, file by file, in place.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{Attempt, Outcome, Report, Transfer, parts};
use crate::{
    Error, Result, disk,
    manifest::{BUNDLED_MAX, File, Manifest, sha256},
    source::Source,
    stage::Stage,
    store::{Release, Staged, is_intact, remove},
    trust::Tree,
};

/// Smaller files travel whole: their signature would cost as much.
const DELTA_MIN: u64 = 4 << 10;

impl Attempt<'_> {
    /// Compares every file of `active` with what was signed, and replaces what differs.
    pub(super) fn repair(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
        active: &Release,
        report: &mut Report,
    ) -> Result<()> {
        let mut stage = Stage::begin(self.store, None, true)?;
        // Of a release to which a machine is pinned, what was accepted then is all there is.
        let held = self.pinned || parts::signed(active, tree).is_some();
        let known = held.then(|| active.manifest().ok()).flatten();
        let manifest = if let Some(known) = known {
            known
        } else if self.pinned {
            return Err(Error::refused(format!(
                "the manifest of release {}, to which this machine is pinned, is damaged: `ldi unpin` lets the next sync bring the newest release",
                active.number
            )));
        } else {
            let manifests = self.fetch_manifests(source, tree)?;
            let signed = parts::whole(tree, &manifests)?;
            // Without its manifest nobody can tell what the tree was; with another one, the number
            // was used twice.
            let text = active.manifest_text().unwrap_or_default();
            if let Ok(other) = Manifest::parse(&text)
                && !other.is_empty()
                && other != signed
            {
                return Err(Error::refused(format!(
                    "release {} of ring {} has other content than the release {0} that is active here: its number was used twice; to start anew, remove {}",
                    tree.release,
                    self.settings.ring,
                    self.store.root().display()
                )));
            }
            parts::keep(&active.meta, tree, &manifests, &signed)?;
            signed
        };
        let mut strangers = Vec::new();
        crate::stage::walk(&active.tree, "", &mut |path, kind| {
            if kind != crate::stage::Entry::Folder && manifest.get(path).is_none() {
                strangers.push(active.tree.join(path));
            }
            Ok(())
        })?;
        // First of all: a link in the place of a folder makes what lies elsewhere look like ours.
        for stranger in &strangers {
            remove(stranger)?;
        }
        let broken: Vec<File> =
            manifest.files().filter(|file| !is_intact(&active.tree, file)).collect();
        let mut transfer = Transfer::None;
        let mut rest = Vec::new();
        for file in &broken {
            match self.by_delta(source, &active.tree, file)? {
                Some(content) => {
                    replace(active, file, &content)?;
                    transfer = Transfer::Delta;
                }
                None => rest.push(file.clone()),
            }
        }
        if !rest.is_empty() {
            // Fetched into the stage by hash, then moved over what is there.
            stage.retarget(&Manifest::new(rest.clone())?)?;
            self.fetch_missing(source, tree, &mut stage)?;
            let staged = stage.finish(active.number, &Manifest::new(rest.clone())?)?;
            (stage.sync())()?;
            for file in &rest {
                move_over(&staged, active, file)?;
            }
            if transfer == Transfer::None {
                transfer = Transfer::Files;
            }
        }
        active.write_manifest(&manifest)?;
        let staged = Staged {
            number: active.number,
            tree: active.tree.clone(),
            meta: active.meta.clone(),
            manifest: manifest.clone(),
            before: None,
        };
        self.make_ready(&staged)?;
        remove(&active.meta.join("damaged"))?;
        report.outcome = Outcome::Updated;
        report.transfer = transfer;
        report.files_total = manifest.len() as u64;
        report.files_changed = (broken.len() + strangers.len()) as u64;
        report.reason = Some(format!(
            "repaired release {}: {} files were not as signed, {} did not belong to it",
            active.number,
            broken.len(),
            strangers.len()
        ));
        Ok(())
    }

    /// The content of `file`, made from what stands in its place in `tree` and an rsync delta.
    pub(super) fn by_delta(
        &self,
        source: &mut dyn Source,
        tree: &Path,
        file: &File,
    ) -> Result<Option<Vec<u8>>> {
        if !(DELTA_MIN..=BUNDLED_MAX).contains(&file.size) {
            return Ok(None);
        }
        let path = tree.join(&file.path);
        let plain = fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        let there = if plain { disk::read_bounded(&path, BUNDLED_MAX) } else { Ok(None) };
        let Some(there) = there.ok().flatten().filter(|bytes| bytes.len() as u64 >= DELTA_MIN / 2)
        else {
            return Ok(None);
        };
        let options = fast_rsync::SignatureOptions {
            block_size: block_size(there.len()),
            crypto_hash_size: 8,
        };
        let signature = fast_rsync::Signature::calculate(&there, options);
        let Some(delta) = source.delta(file, signature.serialized())? else { return Ok(None) };
        let mut content = Vec::new();
        let limit = usize::try_from(file.size).unwrap_or(0);
        // MD4 finds the blocks; only the SHA-256 of the result counts.
        let applied = fast_rsync::apply_limited(&there, &delta, &mut content, limit);
        Ok((applied.is_ok() && sha256(&content) == file.sha256).then_some(content))
    }
}

/// About the square root of the size, as rsync has it.
fn block_size(length: usize) -> u32 {
    u32::try_from(length.isqrt()).unwrap_or(u32::MAX).clamp(256, 64 << 10).next_power_of_two()
}

fn prepare_place(active: &Release, file: &File) -> Result<std::path::PathBuf> {
    let path = active.tree.join(&file.path);
    // Where a folder is due something else may stand, and the other way round.
    let mut above = active.tree.clone();
    for part in file.path.split('/').take(file.path.matches('/').count()) {
        above.push(part);
        if fs::symlink_metadata(&above).is_ok_and(|metadata| !metadata.is_dir()) {
            remove(&above)?;
        }
        disk::make_folder(&above, 0o755)?;
    }
    if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
        remove(&path)?;
    }
    Ok(path)
}

fn replace(active: &Release, file: &File, content: &[u8]) -> Result<()> {
    let path = prepare_place(active, file)?;
    disk::replace(&path, content, if file.executable { 0o755 } else { 0o644 })
}

fn move_over(staged: &Staged, active: &Release, file: &File) -> Result<()> {
    let path = prepare_place(active, file)?;
    let from = staged.tree.join(&file.path);
    let mode = fs::Permissions::from_mode(if file.executable { 0o755 } else { 0o644 });
    fs::set_permissions(&from, mode)
        .and_then(|()| fs::rename(&from, &path))
        .map_err(|error| Error::io("repair", &path, &error))?;
    path.parent().map_or(Ok(()), disk::sync_folder)
}
