//! A bundle whose signature was somehow right.
#![no_main]

mod edit;

use std::sync::OnceLock;

use codesync::{
    bundle,
    manifest::{File, Manifest, sha256},
};

fn file(path: &str, content: &[u8]) -> File {
    File {
        path: path.to_owned(),
        sha256: sha256(content),
        size: content.len() as u64,
        executable: false,
    }
}

fn contents() -> Vec<Vec<u8>> {
    (0..6_u8).map(|n| vec![n; 64]).collect()
}

fn old() -> Manifest {
    let files = contents().into_iter().take(4).enumerate();
    Manifest::new(files.map(|(n, content)| file(&format!("f{n}"), &content)).collect())
        .expect("a manifest")
}

fn content(file: &File) -> codesync::Result<Vec<u8>> {
    Ok(contents().into_iter().find(|c| sha256(c) == file.sha256).unwrap_or_default())
}

/// A real patch: one file changed, one added, one removed.
fn real() -> &'static [u8] {
    static REAL: OnceLock<Vec<u8>> = OnceLock::new();
    REAL.get_or_init(|| {
        let [a, b, _, d, e, f] = &contents()[..] else { return Vec::new() };
        let files = vec![file("f0", a), file("f1", b), file("f3", e), file("g/h", f), file("i", d)];
        let new = Manifest::new(files).expect("a manifest");
        let mut bytes = Vec::new();
        bundle::encode((1, &old()), (2, &new), &content, &mut bytes).expect("a bundle");
        bytes
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let bytes = if choice % 2 == 0 { edit::edited(real(), bytes) } else { bytes.to_vec() };
    let old = old();
    let mut reader = bytes.as_slice();
    let Ok(header) = bundle::read_header(&mut reader) else { return };
    if header.raw > 1 << 20 {
        return;
    }
    let mut received = 0;
    let _ = bundle::decode(&header, reader, &old, &content, &mut |_| Ok(()), &mut |_, content| {
        received += content.len() as u64;
        Ok(())
    });
    assert!(received <= header.raw);
});
