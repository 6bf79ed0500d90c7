//! History and logs: filters, and following what happens.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Client, soon};

const SH: &str = "#!/bin/bash\n";

/// `ldi WORDS…` whose output is read as it comes; killed when dropped.
struct Follower {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Follower {
    fn start(client: &Client, words: &[&str]) -> Result<Self> {
        let mut command = client.sandbox.ldi_command(&client.sandbox.config(), words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let out = BufReader::new(child.stdout.take().context("no pipe")?);
        Ok(Self { child, out })
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.out.read_line(&mut line)? > 0, "it ended");
        Ok(line)
    }

    fn ends(mut self) -> Result<String> {
        let mut rest = String::new();
        while self.out.read_line(&mut rest)? > 0 {}
        ensure!(self.child.wait()?.success(), "{rest}");
        Ok(rest)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // Already gone when it ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_running_log_is_followed_to_its_end() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let go = client.sandbox.path("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.05; done", go.display());
    client
        .script("scripts/daily/job", &format!("{SH}echo one\necho odd >&2\n{wait}\nprintf two\n"))?
        .publish()?;
    let tier = Follower::start(&client, &["run", "daily"])?;
    soon("the job writes", || {
        client.ldi(0, &["logs", "daily/job"]).is_ok_and(|done| done.out().contains("odd"))
    })?;
    let mut text = Follower::start(&client, &["logs", "daily/job", "--follow"])?;
    ensure!(text.line()?.contains("running"));
    let two = [text.line()?, text.line()?];
    ensure!(two.contains(&"out| one\n".to_owned()) && two.contains(&"err| odd\n".to_owned()));
    let mut bytes = Follower::start(&client, &["logs", "daily/job", "--follow", "--stdout"])?;
    ensure!(bytes.line()? == "one\n");
    let mut json = Follower::start(&client, &["logs", "daily/job", "--follow", "--json"])?;
    let first: Value = serde_json::from_str(&json.line()?)?;
    ensure!(first["text"].is_string(), "{first}");
    fs::write(&go, "")?;
    let rest = text.ends()?;
    ensure!(rest.starts_with("out| two\n") && rest.contains(" ok daily/job "), "{rest}");
    ensure!(bytes.ends()? == "two");
    let rest = json.ends()?;
    let last: Value = serde_json::from_str(rest.lines().last().unwrap_or_default())?;
    ensure!(last["outcome"] == "ok", "{rest}");
    tier.ends()?;
    // One that has ended is shown, and that is all.
    ensure!(Follower::start(&client, &["logs", "daily/job", "-f"])?.ends()?.contains("out| two"));
    Ok(())
}

#[test]
fn history_is_followed_and_filtered() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .script("scripts/daily/bad", &format!("{SH}exit 3\n"))?
        .script("scripts/daily/good", SH)?
        .publish()?
        .daily(1)?;
    let mut json = Follower::start(&client, &["history", "--follow", "--json"])?;
    let mut text = Follower::start(&client, &["history", "--follow", "--failed"])?;
    let mut names = Vec::new();
    for round in 0..3 {
        for _ in 0..2 {
            let run: Value = serde_json::from_str(&json.line()?)?;
            names.push(run["run"].as_str().context("no run")?.to_owned());
        }
        let line = text.line()?;
        ensure!(line.contains("failed daily/bad") && line.contains("exit status 3"), "{line}");
        if round < 2 {
            client.daily(1)?;
        }
    }
    let known = names.clone();
    names.dedup();
    ensure!(names == known, "told twice: {known:?}");

    let count = |words: &[&str]| -> Result<usize> {
        let mut all = vec!["history"];
        all.extend_from_slice(words);
        Ok(client.json(0, &all)?.as_array().context("no list")?.len())
    };
    client.script("scripts/daily/good", &format!("{SH}true\n"))?.publish()?.daily(1)?;
    ensure!(count(&[])? == 8 && count(&["--failed"])? == 4 && count(&["--release", "2"])? == 2);
    ensure!(count(&["--since", "1h"])? == 8 && count(&["--until", "1h"])? == 0);
    ensure!(count(&["daily/good", "--since", "2020-01-01"])? == 4);
    ensure!(count(&["--since", "2999-12-31T00:00:00Z"])? == 0);
    let err = client.ldi(2, &["history", "--since", "yore"])?.err();
    ensure!(err.contains("is no moment"), "{err}");
    Ok(())
}

#[test]
fn results_wait_for_the_fleet_server_within_bounds() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.script("scripts/daily/job", SH)?.publish()?.daily(0)?;
    ensure!(client.json(0, &["status"])?["spool"] == 0, "without a server nothing waits");
    let server = "[server]\nurl = \"https://fleet.example.com\"\n";
    client.configure(server)?;
    client.daily(0)?;
    client.ldi(0, &["sync"])?;
    let status = client.json(0, &["status"])?;
    ensure!(status["spool"] == 3 && status["spool_dropped"] == 0, "a run and two syncs: {status}");
    client.configure(&format!("{server}[spool]\nbytes = \"1K\"\n"))?;
    client.daily(0)?;
    let status = client.json(0, &["status"])?;
    ensure!(status["spool_bytes"].as_u64().is_some_and(|n| n <= 1024), "{status}");
    ensure!(status["spool_dropped"].as_u64().is_some_and(|n| n > 0), "{status}");
    ensure!(client.ldi(0, &["status"])?.out().contains("results were dropped"));
    Ok(())
}
