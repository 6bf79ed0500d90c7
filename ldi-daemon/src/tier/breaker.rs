//! What the circuit breaker means to a tier: who is left out, who gets one try, what counts.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::World;
use crate::{
    catalogue::Job,
    config::Config,
    journal::{Breaker, Journal, Verdict},
    schedule::Zone,
    supervise::{Ended, Outcome},
    update,
};

/// A job that is left out, as `ldi status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpenBreaker {
    /// How often it failed, when last and how.
    #[serde(flatten)]
    pub breaker: Breaker,
    /// It is tried again after that.
    pub until: DateTime<Utc>,
}

/// The jobs among `jobs` that are left out now. A journal that cannot be read leaves out none.
pub fn open_breakers(config: &Config, journal: &Journal, jobs: &[Job]) -> Vec<OpenBreaker> {
    jobs.iter().filter_map(|job| open(config, journal, job)).collect()
}

fn open(config: &Config, journal: &Journal, job: &Job) -> Option<OpenBreaker> {
    let breaker = journal.breaker(&job.name).ok()??;
    match verdict(config, job, &breaker) {
        Verdict::Open(until) => Some(OpenBreaker { breaker, until }),
        Verdict::Closed | Verdict::Trial => None,
    }
}

fn verdict(config: &Config, job: &Job, breaker: &Breaker) -> Verdict {
    // A check of health that is left out would be a proof.
    if job.tier == update::TIER {
        return Verdict::Closed;
    }
    let limit = job.keys.breaker.unwrap_or(config.run.breaker);
    let span = job.keys.breaker_for.unwrap_or(config.run.breaker_for);
    breaker.verdict(&job.content, limit, span.0, Utc::now())
}

/// Why the breaker leaves `job` out now, if it does.
pub(super) fn why_open(world: &World, job: &Job) -> Option<String> {
    let OpenBreaker { breaker, until } = open(&world.config, &world.journal, job)?;
    Some(format!(
        "its breaker is open: {} failures in a row, the last with {}; it is tried again after {}, \
         when it was changed, or after `ldi reset {}`",
        breaker.failures,
        breaker.reason,
        Zone::Local.show(until),
        job.name
    ))
}

/// Whether the next run of `job` is a single try after its breaker was open.
pub(super) fn is_trial(world: &World, job: &Job) -> bool {
    let breaker = world.journal.breaker(&job.name).ok().flatten();
    breaker.is_some_and(|b| verdict(&world.config, job, &b) == Verdict::Trial)
}

/// Counts how the last try of `job` ended. An interruption says nothing about the job.
pub(super) fn count(world: &World, job: &Job, ended: &Ended) {
    let journal = &world.journal;
    let counted = match ended.outcome {
        Outcome::Ok => match journal.breaker(&job.name) {
            Ok(Some(_)) => journal.close_breaker(&job.name),
            other => other.map(|_| ()),
        },
        Outcome::Failed | Outcome::TimedOut | Outcome::Killed => {
            let reason = ended.reason.as_deref().unwrap_or(ended.outcome.as_str());
            journal.count_failure(&job.name, &job.content, reason, Utc::now())
        }
        Outcome::Interrupted | Outcome::Skipped => Ok(()),
    };
    if let Err(error) = counted {
        tracing::warn!(job = job.name, %error, "its breaker could not be written down");
    }
}
