//! docs/authors.md does what it says: each of its blocks is carried out, in order, in one folder.
//!
//! A block with a path after its language is a file. In a `console` block a line that begins with
//! `$ ` is run by bash, must end with 0, and writes what stands below it; `…` stands for anything.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use e2e::{bin, command, need, parts, process::run_within, program};

/// A block of the page: its words after the fence, and its text.
struct Block {
    words: String,
    text: String,
}

fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(words) = line.strip_prefix("```") else { continue };
        let mut text = String::new();
        loop {
            match lines.next().context("a block does not end")? {
                "```" => break,
                line => text.push_str(&format!("{line}\n")),
            }
        }
        found.push(Block { words: words.to_owned(), text });
    }
    Ok(found)
}

/// Whether `said` is what was `promised`: line by line, `…` alone for any lines, within a line for
/// any text.
fn fits(promised: &[&str], said: &[&str]) -> bool {
    match promised {
        [] => said.is_empty(),
        ["…", rest @ ..] => (0..=said.len()).any(|at| fits(rest, &said[at..])),
        [line, rest @ ..] => {
            said.first().is_some_and(|said| line_fits(line, said)) && fits(rest, &said[1..])
        }
    }
}

fn line_fits(promised: &str, said: &str) -> bool {
    let mut parts = promised.split('…');
    let Some(mut rest) = parts.next().and_then(|first| said.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Runs `line` as somebody at a prompt would; `cd` stays.
fn typed(line: &str, folder: &mut PathBuf) -> Result<String> {
    if let Some(to) = line.strip_prefix("cd ") {
        *folder = fs::canonicalize(folder.join(to))?;
        return Ok(String::new());
    }
    let programs = bin("codesync")?;
    let programs = programs.parent().context("no folder of programs")?;
    let mut path = programs.as_os_str().to_owned();
    path.push(":/usr/local/bin:/usr/bin:/bin");
    let mut shell = command(&program("bash")?);
    shell
        .args(["-c", &format!("exec 2>&1\n{line}")])
        .env("PATH", path)
        .env("LIBRARY", parts::repository())
        .current_dir(folder);
    let done = run_within(&mut shell, Duration::from_secs(120))?.success()?;
    Ok(done.out())
}

fn console(text: &str, folder: &mut PathBuf) -> Result<usize> {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        let Some(line) = line.strip_prefix("$ ") else { bail!("who says {line:?}?") };
        let mut promised = Vec::new();
        while let Some(next) = lines.next_if(|next| !next.starts_with("$ ")) {
            promised.push(next);
        }
        let said = typed(line, folder).with_context(|| format!("$ {line}"))?;
        let lines: Vec<&str> = said.lines().collect();
        ensure!(
            fits(&promised, &lines),
            "$ {line}\n{said}\n--- promised:\n{}",
            promised.join("\n")
        );
        count += 1;
    }
    Ok(count)
}

fn write(root: &Path, path: &str, text: &str) -> Result<()> {
    let file = root.join(path);
    fs::create_dir_all(file.parent().context("no folder")?)?;
    fs::write(&file, text)?;
    // As an editor would: a job that was made keeps its run bit.
    if path.starts_with("scripts/") {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[test]
fn the_guide_for_authors_does_what_it_says() -> Result<()> {
    if !need(&["bash", "python3"])? || !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(());
    }
    let page = fs::read_to_string(parts::repository().join("docs/authors.md"))?;
    let home = tempfile::tempdir()?;
    let mut folder = fs::canonicalize(home.path())?;
    let (mut files, mut commands) = (0, 0);
    for block in blocks(&page)? {
        match block.words.split_once(' ') {
            None if block.words == "console" => commands += console(&block.text, &mut folder)?,
            Some((_, path)) => {
                write(&folder, path, &block.text)?;
                files += 1;
            }
            None => bail!("a block of {:?} is neither a file nor a prompt", block.words),
        }
    }
    ensure!(files >= 7 && commands >= 15, "only {files} files and {commands} commands");
    Ok(())
}

#[test]
fn dots_stand_for_anything() {
    assert!(line_fits("a … c", "a b c") && line_fits("…", "") && line_fits("a", "a"));
    assert!(!line_fits("a … c", "a b") && !line_fits("a", "ab") && !line_fits("…a…b", "b a"));
    assert!(fits(&["…", "x"], &["1", "2", "x"]) && fits(&["…"], &[]) && !fits(&["x"], &[]));
}
