//! The connection of a push: requests, answers, and uploads of which many are under way at once.

use std::{
    collections::HashSet,
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use serde::de::DeserializeOwned;

use super::{Progress, parts};
use crate::{
    Error, Kind, Result,
    library::Library,
    source::Remote,
    trust::Versions,
    upload::{ANSWER_MAX, Bundles, Op, PIPELINE, Request},
    wire::{FileHead, PIECE, Tag, VERSION},
};

/// What is to be sent next; nothing is sent twice.
#[derive(Default)]
pub(super) struct Uploads {
    pub(super) waiting: Vec<Upload>,
    pub(super) known: HashSet<String>,
}

pub(super) struct Upload {
    hash: String,
    path: PathBuf,
    length: u64,
    offset: u64,
}

impl Uploads {
    pub(super) fn add(&mut self, hash: String, path: PathBuf, length: u64, offset: u64) {
        if self.known.insert(hash.clone()) {
            self.waiting.push(Upload { hash, path, length, offset: offset.min(length) });
        }
    }
}

/// The connection, and what was sent over it.
pub(super) struct Link<'a, S> {
    pub(super) remote: &'a mut Remote<S>,
    pub(super) unanswered: usize,
    pub(super) sent: u64,
    pub(super) total: u64,
    pub(super) files: u64,
    pub(super) resumed: u64,
    pub(super) progress: &'a Progress<'a>,
}

impl<S: Read + Write> Link<'_, S> {
    pub(super) fn request(&mut self, op: &Op) -> Result<()> {
        let request = serde_json::to_vec(&Request { v: VERSION, op: op.clone() })
            .map_err(|error| Error::new(Kind::Io, format!("cannot write a request: {error}")))?;
        self.send(Tag::Request, &request)
    }

    /// Sends a frame. When that fails, the server's own words say why better than the pipe does.
    pub(super) fn send(&mut self, tag: Tag, payload: &[u8]) -> Result<()> {
        self.remote.send(tag, payload).map_err(|error| {
            for _ in 0..=PIPELINE {
                match self.remote.frame() {
                    Ok(Tag::Error) => return self.remote.failure(),
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            error
        })
    }

    /// The answer to the last request.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, op: &Op) -> Result<T> {
        self.request(op)?;
        self.answer()
    }

    pub(super) fn answer<T: DeserializeOwned>(&mut self) -> Result<T> {
        let odd = |what: &str| Error::refused(format!("the server's answer is odd: {what}"));
        self.expect(Tag::File)?;
        let head: FileHead =
            serde_json::from_slice(self.remote.payload()).map_err(|_| odd("its head"))?;
        if head.length > ANSWER_MAX {
            return Err(odd("it is too long"));
        }
        let mut bytes = Vec::new();
        self.remote.body(head.length, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        self.expect(Tag::End)?;
        serde_json::from_slice(&bytes).map_err(|error| odd(&error.to_string()))
    }

    fn expect(&mut self, tag: Tag) -> Result<()> {
        loop {
            match self.remote.frame()? {
                Tag::Work => {}
                Tag::Error => return Err(self.remote.failure()),
                found if found == tag => return Ok(()),
                found => {
                    let what = format!("the server sent {found:?} where {tag:?} was due");
                    return Err(Error::refused(what));
                }
            }
        }
    }

    pub(super) fn offer(
        &mut self,
        library: &Library,
        ring: &str,
        own: &Versions,
        root: u64,
    ) -> Result<Bundles> {
        let mut names: Vec<String> =
            (root + 1..=own.root).map(|version| format!("{version}.root.json")).collect();
        names.push("timestamp.json".into());
        names.push(format!("{}.snapshot.json", own.snapshot));
        let parts = parts(library, ring, own)?;
        names.extend(parts.iter().map(|part| format!("{}.{}.json", part.version, part.role)));
        let mut files = Vec::new();
        for name in names {
            let bytes = library.metadata(ring, &name)?.ok_or_else(|| {
                let what = format!("{name} of ring {ring} is missing here; run codesync doctor");
                Error::new(Kind::Io, what)
            })?;
            files.push((FileHead { name, length: bytes.len() as u64 }, bytes));
        }
        let heads = files.iter().map(|(head, _)| head.clone()).collect();
        self.request(&Op::Offer { ring: ring.to_owned(), files: heads })?;
        for (_, bytes) in &files {
            for piece in bytes.chunks(PIECE) {
                self.send(Tag::Data, piece)?;
            }
        }
        self.answer()
    }

    /// Sends what waits, with many puts under way at once.
    pub(super) fn put_all(&mut self, uploads: &mut Uploads) -> Result<()> {
        self.total += uploads.waiting.iter().map(|one| one.length - one.offset).sum::<u64>();
        for upload in uploads.waiting.drain(..) {
            self.put(&upload)?;
        }
        while self.unanswered > 0 {
            self.expect(Tag::End)?;
            self.unanswered -= 1;
        }
        Ok(())
    }

    fn put(&mut self, upload: &Upload) -> Result<()> {
        let Upload { hash, path, length, offset } = upload;
        let fail = |error: std::io::Error| Error::io("read", path, &error);
        let mut file = fs::File::open(path).map_err(fail)?;
        if file.metadata().map_err(fail)?.len() != *length {
            return Err(Error::new(
                Kind::Io,
                format!(
                    "{} is damaged: its length is not the signed one; run codesync doctor",
                    path.display()
                ),
            ));
        }
        file.seek(SeekFrom::Start(*offset)).map_err(fail)?;
        self.request(&Op::Put { sha256: hash.clone(), length: *length, offset: *offset })?;
        let mut piece = vec![0; PIECE];
        let mut left = length - offset;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            file.read_exact(&mut piece[..want]).map_err(fail)?;
            self.send(Tag::Data, &piece[..want])?;
            left -= want as u64;
            self.sent += want as u64;
            (self.progress)(self.sent, self.total);
        }
        self.files += 1;
        self.resumed += offset;
        self.unanswered += 1;
        if self.unanswered > PIPELINE {
            self.expect(Tag::End)?;
            self.unanswered -= 1;
        }
        Ok(())
    }
}
