//! Copies of a library on disk, and machines that sync from them.

use std::{collections::BTreeSet, path::PathBuf};

use super::*;
use crate::{
    library::Library,
    publish::{self, Lifetimes},
    pull,
    sign::{Keys, Role},
    source::https::server::{Faults, Server},
};

struct Setting {
    folder: tempfile::TempDir,
    now: DateTime<Utc>,
}

impl Setting {
    fn new() -> Self {
        let setting = Self { folder: tempfile::tempdir().unwrap(), now: Utc::now() };
        let rings = ["stable".to_owned(), "canary".to_owned()];
        let keys = setting.keys();
        publish::init(&setting.path("library"), &keys, &rings, (1, 1), setting.now).unwrap();
        setting.publish("stable", "first");
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn keys(&self) -> Keys {
        Keys::new(&self.path("keys"))
    }

    fn library(&self) -> Library {
        Library::open(&self.path("library")).unwrap()
    }

    fn publish(&self, ring: &str, content: &str) {
        let tree = self.path("tree");
        fs::create_dir_all(tree.join("modules")).unwrap();
        fs::write(tree.join("modules/a.sh"), content).unwrap();
        fs::write(tree.join("modules/same.sh"), "same").unwrap();
        let lifetimes = Lifetimes::default();
        publish::publish(&self.library(), &self.keys(), &tree, ring, "", lifetimes, self.now)
            .unwrap();
    }

    fn mirror(&self, source: &str, rings: &[&str], prune: bool) -> Result<Vec<Report>> {
        let rings: Vec<String> = rings.iter().map(|ring| (*ring).to_owned()).collect();
        let settings = Settings {
            source,
            folder: &self.path("copy"),
            rings: &rings,
            trusted_root: Some(&self.path("keys/root.json")),
            access: Access { timeout: Duration::from_secs(5), ..Access::default() },
            max_rate: None,
            prune,
            bucket: None,
        };
        mirror(&settings, self.now)
    }

    fn source(&self) -> String {
        format!("file://{}", self.path("library").display())
    }

    /// A new machine's sync from `source`.
    fn sync(&self, root: &str, source: &str) -> pull::Report {
        let settings = pull::Settings {
            root: self.path(root),
            sources: vec![source.to_owned()],
            ring: "stable".into(),
            trusted_root: self.path("keys/root.json"),
            identity: None,
            known_hosts: None,
            connect_timeout: Duration::from_secs(5),
            lock_wait: Duration::ZERO,
            options: pull::Options::default(),
        };
        pull::sync(&settings, self.now, &|_| Ok(()), &|_, _| {}).unwrap()
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    crate::stage::walk(folder, "", &mut |path, kind| {
        let ours = path.starts_with("rings/") || path.starts_with("objects/");
        if ours && kind == crate::stage::Entry::File {
            found.insert(path.to_owned());
        }
        Ok(())
    })
    .unwrap();
    found
}

/// Copies a folder, so that each fault meets the same state.
fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).unwrap();
    crate::stage::walk(from, "", &mut |path, kind| {
        match kind {
            crate::stage::Entry::Folder => fs::create_dir(to.join(path)).unwrap(),
            _ => drop(fs::copy(from.join(path), to.join(path)).unwrap()),
        }
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_copy_is_whole_and_a_second_run_fetches_what_is_new() {
    let setting = Setting::new();
    let server = Server::start(&setting.path("library"));
    let done = setting.mirror(&server.url(), &["stable"], false).unwrap();
    assert_eq!((done[0].release, done[0].targets, done[0].objects), (1, 2, 2));
    assert_eq!(
        files(&setting.path("copy")),
        files(&setting.path("library")).into_iter().filter(|f| !f.contains("canary")).collect()
    );
    let done = setting.mirror(&server.url(), &["stable"], false).unwrap();
    assert_eq!((done[0].targets, done[0].objects), (0, 0));
    server.asked();
    setting.publish("stable", "second");
    let done = setting.mirror(&server.url(), &["stable"], false).unwrap();
    // The manifest, the patch and the new full bundle where there is one; one content.
    assert_eq!((done[0].release, done[0].objects), (2, 1));
    let asked = server.asked();
    assert_eq!(asked[0], "/rings/stable/2.root.json");
    assert_eq!(asked.iter().filter(|path| path.starts_with("/objects/")).count(), 1);

    // Machines sync from it over HTTP, from nothing and from release 1 on.
    let copy = Server::start(&setting.path("copy"));
    assert_eq!(setting.sync("new", &copy.url()).release, Some(2));
    setting.publish("stable", "third");
    setting.mirror(&server.url(), &["stable"], false).unwrap();
    let report = setting.sync("new", &copy.url());
    assert_eq!((report.release, report.transfer), (Some(3), pull::Transfer::Patch));
    assert_eq!(fs::read(setting.path("new/lib/modules/a.sh")).unwrap(), b"third");
    copy.asked();
    assert_eq!(setting.sync("new", &copy.url()).outcome, pull::Outcome::Current);
    assert_eq!(copy.asked(), ["/rings/stable/2.root.json", "/rings/stable/timestamp.json"]);
}

#[test]
fn what_is_cut_off_is_not_seen() {
    let setting = Setting::new();
    let server = Server::start(&setting.path("library"));
    setting.mirror(&server.url(), &["stable"], false).unwrap();
    copy_folder(&setting.path("copy"), &setting.path("before"));
    setting.publish("stable", "second");
    let copy = format!("file://{}", setting.path("copy").display());
    // Whatever is missing on the way, machines see the release before.
    for path in files(&setting.path("library")) {
        let old = setting.path("before").join(&path).exists() && !path.ends_with("timestamp.json");
        if path.contains("canary") || old {
            continue;
        }
        copy_folder(&setting.path("before"), &setting.path("copy"));
        let answers = BTreeMap::from([(format!("/{path}"), "500 Broken".to_owned())]);
        server.fault(Faults { answers, ..Faults::default() });
        let error = setting.mirror(&server.url(), &["stable"], false).unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{path}: {error}");
        let _ = fs::remove_dir_all(setting.path("machine"));
        assert_eq!(setting.sync("machine", &copy).release, Some(1), "{path}");
    }
    server.fault(Faults::default());
    setting.mirror(&server.url(), &["stable"], false).unwrap();
    assert_eq!(setting.sync("machine", &copy).release, Some(2));
}

#[test]
fn a_copy_follows_rotations_and_hands_all_roots_on() {
    let setting = Setting::new();
    setting.mirror(&setting.source(), &["stable"], false).unwrap();
    let rotate = |role| {
        let (library, keys) = (setting.library(), setting.keys());
        publish::rotate(&library, &keys, role, Lifetimes::default(), setting.now).unwrap();
    };
    rotate(Role::Root);
    rotate(Role::Timestamp);
    rotate(Role::Root);
    setting.mirror(&setting.source(), &["stable"], false).unwrap();
    // A crash before the roots were written out.
    for root in ["2.root.json", "4.root.json"] {
        fs::remove_file(setting.path("copy/rings/stable").join(root)).unwrap();
    }
    setting.mirror(&setting.source(), &["stable"], false).unwrap();
    let copy = format!("file://{}", setting.path("copy").display());
    assert_eq!(setting.sync("machine", &copy).release, Some(1));
}

#[test]
fn a_lying_source_changes_nothing() {
    let setting = Setting::new();
    setting.mirror(&setting.source(), &["stable"], false).unwrap();
    let before = files(&setting.path("copy"));
    copy_folder(&setting.path("copy"), &setting.path("before"));
    setting.publish("stable", "second");
    let library = setting.path("library");
    for path in files(&library) {
        let old = before.contains(&path) && !path.ends_with("timestamp.json");
        if path.contains("canary") || path.contains("root") || old {
            continue;
        }
        copy_folder(&setting.path("before"), &setting.path("copy"));
        let good = fs::read(library.join(&path)).unwrap();
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(library.join(&path), bad).unwrap();
        let error = setting.mirror(&setting.source(), &["stable"], false).unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{path}: {error}");
        fs::write(library.join(&path), good).unwrap();
    }
    let copy = format!("file://{}", setting.path("copy").display());
    assert_eq!(setting.sync("machine", &copy).release, Some(1));
    // Another library's root, or none.
    let other = Setting::new();
    let rings = ["stable".to_owned()];
    let (source, folder, root) =
        (setting.source(), setting.path("copy"), other.path("keys/root.json"));
    let mut settings = Settings {
        source: &source,
        folder: &folder,
        rings: &rings,
        trusted_root: Some(&root),
        access: Access::default(),
        max_rate: None,
        prune: false,
        bucket: None,
    };
    assert_eq!(mirror(&settings, setting.now).unwrap_err().kind(), Kind::Config);
    let fresh = setting.path("fresh");
    (settings.folder, settings.trusted_root) = (&fresh, None);
    assert_eq!(mirror(&settings, setting.now).unwrap_err().kind(), Kind::Config);
}

#[test]
fn pruning_keeps_what_the_last_8_releases_of_every_ring_need() {
    let setting = Setting::new();
    setting.publish("canary", "only canary has this");
    for number in 2..=20 {
        setting.publish("stable", &format!("content {number}"));
        setting.mirror(&setting.source(), &["stable", "canary"], false).unwrap();
    }
    let before = files(&setting.path("copy"));
    let done = setting.mirror(&setting.source(), &["stable", "canary"], true).unwrap();
    let after = files(&setting.path("copy"));
    assert_eq!(done[1].removed, before.len() - after.len());
    let objects = after.iter().filter(|path| path.starts_with("objects/")).count();
    // 8 versions of one file, canary's, and the one that never changes.
    assert_eq!(objects, 10);
    assert!(!after.contains("rings/stable/12.targets.json"));
    assert!(after.contains("rings/stable/13.targets.json"));
    let copy = format!("file://{}", setting.path("copy").display());
    assert_eq!(setting.sync("machine", &copy).release, Some(20));
    // What leads on from a release before those 8 is there too.
    assert!(after.iter().any(|path| path.ends_with(".2-8.patch.zst")));
    assert!(!after.iter().any(|path| path.ends_with(".2-7.patch.zst")));
    // Nothing more to remove, and nothing is fetched again.
    let done = setting.mirror(&setting.source(), &["stable", "canary"], true).unwrap();
    assert_eq!((done[1].removed, done[0].targets, done[0].objects), (0, 0, 0));
}
