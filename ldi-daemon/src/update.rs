//! Self-update: a newer `ldi` that came through the signed library is tried, and serves once it
//! proved itself; otherwise the one before it comes back (docs/update.md).
//!
//! [`state`] says what follows from what; [`start`] decides at each start of the daemon who serves;
//! [`watch`] is the process beside it that ends a trial in time; [`take`] finds a new agent. This
//! file is the daemon's side. Never replaces the packaged program, and executes nothing that was
//! not signed.

mod file;
mod service;
mod show;
mod slot;
mod start;
pub mod state;
mod take;
pub mod version;
mod watch;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

pub use show::{Shown, retry, revert, show};
pub use start::{Running, again, start};
pub use take::{Taken, take};
pub use watch::watch;

use crate::{Result, config::Config, machine::Machine, tier::TierReport};

/// The tier by which an agent proves itself. It has no date; the library's jobs in it are the
/// site's own health checks.
pub const TIER: &str = "update";

/// Between two attempts of a proof: many within a deadline, and none too close.
const PROOF_PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(20)];

/// A machine that could not copy or execute an agent does not try that at every sync.
const FAILURE_PAUSE: Duration = Duration::from_secs(3600);

/// The daemon's view of its own version.
#[derive(Debug)]
pub struct Updater {
    root: PathBuf,
    machine: Machine,
    running: Running,
    /// When to try a proof, if one is owed.
    proof: Option<Instant>,
    /// Between two attempts.
    pause: Duration,
    /// Since when a trial waits for the tiers to end, and how long they may be held back for it.
    waiting: Option<(Instant, Duration)>,
    /// When to look for a new agent again, after a failure of this machine's.
    quiet: Option<Instant>,
}

impl Updater {
    /// Of this process, which is ready to work.
    pub fn ready(config: &Config, machine: &Machine, running: Running) -> Self {
        let mut updater = Self {
            root: config.root.clone(),
            machine: machine.clone(),
            running,
            proof: None,
            pause: (config.update.deadline.0 / 16).clamp(PROOF_PAUSE[0], PROOF_PAUSE[1]),
            waiting: None,
            quiet: None,
        };
        if !file::folder(&updater.root).exists() {
            return updater;
        }
        updater.change(|state, this, _| {
            if let Some(this) = this {
                state.ready(this);
            }
        });
        let state = file::read(&updater.root);
        if state.owes_proof(updater.agent()) {
            updater.proof = Some(Instant::now());
        }
        // What is left of agents that are out of the choice.
        if let Err(failure) = slot::prune(&updater.root, &state) {
            tracing::warn!("{failure}");
        }
        updater
    }

    fn agent(&self) -> Option<&str> {
        self.running.agent.as_deref()
    }

    /// What this process is.
    pub fn running(&self) -> &Running {
        &self.running
    }

    fn change(&self, change: impl FnOnce(&mut state::State, Option<&str>, &state::Moment)) {
        let now = file::now(&self.machine);
        let changed = file::change(&self.root, |state| change(state, self.agent(), &now));
        if let Err(failure) = changed {
            tracing::warn!("{failure}");
        }
    }

    /// Whether the proof is to be tried now.
    pub fn proof_due(&mut self) -> bool {
        let due = self.proof.is_some_and(|at| at <= Instant::now());
        if due {
            // Again when this one has ended.
            self.proof = None;
        }
        due
    }

    /// When to look again, at the latest.
    pub fn wake(&self) -> Option<Duration> {
        let waited = self.waiting.map(|(since, hold)| since + hold);
        let next = self.proof.into_iter().chain(waited.filter(|at| *at > Instant::now())).min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// A tier ended.
    pub fn tier_ended(&mut self, tier: &str, result: &Result<TierReport>) {
        if tier != TIER || !file::read(&self.root).owes_proof(self.agent()) {
            return;
        }
        match shortfall(result) {
            None => {
                self.change(state::State::proven);
                match file::read(&self.root).confirmed {
                    Some(agent) if Some(agent.sha256.as_str()) == self.agent() => {
                        tracing::info!(version = %agent.version, "the new agent is confirmed");
                    }
                    _ => tracing::warn!("the new agent failed where this version does not"),
                }
            }
            Some(why) => {
                tracing::warn!("no proof of the new agent yet: {why}");
                self.change(|state, this, now| state.not_proven(this, &why, now));
            }
        }
        if file::read(&self.root).owes_proof(self.agent()) {
            self.proof = Some(Instant::now() + self.pause);
        }
    }

    /// Whether to look for a new agent after a tier.
    pub fn looks(&self) -> bool {
        self.waiting.is_none() && self.quiet.is_none_or(|until| until <= Instant::now())
    }

    /// What became of such a look. A trial begins as soon as no tier runs.
    pub fn looked(&mut self, config: &Config, taken: Taken) {
        match taken {
            Taken::No => {}
            Taken::Yes => {
                self.waiting.get_or_insert((Instant::now(), config.update.hold.0));
            }
            Taken::Failed => self.quiet = Some(Instant::now() + FAILURE_PAUSE),
        }
    }

    /// Whether tiers that are due have to wait for what runs to end.
    pub fn holds(&self) -> bool {
        self.waiting.is_some_and(|(since, hold)| since.elapsed() < hold)
    }

    /// Whether this process is to make room for the one on trial, when no tier runs.
    pub fn makes_room(&self) -> bool {
        self.waiting.is_some()
    }

    /// This process ends as it was told to.
    pub fn stopped(&self) {
        if self.agent().is_some() {
            self.change(|state, this, _| {
                if let Some(this) = this {
                    state.stopped(this);
                }
            });
        }
    }
}

/// Why this is no proof: without a good sync, or with a job that failed.
fn shortfall(result: &Result<TierReport>) -> Option<String> {
    let report = match result {
        Ok(report) => report,
        Err(failure) => return Some(failure.to_string()),
    };
    if let Some(error) = &report.sync_error {
        return Some(error.clone());
    }
    match &report.sync {
        None => return Some("it did not sync".to_owned()),
        Some(sync) if sync.exit_code() != 0 => return Some(crate::release::sentence(sync)),
        Some(_) => {}
    }
    let good = ["ok", "skipped"];
    let job = report.jobs.iter().find(|job| !good.contains(&job.outcome))?;
    let reason = job.reason.as_deref().unwrap_or("no reason was given");
    Some(format!("{} {}: {reason}", job.job, job.outcome))
}
