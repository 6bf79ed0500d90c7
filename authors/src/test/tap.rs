//! Results as TAP, the Test Anything Protocol, version 13.

use super::{
    outcome::{FileReport, Outcome, Summary, Test},
    show,
};

/// The whole report.
pub fn report<'a>(files: impl Iterator<Item = &'a FileReport>, summary: &Summary) -> String {
    let mut text = format!("TAP version 13\n1..{}\n", summary.tests);
    for (number, test) in files.flat_map(|file| &file.tests).enumerate() {
        text.push_str(&line(number + 1, test));
    }
    if summary.interrupted {
        text.push_str("Bail out! interrupted\n");
    }
    text
}

fn line(number: usize, test: &Test) -> String {
    // A `#` would begin a directive.
    let name = test.name.replace('#', "_");
    let word = if test.failed() { "not ok" } else { "ok" };
    let mut text = format!("{word} {number} - {name}");
    if test.outcome == Outcome::Skipped {
        let reason = test.reason.as_deref().unwrap_or_default().replace('\n', " ");
        text.push_str(format!(" # SKIP {reason}").trim_end());
    }
    text.push('\n');
    if test.failed() {
        for line in show::details(test).lines() {
            text.push_str(&format!("# {line}\n"));
        }
    }
    text
}
