//! What the files of a tree say, for tools that read a tree and run nothing of it: which language
//! a file is in, what a file of bash defines, runs and mentions, and what can be called.
//!
//! Reads text only. Says what stands there, as the loader understands it; judges nothing.

use std::{
    collections::BTreeSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    Error, Namespace, bytes,
    interpreter::{self, Kind},
    scan,
};

/// The most lines of a comment that are taken.
const MAX_COMMENT: usize = 200;

/// What runs a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// bash, with the module namespace.
    Bash,
    /// Python 3, with the module namespace.
    Python,
    /// A Bourne shell, without.
    Shell,
    /// Another interpreter.
    Other,
    /// A program of its own.
    Program,
    /// Neither its first line nor its name says it.
    Unknown,
}

/// The language of a file, and how its first line names the interpreter: the path, or what `env`
/// is asked for. Installed or not does not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// The language.
    pub language: Language,
    /// The interpreter as it is named; `None` without a first line.
    pub named: Option<String>,
    /// `env` looks for it in `PATH`.
    pub by_env: bool,
}

/// What runs `text`, which is called `path`: as [`Namespace::script`] chooses.
pub fn runner(path: &str, text: &[u8]) -> Runner {
    let Some(line) = text.strip_prefix(b"#!") else {
        let language = match Path::new(path).extension().and_then(|e| e.to_str()) {
            _ if interpreter::is_program(text) => Language::Program,
            Some("sh" | "bash") => Language::Bash,
            Some("py") => Language::Python,
            _ => Language::Unknown,
        };
        return Runner { language, named: None, by_env: false };
    };
    let line = line.split(|&b| b == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&line[..line.len().min(1024)]).into_owned();
    let mut words = line.split([' ', '\t', '\r']).filter(|word| !word.is_empty());
    let mut named = words.next().unwrap_or_default();
    let by_env = named.rsplit('/').next() == Some("env");
    if by_env {
        named = words.find(|word| *word != "-S").unwrap_or_default();
    }
    let language = match interpreter::kind_of(Path::new(named)) {
        Kind::Bash => Language::Bash,
        Kind::Python => Language::Python,
        Kind::Shell => Language::Shell,
        Kind::Other | Kind::Binary => Language::Other,
    };
    Runner { language, named: Some(named.to_owned()), by_env }
}

/// Whether `path` is a module of bash that the loader sources.
pub fn is_bash_module(path: &str) -> bool {
    crate::tree::is_bash_module(path)
}

/// The content of a regular file; `None` when it is longer than `bound`, a link, or not regular.
/// A pipe in its place holds nobody up.
pub fn read(path: &Path, bound: u64) -> io::Result<Option<Vec<u8>>> {
    match bytes::slurp(path, bound, false) {
        Err(e) if e.raw_os_error() == Some(nix::errno::Errno::ELOOP as i32) => Ok(None),
        other => other,
    }
}

/// The bash, and the Python, that run what names none.
pub fn bash() -> Option<PathBuf> {
    interpreter::bash()
}

/// See [`bash`].
pub fn python() -> Option<PathBuf> {
    interpreter::python()
}

/// Where the program `name` is: in `PATH`, in the usual folders, or at its absolute path.
pub fn find(name: &str) -> Option<PathBuf> {
    interpreter::find(name.as_ref())
}

/// A function of bash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The line of its name, from 1.
    pub line: usize,
    /// Defined when the file is sourced, not only when other code of it runs.
    pub top: bool,
    /// The comment right above it, without `#`.
    pub comment: String,
}

/// A plain word that is run as a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The word.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
}

/// What a file of bash says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bash {
    /// The comment at its head, without `#`.
    pub comment: String,
    /// In the order of the text.
    pub functions: Vec<Function>,
    /// Variables that its top level sets.
    pub variables: BTreeSet<String>,
    /// In the order of the text.
    pub commands: Vec<Command>,
    /// Every word that may be a name; some of them are not.
    pub words: BTreeSet<String>,
    /// Beginning and end of names that are formed around an expansion.
    pub patterns: BTreeSet<(String, String)>,
    /// Names that it asks for before it uses them: `command -v NAME`.
    pub asked: BTreeSet<String>,
    /// The top level does more than define names, so the file is always sourced.
    pub acts: bool,
    /// Names may come from elsewhere: it sources other files, evaluates text or sets aliases.
    pub open: bool,
    /// The text was not understood; what stands here is a part of it.
    pub unsure: bool,
}

/// Reads a file of bash. Text of more than 4 MiB is not read.
pub fn bash_file(text: &[u8]) -> Bash {
    let facts = scan::scan(text);
    let lines = Lines::of(text);
    let shown = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let top: BTreeSet<&[u8]> =
        facts.defs.iter().filter(|def| def.unit.is_some()).map(|def| def.name.as_ref()).collect();
    let functions = facts.functions.iter().map(|at| {
        let line = lines.number(at.start);
        let name = text.get(at.clone()).unwrap_or_default();
        Function {
            name: shown(name),
            line,
            top: top.contains(name),
            // Of functions that share a line the first has the comment.
            comment: if lines.is_first(at.start) {
                lines.comment_above(line)
            } else {
                String::new()
            },
        }
    });
    let functions: Vec<Function> = functions.collect();
    let mut starts: Vec<&Range<usize>> = facts.commands.iter().collect();
    starts.sort_by_key(|at| at.start);
    let commands = starts.into_iter().map(|at| Command {
        name: shown(text.get(at.clone()).unwrap_or_default()),
        line: lines.number(at.start),
    });
    let commands: Vec<Command> = commands.collect();
    // By lines: a line may hold any number of commands.
    let on_lines = |names: &[&str]| -> BTreeSet<usize> {
        let named = commands.iter().filter(|command| names.contains(&command.name.as_str()));
        named.map(|command| command.line).collect()
    };
    let open = !on_lines(&["eval", "alias"]).is_empty()
        || on_lines(&[".", "source"])
            .into_iter()
            .any(|line| !lines.text(line).windows(11).any(|part| part == b"autoinit.sh"));
    let asked = on_lines(&["command", "type", "which", "hash"]).into_iter().flat_map(|line| {
        let mut words = Vec::new();
        scan::tokens(lines.text(line), &mut words);
        words.iter().map(|word| shown(word)).collect::<Vec<_>>()
    });
    let asked = asked.collect();
    Bash {
        comment: lines.comment_at_head(functions.first().map(|first| first.line)),
        variables: facts
            .defs
            .iter()
            .filter(|def| def.unit.is_none())
            .map(|def| shown(&def.name))
            .collect(),
        words: facts.units.iter().flat_map(|unit| &unit.words).map(|word| shown(word)).collect(),
        patterns: facts
            .units
            .iter()
            .flat_map(|unit| &unit.patterns)
            .map(|(before, after)| (shown(before), shown(after)))
            .collect(),
        acts: facts.effects,
        unsure: facts.unsure,
        functions,
        commands,
        asked,
        open,
    }
}

impl Namespace {
    /// The functions that [`Namespace::function`] takes, sorted: those of bash, and those of Python
    /// as `module.name`. Names that begin with `_` are a module's own and left out.
    pub fn functions(&self) -> Result<Vec<String>, Error> {
        let own = |name: &str| name.rsplit('.').next().is_none_or(|last| last.starts_with('_'));
        let mut names: BTreeSet<String> = (0..self.index.names())
            .filter_map(|at| std::str::from_utf8(self.index.name(at)?.0).ok())
            .filter(|name| !own(name) && self.is_function(name))
            .map(str::to_owned)
            .collect();
        for (module, file) in self.python_modules() {
            // A module that cannot be read harms only its users.
            let Ok(source) = self.inside(&file) else { continue };
            let text = String::from_utf8_lossy(&source.text);
            let defined = text.lines().filter_map(|line| {
                let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("def ")?;
                rest.split('(').next().map(str::trim)
            });
            names.extend(defined.map(|name| format!("{module}.{name}")).filter(|name| !own(name)));
        }
        Ok(names.into_iter().collect())
    }
}

/// A text by lines.
struct Lines<'a> {
    text: &'a [u8],
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a [u8]) -> Self {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    /// The line, from 1, of the byte at `offset`.
    fn number(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn text(&self, number: usize) -> &'a [u8] {
        let Some(start) = number.checked_sub(1).and_then(|at| self.starts.get(at)) else {
            return b"";
        };
        let end = self.starts.get(number).map_or(self.text.len(), |next| next - 1);
        self.text.get(*start..end).unwrap_or_default()
    }

    /// Whether the name at `offset` stands first on its line, but for the word `function`.
    fn is_first(&self, offset: usize) -> bool {
        let start = self.starts.get(self.number(offset).saturating_sub(1)).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default();
        matches!(before.trim_ascii(), b"" | b"function")
    }

    /// What a line that is only a comment says; a first line and words for tools say nothing.
    fn comment(&self, number: usize) -> Option<String> {
        let line = String::from_utf8_lossy(self.text(number));
        let said = line.trim().strip_prefix('#').filter(|said| !said.starts_with('!'))?;
        let said = said.strip_prefix(' ').unwrap_or(said);
        let for_tools =
            ["shellcheck ", "lint: ", "ldi: "].iter().any(|tool| said.starts_with(tool));
        Some(if for_tools { String::new() } else { said.to_owned() })
    }

    fn comment_above(&self, number: usize) -> String {
        let above = (1..number).rev().map_while(|number| self.comment(number));
        let mut said: Vec<String> = above.take(MAX_COMMENT).collect();
        said.reverse();
        said.join("\n").trim_matches('\n').to_owned()
    }

    /// Unless the first function stands right beneath: then it is that function's.
    fn comment_at_head(&self, first_function: Option<usize>) -> String {
        let from = if self.text.starts_with(b"#!") { 2 } else { 1 };
        let said: Vec<String> =
            (from..=self.starts.len()).map_while(|number| self.comment(number)).collect();
        if first_function == Some(from + said.len()) {
            return String::new();
        }
        said.into_iter()
            .take(MAX_COMMENT)
            .collect::<Vec<_>>()
            .join("\n")
            .trim_matches('\n')
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_lines_and_comments() {
        let text = b"#!/bin/bash\n# About files.\n\n# greet NAME: says hello.\n# Twice.\ngreet() {\n  local x=$(other \"$1\")\n  inner() { :; }\n  echo \"$x\" | sort\n}\nfunction plain { greet you; }\nlimit=3\n";
        let said = bash_file(text);
        assert_eq!(said.comment, "About files.");
        let shown: Vec<_> =
            said.functions.iter().map(|f| (f.name.as_str(), f.line, f.top)).collect();
        assert_eq!(shown, [("greet", 6, true), ("inner", 8, false), ("plain", 11, true)]);
        assert_eq!(said.functions[0].comment, "greet NAME: says hello.\nTwice.");
        let run: Vec<_> = said.commands.iter().map(|c| (c.name.as_str(), c.line)).collect();
        assert_eq!(
            run,
            [("local", 7), ("other", 7), (":", 8), ("echo", 9), ("sort", 9), ("greet", 11)]
        );
        assert!(said.variables.contains("limit") && said.words.contains("greet"));
        assert!(!said.acts && !said.open && !said.unsure);
    }

    #[test]
    fn a_comment_right_above_the_first_function_is_not_the_files() {
        let said = bash_file(b"#!/bin/bash\n# f: does.\nf() { :; }\n");
        assert_eq!(said.comment, "");
        assert_eq!(said.functions[0].comment, "f: does.");
    }

    #[test]
    fn names_may_come_from_elsewhere() {
        assert!(bash_file(b". ./more.sh\n").open);
        assert!(bash_file(b"eval \"$x\"\n").open);
        assert!(!bash_file(b"[ -z $autoinit ] && { . /x/modules/autoinit.sh; autoinit; }\n").open);
    }

    #[test]
    fn the_language_follows_from_the_first_line_then_the_name() {
        let of = |path: &str, text: &str| runner(path, text.as_bytes()).language;
        assert_eq!(of("x", "#!/bin/bash -e\n"), Language::Bash);
        assert_eq!(of("x", "#!/usr/bin/env -S python3 -I\n"), Language::Python);
        assert_eq!(of("x", "#!/bin/sh"), Language::Shell);
        assert_eq!(of("x", "#!/usr/bin/perl\r\n"), Language::Other);
        assert_eq!(of("x.sh", ""), Language::Bash);
        assert_eq!(of("x.py", "x"), Language::Python);
        assert_eq!(of("x", "\x7fELF"), Language::Program);
        assert_eq!(of("x", "echo"), Language::Unknown);
        assert_eq!(runner("x", b"#!/usr/bin/env").named.as_deref(), Some(""));
    }
}
