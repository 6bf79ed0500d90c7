//! `ROOT/state.db`: every run, written before it starts and again when it ended; what is
//! remembered about tiers; what succeeded once.
//!
//! SQLite in WAL mode with synchronous=FULL: a result that was returned is on disk, also after
//! a power cut. A file that cannot be read is set aside and named, never deleted.

mod breaker;
mod file;
mod memory;
mod run;
mod spool;

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};

pub use breaker::{Breaker, Verdict};
use file::{failed, is_lost, look, opened};
pub use memory::TierRow;
pub use run::Run;
use run::{Holder, lost_reason, read_run};
pub use spool::{Entry, Rejected, Waiting};

use crate::{Failure, Result, error::code, machine::Machine, supervise::Ended};

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this tier.
    pub tier: Option<String>,
    /// Of this job.
    pub job: Option<String>,
    /// With this outcome.
    pub outcome: Option<String>,
    /// Those that did not end well.
    pub failed: bool,
    /// Of this release.
    pub release: Option<u64>,
    /// Started then or later.
    pub since: Option<DateTime<Utc>>,
    /// Started then or earlier.
    pub until: Option<DateTime<Utc>>,
    /// Ended then or later.
    pub ended_since: Option<DateTime<Utc>>,
    /// The newest so many.
    pub limit: u32,
}

/// A run's columns, as [`read_run`] takes them.
const RUNS: &str = "SELECT run, tier, job, release, started, ended, outcome, reason, exit_status,
                           stdout_bytes, stderr_bytes, holder_pid, holder_start, holder_boot
                    FROM runs";

/// The open journal.
#[derive(Debug)]
pub struct Journal {
    db: Mutex<Connection>,
    path: PathBuf,
    holder: Holder,
    /// Results are kept for the fleet server.
    spools: bool,
    /// It may be opened anew and set aside.
    repairs: bool,
    /// The file under the connection is gone, damaged or was not writable: it is opened anew.
    lost: AtomicBool,
}

impl Journal {
    /// Opens `root/state.db`, making it where it is missing.
    pub fn open(root: &Path, machine: &Machine) -> Result<Self> {
        let path = root.join("state.db");
        let db = opened(&path)?;
        Ok(Self::with(db, path, machine, true))
    }

    /// Opens `root/state.db` for reading; `None` where there is none. Nothing is made, repaired
    /// or set aside.
    pub fn look(root: &Path, machine: &Machine) -> Result<Option<Self>> {
        let path = root.join("state.db");
        match look(&path) {
            Ok(db) => Ok(Some(Self::with(db, path, machine, false))),
            Err(_) if matches!(path.try_exists(), Ok(false)) => Ok(None),
            // Not for want of permission, then: what SQLite keeps beside it cannot be made.
            Err(error) if std::fs::File::open(&path).is_ok() => Err(Failure::new(
                code::FAILED,
                format!("cannot read the journal {}: {error}", path.display()),
            )),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    fn with(db: Connection, path: PathBuf, machine: &Machine, repairs: bool) -> Self {
        let holder = Holder::this(machine);
        Self {
            db: Mutex::new(db),
            path,
            holder,
            spools: false,
            repairs,
            lost: AtomicBool::new(false),
        }
    }

    /// Keeps results for the fleet server, or does not.
    pub fn spooling(self, spools: bool) -> Self {
        Self { spools, ..self }
    }

    /// Opens the file anew before it is used next: damage that only others see is found then.
    pub fn renew(&self) {
        self.lost.store(self.repairs, Ordering::Relaxed);
    }

    fn db(&self) -> MutexGuard<'_, Connection> {
        // A panic elsewhere leaves no half statement behind: SQLite rolled it back.
        let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
        if self.lost.swap(false, Ordering::Relaxed) {
            // A daemon outlives its disk's troubles: what was lost comes back with the file.
            if let Err(error) = reopen(&mut db, &self.path) {
                self.lost.store(true, Ordering::Relaxed);
                tracing::warn!("{error}");
            }
        }
        db
    }

    fn failed(&self, error: &rusqlite::Error) -> Failure {
        self.lost.fetch_or(self.repairs && is_lost(error), Ordering::Relaxed);
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
            run.ended = Some(now);
            if self.spools {
                spool::add_run(&self.db(), &run, now).map_err(|e| self.failed(&e))?;
            }
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

    /// Writes down how a run ended, and keeps it for the fleet server.
    pub fn end(&self, run: &str, ended: &Ended, now: DateTime<Utc>) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let mut db = self.db();
            let transaction = db.transaction()?;
            transaction.execute(
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
            )?;
            if self.spools {
                let row = transaction
                    .query_row(&format!("{RUNS} WHERE run = ?1"), [run], read_run)
                    .optional()?;
                if let Some(row) = row {
                    spool::add_run(&transaction, &row, now)?;
                }
            }
            transaction.commit()
        };
        write().map_err(|e| self.failed(&e))
    }

    /// Runs, newest first. One whose process is gone counts as interrupted, also before
    /// anybody wrote that down.
    pub fn history(&self, filter: &Filter) -> Result<Vec<Run>> {
        let query = || -> rusqlite::Result<Vec<Run>> {
            let db = self.db();
            let mut statement = db.prepare(&format!(
                "{RUNS}
                 WHERE (?1 IS NULL OR tier = ?1) AND (?2 IS NULL OR job = ?2)
                   AND (?3 IS NULL OR outcome = ?3 OR (?3 = 'interrupted' AND outcome = 'running'))
                   AND (NOT ?4 OR outcome NOT IN ('ok', 'skipped'))
                   AND (?5 IS NULL OR release = ?5)
                   AND (?6 IS NULL OR started >= ?6) AND (?7 IS NULL OR started <= ?7)
                   AND (?8 IS NULL OR ended >= ?8)
                 ORDER BY started DESC, run DESC LIMIT ?9"
            ))?;
            let millis = |date: Option<DateTime<Utc>>| date.map(|d| d.timestamp_millis());
            statement
                .query_map(
                    params![
                        filter.tier,
                        filter.job,
                        filter.outcome,
                        filter.failed,
                        filter.release.map(signed),
                        millis(filter.since),
                        millis(filter.until),
                        millis(filter.ended_since),
                        filter.limit
                    ],
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
        if filter.failed {
            runs.retain(|r| r.outcome != "running");
        }
        Ok(runs)
    }

    /// A number that differs after another process wrote something.
    pub fn version(&self) -> Result<i64> {
        let version = self.db().pragma_query_value(None, "data_version", |row| row.get(0));
        version.map_err(|e| self.failed(&e))
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
            let mut statement = db.prepare(&format!(
                "{RUNS} WHERE substr(run, 1, length(?1)) = ?1 ORDER BY run LIMIT 2"
            ))?;
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
        let mut runs = self.newest()?;
        runs.retain(|run| run.outcome != "ok");
        Ok(runs)
    }

    /// The newest finished run of each job that ran; of at most 10,000 jobs.
    pub fn newest(&self) -> Result<Vec<Run>> {
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
                 WHERE r.outcome NOT IN ('running', 'skipped') ORDER BY r.job LIMIT 10000",
            )?;
            statement.query_map([], read_run)?.collect()
        };
        query().map_err(|e| self.failed(&e))
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

fn reopen(db: &mut Connection, path: &Path) -> Result<()> {
    // Closed first: SQLite shares what it knows of a file among its connections, and a file that
    // was once opened on a read-only disk would stay so.
    *db = Connection::open_in_memory().map_err(|e| failed(path, &e))?;
    *db = opened(path)?;
    Ok(())
}

fn date(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(at)?.and_then(DateTime::from_timestamp_millis))
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
