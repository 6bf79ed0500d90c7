//! The status as text: the verdict, then the facts; within 80 columns and 24 lines when all is
//! well.

use chrono::{DateTime, Utc};

use super::{Status, TierStatus};
use crate::{
    inspect::dateless,
    parse::Span,
    table::{self, table},
};

pub(super) fn screen(status: &Status) -> String {
    let mut text = verdict(status);
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<10} {value}\n"));
    line(
        "release",
        status.release.map_or_else(
            || "none yet".to_owned(),
            |number| {
                let held = if status.pinned.is_some() { ", PINNED" } else { "" };
                let damaged = if status.damaged { ", DAMAGED" } else { "" };
                format!("{number} of ring {}{held}{damaged}", status.ring)
            },
        ),
    );
    line("source", status.source.clone().unwrap_or_else(|| "none".to_owned()));
    let time = status.last_sync.as_ref().and_then(|s| s["time"].as_str()?.parse().ok());
    let time = time.map_or_else(String::new, |t| format!(", {}", ago(t)));
    let stale = if status.stale { ", STALE" } else { "" };
    let outcome = match &status.last_sync_outcome {
        Some(outcome) => outcome,
        None if status.facts.journal.is_some() => "unknown",
        None => "never",
    };
    line("last sync", format!("{outcome}{time}{stale}"));
    let paused = if status.paused.is_some() { ", PAUSED" } else { "" };
    line("daemon", format!("{}{paused}", if status.daemon { "running" } else { "not running" }));
    let version = status.update.line();
    if version != status.version {
        line("version", version);
    }
    let told = status.last_told.map_or_else(String::new, |at| format!(", server told {}", ago(at)));
    line(
        "spool",
        format!("{} entries, {} KB{told}", status.spool, status.spool_bytes.div_ceil(1024)),
    );
    if !status.tiers.is_empty() {
        let mut rows = table(&["TIER", "LAST", "RESULT", "NEXT"]);
        // A tier without dates that never ran says nothing to anybody.
        let shown = |tier: &&TierStatus| tier.when != "update" || tier.last.is_some();
        for tier in status.tiers.iter().filter(shown) {
            rows.add_row(vec![
                tier.tier.clone(),
                tier.last.map_or_else(|| "never".to_owned(), ago),
                tier.last_result.as_deref().map_or_else(String::new, short),
                tier.next.map_or_else(|| dateless(&tier.when).to_owned(), soon),
            ]);
        }
        text.push_str(&format!("\n{}", table::text(&rows)));
    }
    for run in &status.running {
        text.push_str(&format!(
            "\nrunning: {} since {} (ldi logs {} --follow)",
            run.job,
            ago(run.started),
            run.job
        ));
    }
    if !status.running.is_empty() {
        text.push('\n');
    }
    text
}

/// The first lines: all is well, or each thing that is not, with what to do.
fn verdict(status: &Status) -> String {
    let wrong = status.findings.iter().filter(|finding| finding.wrong).count();
    let head = match wrong {
        0 => "OK".to_owned(),
        1 => "1 thing is WRONG".to_owned(),
        n => format!("{n} things are WRONG"),
    };
    let mut text = format!("ldi {}: {head}\n", status.version);
    for finding in &status.findings {
        let mark = if finding.wrong { "*" } else { "-" };
        text.push_str(&format!("\n{mark} {}\n  do: {}\n", finding.what, finding.todo));
    }
    text.push('\n');
    text
}

/// The beginning of a sentence, for a column.
fn short(sentence: &str) -> String {
    const MOST: usize = 36;
    if sentence.chars().count() <= MOST {
        return sentence.to_owned();
    }
    sentence.chars().take(MOST - 1).chain(['…']).collect()
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
