//! A machine gets an identity, and loses it.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Result, ensure};

use crate::site::{Machine, Server};

#[test]
fn a_machine_enrols_and_tells_until_it_is_revoked() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    let token = server.token(&[])?;
    fs::set_permissions(machine.sandbox.config(), fs::Permissions::from_mode(0o640))?;
    let done = machine.enroll(&server, &token, &[])?.success()?;
    let kept = fs::metadata(machine.sandbox.config())?.permissions().mode() & 0o777;
    ensure!(kept == 0o640, "ldi.toml became {kept:o}");
    ensure!(done.out().contains("enrolled at https://localhost"), "{done}");
    // The key is for nobody else, and the settings say all of it.
    let folder = machine.sandbox.config();
    let folder = folder.parent().unwrap_or(&folder);
    let mode = |name: &str| fs::metadata(folder.join(name)).map(|m| m.permissions().mode() & 0o777);
    ensure!(mode("machine.key")? == 0o600 && mode("machine.pem")? == 0o644);
    let text = fs::read_to_string(machine.sandbox.config())?;
    ensure!(text.contains("[server]") && text.contains("client_certificate"), "{text}");

    machine.ldi(&["run", "daily"])?;
    let report = machine.ldi(&["submit", "--json"])?.json()?;
    ensure!(report["stored"] == 2 && report["waiting"] == 0, "{report}");
    let clients = server.json(&["clients", "list"])?;
    ensure!(clients.as_array().is_some_and(|all| all.len() == 1), "{clients}");
    ensure!(clients[0]["facts"]["os"] == "linux", "{clients}");

    let name = clients[0]["client"].as_str().unwrap_or_default().to_owned();
    server.ldi_server(&["clients", "revoke", &name])?.success()?;
    machine.ldi(&["run", "daily"])?;
    let refused = machine.sandbox.ldi(&["submit"])?.expect_code(77)?;
    ensure!(refused.err().contains("no longer"), "{refused}");
    let status = machine.ldi(&["status", "--json"])?.json()?;
    ensure!(status["spool"] != 0, "{status}");
    // With another identity it is another machine, and what waited is told.
    machine.enroll(&server, &server.token(&[])?, &["--again"])?.success()?;
    machine.ldi(&["submit"])?;
    ensure!(server.json(&["clients", "list"])?.as_array().is_some_and(|all| all.len() == 2));
    Ok(())
}

/// A certificate that grows old is renewed with what is told anyway.
#[test]
fn a_certificate_is_renewed_in_time_and_once() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    machine.enroll(&server, &server.token(&[])?, &[])?.success()?;
    let folder = machine.sandbox.config();
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    let read = |name: &str| fs::read_to_string(folder.join(name));
    let (first, key) = (read("machine.pem")?, read("machine.key")?);
    let told = || -> Result<()> {
        machine.ldi(&["run", "daily"])?;
        machine.ldi(&["submit"]).map(drop)
    };
    told()?;
    ensure!(read("machine.pem")? == first, "it was young");
    // As if most of its life were over.
    let text = "import sqlite3, sys\nwith sqlite3.connect(sys.argv[1]) as db:\n    \
                db.execute('UPDATE certificates SET issued = issued - 86400000 * 1000')\n";
    let python = e2e::program("python3")?;
    let database = server.data().join("ldi-server.db");
    e2e::run(e2e::command(&python).args(["-c", text]).arg(database))?.success()?;
    told()?;
    let second = read("machine.pem")?;
    ensure!(second != first && read("machine.key")? == key);
    told()?;
    ensure!(read("machine.pem")? == second, "it was renewed again");
    ensure!(server.json(&["clients", "list"])?.as_array().is_some_and(|all| all.len() == 1));
    Ok(())
}

#[test]
fn a_token_is_good_for_what_it_says_and_for_nothing_else() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let Some(other) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    let refused = |token: &str, code: i32, said: &str| -> Result<()> {
        let done = machine.enroll(&server, token, &[])?.expect_code(code)?;
        ensure!(done.err().contains(said), "{done}");
        Ok(())
    };
    refused("hello", 2, "is no token")?;
    // Somebody else's server is told nothing.
    refused(&other.token(&[])?, 76, "nothing was told to it")?;
    let good = server.token(&["--uses", "2", "--note", "lab", "--expires", "12h"])?;
    let (secret, hash) = (&good[5..37], &good[38..]);
    refused(&format!("ldi1-{}-{hash}", secret.chars().rev().collect::<String>()), 77, "not good")?;
    let list = server.json(&["token", "list"])?;
    ensure!(list[0]["uses"] == 2 && list[0]["note"] == "lab", "{list}");
    machine.enroll(&server, &good, &[])?.success()?;
    // Once is enough, unless somebody insists.
    refused(&good, 1, "--again")?;
    Machine::new()?.enroll(&server, &good, &[])?.success()?;
    let third = Machine::new()?.enroll(&server, &good, &[])?.expect_code(77)?;
    ensure!(third.err().contains("used up"), "{third}");
    // A token that was taken back.
    let gone = server.token(&[])?;
    let list = server.json(&["token", "list"])?;
    server
        .ldi_server(&["token", "revoke", list[0]["token"].as_str().unwrap_or_default()])?
        .success()?;
    Machine::new()?.enroll(&server, &gone, &[])?.expect_code(77)?;
    // Two machines of one name are two machines.
    let clients = server.json(&["clients", "list"])?;
    ensure!(
        clients[0]["name"] == clients[1]["name"] && clients[0]["client"] != clients[1]["client"]
    );
    let name = clients[0]["name"].as_str().unwrap_or_default();
    let several = server.ldi_server(&["clients", "show", name])?.expect_code(2)?;
    ensure!(several.err().contains("say which"), "{several}");
    Ok(())
}

#[test]
fn settings_of_somebody_else_are_left_alone() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    let machine = Machine::new()?;
    let text = fs::read_to_string(machine.sandbox.config())?;
    let own = format!("{text}\n[server]\nurl = \"https://other.example.com\"\n");
    fs::write(machine.sandbox.config(), &own)?;
    let token = server.token(&[])?;
    let done = machine.enroll(&server, &token, &[])?.expect_code(78)?;
    ensure!(done.err().contains("make it this"), "{done}");
    ensure!(fs::read_to_string(machine.sandbox.config())? == own);
    // The token was not used for it.
    fs::write(machine.sandbox.config(), &text)?;
    machine.enroll(&server, &token, &[])?.success()?;
    // A second server in one folder is none.
    let twice = server.ldi_server(&["init", "--name", "localhost"])?.expect_code(1)?;
    ensure!(twice.err().contains("nothing was changed"), "{twice}");
    Ok(())
}
