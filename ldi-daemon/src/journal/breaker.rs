//! The circuit breaker: which jobs failed again and again, and until when they are left out.
//!
//! What is remembered is data (how often in a row, when last); whether that keeps a job from
//! running is a pure function of it, of the job's limits and of the clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use serde::Serialize;

use super::{Journal, date};
use crate::Result;

/// What is remembered about a job that did not end well lately.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breaker {
    /// The job.
    pub job: String,
    /// How often in a row it did not end well, its retries not counted.
    pub failures: u32,
    /// When it last did not.
    pub last: DateTime<Utc>,
    /// How it ended then.
    pub reason: String,
    #[serde(skip)]
    content: String,
}

/// What a breaker says about the next run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It runs.
    Closed,
    /// Its time has passed: one try, and one failure more opens it again.
    Trial,
    /// It is left out until then.
    Open(DateTime<Utc>),
}

impl Breaker {
    /// What it says now about a job with this `content`, which `limit` failures (0: any number)
    /// stop for `span`.
    pub fn verdict(
        &self,
        content: &str,
        limit: u32,
        span: Duration,
        now: DateTime<Utc>,
    ) -> Verdict {
        if limit == 0 || self.failures < limit || self.content != content {
            return Verdict::Closed;
        }
        match self.last.checked_add_signed(chrono::Duration::from_std(span).unwrap_or_default()) {
            // A failure in the future is a clock that was set back: it must not hold for years.
            Some(until) if self.last <= now && now < until => Verdict::Open(until),
            _ => Verdict::Trial,
        }
    }
}

impl Journal {
    /// Whether any job did not end well lately.
    pub fn any_breaker(&self) -> Result<bool> {
        self.db()
            .query_row("SELECT EXISTS (SELECT 1 FROM breakers)", [], |row| row.get(0))
            .map_err(|e| self.failed(&e))
    }

    /// The breaker of `job`, when it did not end well lately.
    pub fn breaker(&self, job: &str) -> Result<Option<Breaker>> {
        let query = || {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT job, content, failures, last, reason FROM breakers WHERE job = ?1",
            )?;
            statement.query_row(params![job], read).optional()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// Counts one more time that `job` did not end well; another content counts from 1.
    pub fn count_failure(
        &self,
        job: &str,
        content: &str,
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<()> {
        self.db()
            .execute(
                "INSERT INTO breakers (job, content, failures, last, reason)
                 VALUES (?1, ?2, 1, ?3, ?4)
                 ON CONFLICT (job) DO UPDATE
                 SET failures = CASE WHEN content = ?2 THEN failures + 1 ELSE 1 END,
                     content = ?2, last = ?3, reason = ?4",
                params![job, content, now.timestamp_millis(), reason],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Forgets that `job` did not end well.
    pub fn close_breaker(&self, job: &str) -> Result<()> {
        self.db()
            .execute("DELETE FROM breakers WHERE job = ?1", params![job])
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Breaker> {
    Ok(Breaker {
        job: row.get(0)?,
        content: row.get(1)?,
        failures: row.get(2)?,
        last: date(row, 3)?.unwrap_or_default(),
        reason: row.get(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_then_one_trial_then_open_again() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let day = Duration::from_secs(86400);
        let breaker = Breaker {
            job: "daily/x".into(),
            failures: 5,
            last: at("2026-01-01T10:00:00Z"),
            reason: "exit status 1".into(),
            content: "a".into(),
        };
        let soon = at("2026-01-01T11:00:00Z");
        let until = at("2026-01-02T10:00:00Z");
        assert_eq!(breaker.verdict("a", 5, day, soon), Verdict::Open(until));
        assert_eq!(breaker.verdict("a", 6, day, soon), Verdict::Closed);
        assert_eq!(breaker.verdict("a", 0, day, soon), Verdict::Closed);
        assert_eq!(breaker.verdict("changed", 5, day, soon), Verdict::Closed);
        assert_eq!(breaker.verdict("a", 5, day, until), Verdict::Trial);
        // The clock was set back by years.
        assert_eq!(breaker.verdict("a", 5, day, at("2020-01-01T00:00:00Z")), Verdict::Trial);
    }

    #[test]
    fn failures_are_counted_for_one_content_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let machine = crate::machine::Machine::this();
        let journal = Journal::open(dir.path(), &machine).unwrap();
        let failures = || journal.breaker("j").unwrap().map(|b| b.failures);
        assert_eq!(failures(), None);
        for n in 1..4 {
            journal.count_failure("j", "a", "exit status 1", Utc::now()).unwrap();
            assert_eq!(failures(), Some(n));
        }
        journal.count_failure("j", "b", "exit status 1", Utc::now()).unwrap();
        assert_eq!(failures(), Some(1));
        journal.close_breaker("j").unwrap();
        assert_eq!(failures(), None);
    }
}
