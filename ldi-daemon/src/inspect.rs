//! Commands that only look, or leave a word for the daemon: plan, explain, verify, pause, resume;
//! history and logs in [`runs`].

pub mod moment;
pub mod runs;

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use codesync::store::Release;
use serde_json::json;

use crate::{
    Failure, Result,
    catalogue::{self, Catalogue},
    cli::{print, print_json},
    config::Config,
    console, daemon,
    error::code,
    journal::{Filter, Journal, TierRow},
    machine::{self, Machine},
    parse::Span,
    plan::{self, Moment, Start, State},
    release,
    schedule::Zone,
    select::Here,
    status,
    table::{self, table},
    tier::{self, World},
    tiers::{Tiers, When},
};

/// The active release and its catalogue.
pub fn catalogue(config: &Config, only: Option<&str>) -> Result<(Release, Catalogue)> {
    let release = release::active(&config.root)?;
    let found = catalogue::catalogue(&release.tree, &release.manifest()?, only)?;
    Ok((release, found))
}

fn journal(config: &Config) -> Result<Journal> {
    let file = config.root.join("state.db");
    if !file.exists() {
        return Err(Failure::new(
            code::USAGE,
            format!("{} does not exist: nothing has run here yet", file.display()),
        ));
    }
    Journal::open(&config.root, &Machine::this())
}

/// When a tier starts next.
#[derive(Debug, Clone)]
pub struct Next {
    /// The tier.
    pub tier: String,
    /// Its expression.
    pub when: String,
    /// Its next start.
    pub start: Option<Start>,
}

/// When each tier starts next, as the daemon would plan it now.
pub fn next(
    tiers: &Tiers,
    rows: &BTreeMap<String, TierRow>,
    config: &Config,
    machine: &Machine,
) -> Vec<Next> {
    let moment = Moment {
        now: Utc::now(),
        uptime: machine::uptime(),
        awake: machine::uptime(),
        resume_splay: config.daemon.resume_splay.0,
        machine,
    };
    let none = State::default();
    tiers
        .tiers
        .values()
        .map(|tier| Next {
            tier: tier.name.clone(),
            when: tier.when.to_string(),
            start: plan::start(tier, rows.get(&tier.name).map_or(&none, |r| &r.state), &moment),
        })
        .collect()
}

fn rows(config: &Config, machine: &Machine) -> Result<BTreeMap<String, TierRow>> {
    if !config.root.join("state.db").exists() {
        return Ok(BTreeMap::new());
    }
    Journal::open(&config.root, machine)?.tiers()
}

/// When a tier without a date runs next, for people; `when` is its [`When`] as text.
pub fn dateless(when: &str) -> &'static str {
    if when == When::Update.to_string() { "with a new ldi" } else { "at the next boot" }
}

/// `ldi plan`.
#[allow(clippy::needless_pass_by_value)] // The configuration ends here.
pub fn plan(config: Config, until: Option<&str>, json: bool) -> Result<u8> {
    const MOST: usize = 10_000;
    let machine = Machine::this();
    let (_, catalogue) = catalogue(&config, None)?;
    let found = next(&catalogue.tiers, &rows(&config, &machine)?, &config, &machine);
    let mut starts: Vec<(DateTime<Utc>, String, String)> = Vec::new();
    let until: Option<DateTime<Utc>> = match until {
        None => None,
        Some(text) => Some(moment::ahead(text)?),
    };
    for Next { tier, when, start } in found {
        let Some(mut start) = start else { continue };
        starts.push((start.at, tier.clone(), when.clone()));
        let (Some(until), Some(known)) = (until, catalogue.tiers.tiers.get(&tier)) else {
            continue;
        };
        if let When::Cron(cron, zone) = &known.when {
            let place = plan::place(known, &machine);
            while let Some(date) = cron.next(start.date, zone) {
                if date + place > until || starts.len() >= MOST {
                    break;
                }
                start.date = date;
                starts.push((date + place, tier.clone(), when.clone()));
            }
        }
    }
    starts.sort();
    if let Some(until) = until {
        starts.retain(|(at, ..)| *at <= until);
    }
    if json {
        let list: Vec<_> = starts
            .iter()
            .map(|(at, tier, when)| json!({ "tier": tier, "at": at.to_rfc3339(), "when": when }))
            .collect();
        print_json(&list)?;
        return Ok(0);
    }
    let mut lines = table(&["START", "TIER", "WHEN"]);
    for (at, tier, when) in starts {
        lines.add_row(vec![format!("{} ({})", Zone::Local.show(at), status::soon(at)), tier, when]);
    }
    print(&table::text(&lines))?;
    Ok(0)
}

/// `ldi explain`.
pub fn explain(config: Config, word: &str, json: bool) -> Result<u8> {
    let (release, mut catalogue) = catalogue(&config, None)?;
    console::settle(&mut catalogue.jobs);
    let Some(job) = catalogue.jobs.iter().find(|job| catalogue::names(job, word)) else {
        let known: Vec<&str> = catalogue.jobs.iter().map(|j| j.name.as_str()).collect();
        let near = crate::parse::nearest(word, &known)
            .map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(Failure::new(
            code::USAGE,
            format!("release {} has no job {word:?}{near}", release.number),
        ));
    };
    let tags = config.all_tags();
    let machine = Machine::this();
    codesync::store::Store::open(&config.root)?;
    let journal = Journal::open(&config.root, &machine)?;
    let world = World { config, machine, journal };
    let here = Here { machine: &world.machine, tags: &tags };
    let skipped = tier::not_now(&world, job, &here);
    let found = next(&catalogue.tiers, &world.journal.tiers()?, &world.config, &world.machine);
    let found = found.iter().find(|n| n.tier == job.tier);
    let start = found.and_then(|n| n.start);
    let last = world
        .journal
        .history_now(&Filter { job: Some(job.name.clone()), limit: 1, ..Filter::default() })?
        .pop();
    if json {
        print_json(&json!({
            "job": job.name, "tier": job.tier, "runs_here": skipped.is_none(), "reason": skipped,
            "next": start.map(|s| s.at.to_rfc3339()), "last": last,
            "timeout": Span(job.keys.timeout.map_or(world.config.run.timeout.0, |s| s.0)).to_string(),
        }))?;
        return Ok(0);
    }
    let mut text =
        format!("{} runs {} in tier {}\n", job.name, tier::describe(&job.what), job.tier);
    match (&skipped, start) {
        (Some(why), _) => text.push_str(&format!("not here: {why}\n")),
        (None, Some(start)) => text.push_str(&format!(
            "here: next {} ({})\n",
            Zone::Local.show(start.at),
            status::soon(start.at)
        )),
        (None, None) => {
            text.push_str(&format!("here: next {}\n", dateless(found.map_or("", |n| &n.when))));
        }
    }
    for (what, value) in asks(job, &world.config) {
        text.push_str(&format!("{what} {value}\n"));
    }
    for gate in &job.keys.wait_for {
        text.push_str(&format!("waits for gate {gate}\n"));
    }
    if let Some(run) = last {
        text.push_str(&format!(
            "last: {} {}{}\n",
            run.outcome,
            status::ago(run.started),
            run.reason.map_or_else(String::new, |r| format!(" ({r})"))
        ));
    }
    print(&text)?;
    Ok(0)
}

/// What a job asks for beside its turn: account, limits, secrets.
fn asks(job: &catalogue::Job, config: &Config) -> Vec<(&'static str, String)> {
    let ration = job.keys.ration.or(config.run.ration()).to_string();
    let secrets = job.keys.secrets.join(", ");
    [
        ("runs as", job.keys.user.clone().unwrap_or_default()),
        ("limited to", ration),
        ("is given", secrets),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// `ldi verify`.
pub fn verify(config: &Config, json: bool) -> Result<u8> {
    let release = release::active(&config.root)?;
    let wrong = release.verify()?;
    if let Some(first) = wrong.first() {
        release::mark_damaged(&config.root, release.number, first);
    }
    if json {
        print_json(&json!({ "release": release.number, "damaged": wrong }))?;
    } else if wrong.is_empty() {
        print(&format!("release {} is what was signed\n", release.number))?;
    } else {
        let list: String = wrong.iter().map(|path| format!("  {path}\n")).collect();
        print(&format!(
            "release {} is not what was signed; the next sync repairs it:\n{list}",
            release.number
        ))?;
    }
    Ok(if wrong.is_empty() { 0 } else { code::REFUSED })
}

/// `ldi pause`.
pub fn pause(config: &Config, span: Option<Span>) -> Result<u8> {
    let until = match span {
        None => 0,
        Some(Span(span)) => (Utc::now() + span.max(Duration::from_secs(1))).timestamp(),
    };
    codesync::store::Store::open(&config.root)?;
    Journal::open(&config.root, &Machine::this())?.note(daemon::PAUSED, &until.to_string())?;
    match span {
        None => print("no tier is started until `ldi resume`\n")?,
        Some(span) => print(&format!("no tier is started for {span}, or until `ldi resume`\n"))?,
    }
    Ok(0)
}

/// `ldi resume`.
pub fn resume(config: &Config) -> Result<u8> {
    if config.root.join("state.db").exists() {
        Journal::open(&config.root, &Machine::this())?.forget(daemon::PAUSED)?;
    }
    print("tiers are started when they are due (the daemon notices within a minute)\n")?;
    Ok(0)
}

/// `ldi reset`.
pub fn reset(config: &Config, word: &str) -> Result<u8> {
    let (release, catalogue) = catalogue(config, None)?;
    let Some(job) = catalogue.jobs.iter().find(|job| catalogue::names(job, word)) else {
        let why = format!(
            "release {} has no job {word:?}; see `ldi plan` and `ldi run TIER --dry-run`",
            release.number
        );
        return Err(Failure::new(code::USAGE, why));
    };
    let journal = journal(config)?;
    journal.forget_once(&job.name)?;
    journal.close_breaker(&job.name)?;
    print(&format!("{} runs again when its tier does\n", job.name))?;
    Ok(0)
}
