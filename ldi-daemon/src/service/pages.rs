//! Completions and man pages, made from the command line's own words.

use std::{fs, path::Path};

use clap_complete::Shell;

use crate::{Failure, Result, cli::print, error::code};

/// Prints the completions of `command` for a shell.
pub fn completions(mut command: clap::Command, shell: Shell) -> Result<u8> {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    print(&with_functions(shell, &String::from_utf8_lossy(&text)))?;
    Ok(0)
}

/// What clap writes, with the functions of the library behind `ldi call`.
fn with_functions(shell: Shell, text: &str) -> String {
    match shell {
        Shell::Bash => format!("{text}{}", include_str!("complete/call.bash")),
        Shell::Fish => format!("{text}{}", include_str!("complete/call.fish")),
        Shell::Zsh => {
            let function = include_str!("complete/call.zsh");
            let text =
                text.replace("then its arguments:_default'", "then its arguments:_ldi_functions'");
            // Before the lines that call or announce `_ldi`.
            text.replace("\nif [ \"$funcstack[1]\"", &format!("{function}\nif [ \"$funcstack[1]\""))
        }
        _ => text.to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_place_in_what_clap_writes() {
        let zsh = "'*::words -- The function; then its arguments:_default'\n\nif [ \"$funcstack[1]\" = x\n";
        let made = with_functions(Shell::Zsh, zsh);
        assert!(made.contains("arguments:_ldi_functions'") && made.contains("_ldi_functions() {"));
        assert!(made.find("_ldi_functions() {") < made.find("\nif ["));
        assert!(with_functions(Shell::Bash, "x").ends_with(" ldi\n"));
    }
}
