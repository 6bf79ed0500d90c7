//! The way to the fleet server: HTTPS with the machine's own certificate.
//!
//! Redirects are not followed, and an answer is bounded before it is read.

use std::time::Duration;

use codesync::source::https::{self, Access};
use ldi_api::submission::{MOST_ANSWER, PATH, Refusal};
use reqwest::{Client, Response, StatusCode, Url, header};

use super::step::{Batch, Exchange};
use crate::{Failure, Result, config, error::code};

/// For one exchange, from the first byte to the last.
const LIMIT: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(20);
/// Smaller bodies cost a packet either way.
const COMPRESS_FROM: usize = 1024;
const LEVEL: i32 = 3;

/// Why `url` cannot be the address of a fleet server; `None` if it can.
pub fn wrong_url(url: &str) -> Option<String> {
    https::parse(url).err().map(|why| format!("{url:?}: {why}"))
}

pub(super) struct Server {
    client: Client,
    url: Url,
    runtime: tokio::runtime::Runtime,
}

/// The address of `path` at the server, and a client that shows the machine's certificate there.
pub fn way(server: &config::Server, path: &str) -> Result<(Url, Client)> {
    let url = server.url.as_deref().unwrap_or_default();
    let address = https::parse(url)
        .ok()
        .and_then(|base| Url::parse(&format!("{base}{path}")).ok())
        .ok_or_else(|| Failure::config(wrong_url(url).unwrap_or_default()))?;
    let access = Access {
        timeout: CONNECT,
        ca_file: server.ca_file.as_deref(),
        client_certificate: server.client_certificate.as_deref(),
        client_key: server.client_key.as_deref(),
        ..Access::default()
    };
    let builder = https::client(&access, address.scheme() == "http")?
        .user_agent(concat!("ldi/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(LIMIT);
    let client = builder
        .build()
        .map_err(|error| Failure::config(format!("cannot prepare HTTPS: {error}")))?;
    Ok((address, client))
}

impl Server {
    pub(super) fn new(server: &config::Server) -> Result<Self> {
        let (url, client) = way(server, PATH)?;
        Ok(Self { client, url, runtime: crate::cli::runtime()? })
    }

    pub(super) fn exchange(&self, batch: &Batch) -> Exchange {
        self.runtime.block_on(self.post(batch.body()))
    }

    async fn post(&self, body: String) -> Exchange {
        let mut request = self.client.post(self.url.clone());
        request = request.header(header::CONTENT_TYPE, "application/json");
        let small = if body.len() < COMPRESS_FROM {
            None
        } else {
            zstd::bulk::compress(body.as_bytes(), LEVEL).ok()
        };
        request = match small {
            Some(small) => request.header(header::CONTENT_ENCODING, "zstd").body(small),
            None => request.body(body),
        };
        match request.send().await {
            Ok(response) => self.understood(response).await,
            Err(error) => self.later(&https::chain(&error), None),
        }
    }

    async fn understood(&self, response: Response) -> Exchange {
        let status = response.status();
        let retry_after = response.headers().get(header::RETRY_AFTER);
        let retry_after =
            retry_after.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
        let body = match body(response).await {
            Ok(body) => body,
            Err(why) => return self.later(&why, retry_after),
        };
        if status == StatusCode::OK {
            return Exchange::Answered(body);
        }
        let (said, own) = match serde_json::from_slice::<Refusal<'_>>(&body) {
            Ok(refusal) => (sentence(refusal.error.as_bytes()), true),
            Err(_) => (sentence(&body), false),
        };
        let refused = || format!("the fleet server refused it ({status}){said}");
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY
                if own =>
            {
                Exchange::Refused(refused())
            }
            StatusCode::PAYLOAD_TOO_LARGE => Exchange::TooLarge(refused()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Exchange::NotPermitted(Failure::new(
                    code::NOT_PERMITTED,
                    format!(
                        "the fleet server {} does not take this machine's word ({status}){said}; \
                         look at client_certificate in [server], or enrol it again",
                        self.url.host_str().unwrap_or_default()
                    ),
                ))
            }
            _ => self.later(&format!("it answered {status}{said}"), retry_after),
        }
    }

    fn later(&self, why: &str, retry_after: Option<u64>) -> Exchange {
        let host = self.url.host_str().unwrap_or_default();
        Exchange::Later {
            why: format!("the fleet server {host} could not be told: {why}"),
            retry_after,
        }
    }
}

/// All of an answer, if it is not too long.
async fn body(mut response: Response) -> std::result::Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| https::chain(&error))? {
        if body.len() + piece.len() > MOST_ANSWER {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What an error's body says, if it is short and for people.
fn sentence(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]);
    let line = text.lines().next().unwrap_or_default().trim();
    match line.is_empty() || line.starts_with('<') || line.chars().any(char::is_control) {
        true => String::new(),
        false => format!(": {line}"),
    }
}
