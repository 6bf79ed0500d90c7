//! Whatever a server answers: no entry is lost, none is told twice as new, and a visit ends.

use std::collections::{BTreeMap, BTreeSet};

use ldi_api::submission::{Answer, MOST_BYTES, MOST_ENTRIES, Outcome, Verdict};
use proptest::prelude::*;
use serde_json::Value;

use super::{
    step::{Batch, Exchange},
    *,
};
use crate::journal::Entry;

fn spool(dir: &std::path::Path, sizes: &[usize]) -> Journal {
    let journal = Journal::open(dir, &Machine::this()).unwrap().spooling(true);
    let now = Utc::now() - TimeDelta::hours(1);
    for (n, size) in sizes.iter().enumerate() {
        let at = now + TimeDelta::milliseconds(i64::try_from(n).unwrap());
        journal.spool_sync(&serde_json::json!({ "n": n, "pad": "x".repeat(*size) }), at).unwrap();
    }
    journal
}

fn names(batch: &Batch) -> Vec<(String, u64)> {
    let body: Value = serde_json::from_str(&batch.body()).unwrap();
    assert_eq!(body["format"], 1);
    let entries = body["entries"].as_array().unwrap().iter();
    entries
        .map(|e| (e["entry"].as_str().unwrap().to_owned(), e["sync"]["n"].as_u64().unwrap()))
        .collect()
}

fn answer(entries: Vec<Verdict<'_>>) -> Exchange {
    Exchange::Answered(serde_json::to_vec(&Answer { entries, renew: false }).unwrap())
}

fn verdict(name: &str, outcome: Outcome) -> Verdict<'_> {
    Verdict { entry: name.into(), outcome, reason: Some("no".into()) }
}

#[test]
fn everything_is_told_in_order_and_in_bounded_batches() {
    let dir = tempfile::tempdir().unwrap();
    let journal = spool(dir.path(), &[3000; 1200]);
    let (mut seen, mut batches) = (Vec::new(), 0);
    let (report, ended) = tell(&journal, &mut |batch| {
        let entries = names(batch);
        assert!(entries.len() <= MOST_ENTRIES && batch.body().len() <= MOST_BYTES + 100);
        batches += 1;
        seen.extend(entries.iter().map(|(_, n)| *n));
        answer(entries.iter().map(|(name, _)| verdict(name, Outcome::Stored)).collect())
    });
    assert!(ended.is_ok());
    assert_eq!(report, Report { stored: 1200, ..Report::default() });
    assert_eq!(seen, (0..1200).collect::<Vec<_>>());
    assert!((4..=8).contains(&batches), "{batches} batches");
}

#[test]
fn one_entry_that_the_server_cannot_read_is_found_and_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let journal = spool(dir.path(), &[10; 100]);
    let mut requests = 0;
    let (report, ended) = tell(&journal, &mut |batch| {
        requests += 1;
        let entries = names(batch);
        if entries.iter().any(|(_, n)| *n == 37) {
            return Exchange::Refused("400: what is this?".to_owned());
        }
        answer(entries.iter().map(|(name, _)| verdict(name, Outcome::Stored)).collect())
    });
    assert!(ended.is_ok());
    assert_eq!(report, Report { stored: 99, rejected: 1, ..Report::default() });
    assert!(requests < 30, "{requests} requests");
    let rejected = journal.rejected().unwrap();
    assert_eq!((rejected.len(), &rejected[0].body["sync"]["n"]), (1, &37.into()));
    assert_eq!(rejected[0].reason, "400: what is this?");
    assert_eq!(journal.waiting().unwrap().rejected, 1);
}

#[test]
fn an_error_deletes_nothing() {
    for exchange in [
        || Exchange::Later { why: "gone".into(), retry_after: Some(7) },
        || Exchange::TooLarge("413".into()),
        || Exchange::NotPermitted(Failure::new(code::NOT_PERMITTED, "no")),
        || Exchange::Answered(Vec::new()),
        || Exchange::Answered(b"<html>welcome to the hotel</html>".to_vec()),
        || Exchange::Answered(br#"{"entries":[]}"#.to_vec()),
        || Exchange::Answered(br#"{"entries":[{"entry":"x","outcome":"stored"}]}"#.to_vec()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let journal = spool(dir.path(), &[10; 5]);
        let (report, ended) = tell(&journal, &mut |_| exchange());
        assert!(ended.is_err());
        assert_eq!(report, Report { waiting: 5, ..Report::default() });
    }
}

#[test]
fn waits_grow_and_follow_what_the_server_asks_for() {
    let seconds = |failures, asked, dice| step::wait(failures, asked, dice).as_secs();
    assert_eq!((seconds(1, None, 0), seconds(1, None, 30)), (30, 60));
    assert_eq!((seconds(60, None, 0), seconds(u32::MAX, None, 1800)), (1800, 3600));
    assert_eq!((seconds(1, Some(600), 0), seconds(1, Some(600), 600)), (600, 1200));
    for dice in [0, 1, 86_399, u64::MAX] {
        assert!(seconds(9, Some(u64::MAX), dice) <= 2 * 86_400);
    }
}

#[test]
fn a_failed_visit_waits_and_a_good_one_forgets() {
    let now = Utc::now();
    let mut visit = Visit::default();
    assert!(visit.may_begin(now));
    visit.failed(&Failure::new(code::UNREACHABLE, "gone"), None, 0);
    assert!(!visit.may_begin(now) && visit.may_begin(now + TimeDelta::minutes(1)));
    assert!(visit.may_begin(now - TimeDelta::days(30)), "the clock was set back");
    let text = serde_json::to_string(&visit).unwrap();
    assert_eq!(serde_json::from_str::<Visit>(&text).unwrap(), visit);
    visit.succeeded();
    assert!(visit.may_begin(Utc::now()) && visit.why.is_none() && visit.told.is_some());
}

/// What a server does with a request: decides on some entries, or fails.
#[derive(Debug, Clone)]
enum Mood {
    Takes(Vec<u8>),
    /// It took them, and the answer was lost.
    Mute,
    Refuses,
    Fails,
    Babbles(Vec<u8>),
}

fn mood() -> impl Strategy<Value = Mood> {
    prop_oneof![
        6 => proptest::collection::vec(0..3_u8, 40).prop_map(Mood::Takes),
        1 => Just(Mood::Mute),
        1 => Just(Mood::Refuses),
        1 => Just(Mood::Fails),
        1 => proptest::collection::vec(any::<u8>(), 0..60).prop_map(Mood::Babbles),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn no_entry_is_lost(moods in proptest::collection::vec(mood(), 1..40), count in 0..40_usize) {
        let dir = tempfile::tempdir().unwrap();
        let journal = spool(dir.path(), &vec![5; count]);
        let mut has: BTreeSet<u64> = BTreeSet::new();
        let mut refused: BTreeMap<u64, ()> = BTreeMap::new();
        let mut moods = moods.into_iter();
        // Visit after visit; at last the server is well.
        for _ in 0..60 {
            let (report, ended) = tell(&journal, &mut |batch| {
                let entries = names(batch);
                let stored = || entries.iter().map(|(name, _)| verdict(name, Outcome::Stored));
                match moods.next() {
                    None => {
                        has.extend(entries.iter().map(|(_, n)| *n));
                        answer(stored().collect())
                    }
                    Some(Mood::Mute) => {
                        has.extend(entries.iter().map(|(_, n)| *n));
                        Exchange::Later { why: "cut".into(), retry_after: None }
                    }
                    Some(Mood::Takes(marks)) => {
                        let mut said = Vec::new();
                        for ((name, n), mark) in entries.iter().zip(&marks) {
                            if *mark == 0 { continue }
                            let outcome = if *mark == 1 { Outcome::Stored } else { Outcome::Rejected };
                            if outcome == Outcome::Stored { has.insert(*n); } else { refused.insert(*n, ()); }
                            said.push(verdict(name, outcome));
                        }
                        answer(said)
                    }
                    Some(Mood::Refuses) => {
                        if let [(_, n)] = entries.as_slice() { refused.insert(*n, ()); }
                        Exchange::Refused("what?".into())
                    }
                    Some(Mood::Fails) => Exchange::Later { why: "500".into(), retry_after: Some(1) },
                    Some(Mood::Babbles(bytes)) => Exchange::Answered(bytes),
                }
            });
            let waiting = journal.oldest(1000).unwrap().len();
            prop_assert_eq!(report.waiting, waiting as u64);
            prop_assert!(ended.is_err() || waiting == 0);
            if waiting == 0 { break }
        }
        prop_assert_eq!(journal.oldest(1000).unwrap(), Vec::<Entry>::new());
        let aside = journal.rejected().unwrap().len();
        prop_assert!(aside <= refused.len());
        for n in 0..count as u64 {
            prop_assert!(has.contains(&n) || refused.contains_key(&n), "{} was lost", n);
        }
    }
}
