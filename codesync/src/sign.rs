//! Keys, and putting signatures on metadata. Only publishers and the timestamp's keeper use this.

use std::{
    fmt, fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{Error, Kind, Result, manifest::sha256, trust};

mod passphrase;
mod public;

pub use passphrase::Passphrase;
pub use public::PublicKey;

const PLAIN: &str = "PRIVATE KEY";
const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";

/// The four roles of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Names the keys of all roles; offline.
    Root,
    /// Signs releases.
    Targets,
    /// Ties the metadata of one release together.
    Snapshot,
    /// Says what is newest; short-lived.
    Timestamp,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Root => "root",
            Role::Targets => "targets",
            Role::Snapshot => "snapshot",
            Role::Timestamp => "timestamp",
        })
    }
}

/// A private Ed25519 key. Its bytes are never logged; aws-lc zeroes them when it is dropped.
pub struct Key {
    pair: Ed25519KeyPair,
    id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl Key {
    fn new(pair: Ed25519KeyPair) -> Result<Self> {
        let id =
            hex::encode(sha256(&trust::canonical(&public_object(pair.public_key().as_ref()))?));
        Ok(Self { pair, id })
    }

    /// The TUF key id: SHA-256 of the canonical public key object.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public key as TUF writes it.
    pub fn public(&self) -> Value {
        public_object(self.pair.public_key().as_ref())
    }

    /// The public key.
    pub fn public_key(&self) -> PublicKey {
        PublicKey::of(self.pair.public_key().as_ref(), self.id.clone())
    }

    /// Makes a key and writes it to `path`, which must not exist (mode 0600); encrypted where a
    /// passphrase is given (PBES2: scrypt, AES-256).
    pub fn create(path: &Path, passphrase: Option<&Passphrase>) -> Result<Self> {
        let made = |_| Error::new(Kind::Io, "cannot make a key: the random generator failed");
        let pair = Ed25519KeyPair::generate().map_err(made)?;
        // Version 1, without the public half: what OpenSSL reads too.
        let der = pair.to_pkcs8v1().map_err(made)?;
        let block = match passphrase {
            None => pem::Pem::new(PLAIN, der.as_ref()),
            Some(passphrase) => {
                let locked = |_| Error::new(Kind::Io, "cannot encrypt a key");
                let info = pkcs8::PrivateKeyInfoRef::try_from(der.as_ref()).map_err(|_| {
                    Error::new(Kind::Io, "cannot encrypt a key: its own form is odd")
                })?;
                let sealed = info.encrypt(passphrase.get(true)?).map_err(locked)?;
                pem::Pem::new(ENCRYPTED, sealed.as_bytes())
            }
        };
        let text = Zeroizing::new(pem::encode(&block));
        let fail = |error: std::io::Error| Error::io("create the key", path, &error);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(fail)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        Self::new(pair)
    }

    /// Reads the key at `path`; an encrypted one with `passphrase`. A file that others may read is
    /// refused.
    pub fn read(path: &Path, passphrase: &Passphrase) -> Result<Self> {
        let config = |what: String| Error::new(Kind::Config, what);
        let mode = fs::metadata(path)
            .map_err(|error| Error::io("read the key", path, &error))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(config(format!(
                "the key {} may be read by others (mode {:04o}); run: chmod 600 {0}",
                path.display(),
                mode & 0o7777
            )));
        }
        let bytes = crate::disk::read_bounded(path, 64 << 10)?.unwrap_or_default();
        let bytes = Zeroizing::new(bytes);
        let bad = || config(format!("{} is not a PKCS#8 Ed25519 key in PEM", path.display()));
        let block = pem::parse(bytes.as_slice()).map_err(|_| bad())?;
        let encrypted = block.tag() == ENCRYPTED;
        let der = Zeroizing::new(block.into_contents());
        if encrypted {
            let info =
                pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| bad())?;
            let open = info.decrypt(passphrase.get(false)?).map_err(|_| {
                config(format!("the passphrase does not open the key {}", path.display()))
            })?;
            return Self::new(Ed25519KeyPair::from_pkcs8(open.as_bytes()).map_err(|_| bad())?);
        }
        Self::new(Ed25519KeyPair::from_pkcs8(&der).map_err(|_| bad())?)
    }

    /// A signature as TUF writes it.
    pub fn sign(&self, message: &[u8]) -> Value {
        json!({"keyid": self.id, "sig": hex::encode(self.pair.sign(message).as_ref())})
    }
}

fn public_object(bytes: &[u8]) -> Value {
    json!({
        "keytype": "ed25519",
        "scheme": "ed25519",
        "keyval": {"public": hex::encode(bytes)},
    })
}

/// Whether `signature` (hex) is that of the key `public`, as TUF writes it, over `message`.
pub fn verify(public: &Value, message: &[u8], signature: &str) -> bool {
    let key = public["keyval"]["public"].as_str().and_then(|text| hex::decode(text).ok());
    let (Some(key), Ok(signature)) = (key, hex::decode(signature)) else { return false };
    public["keytype"] == "ed25519"
        && UnparsedPublicKey::new(&ED25519, key).verify(message, &signature).is_ok()
}

/// Signs `signed` with `keys`: the metadata file's bytes.
pub fn envelope(signed: &Value, keys: &[&Key]) -> Result<Vec<u8>> {
    let message = trust::canonical(signed)?;
    let signatures: Vec<Value> = keys.iter().map(|key| key.sign(&message)).collect();
    // Canonical JSON leaves line ends in strings as they are, which no JSON parser reads.
    serde_json::to_vec(&json!({"signatures": signatures, "signed": signed}))
        .map_err(|error| Error::new(Kind::Io, format!("cannot write metadata: {error}")))
}

/// The folder of a publisher's private keys.
#[derive(Debug, Clone)]
pub struct Keys {
    folder: PathBuf,
    passphrase: Passphrase,
    encrypted: Vec<Role>,
}

impl Keys {
    /// The keys in `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), passphrase: Passphrase::default(), encrypted: Vec::new() }
    }

    /// With the passphrase from `file` in place of the terminal.
    #[must_use]
    pub fn with_passphrase(mut self, file: Option<&Path>) -> Self {
        self.passphrase = Passphrase::new(file);
        self
    }

    /// New keys of `roles` are encrypted.
    #[must_use]
    pub fn encrypting(mut self, roles: &[Role]) -> Self {
        self.encrypted = roles.to_vec();
        self
    }

    /// The passphrase of encrypted keys.
    pub fn passphrase(&self) -> &Passphrase {
        &self.passphrase
    }

    /// Reads the key called `name`.
    pub fn read(&self, name: &str) -> Result<Key> {
        Key::read(&self.path(name), &self.passphrase)
    }

    /// Makes the key `name` for `role`; encrypted if that was chosen, or if `former` is.
    pub fn create(&self, name: &str, role: Role, former: Option<&str>) -> Result<Key> {
        let was = former.is_some_and(|former| {
            let text = crate::disk::read_bounded(&self.path(former), 64 << 10);
            let text = Zeroizing::new(text.ok().flatten().unwrap_or_default());
            text.windows(ENCRYPTED.len()).any(|part| part == ENCRYPTED.as_bytes())
        });
        let encrypted = was || self.encrypted.contains(&role);
        Key::create(&self.path(name), encrypted.then_some(&self.passphrase))
    }

    /// Where `name` (such as `targets` or `root-1`) is kept.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The key of an online or publishing role.
    pub fn role(&self, role: Role) -> Result<Key> {
        self.signer(&role.to_string())
    }

    /// The key of `role`, which is such a role or a team.
    pub fn signer(&self, role: &str) -> Result<Key> {
        let path = self.path(role);
        if !path.exists() {
            return Err(Error::new(
                Kind::Config,
                format!(
                    "the {role} key {} is missing; name the right folder with --keys",
                    path.display()
                ),
            ));
        }
        Key::read(&path, &self.passphrase)
    }
}
