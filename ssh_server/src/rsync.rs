//! The one rsync command line that is allowed: a stock client pulling from an exported tree.
//!
//! Follows what rsync 3 was seen to send; the forms of rsync 2.6.9 and of openrsync, which macOS
//! brings, are written after their sources. Options are allowed by name, never refused by name.
//! Refuses what writes or deletes here (no `--sender`, `--remove-source-files`), what
//! follows links (`-L`, `-k`), what reads or writes named files (`--files-from`, `--log-file`,
//! `-T`), and `-s`, which would send the real arguments later, past this check.

use std::path::{Path, PathBuf};

use crate::policy::Refusal;

/// Short options that only choose what is compared and sent.
const LETTERS: &[u8] = b"vqnlogDtprducxzHSWIOJm";

/// Long options without a value. Deleting is done by the receiver; a sender only hears of it.
const PLAIN: &[&str] = &[
    "--delete",
    "--delete-after",
    "--delete-before",
    "--delete-delay",
    "--delete-during",
    "--delete-excluded",
    "--devices",
    "--existing",
    "--force",
    "--ignore-errors",
    "--ignore-existing",
    "--inplace",
    "--new-compress",
    "--no-inc-recursive",
    "--numeric-ids",
    "--old-compress",
    "--partial",
    "--safe-links",
    "--size-only",
    "--specials",
];

/// Long options with a decimal number.
const NUMBERS: &[&str] =
    &["--block-size", "--bwlimit", "--checksum-seed", "--compress-level", "--timeout"];

/// Long options with the name of an algorithm.
const NAMES: &[&str] = &["--checksum-choice", "--compress-choice"];

/// A checked request of an rsync client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RsyncRequest {
    /// Options to pass on, each one checked.
    pub options: Vec<String>,
    /// The ring whose exported tree is read.
    pub ring: String,
    /// The clean path below the ring's folder; empty for all of it.
    pub below: PathBuf,
    /// Whether the path ended in a slash: rsync then sends the contents, not the folder.
    pub contents: bool,
}

/// Parses what follows the word `rsync`.
pub fn parse(words: &[&str], library: &Path) -> Result<RsyncRequest, Refusal> {
    let rest = match words {
        ["--server", "--sender", rest @ ..] => rest,
        ["--server", ..] => return Err(Refusal::RsyncWrite),
        _ => return Err(Refusal::RsyncForm),
    };
    let dot = rest.iter().position(|word| !word.starts_with('-')).ok_or(Refusal::RsyncForm)?;
    let (options, operands) = rest.split_at(dot);
    if let Some(bad) = options.iter().find(|option| !option_allowed(option)) {
        return Err(Refusal::RsyncOption((*bad).to_owned()));
    }
    let [".", path] = operands else { return Err(Refusal::RsyncForm) };
    let (ring, below, contents) = exported(path, library).ok_or(Refusal::Path)?;
    let options = options.iter().map(|option| (*option).to_owned()).collect();
    Ok(RsyncRequest { options, ring, below, contents })
}

fn option_allowed(option: &str) -> bool {
    if option.starts_with("--") {
        return match option.split_once('=') {
            None => PLAIN.contains(&option),
            Some((name, value)) if NUMBERS.contains(&name) => number(value),
            Some((name, value)) if NAMES.contains(&name) => {
                !value.is_empty()
                    && value.len() <= 64
                    && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b',')
            }
            Some(_) => false,
        };
    }
    let Some(group) = option.strip_prefix('-') else { return false };
    if let Some(size) = group.strip_prefix('B') {
        return number(size);
    }
    // In a group, `e` takes all that follows as its value: here the client's capabilities. An `s`
    // there is one of them; an `s` before it is --secluded-args.
    let (letters, capabilities) = match group.split_once('e') {
        Some((letters, value)) => (letters, Some(value)),
        None => (group, None),
    };
    let some = !letters.is_empty() || capabilities.is_some();
    some && letters.bytes().all(|letter| LETTERS.contains(&letter))
        && capabilities.is_none_or(capabilities_allowed)
}

/// `31.14LsfxCIvu`: a protocol and subprotocol number, both optional, and letters.
fn capabilities_allowed(value: &str) -> bool {
    let Some((protocol, rest)) = value.split_once('.') else { return false };
    let letters = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    protocol.len() <= 3
        && protocol.bytes().all(|byte| byte.is_ascii_digit())
        && rest.len() - letters.len() <= 3
        && letters.len() <= 32
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn number(value: &str) -> bool {
    (1..=9).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit())
}

/// Splits `LIBRARY/export/RING[/BELOW][/]`, or the short form `RING[/BELOW][/]`.
fn exported(path: &str, library: &Path) -> Option<(String, PathBuf, bool)> {
    let (path, contents) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, false),
    };
    let inner = if path.starts_with('/') {
        path.strip_prefix(library.to_str()?)?.strip_prefix("/export/")?
    } else {
        path
    };
    let mut parts = inner.split('/');
    let ring = parts.next().filter(|part| clean(part))?;
    let mut below = PathBuf::new();
    for part in parts {
        if !clean(part) {
            return None;
        }
        below.push(part);
    }
    Some((ring.to_owned(), below, contents))
}

/// No empty, hidden or special name, none that starts like an option, none that names a host.
fn clean(part: &str) -> bool {
    !part.is_empty() && !part.starts_with(['.', '-']) && !part.contains(':')
}

#[cfg(test)]
mod tests;
