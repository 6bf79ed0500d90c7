//! Pushes in memory: what a publisher may do, and what a hostile one gets.

use std::{fs, os::unix::net::UnixStream, path::PathBuf};

use super::*;
use crate::{
    library::Library,
    manifest::sha256,
    publish::{self, Lifetimes},
    push::{Report, push},
    sign::{Keys, Role},
    source::Remote,
};

struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(site.server()).unwrap();
        let rings = ["canary".to_owned(), "stable".to_owned()];
        publish::init(&site.path("library"), &site.keys(), &rings, (1, 1), Utc::now()).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn server(&self) -> PathBuf {
        self.path("server")
    }

    fn keys(&self) -> Keys {
        Keys::new(&self.path("keys"))
    }

    fn library(&self) -> Library {
        Library::open(&self.path("library")).unwrap()
    }

    fn publish(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = self.path("tree").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let life = Lifetimes::default();
        let (library, keys) = (self.library(), self.keys());
        publish::publish(&library, &keys, &self.path("tree"), "stable", "", life, Utc::now())
            .unwrap();
    }

    /// A library beside, as it is now.
    fn copy(&self, name: &str) -> Library {
        copy(&self.path("library"), &self.path(name));
        Library::open(&self.path(name)).unwrap()
    }

    fn push(&self, library: &Library) -> Result<Report> {
        self.push_at(library, None, Utc::now())
    }

    fn push_at(
        &self,
        library: &Library,
        keys: Option<&Keys>,
        now: DateTime<Utc>,
    ) -> Result<Report> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = self.server();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut reader = theirs.try_clone().unwrap();
                let mut writer = theirs;
                let _ = receive(&server, &mut reader, &mut writer, now);
            });
            push(library, &mut Remote::new(ours), &[], keys, now, &|_, _| {})
        })
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// A request, and the files whose bytes follow it.
type Asked = (String, Vec<Vec<u8>>);

/// Sends `requests` (an op's JSON and the bytes after it); the code of the error that ends it.
fn session(server: &Path, requests: &[Asked]) -> Option<String> {
    let mut asked = Vec::new();
    for (json, files) in requests {
        write_frame(&mut asked, Tag::Request, json.as_bytes()).unwrap();
        for piece in files.iter().flat_map(|bytes| bytes.chunks(PIECE)) {
            write_frame(&mut asked, Tag::Data, piece).unwrap();
        }
    }
    let mut answer = Vec::new();
    let _ = receive(server, &mut asked.as_slice(), &mut answer, Utc::now());
    let (mut reader, mut payload) = (answer.as_slice(), Vec::new());
    while let Some(tag) = read_frame(&mut reader, &mut payload).unwrap() {
        if tag == Tag::Error {
            return Some(serde_json::from_slice::<Failure>(&payload).unwrap().code);
        }
    }
    None
}

fn begin() -> Asked {
    (r#"{"v":1,"op":"begin","rings":["stable"]}"#.to_owned(), Vec::new())
}

/// The offer of what `library` has, each file changed by `change`.
fn offer(library: &Library, change: &dyn Fn(&str, Vec<u8>) -> Vec<u8>) -> Asked {
    let v = library.versions("stable").unwrap();
    let (mut heads, mut all) = (Vec::new(), Vec::new());
    for name in [
        "1.root.json".to_owned(),
        "timestamp.json".to_owned(),
        format!("{}.snapshot.json", v.snapshot),
        format!("{}.targets.json", v.targets),
    ] {
        let bytes = change(&name, library.metadata("stable", &name).unwrap().unwrap());
        heads.push(serde_json::json!({"name": name, "length": bytes.len()}));
        all.push(bytes);
    }
    (serde_json::json!({"v": 1, "op": "offer", "ring": "stable", "files": heads}).to_string(), all)
}

fn files(folder: &Path) -> usize {
    let count = |entry: fs::DirEntry| {
        if entry.file_type().unwrap().is_dir() {
            files(&entry.path())
        } else {
            usize::from(entry.file_name() != ".lock")
        }
    };
    fs::read_dir(folder).unwrap().map(|entry| count(entry.unwrap())).sum()
}

#[test]
fn a_first_push_and_the_next_ones() {
    let site = Site::new();
    site.publish(&[("a", "one"), ("b/c", "two"), ("d", "three")]);
    let first = site.push(&site.library()).unwrap();
    let root = fs::read(site.path("keys/root.json")).unwrap();
    assert_eq!(first.trusted_root, Some(hex::encode(sha256(&root))));
    assert_eq!(first.trusted_keys.len(), 1);
    assert_eq!((first.rings[0].previous, first.rings[0].release), (0, 1));
    // Bundles carry the contents: nothing goes twice.
    assert_eq!(first.files, 1, "{first:?}");
    assert_eq!(fs::read(site.path("server/export/stable/b/c")).unwrap(), b"two");

    for round in 2..=12 {
        site.publish(&[("a", &format!("one {round}"))]);
        let next = site.push(&site.library()).unwrap();
        assert_eq!((next.rings[0].previous, next.rings[0].release), (round - 1, round));
        assert_eq!(next.trusted_root, None);
    }
    let again = site.push(&site.library()).unwrap();
    assert_eq!((again.files, again.rings[0].previous), (0, 12));
    assert_eq!(files(&site.path("server/incoming")), 0);
    let server = Library::open(&site.server()).unwrap();
    assert_eq!(server.versions("stable").unwrap(), site.library().versions("stable").unwrap());
    // A ring that had no release then, and one that skips releases.
    for round in 0..12 {
        site.publish(&[("a", &format!("more {round}"))]);
    }
    publish::promote(
        &site.library(),
        &site.keys(),
        ("stable", "canary"),
        Lifetimes::default(),
        Utc::now(),
    )
    .unwrap();
    let both = site.push(&site.library()).unwrap();
    let steps: Vec<_> =
        both.rings.iter().map(|s| (s.ring.as_str(), s.previous, s.release)).collect();
    assert_eq!(steps, [("canary", 0, 1), ("stable", 12, 24)]);
    assert_eq!(fs::read(site.path("server/export/canary/a")).unwrap(), b"more 11");
}

#[test]
fn rotated_keys_travel() {
    let site = Site::new();
    site.publish(&[("a", "one")]);
    site.push(&site.library()).unwrap();
    for role in [Role::Timestamp, Role::Root, Role::Targets, Role::Snapshot] {
        publish::rotate(&site.library(), &site.keys(), role, Lifetimes::default(), Utc::now())
            .unwrap();
        if role != Role::Root {
            site.push(&site.library()).unwrap();
        }
    }
    site.publish(&[("a", "two")]);
    assert_eq!(site.push(&site.library()).unwrap().rings[0].release, 2);
    assert_eq!(Library::open(&site.server()).unwrap().root_version("stable").unwrap(), 5);
}

#[test]
fn versions_do_not_go_back_and_libraries_do_not_part() {
    let site = Site::new();
    site.publish(&[("a", "one")]);
    let old = site.copy("old");
    let fork = site.copy("fork");
    site.publish(&[("a", "two")]);
    site.push(&site.library()).unwrap();
    let before = files(&site.server());
    let error = site.push(&old).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    // The server does not rely on the publisher's own check.
    assert_eq!(session(&site.server(), &[begin(), offer(&old, &|_, b| b)]), Some("refused".into()));

    fs::write(site.path("tree/a"), "elsewhere").unwrap();
    let life = Lifetimes::default();
    publish::publish(&fork, &site.keys(), &site.path("tree"), "stable", "", life, Utc::now())
        .unwrap();
    let error = site.push(&fork).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused, "{error}");
    assert_eq!(files(&site.server()), before);
    assert_eq!(fs::read(site.path("server/export/stable/a")).unwrap(), b"two");
}

#[test]
fn what_is_not_signed_leaves_no_file() {
    let site = Site::new();
    site.publish(&[("a", "one")]);
    let library = site.library();
    // Another library's keys, of the same names.
    let other = Site::new();
    other.publish(&[("a", "one")]);
    site.push(&library).unwrap();
    site.publish(&[("a", "two")]);
    let before = files(&site.server());
    assert_eq!(other.library().versions("stable").unwrap().targets, 1);
    other.publish(&[("a", "evil")]);
    other.publish(&[("a", "evil 2")]);
    let error = {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = site.server();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut reader = theirs.try_clone().unwrap();
                let _ = receive(&server, &mut reader, &mut { theirs }, Utc::now());
            });
            push(&other.library(), &mut Remote::new(ours), &[], None, Utc::now(), &|_, _| {})
        })
        .unwrap_err()
    };
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("not signed by the keys"), "{error}");
    // One byte of any metadata.
    for changed in ["timestamp.json", "2.snapshot.json", "2.targets.json"] {
        let flip = |name: &str, mut bytes: Vec<u8>| {
            if name == changed {
                let at = bytes.len() - 40;
                bytes[at] ^= 1;
            }
            bytes
        };
        let code = session(&site.server(), &[begin(), offer(&library, &flip)]);
        assert_eq!(code.as_deref(), Some("refused"), "{changed}");
    }
    let hash = hex::encode(sha256(b"anything"));
    let put = format!(r#"{{"v":1,"op":"put","sha256":"{hash}","length":8,"offset":0}}"#);
    let good = offer(&library, &|_, bytes| bytes);
    for requests in [
        vec![begin(), (put.clone(), vec![b"anything".to_vec()])],
        vec![begin(), good.clone(), (put, vec![b"anything".to_vec()])],
        vec![begin(), good.clone(), (r#"{"v":1,"op":"commit"}"#.into(), vec![])],
        vec![(r#"{"v":1,"op":"commit"}"#.into(), vec![])],
        vec![begin(), begin()],
        vec![begin(), (r#"{"v":1,"op":"contents","ring":"stable"}"#.into(), vec![])],
        vec![(r#"{"v":1,"op":"begin","rings":["../x"]}"#.into(), vec![])],
        vec![(r#"{"v":2,"op":"commit"}"#.into(), vec![])],
        vec![begin(), (good.0.replace("1.root", "../1.root"), good.1.clone())],
        vec![begin(), (good.0.replace("\"length\":", "\"length\":9999999"), good.1)],
    ] {
        let code = session(&site.server(), &requests);
        assert_eq!(code.as_deref(), Some("bad-request"), "{:?}", requests.last().unwrap().0);
    }
    assert_eq!(files(&site.server()), before);
}

#[test]
fn a_server_that_refreshed_itself_is_overtaken_with_keys_only() {
    let site = Site::new();
    site.publish(&[("a", "one")]);
    site.push(&site.library()).unwrap();
    let server = Library::open(&site.server()).unwrap();
    for _ in 0..30 {
        publish::refresh(&server, &site.keys(), "stable", Lifetimes::default(), Utc::now())
            .unwrap();
    }
    site.publish(&[("a", "two")]);
    let error = site.push(&site.library()).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("--keys"), "{error}");
    let done = site.push_at(&site.library(), Some(&site.keys()), Utc::now()).unwrap();
    assert_eq!(done.rings[0].release, 2);
    assert_eq!(server.versions("stable").unwrap().timestamp, 32);
}

#[test]
fn expired_metadata_and_strangers_folders_are_refused() {
    let site = Site::new();
    site.publish(&[("a", "one")]);
    let later = Utc::now() + chrono::TimeDelta::days(15);
    let error = site.push_at(&site.library(), None, later).unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.to_string().contains("expired"), "{error}");
    fs::write(site.path("server/letters"), "mine").unwrap();
    assert_eq!(site.push(&site.library()).unwrap_err().kind(), Kind::Unreachable);
}

#[test]
fn a_damaged_object_on_the_server_is_healed() {
    let site = Site::new();
    let text = "text\n".repeat(1000);
    site.publish(&[("a", &text), ("b", "x")]);
    site.push(&site.library()).unwrap();
    let server = Library::open(&site.server()).unwrap();
    let object = server.object(&sha256(text.as_bytes()));
    fs::write(&object, "cut").unwrap();
    site.publish(&[("b", "y")]);
    let done = site.push(&site.library()).unwrap();
    assert_eq!(done.rings[0].release, 2);
    assert_eq!(fs::read(&object).unwrap(), text.as_bytes());
    assert_eq!(fs::read(site.path("server/export/stable/a")).unwrap(), text.as_bytes());
}

#[test]
fn parts_of_teams_travel_and_only_what_is_theirs() {
    use crate::publish::{Delegation, Place, delegate};
    let site = Site::new();
    site.publish(&[("a", "one")]);
    let (keys, life) = (site.keys(), Lifetimes::default());
    let key = crate::sign::Key::create(&keys.path("web"), None).unwrap();
    let (theirs, paths) = ([key.public_key()], ["web/*".to_owned(), "*".to_owned()]);
    let what = Delegation { team: "web", paths: &paths, keys: &theirs };
    delegate(&site.library(), &keys, "stable", what, life, Utc::now()).unwrap();
    let publish = |library: &Library, files: &[(&str, &str)]| {
        let tree = site.path("web-tree");
        let _ = fs::remove_dir_all(&tree);
        for (path, text) in files {
            fs::create_dir_all(tree.join(path).parent().unwrap()).unwrap();
            fs::write(tree.join(path), text).unwrap();
        }
        let place = Place { ring: "stable", team: Some("web") };
        publish::publish(library, &keys, &tree, place, "", life, Utc::now()).unwrap();
    };
    publish(&site.library(), &[("web/x", "x"), ("stray", "s")]);
    let done = site.push(&site.library()).unwrap();
    assert_eq!((done.rings[0].previous, done.rings[0].release), (0, 3));
    assert_eq!(fs::read(site.path("server/export/stable/web/x")).unwrap(), b"x");
    // Two go different ways, and the one that comes second is told.
    let other = site.copy("other");
    publish(&site.library(), &[("web/x", "ours")]);
    publish(&other, &[("web/x", "theirs")]);
    site.push(&site.library()).unwrap();
    let error = site.push(&other).unwrap_err();
    assert!(
        error.kind() == Kind::Refused && error.to_string().contains("different ways"),
        "{error}"
    );
    // The team is behind here, though the top-level publisher went on.
    let behind = site.copy("behind");
    publish(&site.library(), &[("web/x", "ours too"), ("stray", "s")]);
    site.push(&site.library()).unwrap();
    let place = "stable";
    for text in ["two", "three", "four"] {
        fs::write(site.path("tree/a"), text).unwrap();
        publish::publish(&behind, &keys, &site.path("tree"), place, "", life, Utc::now()).unwrap();
    }
    let error = site.push(&behind).unwrap_err().to_string();
    assert!(error.contains("web.json 3") && error.contains("never go back"), "{error}");
    // The publisher's key gives the team less than it signed: no machine would take it.
    let before = files(&site.server());
    site.publish(&[("a", "five")]);
    let path = site.path("library/rings/stable/3.targets.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    json["signed"]["delegations"]["roles"][0]["paths"] = serde_json::json!(["web/*", "web.*"]);
    let signer = keys.role(Role::Targets).unwrap();
    fs::write(&path, crate::sign::envelope(&json["signed"], &[&signer]).unwrap()).unwrap();
    let error = site.push(&site.library()).unwrap_err();
    assert!(error.kind() == Kind::Refused && error.to_string().contains("\"stray\""), "{error}");
    assert_eq!(fs::read(site.path("server/export/stable/a")).unwrap(), b"one");
    // What was uploaded waits in `incoming`; nothing of it can be seen.
    assert!(files(&site.server()) >= before);
}
