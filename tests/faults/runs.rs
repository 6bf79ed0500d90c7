//! kill -9 of `ldi run` at instants over its whole run: every run is accounted for exactly once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Sandbox, rng::Rng, tree};
use serde_json::Value;

use crate::{Plan, site::quiet, tally::Tally};

/// Jobs of the tier; every third may run beside others, every fifth fails and is tried again.
const JOBS: usize = 10;

/// Outcomes that stay for ever.
const FINAL: &[&str] = &["ok", "failed", "timed-out", "killed", "interrupted", "skipped"];

/// The case.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut tally = Tally::new("kill -9 of ldi run");
    let mut book = Book::new()?;
    let mut rng = Rng::new(plan.seed);
    let began = Instant::now();
    book.tier(&["daily"])?;
    let usual = began.elapsed();
    for round in 0..plan.rounds {
        let thousandths = (round * 1000 + rng.below(1000)) * 105 / 100 / plan.rounds.max(1);
        let pause = usual * u32::try_from(thousandths).unwrap_or(1000) / 1000;
        tally.add(book.round(pause));
    }
    tally.last(book.recovered().map(|()| "all runs have an end"));
    Ok(vec![tally])
}

/// A client, what its jobs wrote down themselves, and what its journal said before.
struct Book {
    sandbox: Sandbox,
    known: BTreeMap<String, String>,
}

impl Book {
    fn new() -> Result<Self> {
        let sandbox = Sandbox::with_library()?;
        let seen = sandbox.path("seen");
        for n in 0..JOBS {
            let keys = match (n % 3, n % 5) {
                (1, _) => "# ldi: parallel\n",
                (_, 4) => "# ldi: retries=1\n",
                _ => "",
            };
            let end = if n % 5 == 4 { "exit 1" } else { "exit 0" };
            let text = format!(
                "#!/bin/bash\n{keys}echo \"begin $LDI_RUN\" >> {0}\nsleep 0.005\n\
                 echo \"end $LDI_RUN\" >> {0}\n{end}\n",
                seen.display()
            );
            tree::put(&sandbox.tree(), &format!("scripts/daily/{n}"), text.as_bytes(), true)?;
        }
        sandbox.configure(&[&sandbox.file_url()], None)?;
        let config = fs::read_to_string(sandbox.config())?;
        fs::write(sandbox.config(), config + "\n[run]\nretry_delay = \"0s\"\n")?;
        sandbox.publish()?;
        sandbox.synced()?;
        Ok(Self { sandbox, known: BTreeMap::new() })
    }

    fn tier(&self, words: &[&str]) -> Result<()> {
        let mut all = vec!["run", "--no-sync"];
        all.extend_from_slice(words);
        let done = self.sandbox.ldi(&all)?;
        ensure!([0, 1].contains(&done.code()), "{done}");
        Ok(())
    }

    fn round(&mut self, pause: Duration) -> Result<&'static str> {
        let sandbox = &self.sandbox;
        let mut command = sandbox.ldi_command(&sandbox.config(), &["run", "--no-sync", "daily"])?;
        let mut child = quiet(&mut command)?;
        thread::sleep(pause);
        let running = child.try_wait()?.is_none();
        child.kill().ok();
        child.wait()?;
        let cut = self.check()?;
        Ok(match (running, cut) {
            (false, _) => "not in time",
            (true, true) => "in a run",
            (true, false) => "between runs",
        })
    }

    /// Compares the journal with what the jobs saw and with itself before; whether a run was cut.
    fn check(&mut self) -> Result<bool> {
        let done = self.sandbox.ldi(&["history", "--json", "--limit", "1000000"])?.success()?;
        let list = done.json()?;
        let mut runs = BTreeMap::new();
        for run in list.as_array().context("no list")? {
            let word = |key: &str| run[key].as_str().map(str::to_owned).unwrap_or_default();
            let twice = runs.insert(word("run"), word("outcome"));
            ensure!(twice.is_none(), "{run} is there twice");
            ensure!(FINAL.contains(&word("outcome").as_str()), "nobody will end {run}");
        }
        for (run, outcome) in &self.known {
            ensure!(runs.get(run) == Some(outcome), "{run} was {outcome}, now {:?}", runs.get(run));
        }
        let seen = fs::read_to_string(self.sandbox.path("seen"))?;
        let mut ended = BTreeSet::new();
        for (word, run) in seen.lines().filter_map(|line| line.split_once(' ')) {
            ensure!(runs.contains_key(run), "{run} ran and is not in the journal");
            if word == "end" {
                ensure!(ended.insert(run.to_owned()), "{run} ran twice");
            }
        }
        for (run, outcome) in &runs {
            ensure!(
                outcome != "ok" || ended.contains(run),
                "{run} is ok and never came to its end"
            );
        }
        let cut = runs
            .iter()
            .any(|(run, outcome)| outcome == "interrupted" && !self.known.contains_key(run));
        self.known = runs;
        Ok(cut)
    }

    /// The next `ldi` writes down what the killed ones could not, and a whole tier runs.
    fn recovered(&mut self) -> Result<()> {
        self.tier(&["daily"])?;
        self.check()?;
        let status: Value = self.sandbox.ldi(&["status", "--json"])?.success()?.json()?;
        ensure!(status["running"].as_array().is_some_and(Vec::is_empty), "{status}");
        Ok(())
    }
}
