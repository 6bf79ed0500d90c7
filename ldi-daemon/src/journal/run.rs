//! One run, and the process that has to write its result.

use chrono::{DateTime, Utc};
use rusqlite::Row;
use serde::Serialize;

use super::date;
use crate::{
    machine::{self, Machine},
    supervise::Outcome,
};

/// One run as people ask for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Its name: start, process, number.
    pub run: String,
    /// Its tier.
    pub tier: String,
    /// Its job.
    pub job: String,
    /// The release that it ran from.
    pub release: u64,
    /// When it started.
    pub started: DateTime<Utc>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
    /// `running`, or how it ended.
    pub outcome: String,
    /// Why it did not end well.
    pub reason: Option<String>,
    /// What the job exited with.
    pub exit_status: Option<i32>,
    /// Bytes that it wrote, kept or not.
    pub stdout_bytes: u64,
    /// Bytes that it wrote, kept or not.
    pub stderr_bytes: u64,
    #[serde(skip)]
    pub(super) holder: Holder,
}

/// The process that has to write the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: i32,
    pub(super) start: u64,
    pub(super) boot: String,
}

impl Holder {
    pub(super) fn this(machine: &Machine) -> Self {
        let pid = nix::unistd::getpid().as_raw();
        Self { pid, start: machine::started(pid).unwrap_or(0), boot: machine.boot.clone() }
    }

    pub(super) fn is_alive(&self, boot: &str) -> bool {
        if self.boot != boot {
            return false;
        }
        if self.start == 0 {
            return nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), None).is_ok();
        }
        machine::started(self.pid) == Some(self.start)
    }
}

pub(super) fn lost_reason(holder: &Holder, boot: &str) -> String {
    if holder.boot == boot {
        format!("ldi (process {}) ended before the job did", holder.pid)
    } else {
        "the machine went down before the job ended".to_owned()
    }
}

pub(super) fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let unsigned =
        |at| Ok::<u64, rusqlite::Error>(u64::try_from(row.get::<_, i64>(at)?).unwrap_or(0));
    Ok(Run {
        run: row.get(0)?,
        tier: row.get(1)?,
        job: row.get(2)?,
        release: unsigned(3)?,
        started: date(row, 4)?.unwrap_or_default(),
        ended: date(row, 5)?,
        outcome: row.get(6)?,
        reason: row.get(7)?,
        exit_status: row.get(8)?,
        stdout_bytes: unsigned(9)?,
        stderr_bytes: unsigned(10)?,
        holder: Holder { pid: row.get(11)?, start: unsigned(12)?, boot: row.get(13)? },
    })
}

impl Run {
    /// Seconds that it took, once it ended.
    pub fn seconds(&self) -> Option<f64> {
        let ended = self.ended?;
        Some((ended - self.started).as_seconds_f64())
    }

    /// Its outcome as a value; `None` while it runs.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::ALL.into_iter().find(|o| o.as_str() == self.outcome)
    }
}
