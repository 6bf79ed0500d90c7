//! Bringing a stage to the offered release: bundles along the route, then single contents.

use std::{fs, io::BufReader};

use super::{Attempt, Transfer, route};
use crate::{
    Error, Kind, Result, bundle,
    fetch::Wanted,
    manifest::{BUNDLED_MAX, File, Manifest},
    source::Source,
    stage::Stage,
    store::Release,
    trust::{Offer, Target},
};

impl Attempt<'_> {
    /// Brings `stage` to the offered release in the cheapest way, by signed sizes.
    pub(super) fn fill(
        &self,
        source: &mut dyn Source,
        offer: &Offer,
        known: Option<&(Release, Manifest)>,
        stage: &mut Stage,
    ) -> Result<(Manifest, Transfer), Fault> {
        let route = route(offer, known.map(|(release, _)| release.number));
        let Some((transfer, targets)) = route else {
            return Ok(self.fill_by_files(source, offer, stage)?);
        };
        let total: u64 = targets.iter().map(|target| target.length).sum();
        let mut done = 0;
        let mut now = match transfer {
            Transfer::Patch => known.map(|(_, manifest)| manifest.clone()).unwrap_or_default(),
            _ => Manifest::default(),
        };
        let last = targets.len() - 1;
        for (step, target) in targets.iter().enumerate() {
            let file = self.download(source, target, done, total)?;
            done += target.length;
            let mut reader = BufReader::new(file);
            let header = bundle::read_header(&mut reader)?;
            let local = std::sync::atomic::AtomicBool::new(false);
            // A step builds upon what the one before has written.
            stage.settle()?;
            // `stage` is read for the basis first and written to after; the decoder needs both.
            let cell = std::cell::RefCell::new(&mut *stage);
            let basis = collect_basis(&header, &now, &cell, &local);
            let basis = match basis {
                Ok(basis) => basis,
                Err(_) if local.into_inner() => return Err(Fault::Local),
                Err(error) => return Err(error.into()),
            };
            now = bundle::decode(
                &header,
                reader,
                &now,
                &|file| {
                    basis.get(&file.sha256).cloned().ok_or_else(|| Error::refused("no such basis"))
                },
                &mut |new| {
                    if step == last && new.hash() != offer.manifest.sha256 {
                        return Err(Error::refused(
                            "the bundle does not lead to the manifest that was signed",
                        ));
                    }
                    cell.borrow_mut().retarget(new)
                },
                &mut |file, content| cell.borrow_mut().put(file, content),
            )?;
        }
        self.fetch_missing(source, offer, stage)?;
        Ok((now, transfer))
    }

    /// Brings `stage` to the offered release file by file: for trees of which nothing is known.
    pub(super) fn fill_by_files(
        &self,
        source: &mut dyn Source,
        offer: &Offer,
        stage: &mut Stage,
    ) -> Result<(Manifest, Transfer)> {
        let manifest = self.fetch_manifest(source, offer)?;
        stage.retarget(&manifest)?;
        let transfer = self.fetch_missing(source, offer, stage)?;
        Ok((manifest, transfer))
    }

    pub(super) fn fetch_manifest(
        &self,
        source: &mut dyn Source,
        offer: &Offer,
    ) -> Result<Manifest> {
        let length = offer.manifest.length;
        let mut file = self.download(source, &offer.manifest, 0, length)?;
        let mut text = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut text)
            .map_err(|error| Error::new(Kind::Io, format!("cannot read a download: {error}")))?;
        Manifest::parse(&text)
    }

    /// Fetches `target` whole and compares it with its signed length and hash, before anything
    /// else looks at it.
    fn download(
        &self,
        source: &mut dyn Source,
        target: &Target,
        before: u64,
        total: u64,
    ) -> Result<fs::File> {
        let wanted = Wanted::Target(&self.settings.ring, target);
        let progress = |got| (self.progress)(before + got, total);
        self.downloads.borrow_mut().fetch(source, wanted, &progress)
    }

    /// Fetches what `stage` still lacks from the source's objects.
    pub(super) fn fetch_missing(
        &self,
        source: &mut dyn Source,
        offer: &Offer,
        stage: &mut Stage,
    ) -> Result<Transfer> {
        let needed = stage.needed();
        let mut downloads = self.downloads.borrow_mut();
        // What another release had begun is of no use to this one.
        downloads.prune(&|name| {
            let contents = needed.iter().map(|file| &file.sha256);
            let patches = offer.large.values().map(|target| &target.sha256);
            contents.chain(patches).any(|hash| hex::encode(hash) == name)
        })?;
        if needed.is_empty() {
            return Ok(Transfer::Files);
        }
        let total: u64 = needed.iter().map(|file| file.size).sum();
        let mut got = 0;
        let (small, large): (Vec<&File>, Vec<&File>) =
            needed.iter().partition(|file| file.size <= BUNDLED_MAX);
        let mut whole: Vec<u8> = Vec::new();
        if !small.is_empty() {
            source.objects(&small, &mut |file, piece| {
                got += piece.len() as u64;
                (self.progress)(got, total);
                downloads.passed(piece.len());
                if piece.is_empty() {
                    return stage.put(file, std::mem::take(&mut whole));
                }
                whole.extend_from_slice(piece);
                Ok(())
            })?;
        }
        for file in large {
            let progress = |more| (self.progress)(got + more, total);
            let content =
                self.fetch_large(source, offer, stage, &mut downloads, file, &progress)?;
            stage.put_large(file, content)?;
            got += file.size;
        }
        Ok(Transfer::Files)
    }
}

pub(super) enum Fault {
    /// A basis file in the active tree is not what it should be.
    Local,
    Error(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Error(error)
    }
}

type Basis = std::collections::HashMap<[u8; 32], Vec<u8>>;

fn collect_basis(
    header: &bundle::Header,
    old: &Manifest,
    stage: &std::cell::RefCell<&mut Stage>,
    local: &std::sync::atomic::AtomicBool,
) -> Result<Basis> {
    let mut basis = Basis::new();
    for &at in &header.basis {
        let file = old
            .at(at)
            .ok_or_else(|| Error::refused("the bundle is damaged: a basis file does not exist"))?;
        let content = stage.borrow().content(&file).ok_or_else(|| {
            local.store(true, std::sync::atomic::Ordering::Relaxed);
            Error::refused(format!("{} on this machine is not what was signed", file.path))
        })?;
        basis.insert(file.sha256, content);
    }
    Ok(basis)
}
