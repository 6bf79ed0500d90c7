//! What a server sends to a client.
#![no_main]

use std::io::{Read, Write};

use codesync::{
    manifest::File,
    source::{Remote, Source},
    trust::{Target, Versions},
};

struct Canned<'a>(&'a [u8]);

impl Read for Canned<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(out)
    }
}

impl Write for Canned<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let mut source = Remote::new(Canned(bytes));
    let file = File { path: "a".into(), sha256: [7; 32], size: 40, executable: false };
    match choice % 4 {
        0 => drop(source.refresh("stable", Versions::default())),
        1 => {
            let target = Target { name: "manifest".into(), sha256: [7; 32], length: 40 };
            let mut out = Vec::new();
            if source.target("stable", &target, 0, &mut out).is_ok() {
                assert_eq!(out.len(), 40);
            }
        }
        2 => drop(source.objects(&[&file, &file], &mut |_, _| Ok(()))),
        _ => drop(source.delta(&file, &[1; 100])),
    }
});
