//! Completions and man pages, made from the command line's own words.

use std::{fs, path::Path};

use clap_complete::Shell;

use crate::{Failure, Result, cli::print, error::code};

/// Prints the completions of `command` for a shell.
pub fn completions(mut command: clap::Command, shell: Shell) -> Result<u8> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&String::from_utf8_lossy(&text))?;
    Ok(0)
}

/// Prints the man page of `command`; with `folder`, writes it and one page for each subcommand
/// there.
pub fn man(command: clap::Command, folder: Option<&Path>) -> Result<u8> {
    let failed = |e: std::io::Error| Failure::new(code::FAILED, format!("no man page: {e}"));
    let Some(folder) = folder else {
        let mut text = Vec::new();
        clap_mangen::Man::new(command).render(&mut text).map_err(failed)?;
        print(&String::from_utf8_lossy(&text))?;
        return Ok(0);
    };
    fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
    clap_mangen::generate_to(command, folder).map_err(|e| Failure::io("write to", folder, &e))?;
    Ok(0)
}
