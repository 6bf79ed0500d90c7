//! What `codesync lint` costs, beside one `bash -n` and one compiling Python for each file.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Sandbox, parts, script_text, tree};

use crate::numbers::{Aim, Figure, Samples, Unit};

/// The most that a tree of 1,000 files may take, in milliseconds.
const GOAL: f64 = 3_000.0;
/// Lines that compile one file of Python and run nothing of it.
const COMPILE: &str = "import sys; compile(open(sys.argv[1]).read(), sys.argv[1], 'exec')";

/// A tree of `count` files, in `rounds`.
pub fn lint(seed: u64, count: usize, rounds: usize) -> Result<Vec<Figure>> {
    let sandbox = Sandbox::new()?;
    let ours = |path: &str| path.starts_with("modules/") || path.starts_with("scripts/");
    // Half of a generated library lies elsewhere.
    let scripts = script_text::library(seed, count * 4);
    let scripts: Vec<_> = scripts.into_iter().filter(|one| ours(&one.path)).take(count).collect();
    ensure!(scripts.len() == count, "the generator made only {} files", scripts.len());
    let root = sandbox.tree();
    for one in &scripts {
        tree::put(&root, &one.path, one.text.as_bytes(), one.executable)?;
    }
    let of = |suffix: &str| -> Vec<&str> {
        scripts.iter().map(|one| one.path.as_str()).filter(|path| path.ends_with(suffix)).collect()
    };
    let (bash, python) = (of(".sh"), of(".py"));
    let folder = root.to_str().context("a path that is not UTF-8")?;
    let words = ["lint", "--no-external", "--json", "--tree", folder];
    let (mut linted, mut one_by_one) = (Samples::default(), Samples::default());
    for _ in 0..rounds {
        let done = sandbox.codesync(&words)?.success()?;
        linted.time(done.wall);
        one_by_one.time(
            each(&root, "bash", &["-n"], &bash)?
                + each(&root, "python3", &["-c", COMPILE], &python)?,
        );
    }
    let figure = |name, samples, aim| Figure {
        files: count,
        case: "lint",
        name,
        unit: Unit::Time,
        samples,
        aim,
    };
    Ok(vec![
        figure("codesync lint", linted, Aim::AtMost(GOAL)),
        figure("bash -n or python3 for each", one_by_one, Aim::None),
    ])
}

/// One process after the other.
fn each(root: &Path, name: &str, words: &[&str], paths: &[&str]) -> Result<Duration> {
    let program = parts::program(name)?;
    let begun = Instant::now();
    for path in paths {
        let mut command = e2e::command(&program);
        command.current_dir(root).args(words).arg(path).stdin(Stdio::null()).stdout(Stdio::null());
        ensure!(command.status()?.success(), "{name} refuses {path}");
    }
    Ok(begun.elapsed())
}
