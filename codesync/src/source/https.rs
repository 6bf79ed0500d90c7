//! `https://host/path`: a library's folder on a web server, or any copy of it.
//!
//! Owns the HTTP client: which servers are believed to be who they say, redirects, proxies
//! (`HTTPS_PROXY`, `NO_PROXY`), time-outs, and the bound of every body before it is read. Asks for
//! files only; a server needs no program. Call it from a thread that may block.

use std::{
    collections::VecDeque,
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use reqwest::{Certificate, Client, ClientBuilder, Identity, Url, redirect};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

pub use super::Access;
use super::{Source, Traffic, hash_name};
use crate::{
    Error, Kind, Result, disk,
    manifest::File,
    trust::{Target, Versions},
};
pub use answer::chain;

mod answer;

use answer::get;

/// Certificates and keys are no longer than this.
const PEM_MAX: u64 = 1 << 20;
const REDIRECTS_MAX: usize = 5;
/// Contents asked for at once; over HTTP/2 they share one connection.
const AT_ONCE: usize = 8;
/// Larger contents are streamed, one at a time.
const WHOLE_MAX: u64 = 1 << 20;

/// A static copy of a library, or any other TUF repository, on a web server.
pub struct Https {
    place: Place,
    client: Client,
    runtime: tokio::runtime::Runtime,
    counters: Arc<Counters>,
}

/// Bytes that went over the connection, as HTTP/1.1 would write them.
#[derive(Debug, Default)]
pub(super) struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counters {
    fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[derive(Debug)]
enum Place {
    Library(String),
    Repository { metadata: String, targets: String },
}

impl std::fmt::Debug for Https {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Https({:?})", self.place)
    }
}

/// The URL of a source in the form in which it is used; why not, otherwise.
pub fn parse(text: &str) -> std::result::Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "it is not a URL")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user or password does not belong into a URL");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a `?` or `#`");
    }
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let own = host == "localhost"
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if url.scheme() == "http" && !own {
        return Err("http:// is for this machine's own addresses only, so write https://");
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

impl Https {
    /// The library at `url`, which [`super::Address::parse`] accepted.
    pub fn library(url: &str, access: &Access<'_>) -> Result<Self> {
        Self::new(Place::Library(url.to_owned()), access)
    }

    /// A repository whose metadata and targets are in two places; plain `http://` is allowed.
    /// Rings have no meaning in it.
    pub fn repository(metadata: &str, targets: &str, access: &Access<'_>) -> Result<Self> {
        let base = |url: &str| url.trim_end_matches('/').to_owned();
        Self::new(Place::Repository { metadata: base(metadata), targets: base(targets) }, access)
    }

    fn new(place: Place, access: &Access<'_>) -> Result<Self> {
        let plain = match &place {
            Place::Library(url) => url.starts_with("http:"),
            Place::Repository { metadata, targets } => {
                metadata.starts_with("http:") && targets.starts_with("http:")
            }
        };
        let builder = client(access, plain)?
            .user_agent(concat!("codesync/", env!("CARGO_PKG_VERSION")))
            .redirect(redirects());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::new(Kind::Io, format!("cannot prepare HTTPS: {error}")))?;
        let client = builder.build().map_err(|error| {
            Error::new(Kind::Config, format!("cannot prepare HTTPS: {}", chain(&error)))
        })?;
        Ok(Self { place, client, runtime, counters: Arc::default() })
    }

    fn metadata_url(&self, ring: &str, file: &str) -> Result<Url> {
        match &self.place {
            Place::Library(base) => url(&format!("{base}/rings/{ring}/{file}")),
            Place::Repository { metadata, .. } => url(&format!("{metadata}/{file}")),
        }
    }

    fn target_url(&self, ring: &str, target: &Target) -> Result<Url> {
        let file = encode_path(&target.file())?;
        match &self.place {
            Place::Library(base) => url(&format!("{base}/rings/{ring}/targets/{file}")),
            Place::Repository { targets, .. } => url(&format!("{targets}/{file}")),
        }
    }

    fn object_url(&self, file: &File) -> Result<Url> {
        let hash = hash_name(&file.sha256);
        match &self.place {
            Place::Library(base) => url(&format!("{base}/objects/{}/{hash}", &hash[..2])),
            Place::Repository { .. } => Err(Error::refused("this repository has no objects")),
        }
    }

    /// Asks for a small content and goes on.
    fn ask(&self, file: &File) -> Result<JoinHandle<Result<Vec<u8>>>> {
        let (client, counters) = (self.client.clone(), Arc::clone(&self.counters));
        let (url, size) = (self.object_url(file)?, file.size);
        Ok(self.runtime.spawn(async move {
            let mut answer = get(&client, &counters, url, 0).await?.found()?;
            let mut bytes = Vec::new();
            answer.begin(0, size).await?;
            while let Some(piece) = answer.piece(size).await? {
                bytes.extend_from_slice(&piece);
            }
            answer.complete(size)?;
            Ok(bytes)
        }))
    }

    /// Passes the `length` bytes from `offset` on to `sink`.
    fn stream(
        &self,
        url: Url,
        offset: u64,
        length: u64,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.runtime.block_on(async {
            let mut answer = get(&self.client, &self.counters, url, offset).await?.found()?;
            answer.begin(offset, length).await?;
            while let Some(piece) = answer.piece(length - offset).await? {
                sink(&piece)?;
            }
            answer.complete(length - offset)
        })
    }
}

impl Source for Https {
    fn refresh(&mut self, _: &str, _: Versions) -> Result<Vec<(String, Vec<u8>)>> {
        // A static server answers no question; `metadata` asks for each file when it is due.
        Ok(Vec::new())
    }

    fn metadata(&mut self, ring: &str, file: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let url = self.metadata_url(ring, file)?;
        self.runtime.block_on(async {
            let Some(mut answer) = get(&self.client, &self.counters, url, 0).await?.if_found()
            else {
                return Ok(None);
            };
            answer.at_most(limit)?;
            let mut bytes = Vec::new();
            while let Some(piece) = answer.piece(limit).await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(Some(bytes))
        })
    }

    fn target(
        &mut self,
        ring: &str,
        target: &Target,
        offset: u64,
        out: &mut dyn Write,
    ) -> Result<()> {
        if offset >= target.length && offset > 0 {
            return Ok(());
        }
        let url = self.target_url(ring, target)?;
        self.stream(url, offset, target.length, &mut |piece| {
            out.write_all(piece)
                .map_err(|error| Error::new(Kind::Io, format!("cannot store a download: {error}")))
        })
    }

    fn objects(
        &mut self,
        files: &[&File],
        sink: &mut dyn FnMut(&File, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut asked = VecDeque::new();
        let mut ahead = files.iter().filter(|file| file.size <= WHOLE_MAX);
        for file in files {
            if file.size > WHOLE_MAX {
                let url = self.object_url(file)?;
                self.stream(url, 0, file.size, &mut |piece| sink(file, piece))?;
            } else {
                while asked.len() < AT_ONCE {
                    let Some(next) = ahead.next() else { break };
                    asked.push_back(self.ask(next)?);
                }
                let Some(answer) = asked.pop_front() else { continue };
                let bytes = self.runtime.block_on(answer).map_err(|error| {
                    Error::new(Kind::Unreachable, format!("fetching {} failed: {error}", file.path))
                })??;
                if !bytes.is_empty() {
                    sink(file, &bytes)?;
                }
            }
            sink(file, &[])?;
        }
        Ok(())
    }

    fn object(&mut self, file: &File, offset: u64, out: &mut dyn Write) -> Result<()> {
        let url = self.object_url(file)?;
        self.stream(url, offset, file.size, &mut |piece| {
            out.write_all(piece)
                .map_err(|error| Error::new(Kind::Io, format!("cannot store a download: {error}")))
        })
    }

    fn delta(&mut self, _: &File, _: &[u8]) -> Result<Option<Vec<u8>>> {
        // Making one takes a program on the server.
        Ok(None)
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            received: self.counters.received.load(Ordering::Relaxed),
            sent: self.counters.sent.load(Ordering::Relaxed),
        }
    }
}

/// A client that knows its authorities and itself as `access` says; one that speaks only `plain`
/// http, to this machine, needs none.
pub fn client(access: &Access<'_>, plain: bool) -> Result<ClientBuilder> {
    let mut builder = Client::builder()
        .referer(false)
        .connect_timeout(access.timeout)
        .read_timeout(access.timeout);
    builder = match access.ca_file {
        Some(path) => builder.tls_certs_merge(authorities(path)?),
        // A machine without any authorities can still talk to itself.
        None if plain => builder.tls_certs_only([]),
        None => builder,
    };
    if let Some(certificate) = access.client_certificate {
        let key = access.client_key.unwrap_or(certificate);
        builder = builder.identity(identity(certificate, key)?);
    }
    Ok(builder)
}

fn url(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|error| Error::new(Kind::Config, format!("{text:?}: {error}")))
}

/// `path` for a URL, part by part. What a URL would resolve away is refused.
fn encode_path(path: &str) -> Result<String> {
    let parts: Vec<String> = path.split('/').map(crate::trust::encode).collect();
    if parts.iter().any(|part| matches!(part.as_str(), "" | "." | "..")) {
        return Err(Error::refused(format!("{path:?} cannot be asked for over HTTP")));
    }
    Ok(parts.join("/"))
}

/// Few, and never from https to http: the content is signed, but who asks for what is private.
fn redirects() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let was_secure = attempt.previous().iter().any(|url| url.scheme() == "https");
        let first = attempt.previous().first().and_then(Url::host_str);
        let at_home = first == attempt.url().host_str();
        if attempt.previous().len() > REDIRECTS_MAX {
            attempt.error("it redirects more than 5 times")
        } else if attempt.url().scheme() == "https" || (!was_secure && at_home) {
            attempt.follow()
        } else {
            attempt.error("it redirects to plain http, which is refused")
        }
    })
}

fn authorities(path: &Path) -> Result<Vec<Certificate>> {
    let pem = pem(path)?;
    let certificates = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if certificates.is_empty() {
        return Err(Error::new(
            Kind::Config,
            format!("{} holds no certificate in PEM; name the authority's file", path.display()),
        ));
    }
    Ok(certificates)
}

fn identity(certificate: &Path, key: &Path) -> Result<Identity> {
    let mode = fs::metadata(key)
        .map_err(|error| {
            Error::new(Kind::Config, format!("cannot read {}: {error}", key.display()))
        })?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::new(
            Kind::Config,
            format!(
                "the key {} may be read by others (mode {:04o}); run: chmod 600 {0}",
                key.display(),
                mode & 0o7777
            ),
        ));
    }
    let mut both = pem(certificate)?;
    if key != certificate {
        both.push(b'\n');
        both.extend_from_slice(&pem(key)?);
    }
    Identity::from_pem(&both).map_err(|_| {
        Error::new(
            Kind::Config,
            format!(
                "{} and {} are not a certificate and its key in PEM",
                certificate.display(),
                key.display()
            ),
        )
    })
}

fn pem(path: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let bytes = disk::read_bounded(path, PEM_MAX)?
        .ok_or_else(|| Error::new(Kind::Config, format!("{} does not exist", path.display())))?;
    Ok(Zeroizing::new(bytes))
}

#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;
