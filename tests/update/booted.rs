//! Self-update under a real systemd, in one boot and a half: the service is `ldi install`'s, the
//! watcher is a unit of its own.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::{Container, Sandbox, parts, process, program, tree};
use serde_json::Value;

use crate::agent::{CANNOT_START, CANNOT_SYNC, agent};

const TIERS: &str =
    "[tier.often]\ncron = \"*/2 * * * * *\"\n[tier.slow]\ncron = \"*/5 * * * * *\"\n";
/// Seconds; generous.
const LIMIT: u64 = 300;

struct Site {
    container: Container,
    sandbox: Sandbox,
    path: String,
}

impl Site {
    fn new() -> Result<Option<Self>> {
        if !parts::need_bins(&["ldi", "codesync"])? || !parts::need(&["strip"])? {
            return Ok(None);
        }
        let Some(container) = Container::new()? else { return Ok(None) };
        let sandbox = Sandbox::with_library()?;
        sandbox.put("conf/tiers.toml", TIERS)?;
        container.copy_in(&sandbox.library(), "/srv/library")?;
        container.copy_in(&sandbox.keys().join("root.json"), "/etc/ldi/root.json")?;
        let ldi = container.root().join("usr/local/bin/ldi");
        let mut strip = process::command(&program("strip")?);
        process::run(strip.arg("-o").arg(&ldi).arg(parts::bin("ldi")?))?.success()?;
        let dropin = container.root().join("etc/systemd/system/ldi.service.d");
        fs::create_dir(&dropin)?;
        fs::write(dropin.join("test.conf"), "[Service]\nRestartSec=1s\n")?;
        let site = Self { container, sandbox, path: String::new() };
        site.script("often/job", "exit 0")?;
        site.script("slow/job", "sleep 3")?;
        // An administrator's own check, which holds an update up while /var/held is there.
        site.script("update/check", "test ! -e /var/held")?;
        site.publish()?;
        site.configure("10m")?;
        Ok(Some(site))
    }

    fn script(&self, path: &str, text: &str) -> Result<()> {
        let script = format!("#!/bin/sh\n{text}\n");
        tree::put(&self.sandbox.tree(), &format!("scripts/{path}"), script.as_bytes(), true)
    }

    fn configure(&self, deadline: &str) -> Result<()> {
        let text = format!(
            "[sync]\nsource = [\"file:///srv/library\"]\n[daemon]\nresume_splay = \"1s\"\n\
             [update]\ndeadline = \"{deadline}\"\n"
        );
        let file = self.container.root().join("etc/ldi/ldi.toml");
        // Never half of it: the daemon may be about to start.
        fs::write(file.with_extension("new"), text)?;
        Ok(fs::rename(file.with_extension("new"), file)?)
    }

    fn publish(&self) -> Result<()> {
        let tree = self.sandbox.tree();
        let tree = tree.to_str().context("a path that is not UTF-8")?;
        let mut command = self.sandbox.codesync_command(&["publish", "--tree", tree])?;
        command.env("CODESYNC_LIBRARY", self.library());
        process::run(&mut command)?.success().map(drop)
    }

    fn library(&self) -> PathBuf {
        self.container.root().join("srv/library")
    }

    fn offer(&self, bytes: &[u8]) -> Result<()> {
        tree::put(&self.sandbox.tree(), &self.path, bytes, true)?;
        self.publish()
    }

    fn update(&self) -> Result<Value> {
        self.container.run(&["ldi", "update", "--json"])?.success()?.json()
    }

    /// Waits until what `ldi update --json` says contains all of `words`.
    fn says(&mut self, words: &[&str]) -> Result<()> {
        let greps: Vec<String> =
            words.iter().map(|word| format!("echo \"$said\" | grep -qF -- '{word}'")).collect();
        let line = format!("said=$(ldi update --json); {}", greps.join("; "));
        let result = self.container.until(&line, LIMIT);
        result.with_context(|| {
            let log = self.container.sh("journalctl -n 40 --no-pager").unwrap_or_default();
            format!("{:?}\n{log}", self.update())
        })
    }

    fn confirmed(&mut self, version: &str) -> Result<()> {
        self.says(&[&format!(
            "\"running\":\"{version}\",\"confirmed\":\"{version}\",\"trial\":null"
        )])
    }

    fn show(&self, property: &str) -> Result<String> {
        let line = format!("systemctl show --property={property} --value ldi.service");
        Ok(self.container.sh(&line)?.trim().to_owned())
    }

    /// Waits until a job has ended well that began from here on.
    fn works(&mut self) -> Result<()> {
        let line =
            "ldi history often/job --outcome ok --limit 1000 --json | grep -o '\"run\":' | wc -l";
        let before: u64 = self.container.sh(line)?.trim().parse()?;
        self.container.until(&format!("test \"$({line})\" -gt {}", before + 1), LIMIT)
    }

    /// The outcomes of all runs that did not end well.
    fn hurt(&self) -> Result<Vec<String>> {
        let done = self.container.run(&["ldi", "history", "--json", "--limit", "5000"])?;
        let runs = done.success()?.json()?;
        let runs = runs.as_array().context("history is no list")?.iter();
        Ok(runs
            .filter(|run| run["outcome"] != "ok" && run["outcome"] != "running")
            .map(|run| format!("{} {} {}", run["job"], run["outcome"], run["reason"]))
            .collect())
    }
}

#[test]
fn agents_come_and_go_under_systemd() -> Result<()> {
    let Some(mut site) = Site::new()? else { return Ok(()) };
    site.container.boot()?;
    site.container.sh("ldi install")?;
    site.path = site.update()?["path"].as_str().context("no path")?.to_owned();
    site.works()?;

    // A good one: the same process, another program; the run that was under way ended in order.
    let pid = site.show("MainPID")?;
    site.offer(&agent("9.2.0", &[])?)?;
    site.confirmed("9.2.0")?;
    ensure!(site.show("MainPID")? == pid && site.show("NRestarts")? == "0");
    ensure!(site.container.sh(&format!("readlink /proc/{pid}/exe"))?.contains("/agent/"));
    ensure!(site.container.sh(&format!("cat /proc/{pid}/comm"))?.trim() == "ldi");
    ensure!(site.hurt()?.is_empty(), "{:?}", site.hurt()?);

    // One that does not come up: systemd starts the base again, and that knows better.
    site.offer(&agent("9.2.1", &[CANNOT_START])?)?;
    site.says(&["it ended 3 times during its trial", "\"is\":\"bad\"", "\"running\":\"9.2.0\""])?;

    // One that comes up and cannot sync: the watcher, a unit of its own, ends that.
    site.configure("10s")?;
    site.container.sh("systemctl reload ldi")?;
    site.offer(&agent("9.2.2", &[CANNOT_SYNC])?)?;
    site.says(&["\"trial\":{\"version\":\"9.2.2\""])?;
    let groups = "for pid in $(pgrep -f '[u]pdate-watch'); do cat /proc/$pid/cgroup; done";
    site.container.until(&format!("{groups} | grep -q '/system.slice/run-'"), 60)?;
    // Killing the watcher does not help.
    site.container.sh("pkill -9 -f '[u]pdate-watch'")?;
    site.says(&["within 10 s", "\"is\":\"bad\"", "\"running\":\"9.2.0\"", "\"trial\":null"])?;
    site.works()?;
    site.container.until("! pgrep -f '[u]pdate-watch'", 60)?;
    ensure!(site.container.sh("systemctl --failed --quiet --no-legend")?.is_empty());

    // The power goes in the middle of a trial: the old one serves, and the new one gets another
    // chance.
    site.configure("10m")?;
    site.container.sh("systemctl reload ldi; touch /var/held")?;
    site.offer(&agent("9.3.0", &[])?)?;
    site.says(&["\"running\":\"9.3.0\"", "update/check failed"])?;
    site.container.cut_power();
    site.container.boot()?;
    site.says(&["the machine was restarted during its trial"])?;
    site.container.sh("rm /var/held")?;
    site.confirmed("9.3.0")?;

    // A job restarts the service that runs it.
    site.script(
        "often/restart",
        "test -e /var/restarted || {\n touch /var/restarted\n \
        systemctl restart ldi.service\n}",
    )?;
    let pid = site.show("MainPID")?;
    site.publish()?;
    site.container.until("test -e /var/restarted", LIMIT)?;
    site.works()?;
    ensure!(site.show("MainPID")? != pid && site.update()?["running"] == "9.3.0");
    let hurt = site.hurt()?;
    ensure!(hurt.iter().any(|run| run.contains("often/restart") && run.contains("interrupted")));

    // A newer package goes before what came through the library.
    let package = agent("9.9.0", &[])?;
    let program = site.container.root().join("usr/local/bin/ldi");
    fs::write(program.with_extension("new"), package)?;
    site.container.sh(
        "cd /usr/local/bin; chmod 755 ldi.new; mv ldi.new ldi; systemctl restart ldi.service",
    )?;
    site.says(&["\"running\":\"9.9.0\",\"confirmed\":null"])?;
    site.works()?;
    ensure!(site.update()?["note"].as_str().is_some_and(|note| note.contains("older than 9.9.0")));
    site.container.shut_down()
}
