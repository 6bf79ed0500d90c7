//! What is run: the library's own tests, every module, every job and collector.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::{bin, command, need, parts::need_bins, process::run_within, program, run};
use tempfile::TempDir;

use crate::{is_bash, modules, name, shipped};

/// A client's folder with the library as release 1.
struct Client {
    root: TempDir,
}

impl Client {
    fn new() -> Result<Self> {
        let root = tempfile::tempdir()?;
        let release = root.path().join("releases/1");
        for folder in ["modules", "scripts", "conf"] {
            for file in shipped(folder)? {
                let path = release.join(file.strip_prefix(e2e::parts::repository())?);
                fs::create_dir_all(path.parent().context("no parent")?)?;
                fs::copy(&file, &path)?;
            }
        }
        std::os::unix::fs::symlink("releases/1", root.path().join("lib"))?;
        for folder in ["logs", "state", "empty"] {
            fs::create_dir(root.path().join(folder))?;
        }
        Ok(Self { root })
    }

    /// What a run of a job sees.
    fn job(&self, program: &Path, job: &str) -> Command {
        let root = self.root.path();
        let mut command = command(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", root.join("state"))
            .env("LANG", "C.UTF-8")
            .env("LDI_ROOT", root)
            .env("LDI_LIB", root.join("lib"))
            .env("LDI_TIER", job.split('/').next().unwrap_or_default())
            .env("LDI_JOB", job)
            .env("LDI_RUN", "1")
            .env("LDI_RELEASE", "1")
            .env("LDI_STATE_DIR", root.join("state"))
            .env("LARGE_FILES_SECONDS", "5")
            .env("PYTHONPATH", root.join("lib/modules"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .current_dir(root.join("empty"));
        command
    }
}

/// Sources all modules as the loader does for a script that reaches them all, then the script.
const WITH_MODULES: &str = r#"for m in "$LDI_LIB"/modules/*.sh; do . "$m"; done
code=$LDI_ROOT lib=$LDI_LIB logs=$LDI_ROOT/logs modules=$lib/modules scripts=$lib/scripts autoinit=true
set -euo pipefail
. "$0""#;

/// As many tests as there are; none may get lost.
const TESTS: u64 = 344;

/// The library's own tests, with `options` for `codesync test`.
fn library_tests(options: &[&str]) -> Result<()> {
    if !(need(&["python3", "bash", "script"])? && need_bins(&["codesync"])?) {
        return Ok(());
    }
    let mut command = command(&bin("codesync")?);
    command.args(["test", "--json", "--timeout", "300", "--tree", "."]).args(options);
    command.arg("tests/library").current_dir(e2e::parts::repository());
    let done = run_within(&mut command, Duration::from_secs(330))?;
    let said = done.json()?;
    let failed: Vec<_> = said["results"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|test| test["failures"].as_array().is_some_and(|f| !f.is_empty()))
        .map(ToString::to_string)
        .collect();
    ensure!(failed.is_empty() && done.code() == 0, "{}\n{}", failed.join("\n"), done.err());
    let tests = said["tests"].as_u64().unwrap_or(0);
    ensure!(tests >= TESTS || options.len() > 2, "only {tests} tests of {TESTS} were found");
    let cache = e2e::parts::repository().join("modules/__pycache__");
    ensure!(!cache.exists(), "{} was written", cache.display());
    Ok(())
}

#[test]
fn the_tests_of_the_library_pass() -> Result<()> {
    library_tests(&[])
}

/// With every other bash and Python that is installed, but for the one that runs usually.
#[test]
fn the_tests_of_the_library_pass_with_other_interpreters() -> Result<()> {
    let known = [
        ("--bash", "bash", "_test.sh::", "bash bash-3.2 bash-4.4 bash-5.2 bash3.2 bash4.4"),
        (
            "--python",
            "python3",
            ".py::",
            "python3.9 python3.10 python3.11 python3.12 python3.13 python3.14",
        ),
    ];
    for (option, usual, filter, names) in known {
        let usual = program(usual).and_then(|path| Ok(path.canonicalize()?)).ok();
        for name in names.split_whitespace() {
            let Some(path) = e2e::parts::find(name) else { continue };
            if path.canonicalize().ok() != usual {
                library_tests(&[option, &path.to_string_lossy(), "--filter", filter])
                    .with_context(|| format!("with {}", path.display()))?;
            }
        }
    }
    Ok(())
}

#[test]
fn shellcheck_is_silent() -> Result<()> {
    if !need(&["shellcheck"])? {
        return Ok(());
    }
    let mut files = modules("sh")?;
    for script in shipped("scripts")? {
        if is_bash(&script)? {
            files.push(script);
        }
    }
    run(command(&program("shellcheck")?).arg("--exclude=SC1091").arg("--").args(files))?
        .success()?;
    Ok(())
}

/// Scripts pay for what they reach: nothing happens when a module is read.
#[test]
fn sourcing_all_modules_only_defines_functions() -> Result<()> {
    if !need(&["bash"])? {
        return Ok(());
    }
    let client = Client::new()?;
    // An empty PATH: a command at top level would fail, and be heard.
    let body = r#"PATH= ; before=" $(compgen -v) "; before=${before//$'\n'/ }
for m in "$LDI_LIB"/modules/*.sh; do . "$m" || echo "$m ended with $?"; done
for v in $(compgen -v); do
  case $v in m | v | before | BASH_* | _) continue ;; esac
  case $before in *" $v "*) ;; *) echo "variable $v" ;; esac
done
case $- in *[euv]*) echo "options $-" ;; esac
trap"#;
    let done = run(client.job(&program("bash")?, "x/y").args(["-c", body]))?.success()?;
    ensure!(done.stdout.is_empty() && done.stderr.is_empty(), "sourcing was noticed: {done}");
    let left = fs::read_dir(client.root.path().join("empty"))?.count();
    ensure!(left == 0, "sourcing made {left} files");
    // Twice, and under the strictest options.
    let strict = r#"set -euo pipefail; for i in 1 2; do for m in "$LDI_LIB"/modules/*.sh; do . "$m"; done; done"#;
    run(client.job(&program("bash")?, "x/y").args(["-c", strict]))?.success()?;
    Ok(())
}

#[test]
fn every_python_module_imports_alone() -> Result<()> {
    if !need(&["python3"])? {
        return Ok(());
    }
    let client = Client::new()?;
    for module in modules("py")? {
        let stem = name(&module).trim_end_matches(".py").to_owned();
        let mut command = client.job(&program("python3")?, "x/y");
        let done =
            run(command.args(["-W", "error", "-c", &format!("import {stem}")]))?.success()?;
        ensure!(
            done.stdout.is_empty() && done.stderr.is_empty(),
            "import {stem} was noticed: {done}"
        );
    }
    Ok(())
}

#[test]
fn every_script_runs_and_ends_with_0() -> Result<()> {
    if !need(&["bash", "python3"])? {
        return Ok(());
    }
    let client = Client::new()?;
    let scripts = client.root.path().join("lib/scripts");
    let all = shipped("scripts")?;
    ensure!(all.len() >= 8, "found only {} scripts", all.len());
    for script in all {
        let job = script.strip_prefix(e2e::parts::repository().join("scripts"))?;
        let path = scripts.join(job);
        let label = job.display().to_string();
        let mut command = if is_bash(&script)? {
            let mut command = client.job(&program("bash")?, &label);
            command.arg("-c").arg(WITH_MODULES).arg(&path);
            command
        } else {
            let mut command = client.job(&program("python3")?, &label);
            command.arg(&path);
            command
        };
        let done = run_within(&mut command, Duration::from_secs(60))?.success()?;
        ensure!(done.stderr.is_empty(), "{label} complained: {done}");
        ensure!(!done.stdout.is_empty(), "{label} said nothing");
        if label.starts_with("collect/") {
            done.json()?;
            // What changes from one run to the next would fill the audit trail.
            let again = run_within(&mut command, Duration::from_secs(60))?;
            ensure!(again.stdout == done.stdout, "{label} flaps:\n{done}\n{again}");
        }
    }
    let left: Vec<_> = fs::read_dir(client.root.path().join("empty"))?.collect();
    ensure!(left.is_empty(), "the scripts left {left:?} in their working folder");
    Ok(())
}

/// Without the loader the guard line brings the modules along.
#[test]
fn bash_scripts_run_by_hand() -> Result<()> {
    if !need(&["bash"])? {
        return Ok(());
    }
    let client = Client::new()?;
    for script in shipped("scripts")? {
        if !is_bash(&script)? {
            continue;
        }
        let job = script.strip_prefix(e2e::parts::repository())?;
        let path = client.root.path().join("lib").join(job);
        let mut command = client.job(&path, &job.display().to_string());
        command.env_remove("LDI_LIB").env_remove("LDI_ROOT").env_remove("LDI_RUN");
        let done = run_within(&mut command, Duration::from_secs(60))?.success()?;
        ensure!(done.stderr.is_empty(), "{} complained: {done}", job.display());
    }
    Ok(())
}
