//! A tier's sync is a process of its own: what becomes of the tier when that process is killed, or
//! when `ldi` is stopped or killed in the middle of it.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use serde_json::Value;

use crate::client::{Client, ended, lives, soon};

/// A client with a release and a job; its source takes connections and says nothing.
struct Silent {
    client: Client,
    _listener: TcpListener,
}

impl Silent {
    fn new() -> Result<Option<Self>> {
        if !cfg!(target_os = "linux") {
            return Ok(None);
        }
        let Some(client) = Client::new()? else { return Ok(None) };
        client.script("scripts/daily/job", "#!/bin/bash\necho one\n")?.publish()?;
        client.daily(0)?;
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let source = format!("https://{}/library", listener.local_addr()?);
        let sandbox = &client.sandbox;
        sandbox.configure(&[&source], None)?;
        let text = fs::read_to_string(sandbox.config())?;
        fs::write(sandbox.config(), text.replace("\"20s\"", "\"300s\""))?;
        Ok(Some(Self { client, _listener: listener }))
    }

    /// `ldi run daily`, and the process of its sync.
    fn run(&self) -> Result<(Child, i32)> {
        let sandbox = &self.client.sandbox;
        let mut command = sandbox.ldi_command(&sandbox.config(), &["run", "daily", "--json"])?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0);
        let child = command.spawn()?;
        let pid = child.id();
        let mut sync = None;
        soon("the sync begins", || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            sync = children.unwrap_or_default().split_ascii_whitespace().find_map(|child| {
                let words = fs::read(format!("/proc/{child}/cmdline")).ok()?;
                let apart = words.split(|byte| *byte == 0).any(|word| word == b"--apart");
                apart.then(|| child.parse::<i32>().ok()).flatten()
            });
            sync.is_some()
        })?;
        Ok((child, sync.context("no sync")?))
    }
}

fn send(pid: i32, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(pid), signal)?)
}

#[test]
fn a_sync_that_is_killed_is_told_and_the_last_good_release_runs() -> Result<()> {
    let Some(silent) = Silent::new()? else { return Ok(()) };
    let (child, sync) = silent.run()?;
    send(sync, Signal::SIGABRT)?;
    let done = child.wait_with_output()?;
    let report: Value = serde_json::from_slice(&done.stdout)?;
    ensure!(done.status.success(), "{report}");
    let error = report["sync_error"].as_str().unwrap_or_default();
    ensure!(error.contains("the sync broke off") && error.contains("SIGABRT"), "{report}");
    ended(&report, "daily/job", "ok", "")?;
    let status = silent.client.ldi(0, &["status"])?.out();
    ensure!(status.contains("the sync broke off"), "{status}");
    Ok(())
}

#[test]
fn a_sync_ends_with_whom_it_is_for() -> Result<()> {
    let Some(silent) = Silent::new()? else { return Ok(()) };
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let (child, sync) = silent.run()?;
        let begun = Instant::now();
        // As a terminal does it: to the whole group.
        killpg(Pid::from_raw(i32::try_from(child.id())?), signal)?;
        let done = child.wait_with_output()?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(signal == Signal::SIGKILL || said.contains("ldi was stopped"), "{signal}: {said}");
        ensure!(done.stdout.is_empty(), "{signal}: the tier began");
        soon("the sync ends too", || !lives(sync))?;
        // Far from the 300 seconds that the source is given.
        ensure!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
    Ok(())
}
