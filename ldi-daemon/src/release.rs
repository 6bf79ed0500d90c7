//! The active release: bringing it up to date, preparing it before it is used, opening it.

use std::{collections::HashSet, fmt::Display, path::Path};

use chrono::Utc;
use codesync::{
    Error,
    manifest::Change,
    pull::{self, Outcome, Report},
    store::{Manifest, Release, Staged, Store},
};
use loader::Namespace;

use crate::{
    Failure, Result, catalogue, cli::print, config::Config, error::code, journal::Journal, parse,
};

/// The loader's index, beside a release.
const INDEX: &str = "index";
/// What the headers of its scripts say, beside a release.
const HEADERS: &str = "headers.json";
const HEADERS_MAX: u64 = 64 << 20;

/// The note under which the last sync is remembered.
pub const LAST_SYNC: &str = "last_sync";
/// The note under which the last sync that confirmed the library is remembered.
pub const LAST_GOOD_SYNC: &str = "last_good_sync";

/// Brings the library up to date. `progress` is told bytes received and bytes expected.
pub fn sync(config: &Config, progress: &dyn Fn(u64, u64)) -> Result<Report> {
    if config.sync.source.is_empty() {
        return Err(Failure::config(format!(
            "{} names no source; set source in [sync]",
            config.file.display()
        )));
    }
    Ok(pull::sync(&config.sync_settings(), Utc::now(), &prepare, progress)?)
}

/// Makes a release ready before it becomes active: its jobs are read, its modules are indexed.
/// What cannot be read here must not become active.
///
/// The release that is active was made ready in the same way: what both have need not be read
/// again.
pub fn prepare(staged: &Staged) -> codesync::Result<()> {
    let refused = |why: &dyn Display| Error::refused(why.to_string());
    let changes = match &staged.before {
        Some((_, manifest)) => staged.manifest.changes(manifest),
        None => Vec::new(),
    };
    let before = staged.before.as_ref().and_then(|(release, manifest)| {
        let headers = headers(&release.meta)?;
        let mut changed = HashSet::new();
        for change in &changes {
            changed.extend(change.old.map(|at| manifest.path(at).into_owned()));
            changed.extend(change.new.map(|at| staged.manifest.path(at).into_owned()));
        }
        Some((headers, changed))
    });
    let known = before.as_ref().map(|(headers, changed)| catalogue::Known { headers, changed });
    let (found, headers) =
        catalogue::catalogue_knowing(&staged.tree, &staged.manifest, None, known)
            .map_err(|failure| refused(&failure))?;
    if let Some((sentence, _)) = found.jobs.into_iter().find_map(|job| job.damaged) {
        return Err(refused(&sentence));
    }
    let before =
        staged.before.as_ref().map(|(release, _)| (&release.tree, release.meta.join(INDEX)));
    let same_paths = same_paths(&staged.manifest, &changes);
    let changed = same_paths.as_deref();
    let former = before.as_ref().map(|(tree, index)| loader::Former { tree, index, changed });
    index(&staged.tree, &staged.manifest, former, &staged.meta.join(INDEX)).map_err(|error| {
        match error {
            // A full disk is no fault of the release: another source would not help.
            loader::Error::Io { what, path, source } => Error::io(what, &path, &source),
            error => refused(&error),
        }
    })?;
    // Nobody misses it: the next release is read whole then.
    if let Ok(text) = serde_json::to_vec(&headers) {
        let _ = std::fs::write(staged.meta.join(HEADERS), text);
    }
    Ok(())
}

/// What was kept beside a release about its scripts' headers, if this version wrote it.
fn headers(meta: &Path) -> Option<catalogue::Headers> {
    let text = parse::read_bounded(&meta.join(HEADERS), HEADERS_MAX).ok()?;
    serde_json::from_slice(&text).ok().filter(catalogue::Headers::is_current)
}

fn indexed(file: codesync::manifest::File) -> loader::File {
    let codesync::manifest::File { path, sha256, size, executable } = file;
    loader::File { path, sha256, size, executable }
}

/// The files of `manifest` that `changes` name, where these add and remove no path.
fn same_paths(manifest: &Manifest, changes: &[Change]) -> Option<Vec<loader::File>> {
    let one =
        |change: &Change| change.old.and(change.new).and_then(|at| manifest.at(at)).map(indexed);
    changes.iter().map(one).collect()
}

fn index(
    tree: &Path,
    manifest: &Manifest,
    former: Option<loader::Former<'_>>,
    out: &Path,
) -> Result<(), loader::Error> {
    loader::build_index(tree, || manifest.files().map(indexed).collect(), former, out)
}

/// Remembers a sync for `ldi status`.
pub fn remember(journal: &Journal, sync: &Result<Report>) -> Result<()> {
    let now = Utc::now();
    let mut value = serde_json::json!({ "time": now.to_rfc3339() });
    match sync {
        Ok(report) => {
            value["report"] = serde_json::to_value(report).unwrap_or_default();
            if report.exit_code() == 0 {
                journal.note(LAST_GOOD_SYNC, &now.timestamp().to_string())?;
            }
        }
        Err(failure) => value["error"] = failure.to_string().into(),
    }
    journal.note(LAST_SYNC, &value.to_string())?;
    journal.spool_sync(&value, now)
}

/// How a sync went, in one sentence.
pub fn sentence(report: &Report) -> String {
    let release = report.release.map_or_else(|| "none".to_owned(), |n| n.to_string());
    let reason = report.reason.as_deref().unwrap_or("no reason was given");
    match report.outcome {
        Outcome::Updated => format!(
            "release {release} is active ({} of {} files changed, {} bytes received)",
            report.files_changed, report.files_total, report.bytes_received
        ),
        Outcome::Current => format!("release {release} is the newest"),
        Outcome::Unreachable => {
            format!("no source could be reached, release {release} stays active: {reason}")
        }
        Outcome::Refused => {
            format!("what a source offered was refused, release {release} stays active: {reason}")
        }
    }
}

/// The active release.
pub fn active(root: &Path) -> Result<Release> {
    Store::existing(root).active()?.ok_or_else(|| {
        Failure::new(
            code::UNREACHABLE,
            format!("there is no release under {} yet; run `ldi sync`", root.display()),
        )
    })
}

/// The modules of a release.
pub fn namespace(release: &Release) -> Result<Namespace> {
    Ok(Namespace::release(&release.tree, &release.meta.join(INDEX))?)
}

/// The modules of a release; an index that is lost or damaged is written anew.
pub fn namespace_repaired(release: &Release, files: &Manifest) -> Result<Namespace> {
    namespace(release).or_else(|failure| {
        tracing::warn!(release = release.number, "{failure}; the index is written anew");
        index(&release.tree, files, None, &release.meta.join(INDEX))?;
        namespace(release)
    })
}

/// Notes a file that is not what was signed, so that the next sync repairs it. Only root can.
pub fn mark_damaged(root: &Path, release: u64, path: &str) {
    if let Err(error) = Store::existing(root).mark_damaged(release, path) {
        tracing::debug!(path, "could not note a damaged file: {error}");
    }
}

/// `ldi rollback`.
pub fn rollback(config: &Config, number: Option<u64>) -> Result<u8> {
    let active = active(&config.root)?.number;
    let releases = Store::existing(&config.root).releases()?;
    let number = match number.or_else(|| releases.into_iter().rfind(|one| *one < active)) {
        Some(number) if number < active => number,
        Some(number) => {
            let why = format!(
                "release {number} is not before {active}, which is active; `ldi pin` takes any"
            );
            return Err(Failure::new(code::USAGE, why));
        }
        None => {
            let why = format!("this machine has no release before {active}");
            return Err(Failure::new(code::USAGE, why));
        }
    };
    pin(config, number)
}

/// `ldi pin`.
pub fn pin(config: &Config, number: u64) -> Result<u8> {
    Store::open(&config.root)?.pin(number, config.sync_settings().lock_wait)?;
    print(&format!("release {number} is active and stays so until `ldi unpin`\n"))?;
    Ok(0)
}

/// `ldi unpin`.
pub fn unpin(config: &Config) -> Result<u8> {
    let was = Store::open(&config.root)?.unpin(config.sync_settings().lock_wait)?;
    print(&match was {
        Some(number) => {
            format!("no longer held at release {number}; the next sync brings the newest\n")
        }
        None => "no release was pinned\n".to_owned(),
    })?;
    Ok(0)
}
