//! A client whose daemon is started again whenever it ends, as a service manager does.

use std::{
    fs::{self, OpenOptions},
    os::unix::process::CommandExt,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{Sandbox, parts, tree};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

/// Generous: a debug build that is hashed and executed on a machine under load.
const LIMIT: Duration = Duration::from_secs(180);
const SH: &str = "#!/bin/sh\n";

/// The client.
pub struct Machine {
    pub sandbox: Sandbox,
    over: Arc<AtomicBool>,
    manager: Option<JoinHandle<Result<()>>>,
}

impl Machine {
    /// A client whose tier `often` runs every two seconds; `None` when a part is missing.
    pub fn new(update: &str) -> Result<Option<Self>> {
        if !parts::need_bins(&["ldi", "codesync"])? || !parts::need(&["bash"])? {
            return Ok(None);
        }
        let sandbox = Sandbox::with_library()?;
        // Two tiers at a time: both find what is new.
        let tiers =
            "[tier.often]\ncron = \"*/2 * * * * *\"\n[tier.beside]\ncron = \"*/2 * * * * *\"\n";
        sandbox.put("conf/tiers.toml", tiers)?;
        let machine = Self { sandbox, over: Arc::default(), manager: None };
        machine.configure(update)?;
        machine.script("scripts/often/job", "exit 0")?;
        machine.sandbox.publish()?;
        machine.sandbox.synced()?;
        Ok(Some(machine))
    }

    /// Writes `ldi.toml` with this in `[update]`; a daemon that starts from here on knows it.
    pub fn configure(&self, update: &str) -> Result<()> {
        let sandbox = &self.sandbox;
        // Never half of it: a daemon that found no root would take the system's own.
        let new = sandbox.path("ldi.toml.new");
        sandbox.configure_at(&new, &sandbox.root(), &[&sandbox.file_url()], None)?;
        let mut text = fs::read_to_string(&new)?;
        text.push_str("[run]\nkill_after = \"1s\"\n[daemon]\nresume_splay = \"0s\"\n");
        text.push_str(&format!("stop_deadline = \"2s\"\n[update]\n{update}\n"));
        fs::write(&new, text)?;
        Ok(fs::rename(new, sandbox.config())?)
    }

    /// An executable shell script of the library.
    pub fn script(&self, path: &str, text: &str) -> Result<()> {
        tree::put(&self.sandbox.tree(), path, format!("{SH}{text}\n").as_bytes(), true)
    }

    /// Publishes `bytes` as the agent.
    pub fn offer(&self, bytes: &[u8]) -> Result<()> {
        let path = self.path()?;
        tree::put(&self.sandbox.tree(), &path, bytes, true)?;
        self.sandbox.publish().map(drop)
    }

    /// Where the library must have this machine's agent.
    pub fn path(&self) -> Result<String> {
        Ok(self.update()?["path"].as_str().context("no path")?.to_owned())
    }

    /// From here on, something starts the daemon whenever it ends.
    pub fn switch_on(&mut self) -> Result<()> {
        let mut command = self.sandbox.ldi_command(&self.sandbox.config(), &["daemon"])?;
        let log = OpenOptions::new().create(true).append(true).open(self.log())?;
        // A group of its own: what ends the test does not reach it, `Drop` does.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).process_group(0);
        let over = Arc::clone(&self.over);
        self.manager = Some(thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                let mut child = command.spawn()?;
                loop {
                    if child.try_wait()?.is_some() {
                        break;
                    }
                    if over.load(Ordering::SeqCst) {
                        child.kill()?;
                        child.wait()?;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        }));
        self.soon("the daemon runs", |machine| Ok(machine.runs()? > 0))
    }

    fn log(&self) -> std::path::PathBuf {
        self.sandbox.path("daemon.log")
    }

    /// How often the job of `often` has run to a good end.
    pub fn runs(&self) -> Result<usize> {
        let words = ["history", "often/job", "--outcome", "ok", "--limit", "1000", "--json"];
        let done = self.sandbox.ldi(&words)?;
        if done.code() != 0 {
            return Ok(0);
        }
        Ok(done.json()?.as_array().map_or(0, Vec::len))
    }

    /// Requires that jobs are run from here on.
    pub fn works(&self) -> Result<()> {
        let before = self.runs()?;
        self.soon("jobs are run", |machine| Ok(machine.runs()? > before))
    }

    /// `ldi update --json`.
    pub fn update(&self) -> Result<Value> {
        self.sandbox.ldi(&["update", "--json"])?.success()?.json()
    }

    /// Waits until the agent `version` serves and is confirmed.
    pub fn confirmed(&self, version: &str) -> Result<()> {
        self.soon(&format!("{version} is confirmed"), |machine| {
            let update = machine.update()?;
            Ok(update["confirmed"] == version && update["running"] == version)
        })
    }

    /// Waits until the newest failed agent is bad for good, and requires words of the reason.
    pub fn bad(&self, words: &str) -> Result<()> {
        self.soon(&format!("an agent is bad: {words}"), |machine| {
            let update = machine.update()?;
            let failed = &update["failed"][0];
            let reason = failed["reason"].as_str().unwrap_or_default();
            Ok(failed["verdict"]["is"] == "bad" && reason.contains(words))
        })?;
        ensure!(self.update()?["trial"].is_null());
        self.works()
    }

    /// The process that holds the daemon's lock.
    pub fn daemon(&self) -> Result<Pid> {
        let text = fs::read_to_string(self.sandbox.root().join("var/lock.daemon"))?;
        let pid = text.split_whitespace().next().context("no process in the lock")?;
        Ok(Pid::from_raw(pid.parse()?))
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.daemon()?, signal)?)
    }

    /// Waits until `ready`, and shows the daemon's log if that does not come true.
    pub fn soon(&self, what: &str, ready: impl Fn(&Self) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if ready(self)? {
                eprintln!("{:>6.1} s  {what}", begun.elapsed().as_secs_f64());
                return Ok(());
            }
            thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(40)..].join("\n");
        bail!("{what}: not within {LIMIT:?}\n{}\n{end}", self.update()?)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        if let Some(manager) = self.manager.take() {
            // Nothing can be done about a manager that failed, now.
            let _ = manager.join();
        }
    }
}
