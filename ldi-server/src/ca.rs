//! The server's own authority: who it is to clients, and who they are to it.
//!
//! Keys are P-256. A client's certificate names it by the random name that the server gave it; what
//! a request asks for in its subject and extensions means nothing.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::Path,
};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use sha2::{Digest, Sha256};

use crate::{Failure, Result, error::code};

/// Years that the authority lives.
const YEARS: i64 = 10;
/// Days that the server's own certificate lives; it makes a new one at each start.
const SERVER_DAYS: i64 = 397;
/// Clocks of clients may be late.
const LATE: TimeDelta = TimeDelta::hours(24);

/// The authority of a server.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

/// A certificate that was issued.
pub struct Issued {
    /// PEM.
    pub pem: String,
    /// Hexadecimal.
    pub serial: String,
    /// Its last moment.
    pub not_after: DateTime<Utc>,
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::new(code::FAILED, format!("cannot {what}: {error}"))
}

/// Hexadecimal and unguessable.
pub fn random<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|error| failed("get random numbers", &error))?;
    Ok(hex::encode(bytes))
}

fn lifetime(
    params: &mut CertificateParams,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<()> {
    let at = |moment: DateTime<Utc>| {
        rustls_time(moment).map_err(|error| failed("write a certificate's dates", &error))
    };
    (params.not_before, params.not_after) = (at(from)?, at(until)?);
    Ok(())
}

fn rustls_time(moment: DateTime<Utc>) -> Result<time::OffsetDateTime, time::error::ComponentRange> {
    time::OffsetDateTime::from_unix_timestamp(moment.timestamp())
}

/// 127 bits, positive.
fn serial() -> Result<(SerialNumber, String)> {
    let text = random::<16>()?;
    let mut bytes = hex::decode(&text).unwrap_or_default();
    if let Some(first) = bytes.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    Ok((SerialNumber::from_slice(&bytes), hex::encode(bytes)))
}

impl Ca {
    /// Makes a new one in `folder`: `ca.pem`, and `ca.key` for its owner alone.
    pub fn make(folder: &Path, name: &str, now: DateTime<Utc>) -> Result<()> {
        let key = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(&format!("{name} client authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(serial()?.0);
        lifetime(&mut params, now - LATE, now + TimeDelta::days(365 * YEARS))?;
        let certificate = params.self_signed(&key).map_err(|error| failed("sign", &error))?;
        private(&folder.join("ca.key"), key.serialize_pem().as_bytes())?;
        let path = folder.join("ca.pem");
        fs::write(&path, certificate.pem()).map_err(|error| Failure::io("write", &path, &error))
    }

    /// That of the server in `folder`.
    pub fn load(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))
        };
        let path = folder.join("ca.key");
        let mode = fs::metadata(&path)
            .map_err(|error| Failure::io("read", &path, &error))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            let what =
                format!("the key {0} may be read by others; run: chmod 600 {0}", path.display());
            return Err(Failure::config(what));
        }
        let pem = read("ca.pem")?;
        let key = zeroize::Zeroizing::new(read("ca.key")?);
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::config(format!(
                "the authority in {} cannot be used: {error}",
                folder.display()
            ))
        };
        let key = KeyPair::from_pem(&key).map_err(|error| wrong(&error))?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| wrong(&error))?;
        let issuer = Issuer::from_ca_cert_der(&der, key).map_err(|error| wrong(&error))?;
        Ok(Self { issuer, der, pem })
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate, DER.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// SHA-256 of [`Ca::der`].
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// A certificate for the key of `request` (PKCS#10 in PEM), in the name of `client`; `None` if
    /// the request cannot be believed.
    pub fn client(
        &self,
        request: &str,
        client: &str,
        now: DateTime<Utc>,
        days: u32,
    ) -> Result<Option<Issued>> {
        let Ok(request) = CertificateSigningRequestParams::from_pem(request) else {
            return Ok(None);
        };
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(client);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let (number, serial) = serial()?;
        params.serial_number = Some(number);
        let not_after = now + TimeDelta::days(days.into());
        lifetime(&mut params, now - LATE, not_after)?;
        let certificate = params
            .signed_by(&request.public_key, &self.issuer)
            .map_err(|error| failed("sign a certificate", &error))?;
        Ok(Some(Issued { pem: certificate.pem(), serial, not_after }))
    }

    /// A key and a certificate for the server that is called `name`.
    pub fn server(
        &self,
        name: &str,
        now: DateTime<Utc>,
    ) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let key = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
        let mut params = CertificateParams::new(vec![name.to_owned()])
            .map_err(|error| Failure::config(format!("key name: {name:?}: {error}")))?;
        params.distinguished_name = subject(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.serial_number = Some(serial()?.0);
        lifetime(&mut params, now - LATE, now + TimeDelta::days(SERVER_DAYS))?;
        let certificate =
            params.signed_by(&key, &self.issuer).map_err(|error| failed("sign", &error))?;
        let key = PrivateKeyDer::try_from(key.serialize_der())
            .map_err(|error| failed("use a key", &error))?;
        Ok((vec![certificate.der().clone(), self.der.clone()], key))
    }
}

fn subject(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

/// Writes a file that only its owner may read, and that was not there.
fn private(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .map_err(|error| Failure::io("write", path, &error))
}
