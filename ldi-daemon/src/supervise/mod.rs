//! One run of one job: started in its own process group, watched, drained, ended with everything
//! that it started.
//!
//! What a job started does not outlive it: processes that left its group or session are found
//! by ancestry (on Linux this process is a subreaper, so orphans come to it) and ended too.
//! Never ends anything that is not a descendant.

#[cfg_attr(target_os = "linux", path = "linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "other.rs")]
mod family;
mod kin;
mod output;
mod start;

use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{
    launcher::Report,
    logs::{Log, Stream},
};

pub use family::{Aside, adopt_orphans, aside, end_leftovers};
use kin::Kin;
use output::Pipe;
pub use start::Start;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Exit status 0.
    Ok,
    /// Another exit status, or it could not be started.
    #[default]
    Failed,
    /// Its time was up.
    TimedOut,
    /// A signal from elsewhere.
    Killed,
    /// `ldi` was stopped, or went away.
    Interrupted,
    /// It was not run.
    Skipped,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Ok, Self::Failed, Self::TimedOut, Self::Killed, Self::Interrupted, Self::Skipped];

    /// The word in reports and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Killed => "killed",
            Self::Interrupted => "interrupted",
            Self::Skipped => "skipped",
        }
    }

    /// Whether a tier with it is still a good one.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Ok | Self::Skipped)
    }
}

/// The result of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ended {
    /// How it ended.
    pub outcome: Outcome,
    /// Why, when it did not end well; or what else is worth knowing.
    pub reason: Option<String>,
    /// Its exit status, when it had one.
    pub exit_status: Option<i32>,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Bytes that it wrote.
    pub stdout_bytes: u64,
    /// Bytes that it wrote.
    pub stderr_bytes: u64,
}

impl Ended {
    /// A run that never started.
    pub fn without_start(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self { outcome, reason: Some(reason.into()), ..Self::default() }
    }
}

/// What a run may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Until TERM.
    pub timeout: Duration,
    /// From TERM to KILL.
    pub kill_after: Duration,
    /// Niceness.
    pub nice: u8,
}

/// How long processes that a job left behind get to end after TERM.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);
/// How long a pipe is read once nobody that belongs to the run can hold it.
const DRAIN: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(20);

enum Stage {
    Running,
    /// TERM was sent.
    Ending {
        outcome: Outcome,
        reason: String,
        since: Instant,
        killed: bool,
    },
}

/// Runs `start` as `run` to its end. Its stdin is empty, its output goes to `log`. When `stop`
/// turns true the run is ended as interrupted.
pub async fn supervise(
    start: impl Into<Start>,
    run: &str,
    limits: Limits,
    log: &mut Log,
    mut stop: watch::Receiver<bool>,
) -> Ended {
    let begun = Instant::now();
    let Start { mut command, launcher, group, secrets, notes } = start.into();
    let program = command.get_program().to_string_lossy().into_owned();
    if launcher.is_none() {
        command.stdin(Stdio::null());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = match tokio::process::Command::from(command).kill_on_drop(true).spawn() {
        Ok(child) => child,
        Err(error) => {
            return Ended::without_start(
                Outcome::Failed,
                format!("{program} could not be started: {error}"),
            );
        }
    };
    let Some(main) = child.id().and_then(|id| i32::try_from(id).ok()) else {
        return Ended::without_start(Outcome::Failed, "it ended before it could be watched");
    };
    let kin = Kin::new(main, run, group);
    if limits.nice > 0 {
        let group = rustix::process::Pid::from_raw(main);
        // A job that already ended has no niceness to set.
        let _ = rustix::process::setpriority_pgrp(group, i32::from(limits.nice));
    }
    let mut out = Pipe::new(child.stdout.take(), Stream::Out, &secrets);
    let mut err = Pipe::new(child.stderr.take(), Stream::Err, &secrets);
    drop(secrets);
    let timeout = sleep(limits.timeout);
    tokio::pin!(timeout);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stage = Stage::Running;

    let status = loop {
        let ending = matches!(stage, Stage::Ending { .. });
        tokio::select! {
            status = child.wait() => break status,
            n = out.read(), if out.is_open() => out.take(&n, log),
            n = err.read(), if err.is_open() => err.take(&n, log),
            () = &mut timeout, if !ending => {
                let limit = crate::parse::Span(limits.timeout);
                stage = end(&kin, Outcome::TimedOut, format!("it ran longer than {limit}"));
            }
            () = stopped(&mut stop), if !ending => {
                stage = end(&kin, Outcome::Interrupted, "ldi was stopped".to_owned());
            }
            _ = tick.tick(), if ending => {
                if let Stage::Ending { since, killed, reason, .. } = &mut stage
                    && since.elapsed() >= limits.kill_after
                {
                    // Repeated: what is forked meanwhile is found the next time.
                    kin.signal(Signal::SIGKILL);
                    if !*killed {
                        *killed = true;
                        reason.push_str(" and ignored the request to end");
                    }
                }
            }
        }
    };
    kin.main_ended();

    // Whatever the job left behind: asked first, then ended; the pipes are drained meanwhile.
    let found = kin.members().len();
    if found > 0 {
        kin.signal(Signal::SIGTERM);
    }
    // A run that was told to end may still be ending with its main process: only what ignores
    // the request was left behind.
    let mut left = if matches!(stage, Stage::Running) { found } else { 0 };
    let swept = Instant::now();
    let grace = limits.kill_after.min(LEFTOVER_GRACE);
    let mut gone: Option<Instant> = (found == 0).then(Instant::now);
    while (out.is_open() || err.is_open() || gone.is_none())
        && gone.is_none_or(|at| at.elapsed() < DRAIN)
    {
        tokio::select! {
            n = out.read(), if out.is_open() => out.take(&n, log),
            n = err.read(), if err.is_open() => err.take(&n, log),
            _ = tick.tick() => {}
        }
        if gone.is_none() {
            let living = kin.members().len();
            if living == 0 {
                gone = Some(Instant::now());
            } else if swept.elapsed() >= grace {
                left = left.max(living);
                kin.signal(Signal::SIGKILL);
            }
            // Something that cannot be ended (uninterruptible sleep) must not hold the tier.
            if swept.elapsed() > grace + Duration::from_secs(10) {
                break;
            }
        }
    }
    out.finish(log);
    err.finish(log);
    let mut ended = ended(status, stage);
    if let Some(sentence) = launcher.and_then(Report::read) {
        ended = Ended::without_start(Outcome::Failed, sentence);
    }
    let mut said: Vec<String> = kin.verdict().into_iter().chain(ended.reason).collect();
    drop(kin);
    match left {
        0 => {}
        1 => said.push("1 process that it left behind was ended".to_owned()),
        n => said.push(format!("{n} processes that it left behind were ended")),
    }
    said.extend(notes);
    ended.reason = (!said.is_empty()).then(|| said.join("; "));
    ended.seconds = begun.elapsed().as_secs_f64();
    ended.stdout_bytes = log.total(Stream::Out);
    ended.stderr_bytes = log.total(Stream::Err);
    ended
}

fn end(kin: &Kin, outcome: Outcome, reason: String) -> Stage {
    kin.signal(Signal::SIGTERM);
    Stage::Ending { outcome, reason, since: Instant::now(), killed: false }
}

/// Ends when `stop` turns true.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        // Nobody is left who could stop it.
        std::future::pending::<()>().await;
    }
}

fn ended(status: std::io::Result<ExitStatus>, stage: Stage) -> Ended {
    let status = match status {
        Ok(status) => status,
        Err(error) => {
            return Ended::without_start(
                Outcome::Failed,
                format!("it could not be awaited: {error}"),
            );
        }
    };
    let exit_status = status.code();
    let (outcome, reason) = match stage {
        Stage::Ending { outcome, reason, .. } => (outcome, Some(reason)),
        Stage::Running => match (status.code(), status.signal()) {
            (Some(0), _) => (Outcome::Ok, None),
            (Some(code), _) => (Outcome::Failed, Some(format!("exit status {code}"))),
            (None, Some(signal)) => {
                let name = Signal::try_from(signal).map_or("", Signal::as_str);
                (Outcome::Killed, Some(format!("signal {signal} {name}").trim_end().to_owned()))
            }
            (None, None) => (Outcome::Failed, Some(format!("{status}"))),
        },
    };
    Ended { outcome, reason, exit_status, ..Ended::default() }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
