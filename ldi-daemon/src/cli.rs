//! The command line: words to calls, failures to one sentence and an exit code.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

mod words;

use clap::{CommandFactory, Parser};

use crate::{
    Failure, Result, act, apart, check,
    config::{Config, DEFAULT_FILE},
    daemon, enrol,
    error::code,
    exec::{self, Manner, Target},
    inspect::{
        self,
        runs::{self, Shape},
    },
    journal::Filter,
    launcher, logging,
    logs::Stream,
    machine::Machine,
    profile, release,
    service::{install, pages, uninstall},
    status, submit,
    tier::Order,
    update,
};
use words::{Cli, Command, UpdateAction};

/// The whole program.
pub fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().and_then(|w| Path::new(w).file_name()).unwrap_or_default().to_owned();
    if name == launcher::NAME {
        return launcher::main(&words[1..]);
    }
    let result = if name == "pyexec" {
        words.remove(0);
        pyexec(&words)
    } else if name == "autoinit" {
        words.remove(0);
        autoinit(&words)
    } else {
        // clap prints its own errors and ends with 0 for help, 2 for wrong words.
        match Cli::try_parse_from(words) {
            Ok(cli) => run(cli),
            Err(error) => {
                // Nothing can be said when stdout and stderr are gone.
                let _ = error.print();
                return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(code::USAGE));
            }
        }
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "{}: {failure}", name.to_string_lossy());
            ExitCode::from(failure.code())
        }
    }
}

fn config_of_environment() -> PathBuf {
    std::env::var_os("LDI_CONFIG").map_or_else(|| DEFAULT_FILE.into(), PathBuf::from)
}

fn pyexec(words: &[OsString]) -> Result<u8> {
    Err(exec::exec(&config_of_environment(), None, Target::Pyexec, words, Manner::default()))
}

fn autoinit(words: &[OsString]) -> Result<u8> {
    match words.split_first() {
        Some((file, args)) if !file.as_encoded_bytes().starts_with(b"-") => Err(exec::exec(
            &config_of_environment(),
            None,
            Target::File(file),
            args,
            Manner::default(),
        )),
        _ => {
            print(
                "\
Runs a bash script with every function of the library: autoinit FILE [ARG]…
A script that is also started by hand begins with
  [ -z \"$autoinit\" ] && { . \"${LDI_LIB:-/var/lib/ldi/lib}/modules/autoinit.sh\"; autoinit; }
",
            )?;
            Ok(0)
        }
    }
}

fn run(cli: Cli) -> Result<u8> {
    let file = cli.config;
    // The short path: no runtime, no journal, no logging.
    let split = |words: &[OsString]| (words[0].clone(), words[1..].to_vec());
    match &cli.command {
        Command::Exec { tree, manner, words } if !words.is_empty() => {
            let (file_word, args) = split(words);
            let target = Target::File(&file_word);
            return Err(exec::exec(&file, tree.as_deref(), target, &args, *manner));
        }
        Command::Call { tree, words, list: true, .. } => {
            // With more words the function is named already.
            if let [] | [_] = words.as_slice() {
                let prefix = words.first().map(OsString::as_os_str).unwrap_or_default();
                print(&exec::functions(&file, tree.as_deref(), prefix)?)?;
            }
            return Ok(0);
        }
        Command::Call { tree, manner, words, .. } if !words.is_empty() => {
            let (name, args) = split(words);
            let target = Target::Function(&name);
            return Err(exec::exec(&file, tree.as_deref(), target, &args, *manner));
        }
        Command::Profile { tree, manner, call, no_trace, out, words } if !words.is_empty() => {
            let (word, args) = split(words);
            let target = if *call { Target::Function(&word) } else { Target::File(&word) };
            return profile::profile(&profile::Order {
                config: &file,
                tree: tree.as_deref(),
                target,
                args: &args,
                manner: *manner,
                no_trace: *no_trace,
                json: out.json,
            });
        }
        Command::Shell { tree, noop } => {
            let manner = Manner { noop: *noop, as_job: false };
            return Err(exec::exec(&file, tree.as_deref(), Target::Shell, &[], manner));
        }
        Command::Repl { tree, noop } => {
            let manner = Manner { noop: *noop, as_job: false };
            return Err(exec::exec(&file, tree.as_deref(), Target::Repl, &[], manner));
        }
        _ => {}
    }
    match cli.command {
        Command::Exec { .. }
        | Command::Call { .. }
        | Command::Profile { .. }
        | Command::Shell { .. }
        | Command::Repl { .. } => Err(Failure::new(code::USAGE, "nothing to run was named")),
        Command::Check { print_defaults: true, .. } => {
            print(&Config::print_defaults())?;
            Ok(0)
        }
        Command::Check { out, .. } => check::check(&file, out.json),
        Command::Sync { apart: true, .. } => {
            logging::to_stderr("warn");
            apart::here(&file, |config| release::sync(config, &|_, _| {}))
        }
        Command::Sync { out, .. } => act::sync(&Config::load(&file)?, out.json),
        Command::Run { tier, no_sync, dry_run, out } => {
            let order = Order { tier, no_sync, dry_run, due: None };
            act::run_tier(Config::load(&file)?, &order, out.json)
        }
        Command::Enroll { server, token, again } => {
            let token = zeroize::Zeroizing::new(token);
            enrol::enrol(&file, &server, &token, again)
        }
        Command::Collect { submit, .. } => act::collect(&Config::load(&file)?, submit),
        Command::Submit { apart: true, .. } => {
            logging::to_stderr("warn");
            apart::here(&file, submit::visit)
        }
        Command::Submit { rejected: true, out, .. } => {
            submit::rejected(&Config::load(&file)?, out.json)
        }
        Command::Submit { out, .. } => submit::submit(&Config::load(&file)?, out.json),
        Command::Daemon => {
            // Its own reading of ldi.toml, which may have keys that only a newer ldi knows.
            logging::of_daemon(&Config::guess(&file).root);
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
            let running = update::start(&file)?;
            let config = Config::load(&file)?;
            let runtime = runtime()?;
            let result = runtime.block_on(daemon::run(config, Machine::this(), running.clone()));
            // A sync in mid connection is not waited for: it leaves nothing half done.
            runtime.shutdown_background();
            match result? {
                daemon::End::Stopped => Ok(0),
                daemon::End::MakeRoom => Err(update::again(&running)),
            }
        }
        Command::Status(out) => status::status(&file, out.json),
        Command::Plan { until, out } => {
            inspect::plan(Config::load(&file)?, until.as_deref(), out.json)
        }
        Command::Explain { job, out } => inspect::explain(Config::load(&file)?, &job, out.json),
        Command::History {
            job,
            of,
            tier,
            outcome,
            failed,
            release,
            since,
            until,
            limit,
            follow,
            out,
        } => {
            let moment = |text: Option<String>| text.map(|t| inspect::moment::ago(&t)).transpose();
            let filter = Filter {
                tier,
                job: job.or(of),
                outcome,
                failed,
                release,
                since: moment(since)?,
                until: moment(until)?,
                limit,
                ..Filter::default()
            };
            let shape = Shape { json: out.json, follow, only: None };
            runs::history(&Config::load(&file)?, &filter, shape)
        }
        Command::Logs { run, stdout, stderr, follow, out } => {
            let only = match (stdout, stderr) {
                (true, _) => Some(Stream::Out),
                (_, true) => Some(Stream::Err),
                _ => None,
            };
            let shape = Shape { json: out.json, follow, only };
            runs::logs(&Config::load(&file)?, &run, shape)
        }
        Command::Verify(out) => inspect::verify(&Config::load(&file)?, out.json),
        Command::Rollback { release } => release::rollback(&Config::load(&file)?, release),
        Command::Pin { release: number } => release::pin(&Config::load(&file)?, number),
        Command::Unpin => release::unpin(&Config::load(&file)?),
        Command::Pause { span } => inspect::pause(&Config::load(&file)?, span),
        Command::Reset { job } => inspect::reset(&Config::load(&file)?, &job),
        Command::Update { action: None, out } => update::show(&Config::load(&file)?, out.json),
        Command::Update { action: Some(UpdateAction::Retry), .. } => {
            update::retry(&Config::load(&file)?)
        }
        Command::Update { action: Some(UpdateAction::Revert), .. } => {
            update::revert(&Config::load(&file)?)
        }
        Command::UpdateWatch { root, detach } => {
            logging::to_stderr("info");
            update::watch(&root, detach)
        }
        Command::Resume => inspect::resume(&Config::load(&file)?),
        Command::Install(order) => install::install(&order, &file),
        Command::Uninstall { purge, order } => uninstall::uninstall(&order, purge),
        Command::Completions { shell } => pages::completions(Cli::command(), shell),
        Command::Man { to } => pages::man(Cli::command(), to.as_deref()),
    }
}

/// Writes a result.
pub fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // `ldi history | head` is no failure.
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|e| Failure::io("write to", Path::new("standard output"), &e)),
    }
}

/// Writes a result as JSON.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|e| Failure::new(code::FAILED, format!("cannot write JSON: {e}")))?;
    print(&format!("{text}\n"))
}

/// One thread: it is enough, and small.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(code::FAILED, format!("cannot start: {e}")))
}
