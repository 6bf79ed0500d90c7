//! Results on standard output: text for people, TAP or JSON; a progress line on a terminal.
//!
//! Files are shown by name, whichever ended first.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

use super::{
    Options,
    outcome::{FileReport, Outcome, Summary, Test},
    tap,
};
use crate::Error;

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text { verbose: bool },
    Tap,
    Json,
}

/// Where results go.
#[derive(Debug)]
pub struct Output {
    form: Form,
    progress: bool,
    files: BTreeMap<usize, FileReport>,
    shown: usize,
    expected: usize,
}

impl Output {
    /// As `options` say.
    pub fn new(options: &Options) -> Self {
        let form = match (options.tap, options.json) {
            (true, _) => Form::Tap,
            (_, true) => Form::Json,
            _ => Form::Text { verbose: options.verbose },
        };
        let progress =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_some_and(|t| t != "dumb");
        Self { form, progress, files: BTreeMap::new(), shown: 0, expected: 0 }
    }

    /// So many files are to come.
    pub fn begin(&mut self, files: usize) {
        self.expected = files;
        self.show_progress();
    }

    /// The file that is number `at` has ended.
    pub fn file(&mut self, at: usize, report: FileReport) -> Result<(), Error> {
        self.files.insert(at, report);
        let mut text = String::new();
        while let Some(report) = self.files.get(&self.shown) {
            if let Form::Text { verbose } = self.form {
                text.push_str(&lines(report, verbose));
            }
            self.shown += 1;
        }
        self.clear_progress();
        print(&text)?;
        self.show_progress();
        Ok(())
    }

    /// All that has ended, by name.
    pub fn files(&self) -> impl Iterator<Item = &FileReport> {
        self.files.values()
    }

    /// Shows what stands at the end.
    pub fn end(&mut self, summary: &Summary) -> Result<(), Error> {
        self.clear_progress();
        match self.form {
            Form::Text { .. } => print(&ending(self.files(), summary)),
            Form::Tap => print(&tap::report(self.files(), summary)),
            Form::Json => {
                let tests = self.files().flat_map(|file| &file.tests).collect();
                let all = All { summary, tests };
                let text = serde_json::to_string(&all)
                    .map_err(|e| Error::io("write", "the results", e.into()))?;
                print(&format!("{text}\n"))
            }
        }
    }

    fn show_progress(&self) {
        if self.progress {
            let failed: usize = self.files().map(|file| file.count(Test::failed)).sum();
            let _ = write!(
                io::stderr(),
                "{} of {} files, {failed} failed\r",
                self.files.len(),
                self.expected
            );
        }
    }

    fn clear_progress(&self) {
        if self.progress {
            let _ = write!(io::stderr(), "\x1b[2K\r");
        }
    }
}

#[derive(Serialize)]
struct All<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    #[serde(rename = "results")]
    tests: Vec<&'a Test>,
}

fn lines(file: &FileReport, verbose: bool) -> String {
    if file.tests.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    let failed = file.count(Test::failed);
    let word = if failed > 0 { "FAIL" } else { "ok  " };
    text.push_str(&format!("{word}  {}: {}", file.name, count(file.tests.len(), "test")));
    if failed > 0 {
        text.push_str(&format!(", {failed} failed"));
    }
    let skipped = file.count(|test| test.outcome == Outcome::Skipped);
    if skipped > 0 {
        text.push_str(&format!(", {skipped} skipped"));
    }
    text.push_str(&format!(", {:.1} s\n", file.seconds()));
    for test in file.tests.iter().filter(|_| verbose) {
        let word = match test.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
            Outcome::TimedOut => "TIMED OUT",
        };
        let short = test.name.split_once("::").map_or(test.name.as_str(), |(_, short)| short);
        text.push_str(&format!("      {word} {short} ({:.2} s)\n", test.seconds));
    }
    text
}

fn ending<'a>(files: impl Iterator<Item = &'a FileReport>, summary: &Summary) -> String {
    let mut text = String::new();
    for test in files.flat_map(|file| &file.tests).filter(|test| test.failed()) {
        text.push_str(&format!("\n{} failed\n{}", test.name, details(test)));
    }
    text.push_str(&format!(
        "\n{} in {}: {} passed, {} failed, {} skipped ({:.1} s)\n",
        count(summary.tests, "test"),
        count(summary.files, "file"),
        summary.passed,
        summary.failed,
        summary.skipped,
        summary.seconds
    ));
    if summary.interrupted {
        text.push_str("interrupted: the other tests were not run\n");
    }
    text
}

fn count(n: usize, of: &str) -> String {
    format!("{n} {of}{}", if n == 1 { "" } else { "s" })
}

/// What went wrong in a test, and what it wrote; indented.
pub fn details(test: &Test) -> String {
    let mut text = String::new();
    for failure in &test.failures {
        text.push_str(&format!("  {}:\n", failure.place));
        push_indented(&mut text, &failure.message);
    }
    if !test.output.trim().is_empty() {
        text.push_str("  output:\n");
        push_indented(&mut text, &shortened(&test.output));
    }
    text
}

/// Its first and last lines; `--json` and `--junit` have the rest.
fn shortened(output: &str) -> String {
    const SHOWN: usize = 20;
    let lines: Vec<&str> = output.trim_end().lines().collect();
    if lines.len() <= 2 * SHOWN {
        return output.to_owned();
    }
    let (first, last) = (&lines[..SHOWN], &lines[lines.len() - SHOWN..]);
    let left_out = lines.len() - 2 * SHOWN;
    format!("{}\n[… {left_out} lines are left out …]\n{}", first.join("\n"), last.join("\n"))
}

fn push_indented(text: &mut String, block: &str) {
    for line in block.trim_end().lines() {
        // What a test wrote must not move the cursor of whoever reads of it.
        let line: String = line
            .chars()
            .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
            .collect();
        text.push_str(&format!("    {line}\n"));
    }
}

fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `codesync test | head` is no failure.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Error::io("write to", "standard output", e)),
    }
}
