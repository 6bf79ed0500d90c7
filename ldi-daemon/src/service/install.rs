//! `ldi install`: writes the parts of the service, then has it started.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use codesync::disk;
use serde::Serialize;

use super::{Content, Manager, Part, Standing, below, first_config};
use crate::{
    Failure, Result,
    cli::{print, print_json},
    error::code,
};

/// What `ldi install` and `ldi uninstall` were asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// The folder of a system image; the running system if there is none.
    pub root: Option<PathBuf>,
    /// Whose files.
    pub manager: Manager,
    /// Says what would be done; does nothing.
    pub dry_run: bool,
    /// Also what an administrator changed.
    pub force: bool,
    /// Reports as JSON.
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

/// `ldi install`.
pub fn install(order: &Order) -> Result<u8> {
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
    let running = order.manager.active();
    match (running, renewed) {
        _ if order.dry_run => {}
        (false, _) => order.manager.start(service)?,
        (true, true) => {
            order.manager.reload()?;
            order.manager.leave_when_idle()?;
        }
        (true, false) => {}
    }
    Ok(match (running, renewed) {
        (false, _) => "started",
        (true, true) => "restarts when idle",
        (true, false) => "running",
    })
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
