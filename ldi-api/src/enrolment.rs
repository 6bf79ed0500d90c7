//! `POST /api/v1/enrolments`: a machine asks for an identity of its own.
//!
//! The key stays where it was made: the request carries a certificate signing request, and a token
//! that an administrator made. The answer is 200 with [`Enrolled`]; 400 for a request that cannot
//! be read or signed, 403 for a token that is not, or no longer, good. Errors are a
//! [`Refusal`](crate::submission::Refusal).
//!
//! `GET /api/v1/ca.pem` is the authority's certificate. Who has a [`Token`] need not trust the
//! connection for it: the token says its hash.

use std::{borrow::Cow, collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Where requests go, beneath the server's address.
pub const PATH: &str = "/api/v1/enrolments";
/// Where a machine that shows its certificate asks for another one, with a [`Renewal`]; the answer is
/// [`Enrolled`], with the same name.
pub const RENEWAL_PATH: &str = "/api/v1/renewals";
/// Where the authority's certificate is.
pub const CA_PATH: &str = "/api/v1/ca.pem";
/// Of the request's form.
pub const FORMAT: u32 = 1;
/// Bytes of a request, and of the authority's certificate.
pub const MOST_BYTES: usize = 64 << 10;
/// Facts in a request.
pub const MOST_FACTS: usize = 32;
/// Bytes of one fact.
pub const MOST_FACT: usize = 256;

/// A machine's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// The secret part of the token.
    #[serde(borrow)]
    pub token: Cow<'a, str>,
    /// PKCS#10 in PEM. Its subject means nothing: the server names the machine.
    #[serde(borrow)]
    pub csr: Cow<'a, str>,
    /// What the machine says of itself: `name`, `machine_id`, `serial`, `os`, `arch`.
    #[serde(borrow)]
    pub facts: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
}

/// The wish for a certificate that lives on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Renewal<'a> {
    /// [`FORMAT`].
    pub format: u32,
    /// PKCS#10 in PEM, of the same key or another one.
    #[serde(borrow)]
    pub csr: Cow<'a, str>,
}

/// A machine's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// How the server calls the machine: the common name of its certificate.
    pub client: String,
    /// Its certificate (PEM).
    pub certificate: String,
    /// The authority's certificate (PEM).
    pub ca: String,
}

/// What an administrator gives to a machine: `ldi1-SECRET-HASH`, in which HASH is the SHA-256 of the
/// authority's certificate (DER).
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Hexadecimal; only the server's hash of it is kept.
    pub secret: String,
    /// Of the authority's certificate.
    pub ca: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ldi1-{}-", self.secret)?;
        self.ca.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "is no token; it looks like ldi1-…-…";
        let mut parts = text.trim().split('-');
        let (Some("ldi1"), Some(secret), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(WRONG);
        };
        let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if secret.len() != 32 || hash.len() != 64 || !hex(secret) || !hex(hash) {
            return Err(WRONG);
        }
        let mut ca = [0; 32];
        for (at, byte) in ca.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self { secret: secret.to_ascii_lowercase(), ca })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_anything_else_is_refused() {
        let token = Token { secret: "0123456789abcdef".repeat(2), ca: [0xa5; 32] };
        assert_eq!(format!(" {token}\n").parse::<Token>(), Ok(token.clone()));
        let text = token.to_string();
        for wrong in
            ["", "ldi1", "ldi1--", &text[1..], &text[..text.len() - 1], &format!("{text}-x")]
        {
            assert!(wrong.parse::<Token>().is_err(), "{wrong}");
        }
        assert!(text.replace("a5", "ü").parse::<Token>().is_err());
    }
}
