//! A large patch whose signature was somehow right, and the name of one.
#![no_main]

mod edit;

use std::{io::Cursor, sync::OnceLock};

use codesync::{
    large,
    manifest::{File, sha256},
};

fn file(content: &[u8]) -> File {
    let size = content.len() as u64;
    File { path: "large".into(), sha256: sha256(content), size, executable: false }
}

/// Two contents, and the real patch from one to the other.
fn real() -> &'static [Vec<u8>; 3] {
    static REAL: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    REAL.get_or_init(|| {
        let old: Vec<u8> = (0..60_000_u32).flat_map(|n| (n * n / 7).to_le_bytes()).collect();
        let new = [&old[100_000..], b"something new", &old[..90_000]].concat();
        let (before, after) = (file(&old), file(&new));
        let mut patch = Vec::new();
        let from = large::Content { reader: Cursor::new(&old), file: &before };
        let to = large::Content { reader: new.as_slice(), file: &after };
        large::encode(from, to, &mut patch).expect("a patch");
        [old, new, patch]
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let [old, new, patch] = real();
    let _ = std::str::from_utf8(bytes).ok().and_then(large::parse_name);
    let patch = match choice % 3 {
        0 => edit::edited(patch, bytes),
        // The head stays, so that what follows is looked at.
        1 => [&patch[..90.min(patch.len())], bytes].concat(),
        _ => bytes.to_vec(),
    };
    let mut out = Vec::new();
    let done = large::apply(patch.as_slice(), &mut Cursor::new(old), &file(new), &mut out);
    assert!(out.len() <= new.len());
    assert!(done.is_err() || out.len() == new.len());
});
