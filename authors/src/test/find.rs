//! Which files of a tree hold tests.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::Error;

/// More files than this are a mistake in the path, not a tree.
const MAX_FILES: usize = 100_000;
const MAX_DEPTH: usize = 40;

/// What reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// bash.
    Bash,
    /// Python 3.
    Python,
}

/// A file of tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Absolute.
    pub path: PathBuf,
    /// In reports: the path within the tree, else the absolute one.
    pub name: String,
    /// What reads it.
    pub language: Language,
}

/// The test files that `words` mean, or all of `tree`, by name. A word is a path within
/// the tree, else from here; a folder means the test files beneath it.
pub fn find(tree: &Path, words: &[OsString]) -> Result<Vec<Found>, Error> {
    let mut paths = Vec::new();
    if words.is_empty() {
        walk(tree, MAX_DEPTH, &mut paths)?;
    }
    for word in words {
        let here = Path::new(word);
        let path = std::fs::canonicalize(tree.join(here))
            .or_else(|_| std::fs::canonicalize(here))
            .map_err(|e| Error::Usage(format!("there are no tests at {}: {e}", here.display())))?;
        if path.is_dir() {
            walk(&path, MAX_DEPTH, &mut paths)?;
        } else if language(&path).is_some() {
            paths.push(path);
        } else {
            return Err(Error::Usage(format!(
                "{} holds no tests; their files are named *_test.sh or test_*.py",
                here.display()
            )));
        }
    }
    paths.sort();
    paths.dedup();
    if paths.is_empty() {
        return Err(Error::Usage(format!(
            "no test was found in {}; tests are files named *_test.sh or test_*.py, in tests/ by habit",
            words.first().map_or(tree, |word| Path::new(word)).display()
        )));
    }
    Ok(paths.into_iter().filter_map(|path| found(tree, path)).collect())
}

fn found(tree: &Path, path: PathBuf) -> Option<Found> {
    let language = language(&path)?;
    let name = path.strip_prefix(tree).unwrap_or(&path).to_string_lossy().into_owned();
    Some(Found { path, name, language })
}

fn language(path: &Path) -> Option<Language> {
    match path.extension()?.to_str()? {
        "sh" => Some(Language::Bash),
        "py" => Some(Language::Python),
        _ => None,
    }
}

/// `*_test.sh` and `test_*.py`.
fn is_test(name: &str) -> bool {
    name.ends_with("_test.sh") || (name.starts_with("test_") && name.ends_with(".py"))
}

fn walk(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) -> Result<(), Error> {
    let failed = |e| Error::io("list", folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            let skipped = name.starts_with('.') || matches!(name, "target" | "__pycache__");
            if !skipped && depth > 0 {
                walk(&entry.path(), depth - 1, into)?;
            }
        } else if is_test(name) && entry.path().is_file() {
            if into.len() >= MAX_FILES {
                return Err(Error::Usage(format!(
                    "{} holds more than {MAX_FILES} test files; name a folder",
                    folder.display()
                )));
            }
            into.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_found_by_name_outside_of_hidden_and_made_folders() {
        let dir = tempfile::tempdir().unwrap();
        let tree = std::fs::canonicalize(dir.path()).unwrap();
        for path in [
            "tests/a_test.sh",
            "tests/deep/er/test_b.py",
            "tests/helper.sh",
            "tests/testing.py",
            ".git/x_test.sh",
            "target/y_test.sh",
            "modules/m.sh",
        ] {
            let path = tree.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let names = |words: &[&str]| -> Vec<String> {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            find(&tree, &words).unwrap().into_iter().map(|f| f.name).collect()
        };
        assert_eq!(names(&[]), ["tests/a_test.sh", "tests/deep/er/test_b.py"]);
        assert_eq!(names(&["tests/deep"]), ["tests/deep/er/test_b.py"]);
        assert_eq!(names(&["tests/helper.sh", "tests/helper.sh"]), ["tests/helper.sh"]);
        for wrong in ["modules", "no/such", "tests/deep/er/none.py"] {
            assert!(matches!(find(&tree, &[wrong.into()]), Err(Error::Usage(_))), "{wrong}");
        }
    }
}
