//! What it costs until the first line of a script: measured with a twin that is given the same
//! modules and ends at once.

use std::{
    fs,
    io::{self, Read, Write},
    path::Path,
    time::{Duration, Instant},
};

use loader::Launch;

use super::{Order, silent};
use crate::exec::{Source, Target};

/// A script beyond this is data.
const MAX_SCRIPT: u64 = 16 << 20;
const TIMES: usize = 3;

/// What reads the script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bash,
    Python,
    /// It is started without modules.
    Other,
}

/// What `launch` starts.
pub(super) fn kind(launch: &Launch) -> Kind {
    let name = launch.program.file_name().unwrap_or_default().to_string_lossy();
    match &*name {
        "bash" => Kind::Bash,
        name if name.starts_with("python") => Kind::Python,
        _ => Kind::Other,
    }
}

/// The median over a few twins; `None` where there are no modules, or no twin can be made.
pub(super) fn cost(source: &Source, order: &Order<'_>, kind: Kind) -> Option<Duration> {
    let (text, suffix) = match (kind, order.target) {
        (Kind::Bash, Target::File(file)) => (bash(&read(source, Path::new(file)).ok()?), ".sh"),
        (Kind::Bash, Target::Function(name)) => {
            (format!("exit 0\n{} \"$@\"\n", name.to_str()?).into_bytes(), ".sh")
        }
        // Python's modules are read when they are imported, which is the script's own time.
        (Kind::Python, Target::File(file)) => (python(&read(source, Path::new(file)).ok()?), ".py"),
        (Kind::Python, Target::Function(_)) => (Vec::new(), ".py"),
        _ => return None,
    };
    let mut twin = tempfile::Builder::new().suffix(suffix).tempfile().ok()?;
    twin.write_all(&text).and_then(|()| twin.flush()).ok()?;
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let launch = source.namespace().outside(twin.path(), order.args).ok()?;
        let mut command = source.command(launch, order.target, order.manner).ok()?;
        let began = Instant::now();
        silent(&mut command).status().ok()?;
        times.push(began.elapsed());
    }
    times.sort();
    times.get(TIMES / 2).copied()
}

fn read(source: &Source, file: &Path) -> io::Result<Vec<u8>> {
    let inside = source.within(file).map(|path| source.namespace().tree().join(path));
    let mut text = Vec::new();
    let path = inside.as_deref().unwrap_or(file);
    fs::File::open(path)?.take(MAX_SCRIPT).read_to_end(&mut text)?;
    Ok(text)
}

/// Its first line, which chooses the interpreter, then the end; the rest only names modules.
fn bash(text: &[u8]) -> Vec<u8> {
    let (first, rest) = first_line(text);
    [first, b"exit 0\n", rest].concat()
}

fn python(text: &[u8]) -> Vec<u8> {
    first_line(text).0.to_vec()
}

fn first_line(text: &[u8]) -> (&[u8], &[u8]) {
    if !text.starts_with(b"#!") {
        return (b"", text);
    }
    let end = text.iter().position(|b| *b == b'\n').map_or(text.len(), |at| at + 1);
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_keeps_the_first_line_and_the_names() {
        assert_eq!(bash(b"#!/bin/bash -eu\ngreet\n"), b"#!/bin/bash -eu\nexit 0\ngreet\n");
        assert_eq!(bash(b"greet\n"), b"exit 0\ngreet\n");
        assert_eq!(python(b"#!/usr/bin/env python3\nimport x\n"), b"#!/usr/bin/env python3\n");
        assert_eq!(python(b"import x\n"), b"");
    }
}
