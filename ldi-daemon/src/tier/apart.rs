//! A sync in a process of its own, `ldi sync --apart`: what reads bytes from the network shares no
//! memory with what supervises jobs, gives all of its own back when it ends, and can be ended at
//! any moment.
//!
//! The configuration goes through standard input, as the daemon read it: a file that was broken
//! since changes nothing. The answer is one line of JSON.

use std::{
    io::{Read, Write},
    path::Path,
    process::Stdio,
};

use codesync::pull::Report;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::watch,
};

use crate::{Failure, Result, config::Config, error::code, launcher, release, supervise};

/// A longer configuration is none; see [`Config::load`].
const CONFIG_MAX: u64 = 1 << 20;
/// A longer answer is none.
const ANSWER_MAX: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Report(Report),
    Failure { code: u8, sentence: String },
}

/// The other process, whose configuration came from `file`. Remembers nothing.
pub fn here(file: &Path) -> Result<u8> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|e| Failure::new(code::FAILED, format!("cannot end with ldi: {e}")))?;
    let mut text = Vec::new();
    std::io::stdin()
        .take(CONFIG_MAX)
        .read_to_end(&mut text)
        .map_err(|e| Failure::io("read", Path::new("the configuration"), &e))?;
    let answer = match Config::of(file, text).and_then(|config| release::sync(&config, &|_, _| {}))
    {
        Ok(report) => Answer::Report(report),
        Err(failure) => Answer::Failure { code: failure.code(), sentence: failure.to_string() },
    };
    let told = serde_json::to_vec(&answer)
        .map_err(std::io::Error::from)
        .and_then(|answer| std::io::stdout().write_all(&answer));
    told.map_err(|e| Failure::io("write", Path::new("the report"), &e))?;
    Ok(0)
}

/// Syncs with `config` in another process; ends it when `stop` turns true.
pub async fn sync(config: &Config, mut stop: watch::Receiver<bool>) -> Result<Report> {
    let failed = |what: String| Failure::new(code::FAILED, what);
    let mut command = Command::new(launcher::own_program());
    command
        .arg0("ldi")
        .arg("--config")
        .arg(&config.file)
        .args(["sync", "--apart"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A terminal's ^C is for whoever started it, who then ends it.
        .process_group(0)
        .kill_on_drop(true);
    let (mut child, _aside) = supervise::aside(|| command.spawn(), Child::id)
        .map_err(|e| failed(format!("the sync could not be started: {e}")))?;
    let answer = tokio::select! {
        answer = exchange(&mut child, &config.text) => answer,
        () = supervise::stopped(&mut stop) => None,
    };
    if answer.is_none() {
        // It has ended, or is of no use.
        let _ = child.start_kill();
    }
    let status = child.wait().await.map_err(|e| failed(format!("the sync was lost: {e}")))?;
    match answer {
        Some(Answer::Report(report)) => Ok(report),
        Some(Answer::Failure { code, sentence }) => Err(Failure::new(code, sentence)),
        None if *stop.borrow() => Err(failed("ldi was stopped during the sync".to_owned())),
        None => {
            Err(failed(format!("the sync broke off ({status}); the next one goes on from there")))
        }
    }
}

/// What the process answers; `None` if it ends without.
async fn exchange(child: &mut Child, text: &str) -> Option<Answer> {
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    stdin.write_all(text.as_bytes()).await.ok()?;
    drop(stdin);
    let mut answer = Vec::new();
    stdout.take(ANSWER_MAX).read_to_end(&mut answer).await.ok()?;
    serde_json::from_slice(&answer).ok()
}
