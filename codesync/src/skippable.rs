//! zstd's skippable frames, in which bundles and large patches keep what they say in clear.

use std::io::{self, Read, Write};

const MAGIC: u32 = 0x184D_2A5C;

/// Writes a frame of `payload`.
pub(crate) fn write(out: &mut dyn Write, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len()).map_err(io::Error::other)?;
    out.write_all(&MAGIC.to_le_bytes())?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(payload)
}

/// The payload of the frame at which `reader` stands; `None` when there is none of at most `most`
/// bytes. What is announced is not believed: memory follows what comes.
pub(crate) fn read(reader: &mut impl Read, most: u32) -> io::Result<Option<Vec<u8>>> {
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    let [m0, m1, m2, m3, l0, l1, l2, l3] = start;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if u32::from_le_bytes([m0, m1, m2, m3]) != MAGIC || length > most {
        return Ok(None);
    }
    let mut payload = Vec::new();
    reader.take(u64::from(length)).read_to_end(&mut payload)?;
    match payload.len() == length as usize {
        true => Ok(Some(payload)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
