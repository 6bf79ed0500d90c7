//! Making verified releases visible, in an order that never shows half of one.

use std::{fs, path::Path};

use crate::{
    Error, Kind, Result, disk,
    library::Library,
    manifest::Manifest,
    publish::{self, export},
    receive::{Incoming, Pending, Session},
    upload::{Committed, Step},
};

/// Installs every offered ring. A crash leaves the old release or the new one; what it leaves
/// beside is completed by the next push.
pub(super) fn commit(session: &mut Session) -> Result<Committed> {
    let Session { library, incoming, pending, .. } = session;
    if pending.is_empty() || pending.values().any(|one| one.tree.is_none()) {
        return Err(Error::new(Kind::Usage, "a commit comes when nothing is lacking"));
    }
    for folder in ["rings", "objects", "export"] {
        disk::make_folder(&library.folder().join(folder), 0o755)?;
    }
    let _lock = publish::lock(library)?;
    // What was verified before the lock was taken must still follow upon what is there.
    for (ring, one) in pending.iter() {
        let folder = library.folder().join("rings").join(ring);
        let now = if folder.is_dir() { library.versions(ring)? } else { Default::default() };
        if now != one.before {
            return Err(Error::new(
                Kind::Busy,
                format!("ring {ring} was changed on the server meanwhile; push again"),
            ));
        }
        disk::make_folder(&folder.join("targets"), 0o755)?;
    }
    let mut manifests = Vec::new();
    for (ring, one) in pending.iter() {
        let manifest = one
            .tree
            .as_ref()
            .ok_or_else(|| Error::new(Kind::Usage, "a commit comes when nothing is lacking"))?;
        let mended = contents(library, incoming, manifest)?;
        targets(library, incoming, ring, one)?;
        // The export links to objects: a mended one, and the same release again, bring all of it
        // in order, file by file.
        let before = one.before.release();
        let follows = before > 0 && before != one.after.release() && !mended;
        let former = || library.tree(ring, &library.parts(ring, before).ok()??).ok();
        manifests.push((ring, manifest, follows.then(former).flatten()));
    }
    // Everything that the metadata names is on the disk before any of it names it.
    disk::sync_everything(library.folder())?;
    let mut done = Committed::default();
    for (ring, one) in pending.iter() {
        let folder = library.ring(ring)?;
        // Roots first, targets and snapshot under their numbers, the timestamp last.
        for (name, bytes) in &one.files {
            let path = folder.join(name);
            let limit = bytes.len() as u64;
            let same =
                disk::read_bounded(&path, limit).is_ok_and(|there| there.as_ref() == Some(bytes));
            if !same {
                disk::replace(&path, bytes, 0o644)?;
            }
        }
        done.rings.push(Step {
            ring: ring.clone(),
            release: one.after.release(),
            previous: one.before.release(),
        });
    }
    for (ring, manifest, former) in manifests {
        export::update(library, ring, manifest, former.as_ref())?;
    }
    incoming.clean(None)?;
    pending.clear();
    Ok(done)
}

/// Whether one of them was here, but damaged.
fn contents(library: &Library, incoming: &mut Incoming, manifest: &Manifest) -> Result<bool> {
    let mut mended = false;
    for file in manifest.missing(&Manifest::default()) {
        if !incoming.has(&file.sha256)? {
            continue;
        }
        let object = library.object(&file.sha256);
        if let Some(folder) = object.parent() {
            disk::make_folder(folder, 0o755)?;
        }
        mended |= object.exists();
        place(incoming, &file.sha256, file.size, &object)?;
    }
    Ok(mended)
}

fn targets(library: &Library, incoming: &mut Incoming, ring: &str, one: &Pending) -> Result<()> {
    let folder = library.ring(ring)?.join("targets");
    let offers = one.parts.iter().map(|one| &one.part.offer);
    for target in offers.flat_map(|offer| offer.bundles().chain([&offer.manifest])) {
        if incoming.has(&target.sha256)? {
            place(incoming, &target.sha256, target.length, &folder.join(target.file()))?;
        } else if !folder.join(target.file()).is_file() {
            return Err(Error::new(Kind::Io, format!("{} went missing; push again", target.name)));
        }
    }
    Ok(())
}

/// Leaves an intact file as it is: the exported tree is linked to it.
fn place(incoming: &Incoming, hash: &[u8; 32], length: u64, path: &Path) -> Result<()> {
    let plausible = fs::symlink_metadata(path).is_ok_and(|m| m.is_file() && m.len() == length);
    if plausible && disk::digest(path)?.is_some_and(|(found, _)| found == *hash) {
        return Ok(());
    }
    incoming.place(hash, path)
}
