//! A file of a tree as anybody could write it: lint and docs read it, and run nothing of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, text)) = bytes.split_first() else { return };
    let paths = ["modules/x.sh", "scripts/daily/x", "modules/x_tools.py", "conf/tiers.toml"];
    authors::lint::survive(paths[usize::from(choice) % paths.len()], text);
});
