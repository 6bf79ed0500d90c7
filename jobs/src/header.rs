//! The header comment of a script: `# ldi: timeout=5m wait_for=corp`.

use crate::{
    parse::{self, Wrong},
    tiers::{Gate, Keys},
};

/// Only so many lines at the start of a script are looked at.
const LINES: usize = 20;
/// Only so many bytes at the start of a script are looked at.
pub const BYTES: usize = 8192;

/// The words of lines such as `# ldi: timeout=5m wait_for=corp,internet run_once`, by line number.
pub fn words(head: &[u8]) -> Vec<(usize, String)> {
    let mut said = Vec::new();
    if head.contains(&0) {
        return said;
    }
    for (at, line) in head.split(|byte| *byte == b'\n').take(LINES).enumerate() {
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
pub fn keys(path: &str, said: &[(usize, String)]) -> Result<Keys, Wrong> {
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
