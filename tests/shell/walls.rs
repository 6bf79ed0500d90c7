//! What a program that codesync-shell starts can still do: probed from inside, with bash in
//! codesync's place (it runs the file `serve` or `receive` of its folder, the library).

use std::fs;

use anyhow::{Result, ensure};

use crate::{Kind, server};

const PROBE: &str = r#"
export -p
echo "core $(ulimit -c 2>/dev/null)"
ulimit -c; ulimit -f
umask
{ echo x >new; } 2>/dev/null && echo WROTE-LIBRARY
{ echo x >/tmp/codesync-shell-wall; } 2>/dev/null && echo WROTE-OUTSIDE
{ read -r line </etc/passwd; } 2>/dev/null && echo READ-OUTSIDE
{ read -r line <../secret; } 2>/dev/null && echo READ-SECRET
{ read -r line <rings/stable/1.root.json; } 2>/dev/null && echo READ-LIBRARY
/usr/bin/id >/dev/null 2>&1 && echo RAN
{ exec 9<>/dev/tcp/127.0.0.1/PORT; } 2>/dev/null && echo CONNECTED
while read -r name value; do [[ $name == NoNewPrivs: ]] && echo "new-privs $value"; done 2>/dev/null </proc/self/status
exit 0
"#;

#[test]
fn the_started_program_is_walled_in() -> Result<()> {
    let Some(server) = server(Kind::Forced)? else { return Ok(()) };
    let probe = PROBE.replace("PORT", &server.port().to_string());
    for name in ["serve", "receive"] {
        fs::write(server.library().join(name), &probe)?;
    }
    let environment = [
        "-A",
        "-o",
        "SetEnv=LD_PRELOAD=/tmp/x.so LD_LIBRARY_PATH=/tmp PATH=/tmp BASH_ENV=/tmp/x EVIL=1",
    ];
    let done = server.ssh("probe", &environment, "codesync serve")?.success()?;
    let out = done.out();
    let names: Vec<&str> = out
        .lines()
        .filter_map(|line| line.strip_prefix("declare -x "))
        .filter_map(|line| line.split('=').next())
        .collect();
    // The last three are bash's own.
    let known = ["CODESYNC_CLIENT", "CODESYNC_KEY", "PATH", "OLDPWD", "PWD", "SHLVL"];
    ensure!(names.iter().all(|name| known.contains(name)), "environment: {names:?}");
    ensure!(out.contains("PATH=\"/usr/bin:/bin\""), "{done}");
    ensure!(out.contains("CODESYNC_CLIENT=\"127.0.0.1 "), "{done}");
    ensure!(out.contains("CODESYNC_KEY=\"SHA256:"), "{done}");
    // Files may grow only because there is a log; where Landlock holds, that one alone.
    ensure!(out.contains("\n0\nunlimited\n0022\n"), "limits and umask: {done}");
    ensure!(out.contains("READ-LIBRARY"), "{done}");
    ensure!(!server.library().join("new").metadata().is_ok_and(|found| found.len() > 0));
    ensure!(!out.contains("WROTE"), "{done}");
    for hole in ["READ-OUTSIDE", "READ-SECRET", "RAN", "CONNECTED"] {
        ensure!(!out.contains(hole), "{hole}: {done}");
    }

    // A publisher's session writes the library, and nothing else.
    let done = server.ssh("probe", &[], "codesync receive")?.success()?;
    let out = done.out();
    ensure!(out.contains("WROTE-LIBRARY"), "{done}");
    for hole in ["WROTE-OUTSIDE", "READ-OUTSIDE", "READ-SECRET", "RAN", "CONNECTED"] {
        ensure!(!out.contains(hole), "{hole}: {done}");
    }
    Ok(())
}

#[test]
fn every_command_is_recorded() -> Result<()> {
    let Some(server) = server(Kind::Forced)? else { return Ok(()) };
    server.ssh("machine", &[], "codesync serve")?.success()?;
    server.ssh("publisher", &[], "codesync receive")?.success()?;
    server.ssh("machine", &[], "codesync serve; echo \u{1b}[2J\nid \"x\"")?.expect_code(1)?;
    server.run("ssh", "machine", &["-T", "server"])?.expect_code(1)?;
    let records = server.records();
    let lines: Vec<&str> = records.lines().collect();
    ensure!(lines.len() == 4, "{records}");
    for (line, (key, word, rest)) in lines.iter().zip([
        ("machine", " allowed ", "command=\"codesync serve\""),
        ("publisher", " allowed ", "command=\"codesync receive\""),
        ("machine", " refused ", r#"command="codesync serve; echo \x1b[2J\nid \"x\"""#),
        ("machine", " refused ", "command=\"\""),
    ]) {
        let public = server.path(key).with_extension("pub");
        let keygen = e2e::program("ssh-keygen")?;
        let listed = e2e::run(e2e::command(&keygen).arg("-l").arg("-f").arg(&public))?.out();
        let fingerprint = listed.split(' ').nth(1).unwrap_or("none");
        ensure!(line.contains(&format!(" key={fingerprint} ")), "{fingerprint}: {line}");
        ensure!(line.contains(" from=\"127.0.0.1 "), "{line}");
        ensure!(line.contains(word) && line.contains(rest), "{word} {rest}: {line}");
    }
    Ok(())
}
