//! Taking a release apart on the server with its own bundles, so that a publisher does not send
//! twice what they already hold.
//!
//! Whatever fails here is no failure of the push: the contents are then asked for one by one.

use std::{fs, io::BufReader, sync::Mutex};

use crate::{
    Error, Kind, Result, bundle,
    library::Library,
    manifest::{MANIFEST_MAX, Manifest, sha256},
    pull::{self, Transfer},
    receive::Incoming,
    trust::{Offer, Target},
};

/// Most bytes that one bundle may make the server hold: its basis, and the window of its stream.
/// Contents of larger ones are uploaded one by one, which takes the publisher's time and not the
/// server's memory.
const HELD_MAX: u64 = 128 << 20;
/// The window of a bundle without a basis.
const WINDOW: u64 = 64 << 20;

/// What the server has of a role's part, to build upon.
pub(super) fn base(
    library: &Library,
    ring: &str,
    role: &str,
    newest: u64,
) -> Option<(u64, Manifest)> {
    let published = library.signed(ring, role, newest).ok()??;
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
    let older = Default::default();
    let (transfer, targets) = pull::route(offer, &older, base.map(|(number, _)| *number))?;
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
    if held(&header, old) > HELD_MAX {
        return Err(Error::refused("the bundle takes more memory than a session may have"));
    }
    // Contents are read from it and written to it, in turn.
    let incoming = Mutex::new(incoming);
    let broken = || Error::new(Kind::Io, "a content could not be stored");
    bundle::decode(
        &header,
        reader,
        old,
        &|file| {
            let uploaded = incoming.lock().ok().and_then(|i| i.read(&file.sha256, file.size));
            uploaded.map_or_else(|| library.content(file), Ok)
        },
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
            incoming.lock().map_err(|_| broken())?.store(&file.sha256, &content)
        },
    )
}

/// What taking this bundle apart holds in memory, in bytes, beside one content.
fn held(header: &bundle::Header, old: &Manifest) -> u64 {
    let basis: u64 = header.basis.iter().filter_map(|&at| Some(old.at(at)?.size)).sum();
    let window = if header.basis.is_empty() { header.raw.min(WINDOW) } else { header.raw };
    basis.saturating_add(window)
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
