//! What machines tell is stored once, can be searched, and leaves a trail.

use anyhow::{Result, ensure};
use e2e::{postgres::Postgres, tree};

use crate::site::{Machine, Server};

fn enrolled(server: &Server) -> Result<Machine> {
    let machine = Machine::new()?;
    machine.enroll(server, &server.token(&[])?, &[])?.success()?;
    Ok(machine)
}

#[test]
fn documents_are_searched_and_leave_a_trail() -> Result<()> {
    let Some(server) = Server::new()? else { return Ok(()) };
    searched(&server)
}

/// The same on PostgreSQL; and while that is away nothing is lost.
#[test]
fn postgresql_is_one_setting() -> Result<()> {
    let Some(mut server) = Server::new()? else { return Ok(()) };
    let Some(mut postgres) = Postgres::start()? else { return Ok(()) };
    server.on(&postgres.url())?;
    searched(&server)?;
    let machine = enrolled(&server)?;
    machine.ldi(&["run", "daily"])?;
    postgres.stop()?;
    let away = machine.sandbox.ldi(&["submit"])?.expect_code(69)?;
    ensure!(away.err().contains("503"), "{away}");
    ensure!(server.curl("/readyz", &[])?.0 == 503 && server.curl("/healthz", &[])?.0 == 200);
    postgres.serve()?;
    let report = machine.ldi(&["submit", "--json"])?.json()?;
    ensure!(report["stored"] == 2, "{report}");
    Ok(())
}

fn searched(server: &Server) -> Result<()> {
    let machine = enrolled(server)?;
    machine.ldi(&["collect", "--submit"])?;
    let show = |condition: &str| server.json(&["clients", "list", "--where", condition]);
    let found = show("os_info.distname = \"debian\" and last_seen < 2d")?;
    ensure!(found[0]["document"]["os_info"]["version"] == "12", "{found}");
    ensure!(show("os_info.version > \"12\"")?.as_array().is_some_and(Vec::is_empty));
    let name = found[0]["client"].as_str().unwrap_or_default().to_owned();
    // The same again leaves no row, a change leaves one.
    machine.ldi(&["collect", "--submit"])?;
    let text = b"#!/bin/bash\necho '{\"distname\": \"debian\", \"version\": \"13\"}'\n";
    tree::put(&machine.sandbox.tree(), "scripts/collect/os_info", text, true)?;
    machine.sandbox.publish()?;
    machine.sandbox.synced()?;
    machine.ldi(&["collect", "--submit"])?;
    let rows = server.json(&["clients", "history", &name])?;
    let row = |at: usize| (rows[at]["path"].clone(), rows[at]["kind"].clone());
    ensure!(rows.as_array().is_some_and(|rows| rows.len() == 2), "{rows}");
    ensure!(row(0) == ("os_info.version".into(), "change".into()), "{rows}");
    ensure!((&rows[0]["old"], &rows[0]["new"]) == (&"12".into(), &"13".into()), "{rows}");
    ensure!(row(1) == ("os_info".into(), "add".into()), "{rows}");
    let wrong = server.ldi_server(&["clients", "list", "--where", "a ="])?.expect_code(2)?;
    ensure!(wrong.err().contains("at character 4"), "{wrong}");
    Ok(())
}

/// The server is killed while machines tell: each entry is there once, and none is lost.
#[test]
fn a_server_that_is_killed_loses_nothing_and_stores_nothing_twice() -> Result<()> {
    let Some(mut server) = Server::new()? else { return Ok(()) };
    let machine = enrolled(&server)?;
    let mut told = 0;
    for round in 0..6 {
        machine.ldi(&["run", "daily", "--no-sync"])?;
        machine.ldi(&["collect"])?;
        told += 2;
        let sandbox = &machine.sandbox;
        let mut submit = sandbox.ldi_command(&sandbox.config(), &["submit"])?;
        let mut submit = submit
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        std::thread::sleep(std::time::Duration::from_millis(round * 15));
        server.kill()?;
        submit.wait()?;
        server.start()?;
    }
    machine.ldi(&["submit"])?;
    let status = machine.ldi(&["status", "--json"])?.json()?;
    ensure!(status["spool"] == 0 && status["spool_rejected"] == 0, "{status}");
    let python = e2e::program("python3")?;
    let text = "import sqlite3, sys\nprint(sqlite3.connect(sys.argv[1]).execute('SELECT count(*), count(DISTINCT entry) FROM entries').fetchone())";
    let done = e2e::run(
        e2e::command(&python).args(["-c", text]).arg(server.data().join("ldi-server.db")),
    )?
    .success()?;
    ensure!(done.out().trim() == format!("({told}, {told})"), "{done}");
    Ok(())
}
