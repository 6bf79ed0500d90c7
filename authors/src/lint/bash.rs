//! Syntax of bash, as `bash -n` of the bash that is here sees it: many files to a process.

use std::{path::Path, process::Command};

use loader::survey;

use super::finding::{Finding, Severity};
use crate::child;

const DRIVER: &str = include_str!("bash_n.sh");
/// What the script complains about besides the first error only repeats the line.
const MAX_MESSAGE: usize = 300;

/// A file to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a> {
    /// Path within the tree.
    pub path: &'a str,
    /// Its content.
    pub text: &'a [u8],
}

/// Checks `scripts` of the tree at `root`.
pub fn check(root: &Path, scripts: &[Script<'_>]) -> Vec<Finding> {
    // Behind a NUL byte stands no bash, but an archive that unpacks itself.
    let scripts: Vec<Script<'_>> =
        scripts.iter().filter(|script| !script.text.contains(&0)).copied().collect();
    if scripts.is_empty() {
        return Vec::new();
    }
    let Some(bash) = survey::bash() else {
        let what = "bash is not on this machine, so its scripts were not checked; install it";
        return vec![Finding::new("not-checked", scripts[0].path, 0, what)];
    };
    let answers = child::each(&scripts, |rest| ask(&bash, root, rest));
    let found = scripts.iter().zip(answers).filter_map(|(script, answer)| match answer {
        None => {
            let what = "bash did not say whether it can read this; look with bash -n";
            Some(Finding::new("not-checked", script.path, 0, what))
        }
        Some(None) => None,
        Some(Some((line, message))) => Some(fault(script, line, &message)),
    });
    found.collect()
}

fn fault(script: &Script<'_>, line: usize, message: &str) -> Finding {
    let finding =
        Finding::new("bash-syntax", script.path, line, format!("{message}; mend the syntax"));
    // Behind an `exit` at the left margin may stand what is no bash: it is never read.
    let before = script.text.split(|byte| *byte == b'\n').take(line.saturating_sub(1));
    let ended = before.into_iter().any(|line| {
        let word = line.split(|b| b" \t;".contains(b)).next().unwrap_or_default();
        word == b"exit" || word == b"exec"
    });
    if ended { finding.severity(Severity::Warning) } else { finding }
}

/// A complaint: its line, and what it is.
type Complaint = Option<(usize, String)>;

fn ask(bash: &Path, root: &Path, scripts: &[Script<'_>]) -> Vec<Complaint> {
    let mut command = Command::new(bash);
    command.args(["--norc", "--noprofile", "-c", DRIVER, "bash"]);
    command.args(scripts.iter().map(|script| format!("./{}", script.path)));
    command.current_dir(root).env("LC_ALL", "C").env_remove("BASH_ENV").env_remove("SHELLOPTS");
    let said = child::usual(command, Vec::new()).unwrap_or_default();
    answers(&said)
}

fn answers(said: &[u8]) -> Vec<Complaint> {
    let fields: Vec<&[u8]> = said.split(|byte| *byte == 0).collect();
    // What follows the last NUL was cut off, or is empty.
    let mut pairs = fields.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let Some(probe) = pairs.next().and_then(|(text, _)| first(text)) else { return Vec::new() };
    let extra = probe.0.saturating_sub(1);
    pairs
        .map(|(text, status)| {
            // A warning about a here-document comes with status 0.
            let (line, message) = first(text).filter(|_| status != b"0")?;
            Some((line.saturating_sub(extra).max(1), message))
        })
        .collect()
}

/// For the fuzzer.
#[cfg(fuzzing)]
pub fn survive(said: &[u8]) {
    answers(said);
}

/// The first complaint of `bash: eval: line 5: unexpected EOF`, without its place.
fn first(text: &[u8]) -> Option<(usize, String)> {
    let text = String::from_utf8_lossy(text);
    let complaints = text.lines().filter(|line| !line.contains(": warning: "));
    complaints.into_iter().find_map(|line| {
        let (number, message) = line.split_once(": line ")?.1.split_once(": ")?;
        let message: String = message.chars().take(MAX_MESSAGE).collect();
        Some((number.parse().ok()?, message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<(String, usize, Severity)> {
        let root = tempfile::tempdir().unwrap();
        let names: Vec<String> = (0..texts.len()).map(|at| format!("{at}.sh")).collect();
        let files = names.iter().zip(texts);
        let scripts: Vec<Script<'_>> =
            files.map(|(path, text)| Script { path, text: text.as_bytes() }).collect();
        for script in &scripts {
            std::fs::write(root.path().join(script.path), script.text).unwrap();
        }
        let found = check(root.path(), &scripts);
        assert!(!root.path().join("ran").exists(), "a file was run");
        found.into_iter().map(|f| (f.file, f.line, f.severity)).collect()
    }

    #[test]
    fn each_file_is_judged_alone_and_none_is_run() {
        let found = lines(&[
            "echo fine\nexit 3\n",
            "if true; then\n  echo \"a\n",
            "touch ran\nf() {\n  fi\n}\n",
            "cat <<EOF\n  never closed\n",
            "echo fine again\n}\n",
            "exit 0\npayload ( of an installer\n",
            "echo (\n",
        ]);
        use Severity::{Error, Warning};
        let expected = [
            ("1.sh", 3, Error),
            ("2.sh", 3, Error),
            ("4.sh", 2, Error),
            ("5.sh", 2, Warning),
            ("6.sh", 1, Error),
        ];
        // bash names the last line or the first of an open quote, as its version sees fit.
        let near = |found: &(String, usize, Severity),
                    (path, line, severity): (&str, usize, Severity)| {
            found.0 == path && found.1.abs_diff(line) <= 1 && found.2 == severity
        };
        assert_eq!(found.len(), expected.len(), "{found:?}");
        assert!(found.iter().zip(expected).all(|(found, one)| near(found, one)), "{found:?}");
    }

    #[test]
    fn answers_that_break_off_are_counted() {
        let said =
            b"x: eval: line 3: probe\n\x001\x00\x000\x00bash: eval: line 9: bad\n\x002\x00half";
        assert_eq!(answers(said), [None, Some((7, "bad".to_owned()))]);
        assert_eq!(answers(b""), []);
        assert_eq!(answers(b"nonsense"), []);
    }
}
