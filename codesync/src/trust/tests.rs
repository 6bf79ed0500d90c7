//! The rules of the client workflow, each with a repository that keeps or breaks it.

use std::fs;

use chrono::TimeDelta;
use serde_json::{Map, json};

use super::*;
use crate::sign::{Key, envelope};

mod repository;

use repository::{DAYS, Repo, TOP};

#[test]
fn a_refresh_asks_for_each_file_once_and_for_nothing_that_is_here() {
    let mut repo = Repo::new();
    let first = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    assert_eq!(repo.refresh().unwrap().targets, 1);
    assert_eq!(repo.asked, first);
    repo.refresh().unwrap();
    assert_eq!(repo.asked, first[..2]);
    // A new timestamp for the same snapshot, and a new snapshot for the same targets.
    repo.timestamp(1);
    repo.refresh().unwrap();
    assert_eq!(repo.asked, first[..2]);
    repo.snapshot();
    repo.refresh().unwrap();
    assert_eq!(repo.asked, ["2.root.json", "timestamp.json", "2.snapshot.json"]);
}

#[test]
fn roots_are_followed_through_every_version() {
    let mut repo = Repo::new();
    for count in 2..=9 {
        let old: Vec<Key> = repo.keys.remove("root").unwrap();
        let new = repo.key();
        // Old and new keys sign; only the new ones are named.
        repo.keys.insert("root".into(), vec![new]);
        repo.sign("root");
        let bytes = &repo.files[&format!("{count}.root.json")];
        let json: Value = serde_json::from_slice(bytes).unwrap();
        let mut keys: Vec<&Key> = repo.keys["root"].iter().collect();
        keys.extend(&old);
        let bytes = envelope(&json["signed"], &keys).unwrap();
        repo.files.insert(format!("{count}.root.json"), bytes);
    }
    // Intermediate roots may have expired: a client that was away for a year.
    assert_eq!(repo.refresh().unwrap().root, 9);
    // The next one is signed by its own key only.
    repo.rotate("root");
    repo.sign("root");
    assert!(repo.refused().contains("10.root.json is not signed"));
    assert_eq!(repo.stored()[0], 9);
    // A version is left out.
    let bytes = repo.files.remove("10.root.json").unwrap();
    repo.files.insert("11.root.json".into(), bytes);
    assert_eq!(repo.refresh().unwrap().root, 9);
    // One that says another version than its name.
    let old = repo.files["9.root.json"].clone();
    repo.files.insert("10.root.json".into(), old);
    repo.refused();
    assert_eq!(repo.stored()[0], 9);
}

#[test]
fn thresholds_count_keys() {
    let mut repo = Repo::new();
    repo.refresh().unwrap();
    let more = [repo.key(), repo.key()];
    repo.keys.get_mut("targets").unwrap().extend(more);
    repo.thresholds.insert("targets".into(), 3);
    repo.sign("root");
    repo.publish();
    assert_eq!(repo.refresh().unwrap().targets, 2);
    // One signature too few.
    repo.keys.get_mut("targets").unwrap().truncate(2);
    repo.publish();
    assert!(repo.refused().contains("not signed by the keys"));
    assert_eq!(repo.stored()[3], 2);
}

#[test]
fn one_key_under_two_ids_counts_once() {
    let mut repo = Repo::new();
    repo.refresh().unwrap();
    let public = repo.keys["snapshot"][0].public();
    let id = repo.keys["snapshot"][0].id().to_owned();
    repo.sign("root");
    let mut root: Value = serde_json::from_slice(&repo.files["2.root.json"]).unwrap();
    root["signed"]["keys"]["twin"] = public;
    root["signed"]["roles"]["snapshot"] = json!({"keyids": [id, "twin"], "threshold": 2});
    let keys: Vec<&Key> = repo.keys["root"].iter().collect();
    repo.files.insert("2.root.json".into(), envelope(&root["signed"], &keys).unwrap());
    repo.snapshot();
    let mut snapshot: Value = serde_json::from_slice(&repo.files["2.snapshot.json"]).unwrap();
    let twin = json!({"keyid": "twin", "sig": snapshot["signatures"][0]["sig"]});
    snapshot["signatures"].as_array_mut().unwrap().push(twin);
    repo.files.insert("2.snapshot.json".into(), serde_json::to_vec(&snapshot).unwrap());
    repo.timestamp(2);
    assert!(repo.refused().contains("under two names"));
    assert_eq!(repo.stored()[2], 1);
    // Where one is enough, the second does no harm.
    root["signed"]["version"] = json!(3);
    root["signed"]["roles"]["snapshot"]["threshold"] = json!(1);
    let keys: Vec<&Key> = repo.keys["root"].iter().collect();
    repo.files.insert("3.root.json".into(), envelope(&root["signed"], &keys).unwrap());
    assert_eq!(repo.refresh().unwrap().snapshot, 2);
}

#[test]
fn nothing_goes_back() {
    for hashes in [false, true] {
        let mut repo = Repo::new();
        repo.hashes = hashes;
        for _ in 0..3 {
            repo.publish();
        }
        repo.refresh().unwrap();
        let stored = repo.stored();
        let old = repo.files.clone();
        let versions = repo.versions.clone();
        // The timestamp.
        repo.versions.insert("timestamp".into(), 1);
        repo.timestamp(4);
        assert!(repo.refused().contains("went back"));
        assert_eq!(repo.asked, ["2.root.json", "timestamp.json"]);
        // The snapshot, named by a newer timestamp.
        repo.versions = versions.clone();
        repo.timestamp(1);
        assert!(repo.refused().contains("went back"));
        assert_eq!(repo.asked.last().unwrap(), "timestamp.json");
        // The targets, named by a newer snapshot.
        repo.versions.insert("targets".into(), 1);
        repo.snapshot();
        assert!(repo.refused().contains("targets.json"));
        assert_eq!(repo.stored()[2..], stored[2..]);
        // The same timestamp version with other content is not taken.
        let mut repo = Repo { files: old, versions, ..repo };
        repo.versions.entry("timestamp".into()).and_modify(|version| *version -= 1);
        repo.timestamp(99);
        fs::remove_dir_all(repo.folder.path().join("trust")).unwrap();
        assert!(repo.refused().contains("99.snapshot.json"));
    }
}

#[test]
fn what_a_refresh_that_was_cut_off_has_seen_still_counts() {
    let mut repo = Repo::new();
    repo.publish();
    repo.publish();
    repo.refresh().unwrap();
    // The timestamp arrives, the snapshot does not.
    repo.snapshot();
    let snapshot = repo.files.remove("4.snapshot.json").unwrap();
    assert!(repo.refused().contains("4.snapshot.json"));
    assert_eq!(repo.stored()[1..], [4, 3, 3]);
    // The next snapshot takes the targets back.
    repo.files.insert("4.snapshot.json".into(), snapshot);
    repo.versions.insert("targets".into(), 1);
    repo.snapshot();
    assert!(repo.refused().contains("went back"));
}

#[test]
fn a_role_does_not_disappear_from_the_snapshot() {
    let mut repo = Repo::new();
    repo.delegate("targets", "team", &["*"], false);
    repo.publish();
    repo.refresh().unwrap();
    repo.content.remove("team");
    repo.snapshot();
    assert!(repo.refused().contains("leaves out team.json"));
}

#[test]
fn new_keys_recover_from_fast_forward() {
    // Each role in turn was driven to a number that nothing can follow.
    let far = u64::from(u32::MAX);
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repo = Repo::new();
        repo.versions.insert(role.into(), far);
        repo.publish();
        repo.refresh().unwrap();
        let low = |versions: &Versions| match role {
            "timestamp" => versions.timestamp,
            "snapshot" => versions.snapshot,
            _ => versions.targets,
        };
        repo.versions.insert(role.into(), 1);
        repo.publish();
        assert!(repo.refused().contains("went back"), "{role}");
        // The keys of the role that remembers it are replaced.
        match role {
            "timestamp" => repo.rotate("timestamp"),
            "snapshot" => {
                repo.rotate("snapshot");
                repo.rotate("timestamp");
            }
            _ => repo.rotate("snapshot"),
        }
        repo.sign("root");
        repo.publish();
        let versions = repo.refresh().unwrap();
        assert!(low(&versions) < 9, "{role}: {versions:?}");
    }
}

#[test]
fn nothing_expired_is_taken_but_it_still_counts() {
    let mut repo = Repo::new();
    repo.refresh().unwrap();
    for role in ["targets", "snapshot", "timestamp"] {
        let before = repo.stored();
        let at = TOP.iter().position(|name| *name == role).unwrap();
        repo.expires.insert(role.into(), repo.now - TimeDelta::days(1));
        repo.publish();
        assert_eq!(repo.refresh().unwrap_err().kind(), Kind::Stale, "{role}");
        assert_eq!(repo.stored()[at], before[at], "{role}");
        repo.expires.clear();
        repo.publish();
        repo.refresh().unwrap();
    }
    // What is here has expired: stale, and no older timestamp is taken for it.
    repo.now += TimeDelta::days(DAYS + 1);
    assert_eq!(repo.refresh().unwrap_err().kind(), Kind::Stale);
    repo.sign("root");
    let timestamp = repo.versions["timestamp"];
    repo.versions.insert("timestamp".into(), timestamp - 2);
    repo.publish();
    assert!(repo.refused().contains("went back"));
    repo.versions.insert("timestamp".into(), timestamp);
    repo.publish();
    repo.refresh().unwrap();
    // An expired root is stored, and nothing below it is asked for.
    repo.expires.insert("root".into(), repo.now - TimeDelta::days(1));
    repo.sign("root");
    assert_eq!(repo.refresh().unwrap_err().kind(), Kind::Stale);
    assert_eq!(repo.stored()[0], 3);
    assert_eq!(repo.asked, ["3.root.json", "4.root.json"]);
}

#[test]
fn parts_of_two_states_do_not_mix() {
    let mut repo = Repo::new();
    repo.publish();
    let first = repo.files.clone();
    repo.add("targets", "x");
    repo.publish();
    // The newest snapshot with the targets before it, under the new name.
    let old = first["2.targets.json"].clone();
    let new = repo.files.insert("3.targets.json".into(), old).unwrap();
    assert!(repo.refused().contains("version 2"));
    repo.files.insert("3.targets.json".into(), new);
    fs::remove_dir_all(repo.folder.path().join("trust")).unwrap();
    // The newest timestamp with another snapshot of the same version.
    repo.versions.insert("snapshot".into(), 2);
    let timestamp = repo.files["timestamp.json"].clone();
    repo.expires.insert("snapshot".into(), repo.now + TimeDelta::days(2));
    repo.snapshot();
    repo.files.insert("timestamp.json".into(), timestamp);
    repo.refused();
    assert_eq!(repo.stored()[2..], [0, 0]);
}

#[test]
fn too_long_or_torn_metadata_is_not_taken() {
    let mut repo = Repo::new();
    repo.files.insert("2.root.json".into(), vec![b' '; 600 << 10]);
    repo.refused();
    for torn in [&b""[..], b"{", b"[]", b"{\"signed\":{},\"signatures\":[]}", b"\xff"] {
        repo.files.insert("2.root.json".into(), torn.to_vec());
        repo.refused();
    }
    repo.files.remove("2.root.json");
    let spaces = [repo.files["1.snapshot.json"].clone(), vec![b' '; 100]].concat();
    let whole = repo.files.insert("1.snapshot.json".into(), spaces).unwrap();
    assert!(repo.refused().contains("too long"));
    repo.files.insert("1.snapshot.json".into(), whole);
    repo.refresh().unwrap();
}

#[test]
fn a_torn_store_begins_again_and_goes_as_far() {
    let mut repo = Repo::new();
    repo.sign("root");
    repo.publish();
    repo.refresh().unwrap();
    for role in TOP {
        for content in [&b""[..], b"{\"signed\":", b"\0\0\0"] {
            let path = repo.folder.path().join(format!("trust/{role}.json"));
            fs::write(&path, content).unwrap();
            repo.refresh().unwrap();
            assert_eq!(repo.stored(), [2, 2, 2, 2], "{role}");
        }
    }
    // A root that is gone does not let an older timestamp back in.
    fs::remove_file(repo.folder.path().join("trust/root.json")).unwrap();
    repo.versions.insert("timestamp".into(), 0);
    repo.timestamp(2);
    assert!(repo.refused().contains("went back"));
}

#[test]
fn delegations_are_searched_in_order_and_only_when_they_match() {
    let mut repo = Repo::new();
    repo.delegate("targets", "a", &["*.doc", "*.md"], false);
    repo.delegate("targets", "b", &["releases/*/*"], false);
    repo.delegate("b", "c", &["releases/x/*"], false);
    repo.delegate("b", "d", &["releases/y/*.zip"], false);
    for (role, target) in [
        ("targets", "file"),
        ("a", "README.md"),
        ("c", "releases/x/1"),
        ("d", "releases/y/1.zip"),
        ("d", "releases/z/1.zip"),
        ("a", "deep/README.md"),
    ] {
        repo.add(role, target);
    }
    repo.publish();
    for (target, role, asked) in [
        ("file", Some("targets"), &[][..]),
        ("README.md", Some("a"), &["1.a.json"]),
        ("releases/x/1", Some("c"), &["1.b.json", "1.c.json"]),
        ("releases/y/1.zip", Some("d"), &["1.d.json"]),
        // Not d's to name, and `*` does not cross `/`.
        ("releases/z/1.zip", None, &[]),
        ("deep/README.md", None, &[]),
    ] {
        assert_eq!(repo.find(target).unwrap().as_deref(), role, "{target}");
        assert_eq!(repo.asked, asked, "{target}");
    }
}

/// The order in which roles are asked for, for a name that none of them has.
fn order(edges: &[(&str, &str, bool)]) -> String {
    let mut repo = Repo::new();
    for (parent, role, terminating) in edges {
        if !repo.content.contains_key(*parent) {
            repo.rotate(parent);
            repo.content.insert((*parent).into(), (Map::new(), Value::Null));
        }
        repo.delegate(parent, role, &["*"], *terminating);
    }
    repo.publish();
    assert_eq!(repo.find("none").unwrap(), None);
    let names = repo.asked.iter().map(|name| name.split('.').nth(1).unwrap());
    names.collect::<Vec<_>>().join("")
}

#[test]
fn the_search_is_pre_order_and_each_role_comes_once() {
    assert_eq!(
        order(&[
            ("targets", "a", false),
            ("targets", "b", false),
            ("a", "c", false),
            ("a", "d", false)
        ]),
        "acdb"
    );
    // A terminating role ends the search with its own descendants.
    assert_eq!(
        order(&[
            ("targets", "a", false),
            ("targets", "b", false),
            ("a", "c", true),
            ("a", "d", false)
        ]),
        "ac"
    );
    assert_eq!(
        order(&[
            ("targets", "a", false),
            ("targets", "b", false),
            ("a", "c", true),
            ("c", "d", false)
        ]),
        "acd"
    );
    // Cycles, and two parents of one role.
    assert_eq!(
        order(&[
            ("targets", "a", false),
            ("a", "b", false),
            ("b", "a", false),
            ("b", "targets", false)
        ]),
        "ab"
    );
    assert_eq!(
        order(&[
            ("targets", "a", false),
            ("targets", "b", false),
            ("b", "c", false),
            ("a", "c", false)
        ]),
        "acb"
    );
}

#[test]
fn a_search_looks_into_32_roles_at_most() {
    let names: Vec<String> = (0..40).map(|number| format!("r{number:02}")).collect();
    let edges: Vec<(&str, &str, bool)> =
        names.iter().map(|name| ("targets", name.as_str(), false)).collect();
    assert_eq!(order(&edges).len(), 31 * 3);
}

#[test]
fn odd_role_names_are_stored_safely() {
    for name in ["?", "#", "/role", "../role", "..", "a b", "ünï", "%2e"] {
        let mut repo = Repo::new();
        repo.delegate("targets", name, &["*"], false);
        repo.add(name, "x");
        repo.publish();
        assert_eq!(repo.find("x").unwrap().as_deref(), Some(name));
        assert_eq!(repo.asked, [format!("1.{}.json", encode(name))]);
        let stored = fs::read_dir(repo.folder.path().join("trust")).unwrap().count();
        // Beside timestamp, snapshot and targets; the root is the pinned one.
        assert_eq!(stored, 4, "{name}");
        // Kept, it is not asked for again.
        assert_eq!(repo.find("x").unwrap().as_deref(), Some(name));
        assert!(repo.asked.is_empty());
    }
    // A role that would take the place of another is not looked into.
    for name in ["root", "Timestamp", "SNAPSHOT", "", &"x".repeat(201)] {
        let mut repo = Repo::new();
        repo.delegate("targets", name, &["*"], false);
        if name != "root" {
            repo.add(name, "x");
        }
        repo.content.remove("root");
        repo.publish();
        assert_eq!(repo.find("x").unwrap(), None, "{name}");
    }
}

#[test]
fn a_delegated_role_is_what_its_parent_and_the_snapshot_say() {
    let mut repo = Repo::new();
    repo.delegate("targets", "team", &["*"], false);
    repo.add("team", "x");
    repo.publish();
    assert_eq!(repo.find("x").unwrap().as_deref(), Some("team"));
    // Signed by another key.
    let theirs = repo.keys.remove("team").unwrap();
    repo.rotate("team");
    repo.publish();
    assert_eq!(repo.find("x").unwrap_err().kind(), Kind::Refused);
    repo.keys.insert("team".into(), theirs);
    // Another version than the snapshot names.
    repo.publish();
    let old = repo.files["1.team.json"].clone();
    repo.files.insert("3.team.json".into(), old);
    assert_eq!(repo.find("x").unwrap_err().kind(), Kind::Refused);
    // Expired, when it comes and when it is here.
    repo.expires.insert("team".into(), repo.now - TimeDelta::hours(1));
    repo.publish();
    assert_eq!(repo.find("x").unwrap_err().kind(), Kind::Stale);
    repo.expires.insert("team".into(), repo.now + TimeDelta::days(7));
    repo.publish();
    assert_eq!(repo.find("x").unwrap().as_deref(), Some("team"));
    repo.now += TimeDelta::days(18);
    assert_eq!(repo.find("x").unwrap_err().kind(), Kind::Stale);
    repo.expires.clear();
    repo.publish();
    assert_eq!(repo.find("x").unwrap().as_deref(), Some("team"));
}
