//! What a tier did, as `ldi run --json` says it.

use codesync::pull::Report as SyncReport;
use serde::Serialize;

use crate::{catalogue::Job, error::code, supervise::Outcome};

/// How one job ended: an entry of `ldi run --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobReport {
    /// Its name.
    pub job: String,
    /// Its run; none when it was left out by a filter.
    pub run: Option<String>,
    /// How it ended; `would-run` in a dry run.
    pub outcome: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// What it exited with.
    pub exit_status: Option<i32>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Bytes that it wrote.
    pub stdout_bytes: u64,
    /// Bytes that it wrote.
    pub stderr_bytes: u64,
}

impl JobReport {
    pub(super) fn skipped(job: &Job, reason: String) -> Self {
        Self {
            job: job.name.clone(),
            run: None,
            outcome: Outcome::Skipped.as_str(),
            reason: Some(reason),
            exit_status: None,
            seconds: 0.0,
            stdout_bytes: 0,
            stderr_bytes: 0,
        }
    }

    pub(super) fn would_run(job: &Job) -> Self {
        Self { outcome: "would-run", ..Self::skipped(job, String::new()) }.without_reason()
    }

    fn without_reason(mut self) -> Self {
        self.reason = None;
        self
    }
}

/// What a tier did: the `ldi run --json` object of contract.md.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TierReport {
    /// Its name.
    pub tier: String,
    /// The release that was run.
    pub release: u64,
    /// The sync before it; none with --no-sync, or when it failed locally.
    pub sync: Option<SyncReport>,
    /// Why the sync failed locally.
    pub sync_error: Option<String>,
    /// Every job of the tier.
    pub jobs: Vec<JobReport>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Wall-clock seconds.
    pub seconds: f64,
}

impl TierReport {
    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        let good = ["ok", "skipped", "would-run"];
        if self.jobs.iter().all(|job| good.contains(&job.outcome)) { 0 } else { code::FAILED }
    }

    /// Whether the library was confirmed before it.
    pub fn is_synced(&self) -> bool {
        self.sync.as_ref().is_some_and(|sync| sync.exit_code() == 0)
    }

    /// The last line for people: how many jobs ended how.
    pub fn summary(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for job in &self.jobs {
            match counts.iter_mut().find(|(outcome, _)| *outcome == job.outcome) {
                Some((_, n)) => *n += 1,
                None => counts.push((job.outcome, 1)),
            }
        }
        if counts.is_empty() {
            return "no jobs".to_owned();
        }
        counts.iter().map(|(o, n)| format!("{n} {o}")).collect::<Vec<_>>().join(", ")
    }
}
