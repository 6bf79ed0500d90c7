//! `ldi update-watch`: the base, in a process of its own, watches over a trial. It knows the clock
//! and what is written down, asks the agent nothing, and ends with the trial.

use std::{path::Path, process::Command, process::Stdio, thread::sleep, time::Duration};

use codesync::disk;

use super::{file, service, state::Watch};
use crate::{Failure, Result, machine::Machine};

const LONGEST_NAP: Duration = Duration::from_secs(5);
/// Between two attempts to end a daemon.
const AGAIN: Duration = Duration::from_secs(5);
/// A service that somebody stopped by force is not asked for for ever.
const ATTEMPTS: u32 = 50;
/// Whoever only looks whether there is a watcher holds the lock for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Watches until there is no trial. With `detach`, in another process that nobody waits for.
pub fn watch(root: &Path, detach: bool) -> Result<u8> {
    if detach {
        return detached(root);
    }
    // Fails where it leads its group already, which serves as well.
    let _ = nix::unistd::setsid();
    let Ok(_lock) = disk::lock(&file::watch_lock(root), LOCK_WAIT, "a watcher") else {
        return Ok(0);
    };
    let machine = Machine::this();
    let mut attempts = 0;
    // Whoever removed the client's root wants nothing of it made again.
    while attempts < ATTEMPTS && file::folder(root).is_dir() {
        let now = file::now(&machine);
        match file::change(root, |state| state.watch(&now)) {
            Ok(Watch::Over) => return Ok(0),
            Ok(Watch::Wait(seconds)) => {
                sleep(Duration::from_secs(seconds.max(1)).min(LONGEST_NAP));
            }
            Ok(Watch::Restart) => {
                attempts += 1;
                let trial = file::read(root).trial;
                let Some(trial) = trial else { continue };
                let stop = Duration::from_secs(trial.stop);
                if let Err(failure) = service::restart(root, trial.unit.as_deref(), stop) {
                    tracing::error!("the agent on trial is not replaced: {failure}; trying again");
                }
                // The next start ends the trial; whoever did not start has nothing to be ended.
                if service::daemon(root).is_none() && trial.unit.is_none() {
                    return Ok(0);
                }
                sleep(AGAIN);
            }
            Err(failure) => {
                attempts += 1;
                // A full disk: the trial cannot be ended on paper, but time may help.
                tracing::error!("{failure}; trying again");
                sleep(AGAIN);
            }
        }
    }
    // Not a failure after so many attempts either: the service manager would start this again.
    Ok(0)
}

fn detached(root: &Path) -> Result<u8> {
    let program =
        std::env::current_exe().map_err(|e| Failure::io("find", Path::new("this program"), &e))?;
    Command::new(&program)
        .args(["update-watch", "--root"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| Failure::io("start", &program, &e))?;
    Ok(0)
}
