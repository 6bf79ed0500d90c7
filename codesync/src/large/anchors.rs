//! Which parts of an old content a piece of the new one resembles.
//!
//! A rolling hash picks places by what stands before them, in both contents alike, wherever the bytes
//! have moved to. The blocks of the old content that share most places with a piece are its basis.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, BufRead},
};

/// A basis is made of whole blocks of the old content.
const BLOCK: u64 = 1 << 20;
/// After a place, so many bytes are left out: places are few, and zeros are not all places.
const GAP: usize = 8 << 10;
/// A place is where these bits of the hash are zero: one in 8,192.
const MASK: u64 = 0x1fff << 51;
/// Bytes that the hash looks back at.
const REACH: usize = 64;

/// The places of an old content: which block each is in.
#[derive(Debug)]
pub(super) struct Anchors {
    blocks: HashMap<u64, u64>,
}

impl Anchors {
    /// Reads the old content from its beginning to its end.
    pub(super) fn of(old: &mut impl BufRead) -> io::Result<Self> {
        let mut blocks = HashMap::new();
        let mut rolling = Rolling::default();
        let mut passed = 0;
        loop {
            let bytes = old.fill_buf()?;
            let length = bytes.len();
            if length == 0 {
                return Ok(Self { blocks });
            }
            rolling.places(bytes, &mut |at, hash| {
                blocks.entry(hash).or_insert((passed + at as u64) / BLOCK);
            });
            passed += length as u64;
            old.consume(length);
        }
    }

    /// Parts of the old content (offset, length), ascending, of at most `limit` bytes together: what
    /// `piece`, which stands at `offset` of the new content, shares most with; then what stands
    /// around the same place.
    pub(super) fn basis(&self, piece: &[u8], offset: u64, old: u64, limit: u64) -> Vec<(u64, u64)> {
        let mut shared: BTreeMap<u64, u64> = BTreeMap::new();
        Rolling::default().places(piece, &mut |_, hash| {
            if let Some(block) = self.blocks.get(&hash) {
                *shared.entry(*block).or_default() += 1;
            }
        });
        let blocks = old.div_ceil(BLOCK);
        let home = (offset + piece.len() as u64 / 2) / BLOCK;
        let mut order: Vec<(u64, u64)> = shared.iter().map(|(block, n)| (*n, *block)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let best = order.into_iter().map(|(_, block)| block);
        // What was changed has no places in common; it stands beside what has.
        let beside = shared.keys().flat_map(|block| [block.wrapping_sub(1), block + 1]);
        let around = (0..limit / BLOCK).flat_map(|far| [home + far, home.wrapping_sub(far)]);
        let mut chosen: Vec<u64> = Vec::new();
        for block in best.chain(beside).chain(around).filter(|block| *block < blocks) {
            if chosen.len() as u64 == limit / BLOCK {
                break;
            }
            if !chosen.contains(&block) {
                chosen.push(block);
            }
        }
        chosen.sort_unstable();
        let mut parts: Vec<(u64, u64)> = Vec::new();
        for block in chosen {
            let (from, to) = (block * BLOCK, ((block + 1) * BLOCK).min(old));
            match parts.last_mut() {
                Some((offset, length)) if *offset + *length == from => *length += to - from,
                _ => parts.push((from, to - from)),
            }
        }
        parts
    }
}

/// A gear hash: each byte shifts the ones before it further out.
#[derive(Debug, Default)]
struct Rolling {
    hash: u64,
    /// Bytes to leave out, and after that to take in, before a place may come.
    skip: usize,
}

impl Rolling {
    fn places(&mut self, bytes: &[u8], place: &mut dyn FnMut(usize, u64)) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            if self.skip > REACH {
                let jump = (self.skip - REACH).min(bytes.len() - at);
                self.skip -= jump;
                at += jump;
                continue;
            }
            self.hash = (self.hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
            at += 1;
            if self.skip > 0 {
                self.skip -= 1;
            } else if self.hash & MASK == 0 {
                place(at, self.hash);
                self.skip = GAP;
            }
        }
    }
}

const GEAR: [u64; 256] = gear();

/// Numbers that look random and are the same everywhere (SplitMix64).
const fn gear() -> [u64; 256] {
    let mut table = [0; 256];
    let mut state = 0_u64;
    let mut at = 0;
    while at < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[at] = z ^ (z >> 31);
        at += 1;
    }
    table
}
