//! Where to begin: scripts, modules and collectors, each with its test, which passes at once.
//!
//! Writes two files and changes none.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use jobs::tiers::{self, Tiers};
use loader::Namespace;

use crate::Error;

/// Names are file names and functions: longer ones are a mistake.
const MAX_NAME: usize = 64;
const MAX_TIERS_FILE: u64 = 1 << 20;

/// What to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A job of a tier
    Script,
    /// Functions for scripts
    Module,
    /// A script that prints what it found as JSON
    Collector,
}

/// Words of the command.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: codesync new script disk_report --tier weekly

Writes scripts/TIER/NAME, modules/NAME.sh (modules/NAME_tools.py) or scripts/collect/NAME, and its
test in tests/. Nothing is overwritten.")]
pub struct Options {
    /// What
    pub kind: Kind,
    /// Its name: a letter, then letters, digits and _
    pub name: String,
    /// The tree: the folder that holds modules/, scripts/ and conf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// In Python rather than bash
    #[arg(long)]
    pub python: bool,
    /// The tier that runs a script
    #[arg(long, default_value = "daily")]
    pub tier: String,
}

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
struct Draft {
    /// Within the tree.
    path: String,
    text: String,
    mode: u32,
}

/// Does it.
pub fn run(options: &Options) -> Result<ExitCode, Error> {
    let tree = &options.tree;
    if !tree.is_dir() {
        return Err(Error::Usage(format!("there is no folder {}; make it first", tree.display())));
    }
    let name = checked_name(options)?;
    let guarded = tree.join("modules/autoinit.sh").is_file();
    let drafts = drafts(options.kind, options.python, &options.tier, &name, guarded);
    if options.kind == Kind::Script {
        check_tier(tree, &options.tier)?;
    }
    check_function(options, &name)?;
    for draft in &drafts {
        // Also a link that leads nowhere is somebody's.
        if tree.join(&draft.path).symlink_metadata().is_ok() {
            return Err(Error::Usage(format!(
                "{} is there already and was left as it is; take another name",
                draft.path
            )));
        }
    }
    for draft in &drafts {
        write(&tree.join(&draft.path), draft)?;
    }
    let said = said(options, &drafts);
    let mut out = io::stdout().lock();
    out.write_all(said.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|e| Error::io("write to", "standard output", e))?;
    Ok(ExitCode::SUCCESS)
}

fn checked_name(options: &Options) -> Result<String, Error> {
    let name = &options.name;
    let clean = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.len() <= MAX_NAME;
    if !clean {
        return Err(Error::Usage(format!(
            "{name:?} cannot be a name here: take a letter, then letters, digits and _, at most {MAX_NAME}"
        )));
    }
    let tools = options.kind == Kind::Module && options.python && !name.ends_with("_tools");
    Ok(if tools { format!("{name}_tools") } else { name.clone() })
}

/// A script in a tier that does not exist would never run.
fn check_tier(tree: &Path, tier: &str) -> Result<(), Error> {
    let path = tree.join(tiers::PATH);
    let known = match File::open(&path) {
        Ok(file) => {
            let text = io::read_to_string(io::Read::take(file, MAX_TIERS_FILE))
                .map_err(|e| Error::io("read", &path, e))?;
            Tiers::of_release(&text).map_err(|wrong| Error::Usage(wrong.to_string()))?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Tiers::built_in(),
        Err(e) => return Err(Error::io("read", &path, e)),
    };
    if known.tiers.contains_key(tier) {
        return Ok(());
    }
    let names: Vec<&str> = known.tiers.keys().map(String::as_str).collect();
    Err(Error::Usage(format!(
        "no tier is called {tier:?}; there are {}, and [tier.{tier}] in {} makes one",
        names.join(", "),
        tiers::PATH
    )))
}

/// All bash functions share one namespace.
fn check_function(options: &Options, name: &str) -> Result<(), Error> {
    let bash = options.kind == Kind::Module && !options.python;
    if bash && Namespace::working(&options.tree)?.function(name, &[]).is_ok() {
        return Err(Error::Usage(format!(
            "another module defines the function {name} already; take another name"
        )));
    }
    Ok(())
}

/// The file and its test.
fn drafts(kind: Kind, python: bool, tier: &str, name: &str, guarded: bool) -> [Draft; 2] {
    let (text, test) = match (kind, python) {
        (Kind::Script, false) => {
            (include_str!("new/script.sh"), include_str!("new/script-test.sh"))
        }
        (Kind::Script, true) => (include_str!("new/script.py"), include_str!("new/script-test.py")),
        (Kind::Module, false) => {
            (include_str!("new/module.sh"), include_str!("new/module-test.sh"))
        }
        (Kind::Module, true) => (include_str!("new/module.py"), include_str!("new/module-test.py")),
        (Kind::Collector, false) => {
            (include_str!("new/collector.sh"), include_str!("new/collector-test.sh"))
        }
        (Kind::Collector, true) => {
            (include_str!("new/collector.py"), include_str!("new/collector-test.py"))
        }
    };
    let (path, mode) = match kind {
        Kind::Script => (format!("scripts/{tier}/{name}"), 0o755),
        Kind::Module => (format!("modules/{name}.{}", if python { "py" } else { "sh" }), 0o644),
        Kind::Collector => (format!("scripts/collect/{name}"), 0o755),
    };
    let beside =
        if python { format!("tests/test_{name}.py") } else { format!("tests/{name}_test.sh") };
    // For a start by hand; a tree without autoinit.sh has nothing that it could call.
    let guard = if guarded { include_str!("new/guard.sh") } else { "\n" };
    let fill = |text: &str| {
        text.replace("@GUARD@\n", guard).replace("@NAME@", name).replace("@PATH@", &path)
    };
    let first = match (kind, python) {
        (Kind::Module, true) => "",
        (_, true) => "#!/usr/bin/env python3\n",
        (_, false) => "#!/bin/bash\n",
    };
    let (text, test) = (format!("{first}{}", fill(text)), fill(test));
    [Draft { path, text, mode }, Draft { path: beside, text: test, mode: 0o644 }]
}

fn write(path: &Path, draft: &Draft) -> Result<(), Error> {
    let failed = |e| Error::io("write", path, e);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(draft.mode)
        .open(path)
        .map_err(failed)?;
    file.write_all(draft.text.as_bytes()).map_err(failed)?;
    // Whatever the umask: what is published is 644 or 755.
    file.set_permissions(fs::Permissions::from_mode(draft.mode)).map_err(failed)
}

fn said(options: &Options, drafts: &[Draft; 2]) -> String {
    let [file, test] = drafts;
    let tree = options.tree.display();
    let try_it = match options.kind {
        Kind::Module if options.python => {
            let stem = file.path.trim_start_matches("modules/").trim_end_matches(".py");
            format!("ldi call --tree {tree} {stem}.greeting you")
        }
        Kind::Module => format!("ldi call --tree {tree} {} you", options.name),
        _ => format!("ldi exec --tree {tree} {}", file.path),
    };
    format!(
        "wrote {} and {}\nNext:\n  change both to what you need\n  {try_it}\n  codesync test --tree {tree} {}\n  codesync lint --tree {tree}\n",
        file.path, test.path, test.path
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_are_whole_and_clean() {
        for kind in [Kind::Script, Kind::Module, Kind::Collector] {
            for python in [false, true] {
                for guarded in [false, true] {
                    for draft in drafts(kind, python, "weekly", "disk_report", guarded) {
                        assert!(!draft.text.contains('@'), "{}: {}", draft.path, draft.text);
                        assert!(draft.text.contains("disk_report"), "{}", draft.path);
                        assert!(draft.text.ends_with('\n'), "{}", draft.path);
                    }
                }
            }
        }
        let [file, test] = drafts(Kind::Script, true, "weekly", "a", false);
        assert_eq!((file.path.as_str(), file.mode), ("scripts/weekly/a", 0o755));
        assert_eq!((test.path.as_str(), test.mode), ("tests/test_a.py", 0o644));
    }
}
