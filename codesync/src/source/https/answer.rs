//! One answer of a web server: its status told as an error of ours, its body bounded.

use reqwest::{Client, Response, StatusCode, Url, header};

use super::Counters;
use crate::{Error, Kind, Result};

/// A web server's answer to one GET.
pub(super) struct Answer<'a> {
    response: Response,
    counters: &'a Counters,
    name: String,
    got: u64,
    /// What was read beyond what was to be skipped.
    spare: Option<Vec<u8>>,
}

/// Asks for `url` from byte `offset` on.
pub(super) async fn get<'a>(
    client: &Client,
    counters: &'a Counters,
    url: Url,
    offset: u64,
) -> Result<Answer<'a>> {
    let name = format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let mut request = client.get(url).header(header::ACCEPT_ENCODING, "identity");
    if offset > 0 {
        request = request.header(header::RANGE, format!("bytes={offset}-"));
    }
    // GET, path, the headers that are always there.
    counters.sent(name.len() + 110);
    let response = request.send().await.map_err(|error| {
        Error::new(Kind::Unreachable, format!("cannot fetch {name}: {}", chain(&error)))
    })?;
    let headers: usize =
        response.headers().iter().map(|(key, value)| key.as_str().len() + value.len() + 4).sum();
    counters.received(headers + 20);
    let status = response.status();
    let answer = Answer { response, counters, name, got: 0, spare: None };
    if status.is_success() || answer.absent() {
        return Ok(answer);
    }
    Err(match status {
        StatusCode::RANGE_NOT_SATISFIABLE => Error::refused(format!(
            "{} is shorter on the server than was signed: the source is damaged",
            answer.name
        )),
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => Error::new(
            Kind::Unreachable,
            format!("the server wants credentials for {} ({status})", answer.name),
        ),
        _ => Error::new(
            Kind::Unreachable,
            format!("the server answered {status} to {}", answer.name),
        ),
    })
}

impl Answer<'_> {
    /// A bucket that does not let itself be listed says 403 for what it does not have.
    fn absent(&self) -> bool {
        matches!(
            self.response.status(),
            StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN
        )
    }

    pub(super) fn if_found(self) -> Option<Self> {
        (!self.absent()).then_some(self)
    }

    pub(super) fn found(self) -> Result<Self> {
        if self.absent() {
            return Err(Error::refused(format!(
                "the source does not have {} ({})",
                self.name,
                self.response.status()
            )));
        }
        Ok(self)
    }

    /// Makes the body of a file of `length` bytes begin at `offset`, whether or not the server did.
    /// A file that announces another length is refused.
    pub(super) async fn begin(&mut self, offset: u64, length: u64) -> Result<()> {
        let partial = offset > 0 && self.response.status() == StatusCode::PARTIAL_CONTENT;
        let due = if partial { length.saturating_sub(offset) } else { length };
        if let Some(theirs) = self.response.content_length().filter(|theirs| *theirs != due) {
            return Err(Error::refused(format!(
                "{} has {theirs} bytes on the server where {due} were signed: the source is damaged or hostile",
                self.name
            )));
        }
        if partial {
            let range = self.response.headers().get(header::CONTENT_RANGE);
            let from = range.and_then(|value| value.to_str().ok()).and_then(|text| {
                text.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok()
            });
            return match from == Some(offset) {
                true => Ok(()),
                false => Err(Error::refused(format!(
                    "the server sent another part of {} than was asked for",
                    self.name
                ))),
            };
        }
        // The whole file: a server may ignore ranges.
        let mut left = offset;
        while left > 0 {
            let Some(piece) = self.next().await? else { return self.complete(length - offset) };
            let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            left -= skipped as u64;
            if skipped < piece.len() {
                self.spare = Some(piece[skipped..].to_vec());
            }
        }
        Ok(())
    }

    /// Refuses a body that says beforehand that it has more than `limit` bytes.
    pub(super) fn at_most(&self, limit: u64) -> Result<()> {
        match self.response.content_length() {
            Some(length) if length > limit => Err(self.too_long(length, limit)),
            _ => Ok(()),
        }
    }

    fn too_long(&self, length: u64, limit: u64) -> Error {
        Error::refused(format!(
            "{} has {length} bytes on the server; at most {limit} are accepted",
            self.name
        ))
    }

    /// The next piece of a body of at most `limit` bytes.
    pub(super) async fn piece(&mut self, limit: u64) -> Result<Option<Vec<u8>>> {
        let piece = match self.spare.take() {
            Some(spare) => Some(spare),
            None => self.next().await?,
        };
        let Some(piece) = piece else { return Ok(None) };
        self.got += piece.len() as u64;
        if self.got > limit {
            return Err(self.too_long(self.got, limit));
        }
        Ok(Some(piece))
    }

    /// Whether all `length` bytes came. Fewer are a cut, not a lie: what came is not wrong yet.
    pub(super) fn complete(&self, length: u64) -> Result<()> {
        if self.got == length {
            return Ok(());
        }
        Err(Error::new(
            Kind::Unreachable,
            format!("{} ended after {} of {length} bytes", self.name, self.got),
        ))
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let piece = self.response.chunk().await.map_err(|error| {
            Error::new(Kind::Unreachable, format!("{} was cut off: {}", self.name, chain(&error)))
        })?;
        let Some(piece) = piece else { return Ok(None) };
        self.counters.received(piece.len());
        Ok(Some(piece.to_vec()))
    }
}

/// An error with its causes, in one line, without the URL that the sentence names already.
pub fn chain(error: &reqwest::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    match words.last() {
        // The innermost cause says it all; what is above repeats it.
        Some(last) if !last.is_empty() => {
            last.chars().filter(|c| !c.is_control()).take(300).collect()
        }
        _ if error.is_timeout() => "no answer in time".to_owned(),
        _ => "the request failed".to_owned(),
    }
}
