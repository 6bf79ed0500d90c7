//! `codesync-serve`: `codesync serve` and nothing else. Every check of every machine starts one, so
//! it links neither SSH nor TLS nor a command line parser: most of what `codesync serve` costs is its
//! start.

use std::{ffi::OsString, io::Write, path::PathBuf, process::ExitCode};

use codesync::{Error, Kind, Result, serve};

fn main() -> ExitCode {
    let done = options(std::env::args_os().skip(1))
        .and_then(|(library, log)| serve::run(&library, log.as_deref()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "codesync: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// The library and the log that the words name.
fn options(mut words: impl Iterator<Item = OsString>) -> Result<(PathBuf, Option<PathBuf>)> {
    let usage = || {
        Error::new(
            Kind::Usage,
            "codesync-serve takes --library DIR [--log FILE]; see codesync serve --help",
        )
    };
    let (mut library, mut log) = (None, None);
    while let Some(word) = words.next() {
        let slot = match word.to_str() {
            Some("--library") => &mut library,
            Some("--log") => &mut log,
            _ => return Err(usage()),
        };
        *slot = Some(PathBuf::from(words.next().ok_or_else(usage)?));
    }
    Ok((library.ok_or_else(usage)?, log))
}
