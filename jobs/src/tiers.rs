//! `conf/tiers.toml`: tiers and further jobs, checked before a release becomes active.
//!
//! A pure reading of text; which of the jobs run here and now is [`crate::select`]'s.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::Deserialize;
use toml::Spanned;

mod keys;

pub use keys::{Gate, Keys, MOST_SECRETS, Ration};

use crate::{
    parse::{self, Size, Span, Wrong, line_of},
    schedule::{Cron, Zone},
};

/// Where the file stands in the tree.
pub const PATH: &str = "conf/tiers.toml";

/// When a tier runs.
#[derive(Debug, Clone, PartialEq)]
pub enum When {
    /// At the dates of a cron expression, in a time zone.
    Cron(Cron, Zone),
    /// Once per boot, so long after it.
    Boot(Duration),
    /// By no clock: when a new agent has to prove itself.
    Update,
}

/// What a tier does when the sync before it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnSyncFailure {
    /// Runs the last good release.
    #[default]
    RunLastGood,
    /// Runs nothing.
    Skip,
}

/// One tier.
#[derive(Debug, Clone, PartialEq)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// When it runs.
    pub when: When,
    /// The window in which this machine has its fixed place.
    pub splay: Duration,
    /// What to do when the sync failed.
    pub on_sync_failure: OnSyncFailure,
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Cron(cron, zone) => write!(f, "{cron} {zone}"),
            When::Boot(delay) => write!(f, "boot + {}", Span(*delay)),
            When::Update => f.write_str("update"),
        }
    }
}

/// What a `[[job]]` runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file of the tree.
    Script(String),
    /// A bash or Python module function.
    Function(String),
    /// A program of this machine by its absolute path, with its first arguments.
    Command(Vec<String>),
}

/// One `[[job]]`.
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
    /// The line of its table.
    pub line: usize,
}

/// A whole `conf/tiers.toml`, with the built-in tiers that it does not redefine.
#[derive(Debug, Clone, PartialEq)]
pub struct Tiers {
    /// By name.
    pub tiers: BTreeMap<String, Tier>,
    /// In the order of the file.
    pub jobs: Vec<Job>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default)]
    tier: BTreeMap<String, Spanned<RawTier>>,
    #[serde(default)]
    job: Vec<Spanned<RawJob>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    cron: Option<Cron>,
    at: Option<At>,
    delay: Option<Span>,
    splay: Option<Span>,
    timezone: Option<Zone>,
    #[serde(default)]
    on_sync_failure: OnSyncFailure,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum At {
    Boot,
    Update,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawJob {
    name: Option<String>,
    tier: String,
    function: Option<String>,
    script: Option<String>,
    command: Option<Vec<String>>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    wait_for: Vec<Gate>,
    wait_deadline: Option<Span>,
    timeout: Option<Span>,
    #[serde(default)]
    retries: u32,
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    parallel: bool,
    #[serde(default)]
    run_once: bool,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    arch: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    hosts: Vec<String>,
    percent: Option<u8>,
    user: Option<String>,
    #[serde(default)]
    nice: u8,
    memory: Option<Size>,
    cpu: Option<u32>,
    processes: Option<u32>,
    #[serde(default)]
    secrets: Vec<String>,
    breaker: Option<u32>,
    breaker_for: Option<Span>,
}

impl Tiers {
    /// The tiers that exist without any file.
    pub fn built_in() -> Self {
        // A literal of this program: covered by a test, so that a fault cannot ship.
        Self::parse("the built-in tiers", include_str!("tiers_default.toml"))
            .unwrap_or_else(|_| Self { tiers: BTreeMap::new(), jobs: Vec::new() })
    }

    /// Reads `text` on top of the built-in tiers.
    pub fn of_release(text: &str) -> Result<Self, Wrong> {
        let mut all = Self::built_in();
        let file = Self::parse(PATH, text)?;
        all.tiers.extend(file.tiers);
        for job in &file.jobs {
            if !all.tiers.contains_key(&job.tier) {
                let known: Vec<&str> = all.tiers.keys().map(String::as_str).collect();
                let what = match parse::nearest(&job.tier, &known) {
                    Some(near) => format!("no tier is called {:?}; did you mean {near}?", job.tier),
                    None => format!("no tier is called {:?}", job.tier),
                };
                return Err(wrong(PATH, job.line, "tier", what));
            }
        }
        all.jobs = file.jobs;
        Ok(all)
    }

    fn parse(file: &str, text: &str) -> Result<Self, Wrong> {
        let raw: RawFile = parse::toml(file, text)?;
        let mut tiers = BTreeMap::new();
        for (name, spanned) in raw.tier {
            let line = line_of(text, spanned.span().start);
            let tier = tier(file, line, &name, spanned.into_inner())?;
            tiers.insert(name, tier);
        }
        let mut jobs: Vec<Job> = Vec::new();
        for spanned in raw.job {
            let line = line_of(text, spanned.span().start);
            let job = job(file, line, spanned.into_inner())?;
            if let Some(first) = jobs.iter().find(|j| j.name == job.name) {
                let what = format!("{:?} is already the job of line {}", job.name, first.line);
                return Err(wrong(file, line, "name", what));
            }
            jobs.push(job);
        }
        Ok(Self { tiers, jobs })
    }
}

fn wrong(file: &str, line: usize, key: &str, what: impl Into<String>) -> Wrong {
    Wrong { file: file.to_owned(), line, key: Some(key.to_owned()), what: what.into() }
}

/// Names that are safe as a folder, in a message and on a command line.
pub fn good_name(name: &str) -> bool {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@');
    // `lock.*` in ROOT/var are locks.
    name.len() <= 200
        && !name.starts_with("lock.")
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with(['.', '-']) && part.chars().all(ok))
}

fn tier(file: &str, line: usize, name: &str, raw: RawTier) -> Result<Tier, Wrong> {
    if !good_name(name) || name.contains('/') {
        return Err(wrong(file, line, "tier", format!("{name:?} cannot be the name of a tier")));
    }
    let when = match (raw.cron, raw.at) {
        (Some(cron), None) => {
            if raw.delay.is_some() {
                return Err(wrong(
                    file,
                    line,
                    "delay",
                    "belongs to at = \"boot\"; a cron tier has splay",
                ));
            }
            When::Cron(cron, raw.timezone.unwrap_or_default())
        }
        (None, Some(At::Boot)) => {
            if raw.timezone.is_some() {
                return Err(wrong(file, line, "timezone", "means nothing with at = \"boot\""));
            }
            When::Boot(raw.delay.map_or(Duration::ZERO, |s| s.0))
        }
        (None, Some(At::Update)) => {
            let given = [("timezone", raw.timezone.is_some()), ("delay", raw.delay.is_some())];
            if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
                return Err(wrong(file, line, key, "means nothing with at = \"update\""));
            }
            When::Update
        }
        (Some(_), Some(_)) => {
            return Err(wrong(file, line, "at", "a tier has either cron or at, not both"));
        }
        (None, None) => {
            return Err(wrong(
                file,
                line,
                "cron",
                format!("tier {name} needs cron = \"…\" or at = \"boot\""),
            ));
        }
    };
    Ok(Tier {
        name: name.to_owned(),
        when,
        splay: raw.splay.map_or(Duration::ZERO, |s| s.0),
        on_sync_failure: raw.on_sync_failure,
    })
}

fn job(file: &str, line: usize, raw: RawJob) -> Result<Job, Wrong> {
    let (default_name, what) = match (raw.script, raw.function, raw.command) {
        (Some(script), None, None) => {
            let short = script.strip_prefix("scripts/").unwrap_or(&script).to_owned();
            (Some(short), What::Script(script))
        }
        (None, Some(function), None) => {
            (Some(format!("{}/{function}", raw.tier)), What::Function(function))
        }
        (None, None, Some(command)) => {
            match command.first() {
                Some(program) if program.starts_with('/') => {}
                Some(program) => {
                    let what = format!("{program:?} must be an absolute path");
                    return Err(wrong(file, line, "command", what));
                }
                None => return Err(wrong(file, line, "command", "is empty")),
            }
            (None, What::Command(command))
        }
        _ => {
            let what = "a job has exactly one of script, function and command";
            return Err(wrong(file, line, "job", what));
        }
    };
    let Some(name) = raw.name.or(default_name) else {
        return Err(wrong(file, line, "name", "a job with command needs a name"));
    };
    if !good_name(&name) {
        return Err(wrong(file, line, "name", format!("{name:?} cannot be the name of a job")));
    }
    let keys = Keys {
        args: raw.args,
        wait_for: raw.wait_for,
        wait_deadline: raw.wait_deadline,
        timeout: raw.timeout,
        retries: raw.retries,
        after: raw.after,
        parallel: raw.parallel,
        run_once: raw.run_once,
        os: raw.os,
        arch: raw.arch,
        tags: raw.tags,
        hosts: raw.hosts,
        percent: raw.percent,
        user: raw.user,
        console: false,
        nice: raw.nice,
        ration: Ration { memory: raw.memory, cpu: raw.cpu, processes: raw.processes },
        secrets: raw.secrets,
        breaker: raw.breaker,
        breaker_for: raw.breaker_for,
    };
    keys.check().map_err(|(key, what)| wrong(file, line, key, what))?;
    Ok(Job { name, tier: raw.tier, what, keys, line })
}

#[cfg(test)]
#[path = "tiers_tests.rs"]
mod tests;
