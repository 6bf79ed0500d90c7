//! What publishing costs beside git: ten changed files, published, against `git add`, `commit` and
//! `push` of the same to a local bare repository. Figures are printed, not judged: FIGURES names the
//! sizes, and a release build is what they are worth measuring with.
//!
//!     FIGURES=10000,100000 cargo test --release -p e2e --test push figures -- --nocapture

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use e2e::{Sandbox, parts, process, rng::Rng, run_within, script_text};
use nix::sys::resource::{UsageWho, getrusage};

const LIMIT: Duration = Duration::from_secs(1800);
const ROUNDS: usize = 7;

#[test]
fn figures() -> Result<()> {
    let Ok(sizes) = std::env::var("FIGURES") else { return Ok(()) };
    if !parts::need_bins(&["codesync"])? || !parts::need(&["git"])? {
        return Ok(());
    }
    for size in sizes.split(',') {
        measure(size.trim().parse().context("FIGURES is a list of numbers")?)?;
    }
    Ok(())
}

fn measure(files: usize) -> Result<()> {
    let sandbox = Sandbox::with_library()?;
    let tree = sandbox.tree();
    let mut scripts = script_text::library(5, files);
    script_text::write(&tree, &scripts)?;
    let mut rng = Rng::new(9);
    let first = publish(&sandbox)?;
    // A second tree, as git keeps its own files in the one that it works on.
    let work = sandbox.path("work");
    let bare = sandbox.path("bare");
    std::fs::create_dir(&work)?;
    script_text::write(&work, &scripts)?;
    script_text::mutate(&tree, &mut scripts, &mut rng, 10)?;
    publish(&sandbox)?;
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() / 1024;
    git(&sandbox.path(""), &["init", "-q", "--bare", "bare"])?;
    git(&work, &["init", "-q"])?;
    let bare = bare.to_str().context("a sandbox path that is not UTF-8")?;
    git(&work, &["remote", "add", "origin", bare])?;
    let theirs_first = commit(&work)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let changed = script_text::mutate(&tree, &mut scripts, &mut rng, 10)?;
        for path in changed {
            std::fs::copy(tree.join(&path), work.join(&path))?;
        }
        ours.push(publish(&sandbox)?);
        theirs.push(commit(&work)?);
    }
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!(
        "{files} files: publish 10 changed {:.0} ms, git {:.0} ms, ratio {:.2}; first {:.1} s, git {:.1} s; peak {peak} MB",
        ours.as_secs_f64() * 1000.0,
        theirs.as_secs_f64() * 1000.0,
        ours.as_secs_f64() / theirs.as_secs_f64(),
        first.as_secs_f64(),
        theirs_first.as_secs_f64(),
    );
    Ok(())
}

fn publish(sandbox: &Sandbox) -> Result<Duration> {
    let tree = sandbox.tree();
    let tree = tree.to_str().context("a sandbox path that is not UTF-8")?;
    let mut command = sandbox.codesync_command(&["publish", "--json", "--tree", tree])?;
    Ok(run_within(&mut command, LIMIT)?.success()?.wall)
}

fn commit(work: &Path) -> Result<Duration> {
    let mut wall = git(work, &["add", "-A"])?;
    wall += git(work, &["commit", "-q", "-m", "ten"])?;
    wall += git(work, &["push", "-q", "origin", "HEAD:refs/heads/main"])?;
    Ok(wall)
}

fn git(folder: &Path, words: &[&str]) -> Result<Duration> {
    let mut command = process::command(&parts::program("git")?);
    command.args(["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "gc.auto=0"]);
    command.arg("-C").arg(folder).args(words);
    Ok(run_within(&mut command, LIMIT)?.success()?.wall)
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
