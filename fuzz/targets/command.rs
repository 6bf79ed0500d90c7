//! What a client sends in place of a command: only the documented forms get through.
#![no_main]

use std::path::Path;

use ssh_server::{Decision, Policy, decide};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some(policy) = Policy::new(Path::new("/srv/codesync")) else { return };
    match decide(bytes, &policy) {
        Decision::Receive => panic!("a key that may not publish got through"),
        Decision::Serve => assert!(bytes.starts_with(b"codesync") || bytes.starts_with(b" ")),
        Decision::Rsync(_) => {
            let text = String::from_utf8_lossy(bytes);
            let up = text.split(['/', ' ']).any(|part| part == "..");
            assert!(text.contains("--sender") && !up);
        }
        Decision::Refuse(_) => {}
    }
});
