//! The library's folder: where things are, and reading them. Writing is [`crate::publish`]'s.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

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

/// One release as its signed targets describe it. Read from the publisher's own disk: the
/// signatures are not checked here.
#[derive(Debug, Clone)]
pub struct Published {
    /// Its number.
    pub release: u64,
    /// `signed` of its targets.json.
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
        versions.targets = snapshot["signed"]["meta"]["targets.json"]["version"]
            .as_u64()
            .ok_or_else(|| damaged(&file))?;
        Ok(versions)
    }

    /// Release `number` of `ring`, or `None` when it was never published.
    pub fn published(&self, ring: &str, number: u64) -> Result<Option<Published>> {
        let file = format!("{number}.targets.json");
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
        Ok(Some(Published { release: number, signed: json["signed"].take(), signers }))
    }

    /// Whether the manifest of `published` is still here: `codesync gc` removes old ones.
    pub fn has_manifest(&self, ring: &str, published: &Published) -> Result<bool> {
        let hash = published.signed["targets"]["manifest"]["hashes"]["sha256"].as_str();
        let file = format!("{}.manifest", hash.unwrap_or_default());
        Ok(self.ring(ring)?.join("targets").join(file).exists())
    }

    /// The manifest of `published`, compared with its hash. Its paths were checked when it was signed.
    pub fn manifest(&self, ring: &str, published: &Published) -> Result<Manifest> {
        let hash = published.signed["targets"]["manifest"]["hashes"]["sha256"]
            .as_str()
            .filter(|hash| name::is_sha256(hash))
            .unwrap_or_default();
        let path = self.ring(ring)?.join("targets").join(format!("{hash}.manifest"));
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
