//! Taking a release apart on the server with its own bundles, so that a publisher does not send
//! twice what they already hold.
//!
//! Whatever fails here is no failure of the push: the contents are then asked for one by one.

use std::{fs, io::BufReader};

use crate::{
    Error, Result, bundle,
    library::Library,
    manifest::{MANIFEST_MAX, Manifest, sha256},
    pull::{self, Transfer},
    receive::Incoming,
    trust::{Offer, Target},
};

/// The release that the server has, to build upon.
pub(super) fn base(library: &Library, ring: &str, newest: u64) -> Option<(u64, Manifest)> {
    let published = library.published(ring, newest).ok()??;
    Some((newest, library.manifest(ring, &published).ok()?))
}

/// Brings contents and manifest of the offered release into `incoming` by the cheapest bundles.
pub(super) fn unpack(
    library: &Library,
    incoming: &mut Incoming,
    ring: &str,
    offer: &Offer,
    base: Option<&(u64, Manifest)>,
) -> Option<Manifest> {
    if let Some((number, manifest)) = base
        && *number == offer.release
    {
        let same = manifest.hash() == offer.manifest.sha256;
        return same.then(|| manifest.clone());
    }
    let (transfer, targets) = pull::route(offer, base.map(|(number, _)| *number))?;
    let mut now = match (transfer, base) {
        (Transfer::Patch, Some((_, manifest))) => manifest.clone(),
        _ => Manifest::default(),
    };
    for target in &targets {
        let signed = (target.name == targets.last()?.name).then_some(offer.manifest.sha256);
        now = step(library, incoming, ring, target, &now, signed).ok()?;
    }
    incoming.store(&offer.manifest.sha256, now.text().as_bytes()).ok()?;
    Some(now)
}

fn step(
    library: &Library,
    incoming: &mut Incoming,
    ring: &str,
    target: &Target,
    old: &Manifest,
    signed: Option<[u8; 32]>,
) -> Result<Manifest> {
    let uploaded = incoming.path(&target.sha256);
    let path = if uploaded.is_file() {
        uploaded
    } else {
        library.ring(ring)?.join("targets").join(target.file())
    };
    let file = fs::File::open(&path).map_err(|error| Error::io("read", &path, &error))?;
    let mut reader = BufReader::new(file);
    let header = bundle::read_header(&mut reader)?;
    let mut basis = std::collections::HashMap::new();
    for &at in &header.basis {
        let file = old.at(at).ok_or_else(|| Error::refused("no such basis file"))?;
        let content = match incoming.read(&file.sha256, file.size) {
            Some(content) => content,
            None => library.content(&file)?,
        };
        basis.insert(file.sha256, content);
    }
    bundle::decode(
        &header,
        reader,
        old,
        &|file| basis.get(&file.sha256).cloned().ok_or_else(|| Error::refused("no such basis")),
        &mut |new| match signed {
            Some(hash) if new.hash() != hash => {
                Err(Error::refused("the bundle does not lead to the manifest that was signed"))
            }
            _ => Ok(()),
        },
        &mut |file, content| {
            if content.len() as u64 != file.size || sha256(&content) != file.sha256 {
                return Err(Error::refused(format!(
                    "the bundle has other bytes for {}",
                    file.path
                )));
            }
            incoming.store(&file.sha256, &content)
        },
    )
}

/// The manifest if the publisher has uploaded it.
pub(super) fn uploaded(incoming: &mut Incoming, target: &Target) -> Result<Option<Manifest>> {
    if !incoming.has(&target.sha256)? {
        return Ok(None);
    }
    let text = incoming
        .read(&target.sha256, MANIFEST_MAX)
        .ok_or_else(|| Error::refused("the manifest cannot be read back"))?;
    Manifest::parse(&text).map(Some)
}
