//! What goes well: a newer agent, a signed rollback, the way back by hand.

use std::fs;

use anyhow::{Result, ensure};
use e2e::tree;
use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::{agent::agent, machine::Machine};

#[test]
fn a_newer_agent_serves_and_older_ones_only_by_a_signed_rollback() -> Result<()> {
    let Some(mut machine) = Machine::new("deadline = \"10m\"")? else { return Ok(()) };
    // Nearly always one of its runs is under way: the update waits for its end.
    let tiers = "[tier.often]\ncron = \"*/2 * * * * *\"\n[tier.slow]\ncron = \"*/4 * * * * *\"\n";
    machine.sandbox.put("conf/tiers.toml", tiers)?;
    machine.script("scripts/slow/job", "sleep 3; echo done")?;
    // The site's own check of health belongs to the proof.
    machine.script("scripts/update/check", "test -n \"$LDI_RELEASE\"")?;
    machine.switch_on()?;
    machine.offer(&agent("9.2.0", &[])?)?;
    machine.confirmed("9.2.0")?;
    machine.works()?;
    let history = machine.sandbox.ldi(&["history", "--limit", "1000", "--json"])?.json()?;
    let bad = history
        .as_array()
        .into_iter()
        .flatten()
        .find(|run| run["outcome"] != "ok" && run["outcome"] != "running");
    ensure!(bad.is_none(), "a run was hurt by the update: {bad:?}");
    ensure!(history.to_string().contains("update/check"), "no check of health in {history}");
    let status = machine.sandbox.ldi(&["status"])?.out();
    ensure!(status.contains("9.2.0 from the library (package: "), "{status}");

    // After a crash the confirmed one serves at once.
    machine.signal(Signal::SIGKILL)?;
    machine.works()?;
    ensure!(machine.update()?["running"] == "9.2.0");

    // An older one is refused, until its bytes are named.
    let older = agent("9.1.0", &[])?;
    machine.offer(&older)?;
    machine.soon("the older agent is refused", |machine| {
        let update = machine.update()?;
        Ok(update["note"].as_str().is_some_and(|note| note.contains("9.1.0, older than 9.2.0")))
    })?;
    let hash = hex(&Sha256::digest(&older));
    let rollback = machine.path()?.replace("/ldi", "/rollback");
    let line = format!("{hash}  ldi\n");
    tree::put(&machine.sandbox.tree(), &rollback, line.as_bytes(), false)?;
    machine.sandbox.publish()?;
    machine.confirmed("9.1.0")?;
    ensure!(machine.update()?["note"].is_null());

    // A damaged copy is not executed: the base serves, and the library brings another.
    let copy = machine.sandbox.root().join("agent").join(&hash).join("ldi");
    fs::remove_file(&copy)?;
    fs::write(&copy, "#!/bin/sh\ntouch /tmp/must-not-run\n")?;
    machine.signal(Signal::SIGTERM)?;
    machine.soon("the damaged copy is replaced", |_| {
        Ok(fs::read(&copy).is_ok_and(|bytes| bytes == older))
    })?;
    machine.confirmed("9.1.0")?;

    let done = machine.sandbox.ldi(&["update", "revert"])?.success()?;
    ensure!(done.out().contains("the packaged ldi serves"), "{done}");
    machine.works()?;
    let update = machine.update()?;
    ensure!(update["running"] == update["base"] && update["confirmed"].is_null(), "{update}");
    machine.sandbox.ldi(&["update", "retry"])?.success()?;
    machine.confirmed("9.1.0")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
