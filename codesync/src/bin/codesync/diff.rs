//! `codesync diff`: what changed between two releases, file by file.

use std::io::IsTerminal;

use codesync::{
    Error, Kind, Result,
    library::{Library, Published},
    manifest::{File, Manifest},
};
use serde_json::{Value, json};
use similar::{ChangeTag, TextDiff};

use crate::report::{plain, print, print_json};

/// Larger files are only named.
const TEXT_MAX: u64 = 1 << 20;

/// Prints what leads from one release to the other.
pub fn diff(
    library: &Library,
    ring: &str,
    (from, to): (Option<u64>, Option<u64>),
    names: bool,
    json: bool,
) -> Result<()> {
    let newest = library.versions(ring)?.targets;
    let to = to.unwrap_or(newest);
    let from = from.unwrap_or(to.saturating_sub(1));
    let read = |number: u64| -> Result<Manifest> {
        // Before the first release there was nothing.
        if number == 0 {
            return Ok(Manifest::default());
        }
        let release: Published =
            library.published(ring, number)?.filter(|_| number <= newest).ok_or_else(|| {
                Error::new(
                    Kind::Usage,
                    format!("ring {ring} has no release {number}; its newest is {newest}"),
                )
            })?;
        library.manifest(ring, &release)
    };
    let (old, new) = (read(from)?, read(to)?);
    let pairs: Vec<(Option<File>, Option<File>)> = new
        .changes(&old)
        .iter()
        .map(|one| (one.old.and_then(|at| old.at(at)), one.new.and_then(|at| new.at(at))))
        .collect();
    let changes: Vec<(&str, Option<&File>, Option<&File>)> = pairs
        .iter()
        .filter_map(|(old, new)| {
            let path = new.as_ref().or(old.as_ref())?.path.as_str();
            Some((path, old.as_ref(), new.as_ref()))
        })
        .collect();

    if json {
        let rows: Vec<Value> = changes
            .iter()
            .map(|(path, old, new)| {
                json!({
                    "path": path, "change": word(*old, *new),
                    "old": old.map(|f| hex::encode(f.sha256)), "new": new.map(|f| hex::encode(f.sha256)),
                    "old_mode": old.map(mode), "new_mode": new.map(mode),
                })
            })
            .collect();
        return print_json(&json!({"ring": ring, "from": from, "to": to, "changes": rows}));
    }
    if changes.is_empty() {
        return print(&format!("Releases {from} and {to} of ring {ring} hold the same.\n"));
    }
    let paint = Paint::new();
    for (path, old, new) in changes {
        let modes = match (old, new) {
            (Some(old), Some(new)) if old.executable != new.executable => {
                format!("  mode {} → {}", mode(old), mode(new))
            }
            _ => String::new(),
        };
        print(&paint.bold(&format!("{:<8} {}{modes}\n", word(old, new), plain(path))))?;
        if !names {
            print_text(library, old, new, &paint)?;
        }
    }
    Ok(())
}

fn word(old: Option<&File>, new: Option<&File>) -> &'static str {
    match (old, new) {
        (None, _) => "added",
        (_, None) => "removed",
        (Some(old), Some(new)) if old.sha256 == new.sha256 => "mode",
        _ => "changed",
    }
}

fn mode(file: &File) -> &'static str {
    if file.executable { "0755" } else { "0644" }
}

fn print_text(
    library: &Library,
    old: Option<&File>,
    new: Option<&File>,
    paint: &Paint,
) -> Result<()> {
    let text = |file: Option<&File>| -> Result<Option<String>> {
        match file {
            None => Ok(Some(String::new())),
            Some(file) if file.size > TEXT_MAX => Ok(None),
            Some(file) => Ok(String::from_utf8(library.content(file)?).ok()),
        }
    };
    let (Some(old), Some(new)) = (text(old)?, text(new)?) else {
        return print("  (not text, or too large to show)\n");
    };
    let diff = TextDiff::from_lines(&old, &new);
    for group in diff.grouped_ops(2) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = plain(change.value().trim_end_matches('\n'));
            print(&match change.tag() {
                ChangeTag::Delete => paint.red(&format!("  - {line}\n")),
                ChangeTag::Insert => paint.green(&format!("  + {line}\n")),
                ChangeTag::Equal => format!("    {line}\n"),
            })?;
        }
        print("\n")?;
    }
    Ok(())
}

/// Colours on a terminal, unless `NO_COLOR` is set.
struct Paint {
    on: bool,
}

impl Paint {
    fn new() -> Self {
        let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { on: std::io::stdout().is_terminal() && !no }
    }

    fn with(&self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    fn red(&self, text: &str) -> String {
        self.with("31", text)
    }

    fn green(&self, text: &str) -> String {
        self.with("32", text)
    }
}
