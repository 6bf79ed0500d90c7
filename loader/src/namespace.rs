//! A tree and its modules, and the ways to start something with them.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::{
    Error, Launch, bash, bytes,
    index::{Entry, Index, NONE},
    index_bytes,
    interpreter::{self, Interpreter, Kind},
    python::{self, Task},
    suggest, tree,
};

const FD_FILE: i32 = 110;

/// The modules of one tree.
#[derive(Debug)]
pub struct Namespace {
    pub(crate) tree: PathBuf,
    pub(crate) index: Index,
}

/// A text to run and where it came from.
pub(crate) struct Source<'a> {
    pub(crate) text: Vec<u8>,
    /// What messages call it.
    pub(crate) name: &'a str,
    /// Absolute.
    pub(crate) path: PathBuf,
    /// Within the tree.
    pub(crate) inside: Option<&'a str>,
    /// It has no signed hash: the interpreter may read it from its own path.
    pub(crate) in_place: bool,
}

impl Namespace {
    /// The namespace of a release: its tree and the index that [`crate::build_index`] wrote.
    /// Everything that runs is compared with the hashes in the index.
    pub fn release(tree: &Path, index: &Path) -> Result<Self, Error> {
        Ok(Self { tree: absolute(tree)?, index: Index::open(index)? })
    }

    /// The namespace of an unpublished working tree: indexed now, in memory.
    pub fn working(tree: &Path) -> Result<Self, Error> {
        let tree = absolute(tree)?;
        let data = index_bytes(&tree, tree::modules(&tree)?, false)?;
        let index = Index::parse(data, &tree)?;
        Ok(Self { tree, index })
    }

    /// The tree.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The folder that holds `lib`, `logs` and the rest: what old scripts know as `$code`.
    pub(crate) fn root(&self) -> &Path {
        let parent = self.tree.parent().unwrap_or(&self.tree);
        if parent.file_name() == Some(OsStr::new("releases")) {
            parent.parent().unwrap_or(parent)
        } else {
            parent
        }
    }

    /// Starts `path` (within the tree), by its interpreter, with the namespace.
    pub fn script(&self, path: &str, args: &[OsString]) -> Result<Launch, Error> {
        self.start(&self.inside(path)?, args)
    }

    /// Starts a file outside the tree with the namespace, unverified.
    pub fn outside(&self, file: &Path, args: &[OsString]) -> Result<Launch, Error> {
        let name = file.to_string_lossy();
        self.start(&self.unsigned(file, &name)?, args)
    }

    /// Starts a bash or Python module function (`name`, or `module.name` for Python).
    pub fn function(&self, name: &str, args: &[OsString]) -> Result<Launch, Error> {
        if self.is_function(name) {
            let bash = interpreter::bash().ok_or_else(|| Error::NoInterpreter {
                path: name.to_owned(),
                interpreter: "bash".to_owned(),
            })?;
            return bash::function(self, bash, name, args);
        }
        if let Some((module, function)) = name.rsplit_once('.')
            && let Some(file) = self.python_file(module)
        {
            let known = suggest::python_functions(&self.read(&file)?);
            if known.iter().any(|known| known == function) {
                let task = Task {
                    call: Some(name),
                    argv: [OsString::from(name)].into_iter().chain(args.iter().cloned()).collect(),
                    ..Task::default()
                };
                return python::launch(self, python_program(name)?, task);
            }
            let known = known.into_iter().map(|known| format!("{module}.{known}"));
            return Err(suggest::not_found("function", name, known));
        }
        let bash = (0..self.index.names())
            .filter_map(|at| self.index.name(at))
            .filter_map(|(text, _)| std::str::from_utf8(text).ok())
            .filter(|text| self.is_function(text))
            .map(str::to_owned);
        let modules = self.python_modules();
        let python = modules.iter().flat_map(|(module, file)| {
            let text = self.read(file).unwrap_or_default();
            let module = module.clone();
            suggest::python_functions(&text).into_iter().map(move |f| format!("{module}.{f}"))
        });
        Err(suggest::not_found("function", name, bash.chain(python)))
    }

    /// An interactive bash with every module.
    pub fn shell(&self) -> Result<Launch, Error> {
        let bash = interpreter::bash().ok_or_else(|| Error::NoInterpreter {
            path: "the shell".to_owned(),
            interpreter: "bash".to_owned(),
        })?;
        bash::shell(self, bash)
    }

    /// An interactive Python with every `*_tools` module as a global.
    pub fn repl(&self) -> Result<Launch, Error> {
        let task =
            Task { interactive: true, globals: true, argv: vec!["".into()], ..Task::default() };
        python::launch(self, python_program("the prompt")?, task)
    }

    /// Whether the tree has this file.
    pub fn contains(&self, path: &str) -> bool {
        if self.index.verified() {
            self.index.find_file(path).is_some()
        } else {
            tree::is_clean(path) && self.tree.join(path).is_file()
        }
    }

    /// The bash modules that a script within the tree is given, for `explain`, lint and tests;
    /// `None` when it forms names at run time and is given all.
    pub fn reach(&self, path: &str, args: &[OsString]) -> Result<Option<Vec<String>>, Error> {
        use crate::{closure, scan};
        let source = self.inside(path)?;
        let reach = closure::reach(&self.index, &scan::scan(&source.text), args)?;
        let closure::Reach::Some(modules) = reach else { return Ok(None) };
        let path = |module| {
            let module = self.index.module(module)?;
            Some(self.index.file(module.file)?.path.to_owned())
        };
        modules
            .into_iter()
            .map(|m| path(m).ok_or_else(|| self.index.damaged()))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A file of the tree, verified.
    pub(crate) fn inside<'a>(&self, path: &'a str) -> Result<Source<'a>, Error> {
        let missing = || {
            let files = (0..self.index.files()).filter_map(|at| self.index.file(at));
            suggest::not_found("file", path, files.map(|file| file.path.to_owned()))
        };
        if !self.contains(path) {
            return Err(missing());
        }
        let entry = match self.index.find_file(path) {
            Some(at) => self.index.file(at).ok_or_else(|| self.index.damaged())?,
            None => Entry { path, size: 0, sha256: None, executable: false },
        };
        Ok(Source {
            text: bytes::read(&self.tree, &entry)?,
            name: path,
            path: self.tree.join(path),
            inside: Some(path),
            in_place: entry.sha256.is_none(),
        })
    }

    /// A file of the caller's.
    pub(crate) fn unsigned<'a>(&self, file: &Path, name: &'a str) -> Result<Source<'a>, Error> {
        let path = absolute(file)?;
        let text = match bytes::slurp(&path, bytes::MAX_UNSIGNED, true) {
            Ok(Some(text)) => text,
            Ok(None) => {
                return Err(Error::NotFound(format!(
                    "{name} is not a file that can be run; give a script"
                )));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound(format!(
                    "there is no file {name}, neither in the library nor here; check its path"
                )));
            }
            Err(source) => return Err(Error::Io { what: "read", path, source }),
        };
        Ok(Source { text, name, path, inside: None, in_place: true })
    }

    fn start(&self, source: &Source<'_>, args: &[OsString]) -> Result<Launch, Error> {
        let Interpreter { kind, program, args: options } =
            interpreter::choose(source.name, &source.text)?;
        match kind {
            Kind::Bash => {
                let script = bash::Script {
                    text: &source.text,
                    path: source.path.clone(),
                    in_place: source.in_place,
                };
                bash::script(self, program, options, &script, args)
            }
            Kind::Python => {
                let argv = [source.path.clone().into_os_string()].into_iter();
                let task = Task {
                    file: Some((source.text.clone(), source.path.clone())),
                    beside: beside(source),
                    options,
                    argv: argv.chain(args.iter().cloned()).collect(),
                    ..Task::default()
                };
                python::launch(self, program, task)
            }
            Kind::Shell | Kind::Other | Kind::Binary => plain(source, kind, program, options, args),
        }
    }

    pub(crate) fn is_function(&self, name: &str) -> bool {
        self.index
            .find_name(name.as_bytes())
            .and_then(|at| self.index.defs(at))
            .is_some_and(|defs| defs.iter().any(|def| def.unit != NONE))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        Ok(self.inside(path)?.text)
    }

    /// The importable modules: name and file.
    pub(crate) fn python_modules(&self) -> Vec<(String, String)> {
        let rows = self.index.python().split(|&b| b == b'\n');
        rows.filter_map(|row| {
            let mut fields = row.split(|&b| b == 0).map(std::str::from_utf8);
            let (name, file) = (fields.next()?.ok()?, fields.next()?.ok()?);
            file.ends_with(".py").then(|| (name.to_owned(), file.to_owned()))
        })
        .collect()
    }

    fn python_file(&self, module: &str) -> Option<String> {
        self.python_modules().into_iter().find(|(name, _)| name == module).map(|(_, file)| file)
    }
}

/// The folder whose modules a script may import as neighbours.
pub(crate) fn beside<'a>(source: &Source<'a>) -> Option<&'a str> {
    let (folder, _) = source.inside?.rsplit_once('/')?;
    (folder != "modules").then_some(folder)
}

/// Starts what has no namespace.
fn plain(
    source: &Source<'_>,
    kind: Kind,
    program: PathBuf,
    mut args: Vec<OsString>,
    rest: &[OsString],
) -> Result<Launch, Error> {
    let mut fds = Vec::new();
    let own = source.path.clone().into_os_string();
    let given: OsString = if source.in_place {
        own.clone()
    } else {
        fds.push((bytes::seal(&source.text)?, FD_FILE));
        format!("/dev/fd/{FD_FILE}").into()
    };
    let (program, arg0) = match kind {
        Kind::Binary => (PathBuf::from(&given), Some(own)),
        Kind::Shell if !source.in_place => {
            // So that $0 is the script.
            args.extend(["-c".into(), format!(". /dev/fd/{FD_FILE}").into(), own]);
            (program, None)
        }
        _ => {
            args.push(given);
            (program, None)
        }
    };
    args.extend_from_slice(rest);
    let env_remove = vec!["BASH_ENV".into(), "ENV".into()];
    Ok(Launch { program, arg0, args, env: Vec::new(), env_remove, fds })
}

pub(crate) fn python_program(what: &str) -> Result<PathBuf, Error> {
    interpreter::python().ok_or_else(|| Error::NoInterpreter {
        path: what.to_owned(),
        interpreter: "python3".to_owned(),
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|source| Error::Io {
        what: "make an absolute path of",
        path: path.to_owned(),
        source,
    })
}
