//! A manifest: whatever parses has one text form, and that parses to the same.
#![no_main]

use codesync::manifest::Manifest;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let text = manifest.text();
        assert_eq!(Manifest::parse(text.as_bytes()).ok(), Some(manifest));
    }
});
