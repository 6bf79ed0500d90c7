//! Two at once, and processes that go away in the middle.

use std::{
    fs,
    io::Write,
    process::{Child, Stdio},
};

use anyhow::{Context, Result, ensure};
use e2e::parts;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::client::{Client, ended, lives, pids, soon};

const SH: &str = "#!/bin/bash\n";

/// Starts `ldi WORDS…`; the caller ends it by its id.
fn start(client: &Client, words: &[&str]) -> Result<Child> {
    let mut command = client.sandbox.ldi_command(&client.sandbox.config(), words)?;
    Ok(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?)
}

fn send(child: &Child, signal: Signal) -> Result<()> {
    Ok(kill(Pid::from_raw(i32::try_from(child.id())?), signal)?)
}

#[test]
fn a_tier_never_runs_beside_itself() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script("scripts/daily/slow", &format!("{SH}touch \"$LDI_STATE_DIR/here\"; sleep 3\n"))?
        .script("scripts/hourly/quick", &format!("{SH}echo quick\n"))?
        .publish()?;
    let mut first = start(&client, &["run", "daily"])?;
    let here = client.state("daily/slow").join("here");
    soon("the first run begins", || here.exists())?;
    let err = client.ldi(75, &["run", "daily"])?.err();
    ensure!(err.contains(&format!("process {}", first.id())), "{err}");
    client.ldi(0, &["run", "hourly"])?;
    ensure!(first.wait()?.success());
    client.daily(0)?;
    Ok(())
}

#[test]
fn a_killed_ldi_leaves_an_interrupted_run_and_no_process() -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script(
            "scripts/daily/slow",
            &format!("{SH}echo working\necho $$ > \"$LDI_STATE_DIR/pid\"; exec sleep 300\n"),
        )?
        .publish()?;
    let mut child = start(&client, &["run", "daily"])?;
    let file = client.state("daily/slow").join("pid");
    soon("the job begins", || fs::read_to_string(&file).is_ok_and(|t| t.ends_with('\n')))?;
    let status = client.json(0, &["status"])?;
    ensure!(status["running"][0]["job"] == "daily/slow", "{status}");
    send(&child, Signal::SIGKILL)?;
    child.wait()?;
    let history = client.json(0, &["history", "--outcome", "interrupted"])?;
    let reason = history[0]["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("ended before the job did"), "{history}");
    ensure!(client.output("daily/slow")? == b"working\n");
    let pid = pids(&file)?[0];
    ensure!(lives(pid), "nothing to clean up");
    client.ldi(0, &["run", "hourly", "--no-sync"])?;
    soon("the leftover is gone", || !lives(pid))?;
    Ok(())
}

#[test]
fn what_forked_away_without_a_trace_is_gone_after_a_killed_ldi() -> Result<()> {
    // Nothing but a control group tells whose process it is.
    let root = nix::unistd::Uid::effective().is_root();
    if !cfg!(target_os = "linux") || !root || !parts::need(&["setsid", "env"])? {
        return Ok(());
    }
    let Some(client) = Client::new()? else { return Ok(()) };
    let away = "env -i \"$(command -v setsid)\" /bin/bash -c 'trap \"\" TERM HUP; (/bin/sleep 300 & echo $! >> '\"$LDI_STATE_DIR\"'/pids); echo $$ >> '\"$LDI_STATE_DIR\"'/pids; while :; do /bin/sleep 300; done' > /dev/null 2>&1 &";
    client
        .script("scripts/daily/10_away", &format!("{SH}{away}\nsleep 300\n"))?
        .script(
            "scripts/weekly/10_limited",
            &format!("{SH}# ldi: processes=50 memory=256M\n{away}\nsleep 300\n"),
        )?
        .publish()?;
    for tier in ["daily/10_away", "weekly/10_limited"] {
        let mut child = start(&client, &["run", tier.split('/').next().unwrap_or_default()])?;
        let file = client.state(tier).join("pids");
        let ready = || fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 2);
        soon("the job forked away", ready)?;
        send(&child, Signal::SIGKILL)?;
        child.wait()?;
        let left = pids(&file)?;
        ensure!(left.iter().all(|pid| lives(*pid)), "nothing to clean up: {left:?}");
        client.ldi(0, &["run", "hourly", "--no-sync"])?;
        ensure!(!left.iter().any(|pid| lives(*pid)), "{tier} left {left:?}");
    }
    Ok(())
}

#[test]
fn a_stopped_ldi_interrupts_its_jobs() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script("scripts/daily/a", &format!("{SH}touch \"$LDI_STATE_DIR/here\"; sleep 300\n"))?
        .script("scripts/daily/b", &format!("{SH}echo never\n"))?
        .publish()?;
    let child = start(&client, &["run", "daily", "--json"])?;
    let here = client.state("daily/a").join("here");
    soon("the job begins", || here.exists())?;
    send(&child, Signal::SIGTERM)?;
    let done = child.wait_with_output()?;
    ensure!(done.status.code() == Some(1), "{done:?}");
    let report: serde_json::Value = serde_json::from_slice(&done.stdout)?;
    ended(&report, "daily/a", "interrupted", "ldi was stopped")?;
    ended(&report, "daily/b", "skipped", "ldi was stopped")?;
    Ok(())
}

#[test]
fn kill_at_any_instant_accounts_for_every_run_once() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    for n in 0..8 {
        let job = format!("{SH}echo \"$LDI_RUN\" >> {}\n", client.sandbox.path("ran").display());
        client.script(&format!("scripts/daily/{n}"), &job)?;
    }
    client.publish()?;
    client.daily(0)?;
    let mut seed = 7u64;
    for _ in 0..25 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let mut child = start(&client, &["run", "daily", "--no-sync", "--json"])?;
        std::thread::sleep(std::time::Duration::from_micros((seed >> 40) % 60_000));
        // It may have ended by itself already.
        let _ = send(&child, Signal::SIGKILL);
        child.wait()?;
    }
    client.json(0, &["run", "hourly", "--no-sync"])?;
    let history = client.json(0, &["history", "--limit", "10000"])?;
    let runs = history.as_array().context("no list")?;
    let known: Vec<&str> = runs.iter().filter_map(|r| r["run"].as_str()).collect();
    for line in fs::read_to_string(client.sandbox.path("ran"))?.lines() {
        ensure!(
            known.iter().filter(|run| **run == line).count() == 1,
            "{line} is not accounted for"
        );
    }
    for run in runs {
        ensure!(["ok", "interrupted"].contains(&run["outcome"].as_str().unwrap_or("")), "{run}");
    }
    Ok(())
}

#[test]
fn a_corrupt_journal_is_set_aside_and_said() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.script("scripts/daily/job", &format!("{SH}echo one\n"))?.publish()?;
    client.daily(0)?;
    for name in ["state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(client.sandbox.root().join(name));
    }
    let mut file =
        fs::OpenOptions::new().write(true).open(client.sandbox.root().join("state.db"))?;
    file.write_all(&[0x5a; 8192])?;
    drop(file);
    client.daily(0)?;
    let status = client.ldi(0, &["status"])?.out();
    ensure!(status.contains("set aside as"), "{status}");
    Ok(())
}
