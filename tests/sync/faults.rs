//! `make faults` in small, so that it cannot rot: each case, few rounds.

use std::time::Duration;

use anyhow::Result;
use e2e::{bin, command, parts, process::run_within};

#[test]
fn a_few_faults_of_each_kind() -> Result<()> {
    if !parts::need_bins(&["codesync", "codesync-shell", "ldi", "faults"])?
        || !parts::need(&["sshd", "ssh-keygen"])?
    {
        return Ok(());
    }
    let mut faults = command(&bin("faults")?);
    faults.args(["--rounds", "4", "--case", "kill,runs,disk,lines,wire,liar,links,crowd,clock"]);
    let done = run_within(&mut faults, Duration::from_secs(600))?.success()?;
    eprintln!("{}", done.out());
    Ok(())
}
