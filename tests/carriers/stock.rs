//! python-tuf's client reads our library.

use anyhow::{Result, ensure};
use e2e::{Sandbox, command, need, parts, run, tree};

use crate::web;

const READ: &str = r#"
import sys
from tuf.ngclient import Updater
base, metadata, targets, root = sys.argv[1:5]
with open(root, "rb") as file:
    updater = Updater(metadata_dir=metadata, metadata_base_url=base + "/rings/stable/",
                      target_dir=targets, target_base_url=base + "/rings/stable/targets/",
                      bootstrap=file.read())
updater.refresh()
for name in ["manifest"] + sys.argv[5:]:
    print(updater.download_target(updater.get_targetinfo(name), targets + "/" + name))
"#;

#[test]
fn python_tuf_refreshes_and_downloads() -> Result<()> {
    let python = parts::repository().join("target/python-tuf/bin/python");
    if !python.is_file() {
        ensure!(!parts::strict(), "python-tuf is missing; run tests/install-tools");
        eprintln!("left out, because python-tuf is missing; tests/install-tools installs it");
        return Ok(());
    }
    if !need(&["python3"])? || !parts::need_bins(&["codesync"])? {
        return Ok(());
    }
    let sandbox = Sandbox::with_library()?;
    for name in ["metadata", "targets"] {
        std::fs::create_dir(sandbox.path(name))?;
    }
    let web = web::python(&sandbox.library())?;
    let mut seen = Vec::new();
    // The first release, a second one after new keys, nothing new, and a team's part.
    for step in 0..4 {
        if step < 2 {
            sandbox.put("modules/a.sh", &format!("a() {{ echo {step}; }}\n"))?;
            sandbox.publish()?;
        }
        let mut client = command(&python);
        client.args(["-c", READ, &format!("http://127.0.0.1:{}", web.port)]);
        client.args(["metadata", "targets", "keys/root.json"].map(|name| sandbox.path(name)));
        if step == 3 {
            let (tree, key) = (sandbox.path("web"), sandbox.keys().join("web.pem"));
            tree::put(&tree, "modules/web.sh", b"web() { :; }\n", false)?;
            let (tree, key) = (tree.display().to_string(), key.display().to_string());
            sandbox.codesync(&["key", &key])?.success()?;
            sandbox
                .codesync(&["delegate", "web", "--paths", "modules/*", "--key", &key])?
                .success()?;
            sandbox.codesync(&["publish", "--as", "web", "--tree", &tree])?.success()?;
            client.arg("web.manifest");
        }
        run(&mut client)?.success()?;
        seen.push(std::fs::read_to_string(sandbox.path("targets/manifest"))?);
        if step == 0 {
            for role in ["root", "timestamp", "targets"] {
                sandbox.codesync(&["rotate", role])?.success()?;
            }
        }
    }
    let team = std::fs::read_to_string(sandbox.path("targets/web.manifest"))?;
    ensure!(team.contains("modules/web.sh"), "{team}");
    ensure!(seen[0].contains("modules/a.sh") && seen[0] != seen[1] && seen[1] == seen[2]);
    Ok(())
}
