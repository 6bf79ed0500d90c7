//! Making releases: scan, store, bundle, sign, and only then let them be seen.

use std::{fs, path::Path};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::{
    Error, Kind, Result, disk,
    library::{Library, Published},
    manifest::Manifest,
    name,
    sign::{Key, Keys, Role, envelope},
    trust::Versions,
};

mod bundles;
mod cache;
pub(crate) mod export;
mod large;
mod online;
mod rotate;
mod scan;

pub mod root;
use bundles::store_targets;
pub use online::refresh;
use online::sign_online;
pub(crate) use online::{lock, raise};
pub use rotate::{Rotation, rotate};
pub use scan::Tree;

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

/// What a publication did: `publish --json` of contract.md.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The ring.
    pub ring: String,
    /// The release that is newest now.
    pub release: u64,
    /// Files in it.
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

/// Publishes `tree` as the next release of `ring`.
///
/// A tree that equals the newest release makes no new one, unless that expires within 30 days:
/// only the timestamp is signed anew.
pub fn publish<'a>(
    library: &Library,
    keys: &Keys,
    tree: impl Into<Tree<'a>>,
    ring: &str,
    note: &str,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    library.ring(ring)?;
    let _lock = lock(library)?;
    let tree = tree.into();
    // Before the work: a missing key is known at once.
    let key = keys.role(Role::Targets)?;
    let newest = Newest::of(library, ring)?;
    let (manifest, mended) = scan::scan(&tree, library, &newest.manifest)?;
    if mended {
        disk::sync_everything(library.folder())?;
    }
    let progress = tree.progress;
    let issue = Issue { library, keys, ring, note, lifetimes, now, newest, progress };
    let report = issue.sign(&key, &manifest, None)?;
    // The export links to objects.
    if tree.rehash || mended {
        export::update(library, ring, &manifest, None)?;
    }
    Ok(report)
}

/// Publishes what the newest release of `from` holds as the next release of `to`.
pub fn promote(
    library: &Library,
    keys: &Keys,
    (from, to): (&str, &str),
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    if from == to {
        return Err(Error::new(Kind::Usage, "a ring cannot be promoted to itself"));
    }
    library.ring(to)?;
    let number = library.versions(from)?.targets;
    if number == 0 {
        return Err(Error::new(Kind::Usage, format!("ring {from} has no release to promote")));
    }
    reissue(library, keys, (from, number), to, lifetimes, now)
}

/// Publishes what release `number` of `ring` held under the next number.
pub fn rollback(
    library: &Library,
    keys: &Keys,
    ring: &str,
    number: u64,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let newest = library.versions(ring)?.targets;
    if number == 0 || number >= newest {
        return Err(Error::new(
            Kind::Usage,
            format!("ring {ring} cannot roll back to {number}: its newest release is {newest}"),
        ));
    }
    reissue(library, keys, (ring, number), ring, lifetimes, now)
}

fn reissue(
    library: &Library,
    keys: &Keys,
    (from, number): (&str, u64),
    to: &str,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
) -> Result<Report> {
    let _lock = lock(library)?;
    let release = library
        .published(from, number)?
        .ok_or_else(|| Error::new(Kind::Usage, format!("ring {from} has no release {number}")))?;
    let manifest = library.manifest(from, &release)?;
    manifest.check_set()?;
    let words = release.signed["note"].as_str().unwrap_or_default();
    let note = match (from == to, words) {
        (true, _) => format!("back to release {number}"),
        (false, "") => format!("release {number} of {from}"),
        (false, words) => format!("release {number} of {from}: {words}"),
    };
    let newest = Newest::of(library, to)?;
    let progress = &|_| ();
    let issue = Issue { library, keys, ring: to, note: &note, lifetimes, now, newest, progress };
    let key = keys.role(Role::Targets)?;
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
    /// Bundles that were made.
    Bundled {
        /// So many…
        done: usize,
        /// …of so many; one more if a full bundle is needed.
        of: usize,
    },
}

/// Told of each [`Step`], from several threads.
pub type Progress<'a> = dyn Fn(Step) + Sync + 'a;

/// The newest release of a ring, upon which the next one follows.
pub(crate) struct Newest {
    versions: Versions,
    published: Option<Published>,
    pub(crate) manifest: Manifest,
}

impl Newest {
    /// The newest release of `ring`; an empty manifest where there is none.
    pub(crate) fn of(library: &Library, ring: &str) -> Result<Self> {
        let versions = library.versions(ring)?;
        let published = match versions.targets {
            0 => None,
            number => library.published(ring, number)?,
        };
        let manifest = match &published {
            Some(published) => library.manifest(ring, published)?,
            None => Manifest::default(),
        };
        Ok(Self { versions, published, manifest })
    }
}

/// A release that is about to be signed.
struct Issue<'a> {
    library: &'a Library,
    keys: &'a Keys,
    ring: &'a str,
    note: &'a str,
    lifetimes: Lifetimes,
    now: DateTime<Utc>,
    newest: Newest,
    progress: &'a Progress<'a>,
}

impl Issue<'_> {
    /// Signs `manifest`, whose contents are stored, as the next release. `content_of` is the
    /// earlier release that it repeats.
    fn sign(&self, key: &Key, manifest: &Manifest, content_of: Option<u64>) -> Result<Report> {
        let Self { library, keys, ring, note, lifetimes, now, ref newest, progress } = *self;
        if note.len() > NOTE_MAX {
            return Err(Error::new(Kind::Usage, "the note is longer than 4,096 bytes; shorten it"));
        }
        rotate::check_authorized(library, ring, Role::Targets, key)?;
        let Newest { versions, published: former, manifest: old } = newest;
        let versions = *versions;
        let changed = manifest.changes(old).len();
        let mut report = Report {
            ring: ring.to_owned(),
            release: versions.targets,
            files: manifest.len(),
            changed,
            bytes: 0,
            note: note.to_owned(),
            root_expires: root_expires(library, ring)?,
            targets_expires: after(now, lifetimes.targets),
        };
        if let Some(former) = former.as_ref().filter(|one| changed == 0 && !ending(one, now)) {
            sign_online(library, keys, ring, versions, versions.targets, lifetimes, now)?;
            let word = |key: &str| former.signed[key].as_str().unwrap_or_default().to_owned();
            report.note = word("note");
            report.targets_expires = word("expires");
            return Ok(report);
        }

        // Contents and bundles are on the disk before anything points to them. That includes what
        // was here already, but not in the newest release: nobody knows whether it was synced.
        let mut written = disk::Unsynced::default();
        for file in manifest.missing(old) {
            written.add(library.object(&file.sha256));
        }
        report.release = versions.targets + 1;
        let (targets, bytes) =
            store_targets(library, ring, report.release, manifest, newest, &mut written, progress)?;
        written.sync(library.folder())?;
        report.bytes = bytes;
        let mut signed = json!({
            "_type": "targets", "spec_version": "1.0.0", "version": report.release,
            "expires": report.targets_expires, "ring": ring, "published": stamp(now),
            "note": note, "targets": targets,
        });
        if let Some(number) = content_of {
            signed["content_of"] = json!(number);
        }
        let file = library.ring(ring)?.join(format!("{}.targets.json", report.release));
        disk::replace(&file, &envelope(&signed, &[key])?, 0o644)?;
        // From here on the release can be seen.
        sign_online(library, keys, ring, versions, report.release, lifetimes, now)?;
        export::update(library, ring, manifest, Some(old))?;
        Ok(report)
    }
}

/// Whether a release expires within 30 days: then the same content is worth a new one.
fn ending(release: &Published, now: DateTime<Utc>) -> bool {
    let expires = release.signed["expires"].as_str().unwrap_or_default();
    DateTime::parse_from_rfc3339(expires)
        .is_ok_and(|time| time.to_utc() < now + chrono::TimeDelta::days(30))
}

fn root_expires(library: &Library, ring: &str) -> Result<String> {
    let file = format!("{}.root.json", library.root_version(ring)?);
    let bytes = library.metadata(ring, &file)?.unwrap_or_default();
    let json: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(json["signed"]["expires"].as_str().unwrap_or_default().to_owned())
}
