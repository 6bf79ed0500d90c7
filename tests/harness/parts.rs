//! The parts that tests need: programs of the system, and the programs that this workspace built.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

// Fixed, so that a test does not depend on the caller's PATH.
const FOLDERS: &[&str] = &[
    "/usr/bin",
    "/usr/sbin",
    "/bin",
    "/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
];

/// The absolute path of a system program, if it is installed.
pub fn find(name: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.is_file())
}

/// The absolute path of a system program; an error names it.
pub fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("{name} is not installed; run tests/install-tools"))
}

/// Whether this runs where every part must be present (`CI=true`).
pub fn strict() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// Whether the system programs `names` are all there. A missing one is an error under
/// `CI=true`; elsewhere it is printed and the answer is `false`, and the test returns.
pub fn need(names: &[&str]) -> Result<bool> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| find(name).is_none()).collect();
    absent(&missing)
}

/// As [`need`], for programs of this workspace.
pub fn need_bins(names: &[&str]) -> Result<bool> {
    let missing: Vec<&str> = names.iter().copied().filter(|name| bin(name).is_err()).collect();
    absent(&missing)
}

/// As [`need`], for parts that the caller looked for and did not find.
pub fn absent(missing: &[&str]) -> Result<bool> {
    if missing.is_empty() {
        return Ok(true);
    }
    let list = missing.join(", ");
    if strict() {
        bail!("missing: {list}; run tests/install-tools and cargo build --workspace");
    }
    eprintln!("left out, because these are missing: {list}");
    Ok(false)
}

/// The program `name` of this workspace, of the same profile as the running test.
pub fn bin(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot tell where this test was built")?;
    // target/debug/deps/sync-0123 or target/release/bench.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built; run cargo build --workspace first"))
}

/// The example `name` of this workspace, of the same profile as the running program.
pub fn example(name: &str) -> Result<PathBuf> {
    bin(&format!("examples/{name}"))
}

/// The root of this repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
