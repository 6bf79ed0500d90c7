//! A job that fails again and again is left out, said, and tried again.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::client::{Client, ended, job};

const FAILS: &str = "#!/bin/bash\n# ldi: retries=1\necho tried; exit 3\n";
const OPEN: &str = "its breaker is open: 2 failures in a row, the last with exit status 3";

fn runs(client: &Client) -> Result<usize> {
    let history = client.json(0, &["history", "daily/10_fails", "--limit", "1000"])?;
    Ok(history.as_array().map_or(0, Vec::len))
}

#[test]
fn a_job_that_fails_again_and_again_is_left_out_until_something_changes() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.configure("breaker = 2\n")?;
    client
        .script("scripts/daily/10_fails", FAILS)?
        .script("scripts/daily/20_ok", "#!/bin/bash\n")?
        .script(
            "scripts/daily/30_always",
            "#!/bin/bash\n# ldi: breaker=0\n[ -e \"$LDI_STATE_DIR/good\" ]\n",
        )?
        .publish()?;
    for _ in 0..2 {
        ended(&client.daily(1)?, "daily/10_fails", "failed", "exit status 3")?;
    }
    // Twice two tries; now it is left out, and no run is written.
    ensure!(runs(&client)? == 4, "{}", runs(&client)?);
    let report = client.daily(1)?;
    ended(&report, "daily/10_fails", "skipped", OPEN)?;
    ended(&report, "daily/20_ok", "ok", "")?;
    ended(&report, "daily/30_always", "failed", "")?;
    ensure!(job(&report, "daily/10_fails")?["run"].is_null() && runs(&client)? == 4);

    // Said everywhere.
    ended(&client.json(0, &["run", "daily", "--dry-run"])?, "daily/10_fails", "skipped", OPEN)?;
    let explained = client.json(0, &["explain", "10_fails"])?;
    ensure!(explained["reason"].as_str().is_some_and(|r| r.contains(OPEN)), "{explained}");
    let status = client.json(0, &["status"])?;
    let open = &status["open_breakers"];
    ensure!(open.as_array().map(Vec::len) == Some(1), "{status}");
    ensure!(open[0]["job"] == "daily/10_fails" && open[0]["failures"] == 2, "{open}");
    let shown = client.ldi(0, &["status"])?.out();
    let said = "daily/10_fails is left out after 2 failures in a row (exit status 3)";
    ensure!(shown.contains(said) && shown.contains("ldi reset daily/10_fails"), "{shown}");

    // After its time: one try without retries, which opens it again.
    client.configure("breaker = 2\nbreaker_for = \"1s\"\n")?;
    std::thread::sleep(Duration::from_millis(1100));
    ended(&client.daily(1)?, "daily/10_fails", "failed", "exit status 3")?;
    ensure!(runs(&client)? == 5, "{}", runs(&client)?);
    client.configure("breaker = 2\n")?;
    let again = "3 failures in a row";
    ended(&client.daily(1)?, "daily/10_fails", "skipped", again)?;

    // Reset by hand: it fails and counts from the beginning.
    client.ldi(0, &["reset", "10_fails"])?;
    ended(&client.daily(1)?, "daily/10_fails", "failed", "")?;
    ended(&client.daily(1)?, "daily/10_fails", "failed", "")?;
    ended(&client.daily(1)?, "daily/10_fails", "skipped", OPEN)?;

    // Another content.
    client.script("scripts/daily/10_fails", "#!/bin/bash\necho mended\n")?.publish()?;
    ended(&client.daily(1)?, "daily/10_fails", "ok", "")?;
    ensure!(client.json(0, &["status"])?["open_breakers"] == serde_json::json!([]));
    Ok(())
}

#[test]
fn an_end_that_is_not_the_jobs_fault_does_not_count() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.configure("breaker = 1\n")?;
    client.script("scripts/daily/job", "#!/bin/bash\necho good\n")?.publish()?.daily(0)?;
    let tree = std::fs::canonicalize(client.sandbox.lib())?;
    std::fs::remove_file(tree.join("scripts/daily/job"))?;
    e2e::tree::put(&tree, "scripts/daily/job", b"#!/bin/bash\necho evil\n", true)?;
    for _ in 0..2 {
        let report = client.json(1, &["run", "daily", "--no-sync"])?;
        ended(&report, "daily/job", "failed", "not what was signed")?;
    }
    ended(&client.daily(0)?, "daily/job", "ok", "")?;
    Ok(())
}
