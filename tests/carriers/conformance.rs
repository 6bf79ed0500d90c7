//! The command line that the public TUF conformance suite calls, through its wrapper.

use anyhow::{Result, ensure};
use e2e::{Done, Sandbox, command, need, parts, run};

use crate::web;

#[test]
fn the_conformance_client_obeys_its_command_line() -> Result<()> {
    if !need(&["python3"])? || !parts::need_bins(&["codesync"])? {
        return Ok(());
    }
    if parts::example("conformance").is_err() {
        ensure!(!parts::strict(), "build it: cargo build -p codesync --example conformance");
        eprintln!("left out: the example conformance of codesync is not built");
        return Ok(());
    }
    let sandbox = Sandbox::with_library()?;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.publish()?;
    let web = web::python(&sandbox.library())?;
    let base = format!("http://127.0.0.1:{}/rings/stable", web.port);
    for name in ["metadata", "targets", "stranger"] {
        std::fs::create_dir(sandbox.path(name))?;
    }
    let client = |folder: &str, words: &[&str]| -> Result<Done> {
        let mut client = command(&parts::repository().join("tests/conformance/client"));
        client.arg("--metadata-dir").arg(sandbox.path(folder));
        run(client.args(["--metadata-url", &base]).args(words))
    };
    let root = sandbox.path("keys/root.json");
    client("metadata", &["init", &root.to_string_lossy()])?.success()?;
    client("metadata", &["refresh"])?.success()?;
    for role in ["root", "timestamp", "snapshot", "targets"] {
        ensure!(sandbox.path("metadata").join(format!("{role}.json")).is_file(), "{role}");
    }
    let (targets, folder) = (format!("{base}/targets"), sandbox.path("targets"));
    let download = |name: &str| {
        let folder = folder.to_string_lossy();
        let words = ["--target-base-url", &targets, "--target-dir", &folder];
        client("metadata", &[&words[..], &["--target-name", name, "download"]].concat())
    };
    download("manifest")?.success()?;
    ensure!(std::fs::read_to_string(folder.join("manifest"))?.contains("modules/a.sh"));
    download("missing")?.expect_code(1)?;

    // Another library's root.
    let other = Sandbox::with_library()?;
    let root = other.path("keys/root.json");
    client("stranger", &["init", &root.to_string_lossy()])?.success()?;
    client("stranger", &["refresh"])?.expect_code(1)?;
    Ok(())
}
