//! The file: opened, made, or set aside when it cannot be read.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::Utc;
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use crate::{Failure, Result, error::code};

// Later versions only add to it, with defaults: when a newer ldi that came through the library is
// taken back, an older one goes on with what it wrote (docs/update.md).
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
CREATE TABLE IF NOT EXISTS breakers (
    job TEXT PRIMARY KEY, content TEXT NOT NULL, failures INTEGER NOT NULL,
    last INTEGER NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 2;";
/// What `SCHEMA` ends with. Each version only adds to the one before, so an older `ldi` goes on
/// with a newer file, and `SCHEMA` brings any older file up to date.
const VERSION: i32 = 2;

/// The file, made where it is missing, and made anew where it cannot be read.
pub(super) fn opened(path: &Path) -> Result<Connection> {
    let error = match connect(path) {
        Ok(db) => return Ok(db),
        Err(error) if is_corrupt(&error) => error,
        Err(error) => return Err(failed(path, &error)),
    };
    let aside = set_aside(path)?;
    let db = connect(path).map_err(|e| failed(path, &e))?;
    let note = format!(
        "{}: {error}; it was set aside as {} on {} and the history starts anew",
        path.display(),
        aside.display(),
        Utc::now().format("%Y-%m-%d %H:%M:%S UTC")
    );
    tracing::warn!("{note}");
    db.execute("INSERT OR REPLACE INTO notes (key, value) VALUES ('journal_fault', ?1)", [note])
        .map_err(|e| failed(path, &e))?;
    Ok(db)
}

/// The file for reading, whatever the state of the disk.
pub(super) fn look(path: &Path) -> rusqlite::Result<Connection> {
    let open = || -> rusqlite::Result<Connection> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.query_row("SELECT count(*) FROM runs", [], |_| Ok(()))?;
        Ok(db)
    };
    open()
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // Reasons and names of jobs are nobody else's business; SQLite gives its side files the same
    // mode. If this fails, so does opening, which says why.
    let _ = OpenOptions::new().append(true).create(true).mode(0o640).open(path);
    if let Ok(there) = fs::metadata(path)
        && there.permissions().mode() & 0o137 != 0
    {
        let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o640));
    }
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(20))?;
    // The write-ahead log stays for the next process: emptying it at each end costs five syncs.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", "full")?;
    if db.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))? < VERSION {
        db.execute_batch(SCHEMA)?;
    }
    // Younger than the first version; writes nothing where it is there.
    if let Err(error) = db.execute_batch(super::spool::SCHEMA)
        && is_corrupt(&error)
    {
        return Err(error);
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

/// Whether the connection is of no use any more: its file was moved, damaged, or the disk took
/// no writes when it was opened.
pub(super) fn is_lost(error: &rusqlite::Error) -> bool {
    is_corrupt(error)
        || matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::SystemIoFailure)
        )
}

pub(super) fn failed(path: &Path, error: &rusqlite::Error) -> Failure {
    let code = match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => code::BUSY,
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            code::NOT_PERMITTED
        }
        _ => code::FAILED,
    };
    Failure::new(code, format!("cannot use the journal {}: {error}", path.display()))
}
