//! `ldi status`: one screen that says what is wrong and what to do.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    Result,
    cli::{print, print_json},
    config::Config,
    daemon,
    inspect::{self, Next},
    journal::{Filter, Journal, Run},
    machine::Machine,
    parse::Span,
    release,
    table::{self, table},
    tier,
    tiers::Tiers,
    update,
};

#[derive(Debug, Serialize)]
struct Status {
    version: &'static str,
    update: update::Shown,
    release: Option<u64>,
    pinned: Option<u64>,
    damaged: bool,
    ring: String,
    source: Option<String>,
    last_sync: Option<Value>,
    last_sync_outcome: Option<String>,
    stale: bool,
    daemon: bool,
    paused: Option<String>,
    tiers: Vec<TierStatus>,
    failing: Vec<Run>,
    running: Vec<Run>,
    open_breakers: Vec<String>,
    spool: u64,
    faults: Vec<String>,
}

#[derive(Debug, Serialize)]
struct TierStatus {
    tier: String,
    when: String,
    last: Option<DateTime<Utc>>,
    last_end: Option<DateTime<Utc>>,
    last_result: Option<String>,
    next: Option<DateTime<Utc>>,
}

/// Shows the status. Its exit code is 0 whenever it could be told.
#[allow(clippy::needless_pass_by_value)] // The configuration ends here.
pub fn status(config: Config, json: bool) -> Result<u8> {
    let machine = Machine::this();
    let status = gather(&config, &machine)?;
    if json {
        print_json(&status)?;
    } else {
        print(&shown(&config, &status))?;
    }
    Ok(0)
}

fn gather(config: &Config, machine: &Machine) -> Result<Status> {
    let mut faults = Vec::new();
    let active = release::active(&config.root);
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION"),
        update: update::Shown::gather(config, machine),
        release: active.as_ref().ok().map(|r| r.number),
        pinned: codesync::store::Store::existing(&config.root).pinned().ok().flatten(),
        damaged: active.as_ref().is_ok_and(|r| r.is_damaged()),
        ring: config.sync.ring.clone(),
        source: config.sync.source.first().cloned(),
        last_sync: None,
        last_sync_outcome: None,
        stale: false,
        daemon: tier::is_held(&config.root, "daemon"),
        paused: None,
        tiers: Vec::new(),
        failing: Vec::new(),
        running: Vec::new(),
        open_breakers: Vec::new(),
        spool: 0,
        faults: Vec::new(),
    };
    let tiers = match inspect::catalogue(config, None) {
        Ok((_, catalogue)) => catalogue.tiers,
        Err(failure) => {
            faults.push(failure.to_string());
            Tiers::built_in()
        }
    };
    // Nothing is made here: a machine that never synced has no journal, and that is no fault.
    if config.root.join("state.db").exists() {
        match Journal::open(&config.root, machine) {
            Ok(journal) => {
                from_journal(&mut status, &journal, &tiers, config, machine, &mut faults)?;
            }
            Err(failure) => faults.push(failure.to_string()),
        }
    }
    faults.extend(status.update.faults());
    status.faults = faults;
    Ok(status)
}

fn from_journal(
    status: &mut Status,
    journal: &Journal,
    tiers: &Tiers,
    config: &Config,
    machine: &Machine,
    faults: &mut Vec<String>,
) -> Result<()> {
    faults.extend(journal.noted("journal_fault")?);
    status.last_sync =
        journal.noted(release::LAST_SYNC)?.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(sync) = &status.last_sync {
        let word = |key: &str| sync["report"][key].as_str().map(str::to_owned);
        status.last_sync_outcome =
            word("outcome").or_else(|| sync["error"].is_string().then(|| "failed".to_owned()));
        status.source = word("source").or(status.source.take());
        status.stale = sync["report"]["stale"].as_bool().unwrap_or(false);
        if !matches!(status.last_sync_outcome.as_deref(), Some("updated" | "current")) {
            let reason = word("reason").or_else(|| sync["error"].as_str().map(str::to_owned));
            faults.push(format!("the last sync failed: {}", reason.unwrap_or_default()));
        }
    }
    status.paused = journal.noted(daemon::PAUSED)?.and_then(|text| {
        let until: i64 = text.parse().ok()?;
        if until == 0 {
            return Some("until `ldi resume`".to_owned());
        }
        let until = DateTime::from_timestamp(until, 0).filter(|until| *until > Utc::now())?;
        Some(format!("until {}", until.to_rfc3339()))
    });
    let rows = journal.tiers()?;
    let next = inspect::next(tiers, &rows, config, machine);
    for Next { tier, when, start } in next {
        let row = rows.get(&tier).cloned().unwrap_or_default();
        status.tiers.push(TierStatus {
            tier,
            when,
            last: row.last_start,
            last_end: row.last_end,
            last_result: row.last_result,
            next: start.map(|s| s.at),
        });
    }
    status.failing = journal.failing()?;
    let running = Filter { outcome: Some("running".to_owned()), limit: 1000, ..Filter::default() };
    status.running = journal.history_now(&running)?;
    Ok(())
}

fn shown(config: &Config, status: &Status) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<10} {value}\n"));
    line(
        "release",
        match (status.release, status.damaged) {
            (None, _) => "none yet; run `ldi sync`".to_owned(),
            (Some(n), true) => {
                format!("{n} of ring {}, DAMAGED: the next sync repairs it", status.ring)
            }
            (Some(n), false) if status.pinned.is_some() => {
                format!("{n} of ring {}, PINNED: no sync changes it until `ldi unpin`", status.ring)
            }
            (Some(n), false) => format!("{n} of ring {}", status.ring),
        },
    );
    line(
        "source",
        status
            .source
            .clone()
            .unwrap_or_else(|| format!("none; set it in {}", config.file.display())),
    );
    let time = status
        .last_sync
        .as_ref()
        .and_then(|s| s["time"].as_str()?.parse::<DateTime<Utc>>().ok())
        .map_or_else(String::new, |t| format!(", {}", ago(t)));
    let stale = if status.stale {
        ", STALE: nothing new can be accepted until it is signed anew"
    } else {
        ""
    };
    line(
        "last sync",
        format!("{}{time}{stale}", status.last_sync_outcome.as_deref().unwrap_or("never")),
    );
    let paused = status.paused.as_ref().map_or_else(String::new, |p| format!(", PAUSED {p}"));
    line("daemon", format!("{}{paused}", if status.daemon { "running" } else { "not running" }));
    line("spool", format!("{} entries", status.spool));
    line("version", status.update.line());
    if !status.tiers.is_empty() {
        let mut rows = table(&["TIER", "LAST", "RESULT", "NEXT"]);
        for tier in &status.tiers {
            rows.add_row(vec![
                tier.tier.clone(),
                tier.last.map_or_else(|| "never".to_owned(), ago),
                tier.last_result.clone().unwrap_or_default(),
                tier.next.map_or_else(|| inspect::dateless(&tier.when).to_owned(), soon),
            ]);
        }
        text.push_str(&format!("\n{}", table::text(&rows)));
    }
    if !status.failing.is_empty() {
        let mut rows = table(&["FAILING JOB", "OUTCOME", "WHEN", "REASON"]);
        for run in &status.failing {
            rows.add_row(vec![
                run.job.clone().into(),
                table::outcome(&run.outcome),
                ago(run.started).into(),
                run.reason.clone().unwrap_or_default().into(),
            ]);
        }
        text.push_str(&format!("\n{}see: ldi logs JOB\n", table::text(&rows)));
    }
    for run in &status.running {
        text.push_str(&format!("\nrunning: {} since {}", run.job, ago(run.started)));
    }
    if !status.faults.is_empty() {
        text.push_str("\nWhat is wrong:\n");
        for fault in &status.faults {
            text.push_str(&format!("  {fault}\n"));
        }
    }
    text
}

/// How long ago, for people.
pub fn ago(then: DateTime<Utc>) -> String {
    match (Utc::now() - then).to_std() {
        Ok(span) if span.as_secs() < 60 => "just now".to_owned(),
        Ok(span) => format!("{} ago", rough(span.as_secs())),
        Err(_) => format!("in the future ({})", then.to_rfc3339()),
    }
}

/// In how long, for people.
pub fn soon(then: DateTime<Utc>) -> String {
    match (then - Utc::now()).to_std() {
        Ok(span) => format!("in {}", rough(span.as_secs().max(1))),
        Err(_) => "due".to_owned(),
    }
}

fn rough(seconds: u64) -> String {
    let cut = match seconds {
        s if s < 120 => s,
        s if s < 2 * 86400 => s / 60 * 60,
        s => s / 3600 * 3600,
    };
    Span::seconds(cut).to_string()
}
