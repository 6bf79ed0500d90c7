//! What the accepted targets offer: a manifest, and the bundles that lead to it.

use std::collections::BTreeMap;

use super::Trust;
use crate::{
    Error, Result, large,
    manifest::{Hash, MANIFEST_MAX},
};

/// A signed length and hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in the metadata.
    pub name: String,
    /// SHA-256.
    pub sha256: Hash,
    /// Bytes.
    pub length: u64,
}

impl Target {
    /// Its file under `targets/`.
    pub fn file(&self) -> String {
        let hash = hex::encode(self.sha256);
        match self.name.rsplit_once('/') {
            Some((folder, name)) => format!("{folder}/{hash}.{name}"),
            None => format!("{hash}.{}", self.name),
        }
    }
}

/// What the accepted metadata offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The release.
    pub release: u64,
    /// Its manifest.
    pub manifest: Target,
    /// Full bundles by the release that they make.
    pub full: BTreeMap<u64, Target>,
    /// Patches by the releases from and to which they lead.
    pub patches: BTreeMap<(u64, u64), Target>,
    /// Large patches by the beginnings of the two contents' hashes; see [`crate::large`].
    pub large: BTreeMap<(u64, u64), Target>,
}

impl Offer {
    /// Everything that is offered but the manifest.
    pub fn bundles(&self) -> impl Iterator<Item = &Target> {
        self.full.values().chain(self.patches.values()).chain(self.large.values())
    }
}

impl Trust {
    /// What the accepted targets offer.
    pub fn offer(&self) -> Result<Offer> {
        let targets =
            self.set.targets_role("targets").ok_or_else(|| self.lacking("targets.json"))?;
        let mut manifest = None;
        let mut full = BTreeMap::new();
        let mut patches = BTreeMap::new();
        let mut large = BTreeMap::new();
        for (name, file) in &targets.targets {
            let mut sha256 = [0; 32];
            let hashed = file
                .hashes
                .get("sha256")
                .is_some_and(|text| hex::decode_to_slice(text, &mut sha256).is_ok());
            if !hashed {
                continue;
            }
            let target = Target { name: name.clone(), sha256, length: file.length };
            if name == "manifest" && target.length <= MANIFEST_MAX {
                manifest = Some(target);
            } else if let Some(to) = name.strip_suffix(".full.zst").and_then(|n| n.parse().ok()) {
                full.insert(to, target);
            } else if let Some(contents) = large::parse_name(name) {
                large.insert(contents, target);
            } else if let Some((from, to)) =
                name.strip_suffix(".patch.zst").and_then(|n| n.split_once('-'))
                && let (Ok(from), Ok(to)) = (from.parse(), to.parse())
            {
                patches.insert((from, to), target);
            }
        }
        let manifest = manifest.ok_or_else(|| {
            Error::refused(format!("{}targets.json names no manifest", self.prefix()))
        })?;
        Ok(Offer { release: targets.version, manifest, full, patches, large })
    }
}
