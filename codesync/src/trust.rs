//! What a client believes: the TUF client workflow over the folder `ROOT/trust`.
//!
//! This is the only module that knows the verification library. It does no transfer: it asks for
//! a file by name, is given the bytes that a carrier handed out, and says what they mean or refuses
//! them before it asks for the next. What verified is stored, in the order of the specification
//! (TUF 1.0, section 5.3 to 5.6); nothing else ever is.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sigstore_tuf::{
    Error as Tuf, MetaFile, Metadata, Root, Snapshot, Targets, Timestamp, TrustedMetadataSet,
    metadata::Role as _,
};

mod delegation;
mod distinct;
mod offer;
mod team;
mod words;

pub use delegation::encode;
pub use offer::{Offer, Target, prefix};
pub use team::{Part, Paths, Tree, carried};
use words::check_ring;

use crate::{Error, Kind, Result, disk, name};

/// Longest accepted metadata, in bytes.
pub const ROOT_MAX: u64 = 512 << 10;
/// See [`ROOT_MAX`].
pub const TIMESTAMP_MAX: u64 = 64 << 10;
/// See [`ROOT_MAX`].
pub const SNAPSHOT_MAX: u64 = 2 << 20;
/// See [`ROOT_MAX`].
pub const TARGETS_MAX: u64 = 8 << 20;
/// See [`ROOT_MAX`]: a team's own.
pub const TEAM_MAX: u64 = 256 << 10;
/// Most teams that share a tree.
pub const TEAMS_MAX: usize = 31;
/// Most roots in one answer of a carrier.
pub const ROOTS_MAX: usize = 64;
/// Most roots taken in one refresh: no publisher rotates so often while a client is away.
const ROTATIONS_MAX: usize = 1024;

/// TUF's canonical JSON: the bytes that signatures cover.
pub fn canonical(value: &Value) -> Result<Vec<u8>> {
    sigstore_tuf::canonical_json::to_canonical_bytes(value)
        .map_err(|error| Error::refused(format!("cannot write canonical JSON: {error}")))
}

/// The longest that metadata called `file` may be; `None` when it is no metadata's name.
pub fn limit(file: &str) -> Option<u64> {
    if file == "timestamp.json" {
        return Some(TIMESTAMP_MAX);
    }
    let (version, rest) = file.split_once('.')?;
    let canonical = version.parse::<u64>().is_ok_and(|n| n > 0 && n.to_string() == version);
    match rest {
        _ if !canonical => None,
        "root.json" => Some(ROOT_MAX),
        "snapshot.json" => Some(SNAPSHOT_MAX),
        "targets.json" => Some(TARGETS_MAX),
        _ => rest.strip_suffix(".json").filter(|role| name::is_team(role)).map(|_| TEAM_MAX),
    }
}

/// The versions that a client has accepted; 0 for none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// Of the root, at least 1 once something is pinned.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the targets.
    pub targets: u64,
    /// Of each team's metadata that the snapshot names, by team: those that are no longer delegated
    /// to included. 0 where the metadata is not here.
    pub teams: BTreeMap<String, u64>,
}

impl Versions {
    /// The release: every publication by anybody raises one of these versions by one, and TUF lets
    /// none of them fall or disappear. Where there are no teams, it is the version of the targets.
    pub fn release(&self) -> u64 {
        self.teams.values().fold(self.targets, |sum, version| sum.saturating_add(*version))
    }

    /// The version of `role`, which is `targets` or a team; 0 for none.
    pub fn of(&self, role: &str) -> u64 {
        match role {
            "targets" => self.targets,
            team => self.teams.get(team).copied().unwrap_or_default(),
        }
    }
}

/// Hands out a metadata file of at most so many bytes; `None` when the carrier does not have it.
pub type Fetch<'a> = dyn FnMut(&str, u64) -> Result<Option<Vec<u8>>> + 'a;

/// The trusted metadata of one ring.
#[derive(Debug)]
pub struct Trust {
    folder: PathBuf,
    ring: Option<String>,
    set: TrustedMetadataSet,
    cached: BTreeMap<&'static str, Vec<u8>>,
    /// The versions that the last accepted snapshot names. Kept apart from the set, which forgets
    /// a snapshot as soon as a newer timestamp was accepted without it.
    floor: BTreeMap<String, u64>,
}

const CACHED: [(&str, u64); 3] = [
    ("timestamp.json", TIMESTAMP_MAX),
    ("snapshot.json", SNAPSHOT_MAX),
    ("targets.json", TARGETS_MAX),
];

impl Trust {
    /// Opens `folder`; begins with `pinned` when no root was accepted there yet.
    ///
    /// `ring` is the ring that metadata must name; `None` takes any repository.
    pub fn open(folder: &Path, pinned: &Path, ring: Option<&str>) -> Result<Self> {
        let stored = match disk::read_bounded(&folder.join("root.json"), ROOT_MAX)? {
            Some(bytes) => TrustedMetadataSet::from_root(&bytes).ok(),
            None => None,
        };
        let set = match stored {
            Some(set) => set,
            // Torn or missing: the pinned root, and from there through every version again.
            None => {
                let bytes = disk::read_bounded(pinned, ROOT_MAX)?.ok_or_else(|| {
                    Error::new(
                        Kind::Config,
                        format!(
                            "the pinned root {} is missing; copy root.json from the publisher's key folder to it",
                            pinned.display()
                        ),
                    )
                })?;
                TrustedMetadataSet::from_root(&bytes).map_err(|error| {
                    Error::new(
                        Kind::Config,
                        format!(
                            "the pinned root {} is not a signed root.json: {error}",
                            pinned.display()
                        ),
                    )
                })?
            }
        };
        let mut cached = BTreeMap::new();
        for (name, limit) in CACHED {
            if let Ok(Some(bytes)) = disk::read_bounded(&folder.join(name), limit) {
                cached.insert(name, bytes);
            }
        }
        let mut trust = Self {
            folder: folder.to_owned(),
            ring: ring.map(str::to_owned),
            set,
            cached,
            floor: BTreeMap::new(),
        };
        trust.load_cached();
        Ok(trust)
    }

    /// Takes what was accepted earlier as the floor for what is new. Expired metadata counts too:
    /// versions must not go back because time has passed. What no longer verifies (its keys were
    /// rotated away) is no floor: TUF 5.3.11.
    fn load_cached(&mut self) {
        let always = jiff::Timestamp::MIN;
        let ring = self.ring.clone();
        let of_ring = |bytes: &&Vec<u8>| check_ring(ring.as_deref(), "", bytes).is_ok();
        if let Some(bytes) = self.cached.get("timestamp.json").filter(of_ring) {
            let _ = self.set.update_timestamp(bytes, always);
        }
        self.floor.clear();
        if let Some(bytes) = self.cached.get("snapshot.json").filter(of_ring) {
            let _ = self.set.update_snapshot(bytes, always);
            self.floor = self.signed_versions(bytes).unwrap_or_default();
        }
        if let Some(bytes) = self.cached.get("targets.json").filter(of_ring) {
            let _ = self.set.update_targets(bytes, always);
        }
        self.load_cached_teams(always);
    }

    /// The accepted versions.
    pub fn versions(&self) -> Versions {
        Versions {
            root: self.set.root().version,
            timestamp: self.set.timestamp().map_or(0, |role| role.version),
            snapshot: self.set.snapshot().map_or(0, |role| role.version),
            targets: self.set.targets_role("targets").map_or(0, |role| role.version),
            teams: self.team_versions(),
        }
    }

    /// The versions that a snapshot names, if the keys of today's root signed it.
    fn signed_versions(&self, bytes: &[u8]) -> Option<BTreeMap<String, u64>> {
        let snapshot = Metadata::<Snapshot>::from_slice(bytes).ok()?;
        let root = self.set.root();
        snapshot.verify_threshold(&root.keys, root.role("snapshot")?, "snapshot").ok()?;
        Some(
            snapshot
                .signed()
                .meta
                .iter()
                .map(|(name, meta)| (name.clone(), meta.version))
                .collect(),
        )
    }

    /// Takes in what a carrier answered to a refresh: newer metadata by file name. See
    /// [`Trust::update`].
    pub fn refresh(&mut self, files: &[(String, Vec<u8>)], now: DateTime<Utc>) -> Result<()> {
        let mut find = |wanted: &str, _| {
            Ok(files.iter().find(|(name, _)| name == wanted).map(|(_, bytes)| bytes.clone()))
        };
        self.update(&mut find, now)
    }

    /// The client workflow (TUF 5.3 to 5.6): asks `fetch` for one file after the other, and for none
    /// that is already here.
    ///
    /// `now` is the clock by which things expire. An error of kind [`Kind::Stale`] means that
    /// everything is in order but too old.
    pub fn update(&mut self, fetch: &mut Fetch<'_>, now: DateTime<Utc>) -> Result<()> {
        let time = clock(now)?;
        self.update_root(fetch)?;
        self.set.check_root_expired(time).map_err(|error| self.refusal("root.json", &error))?;
        self.update_timestamp(fetch, time)?;
        self.update_snapshot(fetch, time)?;
        self.update_targets(fetch, time)?;
        self.update_teams(fetch, now)
    }

    /// 5.3: every root in turn.
    fn update_root(&mut self, fetch: &mut Fetch<'_>) -> Result<()> {
        for _ in 0..ROTATIONS_MAX {
            let name = format!("{}.root.json", self.set.root().version + 1);
            let Some(bytes) = fetch(&name, ROOT_MAX)? else { return Ok(()) };
            let root = self.set.root();
            self.check_distinct::<Root>(&name, &bytes, &root.keys, root.role("root"))?;
            if let Ok(new) = Metadata::<Root>::from_slice(&bytes) {
                let new = new.signed();
                self.check_distinct::<Root>(&name, &bytes, &new.keys, new.role("root"))?;
            }
            self.set.update_root(&bytes).map_err(|error| self.refusal(&name, &error))?;
            self.store("root.json", &bytes)?;
            self.load_cached();
        }
        Err(Error::refused(format!(
            "{}the source hands out more than {ROTATIONS_MAX} new roots at once",
            self.prefix()
        )))
    }

    /// 5.4: the timestamp, or the one that is here if it is still the newest.
    fn update_timestamp(&mut self, fetch: &mut Fetch<'_>, now: jiff::Timestamp) -> Result<()> {
        match fetch("timestamp.json", TIMESTAMP_MAX)? {
            Some(bytes) => {
                self.check_ring("timestamp.json", &bytes)?;
                let root = self.set.root();
                let keys = root.role("timestamp");
                self.check_distinct::<Timestamp>("timestamp.json", &bytes, &root.keys, keys)?;
                match self.set.update_timestamp(&bytes, now) {
                    Ok(()) => self.keep("timestamp.json", &bytes)?,
                    Err(Tuf::EqualVersion { .. }) => {}
                    Err(error) => return Err(self.refusal("timestamp.json", &error)),
                }
            }
            None if self.set.timestamp().is_none() => return Err(self.lacking("timestamp.json")),
            None => {}
        }
        self.set
            .check_timestamp_expired(now)
            .map_err(|error| self.refusal("timestamp.json", &error))
    }

    /// 5.5: the snapshot that the timestamp names.
    fn update_snapshot(&mut self, fetch: &mut Fetch<'_>, now: jiff::Timestamp) -> Result<()> {
        let pinned = self
            .set
            .timestamp()
            .and_then(|role| role.snapshot_meta())
            .cloned()
            .ok_or_else(|| self.lacking("snapshot.json"))?;
        if self.set.snapshot().map(|role| role.version) != Some(pinned.version) {
            let name = self.file("snapshot", pinned.version);
            let limit = pinned.length.unwrap_or(SNAPSHOT_MAX).min(SNAPSHOT_MAX);
            let bytes = fetch(&name, limit)?.ok_or_else(|| self.lacking(&name))?;
            self.check_ring(&name, &bytes)?;
            let root = self.set.root();
            self.check_distinct::<Snapshot>(&name, &bytes, &root.keys, root.role("snapshot"))?;
            self.check_floor(&bytes)?;
            self.set
                .update_snapshot(&bytes, now)
                .map_err(|error| self.refusal("snapshot.json", &error))?;
            self.keep("snapshot.json", &bytes)?;
            self.floor = self.signed_versions(&bytes).unwrap_or_default();
            // The former targets may still be the ones that it names.
            if let Some(targets) = self.cached.get("targets.json") {
                let _ = self.set.update_targets(targets, jiff::Timestamp::MIN);
            }
        }
        self.set.check_snapshot_expired(now).map_err(|error| self.refusal("snapshot.json", &error))
    }

    /// 5.5.5: no targets metadata disappears or goes back.
    fn check_floor(&self, bytes: &[u8]) -> Result<()> {
        // What does not parse is refused with its reason when it is verified.
        let Ok(new) = Metadata::<Snapshot>::from_slice(bytes) else { return Ok(()) };
        for (name, &trusted) in &self.floor {
            match new.signed().meta.get(name).map(|meta| meta.version) {
                Some(version) if version >= trusted => {}
                Some(new) => {
                    let role = format!("{name} (named by the snapshot)");
                    let error = Tuf::Rollback { role, trusted, new };
                    return Err(self.refusal("snapshot.json", &error));
                }
                None => {
                    return Err(Error::refused(format!(
                        "{}the new snapshot leaves out {name}, which the one before named: the source is hostile",
                        self.prefix()
                    )));
                }
            }
        }
        Ok(())
    }

    /// 5.6: the targets that the snapshot names.
    fn update_targets(&mut self, fetch: &mut Fetch<'_>, now: jiff::Timestamp) -> Result<()> {
        let pinned = self.pin("targets").ok_or_else(|| self.lacking("targets.json"))?;
        if self.set.targets_role("targets").map(|role| role.version) != Some(pinned.version) {
            let name = self.file("targets", pinned.version);
            let limit = pinned.length.unwrap_or(TARGETS_MAX).min(TARGETS_MAX);
            let bytes = fetch(&name, limit)?.ok_or_else(|| self.lacking(&name))?;
            self.check_ring(&name, &bytes)?;
            let root = self.set.root();
            self.check_distinct::<Targets>(&name, &bytes, &root.keys, root.role("targets"))?;
            let taken = self.set.update_targets(&bytes, now).map(|_| ());
            taken.map_err(|error| self.refusal("targets.json", &error))?;
            self.keep("targets.json", &bytes)?;
        }
        if self.set.targets_role("targets").is_some_and(|role| role.is_expired(now)) {
            let expires = self.expires().get("targets").copied();
            return Err(self.stale("targets.json", expires));
        }
        Ok(())
    }

    /// What the snapshot says about the targets metadata of `role`.
    fn pin(&self, role: &str) -> Option<MetaFile> {
        self.set.snapshot()?.meta.get(&format!("{role}.json")).cloned()
    }

    /// The name under which `version` of `role` is handed out (TUF 6.2).
    fn file(&self, role: &str, version: u64) -> String {
        match self.set.root().consistent_snapshot {
            true => format!("{version}.{}.json", encode(role)),
            false => format!("{}.json", encode(role)),
        }
    }

    /// When each accepted role expires, the teams included.
    pub fn expires(&self) -> BTreeMap<String, DateTime<Utc>> {
        let mut times = BTreeMap::new();
        let mut put = |role: &str, time: jiff::Timestamp| {
            if let Some(time) = DateTime::from_timestamp(time.as_second(), 0) {
                times.insert(role.to_owned(), time);
            }
        };
        put("root", self.set.root().expires());
        if let Some(role) = self.set.timestamp() {
            put("timestamp", role.expires());
        }
        if let Some(role) = self.set.snapshot() {
            put("snapshot", role.expires());
        }
        if let Some(role) = self.set.targets_role("targets") {
            put("targets", role.expires());
        }
        for team in self.teams() {
            if let Some(role) = self.set.targets_role(&team.name) {
                put(&team.name, role.expires());
            }
        }
        times
    }

    fn keep(&mut self, name: &'static str, bytes: &[u8]) -> Result<()> {
        self.store(name, bytes)?;
        self.cached.insert(name, bytes.to_vec());
        Ok(())
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<()> {
        disk::replace(&self.folder.join(name), bytes, 0o644)
    }
}

fn clock(now: DateTime<Utc>) -> Result<jiff::Timestamp> {
    jiff::Timestamp::from_second(now.timestamp())
        .map_err(|_| Error::new(Kind::Config, "this machine's clock is out of any range"))
}

#[cfg(test)]
mod tests;
