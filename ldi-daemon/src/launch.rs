//! From a job to a process that is ready to start: namespace, environment, account, folders.

use std::{
    ffi::OsString,
    fs,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use loader::{Launch, Namespace};
use nix::unistd::{Uid, User};

use crate::{
    catalogue::Job,
    cgroup::{self, Group},
    config::Config,
    launcher::{self, Identity, Steps},
    secret::{self, Secret},
    supervise::Start,
    tiers::What,
};

/// What all jobs of a tier share.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The configuration.
    pub config: &'a Config,
    /// The release's modules.
    pub namespace: &'a Namespace,
    /// The release's number.
    pub release: u64,
    /// The release's tree.
    pub tree: &'a Path,
    /// The tier.
    pub tier: &'a str,
}

/// Why a job could not be made ready.
#[derive(Debug)]
pub enum Fault {
    /// A file of the tree is not what was signed: which, and the sentence.
    Tampered(String, String),
    /// Anything else: the sentence.
    Other(String),
}

impl From<loader::Error> for Fault {
    fn from(error: loader::Error) -> Self {
        let sentence = error.to_string();
        match error {
            loader::Error::Tampered { path } => Fault::Tampered(path, sentence),
            _ => Fault::Other(sentence),
        }
    }
}

/// `job`, ready to start as the run called `run`.
pub fn start(scene: &Scene<'_>, job: &Job, run: &str) -> Result<Start, Fault> {
    let args: Vec<OsString> = job.keys.args.iter().map(OsString::from).collect();
    let mut launch = match &job.what {
        What::Script(path) => scene.namespace.script(path, &args)?,
        What::Function(name) => scene.namespace.function(name, &args)?,
        What::Command(words) => Launch {
            program: words.first().map_or("/", String::as_str).into(),
            arg0: None,
            args: words.iter().skip(1).map(OsString::from).chain(args).collect(),
            env: Vec::new(),
            env_remove: Vec::new(),
            fds: Vec::new(),
        },
    };
    let account = account(job.keys.user.as_deref()).map_err(Fault::Other)?;
    let state = state_folder(&scene.config.root, &job.memory(), &account).map_err(Fault::Other)?;
    let ration = job.keys.ration.or(scene.config.run.ration());
    let owner = account.identity.as_ref().map(|account| (account.uid, account.gid));
    let mut secrets = Vec::new();
    for (at, name) in job.keys.secrets.iter().enumerate() {
        let secret = secret::find(name, &scene.config.run.secrets).map_err(Fault::Other)?;
        let number = Secret::number(at);
        launch.fds.push((secret.pipe(owner).map_err(Fault::Other)?, number));
        launch.env.push((secret.variable().into(), number.to_string().into()));
        secrets.push(secret);
    }
    let (group, notes) = cgroup::group(&scene.config.root, run, ration);
    let doors = group.as_ref().map_or_else(Vec::new, Group::doors);
    let identity = account.identity.clone().filter(|_| cfg!(target_os = "linux"));
    let steps = Steps { doors, identity };
    let launched = steps != Steps::default();
    let mut command = prepared(if launched { steps.before(launch) } else { launch });
    let mut launcher = None;
    if launched {
        let (writer, report) = launcher::report()
            .map_err(|e| Fault::Other(format!("it could not be started: {e}")))?;
        command.stdin(writer);
        launcher = Some(report);
    }
    environment(&mut command, scene, &account);
    introduce(&mut command, scene.tier, &job.name, run, &state);
    if let (Some(identity), false) = (&account.identity, launched) {
        command.uid(identity.uid).gid(identity.gid);
    }
    Ok(Start { command, launcher, group, secrets, notes })
}

/// `launch` with what a job called `job` would see, for somebody who starts it by hand: as this
/// account, without its limits, its secrets and its time-out. `state` is a folder like ROOT.
pub fn by_hand(
    scene: &Scene<'_>,
    launch: Launch,
    job: &str,
    run: &str,
    state: &Path,
) -> Result<Command, String> {
    let account = account(None)?;
    let state = state_folder(state, job, &account)?;
    let mut command = prepared(launch);
    environment(&mut command, scene, &account);
    introduce(&mut command, scene.tier, job, run, &state);
    command.stdin(std::process::Stdio::null());
    Ok(command)
}

/// The command that looks whether a gate is open.
pub fn gate(scene: &Scene<'_>, function: &str, run: &str) -> Result<Command, Fault> {
    let mut command = prepared(scene.namespace.function(function, &[])?);
    environment(&mut command, scene, &account(None).map_err(Fault::Other)?);
    command.env("LDI_TIER", scene.tier).env("LDI_RUN", run);
    Ok(command)
}

/// A command with nothing of this process's environment in it.
fn prepared(launch: Launch) -> Command {
    let env = launch.env.clone();
    let mut command = launch.command();
    command.env_clear().envs(env);
    command
}

fn environment(command: &mut Command, scene: &Scene<'_>, account: &Account) {
    command
        .env("PATH", &scene.config.run.path)
        .env("HOME", &account.home)
        .env("USER", &account.name)
        .env("LOGNAME", &account.name)
        .env("SHELL", "/bin/sh")
        .env("LANG", "C.UTF-8")
        .env("LDI_ROOT", &scene.config.root)
        .env("LDI_LIB", scene.tree)
        .env("LDI_RELEASE", scene.release.to_string())
        .env("LDI_CONFIG", &scene.config.file)
        .current_dir("/");
    if let Some(zone) = std::env::var_os("TZ") {
        command.env("TZ", zone);
    }
}

fn introduce(command: &mut Command, tier: &str, job: &str, run: &str, state: &Path) {
    command
        .env("LDI_TIER", tier)
        .env("LDI_JOB", job)
        .env("LDI_RUN", run)
        .env("LDI_STATE_DIR", state);
}

#[derive(Debug)]
struct Account {
    name: String,
    home: PathBuf,
    /// What to become; `None` when it is this process's own.
    identity: Option<Identity>,
}

fn account(wanted: Option<&str>) -> Result<Account, String> {
    let this = Uid::effective();
    let found = match wanted {
        Some(name) => User::from_name(name)
            .map_err(|e| format!("account {name} cannot be looked up: {e}"))?
            .ok_or_else(|| format!("there is no account {name} on this machine"))?,
        None => match User::from_uid(this) {
            Ok(Some(user)) => user,
            // A container without passwd entries still runs its jobs.
            _ => {
                return Ok(Account { name: this.to_string(), home: "/".into(), identity: None });
            }
        },
    };
    let change = found.uid != this;
    if change && !this.is_root() {
        return Err(format!("only root can run a job as {}", found.name));
    }
    let identity = if change {
        Some(Identity { uid: found.uid.as_raw(), gid: found.gid.as_raw(), groups: groups(&found)? })
    } else {
        None
    };
    Ok(Account { name: found.name, home: found.dir, identity })
}

/// All groups of an account (getgrouplist(3)).
#[cfg(target_os = "linux")]
fn groups(user: &User) -> Result<Vec<u32>, String> {
    let wrong = |e: &dyn std::fmt::Display| {
        format!("the groups of account {} cannot be looked up: {e}", user.name)
    };
    let name = std::ffi::CString::new(user.name.as_str()).map_err(|e| wrong(&e))?;
    let groups = nix::unistd::getgrouplist(&name, user.gid).map_err(|e| wrong(&e))?;
    Ok(groups.into_iter().map(nix::unistd::Gid::as_raw).collect())
}

#[cfg(not(target_os = "linux"))]
fn groups(user: &User) -> Result<Vec<u32>, String> {
    Ok(vec![user.gid.as_raw()])
}

/// `ROOT/var/JOB`: the job's own, lasting, private.
fn state_folder(root: &Path, job: &str, account: &Account) -> Result<PathBuf, String> {
    let folder = root.join("var").join(job);
    let failed = |e: std::io::Error| format!("cannot make its folder {}: {e}", folder.display());
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(failed)?;
    }
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => {}
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed(e)),
    }
    // Asked first: on a disk that became read-only the job runs on.
    let theirs = |id: &Identity| {
        fs::metadata(&folder).is_ok_and(|there| (there.uid(), there.gid()) == (id.uid, id.gid))
    };
    if let Some(Identity { uid, gid, .. }) = account.identity.as_ref().filter(|id| !theirs(id)) {
        chown(&folder, Some(*uid), Some(*gid)).map_err(failed)?;
    }
    Ok(folder)
}
