//! `POST /api/v1/submissions`: what a client has to tell, many entries at once.
//!
//! The body is `{"format":1,"entries":[…]}`, whole or with `Content-Encoding: zstd`. An entry is an
//! object with a `format` and an `entry`, its name, and one of `run` and `sync`. Who sends is told
//! by the client's certificate. The answer is 200 with an [`Answer`] that speaks of each entry by
//! itself; what it does not name was not taken, and is sent again. A name that came before is
//! `stored` again: an answer may have been lost.
//!
//! A request that cannot be read is 400, one that is too large 413, one that is sent too soon 429
//! or 503 (with `Retry-After` in seconds), one from nobody 401 and from somebody else 403; the body
//! is a [`Refusal`]. None of these means that an entry was taken. What has no such body is not the
//! server's word: a proxy's, most of all.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Where it goes, beneath the server's address.
pub const PATH: &str = "/api/v1/submissions";
/// Of the request's form.
pub const FORMAT: u32 = 1;
/// Entries in one request.
pub const MOST_ENTRIES: usize = 500;
/// Bytes of one request, before it is compressed, unless it has only one entry.
pub const MOST_BYTES: usize = 1 << 20;
/// Bytes of one answer.
pub const MOST_ANSWER: usize = 1 << 20;

/// What became of the entries of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer<'a> {
    /// One for each that the server decided on.
    #[serde(borrow)]
    pub entries: Vec<Verdict<'a>>,
    /// The certificate that was shown is in the last third of its life: ask for another one, see
    /// [`RENEWAL_PATH`](crate::enrolment::RENEWAL_PATH).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub renew: bool,
}

/// Why a request was refused: the body of every answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal<'a> {
    /// One sentence.
    #[serde(borrow)]
    pub error: Cow<'a, str>,
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict<'a> {
    /// Its name.
    #[serde(borrow)]
    pub entry: Cow<'a, str>,
    /// What the server did with it.
    pub outcome: Outcome,
    /// Why it was rejected: one sentence.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'a, str>>,
}

/// What a server can do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is on the server's disk, now or since an earlier request.
    Stored,
    /// The server will never take it.
    Rejected,
}
