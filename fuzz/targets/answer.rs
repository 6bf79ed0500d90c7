//! What a fleet server, or who stands in its place, answers to a submission.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ldi_daemon::submit::survive(bytes));
