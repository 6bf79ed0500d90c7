//! The memory that one program needed, told by the system once it has ended.
//!
//! The system tells it for all children of a process at once: so this program starts itself, to have
//! a process with that one child.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};

/// `faults measure FILE PROGRAM [ARG]…`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where to write the bytes.
    file: PathBuf,
    /// The program and its arguments.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// `command`, so run that the most memory it needed is then in `file`; see [`most`].
pub fn measured(command: &Command, file: &Path) -> Result<Command> {
    let mut outer = Command::new(std::env::current_exe()?);
    outer.arg("measure").arg(file).arg(command.get_program()).args(command.get_args());
    outer.env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ok(outer)
}

/// What was measured, in bytes.
pub fn most(file: &Path) -> Result<u64> {
    let text = fs::read_to_string(file).context("nothing was measured")?;
    Ok(text.trim().parse()?)
}

/// Runs the program; its end is the end of this one.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (program, words) = args.words.split_first().context("no program")?;
    let status = Command::new(program).args(words).status()?;
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let most = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    fs::write(&args.file, (u64::try_from(most)? * unit).to_string())?;
    // A program that a signal ended is no end that is documented.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(101).into())
}
