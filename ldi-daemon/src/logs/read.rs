//! Reading a log: whole, or as it grows.

use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::Stream;
use crate::{Failure, Result, error::code};

/// Twice the largest limit that the configuration allows, and some.
const LARGEST: u64 = 3 << 30;
/// What is read at once of a log that grows.
const PIECE: u64 = 1 << 20;
/// A header line or the head of a frame is shorter.
const LINE: usize = 4096;

/// A frame of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// What a pipe gave.
    Bytes(Stream, Vec<u8>),
    /// So many bytes of it were left out here.
    Cut(Stream, u64),
}

/// A log that may still grow.
#[derive(Debug)]
pub struct Reader {
    file: File,
    path: PathBuf,
    taken: u64,
    /// Read, and not yet a whole line or frame.
    rest: Vec<u8>,
    in_header: bool,
    header: Vec<String>,
}

impl Reader {
    /// Opens the log of `run`; `None` where there is none.
    pub fn open(folder: &Path, run: &str) -> Result<Option<Self>> {
        let path = folder.join(format!("{run}.log"));
        match File::open(&path) {
            Ok(file) => {
                let (rest, header) = (Vec::new(), Vec::new());
                Ok(Some(Self { file, path, taken: 0, rest, in_header: true, header }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::io("read the log", &path, &error)),
        }
    }

    /// The frames that are whole by now and were not given before; empty at the end so far.
    pub fn more(&mut self) -> Result<Vec<Frame>> {
        loop {
            let room = PIECE.min(LARGEST.saturating_sub(self.taken));
            let read = (&mut self.file)
                .take(room)
                .read_to_end(&mut self.rest)
                .map_err(|e| Failure::io("read the log", &self.path, &e))?;
            self.taken += read as u64;
            let frames = self.whole();
            if read == 0 || !frames.is_empty() {
                return Ok(frames);
            }
        }
    }

    /// Its header lines, and all frames that there are.
    pub fn all(mut self) -> Result<(Vec<String>, Vec<Frame>)> {
        let mut frames = Vec::new();
        loop {
            let more = self.more()?;
            if more.is_empty() {
                let header = std::mem::take(&mut self.header);
                frames.extend(self.torn());
                return Ok((header, frames));
            }
            frames.extend(more);
        }
    }

    /// What a crash left of the last frame.
    pub fn torn(mut self) -> Option<Frame> {
        let head = line(&self.rest)?;
        match head_of(&String::from_utf8_lossy(head))? {
            Head::Bytes(stream, _) => {
                let from = head.len() + 1;
                Some(Frame::Bytes(stream, self.rest.split_off(from)))
            }
            Head::Cut(..) => None,
        }
    }

    fn whole(&mut self) -> Vec<Frame> {
        let (mut frames, mut at) = (Vec::new(), 0);
        while let Some(head) = line(&self.rest[at..]) {
            let body = at + head.len() + 1;
            if self.in_header {
                self.in_header = !head.is_empty();
                if self.in_header {
                    self.header.push(String::from_utf8_lossy(head).into_owned());
                }
                at = body;
                continue;
            }
            match head_of(&String::from_utf8_lossy(head)) {
                Some(Head::Cut(stream, n)) => {
                    frames.push(Frame::Cut(stream, n));
                    at = body;
                }
                Some(Head::Bytes(stream, n)) => {
                    let Some(end) = body.checked_add(n).filter(|end| *end < self.rest.len()) else {
                        break;
                    };
                    frames.push(Frame::Bytes(stream, self.rest[body..end].to_vec()));
                    at = end + 1;
                }
                None => break,
            }
        }
        self.rest.drain(..at);
        frames
    }
}

enum Head {
    Bytes(Stream, usize),
    Cut(Stream, u64),
}

fn head_of(line: &str) -> Option<Head> {
    let stream = |word| match word {
        "out" => Some(Stream::Out),
        "err" => Some(Stream::Err),
        _ => None,
    };
    match line.split(' ').collect::<Vec<_>>().as_slice() {
        ["cut", which, n] => Some(Head::Cut(stream(which)?, n.parse().ok()?)),
        [which, n] => Some(Head::Bytes(stream(which)?, n.parse().ok()?)),
        _ => None,
    }
}

fn line(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().take(LINE).position(|b| *b == b'\n')?;
    bytes.get(..end)
}

/// Reads the log of `run`: its header lines and its frames. A log that ends early, as after a
/// crash, gives what is there.
pub fn read(folder: &Path, run: &str) -> Result<(Vec<String>, Vec<Frame>)> {
    match Reader::open(folder, run)? {
        Some(reader) => reader.all(),
        None => {
            let why = format!("the log of run {run} is no longer in {}", folder.display());
            Err(Failure::new(code::FAILED, why))
        }
    }
}

/// Frames to lines, each by one pipe: a line ends where its pipe wrote a line feed.
#[derive(Debug, Default)]
pub struct Lines {
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Lines {
    /// The lines that `frame` completes.
    pub fn push(&mut self, frame: &Frame) -> Vec<(Stream, Vec<u8>)> {
        let mut done = Vec::new();
        match frame {
            Frame::Bytes(stream, bytes) => {
                let open = self.open(*stream);
                for piece in bytes.split_inclusive(|b| *b == b'\n') {
                    open.extend_from_slice(piece);
                    if open.last() == Some(&b'\n') {
                        open.pop();
                        done.push((*stream, std::mem::take(open)));
                    }
                }
            }
            Frame::Cut(stream, n) => {
                let open = std::mem::take(self.open(*stream));
                if !open.is_empty() {
                    done.push((*stream, open));
                }
                done.push((*stream, format!("[… {n} bytes were cut here …]").into_bytes()));
            }
        }
        done
    }

    /// What came after the last line feeds.
    pub fn rest(self) -> Vec<(Stream, Vec<u8>)> {
        let both = [(Stream::Out, self.out), (Stream::Err, self.err)];
        both.into_iter().filter(|(_, rest)| !rest.is_empty()).collect()
    }

    fn open(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

/// All lines of a log.
pub fn lines(frames: &[Frame]) -> Vec<(Stream, Vec<u8>)> {
    let mut lines = Lines::default();
    let mut all: Vec<_> = frames.iter().flat_map(|frame| lines.push(frame)).collect();
    all.extend(lines.rest());
    all
}

/// Text for a terminal: nothing in it can move the cursor, change colours or the title.
pub fn harmless(bytes: &[u8]) -> String {
    let mut safe = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\t' => safe.push(c),
            c if c.is_control()
                || ('\u{200e}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                safe.extend(c.escape_default());
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    const LOG: &[u8] = b"ldi-log: 1\njob: a\n\nout 3\nabc\nerr 2\n\nx\ncut err 5\nout 1\nd\n";

    #[test]
    fn a_torn_log_gives_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let all = {
            fs::write(dir.path().join("r.log"), LOG).unwrap();
            read(dir.path(), "r").unwrap().1
        };
        assert_eq!(all.len(), 4);
        for n in 0..LOG.len() {
            fs::write(dir.path().join("r.log"), &LOG[..n]).unwrap();
            let there = read(dir.path(), "r").unwrap().1;
            assert!(there.len() <= all.len(), "{n}: {there:?}");
        }
        fs::write(dir.path().join("r.log"), b"ldi-log: 1\n\nout 99999999999999999\nxy").unwrap();
        let there = read(dir.path(), "r").unwrap().1;
        assert_eq!(there, [Frame::Bytes(Stream::Out, b"xy".to_vec())]);
        assert!(read(dir.path(), "none").unwrap_err().to_string().contains("no longer"));
    }

    #[test]
    fn a_log_that_grows_byte_by_byte_gives_each_frame_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = fs::File::create(dir.path().join("r.log")).unwrap();
        let mut reader = Reader::open(dir.path(), "r").unwrap().unwrap();
        let mut frames = Vec::new();
        for byte in LOG {
            file.write_all(&[*byte]).unwrap();
            frames.extend(reader.more().unwrap());
        }
        assert_eq!(frames, read(dir.path(), "r").unwrap().1);
        assert!(reader.torn().is_none());
    }
}
