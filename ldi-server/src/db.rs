//! The database: SQLite in a file, or PostgreSQL, with the same statements.

use sqlx::{
    Any, AnyPool, Connection, Executor, Transaction,
    any::{AnyPoolOptions, install_default_drivers},
};
use std::time::Duration;

use crate::{Failure, Result, config::Config, error::code};

/// Writers of PostgreSQL at once; SQLite has one.
const CONNECTIONS: u32 = 8;
/// Shorter than clients wait for an answer.
const WAIT: Duration = Duration::from_secs(5);

/// An open database.
#[derive(Debug, Clone)]
pub struct Db {
    pool: AnyPool,
    begin: &'static str,
}

impl Db {
    /// Opens the database of a server, and brings its tables up to date.
    pub async fn open(config: &Config) -> Result<Self> {
        install_default_drivers();
        let url = config.database();
        let sqlite = url.starts_with("sqlite:");
        if !sqlite && !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(Failure::config(
                "key database: write sqlite:PATH or postgres://USER@HOST/NAME",
            ));
        }
        let url = if sqlite { format!("{url}?mode=rwc") } else { url };
        let pool = AnyPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(WAIT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        for pragma in [
                            "PRAGMA busy_timeout = 20000",
                            "PRAGMA journal_mode = wal",
                            "PRAGMA synchronous = full",
                            "PRAGMA foreign_keys = on",
                        ] {
                            connection.execute(pragma).await?;
                        }
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await
            .map_err(|error| {
                let what = format!("cannot open the database {}: {error}", shown(&url));
                Failure::new(code::UNREACHABLE, what)
            })?;
        let migrated = sqlx::migrate!("./migrations").run(&pool).await;
        migrated.map_err(|error| {
            Failure::new(
                code::FAILED,
                format!("the database's tables cannot be brought up to date: {error}"),
            )
        })?;
        // A transaction that reads first and writes then must not meet another in between.
        Ok(Self { pool, begin: if sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" } })
    }

    /// For single statements.
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For several that are one.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>> {
        Ok(self.pool.begin_with(self.begin).await?)
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.pool.acquire().await?.ping().await?)
    }
}

/// An address without its password.
fn shown(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 < at => {
            let user = url[scheme + 3..at].split(':').next().unwrap_or_default();
            format!("{}{user}@{}", &url[..scheme + 3], &url[at + 1..])
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(shown("postgres://me:secret@host/db"), "postgres://me@host/db");
        assert_eq!(shown("sqlite:/x?mode=rwc"), "sqlite:/x?mode=rwc");
    }
}
