//! Tests of [`super`]: journal.

use std::fs;

use super::*;
use crate::{plan::State, supervise::Outcome};

fn machine(boot: &str) -> Machine {
    Machine {
        id: "m".into(),
        name: String::new(),
        boot: boot.into(),
        os: "linux".into(),
        arch: "x".into(),
    }
}

fn ended(outcome: Outcome) -> Ended {
    Ended { outcome, ..Ended::default() }
}

#[test]
fn a_run_is_there_before_it_ends_and_after() {
    let dir = tempfile::tempdir().unwrap();
    let now = Utc::now();
    let journal = Journal::open(dir.path(), &machine("b1")).unwrap();
    journal.begin("r1", "daily", "daily/a", 7, now).unwrap();
    assert_eq!(
        journal.history_now(&Filter { limit: 9, ..Filter::default() }).unwrap()[0].outcome,
        "running"
    );
    assert!(journal.recover(now).unwrap().is_empty(), "its process is this one");
    journal.end("r1", &Ended { exit_status: Some(3), ..ended(Outcome::Failed) }, now).unwrap();
    let run = journal.find("r").unwrap();
    assert_eq!((run.outcome.as_str(), run.exit_status, run.release), ("failed", Some(3), 7));
    assert_eq!(journal.find("daily/a").unwrap().run, "r1");
    assert_eq!(journal.failing().unwrap().len(), 1);
    assert_eq!(journal.find("zz").unwrap_err().code(), 2);
}

#[test]
fn a_run_of_another_boot_is_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let now = Utc::now();
    Journal::open(dir.path(), &machine("b1")).unwrap().begin("r1", "daily", "a", 1, now).unwrap();
    let journal = Journal::open(dir.path(), &machine("b2")).unwrap();
    let filter = Filter { outcome: Some("interrupted".into()), limit: 9, ..Filter::default() };
    assert_eq!(journal.history_now(&filter).unwrap().len(), 1, "before anybody wrote it down");
    let lost = journal.recover(now).unwrap();
    assert_eq!(lost[0].reason.as_deref(), Some("the machine went down before the job ended"));
    assert!(journal.recover(now).unwrap().is_empty());
    assert_eq!(journal.history(&filter).unwrap()[0].outcome, "interrupted");
}

#[test]
fn a_corrupt_file_is_set_aside_and_named() {
    for damage in [
        "not a database at all, but long enough to be taken for one",
        "SQLite format 3\0xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("state.db"), damage).unwrap();
        let journal = Journal::open(dir.path(), &machine("b1")).unwrap();
        let note = journal.noted("journal_fault").unwrap().unwrap();
        assert!(note.contains("set aside as"), "{note}");
        let kept = fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .find(|e| e.file_name().to_string_lossy().contains(".broken-"))
            .unwrap();
        assert_eq!(fs::read_to_string(kept.path()).unwrap(), damage);
        journal.begin("r1", "daily", "a", 1, Utc::now()).unwrap();
    }
}

#[test]
fn a_torn_page_in_the_middle_is_found_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    {
        let journal = Journal::open(dir.path(), &machine("b1")).unwrap();
        for n in 0..500 {
            journal.db().execute_batch("PRAGMA synchronous=off").unwrap();
            journal.begin(&format!("r{n:04}"), "daily", "a", 1, Utc::now()).unwrap();
        }
    }
    let path = dir.path().join("state.db");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let journal = Journal::open(dir.path(), &machine("b1")).unwrap();
    assert!(journal.noted("journal_fault").unwrap().is_some());
}

#[test]
fn tiers_once_notes_and_pruning() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), &machine("b1")).unwrap();
    let now = DateTime::from_timestamp_millis(Utc::now().timestamp_millis()).unwrap();
    let state = State { served: Some(now), boot: Some("b1".into()) };
    journal.remember("daily", &state).unwrap();
    journal.tier_starts("daily", Some(now), now).unwrap();
    journal.tier_ends("daily", "3 ok", now).unwrap();
    let row = journal.tiers().unwrap().remove("daily").unwrap();
    assert_eq!(
        (row.state, row.last_end, row.last_result.as_deref()),
        (state, Some(now), Some("3 ok"))
    );
    journal.set_once("a", "h1", now).unwrap();
    journal.set_once("a", "h2", now).unwrap();
    journal.set_once("a~alice", "h2", now).unwrap();
    journal.set_once("ab", "h2", now).unwrap();
    assert_eq!(journal.once("a").unwrap().as_deref(), Some("h2"));
    journal.forget_once("a").unwrap();
    let left = ["a", "a~alice", "ab"].map(|job| journal.once(job).unwrap().is_some());
    assert_eq!(left, [false, false, true]);
    for n in 0..10 {
        journal.begin(&format!("r{n}"), "daily", "a", 1, now).unwrap();
        journal.end(&format!("r{n}"), &ended(Outcome::Ok), now).unwrap();
    }
    journal.prune(3).unwrap();
    assert!(journal.history(&Filter { limit: 99, ..Filter::default() }).unwrap().len() <= 4);
}

#[test]
fn a_journal_of_an_older_version_is_brought_up_to_date_and_of_a_newer_one_left() {
    let dir = tempfile::tempdir().unwrap();
    let now = Utc::now();
    let machine = machine("b1");
    Journal::open(dir.path(), &machine).unwrap().begin("r1", "daily", "a", 1, now).unwrap();
    let change = |sql: &str| {
        Connection::open(dir.path().join("state.db")).unwrap().execute_batch(sql).unwrap();
    };
    change("DROP TABLE breakers; PRAGMA user_version = 1;");
    let journal = Journal::open(dir.path(), &machine).unwrap();
    journal.count_failure("a", "c", "exit status 1", now).unwrap();
    assert_eq!(journal.breaker("a").unwrap().unwrap().failures, 1);
    assert_eq!(journal.find("r1").unwrap().job, "a");
    drop(journal);
    change("CREATE TABLE later (x); PRAGMA user_version = 99;");
    let journal = Journal::open(dir.path(), &machine).unwrap();
    assert_eq!(journal.breaker("a").unwrap().unwrap().failures, 1);
    let version: i32 =
        journal.db().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);
}
