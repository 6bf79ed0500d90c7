//! The jobs of a release: files of `scripts/<tier>/` with their header comments, and the
//! `[[job]]`s of `conf/tiers.toml`.
//!
//! Only files that were signed count, and their bytes are compared with their signed hash before
//! a word of them is believed: a header can change the account that a job runs as.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::Read,
    path::Path,
};

use codesync::store::{File, Manifest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Failure, Result,
    error::code,
    parse::{self, Wrong},
    tiers::{self, Gate, Keys, Tiers, What},
};

const HEADER_LINES: usize = 20;
const HEADER_BYTES: usize = 8192;

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
            damaged = header(tree, &file).err().map(|damage| (damage, path.clone()));
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
        None => header(tree, file).map(|head| words_of_header(&head)),
    };
    let (said, damaged) = match said {
        Ok(said) => (said, None),
        Err(damage) => (Vec::new(), Some((damage, file.path.clone()))),
    };
    let keys = keys_of_header(&file.path, &said).map_err(|w| Failure::config(w.to_string()))?;
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

/// The first bytes of a file whose whole content was compared with its signed hash.
fn header(tree: &Path, file: &File) -> Result<Vec<u8>, String> {
    verified(tree, file, HEADER_BYTES)
}

const READ_AT_ONCE: usize = 1 << 16;

/// Reads all of a file, keeps the first `keep` bytes, and refuses what was not signed.
fn verified(tree: &Path, file: &File, keep: usize) -> Result<Vec<u8>, String> {
    let path = tree.join(&file.path);
    let mut from = std::fs::File::open(&path)
        .map_err(|e| format!("cannot open {}: {e}", path.display()))?
        .take(file.size + 1);
    let (mut hash, mut kept, mut buffer) = (
        Sha256::new(),
        Vec::new(),
        vec![0; READ_AT_ONCE.min(usize::try_from(file.size).unwrap_or(READ_AT_ONCE) + 1)],
    );
    loop {
        let n =
            from.read(&mut buffer).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        let room = keep - kept.len();
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    if hash.finalize().as_slice() != file.sha256 {
        return Err(format!(
            "{} is not what was signed for this release; it was not run and the next sync repairs it",
            file.path
        ));
    }
    Ok(kept)
}

/// The words of lines such as `# ldi: timeout=5m wait_for=corp,internet run_once`, by line number.
fn words_of_header(head: &[u8]) -> Vec<(usize, String)> {
    let mut said = Vec::new();
    if head.contains(&0) {
        return said;
    }
    for (at, line) in head.split(|byte| *byte == b'\n').take(HEADER_LINES).enumerate() {
        let line = String::from_utf8_lossy(line);
        let trimmed = line.trim_start();
        let comment = trimmed.trim_start_matches(['#', '/', '-', ';', '%']);
        if comment.len() == trimmed.len() {
            continue;
        }
        if let Some(words) = comment.trim_start().strip_prefix("ldi:") {
            said.push((at + 1, words.to_owned()));
        }
    }
    said
}

/// The keys in what a header says.
fn keys_of_header(path: &str, said: &[(usize, String)]) -> Result<Keys, Wrong> {
    let mut keys = Keys::default();
    for (line, words) in said {
        for word in words.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, "true"));
            set(&mut keys, key, value).map_err(|what| Wrong {
                file: path.to_owned(),
                line: *line,
                key: Some(key.to_owned()),
                what,
            })?;
        }
    }
    keys.check().map_err(|(key, what)| Wrong {
        file: path.to_owned(),
        line: 0,
        key: Some(key.to_owned()),
        what,
    })?;
    Ok(keys)
}

fn set(keys: &mut Keys, key: &str, value: &str) -> Result<(), String> {
    const KNOWN: [&str; 14] = [
        "args",
        "wait_for",
        "wait_deadline",
        "timeout",
        "retries",
        "after",
        "parallel",
        "run_once",
        "os",
        "arch",
        "tags",
        "percent",
        "user",
        "nice",
    ];
    let list = || value.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let switch =
        || value.parse::<bool>().map_err(|_| format!("{value:?} is neither true nor false"));
    let number = |e: std::num::ParseIntError| format!("{value:?} is not a usable number: {e}");
    match key {
        "args" => keys.args = list(),
        "wait_for" => {
            keys.wait_for = value
                .split(',')
                .map(|w| match w {
                    "corp" => Ok(Gate::Corp),
                    "internet" => Ok(Gate::Internet),
                    _ => Err(format!("{w:?} is no gate; known: corp, internet")),
                })
                .collect::<Result<_, _>>()?;
        }
        "wait_deadline" => keys.wait_deadline = Some(value.parse()?),
        "timeout" => keys.timeout = Some(value.parse()?),
        "retries" => keys.retries = value.parse().map_err(number)?,
        "after" => keys.after = list(),
        "parallel" => keys.parallel = switch()?,
        "run_once" => keys.run_once = switch()?,
        "os" => keys.os = list(),
        "arch" => keys.arch = list(),
        "tags" => keys.tags = list(),
        "percent" => keys.percent = Some(value.trim_end_matches('%').parse().map_err(number)?),
        "user" => keys.user = Some(value.to_owned()),
        "nice" => keys.nice = value.parse().map_err(number)?,
        _ => {
            return Err(match parse::nearest(key, &KNOWN) {
                Some(near) => format!("is not a known key; did you mean {near}?"),
                None => format!("is not a known key; known here: {}", KNOWN.join(", ")),
            });
        }
    }
    Ok(())
}

/// Name order within each tier, but after what `after` names. Names that are no job of the tier,
/// and circles, are refused.
fn ordered(mut jobs: Vec<Job>) -> Result<Vec<Job>> {
    let short =
        |j: &Job| j.name.strip_prefix(&format!("{}/", j.tier)).unwrap_or(&j.name).to_owned();
    jobs.sort_by_cached_key(|j| (j.tier.clone(), short(j), j.name.clone()));
    let mut seen = HashSet::new();
    if let Some(twice) = jobs.iter().find(|job| !seen.insert(job.name.as_str())) {
        return Err(Failure::config(format!(
            "two jobs are called {:?}; give one of them another name in {}",
            twice.name,
            tiers::PATH
        )));
    }
    // For each job: how many others it waits for, and who waits for it.
    let mut waits = vec![0_usize; jobs.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, job) in jobs.iter().enumerate() {
        for before in &job.keys.after {
            let mut known = false;
            for (other, _) in
                jobs.iter().enumerate().filter(|(_, j)| j.tier == job.tier && names(j, before))
            {
                known = true;
                waits[at] += 1;
                followers[other].push(at);
            }
            if !known {
                return Err(Failure::config(format!(
                    "job {}, key after: tier {} has no job {before:?}",
                    job.name, job.tier
                )));
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..jobs.len()).filter(|at| waits[*at] == 0).collect();
    let mut order = Vec::with_capacity(jobs.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for &follower in &followers[at] {
            waits[follower] -= 1;
            if waits[follower] == 0 {
                ready.insert(follower);
            }
        }
    }
    if order.len() < jobs.len() {
        let circle: Vec<&str> =
            (0..jobs.len()).filter(|at| waits[*at] > 0).map(|at| jobs[at].name.as_str()).collect();
        return Err(Failure::config(format!(
            "key after: these jobs wait for each other: {}",
            circle.join(", ")
        )));
    }
    let mut jobs: Vec<Option<Job>> = jobs.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| jobs[at].take()).collect())
}

/// Whether `word` means this job: its name, or its file name within the tier.
pub fn names(job: &Job, word: &str) -> bool {
    job.name == word
        || job.name.strip_prefix(&job.tier).and_then(|n| n.strip_prefix('/')) == Some(word)
}

#[cfg(test)]
#[path = "jobs_tests.rs"]
mod tests;
