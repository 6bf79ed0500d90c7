//! The one story: lock, sync, hold the release, select its jobs, run them, report.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use codesync::pull::Report as SyncReport;
use tokio::sync::watch;
use tracing::Instrument;

use crate::{
    Failure, Result, apart,
    catalogue::{self, Job},
    cgroup,
    config::Config,
    console,
    error::code,
    inventory,
    journal::Journal,
    logs,
    machine::Machine,
    release,
    select::{self, Here},
    supervise,
    tiers::{self, OnSyncFailure},
};

mod breaker;
mod lock;
mod report;
mod work;

pub use work::run_name;

pub use breaker::{OpenBreaker, open_breakers};
pub use lock::{is_held, lock};
pub use report::{JobReport, TierReport};
pub use work::describe;

/// What a tier needs from outside.
#[derive(Debug)]
pub struct World {
    /// The configuration.
    pub config: Config,
    /// This machine.
    pub machine: Machine,
    /// The journal.
    pub journal: Journal,
}

impl World {
    /// Opens the journal, and ends what an `ldi` that went away left running.
    pub fn open(config: Config, machine: Machine) -> Result<Self> {
        // The store makes ROOT and its folders with their modes.
        codesync::store::Store::open(&config.root)?;
        let spools = config.server.url.is_some();
        let journal = Journal::open(&config.root, &machine)?.spooling(spools);
        // On a full disk the next start writes it down; this one must not fail for it.
        let lost = journal.recover(Utc::now()).unwrap_or_else(|error| {
            tracing::warn!("interrupted runs could not be written down: {error}");
            Vec::new()
        });
        let ended = cgroup::end_leftovers(&config.root, !lost.is_empty());
        if ended > 0 {
            tracing::warn!(ended, "processes that an earlier ldi left behind were ended");
        }
        for lost in lost {
            let ended = supervise::end_leftovers(&lost.run);
            tracing::warn!(run = lost.run, job = lost.job, ended, "{} was interrupted", lost.job);
        }
        Ok(Self { config, machine, journal })
    }
}

/// What to do with a tier.
#[derive(Debug, Clone, Default)]
pub struct Order {
    /// Its name.
    pub tier: String,
    /// Runs the release that is there.
    pub no_sync: bool,
    /// Says what would run, and runs nothing.
    pub dry_run: bool,
    /// The date that the planner runs it for.
    pub due: Option<DateTime<Utc>>,
}

/// Runs one tier to its end.
pub async fn run(
    world: &Arc<World>,
    order: &Order,
    stop: watch::Receiver<bool>,
) -> Result<TierReport> {
    let span = tracing::info_span!("tier", tier = order.tier);
    whole(world, order, stop).instrument(span).await
}

async fn whole(
    world: &Arc<World>,
    order: &Order,
    stop: watch::Receiver<bool>,
) -> Result<TierReport> {
    let begun = Instant::now();
    if !tiers::good_name(&order.tier) || order.tier.contains('/') {
        let what = format!("{:?} cannot be the name of a tier", order.tier);
        return Err(Failure::new(code::USAGE, what));
    }
    let root = world.config.root.clone();
    let _lock = lock(&root, &order.tier)?;
    if order.dry_run {
        return dry_run(world, order, begun);
    }
    if let Err(error) = world.journal.tier_starts(&order.tier, order.due, Utc::now()) {
        tracing::warn!("the start of the tier could not be written down: {error}");
    }
    let result = story(world, order, stop, begun).await;
    let words = match &result {
        Ok(report) => report.summary(),
        Err(failure) => failure.to_string(),
    };
    if let Err(error) = world.journal.tier_ends(&order.tier, &words, Utc::now()) {
        tracing::warn!("the end of the tier could not be written down: {error}");
    }
    keep_house(world);
    result
}

async fn story(
    world: &Arc<World>,
    order: &Order,
    stop: watch::Receiver<bool>,
    begun: Instant,
) -> Result<TierReport> {
    let synced = if order.no_sync { None } else { Some(sync(world, stop.clone()).await) };
    if *stop.borrow() {
        return Err(Failure::new(code::FAILED, "ldi was stopped before the tier began"));
    }
    let release = match release::active(&world.config.root) {
        Ok(release) => release,
        Err(missing) => return Err(without_release(missing, synced)),
    };
    let hold = release.hold()?;
    let files = release.manifest()?;
    let mut catalogue = match catalogue::catalogue(&release.tree, &files, Some(&order.tier)) {
        Ok(catalogue) => catalogue,
        Err(failure) => {
            if failure.code() == code::REFUSED {
                release::mark_damaged(&world.config.root, release.number, crate::tiers::PATH);
            }
            return Err(failure);
        }
    };
    let tier = known_tier(&catalogue.tiers, &order.tier, release.number)?;
    let (sync, sync_error) = match synced {
        None => (None, None),
        Some(Ok(report)) => (Some(report), None),
        Some(Err(failure)) => (None, Some(failure)),
    };
    let sync_failed =
        sync_error.as_ref().map(|failure| (failure.code(), failure.to_string())).or_else(|| {
            let report = sync.as_ref().filter(|r| r.exit_code() != 0)?;
            Some((report.exit_code(), release::sentence(report)))
        });
    if let Some((exit, why)) = &sync_failed {
        tracing::warn!("{why}");
        if tier.on_sync_failure == OnSyncFailure::Skip {
            let sentence = format!("tier {} was skipped, as the sync failed: {why}", order.tier);
            return Err(Failure::new(*exit, sentence));
        }
    }
    let confirmed = world.journal.noted(release::LAST_GOOD_SYNC).ok().flatten();
    let confirmed = confirmed.and_then(|text| DateTime::from_timestamp(text.parse().ok()?, 0));
    if let Some(why) = too_stale(&world.config, confirmed) {
        return Err(Failure::new(code::REFUSED, why));
    }

    let namespace = release::namespace_repaired(&release, &files)?;
    let tags = world.config.all_tags();
    let here = Here { machine: &world.machine, tags: &tags };
    let shop = work::Shop {
        world,
        namespace: &namespace,
        release: release.number,
        tree: &release.tree,
        tier: &order.tier,
        stop,
        damaged: false.into(),
    };
    console::settle(&mut catalogue.jobs);
    let jobs = shop.run_all(&catalogue.jobs, &here).await;
    drop(hold);
    if order.tier == inventory::TIER && !*shop.stop.borrow() {
        inventory::remember(world, release.number, &jobs);
    }
    Ok(TierReport {
        tier: order.tier.clone(),
        release: release.number,
        sync,
        sync_error: sync_error.map(|failure| failure.to_string()),
        jobs,
        notes: catalogue.notes,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Syncs beside the running jobs of other tiers.
pub async fn sync(world: &Arc<World>, stop: watch::Receiver<bool>) -> Result<SyncReport> {
    let result = apart::ask("sync", &world.config, stop).await;
    if let Err(error) = release::remember(&world.journal, &result) {
        tracing::warn!("the sync could not be written down: {error}");
    }
    result
}

/// No release at all: the reason is the sync's, and so is the exit code.
fn without_release(missing: Failure, synced: Option<Result<SyncReport>>) -> Failure {
    match synced {
        None => missing,
        Some(Err(failure)) => failure,
        Some(Ok(report)) => Failure::new(
            match report.exit_code() {
                0 => missing.code(),
                failed => failed,
            },
            format!("{missing} ({})", release::sentence(&report)),
        ),
    }
}

fn known_tier<'a>(
    tiers: &'a crate::tiers::Tiers,
    name: &str,
    release: u64,
) -> Result<&'a crate::tiers::Tier> {
    tiers.tiers.get(name).ok_or_else(|| {
        let known: Vec<&str> = tiers.tiers.keys().map(String::as_str).collect();
        Failure::new(
            code::USAGE,
            format!("release {release} has no tier {name:?}; it has {}", known.join(", ")),
        )
    })
}

/// With `sync.max_stale`, a library that nobody confirmed for so long is not run: why not, when
/// `last` is the last sync that confirmed it.
pub fn too_stale(config: &Config, last: Option<DateTime<Utc>>) -> Option<String> {
    let limit = config.sync.max_stale?;
    let age = last.and_then(|last| (Utc::now() - last).to_std().ok());
    // A date in the future is a clock that was set back: not stale.
    (last.is_none() || age.is_some_and(|age| age > limit.0)).then(|| {
        format!("the library was not confirmed within {limit} (max_stale), so nothing is run")
    })
}

fn dry_run(world: &World, order: &Order, begun: Instant) -> Result<TierReport> {
    let release = release::active(&world.config.root)?;
    let mut catalogue =
        catalogue::catalogue(&release.tree, &release.manifest()?, Some(&order.tier))?;
    console::settle(&mut catalogue.jobs);
    known_tier(&catalogue.tiers, &order.tier, release.number)?;
    let tags = world.config.all_tags();
    let here = Here { machine: &world.machine, tags: &tags };
    let jobs = catalogue
        .jobs
        .iter()
        .map(|job| match not_now(world, job, &here) {
            Some(reason) => JobReport::skipped(job, reason),
            None => JobReport::would_run(job),
        })
        .collect();
    Ok(TierReport {
        tier: order.tier.clone(),
        release: release.number,
        sync: None,
        sync_error: None,
        jobs,
        notes: catalogue.notes,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Why a job does not run here and now.
pub fn not_now(world: &World, job: &Job, here: &Here<'_>) -> Option<String> {
    if let Some(reason) = select::skip_reason(job, here) {
        return Some(reason);
    }
    if job.keys.run_once && world.journal.once(&job.memory()).ok()?.as_deref() == Some(&job.content)
    {
        return Some("it succeeded once with this content (run_once)".to_owned());
    }
    breaker::why_open(world, job)
}

fn keep_house(world: &World) {
    let history = &world.config.history;
    if let Err(error) = world.journal.prune(history.runs) {
        tracing::warn!("old runs could not be removed: {error}");
    }
    if let Err(error) = world.journal.trim_spool(world.config.spool, Utc::now()) {
        tracing::warn!("old entries of the spool could not be removed: {error}");
    }
    let folder = world.config.root.join("logs");
    if let Err(error) = logs::prune(&folder, history.logs, history.log_bytes) {
        tracing::warn!("old logs could not be removed: {error}");
    }
}

/// A short name for a duration in reports.
pub fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.2} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s => crate::parse::Span(Duration::from_secs_f64(s.min(1e9).round())).to_string(),
    }
}
