//! Findings as text, JSON and SARIF 2.1.0.

use std::fmt::Write;

use serde_json::{Value, json};

use super::finding::{CODES, Finding, Severity};

/// A line for each, and a last one that counts.
pub fn text(found: &[Finding], files: usize) -> String {
    let mut out = String::new();
    for one in found {
        out.push_str(&line(one));
        out.push('\n');
    }
    let count = |severity| found.iter().filter(|one| one.severity == severity).count();
    let several = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let _ = writeln!(
        out,
        "{} in {}: {}, {}, {}",
        several(found.len(), "finding"),
        several(files, "file"),
        several(count(Severity::Error), "error"),
        several(count(Severity::Warning), "warning"),
        several(count(Severity::Note), "note"),
    );
    out
}

/// `file:line: severity code: message`; what could act on a terminal is escaped.
pub fn line(one: &Finding) -> String {
    let place = match (one.line, one.column) {
        (0, _) => String::new(),
        (line, 0) => format!(":{line}"),
        (line, column) => format!(":{line}:{column}"),
    };
    plain(&format!("{}{place}: {} {}: {}", one.file, one.severity.word(), one.code, one.message))
}

/// Without characters that act on a terminal.
pub fn plain(text: &str) -> String {
    let escaped =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(escaped).collect()
}

/// An array of objects: code, severity, file, line, column, message.
pub fn json(found: &[Finding]) -> Value {
    json!(found)
}

/// SARIF 2.1.0, one run.
pub fn sarif(found: &[Finding]) -> Value {
    let mut rules: Vec<Value> = CODES
        .iter()
        .map(|code| {
            json!({
                "id": code.name,
                "shortDescription": { "text": code.about },
                "defaultConfiguration": { "level": code.severity.word() },
            })
        })
        .collect();
    let mut others: Vec<&str> =
        found.iter().map(|one| one.code.as_str()).filter(|code| code.contains(':')).collect();
    others.sort_unstable();
    others.dedup();
    rules.extend(others.into_iter().map(|id| json!({ "id": id })));
    let results: Vec<Value> = found
        .iter()
        .map(|one| {
            let mut location = json!({
                "artifactLocation": { "uri": uri(&one.file), "uriBaseId": "TREE" },
            });
            if one.line > 0 {
                location["region"] = json!({ "startLine": one.line });
                if one.column > 0 {
                    location["region"]["startColumn"] = json!(one.column);
                }
            }
            json!({
                "ruleId": one.code,
                "level": one.severity.word(),
                "message": { "text": one.message },
                "locations": [{ "physicalLocation": location }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "codesync lint",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path as a relative URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_one_line_each_and_harmless() {
        let found =
            [Finding::new("crlf", "a\u{1b}[2Jb", 3, "x"), Finding::new("not-checked", "c", 0, "y")];
        assert_eq!(
            text(&found, 2),
            "a\\u{1b}[2Jb:3: error crlf: x\nc: note not-checked: y\n2 findings in 2 files: 1 error, 0 warnings, 1 note\n"
        );
    }

    #[test]
    fn paths_become_uris() {
        assert_eq!(uri("scripts/a b:ü"), "scripts/a%20b%3A%C3%BC");
    }
}
