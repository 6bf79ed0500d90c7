//! What a server's keeper reads afterwards: one line for each sync and each push.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use e2e::{command, program, run};

use crate::setting::Setting;

/// The lines of serve and receive, once there are `count`: a session writes its line at its end,
/// which a client does not wait for.
fn lines(log: &Path, count: usize) -> Result<Vec<String>> {
    let mut text = String::new();
    for _ in 0..600 {
        text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<String> =
            text.lines().filter(|line| line.contains(" codesync[")).map(str::to_owned).collect();
        if lines.len() >= count {
            return Ok(lines);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    bail!("fewer than {count} lines:\n{text}")
}

fn fingerprint(key: &Path) -> Result<String> {
    let mut keygen = command(&program("ssh-keygen")?);
    let listed = run(keygen.arg("-l").arg("-f").arg(key.with_extension("pub")))?.success()?;
    listed.out().split(' ').nth(1).map(str::to_owned).context("ssh-keygen tells no fingerprint")
}

/// The value of `name=` in a line.
fn number(line: &str, name: &str) -> Option<f64> {
    let value = line.split(&format!(" {name}=")).nth(1)?;
    value.split(' ').next()?.parse().ok()
}

#[test]
fn every_sync_and_every_push_leaves_a_line() -> Result<()> {
    let Some(mut setting) = Setting::published(10)? else { return Ok(()) };
    let log = setting.sandbox.path("shell.log");
    setting.pushed()?;
    let first = setting.sandbox.synced()?;
    let current = setting.sandbox.synced()?;
    setting.next_release(2)?;
    setting.pushed()?;
    let second = setting.sandbox.synced()?;
    let config = setting.sandbox.config();
    let wrong = fs::read_to_string(&config)?.replace("\"stable\"", "\"nowhere\"");
    fs::write(&config, wrong)?;
    setting.sandbox.sync()?;

    let (publisher, machine) = (fingerprint(&setting.publisher)?, fingerprint(&setting.machine)?);
    let lines = lines(&log, 6)?;
    ensure!(lines.len() == 6, "{lines:#?}");
    for (line, (word, key, about, outcome)) in lines.iter().zip([
        ("pushed", &publisher, "ring=stable previous=0 release=1", "updated"),
        ("synced", &machine, "ring=stable previous=0 release=1", "updated"),
        ("synced", &machine, "ring=stable previous=1 release=1", "current"),
        ("pushed", &publisher, "ring=stable previous=1 release=2", "updated"),
        ("synced", &machine, "ring=stable previous=1 release=2", "updated"),
        ("synced", &machine, "ring=- previous=0 release=0", "refused"),
    ]) {
        ensure!(line.contains(&format!(": {word} key={key} from=\"127.0.0.1 ")), "{line}");
        ensure!(line.contains(&format!(" {about} ")), "{about}: {line}");
        ensure!(line.contains(&format!(" outcome={outcome}")), "{outcome}: {line}");
        ensure!(number(line, "seconds").is_some_and(|seconds| seconds >= 0.0), "{line}");
        ensure!(line.split('Z').next().is_some_and(|time| time.len() == 19), "{line}");
    }
    // The client counts the same bytes.
    for (line, report) in [(1, &first), (2, &current), (4, &second)] {
        let line = &lines[line];
        ensure!(number(line, "sent") == report["bytes_received"].as_f64(), "{line} {report}");
        ensure!(number(line, "received") == report["bytes_sent"].as_f64(), "{line} {report}");
    }
    ensure!(lines[5].contains("nowhere"), "{}", lines[5]);
    Ok(())
}

#[test]
fn a_log_that_was_rotated_away_stops_nobody() -> Result<()> {
    let Some(setting) = Setting::published(5)? else { return Ok(()) };
    let log = setting.sandbox.path("shell.log");
    setting.pushed()?;
    fs::rename(&log, log.with_extension("1"))?;
    setting.in_step()?;
    ensure!(lines(&log, 1)?.len() == 1);
    // One that nobody can write is syslog's alone.
    fs::remove_file(&log)?;
    fs::create_dir(&log)?;
    setting.in_step()
}
