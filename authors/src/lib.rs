//! Tools for those who write a code library: what is wrong with a tree, its tests, its
//! documentation, and where to begin.
//!
//! Works on a working tree before anything is published. Signs nothing, opens no network, and
//! knows no client: `codesync lint`, `test`, `docs` and `new` are its commands.

mod child;
pub mod docs;
mod error;
pub mod lint;
pub mod new;
mod python;
pub mod test;
mod tree;

pub use error::Error;

use std::{io::Write, process::ExitCode};

use clap::Subcommand;

/// The commands; each ends with the exit codes of every program of the house.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what is wrong with a tree, before anybody runs it
    Lint(lint::Options),
    /// Run the tests of a tree, `*_test.sh` and `test_*.py`
    Test(test::Options),
    /// Write down what the modules of a tree offer
    Docs(docs::Options),
    /// Begin a script, a module or a collector, with its test
    New(new::Options),
}

/// Does what the command says; results go to stdout. `faults` tells which paths may not be in a
/// library.
pub fn run(command: &Command, faults: &lint::PathFaults<'_>) -> Result<ExitCode, Error> {
    match command {
        Command::Lint(options) => lint::run(options, faults),
        Command::Test(options) => test::run(options),
        Command::Docs(options) => docs::run(options),
        Command::New(options) => new::run(options),
    }
}

/// Writes a result.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `codesync lint | head` is no failure.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Error::io("write to", "standard output", e)),
    }
}
