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
#[command(after_help = "\
Example: codesync lint --tree . scripts/daily/recon

Exit codes: 0 no error, 1 an error (with --strict also a warning), 2 usage.")]
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
        |code: &Code| format!("{:20} {:8} {}\n", code.name, code.severity.word(), code.about);
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
    let listing = tree::list(root)?;
    let is_wanted = |path: &str| {
        wanted.is_none_or(|wanted| {
            let folders = path.match_indices('/').filter_map(|(at, _)| path.get(..at));
            wanted.contains(path) || folders.into_iter().any(|folder| wanted.contains(folder))
        })
    };
    let paths: Vec<&str> = listing.files.iter().map(|entry| entry.path.as_str()).collect();
    let mut found: Vec<Finding> = listing.odd.iter().map(odd).collect();
    let bad = faults(&paths);
    found.extend(bad.into_iter().map(|(path, what)| Finding::new("path", &path, 0, what)));
    let (plan, wrong) = Plan::read(root);
    found.extend(wrong);

    let (mut names, looks) =
        looks(Looker { root, plan: &plan, compared: true }, &listing.files, &is_wanted);
    looks.iter().for_each(|look| names.mark(&look.used));
    names.mark(&names.used("", plan.functions().iter().map(String::as_str)));
    found.extend(names.faults());
    found.extend(names::twins(paths.iter().copied()));
    found.extend(plan::twins(&listing.files));
    let has = |path: &str| paths.binary_search(&path).is_ok();
    found.extend(plan.jobs(has, Some(&names)));
    if wanted.is_none() {
        found.extend(names.unreachable());
        let jobs = looks.iter().filter_map(|look| Some((look.path.clone(), look.after.clone()?)));
        found.extend(plan.order(&jobs.collect::<Vec<_>>()));
    }
    if external {
        let mut files = external::Files::default();
        looks.iter().for_each(|look| look.for_others(&mut files));
        found.extend(external::check(root, &files));
    }
    found.extend(looks.iter().flat_map(|look| look.found.iter().cloned()));
    let allowed: BTreeMap<&str, &[text::Allowed]> =
        looks.iter().map(|look| (look.path.as_str(), look.allowed.as_slice())).collect();
    let silent = |one: &Finding| {
        let allowed = allowed.get(one.file.as_str()).copied().unwrap_or_default();
        allowed.iter().any(|allowed| allowed.silences(one))
    };
    found.retain(|one| is_wanted(&one.file) && !silent(one));
    sort(&mut found);
    Ok((found, paths.iter().filter(|path| is_wanted(path)).count()))
}

/// The names of all modules, and what there is to say about each of them and about the `wanted`
/// among the other files.
fn looks(
    looker: Looker<'_>,
    files: &[Entry],
    wanted: &(dyn Fn(&str) -> bool + Sync),
) -> (Names, Vec<Look>) {
    let is_module = |entry: &&Entry| loader::survey::is_bash_module(&entry.path);
    let (modules, others): (Vec<&Entry>, Vec<&Entry>) = files.iter().partition(is_module);
    let mut looks = child::in_parts(&modules, |part| looker.look(part, wanted));
    let defined = looks.iter().filter_map(|look| Some((look.path.as_str(), look.bash.as_ref()?)));
    let names = Names::of(defined, files.iter().map(|entry| entry.path.as_str()));
    looks.iter_mut().for_each(|look| look.compare(&names, wanted(&look.path)));
    let others: Vec<&Entry> = others.into_iter().filter(|entry| wanted(&entry.path)).collect();
    looks.extend(child::in_parts(&others, |part| {
        let mut looks = looker.look(part, wanted);
        looks.iter_mut().for_each(|look| look.compare(&names, true));
        looks
    }));
    (names, looks)
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
#[cfg(any(fuzzing, test))]
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

#[cfg(test)]
mod tests {
    #[test]
    fn any_bytes_are_read_without_panic() {
        let paths = ["modules/x.sh", "scripts/daily/x", "modules/x_tools.py", "conf/tiers.toml"];
        let pieces: &[&[u8]] = &[
            b"#!/bin/bash\r\n",
            b"\xef\xbb\xbf",
            b"# ldi: after=x timeout=5m\n",
            b"f() {\n",
            b"}\n",
            b"$(",
            b"`",
            b"\"",
            b"'",
            b"<<EOF\n",
            b"# lint: allow secret, x:\n",
            b"password: '",
            b"Tr0ub4dor&3xQ",
            b"AKIA",
            b"-----BEGIN ",
            b" KEY-----\n",
            b"://a:b@",
            b"\0",
            b"\xff\xfe",
            b"[[job]]\n",
            b"tier = \"daily\"\n",
            b"command -v x; . ./y; eval z\n",
            b"bash: line 3: x\n\x002\x00",
            b"case x in\n",
            b";;\n",
            "\u{130}".as_bytes(),
        ];
        let mut seed = 7_u64;
        let mut next = |bound: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap_or(0) % bound
        };
        for _ in 0..400 {
            let text: Vec<u8> =
                (0..next(25)).flat_map(|_| pieces[next(pieces.len())].to_vec()).collect();
            super::survive(paths[next(paths.len())], &text);
        }
    }
}
