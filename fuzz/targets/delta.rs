//! rsync's signature and delta as a server and a client take them from each other.
#![no_main]

use codesync::serve::sane;

const LIMIT: usize = 1 << 16;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let base: Vec<u8> = (0..40_000_u32).map(|n| (n / 7) as u8).collect();
    if choice % 2 == 0 {
        // A client's signature, as the server reads it.
        if sane(bytes)
            && let Ok(signature) = fast_rsync::Signature::deserialize(bytes.to_vec())
        {
            let mut delta = Vec::new();
            let _ = fast_rsync::diff(&signature.index(), &base, &mut delta);
            assert!(delta.len() < 2 * base.len());
        }
    } else {
        // A server's delta, as the client applies it.
        let mut out = Vec::new();
        if fast_rsync::apply_limited(&base, bytes, &mut out, LIMIT).is_ok() {
            assert!(out.len() <= LIMIT);
        }
    }
});
