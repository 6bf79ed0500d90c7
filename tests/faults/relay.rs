//! Damage inside the protocol: one flipped, dropped, doubled, inserted or swapped run of bytes, or
//! frame, at a chosen place.
//!
//! sshd starts this program in place of `codesync serve`; it starts the real one and stands in
//! between. A file says what to do, so that one key serves all rounds.

use std::{
    fs,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result};
use e2e::{bin, rng::Rng};

/// `faults relay SPEC LIBRARY`
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file with the harm: its kind, place, seed and direction.
    spec: PathBuf,
    /// The library to serve.
    library: PathBuf,
}

/// What is done to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Flip,
    Drop,
    Double,
    Insert,
    Swap,
    FrameDrop,
    FrameDouble,
    FrameInsert,
    FrameSwap,
}

/// Kinds, with their names.
pub const KINDS: &[(Kind, &str)] = &[
    (Kind::Flip, "bytes flipped"),
    (Kind::Drop, "bytes dropped"),
    (Kind::Double, "bytes doubled"),
    (Kind::Insert, "bytes inserted"),
    (Kind::Swap, "bytes swapped"),
    (Kind::FrameDrop, "frame dropped"),
    (Kind::FrameDouble, "frame doubled"),
    (Kind::FrameInsert, "frame inserted"),
    (Kind::FrameSwap, "frames swapped"),
];

impl Kind {
    /// Whether it needs frames.
    pub fn is_frame(self) -> bool {
        matches!(self, Self::FrameDrop | Self::FrameDouble | Self::FrameInsert | Self::FrameSwap)
    }

    fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// One damage.
#[derive(Debug, Clone, Copy)]
pub struct Harm {
    /// What.
    pub kind: Kind,
    /// The byte, or the number of the frame.
    pub at: u64,
    /// Decides lengths and values.
    pub seed: u64,
    /// What the client sends, rather than what it receives.
    pub up: bool,
}

impl Harm {
    /// The text for the file.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n{}\n", self.kind.name(), self.at, self.seed, self.up)
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let mut next = || lines.next().context("the harm is not whole");
        let name = next()?;
        let (kind, _) = KINDS.iter().find(|(_, known)| *known == name).context("no such harm")?;
        Ok(Self {
            kind: *kind,
            at: next()?.parse()?,
            seed: next()?.parse()?,
            up: next()? == "true",
        })
    }

    /// Damages `chunk`, whose first byte is number `position` of the stream, if it is its turn.
    pub fn bytes(&self, chunk: &mut Vec<u8>, position: u64) {
        let Some(at) = self.at.checked_sub(position).and_then(|at| usize::try_from(at).ok()) else {
            return;
        };
        if at >= chunk.len() {
            return;
        }
        let mut rng = Rng::new(self.seed);
        let count = rng.zipf(400) + 1;
        let end = (at + count).min(chunk.len());
        match self.kind {
            Kind::Flip => {
                if let Some(byte) = chunk.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
            Kind::Drop => drop(chunk.drain(at..end)),
            Kind::Double => {
                let piece: Vec<u8> = chunk.get(at..end).unwrap_or_default().to_vec();
                chunk.splice(at..at, piece);
            }
            Kind::Insert => {
                let noise = (0..count).map(|_| rng.bits().to_le_bytes()[0]);
                chunk.splice(at..at, noise.collect::<Vec<u8>>());
            }
            Kind::Swap => {
                if let Some(piece) = chunk.get_mut(at..end) {
                    let middle = piece.len() / 2;
                    piece.rotate_left(middle);
                }
            }
            _ => {}
        }
    }

    fn frame(&self, frame: Vec<u8>, number: u64, held: &mut Vec<u8>) -> Vec<u8> {
        if number != self.at {
            return [frame, std::mem::take(held)].concat();
        }
        match self.kind {
            Kind::FrameDrop => Vec::new(),
            Kind::FrameDouble => [frame.clone(), frame].concat(),
            Kind::FrameInsert => {
                let mut rng = Rng::new(self.seed);
                let tag = b"QSFDZEW"[rng.below(7)];
                let length = rng.zipf(40);
                let noise = (0..length).map(|_| rng.bits().to_le_bytes()[0]);
                let mut all = vec![tag, 0, 0, 0, u8::try_from(length).unwrap_or(0)];
                all.extend(noise);
                [all, frame].concat()
            }
            _ => {
                *held = frame;
                Vec::new()
            }
        }
    }

    /// Passes everything from `from` on to `to`.
    fn pass(&self, mut from: impl Read, mut to: impl Write) -> Result<()> {
        let mut position = 0;
        let mut held = Vec::new();
        loop {
            let mut chunk = if self.kind.is_frame() { frame(&mut from)? } else { some(&mut from)? };
            if chunk.is_empty() {
                to.write_all(&held)?;
                return Ok(());
            }
            if self.kind.is_frame() {
                chunk = self.frame(chunk, position, &mut held);
                position += 1;
            } else {
                let length = chunk.len() as u64;
                self.bytes(&mut chunk, position);
                position += length;
            }
            to.write_all(&chunk)?;
            to.flush()?;
        }
    }
}

fn some(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut chunk = vec![0; 8192];
    let read = from.read(&mut chunk)?;
    chunk.truncate(read);
    Ok(chunk)
}

fn frame(from: &mut impl Read) -> Result<Vec<u8>> {
    let mut frame = vec![0; 5];
    if from.read_exact(&mut frame).is_err() {
        return Ok(Vec::new());
    }
    let length = match frame.as_slice() {
        [_, a, b, c, d] => u32::from_be_bytes([*a, *b, *c, *d]),
        _ => 0,
    };
    from.take(u64::from(length)).read_to_end(&mut frame)?;
    Ok(frame)
}

/// Serves one session.
pub fn run(args: &Args) -> Result<()> {
    let harm = Harm::parse(&fs::read_to_string(&args.spec)?)?;
    let mut command = Command::new(bin("codesync")?);
    command.arg("serve").arg("--library").arg(&args.library);
    command.stdin(if harm.up { Stdio::piped() } else { Stdio::inherit() });
    command.stdout(if harm.up { Stdio::inherit() } else { Stdio::piped() });
    let mut child = command.spawn()?;
    if let Some(out) = child.stdout.take() {
        harm.pass(out, std::io::stdout().lock()).ok();
        // The client may still wait for what was dropped.
    } else if let Some(into) = child.stdin.take() {
        // Ends with the client, whatever the server does.
        thread::spawn(move || harm.pass(std::io::stdin().lock(), into));
    }
    child.wait()?;
    Ok(())
}
