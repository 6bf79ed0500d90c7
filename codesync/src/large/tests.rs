//! Patches of contents that were changed here and there, moved, and lied about.

use std::io::Cursor;

use super::*;
use crate::manifest::sha256;

/// Bytes that nothing can compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        bytes.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn file(content: &[u8]) -> File {
    File {
        path: "large".into(),
        sha256: sha256(content),
        size: content.len() as u64,
        executable: false,
    }
}

fn patch(old: &[u8], new: &[u8]) -> Vec<u8> {
    let (before, after) = (file(old), file(new));
    let mut out = Vec::new();
    let old = Content { reader: Cursor::new(old), file: &before };
    encode(old, Content { reader: new, file: &after }, &mut out).unwrap();
    out
}

fn applied(patch: &[u8], old: &[u8], new: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    apply(patch, &mut Cursor::new(old), &file(new), &mut out).map(|()| out)
}

#[test]
fn a_change_costs_what_changed() {
    let old = noise(20 << 20, 1);
    let mut here_and_there = old.clone();
    for at in (0..old.len()).step_by(1 << 20) {
        here_and_there[at..at + 1000].copy_from_slice(&noise(1000, at as u64));
    }
    let inserted = [&noise(700_000, 2)[..], &old].concat();
    // Far more than a basis holds has changed places.
    let moved = [&old[14 << 20..], &old[..14 << 20]].concat();
    let shorter = [&old[..5 << 20], &old[19 << 20..]].concat();
    for (what, new, limit) in [
        ("the same", &old, 12_000),
        ("20 places", &here_and_there, 40_000),
        ("an insertion", &inserted, 740_000),
        ("moved", &moved, 30_000),
        ("shorter", &shorter, 12_000),
        ("empty", &Vec::new(), 100),
        ("another", &noise(3 << 20, 9), (3 << 20) + 1000),
    ] {
        let patch = patch(&old, new);
        assert!(patch.len() < limit, "{what}: {}", patch.len());
        assert!(applied(&patch, &old, new).unwrap() == *new, "{what}");
    }
    assert!(applied(&patch(&[], &old), &[], &old).unwrap() == old);
}

#[test]
fn what_is_damaged_is_refused_or_leads_elsewhere() {
    let old = noise(2 << 20, 1);
    let new = [&noise(5000, 2)[..], &old].concat();
    let good = patch(&old, &new);
    for at in (0..good.len()).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 0x20;
        assert!(applied(&bad, &old, &new).map_or(true, |got| got.len() == new.len()));
    }
    for cut in [0, 5, 60, 90, good.len() - 1] {
        assert!(applied(&good[..cut], &old, &new).is_err(), "{cut}");
    }
    assert!(applied(&[&good[..], b"x"].concat(), &old, &new).is_err());
    // Of another old content, and to another new one.
    assert!(applied(&good, &noise(100, 3), &new).map_or(true, |got| got != new));
    assert_eq!(applied(&good, &old, &old).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn bounds_hold_before_anything_is_read() {
    let new = noise(1000, 1);
    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&[0; 32]);
    header.extend_from_slice(&sha256(&new));
    put_varint(&mut header, 1 << 40);
    put_varint(&mut header, 1000);
    for words in [
        &[0, 0][..],
        &[1001, 0],
        &[1000, 1 << 40],
        &[1000, 1, 0, BASIS_MAX + 1],
        &[1000, 2, 0, BASIS_MAX, 0, 1],
        &[1000, 1, 1 << 40, 1],
        &[1000, 1, u64::MAX, 2],
    ] {
        let mut bytes = Vec::new();
        skippable::write(&mut bytes, &header).unwrap();
        let mut head = Vec::new();
        words.iter().for_each(|word| put_varint(&mut head, *word));
        skippable::write(&mut bytes, &head).unwrap();
        assert_eq!(applied(&bytes, &[], &new).unwrap_err().kind(), Kind::Refused, "{words:?}");
    }
}

#[test]
fn names_round_trip() {
    let (old, new) = (sha256(b"old"), sha256(b"new"));
    assert_eq!(parse_name(&name(&old, &new)), Some((short(&old), short(&new))));
    assert!(name(&old, &new).starts_with(&hex::encode(old)[..16]));
    for other in ["1-2.patch.zst", "1-2.large.zst", "+123456789abcdef-0123456789abcdef.large.zst"] {
        assert_eq!(parse_name(other), None, "{other}");
    }
}
