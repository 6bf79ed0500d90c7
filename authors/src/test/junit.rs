//! Results as JUnit's XML, which build servers read.

use super::outcome::{FileReport, Outcome, Summary, Test};

/// The whole report.
pub fn report<'a>(files: impl Iterator<Item = &'a FileReport>, summary: &Summary) -> String {
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <testsuites tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">\n",
        summary.tests, summary.failed, summary.skipped, summary.seconds
    );
    for file in files.filter(|file| !file.tests.is_empty()) {
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\" time=\"{:.3}\">\n",
            escaped(&file.name),
            file.tests.len(),
            file.count(Test::failed),
            file.count(|test| test.outcome == Outcome::Skipped),
            file.seconds()
        ));
        for test in &file.tests {
            text.push_str(&case(&file.name, test));
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

fn case(file: &str, test: &Test) -> String {
    let name = test.name.split_once("::").map_or(test.name.as_str(), |(_, name)| name);
    let mut text = format!(
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">\n",
        escaped(file),
        escaped(name),
        test.seconds
    );
    for failure in &test.failures {
        let first = failure.message.lines().next().unwrap_or_default();
        text.push_str(&format!(
            "      <failure message=\"{}\">{}:\n{}</failure>\n",
            escaped(first),
            escaped(&failure.place),
            escaped(&failure.message)
        ));
    }
    if test.outcome == Outcome::Skipped {
        let reason = escaped(test.reason.as_deref().unwrap_or_default());
        text.push_str(&format!("      <skipped message=\"{reason}\"/>\n"));
    }
    if !test.output.is_empty() {
        text.push_str(&format!("      <system-out>{}</system-out>\n", escaped(&test.output)));
    }
    text.push_str("    </testcase>\n");
    text
}

/// As XML 1.0 can hold it; it has no way to write most control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push('\t'),
            '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => out.push(c),
            _ => out.push('\u{fffd}'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_test_wrote_does_not_become_markup() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{1b}[31m\u{0}\u{ffff}\n"),
            "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}[31m\u{fffd}\u{fffd}&#10;"
        );
    }
}
