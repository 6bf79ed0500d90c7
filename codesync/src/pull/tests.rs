//! Syncs from a library on disk, whole, with the clock as a parameter.

mod away;
mod teams;
mod years;

use std::{collections::BTreeMap, fs, path::Path};

use chrono::TimeDelta;

use super::*;
use crate::{
    library::Library,
    publish::{self, Lifetimes},
    sign::Keys,
};

struct House {
    folder: tempfile::TempDir,
    now: DateTime<Utc>,
}

impl House {
    fn new() -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap(), now: Utc::now() };
        let rings = ["stable".to_owned(), "canary".to_owned()];
        publish::init(&house.path("library"), &house.keys(), &rings, (2, 2), house.now).unwrap();
        for (path, content) in
            [("modules/a.sh", "a() { :; }\n"), ("scripts/daily/one", "#!/bin/sh\n"), ("conf/x", "")]
        {
            house.write(path, content);
        }
        house
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keys(&self) -> Keys {
        Keys::new(&self.path("keys"))
    }

    fn write(&self, path: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path("tree").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn publish(&self) -> publish::Report {
        self.publish_to("stable")
    }

    fn publish_to(&self, ring: &str) -> publish::Report {
        let library = Library::open(&self.path("library")).unwrap();
        let lifetimes = Lifetimes::default();
        publish::publish(&library, &self.keys(), &self.path("tree"), ring, "n", lifetimes, self.now)
            .unwrap()
    }

    fn settings(&self) -> Settings {
        Settings {
            root: self.path("client"),
            sources: vec![format!("file://{}", self.path("library").display())],
            ring: "stable".into(),
            trusted_root: self.path("keys/root.json"),
            identity: None,
            known_hosts: None,
            connect_timeout: Duration::from_secs(5),
            lock_wait: Duration::ZERO,
            options: Options::default(),
        }
    }

    fn sync(&self) -> Report {
        sync(&self.settings(), self.now, &|_| Ok(()), &|_, _| {}).unwrap()
    }

    fn assert_in_sync(&self) {
        assert_eq!(contents(&self.path("client/lib")), contents(&self.path("tree")));
    }
}

fn contents(tree: &Path) -> BTreeMap<String, (Vec<u8>, u32)> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    crate::stage::walk(tree, "", &mut |path, kind| {
        if kind == crate::stage::Entry::File {
            let mode = fs::metadata(tree.join(path)).unwrap().mode() & 0o777;
            found.insert(path.to_owned(), (fs::read(tree.join(path)).unwrap(), mode));
        } else {
            // Empty folders do not travel, so each has something in it.
            assert!(fs::read_dir(tree.join(path)).unwrap().next().is_some(), "{path} is empty");
        }
        Ok(())
    })
    .unwrap();
    found
}

#[test]
fn releases_arrive_in_full_then_as_patches() {
    let house = House::new();
    assert_eq!(house.publish().release, 1);
    let report = house.sync();
    assert_eq!((report.outcome, report.transfer), (Outcome::Updated, Transfer::Full));
    assert_eq!((report.release, report.previous, report.files_total), (Some(1), None, 3));
    house.assert_in_sync();
    assert_eq!(house.sync().outcome, Outcome::Current);

    // Every kind of change, over more releases than are kept, so that spares are built upon.
    for step in 0..12_u64 {
        house.write("modules/a.sh", &format!("a() {{ echo {step}; }}\n"));
        house.write(&format!("scripts/s{step}/new"), "#!/bin/sh\nexit 0\n");
        house.write("conf/mode", if step % 2 == 0 { "#!same" } else { "same" });
        if step % 3 == 2 {
            let _ = fs::remove_dir_all(house.path("tree").join(format!("scripts/s{}", step - 1)));
        }
        if step == 5 {
            fs::rename(house.path("tree/conf/x"), house.path("tree/conf/y")).unwrap();
        }
        let published = house.publish();
        let report = house.sync();
        assert_eq!((report.outcome, report.release), (Outcome::Updated, Some(step + 2)));
        assert_eq!(report.transfer, Transfer::Patch, "step {step}");
        assert_eq!(report.files_changed, published.changed as u64);
        house.assert_in_sync();
    }
    let store = Store::open(&house.path("client")).unwrap();
    assert_eq!(store.releases().unwrap(), [11, 12, 13]);
    assert!(store.active().unwrap().unwrap().verify().unwrap().is_empty());
}

#[test]
fn a_damaged_tree_is_repaired() {
    let house = House::new();
    let long: String = (0..2000).map(|n| format!("line {n}\n")).collect();
    house.write("modules/long.sh", &long);
    house.publish();
    house.sync();
    let lib = house.path("client/lib");
    fs::write(lib.join("modules/long.sh"), long.replace("line 7\n", "rm -rf /\n")).unwrap();
    fs::write(lib.join("modules/stranger.sh"), "x").unwrap();
    fs::remove_file(lib.join("scripts/daily/one")).unwrap();
    let store = Store::open(&house.path("client")).unwrap();
    store.mark_damaged(1, "modules/long.sh").unwrap();
    assert_eq!(store.active().unwrap().unwrap().verify().unwrap().len(), 3);
    let report = house.sync();
    assert_eq!((report.outcome, report.transfer), (Outcome::Updated, Transfer::Files));
    assert_eq!(report.files_changed, 3);
    house.assert_in_sync();
    assert_eq!(house.sync().outcome, Outcome::Current);
}

#[test]
fn a_patch_onto_a_tampered_basis_falls_back_to_files() {
    let house = House::new();
    house.publish();
    house.sync();
    fs::write(house.path("client/lib/modules/a.sh"), "a() { evil; }\n").unwrap();
    house.write("modules/a.sh", "a() { echo new; }\n");
    house.publish();
    let report = house.sync();
    assert_eq!((report.outcome, report.transfer), (Outcome::Updated, Transfer::Files));
    house.assert_in_sync();
}

#[test]
fn expired_metadata_is_stale_and_changes_nothing() {
    let mut house = House::new();
    house.publish();
    house.sync();
    house.write("conf/x", "new");
    house.publish();
    house.now += TimeDelta::days(15);
    let report = house.sync();
    assert_eq!((report.outcome, report.stale, report.release), (Outcome::Refused, true, Some(1)));
    assert!(report.reason.unwrap().contains("codesync refresh"));
    let library = Library::open(&house.path("library")).unwrap();
    publish::refresh(&library, &house.keys(), "stable", Lifetimes::default(), house.now).unwrap();
    assert_eq!(house.sync().release, Some(2));
}

#[test]
fn an_older_or_another_rings_library_is_refused() {
    let house = House::new();
    house.publish();
    let old = house.path("old");
    copy(&house.path("library"), &old);
    house.write("conf/x", "new");
    house.publish();
    house.sync();
    let mut settings = house.settings();
    settings.sources = vec![format!("file://{}", old.display())];
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, Some(2)));

    // Without any memory, the active release still stands.
    fs::remove_dir_all(house.path("client/trust")).unwrap();
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, Some(2)));
    assert!(report.reason.unwrap().contains("went back"));

    // Canary's metadata is signed by the same keys, and is not stable's.
    house.write("conf/x", "canary");
    for _ in 0..3 {
        house.publish_to("canary");
    }
    let forged = house.path("forged");
    copy(&house.path("library"), &forged);
    fs::remove_dir_all(forged.join("rings/stable")).unwrap();
    fs::rename(forged.join("rings/canary"), forged.join("rings/stable")).unwrap();
    settings.sources = vec![format!("file://{}", forged.display())];
    settings.root = house.path("fresh");
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, None));
    assert!(report.reason.unwrap().contains("canary"));
}

#[test]
fn promotion_and_rollback_move_forward() {
    let house = House::new();
    house.publish();
    house.sync();
    house.write("conf/x", "bad idea");
    house.publish_to("canary");
    let library = Library::open(&house.path("library")).unwrap();
    let (keys, lifetimes) = (house.keys(), Lifetimes::default());
    let done =
        publish::promote(&library, &keys, ("canary", "stable"), lifetimes, house.now).unwrap();
    assert_eq!((done.release, done.changed), (2, 1));
    assert_eq!(house.sync().release, Some(2));
    house.assert_in_sync();
    let done = publish::rollback(&library, &keys, "stable", 1, lifetimes, house.now).unwrap();
    assert_eq!(done.release, 3);
    let report = house.sync();
    assert_eq!((report.release, report.transfer), (Some(3), Transfer::Patch));
    assert_eq!(fs::read(house.path("client/lib/conf/x")).unwrap(), b"");
    let kind = |to| {
        publish::rollback(&library, &keys, "stable", to, lifetimes, house.now).unwrap_err().kind()
    };
    assert_eq!((kind(0), kind(3), kind(9)), (Kind::Usage, Kind::Usage, Kind::Usage));
}

#[test]
fn a_client_follows_every_rotation_however_long_it_was_away() {
    use crate::sign::Role;
    let mut house = House::new();
    house.publish();
    house.sync();
    let before = house.path("before");
    copy(&house.path("library"), &before);
    let library = Library::open(&house.path("library")).unwrap();
    let rotate = |role, now| {
        publish::rotate(&library, &house.keys(), role, Lifetimes::default(), now).unwrap().version
    };
    // Everything twice, root first, over most of a year.
    let mut version = 1;
    for round in 0..2 {
        for role in [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets] {
            let now = house.now + TimeDelta::days(100 * round);
            version += 1;
            assert_eq!(rotate(role, now), version);
        }
    }
    // Old keys no longer sign anything.
    let old_keys = house.path("old-keys");
    copy(&house.path("keys"), &old_keys);
    for role in ["timestamp", "targets"] {
        fs::rename(
            old_keys.join(format!("{role}.before-3.pem")),
            old_keys.join(format!("{role}.pem")),
        )
        .or_else(|_| {
            fs::rename(
                old_keys.join(format!("{role}.before-5.pem")),
                old_keys.join(format!("{role}.pem")),
            )
        })
        .unwrap();
    }
    let refused = publish::refresh(
        &library,
        &Keys::new(&old_keys),
        "stable",
        Lifetimes::default(),
        house.now,
    );
    assert_eq!(refused.unwrap_err().kind(), Kind::Config);

    house.now += TimeDelta::days(101);
    assert_eq!(house.sync().outcome, Outcome::Current);
    house.write("conf/x", "after");
    house.publish();
    assert_eq!(house.sync().release, Some(2));
    // The root that was accepted last counts, not the one that was pinned: what the old keys
    // signed is no longer believed.
    let mut settings = house.settings();
    settings.sources = vec![format!("file://{}", before.display())];
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, Some(2)));
    // A machine with the first root pinned comes through all of them.
    settings.sources = house.settings().sources;
    settings.root = house.path("second");
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!(report.release, Some(2));
}

#[test]
fn shipped_host_keys_are_adopted_if_they_are_whole() {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8mLpKoMrZ7rMAyNJNVAqY0E7Xn4oKkTfFmqAhWzVDF";
    let house = House::new();
    let pinned = house.path("known_hosts");
    fs::write(&pinned, format!("code.example.com {KEY}\n")).unwrap();
    let mut settings = house.settings();
    settings.known_hosts = Some(pinned.clone());
    settings.sources.push("ssh://util@code.example.com/srv".into());
    let step = |text: &str| {
        house.write("conf/ssh_known_hosts", text);
        house.publish();
        let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
        assert_eq!(report.outcome, Outcome::Updated);
        (report.reason.unwrap_or_default(), fs::read_to_string(&pinned).unwrap() == text)
    };
    let (reason, adopted) = step("");
    assert!(!adopted && reason.contains("names no host"), "{reason}");
    let (reason, adopted) = step("<html>not found</html>\n");
    assert!(!adopted && reason.contains("not adopted"), "{reason}");
    let (reason, adopted) = step(&format!("other.example.com {KEY}\n"));
    assert!(!adopted && reason.contains("code.example.com:22"), "{reason}");
    let (reason, adopted) = step(&format!("*.example.com {KEY}\n"));
    assert!(adopted && reason.contains("adopted"), "{reason}");
    let backup = fs::read_to_string(house.path("known_hosts.before")).unwrap();
    assert_eq!(backup, format!("code.example.com {KEY}\n"));
}

#[test]
fn any_changed_byte_is_refused_and_the_next_source_is_taken() {
    let house = House::new();
    house.publish();
    let mut files = Vec::new();
    crate::stage::walk(&house.path("library/rings/stable"), "", &mut |path, kind| {
        if kind == crate::stage::Entry::File {
            files.push(path.to_owned());
        }
        Ok(())
    })
    .unwrap();
    assert!(files.len() >= 5);
    for file in files.iter().filter(|file| !file.ends_with("manifest") && *file != "1.root.json") {
        let bad = house.path("bad");
        let _ = fs::remove_dir_all(&bad);
        copy(&house.path("library"), &bad);
        let path = bad.join("rings/stable").join(file);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let mut settings = house.settings();
        settings.root = house.path(&format!("client-{}", &file.replace('/', "-")));
        settings.sources = vec![format!("file://{}", bad.display())];
        let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
        assert_eq!(report.outcome, Outcome::Refused, "{file}: {report:?}");
        assert!(!settings.root.join("lib").exists());
        settings.sources.push(house.settings().sources.remove(0));
        let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
        assert_eq!(report.outcome, Outcome::Updated, "{file}");
    }
}

#[test]
fn an_unusable_release_is_not_activated() {
    let house = House::new();
    house.publish();
    house.sync();
    house.write("conf/x", "broken");
    house.publish();
    let refuse = |_: &Staged| Err(Error::refused("conf/tiers.toml line 3: no"));
    let report = sync(&house.settings(), house.now, &refuse, &|_, _| {}).unwrap();
    assert_eq!((report.outcome, report.release), (Outcome::Refused, Some(1)));
    assert_eq!(fs::read(house.path("client/lib/conf/x")).unwrap(), b"");
    assert_eq!(house.sync().release, Some(2));
}

#[test]
fn what_a_job_runs_from_stays() {
    let house = House::new();
    house.publish();
    house.sync();
    let store = Store::open(&house.path("client")).unwrap();
    let first = store.active().unwrap().unwrap();
    let hold = first.hold().unwrap();
    for step in 0..6 {
        house.write("conf/x", &format!("{step}"));
        house.publish();
        house.sync();
    }
    assert!(first.tree.join("modules/a.sh").exists());
    assert_eq!(store.releases().unwrap(), [1, 5, 6, 7]);
    drop(hold);
    house.write("conf/x", "end");
    house.publish();
    house.sync();
    assert_eq!(store.releases().unwrap(), [6, 7, 8]);
}

#[test]
fn two_syncs_at_once_are_busy_and_local_faults_are_errors() {
    let house = House::new();
    house.publish();
    let store = Store::open(&house.path("client")).unwrap();
    let lock = store.lock(Duration::ZERO).unwrap();
    let kind = |settings: &Settings| {
        sync(settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap_err().kind()
    };
    assert_eq!(kind(&house.settings()), Kind::Busy);
    drop(lock);
    let mut settings = house.settings();
    settings.trusted_root = house.path("nowhere");
    assert_eq!(kind(&settings), Kind::Config);
    settings.trusted_root = house.path("tree/modules/a.sh");
    assert_eq!(kind(&settings), Kind::Config);
    let mut settings = house.settings();
    settings.sources = vec!["gopher://x".into()];
    assert_eq!(kind(&settings), Kind::Config);
    settings.sources = vec!["file:///nowhere/at/all".into()];
    let report = sync(&settings, house.now, &|_| Ok(()), &|_, _| {}).unwrap();
    assert_eq!(report.outcome, Outcome::Unreachable);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
