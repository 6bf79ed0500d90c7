use std::path::Path;

use super::*;
use crate::File;

fn sample() -> Vec<u8> {
    let texts = [
        ("modules/a.sh", "x=1\nfirst() { second \"$x\"; }\n"),
        ("modules/b.sh", "second() { \"$@\"; }\nprint_red() { :; }\nprint_green() { :; }\n"),
        ("modules/c.sh", "echo loud\n"),
    ];
    let files: Vec<File> = texts
        .iter()
        .map(|(path, text)| File {
            path: (*path).to_owned(),
            sha256: [7; 32],
            size: text.len() as u64,
            executable: false,
        })
        .collect();
    let modules = texts.iter().enumerate().map(|(n, (_, text))| (n, text.as_bytes().to_vec()));
    build(&Input {
        files: &files,
        modules: modules.collect(),
        verified: true,
        python: b"\na\0b".to_vec(),
    })
}

/// A tree of these texts in a folder, and its files.
fn tree(texts: &[(&str, &str)]) -> (tempfile::TempDir, Vec<File>) {
    use sha2::{Digest, Sha256};
    let folder = tempfile::tempdir().unwrap();
    let files = texts.iter().map(|(path, text)| {
        let full = folder.path().join(path);
        std::fs::create_dir_all(full.parent().unwrap()).unwrap();
        std::fs::write(full, text).unwrap();
        let sha256 = Sha256::digest(text.as_bytes()).into();
        File { path: (*path).into(), sha256, size: text.len() as u64, executable: false }
    });
    let mut files: Vec<File> = files.collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    (folder, files)
}

fn whole(tree: &Path, files: &[File]) -> Vec<u8> {
    crate::index_bytes(tree, files.to_vec(), true).unwrap()
}

/// What is made from the index before is what is made anew; whether it could be.
fn renewed(before: &[(&str, &str)], now: &[(&str, &str)]) -> bool {
    let ((old, old_files), (new, files)) = (tree(before), tree(now));
    let former = Index::parse(whole(old.path(), &old_files), Path::new("index")).unwrap();
    let python = crate::python::table(&files, "modules", true);
    let renewed = renew(&former, &files, &python, (old.path(), new.path()));
    let paths = |files: &[File]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
    if paths(&files) == paths(&old_files) {
        let differ = |(new, old): &(&File, &File)| new.sha256 != old.sha256;
        let others = files.iter().zip(&old_files).filter(differ).map(|(new, _)| new.clone());
        let others: Vec<File> = others.collect();
        let same = renew_same_paths(&former, &others, (old.path(), new.path()));
        assert!(same == renewed, "{now:?} differs when its paths are known to be the same");
    }
    if let Some(renewed) = &renewed {
        assert!(*renewed == whole(new.path(), &files), "{now:?} differs when made anew");
        // Hashes are held: a text that is another than it was is no basis.
        let changed =
            files.iter().zip(&old_files).find(|(a, b)| a.path == b.path && a.sha256 != b.sha256);
        if let Some((file, _)) = changed.filter(|(file, _)| file.path.ends_with(".sh")) {
            std::fs::write(old.path().join(&file.path), "tampered() { :; }").unwrap();
            assert!(renew(&former, &files, &python, (old.path(), new.path())).is_none());
        }
    }
    renewed.is_some()
}

const BEFORE: [(&str, &str); 5] = [
    ("modules/a.sh", "x=1\nfirst() { second \"$x\"; }\nown() { echo \"${BASH_SOURCE[0]}\"; }\n"),
    ("modules/b.sh", "second() { \"$@\"; }\nprint_red() { :; }\nprint_green() { :; }\n"),
    ("modules/c.sh", "echo loud\nlate() { inner() { third \"$1\"; }; inner \"$x\"; }\n"),
    ("modules/d.py", "import e\n"),
    ("scripts/daily/x", "#!/bin/sh\n"),
];

#[test]
fn an_index_is_renewed_where_a_change_is_nobody_elses() {
    assert!(renewed(&BEFORE, &BEFORE));
    for (at, text) in [
        (
            0,
            "x=2\nfirst() { print_red; print_\"$x\"; x=3; }\nown() { cd \"${BASH_SOURCE[0]}\"; }\n",
        ),
        (0, "x=1\n# first\nfirst() { second print_green; \"$x\"; }\nown() { : $BASH_SOURCE; }\n"),
        (1, "second() { echo; \"$@\"; }\nprint_red() { first; }\nprint_green() { eval \"$1\"; }\n"),
        (2, "echo louder; first\nlate() { inner() { third \"$1\"; }; inner \"$y\"; }\n"),
        (3, "import f\n"),
        (4, "#!/bin/sh\nfirst\n"),
    ] {
        let mut now = BEFORE;
        now[at].1 = text;
        let whole = text.contains("eval");
        assert!(renewed(&BEFORE, &now) || whole, "{text}");
    }
    let mut more = BEFORE.to_vec();
    more.splice(0..0, [("conf/longer name", "x"), ("modules/e/__init__.py", ""), ("zz", "")]);
    assert!(renewed(&BEFORE, &more) && renewed(&more, &BEFORE));
}

#[test]
fn an_index_is_made_anew_where_others_are_concerned() {
    for text in [
        "x=1\nfirst() { :; }\nown() { :; }\nnew() { :; }\n",
        "first() { second \"$x\"; }\nown() { echo \"${BASH_SOURCE[0]}\"; }\n",
        "x=1\nfirst() { \"$1\"; }\nown() { echo \"${BASH_SOURCE[0]}\"; }\n",
        "x=1\nfirst() { second \"$x\"; }\nown() { echo \"${BASH_SOURCE[0]}\"; }\necho loud\n",
        "x=1; readonly x\nfirst() { second \"$x\"; }\nown() { echo \"${BASH_SOURCE[0]}\"; }\n",
        "first() { (( unfinished\n",
    ] {
        let mut now = BEFORE;
        now[0].1 = text;
        assert!(!renewed(&BEFORE, &now), "{text}");
    }
    assert!(!renewed(&BEFORE, &BEFORE[1..]) && !renewed(&BEFORE[1..], &BEFORE));
    let mut moved = BEFORE;
    moved[0].0 = "modules/c2.sh";
    assert!(!renewed(&BEFORE, &moved));
}

#[test]
fn what_is_written_is_found() {
    let index = Index::parse(sample(), Path::new("index")).unwrap();
    assert_eq!((index.files(), index.modules(), index.names()), (3, 3, 5));
    let file = index.file(index.find_file("modules/b.sh").unwrap()).unwrap();
    assert_eq!((file.path, file.sha256), ("modules/b.sh", Some([7u8; 32].as_slice())));
    assert!(index.find_file("modules/d.sh").is_none() && index.find_name(b"third").is_none());
    let red = index.matching(b"print_", b"d");
    assert_eq!(red.len(), 1);
    assert_eq!(index.name(red[0]).unwrap().0, b"print_red");
    assert_eq!(index.matching(b"print_", b"").len(), 2);
    let second = index.find_name(b"second").unwrap();
    assert_eq!(index.name(second).unwrap().1, NAME_RUNS_ARGUMENTS);
    assert_eq!(index.python(), b"\na\0b");
    assert_eq!(index.module(2).unwrap().flags, MODULE_ALWAYS);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(sample(), sample());
}

proptest::proptest! {
    /// Damage that the checksum does not show, as a hostile writer would make it.
    #[test]
    fn a_damaged_index_never_panics(at in 16usize..2000, byte: u8, more in 16usize..2000, word: u32) {
        let mut data = sample();
        let length = data.len();
        data[16 + at % (length - 16)] = byte;
        let more = 16 + more % (length - 20);
        data[more..more + 4].copy_from_slice(&word.to_le_bytes());
        survive(data, b"first; print_red; x=2\n");
    }
}
