//! One sync without the daemon, for measuring: `pull ROOT SOURCE TRUSTED_ROOT [IDENTITY KNOWN_HOSTS]`.

use std::{process::ExitCode, time::Duration};

use codesync::pull::{Options, Settings, sync};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [root, source, trusted_root, ssh @ ..] = args.as_slice() else {
        eprintln!("usage: pull ROOT SOURCE TRUSTED_ROOT [IDENTITY KNOWN_HOSTS]");
        return ExitCode::from(2);
    };
    let settings = Settings {
        root: root.into(),
        sources: vec![source.clone()],
        ring: "stable".to_owned(),
        trusted_root: trusted_root.into(),
        identity: ssh.first().map(Into::into),
        known_hosts: ssh.get(1).map(Into::into),
        connect_timeout: Duration::from_secs(20),
        lock_wait: Duration::ZERO,
        options: Options::default(),
    };
    match sync(&settings, chrono::Utc::now(), &|_| Ok(()), &|_, _| {}) {
        Ok(report) => {
            println!("{report:?}");
            ExitCode::from(report.exit_code())
        }
        Err(error) => {
            eprintln!("pull: {error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}
