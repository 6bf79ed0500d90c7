//! After a sync: is there an agent in the active release that this machine should try? Staged,
//! verified, asked for its version, and written down as a trial; nothing is switched here.

use std::{
    fs,
    io::{ErrorKind, Read},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use codesync::{
    disk,
    manifest::{File, Manifest},
    store::Release,
};

use super::{
    Running, file, service, slot,
    state::{Agent, Older, Trial, Verdict},
    version::Version,
};
use crate::{Failure, Result, config::Config, error::code, machine::Machine, release, supervise};

/// A machine under load takes its time to start a large program for the first time.
const PROBE_LIMIT: Duration = Duration::from_secs(60);
const PROBE_OUTPUT: u64 = 4096;
const NAP: Duration = Duration::from_millis(20);
/// Room for a hash and what `sha256sum` writes beside it.
const ROLLBACK_MAX: u64 = 4096;

/// The folder of the library in which this program looks for its agent.
pub fn folder() -> String {
    let system = match std::env::consts::OS {
        "macos" => "apple-darwin".to_owned(),
        os => format!("unknown-{os}-{}", if cfg!(target_env = "musl") { "musl" } else { "gnu" }),
    };
    format!("agent/{}-{system}", std::env::consts::ARCH)
}

/// What became of a look for a new agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nothing new.
    No,
    /// A trial was written down, which begins with the next start.
    Yes,
    /// This machine could not, as `ldi status` says: not to be tried again at once.
    Failed,
}

/// Looks at the active release.
pub fn take(config: &Config, machine: &Machine, running: &Running) -> Taken {
    // Tiers that end together look one after the other: the second finds what the first wrote down.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let root = &config.root;
    match look(config, machine, running) {
        Ok(taken) => taken,
        Err(failure) => {
            let note = format!("a new agent could not be taken up: {failure}");
            tracing::warn!("{note}");
            // A full disk is said in the log at least.
            let _ = file::change(root, |state| state.note = Some(note));
            let _ = slot::prune(root, &file::read(root));
            Taken::Failed
        }
    }
}

fn look(config: &Config, machine: &Machine, running: &Running) -> Result<Taken> {
    let root = &config.root;
    if !config.update.enabled {
        return Ok(Taken::No);
    }
    let active = release::active(root)?;
    let path = format!("{}/ldi", folder());
    // A library without agents costs one look.
    let found = if active.tree.join(&path).exists() {
        let _hold = active.hold()?;
        wanted(config, running, &active, &active.manifest()?, &path)?
    } else {
        Found::Nothing
    };
    let now = file::now(machine);
    let taken = match found {
        Found::Nothing => {
            if file::read(root).note.is_some() {
                file::change(root, |state| state.note = None)?;
            }
            return Ok(Taken::No);
        }
        Found::Older(sha256, note) => {
            let older = Older { sha256, than: Version::own() };
            file::change(root, |state| {
                (state.older, state.note) = (Some(older), Some(note));
            })?;
            Taken::No
        }
        Found::Bad(sha256, why) => {
            tracing::warn!("the agent of release {} is not taken up: {why}", active.number);
            file::change(root, |state| {
                state.note = None;
                state.fail(sha256, None, &why, Verdict::Bad, now.time);
            })?;
            Taken::No
        }
        Found::Agent(agent) => {
            let (version, number) = (&agent.version, active.number);
            tracing::info!(%version, release = number, "a new agent is taken up");
            let trial = Trial {
                agent,
                deadline: config.update.deadline.0.as_secs(),
                stop: config.daemon.stop_deadline.0.as_secs() + 1,
                unit: service::unit(),
                begun: None,
                starts: 0,
                stopped: false,
                last: None,
                revoked: None,
            };
            file::change(root, |state| {
                state.note = None;
                state.trial = Some(trial);
            })?;
            Taken::Yes
        }
    };
    slot::prune(root, &file::read(root))?;
    Ok(taken)
}

enum Found {
    Nothing,
    Agent(Agent),
    /// A step back: which, and a sentence.
    Older(String, String),
    /// These bytes cannot be an agent, and why.
    Bad(String, String),
}

fn wanted(
    config: &Config,
    running: &Running,
    active: &Release,
    manifest: &Manifest,
    path: &str,
) -> Result<Found> {
    let Some(file) = manifest.get(path) else { return Ok(Found::Nothing) };
    let sha256 = hex::encode(file.sha256);
    let state = file::read(&config.root);
    let known = |agent: Option<&Agent>| agent.is_some_and(|agent| agent.sha256 == sha256);
    if known(state.confirmed.as_ref()) || state.trial.is_some() || is_this(running, &file)? {
        return Ok(Found::Nothing);
    }
    if state.failure(&sha256).is_some_and(|failed| failed.verdict != Verdict::Retry) {
        return Ok(Found::Nothing);
    }
    let rollback = is_rollback(active, manifest, &sha256);
    let older =
        state.older.as_ref().filter(|older| older.sha256 == sha256 && older.than == Version::own());
    // Not copied and asked again at every sync.
    if let (Some(_), false, Some(note)) = (older, rollback, state.note.clone()) {
        return Ok(Found::Older(sha256, note));
    }
    if file.size > slot::AGENT_MAX {
        return Ok(Found::Bad(sha256, format!("it is larger than {} bytes", slot::AGENT_MAX)));
    }
    let damaged = || {
        release::mark_damaged(&config.root, active.number, path);
        let what = format!("{path} of release {} is not what was signed", active.number);
        Failure::new(code::REFUSED, what)
    };
    slot::stage(&config.root, &active.tree.join(path), &sha256, file.size)?.ok_or_else(damaged)?;
    let mut agent =
        Agent { sha256: sha256.clone(), size: file.size, version: Version::own(), below: None };
    agent.version = match version(&config.root, &agent)? {
        Ok(version) => version,
        Err(why) => return Ok(Found::Bad(sha256, why)),
    };
    if agent.version < Version::own() {
        if !rollback {
            let note = format!(
                "the agent of release {} is {}, older than {}, which runs: it is not taken up \
                 unless {}/rollback names its SHA-256",
                active.number,
                agent.version,
                Version::own(),
                folder()
            );
            return Ok(Found::Older(sha256, note));
        }
        agent.below = Some(running.base_version.clone());
    }
    Ok(Found::Agent(agent))
}

/// Whether `file` is the program of this process.
fn is_this(running: &Running, file: &File) -> Result<bool> {
    if let Some(agent) = &running.agent {
        return Ok(*agent == hex::encode(file.sha256));
    }
    let same_size = fs::metadata(&running.base).is_ok_and(|found| found.len() == file.size);
    Ok(same_size && disk::digest(&running.base)?.is_some_and(|(hash, _)| hash == file.sha256))
}

/// Whether the library says that this older agent is meant.
fn is_rollback(active: &Release, manifest: &Manifest, sha256: &str) -> bool {
    let path = format!("{}/rollback", folder());
    let Some(file) = manifest.get(&path).filter(|file| file.size <= ROLLBACK_MAX) else {
        return false;
    };
    let read = disk::read_bounded(&active.tree.join(&path), file.size);
    let Ok(Some(text)) = read else { return false };
    let signed = codesync::manifest::sha256(&text) == file.sha256;
    let text = String::from_utf8_lossy(&text);
    signed && text.split_ascii_whitespace().next() == Some(sha256)
}

/// What the agent says when it is asked for its version: the first proof that it can run here.
/// The inner error is the agent's fault.
fn version(root: &Path, agent: &Agent) -> Result<Result<Version, String>> {
    let verified = slot::open(root, agent)?;
    let program = verified.program();
    let mut command = Command::new(&program);
    command.arg0("ldi").arg("--version").env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let begun = Instant::now();
    let (mut child, _aside) = loop {
        match supervise::aside(|| command.spawn(), |child| Some(child.id())) {
            Ok(child) => break child,
            // Another thread was just about to start a program when the copy was written.
            Err(error)
                if error.kind() == ErrorKind::ExecutableFileBusy
                    && begun.elapsed() < PROBE_LIMIT =>
            {
                std::thread::sleep(NAP);
            }
            // The file system is mounted noexec, or memory is short: not the agent's fault.
            Err(error) if !is_its_fault(&error) => {
                return Err(Failure::io("start", &file::folder(root), &error));
            }
            Err(error) => return Ok(Err(format!("it cannot be executed: {error}"))),
        }
    };
    Ok(answer(&mut child, begun))
}

fn is_its_fault(error: &std::io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    // ENOENT: its interpreter is missing.
    matches!(errno, Some(Errno::ENOEXEC | Errno::ENOENT | Errno::EINVAL | Errno::ELIBBAD))
}

fn answer(child: &mut Child, begun: Instant) -> Result<Version, String> {
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if begun.elapsed() < PROBE_LIMIT => std::thread::sleep(NAP),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "`ldi --version` did not end within {} s",
                    PROBE_LIMIT.as_secs()
                ));
            }
        }
    };
    let mut said = Vec::new();
    if let Some(out) = child.stdout.take() {
        // It has ended, so what it wrote is in the pipe; what it left behind may hold it open.
        let _ = nix::fcntl::fcntl(&out, nix::fcntl::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK));
        let _ = out.take(PROBE_OUTPUT).read_to_end(&mut said);
    }
    if !status.success() {
        return Err(format!("`ldi --version` ended with {status}"));
    }
    let said = String::from_utf8_lossy(&said);
    Version::printed(&said).ok_or_else(|| format!("`ldi --version` said {said:?}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_folder_is_a_target_triple() {
        let folder = super::folder();
        let triple = folder.strip_prefix("agent/").unwrap();
        assert!(triple.split('-').count() >= 3, "{triple}");
        if cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")) {
            assert_eq!(triple, "x86_64-unknown-linux-gnu");
        }
    }
}
