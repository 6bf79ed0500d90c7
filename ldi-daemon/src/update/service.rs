//! What is asked of the service manager: somebody who watches over a trial and is no part of the
//! daemon, and another start of the daemon.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use codesync::disk;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::file;
use crate::{Failure, Result, error::code, parse, tier};

const SYSTEMCTL: &str = "/usr/bin/systemctl";
const SYSTEMD_RUN: &str = "/usr/bin/systemd-run";
const LAUNCHCTL: &str = "/bin/launchctl";
/// A watcher takes its lock at once; a machine may be slow.
const ARM_WAIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
const SECOND_LOOK: Duration = Duration::from_millis(300);

/// The service manager's name for this process: a systemd unit or a launchd label.
pub fn unit() -> Option<String> {
    if cfg!(target_os = "macos") {
        return std::env::var("XPC_SERVICE_NAME").ok().filter(|name| is_unit(name));
    }
    unit_of_process(Pid::this())
}

/// The systemd unit of a process.
pub fn unit_of_process(pid: Pid) -> Option<String> {
    if !systemd() {
        return None;
    }
    let groups = parse::read_bounded(Path::new(&format!("/proc/{pid}/cgroup")), 64 << 10).ok()?;
    unit_of(&String::from_utf8(groups).ok()?)
}

fn systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// The system service that a line of `/proc/PID/cgroup` names.
fn unit_of(groups: &str) -> Option<String> {
    let line = |prefix: &str| groups.lines().find_map(|line| line.split_once(prefix));
    let (_, path) =
        line("0::/").filter(|(_, p)| !p.is_empty()).or_else(|| line("name=systemd:/"))?;
    // Below system.slice, so that nothing of a person's session is taken for a service.
    let parts: Vec<&str> = path.split('/').collect();
    let at = parts.iter().position(|part| *part == "system.slice")?;
    let unit = parts.get(at + 1..)?.iter().find(|part| part.ends_with(".service"))?;
    is_unit(unit).then(|| (*unit).to_owned())
}

fn is_unit(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_@:".contains(c);
    !name.is_empty() && name.len() <= 200 && !name.starts_with('-') && name.chars().all(plain)
}

/// Makes sure that a watcher lives, started from the base.
pub fn arm(root: &Path, base: &Path) -> Result<()> {
    // One that is just about to end saw no trial: it is gone at the second look.
    if is_watched(root) {
        std::thread::sleep(SECOND_LOOK);
        if is_watched(root) {
            return Ok(());
        }
    }
    let words = |command: &mut Command| {
        command.arg("update-watch").arg("--root").arg(root);
    };
    let by_systemd = systemd() && {
        let mut command = Command::new(SYSTEMD_RUN);
        // Its own unit: what ends the daemon does not end it.
        command.args(["--quiet", "--collect", "--no-ask-password", "--service-type=exec"]);
        command.args(["--property=Restart=on-failure", "--property=RestartSec=1"]);
        command.arg("--description=watches over the trial of a new ldi").arg("--").arg(base);
        words(&mut command);
        run(&mut command).is_ok()
    };
    if !by_systemd {
        // Its own session, and nobody's child.
        let _ = adopt_orphans(false);
        let mut command = Command::new(base);
        words(&mut command);
        run(command.arg("--detach"))?;
    }
    let begun = Instant::now();
    while !is_watched(root) {
        if begun.elapsed() > ARM_WAIT {
            return Err(Failure::new(code::FAILED, "the watcher did not come up"));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn adopt_orphans(on: bool) -> nix::Result<()> {
    nix::sys::prctl::set_child_subreaper(on)
}

#[cfg(not(target_os = "linux"))]
fn adopt_orphans(_on: bool) -> nix::Result<()> {
    Ok(())
}

fn is_watched(root: &Path) -> bool {
    disk::lock(&file::watch_lock(root), Duration::ZERO, "a watcher").is_err()
}

/// Runs a short program of the service manager's, or a base, without this process's environment.
fn run(command: &mut Command) -> Result<()> {
    let words = format!("{command:?}");
    let failed = |why: String| Failure::new(code::FAILED, format!("{words}: {why}"));
    let done = command
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| failed(e.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).chars().take(300).collect::<String>();
    Err(failed(format!("{}: {said}", done.status)))
}

/// Ends the daemon of `root` and lets it start again; one that somebody stopped stays stopped.
pub fn restart(root: &Path, unit: Option<&str>, stop: Duration) -> Result<()> {
    let Some(unit) = unit.filter(|unit| is_unit(unit)) else { return end(root, stop) };
    if cfg!(target_os = "macos") {
        let target = format!("system/{unit}");
        return run(Command::new(LAUNCHCTL).args(["kickstart", "-k", &target]));
    }
    // systemd gives up on a service that ended too often; a start must be possible again.
    if run(Command::new(SYSTEMCTL).args(["is-failed", "--quiet", unit])).is_ok() {
        run(Command::new(SYSTEMCTL).args(["reset-failed", unit]))?;
        return run(Command::new(SYSTEMCTL).args(["start", unit]));
    }
    run(Command::new(SYSTEMCTL).args(["try-restart", unit]))
}

/// Without a service manager that can be asked: TERM, then KILL; it starts what ended.
fn end(root: &Path, stop: Duration) -> Result<()> {
    for (signal, wait) in [(Signal::SIGTERM, stop), (Signal::SIGKILL, stop)] {
        let Some(pid) = daemon(root) else { return Ok(()) };
        let _ = kill(pid, signal);
        let begun = Instant::now();
        while daemon(root) == Some(pid) {
            if begun.elapsed() > wait {
                break;
            }
            std::thread::sleep(LOOK);
        }
    }
    match daemon(root) {
        None => Ok(()),
        Some(pid) => Err(Failure::new(code::FAILED, format!("process {pid} does not end"))),
    }
}

/// The process that holds the daemon's lock, if it is an `ldi`.
pub fn daemon(root: &Path) -> Option<Pid> {
    if !tier::is_held(root, "daemon") {
        return None;
    }
    let text = parse::read_bounded(&root.join("var/lock.daemon"), 256).ok()?;
    let pid: i32 =
        std::str::from_utf8(&text).ok()?.split_ascii_whitespace().next()?.parse().ok()?;
    let program = |pid: i32| -> Option<PathBuf> { fs::read_link(format!("/proc/{pid}/exe")).ok() };
    // The number in the file is the holder's from a moment after it took the lock.
    let is_ldi =
        cfg!(not(target_os = "linux")) || program(pid)?.file_name()?.to_str()?.starts_with("ldi");
    (pid > 1 && is_ldi).then(|| Pid::from_raw(pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_read_from_the_cgroup() {
        for (groups, unit) in [
            ("0::/system.slice/ldi.service\n", Some("ldi.service")),
            ("0::/system.slice/ldi.service/jobs/x.service\n", Some("ldi.service")),
            ("12:pids:/x\n1:name=systemd:/system.slice/ldi.service\n0::/\n", Some("ldi.service")),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n", None),
            ("0::/\n", None),
            ("0::/system.slice/a b.service\n", None),
            ("", None),
        ] {
            assert_eq!(unit_of(groups).as_deref(), unit, "{groups}");
        }
    }
}
