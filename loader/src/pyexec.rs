//! `pyexec`: a Python file, some code, or a prompt, with the modules of the tree.

use std::{ffi::OsString, path::Path};

use crate::{
    Error, Launch, Namespace,
    interpreter::{self, Kind},
    namespace::{Source, beside, python_program},
    python::{self, Task},
};

const USAGE: &str =
    "pyexec [--onerror SCRIPT] [-c|--eval CODE | -m MODULE] [-i|--interp] FILE ARGS…";

/// `pyexec [--onerror SCRIPT] [-c|--eval CODE | -m MODULE] [-i|--interp] FILE ARGS…` (IT-30). What
/// stands behind the first word that is no option belongs to the program. With CODE there is no
/// FILE, and `sys.argv` is `-c` and what follows. With MODULE what follows it is its own.
pub fn pyexec(namespace: &Namespace, args: &[OsString]) -> Result<Launch, Error> {
    let mut args = args.iter().cloned().peekable();
    let mut late = None;
    let mut code: Option<OsString> = None;
    let mut module: Option<OsString> = None;
    let mut interactive = false;
    let usage = |what: &str| Error::Usage(format!("{what}; usage: {USAGE}"));
    while let Some(option) = args.peek() {
        let text = option.to_string_lossy().into_owned();
        if !text.starts_with('-') || text == "-" {
            break;
        }
        args.next();
        let (name, joined) = match text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(OsString::from(value))),
            _ => (text.as_str(), None),
        };
        let mut value = |what: &str| {
            joined
                .clone()
                .or_else(|| args.next())
                .ok_or_else(|| usage(&format!("{name} needs {what}")))
        };
        match name {
            "--onerror" => late = Some(value("a script")?),
            "-c" | "--eval" => {
                code = Some(value("code")?);
            }
            "-m" => {
                module = Some(value("a module")?);
                break;
            }
            "-i" | "--interp" => interactive = true,
            "--" => break,
            _ => return Err(usage(&format!("pyexec does not know {name}"))),
        }
    }
    let mut task = Task { interactive, globals: interactive || code.is_some(), ..Task::default() };
    let late_name = late.as_ref().map(|l| l.to_string_lossy().into_owned());
    if let (Some(script), Some(name)) = (&late, &late_name) {
        let source = source(namespace, Path::new(script), name)?;
        task.late = Some((source.text, source.path));
    }
    if let Some(code) = &code {
        task.code = Some(code);
        task.argv = [OsString::from("-c")].into_iter().chain(args).collect();
        return python::launch(namespace, python_program("pyexec")?, task);
    }
    if let Some(module) = &module {
        task.module = Some(module);
        task.argv = [OsString::from("-m")].into_iter().chain(args).collect();
        return python::launch(namespace, python_program("pyexec")?, task);
    }
    let Some(file) = args.next() else {
        if !interactive {
            return Err(usage("pyexec needs a file, -c or -i"));
        }
        task.argv = vec!["".into()];
        return python::launch(namespace, python_program("pyexec")?, task);
    };
    let name = file.to_string_lossy().into_owned();
    let source = source(namespace, Path::new(&file), &name)?;
    // Any file may be given; its first line counts only if it asks for a Python.
    let program = match interpreter::choose(&name, &source.text) {
        Ok(chosen) if chosen.kind == Kind::Python => {
            task.options = chosen.args;
            chosen.program
        }
        Err(missing @ Error::NoInterpreter { .. }) if source.text.starts_with(b"#!") => {
            return Err(missing);
        }
        _ => python_program(&name)?,
    };
    task.beside = beside(&source);
    task.argv = [source.path.clone().into_os_string()].into_iter().chain(args).collect();
    task.file = Some((source.text, source.path));
    python::launch(namespace, program, task)
}

/// A file of the tree, by its path there or by its path on this machine; else any file.
fn source<'a>(namespace: &Namespace, file: &Path, name: &'a str) -> Result<Source<'a>, Error> {
    if namespace.contains(name) {
        return namespace.inside(name);
    }
    let within = file.strip_prefix(namespace.tree()).ok().and_then(Path::to_str);
    if let Some(within) = within
        && namespace.contains(within)
        && let Some(at) = name.len().checked_sub(within.len())
        && let Some(within) = name.get(at..).filter(|tail| *tail == within)
    {
        return namespace.inside(within);
    }
    namespace.unsigned(file, name)
}
