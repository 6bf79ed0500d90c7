//! Libraries of realistic script text, made from a seed, and realistic edits of them.
//!
//! A fleet's scripts repeat themselves: the same header, the same helper copied from file to
//! file, the same idioms, around lines that are each file's own. The generator mixes shared
//! blocks and own lines so that `zstd -19` makes of 10,000 files about 1/13 of their size, as it
//! does of real ones. The text is valid bash and Python; nobody runs it.

mod blocks;

use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result};

use crate::{rng::Rng, tree};

/// The average size of a file, in bytes.
pub const AVERAGE: usize = 4096;

const FOLDERS: &[&str] = &[
    "modules",
    "scripts/daily",
    "scripts/hourly",
    "scripts/weekly",
    "scripts/every15",
    "lib/printers",
    "lib/accounts",
    "lib/inventory",
    "lib/packages",
    "lib/network",
    "lib/security",
    "lib/disks",
];

/// One generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Clean relative path.
    pub path: String,
    /// Its text.
    pub text: String,
    /// Mode 0755 rather than 0644.
    pub executable: bool,
}

/// The library of `count` files that belongs to `seed`.
pub fn library(seed: u64, count: usize) -> Vec<Script> {
    let mut rng = Rng::new(seed);
    let bash: Vec<String> = (0..6000).map(|_| blocks::bash(&mut rng)).collect();
    let python: Vec<String> = (0..4000).map(|_| blocks::python(&mut rng)).collect();
    (0..count)
        .map(|number| {
            let folder = rng.pick(FOLDERS).unwrap_or("lib");
            let is_python = rng.chance(40);
            let stem = blocks::name(&mut rng);
            let suffix = match (is_python, folder) {
                (true, "modules") => "_tools.py",
                (true, _) => ".py",
                (false, _) => ".sh",
            };
            let path = format!("{folder}/{stem}_{number}{suffix}");
            let pool = if is_python { &python } else { &bash };
            let text = script(&mut rng, is_python, &stem, pool);
            Script { path, text, executable: folder.starts_with("scripts") }
        })
        .collect()
}

fn script(rng: &mut Rng, is_python: bool, stem: &str, pool: &[String]) -> String {
    // Many small files, a few large ones, 4 KB on average.
    let size = 450 + rng.below(1150) + rng.zipf(AVERAGE * 9 / 5) + rng.zipf(AVERAGE * 9 / 10);
    let mut text = blocks::header(rng, is_python, stem);
    while text.len() < size {
        if rng.chance(82) {
            let at = rng.zipf(pool.len());
            text.push_str(pool.get(at).map_or("", String::as_str));
        } else if is_python {
            text.push_str(&blocks::python(rng));
        } else {
            text.push_str(&blocks::bash(rng));
        }
    }
    text
}

/// Writes `scripts` under `root`.
pub fn write(root: &Path, scripts: &[Script]) -> Result<()> {
    for script in scripts {
        tree::put(root, &script.path, script.text.as_bytes(), script.executable)?;
    }
    Ok(())
}

/// Changes `count` different files of `scripts`, one to three lines each, as a person would, and
/// writes them under `root`. Returns the paths.
pub fn mutate(
    root: &Path,
    scripts: &mut [Script],
    rng: &mut Rng,
    count: usize,
) -> Result<Vec<String>> {
    let mut chosen = BTreeSet::new();
    while chosen.len() < count.min(scripts.len()) {
        chosen.insert(rng.below(scripts.len()));
    }
    let mut paths = Vec::new();
    for at in chosen {
        let script = scripts.get_mut(at).context("a script beyond the end")?;
        edit(script, rng);
        // Rewritten in place as an editor does it: new time stamp, often another size.
        fs::write(root.join(&script.path), &script.text)?;
        paths.push(script.path.clone());
    }
    Ok(paths)
}

fn edit(script: &mut Script, rng: &mut Rng) {
    let before = script.text.clone();
    while script.text == before {
        let mut lines: Vec<String> = script.text.lines().map(str::to_owned).collect();
        for _ in 0..=rng.below(3) {
            let at = 5 + rng.below(lines.len().saturating_sub(6));
            let Some(line) = lines.get_mut(at) else { continue };
            let indent: String = line.chars().take_while(|c| *c == ' ').collect();
            if line.trim_start().starts_with('#') || line.is_empty() {
                *line = format!("{indent}# {}", blocks::sentence(rng));
            } else if let Some(digit) = line.find(|c: char| c.is_ascii_digit()) {
                line.replace_range(digit..=digit, &(1 + rng.below(9)).to_string());
            } else {
                lines.insert(at, format!("# {}", blocks::sentence(rng)));
            }
        }
        script.text = lines.join("\n") + "\n";
    }
}
