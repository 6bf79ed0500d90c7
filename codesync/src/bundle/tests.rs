//! Round trips of random trees, and bytes that no publisher wrote.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::manifest::sha256;

type Contents = HashMap<[u8; 32], Vec<u8>>;
type Tree = std::collections::BTreeMap<String, (Vec<u8>, bool)>;

fn manifest(tree: &Tree) -> Manifest {
    let files = tree
        .iter()
        .map(|(path, (content, executable))| File {
            path: path.clone(),
            sha256: sha256(content),
            size: content.len() as u64,
            executable: *executable,
        })
        .collect();
    Manifest::new(files).unwrap()
}

fn content_of(trees: &[&Tree]) -> Contents {
    trees.iter().flat_map(|tree| tree.values()).map(|(c, _)| (sha256(c), c.clone())).collect()
}

fn encode_trees(old: &Tree, new: &Tree) -> Vec<u8> {
    let contents = content_of(&[old, new]);
    let mut bytes = Vec::new();
    encode(
        (1, &manifest(old)),
        (2, &manifest(new)),
        &|file| Ok(contents[&file.sha256].clone()),
        &mut bytes,
    )
    .unwrap();
    bytes
}

fn decode_tree(bytes: &[u8], old: &Tree) -> Result<(Manifest, Contents)> {
    let contents = content_of(&[old]);
    let mut reader = bytes;
    let header = read_header(&mut reader)?;
    let mut received = HashMap::new();
    let new = decode(
        &header,
        reader,
        &manifest(old),
        &|file| Ok(contents[&file.sha256].clone()),
        &mut |_| Ok(()),
        &mut |file, content| {
            received.insert(file.sha256, content);
            Ok(())
        },
    )?;
    Ok((new, received))
}

fn tree() -> impl Strategy<Value = Tree> {
    let path = "[a-d]{1,2}(/[a-d]{1,2}\\.(sh|py))?";
    let content = proptest::collection::vec(0_u8..4, 0..40);
    proptest::collection::btree_map(path, (content, any::<bool>()), 0..12).prop_map(|tree| {
        let folders: Vec<String> = tree
            .keys()
            .filter_map(|path| path.split_once('/').map(|(folder, _)| folder.to_owned()))
            .collect();
        tree.into_iter().filter(|(path, _)| !folders.contains(path)).collect()
    })
}

proptest! {
    #[test]
    fn any_tree_leads_to_any_other(old in tree(), new in tree()) {
        let bytes = encode_trees(&old, &new);
        let (decoded, received) = decode_tree(&bytes, &old).unwrap();
        prop_assert_eq!(&decoded, &manifest(&new));
        let have = content_of(&[&old]);
        for file in decoded.files() {
            let content = received.get(&file.sha256).or_else(|| have.get(&file.sha256)).unwrap();
            prop_assert_eq!(sha256(content), file.sha256);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_tree(&bytes, &Tree::new());
    }

    // The signed hash of a bundle catches this first; what stands behind it must still not panic.
    #[test]
    fn a_changed_byte_is_survived(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let old = Tree::from([("a".into(), (b"one two three".to_vec(), false))]);
        let new = Tree::from([
            ("a".into(), (b"one two four".to_vec(), true)),
            ("b".into(), (b"five".to_vec(), false)),
        ]);
        let mut bytes = encode_trees(&old, &new);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode_tree(&bytes, &old);
    }
}

#[test]
fn a_patch_of_one_line_is_small() {
    let body = |n: usize, word: &str| {
        (0..100).map(|i| format!("line {i} of file {n} {word}\n")).collect::<String>().into_bytes()
    };
    let old: Tree = (0..500).map(|n| (format!("f{n:03}"), (body(n, "x"), false))).collect();
    let mut new = old.clone();
    let mut text = body(7, "x");
    text.extend_from_slice(b"one more line\n");
    new.insert("f007".into(), (text, false));
    let bytes = encode_trees(&old, &new);
    assert!(bytes.len() < 140, "{} bytes", bytes.len());
}

#[test]
fn positions_without_end_are_refused() {
    let words = |count: u64| {
        let mut bytes = Vec::new();
        put_varint(&mut bytes, count);
        bytes
    };
    for end in [0, 3, FILES_MAX] {
        let mut endless = io::Cursor::new(words(1 << 62)).chain(io::repeat(1));
        assert!(read_positions(&mut endless, end).is_err());
    }
    assert_eq!(read_positions(&mut &[3, 0, 1, 1][..], 3).unwrap(), [0, 1, 2]);
    assert!(read_positions(&mut &[3, 0, 1, 1][..], 2).is_err());
}

#[test]
fn a_window_grows_with_the_basis_only() {
    assert_eq!((window_max(0), window_max(1 << 20)), (WINDOW, WINDOW));
    assert_eq!((window_max(1 << 26), window_max(BASIS_MAX)), (27, WINDOW_MAX));
}
