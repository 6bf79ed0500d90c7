//! Large contents: patched from a version that is here, where that is cheaper than the whole.

use std::{
    fs,
    io::{self, Seek, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::Attempt;
use crate::{
    Error, Kind, Result,
    fetch::{Downloads, Wanted},
    large,
    manifest::File,
    source::Source,
    stage::Stage,
    trust::{Offer, Target},
};

impl Attempt<'_> {
    /// The content of `file`, compared with its hash: by the cheapest way that leads to it, by
    /// signed sizes and by what an earlier try has left.
    pub(super) fn fetch_large(
        &self,
        source: &mut dyn Source,
        offer: &Offer,
        stage: &Stage,
        downloads: &mut Downloads,
        file: &File,
        progress: &dyn Fn(u64),
    ) -> Result<fs::File> {
        let left = |length: u64, hash| length.saturating_sub(downloads.have(hash));
        let whole = left(file.size, &file.sha256);
        let cheapest = offer
            .large
            .iter()
            .filter(|((_, new), _)| *new == large::short(&file.sha256))
            .filter_map(|((old, _), target)| Some((stage.former(*old)?, target)))
            .min_by_key(|(_, target)| left(target.length, &target.sha256))
            .filter(|(_, target)| left(target.length, &target.sha256) < whole);
        if let Some((old, target)) = cheapest {
            match self.patched(source, downloads, &old, target, file) {
                Ok(content) => {
                    progress(file.size);
                    return Ok(content);
                }
                // Another way asks the same source.
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                // The version here is not what it was, or the patch is not there.
                Err(_) => {}
            }
        }
        downloads.fetch(source, Wanted::Object(file), progress)
    }

    fn patched(
        &self,
        source: &mut dyn Source,
        downloads: &mut Downloads,
        old: &Path,
        target: &Target,
        file: &File,
    ) -> Result<fs::File> {
        let wanted = Wanted::Target(&self.settings.ring, target);
        let patch = downloads.fetch(source, wanted, &|_| ())?;
        let mut old = fs::File::open(old).map_err(|error| Error::io("read", old, &error))?;
        let mut out = Checked::new(&self.store.partial())?;
        large::apply(patch, &mut old, file, &mut out)?;
        out.finish(file)
    }
}

/// A file without a name that is hashed as it is written.
pub(super) struct Checked {
    out: fs::File,
    hasher: Sha256,
}

impl Checked {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        crate::disk::make_folder(folder, 0o700)?;
        let out =
            tempfile::tempfile_in(folder).map_err(|error| Error::io("write in", folder, &error))?;
        Ok(Self { out, hasher: Sha256::new() })
    }

    /// The file, at its beginning, if it is `file`'s content.
    pub(super) fn finish(mut self, file: &File) -> Result<fs::File> {
        if self.hasher.finalize()[..] != file.sha256 {
            return Err(Error::refused(format!("{} is not what was signed", file.path)));
        }
        self.out
            .rewind()
            .map_err(|error| Error::new(Kind::Io, format!("cannot read a download: {error}")))?;
        Ok(self.out)
    }
}

impl Write for Checked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
