//! The words of a push (docs/protocol.md, "codesync receive"): requests, answers and their limits.
//!
//! Pure data. Frames are [`crate::wire`]'s; what the words do is [`crate::push`]'s and
//! [`crate::receive`]'s.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{trust::Versions, wire::FileHead};

/// Most rings in one push.
pub const RINGS_MAX: usize = 64;
/// Longest bundle that is taken, in bytes.
pub const BUNDLE_MAX: u64 = 4 << 30;
/// Longest content that is taken, in bytes.
pub const CONTENT_MAX: u64 = 16 << 30;
/// Longest answer, in bytes.
pub const ANSWER_MAX: u64 = 4 << 20;
/// Most contents named in one answer.
pub const LISTED_MAX: usize = 10_000;
/// Puts that may be under way before an answer is read.
pub const PIPELINE: usize = 64;

/// A request of a publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Must be [`crate::wire::VERSION`].
    pub v: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub op: Op,
}

/// The requests of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Op {
    /// Become the only publisher, and hear what is there.
    Begin {
        /// The rings that will be offered.
        rings: Vec<String>,
    },
    /// Metadata of a ring follows.
    Offer {
        /// The ring.
        ring: String,
        /// The files, in the order in which their bytes follow.
        files: Vec<FileHead>,
    },
    /// Bytes of a bundle, a manifest or a content follow.
    Put {
        /// Lower-case hex.
        sha256: String,
        /// Its whole length.
        length: u64,
        /// The first byte that follows.
        offset: u64,
    },
    /// What is still lacking of an offered ring.
    Contents {
        /// The ring.
        ring: String,
    },
    /// Make what was offered visible.
    Commit,
}

/// The answer to [`Op::Begin`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct State {
    /// What the server has of each ring; zeros for a ring that it lacks.
    pub rings: BTreeMap<String, Held>,
    /// SHA-256 of the first root.json, lower-case hex; `None` in an empty library.
    pub root: Option<String>,
}

/// The versions that a server has of a ring; 0 for none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Held {
    /// Of the root.
    pub root: u64,
    /// Of the timestamp.
    pub timestamp: u64,
    /// Of the snapshot.
    pub snapshot: u64,
    /// Of the targets.
    pub targets: u64,
    /// Of the teams; see [`Versions::teams`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub roles: BTreeMap<String, u64>,
}

impl From<Versions> for Held {
    fn from(versions: Versions) -> Self {
        let Versions { root, timestamp, snapshot, targets, teams: roles } = versions;
        Self { root, timestamp, snapshot, targets, roles }
    }
}

impl From<Held> for Versions {
    fn from(held: Held) -> Self {
        let Held { root, timestamp, snapshot, targets, roles: teams } = held;
        Self { root, timestamp, snapshot, targets, teams }
    }
}

/// The answer to [`Op::Offer`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bundles {
    /// The bundles that the server lacks.
    pub bundles: Vec<Bundle>,
}

/// A bundle that the server lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// `<sha256>.<target>`.
    pub name: String,
    /// Bytes of it that an earlier session left.
    pub have: u64,
}

/// The answer to [`Op::Contents`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contents {
    /// The contents that the server lacks, or its manifest; empty when nothing is missing.
    pub contents: Vec<Content>,
}

/// A content that the server lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub length: u64,
    /// Bytes of it that an earlier session left.
    pub have: u64,
}

/// The answer to [`Op::Commit`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Committed {
    /// The rings that were offered.
    pub rings: Vec<Step>,
}

/// What a commit did to one ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The ring.
    pub ring: String,
    /// Its newest release now.
    pub release: u64,
    /// Its newest release before; 0 for none.
    pub previous: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_documented_form() {
        let form = |op| serde_json::to_string(&Request { v: 1, op }).unwrap();
        assert_eq!(
            form(Op::Begin { rings: vec!["stable".into()] }),
            r#"{"v":1,"op":"begin","rings":["stable"]}"#
        );
        assert_eq!(
            form(Op::Put { sha256: "ab".into(), length: 9, offset: 4 }),
            r#"{"v":1,"op":"put","sha256":"ab","length":9,"offset":4}"#
        );
        assert_eq!(form(Op::Commit), r#"{"v":1,"op":"commit"}"#);
        let more = r#"{"v":1,"op":"contents","ring":"r","more":true}"#;
        assert!(serde_json::from_str::<Request>(more).is_ok());
    }
}
