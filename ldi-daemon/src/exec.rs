//! `ldi exec`, `ldi call`, `ldi shell`, `ldi repl`, `pyexec`: one script, function or prompt with
//! the module namespace.
//!
//! This path is short on purpose: read the configuration, open the index, become the script.
//! The script's exit status is the process's own, as no process stays around it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{fs::MetadataExt, process::CommandExt},
    path::{Path, PathBuf},
    process::Command,
};

use clap::Args;
use codesync::store::Release;
use loader::{Launch, Namespace};

use crate::{
    Failure, Result,
    config::Config,
    error::code,
    launch::{self, Scene},
    release,
    tier::run_name,
};

/// Where the modules come from.
pub struct Source {
    namespace: Namespace,
    release: Option<Release>,
    config: Config,
    /// The configuration's file, when it is there and good.
    file: Option<PathBuf>,
}

/// What to become.
#[derive(Debug, Clone, Copy)]
pub enum Target<'a> {
    /// A file.
    File(&'a OsStr),
    /// A bash or Python function.
    Function(&'a OsStr),
    /// A Python program, with the options of pyexec.
    Pyexec,
    /// An interactive bash.
    Shell,
    /// An interactive Python.
    Repl,
}

/// In which surroundings.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Manner {
    /// Sets LDI_NOOP=1: helpers of the library say what they would do, and do not do it
    #[arg(long)]
    pub noop: bool,
    /// As a job would be: its environment and nothing of this one's, in /, umask 022, stdin empty
    #[arg(long)]
    pub as_job: bool,
}

/// Becomes `target`; returns only when that is impossible.
pub fn exec(
    config: &Path,
    tree: Option<&Path>,
    target: Target<'_>,
    args: &[OsString],
    manner: Manner,
) -> Failure {
    match try_exec(config, tree, target, args, manner) {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

/// The functions that begin with `prefix`, one a line; those whose names a shell would take apart
/// are left out.
pub fn functions(config: &Path, tree: Option<&Path>, prefix: &OsStr) -> Result<String> {
    let source = Source::open(config, tree)?;
    let names = source.namespace.functions().map_err(|error| source.failure(error))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.:@%+-".contains(c);
    let prefix = prefix.to_string_lossy();
    let fits = |name: &&String| name.starts_with(prefix.as_ref()) && name.chars().all(plain);
    Ok(names.iter().filter(fits).map(|name| format!("{name}\n")).collect())
}

enum Never {}

fn try_exec(
    config: &Path,
    tree: Option<&Path>,
    target: Target<'_>,
    args: &[OsString],
    manner: Manner,
) -> Result<Never> {
    let source = Source::open(config, tree)?;
    let launch = source.launch(target, args).map_err(|error| source.failure(error))?;
    let program = launch.program.clone();
    let mut command = source.command(launch, target, manner)?;
    let error = command.exec();
    Err(Failure::io("start", &program, &error))
}

impl Source {
    /// The active release, or the working tree `tree`.
    pub fn open(config: &Path, tree: Option<&Path>) -> Result<Self> {
        if let Some(tree) = tree {
            let tree = std::fs::canonicalize(tree).map_err(|e| Failure::io("open", tree, &e))?;
            let loaded = Config::load(config);
            return Ok(Self {
                namespace: Namespace::working(&tree)?,
                release: None,
                file: loaded.is_ok().then(|| config.to_owned()),
                config: loaded.unwrap_or_default(),
            });
        }
        let file = Some(config.to_owned());
        let config = Config::load(config)?;
        let release = release::active(&config.root)?;
        let namespace = release::namespace(&release)?;
        Ok(Self { namespace, release: Some(release), config, file })
    }

    /// `target`, ready to start.
    pub fn launch(&self, target: Target<'_>, args: &[OsString]) -> Result<Launch, loader::Error> {
        match target {
            Target::Pyexec => loader::pyexec(&self.namespace, args),
            Target::Shell => self.namespace.shell(),
            Target::Repl => self.namespace.repl(),
            Target::Function(name) => match name.to_str() {
                Some(name) => self.namespace.function(name, args),
                None => {
                    Err(loader::Error::NotFound(format!("{name:?} is not the name of a function")))
                }
            },
            Target::File(file) => match self.within(Path::new(file)) {
                Some(path) => self.namespace.script(&path, args),
                None => self.namespace.outside(Path::new(file), args),
            },
        }
    }

    /// The path within the tree, when `file` means a file of the tree: by its path there, or by
    /// its path in the file system.
    pub fn within(&self, file: &Path) -> Option<String> {
        let known = |path: &Path| {
            let path = path.to_str()?;
            self.namespace.contains(path).then(|| path.to_owned())
        };
        if let Some(found) = known(file) {
            return Some(found);
        }
        let whole = std::fs::canonicalize(file).ok()?;
        let tree = self.namespace.tree();
        let tree = std::fs::canonicalize(tree).unwrap_or_else(|_| tree.to_owned());
        known(whole.strip_prefix(tree).ok()?)
    }

    /// The modules.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The bash modules that a script of the tree is given; `None` where that is not known.
    pub fn reach(&self, target: Target<'_>, args: &[OsString]) -> Option<Vec<String>> {
        let Target::File(file) = target else { return None };
        self.namespace.reach(&self.within(Path::new(file))?, args).ok()?
    }

    /// `launch` in its surroundings.
    pub fn command(&self, launch: Launch, target: Target<'_>, manner: Manner) -> Result<Command> {
        let mut command = if manner.as_job {
            self.as_job(launch, target)?
        } else {
            let mut command = launch.command();
            self.environment(&mut command);
            command
        };
        if manner.noop {
            command.env("LDI_NOOP", "1");
        }
        Ok(command)
    }

    /// What a job sees, by name and value, but for LDI_RUN; docs/daemon.md, "What a job sees".
    fn as_job(&self, launch: Launch, target: Target<'_>) -> Result<Command> {
        let (tier, job) = self.job(target);
        let scene = Scene {
            config: &self.config,
            namespace: &self.namespace,
            release: self.release.as_ref().map_or(0, |release| release.number),
            tree: self.namespace.tree(),
            tier: &tier,
        };
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
        launch::by_hand(&scene, launch, &job, &run_name(), &self.state()?)
            .map_err(|sentence| Failure::new(code::FAILED, sentence))
    }

    /// Tier and job that `target` would be.
    fn job(&self, target: Target<'_>) -> (String, String) {
        let name = match target {
            Target::File(file) => {
                let inside = self.within(Path::new(file));
                let job = inside.as_deref().and_then(|path| path.strip_prefix("scripts/"));
                if let Some((tier, name)) = job.and_then(|job| job.split_once('/')) {
                    return (tier.to_owned(), format!("{tier}/{name}"));
                }
                Path::new(file).file_name().unwrap_or_default()
            }
            Target::Function(name) => name,
            Target::Pyexec | Target::Shell | Target::Repl => OsStr::new("prompt"),
        };
        ("exec".to_owned(), format!("exec/{}", name.to_string_lossy().replace('/', "_")))
    }

    /// Beneath which folder jobs keep their state: ROOT for whom it belongs to, when what runs is
    /// what was published; else one of the caller's own, so that a trial changes nothing there.
    fn state(&self) -> Result<PathBuf> {
        let root = &self.config.root;
        let ours =
            std::fs::metadata(root).is_ok_and(|meta| meta.uid() == nix::unistd::geteuid().as_raw());
        if self.release.is_some() && ours {
            return Ok(root.clone());
        }
        let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let home =
            || set("HOME").filter(|home| home.is_dir()).map(|home| home.join(".local/state"));
        set("XDG_STATE_HOME").or_else(home).map(|folder| folder.join("ldi")).ok_or_else(|| {
            let what = "there is no folder for the job's state: set HOME or XDG_STATE_HOME to one";
            Failure::new(code::FAILED, what)
        })
    }

    fn environment(&self, command: &mut Command) {
        command.env("LDI_ROOT", &self.config.root).env("LDI_LIB", self.namespace.tree());
        if let Some(file) = &self.file {
            command.env("LDI_CONFIG", file);
        }
        match &self.release {
            Some(release) => command.env("LDI_RELEASE", release.number.to_string()),
            None => command.env_remove("LDI_RELEASE"),
        };
    }

    /// Notes down what was tampered with.
    pub fn failure(&self, error: loader::Error) -> Failure {
        if let (loader::Error::Tampered { path }, Some(release)) = (&error, &self.release) {
            release::mark_damaged(&self.config.root, release.number, path);
        }
        error.into()
    }
}
