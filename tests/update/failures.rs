//! What goes wrong: agents that do not start, do not sync, hang; and that none of them stays.

use anyhow::{Result, ensure};
use e2e::parts;
use nix::sys::signal::Signal;

use crate::{
    agent::{CANNOT_START, CANNOT_SYNC, agent},
    machine::Machine,
};

#[test]
fn what_cannot_run_here_is_never_started_as_a_daemon() -> Result<()> {
    let Some(mut machine) = Machine::new("")? else { return Ok(()) };
    machine.switch_on()?;
    let daemon = machine.daemon()?;
    machine.offer(b"\x7fELF and then nothing of sense\n")?;
    machine.bad("it cannot be executed")?;
    let Some(other) = parts::find("false") else { return Ok(()) };
    machine.offer(&std::fs::read(other)?)?;
    machine.bad("`ldi --version` ended with")?;
    // Its interpreter finds no file by that name.
    machine.offer(b"#!/bin/sh\necho ldi 9.9.9\n")?;
    machine.soon("all three are bad", |machine| {
        let update = machine.update()?;
        let failed = update["failed"].as_array().cloned().unwrap_or_default();
        Ok(failed.len() == 3 && failed.iter().all(|failed| failed["verdict"]["is"] == "bad"))
    })?;
    ensure!(machine.daemon()? == daemon, "the daemon was restarted for nothing");
    let status = machine.sandbox.ldi(&["status"])?.out();
    ensure!(status.contains("these bytes are not tried again"), "{status}");
    Ok(())
}

#[test]
fn an_agent_that_ends_at_once_is_taken_back() -> Result<()> {
    let Some(mut machine) = Machine::new("deadline = \"10m\"")? else { return Ok(()) };
    machine.switch_on()?;
    machine.offer(&agent("9.2.0", &[CANNOT_START])?)?;
    machine.bad("it ended 3 times during its trial")?;
    // A good one after it is taken up.
    machine.offer(&agent("9.2.1", &[])?)?;
    machine.confirmed("9.2.1")?;
    // And comes back when the next one fails.
    machine.offer(&agent("9.2.2", &[CANNOT_START])?)?;
    machine.soon("9.2.2 is taken back", |machine| {
        let update = machine.update()?;
        let failed = update["failed"].as_array().into_iter().flatten();
        let versions: Vec<_> = failed.map(|failed| &failed["version"]).collect();
        Ok(update["running"] == "9.2.1" && versions.iter().any(|version| **version == "9.2.2"))
    })
}

#[test]
fn an_agent_that_cannot_sync_is_taken_back_by_the_watcher() -> Result<()> {
    let Some(mut machine) = Machine::new("deadline = \"8s\"")? else { return Ok(()) };
    machine.switch_on()?;
    machine.offer(&agent("9.2.0", &[CANNOT_SYNC])?)?;
    machine.bad("it did not sync and finish a tier within 8 s")
}

#[test]
fn an_agent_that_hangs_is_killed_by_the_watcher() -> Result<()> {
    let Some(mut machine) = Machine::new("deadline = \"15s\"")? else { return Ok(()) };
    // It cannot be confirmed before it hangs.
    machine.script("scripts/update/check", "test ! -e \"$LDI_ROOT/tags/held\"")?;
    machine.sandbox.publish()?;
    std::fs::write(machine.sandbox.root().join("tags/held"), "")?;
    machine.switch_on()?;
    machine.offer(&agent("9.2.0", &[])?)?;
    machine
        .soon("the trial begins", |machine| Ok(machine.update()?["trial"]["last"].is_string()))?;
    machine.signal(Signal::SIGSTOP)?;
    std::fs::remove_file(machine.sandbox.root().join("tags/held"))?;
    machine.bad("update/check failed")
}

#[test]
fn what_the_old_one_cannot_do_either_says_nothing_about_an_agent() -> Result<()> {
    let Some(mut machine) = Machine::new("deadline = \"8s\"")? else { return Ok(()) };
    machine.script("scripts/update/check", "test ! -e \"$LDI_ROOT/tags/held\"")?;
    let held = machine.sandbox.root().join("tags/held");
    std::fs::write(&held, "")?;
    machine.switch_on()?;
    machine.offer(&agent("9.2.0", &[])?)?;
    machine.soon("the trial begins", |machine| Ok(machine.update()?["trial"]["left"].is_u64()))?;
    // The next one has all the time that a machine under load may need.
    machine.configure("deadline = \"10m\"")?;
    machine.soon("the trial ends without an answer", |machine| {
        Ok(machine.update()?["failed"][0]["verdict"]["is"] == "retry")
    })?;
    machine.works()?;
    // Time and again until the cause is gone.
    std::fs::remove_file(&held)?;
    machine.confirmed("9.2.0")?;
    ensure!(machine.update()?["failed"].as_array().is_some_and(Vec::is_empty));
    Ok(())
}

#[test]
fn switched_off_nothing_is_taken_up() -> Result<()> {
    let Some(mut machine) = Machine::new("enabled = false")? else { return Ok(()) };
    machine.offer(b"\x7fELF and then nothing of sense\n")?;
    machine.switch_on()?;
    machine.works()?;
    machine.works()?;
    ensure!(!machine.sandbox.root().join("agent").exists());
    let update = machine.sandbox.ldi(&["update"])?.success()?.out();
    ensure!(update.contains("update.enabled = false"), "{update}");
    Ok(())
}
