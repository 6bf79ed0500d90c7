use std::path::Path;

use super::*;
use crate::{File, closure, scan};

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

fn file(path: &str, hash: u8) -> File {
    File { path: path.to_owned(), sha256: [hash; 32], size: 3, executable: true }
}

#[test]
fn what_is_known_about_the_same_modules_is_taken_over() {
    let former = Index::parse(sample(), Path::new("index")).unwrap();
    let mut files: Vec<File> =
        ["modules/a.sh", "modules/b.sh", "modules/c.sh"].map(|path| file(path, 7)).to_vec();
    files.insert(0, file("conf/longer name", 1));
    files.push(file("scripts/daily/x", 2));
    let new = Index::parse(renew(&former, &files).unwrap(), Path::new("index")).unwrap();
    assert_eq!((new.files(), new.modules(), new.names()), (5, 3, 5));
    for at in 0..former.names() {
        assert_eq!(former.name(at), new.name(at));
        assert_eq!(format!("{:?}", former.defs(at)), format!("{:?}", new.defs(at)));
    }
    for at in 0..former.modules() {
        let path = |index: &Index| {
            index.file(index.module(at).unwrap().file).map(|file| file.path.to_owned())
        };
        assert_eq!(path(&former), path(&new));
    }
    assert_eq!(new.python(), former.python());
    let entry = new.file(new.find_file("scripts/daily/x").unwrap()).unwrap();
    assert_eq!((entry.size, entry.executable, entry.sha256), (3, true, Some([2; 32].as_slice())));
    // Again from what was made so, and back.
    let again = renew(&new, &files[1..4]).unwrap();
    assert_eq!(Index::parse(again, Path::new("index")).unwrap().names(), 5);

    files[2].sha256 = [8; 32];
    assert!(renew(&former, &files).is_none(), "a module changed");
    files.remove(2);
    assert!(renew(&former, &files).is_none(), "a module is gone");
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
        let sum = checksum(&data[16..]);
        data[8..16].copy_from_slice(&sum.to_le_bytes());
        if let Ok(index) = Index::parse(data, Path::new("index")) {
            for at in 0..index.files().min(100) {
                let _ = index.file(at);
            }
            let _ = (index.find_file("modules/a.sh"), index.first_file("modules"), index.python());
            let _ = index.matching(b"print_", b"");
            let _ = closure::reach(&index, &scan::scan(b"first; print_red; x=2\n"), &[]);
        }
    }
}
