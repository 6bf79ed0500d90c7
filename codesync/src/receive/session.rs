//! One publisher's visit: what was offered, what is lacking of it, what may be uploaded.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    io::Read,
    path::Path,
};

use chrono::{DateTime, Utc};

use super::{Incoming, unpack};
use crate::{
    Error, Kind, Result, disk,
    library::Library,
    manifest::{Hash, Manifest, sha256},
    name,
    trust::{Part, Trust, Versions},
    union::union,
    upload::{
        BUNDLE_MAX, Bundle, Bundles, CONTENT_MAX, Content, Contents, LISTED_MAX, RINGS_MAX, State,
        Step,
    },
};

/// One publisher's visit.
pub(super) struct Session {
    pub(super) library: Library,
    pub(super) incoming: Incoming,
    pub(super) pending: BTreeMap<String, Pending>,
    /// Signed lengths of what may be uploaded.
    pub(super) wanted: HashMap<Hash, u64>,
    /// What became visible.
    pub(super) done: Vec<Step>,
    pub(super) now: DateTime<Utc>,
}

/// A ring whose metadata has been verified.
pub(super) struct Pending {
    pub(super) before: Versions,
    pub(super) after: Versions,
    pub(super) files: Vec<(String, Vec<u8>)>,
    pub(super) parts: Vec<PendingPart>,
    /// The tree that the parts make, once nothing is lacking.
    pub(super) tree: Option<Manifest>,
}

/// What one role signed of it.
pub(super) struct PendingPart {
    pub(super) part: Part,
    pub(super) unpacked: bool,
    pub(super) manifest: Option<Manifest>,
}

impl Session {
    pub(super) fn begin(folder: &Path, now: DateTime<Utc>) -> Result<Self> {
        let empty = || {
            fs::read_dir(folder).map(|entries| {
                entries.flatten().all(|entry| {
                    let name = entry.file_name();
                    name == "incoming" || name.as_encoded_bytes().starts_with(b".")
                })
            })
        };
        if !folder.join("rings").is_dir() && !empty().map_err(|e| Error::io("read", folder, &e))? {
            return Err(Error::new(
                Kind::Config,
                "the server's folder is neither a library nor empty; name the right one",
            ));
        }
        Ok(Self {
            library: Library::at(folder),
            incoming: Incoming::open(folder)?,
            pending: BTreeMap::new(),
            wanted: HashMap::new(),
            done: Vec::new(),
            now,
        })
    }

    pub(super) fn state(&self, rings: &[String]) -> Result<State> {
        if rings.len() > RINGS_MAX {
            return Err(Error::new(
                Kind::Usage,
                "too many rings in one push; push fewer at a time",
            ));
        }
        let mut state = State::default();
        for ring in rings {
            state.rings.insert(ring.clone(), self.versions(ring)?.into());
        }
        state.root = self.first_root()?.map(|root| hex::encode(sha256(&root)));
        Ok(state)
    }

    /// The versions that are here of `ring`; zeros if there is no such ring.
    fn versions(&self, ring: &str) -> Result<Versions> {
        name::check_ring(ring)?;
        if !self.library.folder().join("rings").join(ring).is_dir() {
            return Ok(Versions::default());
        }
        self.library.versions(ring)
    }

    /// The root.json with which the rings here began.
    fn first_root(&self) -> Result<Option<Vec<u8>>> {
        if !self.library.folder().join("rings").is_dir() {
            return Ok(None);
        }
        for ring in self.library.rings()? {
            if let Some(root) = self.library.metadata(&ring, "1.root.json")? {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }

    /// Verifies metadata as a client that has what the server has.
    pub(super) fn offer(&mut self, ring: &str, files: &[(String, Vec<u8>)]) -> Result<Bundles> {
        let before = self.versions(ring)?;
        let workshop = self.incoming.workshop()?;
        let put =
            |name: &str, bytes: &[u8]| disk::replace(&workshop.path().join(name), bytes, 0o600);
        let find = |wanted: &str| files.iter().find(|(name, _)| name == wanted).map(|(_, b)| b);
        let pinned = workshop.path().join("pinned.json");
        if before.root == 0 {
            let first = find("1.root.json")
                .ok_or_else(|| Error::new(Kind::Usage, "a new ring needs its 1.root.json"))?;
            if self.first_root()?.is_some_and(|root| root != *first) {
                return Err(Error::refused(format!(
                    "ring {ring} began with another root than the rings that the server has: it is another library's"
                )));
            }
            put("pinned.json", first)?;
        } else {
            let mut held = vec![
                (format!("{}.root.json", before.root), "pinned.json".to_owned()),
                ("timestamp.json".to_owned(), "timestamp.json".to_owned()),
                (format!("{}.snapshot.json", before.snapshot), "snapshot.json".to_owned()),
                (format!("{}.targets.json", before.targets), "targets.json".to_owned()),
            ];
            let teams = before.teams.iter();
            held.extend(
                teams.map(|(team, v)| (format!("{v}.{team}.json"), format!("{team}.json"))),
            );
            for (own, theirs) in held {
                if let Some(bytes) = self.library.metadata(ring, &own)? {
                    put(&theirs, &bytes)?;
                }
            }
        }
        let mut trust = Trust::open(workshop.path(), &pinned, Some(ring))?;
        trust.refresh(files, self.now)?;
        let after = trust.versions();
        let mut kept = Vec::new();
        for version in before.root + 1..=after.root {
            let name = format!("{version}.root.json");
            if let Some(bytes) = find(&name) {
                kept.push((name, bytes.clone()));
            }
        }
        // The same version must be the same bytes: else two publishers went different ways.
        for (name, accepted) in trust.accepted()? {
            match find(&name) {
                Some(bytes) if accepted == *bytes => kept.push((name, accepted)),
                _ => {
                    return Err(Error::refused(format!(
                        "ring {ring}: the server has another {name} of the same version; two libraries went different ways: publish from a copy of the server's"
                    )));
                }
            }
        }
        let parts = trust.tree()?.parts;
        let mut lacking = Vec::new();
        for target in parts.iter().flat_map(|part| part.offer.bundles()) {
            let there =
                self.library.folder().join("rings").join(ring).join("targets").join(target.file());
            let is = |path: &Path| {
                disk::digest(path).map(|found| found.is_some_and(|(hash, _)| hash == target.sha256))
            };
            if self.incoming.has(&target.sha256)? || is(&there)? {
                continue;
            }
            if target.length > BUNDLE_MAX || !name::is_target_file(&target.file()) {
                return Err(Error::refused(format!(
                    "the bundle {} is too large, or its name odd",
                    target.name
                )));
            }
            self.wanted.insert(target.sha256, target.length);
            let have = self.incoming.begun(&target.sha256, target.length);
            lacking.push(Bundle { name: target.file(), have });
        }
        let pending = Pending {
            before,
            after,
            files: kept,
            parts: parts
                .into_iter()
                .map(|part| PendingPart { part, unpacked: false, manifest: None })
                .collect(),
            tree: None,
        };
        self.pending.insert(ring.to_owned(), pending);
        Ok(Bundles { bundles: lacking })
    }

    pub(super) fn put(
        &mut self,
        hash: &str,
        span: (u64, u64),
        reader: &mut impl Read,
    ) -> Result<()> {
        let mut sha256 = [0; 32];
        let hashed = name::is_sha256(hash) && hex::decode_to_slice(hash, &mut sha256).is_ok();
        if !hashed || self.wanted.get(&sha256) != Some(&span.1) {
            return Err(Error::new(Kind::Usage, "an upload of something that no signature names"));
        }
        self.incoming.put(&sha256, span, reader)
    }

    /// What is still lacking of `ring`.
    pub(super) fn contents(&mut self, ring: &str) -> Result<Contents> {
        let pending = self
            .pending
            .get_mut(ring)
            .ok_or_else(|| Error::new(Kind::Usage, "contents come after an offer"))?;
        let mut known: HashSet<Hash> = HashSet::new();
        let mut contents = Vec::new();
        let mut manifests = Vec::new();
        for one in &mut pending.parts {
            let PendingPart { part, unpacked, manifest } = one;
            let newest = pending.before.of(&part.role);
            let base = unpack::base(&self.library, ring, &part.role, newest);
            known.extend(base.iter().flat_map(|(_, m)| m.files()).map(|file| file.sha256));
            if !*unpacked {
                *unpacked = true;
                let (library, incoming) = (&self.library, &mut self.incoming);
                *manifest = unpack::unpack(library, incoming, ring, &part.offer, base.as_ref());
            }
            let target = &part.offer.manifest;
            if manifest.is_none() {
                *manifest = unpack::uploaded(&mut self.incoming, target)?;
            }
            match manifest {
                Some(manifest) => {
                    part.paths.check(manifest)?;
                    manifests.push((part.role.as_str(), &*manifest));
                }
                None => {
                    self.wanted.insert(target.sha256, target.length);
                    let have = self.incoming.begun(&target.sha256, target.length);
                    let sha256 = hex::encode(target.sha256);
                    contents.push(Content { sha256, length: target.length, have });
                }
            }
        }
        if !contents.is_empty() {
            return Ok(Contents { contents });
        }
        let manifest = union(&manifests)?;
        for file in manifest.missing(&Manifest::default()) {
            let object = self.library.object(&file.sha256);
            // What the newest release has was hashed when it came; a power cut shows in the length.
            let there = if known.contains(&file.sha256) {
                fs::metadata(&object).is_ok_and(|metadata| metadata.len() == file.size)
            } else {
                disk::digest(&object)?.is_some_and(|found| found == (file.sha256, file.size))
            };
            if there || self.incoming.has(&file.sha256)? {
                continue;
            }
            if file.size > CONTENT_MAX {
                return Err(Error::refused(format!("{} is larger than 16 GiB", file.path)));
            }
            self.wanted.insert(file.sha256, file.size);
            let have = self.incoming.begun(&file.sha256, file.size);
            contents.push(Content { sha256: hex::encode(file.sha256), length: file.size, have });
            if contents.len() == LISTED_MAX {
                break;
            }
        }
        pending.tree = contents.is_empty().then_some(manifest);
        Ok(Contents { contents })
    }
}
