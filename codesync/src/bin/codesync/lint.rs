//! What `codesync lint` needs to know of a library, and what it may refuse of a publication.

use std::{collections::BTreeSet, io::Write, path::Path};

use authors::lint;
use codesync::{Error, Kind, Result, name, publish::News};

/// Findings that are shown of a publication that is refused.
const SHOWN: usize = 50;

/// The paths, sorted by bytes, that may not be in a library, and why.
pub fn path_faults(paths: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    name::set_faults(paths.iter().copied(), &mut |path, fault| {
        found.push((path.to_owned(), format!("may not be in a library: {fault}; rename it")));
        true
    });
    found
}

/// Stands before a publication's signature.
pub struct Gate<'a> {
    /// The tree.
    pub tree: &'a Path,
    /// A team publishes its part.
    pub team: bool,
    /// Why errors do not count.
    pub force: Option<&'a str>,
}

impl Gate<'_> {
    /// Refuses errors in what changed; with a reason, returns words for the note.
    pub fn check(&self, news: News<'_>) -> Result<Option<String>> {
        let former = |path: &str| news.former.get(path).map(|file| (file.sha256, file.executable));
        let mut files = Vec::with_capacity(news.manifest.len());
        let mut changed = BTreeSet::new();
        for file in (0..news.manifest.len()).map_while(|at| news.manifest.at(at)) {
            if former(&file.path) != Some((file.sha256, file.executable)) {
                changed.insert(file.path.clone());
            }
            files.push((file.path, file.executable));
        }
        let kept = files.iter().filter(|(path, _)| news.former.get(path).is_some()).count();
        if changed.is_empty() && kept == news.former.len() {
            return Ok(None);
        }
        let changes = lint::Changes {
            files: &files,
            changed: &changed,
            removed: kept < news.former.len(),
            whole: !self.team && !news.teams,
        };
        let found = lint::refused(self.tree, &changes);
        if found.is_empty() {
            return Ok(None);
        }
        let mut shown = String::new();
        for one in found.iter().take(SHOWN) {
            shown.push_str(&lint::report::line(one));
            shown.push('\n');
        }
        let _ = std::io::stderr().write_all(shown.as_bytes());
        let several = match found.len() {
            1 => "1 error".to_owned(),
            n => format!("{n} errors"),
        };
        match self.force {
            Some(reason) => Ok(Some(format!("[{several} forced: {reason}]"))),
            None => Err(Error::new(
                Kind::Config,
                format!(
                    "the tree has {several}, so nothing was signed; mend them (codesync lint --tree {}), or publish all the same with --force REASON",
                    self.tree.display()
                ),
            )),
        }
    }
}
