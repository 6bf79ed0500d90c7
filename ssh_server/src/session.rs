//! The one story: read the call, decide, record, build the walls, become the program.
//!
//! Refuses to keep anything of the client's environment and to stay around as a parent.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    call::{self, BadCall, Call, Judge},
    client::Client,
    export,
    policy::{Decision, Refusal, decide},
    record::{self, Outcome},
    settings::{self, Settings},
    wall::{self, Access},
};

const REFUSED: u8 = 1;
const USAGE: u8 = 2;
const CONFIGURATION: u8 = 78;

const FOLDERS: &[&str] = &["/usr/bin", "/usr/local/bin"];
const RSYNC: &[&str] = &["/usr/bin/rsync", "/usr/local/bin/rsync", "/opt/homebrew/bin/rsync"];
const PATH: &str = "/usr/bin:/bin";

/// What will run: an absolute program and its words.
struct Program {
    file: PathBuf,
    words: Vec<OsString>,
    access: Access,
    /// The file in which it records what it did.
    log: Option<PathBuf>,
}

/// Runs one session. Returns only when nothing was started.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let original = std::env::var_os("SSH_ORIGINAL_COMMAND");
    let understood = understand(&args, original.as_deref());
    drop(args);
    let judge = match understood {
        Ok(Call::Help) => return print(call::HELP),
        Ok(Call::Version) => {
            return print(concat!("codesync-shell ", env!("CARGO_PKG_VERSION"), "\n"));
        }
        Ok(Call::Judge(judge)) => judge,
        Err(bad) => {
            let (text, code) = match bad {
                BadCall::Usage(text) => (text, USAGE),
                BadCall::Settings(text) => (text, CONFIGURATION),
            };
            let command = original.unwrap_or_default();
            record::write(&client(), command.as_encoded_bytes(), Outcome::Failed(&text), None);
            return stop(&text, code);
        }
    };
    let (client, log) = (client(), judge.log.as_deref());
    let program = match allowed(&judge) {
        Ok(program) => program,
        Err(refusal) => {
            let text = refusal.to_string();
            record::write(&client, &judge.original, Outcome::Refused(&text), log);
            return stop(&text, REFUSED);
        }
    };
    let failure = match program {
        Ok(program) => {
            record::write(&client, &judge.original, Outcome::Allowed, log);
            become_program(&program, judge.policy.library(), &client)
        }
        Err(missing) => format!("{missing} is not installed; ask the keeper of this server"),
    };
    record::write(&client, &judge.original, Outcome::Failed(&failure), log);
    stop(&failure, CONFIGURATION)
}

fn understand(args: &[OsString], original: Option<&OsStr>) -> Result<Call, BadCall> {
    if !call::is_login(args) {
        return call::forced(args, original);
    }
    let settings = Settings::load(Path::new(settings::FILE)).map_err(BadCall::Settings)?;
    call::login(args, original, &settings)
}

fn client() -> Client {
    let connection = std::env::var_os("SSH_CONNECTION");
    let auth_info = std::env::var_os("SSH_USER_AUTH");
    Client::new(connection.as_deref(), auth_info.as_deref())
}

/// What the policy allows, or the name of a program that is not there.
fn allowed(judge: &Judge) -> Result<Result<Program, &'static str>, Refusal> {
    let library = judge.policy.library();
    let codesync = |word: &str, access| {
        // Serving is a program of its own, quicker to start, where the keeper chose no other.
        let own = installed(&["codesync", word].join("-"));
        let (file, mut words) = match (&judge.codesync, own) {
            (None, Some(own)) => (own, Vec::new()),
            (chosen, _) => {
                let file = chosen.clone().or_else(|| installed("codesync")).ok_or("codesync")?;
                (file, vec![word.into()])
            }
        };
        words.extend(["--library".into(), library.into()]);
        let log = judge.log.clone();
        words.extend(log.iter().flat_map(|log| ["--log".into(), log.into()]));
        Ok(Program { file, words, access, log })
    };
    match decide(&judge.original, &judge.policy) {
        Decision::Serve => Ok(codesync("serve", Access::Read)),
        Decision::Receive => Ok(codesync("receive", Access::Write)),
        Decision::Rsync(request) => {
            let path = export::resolve(library, &request)?;
            let Some(file) = first(RSYNC.iter().map(PathBuf::from)) else {
                return Ok(Err("rsync"));
            };
            let mut words: Vec<OsString> = vec!["--server".into(), "--sender".into()];
            words.extend(request.options.into_iter().map(OsString::from));
            words.extend([".".into(), path.into_os_string()]);
            Ok(Ok(Program { file, words, access: Access::Read, log: None }))
        }
        Decision::Refuse(refusal) => Err(refusal),
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(name));
    first(beside.into_iter().chain(FOLDERS.iter().map(|folder| Path::new(folder).join(name))))
}

fn first(mut files: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    files.find(|file| file.is_file())
}

/// Replaces this process; what comes back is why that failed.
fn become_program(program: &Program, library: &Path, client: &Client) -> String {
    let shown = program.file.display();
    if let Err(error) = std::env::set_current_dir(library) {
        return format!("cannot enter the library {}: {error}", library.display());
    }
    if let Err(error) = wall::build(library, &program.file, program.access, program.log.as_deref())
    {
        return format!("cannot restrict {shown}: {error}");
    }
    let error = Command::new(&program.file)
        .args(&program.words)
        .env_clear()
        .env("PATH", PATH)
        .env("CODESYNC_CLIENT", &client.address)
        .env("CODESYNC_KEY", &client.key)
        .exec();
    format!("cannot start {shown}: {error}")
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn stop(text: &str, code: u8) -> ExitCode {
    // Nobody may be listening any more; the exit status still says it.
    let _ = writeln!(io::stderr(), "codesync-shell: {text}.");
    ExitCode::from(code)
}
