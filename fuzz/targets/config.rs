//! `ldi.toml`: read or refused with a place, never a panic.
#![no_main]

use ldi_daemon::config::Config;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse("ldi.toml", text) {
        Ok(config) => {
            let _ = (config.sync_settings(), config.all_tags());
            for source in &config.sync.source {
                let _ = codesync::source::Address::parse(source);
            }
        }
        Err(wrong) => assert!(wrong.to_string().starts_with("ldi.toml")),
    }
});
