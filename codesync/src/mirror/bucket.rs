//! A verified copy in an S3 bucket, or in anything that speaks like one.
//!
//! Owns what is uploaded from a copy on disk, in which order, and how long caches may keep it. What
//! is there is not uploaded again. Contents, bundles and manifests come first, then the metadata that
//! names them, the timestamp last: whoever reads meanwhile sees the release before or the new one.
//! Refuses to upload a file that is not what its name says, and to replace a newer timestamp.

use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::TryStreamExt;
use object_store::{
    Attribute, Attributes, ClientOptions, ObjectStore, ObjectStoreExt, PutMultipartOptions,
    PutOptions, RetryConfig, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    path::Path as Key,
};
use tokio::{io::AsyncReadExt, runtime::Runtime, task::JoinSet};

use crate::{
    Error, Kind, Result, disk,
    manifest::sha256,
    source::Address,
    trust::{TARGETS_MAX, TIMESTAMP_MAX, limit},
};

const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const SHORT: &str = "public, max-age=60, must-revalidate";
/// Larger files go in parts.
const WHOLE_MAX: u64 = 4 << 20;
const PART: usize = 8 << 20;
/// Parts of one file under way at once.
const PARTS_AT_ONCE: usize = 1;
/// Files under way at once.
const AT_ONCE: usize = 8;
const CONNECT: Duration = Duration::from_secs(20);
/// How long a request is tried again for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in a bucket.
pub struct Bucket {
    url: String,
    prefix: String,
    store: AmazonS3,
    runtime: Runtime,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({:?})", self.url)
    }
}

/// What an upload did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Uploaded {
    /// Files that were uploaded.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were removed.
    pub removed: usize,
}

/// The files of a bucket's place: name and length.
type Listed = HashMap<String, u64>;

impl Bucket {
    /// The place at `s3://bucket[/prefix]`. Credentials, region and endpoint come from the
    /// environment, as of the AWS tools: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
    /// AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL; on a machine of AWS from its role.
    pub fn open(url: &str) -> Result<Self> {
        let (bucket, prefix) = parse(url)?;
        let unusable = |why: String| Error::new(Kind::Config, format!("cannot use {url}: {why}"));
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(ClientOptions::new().with_connect_timeout(CONNECT))
            .with_retry(RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() });
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        if let Some(endpoint) = endpoint {
            if Address::parse(&endpoint).is_err() || !endpoint.starts_with("http") {
                return Err(unusable(format!(
                    "the endpoint {endpoint:?} is none; set AWS_ENDPOINT_URL to https://host[:port], or http:// for this machine's own addresses"
                )));
            }
            builder = builder.with_allow_http(endpoint.starts_with("http:"));
        }
        let store = builder.build().map_err(|error| unusable(told(&error)))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        Ok(Self { url: url.to_owned(), prefix, store, runtime })
    }

    /// Brings what the copy in `folder` has of `rings`. With `prune` what the copy has not is
    /// removed from the bucket, where anything new came.
    pub(super) fn upload(&self, folder: &Path, rings: &[String], prune: bool) -> Result<Uploaded> {
        self.runtime.block_on(self.run(folder, rings, prune))
    }

    async fn run(&self, folder: &Path, rings: &[String], prune: bool) -> Result<Uploaded> {
        let mut done = Uploaded::default();
        let mut behind = Vec::new();
        for ring in rings {
            if self.is_behind(folder, ring).await? {
                behind.push(ring);
            }
        }
        if behind.is_empty() {
            return Ok(done);
        }
        let listed = self.list().await?;
        let mut local = Listed::new();
        for part in subfolders(&folder.join("objects"))? {
            files(folder, &format!("objects/{part}"), &mut local)?;
        }
        for ring in &behind {
            files(folder, &format!("rings/{ring}/targets"), &mut local)?;
        }
        // Each step is complete before the next one begins.
        self.put_all(folder, &lacking(&local, &listed), &mut done).await?;
        for ring in &behind {
            let mut metadata = Listed::new();
            files(folder, &format!("rings/{ring}"), &mut metadata)?;
            let timestamp = format!("rings/{ring}/timestamp.json");
            metadata.remove(&timestamp);
            self.put_all(folder, &lacking(&metadata, &listed), &mut done).await?;
            self.put_all(folder, std::slice::from_ref(&timestamp), &mut done).await?;
            local.extend(metadata);
            local.insert(timestamp, 0);
        }
        if prune {
            let ours = |name: &&String| {
                name.starts_with("objects/")
                    || behind.iter().any(|ring| name.starts_with(&format!("rings/{ring}/")))
            };
            for name in listed.keys().filter(ours).filter(|name| !local.contains_key(*name)) {
                let key = self.key(name);
                self.store.delete(&key).await.map_err(|error| self.failed(&error))?;
                done.removed += 1;
            }
        }
        Ok(done)
    }

    /// Whether the bucket's timestamp of `ring` is not the copy's. It is uploaded last, so where it
    /// is, everything is.
    async fn is_behind(&self, folder: &Path, ring: &str) -> Result<bool> {
        let name = format!("rings/{ring}/timestamp.json");
        let own = disk::read_bounded(&folder.join(&name), TIMESTAMP_MAX)?.unwrap_or_default();
        let answer = match self.store.get(&self.key(&name)).await {
            Ok(answer) => answer,
            Err(object_store::Error::NotFound { .. }) => return Ok(true),
            Err(error) => return Err(self.failed(&error)),
        };
        if answer.meta.size > TIMESTAMP_MAX {
            return Ok(true);
        }
        let theirs = answer.bytes().await.map_err(|error| self.failed(&error))?;
        let version = |bytes: &[u8]| {
            let json: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
            json["signed"]["version"].as_u64().unwrap_or_default()
        };
        if version(&theirs) > version(&own) {
            return Err(Error::refused(format!(
                "{} has a newer timestamp of ring {ring} than the copy: something else writes there; give each mirror a prefix of its own",
                self.url
            )));
        }
        Ok(theirs != own)
    }

    async fn list(&self) -> Result<Listed> {
        let prefix = (!self.prefix.is_empty()).then(|| Key::from(self.prefix.as_str()));
        let mut found = Listed::new();
        let mut stream = self.store.list(prefix.as_ref());
        while let Some(object) = stream.try_next().await.map_err(|error| self.failed(&error))? {
            let path = object.location.as_ref();
            let name = path.strip_prefix(&self.prefix).unwrap_or(path).trim_start_matches('/');
            found.insert(name.to_owned(), object.size);
        }
        Ok(found)
    }

    async fn put_all(&self, folder: &Path, names: &[String], done: &mut Uploaded) -> Result<()> {
        let mut under_way: JoinSet<Result<u64, Fault>> = JoinSet::new();
        let mut names = names.iter();
        loop {
            while under_way.len() < AT_ONCE
                && let Some(name) = names.next()
            {
                let (store, key, path) = (self.store.clone(), self.key(name), folder.join(name));
                let name = name.clone();
                under_way.spawn(async move { put(&store, &key, &name, &path).await });
            }
            // What is still under way when this fails is dropped with the set.
            match under_way.join_next().await {
                None => return Ok(()),
                Some(Ok(Ok(bytes))) => {
                    done.files += 1;
                    done.bytes += bytes;
                }
                Some(Ok(Err(Fault::Local(error)))) => return Err(error),
                Some(Ok(Err(Fault::Store(error)))) => return Err(self.failed(&error)),
                Some(Err(_)) => return Err(Error::new(Kind::Io, "an upload was broken off")),
            }
        }
    }

    fn key(&self, name: &str) -> Key {
        Key::from(format!("{}/{name}", self.prefix))
    }

    fn failed(&self, error: &object_store::Error) -> Error {
        use object_store::Error as Store;
        let (kind, remedy) = match error {
            Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
                (Kind::NotPermitted, "; check the AWS_… variables and the bucket's policy")
            }
            _ if told(error).contains("NoSuchBucket") => (Kind::Config, "; make the bucket first"),
            _ => (Kind::Unreachable, ""),
        };
        Error::new(kind, format!("cannot write to {}: {}{remedy}", self.url, told(error)))
    }
}

enum Fault {
    Local(Error),
    Store(object_store::Error),
}

impl From<object_store::Error> for Fault {
    fn from(error: object_store::Error) -> Self {
        Fault::Store(error)
    }
}

/// Uploads the file at `path`; how many bytes.
async fn put(store: &AmazonS3, key: &Key, name: &str, path: &Path) -> Result<u64, Fault> {
    let fail = |error: std::io::Error| Fault::Local(Error::io("read", path, &error));
    let damaged = || {
        let what = format!("{} is damaged; remove it and mirror again", path.display());
        Fault::Local(Error::new(Kind::Io, what))
    };
    let length = std::fs::metadata(path).map_err(fail)?.len();
    // Metadata is never long.
    if length <= WHOLE_MAX || hash_of(name).is_none() {
        let bytes = disk::read_bounded(path, TARGETS_MAX).map_err(Fault::Local)?;
        let bytes = bytes.unwrap_or_default();
        if hash_of(name).is_some_and(|hash| hex::encode(sha256(&bytes)) != hash) {
            return Err(damaged());
        }
        let options = PutOptions { attributes: attributes(name), ..PutOptions::default() };
        store.put_opts(key, bytes.into(), options).await?;
        return Ok(length);
    }
    let found = disk::digest(path).map_err(Fault::Local)?;
    if hash_of(name).is_none_or(|hash| found.is_none_or(|(own, _)| hex::encode(own) != hash)) {
        return Err(damaged());
    }
    let options =
        PutMultipartOptions { attributes: attributes(name), ..PutMultipartOptions::default() };
    let mut upload =
        WriteMultipart::new_with_chunk_size(store.put_multipart_opts(key, options).await?, PART);
    let sent = async {
        let mut file = tokio::fs::File::open(path).await.map_err(fail)?;
        let mut piece = vec![0; 256 << 10];
        loop {
            let read = file.read(&mut piece).await.map_err(fail)?;
            if read == 0 {
                return Ok::<(), Fault>(());
            }
            upload.wait_for_capacity(PARTS_AT_ONCE).await?;
            upload.write(piece.get(..read).unwrap_or_default());
        }
    };
    match sent.await {
        Ok(()) => upload.finish().await?,
        Err(fault) => {
            // Parts of a file that never becomes one cost their keeper money.
            upload.abort().await.ok();
            return Err(fault);
        }
    };
    Ok(length)
}

/// The hash that a file's name says; metadata has none.
fn hash_of(name: &str) -> Option<&str> {
    let file = name.rsplit('/').next()?;
    let hash = file.split('.').next()?;
    crate::name::is_sha256(hash).then_some(hash)
}

fn attributes(name: &str) -> Attributes {
    let json = name.ends_with(".json");
    let kept = if name.ends_with("/timestamp.json") { SHORT } else { IMMUTABLE };
    Attributes::from_iter([
        (Attribute::CacheControl, kept),
        (
            Attribute::ContentType,
            if json { "application/json" } else { "application/octet-stream" },
        ),
    ])
}

/// What is in `local` and not in `listed`.
fn lacking(local: &Listed, listed: &Listed) -> Vec<String> {
    let mut names: Vec<String> = local
        .iter()
        .filter(|(name, length)| listed.get(*name) != Some(length))
        .map(|(name, _)| name.clone())
        .collect();
    names.sort();
    names
}

/// Adds the regular files right in `folder/part` that belong to a library.
fn files(folder: &Path, part: &str, found: &mut Listed) -> Result<()> {
    let path = folder.join(part);
    for (name, entry) in entries(&path)? {
        let Ok(metadata) = entry.symlink_metadata() else { continue };
        // Metadata by its own names, everything else by its hash.
        if metadata.is_file() && (hash_of(&name).is_some() || limit(&name).is_some()) {
            found.insert(format!("{part}/{name}"), metadata.len());
        }
    }
    Ok(())
}

fn subfolders(path: &Path) -> Result<Vec<String>> {
    Ok(entries(path)?
        .into_iter()
        .filter(|(name, path)| !name.starts_with('.') && path.is_dir())
        .map(|(name, _)| name)
        .collect())
}

fn entries(path: &Path) -> Result<Vec<(String, PathBuf)>> {
    let fail = |error: std::io::Error| Error::io("read", path, &error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// Bucket and prefix of `s3://bucket[/prefix]`.
fn parse(url: &str) -> Result<(String, String)> {
    let bad = |why: &str| {
        Error::new(
            Kind::Config,
            format!("{url:?} is no place for a copy: {why}; write s3://bucket/prefix"),
        )
    };
    let rest = url.strip_prefix("s3://").ok_or_else(|| bad("its scheme is not known"))?;
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b);
    if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
        return Err(bad("a bucket's name is 3 to 63 of a-z, 0-9, - and ."));
    }
    let prefix = prefix.trim_end_matches('/');
    let word = |part: &str| {
        let plain = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        plain && !matches!(part, "" | "." | "..")
    };
    if prefix.len() > 512 || !(prefix.is_empty() || prefix.split('/').all(word)) {
        return Err(bad("a prefix is letters, digits and . _ - between single slashes"));
    }
    Ok((bucket.to_owned(), prefix.to_owned()))
}

/// An error and its causes, in one line of bounded length.
fn told(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests;
