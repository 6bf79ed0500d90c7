//! The command line: words to calls, failures to one sentence and an exit code.

use std::{
    ffi::OsString,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    Failure, Result, act, check,
    config::{Config, DEFAULT_FILE},
    daemon,
    error::code,
    exec::{self, Target},
    inspect,
    machine::Machine,
    parse::Span,
    release,
    service::{install, pages, uninstall},
    status,
    tier::Order,
    update,
};

/// Syncs a signed code library and runs its tiers.
#[derive(Debug, Parser)]
#[command(
    name = "ldi",
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  ldi sync                      bring the library up to date
  ldi run every15               sync, then run that tier's jobs
  ldi exec scripts/daily/recon  run one script with the module namespace
  ldi status                    what is wrong, and what to do

Exit codes: 0 done, 1 a job failed, 2 usage, 69 source unreachable, 75 busy, 76 refused,
77 not permitted, 78 configuration wrong."
)]
struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "LDI_CONFIG", default_value = DEFAULT_FILE, value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Json {
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Brings the library up to date.
    #[command(after_help = "Example: ldi sync --json")]
    Sync(Json),
    /// Syncs, then runs the jobs of a tier.
    #[command(after_help = "Example: ldi run daily --dry-run")]
    Run {
        /// The tier.
        tier: String,
        /// Runs the release that is there.
        #[arg(long)]
        no_sync: bool,
        /// Lists what would run, and why not; runs nothing.
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        out: Json,
    },
    /// Runs all tiers by the clock until it is told to stop.
    #[command(after_help = "Example: ldi --config /etc/ldi/ldi.toml daemon")]
    Daemon,
    /// Shows the release, the tiers, and what is wrong.
    #[command(after_help = "Example: ldi status --json")]
    Status(Json),
    /// Shows when each tier runs next.
    #[command(after_help = "Example: ldi plan --until 2027-01-01T00:00:00Z")]
    Plan {
        /// Lists every start until then (RFC 3339).
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        #[command(flatten)]
        out: Json,
    },
    /// Says why a job runs here or not, and when next.
    #[command(after_help = "Example: ldi explain daily/recon")]
    Explain {
        /// The job.
        job: String,
        #[command(flatten)]
        out: Json,
    },
    /// Lists past runs, newest first.
    #[command(after_help = "Example: ldi history daily/recon --outcome failed")]
    History {
        /// Of this job.
        job: Option<String>,
        /// Of this tier.
        #[arg(long)]
        tier: Option<String>,
        /// Of this job.
        #[arg(long = "job", value_name = "JOB", conflicts_with = "job")]
        of: Option<String>,
        /// With this outcome: ok, failed, timed-out, killed, interrupted, skipped, running.
        #[arg(long)]
        outcome: Option<String>,
        /// The newest so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        #[command(flatten)]
        out: Json,
    },
    /// Prints what a run wrote.
    #[command(after_help = "Example: ldi logs daily/recon (its newest run)")]
    Logs {
        /// A run (the beginning of its name is enough) or a job.
        run: String,
        /// Only what went to standard output, byte for byte.
        #[arg(long, conflicts_with = "stderr")]
        stdout: bool,
        /// Only what went to standard error, byte for byte.
        #[arg(long)]
        stderr: bool,
        #[command(flatten)]
        out: Json,
    },
    /// Checks the configuration and everything that it names.
    #[command(after_help = "Example: ldi check --print-defaults > /etc/ldi/ldi.toml")]
    Check {
        /// Prints all keys with their defaults.
        #[arg(long)]
        print_defaults: bool,
        #[command(flatten)]
        out: Json,
    },
    /// Compares every file of the active release with what was signed.
    #[command(after_help = "Example: ldi verify")]
    Verify(Json),
    /// Goes back to a release that is still on this machine, and stays there until `ldi unpin`.
    #[command(after_help = "Example: ldi rollback        (to the release before the active one)")]
    Rollback {
        /// Its number; the newest before the active one if none is named.
        #[arg(value_name = "N")]
        release: Option<u64>,
    },
    /// Makes release N, which is on this machine, active, and holds it there: no sync changes it.
    #[command(after_help = "Example: ldi pin 12")]
    Pin {
        /// Its number.
        #[arg(value_name = "N")]
        release: u64,
    },
    /// Ends a pin: the next sync brings the newest release.
    #[command(after_help = "Example: ldi unpin")]
    Unpin,
    /// Starts no tier until `ldi resume`; what runs goes on.
    #[command(after_help = "Example: ldi pause --for 2h")]
    Pause {
        /// For so long.
        #[arg(long = "for", value_name = "D")]
        span: Option<Span>,
    },
    /// Ends a pause.
    #[command(after_help = "Example: ldi resume")]
    Resume,
    /// Runs a file with the module namespace.
    #[command(after_help = "Example: ldi exec --tree . scripts/daily/recon -v")]
    Exec {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// A path inside the tree, or any file; then its arguments.
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FILE [ARG]"
        )]
        words: Vec<OsString>,
    },
    /// Calls a bash or Python function of the library.
    #[command(after_help = "Example: ldi call check_corp; ldi call sys_tools.get_serial")]
    Call {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// The function; then its arguments.
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FUNCTION [ARG]"
        )]
        words: Vec<OsString>,
    },
    /// Starts a bash with every function of the library.
    #[command(after_help = "Example: ldi shell --tree .")]
    Shell {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
    },
    /// Starts a Python with every module of the library.
    #[command(after_help = "Example: ldi repl")]
    Repl {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
    },
    /// Shows which version of ldi serves, and what became of new ones.
    #[command(after_help = "Example: ldi update revert      (back to the packaged ldi)")]
    Update {
        #[command(subcommand)]
        action: Option<UpdateAction>,
        #[command(flatten)]
        out: Json,
    },
    /// Watches over the trial of a new version; started by `ldi daemon`.
    #[command(hide = true)]
    UpdateWatch {
        /// The client's root folder.
        #[arg(long)]
        root: PathBuf,
        /// In a process of its own.
        #[arg(long)]
        detach: bool,
    },
    /// Lets a `run_once` job run again.
    #[command(after_help = "Example: ldi reset daily/enrol")]
    Reset {
        /// The job.
        job: String,
    },
    /// Makes `ldi daemon` a service that starts at boot, and starts it; makes a first ldi.toml.
    #[command(after_help = "Example: ldi install --dry-run")]
    Install(install::Order),
    /// Stops the service and removes what `ldi install` wrote; a job may call it.
    #[command(after_help = "Example: ldi uninstall --purge")]
    Uninstall {
        /// Removes the configuration and the library of this machine as well.
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        order: install::Order,
    },
    /// Prints completions for a shell.
    #[command(after_help = "Example: ldi completions bash > /etc/bash_completion.d/ldi")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Prints the man page.
    #[command(after_help = "Example: ldi man | man -l -")]
    Man {
        /// Writes it, and one page for each command, into this folder.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
enum UpdateAction {
    /// Forgets which new versions failed, so that they are tried again.
    Retry,
    /// Takes back the version that came through the library: the packaged one serves.
    Revert,
}

/// The whole program.
pub fn main() -> ExitCode {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first().and_then(|w| Path::new(w).file_name()).unwrap_or_default().to_owned();
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
    Err(exec::exec(&config_of_environment(), None, Target::Pyexec, words))
}

fn autoinit(words: &[OsString]) -> Result<u8> {
    match words.split_first() {
        Some((file, args)) if !file.as_encoded_bytes().starts_with(b"-") => {
            Err(exec::exec(&config_of_environment(), None, Target::File(file), args))
        }
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
        Command::Exec { tree, words } if !words.is_empty() => {
            let (file_word, args) = split(words);
            return Err(exec::exec(&file, tree.as_deref(), Target::File(&file_word), &args));
        }
        Command::Call { tree, words } if !words.is_empty() => {
            let (name, args) = split(words);
            return Err(exec::exec(&file, tree.as_deref(), Target::Function(&name), &args));
        }
        Command::Shell { tree } => {
            return Err(exec::exec(&file, tree.as_deref(), Target::Shell, &[]));
        }
        Command::Repl { tree } => {
            return Err(exec::exec(&file, tree.as_deref(), Target::Repl, &[]));
        }
        _ => {}
    }
    match cli.command {
        Command::Exec { .. }
        | Command::Call { .. }
        | Command::Shell { .. }
        | Command::Repl { .. } => Err(Failure::new(code::USAGE, "nothing to run was named")),
        Command::Check { print_defaults: true, .. } => {
            print(&Config::print_defaults())?;
            Ok(0)
        }
        Command::Check { out, .. } => check::check(&file, out.json),
        Command::Sync(out) => act::sync(&Config::load(&file)?, out.json),
        Command::Run { tier, no_sync, dry_run, out } => {
            let order = Order { tier, no_sync, dry_run, due: None };
            act::run_tier(Config::load(&file)?, &order, out.json)
        }
        Command::Daemon => {
            log_to_stderr("info");
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
        Command::Status(out) => status::status(Config::load(&file)?, out.json),
        Command::Plan { until, out } => {
            inspect::plan(Config::load(&file)?, until.as_deref(), out.json)
        }
        Command::Explain { job, out } => inspect::explain(Config::load(&file)?, &job, out.json),
        Command::History { job, of, tier, outcome, limit, out } => {
            let filter = crate::journal::Filter { tier, job: job.or(of), outcome, limit };
            inspect::history(&Config::load(&file)?, &filter, out.json)
        }
        Command::Logs { run, stdout, stderr, out } => {
            inspect::logs(&Config::load(&file)?, &run, stdout, stderr, out.json)
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
            log_to_stderr("info");
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

/// Sends log lines to standard error; `LDI_LOG` chooses which.
pub fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("LDI_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr())
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A second call, as in a test, keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
}

/// One thread: it is enough, and small.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(code::FAILED, format!("cannot start: {e}")))
}
