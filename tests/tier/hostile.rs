//! Jobs that misbehave: each gets its outcome and its reason, the others run all the same.

use anyhow::{Result, ensure};
use e2e::parts;

use crate::client::{Client, ended, job, lives, pids};

const SH: &str = "#!/bin/bash\n";

#[test]
fn every_way_to_end_is_told_apart_and_the_rest_still_runs() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script("scripts/daily/10_fails", &format!("{SH}echo out; echo err >&2; exit 3\n"))?
        .script("scripts/daily/20_signal", &format!("{SH}kill -9 $$\n"))?
        .script("scripts/daily/30_no_interpreter", "#!/usr/bin/env no-such-interpreter\n")?
        .script("scripts/daily/40_binary", &format!("{SH}printf '\\0\\1\\377\\033[2Jend\\n'\n"))?
        .script(
            "scripts/daily/50_hangs",
            &format!("{SH}# ldi: timeout=1s\ntrap '' TERM INT HUP\nwhile :; do sleep 60; done\n"),
        )?
        .script("scripts/daily/60_ok", &format!("{SH}echo fine\n"))?
        .publish()?;
    let report = client.daily(1)?;
    ended(&report, "daily/10_fails", "failed", "exit status 3")?;
    ended(&report, "daily/20_signal", "killed", "SIGKILL")?;
    ended(&report, "daily/30_no_interpreter", "failed", "no-such-interpreter")?;
    ended(&report, "daily/40_binary", "ok", "")?;
    ended(&report, "daily/50_hangs", "timed-out", "longer than 1s")?;
    ended(&report, "daily/60_ok", "ok", "")?;
    ensure!(job(&report, "daily/50_hangs")?["seconds"].as_f64().is_some_and(|s| s < 10.0));
    ensure!(client.output("daily/40_binary")? == b"\0\x01\xff\x1b[2Jend\n");
    let shown = client.ldi(0, &["logs", "daily/10_fails"])?.out();
    ensure!(shown.contains("out| out") && shown.contains("err| err"), "{shown}");

    let status = client.json(0, &["status"])?;
    let failing = status["failing"].as_array().map(Vec::len);
    ensure!(failing == Some(4), "{status}");
    let history = client.json(0, &["history", "--outcome", "timed-out"])?;
    ensure!(history.as_array().is_some_and(|runs| runs.len() == 1), "{history}");
    Ok(())
}

#[test]
fn processes_that_fork_away_are_gone_afterwards() -> Result<()> {
    if !cfg!(target_os = "linux") || !parts::need(&["setsid", "env"])? {
        return Ok(());
    }
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script(
            "scripts/daily/10_forks",
            &format!(
                "{SH}setsid bash -c 'setsid bash -c \"echo \\$\\$ >> $LDI_STATE_DIR/pids; exec sleep 300\" & exit' &
                env -i \"$(command -v setsid)\" /bin/bash -c 'trap \"\" TERM HUP; echo $$ >> '\"$LDI_STATE_DIR\"'/pids; exec /bin/sleep 300' &
                while [ \"$(wc -l < \"$LDI_STATE_DIR/pids\" 2>/dev/null || echo 0)\" -lt 2 ]; do sleep 0.05; done\n"
            ),
        )?
        .script(
            "scripts/daily/20_hangs_and_forks",
            &format!(
                "{SH}# ldi: timeout=2s\nsetsid sleep 300 & echo $! >> \"$LDI_STATE_DIR/pids\"; sleep 300\n"
            ),
        )?
        .script(
            "scripts/daily/30_holds_the_pipe",
            &format!("{SH}sleep 300 & echo $! >> \"$LDI_STATE_DIR/pids\"; echo done\n"),
        )?
        .publish()?;
    let report = client.daily(1)?;
    ended(&report, "daily/10_forks", "ok", "left behind")?;
    ended(&report, "daily/20_hangs_and_forks", "timed-out", "")?;
    ended(&report, "daily/30_holds_the_pipe", "ok", "left behind")?;
    ensure!(client.output("daily/30_holds_the_pipe")? == b"done\n");
    for (name, count) in
        [("daily/10_forks", 2), ("daily/20_hangs_and_forks", 1), ("daily/30_holds_the_pipe", 1)]
    {
        let pids = pids(&client.state(name).join("pids"))?;
        ensure!(pids.len() == count, "{name}: {pids:?}");
        ensure!(!pids.iter().any(|pid| lives(*pid)), "{name} left {pids:?}");
    }
    ensure!(report["seconds"].as_f64().is_some_and(|s| s < 20.0), "{report}");
    Ok(())
}

#[test]
fn a_flood_is_bounded_in_memory_on_disk_and_in_time() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    // At most a gigabyte, should the time limit not work.
    client
        .script(
            "scripts/daily/flood",
            &format!("{SH}# ldi: timeout=3s\necho begin; yes | head -c 1000000000; sleep 60\n"),
        )?
        .publish()?;
    let report = client.daily(1)?;
    ended(&report, "daily/flood", "timed-out", "")?;
    let job = job(&report, "daily/flood")?;
    ensure!(job["stdout_bytes"].as_u64().is_some_and(|n| n > 10_000_000), "{job}");
    let kept = client.output("daily/flood")?;
    ensure!(kept.starts_with(b"begin\ny\n") && kept.len() == 1 << 20, "{} bytes kept", kept.len());
    let shown = client.ldi(0, &["logs", "daily/flood"])?.out();
    ensure!(shown.contains("bytes were cut here"), "the cut is not marked");
    Ok(())
}

#[test]
fn a_tampered_script_is_not_run_and_the_next_sync_repairs_it() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script("scripts/daily/10_good", &format!("{SH}echo good\n"))?
        .script("scripts/daily/20_other", &format!("{SH}echo other\n"))?
        .publish()?
        .daily(0)?;
    let victim = std::fs::canonicalize(client.sandbox.lib())?.join("scripts/daily/10_good");
    std::fs::remove_file(&victim)?;
    e2e::tree::put(
        &std::fs::canonicalize(client.sandbox.lib())?,
        "scripts/daily/10_good",
        b"#!/bin/bash\n# ldi: user=root\necho evil\n",
        true,
    )?;
    let report = client.json(1, &["run", "daily", "--no-sync"])?;
    ended(&report, "daily/10_good", "failed", "not what was signed")?;
    ended(&report, "daily/20_other", "ok", "")?;
    let status = client.json(0, &["status"])?;
    ensure!(status["damaged"] == true, "{status}");
    let report = client.daily(0)?;
    ended(&report, "daily/10_good", "ok", "")?;
    ensure!(client.output("daily/10_good")? == b"good\n");
    client.ldi(0, &["verify"])?;
    Ok(())
}
