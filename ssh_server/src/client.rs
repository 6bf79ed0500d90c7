//! Who is on the other end: source address and key fingerprint, as sshd tells them.
//!
//! For records only; no decision rests on them. Refuses to repeat anything that is not an address
//! or a key: what cannot be read is `unknown`.

use std::{ffi::OsStr, fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt, path::Path};

use sha2::{Digest, Sha256};

/// What a record says when sshd told nothing.
pub const UNKNOWN: &str = "unknown";
const MAX_AUTH_INFO: u64 = 64 * 1024;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The other end of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `ADDRESS PORT`, or `unknown`.
    pub address: String,
    /// `SHA256:…` as ssh-keygen -l prints it, or `unknown` (ExposeAuthInfo is off).
    pub key: String,
}

impl Client {
    /// Reads SSH_CONNECTION's value and the file that SSH_USER_AUTH names.
    pub fn new(connection: Option<&OsStr>, auth_info: Option<&OsStr>) -> Self {
        let address = connection.and_then(OsStr::to_str).and_then(address);
        let key = auth_info.and_then(|file| read(Path::new(file))).and_then(|t| fingerprint(&t));
        Self {
            address: address.unwrap_or_else(|| UNKNOWN.to_owned()),
            key: key.unwrap_or_else(|| UNKNOWN.to_owned()),
        }
    }
}

fn address(connection: &str) -> Option<String> {
    let mut parts = connection.split(' ');
    let (address, port) = (parts.next()?, parts.next()?);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".:%-".contains(c);
    let good = (1..=64).contains(&address.len()) && address.chars().all(plain);
    let port: u16 = port.parse().ok()?;
    good.then(|| format!("{address} {port}"))
}

fn read(file: &Path) -> Option<String> {
    let flags = nix::fcntl::OFlag::O_NOFOLLOW | nix::fcntl::OFlag::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits()).open(file).ok()?;
    if !opened.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    opened.take(MAX_AUTH_INFO).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The fingerprint of the first public key in sshd's list of what authenticated
/// (`publickey TYPE BASE64`); for a certificate that of the key inside it.
pub fn fingerprint(auth_info: &str) -> Option<String> {
    let line = auth_info.lines().find_map(|line| line.strip_prefix("publickey "))?;
    let blob = decode(line.split(' ').nth(1)?)?;
    let plain = plain_key(&blob).unwrap_or(blob);
    Some(format!("SHA256:{}", encode(&Sha256::digest(plain))))
}

/// The plain key inside an OpenSSH certificate: type, nonce, then the key's own fields
/// (PROTOCOL.certkeys). `None` for what is no certificate.
fn plain_key(blob: &[u8]) -> Option<Vec<u8>> {
    let (kind, rest) = field(blob)?;
    let plain = std::str::from_utf8(kind).ok()?.strip_suffix("-cert-v01@openssh.com")?;
    let (name, fields) = match plain {
        "ssh-ed25519" => (plain.to_owned(), 1),
        "ssh-rsa" => (plain.to_owned(), 2),
        "sk-ssh-ed25519" => (format!("{plain}@openssh.com"), 2),
        "sk-ecdsa-sha2-nistp256" => (format!("{plain}@openssh.com"), 3),
        ecdsa if ecdsa.starts_with("ecdsa-sha2-") => (plain.to_owned(), 2),
        _ => return None,
    };
    let (_nonce, start) = field(rest)?;
    let mut end = start;
    for _ in 0..fields {
        end = field(end)?.1;
    }
    let mut key = u32::try_from(name.len()).ok()?.to_be_bytes().to_vec();
    key.extend_from_slice(name.as_bytes());
    key.extend_from_slice(&start[..start.len() - end.len()]);
    Some(key)
}

fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut held, mut bits) = (0u32, 0u32);
    for letter in text.trim_end_matches('=').bytes() {
        let value = BASE64.iter().position(|known| *known == letter)?;
        held = (held << 6 | u32::try_from(value).ok()?) & 0xffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Base64 without padding, as fingerprints are written.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let held = chunk.iter().fold(0u32, |held, byte| held << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            let index = held >> (18 - 6 * place) & 63;
            text.push(char::from(BASE64[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests;
