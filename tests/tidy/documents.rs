//! Documents match what exists: relative links, make targets, the list of folders.

use std::path::Path;

use anyhow::Result;

use crate::files::{Text, all, none};

fn documents(files: &[Text]) -> impl Iterator<Item = &Text> {
    files.iter().filter(|file| file.path.ends_with(".md"))
}

/// The targets of `](…)` in Markdown, outside code blocks.
fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced || line.starts_with("    ") {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.filter(|target| !target.contains(' ')));
    }
    found
}

#[test]
fn relative_links_lead_somewhere() -> Result<()> {
    let root = e2e::parts::repository();
    let files = all()?;
    let mut found = Vec::new();
    for file in documents(&files) {
        let folder = root.join(&file.path);
        let folder = folder.parent().unwrap_or(Path::new("/"));
        for link in links(&file.text) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                continue;
            }
            if !folder.join(path).exists() {
                found.push(format!("{}: {link}", file.path));
            }
        }
    }
    none("links that lead nowhere", &found)
}

#[test]
fn documents_name_existing_make_targets() -> Result<()> {
    let files = all()?;
    let makefile = files.iter().find(|file| file.path == "Makefile");
    let makefile = makefile.map_or("", |file| file.text.as_str());
    let targets: Vec<&str> = makefile
        .lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_once(':').map(|(name, _)| name))
        .collect();
    let mut found = Vec::new();
    for file in documents(&files) {
        // `make NAME` in code spans and at the start of indented lines.
        let spans = file.text.split('`').skip(1).step_by(2);
        let lines = file.text.lines().filter(|line| line.starts_with("    ")).map(str::trim);
        for words in spans.chain(lines) {
            let Some(rest) = words.strip_prefix("make ") else { continue };
            let name = rest.split_whitespace().next().unwrap_or_default();
            let is_name = name.starts_with(|c: char| c.is_ascii_lowercase());
            if is_name && !targets.contains(&name) {
                found.push(format!("{}: make {name}", file.path));
            }
        }
    }
    none("make targets that do not exist", &found)
}

#[test]
fn documents_name_existing_files() -> Result<()> {
    let root = e2e::parts::repository();
    let files = all()?;
    let mut found = Vec::new();
    for file in documents(&files).filter(|file| !file.path.starts_with("CHANGELOG")) {
        for span in file.text.split('`').skip(1).step_by(2) {
            let ours = ["docs/", "tests/", "codesync/src/", "ldi-daemon/src/", "loader/src/"];
            let is_path = ours.iter().any(|prefix| span.starts_with(prefix))
                && span.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
            if is_path && !root.join(span).exists() {
                found.push(format!("{}: {span}", file.path));
            }
        }
    }
    none("files that a document names and that do not exist", &found)
}
