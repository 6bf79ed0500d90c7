//! One publisher and one client in a private folder: tree, keys, library, client root, ldi.toml.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{
    parts::bin,
    process::{self, Done},
    sshd::{Access, Sshd},
    tree,
};

/// The folder and everything in it; removed when dropped.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// An empty sandbox.
    pub fn new() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ldi-test-").tempdir()?;
        // sshd and jobs of other users must be able to reach what is inside.
        for name in ["tree", "keys", "sshd"] {
            fs::create_dir(dir.path().join(name))?;
        }
        Ok(Self { dir })
    }

    /// A sandbox whose library was initialised.
    pub fn with_library() -> Result<Self> {
        let sandbox = Self::new()?;
        sandbox.codesync(&["init"])?.success()?;
        Ok(sandbox)
    }

    /// The sandbox's own folder, or a path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The publisher's working tree.
    pub fn tree(&self) -> PathBuf {
        self.path("tree")
    }

    /// The publisher's keys, and the `root.json` that clients pin.
    pub fn keys(&self) -> PathBuf {
        self.path("keys")
    }

    /// The library on the server.
    pub fn library(&self) -> PathBuf {
        self.path("library")
    }

    /// The client's root folder.
    pub fn root(&self) -> PathBuf {
        self.path("client")
    }

    /// The client's configuration.
    pub fn config(&self) -> PathBuf {
        self.path("ldi.toml")
    }

    /// Writes a file into the publisher's tree, mode 0644.
    pub fn put(&self, path: &str, content: &str) -> Result<()> {
        tree::put(&self.tree(), path, content.as_bytes(), false)
    }

    /// `codesync WORDS… --library … --keys …`, run to its end.
    pub fn codesync(&self, words: &[&str]) -> Result<Done> {
        process::run(&mut self.codesync_command(words)?)
    }

    /// The same, not yet started.
    pub fn codesync_command(&self, words: &[&str]) -> Result<Command> {
        let mut command = process::command(&bin("codesync")?);
        command.env("CODESYNC_LIBRARY", self.library()).env("CODESYNC_KEYS", self.keys());
        command.env("CODESYNC_CACHE", self.path("cache"));
        command.args(words);
        Ok(command)
    }

    /// Publishes the tree; returns what `publish --json` says.
    pub fn publish(&self) -> Result<serde_json::Value> {
        self.publish_command()?.success()?.json()
    }

    /// Publishes the tree; the caller judges how it ended.
    pub fn publish_command(&self) -> Result<Done> {
        let tree = self.tree();
        let tree = tree.to_str().context("a sandbox path that is not UTF-8")?;
        self.codesync(&["publish", "--json", "--tree", tree])
    }

    /// Publishes a tree that lint refuses, for those who must refuse it too.
    pub fn publish_all_the_same(&self) -> Result<serde_json::Value> {
        let tree = self.tree();
        let tree = tree.to_str().context("a sandbox path that is not UTF-8")?;
        let words = ["publish", "--json", "--force", "a test", "--tree", tree];
        self.codesync(&words)?.success()?.json()
    }

    /// The URL of the library as files.
    pub fn file_url(&self) -> String {
        format!("file://{}", self.library().display())
    }

    /// Starts an sshd whose key `client` may only run `codesync-shell` on this library, and
    /// writes `ldi.toml` for it.
    pub fn serve(&self) -> Result<(Sshd, PathBuf)> {
        let sshd = Sshd::start(&self.path("sshd"))?;
        let shell = bin("codesync-shell")?;
        let forced = format!("{} --library {}", shell.display(), self.library().display());
        let key = sshd.key("client", &Access::Forced(forced))?;
        self.configure(&[&sshd.url(&self.library())], Some((&key, &sshd.known_hosts())))?;
        Ok((sshd, key))
    }

    /// Writes `ldi.toml` with these sources and, for ssh, identity and known_hosts.
    pub fn configure(&self, sources: &[&str], ssh: Option<(&Path, &Path)>) -> Result<()> {
        self.configure_at(&self.config(), &self.root(), sources, ssh)
    }

    /// The same for another client: its configuration file and its root.
    pub fn configure_at(
        &self,
        config: &Path,
        root: &Path,
        sources: &[&str],
        ssh: Option<(&Path, &Path)>,
    ) -> Result<()> {
        let mut sync = toml::Table::new();
        sync.insert("source".into(), sources.to_vec().into());
        sync.insert("ring".into(), "stable".into());
        sync.insert("trusted_root".into(), text(&self.keys().join("root.json"))?.into());
        sync.insert("connect_timeout".into(), "20s".into());
        if let Some((identity, known_hosts)) = ssh {
            sync.insert("identity".into(), text(identity)?.into());
            sync.insert("known_hosts".into(), text(known_hosts)?.into());
        }
        let mut table = toml::Table::new();
        table.insert("root".into(), text(root)?.into());
        table.insert("sync".into(), sync.into());
        fs::write(config, toml::to_string(&table)?)?;
        Ok(())
    }

    /// `ldi WORDS…` as this sandbox's client, run to its end.
    pub fn ldi(&self, words: &[&str]) -> Result<Done> {
        process::run(&mut self.ldi_command(&self.config(), words)?)
    }

    /// `ldi WORDS…` with another configuration, not yet started.
    pub fn ldi_command(&self, config: &Path, words: &[&str]) -> Result<Command> {
        let mut command = process::command(&bin("ldi")?);
        command.env("LDI_CONFIG", config).args(words);
        Ok(command)
    }

    /// `ldi sync --json`, whatever its exit code.
    pub fn sync(&self) -> Result<Done> {
        self.ldi(&["sync", "--json"])
    }

    /// `ldi sync --json` that must succeed; its report.
    pub fn synced(&self) -> Result<serde_json::Value> {
        self.sync()?.success()?.json()
    }

    /// The folder of the client's active release.
    pub fn lib(&self) -> PathBuf {
        self.root().join("lib")
    }

    /// Requires that the client's active release is the publisher's tree.
    pub fn in_step(&self) -> Result<()> {
        let lib = fs::canonicalize(self.lib()).context("no active release")?;
        tree::same(&self.tree(), &lib)
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}
