//! What a refusal says: what happened, to what, and what to do.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;
use sigstore_tuf::Error as Tuf;

use super::Trust;
use crate::{Error, Kind, Result};

impl Trust {
    pub(super) fn check_ring(&self, name: &str, bytes: &[u8]) -> Result<()> {
        check_ring(self.ring.as_deref(), name, bytes)
    }

    pub(super) fn prefix(&self) -> String {
        self.ring.as_ref().map_or_else(String::new, |ring| format!("ring {ring}: "))
    }

    pub(super) fn lacking(&self, name: &str) -> Error {
        Error::refused(format!("{}the source did not hand out {name}", self.prefix()))
    }

    pub(super) fn stale(&self, name: &str, expired: Option<DateTime<Utc>>) -> Error {
        let role = name.trim_end_matches(".json");
        let when = expired.map_or(String::new(), |t| {
            format!(" on {}", t.to_rfc3339_opts(SecondsFormat::Secs, true))
        });
        let remedy = match role {
            "root" => "sign a new root",
            "timestamp" | "snapshot" => "run codesync refresh on the server",
            _ => "publish anew",
        };
        Error::new(
            Kind::Stale,
            format!(
                "{}{name} expired{when}; nothing newer can be accepted: {remedy} (or set this machine's clock)",
                self.prefix()
            ),
        )
    }

    pub(super) fn refusal(&self, name: &str, error: &Tuf) -> Error {
        if let Tuf::Expired { expires, .. } = error {
            return self.stale(name, DateTime::from_timestamp(expires.as_second(), 0));
        }
        let prefix = self.prefix();
        match error {
            Tuf::Rollback { role, trusted, new } => Error::refused(format!(
                "{prefix}{role} went back from version {trusted} to {new}: the source is outdated or hostile"
            )),
            Tuf::ThresholdNotMet { .. } => Error::refused(format!(
                "{prefix}{name} is not signed by the keys that this machine trusts: it was changed on the way, or the pinned root is another library's"
            )),
            other => Error::refused(format!("{prefix}{name} was refused: {other}")),
        }
    }
}

/// The rings of a library share root keys, so metadata must say which ring it is for.
pub(super) fn check_ring(ring: Option<&str>, name: &str, bytes: &[u8]) -> Result<()> {
    let Some(ring) = ring else { return Ok(()) };
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::refused(format!("ring {ring}: {name} is not JSON: {error}")))?;
    match json["signed"]["ring"].as_str() {
        Some(theirs) if theirs == ring => Ok(()),
        Some(theirs) => {
            Err(Error::refused(format!("ring {ring}: {name} belongs to ring {theirs:?}")))
        }
        None => Err(Error::refused(format!("ring {ring}: {name} does not say its ring"))),
    }
}
