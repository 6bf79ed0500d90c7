//! Which host keys are pinned: OpenSSH's known_hosts (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT").
//!
//! Plain and hashed names, wildcards, negation, ports, `@revoked` and `@cert-authority`. There is
//! no first use that trusts: a host that is not in the file is refused.

use aws_lc_rs::hmac;
use ssh_key::{
    Algorithm, Certificate, HashAlg, PublicKey,
    certificate::CertType,
    known_hosts::{Entry, HostPatterns, Marker},
};

use crate::{Error, Result};

/// The longest file that is read, in bytes.
pub const KNOWN_HOSTS_MAX: u64 = 4 << 20;

/// The keys that a host may show.
#[derive(Debug, Clone, Default)]
pub struct Pinned {
    host: String,
    keys: Vec<PublicKey>,
    authorities: Vec<PublicKey>,
    revoked: Vec<PublicKey>,
}

impl Pinned {
    /// What `text` pins for `host` and `port`. Lines that cannot be read are passed over, as
    /// OpenSSH does.
    pub fn parse(text: &str, host: &str, port: u16) -> Self {
        let host = host.to_ascii_lowercase();
        // OpenSSH writes the port only where it is not 22.
        let names = match port {
            22 => vec![host.clone()],
            port => vec![format!("[{host}]:{port}")],
        };
        let mut pinned = Self { host, ..Self::default() };
        for line in lines(text) {
            let Ok(entry) = line.parse::<Entry>() else { continue };
            let key = entry.public_key().clone();
            match entry.marker() {
                // A revoked key is revoked for everybody who reads the file.
                Some(Marker::Revoked) => pinned.revoked.push(key),
                marker if names.iter().any(|name| matches(entry.host_patterns(), name)) => {
                    match marker {
                        Some(_) => pinned.authorities.push(key),
                        None => pinned.keys.push(key),
                    }
                }
                _ => {}
            }
        }
        pinned
    }

    /// Whether nothing is pinned for the host.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.authorities.is_empty()
    }

    /// The host key algorithms to ask for: those that could match. libssh2 would take any, and the
    /// server might show a key of another kind than the one that is pinned.
    pub fn algorithms(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        let mut add = |name| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        for key in &self.keys {
            match key.algorithm() {
                Algorithm::Rsa { .. } => ["rsa-sha2-512", "rsa-sha2-256"].map(&mut add),
                other => {
                    // Leaked nowhere: only the fixed names of the standard occur.
                    let name = PLAIN.iter().find(|name| **name == other.as_str());
                    name.into_iter().for_each(|name| add(name));
                    [(); 2]
                }
            };
        }
        if !self.authorities.is_empty() {
            CERTIFIED.iter().for_each(|name| add(name));
        }
        names.join(",")
    }

    /// Compares the key that the host showed, as it stood on the wire. `now` is in seconds since
    /// 1970, for certificates.
    pub fn check(&self, shown: &[u8], now: u64) -> Result<(), &'static str> {
        if let Ok(certificate) = Certificate::from_bytes(shown) {
            return self.check_certificate(&certificate, now);
        }
        let key =
            PublicKey::from_bytes(shown).map_err(|_| "shows a host key that cannot be read")?;
        if self.is_revoked(key.key_data()) {
            return Err("shows a host key that is marked @revoked");
        }
        if self.keys.iter().any(|pinned| pinned.key_data() == key.key_data()) {
            return Ok(());
        }
        Err("shows another host key than the one that is pinned")
    }

    fn check_certificate(&self, shown: &Certificate, now: u64) -> Result<(), &'static str> {
        if shown.cert_type() != CertType::Host {
            return Err("shows a certificate that is not for hosts");
        }
        if self.is_revoked(shown.signature_key()) || self.is_revoked(shown.public_key()) {
            return Err("shows a host certificate whose key is marked @revoked");
        }
        if !shown.valid_principals().iter().any(|name| glob(&name.to_ascii_lowercase(), &self.host))
        {
            return Err("shows a host certificate for other names");
        }
        let trusted: Vec<_> =
            self.authorities.iter().map(|key| key.fingerprint(HashAlg::Sha256)).collect();
        shown.validate_at(now, &trusted).map_err(|_| {
            "shows a host certificate that has expired or is not by the authority that is pinned"
        })
    }

    fn is_revoked(&self, key: &ssh_key::public::KeyData) -> bool {
        self.revoked.iter().any(|revoked| revoked.key_data() == key)
    }
}

const PLAIN: [&str; 4] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"];

const CERTIFIED: [&str; 6] = [
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "ecdsa-sha2-nistp384-cert-v01@openssh.com",
    "ecdsa-sha2-nistp521-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
];

/// Checks a whole file, strictly: every line must be readable, and there must be one.
pub fn validate(text: &str) -> Result<()> {
    let mut count = 0;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        line.parse::<Entry>().map_err(|error| {
            Error::refused(format!("line {} is no known_hosts line: {error}", number + 1))
        })?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::refused("it names no host"));
    }
    Ok(())
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            hmac::verify(&key, name.as_bytes(), hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    Some(not) if glob(not, name) => return false,
                    Some(_) => {}
                    None => found |= glob(&pattern, name),
                }
            }
            found
        }
    }
}

/// `*` is any text, `?` any one character.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on after a mismatch: behind the last `*`, one character further.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    star = Some((after, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8mLpKoMrZ7rMAyNJNVAqY0E7Xn4oKkTfFmqAhWzVDF";
    const OTHER: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    fn wire(key: &str) -> Vec<u8> {
        PublicKey::from_openssh(key).unwrap().to_bytes().unwrap()
    }

    #[test]
    fn names_are_matched_as_openssh_does() {
        for (line, host, port, found) in [
            ("code.example.com", "code.example.com", 22, true),
            ("Code.Example.com", "code.EXAMPLE.com", 22, true),
            ("a,code.example.com,b", "code.example.com", 22, true),
            ("code.example.com", "code.example.com", 2222, false),
            ("[code.example.com]:2222", "code.example.com", 2222, true),
            ("[code.example.com]:2222", "code.example.com", 22, false),
            ("*.example.com", "code.example.com", 22, true),
            ("*.example.com,!code.example.com", "code.example.com", 22, false),
            ("10.0.0.?", "10.0.0.7", 22, true),
            ("10.0.0.?", "10.0.0.77", 22, false),
            (
                "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=",
                "192.168.1.61",
                22,
                true,
            ),
            (
                "|1|F1E1KeoE/eEWhi10WpGv4OdiO6Y=|3988QV0VE8wmZL7suNrYQLITLCg=",
                "192.168.1.62",
                22,
                false,
            ),
        ] {
            let pinned = Pinned::parse(&format!("# c\n\n{line} {KEY} comment\n"), host, port);
            assert_eq!(!pinned.is_empty(), found, "{line} {host} {port}");
        }
    }

    #[test]
    fn only_the_pinned_key_passes() {
        let pinned = Pinned::parse(&format!("h {KEY}\n"), "h", 22);
        assert_eq!(pinned.algorithms(), "ssh-ed25519");
        assert!(pinned.check(&wire(KEY), 0).is_ok());
        assert!(pinned.check(&wire(OTHER), 0).is_err());
        assert!(pinned.check(b"rubbish", 0).is_err());
        let revoked = Pinned::parse(&format!("h {KEY}\n@revoked * {KEY}\n"), "h", 22);
        assert!(revoked.check(&wire(KEY), 0).unwrap_err().contains("@revoked"));
    }

    #[test]
    fn a_file_to_adopt_must_be_whole() {
        assert!(validate(&format!("# x\nh {KEY}\n@cert-authority *.x {OTHER}\n")).is_ok());
        for text in ["", "# only this\n", "h ssh-ed25519\n", "h ssh-ed25519 AAAA\n", "<html>\n"] {
            assert!(validate(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,80}", shown in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = Pinned::parse(&text, "h", 22).check(&shown, 0);
            let _ = validate(&text);
        }
    }
}
