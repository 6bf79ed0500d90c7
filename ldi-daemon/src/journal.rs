//! `ROOT/state.db`: every run, written before it starts and again when it ended; what is
//! remembered about tiers; what succeeded once.
//!
//! SQLite in WAL mode with synchronous=FULL: a result that was returned is on disk, also after
//! a power cut. A file that cannot be read is set aside and named, never deleted.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde::Serialize;

use crate::{
    Failure, Result,
    error::code,
    machine::{self, Machine},
    plan::State,
    supervise::{Ended, Outcome},
};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY, tier TEXT NOT NULL, job TEXT NOT NULL, release INTEGER NOT NULL,
    started INTEGER NOT NULL, ended INTEGER, outcome TEXT NOT NULL, reason TEXT,
    exit_status INTEGER, stdout_bytes INTEGER NOT NULL DEFAULT 0,
    stderr_bytes INTEGER NOT NULL DEFAULT 0,
    holder_pid INTEGER NOT NULL, holder_start INTEGER NOT NULL, holder_boot TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_job ON runs (job, started);
CREATE INDEX IF NOT EXISTS runs_by_outcome ON runs (outcome) WHERE outcome = 'running';
CREATE TABLE IF NOT EXISTS tiers (
    tier TEXT PRIMARY KEY, served INTEGER, boot TEXT,
    last_due INTEGER, last_start INTEGER, last_end INTEGER, last_result TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS once (
    job TEXT PRIMARY KEY, content TEXT NOT NULL, done INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;";

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
    holder: Holder,
}

/// The process that has to write the result.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    pid: i32,
    start: u64,
    boot: String,
}

impl Holder {
    fn this(machine: &Machine) -> Self {
        let pid = nix::unistd::getpid().as_raw();
        Self { pid, start: machine::started(pid).unwrap_or(0), boot: machine.boot.clone() }
    }

    fn is_alive(&self, boot: &str) -> bool {
        if self.boot != boot {
            return false;
        }
        if self.start == 0 {
            return nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid), None).is_ok();
        }
        machine::started(self.pid) == Some(self.start)
    }
}

/// What is remembered about a tier beside its plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TierRow {
    /// For the planner.
    pub state: State,
    /// The date that it last ran for.
    pub last_due: Option<DateTime<Utc>>,
    /// When that run started.
    pub last_start: Option<DateTime<Utc>>,
    /// When it ended.
    pub last_end: Option<DateTime<Utc>>,
    /// How: one sentence.
    pub last_result: Option<String>,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tier.
    pub tier: Option<String>,
    /// Of this job.
    pub job: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// The newest so many.
    pub limit: u32,
}

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    db: Mutex<Connection>,
    path: PathBuf,
    holder: Holder,
}

impl Journal {
    /// Opens `root/state.db`, making it where it is missing.
    pub fn open(root: &Path, machine: &Machine) -> Result<Self> {
        let path = root.join("state.db");
        let (db, aside) = match connect(&path) {
            Ok(db) => (db, None),
            Err(error) if is_corrupt(&error) => {
                let aside = set_aside(&path)?;
                let db = connect(&path).map_err(|e| failed(&path, &e))?;
                (db, Some((aside, error.to_string())))
            }
            Err(error) => return Err(failed(&path, &error)),
        };
        let journal = Self { db: Mutex::new(db), path, holder: Holder::this(machine) };
        if let Some((aside, why)) = aside {
            let note = format!(
                "{}: {why}; it was set aside as {} on {} and the history starts anew",
                journal.path.display(),
                aside.display(),
                Utc::now().format("%Y-%m-%d %H:%M:%S UTC")
            );
            journal.note("journal_fault", &note)?;
        }
        Ok(journal)
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half statement behind: SQLite rolled it back.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, error: &rusqlite::Error) -> Failure {
        failed(&self.path, error)
    }

    /// Ends the runs whose process is gone as interrupted, and names them.
    pub fn recover(&self, now: DateTime<Utc>) -> Result<Vec<Run>> {
        let open = self.history(&Filter {
            outcome: Some("running".to_owned()),
            limit: u32::MAX,
            ..Filter::default()
        })?;
        let mut lost = Vec::new();
        for mut run in open {
            if run.holder.is_alive(&self.holder.boot) {
                continue;
            }
            let reason = lost_reason(&run.holder, &self.holder.boot);
            self.db()
                .execute(
                    "UPDATE runs SET outcome = 'interrupted', reason = ?2, ended = ?3
                     WHERE run = ?1 AND outcome = 'running'",
                    params![run.run, reason, now.timestamp_millis()],
                )
                .map_err(|e| self.failed(&e))?;
            run.outcome = "interrupted".to_owned();
            run.reason = Some(reason);
            lost.push(run);
        }
        Ok(lost)
    }

    /// Writes down that a run starts.
    pub fn begin(
        &self,
        run: &str,
        tier: &str,
        job: &str,
        release: u64,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.db()
            .execute(
                "INSERT INTO runs (run, tier, job, release, started, outcome, holder_pid,
                                   holder_start, holder_boot)
                 VALUES (?1, ?2, ?3, ?4, ?5, 'running', ?6, ?7, ?8)",
                params![
                    run,
                    tier,
                    job,
                    signed(release),
                    now.timestamp_millis(),
                    self.holder.pid,
                    signed(self.holder.start),
                    self.holder.boot
                ],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Writes down how a run ended.
    pub fn end(&self, run: &str, ended: &Ended, now: DateTime<Utc>) -> Result<()> {
        self.db()
            .execute(
                "UPDATE runs SET ended = ?2, outcome = ?3, reason = ?4, exit_status = ?5,
                                 stdout_bytes = ?6, stderr_bytes = ?7
                 WHERE run = ?1",
                params![
                    run,
                    now.timestamp_millis(),
                    ended.outcome.as_str(),
                    ended.reason,
                    ended.exit_status,
                    signed(ended.stdout_bytes),
                    signed(ended.stderr_bytes)
                ],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Runs, newest first. One whose process is gone counts as interrupted, also before
    /// anybody wrote that down.
    pub fn history(&self, filter: &Filter) -> Result<Vec<Run>> {
        let query = || -> rusqlite::Result<Vec<Run>> {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT run, tier, job, release, started, ended, outcome, reason, exit_status,
                        stdout_bytes, stderr_bytes, holder_pid, holder_start, holder_boot
                 FROM runs
                 WHERE (?1 IS NULL OR tier = ?1) AND (?2 IS NULL OR job = ?2)
                   AND (?3 IS NULL OR outcome = ?3 OR (?3 = 'interrupted' AND outcome = 'running'))
                 ORDER BY started DESC, run DESC LIMIT ?4",
            )?;
            statement
                .query_map(
                    params![filter.tier, filter.job, filter.outcome, filter.limit],
                    read_run,
                )?
                .collect()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// As [`Journal::history`], with runs of dead processes shown as what they are.
    pub fn history_now(&self, filter: &Filter) -> Result<Vec<Run>> {
        let mut runs = self.history(filter)?;
        for run in &mut runs {
            self.settle(run);
        }
        if let Some(outcome) = &filter.outcome {
            runs.retain(|r| r.outcome == *outcome);
        }
        Ok(runs)
    }

    fn settle(&self, run: &mut Run) {
        if run.outcome == "running" && !run.holder.is_alive(&self.holder.boot) {
            run.outcome = "interrupted".to_owned();
            run.reason = Some(lost_reason(&run.holder, &self.holder.boot));
        }
    }

    /// The run that `word` means: its name or the unique beginning of it, or the newest run of
    /// a job.
    pub fn find(&self, word: &str) -> Result<Run> {
        let query = || -> rusqlite::Result<Vec<Run>> {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT run, tier, job, release, started, ended, outcome, reason, exit_status,
                        stdout_bytes, stderr_bytes, holder_pid, holder_start, holder_boot
                 FROM runs WHERE substr(run, 1, length(?1)) = ?1 ORDER BY run LIMIT 2",
            )?;
            statement.query_map(params![word], read_run)?.collect()
        };
        let mut found = query().map_err(|e| self.failed(&e))?;
        if found.len() > 1 && found[0].run != word {
            return Err(Failure::new(
                code::USAGE,
                format!("several runs begin with {word:?}; write more of it"),
            ));
        }
        if found.is_empty() {
            found = self.history(&Filter {
                job: Some(word.to_owned()),
                limit: 1,
                ..Filter::default()
            })?;
        }
        match found.into_iter().next() {
            Some(mut run) => {
                self.settle(&mut run);
                Ok(run)
            }
            None => Err(Failure::new(
                code::USAGE,
                format!("no run and no job is called {word:?}; see `ldi history`"),
            )),
        }
    }

    /// Jobs whose newest finished run did not end well, with that run.
    pub fn failing(&self) -> Result<Vec<Run>> {
        let query = || -> rusqlite::Result<Vec<Run>> {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT r.run, r.tier, r.job, r.release, r.started, r.ended, r.outcome, r.reason,
                        r.exit_status, r.stdout_bytes, r.stderr_bytes, r.holder_pid,
                        r.holder_start, r.holder_boot
                 FROM runs r JOIN (
                     SELECT job, max(started) AS newest FROM runs
                     WHERE outcome NOT IN ('running', 'skipped') GROUP BY job
                 ) n ON n.job = r.job AND n.newest = r.started
                 WHERE r.outcome NOT IN ('ok', 'running', 'skipped') ORDER BY r.job LIMIT 1000",
            )?;
            statement.query_map([], read_run)?.collect()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// What is remembered about each tier.
    pub fn tiers(&self) -> Result<BTreeMap<String, TierRow>> {
        let query = || -> rusqlite::Result<BTreeMap<String, TierRow>> {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT tier, served, boot, last_due, last_start, last_end, last_result FROM tiers",
            )?;
            statement
                .query_map([], |row| {
                    let state = State { served: date(row, 1)?, boot: row.get(2)? };
                    let tier = TierRow {
                        state,
                        last_due: date(row, 3)?,
                        last_start: date(row, 4)?,
                        last_end: date(row, 5)?,
                        last_result: row.get(6)?,
                    };
                    Ok((row.get(0)?, tier))
                })?
                .collect()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// Remembers a tier's plan.
    pub fn remember(&self, tier: &str, state: &State) -> Result<()> {
        self.db()
            .execute(
                "INSERT INTO tiers (tier, served, boot) VALUES (?1, ?2, ?3)
                 ON CONFLICT (tier) DO UPDATE SET served = ?2, boot = ?3",
                params![tier, state.served.map(|d| d.timestamp_millis()), state.boot],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Writes down that a tier starts, for a due date when the planner started it.
    pub fn tier_starts(
        &self,
        tier: &str,
        due: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.db()
            .execute(
                "INSERT INTO tiers (tier, last_due, last_start) VALUES (?1, ?2, ?3)
                 ON CONFLICT (tier) DO UPDATE
                 SET last_due = coalesce(?2, last_due), last_start = ?3, last_end = NULL,
                     last_result = NULL",
                params![tier, due.map(|d| d.timestamp_millis()), now.timestamp_millis()],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Writes down how a tier ended.
    pub fn tier_ends(&self, tier: &str, result: &str, now: DateTime<Utc>) -> Result<()> {
        self.db()
            .execute(
                "UPDATE tiers SET last_end = ?2, last_result = ?3 WHERE tier = ?1",
                params![tier, now.timestamp_millis(), result],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// The content that a `run_once` job succeeded with.
    pub fn once(&self, job: &str) -> Result<Option<String>> {
        self.db()
            .query_row("SELECT content FROM once WHERE job = ?1", params![job], |row| row.get(0))
            .optional()
            .map_err(|e| self.failed(&e))
    }

    /// Writes down that a `run_once` job succeeded.
    pub fn set_once(&self, job: &str, content: &str, now: DateTime<Utc>) -> Result<()> {
        self.db()
            .execute(
                "INSERT OR REPLACE INTO once (job, content, done) VALUES (?1, ?2, ?3)",
                params![job, content, now.timestamp_millis()],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Forgets that a `run_once` job succeeded.
    pub fn forget_once(&self, job: &str) -> Result<()> {
        self.db()
            .execute("DELETE FROM once WHERE job = ?1", params![job])
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Remembers a word under a key.
    pub fn note(&self, key: &str, value: &str) -> Result<()> {
        self.db()
            .execute(
                "INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)",
                params![key, value],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Forgets a key.
    pub fn forget(&self, key: &str) -> Result<()> {
        self.db()
            .execute("DELETE FROM notes WHERE key = ?1", params![key])
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// What was remembered under a key.
    pub fn noted(&self, key: &str) -> Result<Option<String>> {
        self.db()
            .query_row("SELECT value FROM notes WHERE key = ?1", params![key], |row| row.get(0))
            .optional()
            .map_err(|e| self.failed(&e))
    }

    /// Keeps the newest `keep` runs.
    pub fn prune(&self, keep: u32) -> Result<()> {
        self.db()
            .execute(
                "DELETE FROM runs WHERE outcome <> 'running' AND run < coalesce(
                     (SELECT run FROM runs ORDER BY run DESC LIMIT 1 OFFSET ?1), '')",
                params![keep],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(20))?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    if db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))? == 0 {
        db.execute_batch(SCHEMA)?;
    }
    // Cheap, and touches each table: a torn file shows itself here rather than in the middle.
    db.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)).and_then(
        |verdict| {
            if verdict == "ok" {
                return Ok(());
            }
            Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT),
                Some(verdict),
            ))
        },
    )?;
    Ok(db)
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn set_aside(path: &Path) -> Result<PathBuf> {
    let stamp = Utc::now().format("%Y%m%dT%H%M%S%3fZ").to_string();
    let named = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = named(&format!(".broken-{stamp}"));
    fs::rename(path, &aside).map_err(|e| Failure::io("set aside", path, &e))?;
    for suffix in ["-wal", "-shm"] {
        // Left beside a new file they would be taken for its own.
        let _ = fs::rename(named(suffix), named(&format!(".broken-{stamp}{suffix}")));
    }
    Ok(aside)
}

fn failed(path: &Path, error: &rusqlite::Error) -> Failure {
    let code = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => code::BUSY,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            code::NOT_PERMITTED
        }
        _ => code::FAILED,
    };
    Failure::new(code, format!("cannot use the journal {}: {error}", path.display()))
}

fn lost_reason(holder: &Holder, boot: &str) -> String {
    if holder.boot == boot {
        format!("ldi (process {}) ended before the job did", holder.pid)
    } else {
        "the machine went down before the job ended".to_owned()
    }
}

fn date(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(at)?.and_then(DateTime::from_timestamp_millis))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Run> {
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

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
