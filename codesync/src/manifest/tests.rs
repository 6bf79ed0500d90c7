//! The text form, what is refused of it, and differences.

use super::*;

fn file(path: &str, content: &str, executable: bool) -> File {
    File {
        path: path.into(),
        sha256: sha256(content.as_bytes()),
        size: content.len() as u64,
        executable,
    }
}

#[test]
fn text_form_round_trips_and_is_json() {
    for files in [vec![], vec![file("a\"b", "1", true), file("ä/ö", "2", false)]] {
        let manifest = Manifest::new(files).unwrap();
        let text = manifest.text();
        assert_eq!(Manifest::parse(text.as_bytes()).unwrap(), manifest);
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["format"], 1);
    }
}

#[test]
fn damaged_text_is_refused() {
    let good = Manifest::new(vec![file("a", "1", false), file("b", "2", false)]).unwrap();
    let good = good.text();
    for (from, to) in [
        ("\"format\":1", "\"format\":2"),
        ("0644", "4755"),
        ("\"a\"", "\"../a\""),
        ("\"a\"", "\"b\""),
        ("\"a\"", "\"c\""),
        ("]}", "]"),
    ] {
        assert!(Manifest::parse(good.replacen(from, to, 1).as_bytes()).is_err(), "{from}→{to}");
    }
}

#[test]
fn differences() {
    let old = Manifest::new(vec![file("a", "1", false), file("b", "2", false)]).unwrap();
    let new =
        Manifest::new(vec![file("b", "2", true), file("c", "1", false), file("d", "3", false)])
            .unwrap();
    let names = |files: Vec<File>| files.iter().map(|f| f.path.clone()).collect::<Vec<_>>();
    assert_eq!(names(new.differing(&old)), ["b", "c", "d"]);
    assert_eq!(names(old.differing(&new)), ["a", "b"]);
    assert_eq!(names(new.missing(&old)), ["d"]);
}
