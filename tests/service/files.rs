//! What needs no machine: images, the launchd job, the contents of packages, man pages and
//! completions.

use std::fs;

use anyhow::{Context, Result, ensure};
use e2e::{Done, Sandbox, bin, command, need, parts, program, run, tree};

use crate::site::package;

fn ldi(words: &[&str]) -> Result<Done> {
    run(command(&bin("ldi")?).args(words))
}

#[test]
fn an_image_gets_the_files_and_nothing_else() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let image = sandbox.path("image");
    fs::create_dir(&image)?;
    let root = image.to_str().context("a path that is not UTF-8")?;

    let dry = ldi(&["install", "--root", root, "--dry-run"])?.success()?.out();
    ensure!(dry.contains("written") && dry.contains("nothing was changed"), "{dry}");
    ensure!(tree::read(&image)?.is_empty(), "a dry run wrote something");

    ldi(&["install", "--root", root])?.success()?;
    let once = tree::read(&image)?;
    let names: Vec<String> = once.keys().map(|path| path.display().to_string()).collect();
    let link = "etc/systemd/system/multi-user.target.wants/ldi.service";
    ensure!(names == ["etc/ldi/ldi.toml", "etc/systemd/system/ldi.service", link], "{names:?}");
    let target = fs::read_link(image.join(link))?;
    ensure!(target.to_str() == Some("/etc/systemd/system/ldi.service"), "{}", target.display());

    // The first ldi.toml is one, and belongs to the administrator.
    let config = image.join("etc/ldi/ldi.toml");
    let check = run(command(&bin("ldi")?).arg("--config").arg(&config).arg("check"))?;
    ensure!(check.out().contains("configuration  good"), "{check}");
    fs::write(&config, "tags = [\"mine\"]\n")?;
    ldi(&["install", "--root", root])?.success()?;
    ensure!(fs::read_to_string(&config)?.contains("mine"), "ldi.toml was overwritten");

    let other = ldi(&["--config", "/etc/other.toml", "install", "--root", root])?.expect_code(2)?;
    ensure!(other.err().contains("the service reads /etc/ldi/ldi.toml"), "{other}");
    ldi(&["install", "--manager", "launchd"])?.expect_code(2)?;

    ldi(&["uninstall", "--root", root])?.success()?;
    let left: Vec<_> = tree::read(&image)?.into_keys().collect();
    ensure!(left.len() == 1 && left[0].ends_with("ldi.toml"), "{left:?}");
    ldi(&["uninstall", "--root", root, "--purge"])?.success()?;
    ensure!(tree::read(&image)?.is_empty());

    // A unit that a package brought is enabled and not shadowed, and not ours to remove.
    tree::put(&image, "usr/lib/systemd/system/ldi.service", b"[Unit]\n", false)?;
    ldi(&["install", "--root", root])?.success()?;
    let target = fs::read_link(image.join(link))?;
    ensure!(target.starts_with("/usr/lib"), "{}", target.display());
    let refused = ldi(&["uninstall", "--root", root])?.expect_code(78)?;
    ensure!(refused.err().contains("remove that package instead"), "{refused}");
    Ok(())
}

#[test]
fn a_purge_removes_no_folder_that_is_not_ours() -> Result<()> {
    let sandbox = Sandbox::new()?;
    let image = sandbox.path("image");
    tree::put(&image, "etc/ldi/ldi.toml", b"root = \"/home\"\n", false)?;
    tree::put(&image, "home/someone/letter", b"dear", false)?;
    let root = image.to_str().context("a path that is not UTF-8")?;
    let refused = ldi(&["uninstall", "--root", root, "--purge"])?.expect_code(78)?;
    ensure!(refused.err().contains("does not look like a folder of ldi's"), "{refused}");
    ensure!(tree::read(&image)?.len() == 2);
    Ok(())
}

#[test]
fn the_launchd_job_is_a_property_list() -> Result<()> {
    if !need(&["plistutil"])? {
        return Ok(());
    }
    let sandbox = Sandbox::new()?;
    let image = sandbox.path("image");
    fs::create_dir(&image)?;
    let root = image.to_str().context("a path that is not UTF-8")?;
    ldi(&["install", "--root", root, "--manager", "launchd"])?.success()?;
    let plist = image.join("Library/LaunchDaemons/net.ldi.daemon.plist");
    // There and back through the binary form: what plistutil did not understand is gone.
    let (binary, back) = (sandbox.path("binary"), sandbox.path("back"));
    for (from, to, format) in [(&plist, &binary, "bin"), (&binary, &back, "xml")] {
        let mut convert = command(&program("plistutil")?);
        run(convert.arg("-i").arg(from).arg("-o").arg(to).args(["-f", format]))?.success()?;
    }
    let strip = |text: String| text.split_whitespace().collect::<String>();
    let read = strip(fs::read_to_string(&back)?);
    let written = strip(fs::read_to_string(&plist)?);
    let dict = |text: &str| text.split_once("<dict>").map(|(_, rest)| rest.to_owned());
    let (read, written) = (dict(&read).context("no dict")?, dict(&written).context("no dict")?);
    let end = read.find("</dict>").context("no end of the dict")?;
    ensure!(written.starts_with(&read[..end]), "{read}\n{written}");
    ensure!(read.contains("<key>KeepAlive</key><true/>"), "{read}");
    ldi(&["uninstall", "--root", root, "--manager", "launchd"])?.success()?;
    ensure!(!plist.exists());
    Ok(())
}

#[test]
fn the_rpm_packages_hold_what_they_should() -> Result<()> {
    let tools = ["rpm", "rpmbuild", "strip"];
    let programs = ["ldi", "codesync", "codesync-serve", "codesync-shell"];
    if !need(&tools)? || !parts::need_bins(&programs)? {
        return Ok(());
    }
    let sandbox = Sandbox::new()?;
    let made = package(&sandbox.path("packages"), "1.0", &["rpm"])?;
    let rpm = |words: &[&str], at: usize| -> Result<String> {
        let path = made.get(at).context("a package is missing")?;
        Ok(run(command(&program("rpm")?).arg("-qp").args(words).arg(path))?.success()?.out())
    };
    let list = rpm(&["--list"], 0)?;
    for name in [
        "bin/ldi",
        "bin/pyexec",
        "lib/systemd/system/ldi.service",
        "share/ldi/ldi.toml",
        "share/man/man1/ldi-install.1.gz",
        "share/bash-completion/completions/ldi",
    ] {
        ensure!(list.lines().any(|line| line == format!("/usr/{name}")), "no {name} in:\n{list}");
    }
    let scripts = rpm(&["--scripts"], 0)?;
    ensure!(scripts.contains("--signal=USR1 ldi.service"), "{scripts}");
    let list = rpm(&["--list"], 1)?;
    for name in [
        "bin/codesync-shell",
        "sbin/codesync-setup",
        "share/man/man8/codesync-shell.8.gz",
        "lib/systemd/system/codesync-refresh.timer",
    ] {
        ensure!(list.lines().any(|line| line == format!("/usr/{name}")), "no {name} in:\n{list}");
    }
    // Shell that a spec file holds is shell all the same.
    ensure!(
        rpm(&["--queryformat", "%{version} %{license}", "--nosignature"], 1)?.starts_with("1.0")
    );
    Ok(())
}

#[test]
fn every_command_has_completions_and_a_man_page() -> Result<()> {
    if !need(&["bash"])? {
        return Ok(());
    }
    let sandbox = Sandbox::new()?;
    let pages = sandbox.path("man");
    for name in ["ldi", "codesync"] {
        let tool = bin(name)?;
        run(command(&tool).args(["man", "--to"]).arg(&pages))?.success()?;
        let help = run(command(&tool).arg("--help"))?.success()?.out();
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let commands: Vec<&str> = commands
            .take_while(|line| !line.is_empty())
            .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
            .filter(|word| !word.is_empty() && *word != "help")
            .collect();
        ensure!(commands.len() > 10, "{help}");
        let completions = run(command(&tool).args(["completions", "bash"]))?.success()?;
        let file = sandbox.path("completions");
        fs::write(&file, &completions.stdout)?;
        run(command(&program("bash")?).arg("-n").arg(&file))?.success()?;
        for word in commands {
            let page = pages.join(format!("{name}-{word}.1"));
            let text = fs::read_to_string(&page).with_context(|| format!("{name} {word}"))?;
            ensure!(text.contains(".SH SYNOPSIS"), "{}", page.display());
            ensure!(completions.out().contains(word), "{name} {word} is not completed");
        }
        for shell in ["zsh", "fish"] {
            run(command(&tool).args(["completions", shell]))?.success()?;
        }
    }
    Ok(())
}
