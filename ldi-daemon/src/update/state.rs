//! What is remembered about agents, and what follows from each event: pure functions of the state
//! and the moment. No files, no processes, no clock.
//!
//! An *agent* is an `ldi` that came through the library; the *base* is the packaged one, which the
//! service manager starts and which alone decides who serves. At each of its starts it serves
//! itself, or becomes the agent on trial, or the confirmed one. Only an agent that was confirmed,
//! or the base, serves without a limit: a trial has a number of starts, a deadline, and the boot
//! in which it began.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::version::Version;

/// So often in a row an agent is started without coming as far as it must.
pub const STARTS: u32 = 3;
/// So many trials of the same agent may end without an answer.
pub const TRIES: u32 = 5;
/// Seconds that the one before a failed agent has at least to show that it can do better.
const WINDOW_MIN: u64 = 30;
/// Agents that failed, of which a reason is kept.
const FAILED_KEPT: usize = 16;
/// Letters of a reason.
const REASON_MAX: usize = 400;

/// The whole of it: `ROOT/agent/state.json`. Frozen: an older base must be able to read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// What the last start chose: an agent's SHA-256; the base when there is none.
    pub running: Option<String>,
    /// The agent that serves.
    pub confirmed: Option<Agent>,
    /// How often that one was started since it was last ready.
    pub starts: u32,
    /// The agent that has yet to prove itself.
    pub trial: Option<Trial>,
    /// Agents that did not, newest last.
    pub failed: Vec<Failed>,
    /// Why what the library offers was not taken up.
    pub note: Option<String>,
    /// The last agent that was refused because it is older than what runs.
    pub older: Option<Older>,
}

/// An agent that would be a step back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    /// Which.
    pub sha256: String,
    /// Older than this one, which ran then.
    pub than: Version,
}

/// An `ldi` that came through the library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its SHA-256, in hex: it was in a signed manifest.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// What it says of itself.
    pub version: Version,
    /// The base below which a signed rollback put it.
    pub below: Option<Version>,
}

impl Agent {
    /// Whether it goes before a base of this version: a newer package replaces an older agent.
    fn serves(&self, base: &Version) -> bool {
        self.version >= *base || self.below.as_ref() == Some(base)
    }
}

/// An agent on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub agent: Agent,
    /// Seconds that it has from its first start.
    pub deadline: u64,
    /// Seconds that a daemon may take to end.
    pub stop: u64,
    /// The service manager's name for the daemon.
    pub unit: Option<String>,
    /// Its first start.
    pub begun: Option<Begun>,
    /// Starts since then, without those that ended in order.
    pub starts: u32,
    /// Somebody stopped the service.
    pub stopped: bool,
    /// Why its last attempt to prove itself failed.
    pub last: Option<String>,
    /// It is to be replaced, and why.
    pub revoked: Option<String>,
}

/// When a trial began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// In this boot.
    pub boot: String,
    /// Seconds on its steady clock.
    pub at: u64,
}

/// An agent that did not prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Which.
    pub sha256: String,
    /// What it said of itself, if it came as far.
    pub version: Option<Version>,
    /// Why: one sentence.
    pub reason: String,
    /// When.
    pub time: DateTime<Utc>,
    /// Trials so far.
    pub tries: u32,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from a trial that ended badly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Verdict {
    /// These bytes are never tried again.
    Bad,
    /// It says nothing about the agent: it may be tried again.
    Retry,
    /// Its fault if the one before it proves itself where it could not: in this boot, until then.
    Open {
        /// The boot.
        boot: String,
        /// Seconds on its steady clock.
        until: u64,
    },
}

/// Now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The boot.
    pub boot: String,
    /// Seconds on its steady clock, sleep left out.
    pub at: u64,
    /// For people.
    pub time: DateTime<Utc>,
}

/// Who is to serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The base itself.
    Base,
    /// The confirmed agent.
    Confirmed(Agent),
    /// The agent on trial. Only once that was written down durably.
    Trial(Agent),
}

/// What a watcher has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nothing: there is no trial, or it ended.
    Over,
    /// To look again, after so many seconds at the latest.
    Wait(u64),
    /// To end the daemon, so that another start chooses anew.
    Restart,
}

impl State {
    /// The base starts: who is to serve? Counted before it does.
    pub fn start(&mut self, base: &Version, now: &Moment) -> Choice {
        self.settle(now);
        if self.confirmed.as_ref().is_some_and(|agent| !agent.serves(base)) {
            self.confirmed = None;
        }
        if self.trial.as_ref().is_some_and(|trial| !trial.agent.serves(base)) {
            self.trial = None;
        }
        let choice = if let Some(trial) = &mut self.trial {
            trial.begun.get_or_insert_with(|| Begun { boot: now.boot.clone(), at: now.at });
            trial.starts += 1;
            trial.stopped = false;
            Choice::Trial(trial.agent.clone())
        } else {
            self.without_trial()
        };
        self.running = match &choice {
            Choice::Base => None,
            Choice::Confirmed(agent) | Choice::Trial(agent) => Some(agent.sha256.clone()),
        };
        choice
    }

    /// Who serves when no trial can be written down.
    pub fn without_trial(&mut self) -> Choice {
        match &self.confirmed {
            Some(agent) if self.starts < STARTS => {
                self.starts += 1;
                Choice::Confirmed(agent.clone())
            }
            // One that does not come up serves again after the base did.
            _ => {
                self.starts = 0;
                Choice::Base
            }
        }
    }

    /// Ends a trial that can go no further.
    fn settle(&mut self, now: &Moment) {
        let Some(trial) = &self.trial else { return };
        let window = trial.deadline.max(WINDOW_MIN);
        let open = Verdict::Open { boot: now.boot.clone(), until: now.at.saturating_add(window) };
        let end = if let Some(reason) = trial.revoked.clone() {
            Some((reason, open))
        } else if trial.begun.as_ref().is_some_and(|begun| begun.boot != now.boot) {
            Some(("the machine was restarted during its trial".to_owned(), Verdict::Retry))
        } else if trial.starts >= STARTS {
            Some((format!("it ended {STARTS} times during its trial"), Verdict::Bad))
        } else if trial.left(now) == Some(0) {
            Some((trial.unproven(), open))
        } else {
            None
        };
        if let Some((reason, verdict)) = end {
            self.end_trial(&reason, verdict, now.time);
        }
    }

    fn end_trial(&mut self, reason: &str, verdict: Verdict, time: DateTime<Utc>) {
        if let Some(trial) = self.trial.take() {
            let Agent { sha256, version, .. } = trial.agent;
            self.fail(sha256, Some(version), reason, verdict, time);
        }
    }

    /// Writes down that an agent failed, instead of what is known of it so far.
    pub fn fail(
        &mut self,
        sha256: String,
        version: Option<Version>,
        reason: &str,
        verdict: Verdict,
        time: DateTime<Utc>,
    ) {
        let reason = short(reason);
        let tries = self.failure(&sha256).map_or(0, |failed| failed.tries) + 1;
        let verdict = if tries >= TRIES { Verdict::Bad } else { verdict };
        self.failed.retain(|failed| failed.sha256 != sha256);
        self.failed.push(Failed { sha256, version, reason, time, tries, verdict });
        let surplus = self.failed.len().saturating_sub(FAILED_KEPT);
        self.failed.drain(..surplus);
    }

    /// The agents whose copies are needed.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.confirmed.iter().chain(self.trial.as_ref().map(|trial| &trial.agent))
    }

    /// What is known against an agent.
    pub fn failure(&self, sha256: &str) -> Option<&Failed> {
        self.failed.iter().find(|failed| failed.sha256 == sha256)
    }

    /// The agent `sha256` was chosen and could not be executed.
    pub fn could_not_start(&mut self, sha256: &str, why: &str, now: &Moment) {
        if self.trial.as_ref().is_some_and(|trial| trial.agent.sha256 == sha256) {
            self.end_trial(&format!("it could not be started: {why}"), Verdict::Bad, now.time);
        } else if self.confirmed.as_ref().is_some_and(|agent| agent.sha256 == sha256) {
            // A damaged copy: the library brings another.
            self.confirmed = None;
        }
    }

    /// The trial cannot be held, for a reason that is not the agent's.
    pub fn put_off(&mut self, why: &str, now: &Moment) {
        self.end_trial(why, Verdict::Retry, now.time);
    }

    /// The agent `sha256` does its work.
    pub fn ready(&mut self, sha256: &str) {
        if self.confirmed.as_ref().is_some_and(|agent| agent.sha256 == sha256) {
            self.starts = 0;
        }
    }

    /// The agent `sha256` ends in order, as it was told to: no crash.
    pub fn stopped(&mut self, sha256: &str) {
        if let Some(trial) = self.trial.as_mut().filter(|trial| trial.agent.sha256 == sha256) {
            trial.starts = 0;
            trial.stopped = true;
        }
    }

    /// Whether `running` has something to prove: itself, or that the one after it failed where it
    /// does not.
    pub fn owes_proof(&self, running: Option<&str>) -> bool {
        match (&self.trial, running) {
            (Some(trial), Some(running)) => {
                trial.agent.sha256 == running && trial.revoked.is_none()
            }
            (Some(_), None) => false,
            (None, _) => {
                self.failed.iter().any(|failed| matches!(failed.verdict, Verdict::Open { .. }))
            }
        }
    }

    /// `running` synced and finished a tier.
    pub fn proven(&mut self, running: Option<&str>, now: &Moment) {
        if !self.owes_proof(running) {
            return;
        }
        if let Some(trial) = self.trial.take() {
            self.failed.retain(|failed| failed.sha256 != trial.agent.sha256);
            self.confirmed = Some(trial.agent);
            self.starts = 0;
            self.note = None;
            return;
        }
        for failed in &mut self.failed {
            if let Verdict::Open { boot, until } = &failed.verdict {
                let counts = *boot == now.boot && now.at <= *until;
                failed.verdict = if counts { Verdict::Bad } else { Verdict::Retry };
            }
        }
    }

    /// `running` did not, and `why`.
    pub fn not_proven(&mut self, running: Option<&str>, why: &str, now: &Moment) {
        if !self.owes_proof(running) {
            return;
        }
        if let Some(trial) = &mut self.trial {
            trial.last = Some(short(why));
        }
        for failed in &mut self.failed {
            if let Verdict::Open { boot, until } = &failed.verdict
                && (*boot != now.boot || now.at > *until)
            {
                failed.verdict = Verdict::Retry;
            }
        }
    }

    /// A watcher looks.
    pub fn watch(&mut self, now: &Moment) -> Watch {
        let Some(trial) = &mut self.trial else { return Watch::Over };
        if trial.revoked.is_some() {
            return Watch::Restart;
        }
        match trial.left(now) {
            // It has not begun, or its boot is over: the next start's business.
            None => Watch::Over,
            Some(0) if trial.stopped => {
                self.put_off("the service was stopped during its trial", now);
                Watch::Over
            }
            Some(0) => {
                trial.revoked = Some(trial.unproven());
                Watch::Restart
            }
            Some(left) => Watch::Wait(left),
        }
    }

    /// Somebody wants the base back, for this agent and this one only.
    pub fn revert(&mut self, now: &Moment) -> bool {
        let reason = "it was taken back by hand (`ldi update revert`)";
        let had = self.trial.is_some() || self.confirmed.is_some();
        self.end_trial(reason, Verdict::Bad, now.time);
        if let Some(Agent { sha256, version, .. }) = self.confirmed.take() {
            self.fail(sha256, Some(version), reason, Verdict::Bad, now.time);
        }
        had
    }
}

impl Trial {
    /// Seconds that it has left; `None` before it began and after its boot.
    pub fn left(&self, now: &Moment) -> Option<u64> {
        let begun = self.begun.as_ref().filter(|begun| begun.boot == now.boot)?;
        Some(begun.at.saturating_add(self.deadline).saturating_sub(now.at))
    }

    fn unproven(&self) -> String {
        let last = self.last.as_deref().unwrap_or("it never came as far as to try");
        format!("it did not sync and finish a tier within {} s: {last}", self.deadline)
    }
}

/// A reason that fits on a screen, whoever wrote it.
fn short(reason: &str) -> String {
    reason.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
