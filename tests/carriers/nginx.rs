//! A mirror behind nginx with the settings of docs/mirrors.md: HTTP/2, certificates, caching.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, command, need, parts, program, run};

use crate::web::{self, Web};

/// The block of nginx settings in the guide.
fn documented() -> Result<String> {
    let text = fs::read_to_string(parts::repository().join("docs/mirrors.md"))?;
    let (_, rest) = text.split_once("```nginx\n").context("docs/mirrors.md has no nginx block")?;
    Ok(rest.split_once("```").context("the nginx block does not end")?.0.to_owned())
}

/// An authority, a server's certificate for localhost, and a machine's.
pub(crate) fn certificates(sandbox: &Sandbox) -> Result<()> {
    let openssl = program("openssl")?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let new_key = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let make = |words: &[&str]| run(command(&openssl).args(words))?.success().map(drop);
    let (key, cert) = (path("ca.key"), path("ca.pem"));
    let ca = ["-x509", "-days", "2", "-subj", "/CN=test", "-keyout", &key, "-out", &cert];
    make(&[&new_key[..], &ca].concat())?;
    for name in ["server", "machine"] {
        let [own, request, out, extensions] =
            ["key", "csr", "pem", "ext"].map(|kind| path(&format!("{name}.{kind}")));
        make(
            &[&new_key[..], &["-subj", "/CN=localhost", "-keyout", &own, "-out", &request]]
                .concat(),
        )?;
        fs::write(&extensions, "subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")?;
        let sign = ["x509", "-req", "-days", "2", "-in", &request, "-CA", &cert, "-CAkey", &key];
        let to = ["-CAcreateserial", "-extfile", &extensions, "-out", &out];
        make(&[&sign[..], &to].concat())?;
    }
    Ok(())
}

/// nginx over the copy, on loopback, with the documented settings.
pub(crate) fn serve(sandbox: &Sandbox) -> Result<Web> {
    let port = web::port()?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let machines = format!("ssl_client_certificate {};\nssl_verify_client on;\n", path("ca.pem"));
    let server = documented()?
        .replace("listen 443 ", &format!("{machines}listen 127.0.0.1:{port} "))
        .replace("mirror.example.com", "localhost")
        .replace("/etc/ssl/mirror.pem", &path("server.pem"))
        .replace("/etc/ssl/mirror.key", &path("server.key"))
        .replace("/var/www/codesync", &path("copy"));
    let own = path("nginx");
    fs::create_dir(&own)?;
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {own}/pid;\nerror_log {own}/error.log;\n\
         events {{}}\nhttp {{\n\
         log_format short '$server_protocol $status $uri $sent_http_cache_control';\n\
         access_log {own}/access.log short;\n\
         client_body_temp_path {own}/a; proxy_temp_path {own}/b; fastcgi_temp_path {own}/c;\n\
         uwsgi_temp_path {own}/d; scgi_temp_path {own}/e;\n{server}}}\n"
    );
    fs::write(sandbox.path("nginx.conf"), settings)?;
    let mut nginx = command(&program("nginx")?);
    nginx.args(["-p", &own, "-e", &format!("{own}/error.log"), "-c", &path("nginx.conf")]);
    web::start(&mut nginx, port)
}

#[test]
fn a_mirror_behind_nginx_serves_as_documented() -> Result<()> {
    if !need(&["nginx", "openssl"])? || !parts::need_bins(&["codesync"])? {
        return Ok(());
    }
    let sandbox = Sandbox::with_library()?;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.publish()?;
    certificates(&sandbox)?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let mirror = |words: &[&str]| -> Result<Done> {
        run(command(&parts::bin("codesync")?).arg("mirror").args(words))
    };
    let library = format!("file://{}", path("library"));
    mirror(&[&library, &path("copy"), "--trusted-root", &path("keys/root.json")])?.success()?;
    let web = serve(&sandbox)?;

    // A copy of the copy, over TLS with both sides' certificates.
    let url = format!("https://localhost:{}", web.port);
    let (second, root, ca) = (path("second"), path("keys/root.json"), path("ca.pem"));
    let (pem, key) = (path("machine.pem"), path("machine.key"));
    let known = [&url, &second, "--json", "--trusted-root", &root, "--ca-file", &ca];
    let shown = ["--client-certificate", &pem, "--client-key", &key];
    let done = mirror(&[&known[..], &shown].concat())?.success()?;
    ensure!(done.json()?[0]["release"] == 1, "{done}");
    e2e::tree::same(&sandbox.path("copy/objects"), &sandbox.path("second/objects"))?;
    // Without our certificate, and without knowing the authority.
    mirror(&known)?.expect_code(69)?;
    mirror(&[&url, &path("third"), "--trusted-root", &root])?.expect_code(69)?;

    let log = fs::read_to_string(sandbox.path("nginx/access.log"))?;
    let line = |status: &str, name: &str| {
        let wanted = format!("HTTP/2.0 {status} ");
        log.lines()
            .find(|line| line.starts_with(&wanted) && line.contains(name))
            .unwrap_or_default()
    };
    for name in ["/1.snapshot.json", "/1.targets.json", ".full.zst", ".manifest", "/objects/"] {
        ensure!(line("200", name).ends_with("immutable"), "{name}:\n{log}");
    }
    ensure!(line("200", "/timestamp.json").contains("max-age=60"), "{log}");
    ensure!(line("404", "/2.root.json").ends_with(" -"), "{log}");
    Ok(())
}
