//! What clients ask over HTTPS: `docs/fleet.md` has the words, crate `ldi-api` their types.
//!
//! An error has a sentence for the client and, where it is the server's own, another one for its log:
//! two types, so that nothing of the second is told.

mod enrolments;
mod submissions;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use ldi_api::{
    enrolment,
    submission::{self, Refusal},
};

use crate::{
    Failure,
    ca::Ca,
    clients::{self, Known},
    config::Config,
    db::Db,
};

/// A compressed request, as it comes.
const MOST_SENT: usize = 4 << 20;

/// What every answer needs.
pub struct App {
    /// The configuration.
    pub config: Config,
    /// The database.
    pub db: Db,
    /// The authority.
    pub ca: Ca,
}

/// The certificate that the other side of a connection has shown: its serial number, hexadecimal.
/// The handshake checked it against the authority.
#[derive(Debug, Clone)]
pub struct Shown(pub Option<String>);

impl Shown {
    /// The machine whose certificate it is.
    async fn machine(&self, app: &App, now: DateTime<Utc>) -> Result<Known, Refused> {
        let Some(serial) = &self.0 else {
            return Err(Refused::new(StatusCode::UNAUTHORIZED, "show the machine's certificate"));
        };
        clients::of_certificate(&app.db, serial, now).await?.ok_or_else(|| {
            let what = "this certificate is not, or no longer, a machine's";
            Refused::new(StatusCode::FORBIDDEN, what)
        })
    }
}

/// Why a request gets no answer: what the client is told.
#[derive(Debug)]
pub struct Refused {
    status: StatusCode,
    sentence: String,
    retry_after: Option<u32>,
}

impl Refused {
    fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into(), retry_after: None }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        tracing::error!("{failure}");
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            sentence: "the server cannot do this now; its log says why".to_owned(),
            retry_after: Some(60),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        let body = serde_json::to_string(&Refusal { error: self.sentence.into() });
        (self.status, headers, body.unwrap_or_default()).into_response()
    }
}

/// All of it.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(enrolment::CA_PATH, get(ca))
        .route(
            enrolment::PATH,
            post(enrolments::enrol).layer(DefaultBodyLimit::max(enrolment::MOST_BYTES)),
        )
        .route(submission::PATH, post(submissions::submit).layer(DefaultBodyLimit::max(MOST_SENT)))
        .route(
            enrolment::RENEWAL_PATH,
            post(enrolments::renew).layer(DefaultBodyLimit::max(enrolment::MOST_BYTES)),
        )
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .fallback(|| async { Refused::new(StatusCode::NOT_FOUND, "nothing is here") })
        .with_state(app)
}

type State = axum::extract::State<Arc<App>>;

async fn ca(app: State) -> Response {
    ([(header::CONTENT_TYPE, "application/x-pem-file")], app.ca.pem().to_owned()).into_response()
}

async fn ready(app: State) -> Result<&'static str, Refused> {
    app.db.ping().await?;
    Ok("ready\n")
}
