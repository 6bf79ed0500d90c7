//! `ldi.prom`: the daemon's figures in Prometheus' text format, for node_exporter's textfile
//! collector. Written in one step, so that no half file is ever read.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use crate::{
    Failure, Result,
    journal::Run,
    status::Status,
    tier::{TierReport, World},
    tiers::Tiers,
};

/// At least so often, while the daemon runs.
const EVERY: Duration = Duration::from_secs(60);

/// What the daemon remembers for the file.
#[derive(Debug, Default)]
pub struct Textfile {
    /// Runs by outcome since the daemon started.
    runs: BTreeMap<&'static str, u64>,
    written: Option<Instant>,
    failed: bool,
}

impl Textfile {
    /// Counts what a tier did; the file is written with the next [`Textfile::refresh`].
    pub fn count(&mut self, report: &TierReport) {
        for job in report.jobs.iter().filter(|job| job.run.is_some()) {
            *self.runs.entry(job.outcome).or_default() += 1;
        }
        self.written = None;
    }

    /// Writes the file where one is configured and it is older than a minute.
    pub fn refresh(&mut self, world: &World, tiers: impl FnOnce() -> Tiers) {
        let Some(path) = &world.config.metrics.textfile else { return };
        if self.written.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        self.written = Some(Instant::now());
        let status = Status::of_daemon(world, &tiers());
        // Without the journal the jobs are missing, and `ldi_problems` counts that.
        let newest = world.journal.newest().unwrap_or_default();
        match write(path, &text(&status, &newest, &self.runs)) {
            Ok(()) => self.failed = false,
            Err(failure) if !self.failed => {
                self.failed = true;
                tracing::warn!("{failure}");
            }
            Err(_) => {}
        }
    }
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = |error: &std::io::Error| Failure::io("write", path, error);
    let folder = path.parent().unwrap_or(Path::new("/"));
    // Not `.prom` at the end: the collector takes every such file.
    let mut file =
        tempfile::Builder::new().prefix(".ldi-").tempfile_in(folder).map_err(|e| failed(&e))?;
    let mode = fs::Permissions::from_mode(0o644);
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().set_permissions(mode))
        .map_err(|e| failed(&e))?;
    file.persist(path).map_err(|e| failed(&e.error)).map(drop)
}

/// One metric with its series.
struct Metric<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Metric<'_> {
    fn one(&mut self, value: f64) {
        self.series(&[], value);
    }

    fn series(&mut self, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.text.push_str(&format!("{}{labels} {value}\n", self.name));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The whole file. Dates that are not known have no line.
fn text(status: &Status, newest: &[Run], runs: &BTreeMap<&'static str, u64>) -> String {
    let mut text = String::new();
    let mut metric =
        |name: &'static str, kind: &str, help: &str, fill: &dyn Fn(&mut Metric<'_>)| {
            text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
            fill(&mut Metric { text: &mut text, name });
        };
    let flag = |on: bool| if on { 1.0 } else { 0.0 };
    let count = |n: u64| n as f64;
    let date = |metric: &mut Metric<'_>, at: Option<DateTime<Utc>>, labels: &[(&str, &str)]| {
        if let Some(at) = at {
            metric.series(labels, at.timestamp_millis() as f64 / 1000.0);
        }
    };
    metric("ldi_info", "gauge", "Version of ldi and the ring that it follows.", &|m| {
        m.series(&[("version", status.version), ("ring", &status.ring)], 1.0);
    });
    metric("ldi_problems", "gauge", "Things that ldi status calls wrong.", &|m| {
        m.one(status.faults.len() as f64);
    });
    metric("ldi_release", "gauge", "Number of the active release; 0 when there is none.", &|m| {
        m.one(count(status.release.unwrap_or(0)));
    });
    metric("ldi_pinned", "gauge", "Whether this machine is held at a release.", &|m| {
        m.one(flag(status.pinned.is_some()));
    });
    metric("ldi_paused", "gauge", "Whether no tier is started.", &|m| {
        m.one(flag(status.paused.is_some()));
    });
    let synced = status.last_sync.as_ref().and_then(|s| s["time"].as_str()?.parse().ok());
    metric("ldi_last_sync_timestamp_seconds", "gauge", "When the last sync ended.", &|m| {
        date(m, synced, &[]);
    });
    metric("ldi_last_sync_success", "gauge", "Whether the last sync succeeded.", &|m| {
        m.one(flag(matches!(status.last_sync_outcome.as_deref(), Some("updated" | "current"))));
    });
    metric(
        "ldi_last_good_sync_timestamp_seconds",
        "gauge",
        "When a source last confirmed the library.",
        &|m| date(m, status.last_good_sync, &[]),
    );
    metric("ldi_stale", "gauge", "Whether the library's signatures have expired.", &|m| {
        m.one(flag(status.stale));
    });
    metric("ldi_tier_last_start_timestamp_seconds", "gauge", "When a tier last started.", &|m| {
        status.tiers.iter().for_each(|tier| date(m, tier.last, &[("tier", &tier.tier)]));
    });
    metric("ldi_tier_last_end_timestamp_seconds", "gauge", "When a tier last ended.", &|m| {
        status.tiers.iter().for_each(|tier| date(m, tier.last_end, &[("tier", &tier.tier)]));
    });
    metric("ldi_tier_next_timestamp_seconds", "gauge", "When a tier starts next.", &|m| {
        status.tiers.iter().for_each(|tier| date(m, tier.next, &[("tier", &tier.tier)]));
    });
    metric("ldi_job_last_outcome", "gauge", "How the newest run of a job ended.", &|m| {
        let mut before = "";
        for run in newest {
            // Two runs of a job in the same millisecond.
            if run.job != before {
                m.series(&[("job", &run.job), ("outcome", &run.outcome)], 1.0);
            }
            before = &run.job;
        }
    });
    metric("ldi_runs_total", "counter", "Jobs that ended since the daemon started.", &|m| {
        runs.iter().for_each(|(outcome, n)| m.series(&[("outcome", outcome)], count(*n)));
    });
    metric("ldi_jobs_failing", "gauge", "Jobs whose newest run did not end well.", &|m| {
        m.one(status.failing.len() as f64);
    });
    metric("ldi_breakers_open", "gauge", "Jobs that failed too often to be started.", &|m| {
        m.one(status.open_breakers.len() as f64);
    });
    metric("ldi_spool_entries", "gauge", "Results that wait for the fleet server.", &|m| {
        m.one(count(status.spool));
    });
    metric("ldi_spool_bytes", "gauge", "Their bytes.", &|m| m.one(count(status.spool_bytes)));
    metric("ldi_spool_dropped_total", "counter", "Results that were dropped.", &|m| {
        m.one(count(status.spool_dropped));
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text format as its specification has it, and no more: HELP and TYPE before their
    /// series, no series twice, numbers that are numbers.
    fn series(text: &str) -> Vec<String> {
        let (mut series, mut family): (Vec<String>, &str) = (Vec::new(), "");
        let mut families: Vec<&str> = Vec::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                family = help.split(' ').next().unwrap();
                assert!(!families.contains(&family), "{family} comes twice");
                families.push(family);
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(name == family && ["gauge", "counter"].contains(&kind), "{line}");
                assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            } else {
                let (left, value) = line.rsplit_once(' ').unwrap();
                value.parse::<f64>().unwrap();
                assert!(!series.iter().any(|known| known == left), "{left} comes twice");
                let name = left.split('{').next().unwrap();
                assert!(
                    name == family && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                );
                series.push(left.to_owned());
            }
        }
        series
    }

    #[test]
    fn the_text_is_what_a_collector_reads() {
        let dir = tempfile::tempdir().unwrap();
        let world = World {
            config: crate::config::Config { root: dir.path().into(), ..Default::default() },
            machine: crate::machine::Machine::this(),
            journal: crate::journal::Journal::open(dir.path(), &crate::machine::Machine::this())
                .unwrap(),
        };
        let odd = "a\"b\\c\nd";
        for (run, job) in [("r1", "daily/a"), ("r2", odd)] {
            world.journal.begin(run, "daily", job, 1, Utc::now()).unwrap();
            world.journal.end(run, &crate::supervise::Ended::default(), Utc::now()).unwrap();
        }
        let status = Status::of_daemon(&world, &Tiers::built_in());
        let text =
            text(&status, &world.journal.newest().unwrap(), &BTreeMap::from([("failed", 2)]));
        let series = series(&text);
        for wanted in [
            "ldi_job_last_outcome{job=\"daily/a\",outcome=\"failed\"}",
            r#"ldi_job_last_outcome{job="a\"b\\c\nd",outcome="failed"}"#,
            "ldi_tier_next_timestamp_seconds{tier=\"daily\"}",
            "ldi_runs_total{outcome=\"failed\"}",
            "ldi_spool_bytes",
        ] {
            assert!(series.iter().any(|one| one == wanted), "{wanted} is not in {text}");
        }
        assert!(text.contains("ldi_jobs_failing 2\n") && !text.contains("e9"), "{text}");
    }
}
