//! The client's end of the wire protocol, over any pair of byte streams.

use std::io::{Read, Write};

use super::{Source, Traffic, hash_name};
use crate::{
    Error, Kind, Result,
    manifest::{BUNDLED_MAX, File},
    trust::{self, ROOTS_MAX, Target, Versions},
    wire::{
        Failure, FileHead, OBJECTS_MAX, Op, PIECE, Request, Tag, VERSION, gone, read_frame,
        write_frame,
    },
};

/// `codesync serve` at the other end of `stream`.
pub struct Remote<S> {
    stream: S,
    traffic: Traffic,
    /// What arrived but was not yet asked for: one read from the stream may hold many frames.
    buffer: Vec<u8>,
    at: usize,
    payload: Vec<u8>,
}

impl<S> std::fmt::Debug for Remote<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remote({:?})", self.traffic)
    }
}

impl<S: Read + Write> Read for Remote<S> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.buffer.len() {
            self.buffer.resize(PIECE, 0);
            self.at = 0;
            let read = self.stream.read(&mut self.buffer).inspect_err(|_| self.at = PIECE)?;
            self.buffer.truncate(read);
            self.traffic.received += read as u64;
        }
        let count = (self.buffer.len() - self.at).min(out.len());
        out[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl<S: Read + Write> Remote<S> {
    /// A client on `stream`.
    pub fn new(stream: S) -> Self {
        Self { stream, traffic: Traffic::default(), buffer: Vec::new(), at: 0, payload: Vec::new() }
    }

    fn ask(&mut self, op: Op) -> Result<()> {
        let request = serde_json::to_vec(&Request { v: VERSION, op })
            .map_err(|error| Error::new(Kind::Io, format!("cannot write a request: {error}")))?;
        self.send(Tag::Request, &request)
    }

    pub(crate) fn send(&mut self, tag: Tag, payload: &[u8]) -> Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 5);
        write_frame(&mut frame, tag, payload)
            .and_then(|()| self.stream.write_all(&frame))
            .and_then(|()| self.stream.flush())
            .map_err(|error| gone(&error))?;
        self.traffic.sent += frame.len() as u64;
        Ok(())
    }

    /// The next frame's kind; [`Remote::payload`] has the rest of it.
    pub(crate) fn frame(&mut self) -> Result<Tag> {
        let mut payload = std::mem::take(&mut self.payload);
        let tag = read_frame(self, &mut payload);
        self.payload = payload;
        tag?.ok_or_else(|| {
            Error::new(
                Kind::Unreachable,
                "the server ended the connection without an answer; is `codesync serve` this key's command there?",
            )
        })
    }

    /// The next file's head, or `None` at the end of the answer.
    fn head(&mut self) -> Result<Option<FileHead>> {
        match self.frame()? {
            Tag::File => serde_json::from_slice(&self.payload).map(Some).map_err(|error| {
                Error::refused(format!("the server announced a file wrongly: {error}"))
            }),
            Tag::End => Ok(None),
            Tag::Error => Err(self.failure()),
            other => Err(Error::refused(format!("the server sent {other:?} where a file was due"))),
        }
    }

    /// The payload of the last frame.
    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn failure(&self) -> Error {
        let Ok(failure) = serde_json::from_slice::<Failure>(&self.payload) else {
            return Error::refused("the server failed and did not say why");
        };
        // Words from elsewhere: no control characters on anybody's terminal.
        let message: String =
            failure.message.chars().filter(|c| !c.is_control()).take(300).collect();
        match failure.code.as_str() {
            "not-found" => Error::refused(format!("the server does not have it: {message}")),
            "internal" | "limit" => {
                Error::new(Kind::Unreachable, format!("the server failed: {message}"))
            }
            "busy" => Error::new(Kind::Busy, format!("the server is busy: {message}")),
            _ => Error::refused(format!("the server refused the request: {message}")),
        }
    }

    /// Passes the `length` bytes that follow a head to `sink`, piece by piece.
    pub(crate) fn body(
        &mut self,
        length: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut left = length;
        while left > 0 {
            match self.frame()? {
                Tag::Data if !self.payload.is_empty() && self.payload.len() as u64 <= left => {
                    left -= self.payload.len() as u64;
                    sink(&self.payload)?;
                }
                Tag::Error => return Err(self.failure()),
                _ => return Err(Error::refused("the server sent other bytes than it announced")),
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        match self.head()? {
            None => Ok(()),
            Some(_) => Err(Error::refused("the server sent more than was asked for")),
        }
    }
}

impl<S: Read + Write> Source for Remote<S> {
    fn refresh(&mut self, ring: &str, have: Versions) -> Result<Vec<(String, Vec<u8>)>> {
        self.ask(Op::Refresh {
            ring: ring.to_owned(),
            root: have.root,
            timestamp: have.timestamp,
            snapshot: have.snapshot,
            targets: have.targets,
        })?;
        let mut files = Vec::new();
        while let Some(head) = self.head()? {
            let limit = trust::limit(&head.name).ok_or_else(|| {
                Error::refused(format!("the server sent {:?}, which is no metadata", head.name))
            })?;
            if head.length > limit || files.len() > ROOTS_MAX + 3 {
                return Err(Error::refused(format!(
                    "the server announced {} with {} bytes; at most {limit} are accepted",
                    head.name, head.length
                )));
            }
            let mut bytes = Vec::new();
            self.body(head.length, &mut |piece| {
                bytes.extend_from_slice(piece);
                Ok(())
            })?;
            files.push((head.name, bytes));
        }
        Ok(files)
    }

    fn target(
        &mut self,
        ring: &str,
        target: &Target,
        offset: u64,
        out: &mut dyn Write,
    ) -> Result<()> {
        self.ask(Op::Target { ring: ring.to_owned(), name: target.file(), offset })?;
        let head = self.head()?.ok_or_else(|| Error::refused("the server sent nothing"))?;
        if head.length != target.length.saturating_sub(offset) {
            return Err(Error::refused(format!(
                "the server has {} bytes of {}, but {} were signed",
                head.length + offset,
                target.name,
                target.length
            )));
        }
        self.body(head.length, &mut |piece| {
            out.write_all(piece)
                .map_err(|error| Error::new(Kind::Io, format!("cannot store a download: {error}")))
        })?;
        self.finish()
    }

    fn objects(
        &mut self,
        files: &[&File],
        sink: &mut dyn FnMut(&File, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut batches = files.chunks(OBJECTS_MAX);
        let mut asked = std::collections::VecDeque::new();
        loop {
            // Two requests under way keep the line busy.
            while asked.len() < 2 {
                let Some(batch) = batches.next() else { break };
                let sha256 = batch.iter().map(|file| hash_name(&file.sha256)).collect();
                self.ask(Op::Objects { sha256, offset: 0 })?;
                asked.push_back(batch);
            }
            let Some(batch) = asked.pop_front() else { return Ok(()) };
            for file in batch {
                let head = self.head()?.ok_or_else(|| Error::refused("a content is missing"))?;
                if head.length != file.size || head.name != hash_name(&file.sha256) {
                    return Err(Error::refused(format!(
                        "the server has other bytes for {} than were signed",
                        file.path
                    )));
                }
                self.body(head.length, &mut |piece| sink(file, piece))?;
                sink(file, &[])?;
            }
            self.finish()?;
        }
    }

    fn object(&mut self, file: &File, offset: u64, out: &mut dyn Write) -> Result<()> {
        let name = hash_name(&file.sha256);
        self.ask(Op::Objects { sha256: vec![name.clone()], offset })?;
        let head = self.head()?.ok_or_else(|| Error::refused("a content is missing"))?;
        let due = file.size.saturating_sub(offset);
        // A server that does not know offsets yet sends the whole.
        let mut skip = if head.length == file.size { offset } else { 0 };
        if head.name != name || head.length != due + skip {
            return Err(Error::refused(format!(
                "the server has other bytes for {} than were signed",
                file.path
            )));
        }
        self.body(head.length, &mut |piece| {
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= skipped as u64;
            out.write_all(&piece[skipped..])
                .map_err(|error| Error::new(Kind::Io, format!("cannot store a download: {error}")))
        })?;
        self.finish()
    }

    fn delta(&mut self, file: &File, signature: &[u8]) -> Result<Option<Vec<u8>>> {
        self.ask(Op::Delta { sha256: hash_name(&file.sha256), length: signature.len() as u64 })?;
        for piece in signature.chunks(PIECE) {
            self.send(Tag::Signature, piece)?;
        }
        let head = self.head()?.ok_or_else(|| Error::refused("the server sent nothing"))?;
        if head.length > BUNDLED_MAX + (1 << 20) {
            return Err(Error::refused("the server announced a delta larger than the content"));
        }
        let mut delta = Vec::new();
        self.body(head.length, &mut |piece| {
            delta.extend_from_slice(piece);
            Ok(())
        })?;
        self.finish()?;
        Ok(Some(delta))
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
