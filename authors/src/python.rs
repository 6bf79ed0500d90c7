//! What python3 says about files of Python: many files to a process, none of them run.

use std::{ffi::OsString, process::Command};

use loader::survey;
use serde::{Deserialize, de::DeserializeOwned};

use crate::child;

const INSPECT: &str = include_str!("inspect.py");

/// A file to be read.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Path within the tree.
    pub path: &'a str,
    /// Its content.
    pub text: &'a [u8],
}

/// What is wrong with a file.
#[derive(Debug, Deserialize)]
pub struct Problems {
    /// In the order in which Python found it.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// A code of lint.
    pub code: String,
    /// From 1, or 0.
    pub line: usize,
    /// From 1, or 0.
    pub column: usize,
    /// As Python says it.
    pub message: String,
}

/// What a module offers.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Module {
    /// Its docstring.
    pub doc: String,
    /// Functions, classes and their methods.
    pub functions: Vec<Function>,
}

/// One of them.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub struct Function {
    /// Its name; `Class.method` for methods.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
    /// As they would be written in a call; `None` for classes.
    pub arguments: Option<String>,
    /// Its docstring.
    pub doc: String,
}

/// No python3 is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing;

/// What is wrong with each of `sources`; `None` where Python did not say.
pub fn problems(sources: &[Source<'_>]) -> Result<Vec<Option<Problems>>, Missing> {
    ask("lint", sources)
}

/// What each of `sources` offers; `None` where Python did not say.
pub fn modules(sources: &[Source<'_>]) -> Result<Vec<Option<Module>>, Missing> {
    ask("docs", sources)
}

fn ask<T: DeserializeOwned>(mode: &str, sources: &[Source<'_>]) -> Result<Vec<Option<T>>, Missing> {
    if sources.is_empty() {
        return Ok(Vec::new());
    }
    let python = survey::python().ok_or(Missing)?;
    Ok(child::each(sources, |rest| {
        let mut command = Command::new(&python);
        // Isolated: neither variables nor files of the caller change what it does.
        command.args(["-I", "-S", "-B", "-c"].map(OsString::from)).arg(INSPECT);
        command.env("LC_ALL", "C").env_remove("PYTHONWARNINGS");
        let mut input = format!("{mode}\n").into_bytes();
        for source in rest {
            input.extend(format!("{} {}\n", source.path.len(), source.text.len()).bytes());
            input.extend_from_slice(source.path.as_bytes());
            input.extend_from_slice(source.text);
        }
        let said = child::usual(command, input).unwrap_or_default();
        let lines =
            said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        lines.map_while(|line| serde_json::from_slice(line).ok()).collect()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(path: &str, text: &str) -> Vec<(String, usize)> {
        let source = Source { path, text: text.as_bytes() };
        let answers = problems(&[source]).unwrap();
        let found = answers.into_iter().flatten().flat_map(|answer| answer.problems);
        found.map(|problem| (problem.code, problem.line)).collect()
    }

    #[test]
    fn syntax_is_checked_and_nothing_is_run() {
        assert_eq!(codes("modules/x.py", "raise SystemExit(1)\n"), []);
        let syntax = |line| vec![("python-syntax".to_owned(), line)];
        assert_eq!(codes("modules/x.py", "x = 1\ndef f(:\n"), syntax(2));
        assert_eq!(codes("modules/x.py", "return 1\n"), syntax(1));
        assert_eq!(codes("modules/json.py", ""), [("shadowed-module".to_owned(), 1)]);
        assert_eq!(codes("scripts/daily/json.py", ""), []);
    }

    #[test]
    fn what_ends_python_is_left_out_alone() {
        let deep = format!("x = {}1{}\n", "(".repeat(100_000), ")".repeat(100_000));
        let texts = ["x = 1\n", deep.as_str(), "def f(:\n"];
        let sources: Vec<Source<'_>> = texts
            .iter()
            .map(|text| Source { path: "modules/x.py", text: text.as_bytes() })
            .collect();
        let answers = problems(&sources).unwrap();
        let found = |at: usize| answers[at].as_ref().map(|answer| answer.problems.len());
        assert_eq!((found(0), found(2)), (Some(0), Some(1)));
        assert_ne!(found(1), Some(0));
    }

    #[test]
    fn modules_are_described() {
        let text = "\"\"\"Files.\"\"\"\n\ndef copy(target, *rest, mode=0o644, **more):\n    \"\"\"Copies.\"\"\"\n\nclass Box:\n    def open(self): pass\n";
        let got = modules(&[Source { path: "modules/x.py", text: text.as_bytes() }]).unwrap();
        let module = got[0].as_ref().unwrap();
        assert_eq!(module.doc, "Files.");
        let names: Vec<_> = module.functions.iter().map(|f| (f.name.as_str(), f.line)).collect();
        assert_eq!(names, [("copy", 3), ("Box", 6), ("Box.open", 7)]);
        let arguments = module.functions[0].arguments.as_deref();
        assert!(
            matches!(
                arguments,
                Some("target, *rest, mode=420, **more" | "target, *rest, mode=0o644, **more")
            ),
            "{arguments:?}"
        );
    }
}
