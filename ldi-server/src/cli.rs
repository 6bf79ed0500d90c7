//! The command line: words to calls, failures to one sentence and an exit code.

mod words;

use std::{io::Write, os::unix::fs::DirBuilderExt, path::Path, process::ExitCode};

use chrono::Utc;
use clap::Parser;
use serde::Serialize;

use crate::{
    Failure, Result, api::App, ca::Ca, clients, condition::Condition, config::Config, db::Db,
    error::code, inventory, rules, serve, tokens,
};
use words::{Cli, ClientsCommand, Command, Json, RulesCommand, TokenCommand};

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
            let (name, token) = tokens::create(&db, &ca, uses, expires, &note, Utc::now()).await?;
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
            print(&text(&table))
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
            print(&text(&table))
        }
        ClientsCommand::Show { client } => print_json(&find(&db, &client).await?),
        ClientsCommand::History { client, limit, out } => {
            let one = find(&db, &client).await?;
            let rows = inventory::history(&db, &one.client, limit).await?;
            if out.json {
                return print_json(&rows);
            }
            let mut table = table(&["TIME", "WHAT", "", "WAS", "IS"]);
            for row in rows {
                table.add_row(vec![
                    row.audited_at.format("%Y-%m-%d %H:%M:%S").to_string(),
                    row.path,
                    row.kind,
                    short(row.old.as_ref()),
                    short(row.new.as_ref()),
                ]);
            }
            print(&text(&table))
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
    let read = match file {
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
    let own = read.as_ref().map(|(name, text)| (name.as_str(), text.as_str()));
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
    print(&text(&table))
}

/// The beginning of a value, for a column.
fn short(value: Option<&serde_json::Value>) -> String {
    const MOST: usize = 40;
    let text = value.map_or_else(String::new, ToString::to_string);
    if text.chars().count() <= MOST {
        return text;
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

/// A table without the padding at both ends of its lines.
fn text(table: &comfy_table::Table) -> String {
    let line = |line: &str| format!("{}\n", line.strip_prefix(' ').unwrap_or(line).trim_end());
    table.to_string().lines().map(line).collect()
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
