//! `ldi enroll`: this machine gets an identity of its own from a fleet server.
//!
//! The key is made here and stays here. The server is known before anything is told to it: the token
//! says the hash of its authority's certificate.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use codesync::{disk, source::https};
use ldi_api::{
    enrolment::{
        CA_PATH, Enrolled, Enrolment, FORMAT, MOST_BYTES, PATH, RENEWAL_PATH, Renewal, Token,
    },
    submission::Refusal,
};
use rcgen::{CertificateParams, KeyPair};
use reqwest::{Certificate, Client, RequestBuilder, Response, Url, redirect::Policy};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{
    Failure, Result,
    cli::{self, print},
    config::{Config, Server},
    error::code,
    machine::Machine,
    parse, submit,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Where the identity is kept: beside `ldi.toml`.
struct Places {
    key: PathBuf,
    certificate: PathBuf,
    ca: PathBuf,
}

/// Enrols this machine, whose configuration is `file`, at `server`; once more where it is enrolled
/// and `again` says so.
pub fn enrol(file: &Path, server: &str, token: &str, again: bool) -> Result<u8> {
    let token: Token =
        token.parse().map_err(|why| Failure::new(code::USAGE, format!("--token: {why}")))?;
    let base = https::parse(server)
        .map_err(|why| Failure::new(code::USAGE, format!("--server {server:?}: {why}")))?;
    if !base.starts_with("https://") {
        return Err(Failure::new(code::USAGE, "--server: write https://"));
    }
    let config = Config::load(file)?;
    let file = std::fs::canonicalize(file).map_err(|e| Failure::io("find", file, &e))?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    let places = Places {
        key: folder.join("machine.key"),
        certificate: folder.join("machine.pem"),
        ca: folder.join("fleet-ca.pem"),
    };
    let text = settings(&config, &base, &places)?;
    if places.certificate.exists() && !again {
        let what = format!(
            "this machine is enrolled already: {} is there; --again makes it another machine to the server",
            places.certificate.display()
        );
        return Err(Failure::new(code::FAILED, what));
    }
    let runtime = cli::runtime()?;
    let ca = runtime.block_on(authority(&base, &token))?;
    let key = KeyPair::generate().map_err(|e| failed(&format!("cannot make a key: {e}")))?;
    let enrolled = runtime.block_on(ask(&base, &ca, &token, &request(&key)?))?;
    write(&places, &key, &enrolled)?;
    if let Some(text) = text {
        // What it was to others, it stays.
        let mode =
            std::fs::metadata(&file).map_or(0o644, |there| there.permissions().mode() & 0o777);
        disk::replace(&file, text.as_bytes(), mode)?;
    }
    print(&format!(
        "enrolled at {base} as {}\nthe daemon tells it from now on (systemctl reload ldi); `ldi collect --submit` does at once\n",
        enrolled.client
    ))?;
    Ok(0)
}

fn failed(what: &str) -> Failure {
    Failure::new(code::FAILED, what)
}

/// What `ldi.toml` will be; nothing where it says all of this already.
fn settings(config: &Config, base: &str, places: &Places) -> Result<Option<String>> {
    let own = |path: &Path| Some(path.to_owned());
    let lines = format!(
        "[server]\nurl = {base:?}\nca_file = {:?}\nclient_certificate = {:?}\nclient_key = {:?}\n",
        places.ca, places.certificate, places.key
    );
    let there = &config.server;
    let same = there.url.as_deref().map(|url| url.trim_end_matches('/')) == Some(base)
        && there.ca_file == own(&places.ca)
        && there.client_certificate == own(&places.certificate)
        && there.client_key == own(&places.key);
    if same {
        return Ok(None);
    }
    let says = |line: &str| line.trim_start().starts_with("[server]");
    if config.text.lines().any(says) {
        return Err(Failure::config(format!(
            "{} has a [server] that says something else; make it this, then enrol:\n{lines}",
            config.file.display()
        )));
    }
    let gap = if config.text.is_empty() || config.text.ends_with('\n') { "" } else { "\n" };
    let text = format!("{}{gap}\n{lines}", config.text);
    // What is written must be read again.
    Config::parse("ldi.toml", &text).map_err(|wrong| Failure::config(wrong.to_string()))?;
    Ok(Some(text))
}

fn unreachable(base: &str, why: &str) -> Failure {
    Failure::new(code::UNREACHABLE, format!("the fleet server {base} could not be asked: {why}"))
}

fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .user_agent(concat!("ldi/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .timeout(LIMIT)
}

fn url(base: &str, path: &str) -> Result<Url> {
    Url::parse(&format!("{base}{path}"))
        .map_err(|e| Failure::new(code::USAGE, format!("--server {base:?}: {e}")))
}

async fn bounded(mut response: Response) -> std::result::Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|e| https::chain(&e))? {
        if body.len() + piece.len() > MOST_BYTES {
            return Err("its answer is too long".to_owned());
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// The authority's certificate (DER), if it is the one that the token names. Until then nobody is
/// believed, and nothing is told.
async fn authority(base: &str, token: &Token) -> Result<Certificate> {
    let client = builder()
        .tls_certs_only([])
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(|e| failed(&format!("cannot prepare HTTPS: {e}")))?;
    let asked = client.get(url(base, CA_PATH)?).send().await;
    let response = asked.map_err(|e| unreachable(base, &https::chain(&e)))?;
    let status = response.status();
    let body = bounded(response).await.map_err(|why| unreachable(base, &why))?;
    if !status.is_success() {
        return Err(unreachable(base, &format!("it answered {status}; is it an ldi-server?")));
    }
    let der = pem(&body).ok_or_else(|| unreachable(base, "its authority is no certificate"))?;
    if <[u8; 32]>::from(Sha256::digest(&der)) != token.ca {
        return Err(Failure::new(
            code::REFUSED,
            format!("{base} is not the server that this token is for; nothing was told to it"),
        ));
    }
    Certificate::from_der(&der).map_err(|e| unreachable(base, &format!("its authority: {e}")))
}

/// The first certificate in PEM.
fn pem(text: &[u8]) -> Option<Vec<u8>> {
    use rustls_pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_slice(text).ok().map(|der| der.to_vec())
}

/// Gets another certificate for the key that this machine has.
pub fn renew(server: &Server) -> Result<()> {
    let (Some(certificate), Some(base)) = (&server.client_certificate, &server.url) else {
        return Err(Failure::config("[server] has no client_certificate"));
    };
    let path = server.client_key.as_ref().unwrap_or(certificate);
    if path == certificate {
        return Err(Failure::config("key and certificate share a file, which is not rewritten"));
    }
    let text = parse::read_bounded(path, MOST_BYTES as u64)
        .map(Zeroizing::new)
        .map_err(|e| Failure::io("read", path, &e))?;
    let text =
        std::str::from_utf8(&text).map_err(|e| failed(&format!("{}: {e}", path.display())))?;
    let key = KeyPair::from_pem(text).map_err(|e| failed(&format!("{}: {e}", path.display())))?;
    let wish = Renewal { format: FORMAT, csr: request(&key)?.into() };
    let body = serde_json::to_vec(&wish).map_err(|e| failed(&e.to_string()))?;
    let (url, client) = submit::way(server, RENEWAL_PATH)?;
    let enrolled = cli::runtime()?.block_on(exchange(base, client.post(url).body(body)))?;
    if pem(enrolled.certificate.as_bytes()).is_none() {
        return Err(failed("the server's answer holds no certificate; nothing was written"));
    }
    disk::replace(certificate, enrolled.certificate.as_bytes(), 0o644)?;
    Ok(())
}

/// A signing request for `key`, in PEM.
fn request(key: &KeyPair) -> Result<String> {
    CertificateParams::default()
        .serialize_request(key)
        .and_then(|request| request.pem())
        .map_err(|e| failed(&format!("cannot make a signing request: {e}")))
}

async fn ask(base: &str, ca: &Certificate, token: &Token, csr: &str) -> Result<Enrolled> {
    let machine = Machine::this();
    let facts: BTreeMap<_, _> = [
        ("name", machine.name.as_str()),
        ("machine_id", &machine.id),
        ("os", &machine.os),
        ("arch", &machine.arch),
    ]
    .map(|(key, value)| (key.into(), value.into()))
    .into();
    let wish =
        Enrolment { format: FORMAT, token: token.secret.as_str().into(), csr: csr.into(), facts };
    let body = serde_json::to_vec(&wish).map_err(|e| failed(&e.to_string()))?;
    let client = builder()
        .tls_certs_only([ca.clone()])
        .build()
        .map_err(|e| failed(&format!("cannot prepare HTTPS: {e}")))?;
    exchange(base, client.post(url(base, PATH)?).body(body)).await
}

/// The identity that a request gets.
async fn exchange(base: &str, request: RequestBuilder) -> Result<Enrolled> {
    let response = request.send().await.map_err(|e| unreachable(base, &https::chain(&e)))?;
    let status = response.status();
    let body = bounded(response).await.map_err(|why| unreachable(base, &why))?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .map_err(|e| unreachable(base, &format!("its answer cannot be read: {e}")));
    }
    let said = serde_json::from_slice::<Refusal<'_>>(&body);
    let said =
        said.map_or_else(|_| format!("it answered {status}"), |told| told.error.into_owned());
    Err(match status.as_u16() {
        400..500 => {
            Failure::new(code::NOT_PERMITTED, format!("the fleet server {base} refused: {said}"))
        }
        _ => unreachable(base, &said),
    })
}

/// The key first: a certificate without it is worth nothing.
fn write(places: &Places, key: &KeyPair, enrolled: &Enrolled) -> Result<()> {
    if pem(enrolled.certificate.as_bytes()).is_none() || pem(enrolled.ca.as_bytes()).is_none() {
        return Err(failed("the server's answer holds no certificate; nothing was written"));
    }
    let secret = Zeroizing::new(key.serialize_pem());
    disk::replace(&places.key, secret.as_bytes(), 0o600)?;
    disk::replace(&places.ca, enrolled.ca.as_bytes(), 0o644)?;
    disk::replace(&places.certificate, enrolled.certificate.as_bytes(), 0o644)?;
    Ok(())
}
