//! `codesync doctor`: says what is wrong, or soon will be, with a library and its keys.
//!
//! Reads only. A finding names what, where, and what to do about it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    Result, disk,
    gc::{Needed, entries, file_name},
    library::Library,
    name,
    sign::Keys,
    source::{self, Access, Address},
    trust::{Trust, Versions},
};

mod places;

/// Days before its end from which a role is reported.
pub const WARN_DAYS: i64 = 30;
/// The same for the timestamp, which lives 14 days.
pub const WARN_DAYS_TIMESTAMP: i64 = 3;
/// Releases of each ring whose files must be whole.
pub const RELEASES: u64 = 16;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Harmless: space that can be had back.
    Note,
    /// Works now, but not for long, or not safely.
    Warning,
    /// Clients are, or will be, refused or served badly.
    Wrong,
}

/// Something worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad.
    pub level: Level,
    /// A path, or `ring NAME`.
    pub place: String,
    /// What is the matter.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// All that was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Worst first.
    pub findings: Vec<Finding>,
    /// When each role of each ring expires.
    pub expires: BTreeMap<String, BTreeMap<String, DateTime<Utc>>>,
    /// Files that were hashed.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Report {
    /// Whether anything needs somebody's attention.
    pub fn is_wrong(&self) -> bool {
        self.findings.iter().any(|finding| finding.level > Level::Note)
    }

    fn add(
        &mut self,
        level: Level,
        place: impl Into<String>,
        what: impl Into<String>,
        remedy: &str,
    ) {
        let finding =
            Finding { level, place: place.into(), what: what.into(), remedy: remedy.into() };
        self.findings.push(finding);
    }
}

/// Examines `library`, and `keys` where they are given, by the clock `now`.
pub fn examine(library: &Library, keys: Option<&Keys>, now: DateTime<Utc>) -> Result<Report> {
    let mut report = Report::default();
    for ring in library.rings()? {
        let versions = match library.versions(&ring) {
            Ok(versions) => versions,
            Err(error) => {
                let place = format!("ring {ring}");
                report.add(Level::Wrong, place, error.to_string(), "restore it, or push again");
                continue;
            }
        };
        gaps(library, &ring, &versions, &mut report)?;
        trust(library, &ring, &versions, now, &mut report)?;
        export(library, &ring, &versions, &mut report)?;
    }
    stored(library, &mut report)?;
    places::library(library.folder(), &mut report)?;
    if let Some(keys) = keys {
        places::keys(keys.folder(), &mut report)?;
    }
    report.findings.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.place.cmp(&b.place)));
    Ok(report)
}

fn gaps(library: &Library, ring: &str, versions: &Versions, report: &mut Report) -> Result<()> {
    let folder = library.ring(ring)?;
    let place = |file: &str| folder.join(file).display().to_string();
    if versions.root == 0 {
        report.add(Level::Wrong, place("1.root.json"), "missing", "restore it from a copy");
    }
    for path in entries(&folder)? {
        let text = file_name(&path);
        let number = |role: &str| text.strip_suffix(role)?.parse::<u64>().ok();
        if number(".root.json").is_some_and(|number| number > versions.root) {
            let what = format!("root {} before it is missing", versions.root + 1);
            report.add(Level::Wrong, place(&text), what, "restore the missing root from a copy");
        } else if unnamed(&text, versions) {
            let what = "written, but not named by a timestamp: a publication was cut off";
            report.add(Level::Note, place(&text), what, "publish or push again");
        } else if text.starts_with(".new-") {
            report.add(Level::Note, place(&text), "left by a crash", "run codesync gc");
        }
    }
    Ok(())
}

/// Whether `file` is a role's metadata newer than what the snapshot names.
fn unnamed(file: &str, versions: &Versions) -> bool {
    let role = file.strip_suffix(".json").and_then(|file| file.split_once('.'));
    let Some((version, role)) = role else { return false };
    let ours = role == "targets" || name::is_team(role);
    ours && version.parse::<u64>().is_ok_and(|version| version > versions.of(role))
}

/// Verifies as a client that begins with the first root, with a clock at which nothing expires;
/// expiry is told on its own.
fn trust(
    library: &Library,
    ring: &str,
    versions: &Versions,
    now: DateTime<Utc>,
    report: &mut Report,
) -> Result<()> {
    if versions.targets == 0 || versions.root == 0 {
        return Ok(());
    }
    let place = format!("ring {ring}");
    let workshop = tempfile::tempdir().map_err(|error| {
        crate::Error::io("write in", Path::new("the folder for temporary files"), &error)
    })?;
    let pinned = library.ring(ring)?.join("1.root.json");
    let address = Address::File(library.folder().to_owned());
    let ssh = Access::default();
    let mut source = source::connect(&address, &ssh)?;
    let verified = Trust::open(workshop.path(), &pinned, Some(ring)).and_then(|mut trust| {
        source::refresh(source.as_mut(), &mut trust, ring, DateTime::UNIX_EPOCH)?;
        Ok(trust)
    });
    let trust = match verified {
        Ok(trust) => trust,
        Err(error) => {
            let remedy = "push or publish again; if a key was rotated, use the new one";
            report.add(Level::Wrong, place, format!("clients refuse it: {error}"), remedy);
            return Ok(());
        }
    };
    let expires = trust.expires();
    for (role, time) in &expires {
        let (days, remedy) = match role.as_str() {
            "root" => (WARN_DAYS, "sign a new root: codesync rotate ROLE (docs/keys.md)"),
            "targets" => (WARN_DAYS, "publish anew"),
            "timestamp" => (WARN_DAYS_TIMESTAMP, "run codesync refresh, daily, from a timer"),
            "snapshot" => (WARN_DAYS, "run codesync refresh, daily, from a timer"),
            _ => (WARN_DAYS, "let the team publish anew, or undelegate it"),
        };
        let date = time.format("%Y-%m-%d %H:%M UTC");
        if *time <= now {
            report.add(Level::Wrong, &place, format!("{role} expired on {date}"), remedy);
        } else if *time < now + TimeDelta::days(days) {
            report.add(Level::Warning, &place, format!("{role} expires on {date}"), remedy);
        }
    }
    report.expires.insert(ring.to_owned(), expires);
    Ok(())
}

/// Hashes everything that is named by its hash, and looks for what is missing.
fn stored(library: &Library, report: &mut Report) -> Result<()> {
    let needed = match Needed::of(library, RELEASES) {
        Ok(needed) => Some(needed),
        Err(error) => {
            let place = library.folder().display().to_string();
            report.add(Level::Wrong, place, error.to_string(), "restore it, or push again");
            None
        }
    };
    let mut seen = HashSet::new();
    let mut orphans = (0_u64, 0_u64);
    let mut whole = |path: &Path, hash: &str, report: &mut Report| -> Result<()> {
        let remedy = "publish the tree again with --rehash, or push again";
        match disk::digest(path)? {
            Some((found, length)) => {
                report.files += 1;
                report.bytes += length;
                if hex::encode(found) != hash {
                    report.add(Level::Wrong, path.display().to_string(), "damaged", remedy);
                }
            }
            None => report.add(Level::Wrong, path.display().to_string(), "no regular file", remedy),
        }
        seen.insert(path.to_owned());
        Ok(())
    };
    for ring in library.rings()? {
        for path in entries(&library.ring(&ring)?.join("targets"))? {
            let text = file_name(&path);
            if !name::is_target_file(&text) {
                stray(&path, report);
                continue;
            }
            whole(&path, text.split('.').next().unwrap_or_default(), report)?;
            if needed.as_ref().is_some_and(|needed| !needed.targets.contains(&path)) {
                orphans.0 += 1;
            }
        }
    }
    for folder in entries(&library.folder().join("objects"))? {
        if !folder.is_dir() {
            stray(&folder, report);
            continue;
        }
        for path in entries(&folder)? {
            let text = file_name(&path);
            if !name::is_sha256(&text) || text.get(..2) != Some(file_name(&folder).as_str()) {
                stray(&path, report);
                continue;
            }
            whole(&path, &text, report)?;
            if needed.as_ref().is_some_and(|needed| !needed.objects.contains(&text)) {
                orphans.1 += 1;
            }
        }
    }
    if let Some(needed) = needed {
        let objects = needed.objects.iter().map(|text| {
            let folder = text.get(..2).unwrap_or_default();
            library.folder().join("objects").join(folder).join(text)
        });
        for path in needed.targets.iter().cloned().chain(objects) {
            if !seen.contains(&path) {
                let remedy = "push again, or publish the tree again with --rehash";
                report.add(Level::Wrong, path.display().to_string(), "missing", remedy);
            }
        }
        for (count, what) in [(orphans.0, "targets"), (orphans.1, "objects")] {
            if count > 0 {
                let place = library.folder().display().to_string();
                let what =
                    format!("{count} {what} that none of the last {RELEASES} releases needs");
                report.add(Level::Note, place, what, "run codesync gc");
            }
        }
    }
    Ok(())
}

fn stray(path: &Path, report: &mut Report) {
    let place = path.display().to_string();
    if file_name(path).starts_with(".new-") {
        report.add(Level::Note, place, "left by a crash", "run codesync gc");
    } else {
        report.add(Level::Warning, place, "does not belong here", "look at it, and remove it");
    }
}

/// The exported tree is exactly the newest release.
fn export(library: &Library, ring: &str, versions: &Versions, report: &mut Report) -> Result<()> {
    let tree = library.folder().join("export").join(ring);
    // A damaged manifest is found where it is.
    let Ok(Some(parts)) = library.parts(ring, versions.release()) else { return Ok(()) };
    let Ok(manifest) = library.tree(ring, &parts) else { return Ok(()) };
    let mut there = Vec::new();
    walk(&tree, "", &mut there)?;
    let remedy = "push again, or publish with --rehash: that brings the export in order";
    let mut wrong = |path: &str, what: &str| {
        report.add(Level::Wrong, tree.join(path).display().to_string(), what, remedy);
    };
    for path in &there {
        if manifest.get(path).is_none() {
            wrong(path, "is not in the newest release");
        }
    }
    for file in manifest.files() {
        let path = tree.join(&file.path);
        let Ok(metadata) = fs::symlink_metadata(&path) else {
            wrong(&file.path, "missing from the export");
            continue;
        };
        let mode = if file.executable { 0o755 } else { 0o644 };
        let linked =
            fs::metadata(library.object(&file.sha256)).is_ok_and(|o| o.ino() == metadata.ino());
        // What is linked to its object is hashed there.
        let same =
            linked || disk::digest(&path)?.is_some_and(|found| found == (file.sha256, file.size));
        if !same {
            wrong(&file.path, "differs from the newest release");
        } else if metadata.mode() & 0o777 != mode {
            wrong(&file.path, "has another mode than the newest release");
        }
    }
    Ok(())
}

fn walk(tree: &Path, folder: &str, paths: &mut Vec<String>) -> Result<()> {
    for path in entries(&tree.join(folder))? {
        let name = file_name(&path);
        let below = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_dir()) {
            walk(tree, &below, paths)?;
        } else {
            paths.push(below);
        }
    }
    Ok(())
}
