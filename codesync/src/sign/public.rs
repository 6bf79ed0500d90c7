//! Public keys as files: PEM with SubjectPublicKeyInfo (RFC 8410), as OpenSSL writes them.

use std::path::Path;

use serde_json::Value;

use super::{Key, Passphrase, public_object};
use crate::{Error, Kind, Result, manifest::sha256, trust};

const PUBLIC: &str = "PUBLIC KEY";
/// SubjectPublicKeyInfo of an Ed25519 key: this, then its 32 bytes.
const PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: Vec<u8>,
    id: String,
}

impl PublicKey {
    pub(super) fn of(bytes: &[u8], id: String) -> Self {
        Self { bytes: bytes.to_vec(), id }
    }

    /// The TUF key id: SHA-256 of the canonical public key object.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key as TUF writes it.
    pub fn object(&self) -> Value {
        public_object(&self.bytes)
    }

    /// The key as a file's text.
    pub fn pem(&self) -> String {
        pem::encode(&pem::Pem::new(PUBLIC, [PREFIX.as_slice(), &self.bytes].concat()))
    }

    /// Reads the key at `path`: a public one, or a private one with `passphrase`.
    pub fn read(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let bytes = crate::disk::read_bounded(path, 64 << 10)?.ok_or_else(|| {
            Error::new(Kind::Usage, format!("the key {} does not exist", path.display()))
        })?;
        let bytes = zeroize::Zeroizing::new(bytes);
        let block = pem::parse(bytes.as_slice()).ok().filter(|block| block.tag() == PUBLIC);
        let Some(block) = block else { return Ok(Key::read(path, passphrase)?.public_key()) };
        match block.contents().strip_prefix(&PREFIX) {
            Some(key) if key.len() == 32 => {
                let id = hex::encode(sha256(&trust::canonical(&public_object(key))?));
                Ok(Self::of(key, id))
            }
            _ => Err(Error::new(
                Kind::Config,
                format!("{} is not an Ed25519 key; make one with codesync key", path.display()),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_survives_its_file_and_nothing_else_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let key = Key::create(&path("web.pem"), None).unwrap();
        let public = key.public_key();
        assert_eq!((public.id(), public.object()), (key.id(), key.public()));
        std::fs::write(path("web.pub"), public.pem()).unwrap();
        for name in ["web.pub", "web.pem"] {
            assert_eq!(PublicKey::read(&path(name), &Passphrase::default()).unwrap(), public);
        }
        let longer = [PREFIX.as_slice(), &[0; 33]].concat();
        for text in ["", "x", &pem::encode(&pem::Pem::new(PUBLIC, longer))] {
            std::fs::write(path("bad"), text).unwrap();
            std::fs::set_permissions(
                path("bad"),
                std::os::unix::fs::PermissionsExt::from_mode(0o600),
            )
            .unwrap();
            assert!(PublicKey::read(&path("bad"), &Passphrase::default()).is_err(), "{text}");
        }
    }
}
