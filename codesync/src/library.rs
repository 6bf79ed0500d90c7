//! The library's folder: where things are, and reading them. Writing is [`crate::publish`]'s.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

mod parts;

pub use parts::{Team, teams};

use crate::{
    Error, Kind, Result, disk,
    manifest::{File, Hash, MANIFEST_MAX, Manifest, sha256},
    name, trust,
};

/// A library on this machine.
#[derive(Debug, Clone)]
pub struct Library {
    folder: PathBuf,
}

/// One role's part of a release as its signed targets describe it. Read from the publisher's own
/// disk: the signatures are not checked here.
#[derive(Debug, Clone)]
pub struct Published {
    /// The release that it made, and is part of until the role signs the next.
    pub release: u64,
    /// `targets`, or the team that signed it.
    pub role: String,
    /// The version of the role's metadata: the release, where there are no teams.
    pub version: u64,
    /// `signed` of its metadata.
    pub signed: Value,
    /// Ids of the keys that signed it.
    pub signers: Vec<String>,
}

impl Library {
    /// The library in `folder`, which must have been made by `codesync init`.
    pub fn open(folder: &Path) -> Result<Self> {
        if !folder.join("rings").is_dir() {
            return Err(Error::new(
                Kind::Config,
                format!("{} is not a library; make one with: codesync init", folder.display()),
            ));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// The library that is, or will be, in `folder`.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The rings, by name.
    pub fn rings(&self) -> Result<Vec<String>> {
        let folder = self.folder.join("rings");
        let entries = fs::read_dir(&folder).map_err(|e| Error::io("read", &folder, &e))?;
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name::check_ring(name).is_ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The folder of `ring`, which must exist.
    pub fn ring(&self, ring: &str) -> Result<PathBuf> {
        name::check_ring(ring)?;
        let folder = self.folder.join("rings").join(ring);
        if !folder.is_dir() {
            let known = self.rings().unwrap_or_default().join(", ");
            return Err(Error::new(
                Kind::Usage,
                format!(
                    "there is no ring {ring:?} in {}; its rings are: {known}",
                    self.folder.display()
                ),
            ));
        }
        Ok(folder)
    }

    /// Where the content `hash` is kept.
    pub fn object(&self, hash: &Hash) -> PathBuf {
        let text = hex::encode(hash);
        self.folder.join("objects").join(&text[..2]).join(text)
    }

    /// Metadata `file` of `ring`, or `None`.
    pub fn metadata(&self, ring: &str, file: &str) -> Result<Option<Vec<u8>>> {
        let Some(limit) = trust::limit(file) else { return Ok(None) };
        disk::read_bounded(&self.ring(ring)?.join(file), limit)
    }

    /// The newest version of root.json in `ring`.
    pub fn root_version(&self, ring: &str) -> Result<u64> {
        let folder = self.ring(ring)?;
        let mut version = 0;
        while folder.join(format!("{}.root.json", version + 1)).exists() {
            version += 1;
        }
        Ok(version)
    }

    /// The versions that are newest in `ring`.
    pub fn versions(&self, ring: &str) -> Result<trust::Versions> {
        let mut versions =
            trust::Versions { root: self.root_version(ring)?, ..trust::Versions::default() };
        let damaged = |file: &str| {
            Error::new(
                Kind::Io,
                format!("{file} of ring {ring} is damaged; publish or refresh anew"),
            )
        };
        let Some(timestamp) = self.metadata(ring, "timestamp.json")? else { return Ok(versions) };
        let timestamp: Value =
            serde_json::from_slice(&timestamp).map_err(|_| damaged("timestamp.json"))?;
        let timestamp = &timestamp["signed"];
        versions.timestamp =
            timestamp["version"].as_u64().ok_or_else(|| damaged("timestamp.json"))?;
        versions.snapshot = timestamp["meta"]["snapshot.json"]["version"]
            .as_u64()
            .ok_or_else(|| damaged("timestamp.json"))?;
        let file = format!("{}.snapshot.json", versions.snapshot);
        let snapshot = self.metadata(ring, &file)?.ok_or_else(|| damaged(&file))?;
        let snapshot: Value = serde_json::from_slice(&snapshot).map_err(|_| damaged(&file))?;
        let meta = &snapshot["signed"]["meta"];
        versions.targets =
            meta["targets.json"]["version"].as_u64().ok_or_else(|| damaged(&file))?;
        for (name, meta) in meta.as_object().into_iter().flatten() {
            let team = name.strip_suffix(".json").filter(|role| name::is_team(role));
            if let (Some(team), Some(version)) = (team, meta["version"].as_u64()) {
                versions.teams.insert(team.to_owned(), version);
            }
        }
        Ok(versions)
    }

    /// What the top-level targets of this version say, or `None` when they were never published.
    pub fn published(&self, ring: &str, version: u64) -> Result<Option<Published>> {
        self.signed(ring, "targets", version)
    }

    /// The same for `role`, which is `targets` or a team.
    pub fn signed(&self, ring: &str, role: &str, version: u64) -> Result<Option<Published>> {
        let file = format!("{version}.{role}.json");
        let Some(bytes) = self.metadata(ring, &file)? else { return Ok(None) };
        let mut json: Value = serde_json::from_slice(&bytes).map_err(|_| {
            Error::new(
                Kind::Io,
                format!("{file} of ring {ring} is damaged; restore it from a copy"),
            )
        })?;
        let signers = json["signatures"]
            .as_array()
            .map(|all| {
                all.iter().filter_map(|one| one["keyid"].as_str().map(str::to_owned)).collect()
            })
            .unwrap_or_default();
        let signed = json["signed"].take();
        let release = signed["release"].as_u64().unwrap_or(version);
        Ok(Some(Published { release, role: role.to_owned(), version, signed, signers }))
    }

    /// Whether the manifest of `published` is still here: `codesync gc` removes old ones.
    pub fn has_manifest(&self, ring: &str, published: &Published) -> Result<bool> {
        Ok(self.ring(ring)?.join("targets").join(published.manifest().1).exists())
    }

    /// The manifest of `published`, compared with its hash. Its paths were checked when it was signed.
    pub fn manifest(&self, ring: &str, published: &Published) -> Result<Manifest> {
        let (hash, file) = published.manifest();
        let path = self.ring(ring)?.join("targets").join(file);
        let text = disk::read_bounded(&path, MANIFEST_MAX)?.unwrap_or_default();
        let found = sha256(&text);
        if hex::encode(found) != hash {
            return Err(Error::new(
                Kind::Io,
                format!(
                    "the manifest of release {} of ring {ring} is missing or damaged ({})",
                    published.release,
                    path.display()
                ),
            ));
        }
        Ok(Manifest::read_back(&text)?.of_hash(found))
    }

    /// The content of `file`, compared with its hash.
    pub fn content(&self, file: &File) -> Result<Vec<u8>> {
        let path = self.object(&file.sha256);
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        if sha256(&bytes) != file.sha256 {
            return Err(Error::new(
                Kind::Io,
                format!(
                    "{} is damaged; publish the tree that holds {} again with --rehash",
                    path.display(),
                    file.path
                ),
            ));
        }
        Ok(bytes)
    }
}
