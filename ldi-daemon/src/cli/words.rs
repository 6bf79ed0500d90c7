//! The words of the command line, and their help.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::{config::DEFAULT_FILE, exec::Manner, parse::Span, service::install};

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
pub(super) struct Cli {
    /// Configuration file.
    #[arg(long, global = true, env = "LDI_CONFIG", default_value = DEFAULT_FILE, value_name = "FILE")]
    pub(super) config: PathBuf,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Args)]
pub(super) struct Json {
    /// Prints JSON.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Brings the library up to date.
    #[command(after_help = "Example: ldi sync --json")]
    Sync {
        /// With the configuration from standard input, for a daemon.
        #[arg(long, hide = true)]
        apart: bool,
        #[command(flatten)]
        out: Json,
    },
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
    /// Gets this machine an identity from a fleet server.
    #[command(after_help = "\
The token comes from `ldi-server token create`. The key is made here and never leaves this machine; it and
the certificate are written beside the configuration, which gets a [server].

Example: ldi enroll --server https://fleet.example.com:8443 --token ldi1-…")]
    Enroll {
        /// Its address.
        #[arg(long, value_name = "URL")]
        server: String,
        /// The token; better in the environment, where other accounts do not see it.
        #[arg(long, env = "LDI_TOKEN", hide_env_values = true)]
        token: String,
        /// Enrols a machine that is enrolled; to the server it is another one.
        #[arg(long)]
        again: bool,
    },
    /// Runs the collectors of the library and prints what they found.
    #[command(after_help = "\
The collectors are the scripts in scripts/collect/; each prints JSON. What fails is listed beside what
the others found.

Example: ldi collect | jq .plugins.os_info")]
    Collect {
        /// Tells the fleet server, too.
        #[arg(long)]
        submit: bool,
        /// Prints JSON; it always does.
        #[arg(long, hide = true)]
        json: bool,
    },
    /// Tells the fleet server what waits for it.
    #[command(after_help = "\
The daemon does this by itself after each tier, and again after a while when the server could not
be told; by hand it is done at once.

Example: ldi submit --json")]
    Submit {
        /// Lists what the server would not take, and why.
        #[arg(long)]
        rejected: bool,
        /// With the configuration from standard input, for a daemon.
        #[arg(long, hide = true)]
        apart: bool,
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
    #[command(after_help = "Example: ldi history --failed --since 2d")]
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
        /// Those that did not end well.
        #[arg(long, conflicts_with = "outcome")]
        failed: bool,
        /// Of this release.
        #[arg(long, value_name = "N")]
        release: Option<u64>,
        /// Started since then: 2h (ago), 2026-12-31, "2026-12-31 12:00", 2026-12-31T12:00:00Z.
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Started until then.
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// The newest so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Goes on: a line (with --json an object a line) for each run as it ends.
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        out: Json,
    },
    /// Prints what a run wrote.
    #[command(after_help = "Example: ldi logs daily/recon --follow")]
    Logs {
        /// A run (the beginning of its name is enough) or a job.
        run: String,
        /// Only what went to standard output, byte for byte.
        #[arg(long, conflicts_with = "stderr")]
        stdout: bool,
        /// Only what went to standard error, byte for byte.
        #[arg(long)]
        stderr: bool,
        /// Goes on until the run has ended; with --json an object a line, the run as the last.
        #[arg(long, short)]
        follow: bool,
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
        #[command(flatten)]
        manner: Manner,
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
        #[command(flatten)]
        manner: Manner,
        /// Lists the functions that begin so, for completions.
        #[arg(long, hide = true)]
        list: bool,
        /// The function; then its arguments.
        #[arg(
            required_unless_present = "list",
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FUNCTION [ARG]"
        )]
        words: Vec<OsString>,
    },
    /// Runs a file and says what it cost: time, memory, processes, files.
    #[command(after_help = "\
The script's exit status is the command's own. Processes and files need strace (Linux). The report
goes to standard error; with --json it goes to standard output, and the script's output to standard
error.

Example: ldi profile --tree . scripts/daily/recon")]
    Profile {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        #[command(flatten)]
        manner: Manner,
        /// FILE is a function of the library.
        #[arg(long)]
        call: bool,
        /// Without strace: true times, no processes and files.
        #[arg(long)]
        no_trace: bool,
        #[command(flatten)]
        out: Json,
        /// A path inside the tree, or any file; then its arguments.
        #[arg(
            required = true,
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "FILE [ARG]"
        )]
        words: Vec<OsString>,
    },
    /// Starts a bash with every function of the library.
    #[command(after_help = "Example: ldi shell --tree .")]
    Shell {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// Sets LDI_NOOP=1, as for exec.
        #[arg(long)]
        noop: bool,
    },
    /// Starts a Python with every module of the library.
    #[command(after_help = "Example: ldi repl")]
    Repl {
        /// An unpublished tree.
        #[arg(long, value_name = "DIR")]
        tree: Option<PathBuf>,
        /// Sets LDI_NOOP=1, as for exec.
        #[arg(long)]
        noop: bool,
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
    /// Lets a job run again: one that succeeded once (`run_once`), or that failed again and again.
    #[command(after_help = "\
Forgets that a `run_once` job succeeded, and closes the breaker of a job that was left out after
too many failures in a row (see `ldi status`). It runs when its tier does, or by `ldi run TIER`.

Example: ldi reset daily/enrol")]
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
pub(super) enum UpdateAction {
    /// Forgets which new versions failed, so that they are tried again.
    Retry,
    /// Takes back the version that came through the library: the packaged one serves.
    Revert,
}
