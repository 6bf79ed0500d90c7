//! Tools for those who write a code library: what is wrong with a tree, its tests, its
//! documentation, and where to begin.
//!
//! Works on a working tree before anything is published. Signs nothing, opens no network, and
//! knows no client: `codesync lint`, `test`, `docs` and `new` are its commands.

pub mod docs;
mod error;
pub mod lint;
pub mod new;
pub mod test;

pub use error::Error;

use std::process::ExitCode;

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

/// Does what the command says; results go to stdout.
pub fn run(command: &Command) -> Result<ExitCode, Error> {
    match command {
        Command::Lint(options) => lint::run(options),
        Command::Test(options) => test::run(options),
        Command::Docs(options) => docs::run(options),
        Command::New(options) => new::run(options),
    }
}
