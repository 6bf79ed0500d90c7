//! What is wrong with the bytes of one file, whatever they mean.

use loader::survey::{self, Language, Runner};

use super::finding::{Finding, Severity};
use crate::tree::Entry;

/// Text beyond this is not looked into.
pub const MAX_TEXT: u64 = 4 << 20;

/// Looks at `text`, the content of `entry`.
pub fn check(entry: &Entry, runner: &Runner, text: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let path = entry.path.as_str();
    let mut add = |code, line, what: String| found.push(Finding::new(code, path, line, what));
    let shell = matches!(runner.language, Language::Bash | Language::Shell);
    let python = runner.language == Language::Python;
    let (head, bom) = match text.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    if bom && (shell || head.starts_with(b"#!")) {
        let what = "begins with a byte order mark, which hides its first line; save it as UTF-8 without one";
        add("bom", 1, what.to_owned());
    }
    if let Some(named) = &runner.named {
        if named.is_empty() {
            add(
                "first-line",
                1,
                "names no interpreter after #!; write for example #!/bin/bash".into(),
            );
        } else if !runner.by_env && !named.starts_with('/') {
            let what =
                format!("{named:?} is no absolute path; write for example #!/usr/bin/env {named}");
            add("first-line", 1, what);
        } else if survey::find(named).is_none() {
            let what =
                format!("{named} is not on this machine; make sure that it is where this runs");
            add("no-interpreter", 1, what);
        }
    }
    if shell || python || runner.named.is_some() {
        if let Some((line, all)) = carriage_returns(text) {
            let told = runner.named.is_some() && line == 1;
            let what = "has lines that end as on Windows (CR LF); convert it, for example with sed 's/\\r$//'";
            let finding = Finding::new("crlf", path, line, what);
            let works = !told && (!shell || !all);
            found.push(if works { finding.severity(Severity::Warning) } else { finding });
        }
        if shell && std::str::from_utf8(text).is_err() {
            let line = text.utf8_chunks().next().map_or(0, |chunk| lines(chunk.valid()));
            let what =
                "is not UTF-8 here, which other machines may read as something else; convert it";
            found.push(Finding::new("not-utf8", path, line, what));
        }
    }
    if entry.executable && path.starts_with("modules/") && (shell || python) {
        let what = "has the run bit, but modules are read, not run; take it away: chmod 644";
        found.push(Finding::new("executable-module", path, 0, what));
    }
    found
}

fn lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count() + 1
}

/// The first line that ends in CR LF, and whether at least half of the lines do.
fn carriage_returns(text: &[u8]) -> Option<(usize, bool)> {
    let mut first = None;
    let (mut odd, mut of) = (0_usize, 0_usize);
    for (at, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        of += 1;
        if line.ends_with(b"\r\n") {
            odd += 1;
            first = first.or(Some(at + 1));
        }
    }
    first.map(|first| (first, odd * 2 >= of))
}

/// `lint: allow CODE…` in comments: its line, whether it stands alone there, and the codes.
pub fn allowed(text: &[u8]) -> Vec<Allowed> {
    const WORDS: &[u8] = b"lint: allow ";
    if !text.windows(WORDS.len()).any(|part| part == WORDS) {
        return Vec::new();
    }
    let text = String::from_utf8_lossy(text);
    let of = |(at, line): (usize, &str)| {
        let (before, comment) = line.split_once('#')?;
        let codes = comment.split_once("lint: allow ")?.1;
        let is_code = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':';
        let codes = codes.split([' ', ',']).take_while(|word| word.chars().all(is_code));
        // A colon behind the last one begins the reason.
        let codes = codes.map(|word| word.trim_end_matches(':')).filter(|word| !word.is_empty());
        let codes = codes.map(str::to_owned).collect();
        Some(Allowed { line: at + 1, alone: before.trim().is_empty(), codes })
    };
    text.lines().enumerate().filter_map(of).collect()
}

/// Findings that a comment silences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Its line.
    pub line: usize,
    /// Nothing else stands there: it means the line beneath as well.
    pub alone: bool,
    /// The codes.
    pub codes: Vec<String>,
}

impl Allowed {
    /// Comments this far down speak for the whole file.
    const HEAD: usize = 20;

    /// Whether it silences `finding`, which is of the same file.
    pub fn silences(&self, finding: &Finding) -> bool {
        let here = match finding.line {
            0 => self.alone && self.line <= Self::HEAD,
            line => line == self.line || self.alone && line == self.line + 1,
        };
        let firm = super::finding::known(&finding.code).is_some_and(|code| code.firm);
        here && !firm && self.codes.contains(&finding.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(path: &str, text: &[u8]) -> Vec<(String, Severity, usize)> {
        let entry = Entry { path: path.to_owned(), executable: false };
        let found = check(&entry, &survey::runner(path, text), text);
        found.into_iter().map(|f| (f.code, f.severity, f.line)).collect()
    }

    #[test]
    fn windows_lines_are_errors_where_nothing_can_work() {
        use Severity::{Error, Warning};
        let crlf = |severity, line| vec![("crlf".to_owned(), severity, line)];
        assert_eq!(codes("scripts/daily/x", b"#!/bin/sh\r\necho\r\n"), crlf(Error, 1));
        assert_eq!(codes("modules/x.sh", b"f() {\r\n  :\r\n}\r\n"), crlf(Error, 1));
        assert_eq!(codes("modules/x.sh", b"f() {\n  :\n}\nx='a\r\n'\n"), crlf(Warning, 4));
        assert_eq!(codes("modules/x.py", b"x = 1\r\n"), crlf(Warning, 1));
        assert_eq!(codes("conf/x.conf", b"a=1\r\n"), []);
    }

    #[test]
    fn first_lines() {
        let error = |code: &str| vec![(code.to_owned(), Severity::Error, 1)];
        assert_eq!(codes("scripts/daily/x", b"#!bash\n"), error("first-line"));
        assert_eq!(codes("scripts/daily/x", b"#!/usr/bin/env\n"), error("first-line"));
        assert_eq!(codes("scripts/daily/x", b"\xef\xbb\xbf#!/bin/sh\n"), error("bom"));
        let missing = vec![("no-interpreter".to_owned(), Severity::Note, 1)];
        assert_eq!(codes("scripts/daily/x", b"#!/opt/none/such\n"), missing);
        assert_eq!(codes("scripts/daily/x", b"#!/bin/sh\n"), []);
    }

    #[test]
    fn a_comment_silences_its_line_the_next_or_the_file() {
        let text = b"# lint: allow unreachable-module\nx=1 # lint: allow secret, password why\n\n\n# lint: allow crlf\n";
        let allowed = allowed(text);
        let of =
            |code, line| allowed.iter().any(|a| a.silences(&Finding::new(code, "x", line, "")));
        assert!(of("unreachable-module", 0) && of("secret", 2) && of("password", 2));
        assert!(!of("secret", 3) && !of("secret", 0) && !of("crlf", 4) && of("crlf", 6));
        let firm = [Allowed { line: 1, alone: true, codes: vec!["header".to_owned()] }];
        assert!(!firm[0].silences(&Finding::new("header", "x", 2, "")));
    }
}
