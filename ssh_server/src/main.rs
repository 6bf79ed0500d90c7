//! `codesync-shell`: forced command and login shell of the account that hands out the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ssh_server::session::run(std::env::args_os().collect())
}
