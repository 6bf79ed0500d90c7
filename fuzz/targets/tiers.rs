//! `conf/tiers.toml` and the header comments of scripts: signed, and still only words.
#![no_main]

use codesync::{
    manifest::{Manifest, sha256},
    store::File,
};
use ldi_daemon::catalogue::catalogue;

fn file(tree: &std::path::Path, path: &str, bytes: &[u8], executable: bool) -> File {
    let place = tree.join(path);
    std::fs::create_dir_all(place.parent().expect("a folder")).expect("a folder");
    std::fs::write(place, bytes).expect("a file");
    File { path: path.to_owned(), sha256: sha256(bytes), size: bytes.len() as u64, executable }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (conf, script) = match choice % 3 {
        0 => (bytes, &b"#!/bin/sh\n"[..]),
        1 => (&b""[..], bytes),
        _ => (&bytes[..cut], bytes.get(cut + 1..).unwrap_or_default()),
    };
    if choice % 3 == 0 {
        // Without a disk, many times as often.
        if let Ok(text) = std::str::from_utf8(conf) {
            let _ = ldi_daemon::tiers::Tiers::of_release(text);
        }
        return;
    }
    let tree = tempfile::tempdir().expect("a folder");
    let files = vec![
        file(tree.path(), "conf/tiers.toml", conf, false),
        file(tree.path(), "scripts/daily/one", script, true),
    ];
    let files = Manifest::new(files).expect("a manifest");
    if let Ok(all) = catalogue(tree.path(), &files, None) {
        assert!(all.jobs.iter().all(|job| ldi_daemon::tiers::good_name(&job.name)));
    }
});
