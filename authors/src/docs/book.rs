//! What there is to say about a tree: modules with their functions, tiers with their jobs,
//! collectors.

use std::{collections::BTreeMap, path::Path};

use jobs::{
    header,
    parse::Span,
    tiers::{self, Keys, OnSyncFailure, Tiers, What},
};
use loader::survey::{self, Language};
use serde::Serialize;

use crate::{Error, child, python, tree};

/// What is read of a file, as lint reads it.
const MAX_TEXT: u64 = 4 << 20;

/// A whole tree.
#[derive(Debug, Serialize)]
pub struct Book {
    /// By path.
    pub modules: Vec<Module>,
    /// By name.
    pub tiers: Vec<Tier>,
    /// By path.
    pub collectors: Vec<Job>,
}

/// One module.
#[derive(Debug, Serialize)]
pub struct Module {
    /// Path within the tree.
    pub file: String,
    /// How functions of it are called: empty for bash, `name.` for Python.
    pub prefix: String,
    /// What its head says.
    pub about: String,
    /// Public ones, in the order of the file.
    pub functions: Vec<Function>,
}

/// One function, class or method.
#[derive(Debug, Serialize)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// How it is called: `name ARG…` for bash, `name(arg, …)` for Python.
    pub usage: String,
    /// From 1.
    pub line: usize,
    /// What its comment or docstring says.
    pub about: String,
}

/// One tier.
#[derive(Debug, Serialize)]
pub struct Tier {
    /// Its name.
    pub name: String,
    /// When it runs, in one line.
    pub when: String,
    /// In the order of their names.
    pub jobs: Vec<Job>,
}

/// One job or collector.
#[derive(Debug, Serialize)]
pub struct Job {
    /// Its name.
    pub name: String,
    /// What it runs: a path within the tree, a function, a command.
    pub runs: String,
    /// What the head of its script says.
    pub about: String,
    /// What limits it, as it would be written.
    pub keys: Vec<String>,
}

impl Book {
    /// Reads the tree at `root`.
    pub fn of(root: &Path) -> Result<Self, Error> {
        let listing = tree::list(root).map_err(|e| Error::io("read the tree", root, e))?;
        let files = child::in_parts(&listing.files, |part| {
            part.iter()
                .filter(|entry| {
                    let path = entry.path.as_str();
                    path.starts_with("modules/") || path.starts_with("scripts/")
                })
                // What cannot be read is lint's to say.
                .filter_map(|entry| {
                    Some((entry, survey::read(&root.join(&entry.path), MAX_TEXT).ok()??))
                })
                .collect()
        });
        let (mut modules, about) = described(&files)?;
        modules.sort_by(|a, b| a.file.cmp(&b.file));
        let conf = survey::read(&root.join(tiers::PATH), MAX_TEXT).ok().flatten();
        let tiers = match conf.and_then(|bytes| String::from_utf8(bytes).ok()) {
            None => Tiers::built_in(),
            Some(text) => {
                Tiers::of_release(&text).map_err(|wrong| Error::Usage(wrong.to_string()))?
            }
        };
        let script = |path: &str| about.get(path).cloned().unwrap_or_default();
        let jobs = |tier: &str| {
            let mut jobs: Vec<Job> = tiers
                .jobs
                .iter()
                .filter(|job| job.tier == tier)
                .map(|job| {
                    let (runs, about) = match &job.what {
                        What::Script(path) => (path.clone(), script(path)),
                        What::Function(name) => (name.clone(), String::new()),
                        What::Command(words) => (words.join(" "), String::new()),
                    };
                    Job { name: job.name.clone(), runs, about, keys: said(&job.keys) }
                })
                .collect();
            let listed: Vec<String> = jobs.iter().map(|job| job.runs.clone()).collect();
            let found = files.iter().filter(|(entry, _)| {
                entry.executable && directly(&entry.path, tier) && !listed.contains(&entry.path)
            });
            jobs.extend(found.map(|(entry, text)| {
                let words = header::words(text.get(..header::BYTES).unwrap_or(text));
                Job {
                    name: entry.path.trim_start_matches("scripts/").to_owned(),
                    runs: entry.path.clone(),
                    about: script(&entry.path),
                    keys: header::keys(&entry.path, &words)
                        .map(|keys| said(&keys))
                        .unwrap_or_default(),
                }
            }));
            jobs.sort_by(|a, b| a.name.cmp(&b.name));
            jobs
        };
        let collectors =
            files.iter().filter(|(entry, _)| entry.executable && directly(&entry.path, "collect"));
        Ok(Self {
            modules,
            collectors: collectors
                .map(|(entry, _)| Job {
                    name: entry.path.trim_start_matches("scripts/collect/").to_owned(),
                    runs: entry.path.clone(),
                    about: script(&entry.path),
                    keys: Vec::new(),
                })
                .collect(),
            tiers: tiers
                .tiers
                .values()
                .map(|tier| Tier {
                    name: tier.name.clone(),
                    when: when(tier),
                    jobs: jobs(&tier.name),
                })
                .collect(),
        })
    }
}

fn directly(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix("scripts/").and_then(|rest| rest.strip_prefix(folder));
    rest.and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| !name.contains('/') && !name.starts_with('.'))
}

fn when(tier: &tiers::Tier) -> String {
    let mut said = tier.when.to_string();
    if !tier.splay.is_zero() {
        said.push_str(&format!(", spread over {}", Span(tier.splay)));
    }
    if tier.on_sync_failure == OnSyncFailure::Skip {
        said.push_str(", left out when the sync failed");
    }
    said
}

/// The keys of a job that a reader wants to know of.
fn said(keys: &Keys) -> Vec<String> {
    let list = |name: &str, words: &[String]| {
        (!words.is_empty()).then(|| format!("{name} = {}", words.join(", ")))
    };
    let gates: Vec<String> = keys.wait_for.iter().map(ToString::to_string).collect();
    let ration = keys.ration.to_string();
    let all = [
        list("args", &keys.args),
        list("wait_for", &gates),
        keys.timeout.map(|timeout| format!("timeout = {timeout}")),
        (keys.retries > 0).then(|| format!("retries = {}", keys.retries)),
        list("after", &keys.after),
        keys.parallel.then(|| "parallel".to_owned()),
        keys.run_once.then(|| "run_once".to_owned()),
        list("os", &keys.os),
        list("arch", &keys.arch),
        list("tags", &keys.tags),
        list("hosts", &keys.hosts),
        keys.percent.map(|percent| format!("percent = {percent}")),
        keys.user.as_ref().map(|user| format!("user = {user}")),
        (!ration.is_empty()).then_some(ration),
        list("secrets", &keys.secrets),
    ];
    all.into_iter().flatten().collect()
}

/// A file of the tree and its content.
type Read<'a> = (&'a tree::Entry, Vec<u8>);

/// The modules, and what the head of each file says by path.
fn described(files: &[Read<'_>]) -> Result<(Vec<Module>, BTreeMap<String, String>), Error> {
    let mut modules = Vec::new();
    let mut about = BTreeMap::new();
    let mut sources = Vec::new();
    for (entry, text) in files {
        let path = entry.path.as_str();
        match survey::runner(path, text).language {
            Language::Python => sources.push(python::Source { path, text }),
            Language::Bash | Language::Shell => {
                let said = survey::bash_file(text);
                about.insert(path.to_owned(), said.comment.clone());
                if survey::is_bash_module(path) {
                    modules.push(of_bash(path, said));
                }
            }
            _ => {}
        }
    }
    let parts = child::in_parts(&sources, |part| match python::modules(part) {
        Ok(answers) => {
            part.iter().zip(answers).map(|(source, answer)| Ok((source.path, answer))).collect()
        }
        Err(python::Missing) => vec![Err(())],
    });
    for part in parts {
        let Ok((path, module)) = part else {
            let path = "the documentation of Python modules".to_owned();
            return Err(
                loader::Error::NoInterpreter { path, interpreter: "python3".to_owned() }.into()
            );
        };
        let Some(module) = module else { continue };
        about.insert(path.to_owned(), module.doc.clone());
        if let Some(name) = path.strip_prefix("modules/") {
            modules.push(of_python(path, name, module));
        }
    }
    Ok((modules, about))
}

fn of_bash(path: &str, said: survey::Bash) -> Module {
    let public = said.functions.into_iter().filter(|one| one.top && !one.name.starts_with('_'));
    let functions = public.map(|one| {
        // `# greet NAME: says hello.`
        let of_this = |rest: &str| rest.starts_with([' ', ':']) || rest.is_empty();
        let head = one.comment.split_once(": ").filter(|(usage, _)| {
            !usage.contains('\n') && usage.strip_prefix(&one.name).is_some_and(of_this)
        });
        let (usage, about) = match head {
            Some((usage, about)) => (usage.to_owned(), about.to_owned()),
            None => (one.name.clone(), one.comment.clone()),
        };
        Function { name: one.name, usage, line: one.line, about }
    });
    Module {
        file: path.to_owned(),
        prefix: String::new(),
        about: said.comment,
        functions: functions.collect(),
    }
}

fn of_python(path: &str, name: &str, module: python::Module) -> Module {
    let name = name.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
    let private = |one: &python::Function| one.name.split('.').any(|part| part.starts_with('_'));
    let public = module.functions.into_iter().filter(|one| !private(one));
    let functions = public.map(|one| Function {
        usage: match &one.arguments {
            Some(arguments) => format!("{}({arguments})", one.name),
            None => format!("class {}", one.name),
        },
        name: one.name,
        line: one.line,
        about: one.doc,
    });
    Module {
        file: path.to_owned(),
        prefix: format!("{name}."),
        about: module.doc,
        functions: functions.collect(),
    }
}
