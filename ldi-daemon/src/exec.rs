//! `ldi exec`, `ldi call`, `ldi shell`, `ldi repl`, `pyexec`: one script, function or prompt with
//! the module namespace.
//!
//! This path is short on purpose: read the configuration, open the index, become the script.
//! The script's exit status is the process's own, as no process stays around it.

use std::{
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
};

use codesync::store::Release;
use loader::{Launch, Namespace};

use crate::{Failure, Result, config::Config, release};

/// Where the modules come from.
pub struct Source {
    namespace: Namespace,
    release: Option<Release>,
    root: PathBuf,
    config: Option<PathBuf>,
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

/// Becomes `target`; returns only when that is impossible.
pub fn exec(config: &Path, tree: Option<&Path>, target: Target<'_>, args: &[OsString]) -> Failure {
    match try_exec(config, tree, target, args) {
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
) -> Result<Never> {
    let source = Source::open(config, tree)?;
    let launch = source.launch(target, args).map_err(|error| source.failure(error))?;
    let program = launch.program.clone();
    let mut command = launch.command();
    source.environment(&mut command);
    let error = command.exec();
    Err(Failure::io("start", &program, &error))
}

impl Source {
    fn open(config: &Path, tree: Option<&Path>) -> Result<Self> {
        if let Some(tree) = tree {
            let tree = std::fs::canonicalize(tree).map_err(|e| Failure::io("open", tree, &e))?;
            let loaded = Config::load(config);
            let root = loaded.as_ref().map_or_else(|_| Config::default().root, |c| c.root.clone());
            return Ok(Self {
                namespace: Namespace::working(&tree)?,
                release: None,
                root,
                config: loaded.is_ok().then(|| config.to_owned()),
            });
        }
        let root = Config::load(config)?.root;
        let release = release::active(&root)?;
        let namespace = release::namespace(&release)?;
        Ok(Self { namespace, release: Some(release), root, config: Some(config.to_owned()) })
    }

    fn launch(&self, target: Target<'_>, args: &[OsString]) -> Result<Launch, loader::Error> {
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
    fn within(&self, file: &Path) -> Option<String> {
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

    fn environment(&self, command: &mut std::process::Command) {
        command.env("LDI_ROOT", &self.root).env("LDI_LIB", self.namespace.tree());
        if let Some(config) = &self.config {
            command.env("LDI_CONFIG", config);
        }
        match &self.release {
            Some(release) => command.env("LDI_RELEASE", release.number.to_string()),
            None => command.env_remove("LDI_RELEASE"),
        };
    }

    fn failure(&self, error: loader::Error) -> Failure {
        if let (loader::Error::Tampered { path }, Some(release)) = (&error, &self.release) {
            release::mark_damaged(&self.root, release.number, path);
        }
        error.into()
    }
}
