//! The machines: enrolled once, known by the certificate that they show.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::{AnyConnection, Row};

use crate::{
    Result,
    ca::{self, Ca, Issued},
    condition::Condition,
    db::Db,
    time, tokens,
};

/// One machine.
#[derive(Debug, Clone, Serialize)]
pub struct Client {
    /// The name that the server gave it.
    pub client: String,
    /// What it calls itself; two may be called the same.
    pub name: String,
    /// When it enrolled.
    pub enrolled: DateTime<Utc>,
    /// When the server last heard of it.
    pub last_seen: DateTime<Utc>,
    /// It is no longer let in.
    pub revoked: bool,
    /// What it said of itself when it enrolled.
    pub facts: Value,
    /// What its collectors found last.
    pub document: Option<Value>,
}

/// Why nobody was enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The token is not good.
    Token,
    /// The signing request is none, or is not signed by its own key.
    Request,
}

/// Enrols a machine that has a good token.
pub async fn enrol(
    db: &Db,
    ca: &Ca,
    (secret, csr): (&str, &str),
    facts: &BTreeMap<&str, &str>,
    days: u32,
    now: DateTime<Utc>,
) -> Result<std::result::Result<(String, Issued), Refused>> {
    let client = ca::random::<8>()?;
    let mut transaction = db.begin().await?;
    if !tokens::take(&mut transaction, secret, now).await? {
        return Ok(Err(Refused::Token));
    }
    let Some(issued) = ca.client(csr, &client, now, days)? else {
        return Ok(Err(Refused::Request));
    };
    sqlx::query("INSERT INTO clients (client, name, facts, enrolled, last_seen) VALUES ($1, $2, $3, $4, $4)")
        .bind(&client)
        .bind(facts.get("name").copied().unwrap_or_default())
        .bind(serde_json::to_string(facts).unwrap_or_default())
        .bind(now.timestamp_millis())
        .execute(&mut *transaction)
        .await?;
    written(&mut transaction, &client, &issued, now).await?;
    transaction.commit().await?;
    Ok(Ok((client, issued)))
}

/// A certificate that a machine has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Whose it is.
    pub client: String,
    /// It is in the last third of its life.
    pub old: bool,
}

/// Whose certificate has this serial number, if it is still let in.
pub async fn of_certificate(db: &Db, serial: &str, now: DateTime<Utc>) -> Result<Option<Known>> {
    let row = sqlx::query(
        "SELECT clients.client, issued, not_after FROM certificates JOIN clients ON clients.client = certificates.client
         WHERE serial = $1 AND certificates.revoked IS NULL AND clients.revoked IS NULL",
    )
    .bind(serial)
    .fetch_optional(db.pool())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (issued, ends): (i64, i64) = (row.try_get("issued")?, row.try_get("not_after")?);
    let old = now.timestamp_millis() > ends - (ends - issued) / 3;
    Ok(Some(Known { client: row.try_get("client")?, old }))
}

/// Another certificate for a machine; `None` if the request is none.
pub async fn renew(
    db: &Db,
    ca: &Ca,
    client: &str,
    csr: &str,
    days: u32,
    now: DateTime<Utc>,
) -> Result<Option<Issued>> {
    let Some(issued) = ca.client(csr, client, now, days)? else { return Ok(None) };
    written(&mut *db.pool().acquire().await?, client, &issued, now).await?;
    Ok(Some(issued))
}

async fn written(
    connection: &mut AnyConnection,
    client: &str,
    issued: &Issued,
    now: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO certificates (serial, client, issued, not_after) VALUES ($1, $2, $3, $4)",
    )
    .bind(&issued.serial)
    .bind(client)
    .bind(now.timestamp_millis())
    .bind(issued.not_after.timestamp_millis())
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets a machine in no more; whether there was one that was.
pub async fn revoke(db: &Db, client: &str, now: DateTime<Utc>) -> Result<bool> {
    let done = sqlx::query("UPDATE clients SET revoked = $2 WHERE client = $1 AND revoked IS NULL")
        .bind(client)
        .bind(now.timestamp_millis())
        .execute(db.pool())
        .await?;
    Ok(done.rows_affected() > 0)
}

impl Client {
    /// What a condition is asked of: the document, with what the server knows itself.
    pub fn facts(&self) -> Value {
        let mut all = match &self.document {
            Some(Value::Object(document)) => document.clone(),
            _ => serde_json::Map::new(),
        };
        all.insert("client".into(), self.client.clone().into());
        all.insert("name".into(), self.name.clone().into());
        all.insert("last_seen".into(), self.last_seen.to_rfc3339().into());
        all.insert("enrolled".into(), self.enrolled.to_rfc3339().into());
        all.insert("revoked".into(), self.revoked.into());
        Value::Object(all)
    }
}

/// The machines of which `which` holds, by name.
pub async fn list(db: &Db, which: Option<&Condition>, now: DateTime<Utc>) -> Result<Vec<Client>> {
    let rows = sqlx::query(
        "SELECT clients.client, name, facts, enrolled, last_seen, revoked, body
         FROM clients LEFT JOIN documents ON documents.client = clients.client
         ORDER BY name, clients.client",
    )
    .fetch_all(db.pool())
    .await?;
    let mut found = Vec::new();
    for row in rows {
        let json = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        let client = Client {
            client: row.try_get("client")?,
            name: row.try_get("name")?,
            enrolled: time(row.try_get("enrolled")?),
            last_seen: time(row.try_get("last_seen")?),
            revoked: row.try_get::<Option<i64>, _>("revoked")?.is_some(),
            facts: json(row.try_get("facts")?).unwrap_or_default(),
            document: json(row.try_get("body")?),
        };
        if which.is_none_or(|which| which.holds(&client.facts(), now)) {
            found.push(client);
        }
    }
    Ok(found)
}
