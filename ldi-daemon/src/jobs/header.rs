//! The header comment of a script: reading it once the file is known to be the signed one.

use std::{io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use codesync::store::File;
use sha2::{Digest, Sha256};

use crate::{
    parse::{self, Wrong},
    tiers::{Gate, Keys},
};

const HEADER_LINES: usize = 20;
const HEADER_BYTES: usize = 8192;

/// The first bytes of a file whose whole content was compared with its signed hash.
pub(super) fn header(tree: &Path, file: &File) -> Result<Vec<u8>, String> {
    verified(tree, file, HEADER_BYTES)
}

const READ_AT_ONCE: usize = 1 << 16;

/// Reads all of a file, keeps the first `keep` bytes, and refuses what was not signed.
pub(super) fn verified(tree: &Path, file: &File, keep: usize) -> Result<Vec<u8>, String> {
    let path = tree.join(&file.path);
    // A pipe in its place would wait for a writer for ever.
    let mut from = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(&path)
        .map_err(|e| format!("cannot open {}: {e}", path.display()))?
        .take(file.size + 1);
    let (mut hash, mut kept, mut buffer) = (
        Sha256::new(),
        Vec::new(),
        vec![0; READ_AT_ONCE.min(usize::try_from(file.size).unwrap_or(READ_AT_ONCE) + 1)],
    );
    loop {
        let n =
            from.read(&mut buffer).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
        let room = keep - kept.len();
        kept.extend_from_slice(&buffer[..n.min(room)]);
    }
    if hash.finalize().as_slice() != file.sha256 {
        return Err(format!(
            "{} is not what was signed for this release; it was not run and the next sync repairs it",
            file.path
        ));
    }
    Ok(kept)
}

/// The words of lines such as `# ldi: timeout=5m wait_for=corp,internet run_once`, by line number.
pub(super) fn words_of_header(head: &[u8]) -> Vec<(usize, String)> {
    let mut said = Vec::new();
    if head.contains(&0) {
        return said;
    }
    for (at, line) in head.split(|byte| *byte == b'\n').take(HEADER_LINES).enumerate() {
        let line = String::from_utf8_lossy(line);
        let trimmed = line.trim_start();
        let comment = trimmed.trim_start_matches(['#', '/', '-', ';', '%']);
        if comment.len() == trimmed.len() {
            continue;
        }
        if let Some(words) = comment.trim_start().strip_prefix("ldi:") {
            said.push((at + 1, words.to_owned()));
        }
    }
    said
}

/// The keys in what a header says.
pub(super) fn keys_of_header(path: &str, said: &[(usize, String)]) -> Result<Keys, Wrong> {
    let mut keys = Keys::default();
    for (line, words) in said {
        for word in words.split_ascii_whitespace() {
            let (key, value) = word.split_once('=').unwrap_or((word, "true"));
            set(&mut keys, key, value).map_err(|what| Wrong {
                file: path.to_owned(),
                line: *line,
                key: Some(key.to_owned()),
                what,
            })?;
        }
    }
    keys.check().map_err(|(key, what)| Wrong {
        file: path.to_owned(),
        line: 0,
        key: Some(key.to_owned()),
        what,
    })?;
    Ok(keys)
}

fn set(keys: &mut Keys, key: &str, value: &str) -> Result<(), String> {
    const KNOWN: [&str; 21] = [
        "args",
        "wait_for",
        "wait_deadline",
        "timeout",
        "retries",
        "after",
        "parallel",
        "run_once",
        "os",
        "arch",
        "tags",
        "hosts",
        "percent",
        "user",
        "nice",
        "memory",
        "cpu",
        "processes",
        "secrets",
        "breaker",
        "breaker_for",
    ];
    let list = || value.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
    let switch =
        || value.parse::<bool>().map_err(|_| format!("{value:?} is neither true nor false"));
    let number = |e: std::num::ParseIntError| format!("{value:?} is not a usable number: {e}");
    match key {
        "args" => keys.args = list(),
        "wait_for" => {
            keys.wait_for = value
                .split(',')
                .map(|word| {
                    let known = Gate::ALL.iter().find(|(name, _)| *name == word);
                    known.map(|(_, gate)| *gate).ok_or_else(|| {
                        let names = Gate::ALL.map(|(name, _)| name).join(", ");
                        format!("{word:?} is no gate; known: {names}")
                    })
                })
                .collect::<Result<_, _>>()?;
        }
        "wait_deadline" => keys.wait_deadline = Some(value.parse()?),
        "timeout" => keys.timeout = Some(value.parse()?),
        "retries" => keys.retries = value.parse().map_err(number)?,
        "after" => keys.after = list(),
        "parallel" => keys.parallel = switch()?,
        "run_once" => keys.run_once = switch()?,
        "os" => keys.os = list(),
        "arch" => keys.arch = list(),
        "tags" => keys.tags = list(),
        "hosts" => keys.hosts = list(),
        "percent" => keys.percent = Some(value.trim_end_matches('%').parse().map_err(number)?),
        "user" => keys.user = Some(value.to_owned()),
        "nice" => keys.nice = value.parse().map_err(number)?,
        "memory" => keys.ration.memory = Some(value.parse()?),
        "cpu" => {
            keys.ration.cpu = Some(value.trim_end_matches('%').parse().map_err(number)?);
        }
        "processes" => keys.ration.processes = Some(value.parse().map_err(number)?),
        "secrets" => keys.secrets = list(),
        "breaker" => keys.breaker = Some(value.parse().map_err(number)?),
        "breaker_for" => keys.breaker_for = Some(value.parse()?),
        _ => {
            return Err(match parse::nearest(key, &KNOWN) {
                Some(near) => format!("is not a known key; did you mean {near}?"),
                None => format!("is not a known key; known here: {}", KNOWN.join(", ")),
            });
        }
    }
    Ok(())
}
