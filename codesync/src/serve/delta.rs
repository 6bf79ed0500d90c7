//! The answer to `delta`: what leads from a client's version of a content to the library's.
//!
//! The content is read in pieces and each is compared by itself, so that memory does not grow with
//! it; the commands of the pieces, one after the other, are one delta. Refuses signatures whose
//! header would make that dear.

use std::io::{Read, Write};

use crate::{
    library::Library,
    manifest::BUNDLED_MAX,
    name,
    wire::{FileHead, PIECE, SIGNATURE_MAX, Tag, read_frame, write_frame},
};

use super::{Answer, object, open, send};

/// How much of a content is compared at a time.
const COMPARED: usize = 4 << 20;
/// The longest delta that is held; a longer one is not worth its name, and the content goes whole.
const HELD: usize = 16 << 20;
// A delta is its magic number, commands, and an end (librsync's format).
const MAGIC: [u8; 4] = [0x72, 0x73, 0x02, 0x36];
const END: u8 = 0;
/// "Literal, length in four bytes."
const LITERAL: u8 = 0x43;

/// Reads the signature of `length` bytes from `reader` and answers with the delta to `hash`.
pub(super) fn answer(
    library: &Library,
    hash: &str,
    length: u64,
    reader: &mut impl Read,
    out: &mut impl Write,
) -> Result<(), Answer> {
    let bad = |what: &str| Answer::Refuse("bad-request", what.to_owned());
    if !name::is_sha256(hash) || length > SIGNATURE_MAX {
        return Err(bad("no such signature"));
    }
    let mut signature = Vec::new();
    let mut payload = Vec::new();
    while (signature.len() as u64) < length {
        match read_frame(reader, &mut payload).map_err(Answer::Gone)? {
            Some(Tag::Signature) if !payload.is_empty() => signature.extend_from_slice(&payload),
            _ => return Err(bad("a signature was expected")),
        }
    }
    if signature.len() as u64 != length || !sane(&signature) {
        return Err(bad("the signature's sizes are odd"));
    }
    let path = object(library, hash);
    let mut file = open(&path, hash)?;
    let size = file.metadata()?.len();
    if size > BUNDLED_MAX {
        return Err(Answer::Refuse("not-found", format!("{hash} is too large for a delta")));
    }
    let signature = fast_rsync::Signature::deserialize(signature)
        .map_err(|_| bad("the signature is damaged"))?;
    match delta(&signature, (&mut file).take(size))? {
        Some(delta) => send(out, hash, delta.len() as u64, &mut delta.as_slice()),
        None => whole(out, hash, size, &mut open(&path, hash)?),
    }
}

/// The delta from what `signature` describes to `content`; `None` when it is too long.
fn delta(
    signature: &fast_rsync::Signature,
    mut content: impl Read,
) -> Result<Option<Vec<u8>>, Answer> {
    let index = signature.index();
    let mut delta = MAGIC.to_vec();
    let (mut piece, mut commands) = (Vec::new(), Vec::new());
    loop {
        piece.clear();
        (&mut content).take(COMPARED as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            delta.push(END);
            return Ok(Some(delta));
        }
        commands.clear();
        fast_rsync::diff(&index, &piece, &mut commands)
            .map_err(|error| Answer::Refuse("internal", error.to_string()))?;
        let inner = commands.get(MAGIC.len()..commands.len().saturating_sub(1)).unwrap_or_default();
        if delta.len() + inner.len() > HELD {
            return Ok(None);
        }
        delta.extend_from_slice(inner);
    }
}

/// A delta that says the whole content, with nothing held.
fn whole(
    out: &mut impl Write,
    hash: &str,
    size: u64,
    content: &mut impl Read,
) -> Result<(), Answer> {
    let pieces = size.div_ceil(PIECE as u64);
    let length = MAGIC.len() as u64 + pieces * 5 + size + 1;
    let head = FileHead { name: hash.to_owned(), length };
    write_frame(out, Tag::File, &serde_json::to_vec(&head).unwrap_or_default())?;
    write_frame(out, Tag::Data, &MAGIC)?;
    let mut piece = vec![0; PIECE];
    let mut left = size;
    while left > 0 {
        let want = left.min(PIECE as u64);
        let [.., a, b, c, d] = want.to_be_bytes();
        write_frame(out, Tag::Data, &[LITERAL, a, b, c, d])?;
        let bytes = piece.get_mut(..usize::try_from(want).unwrap_or(PIECE)).unwrap_or_default();
        content.read_exact(bytes)?;
        write_frame(out, Tag::Data, bytes)?;
        left -= want;
    }
    write_frame(out, Tag::Data, &[END])?;
    Ok(())
}

/// The library trusts the sizes in a signature's header; a client could ask for blocks of no
/// bytes, or for hashes of four bits that collide everywhere.
pub fn sane(signature: &[u8]) -> bool {
    let field = |at: usize| {
        let bytes = signature.get(at..at + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    };
    field(4).is_some_and(|block| (128..=1 << 20).contains(&block))
        && field(8).is_some_and(|hash| (8..=16).contains(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::read_frame;

    fn noise(length: usize, mut state: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            bytes.extend_from_slice(&(state >> 16).to_le_bytes()[..4]);
        }
        bytes.truncate(length);
        bytes
    }

    fn signature(content: &[u8]) -> fast_rsync::Signature {
        let options = fast_rsync::SignatureOptions { block_size: 4096, crypto_hash_size: 8 };
        fast_rsync::Signature::calculate(content, options)
    }

    #[test]
    fn the_commands_of_the_pieces_are_one_delta() {
        let old = noise(10_000_000, 1);
        for new in [
            old.clone(),
            [&old[..3_000_000], b"inserted", &old[3_000_000..]].concat(),
            [&old[5_000_000..], &old[..100]].concat(),
            Vec::new(),
        ] {
            let delta = delta(&signature(&old), new.as_slice()).ok().unwrap().unwrap();
            let mut result = Vec::new();
            fast_rsync::apply_limited(&old, &delta, &mut result, new.len()).unwrap();
            assert!(result == new, "{} bytes", new.len());
            assert!(delta.len() < 40_000, "{}", delta.len());
        }
    }

    #[test]
    fn what_shares_nothing_goes_whole_and_is_still_a_delta() {
        let (old, new) = (noise(100_000, 1), noise(HELD + 1_000, 2));
        assert!(delta(&signature(&old), new.as_slice()).ok().unwrap().is_none());
        let mut sent = Vec::new();
        assert!(whole(&mut sent, "hash", new.len() as u64, &mut new.as_slice()).is_ok());
        let mut frames = sent.as_slice();
        let (mut payload, mut delta) = (Vec::new(), Vec::new());
        let mut head = None;
        while let Some(tag) = read_frame(&mut frames, &mut payload).unwrap() {
            match tag {
                Tag::File => head = serde_json::from_slice::<FileHead>(&payload).ok(),
                _ => delta.extend_from_slice(&payload),
            }
        }
        assert_eq!(head.unwrap().length, delta.len() as u64);
        let mut result = Vec::new();
        fast_rsync::apply_limited(&old, &delta, &mut result, new.len()).unwrap();
        assert!(result == new);
    }
}
