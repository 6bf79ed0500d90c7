//! `bench --account FILE PROGRAM WORDS…`, as a forced command: runs a program as sshd would, and
//! appends what it cost to FILE. The same for every contestant.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io::Write,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use nix::sys::resource::{UsageWho, getrusage};

/// In place of program and words: those that the client asked for.
pub const ASKED: &str = "asked";

/// What sessions cost together.
#[derive(Debug, Default, Clone, Copy)]
pub struct Cost {
    /// How many ended.
    pub sessions: usize,
    /// Processor time of user and system, in milliseconds.
    pub cpu: f64,
    /// The most memory that one of them had, in bytes.
    pub memory: f64,
}

/// Does what the command line asks for if it asks for this.
pub fn asked() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next()? != "--account" {
        return None;
    }
    Some(match run(words.collect()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    })
}

fn run(words: Vec<OsString>) -> Result<u8> {
    let mut words = words.into_iter();
    let (file, mut program) = words.next().zip(words.next()).context("FILE PROGRAM is missing")?;
    let mut rest: Vec<OsString> = words.collect();
    if program == ASKED {
        let line = std::env::var("SSH_ORIGINAL_COMMAND").context("the client asks for nothing")?;
        rest = line.split_whitespace().map(OsString::from).collect();
        program = rest.remove(0);
    }
    let status = Command::new(program).args(rest).status()?;
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    let cpu = micros(usage.user_time()) + micros(usage.system_time());
    let mut out = OpenOptions::new().append(true).create(true).open(file)?;
    out.write_all(format!("{cpu} {}\n", usage.max_rss()).as_bytes())?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// What the sessions in `file` cost.
pub fn read(file: &Path) -> Cost {
    let mut cost = Cost::default();
    for line in std::fs::read_to_string(file).unwrap_or_default().lines() {
        let mut numbers = line.split(' ').filter_map(|word| word.parse::<f64>().ok());
        if let (Some(micros), Some(kib)) = (numbers.next(), numbers.next()) {
            cost.sessions += 1;
            cost.cpu += micros / 1000.0;
            cost.memory = cost.memory.max(kib * 1024.0);
        }
    }
    cost
}
