//! An index as a hostile writer would leave it: for the property test and for fuzzing only.

use std::path::Path;

use super::{Index, checksum};
use crate::{closure, scan};

/// Gives `data` the right checksum and asks it everything; an index must never panic.
pub fn survive(mut data: Vec<u8>, script: &[u8]) {
    if data.len() >= 16 {
        let sum = checksum(&data[16..]);
        data[8..16].copy_from_slice(&sum.to_le_bytes());
    }
    let Ok(index) = Index::parse(data, Path::new("index")) else { return };
    for at in 0..index.files().min(100) {
        let _ = index.file(at);
    }
    for at in 0..index.names().min(100) {
        let _ = (index.name(at), index.defs(at));
    }
    let _ = (index.find_file("modules/a.sh"), index.first_file("modules"), index.python());
    let _ = index.matching(b"print_", b"");
    let _ = closure::reach(&index, &scan::scan(script), &[]);
}
