//! A condition and a document: whatever is read answers, and its denial answers the opposite.
#![no_main]

use chrono::DateTime;
use ldi_server::condition::{Condition, Truth};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let Ok(text) = std::str::from_utf8(&bytes[..cut]) else { return };
    let Ok(condition) = Condition::parse(text) else { return };
    let document = serde_json::from_slice(bytes.get(cut + 1..).unwrap_or_default());
    let document = document.unwrap_or_default();
    let truth = condition.of(&document, DateTime::UNIX_EPOCH);
    // One level deeper may be too deep.
    if let Ok(denied) = Condition::parse(&format!("not ({text})")) {
        let other = denied.of(&document, DateTime::UNIX_EPOCH);
        assert!(matches!(
            (truth, other),
            (Truth::True, Truth::False) | (Truth::False, Truth::True) | (Truth::Unknown, Truth::Unknown)
        ));
    }
});
