//! `POST /api/v1/enrolments` and `/api/v1/renewals`.

use std::collections::BTreeMap;

use axum::{Extension, Json, body::Bytes, http::StatusCode};
use chrono::Utc;
use ldi_api::enrolment::{Enrolled, Enrolment, FORMAT, MOST_FACT, MOST_FACTS, Renewal};

use super::{Refused, Shown, State};
use crate::clients;

pub(super) async fn enrol(app: State, body: Bytes) -> Result<Json<Enrolled>, Refused> {
    let wrong = |what: String| Refused::new(StatusCode::BAD_REQUEST, what);
    let wish: Enrolment<'_> = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("the request cannot be read: {error}")))?;
    if wish.format != FORMAT {
        return Err(wrong(format!(
            "format {} is not known; this server knows {FORMAT}",
            wish.format
        )));
    }
    let plain = |text: &str| text.len() <= MOST_FACT && !text.chars().any(char::is_control);
    if wish.facts.len() > MOST_FACTS || !wish.facts.iter().all(|(k, v)| plain(k) && plain(v)) {
        return Err(wrong("there are too many facts, or one is too long".to_owned()));
    }
    let facts: BTreeMap<&str, &str> =
        wish.facts.iter().map(|(key, value)| (key.as_ref(), value.as_ref())).collect();
    let days = app.config.certificate_days;
    let asked = (wish.token.as_ref(), wish.csr.as_ref());
    match clients::enrol(&app.db, &app.ca, asked, &facts, days, Utc::now()).await? {
        Ok((client, issued)) => {
            tracing::info!(client, name = facts.get("name"), "a machine was enrolled");
            let (certificate, ca) = (issued.pem, app.ca.pem().to_owned());
            Ok(Json(Enrolled { client, certificate, ca }))
        }
        Err(clients::Refused::Request) => Err(wrong(
            "the signing request cannot be read, or is not signed by its own key".to_owned(),
        )),
        Err(clients::Refused::Token) => Err(Refused::new(
            StatusCode::FORBIDDEN,
            "this token is not good: it was never given, is used up, or has expired",
        )),
    }
}

pub(super) async fn renew(
    app: State,
    Extension(shown): Extension<Shown>,
    body: Bytes,
) -> Result<Json<Enrolled>, Refused> {
    let now = Utc::now();
    let client = shown.machine(&app, now).await?.client;
    let wrong = |what: String| Refused::new(StatusCode::BAD_REQUEST, what);
    let wish: Renewal<'_> = serde_json::from_slice(&body)
        .map_err(|error| wrong(format!("the request cannot be read: {error}")))?;
    if wish.format != FORMAT {
        let what = format!("format {} is not known; this server knows {FORMAT}", wish.format);
        return Err(wrong(what));
    }
    let days = app.config.certificate_days;
    let issued = clients::renew(&app.db, &app.ca, &client, &wish.csr, days, now).await?;
    let Some(issued) = issued else {
        return Err(wrong(
            "the signing request cannot be read, or is not signed by its own key".to_owned(),
        ));
    };
    tracing::info!(client, "a certificate was renewed");
    let (certificate, ca) = (issued.pem, app.ca.pem().to_owned());
    Ok(Json(Enrolled { client, certificate, ca }))
}
