//! What became of tests.

use serde::Serialize;

/// How a test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    Passed,
    /// Not so.
    Failed,
    /// It said that it does not apply here.
    Skipped,
    /// It was killed at its limit.
    TimedOut,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// `FILE:LINE`, or what is known of it.
    #[serde(rename = "where")]
    pub place: String,
    /// What went wrong; several lines.
    pub message: String,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Test {
    /// `FILE::TEST`.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Wall-clock time.
    pub seconds: f64,
    /// What went wrong.
    pub failures: Vec<Failure>,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it wrote to standard output and error, cut in the middle.
    pub output: String,
}

impl Test {
    /// Whether it went wrong.
    pub fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::TimedOut)
    }
}

/// The tests of one file.
#[derive(Debug, Default)]
pub struct FileReport {
    /// Its name in reports.
    pub name: String,
    /// In the order of its text.
    pub tests: Vec<Test>,
}

impl FileReport {
    /// Wall-clock time.
    pub fn seconds(&self) -> f64 {
        self.tests.iter().map(|test| test.seconds).sum()
    }

    /// How many ended in a way that `which` knows.
    pub fn count(&self, which: impl Fn(&Test) -> bool) -> usize {
        self.tests.iter().filter(|test| which(test)).count()
    }
}

/// The numbers of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Files with a test that was to run.
    pub files: usize,
    /// All tests.
    pub tests: usize,
    /// Those that ended well.
    pub passed: usize,
    /// Those that failed or were killed at their limit.
    pub failed: usize,
    /// Those that were left out.
    pub skipped: usize,
    /// Wall-clock time of the whole run.
    pub seconds: f64,
    /// A signal ended the run before every test had run.
    pub interrupted: bool,
}

impl Summary {
    /// Of `files`.
    pub fn of<'a>(
        files: impl Iterator<Item = &'a FileReport>,
        seconds: f64,
        interrupted: bool,
    ) -> Self {
        let files: Vec<&FileReport> = files.filter(|file| !file.tests.is_empty()).collect();
        let sum = |which: fn(&Test) -> bool| files.iter().map(|file| file.count(which)).sum();
        Self {
            files: files.len(),
            tests: sum(|_| true),
            passed: sum(|test| test.outcome == Outcome::Passed),
            failed: sum(Test::failed),
            skipped: sum(|test| test.outcome == Outcome::Skipped),
            seconds,
            interrupted,
        }
    }
}
