//! The loader's index as a hostile writer could leave it: the checksum is right, nothing else.
#![no_main]

mod edit;

use std::sync::OnceLock;

/// An index of a real tree.
fn real() -> &'static [u8] {
    static REAL: OnceLock<Vec<u8>> = OnceLock::new();
    REAL.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let modules = folder.path().join("modules");
        std::fs::create_dir(&modules).expect("a folder");
        let texts = [
            ("a.sh", "x=1\nfirst() { second \"$x\"; }\n"),
            ("b.sh", "second() { \"$@\"; }\nprint_red() { :; }\nprint_green() { :; }\n"),
            ("c.sh", "echo loud\n"),
            ("d_tools.py", "def third():\n    pass\n"),
        ];
        let files: Vec<loader::File> = texts
            .iter()
            .map(|(name, text)| {
                std::fs::write(modules.join(name), text).expect("a file");
                loader::File {
                    path: format!("modules/{name}"),
                    sha256: codesync::manifest::sha256(text.as_bytes()),
                    size: text.len() as u64,
                    executable: false,
                }
            })
            .collect();
        let out = folder.path().join("index");
        loader::build_index(folder.path(), || files, None, &out).expect("an index");
        std::fs::read(&out).expect("an index")
    })
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let data = if choice % 2 == 0 { edit::edited(real(), bytes) } else { bytes.to_vec() };
    loader::survive(data, b"first; print_red; x=2; third\n");
});
