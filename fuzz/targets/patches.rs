//! A list of patches of earlier releases: what is read is what is written again.
#![no_main]

use codesync::older;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(patches) = older::parse(bytes, "web.") else { return };
    let again = older::parse(older::text(&patches).as_bytes(), "web.");
    assert_eq!(again.expect("a list that was written is read"), patches);
    assert!(older::listed(patches, 200, 8).len() <= 64 * 8);
});
