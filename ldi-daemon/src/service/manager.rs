//! The service manager of a system: which one it is, what it is told, and whether the caller is
//! a job of the service itself. No shell; programs by absolute path.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Part, launchd, systemd};
use crate::{Failure, Result, error::code};

/// The service managers that are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Manager {
    /// systemd, on Linux.
    Systemd,
    /// launchd, on macOS.
    Launchd,
}

/// How a service stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Ready.
    Running,
    /// Starting, ending, or about to be started anew.
    Changing,
    /// Ended, or never started.
    Off,
}

impl Manager {
    /// The one of this system.
    pub fn here() -> Self {
        if cfg!(target_os = "macos") { Self::Launchd } else { Self::Systemd }
    }

    /// What makes the service that runs `program`, on the system below `root`.
    pub fn parts(self, program: &str, root: &Path) -> Vec<Part> {
        match self {
            Self::Systemd => systemd::parts(program, Self::packaged(root)),
            Self::Launchd => launchd::parts(program),
        }
    }

    /// The unit that a package brought.
    pub fn packaged(root: &Path) -> Option<&'static Path> {
        systemd::PACKAGED.map(Path::new).into_iter().find(|path| super::below(root, path).is_file())
    }

    /// Whether it runs on this system, so that it can be told something.
    pub fn runs(self) -> bool {
        match self {
            Self::Systemd => Path::new("/run/systemd/system").is_dir(),
            Self::Launchd => cfg!(target_os = "macos"),
        }
    }

    /// How the service stands.
    pub fn state(self) -> Result<State> {
        Ok(match self {
            Self::Systemd => {
                let words = ["show", "--property=ActiveState", "--value", systemd::UNIT];
                match self.ask(&words)?.trim() {
                    "active" | "reloading" => State::Running,
                    "inactive" | "failed" => State::Off,
                    _ => State::Changing,
                }
            }
            // What is not loaded is an error to it.
            Self::Launchd => match self.ask(&["print", launchd::TARGET]) {
                Ok(_) => State::Running,
                Err(_) => State::Off,
            },
        })
    }

    /// Reads the service's files anew and starts it; returns when it is ready.
    pub fn start(self, parts: &[Part]) -> Result<()> {
        match self {
            Self::Systemd => {
                self.reload()?;
                self.tell(&["start", systemd::UNIT])
            }
            Self::Launchd => {
                let plist = parts.first().map(|p| p.path.display().to_string()).unwrap_or_default();
                self.tell(&["bootstrap", "system", &plist])
            }
        }
    }

    /// Lets the running service end its tiers and then start anew, or end if nothing starts it.
    pub fn leave_when_idle(self) -> Result<()> {
        match self {
            Self::Systemd => {
                self.tell(&["kill", "--kill-who=main", "--signal=USR1", systemd::UNIT])
            }
            Self::Launchd => self.tell(&["kill", "USR1", launchd::TARGET]),
        }
    }

    /// Ends the service and its jobs.
    pub fn stop(self) -> Result<()> {
        match self {
            Self::Systemd => self.tell(&["stop", systemd::UNIT]),
            Self::Launchd => self.tell(&["bootout", launchd::TARGET]),
        }
    }

    /// Lets it notice that files of the service changed or are gone.
    pub fn reload(self) -> Result<()> {
        match self {
            Self::Systemd => self.tell(&["daemon-reload"]),
            Self::Launchd => Ok(()),
        }
    }

    fn tell(self, words: &[&str]) -> Result<()> {
        self.ask(words).map(drop)
    }

    fn ask(self, words: &[&str]) -> Result<String> {
        let program = self.program()?;
        let told = Command::new(&program)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Failure::io("run", &program, &e))?;
        if told.status.success() {
            return Ok(String::from_utf8_lossy(&told.stdout).into_owned());
        }
        let why = String::from_utf8_lossy(&told.stderr);
        let why: String = why.trim().chars().take(500).collect();
        let said = format!("`{} {}` failed: {why}", program.display(), words.join(" "));
        Err(Failure::new(code::FAILED, said))
    }

    fn program(self) -> Result<PathBuf> {
        let known: &[&str] = match self {
            Self::Systemd => &["/usr/bin/systemctl", "/bin/systemctl"],
            Self::Launchd => &["/bin/launchctl"],
        };
        known.iter().map(PathBuf::from).find(|path| path.is_file()).ok_or_else(|| {
            let what = format!("{} is not there; use --root / to write the files only", known[0]);
            Failure::new(code::FAILED, what)
        })
    }
}

/// Whether this process is a job of the service, or was started by one: to stop the service would
/// end it in mid work. On Linux as the control group says, which a job cannot shed by accident.
pub fn inside() -> bool {
    if cfg!(target_os = "linux") {
        fs::read_to_string("/proc/self/cgroup").is_ok_and(|groups| in_service(&groups))
    } else {
        std::env::var_os("LDI_RUN").is_some()
    }
}

/// `groups` is cgroups(7), `/proc/PID/cgroup`.
fn in_service(groups: &str) -> bool {
    groups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .any(|path| path.split('/').any(|part| part == systemd::UNIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_the_service_is_known_by_its_control_group() {
        assert!(in_service("1:name=systemd:/system.slice/ldi.service\n0::/\n"));
        assert!(in_service("0::/system.slice/ldi.service/job-1\n"));
        assert!(!in_service("0::/user.slice/user-0.slice/session-1.scope\n"));
        assert!(!in_service("0::/system.slice/xldi.service\n"));
        assert!(!in_service(""));
    }
}
