//! What the cases start from: a published library, an sshd, one client, and its judge.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use codesync::store::Store;
use e2e::{
    Access, Done, Sandbox, Sshd, bin, process,
    rng::Rng,
    script_text,
    tree::{self, Tree},
};

use crate::measure::{measured, most};

const LIMIT: Duration = Duration::from_secs(300);

/// A library, the way to it, and every release that was ever published.
pub struct Site {
    pub sandbox: Sandbox,
    pub sshd: Sshd,
    pub key: PathBuf,
    pub rng: Rng,
    scripts: Vec<script_text::Script>,
    published: BTreeMap<u64, Tree>,
}

impl Site {
    /// A library of `files` scripts, published as release 1, and a client that has nothing yet.
    pub fn new(seed: u64, files: usize) -> Result<Self> {
        let sandbox = Sandbox::with_library()?;
        let scripts = script_text::library(seed, files);
        script_text::write(&sandbox.tree(), &scripts)?;
        let (sshd, key) = sandbox.serve()?;
        let rng = Rng::new(seed);
        let published = BTreeMap::new();
        let mut site = Self { sandbox, sshd, key, rng, scripts, published };
        site.publish()?;
        Ok(site)
    }

    /// Publishes the tree as it is; the number of the release.
    pub fn publish(&mut self) -> Result<u64> {
        let number =
            self.sandbox.publish()?["release"].as_u64().context("publish says no release")?;
        self.note(number)?;
        Ok(number)
    }

    /// Remembers that the tree as it is was, or may have been, published as `number`.
    pub fn note(&mut self, number: u64) -> Result<()> {
        let tree = self.sandbox.tree();
        self.note_as(number, &tree)
    }

    /// Remembers that `folder` was published as `number`.
    pub fn note_as(&mut self, number: u64, folder: &Path) -> Result<()> {
        self.published.insert(number, tree::read(folder)?);
        Ok(())
    }

    /// Changes `count` files of the publisher's tree.
    pub fn change(&mut self, count: usize) -> Result<()> {
        let tree = self.sandbox.tree();
        script_text::mutate(&tree, &mut self.scripts, &mut self.rng, count).map(drop)
    }

    /// Changes `count` files and publishes.
    pub fn next(&mut self, count: usize) -> Result<u64> {
        self.change(count)?;
        self.publish()
    }

    /// The newest release.
    pub fn newest(&self) -> u64 {
        self.published.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// `ldi sync --json`, run to its end.
    pub fn sync(&self) -> Result<Done> {
        self.sync_with(&self.sandbox.config())
    }

    /// The same with another configuration.
    pub fn sync_with(&self, config: &Path) -> Result<Done> {
        let command = self.sandbox.ldi_command(config, &["sync", "--json"])?;
        process::run_within(&mut measured(&command, &self.measure())?, LIMIT)
    }

    /// The most memory that the last sync needed, in bytes.
    pub fn memory(&self) -> Result<u64> {
        most(&self.measure())
    }

    fn measure(&self) -> PathBuf {
        self.sandbox.path("memory")
    }

    /// A sync that must bring the newest release.
    pub fn recover(&self) -> Result<()> {
        let done = self.sync()?.success().context("the sync after the fault")?;
        let active = self.whole()?;
        ensure!(active == Some(self.newest()), "release {active:?} is active after {done}");
        Ok(())
    }

    /// The active release, which must be one that was published, every byte of it; none if
    /// nothing is active.
    pub fn whole(&self) -> Result<Option<u64>> {
        self.whole_at(&self.sandbox.root())
    }

    /// The same for the client whose root is `root`.
    pub fn whole_at(&self, root: &Path) -> Result<Option<u64>> {
        let lib = root.join("lib");
        if fs::symlink_metadata(&lib).is_err() {
            return Ok(None);
        }
        let release = Store::existing(root)
            .active()?
            .with_context(|| format!("{} leads to no whole release", lib.display()))?;
        let active = tree::read(&fs::canonicalize(&lib)?)?;
        let published = self
            .published
            .get(&release.number)
            .with_context(|| format!("release {} was never published", release.number))?;
        let differences = tree::differences(published, &active);
        ensure!(
            differences.is_empty(),
            "release {} is active and half: {:?}",
            release.number,
            differences.iter().take(3).collect::<Vec<_>>()
        );
        let wrong = release.verify()?;
        ensure!(wrong.is_empty(), "release {} does not verify: {wrong:?}", release.number);
        Ok(Some(release.number))
    }

    /// Writes a configuration `name` for this client's root with `url` and this time limit.
    pub fn configure(&self, name: &str, url: &str, timeout: &str) -> Result<PathBuf> {
        let config = self.sandbox.path(name);
        let ssh = (self.key.as_path(), self.sshd.known_hosts());
        self.sandbox.configure_at(&config, &self.sandbox.root(), &[url], Some((ssh.0, &ssh.1)))?;
        let text = fs::read_to_string(&config)?;
        let text =
            text.replace("connect_timeout = \"20s\"", &format!("connect_timeout = \"{timeout}\""));
        fs::write(&config, text)?;
        Ok(config)
    }

    /// The URL of the library through `port`, pinned as the server's own is.
    pub fn url_through(&self, port: u16) -> Result<String> {
        let file = self.sshd.known_hosts();
        let text = fs::read_to_string(&file)?;
        let line = text.lines().next().context("no pinned host")?;
        let line = line.replace(&format!("]:{} ", self.sshd.port()), &format!("]:{port} "));
        fs::write(&file, format!("{}\n{line}\n", text.lines().next().unwrap_or_default()))?;
        let library = self.sandbox.library();
        Ok(format!("ssh://{}@127.0.0.1:{port}{}", self.sshd.user(), library.display()))
    }

    /// A configuration whose key may only run `forced`.
    pub fn forced(&self, name: &str, forced: String) -> Result<PathBuf> {
        let key = self.sshd.key(name, &Access::Forced(forced))?;
        let config = self.sandbox.path(&format!("{name}.toml"));
        let url = self.sshd.url(&self.sandbox.library());
        let pinned = self.sshd.known_hosts();
        self.sandbox.configure_at(&config, &self.sandbox.root(), &[&url], Some((&key, &pinned)))?;
        Ok(config)
    }

    /// The client as a child that says nothing.
    pub fn start(&self, config: &Path) -> Result<Child> {
        quiet(&mut self.sandbox.ldi_command(config, &["sync", "--json"])?)
    }

    /// `codesync push` of the library to the folder `server`, with `key`.
    pub fn push(&self, key: &Path, server: &Path) -> Result<Command> {
        let mut command = process::command(&bin("codesync")?);
        command.args(["push", "--json", "--library"]).arg(self.sandbox.library());
        command.arg("--identity").arg(key).arg("--known-hosts").arg(self.sshd.known_hosts());
        command.arg(self.sshd.url(server));
        Ok(command)
    }
}

/// Starts `command` with nothing on its streams.
pub fn quiet(command: &mut Command) -> Result<Child> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().context("cannot start a program")
}

/// The word for an end that any fault may have: done, unreachable or refused. Anything else, or no
/// sentence, is wrong.
pub fn word(done: &Done) -> Result<&'static str> {
    let word = match done.code() {
        0 => return Ok("done"),
        69 => "unreachable",
        76 => "refused",
        _ => bail!("no end that is documented: {done}"),
    };
    let report = done.json()?;
    let reason = report["reason"].as_str().unwrap_or_default();
    let sentence = reason.len() > 10 && !reason.contains(char::is_control);
    ensure!(sentence && report["outcome"] == word, "no sentence: {done}");
    Ok(word)
}
