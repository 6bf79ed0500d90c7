//! `file:///path`: a library on a disk.

use std::{
    fs,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{Source, Traffic};
use crate::{
    Error, Kind, Result,
    library::Library,
    manifest::File,
    trust::{ROOTS_MAX, Target, Versions},
};

/// A library on this machine.
#[derive(Debug)]
pub struct FileSource {
    library: Library,
    received: u64,
}

impl FileSource {
    /// The library in `folder`.
    pub fn open(folder: &Path) -> Result<Self> {
        let library = Library::open(folder).map_err(|_| {
            Error::new(Kind::Unreachable, format!("there is no library in {}", folder.display()))
        })?;
        Ok(Self { library, received: 0 })
    }

    fn copy(&mut self, path: &Path, offset: u64, length: u64, out: &mut dyn Write) -> Result<()> {
        let mut file = Self::open_file(path)?;
        let fail = |error: std::io::Error| Error::io("copy", path, &error);
        file.seek(SeekFrom::Start(offset)).map_err(fail)?;
        let mut bounded = file.take(length.saturating_sub(offset));
        self.received += std::io::copy(&mut bounded, out).map_err(fail)?;
        Ok(())
    }

    fn open_file(path: &Path) -> Result<fs::File> {
        fs::File::open(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::refused(format!("the source lacks {}", path.display()))
            }
            _ => Error::new(Kind::Unreachable, format!("cannot read {}: {error}", path.display())),
        })
    }
}

impl Source for FileSource {
    fn refresh(&mut self, ring: &str, have: Versions) -> Result<Vec<(String, Vec<u8>)>> {
        let mut files = Vec::new();
        let mut take = |name: String| -> Result<bool> {
            match self.library.metadata(ring, &name) {
                Ok(Some(bytes)) => {
                    self.received += bytes.len() as u64;
                    files.push((name, bytes));
                    Ok(true)
                }
                Ok(None) => Ok(false),
                Err(error) => Err(Error::refused(error.to_string())),
            }
        };
        for version in (have.root + 1..).take(ROOTS_MAX) {
            if !take(format!("{version}.root.json"))? {
                break;
            }
        }
        if take("timestamp.json".to_owned())? {
            // Unverified: they only say which files to hand out.
            if let Ok(newest) = self.library.versions(ring) {
                take(format!("{}.snapshot.json", newest.snapshot))?;
                take(format!("{}.targets.json", newest.targets))?;
            }
        }
        Ok(files)
    }

    fn metadata(&mut self, ring: &str, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        // Percent-encoded, a name holds no `/`; the top-level roles came with the refresh.
        if file.contains(['/', '\\']) || file.starts_with('.') {
            return Ok(None);
        }
        let bytes = crate::disk::read_bounded(&self.library.ring(ring)?.join(file), limit)
            .map_err(|error| Error::refused(error.to_string()))?;
        self.received += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Ok(bytes)
    }

    fn target(
        &mut self,
        ring: &str,
        target: &Target,
        offset: u64,
        out: &mut dyn Write,
    ) -> Result<()> {
        let path = self.library.ring(ring)?.join("targets").join(target.file());
        self.copy(&path, offset, target.length, out)
    }

    fn object(&mut self, file: &File, offset: u64, out: &mut dyn Write) -> Result<()> {
        self.copy(&self.library.object(&file.sha256), offset, file.size, out)
    }

    fn objects(
        &mut self,
        files: &[&File],
        sink: &mut dyn FnMut(&File, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut piece = vec![0; 256 << 10];
        for file in files {
            let path = self.library.object(&file.sha256);
            let mut reader = Self::open_file(&path)?.take(file.size);
            loop {
                let read =
                    reader.read(&mut piece).map_err(|error| Error::io("read", &path, &error))?;
                self.received += read as u64;
                sink(file, &piece[..read])?;
                if read == 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    fn delta(&mut self, _: &File, _: &[u8]) -> Result<Option<Vec<u8>>> {
        // The content itself is as near as its delta.
        Ok(None)
    }

    fn traffic(&self) -> Traffic {
        Traffic { received: self.received, sent: 0 }
    }
}
