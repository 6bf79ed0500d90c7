//! What is started as a run, and what goes with it.

use std::process::Command;

use crate::{cgroup::Group, launcher::Report, secret::Secret};

/// A process that is ready to start. Standard output, error and the process group are the
/// supervisor's to set.
#[derive(Debug)]
pub struct Start {
    /// Its command; its standard input is the supervisor's too, but for a launcher's.
    pub command: Command,
    /// What tells why a launcher did not become the job; `None` without a launcher.
    pub launcher: Option<Report>,
    /// The run's control group, which the launcher enters.
    pub group: Option<Group>,
    /// What must not be seen in its output.
    pub secrets: Vec<Secret>,
    /// What else is worth knowing about this run.
    pub notes: Vec<String>,
}

impl From<Command> for Start {
    fn from(command: Command) -> Self {
        Self { command, launcher: None, group: None, secrets: Vec::new(), notes: Vec::new() }
    }
}
