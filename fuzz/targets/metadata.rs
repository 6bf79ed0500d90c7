//! What a carrier answers to a refresh: nothing that was not signed may be accepted.
#![no_main]

use std::sync::OnceLock;

use codesync::{publish, sign::Keys, trust::Trust};

/// A client's trust folder and its pinned root, made once.
fn house() -> &'static tempfile::TempDir {
    static HOUSE: OnceLock<tempfile::TempDir> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = Keys::new(&folder.path().join("keys"));
        let library = folder.path().join("library");
        publish::init(&library, &keys, &["stable".into()], (1, 1), chrono::Utc::now()).expect("a library");
        std::fs::create_dir(folder.path().join("trust")).expect("a folder");
        folder
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let folder = house().path();
    let Ok(mut trust) =
        Trust::open(&folder.join("trust"), &folder.join("keys/root.json"), Some("stable"))
    else {
        return;
    };
    let third = bytes.len() / 3;
    let files: Vec<(String, Vec<u8>)> = ["2.root.json", "timestamp.json", "1.snapshot.json"]
        .iter()
        .zip([&bytes[..third], &bytes[third..2 * third], &bytes[2 * third..]])
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect();
    assert!(trust.refresh(&files, chrono::Utc::now()).is_err());
    assert_eq!(trust.versions().root, 1);
});
