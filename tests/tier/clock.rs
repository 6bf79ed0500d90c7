//! The daemon by the clock: it starts what is due, reloads, ends in time.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::client::{Client, soon};

const SH: &str = "#!/bin/bash\n";
/// Runs every two seconds; nothing else does.
const TIERS: &str =
    "[tier.often]\ncron = \"*/2 * * * * *\"\n[tier.startup]\nat = \"boot\"\ndelay = \"1s\"\n";

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    socket: UnixDatagram,
}

impl Daemon {
    /// Starts it and waits until it is ready.
    pub fn start(client: &Client) -> Result<Self> {
        let path = client.sandbox.path("notify");
        let _ = fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(client.sandbox.path("daemon.log"))?;
        let mut command = client.sandbox.ldi_command(&client.sandbox.config(), &["daemon"])?;
        command.env("NOTIFY_SOCKET", &path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let daemon = Self { child: command.spawn()?, socket };
        let begun = Instant::now();
        while daemon.words()? != "READY=1" {}
        eprintln!("READY after {:?}", begun.elapsed());
        Ok(daemon)
    }

    fn words(&self) -> Result<String> {
        let mut buffer = [0; 4096];
        let n = self.socket.recv(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..n]).into_owned())
    }

    /// Sends it a signal.
    pub fn send(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Ends it, which it must do in time.
    pub fn stop(mut self) -> Result<()> {
        self.send(Signal::SIGTERM)?;
        let begun = Instant::now();
        let status = self.child.wait()?;
        ensure!(status.code() == Some(0) && begun.elapsed() < Duration::from_secs(15), "{status}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone after a stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn runs(client: &Client, job: &str) -> usize {
    let words = ["history", job, "--limit", "1000"];
    client.json(0, &words).ok().and_then(|h| h.as_array().map(Vec::len)).unwrap_or(0)
}

#[test]
fn tiers_run_by_the_clock_and_startup_once_per_boot() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client.configure("[daemon]\nresume_splay = \"0s\"\n")?;
    client
        .file("conf/tiers.toml", TIERS)?
        .script("scripts/often/job", &format!("{SH}echo often\n"))?
        .script("scripts/startup/job", &format!("{SH}echo boot\n"))?
        .publish()?;
    client.ldi(0, &["sync"])?;
    let daemon = Daemon::start(&client)?;
    client.ldi(75, &["daemon"])?;
    soon("three runs", || runs(&client, "often/job") >= 3)?;
    soon("the startup tier", || runs(&client, "startup/job") == 1)?;
    ensure!(client.json(0, &["status"])?["daemon"] == true);
    daemon.stop()?;
    let daemon = Daemon::start(&client)?;
    let before = runs(&client, "often/job");
    soon("a run after the restart", || runs(&client, "often/job") > before)?;
    ensure!(runs(&client, "startup/job") == 1, "startup ran twice in one boot");

    // A new release with other tiers is taken up by itself; a broken one changes nothing.
    client.file("conf/tiers.toml", &format!("{TIERS}[tier.more]\ncron = \"* * * * * *\"\n"))?;
    client.script("scripts/more/job", &format!("{SH}echo more\n"))?.publish()?;
    soon("the new tier", || runs(&client, "more/job") > 0)?;
    client.file("conf/tiers.toml", "[tier.often]\nbroken = true\n")?;
    client.sandbox.publish_all_the_same()?;
    let before = runs(&client, "more/job");
    soon("the old tiers go on", || runs(&client, "more/job") > before + 2)?;

    client.ldi(0, &["pause"])?;
    soon("the pause", || {
        let before = runs(&client, "more/job");
        std::thread::sleep(Duration::from_millis(2500));
        runs(&client, "more/job") == before
    })?;
    let status = client.ldi(0, &["status"])?.out();
    ensure!(status.contains("PAUSED"), "{status}");
    daemon.stop()
}

#[test]
fn reload_and_stop_in_the_middle_of_a_job() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    client
        .file("conf/tiers.toml", TIERS)?
        .script("scripts/often/job", &format!("{SH}touch \"$LDI_STATE_DIR/here\"; sleep 300\n"))?
        .publish()?;
    client.ldi(0, &["sync"])?;
    let daemon = Daemon::start(&client)?;
    let here = client.state("often/job").join("here");
    soon("the job begins", || here.exists())?;
    let good = fs::read_to_string(client.sandbox.config())?;
    fs::write(client.sandbox.config(), format!("{good}\n[nonsense]\n"))?;
    daemon.send(Signal::SIGHUP)?;
    let log = client.sandbox.path("daemon.log");
    soon("the refusal", || {
        fs::read_to_string(&log).is_ok_and(|t| t.contains("not reloaded") && t.contains("nonsense"))
    })?;
    fs::write(client.sandbox.config(), good)?;
    daemon.stop()?;
    let history = client.json(0, &["history", "often/job"])?;
    ensure!(history[0]["outcome"] == "interrupted", "{history}");
    ensure!(history[0]["reason"] == "ldi was stopped", "{history}");
    Ok(())
}

#[test]
fn a_restart_when_idle_waits_for_the_run_and_starts_no_other() -> Result<()> {
    let Some(client) = Client::new()? else { return Ok(()) };
    let job = "cd \"$LDI_STATE_DIR\"; echo x >>began; while [ ! -e go ]; do sleep 0.1; done";
    client
        .file("conf/tiers.toml", TIERS)?
        .script("scripts/often/job", &format!("{SH}{job}\n"))?
        .publish()?;
    client.ldi(0, &["sync"])?;
    let mut daemon = Daemon::start(&client)?;
    let state = client.state("often/job");
    soon("the job begins", || state.join("began").exists())?;
    daemon.send(Signal::SIGUSR1)?;
    while !daemon.words()?.starts_with("STATUS=ends when idle; running often") {}
    // It comes due again meanwhile, every two seconds.
    std::thread::sleep(Duration::from_millis(2500));
    ensure!(daemon.child.try_wait()?.is_none(), "it did not wait for the run");
    fs::write(state.join("go"), "")?;
    ensure!(daemon.child.wait()?.code() == Some(0));
    let history = client.json(0, &["history", "often/job"])?;
    ensure!(history[0]["outcome"] == "ok", "{history}");
    ensure!(fs::read_to_string(state.join("began"))?.lines().count() == 1, "another run began");
    Ok(())
}
