//! `ldi update`, and what `ldi status` says about agents.

use serde::Serialize;

use super::{
    file, service, slot,
    state::{Failed, State, Verdict},
    take,
    version::Version,
};
use crate::{
    Result,
    cli::{print, print_json},
    config::Config,
    machine::Machine,
    parse::Span,
    status::ago,
};

/// What is to be said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// Whether new agents are taken up.
    pub enabled: bool,
    /// Where the library must have them.
    pub path: String,
    /// The packaged version.
    pub base: String,
    /// The version that the last start of the daemon chose.
    pub running: String,
    /// The confirmed agent's.
    pub confirmed: Option<String>,
    /// The one on trial.
    pub trial: Option<OnTrial>,
    /// Agents that failed, newest first.
    pub failed: Vec<Failed>,
    /// Why what the library offers is not taken up.
    pub note: Option<String>,
}

/// An agent on trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OnTrial {
    /// Its version.
    pub version: String,
    /// Seconds that it has from its first start.
    pub deadline: u64,
    /// Seconds that it has left, once it began.
    pub left: Option<u64>,
    /// Why its last attempt to prove itself failed.
    pub last: Option<String>,
}

impl Shown {
    /// Of this machine.
    pub fn gather(config: &Config, machine: &Machine) -> Self {
        let state = file::read(&config.root);
        let now = file::now(machine);
        let State { running, confirmed, trial, mut failed, note, .. } = state;
        failed.reverse();
        let own = Version::own().to_string();
        let of = |sha256: &str| {
            let agents = confirmed.iter().chain(trial.iter().map(|trial| &trial.agent));
            agents.into_iter().find(|agent| agent.sha256 == sha256).map(|a| a.version.to_string())
        };
        Self {
            enabled: config.update.enabled,
            path: format!("{}/ldi", take::folder()),
            running: running.as_deref().and_then(of).unwrap_or_else(|| own.clone()),
            base: own,
            confirmed: confirmed.as_ref().map(|agent| agent.version.to_string()),
            trial: trial.map(|trial| OnTrial {
                version: trial.agent.version.to_string(),
                deadline: trial.deadline,
                left: trial.left(&now),
                last: trial.last,
            }),
            failed,
            note,
        }
    }

    /// The version line of `ldi status`.
    pub fn line(&self) -> String {
        let package = if self.running == self.base && self.confirmed.is_none() {
            String::new()
        } else {
            format!(" from the library (package: {})", self.base)
        };
        let trial = self.trial.as_ref().map_or_else(String::new, |trial| match trial.left {
            Some(left) => {
                format!(", {} ON TRIAL: {} left", trial.version, Span::seconds(left))
            }
            None => format!(", {} is tried as soon as no tier runs", trial.version),
        });
        format!("{}{package}{trial}", self.running)
    }

    /// What an administrator should know.
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.failed.iter().map(sentence).collect();
        faults.extend(self.note.clone());
        faults
    }
}

fn sentence(failed: &Failed) -> String {
    let name = match &failed.version {
        Some(version) => format!("agent {version}"),
        None => "an agent".to_owned(),
    };
    let hash: String = failed.sha256.chars().take(12).collect();
    let next = match failed.verdict {
        Verdict::Bad => "these bytes are not tried again (`ldi update retry` forgets that)",
        Verdict::Retry => "it is tried again after the next sync",
        Verdict::Open { .. } => "the version before it has to show that it can do better",
    };
    format!("{name} ({hash}) was taken back {}: {}; {next}", ago(failed.time), failed.reason)
}

/// `ldi update`.
pub fn show(config: &Config, json: bool) -> Result<u8> {
    let shown = Shown::gather(config, &Machine::this());
    if json {
        print_json(&shown)?;
        return Ok(0);
    }
    let mut text = format!("version    {}\nlibrary    {}\n", shown.line(), shown.path);
    if !shown.enabled {
        text.push_str("off        nothing new is taken up (update.enabled = false)\n");
    }
    for fault in shown.faults() {
        text.push_str(&format!("{fault}\n"));
    }
    print(&text)?;
    Ok(0)
}

/// `ldi update retry`.
pub fn retry(config: &Config) -> Result<u8> {
    let forgotten = match file::folder(&config.root).exists() {
        true => file::change(&config.root, |state| std::mem::take(&mut state.failed).len())?,
        false => 0,
    };
    print(&format!(
        "{forgotten} failed agents forgotten; what the library has is tried after the next sync\n"
    ))?;
    Ok(0)
}

/// `ldi update revert`.
pub fn revert(config: &Config) -> Result<u8> {
    let now = file::now(&Machine::this());
    let had = file::folder(&config.root).exists()
        && file::change(&config.root, |state| state.revert(&now))?;
    if !had {
        print("the packaged ldi is what runs; there is nothing to take back\n")?;
        return Ok(0);
    }
    if let Some(pid) = service::daemon(&config.root) {
        let stop = config.daemon.stop_deadline.0;
        service::restart(&config.root, service::unit_of_process(pid).as_deref(), stop)?;
    }
    slot::prune(&config.root, &file::read(&config.root))?;
    print("the packaged ldi serves from now on; these agents are not tried again\n")?;
    Ok(0)
}
