//! The story of one file: list its tests, run each in a process and a folder of its own, judge.

use std::{
    ffi::OsString,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    time::Duration,
};

use loader::Namespace;
use nix::{sys::signal::Signal, unistd::User};
use tokio::sync::watch;

use super::{
    find::{Found, Language},
    outcome::{Failure, FileReport, Outcome, Test},
    process::{self, Ended},
    record::Records,
    room::{Place, Room},
};
use crate::Error;

/// The system's part of the PATH, as a job has it by default.
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What all files share.
#[derive(Debug)]
pub struct Setting {
    /// The modules of the tree.
    pub namespace: Namespace,
    /// The tree.
    pub tree: PathBuf,
    /// For each test.
    pub limit: Duration,
    /// Only tests whose name has this in it.
    pub filter: Option<String>,
    /// The bash to take, if it is not the usual one.
    pub bash: Option<PathBuf>,
    /// The Python to take, if it is not the usual one.
    pub python: Option<PathBuf>,
    /// This program.
    pub runner: PathBuf,
    /// The run's folder.
    pub room: Room,
}

/// Runs the tests of `file`, one after the other.
pub async fn run(
    setting: &Setting,
    file: &Found,
    stop: &watch::Receiver<bool>,
) -> Result<FileReport, Error> {
    let mut report = FileReport { name: file.name.clone(), tests: Vec::new() };
    if *stop.borrow() {
        return Ok(report);
    }
    let (listing, ended) = one(setting, file, None, stop).await?;
    if ended.stopped {
        return Ok(report);
    }
    let listed = judge(setting, file.name.clone(), listing.clone(), ended);
    // A file that cannot be read to its end is one failed test of the file's name.
    if listed.outcome != Outcome::Passed {
        let of_file =
            |text: &String| file.name.contains(text.split("::").next().unwrap_or_default());
        if setting.filter.as_ref().is_none_or(of_file) {
            report.tests.push(listed);
        }
        return Ok(report);
    }
    for (_, test) in listing.tests {
        let name = format!("{}::{test}", file.name);
        if !wanted(setting, &name) {
            continue;
        }
        let (records, ended) = one(setting, file, Some(&test), stop).await?;
        if ended.stopped {
            break;
        }
        report.tests.push(judge(setting, name, records, ended));
    }
    Ok(report)
}

fn wanted(setting: &Setting, name: &str) -> bool {
    setting.filter.as_ref().is_none_or(|text| name.contains(text))
}

/// Runs one test, or the listing.
async fn one(
    setting: &Setting,
    file: &Found,
    test: Option<&str>,
    stop: &watch::Receiver<bool>,
) -> Result<(Records, Ended), Error> {
    let place = setting.room.place()?;
    let command = command(setting, file, test, &place)?;
    let ended = process::run(command, &place.run, setting.limit, stop.clone())
        .await
        .map_err(|e| Error::io("run", &file.path, e))?;
    Ok((Records::read(&place.report()), ended))
}

/// The driver, started through the loader, with what a job would see.
fn command(
    setting: &Setting,
    file: &Found,
    test: Option<&str>,
    place: &Place,
) -> Result<Command, Error> {
    let site = setting.room.site();
    let driver = site.join(if file.language == Language::Bash { "driver.sh" } else { "driver.py" });
    let words: [&Path; 7] = [
        Path::new(if test.is_some() { "run" } else { "list" }),
        &file.path,
        Path::new(test.unwrap_or_default()),
        place.folder(),
        &site,
        &setting.runner,
        &setting.tree,
    ];
    let words: Vec<OsString> = words.iter().map(|word| word.as_os_str().to_owned()).collect();
    let mut launch = setting.namespace.outside(&driver, &words)?;
    let (given, own) = match file.language {
        Language::Bash => (&setting.bash, launch.args.iter_mut().find(|arg| **arg == *driver)),
        Language::Python => (&setting.python, None),
    };
    // $0 is the test file, as in a script.
    if let Some(own) = own {
        *own = file.path.clone().into_os_string();
    }
    if let Some(program) = given {
        launch.program.clone_from(program);
    }
    let env = launch.env.clone();
    let mut command = launch.command();
    let work = place.work();
    let user = User::from_uid(nix::unistd::geteuid()).ok().flatten();
    let user = user.map_or_else(|| nix::unistd::geteuid().to_string(), |user| user.name);
    command
        .env_clear()
        .envs(env)
        .env("PATH", format!("{}:{SYSTEM_PATH}", work.join("bin").display()))
        .env("HOME", work.join("home"))
        .env("TMPDIR", work.join("tmp"))
        .env("USER", &user)
        .env("LOGNAME", &user)
        .env("SHELL", "/bin/sh")
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("LDI_ROOT", work.join("root"))
        .env("LDI_LIB", &setting.tree)
        .env("LDI_CONFIG", work.join("root/ldi.toml"))
        .env("LDI_RELEASE", "0")
        .env("LDI_TIER", "test")
        .env("LDI_JOB", format!("test/{}", test.unwrap_or("list")))
        .env("LDI_RUN", &place.run)
        .env("LDI_STATE_DIR", work.join("state"))
        .current_dir(work);
    Ok(command)
}

/// What became of a test that wrote `records` and ended like this.
fn judge(setting: &Setting, name: String, records: Records, ended: Ended) -> Test {
    let tree = format!("{}/", setting.tree.display());
    let mut failures: Vec<Failure> = Vec::new();
    let mut add = |(place, message): (String, String)| {
        failures
            .push(Failure { place: place.replace(&tree, ""), message: message.replace(&tree, "") });
    };
    let asserted = !records.failures.is_empty();
    records.failures.into_iter().for_each(&mut add);
    // A failed assertion also ends what follows `set -e`, and may be the last word of a function.
    if !asserted {
        records.statuses.into_iter().for_each(&mut add);
        records.ended.into_iter().for_each(&mut add);
    }
    let file = name.split("::").next().unwrap_or_default().to_owned();
    if ended.timed_out {
        let limit = setting.limit.as_secs();
        add((file, format!("it did not end within {limit} s and was killed (--timeout SECONDS)")));
    } else if !records.done {
        add((file, format!("its process {} before the test's end", how(ended.status))));
    } else if !ended.status.success() {
        add((file, format!("its process {}", how(ended.status))));
    }
    let outcome = if ended.timed_out {
        Outcome::TimedOut
    } else if !failures.is_empty() {
        Outcome::Failed
    } else if records.skipped.is_some() {
        Outcome::Skipped
    } else {
        Outcome::Passed
    };
    let reason = records.skipped.filter(|_| outcome == Outcome::Skipped);
    Test { name, outcome, seconds: ended.seconds, failures, reason, output: ended.output }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("", Signal::as_str);
            format!("was ended by signal {signal} {name}").trim_end().to_owned()
        }
        (None, None) => "ended".to_owned(),
    }
}
