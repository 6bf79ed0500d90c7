//! What shellcheck and ruff find, where they are installed. They are asked about many files at
//! once; what they say keeps their own codes.

use std::{path::Path, process::Command, time::Duration};

use loader::survey;
use serde::Deserialize;

use super::finding::{Finding, Severity};
use crate::child;

/// They read slowly; a batch of long scripts takes a minute.
const LIMIT: Duration = Duration::from_secs(900);
/// What shellcheck cannot know: names that come from modules, and files that are sourced.
const NOT_HERE: &str = "--exclude=SC1090,SC1091,SC2034,SC2154";
/// Files for one process: small enough that all cores have work.
const SHARE: usize = 32;

/// Paths of bash and sh, whether each says so itself, and of Python.
#[derive(Debug, Default)]
pub struct Files {
    /// With a first line.
    pub shell: Vec<String>,
    /// Modules of bash that have none.
    pub bare: Vec<String>,
    /// Python.
    pub python: Vec<String>,
}

/// Asks about `files` of the tree at `root`.
pub fn check(root: &Path, files: &Files) -> Vec<Finding> {
    let shell = |files: &[String], more: &[&str]| match survey::find("shellcheck") {
        Some(program) if !files.is_empty() => asked(files, |part| {
            let mut command = Command::new(&program);
            command.current_dir(root).args(["--format=json1", "--norc", NOT_HERE]).args(more);
            command.arg("--").args(part);
            let said = child::answer(command, Vec::new(), LIMIT).ok()?;
            let said: Shellcheck = serde_json::from_slice(&said).ok()?;
            Some(said.comments.into_iter().map(Comment::finding).collect())
        }),
        _ => Vec::new(),
    };
    let mut found = shell(&files.shell, &[]);
    found.extend(shell(&files.bare, &["--shell=bash"]));
    if let Some(program) = survey::find("ruff").filter(|_| !files.python.is_empty()) {
        let base = std::fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        found.extend(asked(&files.python, |part| {
            let mut command = Command::new(&program);
            command.current_dir(root).args(["check", "--no-cache", "--no-fix", "--exit-zero"]);
            command.args(["--quiet", "--output-format=json", "--"]).args(part);
            let said = child::answer(command, Vec::new(), LIMIT).ok()?;
            let said: Vec<Ruff> = serde_json::from_slice(&said).ok()?;
            Some(said.into_iter().map(|one| one.finding(&base)).collect())
        }));
    }
    found
}

fn asked(files: &[String], ask: impl Fn(&[String]) -> Option<Vec<Finding>> + Sync) -> Vec<Finding> {
    child::in_parts(files, |part| {
        part.chunks(SHARE)
            .flat_map(|part| {
                ask(part).unwrap_or_else(|| {
                    let first = part.first().map_or("", String::as_str);
                    let what = format!(
                        "a linter gave no answer about this and {} more files",
                        part.len() - 1
                    );
                    vec![Finding::new("not-checked", first, 0, what)]
                })
            })
            .collect()
    })
}

#[derive(Deserialize)]
struct Shellcheck {
    comments: Vec<Comment>,
}

#[derive(Deserialize)]
struct Comment {
    file: String,
    line: usize,
    column: usize,
    level: String,
    code: u32,
    message: String,
}

impl Comment {
    fn finding(self) -> Finding {
        let severity = match self.level.as_str() {
            "error" => Severity::Error,
            "warning" => Severity::Warning,
            _ => Severity::Note,
        };
        Finding {
            code: format!("shellcheck:SC{:04}", self.code),
            severity,
            file: self.file,
            line: self.line,
            column: self.column,
            message: self.message,
        }
    }
}

#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    filename: String,
    location: Option<Location>,
    message: String,
}

#[derive(Deserialize)]
struct Location {
    row: usize,
    column: usize,
}

impl Ruff {
    fn finding(self, base: &Path) -> Finding {
        let path = Path::new(&self.filename);
        let file = path.strip_prefix(base).unwrap_or(path).to_string_lossy().into_owned();
        Finding {
            code: format!("ruff:{}", self.code.unwrap_or_else(|| "invalid-syntax".to_owned())),
            severity: Severity::Warning,
            file,
            line: self.location.as_ref().map_or(0, |at| at.row),
            column: self.location.as_ref().map_or(0, |at| at.column),
            message: self.message,
        }
    }
}
