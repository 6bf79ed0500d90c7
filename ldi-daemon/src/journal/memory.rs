//! What lasts beside the runs: the tiers' plans, what succeeded once, notes.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::{Journal, date};
use crate::{Result, plan::State};

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

impl Journal {
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

    /// Forgets that a `run_once` job succeeded, for whatever person; see
    /// [`crate::catalogue::Job::memory`].
    pub fn forget_once(&self, job: &str) -> Result<()> {
        self.db()
            .execute(
                "DELETE FROM once WHERE job = ?1 OR substr(job, 1, length(?1) + 1) = ?1 || '~'",
                params![job],
            )
            .map(|_| ())
            .map_err(|e| self.failed(&e))
    }

    /// Remembers a word under a key. A power cut may take back the last few notes, which is no
    /// loss: they say how the last sync went, and every sync would otherwise wait for the disk.
    pub fn note(&self, key: &str, value: &str) -> Result<()> {
        let db = self.db();
        let noted = db
            .pragma_update(None, "synchronous", "normal")
            .and_then(|()| {
                db.execute(
                    "INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)",
                    params![key, value],
                )
            })
            .map(|_| ());
        let back = db.pragma_update(None, "synchronous", "full");
        noted.and(back).map_err(|e| self.failed(&e))
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
}
