//! What the server answers to those who are no machine of its fleet, or speak nonsense.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::site::{Machine, Server};

const SUBMIT: &str = "/api/v1/submissions";
const ENROL: &str = "/api/v1/enrolments";

#[test]
fn nonsense_gets_a_sentence_and_never_a_5xx() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    machine.enroll(&server, &server.token(&[])?, &[])?.success()?;
    let folder = machine.sandbox.config();
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    let (cert, key) = (folder.join("machine.pem"), folder.join("machine.key"));
    let (cert, key) = (cert.to_string_lossy(), key.to_string_lossy());
    let shown = ["--cert", &cert, "--key", &key];
    let bomb = machine.sandbox.path("bomb.zst");
    std::fs::write(&bomb, zstd::bulk::compress(&vec![b' '; 200 << 20], 19)?)?;
    let large = machine.sandbox.path("large");
    std::fs::write(&large, vec![b' '; 5 << 20])?;
    let many = machine.sandbox.path("many");
    std::fs::write(&many, format!("{{\"format\":1,\"entries\":[{}]}}", vec!["1"; 501].join(",")))?;
    let deep = machine.sandbox.path("deep");
    std::fs::write(&deep, "[".repeat(1 << 20))?;
    let file = |path: &std::path::Path| format!("@{}", path.display());
    let (bomb, large, many, deep) = (file(&bomb), file(&large), file(&many), file(&deep));
    let good = "{\"format\":1,\"entries\":[]}";
    for (path, words, known, code) in [
        ("/", &[][..], false, 404),
        ("/healthz", &[], false, 200),
        ("/readyz", &[], false, 200),
        ("/api/v1/ca.pem", &[], false, 200),
        (SUBMIT, &[], true, 405),
        (SUBMIT, &["--data", good], false, 401),
        (SUBMIT, &["--data", good], true, 200),
        (SUBMIT, &["--data", "{"], true, 400),
        (SUBMIT, &["--data", "[]"], true, 400),
        (SUBMIT, &["--data", "{\"format\":2,\"entries\":[]}"], true, 400),
        (SUBMIT, &["--data-binary", &many], true, 400),
        (SUBMIT, &["--data-binary", &deep], true, 400),
        (SUBMIT, &["--data-binary", &bomb, "-H", "Content-Encoding: zstd"], true, 413),
        (SUBMIT, &["--data", good, "-H", "Content-Encoding: zstd"], true, 413),
        (SUBMIT, &["--data", good, "-H", "Content-Encoding: br"], true, 415),
        (ENROL, &["--data", "x"], false, 400),
        (
            ENROL,
            &["--data", "{\"format\":1,\"token\":\"x\",\"csr\":\"x\",\"facts\":{}}"],
            false,
            403,
        ),
    ] {
        let words = if known { [words, &shown].concat() } else { words.to_vec() };
        let (found, body) = server.curl(path, &words)?;
        ensure!(found == code, "{path} {words:?}: {found} {body}");
        if code >= 400 && code != 405 && code != 413 {
            let error: Value = serde_json::from_str(&body)?;
            ensure!(error["error"].is_string(), "{path} {words:?}: {body}");
        }
    }
    // What is far too large is cut off, with or without a word.
    for (path, words) in [(ENROL, &[][..]), (SUBMIT, &shown)] {
        let (code, _) = server.curl(path, &[&["--data-binary", &large], words].concat())?;
        ensure!(code == 413 || code == 0, "{path}: {code}");
    }
    // Entries that are none are rejected one by one; what has no name cannot even be.
    let mixed = "{\"format\":1,\"entries\":[7,{\"entry\":\"a\"},{\"entry\":\"b\",\"format\":1},\
                 {\"entry\":\"c\",\"format\":1,\"run\":{}},{\"entry\":\"d\",\"format\":1,\"inventory\":{}}]}";
    let (_, body) = server.curl(SUBMIT, &[&["--data", mixed], &shown[..]].concat())?;
    let answer: Value = serde_json::from_str(&body)?;
    let outcomes: Vec<_> = answer["entries"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            (one["entry"].as_str().unwrap_or_default(), one["outcome"].as_str().unwrap_or_default())
        })
        .collect();
    let expected = [("a", "rejected"), ("b", "rejected"), ("c", "stored"), ("d", "rejected")];
    ensure!(outcomes == expected, "{body}");
    ensure!(!server.log()?.contains("ERROR"), "{}", server.log()?);
    Ok(())
}

/// A certificate of somebody else's authority does not even get through the handshake.
#[test]
fn a_forged_certificate_is_refused() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let Some(other) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    machine.enroll(&other, &other.token(&[])?, &[])?.success()?;
    let folder = machine.sandbox.config();
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    let (cert, key) = (folder.join("machine.pem"), folder.join("machine.key"));
    let words =
        ["--data", "{}", "--cert", &cert.to_string_lossy(), "--key", &key.to_string_lossy()];
    let (code, body) = server.curl(SUBMIT, &words)?;
    ensure!(code == 0 || code == 401, "{code} {body}");
    Ok(())
}

/// Connections that say nothing keep nobody else out, and a server without any ends at once.
#[test]
fn mute_connections_keep_nobody_out() -> Result<()> {
    let Some(mut server) = Server::new()? else { return Ok(()) };
    // What is under way would get twenty seconds.
    let took = server.stop()?;
    ensure!(took.as_secs() < 15, "it took {took:?}");
    server.start()?;
    let address = server.url().trim_start_matches("https://localhost:").to_owned();
    let mute: Vec<_> = (0..500)
        .map(|_| std::net::TcpStream::connect(format!("127.0.0.1:{address}")))
        .collect::<std::io::Result<_>>()?;
    ensure!(server.curl("/healthz", &[])?.0 == 200);
    drop(mute);
    Ok(())
}
