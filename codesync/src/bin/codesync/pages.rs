//! Completions and man pages, made from the command line's own words.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::CommandFactory;
use codesync::{Error, Result};

use crate::cli::Cli;

/// Prints the completions for a shell.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "codesync", &mut text);
    print(&text)
}

/// Prints the man page; with `folder`, writes it and one page for each command there.
pub fn man(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else {
        let mut text = Vec::new();
        let page = clap_mangen::Man::new(Cli::command());
        page.render(&mut text).map_err(|e| Error::io("make", Path::new("the man page"), &e))?;
        return print(&text);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|e| Error::io("write man pages to", folder, &e))
}

fn print(text: &[u8]) -> Result<()> {
    match io::stdout().lock().write_all(text) {
        // `codesync man | head` is no failure.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Error::io("write to", Path::new("standard output"), &e)),
    }
}
