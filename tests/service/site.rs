//! A machine with a real service manager and a signed library that it syncs from, as files of its
//! own: no network is needed.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::{Container, Sandbox, parts, process, program, tree};

const TIERS: &str = r#"
[tier.startup]
at = "boot"
delay = "1s"
[tier.tick]
cron = "*/2 * * * * *"
"#;

/// Runs every two seconds: says so, then does what a file in /run asks for, once.
const TICK: &str = r#"#!/bin/sh
echo "$LDI_RUN" >>/var/log/ticks
[ -e /run/order ] || exit 0
mv /run/order /run/order.taken
sh -eu /run/order.taken >/run/order.output 2>&1
"#;

const NOTE: &str = "#!/bin/sh\ncat /proc/sys/kernel/random/boot_id >>/var/log/boots\n";

/// The machine, and its publisher.
pub struct Site {
    /// The machine.
    pub container: Container,
    sandbox: Sandbox,
}

impl Site {
    /// A machine that is off, with the library in /srv/library and /etc/ldi/root.json; `None` when
    /// a part is missing and need not be there.
    pub fn new() -> Result<Option<Self>> {
        if !parts::need_bins(&["ldi", "codesync", "codesync-serve", "codesync-shell"])? {
            return Ok(None);
        }
        let Some(container) = Container::new()? else { return Ok(None) };
        let sandbox = Sandbox::with_library()?;
        tree::put(&sandbox.tree(), "scripts/tick/work", TICK.as_bytes(), true)?;
        tree::put(&sandbox.tree(), "scripts/startup/note", NOTE.as_bytes(), true)?;
        sandbox.put("conf/tiers.toml", TIERS)?;
        sandbox.publish()?;
        container.copy_in(&sandbox.library(), "/srv/library")?;
        // What takes 5 s on a real machine is waited for here again and again.
        let dropin = container.root().join("etc/systemd/system/ldi.service.d");
        fs::create_dir(&dropin)?;
        fs::write(dropin.join("test.conf"), "[Service]\nRestartSec=1s\n")?;
        let site = Self { container, sandbox };
        site.restore_root()?;
        Ok(Some(site))
    }

    /// Writes the ldi.toml that a configuration tool would.
    pub fn configure(&self) -> Result<()> {
        let text = "[sync]\nsource = [\"file:///srv/library\"]\n[daemon]\nresume_splay = \"1s\"\n";
        fs::write(self.container.root().join("etc/ldi/ldi.toml"), text)?;
        Ok(())
    }

    /// Puts the library's root.json back where a purge or a test took it from.
    pub fn restore_root(&self) -> Result<()> {
        self.container.copy_in(&self.sandbox.keys().join("root.json"), "/etc/ldi/root.json")
    }

    /// Makes the package `ldi` and puts it on the machine, once for each version; where they are
    /// there.
    pub fn packages<const N: usize>(&self, versions: [&str; N]) -> Result<[String; N]> {
        let out = self.sandbox.path("packages");
        let made = package(&out, "0", &["--only", "ldi", "deb"])?;
        let made = made.first().context("no package was made")?;
        let unpacked = self.sandbox.path("unpacked");
        let tool = || Ok::<_, anyhow::Error>(process::command(&program("dpkg-deb")?));
        process::run(tool()?.arg("--raw-extract").arg(made).arg(&unpacked))?.success()?;
        let control = unpacked.join("DEBIAN/control");
        let text = fs::read_to_string(&control)?;
        for version in versions {
            fs::write(
                &control,
                text.replace("\nVersion: 0\n", &format!("\nVersion: {version}\n")),
            )?;
            let package = self.container.root().join(format!("srv/ldi_{version}.deb"));
            let mut build = tool()?;
            build.args(["-Znone", "--root-owner-group", "--build"]).arg(&unpacked).arg(package);
            process::run(&mut build)?.success()?;
        }
        Ok(versions.map(|version| format!("/srv/ldi_{version}.deb")))
    }

    /// The same as .rpm.
    pub fn rpms<const N: usize>(&self, versions: [&str; N]) -> Result<[String; N]> {
        for version in versions {
            let made = package(&self.sandbox.path("packages"), version, &["--only", "ldi", "rpm"])?;
            let made = made.first().context("no package was made")?;
            self.container.copy_in(made, &format!("/srv/ldi_{version}.rpm"))?;
        }
        Ok(versions.map(|version| format!("/srv/ldi_{version}.rpm")))
    }

    /// The lines of a file that jobs write.
    pub fn lines(&self, file: &str) -> usize {
        let file = self.container.root().join(file.trim_start_matches('/'));
        fs::read_to_string(file).map_or(0, |text| text.lines().count())
    }

    /// Waits until the tier `tick` has run twice more.
    pub fn ticks(&mut self) -> Result<()> {
        let before = self.lines("/var/log/ticks");
        let line = format!("test $(wc -l </var/log/ticks) -ge {}", before + 2);
        self.container.until(&line, 60)
    }

    /// The daemon's process id, inside.
    pub fn main_pid(&self) -> Result<String> {
        let line = "systemctl show --property=MainPID --value ldi.service";
        Ok(self.container.sh(line)?.trim().to_owned())
    }

    /// Waits until the service runs as another process than `old`, and the jobs go on.
    pub fn comes_back(&mut self, old: &str) -> Result<()> {
        self.container.until(
            &format!(
                "systemctl is-active --quiet ldi.service
                test \"$(systemctl show --property=MainPID --value ldi.service)\" != {old}"
            ),
            60,
        )?;
        self.ticks()
    }

    /// Lets the next run of the tier `tick` do `script`; returns when it has begun.
    pub fn order(&mut self, script: &str) -> Result<()> {
        self.container.sh(&format!(
            "rm -f /run/order.taken; cat >/run/order.new <<'END'\n{script}\nEND
            mv /run/order.new /run/order"
        ))?;
        self.container.until("test -e /run/order.taken", 60)
    }

    /// The outcomes of the runs of `tick` that were not `ok`, and of the last ones.
    pub fn history(&self) -> Result<Vec<(String, String)>> {
        let done = self.container.run(&["ldi", "history", "--json", "--limit", "1000"])?;
        let runs = done.success()?.json()?;
        let runs = runs.as_array().context("history is not a list")?;
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(runs.iter().map(|run| (text(&run["run"]), text(&run["outcome"]))).collect())
    }

    /// Requires that every run that began is in the journal exactly once, and how often each
    /// outcome but `ok` is there.
    pub fn accounted(&self, others: &[(&str, usize)]) -> Result<()> {
        // In this order: what begins meanwhile is in the journal before it writes its line.
        let begun = fs::read_to_string(self.container.root().join("var/log/ticks"))?;
        let history = self.history()?;
        for run in begun.lines() {
            let found = history.iter().filter(|(name, _)| name == run).count();
            ensure!(found == 1, "run {run} is {found} times in the journal");
        }
        let mut wrong = Vec::new();
        for (_, outcome) in &history {
            if !["ok", "running"].contains(&outcome.as_str()) {
                wrong.push(outcome.as_str());
            }
        }
        for (outcome, times) in others {
            let found = wrong.iter().filter(|o| *o == outcome).count();
            ensure!(found == *times, "{found} runs are {outcome}, not {times}: {wrong:?}");
        }
        let expected: usize = others.iter().map(|(_, times)| times).sum();
        ensure!(wrong.len() == expected, "other outcomes: {wrong:?}");
        Ok(())
    }

    /// See [`paths`].
    pub fn paths(&self) -> Result<Vec<String>> {
        paths(&self.container)
    }
}

/// Every path of a machine that outlives a boot, but for what keeps records of packages and boots.
pub fn paths(container: &Container) -> Result<Vec<String>> {
    let records = "/proc /sys /dev /run /tmp /srv /var/log /var/cache /var/tmp /var/backups \
        /var/lib/apt /var/lib/dpkg /var/lib/private /var/lib/systemd";
    let prune: Vec<String> =
        records.split_whitespace().map(|path| format!("-path {path}")).collect();
    let line = format!("find / \\( {} \\) -prune -o -print | sort", prune.join(" -o "));
    Ok(container.sh(&line)?.lines().map(str::to_owned).collect())
}

/// Runs dist/package on the programs of this build; the packages that it made.
pub fn package(out: &std::path::Path, version: &str, words: &[&str]) -> Result<Vec<PathBuf>> {
    let folder = parts::bin("ldi")?;
    let folder = folder.parent().context("a program without a folder")?;
    let mut command = process::command(&program("sh")?);
    command.arg(parts::repository().join("dist/package")).arg("--binaries").arg(folder);
    command.arg("--out").arg(out).args(["--version", version]).args(words);
    let done = process::run_within(&mut command, std::time::Duration::from_secs(300))?;
    Ok(done.success()?.out().lines().map(PathBuf::from).collect())
}
