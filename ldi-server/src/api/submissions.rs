//! `POST /api/v1/submissions`.

use axum::{
    Extension,
    body::Bytes,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::Utc;
use ldi_api::submission::{Answer, FORMAT, MOST_ENTRIES, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::{MOST_SENT, Refused, Shown, State};
use crate::inventory;

#[derive(Deserialize)]
struct Submission {
    format: u32,
    entries: Vec<Value>,
}

pub(super) async fn submit(
    app: State,
    Extension(shown): Extension<Shown>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let now = Utc::now();
    let known = shown.machine(&app, now).await?;
    let body = match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => body.to_vec(),
        // What unpacks to more is refused while it does.
        Some(b"zstd") => zstd::bulk::decompress(&body, MOST_SENT).map_err(|_| {
            Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is no zstd, or unpacks to more than 4 MiB",
            )
        })?,
        Some(_) => {
            return Err(Refused::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "only zstd is understood",
            ));
        }
    };
    let wrong = |what: String| Refused::new(StatusCode::BAD_REQUEST, what);
    let told: Submission = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("the request cannot be read: {error}")))?;
    if told.format != FORMAT {
        return Err(wrong(format!(
            "format {} is not known; this server knows {FORMAT}",
            told.format
        )));
    }
    if told.entries.len() > MOST_ENTRIES {
        return Err(wrong(format!("there are more than {MOST_ENTRIES} entries")));
    }
    let verdicts = inventory::store(&app.db, &known.client, &told.entries, now).await?;
    let entries = verdicts
        .iter()
        .map(|(name, (outcome, reason))| Verdict {
            entry: name.as_str().into(),
            outcome: *outcome,
            reason: reason.as_deref().map(Into::into),
        })
        .collect();
    let text = serde_json::to_string(&Answer { entries, renew: known.old }).unwrap_or_default();
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
