//! Running the jobs of a tier: in their order, one at a time but for those with
//! `parallel = true`; a job that waits for a gate or a retry keeps nobody else waiting.

use std::{
    collections::BTreeSet,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use chrono::Utc;
use loader::Namespace;
use tokio::{
    sync::{Mutex, Semaphore, watch},
    time::sleep,
};
use tracing::Instrument;

use super::{JobReport, World, breaker, not_now};
use crate::{
    catalogue::{self, Job},
    gate::{self, Verdict},
    launch::{self, Fault, Scene},
    logs::Log,
    plan, release,
    select::Here,
    supervise::{Ended, Limits, Outcome, supervise},
    tiers::What,
};

/// A release, a tier of it, and what it takes to run its jobs.
pub(super) struct Shop<'a> {
    pub(super) world: &'a Arc<World>,
    pub(super) namespace: &'a Namespace,
    pub(super) release: u64,
    pub(super) tree: &'a Path,
    pub(super) tier: &'a str,
    pub(super) stop: watch::Receiver<bool>,
    /// A file of the release was found that is not the signed one.
    pub(super) damaged: AtomicBool,
}

/// Who may run now.
struct Lanes {
    /// Held by a job without `parallel`.
    single: Mutex<()>,
    /// One permit per running job.
    all: Semaphore,
}

type Running<'f> = Pin<Box<dyn Future<Output = (usize, JobReport)> + Send + 'f>>;

impl Shop<'_> {
    /// Runs `jobs`, which are in order, and reports on each, in the same order.
    pub(super) async fn run_all(&self, jobs: &[Job], here: &Here<'_>) -> Vec<JobReport> {
        let lanes =
            Lanes { single: Mutex::new(()), all: Semaphore::new(self.world.config.run.parallel) };
        let mut reports: Vec<Option<JobReport>> = jobs
            .iter()
            .map(|job| not_now(self.world, job, here).map(|reason| JobReport::skipped(job, reason)))
            .collect();
        let mut running: Vec<Running<'_>> = Vec::new();
        let mut started: BTreeSet<usize> = BTreeSet::new();
        loop {
            self.start(jobs, &reports, &mut started, &mut running, &lanes);
            if running.is_empty() {
                break;
            }
            let (at, report) = First { running: &mut running }.await;
            reports[at] = Some(report);
        }
        reports
            .into_iter()
            .zip(jobs)
            .map(|(report, job)| {
                report.unwrap_or_else(|| JobReport::skipped(job, "ldi was stopped".to_owned()))
            })
            .collect()
    }

    /// Starts every job that may start: what it comes after has ended, and, for one that takes
    /// the single lane, no earlier job without a gate still has to take it.
    fn start<'f>(
        &'f self,
        jobs: &'f [Job],
        reports: &[Option<JobReport>],
        started: &mut BTreeSet<usize>,
        running: &mut Vec<Running<'f>>,
        lanes: &'f Lanes,
    ) where
        Self: 'f,
    {
        if *self.stop.borrow() {
            return;
        }
        let ended = |word: &String| {
            jobs.iter()
                .zip(reports)
                .all(|(job, report)| !catalogue::names(job, word) || report.is_some())
        };
        let mut lane_taken = false;
        for (at, job) in jobs.iter().enumerate() {
            let in_lane = !job.keys.parallel && job.keys.wait_for.is_empty();
            if reports[at].is_some() {
                continue;
            }
            if !started.contains(&at)
                && job.keys.after.iter().all(ended)
                && !(in_lane && lane_taken)
            {
                started.insert(at);
                running.push(Box::pin(async move { (at, self.job(job, lanes).await) }));
            }
            lane_taken |= in_lane && started.contains(&at);
        }
    }

    /// One job: its gates, its tries.
    async fn job(&self, job: &Job, lanes: &Lanes) -> JobReport {
        let mut attempt = 0;
        let retries = if breaker::is_trial(self.world, job) { 0 } else { job.keys.retries };
        loop {
            let (run, ended) = self.attempt(job, lanes).await;
            let again =
                matches!(ended.outcome, Outcome::Failed | Outcome::TimedOut | Outcome::Killed)
                    && attempt < retries
                    && job.damaged.is_none()
                    && !*self.stop.borrow();
            if !again {
                // A damaged release is repaired by the next sync; its jobs are not at fault.
                if !self.damaged.load(Ordering::Relaxed) {
                    breaker::count(self.world, job, &ended);
                }
                return JobReport {
                    job: job.name.clone(),
                    run: Some(run),
                    outcome: ended.outcome.as_str(),
                    reason: ended.reason,
                    exit_status: ended.exit_status,
                    seconds: ended.seconds,
                    stdout_bytes: ended.stdout_bytes,
                    stderr_bytes: ended.stderr_bytes,
                };
            }
            let pause = self.world.config.run.retry_delay.0.saturating_mul(1 << attempt.min(10));
            attempt += 1;
            let mut stop = self.stop.clone();
            tokio::select! {
                () = sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// One run, and its name.
    async fn attempt(&self, job: &Job, lanes: &Lanes) -> (String, Ended) {
        let run = run_name();
        let span = tracing::info_span!("run", job = job.name, run);
        let ended = self.named(job, &run, lanes).instrument(span).await;
        (run, ended)
    }

    /// One run, from the journal's first word to its last.
    async fn named(&self, job: &Job, run: &str, lanes: &Lanes) -> Ended {
        let journal = &self.world.journal;
        let gated = !job.keys.wait_for.is_empty();
        let mut begun = false;
        let begin = |begun: &mut bool| {
            if !*begun {
                *begun = true;
                if let Err(error) =
                    journal.begin(run, self.tier, &job.name, self.release, Utc::now())
                {
                    tracing::warn!("the run could not be written down: {error}");
                }
            }
        };
        let mut ended = None;
        if gated {
            begin(&mut begun);
            ended = self.gates(job, run).await;
        }
        if ended.is_none() {
            let lane = if job.keys.parallel { None } else { Some(lanes.single.lock().await) };
            let permit = lanes.all.acquire().await;
            begin(&mut begun);
            ended = Some(if *self.stop.borrow() {
                Ended::without_start(Outcome::Interrupted, "ldi was stopped")
            } else {
                self.run(job, run).await
            });
            drop((permit, lane));
        }
        let ended = ended.unwrap_or_default();
        if let Err(error) = journal.end(run, &ended, Utc::now()) {
            tracing::warn!("the result could not be written down: {error}");
        }
        if job.keys.run_once
            && ended.outcome == Outcome::Ok
            && let Err(error) = journal.set_once(&job.memory(), &job.content, Utc::now())
        {
            tracing::warn!("its success could not be written down: {error}");
        }
        let reason = ended.reason.as_deref().unwrap_or_default();
        let outcome = ended.outcome.as_str();
        if ended.outcome.is_good() {
            tracing::info!(outcome, reason, "{}: {outcome}", job.name);
        } else {
            tracing::warn!(outcome, "{}: {outcome}: {reason}", job.name);
        }
        ended
    }

    async fn gates(&self, job: &Job, run: &str) -> Option<Ended> {
        let deadline = job.keys.wait_deadline.map_or(gate::DEADLINE, |span| span.0);
        let window = self.world.config.run.gate_splay.0;
        let splay = plan::share(&self.world.machine, &format!("gate:{}", job.name), window);
        let (stop, times) = (self.stop.clone(), (deadline, splay));
        match gate::wait(&self.scene(), &job.keys.wait_for, times, run, stop).await {
            Verdict::Open => None,
            Verdict::Closed(why) => Some(Ended::without_start(Outcome::Skipped, why)),
            Verdict::Stopped => {
                Some(Ended::without_start(Outcome::Interrupted, "ldi was stopped while it waited"))
            }
        }
    }

    async fn run(&self, job: &Job, run: &str) -> Ended {
        if let Some((sentence, path)) = &job.damaged {
            self.mark_damaged(path);
            return Ended::without_start(Outcome::Failed, sentence.clone());
        }
        let start = match launch::start(&self.scene(), job, run) {
            Ok(start) => start,
            Err(Fault::Tampered(path, sentence)) => {
                self.mark_damaged(&path);
                return Ended::without_start(Outcome::Failed, sentence);
            }
            Err(Fault::Other(sentence)) => return Ended::without_start(Outcome::Failed, sentence),
        };
        let config = &self.world.config;
        let limits = Limits {
            timeout: job.keys.timeout.map_or(config.run.timeout.0, |span| span.0),
            kill_after: config.run.kill_after.0,
            nice: job.keys.nice,
        };
        let header = [
            ("run", run.to_owned()),
            ("tier", self.tier.to_owned()),
            ("job", job.name.clone()),
            ("release", self.release.to_string()),
            ("started", Utc::now().to_rfc3339()),
            ("runs", describe(&job.what)),
        ];
        let folder = config.root.join("logs");
        let mut log = Log::create(&folder, run, &header, config.run.output_limit);
        let mut ended = supervise(start, run, limits, &mut log, self.stop.clone()).await;
        if let Some(fault) = log.finish() {
            ended.reason = Some(match ended.reason {
                Some(reason) => format!("{reason}; {fault}"),
                None => fault,
            });
        }
        ended
    }

    fn mark_damaged(&self, path: &str) {
        self.damaged.store(true, Ordering::Relaxed);
        release::mark_damaged(&self.world.config.root, self.release, path);
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            config: &self.world.config,
            namespace: self.namespace,
            release: self.release,
            tree: self.tree,
            tier: self.tier,
        }
    }
}

/// What a job runs, for people.
pub fn describe(what: &What) -> String {
    match what {
        What::Script(path) => path.clone(),
        What::Function(name) => format!("function {name}"),
        What::Command(words) => words.join(" "),
    }
}

/// Start, process, number: sorts by time and is its own on this machine.
pub fn run_name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{}-{:x}-{number}", Utc::now().format("%Y%m%dT%H%M%S%3f"), std::process::id())
}

/// The first of many futures to end; it is taken out.
struct First<'v, 'f> {
    running: &'v mut Vec<Running<'f>>,
}

impl Future for First<'_, '_> {
    type Output = (usize, JobReport);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        for at in 0..self.running.len() {
            if let Poll::Ready(done) = self.running[at].as_mut().poll(context) {
                drop(self.running.swap_remove(at));
                return Poll::Ready(done);
            }
        }
        Poll::Pending
    }
}
