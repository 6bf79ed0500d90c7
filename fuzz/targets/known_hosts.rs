//! Pinned host keys: a line of the file, and the key that a host shows.
#![no_main]

use codesync::known_hosts::{Pinned, validate};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH";

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, shown) = bytes.split_at(cut);
    let text = String::from_utf8_lossy(text);
    let shown = shown.get(1..).unwrap_or_default();
    let _ = validate(&text);
    let pinned = Pinned::parse(&text, "code.example.com", 2222);
    let _ = (pinned.check(shown, 1_700_000_000), pinned.algorithms());
    // Whatever else stands in the file, a revoked key is never accepted.
    let revoked = Pinned::parse(&format!("{text}\n@revoked * {KEY}\n[h]:22 {KEY}\n"), "h", 22);
    let wire = [&b"\0\0\0\x0bssh-ed25519\0\0\0\x20"[..], &[7; 32]].concat();
    assert!(revoked.check(&wire, 0).is_err());
});
