//! The jobs of a release: files of `scripts/<tier>/` with their header comments, and the
//! `[[job]]`s of `conf/tiers.toml`.
//!
//! Only files that were signed count, and their bytes are compared with their signed hash before
//! a word of them is believed: a header can change the account that a job runs as.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use codesync::store::{File, Manifest};
use jobs::{
    header,
    order::{Named, order},
    parse::Wrong,
    tiers::{self, Keys, Tiers, What},
};
use serde::{Deserialize, Serialize};

use crate::{Failure, Result, error::code, inventory};

mod verified;

use verified::{head, verified};

/// One job of one tier.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// Its tier.
    pub tier: String,
    /// What it runs.
    pub what: What,
    /// Everything else.
    pub keys: Keys,
    /// Identifies what it runs, for `run_once`.
    pub content: String,
    /// Why it must not be run at all, and the damaged file.
    pub damaged: Option<(String, String)>,
}

impl Job {
    fn named(&self) -> Named<'_> {
        Named { tier: &self.tier, name: &self.name, after: &self.keys.after }
    }

    /// Under which name its past is remembered: a job of the person at the console has one for
    /// each person. No job's own name holds a `~`.
    pub fn memory(&self) -> String {
        match (&self.keys.user, self.keys.console) {
            (Some(user), true) => format!("{}~{user}", self.name),
            _ => self.name.clone(),
        }
    }
}

/// What a release has to run.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogue {
    /// Its tiers, the built-in ones included.
    pub tiers: Tiers,
    /// Its jobs, in the order in which they run.
    pub jobs: Vec<Job>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// What the header comments of a release say, by path: kept beside it, so that the next release
/// need only read the scripts that changed. Scripts without such a comment are not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Headers {
    /// The version of `ldi` that read them.
    version: String,
    /// Line numbers, and the words after `ldi:`.
    said: BTreeMap<String, Vec<(usize, String)>>,
}

impl Headers {
    /// Headers as this version reads them.
    fn current() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), said: BTreeMap::new() }
    }

    /// Whether this version would read them as they stand here.
    pub fn is_current(&self) -> bool {
        self.version == env!("CARGO_PKG_VERSION")
    }
}

/// What is known about scripts without reading them.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The headers of an earlier release.
    pub headers: &'a Headers,
    /// The paths that are not what they were in it.
    pub changed: &'a HashSet<String>,
}

/// Reads the catalogue of the tree at `tree`, which holds the signed `files`; jobs of the other
/// tiers are left out when `only` names one.
pub fn catalogue(tree: &Path, files: &Manifest, only: Option<&str>) -> Result<Catalogue> {
    Ok(catalogue_knowing(tree, files, only, None)?.0)
}

/// As [`catalogue`], without reading the scripts that are `known`; also what the headers say.
pub fn catalogue_knowing(
    tree: &Path,
    files: &Manifest,
    only: Option<&str>,
    known: Option<Known<'_>>,
) -> Result<(Catalogue, Headers)> {
    let tiers = match files.get(tiers::PATH) {
        None => Tiers::built_in(),
        Some(file) => {
            let bytes = verified(tree, &file, 4 << 20)
                .map_err(|damage| Failure::new(code::REFUSED, damage))?;
            let text = String::from_utf8(bytes)
                .map_err(|_| Failure::config(format!("{}: is not UTF-8 text", tiers::PATH)))?;
            Tiers::of_release(&text).map_err(|w| Failure::config(w.to_string()))?
        }
    };
    let wanted = |tier: &str| only.is_none_or(|o| o == tier);
    let mut notes = Vec::new();
    let mut jobs = Vec::new();
    let mut scripts = Vec::new();
    for job in tiers.jobs.iter().filter(|j| wanted(&j.tier)) {
        jobs.push(configured(job, tree, files)?);
    }
    // Thousands of scripts must not be compared with each other.
    let listed: HashSet<(String, String)> = jobs
        .iter()
        .filter_map(|job| match &job.what {
            What::Script(path) => Some((job.tier.clone(), path.clone())),
            _ => None,
        })
        .collect();
    let from = files.search("scripts/").unwrap_or_else(|at| at);
    for file in (from..files.len()).map_while(|at| files.at(at)) {
        let Some(rest) = file.path.strip_prefix("scripts/") else { break };
        let Some((tier, name)) = rest.split_once('/') else { continue };
        if !tiers.tiers.contains_key(tier) || !wanted(tier) || name.contains('/') {
            continue;
        }
        if listed.contains(&(tier.to_owned(), file.path.clone())) {
            continue;
        }
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        if !file.executable {
            notes.push(format!("{} is not executable and was left out", file.path));
            continue;
        }
        let tier = tier.to_owned();
        scripts.push((file, tier));
    }
    notes.extend(inventory::without_twins(&mut scripts));
    let mut headers = Headers::current();
    for (job, said) in found_all(&scripts, tree, known)? {
        if let (false, What::Script(path)) = (said.is_empty(), &job.what) {
            headers.said.insert(path.clone(), said);
        }
        jobs.push(job);
    }
    Ok((Catalogue { jobs: ordered(jobs)?, tiers, notes }, headers))
}

fn configured(job: &tiers::Job, tree: &Path, files: &Manifest) -> Result<Job> {
    let at = |key: &str, what: String| {
        Failure::config(
            Wrong { file: tiers::PATH.into(), line: job.line, key: Some(key.into()), what }
                .to_string(),
        )
    };
    let mut damaged = None;
    let content = match &job.what {
        What::Script(path) => {
            let Some(file) = files.get(path) else {
                return Err(at("script", format!("{path} is not in this release")));
            };
            damaged = head(tree, &file).err().map(|damage| (damage, path.clone()));
            hex::encode(file.sha256)
        }
        What::Function(name) => format!("function {name}"),
        What::Command(words) => format!("command {words:?}"),
    };
    Ok(Job {
        name: job.name.clone(),
        tier: job.tier.clone(),
        what: job.what.clone(),
        content: format!("{content} {:?}", job.keys.args),
        keys: job.keys.clone(),
        damaged,
    })
}

/// A job and what its header says.
type Found = (Job, Vec<(usize, String)>);

/// The jobs of `scripts`, read on all cores where there are many.
fn found_all(
    scripts: &[(File, String)],
    tree: &Path,
    known: Option<Known<'_>>,
) -> Result<Vec<Found>> {
    let some = |part: &[(File, String)]| {
        part.iter().map(|(file, tier)| found(file, tier, tree, known)).collect::<Result<Vec<_>>>()
    };
    if scripts.len() < 200 {
        return some(scripts);
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4);
    std::thread::scope(|scope| {
        let parts: Vec<_> = scripts
            .chunks(scripts.len().div_ceil(cores))
            .map(|part| scope.spawn(|| some(part)))
            .collect();
        let mut jobs = Vec::with_capacity(scripts.len());
        for part in parts {
            let part = part.join().map_err(|_| {
                Failure::new(code::FAILED, "reading the jobs' headers broke off; this is a bug")
            })?;
            jobs.extend(part?);
        }
        Ok(jobs)
    })
}

fn found(file: &File, tier: &str, tree: &Path, known: Option<Known<'_>>) -> Result<Found> {
    let name = file.path.strip_prefix("scripts/").unwrap_or(&file.path);
    if !tiers::good_name(name) {
        let what = format!(
            "{}: a job's name has letters, digits and . _ - + @ only; rename the file",
            file.path
        );
        return Err(Failure::config(what));
    }
    let said = match known.filter(|known| !known.changed.contains(&file.path)) {
        Some(known) => Ok(known.headers.said.get(&file.path).cloned().unwrap_or_default()),
        None => head(tree, file).map(|text| header::words(&text)),
    };
    let (said, damaged) = match said {
        Ok(said) => (said, None),
        Err(damage) => (Vec::new(), Some((damage, file.path.clone()))),
    };
    let mut keys = header::keys(&file.path, &said).map_err(|w| Failure::config(w.to_string()))?;
    if tier == inventory::TIER {
        inventory::settle(&mut keys);
    }
    let job = Job {
        name: name.to_owned(),
        tier: tier.to_owned(),
        what: What::Script(file.path.clone()),
        content: format!("{} {:?}", hex::encode(file.sha256), keys.args),
        keys,
        damaged,
    };
    Ok((job, said))
}

fn ordered(jobs: Vec<Job>) -> Result<Vec<Job>> {
    let named: Vec<Named<'_>> = jobs.iter().map(Job::named).collect();
    let order = order(&named).map_err(Failure::config)?;
    let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| jobs[at].take()).collect())
}

/// Whether `word` means this job: its name, or its file name within the tier.
pub fn names(job: &Job, word: &str) -> bool {
    job.named().is(word)
}

#[cfg(test)]
#[path = "catalogue_tests.rs"]
mod tests;
