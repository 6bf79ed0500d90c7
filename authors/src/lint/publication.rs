//! What publish refuses: errors in the files that changed, and in what the whole tree then says
//! has to run. No other linters, and nothing is read that did not change unless it must be.

use std::path::Path;

use super::{Finding, Severity, child, look::Looker, plan::Plan, sort};
use crate::tree::{Entry, FOLDERS};

/// What a publication changes. Files are paths within the tree, with their run bits.
pub struct Changes<'a> {
    /// Files that are new, or others than before.
    pub changed: Vec<(String, bool)>,
    /// Paths are gone.
    pub removed: bool,
    /// It is all that machines get: no team has parts of its own.
    pub whole: bool,
    /// Whether the tree has this path now.
    pub has: &'a dyn Fn(&str) -> bool,
    /// Every file of `scripts/`; asked only where the order of jobs may be another.
    pub scripts: &'a dyn Fn() -> Vec<(String, bool)>,
}

/// The errors that a publication of the tree at `root` would bring to machines, in order.
pub fn refused(root: &Path, changes: &Changes<'_>) -> Vec<Finding> {
    let entry =
        |(path, executable): &(String, bool)| Entry { path: path.clone(), executable: *executable };
    let ours = |path: &str| path.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
    let changed: Vec<Entry> =
        changes.changed.iter().filter(|(path, _)| ours(path)).map(entry).collect();
    let of_tiers = changed.iter().any(|entry| entry.path == jobs::tiers::PATH);
    let (plan, wrong) = Plan::read(root);
    let looker = Looker { root, plan: &plan, compared: false };
    let entries: Vec<&Entry> = changed.iter().collect();
    let looks = child::in_parts(&entries, |part| looker.look(part, &|_| true));
    let mut found: Vec<Finding> = Vec::new();
    if of_tiers {
        found.extend(wrong);
    }
    if changes.whole && (of_tiers || changes.removed) {
        found.extend(plan.jobs(changes.has, None));
    }
    // Only these can bring a circle, or a name that is missing.
    let headers = of_tiers
        || changes.removed
        || looks.iter().filter_map(|look| look.after.as_ref()).any(|after| !after.is_empty());
    // A new script may also have the name of a `[[job]]`; for that names are enough.
    if changes.whole
        && (headers || plan.has_jobs() && looks.iter().any(|look| look.after.is_some()))
    {
        let scripts: Vec<Entry> = (changes.scripts)().iter().map(entry).collect();
        let jobs = child::in_parts(&scripts, |part| {
            let after = |entry| if headers { looker.after(entry) } else { Vec::new() };
            let jobs = part.iter().filter(|entry| plan.is_job(entry));
            jobs.map(|entry| (entry.path.clone(), after(entry))).collect()
        });
        found.extend(plan.order(&jobs));
    }
    for look in looks {
        let silent = |one: &Finding| look.allowed.iter().any(|allowed| allowed.silences(one));
        found.extend(look.found.iter().filter(|one| !silent(one)).cloned());
    }
    found.retain(|one| one.severity == Severity::Error);
    sort(&mut found);
    found
}
