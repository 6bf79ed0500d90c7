//! The very start of `ldi daemon`: the base decides who serves, and becomes that.
//!
//! It reads of `ldi.toml` only where the root is, so that a key that only a newer agent knows keeps
//! no agent from starting. What cannot be written down is not tried.

use std::{
    env,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    file, service, slot,
    state::{Agent, Choice, State},
    version::Version,
};
use crate::{Failure, Result, config::Config, machine::Machine, parse, tier};

/// What the base tells an agent: the agent's SHA-256, and the base's path and version. Frozen: an
/// older base starts newer agents.
const AGENT: &str = "LDI_AGENT";
const BASE: &str = "LDI_BASE";
const BASE_VERSION: &str = "LDI_BASE_VERSION";

/// This process.
#[derive(Debug, Clone)]
pub struct Running {
    /// Its SHA-256, if it is an agent.
    pub agent: Option<String>,
    /// The packaged program.
    pub base: PathBuf,
    /// That one's version.
    pub base_version: Version,
}

impl Running {
    /// As the environment says; the base if it says nothing.
    pub fn this() -> Result<Self> {
        let agent = env::var(AGENT).ok().filter(|word| slot::is_hash(word));
        let told = env::var_os(BASE).map(PathBuf::from).filter(|path| path.is_absolute());
        if let (Some(agent), Some(base)) = (agent, told) {
            let version = env::var(BASE_VERSION).ok().and_then(|word| word.parse().ok());
            let base_version = version.unwrap_or_else(Version::own);
            return Ok(Self { agent: Some(agent), base, base_version });
        }
        let base = env::current_exe()
            .map_err(|e| Failure::io("find", Path::new("the program file of this process"), &e))?;
        Ok(Self { agent: None, base, base_version: Version::own() })
    }
}

/// Decides who serves. Returns if it is this process; becomes the agent otherwise.
pub fn start(config: &Path) -> Result<Running> {
    let running = Running::this()?;
    if running.agent.is_some() {
        own_name();
        return Ok(running);
    }
    let Some(root) = root(config) else { return Ok(running) };
    if !file::folder(&root).join("state.json").exists() {
        return Ok(running);
    }
    // Another daemon serves already, as the caller will be told: that is no start.
    if tier::is_held(&root, "daemon") {
        return Ok(running);
    }
    let machine = Machine::this();
    // Each round ends in an agent, or takes one out of the choice.
    for _ in 0..4 {
        let agent = match choose(&root, &running, &machine) {
            Choice::Base => break,
            Choice::Confirmed(agent) => agent,
            Choice::Trial(agent) => {
                if let Err(failure) = service::arm(&root, &running.base) {
                    let why = format!("nothing could watch over its trial: {failure}");
                    tracing::warn!("{why}");
                    let now = file::now(&machine);
                    changed(&root, |state| state.put_off(&why, &now));
                    continue;
                }
                agent
            }
        };
        let failure = become_agent(&root, &running, &agent);
        tracing::error!(version = %agent.version, "the agent was not started: {failure}");
        let now = file::now(&machine);
        changed(&root, |state| state.could_not_start(&agent.sha256, &failure.to_string(), &now));
    }
    Ok(running)
}

/// Where the client's root is, whatever else `config` says.
fn root(config: &Path) -> Option<PathBuf> {
    let text = parse::read_bounded(config, 1 << 20).ok()?;
    let table: toml::Table = toml::from_str(std::str::from_utf8(&text).ok()?).ok()?;
    let root = match table.get("root") {
        Some(root) => PathBuf::from(root.as_str()?),
        None => Config::default().root,
    };
    root.is_absolute().then_some(root)
}

fn choose(root: &Path, running: &Running, machine: &Machine) -> Choice {
    let now = file::now(machine);
    match file::change(root, |state| state.start(&running.base_version, &now)) {
        Ok(choice) => choice,
        Err(failure) => {
            tracing::warn!("{failure}; no new agent is tried");
            match file::read(root).without_trial() {
                // Counted nowhere, so it may not be one that fails again and again.
                Choice::Confirmed(agent) if agent.version >= running.base_version => {
                    Choice::Confirmed(agent)
                }
                _ => Choice::Base,
            }
        }
    }
}

fn changed(root: &Path, change: impl FnOnce(&mut State)) {
    if let Err(failure) = file::change(root, change) {
        tracing::warn!("{failure}");
    }
}

/// Becomes `agent`; returns only when that is impossible.
fn become_agent(root: &Path, running: &Running, agent: &Agent) -> Failure {
    let verified = match slot::open(root, agent) {
        Ok(verified) => verified,
        Err(failure) => return failure,
    };
    let program = verified.program();
    let mut words = env::args_os();
    let mut command = Command::new(&program);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command
        .args(words)
        .env(AGENT, &agent.sha256)
        .env(BASE, &running.base)
        .env(BASE_VERSION, running.base_version.to_string());
    Failure::io("start", &program, &command.exec())
}

/// Begins anew with the base, which decides who serves. Returns only when that is impossible.
pub fn again(running: &Running) -> Failure {
    let mut words = env::args_os();
    let mut command = Command::new(&running.base);
    if let Some(name) = words.next() {
        command.arg0(name);
    }
    command.args(words).env_remove(AGENT).env_remove(BASE).env_remove(BASE_VERSION);
    Failure::io("start", &running.base, &command.exec())
}

/// The kernel names a process that was started through a descriptor by the descriptor's number.
fn own_name() {
    if cfg!(target_os = "linux") {
        // For people who read lists of processes only.
        let _ = std::fs::write("/proc/self/comm", "ldi");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_only_a_newer_agent_knows_hides_no_root() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ldi.toml");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            root(&file)
        };
        assert_eq!(read("root = \"/x\"\n[new]\nkey = 1\n"), Some("/x".into()));
        assert_eq!(read("[sync]\nring = 7\n"), Some(Config::default().root));
        for wrong in ["root = \"x\"", "root = 7", "root ="] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(root(&folder.path().join("none")), None);
    }
}
