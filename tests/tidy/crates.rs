//! The walls between crates, read from cargo's own view of the workspace.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::files::none;

/// Each crate and the crates of this workspace that it may use. What is missing here, may not.
const MAY_USE: &[(&str, &[&str])] = &[
    ("codesync", &["authors"]),
    ("loader", &[]),
    ("jobs", &[]),
    ("authors", &["loader", "jobs"]),
    ("ldi-daemon", &["codesync", "loader", "jobs", "ldi-api"]),
    ("ldi-api", &[]),
    ("ldi-server", &["ldi-api"]),
    ("ssh_server", &[]),
    ("autopkg", &[]),
    ("e2e", &["codesync", "loader", "ldi-daemon", "ldi-api", "ldi-server", "ssh_server"]),
];

/// The loader opens no network, at no depth.
const NETWORK: &[&str] = &[
    "ssh2",
    "libssh2-sys",
    "reqwest",
    "hyper",
    "h2",
    "tokio",
    "mio",
    "socket2",
    "rustls",
    "ureq",
    "curl",
    "openssl-sys",
];

/// Crates that answer a login or start at every script: as little as possible.
const SMALL: &[(&str, &[&str])] = &[("ssh_server", &["nix", "sha2", "landlock"])];

struct Workspace {
    meta: Value,
}

impl Workspace {
    fn read() -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let version = Command::new(&cargo).arg("-vV").output().context("cannot run cargo")?;
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        // Only this platform's crates: the others' were never downloaded, and stay so.
        let output = Command::new(&cargo)
            .args(["metadata", "--format-version", "1", "--offline", "--locked"])
            .args(["--filter-platform", host.context("cargo names no host")?, "--manifest-path"])
            .arg(e2e::parts::repository().join("Cargo.toml"))
            .output()
            .context("cannot run cargo metadata")?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata failed: {error}");
        Ok(Self { meta: serde_json::from_slice(&output.stdout)? })
    }

    fn list(&self, pointer: &str) -> Vec<&Value> {
        self.meta.pointer(pointer).and_then(Value::as_array).into_iter().flatten().collect()
    }

    /// The workspace's own packages by name.
    fn members(&self) -> BTreeMap<&str, &Value> {
        let ids = self.list("/workspace_members");
        self.list("/packages")
            .into_iter()
            .filter(|package| ids.iter().any(|id| **id == package["id"]))
            .filter_map(|package| Some((package["name"].as_str()?, package)))
            .collect()
    }

    /// The names of everything that `package` links, at any depth, without dev-dependencies.
    fn closure(&self, package: &Value) -> Vec<&str> {
        let nodes: BTreeMap<&str, &Value> = self
            .list("/resolve/nodes")
            .into_iter()
            .filter_map(|node| Some((node["id"].as_str()?, node)))
            .collect();
        let names: BTreeMap<&str, &str> = self
            .list("/packages")
            .into_iter()
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let mut found: Vec<&str> = package["id"].as_str().into_iter().collect();
        let mut at = 0;
        while let Some(id) = found.get(at).copied() {
            at += 1;
            let deps = nodes.get(id).and_then(|node| node["deps"].as_array()).into_iter().flatten();
            for dep in deps {
                let kinds = dep["dep_kinds"].as_array().into_iter().flatten();
                let linked = kinds.clone().any(|kind| kind["kind"] != "dev");
                if let (true, Some(id)) = (linked, dep["pkg"].as_str())
                    && !found.contains(&id)
                {
                    found.push(id);
                }
            }
        }
        found.iter().skip(1).filter_map(|id| names.get(id).copied()).collect()
    }
}

fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().into_iter().flatten()
}

#[test]
fn crates_use_only_whom_they_may() -> Result<()> {
    let workspace = Workspace::read()?;
    let members = workspace.members();
    let mut found = Vec::new();
    for (name, package) in &members {
        let Some((_, may)) = MAY_USE.iter().find(|(known, _)| known == name) else {
            found.push(format!("{name} is new: say in tests/tidy/crates.rs whom it may use"));
            continue;
        };
        for used in dependencies(package).filter_map(|d| d["name"].as_str()) {
            if members.contains_key(used) && !may.contains(&used) {
                found.push(format!("{name} uses {used}"));
            }
        }
    }
    none("crates that use a crate across a wall (ARCHITECTURE.md says why)", &found)
}

#[test]
fn the_loader_opens_no_network_and_small_crates_stay_small() -> Result<()> {
    let workspace = Workspace::read()?;
    let members = workspace.members();
    let loader = members.get("loader").context("no crate loader")?;
    let mut found: Vec<String> = workspace
        .closure(loader)
        .into_iter()
        .filter(|name| NETWORK.contains(name))
        .map(|name| format!("loader links {name}"))
        .collect();
    for (name, may) in SMALL {
        let package = members.get(name).with_context(|| format!("no crate {name}"))?;
        for dep in dependencies(package).filter(|dep| dep["kind"].is_null()) {
            if !dep["name"].as_str().is_some_and(|dep| may.contains(&dep)) {
                found.push(format!("{name} uses {}", dep["name"]));
            }
        }
    }
    none("dependencies that a crate must not have", &found)
}

#[test]
fn a_crate_lives_in_the_folder_of_its_name() -> Result<()> {
    let workspace = Workspace::read()?;
    let mut found = Vec::new();
    for (name, package) in workspace.members() {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let folder = manifest.rsplit('/').nth(1).unwrap_or_default();
        if folder != name && (folder, name) != ("tests", "e2e") {
            found.push(format!("{name} lives in {folder}/"));
        }
    }
    none("crates whose folder has another name", &found)
}

#[test]
fn versions_stand_in_the_workspace_only() -> Result<()> {
    let workspace = Workspace::read()?;
    let mut found = Vec::new();
    for (name, package) in workspace.members() {
        let path = package["manifest_path"].as_str().context("a package without a manifest")?;
        let manifest: toml::Table = toml::from_str(&fs::read_to_string(path)?)?;
        let mut tables = vec![(name.to_owned(), &manifest)];
        let targets = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
        for (target, table) in targets {
            tables.extend(table.as_table().map(|table| (format!("{name} on {target}"), table)));
        }
        for (place, table) in tables {
            for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
                let list = table.get(kind).and_then(toml::Value::as_table).into_iter().flatten();
                for (dep, value) in list {
                    if value.get("workspace").and_then(toml::Value::as_bool) != Some(true) {
                        found.push(format!("{place}: {dep}"));
                    }
                }
            }
        }
        if manifest.get("lints").and_then(|lints| lints.get("workspace")).is_none() {
            found.push(format!("{name} does not take the workspace's lints"));
        }
    }
    none("dependencies without `.workspace = true`", &found)
}
