//! What reads bytes from the network runs as a process of its own, `ldi WORD --apart`: it shares no
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

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
    sync::watch,
};

use crate::{Failure, Result, config::Config, error::code, launcher, supervise};

/// A longer configuration is none; see [`Config::load`].
const CONFIG_MAX: u64 = 1 << 20;
/// A longer answer is none.
const ANSWER_MAX: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Report(T),
    Failure { code: u8, sentence: String },
}

/// The other process, whose configuration came from `file`: does `work` and answers.
pub fn here<T: Serialize>(file: &Path, work: impl FnOnce(&Config) -> Result<T>) -> Result<u8> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
        .map_err(|e| Failure::new(code::FAILED, format!("cannot end with ldi: {e}")))?;
    let mut text = Vec::new();
    std::io::stdin()
        .take(CONFIG_MAX)
        .read_to_end(&mut text)
        .map_err(|e| Failure::io("read", Path::new("the configuration"), &e))?;
    let answer = match Config::of(file, text).and_then(|config| work(&config)) {
        Ok(report) => Answer::Report(report),
        Err(failure) => Answer::Failure { code: failure.code(), sentence: failure.to_string() },
    };
    let told = serde_json::to_vec(&answer)
        .map_err(std::io::Error::from)
        .and_then(|answer| std::io::stdout().write_all(&answer));
    told.map_err(|e| Failure::io("write", Path::new("the report"), &e))?;
    Ok(0)
}

/// Does `word` (a command that takes `--apart`) with `config` in another process; ends it when
/// `stop` turns true.
pub async fn ask<T: DeserializeOwned>(
    word: &str,
    config: &Config,
    mut stop: watch::Receiver<bool>,
) -> Result<T> {
    let failed = |what: String| Failure::new(code::FAILED, what);
    let mut command = Command::new(launcher::own_program());
    command
        .arg0("ldi")
        .arg("--config")
        .arg(&config.file)
        .args([word, "--apart"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A terminal's ^C is for whoever started it, who then ends it.
        .process_group(0)
        .kill_on_drop(true);
    let (mut child, _aside) = supervise::aside(|| command.spawn(), Child::id)
        .map_err(|e| failed(format!("ldi {word} could not be started: {e}")))?;
    let answer = tokio::select! {
        answer = exchange(&mut child, &config.text) => answer,
        () = supervise::stopped(&mut stop) => None,
    };
    if answer.is_none() {
        // It has ended, or is of no use.
        let _ = child.start_kill();
    }
    let status = child.wait().await.map_err(|e| failed(format!("the {word} was lost: {e}")))?;
    match answer {
        Some(Answer::Report(report)) => Ok(report),
        Some(Answer::Failure { code, sentence }) => Err(Failure::new(code, sentence)),
        None if *stop.borrow() => Err(failed(format!("ldi was stopped during the {word}"))),
        None => {
            Err(failed(format!("the {word} broke off ({status}); the next one goes on from there")))
        }
    }
}

/// What the process answers; `None` if it ends without.
async fn exchange<T: DeserializeOwned>(child: &mut Child, text: &str) -> Option<Answer<T>> {
    let (mut stdin, stdout) = (child.stdin.take()?, child.stdout.take()?);
    stdin.write_all(text.as_bytes()).await.ok()?;
    drop(stdin);
    let mut answer = Vec::new();
    stdout.take(ANSWER_MAX).read_to_end(&mut answer).await.ok()?;
    serde_json::from_slice(&answer).ok()
}
