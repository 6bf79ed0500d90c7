//! The stage between `ldi` and a job that needs more than a fork: it enters the run's control
//! group, takes the account with all its groups, and becomes the job.
//!
//! It is this program itself under another name, started with the job's own environment and
//! descriptors, so that nothing of the job ever runs outside of its limits. What goes wrong is
//! told through standard input, which the job gets empty.

use std::{
    convert::Infallible,
    ffi::OsString,
    fs,
    io::{self, PipeReader, PipeWriter, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use loader::Launch;

/// The name that this program has as the launcher.
pub const NAME: &str = "ldi-launch";

/// This program's own file, to be executed again: also after it was replaced on disk.
pub fn own_program() -> PathBuf {
    if cfg!(target_os = "linux") {
        return "/proc/self/exe".into();
    }
    std::env::current_exe().unwrap_or_else(|_| "/usr/local/bin/ldi".into())
}

/// An account with all its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User id.
    pub uid: u32,
    /// Main group.
    pub gid: u32,
    /// All groups, the main one included.
    pub groups: Vec<u32>,
}

/// What the launcher does before it becomes the job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps {
    /// Files to write `0` to.
    pub doors: Vec<PathBuf>,
    /// Account to take.
    pub identity: Option<Identity>,
}

/// The sentence of a launcher that could not become the job.
#[derive(Debug)]
pub struct Report(PipeReader);

impl Steps {
    /// `launch`, by way of the launcher.
    pub fn before(&self, launch: Launch) -> Launch {
        let mut args: Vec<OsString> = Vec::new();
        for door in &self.doors {
            args.extend(["door".into(), door.into()]);
        }
        if let Some(Identity { uid, gid, groups }) = &self.identity {
            let groups: Vec<String> = groups.iter().map(u32::to_string).collect();
            args.extend(["groups".into(), groups.join(",").into()]);
            args.extend(["gid".into(), gid.to_string().into()]);
            args.extend(["uid".into(), uid.to_string().into()]);
        }
        let program = OsString::from(launch.program);
        args.extend(["exec".into(), program.clone(), launch.arg0.unwrap_or(program)]);
        args.extend(launch.args);
        Launch { program: own_program(), arg0: Some(NAME.into()), args, ..launch }
    }
}

/// A pipe for what goes wrong: the launcher's standard input, and the end to read from.
pub fn report() -> io::Result<(PipeWriter, Report)> {
    let (reader, writer) = io::pipe()?;
    Ok((writer, Report(reader)))
}

impl Report {
    /// What the launcher said. To be asked when it has ended; a launcher that became the job said
    /// nothing.
    pub fn read(self) -> Option<String> {
        let mut text = String::new();
        self.0.take(4096).read_to_string(&mut text).ok()?;
        (!text.is_empty()).then_some(text)
    }
}

/// The whole launcher; `words` follow its name.
pub fn main(words: &[OsString]) -> ExitCode {
    // Closed by itself once the job begins.
    let Ok(report) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::from(126) };
    let Err(sentence) = launch(words);
    // Nobody listens when it was started by hand.
    let _ = fs::File::from(report).write_all(sentence.as_bytes());
    ExitCode::from(127)
}

fn launch(words: &[OsString]) -> Result<Infallible, String> {
    let mut words = words.iter();
    let broken = || "it was started with words that it does not know".to_owned();
    loop {
        let (Some(key), Some(value)) = (words.next(), words.next()) else { return Err(broken()) };
        match key.to_str() {
            Some("door") => fs::OpenOptions::new()
                .write(true)
                .open(value)
                .and_then(|mut door| door.write_all(b"0"))
                .map_err(|e| format!("its control group cannot be entered: {e}"))?,
            Some("exec") => {
                let arg0 = words.next().ok_or_else(broken)?;
                let error = Command::new(value).arg0(arg0).args(words).stdin(Stdio::null()).exec();
                return Err(format!("{} could not be started: {error}", value.display()));
            }
            Some(key) => {
                let value = value.to_str().ok_or_else(broken)?;
                let ids: Result<Vec<u32>, _> =
                    value.split(',').filter(|id| !id.is_empty()).map(str::parse).collect();
                take(key, &ids.map_err(|_| broken())?)
                    .map_err(|e| format!("its account cannot be taken ({key} {value}): {e}"))?;
            }
            None => return Err(broken()),
        }
    }
}

#[cfg(target_os = "linux")]
fn take(key: &str, ids: &[u32]) -> nix::Result<()> {
    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
    match (key, ids) {
        ("groups", groups) => {
            let groups: Vec<Gid> = groups.iter().map(|id| Gid::from_raw(*id)).collect();
            setgroups(&groups)
        }
        ("gid", [id]) => setgid(Gid::from_raw(*id)),
        ("uid", [id]) => {
            let account = Uid::from_raw(*id);
            own(&io::stdout(), account)?;
            own(&io::stderr(), account)?;
            setuid(account)
        }
        _ => Err(nix::errno::Errno::EINVAL),
    }
}

/// Gives a pipe to `account`: opened by name, as by `echo >/dev/stderr`, it is its owner's only.
#[cfg(target_os = "linux")]
fn own(pipe: &impl AsFd, account: nix::unistd::Uid) -> nix::Result<()> {
    use nix::sys::stat::{SFlag, fstat};
    if SFlag::from_bits_truncate(fstat(pipe)?.st_mode & SFlag::S_IFMT.bits()) != SFlag::S_IFIFO {
        return Ok(());
    }
    nix::unistd::fchown(pipe, Some(account), None)
}

/// Elsewhere the standard library takes the account, with its main group only.
#[cfg(not(target_os = "linux"))]
fn take(_key: &str, _ids: &[u32]) -> nix::Result<()> {
    Err(nix::errno::Errno::ENOSYS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_words_name_the_program_last_and_keep_its_arguments() {
        let steps = Steps {
            doors: vec!["/g/cgroup.procs".into()],
            identity: Some(Identity { uid: 5, gid: 6, groups: vec![6, 7] }),
        };
        let launch = Launch {
            program: "/bin/bash".into(),
            arg0: Some("bash".into()),
            args: words(&["-c", "uid", "exec"]),
            env: Vec::new(),
            env_remove: Vec::new(),
            fds: Vec::new(),
        };
        let said = steps.before(launch).args;
        let expected = [
            "door",
            "/g/cgroup.procs",
            "groups",
            "6,7",
            "gid",
            "6",
            "uid",
            "5",
            "exec",
            "/bin/bash",
            "bash",
            "-c",
            "uid",
            "exec",
        ];
        assert_eq!(said, words(&expected));
    }

    #[test]
    fn what_it_cannot_do_is_said() {
        for (said, why) in [
            (&["door", "/no/such", "exec", "/bin/true", "true"][..], "control group"),
            (&["exec", "/no/such", "such"], "/no/such could not be started"),
            (&["exec", "/bin/true"], "words"),
            (&["uid"], "words"),
            (&["uid", "x", "exec", "/bin/true", "true"], "words"),
            (&["nonsense", "1"], "account"),
            (&[], "words"),
        ] {
            let error = launch(&words(said)).unwrap_err();
            assert!(error.contains(why), "{said:?}: {error}");
        }
    }
}
