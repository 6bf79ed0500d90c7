//! Bringing a stage to the offered release: bundles along the route, then single contents.

use std::{
    fs,
    io::{BufReader, Read},
};

use super::{
    Attempt, Transfer,
    parts::{self, Beside, Known},
    route,
    route::cost,
    seed::unknown_tree,
};
use crate::{
    Error, Kind, Result, bundle,
    fetch::Wanted,
    manifest::{BUNDLED_MAX, File, Manifest},
    older::{self, Patches},
    publish::PATCHES,
    source::Source,
    stage::Stage,
    store::Release,
    trust::{Part, Target, Tree, prefix},
};

impl Attempt<'_> {
    /// Brings `stage` to the offered release in the cheapest way, by signed sizes; returns the
    /// manifests of its parts.
    pub(super) fn fill(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
        (active, known): (Option<&Release>, Option<&(Release, Manifest)>),
        stage: &mut Stage,
    ) -> Result<(Vec<Manifest>, Transfer), Fault> {
        if known.is_none()
            && let Some(seed) = unknown_tree(self.store, active)
            && let Some(made) = self.fill_from_seed(source, tree, &seed, stage)?
        {
            return Ok(made);
        }
        let known = known.map(|(release, whole)| parts::known(release, whole)).unwrap_or_default();
        let former = |part: &Part| known.iter().find(|known| known.role == part.role);
        let several = tree.parts.len() > 1;
        let mut done: Vec<Option<Manifest>> = tree.parts.iter().map(|_| None).collect();
        for (part, done) in tree.parts.iter().zip(&mut done).filter(|_| several) {
            let same = former(part).filter(|former| former.version == part.offer.release);
            *done = same.map(|former| former.manifest.clone());
        }
        let mut transfer = Transfer::None;
        for (at, part) in tree.parts.iter().enumerate() {
            if done[at].is_some() {
                continue;
            }
            let waiting = tree.parts.iter().enumerate().skip(at + 1);
            let waiting = waiting.filter(|(later, _)| done[*later].is_none());
            let waiting: Vec<&Manifest> =
                waiting.filter_map(|(_, part)| Some(&former(part)?.manifest)).collect();
            let others: Vec<&Manifest> = done.iter().flatten().collect();
            let beside = Beside { done: others, waiting };
            let (manifest, way) = match self.follow(source, part, former(part), &beside, stage)? {
                Some(made) => made,
                None => {
                    let manifest = self.fetch_manifest(source, part)?;
                    stage.retarget(&beside.with(&manifest))?;
                    (manifest, Transfer::Files)
                }
            };
            transfer = heavier(transfer, way);
            done[at] = Some(manifest);
        }
        let manifests: Vec<Manifest> = done.into_iter().flatten().collect();
        if several {
            stage.retarget(&parts::whole(tree, &manifests)?)?;
        }
        self.fetch_missing(source, tree, stage)?;
        Ok((manifests, transfer))
    }

    /// Brings one part of `stage` to what is offered by bundles; `None` when none lead there.
    fn follow(
        &self,
        source: &mut dyn Source,
        part: &Part,
        known: Option<&Known>,
        beside: &Beside<'_>,
        stage: &mut Stage,
    ) -> Result<Option<(Manifest, Transfer)>, Fault> {
        let from = known.map(|known| known.version);
        let none = Patches::new();
        let direct = route(&part.offer, &none, from);
        let older = self.older(source, part, from, direct.as_ref())?;
        let in_a_row = older.as_ref().and_then(|older| route(&part.offer, older, from));
        for (transfer, way) in in_a_row.into_iter().chain(direct) {
            let now = match transfer {
                Transfer::Patch => known.map(|known| known.manifest.clone()).unwrap_or_default(),
                _ => Manifest::default(),
            };
            match self.apply(source, &way, now, part, beside, stage) {
                Ok(now) => return Ok(Some((now, transfer))),
                // Patches of earlier releases are offered, not promised.
                Err(Fault::Error(error))
                    if error.kind() == Kind::Refused
                        && way.iter().any(|one| is_older(part, one)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    /// The patches of earlier releases, where no patch leads on from `from` and the list of them is
    /// worth asking for.
    fn older(
        &self,
        source: &mut dyn Source,
        part: &Part,
        from: Option<u64>,
        direct: Option<&(Transfer, Vec<&Target>)>,
    ) -> Result<Option<Patches>> {
        let offer = &part.offer;
        let near = |from: &u64| from.saturating_add(older::SPAN + PATCHES) >= offer.release;
        let (Some(list), Some(from)) = (&offer.older, from.filter(near)) else { return Ok(None) };
        let known = offer.patches.contains_key(&(from, offer.release));
        if known || direct.is_some_and(|(_, way)| cost(way) <= 4 * list.length) {
            return Ok(None);
        }
        let read = self.download(source, list, 0, list.length).and_then(|mut file| {
            let mut text = Vec::new();
            file.read_to_end(&mut text).map_err(|error| {
                Error::new(Kind::Io, format!("cannot read a download: {error}"))
            })?;
            older::parse(&text, &prefix(&part.role))
        });
        match read {
            Ok(patches) => Ok(Some(patches)),
            Err(error) if error.kind() == Kind::Refused => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Applies the bundles of `way` to `stage`, one upon the other, the first upon `now`.
    fn apply(
        &self,
        source: &mut dyn Source,
        way: &[&Target],
        mut now: Manifest,
        part: &Part,
        beside: &Beside<'_>,
        stage: &mut Stage,
    ) -> Result<Manifest, Fault> {
        let total = cost(way);
        let mut done = 0;
        let last = way.len().saturating_sub(1);
        for (step, target) in way.iter().enumerate() {
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
                    if step == last && new.hash() != part.offer.manifest.sha256 {
                        return Err(Error::refused(
                            "the bundle does not lead to the manifest that was signed",
                        ));
                    }
                    cell.borrow_mut().retarget(&beside.with(new))
                },
                &mut |file, content| cell.borrow_mut().put(file, content),
            )?;
        }
        Ok(now)
    }

    /// Brings `stage` to the offered release file by file: for trees of which nothing is known.
    pub(super) fn fill_by_files(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
        stage: &mut Stage,
    ) -> Result<(Vec<Manifest>, Transfer)> {
        let manifests = self.fetch_manifests(source, tree)?;
        stage.retarget(&parts::whole(tree, &manifests)?)?;
        let transfer = self.fetch_missing(source, tree, stage)?;
        Ok((manifests, transfer))
    }

    pub(super) fn fetch_manifests(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
    ) -> Result<Vec<Manifest>> {
        tree.parts.iter().map(|part| self.fetch_manifest(source, part)).collect()
    }

    fn fetch_manifest(&self, source: &mut dyn Source, part: &Part) -> Result<Manifest> {
        let target = &part.offer.manifest;
        let mut file = self.download(source, target, 0, target.length)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)
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
        tree: &Tree,
        stage: &mut Stage,
    ) -> Result<Transfer> {
        let needed = stage.needed();
        let mut downloads = self.downloads.borrow_mut();
        // What another release had begun is of no use to this one.
        downloads.prune(&|name| {
            let contents = needed.iter().map(|file| &file.sha256);
            let patches = tree.large().map(|(_, target)| &target.sha256);
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
            let content = self.fetch_large(source, tree, stage, &mut downloads, file, &progress)?;
            stage.put_large(file, content)?;
            got += file.size;
        }
        Ok(Transfer::Files)
    }
}

/// Whether `target` is none that the release offers itself.
fn is_older(part: &Part, target: &Target) -> bool {
    !part.offer.bundles().any(|offered| offered == target)
}

/// What a report says of two parts that travelled in different ways.
fn heavier(one: Transfer, other: Transfer) -> Transfer {
    let rank = |way: &Transfer| match way {
        Transfer::None => 0,
        Transfer::Patch => 1,
        Transfer::Full => 2,
        Transfer::Delta => 3,
        Transfer::Files => 4,
    };
    [one, other].into_iter().max_by_key(rank).unwrap_or(other)
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
