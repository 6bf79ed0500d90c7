//! A machine with a real service manager: a Debian root made once by debootstrap, booted by
//! systemd-nspawn without a network of its own.
//!
//! Needs root and Linux. Files go in and out through [`Container::root`], commands through
//! `nsenter`; nothing is registered with the host's service manager, and each container lives in
//! control groups of its own, so that two of them never meet.

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{
    parts::{self, program},
    process::{self, Done},
};

/// Of the base system: a new number makes every machine build it anew.
const BASE: &str = "base-2";
/// What the base has beyond Debian's smallest. openssl brings the libssl that binaries of the
/// debug profile link, whatever its package is called; rpm installs the other packages.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,bash,ca-certificates,openssl,procps,rpm";
const BUILD_LIMIT: Duration = Duration::from_secs(900);
const BOOT_LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

/// One machine: its files while it is off, its processes while it is on. Ends with its value.
#[derive(Debug)]
pub struct Container {
    dir: TempDir,
    on: Option<On>,
}

/// The processes of a machine that is on.
#[derive(Debug)]
struct On {
    nspawn: Child,
    init: Pid,
    groups: Vec<PathBuf>,
}

impl Container {
    /// A machine that has never been on; `None` where none can be, or when a part is missing and
    /// need not be there.
    pub fn new() -> Result<Option<Self>> {
        if !cfg!(target_os = "linux") {
            eprintln!("left out: only Linux boots a container");
            return Ok(None);
        }
        if !nix::unistd::geteuid().is_root() {
            return parts::absent(&["root, to boot a container"]).map(|_| None);
        }
        if !parts::need(&["systemd-nspawn", "debootstrap", "nsenter"])? {
            return Ok(None);
        }
        let folder = parts::repository().join("target/container");
        fs::create_dir_all(&folder)?;
        sweep(&folder)?;
        let base = base(&folder)?;
        let prefix = format!("{}-", std::process::id());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(&folder)?;
        let mut copy = process::command(&program("cp")?);
        copy.args(["-a", "--reflink=auto"]).arg(&base).arg(dir.path().join("root"));
        process::run(&mut copy)?.success()?;
        Ok(Some(Self { dir, on: None }))
    }

    /// Its root folder, seen from outside; also while it is on.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    /// What its console showed since the first boot.
    pub fn console(&self) -> String {
        fs::read_to_string(self.dir.path().join("console")).unwrap_or_default()
    }

    /// Switches it on; returns when its service manager has started everything.
    pub fn boot(&mut self) -> Result<()> {
        ensure!(self.on.is_none(), "the container is on already");
        let name = self.dir.path().file_name().unwrap_or_default().to_string_lossy();
        let groups = groups(&name);
        let console =
            File::options().create(true).append(true).open(self.dir.path().join("console"))?;
        // The shell joins the control groups before it becomes systemd-nspawn.
        let join = r#"while [ "$1" != -- ]; do mkdir -p "$1" && echo $$ >"$1/cgroup.procs"; shift; done
            shift; exec "$@""#;
        let mut command = process::command(&program("sh")?);
        command.args(["-ec", join, "sh"]).args(&groups).arg("--");
        command.arg(program("systemd-nspawn")?).arg("-D").arg(self.root());
        command.args(["--quiet", "--boot", "--register=no", "--keep-unit", "--private-network"]);
        command.args(["--machine=ldi-test", "--console=pipe", "--resolv-conf=off"]);
        command.args(["--timezone=off", "--link-journal=no"]);
        let nspawn = command
            .stdin(Stdio::null())
            .stdout(console.try_clone()?)
            .stderr(console)
            .spawn()
            .context("cannot start systemd-nspawn")?;
        // From here on Drop ends it, whatever happens.
        self.on = Some(On { nspawn, init: Pid::from_raw(0), groups });
        self.wait("the container did not boot", BOOT_LIMIT, |container| {
            let on = container.on.as_mut().context("the container is off")?;
            if let Some(status) = on.nspawn.try_wait()? {
                bail!("systemd-nspawn ended with {status}");
            }
            let Some(init) = init_of(&on.nspawn) else { return Ok(false) };
            on.init = init;
            let state = container.run(&["systemctl", "is-system-running"])?.out();
            Ok(["running", "degraded"].contains(&state.trim()))
        })
    }

    /// Lets the machine restart itself, as `reboot` does, and waits until it is back.
    pub fn reboot(&mut self) -> Result<()> {
        self.ends(&["systemctl", "reboot"])?;
        self.boot()
    }

    /// Lets the machine shut itself down in order.
    pub fn shut_down(&mut self) -> Result<()> {
        self.ends(&["systemctl", "poweroff"])
    }

    /// Takes the power away: every process ends at once.
    pub fn cut_power(&mut self) {
        if let Some(mut on) = self.on.take() {
            // The end of its first process is the end of all in a process namespace.
            if on.init.as_raw() > 0 {
                kill(on.init, Signal::SIGKILL).ok();
            } else {
                on.nspawn.kill().ok();
            }
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(10) {
                if on.nspawn.try_wait().is_ok_and(|status| status.is_some()) {
                    break;
                }
                thread::sleep(POLL);
            }
            on.nspawn.kill().ok();
            on.nspawn.wait().ok();
            for group in &on.groups {
                remove_group(group);
            }
        }
    }

    /// Runs a program inside to its end, whatever its exit code.
    pub fn run(&self, words: &[&str]) -> Result<Done> {
        process::run(&mut self.command(words)?)
    }

    /// Runs a line of shell inside that must succeed; its standard output.
    pub fn sh(&self, line: &str) -> Result<String> {
        Ok(self.run(&["sh", "-euc", line])?.success()?.out())
    }

    /// A program inside, not yet started.
    pub fn command(&self, words: &[&str]) -> Result<Command> {
        let on = self.on.as_ref().context("the container is off")?;
        let mut command = process::command(&program("nsenter")?);
        // Not --all: a user namespace is not entered twice.
        command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]);
        command.args(["--target", &on.init.to_string(), "--"]).args(words);
        Ok(command)
    }

    /// Waits until a line of shell inside succeeds, for at most `seconds`.
    pub fn until(&mut self, line: &str, seconds: u64) -> Result<()> {
        self.wait(&format!("not true: {line}"), Duration::from_secs(seconds), |container| {
            Ok(container.run(&["sh", "-euc", line])?.status.success())
        })
    }

    /// Copies a file or folder of this machine to `inside`, an absolute path.
    pub fn copy_in(&self, file: &Path, inside: &str) -> Result<()> {
        let target = self.root().join(inside.trim_start_matches('/'));
        fs::create_dir_all(target.parent().context("no folder to copy to")?)?;
        let mut copy = process::command(&program("cp")?);
        process::run(copy.args(["-a", "-T"]).arg(file).arg(target))?.success()?;
        Ok(())
    }

    fn ends(&mut self, words: &[&str]) -> Result<()> {
        // The answer may be cut off by what was asked for.
        self.run(words)?;
        self.wait("the container did not end", BOOT_LIMIT, |container| {
            let on = container.on.as_mut().context("the container is off")?;
            Ok(on.nspawn.try_wait()?.is_some())
        })?;
        self.cut_power();
        Ok(())
    }

    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        mut ready: impl FnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        let start = Instant::now();
        loop {
            if ready(self).with_context(|| self.end_of_console())? {
                return Ok(());
            }
            if start.elapsed() > limit {
                bail!("{what} within {} s; {}", limit.as_secs(), self.end_of_console());
            }
            thread::sleep(POLL);
        }
    }

    fn end_of_console(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        format!("its console ends with:\n{}", lines[lines.len().saturating_sub(15)..].join("\n"))
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.cut_power();
    }
}

/// The base system, built by the first who asks; others wait.
fn base(folder: &Path) -> Result<PathBuf> {
    let lock = File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock target/container")?;
    let base = folder.join(BASE);
    if base.is_dir() {
        return Ok(base);
    }
    let making = tempfile::Builder::new().prefix("making-").tempdir_in(folder)?;
    let root = making.path().join("root");
    let release = fs::read_to_string("/etc/os-release")?;
    let suite = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .context("/etc/os-release names no VERSION_CODENAME, so debootstrap has no suite")?;
    let mut command = process::command(&program("debootstrap")?);
    command.args(["--variant=minbase", &format!("--include={PACKAGES}"), suite]).arg(&root);
    process::run_within(&mut command, BUILD_LIMIT)?.success()?;
    for rest in ["var/cache/apt/archives", "var/lib/apt/lists"] {
        fs::remove_dir_all(root.join(rest))?;
        fs::create_dir(root.join(rest))?;
    }
    fs::rename(&root, &base)?;
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        if name.to_string_lossy().starts_with("base-") && name != BASE {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(base)
}

/// Removes what tests left behind that were killed.
fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let owner = name.split('-').next().and_then(|pid| pid.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            fs::remove_dir_all(entry.path()).ok();
            groups(name).iter().for_each(|group| remove_group(group));
        }
    }
    Ok(())
}

/// The first process inside: the child of systemd-nspawn that has a process namespace of its own.
fn init_of(nspawn: &Child) -> Option<Pid> {
    let pid = nspawn.id();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    let space = |pid: &str| fs::metadata(format!("/proc/{pid}/ns/pid")).ok().map(|m| m.ino());
    let own = space("self")?;
    children
        .split_ascii_whitespace()
        .find(|child| space(child).is_some_and(|its| its != own))
        .and_then(|child| child.parse().ok())
        .map(Pid::from_raw)
}

/// The control groups of the container in folder `name`, one in each hierarchy that a service
/// manager uses.
fn groups(name: &str) -> Vec<PathBuf> {
    ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
        .map(Path::new)
        .into_iter()
        .filter(|folder| folder.join("cgroup.procs").is_file())
        .map(|folder| folder.join(format!("ldi-test-{name}")))
        .collect()
}

fn remove_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_group(&entry.path());
        }
    }
    // The files of a control group are no files: only the folder can be removed.
    fs::remove_dir(group).ok();
}
