//! Large patches: what turns one large content into another's (docs/format.md).
//!
//! Piece by piece, each with its own basis, so that memory is bounded whatever the size. Nothing is
//! believed about the old content: the hash of the result is the caller's to compare.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};

use zstd::{stream::read::Decoder, stream::write::Encoder};

use crate::{
    Error, Kind, Result,
    bundle::{damaged, get_varint, put_varint},
    manifest::{File, Hash},
    skippable,
};

mod anchors;

use anchors::Anchors;

const MAGIC: &[u8; 5] = b"LDIL\x01";
/// Bytes of the new content that are coded at once.
const PIECE: u64 = 8 << 20;
/// Bytes of the old content that one piece may refer to.
const BASIS_MAX: u64 = 16 << 20;
/// Parts of the old content that one piece may refer to.
const PARTS_MAX: u64 = 1024;
const FRAME_MAX: u32 = 64 << 10;
const LEVEL: i32 = 3;
const WINDOW: u32 = 25;

/// The name of the target that leads from `old` to `new`.
pub fn name(old: &Hash, new: &Hash) -> String {
    format!("{:016x}-{:016x}.large.zst", short(old), short(new))
}

/// The two contents of [`name`], by the beginning of their hashes.
pub fn parse_name(name: &str) -> Option<(u64, u64)> {
    let (old, new) = name.strip_suffix(".large.zst")?.split_once('-')?;
    let number = |text: &str| {
        let clean = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        clean.then(|| u64::from_str_radix(text, 16).ok()).flatten()
    };
    Some((number(old)?, number(new)?))
}

/// The beginning of a hash, as [`name`] has it.
pub fn short(hash: &Hash) -> u64 {
    hash.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// One of the two contents of a patch.
#[derive(Debug)]
pub struct Content<'a, R> {
    /// Its bytes.
    pub reader: R,
    /// Its length and hash.
    pub file: &'a File,
}

/// Writes the patch from `old` to `new`. Memory: a piece, its basis, zstd's tables, and 16 bytes
/// for every 16 KiB of `old`.
pub fn encode<O: Read + Seek, N: Read>(
    mut old: Content<'_, O>,
    mut new: Content<'_, N>,
    out: &mut dyn Write,
) -> Result<()> {
    let failed = |error: io::Error| Error::new(Kind::Io, format!("cannot make a patch: {error}"));
    old.reader.rewind().map_err(failed)?;
    let anchors = Anchors::of(&mut BufReader::with_capacity(1 << 20, &mut old.reader));
    let anchors = anchors.map_err(failed)?;

    let mut header = MAGIC.to_vec();
    header.extend_from_slice(&old.file.sha256);
    header.extend_from_slice(&new.file.sha256);
    put_varint(&mut header, old.file.size);
    put_varint(&mut header, new.file.size);
    skippable::write(out, &header).map_err(failed)?;
    let mut done = 0;
    while done < new.file.size {
        let mut piece = Vec::new();
        let want = PIECE.min(new.file.size - done);
        (&mut new.reader).take(want).read_to_end(&mut piece).map_err(failed)?;
        if piece.len() as u64 != want {
            return Err(Error::new(
                Kind::Io,
                format!("{} is shorter than it was when it was published", new.file.path),
            ));
        }
        let parts = anchors.basis(&piece, done, old.file.size, BASIS_MAX);
        let prefix = read_parts(&mut old.reader, &parts).map_err(failed)?;
        let mut head = Vec::new();
        put_varint(&mut head, want);
        put_varint(&mut head, parts.len() as u64);
        for (offset, length) in parts {
            put_varint(&mut head, offset);
            put_varint(&mut head, length);
        }
        skippable::write(out, &head).map_err(failed)?;
        let mut encoder = Encoder::with_ref_prefix(&mut *out, LEVEL, &prefix).map_err(failed)?;
        encoder.set_pledged_src_size(Some(want)).map_err(failed)?;
        encoder.window_log(WINDOW).map_err(failed)?;
        encoder.long_distance_matching(true).map_err(failed)?;
        encoder.include_checksum(false).map_err(failed)?;
        encoder.write_all(&piece).map_err(failed)?;
        encoder.finish().map_err(failed)?;
        done += want;
    }
    Ok(())
}

/// Writes to `out` what `patch` makes of `old`: as many bytes as `new` has, if it is theirs.
pub fn apply(
    patch: impl Read,
    old: &mut (impl Read + Seek),
    new: &File,
    out: &mut dyn Write,
) -> Result<()> {
    let bad = |what: &str| Error::refused(format!("the large patch is damaged: {what}"));
    let failed = |error: io::Error| Error::new(Kind::Io, format!("cannot patch: {error}"));
    let mut patch = BufReader::with_capacity(256 << 10, patch);
    let header = get_frame(&mut patch)?;
    let mut rest = header.strip_prefix(MAGIC).ok_or_else(|| bad("it has an unknown version"))?;
    let mut hashes = [0; 64];
    rest.read_exact(&mut hashes).map_err(damaged)?;
    let (before, after) = (get_varint(&mut rest)?, get_varint(&mut rest)?);
    if hashes[32..] != new.sha256 || after != new.size || !rest.is_empty() {
        return Err(bad("it leads to another content"));
    }
    let mut done = 0;
    while done < new.size {
        let head = get_frame(&mut patch)?;
        let mut head = head.as_slice();
        let (raw, count) = (get_varint(&mut head)?, get_varint(&mut head)?);
        if raw == 0 || raw > PIECE.min(new.size - done) || count > PARTS_MAX {
            return Err(bad("a piece is too long"));
        }
        let (mut parts, mut basis) = (Vec::new(), 0_u64);
        for _ in 0..count {
            let (offset, length) = (get_varint(&mut head)?, get_varint(&mut head)?);
            basis = basis.saturating_add(length);
            if basis > BASIS_MAX || offset.checked_add(length).is_none_or(|end| end > before) {
                return Err(bad("a basis is too long"));
            }
            parts.push((offset, length));
        }
        let prefix = read_parts(old, &parts).map_err(failed)?;
        let mut decoder = Decoder::with_ref_prefix(patch, &prefix).map_err(damaged)?.single_frame();
        decoder.window_log_max(WINDOW).map_err(damaged)?;
        let mut piece = vec![0; 256 << 10];
        let mut got = 0;
        loop {
            let read = decoder.read(&mut piece).map_err(damaged)?;
            got += read as u64;
            if read == 0 {
                break;
            }
            if got > raw {
                return Err(bad("a piece is longer than it says"));
            }
            out.write_all(&piece[..read]).map_err(failed)?;
        }
        if got != raw {
            return Err(bad("a piece is shorter than it says"));
        }
        patch = decoder.finish();
        done += raw;
    }
    match patch.fill_buf().map_err(damaged)? {
        [] => Ok(()),
        _ => Err(bad("something follows its last piece")),
    }
}

fn read_parts(old: &mut (impl Read + Seek), parts: &[(u64, u64)]) -> io::Result<Vec<u8>> {
    let mut prefix = Vec::new();
    for &(offset, length) in parts {
        old.seek(SeekFrom::Start(offset))?;
        old.by_ref().take(length).read_to_end(&mut prefix)?;
    }
    Ok(prefix)
}

fn get_frame(reader: &mut impl Read) -> Result<Vec<u8>> {
    skippable::read(reader, FRAME_MAX)
        .map_err(damaged)?
        .ok_or_else(|| Error::refused("the large patch is damaged: a head is missing"))
}

#[cfg(test)]
mod tests;
