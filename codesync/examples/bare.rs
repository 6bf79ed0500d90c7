//! The floor of a sync over SSH: the same code connects, authenticates, runs `true` and ends.
//!
//! `bare URL IDENTITY KNOWN_HOSTS`; the key must be one that may run commands.

use std::{path::Path, process::ExitCode, time::Duration};

use codesync::source::{Access, Address, bare};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [url, identity, known_hosts] = args.as_slice() else {
        eprintln!("usage: bare URL IDENTITY KNOWN_HOSTS");
        return ExitCode::from(2);
    };
    let settings = Access {
        identity: Some(Path::new(identity)),
        known_hosts: Some(Path::new(known_hosts)),
        timeout: Duration::from_secs(20),
        ..Access::default()
    };
    match Address::parse(url).and_then(|address| bare(&address, &settings)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}
