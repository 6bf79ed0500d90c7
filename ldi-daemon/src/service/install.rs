//! `ldi install`: writes the parts of the service, then has it started.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use codesync::disk;
use serde::Serialize;

use super::{Content, Manager, Part, Standing, State, below, first_config};
use crate::{
    Failure, Result,
    cli::{print, print_json},
    config::{Config, DEFAULT_FILE},
    error::code,
};

/// What `ldi install` and `ldi uninstall` were asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Order {
    /// Works on a system image, and tells no service manager.
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// For an image of another system: whose files.
    #[arg(long, value_enum, default_value_t = Manager::here(), requires = "root")]
    pub manager: Manager,
    /// Says what would be done; does nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Replaces or removes what an administrator changed, too.
    #[arg(long)]
    pub force: bool,
    /// Prints JSON.
    #[arg(long)]
    pub json: bool,
}

impl Order {
    /// Where the files go.
    pub fn folder(&self) -> &Path {
        self.root.as_deref().unwrap_or(Path::new("/"))
    }

    /// Whether the service manager of this system is to be told.
    pub fn live(&self) -> bool {
        self.root.is_none() && self.manager.runs()
    }

    /// Requires root for the running system.
    pub fn permitted(&self) -> Result<()> {
        if self.root.is_some() || self.dry_run || nix::unistd::geteuid().is_root() {
            return Ok(());
        }
        let what = "only root can change the services of this system; use sudo, or --dry-run first";
        Err(Failure::new(code::NOT_PERMITTED, what))
    }
}

/// What was done, for people or as JSON.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing was done, only said.
    pub dry_run: bool,
    /// Each path and what became of it.
    pub parts: Vec<Done>,
    /// The service: `running`, `started`, `restarts when idle`, `stopped`, `ends when idle`, or
    /// why nobody was told.
    pub service: &'static str,
}

/// One line of a [`Report`].
#[derive(Debug, Serialize)]
pub struct Done {
    /// On the running system, or in the image.
    pub path: PathBuf,
    /// `written`, `replaced`, `unchanged`, `removed`, `kept`.
    pub action: &'static str,
}

impl Report {
    /// Notes what became of `path`.
    pub fn add(&mut self, path: PathBuf, action: &'static str) {
        self.parts.push(Done { path, action });
    }

    /// Prints it.
    pub fn show(&self, json: bool) -> Result<u8> {
        if json {
            print_json(self)?;
            return Ok(0);
        }
        let mut text = String::new();
        for done in &self.parts {
            text.push_str(&format!("{:<10} {}\n", done.action, done.path.display()));
        }
        text.push_str(&format!("service    {}\n", self.service));
        if self.dry_run {
            text.push_str("nothing was changed (--dry-run)\n");
        }
        print(&text)?;
        Ok(0)
    }
}

/// `ldi install`; `config` is the ldi.toml that the caller named.
pub fn install(order: &Order, config: &Path) -> Result<u8> {
    if config != Path::new(DEFAULT_FILE) {
        return Err(Failure::new(
            code::USAGE,
            format!(
                "the service reads {DEFAULT_FILE}; for {} set LDI_CONFIG in a drop-in \
                 (systemctl edit ldi)",
                config.display()
            ),
        ));
    }
    order.permitted()?;
    let program = program(order)?;
    let root = order.folder();
    let mut parts = order.manager.parts(&program, root);
    let service = parts.clone();
    parts.push(first_config());
    let standings = standings(order, &parts)?;

    let mut report = Report { dry_run: order.dry_run, ..Report::default() };
    for (part, standing) in parts.iter().zip(&standings) {
        let action = match (standing, &part.content) {
            (Standing::Same, Content::First(_)) => "kept",
            (Standing::Same, _) => "unchanged",
            (Standing::Missing, _) => "written",
            (Standing::Older | Standing::Changed, _) => "replaced",
        };
        let path = below(root, &part.path);
        if *standing != Standing::Same && !order.dry_run {
            write(&path, &part.content)?;
        }
        report.add(path, action);
    }
    let renewed = standings.iter().any(|s| matches!(s, Standing::Older | Standing::Changed));
    report.service = start(order, &service, renewed)?;
    report.show(order.json)
}

/// Has the service started, or started anew when its text changed.
fn start(order: &Order, service: &[Part], renewed: bool) -> Result<&'static str> {
    if !order.live() {
        return Ok("starts at boot");
    }
    match (order.manager.state()?, renewed) {
        (State::Running, false) => Ok("running"),
        (State::Running, true) => {
            if !order.dry_run {
                order.manager.reload()?;
                order.manager.leave_when_idle()?;
            }
            Ok("restarts when idle")
        }
        _ => {
            if !order.dry_run {
                // The usual reason is one that says where and what.
                let why = |failure| Config::load(Path::new(DEFAULT_FILE)).err().unwrap_or(failure);
                order.manager.start(service).map_err(why)?;
            }
            Ok("started")
        }
    }
}

/// How each part stands; refuses the whole when an administrator changed one.
pub fn standings(order: &Order, parts: &[Part]) -> Result<Vec<Standing>> {
    let root = order.folder();
    let mut standings = Vec::new();
    for part in parts {
        let path = below(root, &part.path);
        let standing = part.standing(root).map_err(|e| Failure::io("look at", &path, &e))?;
        if standing == Standing::Changed && !order.force {
            return Err(Failure::config(format!(
                "{} is not as `ldi install` wrote it, and nothing was changed; keep your changes \
                 in a drop-in (systemctl edit ldi), or do it with --force",
                path.display()
            )));
        }
        standings.push(standing);
    }
    Ok(standings)
}

fn write(path: &Path, content: &Content) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|e| Failure::io("make", folder, &e))?;
    }
    match content {
        Content::Sealed(text) | Content::First(text) => {
            Ok(disk::replace(path, text.as_bytes(), 0o644)?)
        }
        Content::Link(target) => {
            if fs::symlink_metadata(path).is_ok() {
                fs::remove_file(path).map_err(|e| Failure::io("remove", path, &e))?;
            }
            symlink(target, path).map_err(|e| Failure::io("make the link", path, &e))
        }
    }
}

/// The program that the service runs, as the installed system will see it.
fn program(order: &Order) -> Result<String> {
    let path = match &order.root {
        Some(root) => {
            let usual = match order.manager {
                Manager::Systemd => ["/usr/bin/ldi", "/usr/local/bin/ldi"],
                Manager::Launchd => ["/opt/ldi/bin/ldi", "/usr/local/bin/ldi"],
            }
            .map(Path::new);
            let there = usual.into_iter().find(|path| below(root, path).exists());
            there.unwrap_or(usual[0]).to_owned()
        }
        None => {
            let own = std::env::current_exe()
                .map_err(|e| Failure::io("find", Path::new("this program"), &e))?;
            only_root_writes(&own)?;
            own
        }
    };
    let plain =
        |text: &&str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._+-".contains(&b));
    path.to_str().filter(plain).map(str::to_owned).ok_or_else(|| {
        Failure::config(format!(
            "{} has characters that service files do not take; install ldi as /usr/local/bin/ldi",
            path.display()
        ))
    })
}

/// Who can change the program of the service, or a folder above it, is root.
fn only_root_writes(program: &Path) -> Result<()> {
    for path in program.ancestors() {
        let meta = fs::metadata(path).map_err(|e| Failure::io("look at", path, &e))?;
        if meta.uid() != 0 || meta.permissions().mode() & 0o022 != 0 {
            return Err(Failure::config(format!(
                "the service would run {}, and others than root can write {}; install ldi as \
                 /usr/local/bin/ldi, owned by root with mode 0755, and call it there",
                program.display(),
                path.display()
            )));
        }
    }
    Ok(())
}
