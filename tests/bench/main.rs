//! `make bench`: what syncing, publishing and launching cost, beside stock rsync and bare tools.
//!
//! Everything runs on loopback within one run, the contestants in turn, so that ratios hold
//! whatever the machine; no cache is flushed. Medians, and the worst round beside them.

mod account;
mod cases;
mod crowd;
mod daemon;
mod git;
mod instructions;
mod job;
mod lint;
mod loader;
mod numbers;
mod site;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use e2e::{bin, parts, run};
use serde_json::json;

use numbers::Figure;
use site::Site;

/// First syncs of larger libraries are measured when they are asked for by name.
const FIRST_MAX: usize = 10_000;
/// Files of a tree that is linted.
const LINTED: usize = 1_000;
/// Jobs of a tier.
const JOBS: usize = 1_000;

/// Measures codesync and ldi against stock rsync over the same sshd.
#[derive(Debug, Parser)]
#[command(after_help = "Example: make bench BENCH='--quick --json bench.json'")]
struct Args {
    /// 3 rounds and 1,000 files only: a look, not a measurement.
    #[arg(long)]
    quick: bool,
    /// Rounds of each case; figures are medians.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Sizes of the libraries.
    #[arg(long, value_delimiter = ',', default_values_t = [1_000, 10_000, 100_000])]
    files: Vec<usize>,
    /// Only these cases.
    #[arg(long, value_delimiter = ',')]
    case: Vec<Case>,
    /// Also publishes and syncs the last commits of this git repository, one after the other.
    #[arg(long, value_name = "REPOSITORY")]
    history: Option<PathBuf>,
    /// How many commits of --history.
    #[arg(long, default_value_t = 100)]
    steps: usize,
    /// Clients of the case `crowd`.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(1..=500))]
    clients: u16,
    /// Files of their library: what serve costs does not depend on it, what rsync costs does.
    #[arg(long, default_value_t = 3_000)]
    crowd_files: usize,
    /// The seed of the generated libraries.
    #[arg(long, default_value_t = 2)]
    seed: u64,
    /// Writes the figures to this file too.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// A sync that finds nothing new.
    Nothing,
    /// Ten changed files: publishing them, and syncing them.
    Ten,
    /// The first sync of a client.
    First,
    /// A binary of 50 MB of which 1 % changes.
    Binary,
    /// Many clients at once, and what they cost the server.
    Crowd,
    /// What serve executes when nothing is new, counted by callgrind.
    Instructions,
    /// What a job of a tier costs beside its own program.
    Job,
    /// Starting scripts through the loader, and the index that it needs.
    Loader,
    /// Linting a tree.
    Lint,
    /// The daemon: idle, starting, running many jobs, planning.
    Daemon,
}

fn main() -> ExitCode {
    if let Some(code) = account::asked().or_else(site::peak_of_words) {
        return code;
    }
    match measure(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("some figures miss their aim");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(mut args: Args) -> Result<bool> {
    if args.quick {
        args.rounds = 3;
        args.files = vec![1_000];
        args.clients = args.clients.min(20);
    }
    let wants = |case| args.case.is_empty() || args.case.contains(&case);
    for name in ["codesync", "codesync-serve", "ldi", "codesync-shell"] {
        bin(name)?;
    }
    let facts = facts()?;
    println!("{facts}");
    let mut figures: Vec<Figure> = Vec::new();
    for &files in &args.files {
        if [Case::Nothing, Case::Ten, Case::First].into_iter().any(wants) {
            println!("\n{files} files, {} rounds", args.rounds);
            let mut site = Site::new(args.seed, files)?;
            let mut list = Vec::new();
            // Eleven rounds of it would fill a disk.
            if wants(Case::First) && (files <= FIRST_MAX || args.case.contains(&Case::First)) {
                list.extend(cases::first(&mut site, args.rounds)?);
            }
            if wants(Case::Nothing) {
                list.extend(cases::nothing(&mut site, args.rounds)?);
            }
            if wants(Case::Ten) {
                list.extend(cases::ten(&mut site, args.rounds, &figures)?);
            }
            numbers::print(&list);
            figures.extend(list);
        }
    }
    if wants(Case::Crowd) || wants(Case::Instructions) {
        println!("\n{} files, one round", args.crowd_files);
        let mut site = Site::new(args.seed, args.crowd_files)?;
        let mut list = Vec::new();
        if wants(Case::Instructions) {
            list.extend(instructions::nothing(&site)?);
        }
        if wants(Case::Crowd) {
            list.extend(crowd::crowd(&mut site, args.clients.into())?);
        }
        numbers::print(&list);
        figures.extend(list);
    }
    if wants(Case::Binary) && !args.quick {
        println!("\na binary of 50 MB, {} rounds", args.rounds);
        let list = cases::binary(args.seed, args.rounds)?;
        numbers::print(&list);
        figures.extend(list);
    }
    if let Some(repository) = &args.history {
        println!("\n{} commits of {}", args.steps, repository.display());
        let list = cases::history(repository, args.steps)?;
        numbers::print(&list);
        figures.extend(list);
    }
    if wants(Case::Daemon) {
        println!("\nthe daemon");
        let idle = Duration::from_secs(if args.quick { 20 } else { 300 });
        let list = daemon::all(args.seed, args.rounds, idle)?;
        numbers::print(&list);
        figures.extend(list);
    }
    if wants(Case::Job) {
        println!("\ntiers of {JOBS} jobs, {} rounds", args.rounds);
        let list = job::jobs(JOBS, args.rounds)?;
        numbers::print(&list);
        figures.extend(list);
    }
    if wants(Case::Lint) {
        println!("\na tree of {LINTED} files, {} rounds", args.rounds);
        let list = lint::lint(args.seed, LINTED, args.rounds)?;
        numbers::print(&list);
        figures.extend(list);
    }
    if wants(Case::Loader) {
        println!("\nthe loader, {} rounds", args.rounds);
        let mut list = loader::starts(args.rounds)?;
        list.extend(loader::index(args.rounds)?);
        numbers::print(&list);
        figures.extend(list);
    }
    if let Some(path) = &args.json {
        let list: Vec<_> = figures.iter().map(Figure::json).collect();
        let text = serde_json::to_string_pretty(
            &json!({ "facts": facts, "rounds": args.rounds, "seed": args.seed, "figures": list }),
        )?;
        std::fs::write(path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(figures.iter().all(|figure| figure.reached() != Some(false)))
}

/// The machine, and the versions of what is compared.
fn facts() -> Result<String> {
    let first = |name: &str, words: &[&str]| -> Result<String> {
        let done = run(e2e::command(&parts::program(name)?).args(words))?;
        let text = done.out() + &done.err();
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!(
        "{cores} cores, {}; {}; {}",
        first("uname", &["-srm"])?,
        first("rsync", &["--version"])?,
        first("ssh", &["-V"])?,
    ))
}
