//! Making releases: scan, store, bundle, sign, and only then let them be seen.

use std::{fs, path::Path};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Error, Kind, Result, disk,
    library::Library,
    name,
    sign::{Key, Keys, Role, envelope},
};

mod bundles;
mod cache;
mod delegate;
pub(crate) mod export;
mod issue;
mod large;
mod online;
mod rotate;
mod scan;

pub mod root;
pub use delegate::{Delegation, delegate, undelegate};
use issue::Issue;
pub(crate) use issue::Newest;
pub use online::refresh;
use online::sign_online;
pub(crate) use online::{lock, raise};
pub use rotate::{Rotation, rotate};
pub use scan::{Check, News, Tree};

/// Patches lead to a release from this many before it.
pub const PATCHES: u64 = 8;

const NOTE_MAX: usize = 4096;

/// How long each role's metadata is valid.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// Days of root.
    pub root: i64,
    /// Days of targets.
    pub targets: i64,
    /// Days of snapshot.
    pub snapshot: i64,
    /// Days of timestamp.
    pub timestamp: i64,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { root: 365, targets: 365, snapshot: 90, timestamp: 14 }
    }
}

/// Whose part of which ring is published: the top-level one, or a team's.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The ring.
    pub ring: &'a str,
    /// The team; `None` for the top-level publisher.
    pub team: Option<&'a str>,
}

impl<'a> From<&'a str> for Place<'a> {
    fn from(ring: &'a str) -> Self {
        Self { ring, team: None }
    }
}

impl<'a> Place<'a> {
    fn role(&self) -> &'a str {
        self.team.unwrap_or("targets")
    }
}

/// What a publication did: `publish --json` of contract.md.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The ring.
    pub ring: String,
    /// The team whose part it is; absent for the top-level publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// The release that is newest now.
    pub release: u64,
    /// Files in the part that was published: all of them, where there are no teams.
    pub files: usize,
    /// Files that were added, changed or removed since the release before.
    pub changed: usize,
    /// Bytes of the patch from the release before, or of the full bundle when there is none.
    pub bytes: u64,
    /// The publisher's words.
    pub note: String,
    /// When the root expires.
    pub root_expires: String,
    /// When this release's metadata expires.
    pub targets_expires: String,
}

fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn after(now: DateTime<Utc>, days: i64) -> String {
    stamp(now + chrono::TimeDelta::days(days))
}

/// Makes a library with `rings`, and its keys where they are missing: `root_keys` root keys, of
/// which `root_threshold` must sign.
pub fn init(
    folder: &Path,
    keys: &Keys,
    rings: &[String],
    (root_keys, root_threshold): (u32, u32),
    now: DateTime<Utc>,
) -> Result<()> {
    for ring in rings {
        name::check_ring(ring)?;
    }
    if root_threshold == 0 || root_threshold > root_keys || root_keys > 32 {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{root_threshold} of {root_keys} root keys cannot sign: the threshold must be from 1 to the number of keys (at most 32)"
            ),
        ));
    }
    disk::make_folder(folder, 0o755)?;
    if fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::new(
            Kind::Usage,
            format!("{} is not empty; a library begins in a new or empty folder", folder.display()),
        ));
    }
    disk::make_folder(keys.folder(), 0o700)?;
    if keys.folder().join("root.json").exists() {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} already holds keys of a library; name another folder with --keys",
                keys.folder().display()
            ),
        ));
    }
    let roots = (1..=root_keys)
        .map(|index| keys.create(&format!("root-{index}"), Role::Root, None))
        .collect::<Result<Vec<_>>>()?;
    let online = [Role::Targets, Role::Snapshot, Role::Timestamp]
        .into_iter()
        .map(|role| Ok((role, keys.create(&role.to_string(), role, None)?)))
        .collect::<Result<Vec<_>>>()?;

    let mut public = Map::new();
    let mut roles = Map::new();
    for key in &roots {
        public.insert(key.id().to_owned(), key.public());
    }
    let ids: Vec<&str> = roots.iter().map(Key::id).collect();
    roles.insert("root".into(), json!({"keyids": ids, "threshold": root_threshold}));
    for (role, key) in &online {
        public.insert(key.id().to_owned(), key.public());
        roles.insert(role.to_string(), json!({"keyids": [key.id()], "threshold": 1}));
    }
    let signed = json!({
        "_type": "root", "spec_version": "1.0.0", "version": 1, "consistent_snapshot": true,
        "expires": after(now, Lifetimes::default().root), "keys": public, "roles": roles,
    });
    let root = envelope(&signed, &roots.iter().collect::<Vec<_>>())?;
    disk::replace(&keys.folder().join("root.json"), &root, 0o644)?;
    disk::make_folder(&folder.join("objects"), 0o755)?;
    disk::make_folder(&folder.join("export"), 0o755)?;
    for ring in rings {
        let ring = folder.join("rings").join(ring);
        disk::make_folder(&ring.join("targets"), 0o755)?;
        disk::replace(&ring.join("1.root.json"), &root, 0o644)?;
    }
    Ok(())
}

/// Publishes `tree` as the next release of a ring, or as a team's part of it.
///
/// A tree that equals the newest release makes no new one, unless that expires within 30 days:
/// only the timestamp is signed anew.
pub fn publish<'a>(
    library: &Library,
    keys: &Keys,
    tree: impl Into<Tree<'a>>,
    place: impl Into<Place<'a>>,
    note: &str,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let place = place.into();
    library.ring(place.ring)?;
    let _lock = lock(library)?;
    let tree = tree.into();
    let newest = Newest::of(library, place)?;
    let progress = tree.progress;
    let issue =
        Issue { library, keys, place, note, lifetimes, now, delegations: None, newest, progress };
    // Before the work: a missing key is known at once.
    let key = issue.key()?;
    let (manifest, mended) = scan::scan(&tree, library, &issue.newest.manifest)?;
    if mended {
        disk::sync_everything(library.folder())?;
    }
    let teams = issue.has_teams()?;
    let news = News { former: &issue.newest.manifest, manifest: &manifest, teams };
    let note = match (tree.check)(news)? {
        None => note.to_owned(),
        Some(more) if note.is_empty() => more,
        Some(more) => format!("{note} {more}"),
    };
    let issue = Issue { note: &note, ..issue };
    let report = issue.sign(&key, &manifest, None)?;
    // The export links to objects.
    if tree.rehash || mended {
        let whole = issue.whole(&manifest, &library.versions(place.ring)?)?;
        export::update(library, place.ring, &whole, None)?;
    }
    Ok(report)
}

/// Publishes what the newest release of `from` holds as the next release of `to`: the part of the
/// same role.
pub fn promote<'a>(
    library: &Library,
    keys: &Keys,
    (from, to): (&str, impl Into<Place<'a>>),
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let to = to.into();
    if from == to.ring {
        return Err(Error::new(Kind::Usage, "a ring cannot be promoted to itself"));
    }
    library.ring(to.ring)?;
    let number = library.versions(from)?.release();
    if number == 0 {
        return Err(Error::new(Kind::Usage, format!("ring {from} has no release to promote")));
    }
    reissue(library, keys, (from, number), to, lifetimes, now)
}

/// Publishes what release `number` of a ring held under the next number: the part of one role.
pub fn rollback<'a>(
    library: &Library,
    keys: &Keys,
    place: impl Into<Place<'a>>,
    number: u64,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let place = place.into();
    let ring = place.ring;
    let newest = library.versions(ring)?.release();
    if number == 0 || number >= newest {
        return Err(Error::new(
            Kind::Usage,
            format!("ring {ring} cannot roll back to {number}: its newest release is {newest}"),
        ));
    }
    reissue(library, keys, (ring, number), place, lifetimes, now)
}

fn reissue(
    library: &Library,
    keys: &Keys,
    (from, number): (&str, u64),
    place: Place<'_>,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let _lock = lock(library)?;
    let to = place.ring;
    let parts = library
        .parts(from, number)?
        .ok_or_else(|| Error::new(Kind::Usage, format!("ring {from} has no release {number}")))?;
    let release = parts.into_iter().find(|part| part.role == place.role()).ok_or_else(|| {
        let what = format!("the team {} had no part in release {number} of ring", place.role());
        Error::new(Kind::Usage, format!("{what} {from}"))
    })?;
    let manifest = library.manifest(from, &release)?;
    manifest.check_set()?;
    let words = release.signed["note"].as_str().unwrap_or_default();
    let note = match (from == to, words) {
        (true, _) => format!("back to release {number}"),
        (false, "") => format!("release {number} of {from}"),
        (false, words) => format!("release {number} of {from}: {words}"),
    };
    let newest = Newest::of(library, place)?;
    let (delegations, progress) = (None, &|_| ());
    let issue =
        Issue { library, keys, place, note: &note, lifetimes, now, delegations, newest, progress };
    let key = issue.key()?;
    issue.sign(&key, &manifest, (from == to).then_some(number))
}

/// How far a publication is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Files of the tree that were looked at.
    Read {
        /// So many…
        done: usize,
        /// …of so many.
        of: usize,
    },
    /// Patches that were made.
    Patched {
        /// So many…
        done: usize,
        /// …of so many.
        of: usize,
    },
    /// Bytes of contents that went into a full bundle.
    Packed {
        /// So many…
        done: u64,
        /// …of so many.
        of: u64,
    },
}

/// Told of each [`Step`], from several threads.
pub type Progress<'a> = dyn Fn(Step) + Sync + 'a;

fn root_expires(library: &Library, ring: &str) -> Result<String> {
    let file = format!("{}.root.json", library.root_version(ring)?);
    let bytes = library.metadata(ring, &file)?.unwrap_or_default();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(json["signed"]["expires"].as_str().unwrap_or_default().to_owned())
}
