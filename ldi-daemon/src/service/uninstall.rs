//! `ldi uninstall`: what `ldi install` wrote, taken back; with `--purge` also what the client
//! keeps. May be called by a job of the service itself.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Manager, Standing, State, below,
    install::{Order, Report, standings},
    manager,
};
use crate::{
    Failure, Result,
    config::{Config, DEFAULT_FILE},
    error::code,
};

/// `ldi uninstall`; with `purge` also the configuration's folder and the client's root.
pub fn uninstall(order: &Order, purge: bool) -> Result<u8> {
    order.permitted()?;
    let root = order.folder();
    if order.manager == Manager::Systemd
        && let Some(unit) = Manager::packaged(root)
    {
        return Err(Failure::config(format!(
            "{} came with a package; remove that package instead",
            unit.display()
        )));
    }
    let inside = order.live() && manager::inside();
    if inside && purge {
        let what =
            "--purge would take away what this job runs from; call it outside of the service";
        return Err(Failure::new(code::USAGE, what));
    }
    let kept = if purge { kept(root)? } else { Vec::new() };
    // The text does not matter here: what is sealed is ours, whoever wrote it.
    let parts = order.manager.parts("/", root);
    let standings = standings(order, &parts)?;

    let mut report = Report { dry_run: order.dry_run, ..Report::default() };
    report.service = stop(order, inside)?;
    for (part, standing) in parts.iter().zip(&standings) {
        if *standing == Standing::Missing {
            continue;
        }
        let path = below(root, &part.path);
        if !order.dry_run {
            fs::remove_file(&path).map_err(|e| Failure::io("remove", &path, &e))?;
        }
        report.add(path, "removed");
    }
    for path in kept {
        if !order.dry_run {
            fs::remove_dir_all(&path).map_err(|e| Failure::io("remove", &path, &e))?;
        }
        report.add(path, "removed");
    }
    if order.live() && !order.dry_run {
        order.manager.reload()?;
    }
    report.show(order.json)
}

fn stop(order: &Order, inside: bool) -> Result<&'static str> {
    if !order.live() || order.manager.state()? == State::Off {
        return Ok("not running");
    }
    let (word, act): (_, fn(Manager) -> Result<()>) = if inside {
        ("ends when idle", Manager::leave_when_idle)
    } else {
        ("stopped", Manager::stop)
    };
    if !order.dry_run {
        act(order.manager)?;
    }
    Ok(word)
}

/// What `--purge` removes, below `root`: the folder of `ldi.toml`, the client's root, the unit's
/// drop-ins; each if it is there.
fn kept(root: &Path) -> Result<Vec<PathBuf>> {
    let file = Path::new(DEFAULT_FILE);
    let config = below(root, file);
    let client = match Config::load(&config) {
        Ok(config) => config.root,
        Err(_) if !config.exists() => Config::default().root,
        Err(failure) => return Err(failure),
    };
    let client = below(root, &client);
    let mut found = Vec::new();
    if exists(&client)? {
        // What `root` names may be a mistake; what ldi made looks like this.
        if !["releases", "trust", "meta"].iter().all(|name| client.join(name).is_dir()) {
            return Err(Failure::config(format!(
                "{} does not look like a folder of ldi's, so nothing was removed; correct `root` \
                 in {}, or remove it yourself",
                client.display(),
                config.display()
            )));
        }
        found.push(client);
    }
    for path in [file.parent().unwrap_or(file), Path::new("/etc/systemd/system/ldi.service.d")] {
        let path = below(root, path);
        if exists(&path)? {
            found.push(path);
        }
    }
    Ok(found)
}

fn exists(path: &Path) -> Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::io("look at", path, &e)),
    }
}
