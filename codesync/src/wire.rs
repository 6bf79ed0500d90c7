//! Frames (docs/protocol.md): reading and writing them, and the limits of each.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
};

use serde::{Deserialize, Serialize};

use crate::{Error, Kind, Result};

/// The protocol's version.
pub const VERSION: u32 = 1;
/// Most contents in one `objects` request.
pub const OBJECTS_MAX: usize = 500;
/// Longest signature in a `delta` request, in bytes: ten times what `ldi` sends for the largest file.
pub const SIGNATURE_MAX: u64 = 1 << 20;
/// Payload of the data frames that we write.
pub const PIECE: usize = 64 << 10;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tag {
    /// A request.
    Request,
    /// Part of a signature.
    Signature,
    /// A file follows.
    File,
    /// Part of a file.
    Data,
    /// End of an answer.
    End,
    /// End of an answer that failed.
    Error,
    /// Still at work; only `receive` sends it.
    Work,
}

impl Tag {
    fn byte(self) -> u8 {
        match self {
            Tag::Request => b'Q',
            Tag::Signature => b'S',
            Tag::File => b'F',
            Tag::Data => b'D',
            Tag::End => b'Z',
            Tag::Error => b'E',
            Tag::Work => b'W',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        use Tag::{Data, End, Error, File, Request, Signature, Work};
        [Request, Signature, File, Data, End, Error, Work]
            .into_iter()
            .find(|tag| tag.byte() == byte)
    }

    /// The longest payload, in bytes.
    pub fn limit(self) -> u32 {
        match self {
            Tag::Request => 64 << 10,
            Tag::Signature | Tag::Data => 256 << 10,
            Tag::File | Tag::Error => 4 << 10,
            Tag::End | Tag::Work => 0,
        }
    }
}

/// A request of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Must be [`VERSION`].
    pub v: u32,
    /// What is wanted.
    #[serde(flatten)]
    pub op: Op,
}

/// The requests of version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Op {
    /// Metadata newer than these versions.
    Refresh {
        /// The ring.
        ring: String,
        /// Version of the accepted root.
        root: u64,
        /// Version of the accepted timestamp.
        timestamp: u64,
        /// Version of the accepted snapshot.
        snapshot: u64,
        /// Version of the accepted targets.
        targets: u64,
        /// Versions of the teams' metadata that the client has. Without it, no team's is sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roles: Option<BTreeMap<String, u64>>,
    },
    /// A file of `targets/`.
    Target {
        /// The ring.
        ring: String,
        /// `<sha256>.<target>`.
        name: String,
        /// First byte wanted.
        #[serde(default)]
        offset: u64,
    },
    /// Contents by hash.
    Objects {
        /// Lower-case hex.
        sha256: Vec<String>,
        /// First byte wanted; other than 0 only where one content is asked for.
        #[serde(default, skip_serializing_if = "is_zero")]
        offset: u64,
    },
    /// The difference between what a signature describes and a content.
    Delta {
        /// The content, lower-case hex.
        sha256: String,
        /// Bytes of the signature that follows.
        length: u64,
    },
}

fn is_zero(offset: &u64) -> bool {
    *offset == 0
}

/// Announces a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHead {
    /// Metadata name, target file or hash.
    pub name: String,
    /// Bytes that follow.
    pub length: u64,
}

/// Why an answer failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// `bad-request`, `not-found`, `limit` or `internal`; from `receive` also `busy` and `refused`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

/// Writes one frame.
pub fn write_frame(out: &mut impl Write, tag: Tag, payload: &[u8]) -> std::io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|length| *length <= tag.limit())
        .ok_or_else(|| std::io::Error::new(ErrorKind::InvalidInput, "a frame over its limit"))?;
    let [a, b, c, d] = length.to_be_bytes();
    out.write_all(&[tag.byte(), a, b, c, d])?;
    out.write_all(payload)
}

/// Reads one frame into `payload`; `None` at a clean end. Nothing is allocated for a frame that
/// is over its limit.
pub fn read_frame(reader: &mut impl Read, payload: &mut Vec<u8>) -> Result<Option<Tag>> {
    let mut head = [0; 5];
    if !read_or_end(reader, &mut head)? {
        return Ok(None);
    }
    let [tag, length @ ..] = head;
    let length = u32::from_be_bytes(length);
    let tag = Tag::from_byte(tag).ok_or_else(|| {
        Error::refused(format!("the other end sent an unknown frame ({tag:#04x})"))
    })?;
    if length > tag.limit() {
        return Err(Error::refused(format!(
            "the other end announced a frame of {length} bytes; {tag:?} frames hold at most {}",
            tag.limit()
        )));
    }
    payload.clear();
    payload.resize(length as usize, 0);
    reader.read_exact(payload).map_err(|error| gone(&error))?;
    Ok(Some(tag))
}

fn read_or_end(reader: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) if filled == 0 => return Ok(false),
            Ok(0) => return Err(gone(&ErrorKind::UnexpectedEof.into())),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(gone(&error)),
        }
    }
    Ok(true)
}

/// A connection that broke: another try may succeed.
pub fn gone(error: &std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            Error::new(Kind::Unreachable, "the connection ended in the middle of an answer")
        }
        ErrorKind::TimedOut | ErrorKind::WouldBlock => {
            Error::new(Kind::Unreachable, "the other end went silent")
        }
        _ => Error::new(Kind::Unreachable, format!("the connection broke: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_round_trip() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, Tag::Data, b"abc").unwrap();
        write_frame(&mut bytes, Tag::End, b"").unwrap();
        let mut reader = bytes.as_slice();
        let mut payload = Vec::new();
        assert_eq!(read_frame(&mut reader, &mut payload).unwrap(), Some(Tag::Data));
        assert_eq!(payload, b"abc");
        assert_eq!(read_frame(&mut reader, &mut payload).unwrap(), Some(Tag::End));
        assert_eq!(read_frame(&mut reader, &mut payload).unwrap(), None);
    }

    #[test]
    fn requests_have_the_documented_form() {
        let refresh = |roles: Option<&[(&str, u64)]>| Request {
            v: 1,
            op: Op::Refresh {
                ring: "stable".into(),
                root: 1,
                timestamp: 17,
                snapshot: 9,
                targets: 9,
                roles: roles.map(|all| all.iter().map(|(n, v)| ((*n).into(), *v)).collect()),
            },
        };
        let before = r#"{"v":1,"op":"refresh","ring":"stable","root":1,"timestamp":17,"snapshot":9,"targets":9"#;
        for (roles, rest) in [
            (None, "}"),
            (Some(&[][..]), r#","roles":{}}"#),
            (Some(&[("web", 3)][..]), r#","roles":{"web":3}}"#),
        ] {
            let text = format!("{before}{rest}");
            assert_eq!(serde_json::to_string(&refresh(roles)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), refresh(roles));
        }
        let target = r#"{"v":1,"op":"target","ring":"r","name":"x","more":true}"#;
        assert!(serde_json::from_str::<Request>(target).is_ok());
    }

    #[test]
    fn hostile_frames_are_refused_before_allocation() {
        let mut payload = Vec::new();
        for (bytes, kind) in [
            (&b"D\xff\xff\xff\xff"[..], Kind::Refused),
            (&b"X\x00\x00\x00\x00"[..], Kind::Refused),
            (&b"Z\x00\x00\x00\x01a"[..], Kind::Refused),
            (&b"D\x00\x00"[..], Kind::Unreachable),
            (&b"D\x00\x00\x00\x05ab"[..], Kind::Unreachable),
        ] {
            let error = read_frame(&mut { bytes }, &mut payload).unwrap_err();
            assert_eq!(error.kind(), kind, "{bytes:?}");
            assert!(payload.capacity() < 1 << 20);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = read_frame(&mut bytes.as_slice(), &mut Vec::new());
            let _ = serde_json::from_slice::<Request>(&bytes);
        }
    }
}
