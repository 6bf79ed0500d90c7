//! Rules for what stands in a source file.

use anyhow::Result;

use crate::files::{Text, all, none, rust};

/// A file beyond this is two files.
const MAX_LINES: usize = 600;

/// A word and the only places that may use it. A place ends in `/` or `.rs`.
const KEPT: &[(&str, &[&str], &str)] = &[
    (
        "sigstore_tuf",
        &["codesync/src/trust.rs", "codesync/src/trust/"],
        "its interface changes often, so one module uses it",
    ),
    (
        "ssh2",
        &["codesync/src/source/ssh.rs", "codesync/src/source/ssh/", "codesync/examples/"],
        "connections are opened in one place",
    ),
    (
        "reqwest",
        &[
            "codesync/src/source/https.rs",
            "codesync/src/source/https/",
            "ldi-daemon/src/submit/http.rs",
            "ldi-daemon/src/enrol.rs",
            "ldi-server/src/",
        ],
        "HTTP is opened in one place for each who speaks it",
    ),
    (
        "fast_rsync",
        &["codesync/src/", "fuzz/targets/delta.rs", "tests/bench/cases.rs"],
        "MD4 inside: codesync checks the result's SHA-256",
    ),
    (
        "object_store",
        &["codesync/src/mirror/bucket.rs"],
        "what is uploaded, and in which order, is read in one place",
    ),
    ("rusqlite", &["ldi-daemon/src/"], "the journal is the daemon's"),
];

/// Whether `text` uses the crate `name` in code: as a path, not in a comment.
fn uses(file: &Text, name: &str) -> bool {
    file.text.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        code.match_indices(name).any(|(at, _)| {
            let before = code.get(..at).and_then(|text| text.chars().next_back());
            let after = code.get(at + name.len()..).unwrap_or_default();
            let word = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
            !before.is_some_and(word) && (after.starts_with("::") || after.starts_with(';'))
        })
    })
}

#[test]
fn a_kept_crate_is_used_in_its_room_only() -> Result<()> {
    let mut found = Vec::new();
    for file in rust()?.iter().filter(|file| !file.path.starts_with("tests/tidy/")) {
        for (name, places, reason) in KEPT {
            let allowed = places.iter().any(|place| file.path.starts_with(place));
            if !allowed && uses(file, name) {
                found.push(format!("{} uses {name}: {reason}", file.path));
            }
        }
    }
    none("crates that are used outside the room that keeps them", &found)
}

#[test]
fn rust_files_are_short_and_say_what_they_own() -> Result<()> {
    let mut found = Vec::new();
    for file in rust()? {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            found.push(format!("{} has {lines} lines; {MAX_LINES} is the limit", file.path));
        }
        let owns_nothing = file.path.ends_with("/tests.rs");
        if !owns_nothing && !file.text.starts_with("//!") {
            found.push(format!("{} does not begin with //!", file.path));
        }
    }
    none("Rust files that need work", &found)
}

#[test]
fn nothing_is_left_half_done() -> Result<()> {
    let mut found = Vec::new();
    // Spelled so that this file does not find itself.
    let words = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    for file in rust()? {
        for (number, line) in file.text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
            let ignored = line.trim_start().starts_with(concat!("#[", "ignore"));
            if ignored && !line.contains("issue ") {
                found.push(format!("{}:{}: an ignored test names an issue", file.path, number + 1));
            }
        }
    }
    none("code that is left half done", &found)
}

#[test]
fn no_file_names_a_machine_or_a_registry() -> Result<()> {
    // Spelled so that this file does not find itself.
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/.cargo"),
        concat!("/ro", "ot/.pyenv"),
        concat!("crates", ".io"),
        concat!("static.", "crates"),
        concat!("pypi", ".org"),
        concat!("files.", "pythonhosted"),
        concat!("deb.", "debian.org"),
        concat!("registry.", "npmjs"),
        concat!("proxy.", "golang"),
        concat!("sk-", "ant-"),
        concat!("BEGIN ", "PRIVATE KEY"),
        concat!("BEGIN ", "OPENSSH PRIVATE"),
    ];
    let mut found = Vec::new();
    // Lock files name cargo's registry, as cargo writes it.
    for file in all()?.iter().filter(|file| !file.path.ends_with("Cargo.lock")) {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                found.push(format!("{}:{}: {word}", file.path, number + 1));
            }
        }
    }
    none("words that belong to one machine, one registry or a secret", &found)
}

#[test]
fn text_is_clean() -> Result<()> {
    let mut found = Vec::new();
    for file in all()? {
        let fixture = file.path.contains("/data/") || file.path.ends_with(".snap");
        if fixture || file.text.is_empty() {
            continue;
        }
        if !file.text.ends_with('\n') {
            found.push(format!("{} does not end with a newline", file.path));
        }
        for (number, line) in file.text.lines().enumerate() {
            if line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ") {
                found.push(format!("{}:{}: a conflict mark", file.path, number + 1));
            }
            if line.ends_with(' ') && !file.path.ends_with(".md") {
                found.push(format!("{}:{}: a blank at the end", file.path, number + 1));
            }
        }
    }
    none("text that is not clean", &found)
}
