//! What a publisher sends to `codesync receive`: nothing may become visible but what was signed.
#![no_main]

mod edit;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use chrono::Utc;
use codesync::{
    library::Library,
    publish::{self, Lifetimes},
    receive::receive,
    sign::Keys,
    wire::{Tag, write_frame},
};

/// A publisher's library with one release, and the frames that push it whole.
struct House {
    _folder: tempfile::TempDir,
    server: PathBuf,
    frames: Vec<Vec<u8>>,
}

fn frame(tag: Tag, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_frame(&mut out, tag, payload).expect("a frame");
    out
}

fn house() -> &'static House {
    static HOUSE: OnceLock<House> = OnceLock::new();
    HOUSE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let (library, tree) = (folder.path().join("library"), folder.path().join("tree"));
        let keys = Keys::new(&folder.path().join("keys"));
        publish::init(&library, &keys, &["stable".into()], (1, 1), Utc::now()).expect("a library");
        fs::create_dir(&tree).expect("a folder");
        fs::write(tree.join("a"), "one").expect("a file");
        let library = Library::open(&library).expect("a library");
        publish::publish(&library, &keys, &tree, "stable", "", Lifetimes::default(), Utc::now())
            .expect("a release");
        let frames = session(&library);
        let server = folder.path().join("server");
        fs::create_dir(&server).expect("a folder");
        House { server, frames, _folder: folder }
    })
}

fn session(library: &Library) -> Vec<Vec<u8>> {
    let ring = library.ring("stable").expect("a ring");
    let names = ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"];
    let read = |path: &Path| fs::read(path).expect("a file");
    let files: Vec<Vec<u8>> = names.iter().map(|name| read(&ring.join(name))).collect();
    let heads: Vec<String> = names
        .iter()
        .zip(&files)
        .map(|(name, bytes)| format!(r#"{{"name":"{name}","length":{}}}"#, bytes.len()))
        .collect();
    let ask = |words: &str| frame(Tag::Request, format!(r#"{{"v":1,"op":{words}}}"#).as_bytes());
    let mut frames = vec![
        ask(r#""begin","rings":["stable"]"#),
        ask(&format!(r#""offer","ring":"stable","files":[{}]"#, heads.join(","))),
    ];
    frames.extend(files.iter().map(|bytes| frame(Tag::Data, bytes)));
    for entry in fs::read_dir(ring.join("targets")).expect("targets").flatten() {
        let (name, bytes) = (entry.file_name(), read(&entry.path()));
        let hash = name.to_str().and_then(|name| name.get(..64)).expect("a hash");
        let length = bytes.len();
        frames.push(ask(&format!(r#""put","sha256":"{hash}","length":{length},"offset":0"#)));
        frames.push(frame(Tag::Data, &bytes));
    }
    frames.push(ask(r#""contents","ring":"stable""#));
    frames.push(ask(r#""commit""#));
    frames
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let house = house();
    let mut said = Vec::new();
    let mut rest = bytes;
    // Each step: one of the honest frames, edited; or the bytes as they are.
    while let [choice, edits, tail @ ..] = rest {
        let words = &tail[..(usize::from(*edits) % 16 * 4).min(tail.len())];
        match house.frames.get(usize::from(*choice) % 16) {
            Some(honest) => said.extend(edit::edited(honest, words)),
            None => said.extend_from_slice(words),
        }
        rest = &tail[words.len()..];
    }
    let _ = receive(&house.server, &mut said.as_slice(), &mut Vec::new(), Utc::now());
    let ring = house.server.join("rings/stable");
    if ring.exists() && fs::read_dir(&ring).is_ok_and(|mut files| files.next().is_some()) {
        // Only a whole push of the signed bytes gets here.
        let library = Library::open(&house.server).expect("half a library became visible");
        assert_eq!(library.versions("stable").expect("half a ring became visible").targets, 1);
        fs::remove_dir_all(&house.server).expect("a folder");
        fs::create_dir(&house.server).expect("a folder");
    }
});
