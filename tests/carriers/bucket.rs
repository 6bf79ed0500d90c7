//! A mirror in a bucket of a server that speaks like S3, and a machine that syncs from it.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use codesync::pull;
use e2e::{Done, Sandbox, command, need, parts, run};

use crate::web::{self, Web};

/// A large content: beyond what bundles carry, and what is uploaded in one piece.
const LARGE: usize = 65 << 20;

/// The policy in the guide, by which machines may read and do no more.
fn policy() -> Result<String> {
    let text = fs::read_to_string(parts::repository().join("docs/mirrors.md"))?;
    let (_, rest) = text.split_once("```json\n").context("docs/mirrors.md has no policy")?;
    let (policy, _) = rest.split_once("```").context("the policy does not end")?;
    Ok(policy.replace("example-bucket", "code"))
}

const WHO: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, \
                   SignedHeaders=host, Signature=0";

struct Setting {
    sandbox: Sandbox,
    web: Web,
}

/// The server with an empty bucket `code`. None if a part is missing where that is allowed.
fn setting() -> Result<Option<Setting>> {
    let python = parts::repository().join("target/moto/bin/python");
    if !python.is_file() {
        ensure!(!parts::strict(), "moto is missing; run tests/install-tools test");
        eprintln!("left out, because moto is missing; tests/install-tools test installs it");
        return Ok(None);
    }
    if !need(&["python3"])? || !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(None);
    }
    let port = web::port()?;
    let mut server = command(&python);
    server.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()]);
    // What it would else ask the clouds for.
    server.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let web = web::start(&mut server, port)?;
    let setting = Setting { sandbox: Sandbox::with_library()?, web };
    ensure!(setting.http("PUT", "/code", "")?.starts_with("HTTP/1.1 200"));
    ensure!(setting.http("PUT", "/code?policy", &policy()?)?.starts_with("HTTP/1.1 2"));
    Ok(Some(setting))
}

impl Setting {
    /// Status line, headers and the beginning of the body, as text. The server believes whoever
    /// says to be somebody.
    fn http(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.web.port))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: {WHO}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.web.port,
            body.len()
        )?;
        let mut bytes = Vec::new();
        stream.take(1 << 20).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.web.port)
    }

    fn mirror_command(&self, target: &str) -> Result<Command> {
        let mut command = command(&parts::bin("codesync")?);
        command.args(["mirror", &self.sandbox.file_url(), target, "--json", "--trusted-root"]);
        command.arg(self.sandbox.keys().join("root.json"));
        command.arg("--copy").arg(self.sandbox.path("copy"));
        command.env("AWS_ENDPOINT_URL", self.url()).env("AWS_REGION", "eu-central-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
        Ok(command)
    }

    fn mirror(&self, more: &[&str]) -> Result<serde_json::Value> {
        run(self.mirror_command("s3://code/lib/a")?.args(more))?.success()?.json()
    }

    /// A machine's sync from the bucket, without credentials. Not `ldi`, which takes `https://` only.
    fn sync(&self) -> Result<pull::Report> {
        let settings = pull::Settings {
            root: self.sandbox.root(),
            sources: vec![format!("{}/code/lib/a", self.url())],
            ring: "stable".into(),
            trusted_root: self.sandbox.keys().join("root.json"),
            identity: None,
            known_hosts: None,
            connect_timeout: Duration::from_secs(60),
            lock_wait: Duration::ZERO,
            options: pull::Options::default(),
        };
        let report = pull::sync(&settings, chrono::Utc::now(), &|_| Ok(()), &|_, _| {})?;
        self.sandbox.in_step()?;
        Ok(report)
    }

    fn head(&self, name: &str) -> Result<String> {
        self.http("HEAD", &format!("/code/lib/a/{name}"), "")
    }
}

#[test]
fn a_machine_syncs_from_a_bucket_that_is_kept_up_to_date() -> Result<()> {
    let Some(setting) = setting()? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    let mut noise = e2e::rng::Rng::new(3);
    let large: String = (0..LARGE / 16).map(|_| format!("{:016x}", noise.bits())).collect();
    sandbox.put("agent/large", &large)?;
    sandbox.publish()?;

    let first = setting.mirror(&[])?;
    let uploaded = first[0]["uploaded"].as_u64().unwrap_or_default();
    ensure!(first[0]["release"] == 1 && uploaded >= 8, "{first}");
    let again = setting.mirror(&[])?;
    ensure!(again[0]["uploaded"] == 0 && again[0]["targets"] == 0, "{again}");

    let short = setting.head("rings/stable/timestamp.json")?.to_lowercase();
    ensure!(short.contains("cache-control: public, max-age=60"), "{short}");
    ensure!(short.contains("content-type: application/json"), "{short}");
    let long = setting.head("rings/stable/1.targets.json")?.to_lowercase();
    ensure!(long.contains("max-age=31536000, immutable"), "{long}");

    ensure!(setting.sync()?.release == Some(1));

    // A second release: what the bucket has is not uploaded again, and a run that was cut off
    // before its timestamp is made good.
    sandbox.put("modules/a.sh", "a() { echo two; }\n")?;
    sandbox.publish()?;
    let second = setting.mirror(&[])?;
    let bytes = second[0]["bytes_uploaded"].as_u64().unwrap_or_default();
    ensure!(second[0]["release"] == 2 && (1..100_000).contains(&bytes), "{second}");
    ensure!(setting.sync()?.transfer == pull::Transfer::Patch);
    for name in ["timestamp.json", "2.snapshot.json"] {
        setting.http("DELETE", &format!("/code/lib/a/rings/stable/{name}"), "")?;
    }
    ensure!(setting.mirror(&[])?[0]["uploaded"] == 2);

    // What the copy drops, the bucket drops with it; strangers stay.
    setting.http("PUT", "/code/lib/b", "")?;
    for release in 3..=12 {
        sandbox.put("modules/a.sh", &format!("a() {{ echo {release}; }}\n"))?;
        sandbox.publish()?;
    }
    let pruned = setting.mirror(&["--prune"])?;
    ensure!(pruned[0]["removed"].as_u64() > Some(2), "{pruned}");
    ensure!(setting.head("rings/stable/1.targets.json")?.starts_with("HTTP/1.1 404"));
    ensure!(setting.head("rings/stable/1.root.json")?.starts_with("HTTP/1.1 200"));
    ensure!(setting.http("HEAD", "/code/lib/b", "")?.starts_with("HTTP/1.1 200"));
    ensure!(setting.sync()?.release == Some(12));
    Ok(())
}

#[test]
fn what_must_not_be_uploaded_is_refused() -> Result<()> {
    let Some(setting) = setting()? else { return Ok(()) };
    let sandbox = &setting.sandbox;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.publish()?;
    let refused = |command: &mut Command, code: i32, word: &str| -> Result<Done> {
        let done = run(command)?.expect_code(code)?;
        let text = done.err();
        ensure!(text.lines().count() == 1 && text.contains(word), "{word}: {done}");
        Ok(done)
    };
    let to = |target: &str| setting.mirror_command(target);
    refused(&mut to("s3://Code/x")?, 78, "bucket's name")?;
    refused(&mut to("s3://code/../x")?, 78, "prefix")?;
    refused(to("s3://code/x")?.env("AWS_ENDPOINT_URL", "http://example.com"), 78, "endpoint")?;
    refused(&mut to("/tmp/elsewhere")?, 2, "--copy")?;
    refused(&mut to("s3://nobody/x")?, 78, "make the bucket")?;

    // A file of the copy that is not what its name says.
    setting.mirror(&[])?;
    sandbox.put("modules/a.sh", "a() { echo two; }\n")?;
    sandbox.publish()?;
    run(command(&parts::bin("codesync")?)
        .args(["mirror", &sandbox.file_url()])
        .arg(sandbox.path("copy")))?
    .success()?;
    let object = codesync::library::Library::open(&sandbox.path("copy"))?
        .object(&codesync::manifest::sha256(b"a() { echo two; }\n"));
    let intact = fs::read(&object)?;
    fs::write(&object, intact.to_ascii_uppercase())?;
    refused(&mut to("s3://code/lib/a")?, 1, "damaged")?;
    ensure!(setting.head("rings/stable/2.targets.json")?.starts_with("HTTP/1.1 404"));
    fs::write(&object, intact)?;
    setting.mirror(&[])?;

    // An older copy does not take the bucket back.
    fs::remove_dir_all(sandbox.path("copy"))?;
    fs::remove_dir_all(sandbox.library())?;
    fs::remove_dir_all(sandbox.keys())?;
    sandbox.codesync(&["init"])?.success()?;
    sandbox.publish()?;
    refused(&mut to("s3://code/lib/a")?, 76, "newer timestamp")?;
    Ok(())
}
