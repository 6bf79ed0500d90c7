//! What clients tell: stored once under the name that they gave it, and what changed in their
//! documents as a trail.

use chrono::{DateTime, Utc};
use ldi_api::submission::Outcome;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::{Any, Row, Transaction};

use crate::{Result, ca, db::Db, time, trail};

/// A name is no longer.
const MOST_NAME: usize = 200;

/// What became of an entry, and why it was rejected.
pub type Verdict = (Outcome, Option<String>);

#[derive(Deserialize)]
struct Told {
    collected_at: DateTime<Utc>,
    plugins: Option<Map<String, Value>>,
}

/// One row of the audit trail.
#[derive(Debug, Serialize)]
pub struct Audited {
    /// When the server saw it.
    pub audited_at: DateTime<Utc>,
    /// Keys, joined by dots.
    pub path: String,
    /// `add`, `change` or `delete`.
    pub kind: String,
    /// The former value.
    pub old: Option<Value>,
    /// The new value.
    pub new: Option<Value>,
}

/// Stores `entries` of `client`, each by itself and all of them in one transaction; tells what
/// became of each that has a name.
pub async fn store(
    db: &Db,
    client: &str,
    entries: &[Value],
    now: DateTime<Utc>,
) -> Result<Vec<(String, Verdict)>> {
    let mut transaction = db.begin().await?;
    let mut told = Vec::with_capacity(entries.len());
    for entry in entries {
        let Some(name) = entry["entry"].as_str() else { continue };
        let verdict = match wrong(entry, name) {
            Some(why) => (Outcome::Rejected, Some(why)),
            None => {
                one(&mut transaction, client, name, entry, now).await?;
                (Outcome::Stored, None)
            }
        };
        told.push((name.to_owned(), verdict));
    }
    sqlx::query("UPDATE clients SET last_seen = $2 WHERE client = $1")
        .bind(client)
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(told)
}

/// Why an entry will never be taken.
fn wrong(entry: &Value, name: &str) -> Option<String> {
    if name.is_empty() || name.len() > MOST_NAME || name.chars().any(char::is_control) {
        return Some("its name is empty, too long or has control characters".to_owned());
    }
    if entry["format"] != 1 {
        return Some("its format is not 1, the only one that this server knows".to_owned());
    }
    let kinds = ["run", "sync", "inventory"];
    let known = kinds.iter().filter(|kind| entry[**kind].is_object()).count();
    if known != 1 {
        return Some(format!("it has not exactly one of {}", kinds.join(", ")));
    }
    if entry["inventory"].is_object()
        && let Err(error) = Told::deserialize(&entry["inventory"])
    {
        return Some(format!("its inventory cannot be read: {error}"));
    }
    None
}

async fn one(
    transaction: &mut Transaction<'static, Any>,
    client: &str,
    name: &str,
    entry: &Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let new = sqlx::query(
        "INSERT INTO entries (client, entry, received, body) VALUES ($1, $2, $3, $4)
         ON CONFLICT (client, entry) DO NOTHING",
    )
    .bind(client)
    .bind(name)
    .bind(now.timestamp_millis())
    .bind(entry.to_string())
    .execute(&mut **transaction)
    .await?;
    if new.rows_affected() == 0 {
        return Ok(());
    }
    if let Ok(Told { collected_at, plugins: Some(plugins) }) =
        Told::deserialize(&entry["inventory"])
    {
        document(transaction, client, collected_at, Value::Object(plugins), now).await?;
    }
    Ok(())
}

/// Takes a document for the newest unless a newer one is there, with a row for each change.
async fn document(
    transaction: &mut Transaction<'static, Any>,
    client: &str,
    collected: DateTime<Utc>,
    new: Value,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = sqlx::query("SELECT collected, body FROM documents WHERE client = $1")
        .bind(client)
        .fetch_optional(&mut **transaction)
        .await?;
    let mut old: Option<Value> = None;
    if let Some(row) = row {
        if row.try_get::<i64, _>("collected")? > collected.timestamp_millis() {
            return Ok(());
        }
        old = serde_json::from_str(row.try_get("body")?).ok();
    }
    let round = ca::random::<4>()?;
    for (at, change) in trail::changes(old.as_ref(), &new).into_iter().enumerate() {
        let text = |value: Option<&Value>| value.map(Value::to_string);
        sqlx::query(
            "INSERT INTO trail (place, client, audited, path, kind, old, new)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(format!("{:014}-{round}-{at:06}", now.timestamp_millis()))
        .bind(client)
        .bind(now.timestamp_millis())
        .bind(change.path.join("."))
        .bind(change.kind.as_str())
        .bind(text(change.old))
        .bind(text(change.new))
        .execute(&mut **transaction)
        .await?;
    }
    sqlx::query(
        "INSERT INTO documents (client, collected, body) VALUES ($1, $2, $3)
         ON CONFLICT (client) DO UPDATE SET collected = $2, body = $3",
    )
    .bind(client)
    .bind(collected.timestamp_millis())
    .bind(new.to_string())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// What changed in the documents of `client`, newest first.
pub async fn history(db: &Db, client: &str, most: u32) -> Result<Vec<Audited>> {
    let rows = sqlx::query(
        "SELECT audited, path, kind, old, new FROM trail WHERE client = $1
         ORDER BY place DESC LIMIT $2",
    )
    .bind(client)
    .bind(i64::from(most))
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            let json =
                |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
            Ok(Audited {
                audited_at: time(row.try_get("audited")?),
                path: row.try_get("path")?,
                kind: row.try_get("kind")?,
                old: json(row.try_get("old")?),
                new: json(row.try_get("new")?),
            })
        })
        .collect()
}
