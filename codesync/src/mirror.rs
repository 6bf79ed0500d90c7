//! A verified copy of a library, for a static web server, a bucket or a disk that travels.
//!
//! A mirror is a client that keeps everything: it refreshes and verifies as a machine does, fetches
//! what it lacks, and only then lets the new metadata be seen, the timestamp last. Whoever reads the
//! folder meanwhile sees the release before or the new one. It signs nothing and is not trusted:
//! machines verify what it hands out.
//!
//!     DIR/rings, DIR/objects   as in docs/format.md
//!     DIR/.mirror/             what was accepted last, the lock, downloads that were cut off

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    Error, Kind, Result, disk,
    fetch::{Downloads, Wanted},
    manifest::{BUNDLED_MAX, File, MANIFEST_MAX, Manifest, sha256},
    name, older,
    source::{self, Access, Address, Source},
    store::remove,
    trust::{Part, ROOT_MAX, Target, Trust, prefix},
};

mod bucket;
mod prune;

pub use bucket::Bucket;

/// Files are not synced one by one: the whole is, before the metadata that names them is written.
const OBJECT_MODE: u32 = 0o644;

/// What to copy, and where to.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    /// The source's URL.
    pub source: &'a str,
    /// The copy's folder, made when it is missing.
    pub folder: &'a Path,
    /// The rings to copy.
    pub rings: &'a [String],
    /// The publisher's first root.json; needed once, remembered after that.
    pub trusted_root: Option<&'a Path>,
    /// How to reach the source.
    pub access: Access<'a>,
    /// The most bytes of content to take in per second.
    pub max_rate: Option<u64>,
    /// Remove what no release of the last 8 needs.
    pub prune: bool,
    /// Where to upload the copy to.
    pub bucket: Option<&'a Bucket>,
}

/// What was done for one ring.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The ring.
    pub ring: String,
    /// The release that the copy hands out now.
    pub release: u64,
    /// Manifests and bundles that were fetched.
    pub targets: usize,
    /// Contents that were fetched.
    pub objects: usize,
    /// Files that were removed, from all rings together; told with the last one.
    pub removed: usize,
    /// Files that were uploaded to the bucket, from all rings together; told with the last one.
    pub uploaded: usize,
    /// Their bytes.
    pub bytes_uploaded: u64,
    /// Application bytes read from the source.
    pub bytes_received: u64,
}

/// Brings the copy up to date, ring by ring. `now` is the clock by which signatures expire.
pub fn mirror(settings: &Settings<'_>, now: DateTime<Utc>) -> Result<Vec<Report>> {
    for ring in settings.rings {
        name::check_ring(ring)?;
    }
    let address = Address::parse(settings.source)?;
    let state = settings.folder.join(".mirror");
    disk::make_folder(&settings.folder.join("rings"), 0o755)?;
    disk::make_folder(&settings.folder.join("objects"), 0o755)?;
    disk::make_folder(&state, 0o700)?;
    let _lock = disk::lock(&state.join("lock"), Duration::ZERO, "another mirror")?;
    let partial = state.join("partial");
    crate::fetch::expire(&partial)?;
    let mut downloads = Downloads::new(&partial, settings.max_rate)?;
    let mut reports = Vec::new();
    for ring in settings.rings {
        // What is missing here is known before any connection.
        let mut trust = open_trust(settings, &state, ring)?;
        let mut source = source::connect(&address, &settings.access)?;
        let mut copy = Copy {
            folder: settings.folder,
            ring: settings.folder.join("rings").join(ring),
            report: Report { ring: ring.clone(), ..Report::default() },
            downloads: &mut downloads,
        };
        copy.run(source.as_mut(), &mut trust, now)?;
        copy.report.bytes_received = source.traffic().received;
        reports.push(copy.report);
    }
    downloads.finish()?;
    if settings.prune {
        let removed = prune::prune(settings.folder)?;
        if let Some(last) = reports.last_mut() {
            last.removed = removed;
        }
    }
    if let Some(bucket) = settings.bucket {
        let done = bucket.upload(settings.folder, settings.rings, settings.prune)?;
        if let Some(last) = reports.last_mut() {
            last.uploaded = done.files;
            last.bytes_uploaded = done.bytes;
            last.removed += done.removed;
        }
    }
    Ok(reports)
}

/// What this copy accepted last, beginning with the pinned root.
fn open_trust(settings: &Settings<'_>, state: &Path, ring: &str) -> Result<Trust> {
    let state = state.join(ring);
    let trust = state.join("trust");
    disk::make_folder(&trust, 0o700)?;
    let pinned = state.join("pinned.json");
    if let Some(path) = settings.trusted_root {
        let bytes = disk::read_bounded(path, ROOT_MAX)?.ok_or_else(|| {
            Error::new(Kind::Config, format!("the root {} does not exist", path.display()))
        })?;
        let known = disk::read_bounded(&pinned, ROOT_MAX)?;
        if known.is_some_and(|known| known != bytes) {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "{} is not the root that this copy began with; for another library, choose another folder",
                    path.display()
                ),
            ));
        }
        disk::replace(&pinned, &bytes, 0o644)?;
    } else if !pinned.exists() {
        return Err(Error::new(
            Kind::Config,
            "a new copy needs the publisher's root.json; name it with --trusted-root",
        ));
    }
    let first = Trust::open(&state.join("none"), &pinned, Some(ring))?.versions().root;
    let accepted = Trust::open(&trust, &pinned, Some(ring))?.versions().root;
    let folder = settings.folder.join("rings").join(ring);
    let whole = (first..=accepted).all(|n| folder.join(format!("{n}.root.json")).exists());
    if !whole {
        // A crash came between accepting a root and writing it out: through all of them again.
        remove(&trust.join("root.json"))?;
        disk::make_folder(&folder.join("targets"), 0o755)?;
        let bytes = disk::read_bounded(&pinned, ROOT_MAX)?.unwrap_or_default();
        disk::replace(&folder.join(format!("{first}.root.json")), &bytes, 0o644)?;
    }
    Trust::open(&trust, &pinned, Some(ring))
}

/// The copy of one ring.
struct Copy<'a> {
    folder: &'a Path,
    ring: PathBuf,
    report: Report,
    downloads: &'a mut Downloads,
}

impl Copy<'_> {
    fn run(
        &mut self,
        source: &mut dyn Source,
        trust: &mut Trust,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let ring = self.report.ring.clone();
        let mut answer: BTreeMap<String, Vec<u8>> =
            source.refresh(&ring, trust.versions())?.into_iter().collect();
        let mut roots = Vec::new();
        trust.update(
            &mut |file, limit| {
                let bytes = match answer.remove(file) {
                    Some(bytes) => Some(bytes),
                    None => source.metadata(&ring, file, limit)?,
                };
                if let Some(bytes) = bytes.as_ref().filter(|_| file.ends_with(".root.json")) {
                    roots.push((file.to_owned(), bytes.clone()));
                }
                Ok(bytes)
            },
            now,
        )?;
        let tree = trust.tree()?;
        let targets =
            trust.every_target(&mut |file, limit| source.metadata(&ring, file, limit), now)?;
        for target in &targets {
            self.take_target(source, target)?;
        }
        for offer in tree.parts.iter().map(|part| &part.offer) {
            let path = self.target_path(&offer.manifest);
            let text = disk::read_bounded(&path, MANIFEST_MAX)?.unwrap_or_default();
            if sha256(&text) != offer.manifest.sha256 {
                return Err(Error::new(
                    Kind::Io,
                    format!("{} is damaged; remove it and mirror again", path.display()),
                ));
            }
            self.take_objects(source, &Manifest::parse(&text)?)?;
        }
        for part in &tree.parts {
            self.take_older(source, part)?;
        }

        // Everything is there; now it may be named, the timestamp last.
        disk::sync_everything(self.folder)?;
        for (file, bytes) in roots {
            disk::replace(&self.ring.join(file), &bytes, 0o644)?;
        }
        for (file, bytes) in trust.accepted()? {
            let path = self.ring.join(&file);
            let there = disk::read_bounded(&path, bytes.len() as u64).ok().flatten();
            if there.as_ref() != Some(&bytes) {
                disk::replace(&path, &bytes, 0o644)?;
            }
        }
        self.report.release = tree.release;
        Ok(())
    }

    fn target_path(&self, target: &Target) -> PathBuf {
        self.ring.join("targets").join(target.file())
    }

    fn take_target(&mut self, source: &mut dyn Source, target: &Target) -> Result<()> {
        if !name::is_target_file(&target.file()) {
            return Err(Error::refused(format!(
                "{:?} is no name for a file of a library",
                target.name
            )));
        }
        let path = self.target_path(target);
        if has(&path, target.length) {
            return Ok(());
        }
        let ring = self.report.ring.clone();
        let content = self.downloads.fetch(source, Wanted::Target(&ring, target), &|_| ())?;
        self.report.targets += 1;
        place(&path, content)
    }

    /// Fetches the patches of earlier releases that `part` lists, as far as the source has them.
    fn take_older(&mut self, source: &mut dyn Source, part: &Part) -> Result<()> {
        let Some(list) = &part.offer.older else { return Ok(()) };
        let text = disk::read_bounded(&self.target_path(list), older::LIST_MAX)?;
        let text = text.filter(|text| sha256(text) == list.sha256).unwrap_or_default();
        for target in older::parse(&text, &prefix(&part.role))?.values() {
            match self.take_target(source, target) {
                Err(error) if error.kind() == Kind::Refused => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// Fetches the contents that `manifest` names and that are not here.
    fn take_objects(&mut self, source: &mut dyn Source, manifest: &Manifest) -> Result<()> {
        let mut missing: BTreeMap<[u8; 32], File> = BTreeMap::new();
        for file in manifest.files() {
            if !has(&self.object_path(&file), file.size) {
                missing.insert(file.sha256, file);
            }
        }
        self.report.objects += missing.len();
        let (small, large): (Vec<&File>, Vec<&File>) =
            missing.values().partition(|file| file.size <= BUNDLED_MAX);
        let mut whole: Vec<u8> = Vec::new();
        if !small.is_empty() {
            let folder = self.folder;
            let downloads = &mut *self.downloads;
            source.objects(&small, &mut |file, piece| {
                downloads.passed(piece.len());
                if !piece.is_empty() {
                    whole.extend_from_slice(piece);
                    return Ok(());
                }
                let content = std::mem::take(&mut whole);
                if sha256(&content) != file.sha256 {
                    return Err(Error::refused(format!(
                        "the content of {} is not the one that was signed",
                        file.path
                    )));
                }
                place(&object_path(folder, file), content.as_slice())
            })?;
        }
        for file in large {
            let content = self.downloads.fetch(source, Wanted::Object(file), &|_| ())?;
            place(&self.object_path(file), content)?;
        }
        Ok(())
    }

    fn object_path(&self, file: &File) -> PathBuf {
        object_path(self.folder, file)
    }
}

fn object_path(folder: &Path, file: &File) -> PathBuf {
    let hash = hex::encode(file.sha256);
    folder.join("objects").join(&hash[..2]).join(hash)
}

/// Whether a file of this length is there. It was hashed before it got its name.
fn has(path: &Path, length: u64) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| there.is_file() && there.len() == length)
}

/// Gives `content` its name, whole.
fn place(path: &Path, mut content: impl std::io::Read) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    disk::make_folder(folder, 0o755)?;
    let fail = |error: std::io::Error| Error::io("write", path, &error);
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(fail)?;
    std::io::copy(&mut content, &mut file).map_err(fail)?;
    file.as_file_mut().flush().map_err(fail)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(OBJECT_MODE)).map_err(fail)?;
    file.persist(path).map_err(|error| fail(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
