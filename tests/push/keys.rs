//! docs/keys.md, section by section: every command runs, and clients follow.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, parts, process, run};

fn need() -> Result<bool> {
    Ok(parts::need_bins(&["codesync", "ldi"])? && parts::need(&["sh"])?)
}

/// The sections of the document, by title, with the commands in them.
fn sections() -> Result<Vec<(String, String)>> {
    let text = fs::read_to_string(parts::repository().join("docs/keys.md"))?;
    let mut sections: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            sections.push((title.to_owned(), String::new()));
        } else if let Some(command) = line.strip_prefix("    ") {
            let (_, commands) = sections.last_mut().context("a command before any section")?;
            commands.push_str(command);
            commands.push('\n');
        }
    }
    sections.retain(|(_, commands)| !commands.is_empty());
    Ok(sections)
}

/// Runs `commands` in the sandbox; the first that fails ends it.
fn script(sandbox: &Sandbox, commands: &str) -> Result<Done> {
    let codesync = parts::bin("codesync")?;
    let folder = codesync.parent().context("a program without a folder")?;
    let mut command = process::command(&parts::program("sh")?);
    command.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    command.env("CODESYNC_LIBRARY", sandbox.library()).env("CODESYNC_KEYS", sandbox.keys());
    command.env("CODESYNC_PASSPHRASE_FILE", sandbox.path("passphrase"));
    command.current_dir(sandbox.path("")).args(["-e", "-u", "-c", commands]);
    run(&mut command)
}

fn sandbox() -> Result<Sandbox> {
    let sandbox = Sandbox::new()?;
    let file = sandbox.path("passphrase");
    fs::write(&file, "correct horse\n")?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    fs::set_permissions(sandbox.keys(), fs::Permissions::from_mode(0o700))?;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    Ok(sandbox)
}

#[test]
fn every_command_of_the_document_runs_and_clients_follow() -> Result<()> {
    if !need()? {
        return Ok(());
    }
    let sections = sections()?;
    ensure!(sections.len() >= 9, "only {} sections have commands", sections.len());
    for (title, commands) in sections {
        let sandbox = sandbox()?;
        if !commands.contains("codesync init") {
            script(&sandbox, "codesync init --root-keys 3 --root-threshold 2 --encrypt root\ncodesync publish --tree tree\n")?
                .success()?;
            sandbox.synced()?;
        }
        script(&sandbox, &commands)?.success().with_context(|| format!("in {title:?}"))?;
        sandbox.synced().with_context(|| format!("after {title:?}"))?;
        sandbox.in_step()?;
        // And life goes on.
        sandbox.put("modules/b.sh", "b() { :; }\n")?;
        script(&sandbox, "codesync publish --tree tree\n")?.success()?;
        sandbox.synced()?;
        sandbox.in_step()?;
    }
    Ok(())
}

#[test]
fn encrypted_keys_need_their_passphrase() -> Result<()> {
    if !need()? {
        return Ok(());
    }
    let sandbox = sandbox()?;
    script(&sandbox, "codesync init --encrypt targets,timestamp\n")?.success()?;
    let text = fs::read_to_string(sandbox.keys().join("targets.pem"))?;
    ensure!(text.contains("ENCRYPTED"), "the key is plain");
    script(&sandbox, "codesync publish --tree tree\ncodesync rotate targets\n")?.success()?;
    let text = fs::read_to_string(sandbox.keys().join("targets.pem"))?;
    ensure!(text.contains("ENCRYPTED"), "the key that replaced it is plain");
    let file = sandbox.path("passphrase");
    fs::write(&file, "wrong\n")?;
    let done = script(&sandbox, "codesync refresh\n")?.expect_code(78)?;
    ensure!(done.err().contains("does not open"), "{done}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644))?;
    let done = script(&sandbox, "codesync refresh\n")?.expect_code(78)?;
    ensure!(done.err().contains("chmod 600"), "{done}");
    Ok(())
}

#[test]
fn a_root_signed_in_steps_takes_good_signatures_only() -> Result<()> {
    if !need()? {
        return Ok(());
    }
    let sandbox = sandbox()?;
    let begin = "codesync init --root-keys 3 --root-threshold 2\ncodesync publish --tree tree\n\
                 mkdir away\nmv keys/root-*.pem away\ncodesync rotate root --json\n";
    let done = script(&sandbox, begin)?.success()?;
    ensure!(done.out().contains("\"lacking\":2"), "{done}");
    // Nothing of it can be seen, and a second rotation waits its turn.
    ensure!(!sandbox.library().join("rings/stable/2.root.json").exists(), "installed too early");
    script(&sandbox, "codesync rotate timestamp\n")?.expect_code(2)?;
    sandbox.synced()?;
    script(&sandbox, "codesync root export r\ncodesync root sign --key away/root-1.pem r\n")?
        .success()?;
    let one = script(&sandbox, "codesync root import --json r.*.sig\n")?.success()?;
    ensure!(one.out().contains("\"lacking\":1"), "{one}");
    // The same key twice is one key; another key, or other bytes, are nothing.
    let again = script(&sandbox, "codesync root import --json r.*.sig\n")?.success()?;
    ensure!(again.out().contains("\"lacking\":1"), "{again}");
    let bad =
        "rm r.*.sig\ncodesync root sign --key keys/timestamp.pem r\ncodesync root import r.*.sig\n";
    script(&sandbox, bad)?.expect_code(76)?;
    script(&sandbox, "rm r.*.sig\nprintf x >> r\ncodesync root sign --key away/root-2.pem r\n")?
        .expect_code(76)?;
    if parts::need(&["openssl"])? {
        let raw = "codesync root export r\n\
                   openssl pkeyutl -sign -rawin -inkey away/root-2.pem -in r -out r.raw\n\
                   codesync root import --json r.raw\n";
        let done = script(&sandbox, raw)?.success()?;
        ensure!(done.out().contains("\"lacking\":0"), "{done}");
        ensure!(sandbox.library().join("rings/stable/2.root.json").exists(), "not installed");
        sandbox.synced()?;
    }
    Ok(())
}
