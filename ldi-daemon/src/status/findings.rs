//! From facts to sentences: what is wrong, in words that an administrator can act on, and what
//! to do. A pure function, worst first.

use serde::Serialize;

use super::{Status, ago, soon};
use crate::{error::code, journal::Run};

/// More failing jobs than this are counted, not listed.
const LISTED: usize = 6;

/// Something that is wrong, or worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// It keeps the machine from doing its work; otherwise somebody wanted it so.
    pub wrong: bool,
    /// One sentence.
    pub what: String,
    /// What to do about it.
    #[serde(rename = "do")]
    pub todo: String,
}

fn wrong(what: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { wrong: true, what: what.into(), todo: todo.into() }
}

fn note(what: impl Into<String>, todo: impl Into<String>) -> Finding {
    Finding { wrong: false, what: what.into(), todo: todo.into() }
}

/// Everything that `status` should lead with.
pub(super) fn findings(status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(status.facts.config.as_ref().map(|sentence| {
        let todo = "correct it until `ldi check` is content, then reload (systemctl reload ldi); \
                    a daemon that runs goes on with what it read before";
        wrong(sentence, todo)
    }));
    found.extend(disk(status));
    found.extend(daemon(status));
    found.extend(library(status));
    found.extend(journal(status));
    found.extend(jobs(status));
    // The machine does its work with the version that it has.
    let todo = "`ldi update` says what serves; publish a better one under agent/";
    found.extend(status.update.faults().into_iter().map(|sentence| note(sentence, todo)));
    found.extend(server(status));
    if status.spool_dropped > 0 {
        let what = "results were dropped before the fleet server heard of them";
        found.push(note(
            format!("{} {what}", status.spool_dropped),
            "is the server in reach? [spool] of ldi.toml says how much waits, and how long",
        ));
    }
    found.extend(
        status
            .paused
            .as_ref()
            .map(|until| note(format!("all tiers are PAUSED {until}"), "`ldi resume` ends that")),
    );
    found.extend(status.pinned.map(|number| {
        note(
            format!("PINNED: this machine is held at release {number}"),
            "`ldi unpin` lets the next sync bring the newest",
        )
    }));
    found
}

/// What goes on all the same.
fn runs_on(status: &Status) -> String {
    status.release.map_or_else(
        || "there is no release to run".to_owned(),
        |number| format!("release {number} runs on"),
    )
}

fn disk(status: &Status) -> Option<Finding> {
    let (disk, root) = (status.facts.disk?, status.facts.root.display());
    if disk.read_only {
        return Some(wrong(
            format!("the disk of {root} is read-only: nothing can be written; {}", runs_on(status)),
            "see why (dmesg), then mount it for writing again (mount -o remount,rw)",
        ));
    }
    disk.is_full().then(|| {
        let what = if disk.no_files { "no file more".to_owned() } else { room(disk.free) };
        wrong(
            format!("the disk of {root} is full ({what} free): {}", runs_on(status)),
            format!("make room: df -h {root}; du -xh {root} | sort -h | tail"),
        )
    })
}

fn room(bytes: u64) -> String {
    format!("{} KB", bytes / 1024)
}

fn daemon(status: &Status) -> Option<Finding> {
    (!status.daemon).then(|| {
        wrong(
            "the daemon is not running: no tier starts by itself",
            "start it (systemctl start ldi); journalctl -u ldi says why it ended",
        )
    })
}

fn library(status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    let facts = &status.facts;
    if facts.no_source && facts.config.is_none() {
        found.push(wrong("no source is configured", "set source in [sync] of ldi.toml"));
    } else if status.release.is_none() && status.last_sync.is_none() {
        found.push(wrong("there is no release yet", "`ldi sync` fetches one"));
    }
    found.extend(last_sync(status));
    found.extend(facts.too_stale.as_ref().map(|sentence| {
        wrong(sentence, "make a sync succeed: `ldi sync` says what keeps it from that")
    }));
    if status.damaged {
        let number = status.release.unwrap_or_default();
        found.push(wrong(
            format!("release {number} is DAMAGED: files are not what was signed and are not run"),
            "the next sync repairs it, `ldi sync` now; `ldi verify` lists them",
        ));
    }
    found.extend(facts.tiers.as_ref().map(|sentence| {
        wrong(sentence, "`ldi sync` repairs a damaged release; else `ldi rollback`")
    }));
    found
}

fn last_sync(status: &Status) -> Option<Finding> {
    let sync = status.last_sync.as_ref()?;
    let since =
        status.last_good_sync.map_or_else(String::new, |at| format!(", last good {}", ago(at)));
    let reason =
        sync["report"]["reason"].as_str().or(sync["error"].as_str()).unwrap_or("no reason");
    let runs_on = runs_on(status);
    Some(match status.last_sync_outcome.as_deref()? {
        "updated" | "current" => return None,
        "refused" if status.stale => wrong(
            format!(
                "the last sync failed: the library's signatures have expired: {reason}; {runs_on}{since}"
            ),
            "the publisher has to sign anew (`codesync refresh`); is this machine's clock right?",
        ),
        "refused" => wrong(
            format!(
                "the last sync failed: what the source offered was refused: {reason}; {runs_on}{since}"
            ),
            "tell the publisher; the next release that is in order is taken by itself",
        ),
        "unreachable" => wrong(
            format!("the last sync failed: no source could be reached: {reason}; {runs_on}{since}"),
            "look at the network and the server; every tier tries again, `ldi sync` does now",
        ),
        _ => wrong(
            format!("the last sync failed: {reason}; {runs_on}{since}"),
            "mend that, then `ldi sync`; `ldi check` examines the configuration",
        ),
    })
}

/// Being out of the server's reach is a normal state; not being let in is none.
fn server(status: &Status) -> Vec<Finding> {
    let mut found = Vec::new();
    let visit = &status.facts.visit;
    if let Some((exit, why)) = &visit.why {
        let since = visit.told.map_or_else(
            || "it never heard of this machine".to_owned(),
            |at| format!("it last heard of this machine {}", ago(at)),
        );
        let what = format!("{why}; {since}, {} results wait", status.spool);
        let todo = "`ldi submit` tries at once; the daemon tries again by itself";
        found.push(match *exit {
            code::UNREACHABLE => note(what, todo),
            _ => wrong(what, todo),
        });
    }
    if status.spool_rejected > 0 {
        found.push(note(
            format!("the fleet server would not take {} results", status.spool_rejected),
            "`ldi submit --rejected` lists them; tell who keeps the server",
        ));
    }
    found
}

fn journal(status: &Status) -> Vec<Finding> {
    let (facts, mut found) = (&status.facts, Vec::new());
    let root = facts.root.display();
    found.extend(facts.journal.as_ref().map(|failure| match failure.code() {
        code::NOT_PERMITTED => wrong(
            format!("{root}/state.db is not for this account: what ran and runs cannot be told"),
            "run `ldi status` as root",
        ),
        _ => wrong(
            failure.to_string(),
            format!(
                "the daemon sets a damaged journal aside and begins a new one; without a daemon: \
                 mv {root}/state.db {root}/state.db.old"
            ),
        ),
    }));
    found.extend(facts.set_aside.as_ref().map(|file| {
        let (file, note) = (file.display(), facts.set_aside_note.clone());
        let what = note.unwrap_or_else(|| format!("the journal was set aside as {file}"));
        wrong(what, format!("nothing for the jobs, they go on; when you have seen it: rm {file}*"))
    }));
    found
}

fn jobs(status: &Status) -> Vec<Finding> {
    let open = status.open_breakers.iter().map(|open| {
        let (job, failures) = (&open.breaker.job, open.breaker.failures);
        let (reason, until) = (&open.breaker.reason, soon(open.until));
        let what = format!(
            "job {job} is left out after {failures} failures in a row ({reason}); tried again {until}"
        );
        wrong(what, format!("`ldi logs {job}`, mend it, then `ldi reset {job}`"))
    });
    let left_out = |run: &&Run| status.open_breakers.iter().any(|open| open.breaker.job == run.job);
    let failing = status.failing.iter().filter(|run| !left_out(run));
    let rest = failing.clone().count().saturating_sub(LISTED);
    let mut found: Vec<Finding> = open.chain(failing.take(LISTED).map(job)).collect();
    if rest > 0 {
        found.push(wrong(format!("{rest} further jobs failed"), "`ldi history --failed`"));
    }
    found
}

fn job(run: &Run) -> Finding {
    let reason = run.reason.as_deref().unwrap_or("no reason");
    let started = run.exit_status.is_some() || run.stdout_bytes + run.stderr_bytes > 0;
    let todo = if started || run.outcome != "failed" {
        format!("`ldi logs {}` shows what it wrote; `ldi run {}` tries again", run.job, run.tier)
    } else {
        format!("mend that; `ldi run {}` tries again", run.tier)
    };
    wrong(format!("job {} {}, {}: {reason}", run.job, run.outcome, ago(run.started)), todo)
}
