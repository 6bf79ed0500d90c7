//! Agents to publish: the built `ldi` with a few bytes of its data replaced, so that no second
//! build is needed.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{command, parts, run};
use tempfile::TempDir;

/// Where this machine's agent stands in a library.
pub const FOLDER: &str = if cfg!(target_env = "musl") {
    concat!("agent/", "x86_64-unknown-linux-musl")
} else {
    concat!("agent/", "x86_64-unknown-linux-gnu")
};

/// The version of the built program.
const BUILT: &str = env!("CARGO_PKG_VERSION");

/// What is replaced in a program, by words of the same length.
pub type Edit<'a> = (&'a str, &'a str);

/// No sync works with it.
pub const CANNOT_SYNC: Edit<'_> = ("timestamp.json", "timestamp.jsoX");
/// No daemon starts with it: the journal would be in a folder that does not exist.
pub const CANNOT_START: Edit<'_> = ("state.db", "stat/.db");

/// The built `ldi` that says it is `version`, with `edits`.
pub fn agent(version: &str, edits: &[Edit<'_>]) -> Result<Vec<u8>> {
    let folder = TempDir::new()?;
    let small = folder.path().join("ldi");
    strip(&parts::bin("ldi")?, &small)?;
    let mut bytes = fs::read(&small)?;
    for (from, to) in edits.iter().chain([&(BUILT, version)]) {
        replace(&mut bytes, from.as_bytes(), to.as_bytes())?;
    }
    Ok(bytes)
}

/// Without its tables for debuggers, which take long to publish.
fn strip(from: &Path, to: &Path) -> Result<()> {
    match parts::find("objcopy") {
        Some(objcopy) => {
            run(command(&objcopy).arg("--strip-all").arg(from).arg(to))?.success()?;
        }
        None => drop(fs::copy(from, to)?),
    }
    Ok(())
}

fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) -> Result<()> {
    ensure!(from.len() == to.len(), "the edit changes a length");
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes.get(at..).and_then(|rest| position(rest, from)) {
        let start = at + next;
        at = start + from.len();
        bytes.get_mut(start..at).context("beyond the end")?.copy_from_slice(to);
        found += 1;
    }
    ensure!(found > 0, "{:?} is not in the program", String::from_utf8_lossy(from));
    Ok(())
}

fn position(bytes: &[u8], word: &[u8]) -> Option<usize> {
    let first = *word.first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(word) {
            return Some(at);
        }
        at += 1;
    }
}
