//! What was found: one sentence at one place, under one code. The codes are a table.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Cannot work, or must not be published.
    Error,
    /// Hardly what was meant.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word for it, which SARIF uses too.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// One of [`CODES`], or a linter's own as `shellcheck:SC2086`.
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// Path within the tree.
    pub file: String,
    /// From 1; absent where the whole file is meant.
    #[serde(serialize_with = "number")]
    pub line: usize,
    /// From 1; absent where the whole line is meant.
    #[serde(serialize_with = "number")]
    pub column: usize,
    /// One sentence: what, and what to do.
    pub message: String,
}

fn number<S: serde::Serializer>(n: &usize, out: S) -> Result<S::Ok, S::Error> {
    if *n == 0 { out.serialize_none() } else { out.serialize_some(n) }
}

impl Finding {
    /// A finding of this program's own, with the severity of its code.
    pub fn new(code: &'static str, file: &str, line: usize, message: impl Into<String>) -> Self {
        let known = known(code);
        debug_assert!(known.is_some(), "{code} is not in the table");
        Self {
            code: code.to_owned(),
            severity: known.map_or(Severity::Error, |code| code.severity),
            file: file.to_owned(),
            line,
            column: 0,
            message: message.into(),
        }
    }

    /// With another severity than its code's.
    pub fn severity(self, severity: Severity) -> Self {
        Self { severity, ..self }
    }
}

/// A code and what it means.
#[derive(Debug)]
pub struct Code {
    /// The word for it.
    pub name: &'static str,
    /// How bad it is at worst.
    pub severity: Severity,
    /// A comment in the file cannot silence it: publish or the machines would refuse all the same.
    pub firm: bool,
    /// What it says.
    pub about: &'static str,
}

const fn code(name: &'static str, severity: Severity, about: &'static str) -> Code {
    Code { name, severity, firm: false, about }
}

const fn firm(name: &'static str, about: &'static str) -> Code {
    Code { name, severity: Severity::Error, firm: true, about }
}

/// Every code, by severity, then by name.
pub const CODES: &[Code] = &[
    code("bash-syntax", Severity::Error, "bash cannot read it (bash -n)"),
    code("bom", Severity::Error, "a byte order mark hides the first line"),
    code("crlf", Severity::Error, "lines end as on Windows"),
    code("first-line", Severity::Error, "the first line names no interpreter by its path"),
    firm("header", "a header comment that machines refuse"),
    firm("job-name", "a job's file has a name that machines refuse"),
    firm("job-order", "jobs whose names or `after` do not fit together"),
    firm("job-script", "a job's script is not in the tree"),
    firm("not-a-file", "a link, a device or a pipe; only files can be published"),
    firm("path", "a path that may not be in a library"),
    code("python-syntax", Severity::Error, "Python cannot compile it"),
    code("secret", Severity::Error, "a private key or a live token"),
    firm("tiers", "conf/tiers.toml is wrong, and machines refuse it"),
    code("toml-syntax", Severity::Error, "a .toml file that is none"),
    firm("too-many", "the tree has more files or deeper folders than are looked at"),
    firm("unreadable", "a file or folder that cannot be read"),
    code(
        "duplicate-function",
        Severity::Warning,
        "two modules define a function; the last one counts",
    ),
    code("duplicate-module", Severity::Warning, "a Python module that is also a package"),
    code("job-function", Severity::Warning, "a job's function is in no module"),
    code("no-first-line", Severity::Warning, "a script that does not say what runs it"),
    code("not-executable", Severity::Warning, "a job without the run bit: machines leave it out"),
    code("password", Severity::Warning, "a password that looks real"),
    code("python-warning", Severity::Warning, "Python warns when it compiles the file"),
    code("shadowed-command", Severity::Warning, "a module's function has the name of a command"),
    code("shadowed-module", Severity::Warning, "a module has the name of one of Python's own"),
    code("undefined-function", Severity::Warning, "a command that is defined nowhere"),
    code("unknown-code", Severity::Warning, "a comment allows a code that does not exist"),
    code("unknown-tier", Severity::Warning, "a folder of scripts almost has a tier's name"),
    code(
        "always-sourced",
        Severity::Note,
        "a module does more than define, so every script pays for it",
    ),
    code("executable-module", Severity::Note, "a module with the run bit"),
    code("large-file", Severity::Note, "a text of more than 4 MiB, which was not looked into"),
    code("no-interpreter", Severity::Note, "the interpreter is not on this machine"),
    code("not-checked", Severity::Note, "something that was left out, and why"),
    code("not-utf8", Severity::Note, "a script that is not UTF-8 text"),
    code("unreachable-module", Severity::Note, "a module whose names nothing in the tree uses"),
];

/// The code called `name`.
pub fn known(name: &str) -> Option<&'static Code> {
    CODES.iter().find(|code| code.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_words_in_order_and_named_once() {
        let order: Vec<_> = CODES.iter().map(|code| (code.severity, code.name)).collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        sorted.dedup_by_key(|(_, name)| *name);
        assert_eq!(order, sorted);
        for code in CODES {
            assert!(
                code.name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            );
            assert!(!code.about.ends_with('.'), "{}", code.name);
        }
    }
}
