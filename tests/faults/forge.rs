//! What a publisher with real keys and bad intentions can make: names, bundles and counts that
//! `codesync publish` would never write, under signatures that are right.

use std::{fs, path::PathBuf};

use anyhow::Result;
use chrono::{TimeDelta, Utc};
use codesync::{
    library::Library,
    manifest::sha256,
    sign::{Keys, Role, envelope},
};
use e2e::Sandbox;
use serde_json::{Map, Value, json};

/// One file of a hostile release.
pub struct Item {
    /// Its path, as bytes.
    pub path: Vec<u8>,
    /// Its size, as claimed.
    pub size: u64,
    /// Its hash, as claimed.
    pub sha256: [u8; 32],
}

impl Item {
    /// A file of `content` called `path`.
    pub fn new(path: &[u8], content: &[u8]) -> Self {
        Self { path: path.to_vec(), size: content.len() as u64, sha256: sha256(content) }
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The text of a manifest with `items`, whatever they are called.
pub fn manifest(items: &[Item]) -> Vec<u8> {
    let mut text = b"{\"format\":1,\"files\":[\n".to_vec();
    for (number, item) in items.iter().enumerate() {
        text.extend_from_slice(b"{\"path\":\"");
        for byte in &item.path {
            match byte {
                0..0x20 => text.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
                _ => text.push(*byte),
            }
        }
        let rest = format!(
            "\",\"sha256\":\"{}\",\"size\":{},\"mode\":\"0644\"}}",
            hex(&item.sha256),
            item.size
        );
        text.extend_from_slice(rest.as_bytes());
        text.extend_from_slice(if number + 1 < items.len() { b",\n" } else { b"\n" });
    }
    text.extend_from_slice(b"]}\n");
    text
}

/// LEB128.
pub fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The edits that add `items`.
pub fn edits(items: &[Item]) -> Vec<u8> {
    let mut bytes = [varint(0), varint(items.len() as u64)].concat();
    for item in items {
        bytes.push(2);
        bytes.extend(varint(item.path.len() as u64));
        bytes.extend_from_slice(&item.path);
        bytes.extend(varint(item.size));
        bytes.extend_from_slice(&item.sha256);
    }
    bytes
}

/// A zstd frame by hand: `head` as it is, then `repeat` times the byte `fill`; its window is
/// 2^`window` bytes. Four bytes of it stand for 128 KiB.
pub fn frame(head: &[u8], fill: u8, repeat: u64, window: u8) -> Vec<u8> {
    let mut bytes = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window - 10) << 3];
    let block = |kind: u32, length: u32, last: bool| {
        let [a, b, c, _] = (u32::from(last) | kind << 1 | length << 3).to_le_bytes();
        [a, b, c]
    };
    for piece in head.chunks(100_000) {
        bytes.extend(block(0, u32::try_from(piece.len()).unwrap_or(0), false));
        bytes.extend_from_slice(piece);
    }
    let mut left = repeat;
    while left > 0 {
        let length = left.min(128 << 10);
        bytes.extend(block(1, u32::try_from(length).unwrap_or(0), false));
        bytes.push(fill);
        left -= length;
    }
    bytes.extend(block(0, 0, true));
    bytes
}

/// A bundle from the empty release with `raw` announced, `basis` in its header, and `frame`.
pub fn bundle(to: u64, raw: u64, basis: &[u8], frame: &[u8]) -> Result<Vec<u8>> {
    let head = [b"LDIB\x01".to_vec(), varint(0), varint(to), varint(raw), basis.to_vec()].concat();
    let length = u32::try_from(head.len())?.to_le_bytes();
    Ok([&0x184D_2A5C_u32.to_le_bytes()[..], &length, &head, frame].concat())
}

/// A ring and its real keys.
pub struct Forge<'a> {
    sandbox: &'a Sandbox,
    targets: Map<String, Value>,
}

impl<'a> Forge<'a> {
    /// Nothing yet.
    pub fn new(sandbox: &'a Sandbox) -> Self {
        Self { sandbox, targets: Map::new() }
    }

    /// The number of the release that will be signed.
    pub fn number(&self) -> Result<u64> {
        Ok(Library::open(&self.sandbox.library())?.versions("stable")?.targets + 1)
    }

    /// A file of the ring.
    pub fn ring(&self, name: &str) -> PathBuf {
        self.sandbox.library().join("rings/stable").join(name)
    }

    /// Adds the target `name`, said to be `length` bytes long.
    pub fn target(&mut self, name: &str, bytes: &[u8], length: u64) -> Result<()> {
        let hash = hex(&sha256(bytes));
        fs::write(self.ring(&format!("targets/{hash}.{name}")), bytes)?;
        self.targets.insert(name.into(), json!({"length": length, "hashes": {"sha256": hash}}));
        Ok(())
    }

    /// Adds `content` to the objects.
    pub fn object(&self, content: &[u8]) -> Result<()> {
        let hash = hex(&sha256(content));
        let folder = self.sandbox.library().join("objects").join(&hash[..2]);
        fs::create_dir_all(&folder)?;
        Ok(fs::write(folder.join(hash), content)?)
    }

    /// Signs the release.
    pub fn sign(self) -> Result<()> {
        let old = Library::open(&self.sandbox.library())?.versions("stable")?;
        let keys = Keys::new(&self.sandbox.keys());
        let expires = (Utc::now() + TimeDelta::days(9)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
        let (release, snapshot) = (old.targets + 1, old.snapshot + 1);
        let targets = json!({
            "_type": "targets", "spec_version": "1.0.0", "version": release, "expires": expires,
            "ring": "stable", "published": "2026-01-01T00:00:00Z", "note": "",
            "targets": self.targets,
        });
        let targets = envelope(&targets, &[&keys.role(Role::Targets)?])?;
        fs::write(self.ring(&format!("{release}.targets.json")), targets)?;
        let words = json!({
            "_type": "snapshot", "spec_version": "1.0.0", "version": snapshot, "expires": expires,
            "ring": "stable", "meta": {"targets.json": {"version": release}},
        });
        let words = envelope(&words, &[&keys.role(Role::Snapshot)?])?;
        fs::write(self.ring(&format!("{snapshot}.snapshot.json")), &words)?;
        let timestamp = json!({
            "_type": "timestamp", "spec_version": "1.0.0", "version": old.timestamp + 1,
            "expires": expires, "ring": "stable",
            "meta": {"snapshot.json": {"version": snapshot, "length": words.len(),
                "hashes": {"sha256": hex(&sha256(&words))}}},
        });
        let timestamp = envelope(&timestamp, &[&keys.role(Role::Timestamp)?])?;
        Ok(fs::write(self.ring("timestamp.json"), timestamp)?)
    }
}
