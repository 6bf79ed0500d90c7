//! The order of jobs: by name within each tier, but after what `after` names.

use std::collections::{BTreeSet, HashSet};

use crate::tiers;

/// What of a job its order follows from.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    /// Its tier.
    pub tier: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The jobs of its tier that come before it.
    pub after: &'a [String],
}

impl Named<'_> {
    /// Whether `word` means this job: its name, or its file name within the tier.
    pub fn is(&self, word: &str) -> bool {
        self.name == word || self.short() == word
    }

    fn short(&self) -> &str {
        let own = self.name.strip_prefix(self.tier).and_then(|name| name.strip_prefix('/'));
        own.unwrap_or(self.name)
    }
}

/// The places of `jobs` in the order in which they run. Two of one name, names in `after` that
/// are no job of the tier, and circles are errors.
pub fn order(jobs: &[Named<'_>]) -> Result<Vec<usize>, String> {
    let mut by_name: Vec<usize> = (0..jobs.len()).collect();
    by_name.sort_by_cached_key(|at| {
        let job = &jobs[*at];
        (job.tier, job.short(), job.name)
    });
    let mut seen = HashSet::new();
    if let Some(twice) = by_name.iter().find(|at| !seen.insert(jobs[**at].name)) {
        return Err(format!(
            "two jobs are called {:?}; give one of them another name in {}",
            jobs[*twice].name,
            tiers::PATH
        ));
    }
    // From here on a job is its place in `by_name`. For each: how many others it waits for, and
    // who waits for it.
    let job = |place: usize| &jobs[by_name[place]];
    let mut waits = vec![0_usize; jobs.len()];
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    for (at, waits) in waits.iter_mut().enumerate() {
        for before in job(at).after {
            let mut known = false;
            for (other, followers) in followers.iter_mut().enumerate() {
                if job(other).tier == job(at).tier && job(other).is(before) {
                    known = true;
                    *waits += 1;
                    followers.push(at);
                }
            }
            if !known {
                return Err(format!(
                    "job {}, key after: tier {} has no job {before:?}",
                    job(at).name,
                    job(at).tier
                ));
            }
        }
    }
    let mut ready: BTreeSet<usize> = (0..jobs.len()).filter(|at| waits[*at] == 0).collect();
    let mut sorted = Vec::with_capacity(jobs.len());
    while let Some(at) = ready.pop_first() {
        sorted.push(by_name[at]);
        for &follower in &followers[at] {
            waits[follower] -= 1;
            if waits[follower] == 0 {
                ready.insert(follower);
            }
        }
    }
    if sorted.len() < jobs.len() {
        let circle: Vec<&str> =
            (0..jobs.len()).filter(|at| waits[*at] > 0).map(|at| job(at).name).collect();
        return Err(format!("key after: these jobs wait for each other: {}", circle.join(", ")));
    }
    Ok(sorted)
}
