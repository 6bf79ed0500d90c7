//! What waits for the fleet server reaches it, once it is there.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use e2e::fleet::{Fleet, Mood};

use crate::client::{Client, soon};

fn client(fleet: &Fleet, more: &str) -> Result<Option<Client>> {
    let Some(client) = Client::new()? else { return Ok(None) };
    let url = fleet.url();
    client.configure(&format!("[server]\nurl = \"{url}\"\n{more}"))?;
    client.script("scripts/daily/good", "#!/bin/bash\necho one\n")?;
    client.script("scripts/daily/bad", "#!/bin/bash\nexit 3\n")?.publish()?;
    Ok(Some(client))
}

#[test]
fn by_hand_everything_is_told_once() -> Result<()> {
    let fleet = Fleet::start()?;
    let Some(client) = client(&fleet, "")? else { return Ok(()) };
    client.daily(1)?;
    client.daily(1)?;
    let report = client.json(0, &["submit"])?;
    // Two runs of two jobs, and two syncs.
    ensure!(report == serde_json::json!({ "stored": 6, "rejected": 0, "waiting": 0 }), "{report}");
    let entries = fleet.entries();
    ensure!(entries.len() == 6, "{entries:?}");
    let of = |kind: &str| entries.values().filter(|entry| entry[kind].is_object()).count();
    ensure!((of("run"), of("sync")) == (4, 2), "{entries:?}");
    ensure!(fleet.requests() == (1, 1), "{:?}", fleet.requests());
    let again = client.ldi(0, &["submit"])?.out();
    ensure!(again == "nothing waits for the fleet server\n", "{again}");
    let status = client.json(0, &["status"])?;
    ensure!(status["spool"] == 0 && status["last_told"].is_string(), "{status}");
    Ok(())
}

#[test]
fn what_cannot_be_told_waits_and_says_why() -> Result<()> {
    let fleet = Fleet::start()?;
    let Some(client) = client(&fleet, "")? else { return Ok(()) };
    client.daily(1)?;
    for (mood, code, words) in [
        (Mood::Status(503, Some(2)), 69, "503"),
        (Mood::Status(403, None), 77, "does not take this machine's word"),
        (Mood::Status(302, None), 69, "302"),
        (Mood::Status(400, None), 69, "400"),
        (Mood::Status(413, None), 69, "413"),
        (Mood::Mute, 69, "could not be told"),
    ] {
        fleet.set(mood);
        let done = client.ldi(code, &["submit"])?;
        ensure!(done.err().contains(words), "{done}");
        let status = client.json(0, &["status"])?;
        ensure!(status["spool"] == 3, "{mood:?}: {status}");
        let told = status["findings"].to_string();
        ensure!(told.contains(words) && told.contains("ldi submit"), "{told}");
    }
    // What it took without an answer comes again under the same names.
    ensure!(fleet.entries().len() == 3);
    fleet.set(Mood::Well);
    client.ldi(0, &["submit"])?;
    ensure!(fleet.entries().len() == 3 && fleet.times().values().all(|times| *times == 2));
    Ok(())
}

#[test]
fn what_the_server_rejects_is_set_aside() -> Result<()> {
    let fleet = Fleet::start()?;
    let Some(client) = client(&fleet, "")? else { return Ok(()) };
    client.daily(1)?;
    fleet.set(Mood::Picky);
    let report = client.json(0, &["submit"])?;
    ensure!(report == serde_json::json!({ "stored": 2, "rejected": 1, "waiting": 0 }), "{report}");
    let rejected = client.json(0, &["submit", "--rejected"])?;
    ensure!(rejected[0]["reason"] == "I take no failures", "{rejected}");
    ensure!(rejected[0]["body"]["run"]["job"] == "daily/bad", "{rejected}");
    let shown = client.ldi(0, &["submit", "--rejected"])?.out();
    ensure!(shown.contains("I take no failures"), "{shown}");
    let status = client.json(0, &["status"])?;
    ensure!(status["findings"].to_string().contains("would not take 1 results"), "{status}");
    Ok(())
}

#[test]
fn without_a_server_there_is_nobody_to_tell() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let done = client.ldi(78, &["submit"])?;
    ensure!(done.err().contains("set url in [server]"), "{done}");
    Ok(())
}

/// A daemon of that client; ended when dropped.
struct Daemon(Child);

impl Daemon {
    fn start(client: &Client) -> Result<Self> {
        let config = client.sandbox.config();
        let mut command: Command = client.sandbox.ldi_command(&config, &["daemon"])?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The daemon tells by itself: after a tier, and when a server that was away is back.
#[test]
fn the_daemon_tells_the_server_when_it_is_there() -> Result<()> {
    let fleet = Fleet::start()?;
    let more = "[daemon]\nresume_splay = \"0s\"\n";
    let Some(client) = client(&fleet, more)? else { return Ok(()) };
    let quick =
        "[tier.daily]\ncron = \"* * * * * *\"\n[tier.startup]\nat = \"boot\"\ndelay = \"0s\"\n";
    client.file("conf/tiers.toml", quick)?.publish()?;
    fleet.set(Mood::Status(500, None));
    let daemon = Daemon::start(&client)?;
    soon("the server is asked", || fleet.requests().0 > 0)?;
    let status = || client.json(0, &["status"]);
    soon("the failure is written down", || {
        status().is_ok_and(|status| status["findings"].to_string().contains("500"))
    })?;
    // It stays away, for half a minute at the least; the clock of this test does not wait for it.
    fleet.set(Mood::Well);
    drop(daemon);
    let root = client.sandbox.root();
    let journal = root.join("state.db");
    let waiting = status()?["spool"].as_u64().context("no count")?;
    ensure!(waiting > 0 && fleet.entries().is_empty(), "{waiting}");
    forget_the_failure(&journal)?;
    let _daemon = Daemon::start(&client)?;
    soon("everything is told", || fleet.entries().len() as u64 >= waiting)?;
    ensure!(fleet.times().values().all(|times| *times == 1), "{:?}", fleet.times());
    Ok(())
}

/// As if the wait after the failure were over.
fn forget_the_failure(journal: &std::path::Path) -> Result<()> {
    let python = e2e::program("python3")?;
    let text = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db:\n    db.execute(\"DELETE FROM notes WHERE key = 'submit'\")\n";
    e2e::run(e2e::command(&python).args(["-c", text]).arg(journal))?.success()?;
    ensure!(fs::metadata(journal)?.len() > 0);
    Ok(())
}
