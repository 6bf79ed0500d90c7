//! What a carrier answers to a refresh: nothing that was not signed may be accepted, and what was
//! signed by a careless or stolen key is survived.
#![no_main]

mod edit;

use std::{fs, path::PathBuf, sync::OnceLock};

use chrono::Utc;
use codesync::{
    library::Library,
    publish::{self, Lifetimes},
    sign::{Keys, Role, envelope},
    trust::Trust,
};

const NAMES: [&str; 4] = ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];

/// A library with one release, and what a publisher's keys can sign.
struct House {
    folder: tempfile::TempDir,
    keys: Keys,
    /// By [`NAMES`], the text of `signed`.
    signed: [Vec<u8>; 4],
}

impl House {
    fn pinned(&self) -> PathBuf {
        self.folder.path().join("keys/root.json")
    }
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Keys::new(&folder.path().join("keys"));
        let (library, tree) = (folder.path().join("library"), folder.path().join("tree"));
        publish::init(&library, &keys, &["stable".into()], (1, 1), Utc::now()).expect("a library");
        fs::create_dir(&tree).expect("a folder");
        fs::write(tree.join("a"), "one").expect("a file");
        let library = Library::open(&library).expect("a library");
        publish::publish(&library, &keys, &tree, "stable", "", Lifetimes::default(), Utc::now())
            .expect("a release");
        let ring = library.ring("stable").expect("a ring");
        let signed = ["1.root.json", NAMES[1], NAMES[2], NAMES[3]].map(|name| {
            let text = fs::read_to_string(ring.join(name)).expect("metadata");
            let at = text.find("\"signed\":").expect("signed");
            text[at + 9..text.len() - 1].as_bytes().to_vec()
        });
        House { folder, keys, signed }
    })
}

/// The file `at` of [`NAMES`]: the honest words, edited, signed with the right key.
fn signed(house: &House, at: usize, edits: &[u8]) -> Option<Vec<u8>> {
    let words = edit::edited(&house.signed[at], edits);
    let value = serde_json::from_slice(&words).ok()?;
    let role = [Role::Root, Role::Timestamp, Role::Snapshot, Role::Targets][at];
    let key = match role {
        Role::Root => house.keys.read("root-1").ok()?,
        role => house.keys.role(role).ok()?,
    };
    envelope(&value, &[&key]).ok()
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let house = house();
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let mut trust =
        Trust::open(folder.path(), &house.pinned(), Some("stable")).expect("an empty trust folder");
    let quarter = bytes.len() / 4;
    let parts = [0, 1, 2, 3].map(|n| &bytes[n * quarter..(n + 1) * quarter]);
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let text = match choice % 2 {
            0 => Some(part.to_vec()),
            _ => signed(house, at, part),
        };
        files.extend(text.map(|text| (NAMES[at].to_owned(), text)));
    }
    if choice % 2 == 0 {
        assert!(trust.refresh(&files, Utc::now()).is_err());
        assert_eq!(trust.versions().root, 1);
        return;
    }
    if trust.refresh(&files, Utc::now()).is_ok() {
        let _ = trust.tree();
    }
    // What was accepted is read again at the next start.
    let again = Trust::open(folder.path(), &house.pinned(), Some("stable"));
    assert!(again.is_ok_and(|again| again.versions().root >= trust.versions().root));
});
