//! `ldi status`: one screen that leads with what is wrong and what to do about it.
//!
//! Only looks: nothing is made, repaired or set aside here, so that it works on a full or
//! read-only disk, for any account, and beside a journal that is damaged.

mod disk;
mod findings;
mod screen;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Failure, Result,
    cli::{print, print_json},
    config::Config,
    daemon,
    inspect::{self, Next},
    journal::{Filter, Journal, Run},
    machine::Machine,
    release,
    submit::Visit,
    tier::{self, World},
    tiers::Tiers,
    update,
};

use disk::Disk;
pub use findings::Finding;
pub use screen::{ago, soon};

/// All that is known, as `ldi status --json` says it.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    /// Nothing is wrong.
    pub ok: bool,
    /// What is wrong or worth knowing, worst first, each with what to do.
    pub findings: Vec<Finding>,
    /// Of this program.
    pub version: &'static str,
    /// Which version of `ldi` serves, and what became of new ones.
    pub update: update::Shown,
    /// The active release.
    pub release: Option<u64>,
    /// The release that this machine is held at.
    pub pinned: Option<u64>,
    /// A file of the active release is not what was signed.
    pub damaged: bool,
    /// The ring that is followed.
    pub ring: String,
    /// The source that answered last, else the first one.
    pub source: Option<String>,
    /// When the last sync was, and its report or error.
    pub last_sync: Option<Value>,
    /// Its outcome, or `failed`.
    pub last_sync_outcome: Option<String>,
    /// When a source last confirmed the library.
    pub last_good_sync: Option<DateTime<Utc>>,
    /// The metadata has expired.
    pub stale: bool,
    /// A daemon is running.
    pub daemon: bool,
    /// Until when tiers are held, in words.
    pub paused: Option<String>,
    /// Every tier.
    pub tiers: Vec<TierStatus>,
    /// The newest run of each job that did not end well.
    pub failing: Vec<Run>,
    /// What runs now.
    pub running: Vec<Run>,
    /// Jobs that are left out for a time after too many failures.
    pub open_breakers: Vec<tier::OpenBreaker>,
    /// Results that wait for the fleet server.
    pub spool: u64,
    /// Their bytes.
    pub spool_bytes: u64,
    /// Results that were dropped before the server heard of them.
    pub spool_dropped: u64,
    /// Results that the server would not take.
    pub spool_rejected: u64,
    /// When the fleet server last took everything that waited.
    pub last_told: Option<DateTime<Utc>>,
    /// The sentences of `findings` that are wrong.
    pub faults: Vec<String>,
    #[serde(skip)]
    facts: Facts,
}

/// What findings are made of beside what is shown.
#[derive(Debug, Default)]
struct Facts {
    root: PathBuf,
    no_source: bool,
    config: Option<String>,
    tiers: Option<String>,
    journal: Option<Failure>,
    set_aside: Option<PathBuf>,
    set_aside_note: Option<String>,
    disk: Option<Disk>,
    too_stale: Option<String>,
    visit: Visit,
}

/// One tier.
#[derive(Debug, Serialize)]
pub struct TierStatus {
    /// Its name.
    pub tier: String,
    /// Its expression.
    pub when: String,
    /// Its last start.
    pub last: Option<DateTime<Utc>>,
    /// Its last end.
    pub last_end: Option<DateTime<Utc>>,
    /// How it ended: one sentence.
    pub last_result: Option<String>,
    /// Its next start.
    pub next: Option<DateTime<Utc>>,
}

/// Shows the status. Its exit code is 0 whenever it could be told; a configuration that cannot
/// be read is shown too, and is the failure of the command.
pub fn status(file: &Path, json: bool) -> Result<u8> {
    let (config, wrong) = match Config::load(file) {
        Ok(config) => (config, None),
        Err(failure) => (Config::guess(file), Some(failure)),
    };
    let mut status = gather(&config, &Machine::this());
    status.facts.config = wrong.as_ref().map(ToString::to_string);
    status.judge();
    if json {
        print_json(&status)?;
    } else {
        print(&screen::screen(&status))?;
    }
    wrong.map_or(Ok(0), Err)
}

impl Status {
    /// The status as a daemon sees it, which knows its tiers and has its journal open.
    pub fn of_daemon(world: &World, tiers: &Tiers) -> Self {
        let mut status = Self::of_release(&world.config, &world.machine);
        let World { config, machine, journal } = world;
        status.facts.journal = from_journal(&mut status, journal, tiers, config, machine).err();
        // Reading every job is for those who have a reason to.
        if journal.any_breaker().unwrap_or(false)
            && let Ok((_, catalogue)) = inspect::catalogue(config, None)
        {
            status.open_breakers = tier::open_breakers(config, journal, &catalogue.jobs);
        }
        status.judge();
        status
    }

    fn of_release(config: &Config, machine: &Machine) -> Self {
        let root = &config.root;
        let active = release::active(root);
        let mut status = Self {
            version: env!("CARGO_PKG_VERSION"),
            update: update::Shown::gather(config, machine),
            release: active.as_ref().ok().map(|r| r.number),
            pinned: codesync::store::Store::existing(root).pinned().ok().flatten(),
            damaged: active.as_ref().is_ok_and(|r| r.is_damaged()),
            ring: config.sync.ring.clone(),
            source: config.sync.source.first().cloned(),
            daemon: tier::is_held(root, "daemon"),
            ..Self::default()
        };
        status.facts.root.clone_from(root);
        status.facts.no_source = config.sync.source.is_empty();
        status.facts.disk = disk::of(root);
        status.facts.set_aside = set_aside(root);
        status
    }

    fn judge(&mut self) {
        self.findings = findings::findings(self);
        let wrong = self.findings.iter().filter(|finding| finding.wrong);
        self.faults = wrong.map(|finding| finding.what.clone()).collect();
        self.ok = self.faults.is_empty();
    }
}

fn gather(config: &Config, machine: &Machine) -> Status {
    let mut status = Status::of_release(config, machine);
    let (tiers, jobs) = match inspect::catalogue(config, None) {
        Ok((_, catalogue)) => (catalogue.tiers, catalogue.jobs),
        Err(failure) => {
            status.facts.tiers = status.release.map(|_| failure.to_string());
            (Tiers::built_in(), Vec::new())
        }
    };
    let looked = Journal::look(&config.root, machine).and_then(|journal| match journal {
        // A machine that never synced has no journal, and that is no fault.
        None => Ok(()),
        Some(journal) => {
            status.open_breakers = tier::open_breakers(config, &journal, &jobs);
            from_journal(&mut status, &journal, &tiers, config, machine)
        }
    });
    status.facts.journal = looked.err();
    status
}

/// A journal that was set aside and that nobody has removed yet.
fn set_aside(root: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(root).ok()?.flatten().map(|entry| entry.path());
    files
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("state.db.broken-") && name.ends_with('Z')
        })
        .max()
}

fn from_journal(
    status: &mut Status,
    journal: &Journal,
    tiers: &Tiers,
    config: &Config,
    machine: &Machine,
) -> Result<()> {
    let noted = |key: &str| journal.noted(key);
    status.facts.set_aside_note = noted("journal_fault")?;
    let date = |text: String| DateTime::from_timestamp(text.parse().ok()?, 0);
    status.last_good_sync = noted(release::LAST_GOOD_SYNC)?.and_then(date);
    status.last_sync = noted(release::LAST_SYNC)?.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(sync) = &status.last_sync {
        let word = |key: &str| sync["report"][key].as_str().map(str::to_owned);
        status.last_sync_outcome =
            word("outcome").or_else(|| sync["error"].is_string().then(|| "failed".to_owned()));
        status.source = word("source").or(status.source.take());
        status.stale = sync["report"]["stale"].as_bool().unwrap_or(false);
    }
    status.facts.too_stale = tier::too_stale(config, status.last_good_sync);
    status.paused = noted(daemon::PAUSED)?.and_then(|text| {
        let until: i64 = text.parse().ok()?;
        if until == 0 {
            return Some("until `ldi resume`".to_owned());
        }
        let until = DateTime::from_timestamp(until, 0).filter(|until| *until > Utc::now())?;
        Some(format!("until {}", until.to_rfc3339()))
    });
    let rows = journal.tiers()?;
    for Next { tier, when, start } in inspect::next(tiers, &rows, config, machine) {
        let row = rows.get(&tier).cloned().unwrap_or_default();
        status.tiers.push(TierStatus {
            tier,
            when,
            last: row.last_start,
            last_end: row.last_end,
            last_result: row.last_result,
            next: start.map(|s| s.at),
        });
    }
    let waiting = journal.waiting()?;
    status.spool = waiting.entries;
    (status.spool_bytes, status.spool_dropped) = (waiting.bytes, waiting.dropped);
    status.spool_rejected = waiting.rejected;
    if config.server.url.is_some() {
        status.facts.visit = Visit::of(journal);
        status.last_told = status.facts.visit.told;
    }
    status.failing = journal.failing()?;
    let running = Filter { outcome: Some("running".to_owned()), limit: 1000, ..Filter::default() };
    status.running = journal.history_now(&running)?;
    Ok(())
}
