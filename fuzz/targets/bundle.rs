//! A bundle whose signature was somehow right.
#![no_main]

use codesync::{
    bundle,
    manifest::{File, Manifest, sha256},
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let contents: Vec<Vec<u8>> = (0..4_u8).map(|n| vec![n; 64]).collect();
    let files = contents
        .iter()
        .enumerate()
        .map(|(n, content)| File {
            path: format!("f{n}"),
            sha256: sha256(content),
            size: 64,
            executable: false,
        })
        .collect();
    let Ok(old) = Manifest::new(files) else { return };
    let mut reader = bytes;
    let Ok(header) = bundle::read_header(&mut reader) else { return };
    if header.raw > 1 << 20 {
        return;
    }
    let basis = |file: &File| Ok(contents.iter().find(|c| sha256(c) == file.sha256).cloned().unwrap_or_default());
    let _ = bundle::decode(&header, reader, &old, &basis, &mut |_| Ok(()), &mut |_, _| Ok(()));
});
