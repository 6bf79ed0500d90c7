//! What is wrong with a tree, before anybody runs it.
//!
//! Reads `modules/`, `scripts/`, `conf/` and `agent/`, runs nothing of them, and says what it found,
//! each under a code of one table. What publish or machines would refuse is an error; so is what
//! can never work. `docs/lint.md` describes the codes.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::{
    Error, child,
    tree::{self, Entry, Odd},
};

mod bash;
mod external;
mod finding;
mod look;
mod names;
mod plan;
mod publication;
pub mod report;
mod secrets;
mod text;

pub use finding::{CODES, Code, Finding, Severity};
pub use publication::{Changes, refused};

use look::{Look, Looker};
use names::Names;
use plan::Plan;

/// Words of the command.
#[derive(Debug, Args)]
pub struct Options {
    /// The tree: the folder that holds modules/, scripts/ and conf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// Only these files [default: all]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Leave out shellcheck and ruff
    #[arg(long)]
    pub no_external: bool,
    /// Exit with 1 for warnings too
    #[arg(long)]
    pub strict: bool,
    /// Print JSON
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// Print SARIF 2.1.0, as services that show findings beside the code read it
    #[arg(long)]
    pub sarif: bool,
    /// List the codes and what they mean
    #[arg(long)]
    pub list: bool,
}

/// Which of these paths, sorted by bytes, may not be in a library, and why: codesync's to know.
pub type PathFaults<'a> = dyn Fn(&[&str]) -> Vec<(String, String)> + 'a;

/// Prints what is wrong; 1 where there is an error.
pub fn run(options: &Options, faults: &PathFaults<'_>) -> Result<ExitCode, Error> {
    if options.list {
        return crate::print(&list()).map(|()| ExitCode::SUCCESS);
    }
    let wanted = wanted(options)?;
    let (found, files) = findings(&options.tree, wanted.as_ref(), !options.no_external, faults)?;
    crate::print(&match (options.json, options.sarif) {
        (true, _) => format!("{:#}\n", report::json(&found)),
        (_, true) => format!("{:#}\n", report::sarif(&found)),
        _ => report::text(&found, files),
    })?;
    let bad = |one: &Finding| {
        one.severity == Severity::Error || options.strict && one.severity == Severity::Warning
    };
    Ok(if found.iter().any(bad) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn list() -> String {
    let line =
        |code: &Code| format!("{:19} {:8} {}\n", code.name, code.severity.word(), code.about);
    CODES.iter().map(line).collect()
}

fn wanted(options: &Options) -> Result<Option<BTreeSet<String>>, Error> {
    let mut wanted = BTreeSet::new();
    for file in &options.files {
        let path = tree::within(&options.tree, file).ok_or_else(|| {
            Error::Usage(format!(
                "{} is no file of the tree {}; name a path within it",
                file.display(),
                options.tree.display()
            ))
        })?;
        wanted.insert(path);
    }
    Ok((!wanted.is_empty()).then_some(wanted))
}

/// What is wrong with the tree at `root`, or with the `wanted` files and folders of it, in order;
/// and how many files were looked at.
fn findings(
    root: &Path,
    wanted: Option<&BTreeSet<String>>,
    external: bool,
    faults: &PathFaults<'_>,
) -> Result<(Vec<Finding>, usize), Error> {
    let listing = tree::list(root).map_err(|e| Error::io("read the tree", root, e))?;
    let is_wanted = |path: &str| {
        wanted.is_none_or(|wanted| {
            let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            wanted.contains(path) || folders.into_iter().any(|folder| wanted.contains(folder))
        })
    };
    let mut found: Vec<Finding> = listing.odd.iter().map(odd).collect();
    let paths: Vec<&str> = listing.files.iter().map(|entry| entry.path.as_str()).collect();
    let bad = faults(&paths);
    found.extend(bad.into_iter().map(|(path, what)| Finding::new("path", &path, 0, what)));

    let (plan, wrong) = Plan::read(root);
    found.extend(wrong);
    let looker = Looker { root, plan: &plan };
    let is_module = |entry: &&Entry| loader::survey::is_bash_module(&entry.path);
    let (modules, others): (Vec<&Entry>, Vec<&Entry>) = listing.files.iter().partition(is_module);
    // All modules count for the names, but only what is wanted is looked into.
    let mut modules = child::in_parts(&modules, |part| looker.look(part, &is_wanted));
    let defined = modules.iter().filter_map(|look| Some((look.path.as_str(), look.bash.as_ref()?)));
    let mut names = Names::of(defined, paths.iter().copied());
    modules.iter_mut().for_each(|look| look.compare(&names, is_wanted(&look.path)));
    let others: Vec<&Entry> = others.into_iter().filter(|entry| is_wanted(&entry.path)).collect();
    let others = child::in_parts(&others, |part| {
        let mut looks = looker.look(part, &is_wanted);
        looks.iter_mut().for_each(|look| look.compare(&names, true));
        looks
    });

    let looks = || modules.iter().chain(&others);
    looks().for_each(|look| names.mark(&look.used));
    found.extend(names.faults());
    found.extend(names::twins(paths.iter().copied()));
    let has =
        |path: &str| listing.files.binary_search_by(|entry| entry.path.as_str().cmp(path)).is_ok();
    let functions = plan.functions();
    names.mark(&names.used("", functions.iter().map(String::as_str)));
    found.extend(plan.jobs(has, Some(&names)));
    if wanted.is_none() {
        found.extend(names.unreachable());
        let scripts = looks().filter_map(|look| Some((look.path.clone(), look.after.clone()?)));
        found.extend(plan.order(&scripts.collect::<Vec<_>>()));
    }
    if external {
        let mut files = external::Files::default();
        looks().for_each(|look| look.for_others(&mut files));
        found.extend(external::check(root, &files));
    }
    found.extend(looks().flat_map(|look| look.found.iter().cloned()));
    let allowed: BTreeMap<&str, &Look> = looks()
        .filter(|look| !look.allowed.is_empty())
        .map(|look| (look.path.as_str(), look))
        .collect();
    let silent = |one: &Finding| {
        allowed
            .get(one.file.as_str())
            .is_some_and(|look| look.allowed.iter().any(|a| a.silences(one)))
    };
    found.retain(|one| !silent(one) && is_wanted(&one.file));
    sort(&mut found);
    let files = listing.files.iter().filter(|entry| is_wanted(&entry.path)).count();
    Ok((found, files))
}

fn sort(found: &mut Vec<Finding>) {
    found.sort_by(|a, b| {
        let key = |one: &Finding| (one.line, one.column, one.severity);
        a.file
            .cmp(&b.file)
            .then(key(a).cmp(&key(b)))
            .then_with(|| (&a.code, &a.message).cmp(&(&b.code, &b.message)))
    });
    found.dedup();
}

fn odd((path, odd): &(String, Odd)) -> Finding {
    let (code, what) = match odd {
        Odd::Name => ("path", "has a name that is not UTF-8; rename it".to_owned()),
        Odd::Link => (
            "not-a-file",
            "is a symbolic link; only regular files can be published: put the file itself there"
                .to_owned(),
        ),
        Odd::Special => ("not-a-file", "is no regular file; remove it".to_owned()),
        Odd::Deep => (
            "too-many",
            "lies deeper than 32 folders and was not looked into; move it up".to_owned(),
        ),
        Odd::Many => (
            "too-many",
            "holds more files than the 200,000 that are looked at; name another --tree".to_owned(),
        ),
        Odd::Unreadable(error) => ("unreadable", format!("cannot be read: {error}")),
    };
    Finding::new(code, path, 0, what)
}

/// For the fuzzer: everything that reads the bytes of a file here, without other programs.
#[cfg(fuzzing)]
pub fn survive(path: &str, text: &[u8]) {
    let said = loader::survey::bash_file(text);
    let names = Names::of(std::iter::once(("modules/it.sh", &said)), std::iter::once(path));
    let entry = Entry { path: path.to_owned(), executable: true };
    let runner = loader::survey::runner(path, text);
    let plan = Plan::of(Ok(std::str::from_utf8(text).ok().map(str::to_owned))).0;
    let mut found = text::check(&entry, &runner, text);
    found.extend(secrets::check(path, text));
    found.extend(plan.script(&entry, text));
    found.extend(plan.jobs(|_| false, Some(&names)));
    found.extend(names.undefined(path, runner.language, &said));
    found.extend(names.faults());
    names.used_by(path, &said);
    names::python_words(text);
    bash::survive(text);
    let allowed = text::allowed(text);
    found.retain(|one| !allowed.iter().any(|allowed| allowed.silences(one)));
    report::text(&found, 1);
    report::sarif(&found);
}
