//! An https source behind a proxy, as the environment names it, with a machine's certificate.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::{Context, Result, ensure};
use e2e::{Sandbox, command, need, parts, run};

use crate::nginx;

/// A proxy that knows CONNECT and counts it; its thread ends with the process.
fn proxy() -> Result<(u16, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let counter = Arc::clone(&counter);
            thread::spawn(move || tunnel(client, &counter).ok());
        }
    });
    Ok((port, count))
}

fn tunnel(mut client: TcpStream, count: &AtomicUsize) -> Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let to = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next());
    let to = to.context("no CONNECT")?.to_owned();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut server = TcpStream::connect(to)?;
    count.fetch_add(1, Ordering::SeqCst);
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut back, mut answers) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        std::io::copy(&mut answers, &mut back).ok();
        back.shutdown(Shutdown::Both).ok();
    });
    // Through the buffer: it may hold what followed the request.
    std::io::copy(&mut reader, &mut server)?;
    Ok(server.shutdown(Shutdown::Both)?)
}

#[test]
fn https_goes_through_the_proxy_of_the_environment() -> Result<()> {
    if !need(&["nginx", "openssl"])? || !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(());
    }
    let sandbox = Sandbox::with_library()?;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.publish()?;
    nginx::certificates(&sandbox)?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let mut mirror = command(&parts::bin("codesync")?);
    mirror.args(["mirror", &sandbox.file_url(), &path("copy"), "--trusted-root"]);
    run(mirror.arg(path("keys/root.json")))?.success()?;
    let web = nginx::serve(&sandbox)?;
    let (port, count) = proxy()?;

    sandbox.configure(&[&format!("https://localhost:{}", web.port)], None)?;
    let mut text = fs::read_to_string(sandbox.config())?;
    for (key, file) in [
        ("ca_file", "ca.pem"),
        ("client_certificate", "machine.pem"),
        ("client_key", "machine.key"),
    ] {
        // `[sync]` is the last table.
        text.push_str(&format!("{key} = {:?}\n", path(file)));
    }
    text.push_str("max_rate = \"1M\"\n");
    fs::write(sandbox.config(), text)?;
    let sync = |variables: &[(&str, &str)]| -> Result<_> {
        let mut ldi = sandbox.ldi_command(&sandbox.config(), &["sync", "--json"])?;
        run(ldi.envs(variables.iter().copied()))
    };
    let at = format!("http://127.0.0.1:{port}");
    for (step, name) in ["HTTPS_PROXY", "ALL_PROXY"].into_iter().enumerate() {
        sync(&[(name, &at)])?.success()?;
        ensure!(count.load(Ordering::SeqCst) == step + 1, "{name} was not used");
    }
    sandbox.in_step()?;
    sync(&[("HTTPS_PROXY", &at), ("NO_PROXY", "localhost")])?.success()?;
    ensure!(count.load(Ordering::SeqCst) == 2, "NO_PROXY was not honoured");
    let dead = format!("http://127.0.0.1:{}", crate::web::port()?);
    sync(&[("HTTPS_PROXY", &dead)])?.expect_code(69)?;
    Ok(())
}
