//! Where to begin: scripts, modules and collectors, with their tests.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::Error;

/// Words of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// The tree: the folder that holds modules/, scripts/ and conf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
}

/// Does it.
pub fn run(_: &Options) -> Result<ExitCode, Error> {
    Err(Error::Usage("not written yet".to_owned()))
}
