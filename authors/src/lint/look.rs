//! Looking at a part of the files: each is read once, judged by itself, and surveyed for the
//! comparison with the others; bash and Python then judge their syntax together.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use loader::survey::{self, Bash, Language, Runner};
use serde::de::IgnoredAny;

use super::{
    bash, external,
    finding::{Finding, Severity, known},
    names::{self, Names},
    plan::{self, Plan},
    secrets,
    text::{self, Allowed, MAX_TEXT},
};
use crate::{python, tree::Entry};

/// So many bytes tell whether a file is text.
const HEAD: usize = 8192;

/// How to look.
#[derive(Clone, Copy)]
pub struct Looker<'a> {
    /// The tree.
    pub root: &'a Path,
    /// What of it has to run.
    pub plan: &'a Plan,
}

/// What is known of one file.
#[derive(Debug)]
pub struct Look {
    /// Path within the tree.
    pub path: String,
    /// What runs it; none where it was not read.
    runner: Option<Runner>,
    /// What is wrong.
    pub found: Vec<Finding>,
    /// What its comments silence.
    pub allowed: Vec<Allowed>,
    /// What it says, until it was compared.
    pub bash: Option<Bash>,
    words: BTreeSet<String>,
    /// The modules that it uses.
    pub used: BTreeSet<usize>,
    /// It is a job by where it stands, and comes after these.
    pub after: Option<Vec<String>>,
}

impl Looker<'_> {
    /// Looks at `entries`; those that are not `wanted` are only surveyed.
    pub fn look(&self, entries: &[&Entry], wanted: &dyn Fn(&str) -> bool) -> Vec<Look> {
        let mut texts = Vec::with_capacity(entries.len());
        let mut looks: Vec<Look> = Vec::with_capacity(entries.len());
        for entry in entries {
            let (text, fault) = self.read(entry);
            let wanted = wanted(&entry.path);
            let mut look = match &text {
                Some(text) => self.one(entry, text, wanted),
                None => Look::unread(entry),
            };
            look.found.extend(fault);
            // Of Windows' lines bash would only say so again.
            let told =
                look.found.iter().any(|one| one.code == "crlf" && one.severity == Severity::Error);
            texts.push(text.filter(|_| wanted && !told));
            looks.push(look);
        }
        let mut found = Vec::new();
        let of = |language: &[Language]| {
            let mut files = Vec::new();
            for (look, text) in looks.iter().zip(&texts) {
                let runner =
                    look.runner.as_ref().filter(|runner| language.contains(&runner.language));
                if let (Some(runner), Some(text)) = (runner, text) {
                    files.push((look.path.as_str(), runner, text.as_slice()));
                }
            }
            files
        };
        let scripts: Vec<bash::Script<'_>> = of(&[Language::Bash, Language::Shell])
            .into_iter()
            // The grammars of ksh and its kin are their own.
            .filter(|(_, runner, _)| {
                runner.named.as_deref().is_none_or(|named| !named.ends_with("ksh"))
            })
            .map(|(path, _, text)| bash::Script { path, text })
            .collect();
        found.extend(bash::check(self.root, &scripts));
        let sources: Vec<python::Source<'_>> = of(&[Language::Python])
            .into_iter()
            .map(|(path, _, text)| python::Source { path, text })
            .collect();
        found.extend(compiled(&sources));
        let mut by_path: HashMap<String, Vec<Finding>> = HashMap::new();
        for one in found {
            by_path.entry(one.file.clone()).or_default().push(one);
        }
        for look in &mut looks {
            look.found.extend(by_path.remove(&look.path).unwrap_or_default());
        }
        looks
    }

    /// The content of a file that is text by where it lies.
    fn read(&self, entry: &Entry) -> (Option<Vec<u8>>, Option<Finding>) {
        let path = entry.path.as_str();
        if path.starts_with("agent/") {
            return (None, None);
        }
        let place = self.root.join(path);
        match survey::read(&place, MAX_TEXT) {
            Ok(Some(text)) => (Some(text), None),
            Ok(None) if place.symlink_metadata().is_ok_and(|now| now.is_file()) => {
                let what =
                    "is longer than 4 MiB and was not looked into; keep data out of the library";
                (None, Some(Finding::new("large-file", path, 0, what)))
            }
            Ok(None) => {
                let what = "is no regular file any more; look what it is";
                (None, Some(Finding::new("unreadable", path, 0, what)))
            }
            Err(e) => {
                (None, Some(Finding::new("unreadable", path, 0, format!("cannot be read: {e}"))))
            }
        }
    }

    /// What `ldi` reads of a job's header.
    pub fn head(&self, entry: &Entry) -> Vec<u8> {
        self.read(entry).0.unwrap_or_default()
    }

    fn one(&self, entry: &Entry, text: &[u8], wanted: bool) -> Look {
        let path = entry.path.as_str();
        let binary = text.get(..HEAD).unwrap_or(text).contains(&0);
        let runner = survey::runner(path, text);
        let code = path.starts_with("modules/") || path.starts_with("scripts/");
        let shell = code && matches!(runner.language, Language::Bash | Language::Shell);
        let mut look = Look::unread(entry);
        if shell {
            look.bash = Some(survey::bash_file(text));
        } else if !binary {
            look.words = names::python_words(text);
        }
        if !wanted {
            return look;
        }
        if self.plan.is_job(entry) {
            look.after = Some(plan::after(path, text));
        }
        look.found.extend(self.plan.script(entry, text));
        if code {
            look.found.extend(text::check(entry, &runner, text));
            look.runner = Some(runner);
        } else if path.ends_with(".toml") && path != jobs::tiers::PATH {
            look.found.extend(toml(path, text));
        }
        if !binary {
            look.found.extend(secrets::check(path, text));
            look.allowed = text::allowed(text);
            look.found.extend(unknown_codes(path, &look.allowed));
        }
        look
    }
}

impl Look {
    fn unread(entry: &Entry) -> Self {
        Self {
            path: entry.path.clone(),
            runner: None,
            found: Vec::new(),
            allowed: Vec::new(),
            bash: None,
            words: BTreeSet::new(),
            used: BTreeSet::new(),
            after: None,
        }
    }

    /// Compares what the file says with the names of all modules, and forgets it.
    pub fn compare(&mut self, names: &Names, wanted: bool) {
        let words = std::mem::take(&mut self.words);
        self.used = names.used(&self.path, words.iter().map(String::as_str));
        let Some(said) = self.bash.take() else { return };
        self.used.extend(names.used_by(&self.path, &said));
        if !wanted {
            return;
        }
        let language = self.runner.as_ref().map_or(Language::Bash, |runner| runner.language);
        self.found.extend(names.undefined(&self.path, language, &said));
        if said.acts && survey::is_bash_module(&self.path) {
            let what = "does more at its top level than define, so it is sourced for every script; move that into a function";
            self.found.push(Finding::new("always-sourced", &self.path, 0, what));
        }
    }

    /// Adds it to those that other linters read.
    pub fn for_others(&self, files: &mut external::Files) {
        let Some(runner) = &self.runner else { return };
        match (runner.language, &runner.named) {
            (Language::Bash | Language::Shell, Some(_)) => files.shell.push(self.path.clone()),
            (Language::Bash, None) => files.bare.push(self.path.clone()),
            (Language::Python, _) => files.python.push(self.path.clone()),
            _ => {}
        }
    }
}

fn toml(path: &str, text: &[u8]) -> Option<Finding> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Some(Finding::new("toml-syntax", path, 0, "is not UTF-8 text; convert it"));
    };
    let wrong = jobs::parse::toml::<IgnoredAny>(path, text).err()?;
    Some(Finding::new("toml-syntax", path, wrong.line, format!("{}; mend the syntax", wrong.what)))
}

fn compiled(sources: &[python::Source<'_>]) -> Vec<Finding> {
    let Ok(answers) = python::problems(sources) else {
        let first = sources.first().map_or("", |source| source.path);
        let what =
            "python3 is not on this machine, so files of Python were not checked; install it";
        return vec![Finding::new("not-checked", first, 0, what)];
    };
    let mut found = Vec::new();
    for (source, answer) in sources.iter().zip(answers) {
        let Some(answer) = answer else {
            let what = "python3 ended while it compiled this; try it alone";
            found.push(Finding::new("not-checked", source.path, 0, what));
            continue;
        };
        for problem in answer.problems {
            let Some(code) = known(&problem.code) else { continue };
            let message = match code.name {
                "shadowed-module" => format!(
                    "{} is one of Python's own modules, which scripts then cannot import; rename it",
                    problem.message
                ),
                "python-syntax" => format!("{}; mend the syntax", problem.message),
                _ => problem.message,
            };
            let mut finding = Finding::new(code.name, source.path, problem.line, message);
            finding.column = problem.column;
            found.push(finding);
        }
    }
    found
}

fn unknown_codes(path: &str, allowed: &[Allowed]) -> Vec<Finding> {
    let mut found = Vec::new();
    for one in allowed {
        // Words behind the codes say why.
        let codes =
            one.codes.iter().take(1).chain(one.codes.iter().skip(1).filter(|c| c.contains('-')));
        for code in codes.filter(|code| known(code).is_none() && !code.contains(':')) {
            let what = format!("allows {code}, which is no code of lint; see codesync lint --list");
            found.push(
                Finding::new("unknown-code", path, one.line, what).severity(Severity::Warning),
            );
        }
    }
    found
}
