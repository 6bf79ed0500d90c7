//! Secrets that look real: keys and tokens by their form, passwords by how little they repeat.
//!
//! Never repeats what it found: messages name the kind and the line.

use super::finding::Finding;

/// Longer lines are data; their beginning is looked at.
const MAX_LINE: usize = 4096;
/// One is enough to know; more of them would hide the rest.
const MAX_FOUND: usize = 20;

/// Tokens by how they begin, how many characters follow at least, and what they are.
const TOKENS: &[(&str, usize, &str)] = &[
    ("AKIA", 16, "an AWS access key"),
    ("ASIA", 16, "an AWS access key"),
    ("ghp_", 36, "a GitHub token"),
    ("gho_", 36, "a GitHub token"),
    ("ghu_", 36, "a GitHub token"),
    ("ghs_", 36, "a GitHub token"),
    ("ghr_", 36, "a GitHub token"),
    ("github_pat_", 40, "a GitHub token"),
    ("glpat-", 20, "a GitLab token"),
    ("xoxb-", 20, "a Slack token"),
    ("xoxp-", 20, "a Slack token"),
    ("xoxa-", 20, "a Slack token"),
    ("xoxr-", 20, "a Slack token"),
    ("xoxs-", 20, "a Slack token"),
    ("hooks.slack.com/services/T", 20, "a Slack webhook"),
    ("sk_live_", 24, "a Stripe key"),
    ("AIza", 35, "a Google API key"),
    ("npm_", 36, "an npm token"),
    ("dop_v1_", 64, "a DigitalOcean token"),
];

/// Names of things whose values are secret.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "access_key",
    "pwd",
];

/// Looks through `text`, the content of `path`.
pub fn check(path: &str, text: &[u8]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut lines = text.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((at, line)) = lines.next() {
        if found.len() >= MAX_FOUND {
            break;
        }
        let line = String::from_utf8_lossy(&line[..line.len().min(MAX_LINE)]);
        let next = lines.peek().map(|(_, next)| *next).unwrap_or_default();
        if let Some(kind) = private_key(&line, next).or_else(|| token(&line)) {
            let what = format!(
                "holds {kind}, which everybody who gets the library could use; take it out and replace it where it is valid, or give it by ldi_secret"
            );
            found.push(Finding::new("secret", path, at + 1, what));
        } else if let Some(name) = password(&line) {
            let what = format!(
                "gives {name} a value that looks like a real password; read it from where only root can, for example by ldi_secret"
            );
            found.push(Finding::new("password", path, at + 1, what));
        }
    }
    found
}

/// A block with a body: code that only looks for such blocks has none.
fn private_key(line: &str, next: &[u8]) -> Option<&'static str> {
    let rest = line.split_once("-----BEGIN ")?.1;
    let (kind, rest) = rest.split_once("-----")?;
    if !kind.ends_with("PRIVATE KEY") && !kind.ends_with("PRIVATE KEY BLOCK") {
        return None;
    }
    let base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
    let run = |text: &[u8]| text.split(|b| !base64(b)).map(<[u8]>::len).max().unwrap_or(0);
    let has_body = run(next) >= 40
        || run(rest.as_bytes()) >= 40
        || kind.ends_with("BLOCK") && (next.is_empty() || next.starts_with(b"Version"))
        || next.starts_with(b"Proc-Type: 4,ENCRYPTED");
    has_body.then_some("a private key")
}

fn token(line: &str) -> Option<&'static str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_-/".contains(c);
    TOKENS.iter().find_map(|(prefix, least, kind)| {
        line.match_indices(prefix).find_map(|(at, _)| {
            let inside =
                line.get(..at)?.chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric());
            let rest = line.get(at + prefix.len()..)?;
            let rest: &str = rest.split(|c| !part(c)).next()?;
            let real = rest.len() >= *least
                && !inside
                && !placeholder(rest)
                && (*prefix != "AKIA" && *prefix != "ASIA" || rest.len() == 16 && upper(rest))
                && rest.bytes().any(|b| b.is_ascii_digit())
                && entropy(rest) >= 2.5;
            real.then_some(*kind)
        })
    })
}

fn upper(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

/// Whether it only shows where a secret goes: examples in comments and documents are no leak.
fn placeholder(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["example", "xxxx", "your", "change", "dummy", "redacted", "0000", "1234567"]
        .iter()
        .any(|word| text.contains(word))
}

/// The name that gets a literal value which looks like a password, or `a URL` with one in it.
fn password(line: &str) -> Option<&str> {
    let lower = line.to_ascii_lowercase();
    // Byte positions are the same: only ASCII letters change.
    for name in NAMES {
        for (at, _) in lower.match_indices(name) {
            let rest = line.get(at + name.len()..)?;
            let key_end =
                rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let rest = rest.get(key_end..)?.trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = rest.strip_prefix('=').or_else(|| rest.strip_prefix(':')) else {
                continue;
            };
            let value = value.trim_start();
            let quoted = value.starts_with(['"', '\'']);
            let end = |c: char| {
                if quoted { c == '"' || c == '\'' } else { c.is_whitespace() || ";,)".contains(c) }
            };
            let value = value.trim_start_matches(['"', '\'']);
            let value = value.split(end).next().unwrap_or_default();
            if looks_real(value) {
                let start = line
                    .get(..at)?
                    .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .map_or(0, |p| p + 1);
                return line.get(start..at + name.len() + key_end);
            }
        }
    }
    let (_, rest) = line.split_once("://")?;
    let (user, _) = rest.split(['/', ' ', '"', '\'']).next()?.split_once('@')?;
    let (_, secret) = user.split_once(':')?;
    looks_real(secret).then_some("a URL")
}

/// Text of at least ten characters of three kinds that hardly repeats, and no code, path or name.
fn looks_real(value: &str) -> bool {
    if !(10..=200).contains(&value.len()) || !value.is_ascii() || placeholder(value) {
        return false;
    }
    if value.contains(['$', '(', '[', '<', '{', '`', '%', ' ', '\\'])
        || value.starts_with(['/', '~', '.', '-'])
    {
        return false;
    }
    let kinds = [
        value.bytes().any(|b| b.is_ascii_lowercase()),
        value.bytes().any(|b| b.is_ascii_uppercase()),
        value.bytes().any(|b| b.is_ascii_digit()),
        value.bytes().any(|b| b.is_ascii_punctuation() && !b"_.-/:[]".contains(&b)),
    ];
    let least = if value.len() >= 24 { 2 } else { 3 };
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    kinds.iter().filter(|kind| **kind).count() >= least && digits > 0 && entropy(value) >= 3.0
}

/// Bits for each character, by how often each occurs.
fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    let all = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX).max(1));
    let share = counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / all);
    -share.map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        check("x", text.as_bytes()).into_iter().map(|found| found.code).collect()
    }

    #[test]
    fn keys_and_tokens_are_found_by_their_form() {
        // Spelled so that nothing takes them for real.
        let begin = concat!("-----BEGIN ", "RSA ", "PRIVATE ", "KEY-----");
        let body = "MIIEpAIBAAKCAQEA7bq3mQ2Vw8sY5nTzXr1kLpGdHj0uFcEaBiOe";
        assert_eq!(codes(&format!("{begin}\n{body}\n")), ["secret"]);
        assert_eq!(codes(&format!("grep -q '{begin}' \"$file\"\n")), Vec::<String>::new());
        for token in [
            concat!("AK", "IA", "Q3EGRZ7TLNV5KPXW"),
            concat!("gh", "p_", "a9Kd82mQpL0zXcVbN4tR7yUiOe3sWq1FgHjk"),
            concat!("xo", "xb-", "2148093712-9182736455-kQzPwLmXnRtY"),
        ] {
            assert_eq!(codes(&format!("key = \"{token}\"\n")), ["secret"], "{token}");
        }
        assert_eq!(codes("AKIAIOSFODNN7EXAMPLE\n"), Vec::<String>::new());
        assert_eq!(codes("ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n"), Vec::<String>::new());
    }

    #[test]
    fn passwords_are_found_by_their_value() {
        for line in [
            "password='Tr0ub4dor&3xQ'",
            "DB_PASSWORD=kX9-vQ2!mLp7z",
            "{\"api_key\": \"9fK2mZq81LpXw07B\"}",
            "curl https://admin:kX9vQ2mLp7z@host.test/",
        ] {
            assert_eq!(codes(line), ["password"], "{line}");
        }
        for line in [
            "password=\"$1\"",
            "password=$(ldi_secret ad_bind)",
            "password: changeme123A",
            "secret_file = /etc/ldi/Secret12",
            "read -r -s -p 'Password: ' answer",
            "token=read_token(\"Path9\")",
            "pwd = os.getcwd()",
            "https://host.test/@a:b",
        ] {
            assert_eq!(codes(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn any_text_is_read() {
        codes("pässword=ÄÖÜ token:");
        codes("://:@");
        codes("password");
    }
}
