//! Bundles: what turns one manifest and its contents into another's (docs/format.md).
//!
//! A full bundle is a patch from the empty manifest, so there is one coder and one decoder.

use std::{
    collections::{BTreeSet, HashMap},
    io::{self, BufRead, Read, Write},
};

use zstd::{stream::raw::CParameter, stream::read::Decoder, stream::write::Encoder};

use crate::{
    Error, Kind, Result,
    manifest::{BUNDLED_MAX, Builder, Change, File, MANIFEST_MAX, Manifest},
    skippable,
};

const MAGIC: &[u8; 5] = b"LDIB\x01";
const HEADER_MAX: u32 = 64 << 20;
const RAW_MAX: u64 = 4 << 30;
const BASIS_MAX: u64 = 1 << 30;
/// No manifest has more files: a line of it is longer.
const FILES_MAX: usize = (MANIFEST_MAX / 100) as usize;
/// What one thread compresses at a time, in bytes.
const JOB: u32 = 8 << 20;
/// Bytes of a full bundle's window, as a power of two: what a client's first sync holds in memory.
const WINDOW: u32 = 26;
const WINDOW_MAX: u32 = 30;
const EXECUTABLE: u8 = 1;
const NEW_PATH: u8 = 2;

/// What stands before the compressed part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Release of the basis; 0 is the empty manifest.
    pub from: u64,
    /// Release that results.
    pub to: u64,
    /// Bytes of the decompressed part.
    pub raw: u64,
    /// Positions of the basis files in the old manifest, ascending.
    pub basis: Vec<usize>,
}

/// Gives the content of a file.
pub type Content<'a> = dyn Fn(&File) -> Result<Vec<u8>> + Sync + 'a;

/// Writes the bundle that leads from `old` (release `from`) to `new` (release `to`).
///
/// Memory: the basis, and zstd's window.
pub fn encode(
    (from, old): (u64, &Manifest),
    (to, new): (u64, &Manifest),
    content: &Content<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let changes = new.changes(old);
    let carried = new.carried_of(&changes, old);
    let edits = edits(&changes, new);
    let size = carried.iter().map(|file| file.size).sum::<u64>();
    let raw = edits.len() as u64 + size;
    if raw > RAW_MAX {
        return Err(Error::refused(format!(
            "release {to} changes {raw} bytes at once; a bundle holds at most {RAW_MAX}: publish in smaller steps"
        )));
    }
    let basis = choose_basis(old, &carried);
    let mut prefix = Vec::new();
    for &at in &basis {
        if let Some(file) = old.at(at) {
            prefix.extend_from_slice(&content(&file)?);
        }
    }
    let failed = |error: io::Error| Error::new(Kind::Io, format!("cannot write a bundle: {error}"));
    let new = carried.iter().filter(|file| old.search(&file.path).is_err());
    let level = level(size, (!prefix.is_empty()).then(|| new.map(|file| file.size).sum()));

    let mut header = MAGIC.to_vec();
    for value in [from, to, raw] {
        put_varint(&mut header, value);
    }
    put_positions(&mut header, &basis);
    skippable::write(out, &header).map_err(failed)?;

    let mut encoder = Encoder::with_ref_prefix(out, level, &prefix).map_err(failed)?;
    let reach = window_max(prefix.len() as u64).min(least_power(raw + prefix.len() as u64)).max(10);
    encoder.set_pledged_src_size(Some(raw)).map_err(failed)?;
    encoder.window_log(reach).map_err(failed)?;
    encoder.long_distance_matching(reach >= 23).map_err(failed)?;
    encoder.include_checksum(false).map_err(failed)?;
    if raw > 2 * u64::from(JOB) {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        encoder.multithread(u32::try_from(cores.min(8)).unwrap_or(1)).map_err(failed)?;
        // Long-distance matches reach across jobs, other matches do not. Only the first job sees
        // the prefix, so with one there is one job: zstd's own choice.
        if prefix.is_empty() {
            encoder.set_parameter(CParameter::JobSize(JOB)).map_err(failed)?;
        }
    }
    encoder.write_all(&edits).map_err(failed)?;
    for file in carried {
        encoder.write_all(&content(&file)?).map_err(failed)?;
    }
    encoder.finish().map_err(failed)?;
    Ok(())
}

/// The longest window, as a power of two, of a bundle whose basis has `basis` bytes.
///
/// It must reach back over the basis and as much again, or the basis is lost; beyond that a
/// client's memory is worth more than the last per cent. So it grows with what the client has
/// already, and not with what it is sent.
fn window_max(basis: u64) -> u32 {
    (least_power(basis) + 1).clamp(WINDOW, WINDOW_MAX)
}

/// The exponent of the least power of two that is not less than `bytes`.
fn least_power(bytes: u64) -> u32 {
    bytes.next_power_of_two().trailing_zeros()
}

/// The level for `carried` bytes of contents. Where there is a basis, `new` of them belong to files
/// that it lacks.
///
/// What is in the basis already is found at level 12 as well as at 19, in a fifth of the time; upon a
/// large one 16 is worse than both. New text is worth level 19 up to a point: a first release's bundle
/// is 5 % larger at level 16, and made in a third of the time.
fn level(carried: u64, new: Option<u64>) -> i32 {
    match (carried, new) {
        (0x2000_0001.., _) => 3,
        (0x0600_0001.., _) => 12,
        (0x0020_0001.., None) => 16,
        (0x0020_0001.., Some(_)) | (_, Some(0)) => 12,
        _ => 19,
    }
}

/// Old files that resemble the carried ones: the former version of the same path, or else a file
/// of the same name, or else a neighbour of the same kind.
fn choose_basis(old: &Manifest, carried: &[File]) -> Vec<usize> {
    if old.is_empty() {
        return Vec::new();
    }
    let name = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    let mut chosen = BTreeSet::new();
    let mut size = 0;
    for file in carried {
        let at = match old.search(&file.path) {
            Ok(at) => Some(at),
            Err(next) => {
                if by_name.is_empty() {
                    by_name = (0..old.len()).map(|at| (name(&old.path(at)), at)).collect();
                }
                by_name.get(&name(&file.path)).copied().or_else(|| {
                    let near = [next.checked_sub(1), Some(next)].into_iter().flatten();
                    let mut near = near.filter(|at| *at < old.len());
                    near.find(|&at| kind(&old.path(at)) == kind(&file.path))
                })
            }
        };
        let Some((at, length)) = at.and_then(|at| Some((at, old.at(at)?.size))) else { continue };
        if length <= BUNDLED_MAX && size + length <= BASIS_MAX && chosen.insert(at) {
            size += length;
        }
    }
    chosen.into_iter().collect()
}

/// Folder and extension: files that agree in both tend to share text.
fn kind(path: &str) -> (&str, Option<&str>) {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    (folder, name.rsplit_once('.').map(|(_, extension)| extension))
}

fn edits(changes: &[Change], new: &Manifest) -> Vec<u8> {
    let gone = changes.iter().filter(|change| change.new.is_none());
    let removed: Vec<usize> = gone.filter_map(|change| change.old).collect();
    let changed: Vec<(Option<usize>, File)> =
        changes.iter().filter_map(|change| Some((change.old, new.at(change.new?)?))).collect();
    let mut bytes = Vec::new();
    put_positions(&mut bytes, &removed);
    put_varint(&mut bytes, changed.len() as u64);
    for (position, file) in changed {
        let mode = if file.executable { EXECUTABLE } else { 0 };
        match position {
            Some(at) => {
                bytes.push(mode);
                put_varint(&mut bytes, at as u64);
            }
            None => {
                bytes.push(mode | NEW_PATH);
                put_varint(&mut bytes, file.path.len() as u64);
                bytes.extend_from_slice(file.path.as_bytes());
            }
        }
        put_varint(&mut bytes, file.size);
        bytes.extend_from_slice(&file.sha256);
    }
    bytes
}

/// Reads the header, leaving `reader` at the compressed part.
pub fn read_header(reader: &mut impl Read) -> Result<Header> {
    let bytes = skippable::read(reader, HEADER_MAX)
        .map_err(damaged)?
        .ok_or_else(|| Error::refused("the bundle is damaged: it does not begin as a bundle"))?;
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return Err(Error::refused(
            "the bundle has an unknown version; this version knows version 1: update ldi",
        ));
    };
    let from = get_varint(&mut rest)?;
    let to = get_varint(&mut rest)?;
    let raw = get_varint(&mut rest)?;
    let basis = get_positions(&mut rest)?;
    if raw > RAW_MAX || !rest.is_empty() {
        return Err(Error::refused("the bundle is damaged: its header is not whole"));
    }
    Ok(Header { from, to, raw, basis })
}

/// Decodes what follows `header`.
///
/// `basis` gives contents of `old`'s files, already verified. `accept` sees the new manifest before
/// any content and may refuse it. `sink` then gets each carried content; it must compare the hash.
pub fn decode(
    header: &Header,
    reader: impl BufRead,
    old: &Manifest,
    basis: &Content<'_>,
    accept: &mut dyn FnMut(&Manifest) -> Result<()>,
    sink: &mut dyn FnMut(&File, Vec<u8>) -> Result<()>,
) -> Result<Manifest> {
    let mut prefix = Vec::new();
    for &at in &header.basis {
        let file = old
            .at(at)
            .ok_or_else(|| Error::refused("the bundle is damaged: a basis file does not exist"))?;
        if prefix.len() as u64 + file.size > BASIS_MAX {
            return Err(Error::refused("the bundle is damaged: its basis is too large"));
        }
        prefix.extend_from_slice(&basis(&file)?);
    }
    let mut decoder = Decoder::with_ref_prefix(reader, &prefix).map_err(damaged)?.single_frame();
    decoder.window_log_max(window_max(prefix.len() as u64)).map_err(damaged)?;
    let mut raw = io::BufReader::with_capacity(256 << 10, decoder.take(header.raw));

    let new = read_edits(&mut raw, old)?;
    accept(&new)?;
    for file in new.carried(old) {
        let mut content = Vec::new();
        (&mut raw).take(file.size).read_to_end(&mut content).map_err(damaged)?;
        sink(&file, content)?;
    }
    if !raw.fill_buf().map_err(damaged)?.is_empty() {
        return Err(Error::refused("the bundle is damaged: something follows its last content"));
    }
    Ok(new)
}

fn read_edits(raw: &mut impl BufRead, old: &Manifest) -> Result<Manifest> {
    let bad = |what: &str| Error::refused(format!("the bundle is damaged: {what}"));
    let removed = read_positions(raw, old.len())?;
    let count = read_varint(raw)?;
    let mut edited: HashMap<usize, File> = HashMap::new();
    let mut added: Vec<File> = Vec::new();
    let mut last: Option<String> = None;
    for _ in 0..count {
        let mut kind = [0];
        raw.read_exact(&mut kind).map_err(damaged)?;
        let [kind] = kind;
        let position_or_length = usize::try_from(read_varint(raw)?).map_err(|_| bad("a number"))?;
        let path = if kind & NEW_PATH == 0 {
            let file = old.at(position_or_length).ok_or_else(|| bad("a position"))?;
            file.path
        } else {
            let mut path = Vec::new();
            raw.take(position_or_length.min(2048) as u64)
                .read_to_end(&mut path)
                .map_err(damaged)?;
            String::from_utf8(path).map_err(|_| bad("a path is not UTF-8"))?
        };
        let size = read_varint(raw)?;
        let mut sha256 = [0; 32];
        raw.read_exact(&mut sha256).map_err(damaged)?;
        let file = File { path, sha256, size, executable: kind & EXECUTABLE != 0 };
        // In order, no path twice: what only repeats itself ends here.
        if last.is_some_and(|last| last >= file.path) {
            return Err(bad("its edits are out of order"));
        }
        last = Some(file.path.clone());
        if kind & NEW_PATH == 0 {
            edited.insert(position_or_length, file);
        } else {
            added.push(file);
        }
        if edited.len() + added.len() > FILES_MAX {
            return Err(bad("it lists too many files"));
        }
    }
    // What was accepted once stays acceptable when files change or go; only a new path can be one
    // that may not be, or clash with another.
    let new_paths = !added.is_empty();
    let longer = added.iter().map(|file| file.path.len() + 160).sum::<usize>();
    if old.text().len() as u64 + longer as u64 > MANIFEST_MAX {
        return Err(bad("its manifest is too long"));
    }
    let mut builder = Builder::of(old.text().len() + longer);
    let mut added = added.into_iter().peekable();
    for at in 0..old.len() {
        if removed.binary_search(&at).is_ok() {
            continue;
        }
        if new_paths {
            let path = old.path(at);
            while let Some(new) = added.next_if(|new| *new.path < *path) {
                builder.file(&new);
            }
        }
        match edited.get(&at) {
            Some(file) => builder.file(file),
            None => builder.line(old.line(at)),
        }
    }
    added.for_each(|file| builder.file(&file));
    let manifest = builder.finish();
    if new_paths {
        manifest.check_set()?;
    }
    Ok(manifest)
}

// By value, as `map_err` hands it over.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn damaged(error: io::Error) -> Error {
    Error::refused(format!("the bundle is damaged: {error}"))
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        // Masked to seven bits.
        #[allow(clippy::cast_possible_truncation)]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

fn put_positions(out: &mut Vec<u8>, positions: &[usize]) {
    put_varint(out, positions.len() as u64);
    let mut last = 0;
    for &at in positions {
        put_varint(out, (at - last) as u64);
        last = at;
    }
}

pub(crate) fn get_varint(bytes: &mut &[u8]) -> Result<u64> {
    read_varint(bytes)
}

fn get_positions(bytes: &mut &[u8]) -> Result<Vec<usize>> {
    read_positions(bytes, FILES_MAX)
}

fn read_varint(reader: &mut impl Read) -> Result<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte).map_err(damaged)?;
        let [byte] = byte;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(Error::refused("the bundle is damaged: a number is too long"))
}

/// Strictly ascending positions, each less than `end`; the capacity grows with what really arrives.
fn read_positions(reader: &mut impl Read, end: usize) -> Result<Vec<usize>> {
    let bad = || Error::refused("the bundle is damaged: positions are out of order");
    let count = read_varint(reader)?;
    let mut positions = Vec::new();
    let mut last = 0_usize;
    for index in 0..count {
        let step = usize::try_from(read_varint(reader)?).map_err(|_| bad())?;
        if index > 0 && step == 0 {
            return Err(bad());
        }
        // A few bytes that expand must not grow into a list without end.
        last = last.checked_add(step).filter(|at| *at < end).ok_or_else(bad)?;
        positions.push(last);
    }
    Ok(positions)
}

#[cfg(test)]
mod tests;
