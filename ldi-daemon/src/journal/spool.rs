//! The spool: what the fleet server shall hear, kept until it has, within bounds.
//!
//! Written in the same transaction as the run that it tells of, only where a server is
//! configured. An entry has a name that stays the same, so that it may be told twice.

use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::{Journal, run::Run, signed};
use crate::{
    Result,
    config::Spool,
    inventory::{self, Told},
};

/// Of the entries' form; see docs/daemon.md.
const FORMAT: u32 = 1;
const DROPPED: &str = "spool_dropped";
/// Of what the server would not take, the newest so many are kept for people to look at.
const MOST_REJECTED: u32 = 100;

pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS spool (
    entry TEXT PRIMARY KEY, written INTEGER NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rejected (
    entry TEXT PRIMARY KEY, time INTEGER NOT NULL, reason TEXT NOT NULL, body TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spool_by_age ON spool (written);";

/// One thing to tell.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum What<'a> {
    Run(&'a Run),
    Sync(&'a Value),
    Inventory(&'a Told<'a>),
}

#[derive(Debug, Serialize)]
struct Body<'a> {
    format: u32,
    entry: &'a str,
    #[serde(flatten)]
    what: What<'a>,
}

/// One entry as it waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// When it was written, in milliseconds since 1970.
    pub written: i64,
    /// JSON.
    pub body: String,
}

/// An entry that the server would not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Its name.
    pub entry: String,
    /// When.
    pub time: DateTime<Utc>,
    /// Why: one sentence of the server.
    pub reason: String,
    /// What it said.
    pub body: Value,
}

/// What waits, and what fell out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// Entries that wait.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Entries that were dropped for want of room or for their age.
    pub dropped: u64,
    /// Entries that the server would not take and that are still kept.
    pub rejected: u64,
}

/// Adds a run that has ended. What collectors did, the inventory says.
pub(super) fn add_run(db: &Connection, run: &Run, now: DateTime<Utc>) -> rusqlite::Result<()> {
    if run.tier == inventory::TIER {
        return Ok(());
    }
    add(db, &format!("run/{}", run.run), What::Run(run), now)
}

fn add(db: &Connection, entry: &str, what: What<'_>, now: DateTime<Utc>) -> rusqlite::Result<()> {
    let body = serde_json::to_string(&Body { format: FORMAT, entry, what })
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    db.execute(
        "INSERT OR REPLACE INTO spool (entry, written, body) VALUES (?1, ?2, ?3)",
        params![entry, now.timestamp_millis(), body],
    )
    .map(|_| ())
}

fn dropped(db: &Connection) -> rusqlite::Result<u64> {
    let text: Option<String> = db
        .query_row("SELECT value FROM notes WHERE key = ?1", [DROPPED], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

impl Journal {
    /// Adds how a sync ended; nothing where no server is configured.
    pub fn spool_sync(&self, sync: &Value, now: DateTime<Utc>) -> Result<()> {
        if !self.spools {
            return Ok(());
        }
        let entry = self.fresh_name("sync", now);
        add(&self.db(), &entry, What::Sync(sync), now).map_err(|e| self.failed(&e))
    }

    /// Adds what the collectors found; tells whether a server is configured.
    pub fn spool_inventory(&self, told: &Told<'_>, now: DateTime<Utc>) -> Result<bool> {
        if self.spools {
            let entry = self.fresh_name("inventory", now);
            add(&self.db(), &entry, What::Inventory(told), now).map_err(|e| self.failed(&e))?;
        }
        Ok(self.spools)
    }

    /// A name that no other entry has.
    fn fresh_name(&self, kind: &str, now: DateTime<Utc>) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let time = now.format("%Y%m%dT%H%M%S%3f");
        format!("{kind}/{time}-{:x}-{number}", std::process::id())
    }

    /// Drops what is too old, and the oldest of what is too much; counts it.
    pub fn trim_spool(&self, bounds: Spool, now: DateTime<Utc>) -> Result<()> {
        let trim = || -> rusqlite::Result<()> {
            let mut db = self.db();
            let age = TimeDelta::from_std(bounds.age.0).unwrap_or(TimeDelta::MAX);
            let oldest = now.checked_sub_signed(age).map_or(i64::MIN, |at| at.timestamp_millis());
            let transaction = db.transaction()?;
            let mut gone = transaction.execute("DELETE FROM spool WHERE written < ?1", [oldest])?;
            gone += transaction.execute(
                "DELETE FROM spool WHERE entry IN (SELECT entry FROM (
                     SELECT entry, sum(length(CAST(body AS BLOB)))
                            OVER (ORDER BY written DESC, entry DESC) AS total FROM spool
                 ) WHERE total > ?1)",
                [signed(bounds.bytes.0)],
            )?;
            if gone > 0 {
                let all = dropped(&transaction)?.saturating_add(gone as u64);
                transaction.execute(
                    "INSERT OR REPLACE INTO notes (key, value) VALUES (?1, ?2)",
                    params![DROPPED, all.to_string()],
                )?;
            }
            transaction.commit()
        };
        trim().map_err(|e| self.failed(&e))
    }

    /// The `most` entries that have waited longest.
    pub fn oldest(&self, most: usize) -> Result<Vec<Entry>> {
        let query = || -> rusqlite::Result<Vec<Entry>> {
            let db = self.db();
            let mut statement = db.prepare(
                "SELECT entry, written, body FROM spool ORDER BY written, entry LIMIT ?1",
            )?;
            let entry = |row: &Row<'_>| {
                Ok(Entry { name: row.get(0)?, written: row.get(1)?, body: row.get(2)? })
            };
            statement.query_map([i64::try_from(most).unwrap_or(i64::MAX)], entry)?.collect()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// Forgets what the server has, and sets aside what it will not take, with its reasons.
    pub fn told(
        &self,
        stored: &[Entry],
        rejected: &[(Entry, String)],
        now: DateTime<Utc>,
    ) -> Result<()> {
        let write = || -> rusqlite::Result<()> {
            let mut db = self.db();
            let transaction = db.transaction()?;
            // One that was written anew meanwhile says more than the server heard.
            let remove = "DELETE FROM spool WHERE entry = ?1 AND written = ?2";
            for entry in stored.iter().chain(rejected.iter().map(|(entry, _)| entry)) {
                transaction.execute(remove, params![entry.name, entry.written])?;
            }
            for (entry, reason) in rejected {
                transaction.execute(
                    "INSERT OR REPLACE INTO rejected (entry, time, reason, body)
                     VALUES (?1, ?2, ?3, ?4)",
                    params![entry.name, now.timestamp_millis(), reason, entry.body],
                )?;
            }
            if !rejected.is_empty() {
                transaction.execute(
                    "DELETE FROM rejected WHERE entry NOT IN (
                         SELECT entry FROM rejected ORDER BY time DESC, entry LIMIT ?1)",
                    [MOST_REJECTED],
                )?;
            }
            transaction.commit()
        };
        write().map_err(|e| self.failed(&e))
    }

    /// What the server would not take, newest first.
    pub fn rejected(&self) -> Result<Vec<Rejected>> {
        let query = || -> rusqlite::Result<Vec<Rejected>> {
            let db = self.db();
            if !db.table_exists(None, "rejected")? {
                return Ok(Vec::new());
            }
            let mut statement = db.prepare(
                "SELECT entry, time, reason, body FROM rejected ORDER BY time DESC, entry",
            )?;
            let one = |row: &Row<'_>| {
                let time = DateTime::from_timestamp_millis(row.get(1)?).unwrap_or_default();
                let body: String = row.get(3)?;
                let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
                Ok(Rejected { entry: row.get(0)?, time, reason: row.get(2)?, body })
            };
            statement.query_map([], one)?.collect()
        };
        query().map_err(|e| self.failed(&e))
    }

    /// What waits for the server.
    pub fn waiting(&self) -> Result<Waiting> {
        let count = || -> rusqlite::Result<Waiting> {
            let db = self.db();
            // A journal of an earlier version, which nobody but us has opened since.
            if !db.table_exists(None, "spool")? {
                return Ok(Waiting::default());
            }
            let (entries, bytes): (i64, i64) = db.query_row(
                "SELECT count(*), coalesce(sum(length(CAST(body AS BLOB))), 0) FROM spool",
                [],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let unsigned = |n: i64| u64::try_from(n).unwrap_or(0);
            let (entries, bytes) = (unsigned(entries), unsigned(bytes));
            let rejected = match db.table_exists(None, "rejected")? {
                true => db.query_row("SELECT count(*) FROM rejected", [], |row| row.get(0))?,
                false => 0,
            };
            let rejected = unsigned(rejected);
            Ok(Waiting { entries, bytes, dropped: dropped(&db)?, rejected })
        };
        count().map_err(|e| self.failed(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        machine::Machine,
        parse::{Size, Span},
        supervise::{Ended, Outcome},
    };

    const WIDE: Spool = Spool { bytes: Size(1 << 20), age: Span::seconds(86400) };

    fn bodies(journal: &Journal) -> Vec<Value> {
        let db = journal.db();
        let mut statement = db.prepare("SELECT body FROM spool ORDER BY written, entry").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|body| serde_json::from_str(&body.unwrap()).unwrap()).collect()
    }

    fn spooling(dir: &std::path::Path) -> Journal {
        Journal::open(dir, &Machine::this()).unwrap().spooling(true)
    }

    #[test]
    fn ended_runs_and_syncs_wait_in_their_order() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, now) = (spooling(dir.path()), Utc::now());
        journal.begin("r1", "daily", "daily/a", 3, now).unwrap();
        assert!(bodies(&journal).is_empty(), "it has not ended");
        let ended = Ended { outcome: Outcome::Failed, ..Ended::default() };
        journal.end("r1", &ended, now).unwrap();
        journal.end("r1", &ended, now).unwrap();
        let report = serde_json::json!({ "outcome": "current" });
        journal.spool_sync(&report, now + TimeDelta::seconds(1)).unwrap();
        let told = bodies(&journal);
        assert_eq!(told.len(), 2, "{told:?}");
        assert_eq!((&told[0]["format"], &told[0]["entry"]), (&1.into(), &"run/r1".into()));
        assert_eq!(
            (&told[0]["run"]["job"], &told[0]["run"]["outcome"]),
            (&"daily/a".into(), &"failed".into())
        );
        assert_eq!(told[1]["sync"]["outcome"], "current");
        assert_eq!(journal.waiting().unwrap().entries, 2);
    }

    #[test]
    fn an_interrupted_run_is_told_once_it_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let old = Machine { boot: "before".into(), ..Machine::this() };
        Journal::open(dir.path(), &old).unwrap().begin("r1", "daily", "a", 1, Utc::now()).unwrap();
        let journal = spooling(dir.path());
        journal.recover(Utc::now()).unwrap();
        assert_eq!(bodies(&journal)[0]["run"]["outcome"], "interrupted");
    }

    #[test]
    fn without_a_server_nothing_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::open(dir.path(), &Machine::this()).unwrap();
        journal.begin("r1", "daily", "a", 1, Utc::now()).unwrap();
        journal.end("r1", &Ended::default(), Utc::now()).unwrap();
        journal.spool_sync(&Value::Null, Utc::now()).unwrap();
        assert_eq!(journal.waiting().unwrap(), Waiting::default());
    }

    #[test]
    fn what_is_too_old_or_too_much_falls_out_and_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, now) = (spooling(dir.path()), Utc::now());
        let long = Value::String("ü".repeat(500));
        for n in 0..10 {
            journal.spool_sync(&long, now - TimeDelta::hours(30 - 3 * n)).unwrap();
        }
        journal.trim_spool(WIDE, now).unwrap();
        let waiting = journal.waiting().unwrap();
        assert_eq!((waiting.entries, waiting.dropped), (8, 2), "by age");
        journal.trim_spool(Spool { bytes: Size(waiting.bytes / 2), ..WIDE }, now).unwrap();
        let after = journal.waiting().unwrap();
        assert_eq!((after.entries, after.dropped), (4, 6), "by size");
        assert!(after.bytes <= waiting.bytes / 2);
        journal.trim_spool(WIDE, now - TimeDelta::days(400)).unwrap();
        assert_eq!(journal.waiting().unwrap(), after, "a clock that was set back drops nothing");
    }
}
