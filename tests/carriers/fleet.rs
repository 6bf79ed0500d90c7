//! `ldi submit` over TLS: the server is known by its authority, the machine by its certificate.

use std::fs;

use anyhow::{Result, ensure};
use e2e::{Sandbox, command, fleet::Fleet, need, parts, program};

use crate::{
    nginx::certificates,
    web::{self, Web},
};

/// nginx before a server of submissions; lets in only whom the test's authority knows.
fn serve(sandbox: &Sandbox, fleet: &Fleet) -> Result<Web> {
    let port = web::port()?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let own = path("nginx");
    fs::create_dir(&own)?;
    let settings = format!(
        "daemon off;\nmaster_process off;\npid {own}/pid;\nerror_log {own}/error.log;\n\
         events {{}}\nhttp {{\naccess_log {own}/access.log;\n\
         client_body_temp_path {own}/a; proxy_temp_path {own}/b; fastcgi_temp_path {own}/c;\n\
         uwsgi_temp_path {own}/d; scgi_temp_path {own}/e;\n\
         server {{\nlisten 127.0.0.1:{port} ssl http2;\nserver_name localhost;\n\
         ssl_certificate {};\nssl_certificate_key {};\n\
         ssl_client_certificate {};\nssl_verify_client on;\n\
         location / {{ proxy_pass {}; proxy_http_version 1.1; }}\n}}\n}}\n",
        path("server.pem"),
        path("server.key"),
        path("ca.pem"),
        fleet.url(),
    );
    fs::write(sandbox.path("nginx.conf"), settings)?;
    let mut nginx = command(&program("nginx")?);
    nginx.args(["-p", &own, "-e", &format!("{own}/error.log"), "-c", &path("nginx.conf")]);
    web::start(&mut nginx, port)
}

#[test]
fn a_machine_tells_with_its_certificate() -> Result<()> {
    if !need(&["nginx", "openssl"])? || !parts::need_bins(&["codesync", "ldi"])? {
        return Ok(());
    }
    let fleet = Fleet::start()?;
    let sandbox = Sandbox::with_library()?;
    sandbox.put("scripts/daily/job", "#!/bin/bash\n:\n")?;
    sandbox.publish()?;
    certificates(&sandbox)?;
    let web = serve(&sandbox, &fleet)?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    let plain = fs::read_to_string(sandbox.config())?;
    let path = |name: &str| sandbox.path(name).to_string_lossy().into_owned();
    let url = format!("[server]\nurl = \"https://localhost:{}\"\n", web.port);
    let ca = format!("ca_file = \"{}\"\n", path("ca.pem"));
    let own = format!(
        "client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        path("machine.pem"),
        path("machine.key")
    );
    let configure =
        |words: &[&str]| fs::write(sandbox.config(), plain.clone() + "\n" + &words.concat());
    configure(&[&url])?;
    sandbox.ldi(&["run", "daily"])?;
    // Nobody vouches for the server; then it does not know us.
    let done = sandbox.ldi(&["submit"])?.expect_code(69)?;
    ensure!(done.err().contains("certificate"), "{done}");
    configure(&[&url, &ca])?;
    let refused = sandbox.ldi(&["submit"])?;
    ensure!(refused.code() != 0 && fleet.entries().is_empty(), "{refused}");
    configure(&[&url, &ca, &own])?;
    let done = sandbox.ldi(&["submit"])?.success()?;
    ensure!(!fleet.entries().is_empty(), "{done}");
    // A key that others can read is refused before it is used.
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path("machine.key"), fs::Permissions::from_mode(0o644))?;
    let done = sandbox.ldi(&["submit"])?.expect_code(78)?;
    ensure!(done.err().contains("chmod 600"), "{done}");
    Ok(())
}
