//! Teams: a tree that several sign, honestly and otherwise.

use serde_json::{Value, json};

use super::*;
use crate::{
    Kind,
    gc::gc,
    publish::{Delegation, Place},
    sign::{Key, Passphrase, Role, envelope},
};

impl House {
    fn library(&self) -> Library {
        Library::open(&self.path("library")).unwrap()
    }

    fn delegate(&self, team: &str, paths: &[&str]) -> crate::Result<u64> {
        let path = self.keys().path(team);
        let key = match path.exists() {
            true => Key::read(&path, &Passphrase::default()).unwrap(),
            false => Key::create(&path, None).unwrap(),
        };
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let what = Delegation { team, paths: &paths, keys: &[key.public_key()] };
        let life = Lifetimes::default();
        publish::delegate(&self.library(), &self.keys(), "stable", what, life, self.now)
    }

    fn undelegate(&self, team: &str) -> u64 {
        let (library, life) = (self.library(), Lifetimes::default());
        publish::undelegate(&library, &self.keys(), ("stable", team), life, self.now).unwrap()
    }

    /// Writes into a team's own tree.
    fn give(&self, team: &str, path: &str, content: &str) {
        let path = self.path(&format!("{team}-tree")).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn publish_as(&self, team: &str) -> crate::Result<publish::Report> {
        let place = Place { ring: "stable", team: Some(team) };
        let tree = self.path(&format!("{team}-tree"));
        let life = Lifetimes::default();
        publish::publish(&self.library(), &self.keys(), &tree, place, "t", life, self.now)
    }

    /// The newest metadata of `role`, changed and signed anew under the same version.
    fn forge(&self, role: &str, change: impl FnOnce(&mut Value)) {
        let library = self.library();
        let version = library.versions("stable").unwrap().of(role);
        let mut signed = library.signed("stable", role, version).unwrap().unwrap().signed;
        change(&mut signed);
        let key = self.keys().signer(role).unwrap();
        let path = self.path(&format!("library/rings/stable/{version}.{role}.json"));
        fs::write(path, envelope(&signed, &[&key]).unwrap()).unwrap();
    }

    /// A snapshot with other words, and a timestamp that names it.
    fn snapshot(&self, change: impl FnOnce(&mut Value)) {
        let (library, folder) = (self.library(), self.path("library/rings/stable"));
        let versions = library.versions("stable").unwrap();
        let read = |file: &str| -> Value {
            let bytes = library.metadata("stable", file).unwrap().unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()["signed"].take()
        };
        let mut snapshot = read(&format!("{}.snapshot.json", versions.snapshot));
        let next = versions.snapshot + 1;
        snapshot["version"] = json!(next);
        change(&mut snapshot["meta"]);
        let key = self.keys().role(Role::Snapshot).unwrap();
        let bytes = envelope(&snapshot, &[&key]).unwrap();
        fs::write(folder.join(format!("{next}.snapshot.json")), &bytes).unwrap();
        let mut timestamp = read("timestamp.json");
        timestamp["version"] = json!(versions.timestamp + 1);
        timestamp["meta"]["snapshot.json"] = json!({"version": next});
        let key = self.keys().role(Role::Timestamp).unwrap();
        fs::write(folder.join("timestamp.json"), envelope(&timestamp, &[&key]).unwrap()).unwrap();
    }

    /// The client has the tree and what each of `teams` gave.
    fn assert_union(&self, teams: &[&str]) {
        let mut wanted = contents(&self.path("tree"));
        for team in teams {
            wanted.extend(contents(&self.path(&format!("{team}-tree"))));
        }
        assert_eq!(contents(&self.path("client/lib")), wanted);
        assert_eq!(contents(&self.path("library/export/stable")), wanted);
        let active = Store::existing(&self.path("client")).active().unwrap().unwrap();
        assert_eq!(active.verify().unwrap(), Vec::<String>::new());
    }

    fn refused(&self) -> String {
        let report = self.sync();
        assert_eq!(report.outcome, Outcome::Refused, "{report:?}");
        report.reason.unwrap()
    }
}

/// A house with a first release and the team web in it.
fn with_web() -> House {
    let house = House::new();
    house.publish();
    house.delegate("web", &["modules/web_*", "conf/web/*"]).unwrap();
    house.give("web", "modules/web_a.sh", "w() { :; }\n");
    house.give("web", "conf/web/x", &"setting = 1\n".repeat(500));
    house.publish_as("web").unwrap();
    house
}

#[test]
fn the_tree_is_the_union_of_what_all_sign() {
    let house = House::new();
    house.publish();
    assert_eq!(house.sync().release, Some(1));
    assert_eq!(house.delegate("web", &["modules/web_*"]).unwrap(), 2);
    assert_eq!(house.sync().release, Some(2));
    house.assert_union(&[]);
    house.give("web", "modules/web_a.sh", "w() { :; }\n");
    let done = house.publish_as("web").unwrap();
    assert_eq!((done.release, done.files, done.changed), (3, 1, 1));
    let report = house.sync();
    assert_eq!((report.outcome, report.release), (Outcome::Updated, Some(3)));
    assert_eq!((report.files_total, report.files_changed), (4, 1));
    house.assert_union(&["web"]);
    assert_eq!(house.sync().outcome, Outcome::Current);
    assert_eq!(house.publish_as("web").unwrap().changed, 0);
    assert_eq!(house.sync().release, Some(3));

    // Both go on, in turn and together; clients take patches of each part.
    house.delegate("ops", &["scripts/ops/*"]).unwrap();
    house.give("ops", "scripts/ops/one", "#!/bin/sh\n");
    house.publish_as("ops").unwrap();
    for step in 0..6 {
        house.write("modules/a.sh", &format!("a() {{ echo {step}; }}\n"));
        if step % 2 == 0 {
            house.publish();
        }
        house.give("web", "modules/web_b.sh", &format!("b() {{ echo {step}; }}\n"));
        house.publish_as("web").unwrap();
        house.publish();
        let report = house.sync();
        // The first of them brings a part that is new.
        let way = if step == 0 { Transfer::Full } else { Transfer::Patch };
        assert_eq!((report.outcome, report.transfer), (Outcome::Updated, way), "{report:?}");
        house.assert_union(&["web", "ops"]);
    }
    // A new machine.
    fs::rename(house.path("client"), house.path("old")).unwrap();
    assert_eq!(house.sync().transfer, Transfer::Full);
    house.assert_union(&["web", "ops"]);
    // Their files go with the delegation, and the number grows all the same.
    let before = house.library().versions("stable").unwrap().release();
    assert_eq!(house.undelegate("web"), before + 1);
    assert_eq!(house.sync().release, Some(before + 1));
    house.assert_union(&["ops"]);
    house.undelegate("ops");
    house.sync();
    house.assert_union(&[]);
    house.write("modules/a.sh", "a() { echo alone; }\n");
    assert_eq!(house.publish().release, before + 3);
    assert_eq!(house.sync().transfer, Transfer::Patch);
    house.assert_union(&[]);
    // With the same key it may come back, and has what it had.
    house.delegate("web", &["modules/*"]).unwrap();
    house.sync();
    house.assert_union(&["web"]);
}

#[test]
fn a_path_may_change_hands() {
    let house = with_web();
    house.sync();
    house.write("modules/web_c.sh", "c() { :; }\n");
    house.publish();
    house.sync();
    // Top-level and team in one step of the client, in both directions.
    fs::remove_file(house.path("tree/modules/web_c.sh")).unwrap();
    house.publish();
    house.give("web", "modules/web_c.sh", "c() { echo web; }\n");
    house.publish_as("web").unwrap();
    assert_eq!(house.sync().transfer, Transfer::Patch);
    house.assert_union(&["web"]);
    fs::remove_file(house.path("web-tree/modules/web_c.sh")).unwrap();
    house.publish_as("web").unwrap();
    house.write("modules/web_c.sh/inner", "c() { echo top; }\n");
    house.publish();
    house.sync();
    house.assert_union(&["web"]);
}

#[test]
fn nobody_publishes_what_is_not_his() {
    let house = with_web();
    let number = house.library().versions("stable").unwrap().release();
    let stray = |path: &str, words: &str| {
        house.give("web", path, "x");
        let error = house.publish_as("web").unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.to_string().contains(words), "{error}");
        fs::remove_file(house.path("web-tree").join(path)).unwrap();
    };
    // `*` does not cross `/`, and the glob of what travels lets nothing in.
    for path in ["conf/x2", "modules/web_d/inner", "web.manifest", "conf/web/a/b"] {
        stray(path, "modules/web_* conf/web/*");
    }
    // Two of the same name.
    house.write("modules/web_e.sh", "top");
    house.publish();
    stray("modules/web_e.sh", "published twice, by the top-level publisher and by the team web");
    house.write("modules/web_a.sh", "top");
    let library = house.library();
    let (keys, tree, life) = (house.keys(), house.path("tree"), Lifetimes::default());
    let error =
        publish::publish(&library, &keys, &tree, "stable", "", life, house.now).unwrap_err();
    assert!(error.to_string().contains("modules/web_a.sh"), "{error}");
    assert_eq!(library.versions("stable").unwrap().release(), number + 1);
    // Somebody without a delegation, or with another key.
    assert_eq!(house.publish_as("ops").unwrap_err().kind(), Kind::Config);
    fs::copy(house.keys().path("timestamp"), house.keys().path("web")).unwrap();
    let error = house.publish_as("web").unwrap_err();
    assert!(error.kind() == Kind::Config && error.to_string().contains("none of those"), "{error}");
}

#[test]
fn delegations_are_checked_before_they_are_signed() {
    let house = with_web();
    for paths in [&["a/***"][..], &[""], &["/a"], &["[a"], &[]] {
        assert_eq!(house.delegate("ops", paths).unwrap_err().kind(), Kind::Usage, "{paths:?}");
    }
    for team in ["targets", "Web", "root-1"] {
        let what = Delegation { team, paths: &["*".to_owned()], keys: &[] };
        let (library, keys, life) = (house.library(), house.keys(), Lifetimes::default());
        let error = publish::delegate(&library, &keys, "stable", what, life, house.now);
        assert_eq!(error.unwrap_err().kind(), Kind::Usage, "{team}");
    }
    // What the team has must fit into what it gets.
    let error = house.delegate("web", &["conf/web/*"]).unwrap_err().to_string();
    assert!(error.contains("modules/web_a.sh"), "{error}");
    // Another key takes over when both were named for a while.
    let old = house.keys().signer("web").unwrap().public_key();
    fs::remove_file(house.keys().path("web")).unwrap();
    let error = house.delegate("web", &["modules/web_*", "conf/web/*"]).unwrap_err().to_string();
    assert!(error.contains("name the former key too"), "{error}");
    let new = house.keys().signer("web").unwrap().public_key();
    let paths = ["modules/web_*".to_owned(), "conf/web/*".to_owned()];
    let both = [old, new];
    for keys in [&both[..], &both[1..]] {
        let what = Delegation { team: "web", paths: &paths, keys };
        let (library, keys, life) = (house.library(), house.keys(), Lifetimes::default());
        publish::delegate(&library, &keys, "stable", what, life, house.now).unwrap();
        assert_eq!(house.sync().outcome, Outcome::Updated);
        house.give("web", "modules/web_n.sh", "new");
        house.publish_as("web").unwrap();
        house.sync();
        house.assert_union(&["web"]);
    }
}

#[test]
fn hostile_teams_change_nothing() {
    let house = with_web();
    house.sync();
    // Outside its paths: the delegation was narrowed, what it signed was not.
    house.delegate("web", &["modules/web_*", "conf/web/*", "scripts/*"]).unwrap();
    house.forge("targets", |signed| {
        signed["delegations"]["roles"][0]["paths"] = json!(["conf/web/*", "web.*"]);
    });
    let reason = house.refused();
    assert!(reason.contains("modules/web_a.sh") && reason.contains("not the team"), "{reason}");

    // Two teams that name the same path: the second signed where the first was not.
    let house = with_web();
    house.delegate("ops", &["modules/*"]).unwrap();
    house.sync();
    house.undelegate("web");
    house.give("ops", "modules/web_a.sh", "ops");
    house.publish_as("ops").unwrap();
    house.forge("targets", |signed| {
        let key = house.keys().signer("web").unwrap();
        signed["delegations"]["keys"][key.id()] = key.public();
        let roles = signed["delegations"]["roles"].as_array_mut().unwrap();
        roles.push(json!({
            "name": "web", "keyids": [key.id()], "threshold": 1, "terminating": false,
            "paths": ["modules/web_*", "conf/web/*", "web.*"],
        }));
    });
    assert!(house.refused().contains("published twice"));

    // Another's key.
    let house = with_web();
    house.sync();
    house.give("web", "modules/web_a.sh", "v2");
    house.publish_as("web").unwrap();
    let good = fs::read(house.path("library/rings/stable/2.web.json")).unwrap();
    let key = house.keys().path("web");
    fs::rename(&key, house.path("aside")).unwrap();
    Key::create(&key, None).unwrap();
    house.forge("web", |_| ());
    assert!(house.refused().contains("not signed by the keys"));
    // Another ring's.
    fs::rename(house.path("aside"), &key).unwrap();
    house.forge("web", |signed| signed["ring"] = json!("canary"));
    assert!(house.refused().contains("belongs to ring"));
    // None at all.
    let path = house.path("library/rings/stable/2.web.json");
    fs::remove_file(&path).unwrap();
    assert!(house.refused().contains("did not hand out 2.web.json"));
    fs::write(path, good).unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    house.assert_union(&["web"]);
    // Back to what it was, or out of sight.
    house.snapshot(|meta| meta["web.json"]["version"] = json!(1));
    assert!(house.refused().contains("went back from version 2 to 1"));
    house.snapshot(|meta| _ = meta.as_object_mut().unwrap().remove("web.json"));
    assert!(house.refused().contains("leaves out web.json"));
    house.assert_union(&["web"]);
}

#[test]
fn what_a_team_delegates_further_is_no_part_of_the_tree() {
    let house = with_web();
    house.forge("web", |signed| {
        let key = house.keys().signer("web").unwrap();
        signed["delegations"] = json!({
            "keys": {key.id(): key.public()},
            "roles": [{"name": "sub", "keyids": [key.id()], "threshold": 1, "terminating": false,
                       "paths": ["*", "*/*"]}],
        });
        // Nor are the targets of others.
        signed["targets"]["ops.manifest"] = signed["targets"]["web.manifest"].clone();
        signed["targets"]["manifest"] = signed["targets"]["web.manifest"].clone();
    });
    house.snapshot(|meta| meta["sub.json"] = json!({"version": 1}));
    assert_eq!(house.sync().outcome, Outcome::Updated);
    assert_eq!(house.sync().outcome, Outcome::Current);
    house.assert_union(&["web"]);
}

#[test]
fn an_expired_team_is_stale_until_it_publishes_or_goes() {
    let mut house = with_web();
    house.sync();
    let life = Lifetimes::default();
    house.now += TimeDelta::days(200);
    house.write("conf/x", "half a year later");
    house.publish();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    house.now += TimeDelta::days(170);
    let library = house.library();
    publish::rotate(&library, &house.keys(), None, life, house.now).unwrap();
    house.write("conf/x", "a year later");
    house.publish();
    let report = house.sync();
    assert!(report.stale, "{report:?}");
    assert!(report.reason.unwrap().contains("web.json expired"));
    let told = crate::doctor::examine(&library, None, house.now).unwrap();
    assert!(told.findings.iter().any(|one| one.what.contains("web expired")), "{told:?}");
    // The same tree makes a new release, as it would for the top-level publisher.
    house.publish_as("web").unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    house.assert_union(&["web"]);
}

#[test]
fn damage_is_repaired_part_by_part() {
    let house = with_web();
    house.sync();
    let active = || Store::existing(&house.path("client")).active().unwrap().unwrap();
    for path in ["lib/conf/web/x", "lib/modules/web_a.sh", "lib/modules/a.sh"] {
        fs::write(house.path("client").join(path), "tampered").unwrap();
    }
    let store = Store::existing(&house.path("client"));
    store.mark_damaged(active().number, "conf/web/x").unwrap();
    assert_eq!(house.sync().files_changed, 3);
    house.assert_union(&["web"]);
    // The side files: one part's manifest, all of them, and the union.
    let meta = active().meta;
    fs::write(meta.join("parts/web.1"), "x").unwrap();
    assert_eq!(house.sync().outcome, Outcome::Current);
    fs::write(meta.join("parts/sum"), "x").unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    fs::remove_dir_all(meta.join("parts")).unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    fs::write(meta.join("manifest.json"), "x").unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    assert_eq!(house.sync().outcome, Outcome::Current);
    // Tampered with and not noticed until the next release wants it as a basis.
    fs::write(house.path("client/lib/conf/web/x"), "tampered").unwrap();
    house.give("web", "conf/web/x", &"setting = 2\n".repeat(500));
    house.publish_as("web").unwrap();
    assert_eq!(house.sync().transfer, Transfer::Files);
    house.assert_union(&["web"]);
    // A damaged part is not patched: it comes whole.
    fs::write(active().meta.join("parts/web.2"), "x").unwrap();
    house.give("web", "conf/web/x", "setting = 2.5\n");
    house.publish_as("web").unwrap();
    assert_eq!(house.sync().transfer, Transfer::Full);
    house.assert_union(&["web"]);
    // What the trust folder lost is asked for again.
    house.give("web", "conf/web/x", "setting = 3\n");
    house.publish_as("web").unwrap();
    fs::remove_file(house.path("client/trust/web.json")).unwrap();
    assert_eq!(house.sync().outcome, Outcome::Updated);
    fs::write(house.path("client/trust/web.json"), "{").unwrap();
    assert_eq!(house.sync().outcome, Outcome::Current);
}

#[test]
fn rollback_and_promotion_are_of_one_part() {
    let house = with_web();
    house.write("conf/x", "second");
    house.publish();
    house.give("web", "modules/web_a.sh", "second");
    house.publish_as("web").unwrap();
    house.sync();
    let (library, keys, life) = (house.library(), house.keys(), Lifetimes::default());
    let newest = library.versions("stable").unwrap().release();
    assert_eq!(newest, 5);
    // Release 3 was the team's first; its part at 4 is the same.
    for place in [Place { ring: "stable", team: Some("web") }, "stable".into()] {
        publish::rollback(&library, &keys, place, 3, life, house.now).unwrap();
        house.sync();
        let a = fs::read_to_string(house.path("client/lib/modules/web_a.sh")).unwrap();
        assert_eq!(a, "w() { :; }\n");
        let x = fs::read_to_string(house.path("client/lib/conf/x")).unwrap();
        assert_eq!(x, if place.team.is_some() { "second" } else { "" });
    }
    let told: Vec<(u64, String)> = library
        .history("stable")
        .unwrap()
        .map(|part| part.map(|part| (part.release, part.role)).unwrap())
        .collect();
    let roles = ["targets", "web", "web", "targets", "web", "targets", "targets"];
    let wanted: Vec<(u64, String)> = (1..=7).rev().zip(roles.map(str::to_owned)).collect();
    assert_eq!(told, wanted);
    assert!(library.parts("stable", 8).unwrap().is_none());
    assert_eq!(library.parts("stable", 2).unwrap().unwrap().len(), 1);
    // Another ring knows the team when it was told so.
    publish::promote(&library, &keys, ("stable", "canary"), life, house.now).unwrap();
    assert_eq!(library.parts("canary", 1).unwrap().unwrap().len(), 1);
    let place = Place { ring: "canary", team: Some("web") };
    let promote = || publish::promote(&library, &keys, ("stable", place), life, house.now);
    assert_eq!(promote().unwrap_err().kind(), Kind::Usage);
    let theirs = [keys.signer("web").unwrap().public_key()];
    let paths = ["*/*".to_owned(), "*/*/*".to_owned()];
    let what = Delegation { team: "web", paths: &paths, keys: &theirs };
    publish::delegate(&library, &keys, "canary", what, life, house.now).unwrap();
    assert_eq!(promote().unwrap().release, 3);
}

#[test]
fn rotations_refreshes_and_gc_leave_teams_in_place() {
    let house = with_web();
    house.sync();
    let (library, keys, life) = (house.library(), house.keys(), Lifetimes::default());
    for role in [Role::Snapshot, Role::Targets, Role::Timestamp] {
        publish::rotate(&library, &keys, role, life, house.now).unwrap();
        assert_eq!(house.sync().outcome, Outcome::Current);
    }
    publish::refresh(&library, &keys, "stable", life, house.now).unwrap();
    for step in 0..12 {
        house.give("web", "modules/web_a.sh", &format!("step {step}\n"));
        house.publish_as("web").unwrap();
    }
    assert!(gc(&library, 2, false).unwrap().targets > 0);
    let told = crate::doctor::examine(&library, Some(&keys), house.now).unwrap();
    assert_eq!(told.findings, []);
    assert!(told.expires["stable"].contains_key("web"));
    house.sync();
    house.assert_union(&["web"]);
    fs::remove_dir_all(house.path("client")).unwrap();
    house.sync();
    house.assert_union(&["web"]);
    // Once nothing knows it any more, nothing of it is kept.
    house.undelegate("web");
    for step in 0..2 {
        house.write("conf/x", &format!("{step}"));
        house.publish();
    }
    gc(&library, 2, false).unwrap();
    let left = fs::read_dir(house.path("library/rings/stable/targets")).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.contains(".web.")));
    house.sync();
    house.assert_union(&[]);
}
