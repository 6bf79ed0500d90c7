//! What publish refuses: errors in the files that changed, and in what the whole tree then says
//! has to run. No other linters, and nothing is read that did not change unless it must be.

use std::{collections::BTreeSet, path::Path};

use super::{
    Finding, Severity, child,
    look::Looker,
    plan::{self, Plan},
    sort,
};
use crate::tree::{Entry, FOLDERS};

/// What a publication changes.
pub struct Changes<'a> {
    /// Every path of the tree, sorted by bytes, with its run bit.
    pub files: &'a [(String, bool)],
    /// Those of them that are new or others than before.
    pub changed: &'a BTreeSet<String>,
    /// Paths are gone.
    pub removed: bool,
    /// It is all that machines get: no team has parts of its own.
    pub whole: bool,
}

/// The errors that a publication of the tree at `root` would bring to machines, in order.
pub fn refused(root: &Path, changes: &Changes<'_>) -> Vec<Finding> {
    let entry =
        |(path, executable): &(String, bool)| Entry { path: path.clone(), executable: *executable };
    let ours = |path: &str| path.split_once('/').is_some_and(|(first, _)| FOLDERS.contains(&first));
    let changed: Vec<Entry> = changes
        .files
        .iter()
        .filter(|(path, _)| changes.changed.contains(path) && ours(path))
        .map(entry)
        .collect();
    let (plan, wrong) = Plan::read(root);
    let looker = Looker { root, plan: &plan };
    let entries: Vec<&Entry> = changed.iter().collect();
    let looks = child::in_parts(&entries, |part| looker.look(part, &|_| true));
    let mut found: Vec<Finding> = Vec::new();
    let of_tiers = changes.changed.contains(jobs::tiers::PATH);
    if of_tiers {
        found.extend(wrong);
    }
    if changes.whole && (of_tiers || changes.removed) {
        let has =
            |path: &str| changes.files.binary_search_by(|(one, _)| one.as_str().cmp(path)).is_ok();
        found.extend(plan.jobs(has, None));
    }
    // A circle or a missing name can only come from one of these.
    let orders = of_tiers
        || changes.removed
        || looks.iter().any(|look| look.after.as_ref().is_some_and(|after| !after.is_empty()));
    if changes.whole && orders {
        let jobs: Vec<Entry> =
            changes.files.iter().map(entry).filter(|entry| plan.is_job(entry)).collect();
        let jobs = child::in_parts(&jobs, |part| {
            let after =
                |entry: &Entry| (entry.path.clone(), plan::after(&entry.path, &looker.head(entry)));
            part.iter().map(after).collect()
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
