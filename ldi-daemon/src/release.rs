//! The active release: bringing it up to date, preparing it before it is used, opening it.

use std::{fmt::Display, path::Path};

use chrono::Utc;
use codesync::{
    Error,
    pull::{self, Outcome, Report},
    store::{File, Release, Staged, Store},
};
use loader::Namespace;

use crate::{Failure, Result, config::Config, error::code, jobs, journal::Journal};

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
pub fn prepare(staged: &Staged) -> codesync::Result<()> {
    let refused = |why: &dyn Display| Err(Error::refused(why.to_string()));
    match jobs::catalogue(&staged.tree, &staged.files, None) {
        Err(failure) => return refused(&failure),
        Ok(found) => {
            if let Some((sentence, _)) = found.jobs.into_iter().find_map(|job| job.damaged) {
                return refused(&sentence);
            }
        }
    }
    match index(&staged.tree, &staged.files, &staged.meta.join("index")) {
        // A full disk is no fault of the release: another source would not help.
        Err(loader::Error::Io { what, path, source }) => Err(Error::io(what, &path, &source)),
        Err(error) => refused(&error),
        Ok(()) => Ok(()),
    }
}

fn index(tree: &Path, files: &[File], out: &Path) -> Result<(), loader::Error> {
    let files: Vec<loader::File> = files
        .iter()
        .map(|file| loader::File {
            path: file.path.clone(),
            sha256: file.sha256,
            size: file.size,
            executable: file.executable,
        })
        .collect();
    loader::build_index(tree, &files, out)
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
    journal.note(LAST_SYNC, &value.to_string())
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
    Ok(Namespace::release(&release.tree, &release.meta.join("index"))?)
}

/// The modules of a release; an index that is lost or damaged is written anew.
pub fn namespace_repaired(release: &Release, files: &[File]) -> Result<Namespace> {
    namespace(release).or_else(|failure| {
        tracing::warn!(release = release.number, "{failure}; the index is written anew");
        index(&release.tree, files, &release.meta.join("index"))?;
        namespace(release)
    })
}

/// Notes a file that is not what was signed, so that the next sync repairs it. Only root can.
pub fn mark_damaged(root: &Path, release: u64, path: &str) {
    if let Err(error) = Store::existing(root).mark_damaged(release, path) {
        tracing::debug!(%error, path, "could not note a damaged file");
    }
}
