//! The long-running process: plan, start what is due, wait; reload when asked; end in time.
//!
//! One thread runs everything; syncs are processes of their own. Each tier runs beside the others and never beside
//! itself; a tier that fails in any way leaves the daemon running.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::{JoinError, JoinSet},
    time::sleep,
};

use crate::{
    Failure, Result, catalogue,
    config::Config,
    error::code,
    machine::{self, Machine},
    metrics::Textfile,
    notify::Notifier,
    plan::{self, Moment, State},
    release,
    submit::Outing,
    supervise,
    tier::{self, Order, TierReport, World},
    tiers::{Tier, Tiers},
    update::{self, Taken, Updater},
};

/// The note under which a pause is remembered: until when, in seconds, or `0` for ever.
pub const PAUSED: &str = "paused_until";

/// A clock that was set is noticed after this at the latest.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// How long a tier may hold up a restart that was asked for; a job's usual time limit.
const LEAVE_LIMIT: Duration = Duration::from_secs(3600);
/// More than this between two clocks is a sleep of the machine or a set clock.
const JUMP: i64 = 20;

/// A tier's name, how it ended, and what a look for a new agent after it brought.
type Task = (String, Result<TierReport>, Taken);
type Ended = Result<Task, JoinError>;

/// Why the daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to.
    Stopped,
    /// For a new agent: the base is to start again.
    MakeRoom,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    leave: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| {
            signal(kind)
                .map_err(|e| Failure::new(code::FAILED, format!("cannot listen for signals: {e}")))
        };
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            leave: listen(SignalKind::user_defined1())?,
        })
    }
}

struct Daemon {
    world: Arc<World>,
    tiers: Vec<Tier>,
    states: BTreeMap<String, State>,
    release: Option<u64>,
    notifier: Notifier,
    textfile: Textfile,
    awake_since: Instant,
    tasks: JoinSet<Task>,
    updater: Updater,
    outing: Outing,
    running: BTreeSet<String>,
    stop: watch::Sender<bool>,
    /// When to end at the latest, once a restart was asked for.
    leaving: Option<Instant>,
}

/// Runs until a signal ends it.
pub async fn run(config: Config, machine: Machine, running: update::Running) -> Result<End> {
    let _lock = {
        codesync::store::Store::open(&config.root)?;
        tier::lock(&config.root, "daemon")?
    };
    if let Err(why) = supervise::adopt_orphans() {
        tracing::warn!("{why}");
    }
    crate::cgroup::settle(&config.root);
    let mut signals = Signals::new()?;
    let world = World::open(config, machine)?;
    let states = world.journal.tiers()?.into_iter().map(|(name, row)| (name, row.state)).collect();
    let updater = Updater::ready(&world.config, &world.machine, running);
    let mut daemon = Daemon {
        updater,
        outing: Outing::default(),
        world: Arc::new(world),
        tiers: Vec::new(),
        states,
        release: None,
        notifier: Notifier::from_environment(),
        textfile: Textfile::default(),
        awake_since: Instant::now(),
        tasks: JoinSet::new(),
        running: BTreeSet::new(),
        stop: watch::channel(false).0,
        leaving: None,
    };
    daemon.read_tiers();
    daemon.notifier.ready();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "ready");
    let end = daemon.work(&mut signals).await;
    // To make room the same process goes on as another program: nothing runs, and the service
    // manager is not told of an end.
    if end == End::Stopped {
        daemon.drain().await;
    }
    Ok(end)
}

impl Daemon {
    async fn work(&mut self, signals: &mut Signals) -> End {
        loop {
            // Before anything else starts.
            if self.updater.makes_room() && self.running.is_empty() {
                return End::MakeRoom;
            }
            let wake = if self.leaving.is_some() { None } else { self.start_due() };
            if self.leaving.is_some_and(|end| self.running.is_empty() || end <= Instant::now()) {
                return End::Stopped;
            }
            let told = if self.leaving.is_some() {
                None
            } else {
                self.outing.begin(&self.world, self.stop.subscribe(), Utc::now())
            };
            let wake = wake.into_iter().chain(told).min();
            let tiers = || Tiers {
                tiers: self.tiers.iter().map(|tier| (tier.name.clone(), tier.clone())).collect(),
                jobs: Vec::new(),
            };
            self.textfile.refresh(&self.world, tiers);
            let nap = self.nap(wake);
            let before = (Utc::now(), Instant::now());
            tokio::select! {
                () = sleep(nap) => {}
                Some(ended) = self.tasks.join_next() => self.tier_ended(ended),
                () = self.outing.ended() => {}
                _ = signals.hangup.recv() => self.reload(),
                _ = signals.leave.recv() => self.leave(),
                _ = signals.terminate.recv() => return End::Stopped,
                _ = signals.interrupt.recv() => return End::Stopped,
            }
            self.notice_sleep(before);
            self.notifier.alive();
        }
    }

    /// Starts every tier that is due; tells when to look again.
    fn start_due(&mut self) -> Option<DateTime<Utc>> {
        let now = Utc::now();
        if self.updater.proof_due() {
            self.start(update::TIER, now);
        }
        if self.updater.holds() {
            self.notifier.status("waits for the running tiers, to start a new version of itself");
            return None;
        }
        if let Some(until) = self.paused(now) {
            return until;
        }
        let moment = Moment {
            now,
            uptime: machine::uptime(),
            awake: self.awake_since.elapsed(),
            resume_splay: self.world.config.daemon.resume_splay.0,
            machine: &self.world.machine,
        };
        let plan = plan::plan(&self.tiers, &self.states, &self.running, &moment);
        for (tier, state) in plan.changed {
            self.remember(tier, state);
        }
        for due in plan.due {
            // Remembered before it starts: after a crash it is a missed run, not a second one.
            self.remember(due.tier.clone(), due.state);
            self.start(&due.tier, due.date);
        }
        let next = plan.wake.map_or_else(
            || "nothing is planned".to_owned(),
            |at| format!("next at {}", at.format("%Y-%m-%d %H:%M:%S UTC")),
        );
        let busy = match self.running.len() {
            0 => "idle".to_owned(),
            _ => format!("running {}", self.running.iter().cloned().collect::<Vec<_>>().join(", ")),
        };
        self.notifier.status(&format!("{busy}; {next}"));
        plan.wake
    }

    /// `Some` while paused, with the end of the pause when it has one.
    fn paused(&self, now: DateTime<Utc>) -> Option<Option<DateTime<Utc>>> {
        let until: i64 = self.world.journal.noted(PAUSED).ok()??.parse().ok()?;
        if until == 0 {
            return Some(None);
        }
        let until = DateTime::from_timestamp(until, 0)?;
        (until > now).then_some(Some(until))
    }

    fn remember(&mut self, tier: String, state: State) {
        if let Err(error) = self.world.journal.remember(&tier, &state) {
            tracing::warn!(tier, "the plan could not be written down: {error}");
        }
        self.states.insert(tier, state);
    }

    fn start(&mut self, name: &str, date: DateTime<Utc>) {
        tracing::info!(tier = name, due = %date.to_rfc3339(), "tier {name} starts");
        self.running.insert(name.to_owned());
        self.world.journal.renew();
        let (world, stop) = (Arc::clone(&self.world), self.stop.subscribe());
        let this = self.updater.looks().then(|| self.updater.running().clone());
        let order =
            Order { tier: name.to_owned(), no_sync: false, dry_run: false, due: Some(date) };
        self.tasks.spawn(async move {
            let result = tier::run(&world, &order, stop).await;
            let this = this.filter(|_| result.as_ref().is_ok_and(TierReport::is_synced));
            let taken = match this {
                Some(this) => take(&world, this).await,
                None => Taken::No,
            };
            (order.tier, result, taken)
        });
    }

    fn tier_ended(&mut self, ended: Ended) {
        match ended {
            Ok((tier, result, taken)) => {
                self.running.remove(&tier);
                self.updater.tier_ended(&tier, &result);
                self.updater.looked(&self.world.config, taken);
                match result {
                    Ok(report) => {
                        self.textfile.count(&report);
                        let seconds = report.seconds;
                        tracing::info!(tier, seconds, "tier {tier} ended: {}", report.summary());
                    }
                    Err(failure) => tracing::warn!(tier, "tier {tier} did not run: {failure}"),
                }
            }
            // A defect: the tier's name went down with its task.
            Err(error) => {
                tracing::error!("a tier broke off: {error}");
                self.running.clear();
            }
        }
        let active = release::active(&self.world.config.root).map(|r| r.number).ok();
        if active != self.release {
            self.read_tiers();
        }
    }

    /// Reads the active release's tiers; a broken file leaves the old ones.
    fn read_tiers(&mut self) {
        let read = || -> Result<(u64, Tiers)> {
            let release = release::active(&self.world.config.root)?;
            let found = catalogue::catalogue(&release.tree, &release.manifest()?, Some(""))?;
            Ok((release.number, found.tiers))
        };
        match read() {
            Ok((number, tiers)) => {
                tracing::info!(release = number, tiers = tiers.tiers.len(), "tiers read");
                self.release = Some(number);
                self.tiers = tiers.tiers.into_values().collect();
            }
            Err(error) if self.tiers.is_empty() => {
                tracing::warn!("{error}; the built-in tiers are used");
                self.tiers = Tiers::built_in().tiers.into_values().collect();
            }
            Err(error) => tracing::warn!("{error}; the tiers stay as they were"),
        }
    }

    /// SIGHUP: ldi.toml and the tiers anew; a broken file leaves the old ones.
    fn reload(&mut self) {
        let file = self.world.config.file.clone();
        match reloaded(&file, &self.world) {
            Ok(world) => {
                self.world = Arc::new(world);
                self.read_tiers();
                tracing::info!("reloaded {}", file.display());
            }
            Err(failure) => tracing::error!("not reloaded: {failure}; the old configuration stays"),
        }
        self.notifier.ready();
    }

    /// SIGUSR1: starts no tier any more and ends when none runs, so that the service manager can
    /// start a new version. A job that brings that version, or takes it away, is not cut off.
    fn leave(&mut self) {
        if self.leaving.is_none() {
            self.leaving = Some(Instant::now() + LEAVE_LIMIT);
        }
        let running = self.running.iter().cloned().collect::<Vec<_>>().join(", ");
        tracing::info!(running, "a restart was asked for; it comes when no tier runs");
        self.notifier.status(&format!("ends when idle; running {running}"));
    }

    fn nap(&self, wake: Option<DateTime<Utc>>) -> Duration {
        let until = wake.map_or(LONGEST_SLEEP, |at| {
            // A little late rather than a little early.
            (at - Utc::now()).to_std().unwrap_or_default() + Duration::from_millis(5)
        });
        let longest = self.notifier.interval().map_or(LONGEST_SLEEP, |i| i.min(LONGEST_SLEEP));
        until.min(longest).min(self.updater.wake().unwrap_or(LONGEST_SLEEP))
    }

    fn notice_sleep(&mut self, (wall, steady): (DateTime<Utc>, Instant)) {
        let by_wall = Utc::now() - wall;
        let slept = by_wall.num_seconds() - i64::try_from(steady.elapsed().as_secs()).unwrap_or(0);
        if slept > JUMP {
            tracing::info!(seconds = slept, "the machine slept, or its clock was set");
            self.awake_since = Instant::now();
        }
    }

    /// Ends what runs, within the deadline.
    async fn drain(&mut self) {
        let deadline = self.world.config.daemon.stop_deadline.0;
        self.notifier.stopping(deadline);
        self.stop.send_replace(true);
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok((tier, ..)) = ended {
                    tracing::info!(tier, "tier {tier} was interrupted");
                }
            }
        };
        if tokio::time::timeout(deadline, all).await.is_err() {
            tracing::warn!("not everything ended within {}", crate::parse::Span(deadline));
        }
        self.updater.stopped();
        tracing::info!("stopped");
    }
}

/// Takes up a new agent, if the release that was just confirmed has one.
async fn take(world: &Arc<World>, this: update::Running) -> Taken {
    let world = Arc::clone(world);
    let look = move || update::take(&world.config, &world.machine, &this);
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
        tracing::error!(%error, "the search for a new agent broke off");
        Taken::Failed
    })
}

fn reloaded(file: &Path, old: &World) -> Result<World> {
    let config = Config::load(file)?;
    if config.root != old.config.root {
        return Err(Failure::config(format!(
            "{}, key root: changing it needs a restart",
            file.display()
        )));
    }
    let journal = crate::journal::Journal::open(&config.root, &old.machine)?
        .spooling(config.server.url.is_some());
    Ok(World { config, machine: old.machine.clone(), journal })
}
