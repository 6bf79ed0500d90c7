//! From a job to a process that is ready to start: namespace, environment, account, folders.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::{
        fs::{DirBuilderExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use loader::Namespace;
use nix::unistd::{Uid, User};

use crate::{config::Config, jobs::Job, tiers::What};

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

/// The command of `job` for the run called `run`.
pub fn command(scene: &Scene<'_>, job: &Job, run: &str) -> Result<Command, Fault> {
    let args: Vec<OsString> = job.keys.args.iter().map(OsString::from).collect();
    let mut command = match &job.what {
        What::Script(path) => prepared(scene.namespace.script(path, &args)?),
        What::Function(name) => prepared(scene.namespace.function(name, &args)?),
        What::Command(words) => {
            let mut words = words.iter();
            let mut command = Command::new(words.next().map_or(OsStr::new("/"), OsStr::new));
            command.args(words).args(&args).env_clear();
            command
        }
    };
    let account = account(job.keys.user.as_deref()).map_err(Fault::Other)?;
    let state = state_folder(&scene.config.root, &job.name, &account).map_err(Fault::Other)?;
    environment(&mut command, scene, &account);
    command
        .env("LDI_TIER", scene.tier)
        .env("LDI_JOB", &job.name)
        .env("LDI_RUN", run)
        .env("LDI_STATE_DIR", state);
    if account.change {
        command.uid(account.uid).gid(account.gid);
    }
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
fn prepared(launch: loader::Launch) -> Command {
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

#[derive(Debug)]
struct Account {
    name: String,
    home: PathBuf,
    uid: u32,
    gid: u32,
    change: bool,
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
                return Ok(Account {
                    name: this.to_string(),
                    home: "/".into(),
                    uid: this.as_raw(),
                    gid: nix::unistd::Gid::effective().as_raw(),
                    change: false,
                });
            }
        },
    };
    let change = found.uid != this;
    if change && !this.is_root() {
        return Err(format!("only root can run a job as {}", found.name));
    }
    Ok(Account {
        name: found.name,
        home: found.dir,
        uid: found.uid.as_raw(),
        gid: found.gid.as_raw(),
        change,
    })
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
    if account.change {
        chown(&folder, Some(account.uid), Some(account.gid)).map_err(failed)?;
    }
    Ok(folder)
}
