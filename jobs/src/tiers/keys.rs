//! The keys of a job that a `[[job]]` and a script's header share, and their bounds.

use std::fmt;

use serde::Deserialize;

use crate::parse::{self, Size, Span};

/// A gate that a job may wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Gate {
    /// The organisation's own network.
    Corp,
    /// Any network.
    Internet,
    /// Power from the mains, not from a battery.
    Ac,
}

impl Gate {
    /// All of them, by the names that jobs use.
    pub const ALL: [(&'static str, Self); 3] =
        [("corp", Gate::Corp), ("internet", Gate::Internet), ("ac", Gate::Ac)];

    /// The bash function of the library that tells whether the gate is open; `None` where `ldi`
    /// tells it itself.
    pub fn function(self) -> Option<&'static str> {
        match self {
            Gate::Corp => Some("check_corp"),
            Gate::Internet => Some("check_internet"),
            Gate::Ac => None,
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Gate::Corp => "corp",
            Gate::Internet => "internet",
            Gate::Ac => "ac",
        })
    }
}

/// Keys of a job that a `[[job]]` and a script's header share.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Keys {
    /// Arguments, kept exact.
    pub args: Vec<String>,
    /// Gates to wait for.
    pub wait_for: Vec<Gate>,
    /// For how long to wait for them.
    pub wait_deadline: Option<Span>,
    /// Time limit of one run.
    pub timeout: Option<Span>,
    /// Further tries after a failure.
    pub retries: u32,
    /// Jobs of the same tier that come first.
    pub after: Vec<String>,
    /// May run beside others.
    pub parallel: bool,
    /// Runs until it succeeded once with this content.
    pub run_once: bool,
    /// Systems where it runs; empty: all.
    pub os: Vec<String>,
    /// Processors where it runs; empty: all.
    pub arch: Vec<String>,
    /// Runs where one of these tags is set; empty: everywhere.
    pub tags: Vec<String>,
    /// Runs where one of these globs matches the host's name; empty: everywhere.
    pub hosts: Vec<String>,
    /// Runs on this share of all machines.
    pub percent: Option<u8>,
    /// Account to run as.
    pub user: Option<String>,
    /// That account is of whoever sits at the console; see [`crate::console`].
    pub console: bool,
    /// Niceness, 0 to 19.
    pub nice: u8,
    /// What the run may take of the machine.
    pub ration: Ration,
    /// Secrets that it is given, by name.
    pub secrets: Vec<String>,
    /// After so many failures in a row it is left out; 0: never.
    pub breaker: Option<u32>,
    /// For so long.
    pub breaker_for: Option<Span>,
}

/// What the processes of a run may take together. Without a number there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ration {
    /// Bytes of memory, swap included.
    pub memory: Option<Size>,
    /// Percent of one processor.
    pub cpu: Option<u32>,
    /// Processes and threads at once.
    pub processes: Option<u32>,
}

impl Ration {
    /// What this does not limit, `default` does.
    pub fn or(self, default: Self) -> Self {
        Self {
            memory: self.memory.or(default.memory),
            cpu: self.cpu.or(default.cpu),
            processes: self.processes.or(default.processes),
        }
    }

    /// What no type can say.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        // Less than this and no interpreter starts.
        if self.memory.is_some_and(|size| size.0 < 8 << 20 || size.0 > 1 << 50) {
            return Err(("memory", "is at least 8M, and no more than any machine has".to_owned()));
        }
        if self.cpu.is_some_and(|percent| !(1..=100_000).contains(&percent)) {
            return Err(("cpu", "is between 1 and 100000 percent of one processor".to_owned()));
        }
        if self.processes.is_some_and(|n| !(1..=1_000_000).contains(&n)) {
            return Err(("processes", "is between 1 and 1000000".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for Ration {
    /// As keys of a job, with commas between; nothing without limits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [
            self.memory.map(|size| format!("memory = {size}")),
            self.cpu.map(|percent| format!("cpu = {percent}")),
            self.processes.map(|n| format!("processes = {n}")),
        ];
        f.write_str(&limits.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

/// What a secret may be called: it becomes part of a file's and of a variable's name.
fn good_secret(name: &str) -> bool {
    let ok = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(ok) && !name.starts_with('_')
}

/// More than a job needs, and few enough for the descriptors that are set aside for them.
pub const MOST_SECRETS: usize = 16;

impl Keys {
    /// What no type can say: bounds, and names of systems and processors.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        const OS: [&str; 3] = ["linux", "macos", "freebsd"];
        const ARCH: [&str; 5] = ["x86_64", "aarch64", "arm64", "amd64", "arm"];
        let unknown = |words: &[String], known: &[&str]| {
            words.iter().find(|w| !known.contains(&w.as_str())).map(|w| {
                match parse::nearest(w, known) {
                    Some(near) => format!("{w:?} is not known; did you mean {near}?"),
                    None => format!("{w:?} is not known; known: {}", known.join(", ")),
                }
            })
        };
        if let Some(what) = unknown(&self.os, &OS) {
            return Err(("os", what));
        }
        if let Some(what) = unknown(&self.arch, &ARCH) {
            return Err(("arch", what));
        }
        for glob in &self.hosts {
            if let Err(error) = glob::Pattern::new(glob) {
                return Err(("hosts", format!("{glob:?} is no glob of host names: {error}")));
            }
        }
        if self.percent.is_some_and(|p| p > 100) {
            return Err(("percent", "is at most 100".to_owned()));
        }
        if self.nice > 19 {
            return Err(("nice", "is between 0 and 19".to_owned()));
        }
        if self.retries > 20 {
            return Err(("retries", "is at most 20".to_owned()));
        }
        if self.timeout.is_some_and(|t| t.0.is_zero()) {
            return Err(("timeout", "must be longer than 0s".to_owned()));
        }
        if self.wait_deadline.is_some() && self.wait_for.is_empty() {
            return Err(("wait_deadline", "means nothing without wait_for".to_owned()));
        }
        if self.user.as_deref().is_some_and(|u| u.is_empty() || u.len() > 64) {
            return Err(("user", "is not the name of an account".to_owned()));
        }
        self.ration.check()?;
        if let Some(name) = self.secrets.iter().find(|name| !good_secret(name)) {
            let what = format!("{name:?} is no name of a secret (a to z, 0 to 9 and _)");
            return Err(("secrets", what));
        }
        if self.secrets.len() > MOST_SECRETS {
            return Err(("secrets", format!("are at most {MOST_SECRETS}")));
        }
        if self.breaker.is_some_and(|n| n > 1000) {
            return Err(("breaker", "is at most 1000; 0 switches it off".to_owned()));
        }
        if let Some(arg) = self.args.iter().find(|a| a.contains('\0')) {
            return Err(("args", format!("{arg:?} holds a NUL character")));
        }
        Ok(())
    }
}
