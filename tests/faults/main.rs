//! `make faults`: what goes wrong, made to happen, counted and judged.
//!
//! The built programs, a real sshd, real files; loopback only. After every fault the active release
//! must be one that was published, byte for byte, and the next sync must work. Each case prints a
//! line: how often, how it ended, and how often it ended wrongly, which must be never.

mod clock;
mod crowd;
mod disk;
mod forge;
mod kill;
mod liar;
mod lines;
mod links;
mod measure;
mod relay;
mod runs;
mod site;
mod tally;
mod web;
mod wire;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use e2e::bin;

use tally::Tally;

/// Makes things go wrong and counts how they end.
#[derive(Debug, Parser)]
#[command(after_help = "Example: make faults FAULTS='--quick --case kill'")]
struct Args {
    /// Few rounds: a look, not a proof.
    #[arg(long)]
    quick: bool,
    /// Rounds of the cases that take random instants; others take a share of it.
    #[arg(long, default_value_t = 300)]
    rounds: usize,
    /// Only these cases.
    #[arg(long, value_delimiter = ',')]
    case: Vec<Case>,
    /// The seed of libraries, instants and damages.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What this program is when it stands between two others.
#[derive(Debug, Subcommand)]
enum Part {
    /// Starts a server and damages what it says.
    #[command(hide = true)]
    Relay(relay::Args),
    /// Runs a program and writes down how much memory it needed.
    #[command(hide = true)]
    Measure(measure::Args),
}

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Case {
    /// kill -9 of client, server, publisher and receiver.
    Kill,
    /// kill -9 of a tier in the middle of its jobs.
    Runs,
    /// A full disk at every write.
    Disk,
    /// Connections cut, silent, and one byte at a time.
    Lines,
    /// Bytes and frames changed inside the protocol.
    Wire,
    /// A server with valid keys of transport, and publishers with stolen ones.
    Liar,
    /// Links and pipes in the client's root.
    Links,
    /// Many at once.
    Crowd,
    /// A wrong clock.
    Clock,
}

/// How much to do.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds of a case that takes random instants.
    pub rounds: usize,
    /// The seed.
    pub seed: u64,
}

impl Plan {
    /// The rounds divided by `share`; at least one.
    pub fn share(self, share: usize) -> usize {
        (self.rounds / share).max(1)
    }

    /// Of a list of attacks every how manyth is made: each, but in a mere look.
    pub fn step(self) -> usize {
        if self.rounds < 10 { 4 } else { 1 }
    }
}

type Run = fn(Plan) -> Result<Vec<Tally>>;

const CASES: &[(Case, Run)] = &[
    (Case::Kill, kill::run),
    (Case::Runs, runs::run),
    (Case::Disk, disk::run),
    (Case::Lines, lines::run),
    (Case::Wire, wire::run),
    (Case::Liar, liar::run),
    (Case::Links, links::run),
    (Case::Crowd, crowd::run),
    (Case::Clock, clock::run),
];

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.part {
        Some(Part::Relay(args)) => relay::run(args).map(|()| ExitCode::SUCCESS),
        Some(Part::Measure(args)) => measure::run(args),
        None => all(&args).map(|right| if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
    };
    result.unwrap_or_else(|error| {
        eprintln!("faults: {error:#}");
        ExitCode::FAILURE
    })
}

fn all(args: &Args) -> Result<bool> {
    for name in ["codesync", "ldi", "codesync-shell"] {
        bin(name)?;
    }
    let rounds = if args.quick { args.rounds.min(20) } else { args.rounds };
    let plan = Plan { rounds, seed: args.seed };
    tally::head();
    let mut right = true;
    for (case, run) in CASES {
        if args.case.is_empty() || args.case.contains(case) {
            for tally in run(plan)? {
                tally.print();
                right &= tally.right();
            }
        }
    }
    println!("{}", if right { "nothing was wrong" } else { "SOMETHING WAS WRONG" });
    Ok(right)
}
