//! Enrolment tokens: who may enrol a machine. Only their hashes are kept.

use chrono::{DateTime, TimeDelta, Utc};
use ldi_api::enrolment::Token;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Any, Row, Transaction};

use crate::{
    Result,
    ca::{self, Ca},
    db::Db,
    time,
};

/// One token, as the keeper sees it.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Its name; not the secret.
    pub token: String,
    /// Machines that it still admits.
    pub uses: i64,
    /// Its last moment.
    pub expires: DateTime<Utc>,
    /// What it is for.
    pub note: String,
}

fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Makes one that admits `uses` machines for so long.
pub async fn create(
    db: &Db,
    ca: &Ca,
    uses: u32,
    expires: TimeDelta,
    note: &str,
    now: DateTime<Utc>,
) -> Result<(String, Token)> {
    let token = Token { secret: ca::random::<16>()?, ca: ca.hash() };
    let name = ca::random::<4>()?;
    sqlx::query("INSERT INTO tokens (token, hash, uses, expires, created, note) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(&name)
        .bind(hash(&token.secret))
        .bind(i64::from(uses))
        .bind((now + expires).timestamp_millis())
        .bind(now.timestamp_millis())
        .bind(note)
        .execute(db.pool())
        .await?;
    Ok((name, token))
}

/// All that are still good, the newest first.
pub async fn list(db: &Db, now: DateTime<Utc>) -> Result<Vec<Shown>> {
    let rows = sqlx::query(
        "SELECT token, uses, expires, note FROM tokens WHERE uses > 0 AND expires > $1
         ORDER BY created DESC, token",
    )
    .bind(now.timestamp_millis())
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            let expires = time(row.try_get("expires")?);
            let (token, uses, note) =
                (row.try_get("token")?, row.try_get("uses")?, row.try_get("note")?);
            Ok(Shown { token, uses, expires, note })
        })
        .collect()
}

/// Ends a token; whether there was one.
pub async fn revoke(db: &Db, name: &str) -> Result<bool> {
    let done =
        sqlx::query("DELETE FROM tokens WHERE token = $1").bind(name).execute(db.pool()).await?;
    Ok(done.rows_affected() > 0)
}

/// Uses a token once; whether it was good. Two machines cannot use up the same last time.
pub async fn take(
    transaction: &mut Transaction<'static, Any>,
    secret: &str,
    now: DateTime<Utc>,
) -> Result<bool> {
    // The hash is looked up, not compared: how long that takes tells nothing of the secret.
    let done = sqlx::query(
        "UPDATE tokens SET uses = uses - 1 WHERE hash = $1 AND uses > 0 AND expires > $2",
    )
    .bind(hash(secret))
    .bind(now.timestamp_millis())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}
