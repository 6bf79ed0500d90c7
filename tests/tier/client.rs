//! One client of a signed library, and what the tests ask of it.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, parts, tree};
use serde_json::Value;

/// A publisher's tree, its library, and a client that syncs from it.
pub struct Client {
    /// Where they live.
    pub sandbox: Sandbox,
}

impl Client {
    /// A client; `None` when a part is missing and need not be there.
    pub fn new() -> Result<Option<Self>> {
        if !parts::need_bins(&["ldi", "codesync"])? || !parts::need(&["bash"])? {
            return Ok(None);
        }
        let client = Self { sandbox: Sandbox::with_library()? };
        client.configure("")?;
        Ok(Some(client))
    }

    /// Writes `ldi.toml`, with `more` at its end; TERM is followed by KILL after a second.
    pub fn configure(&self, more: &str) -> Result<()> {
        self.sandbox.configure(&[&self.sandbox.file_url()], None)?;
        let mut text = fs::read_to_string(self.sandbox.config())?;
        let run = "\n[run]\nkill_after = \"1s\"\nretry_delay = \"1s\"\ngate_interval = \"1s\"\ngate_splay = \"1s\"\n";
        text.push_str(run);
        text.push_str(more);
        fs::write(self.sandbox.config(), text)?;
        Ok(())
    }

    /// An executable job script.
    pub fn script(&self, path: &str, text: &str) -> Result<&Self> {
        tree::put(&self.sandbox.tree(), path, text.as_bytes(), true)?;
        Ok(self)
    }

    /// Any other file of the tree.
    pub fn file(&self, path: &str, text: &str) -> Result<&Self> {
        self.sandbox.put(path, text)?;
        Ok(self)
    }

    /// Publishes the tree.
    pub fn publish(&self) -> Result<&Self> {
        self.sandbox.publish()?;
        Ok(self)
    }

    /// `ldi WORDS…` that must end with `code`.
    pub fn ldi(&self, code: i32, words: &[&str]) -> Result<Done> {
        self.sandbox.ldi(words)?.expect_code(code)
    }

    /// `ldi WORDS… --json` that must end with `code`.
    pub fn json(&self, code: i32, words: &[&str]) -> Result<Value> {
        let mut all = words.to_vec();
        all.push("--json");
        self.ldi(code, &all)?.json()
    }

    /// `ldi run daily --json` that must end with `code`.
    pub fn daily(&self, code: i32) -> Result<Value> {
        self.json(code, &["run", "daily"])
    }

    /// The standard output of the newest run of a job, byte for byte.
    pub fn output(&self, job: &str) -> Result<Vec<u8>> {
        Ok(self.ldi(0, &["logs", job, "--stdout"])?.stdout)
    }

    /// A private folder of the client that its jobs may use: `LDI_STATE_DIR` of `job`.
    pub fn state(&self, job: &str) -> std::path::PathBuf {
        self.sandbox.root().join("var").join(job)
    }
}

/// The report on one job of a tier.
pub fn job<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    report["jobs"]
        .as_array()
        .and_then(|jobs| jobs.iter().find(|job| job["job"] == name))
        .with_context(|| format!("{name} is not in {report}"))
}

/// Requires an outcome, and words of its reason.
pub fn ended(report: &Value, name: &str, outcome: &str, words: &str) -> Result<()> {
    let job = job(report, name)?;
    let reason = job["reason"].as_str().unwrap_or_default();
    ensure!(job["outcome"] == outcome && reason.contains(words), "{name}: {job}");
    Ok(())
}

/// Whether process `pid` is alive and no zombie.
pub fn lives(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z')))
}

/// The numbers in a file of process ids.
pub fn pids(path: &Path) -> Result<Vec<i32>> {
    let text = fs::read_to_string(path).with_context(|| format!("no {}", path.display()))?;
    text.split_ascii_whitespace().map(|word| Ok(word.parse()?)).collect()
}

/// Requires that `ready` comes true soon.
pub fn soon(what: &str, mut ready: impl FnMut() -> bool) -> Result<()> {
    for _ in 0..600 {
        if ready() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    anyhow::bail!("{what}: not within 30 s")
}
