//! The one story of a client: refresh, choose, fetch, verify, stage, activate.

use std::{
    cell::RefCell,
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::{
    Error, Kind, Result, disk,
    fetch::Downloads,
    manifest::Manifest,
    name,
    source::{self, Access, Address, Source},
    stage::Stage,
    store::{Release, Staged, Store},
    trust::{Tree, Trust},
};

mod adopt;
mod backoff;
mod fill;
mod large;
mod parts;
mod repair;
mod report;
mod route;
mod seed;

use backoff::Backoff;
use fill::Fault;
pub use report::{Outcome, Report, Transfer};
pub(crate) use route::route;

/// Where to sync from and to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client's root folder; see [`crate::store`].
    pub root: PathBuf,
    /// Sources in the order to try them: `ssh://user@host[:port]/path` or `file:///path`.
    pub sources: Vec<String>,
    /// The ring to follow.
    pub ring: String,
    /// The root.json that was pinned when this machine was set up. Used only until a newer root
    /// has been accepted.
    pub trusted_root: PathBuf,
    /// Private SSH key; `<identity>-cert.pub` beside it is used when present.
    pub identity: Option<PathBuf>,
    /// The pinned host keys.
    pub known_hosts: Option<PathBuf>,
    /// Limit for connecting and authenticating, and for any silence after that.
    pub connect_timeout: Duration,
    /// How long to wait for another sync of this root to end before saying busy.
    pub lock_wait: Duration,
    /// What few machines need.
    pub options: Options,
}

/// What few machines need; the default is none of it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Certificates (PEM) of authorities that https sources are known by, beside the system's.
    pub ca_file: Option<PathBuf>,
    /// This machine's certificate (PEM) for https sources that ask for one.
    pub client_certificate: Option<PathBuf>,
    /// Its private key (PEM), readable by its owner only.
    pub client_key: Option<PathBuf>,
    /// A program and its arguments whose standard input and output lead to an ssh source; see
    /// [`Access::proxy_command`]. Empty: none.
    pub proxy_command: Vec<String>,
    /// The most bytes of content to take in per second, on average over a sync.
    pub max_rate: Option<u64>,
}

/// Called with a release that is verified and on disk, before it becomes active; an error stops
/// the activation. The daemon builds the loader's index here. [`Kind::Refused`] says that the
/// release is unusable; any other kind is a fault of this machine.
pub type Prepare<'a> = dyn Fn(&Staged) -> Result<()> + 'a;

/// Told how many of how many bytes have arrived.
pub type Progress<'a> = dyn Fn(u64, u64) + 'a;

/// Syncs `settings.root` with the first source that answers and can be verified.
///
/// Unreachable and refusing sources are a [`Report`], not an error; errors are local: a held
/// lock ([`crate::Kind::Busy`]), a wrong configuration, a full disk. `now` is the clock by which
/// signatures expire.
pub fn sync(
    settings: &Settings,
    now: DateTime<Utc>,
    prepare: &Prepare<'_>,
    progress: &Progress<'_>,
) -> Result<Report> {
    let began = Instant::now();
    if name::check_ring(&settings.ring).is_err() {
        return Err(Error::new(Kind::Config, format!("{:?} is not a ring's name", settings.ring)));
    }
    let addresses = settings
        .sources
        .iter()
        .map(|url| Ok((url, Address::parse(url)?)))
        .collect::<Result<Vec<_>>>()?;
    if addresses.is_empty() {
        return Err(Error::new(Kind::Config, "sync.source names no source; add one"));
    }
    let store = Store::open(&settings.root)?;
    let _lock = store.lock(settings.lock_wait)?;
    store.clean()?;
    let before = store.active()?.map(|release| release.number);
    let pinned = store.pinned()?;
    if let Some(number) = pinned.filter(|number| before != Some(*number)) {
        store.activate(number)?;
    }
    let previous = store.active()?;
    let mut report = Report {
        outcome: Outcome::Unreachable,
        release: previous.as_ref().map(|release| release.number),
        previous: before,
        source: None,
        transfer: Transfer::None,
        bytes_received: 0,
        bytes_sent: 0,
        files_total: 0,
        files_changed: 0,
        stale: false,
        seconds: 0.0,
        reason: None,
    };
    if pinned.is_some()
        && let Some(held) = previous.as_ref().filter(|held| !held.is_damaged())
    {
        report.outcome = Outcome::Current;
        report.files_total = held.summary().map_or(0, |summary| summary.files);
        let number = held.number;
        report.reason =
            Some(format!("this machine is pinned to release {number}: no source was asked"));
        report.seconds = began.elapsed().as_secs_f64();
        return Ok(report);
    }
    let mut reasons = Vec::new();
    let mut backoff = Backoff::load(&store.backoff(), &settings.sources);
    let order = backoff.order(&settings.sources, now);
    for (turn, &at) in order.iter().enumerate() {
        let (url, address) = &addresses[at];
        report.source = Some((*url).clone());
        let downloads = RefCell::new(Downloads::new(&store.partial(), settings.options.max_rate)?);
        let pinned = pinned.is_some();
        let attempt =
            Attempt { settings, store: &store, pinned, now, prepare, progress, downloads };
        match attempt.run(address, previous.as_ref(), &mut report) {
            Ok(()) => {
                if report.outcome == Outcome::Updated {
                    attempt.downloads.borrow().finish()?;
                }
                backoff.answered(url);
                report.stale = false;
                reasons.extend(backoff.passed_over(&settings.sources, &order[turn..], now));
                reasons.splice(0..0, report.reason.take());
                report.reason = joined(&reasons);
                report.seconds = began.elapsed().as_secs_f64();
                return Ok(report);
            }
            Err(error) => {
                match error.kind() {
                    Kind::Unreachable => {}
                    Kind::Refused => report.outcome = Outcome::Refused,
                    Kind::Stale => {
                        report.outcome = Outcome::Refused;
                        report.stale = true;
                    }
                    // Local: another source would not help.
                    _ => return Err(error),
                }
                backoff.failed(url, &error, now);
                reasons.push(format!("{url}: {error}"));
            }
        }
    }
    if let Some(release) = &previous {
        report.files_total = release.manifest().map_or(0, |m| m.len() as u64);
    }
    report.reason = joined(&reasons);
    report.seconds = began.elapsed().as_secs_f64();
    Ok(report)
}

fn joined(reasons: &[String]) -> Option<String> {
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// One try with one source.
struct Attempt<'a> {
    settings: &'a Settings,
    store: &'a Store,
    /// The active release is to stay: it can be repaired and nothing else.
    pinned: bool,
    now: DateTime<Utc>,
    prepare: &'a Prepare<'a>,
    progress: &'a Progress<'a>,
    downloads: RefCell<Downloads>,
}

impl Attempt<'_> {
    fn run(&self, address: &Address, active: Option<&Release>, report: &mut Report) -> Result<()> {
        let settings = self.settings;
        // Local faults, such as a missing pinned root, come before any connection.
        let mut trust =
            Trust::open(&self.store.trust_folder(), &settings.trusted_root, Some(&settings.ring))?;
        let access = Access {
            identity: settings.identity.as_deref(),
            known_hosts: settings.known_hosts.as_deref(),
            timeout: settings.connect_timeout,
            ca_file: settings.options.ca_file.as_deref(),
            client_certificate: settings.options.client_certificate.as_deref(),
            client_key: settings.options.client_key.as_deref(),
            proxy_command: &settings.options.proxy_command,
        };
        let mut source = source::connect(address, &access)?;
        let result = self.with(source.as_mut(), &mut trust, active, report);
        let traffic = source.traffic();
        report.bytes_received += traffic.received;
        report.bytes_sent += traffic.sent;
        result
    }

    fn with(
        &self,
        source: &mut dyn Source,
        trust: &mut Trust,
        active: Option<&Release>,
        report: &mut Report,
    ) -> Result<()> {
        source::refresh(source, trust, &self.settings.ring, self.now)?;
        let tree = trust.tree()?;
        if let Some(active) = active {
            if self.pinned {
                return self.repair(source, &tree, active, report);
            }
            if tree.release < active.number {
                return Err(Error::refused(format!(
                    "ring {} went back from release {} to {}: the source is outdated or hostile",
                    self.settings.ring, active.number, tree.release
                )));
            }
            if tree.release == active.number {
                let known = parts::signed(active, &tree).filter(|_| !active.is_damaged());
                if let Some(known) = known {
                    report.outcome = Outcome::Current;
                    report.files_total = known.files;
                    return Ok(());
                }
                return self.repair(source, &tree, active, report);
            }
        }
        self.update(source, &tree, active, report)
    }

    fn update(
        &self,
        source: &mut dyn Source,
        tree: &Tree,
        active: Option<&Release>,
        report: &mut Report,
    ) -> Result<()> {
        let old = active.map(Release::manifest).transpose();
        // A damaged manifest makes the active tree a tree of unknown content.
        let known = match (active, old) {
            (Some(release), Ok(Some(manifest))) => Some((release.clone(), manifest)),
            _ => None,
        };
        let before = known.as_ref().map(|(_, manifest)| manifest.clone()).unwrap_or_default();
        // Built by an earlier sync that was cut off between the renames.
        if let Some(there) = self.store.release(tree.release) {
            if parts::signed(&there, tree).is_some() {
                self.store.activate(tree.release)?;
                self.finished(tree, &before, &there.manifest()?, Transfer::None, report);
                return self.store.retire();
            }
            crate::store::remove(&there.tree)?;
            crate::store::remove(&there.meta)?;
        }
        let suspicious = active.is_some_and(Release::is_damaged);
        let mut stage = Stage::begin(self.store, known.clone(), suspicious)?;
        let result = self.fill(source, tree, (active, known.as_ref()), &mut stage);
        let (manifests, transfer) = match result {
            Ok(done) => done,
            // The active tree is not what it should be: take nothing in it for granted.
            Err(Fault::Local) => {
                stage = Stage::begin(self.store, known.clone(), true)?;
                self.fill_by_files(source, tree, &mut stage)?
            }
            Err(Fault::Error(error)) => return Err(error),
        };
        let manifest = parts::whole(tree, &manifests)?;
        let staged = stage.finish(tree.release, &manifest)?;
        parts::keep(&staged.meta, tree, &manifests, &manifest)?;
        // The disk and the processor work at the same time.
        let sync = stage.sync();
        std::thread::scope(|scope| {
            let synced = scope.spawn(sync);
            self.make_ready(&staged)?;
            synced.join().unwrap_or_else(|_| {
                Err(Error::new(Kind::Io, "writing the release to disk failed unexpectedly"))
            })
        })?;
        disk::sync_folder(&staged.meta)?;
        self.store.adopt(&staged)?;
        self.finished(tree, &before, &manifest, transfer, report);
        let lib = self.settings.root.join("lib");
        report.reason = self.adopt_known_hosts(tree.release, &lib, &manifest);
        self.store.retire()
    }

    fn make_ready(&self, staged: &Staged) -> Result<()> {
        (self.prepare)(staged).map_err(|why| {
            Error::new(why.kind(), format!("release {} cannot be used: {why}", staged.number))
        })
    }

    fn finished(
        &self,
        tree: &Tree,
        before: &Manifest,
        after: &Manifest,
        transfer: Transfer,
        report: &mut Report,
    ) {
        report.outcome = Outcome::Updated;
        report.release = Some(tree.release);
        report.transfer = transfer;
        report.files_total = after.len() as u64;
        report.files_changed = after.changes(before).len() as u64;
    }
}

#[cfg(test)]
mod tests;
