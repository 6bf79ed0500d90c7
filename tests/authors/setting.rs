//! A small tree of its own for each test.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result};
use e2e::{Done, bin, command, process::run_within};
use serde_json::Value;
use tempfile::TempDir;

/// A working tree.
pub struct Tree {
    folder: TempDir,
}

impl Tree {
    /// An empty one.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir()? })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file; what begins with `#!` gets the run bit.
    pub fn file(&self, path: &str, text: &str) -> Result<&Self> {
        let whole = self.path().join(path);
        fs::create_dir_all(whole.parent().context("no folder")?)?;
        fs::write(&whole, text)?;
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&whole, fs::Permissions::from_mode(mode))?;
        Ok(self)
    }

    /// `codesync WORDS --tree TREE`, ready to run.
    pub fn codesync(&self, words: &[&str]) -> Result<Command> {
        let mut command = command(&bin("codesync")?);
        command.args(words).arg("--tree").arg(self.path()).current_dir(self.path());
        Ok(command)
    }

    /// `codesync test WORDS`, to its end.
    pub fn test(&self, words: &[&str]) -> Result<Done> {
        let words = [&["test"], words].concat();
        run_within(&mut self.codesync(&words)?, Duration::from_secs(240))
    }

    /// The results of `codesync test --json WORDS`: one test's, by the end of its name.
    pub fn results(&self, words: &[&str]) -> Result<Results> {
        let done = self.test(&[&["--json"], words].concat())?;
        Ok(Results { all: done.json()?, done })
    }
}

/// What `codesync test --json` said.
pub struct Results {
    /// All of it.
    pub all: Value,
    /// How it ended.
    pub done: Done,
}

impl Results {
    /// The outcome of the test whose name ends in `name`, with its failures and reason as text.
    pub fn of(&self, name: &str) -> Result<(String, String)> {
        let tests = self.all["results"].as_array().context("no results")?;
        let is = |test: &&Value| test["name"].as_str().is_some_and(|full| full.ends_with(name));
        let test = tests.iter().find(is).with_context(|| format!("no {name} in {}", self.all))?;
        let mut text = test["reason"].as_str().unwrap_or_default().to_owned();
        for failure in test["failures"].as_array().into_iter().flatten() {
            let field = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
            text.push_str(&format!("{}: {}\n", field("where"), field("message")));
        }
        Ok((test["outcome"].as_str().unwrap_or_default().to_owned(), text))
    }
}
