//! A publisher's own library, an empty folder on a server, and the keys of both roles.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use e2e::{Access, Done, Sandbox, Sshd, parts, process, rng::Rng, run, script_text};
use serde_json::Value;

/// Publisher, server and one client, which syncs from the server.
pub struct Setting {
    pub sandbox: Sandbox,
    pub sshd: Sshd,
    pub publisher: PathBuf,
    pub machine: PathBuf,
    pub rng: Rng,
    pub scripts: Vec<script_text::Script>,
}

impl Setting {
    /// A library of `files` scripts, published but not pushed. None if a part is missing where
    /// that is allowed.
    pub fn published(files: usize) -> Result<Option<Self>> {
        if !parts::need_bins(&["codesync", "codesync-shell", "ldi"])?
            || !parts::need(&["sshd", "ssh-keygen"])?
        {
            return Ok(None);
        }
        let sandbox = Sandbox::with_library()?;
        let server = sandbox.path("server");
        fs::create_dir(&server)?;
        let sshd = Sshd::start(&sandbox.path("sshd"))?;
        let shell = parts::bin("codesync-shell")?;
        let log = sandbox.path("shell.log");
        let forced =
            format!("{} --library {} --log {}", shell.display(), server.display(), log.display());
        let machine = sshd.key("machine", &Access::Forced(forced.clone()))?;
        let publisher = sshd.key("publisher", &Access::Forced(format!("{forced} --publish")))?;
        sandbox.configure(&[&sshd.url(&server)], Some((&machine, &sshd.known_hosts())))?;
        let scripts = script_text::library(5, files);
        script_text::write(&sandbox.tree(), &scripts)?;
        sandbox.publish()?;
        Ok(Some(Self { sandbox, sshd, publisher, machine, rng: Rng::new(7), scripts }))
    }

    pub fn server(&self) -> PathBuf {
        self.sandbox.path("server")
    }

    /// Changes `count` files and publishes, without a push.
    pub fn next_release(&mut self, count: usize) -> Result<Value> {
        let tree = self.sandbox.tree();
        script_text::mutate(&tree, &mut self.scripts, &mut self.rng, count)?;
        self.sandbox.publish()
    }

    /// Publishes the tree as the next release of another copy of the library.
    pub fn publish_from(&self, library: &Path) -> Result<()> {
        let mut command = self.sandbox.codesync_command(&["publish", "--library"])?;
        run(command.arg(library).arg("--tree").arg(self.sandbox.tree()))?.success()?;
        Ok(())
    }

    /// `codesync push --json` of `library` with `key` to `url`, not yet started.
    pub fn command(&self, library: &Path, key: &Path, url: &str) -> Result<Command> {
        let mut command = process::command(&parts::bin("codesync")?);
        command.args(["push", "--json", "--library"]).arg(library).arg("--identity").arg(key);
        command.arg("--known-hosts").arg(self.sshd.known_hosts()).arg(url);
        Ok(command)
    }

    /// The publisher's push, not yet started.
    pub fn push_command(&self) -> Result<Command> {
        self.command(&self.sandbox.library(), &self.publisher, &self.sshd.url(&self.server()))
    }

    pub fn push(&self) -> Result<Done> {
        run(&mut self.push_command()?)
    }

    /// A push that must succeed; its report.
    pub fn pushed(&self) -> Result<Value> {
        self.push()?.success()?.json()
    }

    /// The client syncs from the server and has the publisher's tree.
    pub fn in_step(&self) -> Result<()> {
        self.sandbox.synced()?;
        self.sandbox.in_step()
    }

    /// `codesync doctor` has nothing to say about the server's library.
    pub fn healthy(&self) -> Result<()> {
        let mut command = process::command(&parts::bin("codesync")?);
        run(command.args(["doctor", "--library"]).arg(self.server()))?.success()?;
        Ok(())
    }

    /// Copies a folder with everything in it.
    pub fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        run(process::command(&parts::program("cp")?).arg("-a").arg(from).arg(to))?.success()?;
        Ok(())
    }

    /// Pins the server under `port` too, so that a relay may stand in between.
    pub fn pin(&self, port: u16) -> Result<()> {
        let file = self.sshd.known_hosts();
        let text = fs::read_to_string(&file)?;
        let line = text.lines().next().context("no pinned host")?;
        let own = format!("]:{} ", self.sshd.port());
        let line = line.replace(&own, &format!("]:{port} "));
        fs::write(&file, format!("{text}{line}\n"))?;
        Ok(())
    }
}
