//! Edits of something real, so that what lies behind signatures and headers is reached at once.

/// `real` after the edits that `words` says, four bytes each: a place, what to do, a value.
pub fn edited(real: &[u8], words: &[u8]) -> Vec<u8> {
    let mut bytes = real.to_vec();
    for word in words.chunks_exact(4) {
        let place = usize::from(u16::from_le_bytes([word[0], word[1]]));
        let at = place % (bytes.len() + 1);
        let count = usize::from(word[3]);
        match word[2] % 5 {
            0 if at < bytes.len() => bytes[at] = word[3],
            1 => bytes.insert(at, word[3]),
            2 => drop(bytes.drain(at..(at + count).min(bytes.len()))),
            3 => {
                let piece: Vec<u8> = bytes[at..].iter().copied().take(count).collect();
                bytes.splice(at..at, piece);
            }
            4 => bytes.truncate(at),
            _ => {}
        }
    }
    bytes
}
