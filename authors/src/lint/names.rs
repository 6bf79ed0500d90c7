//! Names across files: who defines what, who uses it, and what nobody defines.
//!
//! The names of all modules come first; every file is then read against them once, and nothing of
//! it is kept but what was found.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Mutex,
};

use loader::survey::{self, Bash, Language};

use super::finding::Finding;

const BUILTINS: &str = include_str!("builtins.txt");
const COMMANDS: &str = include_str!("commands.txt");
/// More unknown names in one file mean that the file is not understood.
const MAX_UNDEFINED: usize = 20;
/// So many unknown names of a file are compared with all that are known.
const MAX_COMPARED: usize = 200;

/// A module: of bash a file, of Python a file or a package.
#[derive(Debug)]
struct Module {
    /// Where it stands.
    path: String,
    /// It is sourced by every script, or somebody uses a name of it.
    used: bool,
}

/// What the modules of a tree define.
#[derive(Debug)]
pub struct Names {
    modules: Vec<Module>,
    /// By function: module and line, in the order in which they are sourced.
    functions: BTreeMap<String, Vec<(usize, usize)>>,
    /// By any name that a user would mention: the modules it may mean.
    users: HashMap<String, Vec<usize>>,
    builtins: BTreeSet<&'static str>,
    everywhere: BTreeSet<&'static str>,
    commands: BTreeSet<&'static str>,
    /// What `PATH` has, as far as it was asked.
    found: Mutex<HashMap<String, bool>>,
}

impl Names {
    /// The names of `bash`, modules by path, and of the Python modules among `paths`.
    pub fn of<'a>(
        bash: impl Iterator<Item = (&'a str, &'a Bash)>,
        paths: impl Iterator<Item = &'a str>,
    ) -> Self {
        let list = |text: &'static str| {
            text.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
        };
        let both = COMMANDS.split("# Linux").next().unwrap_or_default();
        let mut names = Self {
            modules: Vec::new(),
            functions: BTreeMap::new(),
            users: HashMap::new(),
            builtins: list(BUILTINS).collect(),
            everywhere: list(both).collect(),
            commands: list(COMMANDS).collect(),
            found: Mutex::new(HashMap::new()),
        };
        for (path, said) in bash {
            let at = names.module(path, said.acts || said.unsure);
            for function in said.functions.iter().filter(|function| function.top) {
                names.functions.entry(function.name.clone()).or_default().push((at, function.line));
                names.users.entry(function.name.clone()).or_default().push(at);
            }
            for variable in &said.variables {
                names.users.entry(variable.clone()).or_default().push(at);
            }
        }
        let mut python: BTreeMap<String, usize> = BTreeMap::new();
        for path in paths {
            let Some(name) = python_name(path) else { continue };
            if !python.contains_key(name) {
                let at = names.module(path, false);
                names.users.entry(name.to_owned()).or_default().push(at);
                python.insert(name.to_owned(), at);
            }
        }
        names
    }

    fn module(&mut self, path: &str, used: bool) -> usize {
        self.modules.push(Module { path: path.to_owned(), used });
        self.modules.len() - 1
    }

    /// Whether a module of bash defines this function.
    pub fn has_function(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// Whether Python has a module of this name here, whatever it offers.
    pub fn has_module(&self, name: &str) -> bool {
        let of_python = |at: &usize| {
            self.modules.get(*at).is_some_and(|one| python_name(&one.path) == Some(name))
        };
        self.users.get(name).is_some_and(|modules| modules.iter().any(of_python))
    }

    /// The function whose name is nearest to `name`.
    pub fn near(&self, name: &str) -> Option<&str> {
        let known: Vec<&str> = self.functions.keys().map(String::as_str).collect();
        jobs::parse::nearest(name, &known)
    }

    /// The modules that `words`, of the file at `path`, may mean.
    pub fn used<'a>(&self, path: &str, words: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
        words
            .filter_map(|word| self.users.get(word))
            .flatten()
            .copied()
            .filter(|at| {
                self.modules.get(*at).is_some_and(|module| !same_module(&module.path, path))
            })
            .collect()
    }

    /// The modules that a file of bash at `path` may mean.
    pub fn used_by(&self, path: &str, said: &Bash) -> BTreeSet<usize> {
        let mut used = self.used(path, said.words.iter().map(String::as_str));
        for (before, after) in said.patterns.iter().take(MAX_COMPARED) {
            let fits = |name: &&String| {
                name.len() >= before.len() + after.len()
                    && name.starts_with(before.as_str())
                    && name.ends_with(after.as_str())
            };
            let formed = self.users.keys().filter(fits).map(String::as_str);
            used.extend(self.used(path, formed));
        }
        used
    }

    /// Notes that somebody uses these modules.
    pub fn mark(&mut self, used: &BTreeSet<usize>) {
        for at in used {
            if let Some(module) = self.modules.get_mut(*at) {
                module.used = true;
            }
        }
    }

    /// Commands of the file at `path` that nothing defines.
    pub fn undefined(&self, path: &str, language: Language, said: &Bash) -> Vec<Finding> {
        if said.unsure {
            return Vec::new();
        }
        let own: BTreeSet<&str> = said.functions.iter().map(|f| f.name.as_str()).collect();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut compared = 0;
        for command in &said.commands {
            let name = command.name.as_str();
            if !seen.insert(name) || own.contains(name) || said.asked.contains(name) {
                continue;
            }
            let of_module = self.has_function(name);
            if of_module && language == Language::Shell && !self.is_command(name) {
                let what = format!(
                    "{name} is a function of a module, but sh scripts see no modules; begin with #!/bin/bash"
                );
                found.push(Finding::new("undefined-function", path, command.line, what));
                continue;
            }
            if of_module || self.is_command(name) {
                continue;
            }
            compared += 1;
            if compared > MAX_COMPARED {
                break;
            }
            let near = self.near(name);
            let what = match near {
                // Where names come from elsewhere, only what is almost a name of a module is said.
                _ if said.open && !near.is_some_and(|near| one_edit(name, near)) => continue,
                Some(near) => format!("{name} is defined nowhere; did you mean {near}?"),
                None => format!(
                    "{name} is no function of the tree and no command that is known; check its name, or ask first: command -v {name}"
                ),
            };
            found.push(Finding::new("undefined-function", path, command.line, what));
            if found.len() >= MAX_UNDEFINED {
                break;
            }
        }
        found
    }

    fn is_command(&self, name: &str) -> bool {
        let word = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        if !name.chars().all(word)
            || name.starts_with(['-', '+', '.'])
            || name.starts_with(|c: char| c.is_ascii_digit())
        {
            return true; // a path, or no name at all
        }
        // The loader gives every script a function `autoinit`.
        if self.builtins.contains(name) || self.commands.contains(name) || name == "autoinit" {
            return true;
        }
        let Ok(mut found) = self.found.lock() else { return true };
        *found.entry(name.to_owned()).or_insert_with(|| survey::find(name).is_some())
    }

    /// What is wrong with what the modules define.
    pub fn faults(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, places) in &self.functions {
            let Some(((last, line), earlier)) = places.split_last() else { continue };
            let path = |at: usize| self.modules.get(at).map_or("", |module| module.path.as_str());
            if let Some((other, at_line)) = earlier.iter().rev().find(|(at, _)| at != last) {
                let what = format!(
                    "{name} is also a function of {} (line {at_line}); this one counts for every script: rename one",
                    path(*other)
                );
                found.push(Finding::new("duplicate-function", path(*last), *line, what));
            }
            let what = if self.builtins.contains(name.as_str()) {
                "a word of bash itself"
            } else if self.everywhere.contains(name.as_str()) {
                "a command of every system"
            } else {
                continue;
            };
            let what = format!(
                "{name} is the name of {what}, which scripts that use this module lose: rename it"
            );
            found.push(Finding::new("shadowed-command", path(*last), *line, what));
        }
        found
    }

    /// Modules that nobody uses.
    pub fn unreachable(&self) -> impl Iterator<Item = Finding> {
        self.modules.iter().filter(|module| !module.used).map(|module| {
            let what = "is used by nothing in the tree; remove it if nobody calls it from outside";
            Finding::new("unreachable-module", &module.path, 0, what)
        })
    }
}

/// Python modules that are both a file and a package.
pub fn twins<'a>(paths: impl Iterator<Item = &'a str>) -> Vec<Finding> {
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut files = Vec::new();
    for path in paths.filter(|path| path.ends_with(".py")) {
        let Some(rest) = path.strip_prefix("modules/") else { continue };
        match rest.split_once('/') {
            Some((folder, "__init__.py")) => drop(folders.insert(folder.to_owned())),
            Some(_) => {}
            None => files.push(path),
        }
    }
    let both = files
        .into_iter()
        .filter(|path| python_name(path).is_some_and(|name| folders.contains(name)));
    both.map(|path| {
        let what =
            "is also a folder with __init__.py, which is the one that is imported; rename one";
        Finding::new("duplicate-module", path, 0, what)
    })
    .collect()
}

/// The name under which `path` is imported, without what follows a dot.
fn python_name(path: &str) -> Option<&str> {
    let rest = path.strip_prefix("modules/").filter(|rest| rest.ends_with(".py"))?;
    let first = rest.split('/').next()?;
    Some(first.strip_suffix(".py").unwrap_or(first))
}

/// A package is one module.
fn same_module(one: &str, other: &str) -> bool {
    one == other || python_name(one).is_some_and(|name| python_name(other) == Some(name))
}

/// The words of a Python file that may be names.
pub fn python_words(text: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(text);
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Whether one change, or two letters that changed places, make one of the other.
fn one_edit(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let before = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let after = |skip: usize| {
        let (a, b) = (one.iter().skip(skip).rev(), other.iter().skip(skip).rev());
        a.zip(b).take_while(|(a, b)| a == b).count()
    };
    let longest = one.len().max(other.len());
    let same = before + after(before);
    longest >= 5
        && (same + 1 >= longest
            || one.len() == other.len()
                && same + 2 >= longest
                && one.get(before) == other.get(before + 1)
                && one.get(before + 1) == other.get(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(modules: &[(&'static str, &str)]) -> Names {
        let said: Vec<_> = modules
            .iter()
            .map(|(path, text)| (*path, survey::bash_file(text.as_bytes())))
            .collect();
        Names::of(said.iter().map(|(path, said)| (*path, said)), std::iter::empty())
    }

    fn undefined(names: &Names, text: &str) -> Vec<String> {
        let said = survey::bash_file(text.as_bytes());
        let found = names.undefined("scripts/daily/x", Language::Bash, &said);
        found.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn only_what_nothing_defines_is_undefined() {
        let names = names(&[("modules/a.sh", "print_green() { :; }\n")]);
        for text in [
            "print_green x\nlocal y; [ -f x ] && cd /\n",
            "own() { :; }\nown\n",
            "command -v jamfoo >/dev/null && jamfoo recon\n",
            "/opt/vendor/tool; ./tool; \"$tool\"; $(whatever_$x)\n",
            "launchctl list; pacman -Q; 7z x\n",
            ". ./more.sh\nfrom_there\n",
            "autoinit\n",
        ] {
            assert_eq!(undefined(&names, text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(
            undefined(&names, "print_gren x\n"),
            ["print_gren is defined nowhere; did you mean print_green?"]
        );
        assert_eq!(undefined(&names, ". ./more.sh\nprint_geren x\n").len(), 1);
        assert_eq!(undefined(&names, "zqxv_unheard_of_thing\nzqxv_unheard_of_thing\n").len(), 1);
    }

    #[test]
    fn twins_shadows_and_modules_that_nobody_uses() {
        let mut names = names(&[
            ("modules/a.sh", "f() { :; }\ntest() { :; }\n"),
            ("modules/b.sh", "f() { :; }\n"),
            ("modules/c.sh", "lonely() { lonely; }\n"),
        ]);
        let said = survey::bash_file(b"f\n");
        let used = names.used_by("scripts/daily/x", &said);
        names.mark(&used);
        let codes: Vec<_> = names.faults().into_iter().map(|f| (f.code, f.file, f.line)).collect();
        let of = |code: &str, path: &str, line| (code.to_owned(), path.to_owned(), line);
        assert_eq!(
            codes,
            [
                of("duplicate-function", "modules/b.sh", 1),
                of("shadowed-command", "modules/a.sh", 2)
            ]
        );
        let alone: Vec<_> = names.unreachable().map(|finding| finding.file).collect();
        assert_eq!(alone, ["modules/c.sh"]);
    }

    #[test]
    fn one_edit_is_one() {
        for (one, other) in [
            ("print_red", "print_rd"),
            ("print_red", "print_erd"),
            ("print_red", "print_bed"),
            ("print_red", "print_reed"),
        ] {
            assert!(one_edit(one, other) && one_edit(other, one), "{one} {other}");
        }
        assert!(!one_edit("print_red", "print_blue") && !one_edit("abc", "abd"));
    }
}
