//! The command line.

use std::{
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::ExitCode,
};

use chrono::{TimeDelta, Utc};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;

use crate::{
    Failure, Result, api::App, ca::Ca, clients, condition::Condition, config::Config, db::Db,
    error::code, inventory, rules, serve, tokens,
};

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
struct Cli {
    /// The server's folder
    #[arg(
        long,
        global = true,
        env = "LDI_SERVER_DATA",
        default_value = "/var/lib/ldi-server",
        value_name = "DIR"
    )]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Json {
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
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
enum TokenCommand {
    /// Makes one and prints it; it cannot be shown again
    Create {
        /// Machines that it admits
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// Days that it is good
        #[arg(long, default_value_t = 7, value_name = "DAYS")]
        expires: u16,
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
enum ClientsCommand {
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
enum RulesCommand {
    /// Reads the shipped rules and a file of your own, and lists them
    Check {
        /// TOML; the server's own rules.toml if none is named
        file: Option<PathBuf>,
        #[command(flatten)]
        out: Json,
    },
}

/// The whole program.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { code::USAGE } else { 0 });
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::new(code::FAILED, format!("cannot start: {error}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "ldi-server: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    let folder = cli.data.as_path();
    match cli.command {
        Command::Init { name, listen } => init(folder, &name, listen).await,
        Command::Serve => serving(folder).await,
        Command::Token(command) => token(folder, command).await,
        Command::Clients(command) => machines(folder, command).await,
        Command::Rules(RulesCommand::Check { file, out }) => checked(folder, file.as_deref(), &out),
    }
}

async fn open(folder: &Path) -> Result<(Config, Db)> {
    let config = Config::load(folder)?;
    let db = Db::open(&config).await?;
    Ok((config, db))
}

async fn init(folder: &Path, name: &str, listen: std::net::SocketAddr) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
        return Err(Failure::new(code::USAGE, format!("{name:?} is not the name of a host")));
    }
    let settings = folder.join("ldi-server.toml");
    if settings.exists() || folder.join("ca.key").exists() {
        let what =
            format!("there is a server in {} already; nothing was changed", folder.display());
        return Err(Failure::new(code::FAILED, what));
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::io("make", folder, &error))?;
    Ca::make(folder, name, Utc::now())?;
    let text = format!(
        "# Of the fleet server; `ldi-server serve` reads it. docs/fleet.md has all keys.\n\
         name = \"{name}\"\nlisten = [\"{listen}\"]\n\
         # database = \"postgres://ldi@db.example.com/ldi\"\n"
    );
    std::fs::write(&settings, text).map_err(|error| Failure::io("write", &settings, &error))?;
    open(folder).await?;
    print(&format!(
        "made a server in {}\nNext:\n  ldi-server --data {0} serve\n  ldi-server --data {0} token create\n",
        folder.display()
    ))
}

async fn serving(folder: &Path) -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let (config, db) = open(folder).await?;
    let app = App { ca: Ca::load(folder)?, config, db };
    serve::serve(app, |address| tracing::info!(%address, "listening")).await
}

async fn token(folder: &Path, command: TokenCommand) -> Result<()> {
    let (_, db) = open(folder).await?;
    match command {
        TokenCommand::Create { uses, expires, note, out } => {
            let ca = Ca::load(folder)?;
            let life = TimeDelta::days(expires.into());
            let (name, token) = tokens::create(&db, &ca, uses, life, &note, Utc::now()).await?;
            if out.json {
                return print_json(
                    &serde_json::json!({ "name": name, "token": token.to_string() }),
                );
            }
            print(&format!("{token}\n"))
        }
        TokenCommand::List(out) => {
            let all = tokens::list(&db, Utc::now()).await?;
            if out.json {
                return print_json(&all);
            }
            let mut table = table(&["TOKEN", "USES", "EXPIRES", "NOTE"]);
            for one in all {
                table.add_row(vec![
                    one.token,
                    one.uses.to_string(),
                    one.expires.to_rfc3339(),
                    one.note,
                ]);
            }
            print(&format!("{table}\n"))
        }
        TokenCommand::Revoke { token } => match tokens::revoke(&db, &token).await? {
            true => Ok(()),
            false => Err(Failure::new(
                code::USAGE,
                format!("there is no token {token}; see ldi-server token list"),
            )),
        },
    }
}

async fn find(db: &Db, word: &str) -> Result<clients::Client> {
    let all = clients::list(db, None, Utc::now()).await?;
    let mut found: Vec<_> =
        all.into_iter().filter(|one| one.client == word || one.name == word).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (Some(one), _) => {
            let mut names: Vec<_> = found.iter().map(|other| other.client.as_str()).collect();
            names.push(&one.client);
            let what =
                format!("several machines are called {word}: {}; say which", names.join(", "));
            Err(Failure::new(code::USAGE, what))
        }
        _ => Err(Failure::new(
            code::USAGE,
            format!("there is no machine {word}; see ldi-server clients list"),
        )),
    }
}

async fn machines(folder: &Path, command: ClientsCommand) -> Result<()> {
    let (_, db) = open(folder).await?;
    let now = Utc::now();
    match command {
        ClientsCommand::List { r#where, out } => {
            let which = r#where.as_deref().map(Condition::parse).transpose();
            let which =
                which.map_err(|error| Failure::new(code::USAGE, format!("--where: {error}")))?;
            let all = clients::list(&db, which.as_ref(), now).await?;
            if out.json {
                return print_json(&all);
            }
            let mut table = table(&["CLIENT", "NAME", "SYSTEM", "LAST SEEN", ""]);
            for one in all {
                let os =
                    one.document.as_ref().map_or(&one.facts["os"], |d| &d["os_info"]["distname"]);
                let state = if one.revoked { "revoked" } else { "" };
                let seen = one.last_seen.format("%Y-%m-%d %H:%M UTC").to_string();
                table.add_row(vec![
                    one.client.clone(),
                    one.name.clone(),
                    os.as_str().unwrap_or_default().to_owned(),
                    seen,
                    state.to_owned(),
                ]);
            }
            print(&format!("{table}\n"))
        }
        ClientsCommand::Show { client } => print_json(&find(&db, &client).await?),
        ClientsCommand::History { client, limit, out } => {
            let one = find(&db, &client).await?;
            let rows = inventory::history(&db, &one.client, limit).await?;
            if out.json {
                return print_json(&rows);
            }
            let value =
                |value: Option<serde_json::Value>| value.map_or(String::new(), |v| v.to_string());
            let mut table = table(&["TIME", "WHAT", "", "WAS", "IS"]);
            for row in rows {
                table.add_row(vec![
                    row.audited_at.format("%Y-%m-%d %H:%M:%S").to_string(),
                    row.path,
                    row.kind,
                    value(row.old),
                    value(row.new),
                ]);
            }
            print(&format!("{table}\n"))
        }
        ClientsCommand::Revoke { client } => match clients::revoke(&db, &client, now).await? {
            true => Ok(()),
            false => Err(Failure::new(
                code::USAGE,
                format!("there is no machine {client} that is let in"),
            )),
        },
    }
}

fn checked(folder: &Path, file: Option<&Path>, out: &Json) -> Result<()> {
    let own = folder.join("rules.toml");
    let file = file.or_else(|| own.exists().then_some(own.as_path()));
    let text = match file {
        None => None,
        Some(path) => {
            let length =
                std::fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?.len();
            if length > rules::MOST_BYTES {
                return Err(Failure::config(format!("{} is too long", path.display())));
            }
            let text =
                std::fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
            Some((path.display().to_string(), text))
        }
    };
    let own = text.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
    let all = rules::rules(own).map_err(|wrong| Failure::config(wrong.to_string()))?;
    if out.json {
        let shown: Vec<_> = all
            .iter()
            .map(|rule| {
                serde_json::json!({
                    "rule": rule.name, "text": rule.text, "enabled": rule.enabled,
                    "grace": rule.grace.as_secs(), "alert_every": rule.alert_every.as_secs(),
                })
            })
            .collect();
        return print_json(&shown);
    }
    let mut table = table(&["RULE", "", "TELLS"]);
    for rule in all {
        let state = if rule.enabled { "" } else { "off" };
        table.add_row(vec![rule.name, state.to_owned(), rule.text]);
    }
    print(&format!("{table}\n"))
}

fn table(heads: &[&str]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(heads.to_vec());
    table
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => {
            other.map_err(|error| Failure::io("write to", Path::new("standard output"), &error))
        }
    }
}

fn print_json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::new(code::FAILED, format!("cannot write JSON: {error}")))?;
    print(&format!("{text}\n"))
}
