//! `ldi submit`: tells the fleet server what waits in the spool.
//!
//! Batch after batch, oldest first, until nothing waits; an entry leaves the spool only when the
//! server said so by its name. What happens after each exchange is [`step`]'s, a pure function.
//! The daemon starts it as a process of its own, like a sync: what the network sends is not read
//! beside what supervises jobs.

mod http;
mod outing;
mod step;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Failure, Result,
    cli::{print, print_json},
    config::Config,
    enrol,
    error::code,
    journal::Journal,
    logging,
    machine::Machine,
    table::{self, table},
};

pub use http::{way, wrong_url};
pub use outing::Outing;
use step::{Batch, Next};

/// Batches of one visit: a spool has room for fewer, unless the server takes one at a time.
const MOST_EXCHANGES: usize = 5_000;
/// Under which note the journal keeps how the last visit went.
const VISIT: &str = "submit";

/// How the last visit to the server went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// When the server last took everything that waited.
    pub told: Option<DateTime<Utc>>,
    /// Visits that failed since.
    pub failures: u32,
    /// Not before then, after a failure.
    pub again: Option<DateTime<Utc>>,
    /// Why the last one failed, and its exit code.
    pub why: Option<(u8, String)>,
}

impl Visit {
    /// As the journal remembers it.
    pub fn of(journal: &Journal) -> Self {
        let noted = journal.noted(VISIT).ok().flatten();
        noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Whether another may be made at `now`. A date further away than any wait is a clock that was
    /// set back.
    pub fn may_begin(&self, now: DateTime<Utc>) -> bool {
        self.again.is_none_or(|at| at <= now || at - now > step::longest())
    }

    fn failed(&mut self, failure: &Failure, retry_after: Option<u64>, dice: u64) {
        self.failures = self.failures.saturating_add(1);
        let wait = step::wait(self.failures, retry_after, dice);
        self.again = Some(Utc::now() + TimeDelta::from_std(wait).unwrap_or(step::longest()));
        self.why = Some((failure.code(), failure.to_string()));
    }

    fn succeeded(&mut self) {
        *self = Self { told: Some(Utc::now()), ..Self::default() };
    }
}

/// What one visit did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Entries that the server has.
    pub stored: u64,
    /// Entries that it will not take.
    pub rejected: u64,
    /// Entries that wait.
    pub waiting: u64,
    /// This machine's certificate should be renewed.
    #[serde(skip)]
    renew: bool,
}

/// `ldi submit`.
pub fn submit(config: &Config, json: bool) -> Result<u8> {
    logging::to_stderr("warn");
    let report = visit(config)?;
    if json {
        print_json(&report)?;
    } else if report.stored + report.rejected == 0 {
        print("nothing waits for the fleet server\n")?;
    } else {
        let set_aside = match report.rejected {
            0 => String::new(),
            n => format!("; {n} were rejected and set aside"),
        };
        print(&format!("the fleet server has {} entries more{set_aside}\n", report.stored))?;
    }
    Ok(0)
}

/// `ldi submit --rejected`.
pub fn rejected(config: &Config, json: bool) -> Result<u8> {
    let journal = Journal::look(&config.root, &Machine::this())?;
    let all = journal.map_or_else(|| Ok(Vec::new()), |journal| journal.rejected())?;
    if json {
        print_json(&all)?;
        return Ok(0);
    }
    let mut rows = table(&["TIME", "ENTRY", "REASON"]);
    for one in all {
        rows.add_row(vec![one.time.to_rfc3339(), one.entry, one.reason]);
    }
    print(&table::text(&rows))?;
    Ok(0)
}

/// One visit: everything that waits is told, or why not is remembered.
pub fn visit(config: &Config) -> Result<Report> {
    if config.server.url.is_none() {
        return Err(Failure::config("no fleet server is configured: set url in [server]"));
    }
    let journal = Journal::open(&config.root, &Machine::this())?.spooling(true);
    let mut visit = Visit::of(&journal);
    let (report, ended) = match http::Server::new(&config.server) {
        Ok(server) => tell(&journal, &mut |batch| server.exchange(batch)),
        Err(failure) => (Report::default(), Err((failure, None))),
    };
    // What was told is told; the old certificate is good for a third of its life.
    if report.renew
        && let Err(failure) = enrol::renew(&config.server)
    {
        tracing::warn!("the machine's certificate was not renewed: {failure}");
    }
    let ended = match ended {
        Ok(()) => {
            visit.succeeded();
            Ok(report)
        }
        Err((failure, retry_after)) => {
            visit.failed(&failure, retry_after, step::dice());
            Err(failure)
        }
    };
    let noted = serde_json::to_string(&visit).unwrap_or_default();
    journal.note(VISIT, &noted)?;
    ended
}

type Ended = std::result::Result<(), (Failure, Option<u64>)>;

/// Tells everything that waits, with `exchange`, which sends one batch.
fn tell(journal: &Journal, exchange: &mut dyn FnMut(&Batch) -> step::Exchange) -> (Report, Ended) {
    let mut report = Report::default();
    let mut most = ldi_api::submission::MOST_ENTRIES;
    let mut told = || -> Ended {
        for _ in 0..MOST_EXCHANGES {
            let waiting = |failure| (failure, None);
            let batch = Batch::new(journal.oldest(most).map_err(waiting)?);
            if batch.is_empty() {
                return Ok(());
            }
            let after = step::step(&batch, exchange(&batch), most);
            // On the disk before the next batch is taken from it.
            journal.told(&after.stored, &after.rejected, Utc::now()).map_err(waiting)?;
            report.stored += after.stored.len() as u64;
            report.rejected += after.rejected.len() as u64;
            report.renew = after.renew;
            match after.next {
                Next::Batch { of } => most = of,
                Next::Later { failure, retry_after } => return Err((failure, retry_after)),
            }
        }
        let what = "the fleet server took too few entries at a time; the next visit goes on";
        Err((Failure::new(code::UNREACHABLE, what), None))
    };
    let ended = told();
    report.waiting = journal.waiting().map_or(0, |waiting| waiting.entries);
    (report, ended)
}

/// For the fuzzer: takes `bytes` for the answer to a batch of one entry.
#[cfg(fuzzing)]
pub fn survive(bytes: &[u8]) {
    let entry = crate::journal::Entry { name: "run/r".into(), written: 0, body: "{}".into() };
    let batch = Batch::new(vec![entry]);
    let after = step::step(&batch, step::Exchange::Answered(bytes.to_vec()), 1);
    let decided = after.stored.len() + after.rejected.len();
    assert!(decided == 1 || matches!(after.next, Next::Later { .. }));
}

#[cfg(test)]
#[path = "submit/tests.rs"]
mod tests;
