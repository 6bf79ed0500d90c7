//! A session in memory: what a client asks, and what it gets.

use super::*;
use crate::wire::{Failure, FileHead};

fn library() -> (tempfile::TempDir, Library) {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("scripts/daily")).unwrap();
    fs::write(tree.join("scripts/daily/a"), "#!/bin/sh\n".repeat(2000)).unwrap();
    let keys = crate::sign::Keys::new(&folder.path().join("keys"));
    let library = folder.path().join("library");
    let now = chrono::Utc::now();
    crate::publish::init(&library, &keys, &["stable".into()], (1, 1), now).unwrap();
    let library = Library::open(&library).unwrap();
    let lifetimes = crate::publish::Lifetimes::default();
    crate::publish::publish(&library, &keys, &tree, "stable", "", lifetimes, now).unwrap();
    (folder, library)
}

fn session(library: &Library, requests: &[u8]) -> Vec<(Tag, Vec<u8>)> {
    let mut answer = Vec::new();
    let _ = serve(library, &mut { requests }, &mut answer, &mut Visit::default());
    let mut frames = Vec::new();
    let mut reader = answer.as_slice();
    let mut payload = Vec::new();
    while let Some(tag) = read_frame(&mut reader, &mut payload).unwrap() {
        frames.push((tag, payload.clone()));
    }
    frames
}

fn request(json: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_frame(&mut bytes, Tag::Request, json.as_bytes()).unwrap();
    bytes
}

#[test]
fn nothing_new_is_five_bytes() {
    let (_folder, library) = library();
    let asked = request(
        r#"{"v":1,"op":"refresh","ring":"stable","root":1,"timestamp":1,"snapshot":1,"targets":1}"#,
    );
    assert_eq!(session(&library, &asked), [(Tag::End, vec![])]);
    assert!(asked.len() <= 120, "{}", asked.len());
}

#[test]
fn a_first_refresh_comes_in_the_order_of_verification() {
    let (_folder, library) = library();
    let frames = session(
        &library,
        &request(
            r#"{"v":1,"op":"refresh","ring":"stable","root":0,"timestamp":0,"snapshot":0,"targets":0}"#,
        ),
    );
    let names: Vec<String> = frames
        .iter()
        .filter(|(tag, _)| *tag == Tag::File)
        .map(|(_, payload)| serde_json::from_slice::<FileHead>(payload).unwrap().name)
        .collect();
    assert_eq!(names, ["1.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
}

#[test]
fn what_is_not_there_ends_the_answer_but_not_the_session() {
    let (_folder, library) = library();
    let hash = "0".repeat(64);
    let mut asked = request(&format!(r#"{{"v":1,"op":"objects","sha256":["{hash}"]}}"#));
    asked.extend(request(&format!(
        r#"{{"v":1,"op":"target","ring":"stable","name":"{hash}.manifest"}}"#
    )));
    asked.extend(request(
        r#"{"v":1,"op":"refresh","ring":"nope","root":0,"timestamp":0,"snapshot":0,"targets":0}"#,
    ));
    asked.extend(request(
        r#"{"v":1,"op":"refresh","ring":"stable","root":1,"timestamp":1,"snapshot":1,"targets":1}"#,
    ));
    let tags: Vec<Tag> = session(&library, &asked).iter().map(|(tag, _)| *tag).collect();
    assert_eq!(tags, [Tag::Error, Tag::Error, Tag::Error, Tag::End]);
}

#[test]
fn hostile_requests_get_an_error_and_the_end() {
    let (_folder, library) = library();
    let signature = [0x72, 0x73, 0x01, 0x36, 0, 0, 0, 0, 0, 0, 0, 8];
    let mut zero_blocks = request(&format!(
        r#"{{"v":1,"op":"delta","sha256":"{}","length":12}}"#,
        hex::encode(library.versions("stable").map(|_| [0_u8; 32]).unwrap())
    ));
    write_frame(&mut zero_blocks, Tag::Signature, &signature).unwrap();
    for asked in [
        request("{}"),
        request("not json"),
        request(
            r#"{"v":2,"op":"refresh","ring":"stable","root":0,"timestamp":0,"snapshot":0,"targets":0}"#,
        ),
        request(r#"{"v":1,"op":"shell"}"#),
        request(r#"{"v":1,"op":"target","ring":"stable","name":"../../keys/root.json"}"#),
        request(r#"{"v":1,"op":"objects","sha256":["../x"]}"#),
        request(&format!(
            r#"{{"v":1,"op":"delta","sha256":"{}","length":99999999}}"#,
            "0".repeat(64)
        )),
        b"Q\xff\xff\xff\xff".to_vec(),
        b"D\x00\x00\x00\x01a".to_vec(),
        zero_blocks,
    ] {
        let frames = session(&library, &asked);
        assert_eq!(frames.len(), 1, "{:?}", String::from_utf8_lossy(&asked));
        assert_eq!(frames[0].0, Tag::Error);
        serde_json::from_slice::<Failure>(&frames[0].1).unwrap();
    }
    // A ring's name that climbs is simply not there.
    let climbing =
        r#"{"v":1,"op":"refresh","ring":"../..","root":0,"timestamp":0,"snapshot":0,"targets":0}"#;
    assert_eq!(session(&library, &request(climbing))[0].0, Tag::Error);
}

#[test]
fn a_delta_leads_to_the_content() {
    let (folder, library) = library();
    let content = fs::read(folder.path().join("tree/scripts/daily/a")).unwrap();
    let mut mine = content.clone();
    mine.truncate(15_000);
    let options = fast_rsync::SignatureOptions { block_size: 1024, crypto_hash_size: 8 };
    let signature = fast_rsync::Signature::calculate(&mine, options).into_serialized();
    let hash = hex::encode(crate::manifest::sha256(&content));
    let mut asked = request(&format!(
        r#"{{"v":1,"op":"delta","sha256":"{hash}","length":{}}}"#,
        signature.len()
    ));
    write_frame(&mut asked, Tag::Signature, &signature).unwrap();
    let frames = session(&library, &asked);
    let delta: Vec<u8> = frames
        .iter()
        .filter(|(tag, _)| *tag == Tag::Data)
        .flat_map(|(_, payload)| payload.clone())
        .collect();
    let mut result = Vec::new();
    fast_rsync::apply_limited(&mine, &delta, &mut result, content.len()).unwrap();
    assert_eq!(result, content);
}

#[test]
fn one_content_can_be_had_from_a_byte_on() {
    let (_folder, library) = library();
    let content = "#!/bin/sh\n".repeat(2000);
    let hash = hex::encode(crate::manifest::sha256(content.as_bytes()));
    let ask = |hashes: &str, offset: u64| {
        let json = format!(r#"{{"v":1,"op":"objects","sha256":[{hashes}],"offset":{offset}}}"#);
        session(&library, &request(&json))
    };
    let one = format!("{hash:?}");
    for (offset, rest) in [(0, &content[..]), (19_995, "n/sh\n"), (20_000, ""), (30_000, "")] {
        let frames = ask(&one, offset);
        let head: FileHead = serde_json::from_slice(&frames[0].1).unwrap();
        assert_eq!(head.length, rest.len() as u64, "{offset}");
        let sent: Vec<u8> = frames
            .iter()
            .filter(|(tag, _)| *tag == Tag::Data)
            .flat_map(|(_, d)| d.clone())
            .collect();
        assert_eq!(sent, rest.as_bytes(), "{offset}");
    }
    let frames = ask(&format!("{one},{one}"), 1);
    let failure: Failure = serde_json::from_slice(&frames[0].1).unwrap();
    assert_eq!(failure.code, "bad-request");
}

#[test]
fn the_metadata_of_teams_is_for_clients_that_know_them() {
    use crate::publish::{Delegation, Lifetimes, Place, delegate, publish};
    let (folder, library) = library();
    let keys = crate::sign::Keys::new(&folder.path().join("keys"));
    let key = crate::sign::Key::create(&keys.path("web"), None).unwrap().public_key();
    let (life, now) = (Lifetimes::default(), chrono::Utc::now());
    let paths = ["*/*/*".to_owned()];
    let what = Delegation { team: "web", paths: &paths, keys: &[key] };
    delegate(&library, &keys, "stable", what, life, now).unwrap();
    let tree = folder.path().join("web/scripts/web");
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("a"), "a").unwrap();
    let place = Place { ring: "stable", team: Some("web") };
    publish(&library, &keys, &folder.path().join("web"), place, "", life, now).unwrap();
    let names = |asked: &str| -> Vec<String> {
        let asked = format!(r#"{{"v":1,"op":"refresh","ring":"stable",{asked}}}"#);
        session(&library, &request(&asked))
            .iter()
            .filter(|(tag, _)| *tag == Tag::File)
            .map(|(_, payload)| serde_json::from_slice::<FileHead>(payload).unwrap().name)
            .collect()
    };
    let old = r#""root":1,"timestamp":1,"snapshot":1,"targets":1"#;
    let all = ["timestamp.json", "3.snapshot.json", "2.targets.json", "1.web.json"];
    assert_eq!(names(old), all[..3]);
    assert_eq!(names(&format!(r#"{old},"roles":{{}}"#)), all);
    assert_eq!(names(&format!(r#"{old},"roles":{{"web":1}}"#)), all[..3]);
    let now = r#""root":1,"timestamp":3,"snapshot":3,"targets":2,"roles":{"web":1,"ops":9}"#;
    assert_eq!(names(now), Vec::<String>::new());
    let torn = r#""root":1,"timestamp":3,"snapshot":3,"targets":2,"roles":{"web":0}"#;
    assert_eq!(names(torn), all[3..]);
}

#[test]
fn a_session_has_an_end() {
    let (_folder, library) = library();
    let one = request(r#"{"v":1,"op":"objects","sha256":[]}"#);
    let frames = session(&library, &one.repeat(100_001));
    assert_eq!(frames.len(), 100_001);
    let failure: Failure = serde_json::from_slice(&frames[100_000].1).unwrap();
    assert_eq!(failure.code, "limit");
}
