//! Connections that end in the middle of an upload.

use anyhow::{Context, Result, ensure};
use e2e::{cut::Cut, run, tree};

use crate::setting::Setting;

#[test]
fn a_cut_upload_goes_on_where_it_stopped() -> Result<()> {
    let Some(setting) = Setting::published(20)? else { return Ok(()) };
    setting.pushed()?;
    setting.in_step()?;
    // Over 64 MiB travels as itself, outside bundles.
    let big = vec![7_u8; 70 << 20];
    tree::put(&setting.sandbox.tree(), "agent/big", &big, false)?;
    setting.sandbox.publish()?;
    let cut = Cut::uploads(setting.sshd.port(), 40 << 20)?;
    setting.pin(cut.port())?;
    let user = setting.sshd.user();
    let url = format!("ssh://{user}@127.0.0.1:{}{}", cut.port(), setting.server().display());
    let library = setting.sandbox.library();
    let before = tree::read(&setting.server().join("rings"))?;
    let done = run(&mut setting.command(&library, &setting.publisher, &url)?)?.expect_code(69)?;
    ensure!(!done.err().is_empty(), "{done}");
    ensure!(before == tree::read(&setting.server().join("rings"))?, "half a push can be seen");
    setting.sandbox.synced()?;

    // The server's end may take a moment to see that it is alone.
    let report = (0..20)
        .find_map(|_| {
            let done = setting.push().ok()?;
            (done.code() != 75).then_some(done)
        })
        .context("the first push still holds the server")?
        .success()?
        .json()?;
    let (sent, resumed) = (report["bytes_sent"].as_u64(), report["resumed"].as_u64());
    let (sent, resumed) = sent.zip(resumed).context("no byte counts")?;
    eprintln!("70 MiB cut after 40: {resumed} bytes were there, {sent} were sent");
    ensure!(resumed > 30 << 20 && sent < 42 << 20, "{report}");
    setting.in_step()
}
