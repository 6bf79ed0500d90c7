//! The words of the command line, and their help.

use std::path::PathBuf;

use chrono::TimeDelta;
use clap::{Args, Parser, Subcommand};

use crate::span::span;

/// The fleet server: machines enrol, and tell what they are and what they did.
#[derive(Debug, Parser)]
#[command(
    name = "ldi-server",
    version,
    arg_required_else_help = true,
    after_help = "\
Example, from nothing to a first machine:
  ldi-server init --name fleet.example.com
  ldi-server serve &
  ldi-server token create
  ldi enroll --server https://fleet.example.com:8443 --token ldi1-…     (on the machine)

Exit codes: 0 done, 1 failed, 2 usage, 69 database unreachable, 77 not permitted, 78 configuration."
)]
pub(super) struct Cli {
    /// The server's folder
    #[arg(
        long,
        global = true,
        env = "LDI_SERVER_DATA",
        default_value = "/var/lib/ldi-server",
        value_name = "DIR"
    )]
    pub(super) data: PathBuf,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Args)]
pub(super) struct Json {
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Makes a server: its folder, its authority, its settings
    Init {
        /// The name by which machines will reach it
        #[arg(long)]
        name: String,
        /// Where it listens
        #[arg(long, default_value = "0.0.0.0:8443", value_name = "ADDRESS")]
        listen: std::net::SocketAddr,
    },
    /// Answers until it is told to end
    Serve,
    /// Tokens, by which machines enrol
    #[command(subcommand)]
    Token(TokenCommand),
    /// The machines
    #[command(subcommand)]
    Clients(ClientsCommand),
    /// The rules
    #[command(subcommand)]
    Rules(RulesCommand),
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Makes one and prints it; it cannot be shown again
    Create {
        /// Machines that it admits
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        uses: u32,
        /// How long it is good: 12h, 7d; at most a year
        #[arg(long, default_value = "7d", value_name = "D", value_parser = life)]
        expires: TimeDelta,
        /// What it is for
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        out: Json,
    },
    /// Lists those that are good
    List(Json),
    /// Ends one
    Revoke {
        /// Its name, as in the list
        token: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ClientsCommand {
    /// Lists them
    #[command(
        after_help = "Example: ldi-server clients list --where 'os_info.distname = \"debian\" and last_seen < 2d'"
    )]
    List {
        /// Only those of which this holds
        #[arg(long, value_name = "CONDITION")]
        r#where: Option<String>,
        #[command(flatten)]
        out: Json,
    },
    /// Shows all that is known of one, as JSON
    Show {
        /// Its name here, or what it calls itself
        client: String,
    },
    /// Shows what changed in its document, newest first
    History {
        /// Its name here, or what it calls itself
        client: String,
        /// So many changes
        #[arg(long, default_value_t = 50)]
        limit: u32,
        #[command(flatten)]
        out: Json,
    },
    /// Lets a machine in no more
    Revoke {
        /// Its name here
        client: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Reads the shipped rules and a file of your own, and lists them
    Check {
        /// TOML; the server's own rules.toml if none is named
        file: Option<PathBuf>,
        #[command(flatten)]
        out: Json,
    },
}

fn life(text: &str) -> Result<TimeDelta, String> {
    let allowed = TimeDelta::seconds(1)..=TimeDelta::days(366);
    span(text)
        .filter(|span| allowed.contains(span))
        .ok_or_else(|| "write a duration such as 12h or 7d, at most a year".to_owned())
}
