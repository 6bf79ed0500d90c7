//! What administrators and publishers get wrong: each a clear sentence, the documented exit code,
//! and the last good release untouched.

use std::fs;

use anyhow::{Result, ensure};

use crate::client::{Client, ended};

const SH: &str = "#!/bin/bash\n";

#[test]
fn a_broken_tiers_file_never_becomes_active() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.script("scripts/daily/job", &format!("{SH}echo one\n"))?.publish()?;
    client.daily(0)?;
    for (path, text, words) in [
        (
            "conf/tiers.toml",
            "[tier.daily]\ncorn = \"0 10 * * *\"\n",
            "conf/tiers.toml line 2, key corn",
        ),
        (
            "conf/tiers.toml",
            "[tier.daily]\ncron = \"0 25 * * *\"\n",
            "conf/tiers.toml line 2, key cron",
        ),
        (
            "conf/tiers.toml",
            "[[job]]\ntier = \"daily\"\nscript = \"scripts/no\"\n",
            "key script: scripts/no is not in",
        ),
        ("conf/tiers.toml", "this is not toml", "conf/tiers.toml line 1"),
    ] {
        client.file(path, text)?;
        // A publisher's own checks refuse it already; a client must in any case.
        client.sandbox.publish_command()?.expect_code(78)?;
        client.sandbox.publish_all_the_same()?;
        let report = client.json(76, &["sync"])?;
        let reason = report["reason"].as_str().unwrap_or_default();
        ensure!(report["outcome"] == "refused" && reason.contains(words), "{words}: {report}");
        ensure!(report["release"] == 1, "{report}");
        let report = client.daily(0)?;
        ensure!(report["release"] == 1 && report["sync"]["outcome"] == "refused", "{report}");
        ended(&report, "daily/job", "ok", "")?;
    }
    fs::remove_file(client.sandbox.tree().join("conf/tiers.toml"))?;
    client.script("scripts/daily/bad", &format!("{SH}# ldi: timeuot=5m\n"))?;
    client.sandbox.publish_all_the_same()?;
    let report = client.json(76, &["sync"])?;
    let reason = report["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("scripts/daily/bad line 2, key timeuot"), "{report}");
    let status = client.ldi(0, &["status"])?.out();
    ensure!(status.contains("release") && status.contains("the last sync failed"), "{status}");
    fs::remove_file(client.sandbox.tree().join("scripts/daily/bad"))?;
    client.publish()?;
    ensure!(client.daily(0)?["sync"]["outcome"] == "updated");
    Ok(())
}

#[test]
fn a_broken_configuration_is_refused_by_file_line_and_key() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.script("scripts/daily/job", &format!("{SH}echo one\n"))?.publish()?;
    let good = fs::read_to_string(client.sandbox.config())?;
    for (more, words) in [
        (
            "\n[daemon]\nstop_deadlin = \"3s\"\n",
            "key stop_deadlin: is not a known key; did you mean stop_deadline?",
        ),
        ("\n[history]\nlogs = \"many\"\n", "key logs"),
        ("\n[history\n", "line"),
    ] {
        fs::write(client.sandbox.config(), format!("{good}{more}"))?;
        for command in [&["sync"][..], &["run", "daily"], &["status"], &["exec", "x"], &["daemon"]]
        {
            let done = client.ldi(78, command)?;
            let err = done.err();
            ensure!(err.contains(words) && err.contains("ldi.toml"), "{command:?}: {err}");
            ensure!(err.lines().count() == 1, "{err}");
        }
        let checked = client.ldi(78, &["check"])?.out();
        ensure!(checked.contains("wrong"), "{checked}");
    }
    fs::write(client.sandbox.config(), good)?;
    client.ldi(0, &["check"])?;
    fs::remove_file(client.sandbox.config())?;
    let err = client.ldi(78, &["sync"])?.err();
    ensure!(err.contains("--config"), "{err}");
    let defaults = client.ldi(0, &["check", "--print-defaults"])?.out();
    fs::write(client.sandbox.config(), defaults)?;
    let checked = client.json(78, &["check"])?;
    ensure!(checked[0]["verdict"] == "good", "{checked}");
    Ok(())
}

#[test]
fn exit_codes_of_a_machine_without_a_release() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.script("scripts/daily/job", &format!("{SH}echo one\n"))?.publish()?;
    let away = client.sandbox.path("away");
    fs::rename(client.sandbox.library(), &away)?;
    client.ldi(69, &["sync"])?;
    let err = client.ldi(69, &["run", "daily"])?.err();
    ensure!(err.contains("no release"), "{err}");
    let err = client.ldi(69, &["run", "daily", "--no-sync"])?.err();
    ensure!(err.contains("run `ldi sync`"), "{err}");
    client.ldi(69, &["exec", "scripts/daily/job"])?;
    client.ldi(0, &["status"])?;
    fs::rename(&away, client.sandbox.library())?;

    let root = client.sandbox.keys().join("root.json");
    let real = fs::read(&root)?;
    fs::write(&root, "{}")?;
    let done = client.sandbox.ldi(&["run", "daily"])?;
    ensure!([76, 78].contains(&done.code()), "{done}");
    fs::write(&root, real)?;
    client.daily(0)?;
    client.ldi(2, &["run", "dayly"])?;
    client.ldi(2, &["run", "../../escape"])?;
    ensure!(
        !client.sandbox.path("escape").exists() && !client.sandbox.root().join("escape").exists()
    );
    client.ldi(2, &["fly"])?;
    client.ldi(2, &["logs", "no-such-run"])?;
    client.ldi(2, &["history", "--outcome", "great"])?;
    Ok(())
}

#[test]
fn a_failed_sync_runs_the_last_good_release_or_skips() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .file(
            "conf/tiers.toml",
            "[tier.weekly]\ncron = \"0 1 * * 0\"\non_sync_failure = \"skip\"\n",
        )?
        .script("scripts/daily/job", &format!("{SH}echo one\n"))?
        .script("scripts/weekly/job", &format!("{SH}echo one\n"))?
        .publish()?;
    client.daily(0)?;
    fs::rename(client.sandbox.library(), client.sandbox.path("away"))?;
    let report = client.daily(0)?;
    ensure!(report["sync"]["outcome"] == "unreachable" && report["release"] == 1, "{report}");
    let err = client.ldi(69, &["run", "weekly"])?.err();
    ensure!(err.contains("was skipped, as the sync failed"), "{err}");
    client.ldi(0, &["run", "weekly", "--no-sync"])?;

    client.configure("")?;
    let text = fs::read_to_string(client.sandbox.config())?;
    fs::write(client.sandbox.config(), text.replace("[sync]\n", "[sync]\nmax_stale = \"1s\"\n"))?;
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let err = client.ldi(76, &["run", "daily"])?.err();
    ensure!(err.contains("max_stale"), "{err}");
    Ok(())
}
