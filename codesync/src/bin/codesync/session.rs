//! `serve` and `receive`: a session on stdin and stdout, and its line in the record.

use std::{fs::File, io, path::Path};

use chrono::{DateTime, Utc};
use codesync::{
    Error, Kind, Result,
    library::Library,
    receive,
    record::{Counted, Log, Visit},
    serve::{self, Pipe, SILENCE},
};

use crate::cli::LogOption;

/// `serve`.
pub fn serve(library: &Path, log: &LogOption) -> Result<()> {
    let mut log = Log::open("synced", log.log.as_deref());
    let mut visit = Visit::default();
    let result = Library::open(library).and_then(|library| {
        let (mut reader, mut writer) = stdio()?;
        serve::serve(&library, &mut reader, &mut writer, &mut visit)
    });
    log.write(&visit, &result);
    result
}

/// `receive`.
pub fn receive(library: &Path, log: &LogOption, now: DateTime<Utc>) -> Result<()> {
    let mut log = Log::open("pushed", log.log.as_deref());
    let (reader, writer) = stdio()?;
    let (mut reader, mut writer) = (Counted::new(reader), Counted::new(writer));
    let result = receive::receive(library, &mut reader, &mut writer, now);
    let mut visit = Visit { received: reader.bytes, sent: writer.bytes, ..Visit::default() };
    let mut steps = Vec::new();
    let result = result.map(|done| steps = done);
    // A line for each ring; the first tells the bytes of all.
    for step in steps {
        visit = Visit {
            ring: Some(step.ring),
            previous: step.previous,
            release: step.release,
            ..visit
        };
        log.write(&visit, &result);
        (visit.received, visit.sent) = (0, 0);
    }
    if visit.ring.is_none() {
        log.write(&visit, &result);
    }
    result
}

type End = Pipe<File>;

/// Stdin and stdout, with a limit on silence.
fn stdio() -> Result<(End, End)> {
    let ends = |error: io::Error| {
        Error::new(Kind::Io, format!("stdin and stdout cannot be used: {error}"))
    };
    // Not std's own handles, which buffer by line.
    let clone = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
    let stdin = clone(std::os::fd::AsFd::as_fd(&io::stdin())).map_err(ends)?;
    let stdout = clone(std::os::fd::AsFd::as_fd(&io::stdout())).map_err(ends)?;
    let reader = Pipe::new(stdin, SILENCE).map_err(ends)?;
    let writer = Pipe::new(stdout, SILENCE).map_err(ends)?;
    Ok((reader, writer))
}
