//! Which sources are tried first: one that failed lately waits while others answer.
//!
//! What is remembered only changes an order. Every source is still tried before a sync fails, and a
//! damaged memory is an empty one.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Error, disk};

/// Seconds, at most, that a source waits after its first failure; doubles with each further one.
const FIRST: u64 = 60;
/// Seconds that no wait exceeds.
const LONGEST: u64 = 3600;
const MEMORY_MAX: u64 = 256 << 10;
const WHY_MAX: usize = 200;

/// A source that failed, and how often in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Failed {
    times: u32,
    /// When, in seconds since 1970.
    at: i64,
    /// Seconds to wait from then on.
    wait: u64,
    why: String,
}

impl Failed {
    /// The seconds that are left to wait at `now`. A clock that was set back waits for nothing.
    fn left(&self, now: i64) -> Option<u64> {
        let passed = u64::try_from(now.checked_sub(self.at)?).ok()?;
        self.wait.min(LONGEST).checked_sub(passed).filter(|left| *left > 0)
    }
}

type Memory = BTreeMap<String, Failed>;

/// The failures of this client's sources.
#[derive(Debug)]
pub(super) struct Backoff {
    file: PathBuf,
    memory: Memory,
}

impl Backoff {
    /// What is remembered of `sources` in `file`.
    pub(super) fn load(file: &Path, sources: &[String]) -> Self {
        let bytes = disk::read_bounded(file, MEMORY_MAX).ok().flatten().unwrap_or_default();
        let mut memory: Memory = serde_json::from_slice(&bytes).unwrap_or_default();
        memory.retain(|url, _| sources.contains(url));
        Self { file: file.to_owned(), memory }
    }

    /// The positions of `sources` in the order to try them.
    pub(super) fn order(&self, sources: &[String], now: DateTime<Utc>) -> Vec<usize> {
        order(sources, &self.memory, now.timestamp())
    }

    /// Why sources were passed over, a sentence each: of `rest`, the one that answered and those
    /// that were not tried, those which stand before it in `sources`.
    pub(super) fn passed_over(
        &self,
        sources: &[String],
        rest: &[usize],
        now: DateTime<Utc>,
    ) -> Vec<String> {
        let Some((used, untried)) = rest.split_first() else { return Vec::new() };
        let words = |url: &String| {
            let failed = self.memory.get(url)?;
            let minutes = failed.left(now.timestamp())?.div_ceil(60);
            Some(format!(
                "{url}: passed over for another {minutes} min, as it failed {} times in a row: {}",
                failed.times, failed.why
            ))
        };
        untried.iter().filter(|at| *at < used).filter_map(|at| words(&sources[*at])).collect()
    }

    /// Notes that `url` answered and was believed.
    pub(super) fn answered(&mut self, url: &str) {
        if self.memory.remove(url).is_some() {
            self.save();
        }
    }

    /// Notes that `url` failed with `error`.
    pub(super) fn failed(&mut self, url: &str, error: &Error, now: DateTime<Utc>) {
        let times = self.memory.get(url).map_or(0, |failed| failed.times).saturating_add(1);
        let wait = wait(times, RandomState::new().build_hasher().finish());
        let why = error.to_string().chars().take(WHY_MAX).collect();
        self.memory.insert(url.to_owned(), Failed { times, at: now.timestamp(), wait, why });
        self.save();
    }

    fn save(&self) {
        let bytes = serde_json::to_vec(&self.memory).unwrap_or_default();
        // Forgetting costs a time-out; a sync must not fail for it.
        let _ = disk::replace(&self.file, &bytes, 0o644);
    }
}

/// Those that do not wait, then those that do, each in the order of `sources`.
fn order(sources: &[String], memory: &Memory, now: i64) -> Vec<usize> {
    let waits = |at: &usize| memory.get(&sources[*at]).is_some_and(|one| one.left(now).is_some());
    let (waiting, ready): (Vec<usize>, Vec<usize>) = (0..sources.len()).partition(waits);
    ready.into_iter().chain(waiting).collect()
}

/// Between half and all of what `times` failures cost: machines that lost a source together do not
/// come back to it together.
fn wait(times: u32, dice: u64) -> u64 {
    let longest = FIRST.saturating_mul(1 << times.saturating_sub(1).min(16)).min(LONGEST);
    longest / 2 + dice % (longest / 2 + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn failed(at: i64, wait: u64) -> Failed {
        Failed { times: 1, at, wait, why: "gone".into() }
    }

    fn urls(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("file:///{number}")).collect()
    }

    #[test]
    fn waits_grow_to_an_hour() {
        assert_eq!((wait(1, 0), wait(1, 30)), (30, 60));
        assert_eq!((wait(2, 0), wait(2, 60)), (60, 120));
        for times in [7, 8, 60, u32::MAX] {
            assert_eq!((wait(times, 0), wait(times, 1800)), (1800, 3600));
        }
    }

    #[test]
    fn failures_are_remembered_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sources.json");
        let sources = urls(3);
        let now = DateTime::from_timestamp(1_000_000, 0).unwrap();
        let gone = Error::new(Kind::Unreachable, "nobody is there");
        Backoff::load(&file, &sources).failed(&sources[0], &gone, now);
        let mut backoff = Backoff::load(&file, &sources);
        assert_eq!(backoff.order(&sources, now), [1, 2, 0]);
        let words = backoff.passed_over(&sources, &[1, 2, 0], now);
        assert!(words.len() == 1 && words[0].contains("nobody is there"), "{words:?}");
        assert!(backoff.passed_over(&sources, &[0], now).is_empty());
        assert_eq!(backoff.order(&sources, now + chrono::TimeDelta::minutes(1)), [0, 1, 2]);
        assert_eq!(backoff.order(&sources, now - chrono::TimeDelta::seconds(1)), [0, 1, 2]);
        backoff.answered(&sources[0]);
        assert_eq!(Backoff::load(&file, &sources).order(&sources, now), [0, 1, 2]);
        // Whatever stands there, and sources that are no longer named.
        for damage in ["", "[]", "{\"file:///0\":1}", "\0"] {
            std::fs::write(&file, damage).unwrap();
            assert_eq!(Backoff::load(&file, &sources).order(&sources, now), [0, 1, 2]);
        }
        backoff.failed(&sources[0], &gone, now);
        assert!(Backoff::load(&file, &sources[1..]).memory.is_empty());
    }

    proptest! {
        #[test]
        fn every_source_is_tried_once_and_soon_again(
            memory in proptest::collection::vec(proptest::option::of((any::<i64>(), any::<u64>())), 0..6),
            now in any::<i64>(),
        ) {
            let sources = urls(memory.len());
            let known: Memory = sources
                .iter()
                .zip(&memory)
                .filter_map(|(url, one)| one.map(|(at, wait)| (url.clone(), failed(at, wait))))
                .collect();
            let tried = order(&sources, &known, now);
            let mut all = tried.clone();
            all.sort_unstable();
            prop_assert_eq!(all, (0..sources.len()).collect::<Vec<_>>());
            let left = |at: usize| known.get(&sources[at]).and_then(|one| one.left(now));
            for pair in tried.windows(2) {
                let (one, next) = (left(pair[0]), left(pair[1]));
                prop_assert!(one.is_none() || next.is_some());
                prop_assert!(one.is_some() != next.is_some() || pair[0] < pair[1]);
            }
            // An hour after its failure, or before it, nothing waits.
            for one in known.values() {
                if let Some(later) = one.at.checked_add(3600) {
                    prop_assert_eq!(one.left(later), None);
                }
                if let Some(earlier) = one.at.checked_sub(1) {
                    prop_assert_eq!(one.left(earlier), None);
                }
            }
        }
    }
}
