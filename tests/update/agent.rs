//! Agents to publish: the built `ldi` with a few bytes of its data replaced, so that no second
//! build is needed.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use e2e::{command, parts, run};
use tempfile::TempDir;

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
    let file = folder.path().join("ldi");
    strip(&parts::bin("ldi")?, &file)?;
    let mut bytes = fs::read(&file)?;
    for (from, to) in edits.iter().chain([&(BUILT, version)]) {
        ensure!(from.len() == to.len(), "the edit {from} changes a length");
        let places = places(&file, from)?;
        ensure!(!places.is_empty(), "{from} is not in the program");
        for at in places {
            let place = bytes.get_mut(at..at + to.len()).context("beyond the end")?;
            place.copy_from_slice(to.as_bytes());
        }
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

/// Where `word` begins in a file. By grep, as an unoptimised loop takes seconds.
fn places(file: &Path, word: &str) -> Result<Vec<usize>> {
    let mut grep = command(&parts::program("grep")?);
    let done = run(grep.args(["-abo", "-F", "--", word]).arg(file).env("LC_ALL", "C"))?;
    let offsets = done.out();
    let offset = |line: &str| Ok(line.split(':').next().unwrap_or_default().parse()?);
    offsets.lines().map(offset).collect()
}
