//! What goes wrong around a running daemon (D-21). Each fault leaves it running, the last good
//! library runs on, `ldi status` names the fault and what to do, and nothing is left of it once
//! its cause is gone.

use std::{fs, io::Write};

use anyhow::{Context, Result, bail, ensure};
use chrono::{TimeDelta, Utc};
use codesync::{
    library::Library,
    publish::{self, Lifetimes},
    sign::Keys,
};
use e2e::{
    disk::{ReadOnly, Small},
    parts,
};
use nix::sys::signal::Signal;

use crate::{
    client::{Client, soon},
    clock::Daemon,
};

const SH: &str = "#!/bin/bash\n";
const TIERS: &str = "[tier.often]\ncron = \"* * * * * *\"\n";

/// A client whose daemon runs a job every second, which leaves a mark outside of ROOT.
struct Watched {
    client: Client,
    daemon: Option<Daemon>,
}

impl Watched {
    fn new() -> Result<Option<Self>> {
        let Some(client) = Client::new()? else { return Ok(None) };
        client.configure("[daemon]\nresume_splay = \"0s\"\n")?;
        let mark = client.sandbox.path("mark");
        client
            .file("conf/tiers.toml", TIERS)?
            .script("scripts/often/job", &format!("{SH}echo >> {}\n", mark.display()))?
            .publish()?;
        client.ldi(0, &["run", "often"])?;
        Ok(Some(Self { client, daemon: None }))
    }

    fn start(mut self) -> Result<Self> {
        self.daemon = Some(Daemon::start(&self.client)?);
        self.well()?;
        Ok(self)
    }

    fn marks(&self) -> u64 {
        fs::metadata(self.client.sandbox.path("mark")).map_or(0, |mark| mark.len())
    }

    /// The daemon runs the library's jobs.
    fn runs_on(&self) -> Result<()> {
        let before = self.marks();
        soon("the job runs on", || self.marks() > before + 1)
    }

    /// The fault is shown with `words` and with what to do; jobs run on.
    fn says(&self, words: &[&str]) -> Result<()> {
        let mut text = String::new();
        let shown = soon("the status names it", || {
            let Ok(done) = self.client.ldi(0, &["status"]) else { return false };
            text = done.out();
            words.iter().all(|word| text.contains(word))
        });
        shown.with_context(|| format!("{words:?} in: {text}"))?;
        eprintln!("{text}");
        ensure!(text.contains("WRONG") && text.contains("\n  do: "), "{text}");
        let first = text.lines().nth(2).unwrap_or_default();
        ensure!(first.starts_with("* "), "the fault does not come first: {text}");
        let status = self.client.json(0, &["status"])?;
        ensure!(status["ok"] == false && status["findings"][0]["do"].is_string(), "{status}");
        self.runs_on()
    }

    /// All is well, on one screen.
    fn well(&self) -> Result<()> {
        let mut status = serde_json::Value::Null;
        let well = soon("all is well", || {
            status = self.client.json(0, &["status"]).unwrap_or_default();
            status["ok"] == true
        });
        well.with_context(|| format!("{status}"))?;
        let text = self.client.ldi(0, &["status"])?.out();
        ensure!(text.lines().next().is_some_and(|line| line.ends_with(": OK")), "{text}");
        ensure!(text.lines().count() <= 24, "{text}");
        // The source is a folder whose name this test did not choose.
        let long = text.lines().find(|l| l.chars().count() > 80 && !l.starts_with("source"));
        ensure!(long.is_none(), "{text}");
        self.runs_on()
    }

    fn stop(self) -> Result<()> {
        self.daemon.map_or(Ok(()), Daemon::stop)
    }
}

/// Whether disks can be mounted here; under CI they must.
fn disks() -> Result<bool> {
    if Small::possible()? {
        return Ok(true);
    }
    if parts::strict() && cfg!(target_os = "linux") {
        bail!("no disk can be mounted: run as root");
    }
    eprintln!("left out: it needs Linux, root and a disk that can be mounted");
    Ok(false)
}

#[test]
fn expired_metadata() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let sandbox = &watched.client.sandbox;
    let (library, keys) = (Library::open(&sandbox.library())?, Keys::new(&sandbox.keys()));
    let then = Utc::now() - TimeDelta::days(21);
    publish::refresh(&library, &keys, "stable", Lifetimes::default(), then)?;
    watched.says(&["signatures have expired", "release 1 runs on", "codesync refresh", "STALE"])?;
    sandbox.codesync(&["refresh"])?.success()?;
    watched.well()?;
    watched.stop()
}

#[test]
fn a_broken_release() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let client = &watched.client;
    client.file("conf/tiers.toml", "[tier.often]\ncorn = \"* * * * * *\"\n")?;
    client.sandbox.publish_all_the_same()?;
    watched.says(&["refused", "conf/tiers.toml line 2, key corn", "release 1", "the publisher"])?;
    client.file("conf/tiers.toml", TIERS)?.publish()?;
    watched.well()?;
    watched.stop()
}

#[test]
fn a_dead_server() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let (library, away) =
        (watched.client.sandbox.library(), watched.client.sandbox.path("library.away"));
    fs::rename(&library, &away)?;
    watched.says(&["no source could be reached", "release 1 runs on", "look at the network"])?;
    fs::rename(&away, &library)?;
    watched.well()?;
    watched.stop()
}

#[test]
fn a_missing_interpreter() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let client = &watched.client;
    client.script("scripts/often/odd", "#!/usr/bin/env no-such-interpreter\n")?.publish()?;
    watched.says(&["job often/odd failed", "needs no-such-interpreter", "install it"])?;
    client.script("scripts/often/odd", SH)?.publish()?;
    watched.well()?;
    watched.stop()
}

#[test]
fn a_corrupt_journal_under_a_running_daemon() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let root = watched.client.sandbox.root();
    for name in ["state.db", "state.db-wal"] {
        let mut file = fs::OpenOptions::new().write(true).open(root.join(name))?;
        let length = usize::try_from(file.metadata()?.len())?;
        file.write_all(&vec![0x5a; length])?;
    }
    watched.says(&["state.db", "set aside as", "rm "])?;
    for entry in fs::read_dir(&root)? {
        let path = entry?.path();
        if path.to_string_lossy().contains(".broken-") {
            fs::remove_file(path)?;
        }
    }
    watched.well()?;
    let newest = watched.client.json(0, &["history", "--outcome", "ok"])?;
    ensure!(newest.as_array().is_some_and(|runs| runs.len() > 1), "{newest}");
    watched.stop()
}

#[test]
fn a_damaged_configuration() -> Result<()> {
    let Some(watched) = Watched::new()? else { return Ok(()) };
    let watched = watched.start()?;
    let (client, config) = (&watched.client, watched.client.sandbox.config());
    let good = fs::read_to_string(&config)?;
    fs::write(&config, format!("{good}\n[nonsense]\n"))?;
    watched.daemon.as_ref().context("no daemon")?.send(Signal::SIGHUP)?;
    // A command cannot use such a file, and says so with its exit code; the screen is there.
    let done = client.ldi(78, &["status"])?;
    let text = done.out();
    eprintln!("{text}");
    let words = ["nonsense", "ldi.toml line", "ldi check", "goes on with", "release    1 of"];
    ensure!(words.iter().all(|word| text.contains(word)), "{done}");
    watched.runs_on()?;
    fs::write(&config, good)?;
    watched.daemon.as_ref().context("no daemon")?.send(Signal::SIGHUP)?;
    watched.well()?;
    watched.stop()
}

#[test]
fn a_full_disk() -> Result<()> {
    if !disks()? {
        return Ok(());
    }
    let Some(mut watched) = Watched::new()? else { return Ok(()) };
    let root = watched.client.sandbox.root();
    fs::remove_dir_all(&root)?;
    let disk = Small::mount(&root)?;
    watched.client.ldi(0, &["run", "often"])?;
    watched = watched.start()?;
    disk.leave(0)?;
    watched.says(&["is full", "release 1 runs on", "df -h"])?;
    disk.make_room()?;
    watched.well()?;
    // A daemon that starts on a full disk runs too.
    watched.daemon.take().context("no daemon")?.stop()?;
    disk.leave(0)?;
    watched.daemon = Some(Daemon::start(&watched.client)?);
    watched.says(&["is full", "release 1 runs on"])?;
    disk.make_room()?;
    watched.well()?;
    watched.stop()?;
    drop(disk);
    Ok(())
}

#[test]
fn a_read_only_disk() -> Result<()> {
    if !disks()? {
        return Ok(());
    }
    let Some(mut watched) = Watched::new()? else { return Ok(()) };
    // Its lock is there from an earlier start.
    Daemon::start(&watched.client)?.stop()?;
    let disk = ReadOnly::mount(&watched.client.sandbox.root())?;
    watched.daemon = Some(Daemon::start(&watched.client)?);
    watched.says(&["is read-only", "release 1 runs on", "remount,rw"])?;
    drop(disk);
    watched.well()?;
    soon("runs are written down again", || {
        watched
            .client
            .json(0, &["history"])
            .is_ok_and(|h| h.as_array().is_some_and(|h| h.len() > 3))
    })?;
    watched.stop()
}
