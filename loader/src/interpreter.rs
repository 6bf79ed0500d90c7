//! Which program reads a script: its first line, or its name when it has none.

use std::{
    ffi::{OsStr, OsString},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use crate::Error;

/// Where programs are looked for when `PATH` does not have them.
const FALLBACK: [&str; 5] =
    ["/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin", "/usr/sbin"];

/// How a file is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// bash, with the namespace.
    Bash,
    /// Python 3, with the namespace.
    Python,
    /// A Bourne shell, without.
    Shell,
    /// Any other interpreter.
    Other,
    /// A program of its own.
    Binary,
}

/// An interpreter and what its line gives it.
#[derive(Debug)]
pub struct Interpreter {
    /// How it is run.
    pub kind: Kind,
    /// Absolute; empty for a program of its own.
    pub program: PathBuf,
    /// From the first line.
    pub args: Vec<OsString>,
}

/// What runs `text`, which is called `path`.
pub fn choose(path: &str, text: &[u8]) -> Result<Interpreter, Error> {
    let missing = |interpreter: &str| Error::NoInterpreter {
        path: path.to_owned(),
        interpreter: interpreter.to_owned(),
    };
    let Some(line) = text.strip_prefix(b"#!") else {
        return by_name(path, text, missing);
    };
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(|b| matches!(b, b' ' | b'\t' | b'\r'))
        .filter(|w| !w.is_empty())
        .map(OsStr::from_bytes);
    let Some(named) = words.next() else { return Err(missing("nothing")) };
    let shown = |name: &OsStr| name.to_string_lossy().into_owned();
    let mut args: Vec<OsString> = words.map(OsString::from).collect();
    let program = if Path::new(named).file_name() == Some(OsStr::new("env")) {
        if args.first().is_some_and(|a| a == "-S") {
            args.remove(0);
        }
        if args.is_empty() {
            return Err(missing("nothing"));
        }
        let wanted = args.remove(0);
        find(&wanted).ok_or_else(|| missing(&shown(&wanted)))?
    } else if Path::new(named).is_absolute() {
        let program = PathBuf::from(named);
        runnable(&program).then_some(program).ok_or_else(|| missing(&shown(named)))?
    } else {
        return Err(missing(&shown(named)));
    };
    Ok(Interpreter { kind: kind_of(&program), program, args })
}

/// Beginnings of programs for Linux and macOS.
const PROGRAMS: [&[u8]; 6] = [
    b"\x7fELF",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\xfe\xed\xfa\xcf",
    b"\xfe\xed\xfa\xce",
];

/// Whether `text` begins as a program does.
pub fn is_program(text: &[u8]) -> bool {
    PROGRAMS.iter().any(|magic| text.starts_with(magic))
}

fn by_name(path: &str, text: &[u8], missing: impl Fn(&str) -> Error) -> Result<Interpreter, Error> {
    let args = Vec::new();
    if is_program(text) {
        return Ok(Interpreter { kind: Kind::Binary, program: PathBuf::new(), args });
    }
    match Path::new(path).extension().and_then(OsStr::to_str) {
        Some("sh" | "bash") => Ok(Interpreter {
            kind: Kind::Bash,
            program: bash().ok_or_else(|| missing("bash"))?,
            args,
        }),
        Some("py") => Ok(Interpreter {
            kind: Kind::Python,
            program: python().ok_or_else(|| missing("python3"))?,
            args,
        }),
        _ => Err(Error::NotFound(format!(
            "{path} does not say what runs it; give it a first line such as #!/bin/bash"
        ))),
    }
}

/// How what `program` reads is run, by its name.
pub fn kind_of(program: &Path) -> Kind {
    let name = program.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let versioned = |stem: &str| {
        name.strip_prefix(stem).is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
    };
    if name == "bash" {
        Kind::Bash
    } else if name == "python" || versioned("python3") {
        Kind::Python
    } else if matches!(name, "sh" | "dash" | "ash" | "ksh" | "mksh") {
        Kind::Shell
    } else {
        Kind::Other
    }
}

/// The bash for scripts that name none.
pub fn bash() -> Option<PathBuf> {
    let usual = PathBuf::from("/bin/bash");
    if runnable(&usual) { Some(usual) } else { find(OsStr::new("bash")) }
}

/// The Python for scripts that name none.
pub fn python() -> Option<PathBuf> {
    find(OsStr::new("python3"))
}

/// A program by name in `PATH`, then in the usual folders; or by its absolute path.
pub fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return (path.is_absolute() && runnable(&path)).then_some(path);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(FALLBACK.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| runnable(program))
}

fn runnable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_decides_then_the_name() {
        let chosen = |path: &str, text: &str| {
            choose(path, text.as_bytes()).map(|i| (i.kind, i.program, i.args)).ok()
        };
        let bash = || PathBuf::from("/bin/bash");
        assert_eq!(chosen("x", "#!/bin/bash\n"), Some((Kind::Bash, bash(), vec![])));
        assert_eq!(
            chosen("x", "#! /bin/bash -eu\r\n"),
            Some((Kind::Bash, bash(), vec!["-eu".into()]))
        );
        assert_eq!(chosen("x.sh", "echo\n"), Some((Kind::Bash, bash(), vec![])));
        assert_eq!(chosen("x", "#!/bin/sh").map(|c| c.0), Some(Kind::Shell));
        assert_eq!(chosen("x", "#!/usr/bin/env bash\n").map(|c| c.0), Some(Kind::Bash));
        assert_eq!(
            chosen("x", "#!/usr/bin/env -S bash -u\n").map(|c| (c.0, c.2)),
            Some((Kind::Bash, vec!["-u".into()]))
        );
        assert_eq!(chosen("x", "\x7fELF").map(|c| c.0), Some(Kind::Binary));
        for (path, text) in [
            ("x", "echo"),
            ("x", "#!"),
            ("x", "#!bash"),
            ("x", "#!/usr/bin/env"),
            ("x", "#!/no/such"),
        ] {
            assert_eq!(chosen(path, text), None, "{text}");
        }
    }

    #[test]
    fn kinds_of_programs() {
        for (name, kind) in [
            ("/usr/bin/python3", Kind::Python),
            ("/v/bin/python3.12", Kind::Python),
            ("/usr/bin/python", Kind::Python),
            ("/usr/bin/python2.7", Kind::Other),
            ("/usr/bin/python3-config", Kind::Other),
            ("/bin/dash", Kind::Shell),
            ("/bin/zsh", Kind::Other),
        ] {
            assert_eq!(kind_of(Path::new(name)), kind, "{name}");
        }
    }
}
