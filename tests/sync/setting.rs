//! What the tests start from: a published library of a few scripts and a client of it.

use anyhow::{Result, ensure};
use e2e::{Done, Sandbox, Sshd, parts, rng::Rng, script_text};
use serde_json::Value;

/// The programs of this workspace that a sync needs.
const BINS: &[&str] = &["codesync", "codesync-shell", "ldi"];
/// The programs of the system that an ssh source needs.
const SSH: &[&str] = &["sshd", "ssh-keygen"];

/// How the client reaches the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `ssh://` through a real sshd and `codesync-shell`.
    Ssh,
    /// `file://`.
    File,
}

/// A sandbox, and the sshd if the way needs one.
pub struct Setting {
    pub sandbox: Sandbox,
    pub sshd: Option<Sshd>,
    pub rng: Rng,
    pub scripts: Vec<script_text::Script>,
}

impl Setting {
    /// An initialised library and a configured client; nothing is published. None if a part is
    /// missing where that is allowed.
    pub fn empty(way: Way) -> Result<Option<Self>> {
        if !parts::need_bins(BINS)? || (way == Way::Ssh && !parts::need(SSH)?) {
            return Ok(None);
        }
        let sandbox = Sandbox::with_library()?;
        let sshd = match way {
            Way::Ssh => Some(sandbox.serve()?.0),
            Way::File => {
                sandbox.configure(&[&sandbox.file_url()], None)?;
                None
            }
        };
        Ok(Some(Self { sandbox, sshd, rng: Rng::new(11), scripts: Vec::new() }))
    }

    /// The same with `files` generated scripts published as release 1.
    pub fn published(way: Way, files: usize) -> Result<Option<Self>> {
        let Some(mut setting) = Self::empty(way)? else { return Ok(None) };
        setting.scripts = script_text::library(5, files);
        script_text::write(&setting.sandbox.tree(), &setting.scripts)?;
        setting.sandbox.publish()?;
        Ok(Some(setting))
    }

    /// The same, and the client has synced it.
    pub fn synced(way: Way, files: usize) -> Result<Option<Self>> {
        let Some(setting) = Self::published(way, files)? else { return Ok(None) };
        let report = setting.sandbox.synced()?;
        ensure!(report["release"] == 1 && report["outcome"] == "updated", "{report}");
        setting.sandbox.in_step()?;
        Ok(Some(setting))
    }

    /// Changes `count` files and publishes.
    pub fn next_release(&mut self, count: usize) -> Result<Value> {
        let tree = self.sandbox.tree();
        script_text::mutate(&tree, &mut self.scripts, &mut self.rng, count)?;
        self.sandbox.publish()
    }

    /// The number of the client's active release.
    pub fn active(&self) -> Result<u64> {
        let link = std::fs::read_link(self.sandbox.lib())?;
        let name = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        Ok(name.parse()?)
    }
}

/// Requires a refusal: exit 76, a report that says so, and every one of `words` in its sentence.
pub fn refused(done: Done, words: &[&str]) -> Result<()> {
    let done = done.expect_code(76)?;
    let report = done.json()?;
    ensure!(report["outcome"] == "refused", "{done}");
    sentence(&done, &report, words)
}

/// Requires that no source was reached: exit 69 and a report that says so.
pub fn unreachable(done: Done, words: &[&str]) -> Result<()> {
    let done = done.expect_code(69)?;
    let report = done.json()?;
    ensure!(report["outcome"] == "unreachable", "{done}");
    sentence(&done, &report, words)
}

fn sentence(done: &Done, report: &Value, words: &[&str]) -> Result<()> {
    let reason = report["reason"].as_str().unwrap_or_default();
    ensure!(reason.len() > 10 && !reason.contains('\n'), "no sentence: {done}");
    for word in words {
        ensure!(reason.contains(word), "the reason does not name {word:?}: {reason}");
    }
    Ok(())
}
