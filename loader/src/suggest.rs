//! Names that are near to one that does not exist.

use crate::Error;

/// "There is no … NAME", with up to three near names of `known`.
pub fn not_found(what: &str, name: &str, known: impl Iterator<Item = String>) -> Error {
    let bound = name.chars().count() / 3 + 1;
    let mut near: Vec<(usize, String)> = known
        .filter_map(|other| {
            let base = |s: &str| s.rsplit(['/', '.']).next().unwrap_or(s).to_owned();
            let distance = distance(name, &other, bound)
                .or_else(|| distance(&base(name), &base(&other), bound / 2).map(|d| d + bound))?;
            Some((distance, other))
        })
        .collect();
    near.sort();
    near.truncate(3);
    let near: Vec<String> = near.into_iter().map(|(_, name)| name).collect();
    Error::NotFound(if near.is_empty() {
        format!("there is no {what} {name} in the library; check the name")
    } else {
        format!("there is no {what} {name} in the library; did you mean {}?", near.join(", "))
    })
}

/// Edits from `a` to `b`, if at most `bound`.
fn distance(a: &str, b: &str, bound: usize) -> Option<usize> {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(200).collect(), b.chars().take(200).collect());
    if a.len().abs_diff(b.len()) > bound {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row.last().copied().filter(|d| *d <= bound)
}

/// What the top level of a Python module defines or imports, as callable by name.
pub fn python_functions(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let mut names: Vec<String> = Vec::new();
    let word = |s: &str| -> String {
        s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    for line in text.lines() {
        let rest = line.strip_prefix("async ").unwrap_or(line);
        if let Some((_, imported)) =
            rest.strip_prefix("from ").and_then(|r| r.split_once(" import "))
        {
            let own = |item: &str| item.rsplit(' ').next().map(word).unwrap_or_default();
            names.extend(imported.split(',').map(|item| own(item.trim())));
            continue;
        }
        let name = if let Some(rest) = rest.strip_prefix("def ").or(rest.strip_prefix("class ")) {
            word(rest)
        } else if let Some((left, _)) = rest.split_once('=') {
            let name = word(left);
            if left.trim_end() == name { name } else { String::new() }
        } else {
            String::new()
        };
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
