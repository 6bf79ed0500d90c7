//! Shell scripts are clean and executable.

use std::{os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};
use e2e::{need, program, run};

use crate::files::{Text, all, none};

/// What follows `#!` if the file is a bash or sh script.
fn shell_line(file: &Text) -> Option<&str> {
    let line = file.text.lines().next()?.strip_prefix("#!")?;
    let name = line.split_whitespace().last()?;
    matches!(Path::new(name).file_name()?.to_str()?, "sh" | "bash" | "dash").then_some(line)
}

#[test]
fn shell_scripts_are_clean() -> Result<()> {
    if !need(&["shellcheck"])? {
        return Ok(());
    }
    let root = e2e::parts::repository();
    let files = all()?;
    let scripts = files.iter().filter(|file| shell_line(file).is_some());
    let mut command = e2e::command(&program("shellcheck")?);
    command.current_dir(&root).args(["--severity=style", "--format=gcc", "--exclude=SC1091", "--"]);
    let done = run(command.args(scripts.map(|file| file.path.as_str())))?;
    let lines: Vec<String> = done.out().lines().map(str::to_owned).collect();
    none("shellcheck has something to say", &lines)?;
    done.success().map(drop)
}

#[test]
fn scripts_are_executable() -> Result<()> {
    let root = e2e::parts::repository();
    let mut found = Vec::new();
    for file in all()?.iter().filter(|file| file.text.starts_with("#!")) {
        // An inner attribute of Rust begins alike; modules are read, not run.
        if file.path.ends_with(".rs") || file.path.starts_with("modules/") {
            continue;
        }
        let meta = root.join(&file.path).metadata();
        let mode = meta.with_context(|| format!("cannot look at {}", file.path))?.permissions();
        if mode.mode() & 0o111 != 0o111 {
            found.push(file.path.clone());
        }
    }
    none("files with a first line `#!` that are not executable", &found)
}
