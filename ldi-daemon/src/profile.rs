//! `ldi profile`: what a script costs: time, memory, processes, files.
//!
//! Owns the numbers and where they come from (docs/testing.md, "What a script costs"). The script
//! runs once, as `ldi exec` would run it; what cannot be measured here is said to be so, never
//! guessed.

mod seen;
mod start;
mod text;
mod trace;

use std::{
    ffi::OsString,
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    Failure, Result, cli,
    exec::{Manner, Source, Target},
};
use seen::Trace;
use trace::Tracer;

/// What a run took.
#[derive(Debug, Serialize)]
struct Profile {
    /// What was run.
    name: String,
    /// 128 + signal number if a signal ended it.
    exit_status: u8,
    /// From the call to the script's end.
    wall_seconds: f64,
    /// Of it until the first line of the script: the loader, the interpreter, the modules.
    start_seconds: Option<f64>,
    /// Of the script and of what it waited for.
    user_seconds: f64,
    /// Likewise, in the kernel.
    system_seconds: f64,
    /// Of the largest process.
    peak_memory_bytes: u64,
    /// It is not more than what any child seems to have, so it is only known to be at most that.
    peak_memory_is_a_bound: bool,
    /// bash modules that were sourced; `null` where that is not known.
    modules: Option<Vec<String>>,
    /// What strace saw.
    #[serde(flatten)]
    trace: Option<Trace>,
    /// Why there is nothing that strace saw.
    not_traced: Option<String>,
}

/// What to profile and how to say it.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The configuration's file.
    pub config: &'a Path,
    /// A working tree in place of the active release.
    pub tree: Option<&'a Path>,
    /// A file, or a function.
    pub target: Target<'a>,
    /// Its arguments.
    pub args: &'a [OsString],
    /// Its surroundings.
    pub manner: Manner,
    /// Without strace.
    pub no_trace: bool,
    /// JSON on standard output, where the script's own then goes to standard error.
    pub json: bool,
}

/// Runs it and reports; the exit code is the script's own.
pub fn profile(order: &Order<'_>) -> Result<u8> {
    let tracer =
        if order.no_trace { Err("--no-trace was given".to_owned()) } else { Tracer::find() };
    let began = Instant::now();
    let source = Source::open(order.config, order.tree)?;
    let launch = source.launch(order.target, order.args).map_err(|e| source.failure(e))?;
    let prepared = began.elapsed();
    let program = launch.program.clone();
    let kind = start::kind(&launch);
    let (launch, tracing, not_traced) = match tracer {
        Err(why) => (launch, None, Some(why)),
        Ok(tracer) => {
            let (launch, tracing) = tracer.before(launch)?;
            (launch, Some(tracing), None)
        }
    };
    let mut command = source.command(launch, order.target, order.manner)?;
    if order.json {
        command.stdout(std::io::stderr());
    }
    let floor = floor(kind)?;
    let before = usage(UsageWho::RUSAGE_CHILDREN)?;
    let (status, ran) = run(command).map_err(|e| Failure::io("start", &program, &e))?;
    let used = usage(UsageWho::RUSAGE_CHILDREN)?;
    let trace = tracing.map(|tracing| tracing.end(source.namespace().tree()));
    // strace's own start is not the script's.
    let ran = trace.as_ref().map_or(ran, |trace| ran.saturating_sub(trace.before));
    let start = start::cost(&source, order, kind).map(|cost| prepared + cost);
    let wall = prepared + ran;
    let profile = Profile {
        name: name(order),
        exit_status: code(status),
        wall_seconds: wall.as_secs_f64(),
        start_seconds: start.map(|start| start.min(wall).as_secs_f64()),
        user_seconds: seconds(used.user_time() - before.user_time()),
        system_seconds: seconds(used.system_time() - before.system_time()),
        peak_memory_bytes: memory(&used),
        peak_memory_is_a_bound: memory(&used) <= floor,
        modules: (kind == start::Kind::Bash)
            .then(|| source.reach(order.target, order.args))
            .flatten(),
        trace,
        not_traced,
    };
    if order.json {
        cli::print_json(&profile)?;
    } else {
        text::print(&profile);
    }
    Ok(profile.exit_status)
}

/// Runs it to its end; an interrupt of the terminal reaches the script, and we report all the same.
fn run(command: Command) -> std::io::Result<(ExitStatus, Duration)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _interrupt = signal(SignalKind::interrupt())?;
        let _quit = signal(SignalKind::quit())?;
        let mut command = tokio::process::Command::from(command);
        let begun = Instant::now();
        let status = command.spawn()?.wait().await?;
        Ok((status, begun.elapsed()))
    })
}

/// The least memory that a child seems to have: the system counts what a process had before it
/// became another program, which is a part of this one after a fork, and all of it after a vfork.
fn floor(kind: start::Kind) -> Result<u64> {
    let mut least = Command::new("/bin/sh");
    // Without it the floor is lower than it could be, and nothing else is wrong.
    let _ = silent(least.args(["-c", ":"])).status();
    let seen = memory(&usage(UsageWho::RUSAGE_CHILDREN)?);
    Ok(match kind {
        // What is given no descriptors is started by vfork.
        start::Kind::Other => seen.max(memory(&usage(UsageWho::RUSAGE_SELF)?)),
        start::Kind::Bash | start::Kind::Python => seen,
    })
}

fn name(order: &Order<'_>) -> String {
    match order.target {
        Target::File(name) | Target::Function(name) => name.to_string_lossy().into_owned(),
        Target::Pyexec | Target::Shell | Target::Repl => "prompt".to_owned(),
    }
}

fn code(status: ExitStatus) -> u8 {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    u8::try_from(code).unwrap_or(1)
}

fn usage(who: UsageWho) -> Result<Usage> {
    getrusage(who).map_err(|e| Failure::io("ask the system for", Path::new("its usage"), &e.into()))
}

/// Bytes: Linux counts kilobytes, macOS bytes.
fn memory(usage: &Usage) -> u64 {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(usage.max_rss()).unwrap_or(0) * unit
}

fn seconds(time: nix::sys::time::TimeVal) -> f64 {
    let (seconds, micros) = (time.tv_sec(), time.tv_usec());
    let micros = u32::try_from(micros).unwrap_or(0);
    Duration::new(u64::try_from(seconds).unwrap_or(0), micros.saturating_mul(1000)).as_secs_f64()
}

/// A command that says nothing, and is started by fork as a script is: with an account, its own.
fn silent(command: &mut Command) -> &mut Command {
    command.uid(nix::unistd::geteuid().as_raw());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}
