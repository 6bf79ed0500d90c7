//! Names: which paths a tree may hold, and what rings may be called.
//!
//! Publisher and client both check here, each for itself.

use std::collections::{HashMap, HashSet};

use crate::{Error, Kind, Result};

const PATH_MAX: usize = 1024;
const PART_MAX: usize = 255;

/// Says why `path` may not be in a library; `None` when it may.
pub fn path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.len() > PATH_MAX {
        return Some("it is longer than 1,024 bytes");
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    for part in path.split('/') {
        let fault = match part {
            "" => Some("it has an empty part"),
            "." | ".." => Some("it has a part `.` or `..`"),
            _ if part.len() > PART_MAX => Some("it has a part of more than 255 bytes"),
            _ if part.eq_ignore_ascii_case(".git") => {
                Some("it has a part `.git`; publish an export (git archive), not a checkout")
            }
            _ if part.starts_with('-') => Some("a part of it begins with `-`"),
            _ => None,
        };
        if fault.is_some() {
            return fault;
        }
    }
    if path.chars().any(char::is_control) {
        return Some("it has a control character");
    }
    if path.contains('\\') {
        return Some("it has a backslash");
    }
    None
}

/// Checks what no single path shows: order, twins, twins by case, and files that are also folders.
/// `paths` must come sorted by bytes.
pub fn check_set<'a>(paths: impl Iterator<Item = &'a str>) -> Result<()> {
    let mut first = None;
    set_faults(paths, &mut |path, fault| {
        first = Some(refuse(path, &fault));
        false
    });
    first.map_or(Ok(()), Err)
}

/// Every fault of a set of paths, as [`check_set`] finds them; `told` of each until it says no.
pub fn set_faults<'a>(
    paths: impl Iterator<Item = &'a str>,
    told: &mut dyn FnMut(&'a str, String) -> bool,
) {
    let mut folded: HashMap<String, &str> = HashMap::new();
    let mut folders: HashSet<String> = HashSet::new();
    let mut last: Option<&str> = None;
    let mut last_folder = "";
    for path in paths {
        let fault = match path_fault(path) {
            Some(fault) => Some(fault.to_owned()),
            None if last.is_some_and(|last| last >= path) => {
                Some("it is listed twice or out of order".to_owned())
            }
            None => folded
                .insert(path.to_lowercase(), path)
                .map(|twin| format!("it differs only by case from {twin:?}")),
        };
        if fault.is_some_and(|fault| !told(path, fault)) {
            return;
        }
        // A sorted list repeats its folders; only a new one needs its ancestors noted.
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if folder != last_folder {
            for (at, _) in path.match_indices('/') {
                folders.insert(path[..at].to_lowercase());
            }
            last_folder = folder;
        }
        last = Some(path);
    }
    for path in folders.iter().filter_map(|folder| folded.get(folder)) {
        if !told(path, "another path uses it as a folder".to_owned()) {
            return;
        }
    }
}

fn refuse(path: &str, fault: &str) -> Error {
    Error::refused(format!("the path {path:?} may not be in a library: {fault}"))
}

/// Checks a ring's name: 1 to 64 of `a-z A-Z 0-9 . _ -`, not beginning with `.` or `-`.
pub fn check_ring(name: &str) -> Result<()> {
    let clean = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if name.is_empty() || name.len() > 64 || !clean || name.starts_with(['.', '-']) {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{name:?} is not a ring name: use 1 to 64 letters, digits, `.`, `_` or `-`, not first a `.` or `-`"
            ),
        ));
    }
    Ok(())
}

/// Checks a team's name: 1 to 64 of `a-z 0-9 -`, first a letter, and no role's or root key's name.
pub fn check_team(name: &str) -> Result<()> {
    if is_team(name) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Usage,
        format!(
            "{name:?} is not a team's name: use 1 to 64 lower-case letters, digits or `-`, first a letter, and not the name of a role or of a root key"
        ),
    ))
}

/// Whether [`check_team`] takes `name`.
pub fn is_team(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !["root", "targets", "snapshot", "timestamp"].contains(&name)
        && !name.starts_with("root-")
}

/// Whether `name` can be a file of a ring's `targets/`: `<sha256>.<target>`.
pub fn is_target_file(name: &str) -> bool {
    match name.split_once('.') {
        Some((hash, rest)) => {
            is_sha256(hash)
                && (1..=128).contains(&rest.len())
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b))
                && !rest.starts_with('.')
        }
        None => false,
    }
}

/// Whether `text` is a SHA-256 in lower-case hex.
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_paths_are_named() {
        for path in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a//b",
            "a/",
            "./a",
            ".git/config",
            ".GIT/x",
            "-rf",
            "a/.git/x",
            "a/-b",
            "a\0b",
            "a\nb",
            "a\\b",
        ] {
            assert!(path_fault(path).is_some(), "{path:?}");
        }
        assert!(path_fault(&"a".repeat(256)).is_some());
        assert!(path_fault(&"ab/".repeat(400)).is_some());
        for path in ["a", "modules/ä ö.sh", ".hidden", "a/.gitignore", "x-y", "a/b..c"] {
            assert_eq!(path_fault(path), None, "{path:?}");
        }
    }

    #[test]
    fn sets_are_checked_as_a_whole() {
        assert!(check_set(["a", "b/c", "b/d"].into_iter()).is_ok());
        for set in
            [vec!["b", "a"], vec!["a", "a"], vec!["A", "a"], vec!["a", "a/b"], vec!["A/x", "a"]]
        {
            let mut sorted = set.clone();
            if set != ["b", "a"] {
                sorted.sort_unstable();
            }
            assert!(check_set(sorted.into_iter()).is_err(), "{set:?}");
        }
    }

    #[test]
    fn team_names() {
        for name in ["web", "a", "team-2", "rooted"] {
            assert!(check_team(name).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in
            ["", "Web", "2", "-a", "a.b", "a_b", "a/b", "ä", "root", "root-1", "targets", &long]
        {
            assert!(check_team(name).is_err(), "{name}");
        }
    }

    #[test]
    fn target_files() {
        let hash = "a".repeat(64);
        assert!(is_target_file(&format!("{hash}.9-10.patch.zst")));
        assert!(is_target_file(&format!("{hash}.manifest")));
        for name in ["", "x.manifest", "../a", &format!("{hash}./x"), &format!("{hash}..x"), &hash]
        {
            assert!(!is_target_file(name), "{name}");
        }
    }
}
