//! What a job costs beside its own program: a tier of many jobs, against forking and executing the
//! same programs one after the other.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use e2e::{Sandbox, parts, tree};
use nix::unistd::Uid;

use crate::numbers::{Aim, Figure, Samples, Unit};

/// The most that starting, watching and writing down a job may add to its own time.
const BESIDE: f64 = 5.0;
const SCRIPT: &str = "#!/bin/bash\n:\n";

/// A kind of job.
struct Kind {
    /// As the table names it.
    name: &'static str,
    /// The keys of its `[[job]]`; none for scripts.
    keys: Option<&'static str>,
    /// It needs root.
    root: bool,
    aim: Aim,
}

/// Tiers of `count` jobs of each kind.
pub fn jobs(count: usize, rounds: usize) -> Result<Vec<Figure>> {
    let kinds = [
        Kind { name: "command", keys: Some(""), root: false, aim: Aim::AtMost(BESIDE) },
        Kind { name: "script", keys: None, root: false, aim: Aim::AtMost(BESIDE) },
        Kind { name: "with limits", keys: Some("processes = 99"), root: true, aim: Aim::None },
        Kind { name: "as nobody", keys: Some("user = \"nobody\""), root: true, aim: Aim::None },
    ];
    let mut figures = Vec::new();
    for kind in kinds.into_iter().filter(|kind| !kind.root || Uid::effective().is_root()) {
        let samples = beside(&kind, count, rounds)?;
        let (files, case) = (count, "job, added");
        figures.push(Figure {
            files,
            case,
            name: kind.name,
            unit: Unit::Time,
            samples,
            aim: kind.aim,
        });
    }
    Ok(figures)
}

/// What one job of `kind` adds to its own program's time, by rounds.
fn beside(kind: &Kind, count: usize, rounds: usize) -> Result<Samples> {
    let sandbox = Sandbox::with_library()?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    let program = parts::program("true")?;
    let mut list = String::new();
    for at in 0..count {
        match kind.keys {
            Some(keys) => list.push_str(&format!(
                "[[job]]\nname = \"job{at}\"\ntier = \"daily\"\ncommand = [{program:?}]\n{keys}\n"
            )),
            None => tree::put(
                &sandbox.tree(),
                &format!("scripts/daily/{at:05}"),
                SCRIPT.as_bytes(),
                true,
            )?,
        }
    }
    sandbox.put("conf/tiers.toml", &list)?;
    sandbox.publish()?;
    sandbox.synced()?;
    let script = sandbox.path("script");
    fs::write(&script, SCRIPT)?;
    let bare = || match kind.keys {
        Some(_) => Command::new(&program),
        None => {
            let mut command = Command::new("/bin/bash");
            command.arg(&script);
            command
        }
    };
    let mut samples = Samples::default();
    for _ in 0..rounds {
        let alone = timed(|| (0..count).try_for_each(|_| once(bare())))?;
        let empty = timed(|| run(&sandbox, "hourly"))?;
        let full = timed(|| run(&sandbox, "daily"))?;
        let count = u32::try_from(count).context("too many jobs")?;
        samples.time(full.saturating_sub(empty + alone) / count);
    }
    Ok(samples)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// Starts a program as a supervisor must at least: its output goes into two pipes.
fn once(mut command: Command) -> Result<()> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.output().map(drop).context("cannot start a bare program")
}

fn run(sandbox: &Sandbox, tier: &str) -> Result<()> {
    sandbox.ldi(&["run", tier, "--no-sync"])?.success().map(drop)
}
