//! Random libraries and scripts: what the loader gives equals what sourcing every module gives, in
//! output, complaints, status and the environment of child processes.

use std::{
    fmt::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use e2e::rng::Rng;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::{
    grammar,
    setting::{End, Library, words},
};

/// Scripts of an ordinary run, over all parts; more with `LOADER_CASES=N`.
const CASES: u64 = 2_000;
/// Tests that share them, so that they run beside each other.
const PARTS: u64 = 4;
/// Scripts for each library.
const SCRIPTS: u64 = 4;
/// Functions within functions: a handler of unknown commands may call itself.
const NESTING: &str = "40";
/// No case takes a second; what waits for ever does so with the loader and without.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_loader_equals_sourcing_everything_1() -> Result<()> {
    part(0)
}

#[test]
fn the_loader_equals_sourcing_everything_2() -> Result<()> {
    part(1)
}

#[test]
fn the_loader_equals_sourcing_everything_3() -> Result<()> {
    part(2)
}

#[test]
fn the_loader_equals_sourcing_everything_4() -> Result<()> {
    part(3)
}

/// What was seen, so that a test that compares nothing is noticed.
#[derive(Default)]
struct Tally {
    cases: u64,
    narrow: u64,
    sourced: usize,
    modules: usize,
    different: Vec<u64>,
}

fn part(part: u64) -> Result<()> {
    let number = |name: &str| match std::env::var(name) {
        Ok(n) => n.parse().map(Some).with_context(|| format!("{name} is not a number")),
        Err(_) => Ok(None),
    };
    let cases = number("LOADER_CASES")?.unwrap_or(CASES);
    // For one library again: `LOADER_SEED=N`.
    let seeds = match number("LOADER_SEED")? {
        Some(seed) => seed..seed + 1,
        None => 0..cases / SCRIPTS,
    };
    let mut tally = Tally::default();
    for seed in seeds.filter(|seed| seed % PARTS == part) {
        library(seed, &mut tally)?;
    }
    let Tally { cases, narrow, sourced, modules, different } = tally;
    eprintln!("{cases} cases, {narrow} narrow, {sourced} of {modules} modules sourced");
    ensure!(different.is_empty(), "differences with the seeds {different:?}");
    ensure!(cases < 100 || narrow > cases / 3, "only {narrow} of {cases} cases were narrow");
    ensure!(cases < 100 || sourced * 10 < modules * 9, "{sourced} of {modules} were sourced");
    Ok(())
}

/// One random library, and its scripts in turn from a release and from a working tree.
fn library(seed: u64, tally: &mut Tally) -> Result<()> {
    let mut rng = Rng::new(seed);
    // Most libraries only define; the rest does everything that a top level can do.
    let loud = rng.chance(30);
    let mut writer = grammar::Writer::new(rng, loud);
    let mut library = Library::light()?;
    let mut modules = Vec::new();
    for n in 0..4 + writer.below(9) {
        let path = format!("modules/{}{n}.sh", if writer.chance(50) { "m" } else { "M_" });
        library.file(&path, writer.module())?;
        modules.push(path);
    }
    modules.sort();
    library.file("scripts/inc.sh", writer.included())?;
    let mut scripts = Vec::new();
    for n in 0..SCRIPTS {
        let path = format!("scripts/s{n}.sh");
        writer.loud = loud || n == 3;
        library.file(&path, writer.script())?;
        scripts.push(path);
    }
    let namespaces = [library.release()?, library.working()?];
    let args: [&[&str]; 4] = [&["f3", "a b"], &["x"], &[], &["f\"\"2 x; f1"]];
    let args = args[writer.below(args.len())];
    for (script, namespace) in scripts.iter().zip(namespaces.iter().cycle()) {
        let expected = plain(&everything(&library, &modules, script, args)?);
        let reach = namespace.reach(script, &words(args))?;
        let mut launch = namespace.script(script, &words(args))?;
        launch.program = bash();
        let done = plain(&limited(launch.command())?);
        tally.cases += 1;
        tally.modules += modules.len();
        tally.narrow += u64::from(reach.is_some());
        tally.sourced += reach.as_ref().map_or(modules.len(), Vec::len);
        if done != expected {
            tally.different.push(seed);
            eprintln!(
                "=== seed {seed}\n{}\n--- {script} {args:?}\n{}\n--- reached {reach:?}\n--- loader\n{}\n--- everything\n{}\n",
                shown(&library, &modules)?,
                std::fs::read_to_string(library.tree().join(script))?,
                told(&done),
                told(&expected),
            );
        }
    }
    Ok(())
}

/// The bash that is tested: of `LOADER_BASH`, for other versions than the system's.
fn bash() -> PathBuf {
    std::env::var_os("LOADER_BASH").map_or_else(|| "/bin/bash".into(), PathBuf::from)
}

fn told(end: &End) -> String {
    format!(
        "status {:?}, signal {:?}\n{}\n- stderr\n{}\n- end",
        end.code, end.signal, end.out, end.err
    )
}

fn shown(library: &Library, modules: &[String]) -> Result<String> {
    let mut text = String::new();
    for path in modules.iter().map(String::as_str).chain(["scripts/inc.sh"]) {
        write!(text, "--- {path}\n{}", std::fs::read_to_string(library.tree().join(path))?)?;
    }
    Ok(text)
}

/// The same script with every module sourced before it, in the order of bytes.
fn everything(library: &Library, modules: &[String], script: &str, args: &[&str]) -> Result<End> {
    let tree = library.tree();
    let mut text = format!(
        "code='{}' lib='{}'; logs=$code/logs modules=$lib/modules scripts=$lib/scripts autoinit=true\n\
         autoinit() {{ :; }}\n",
        library.root().display(),
        tree.display()
    );
    for path in modules {
        writeln!(text, ". '{}'", tree.join(path).display())?;
    }
    let script = tree.join(script);
    writeln!(text, ". '{}'", script.display())?;
    let mut command = Command::new(bash());
    command.arg("-c").arg(text).arg(script).args(args).env_remove("BASH_ENV");
    limited(command)
}

/// Runs `command`, and ends what does not end by itself.
fn limited(mut command: Command) -> Result<End> {
    command.env("FUNCNEST", NESTING).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().context("cannot start bash")?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let (done, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = killpg(group, Signal::SIGKILL);
            }
        });
        let output = child.wait_with_output();
        drop(done);
        Ok(End::from(output?))
    })
}

/// Without what names the file that a message comes from: see "Differences" in docs/loader.md.
fn plain(end: &End) -> End {
    let text = |text: &str| {
        // The last is a complaint of bash about its own children, which comes and goes.
        let other = ["BASH_", "LDI_", "wait_for: No record"];
        let lines = text.lines().filter(|line| !other.iter().any(|word| line.contains(word)));
        let lines = lines.map(|line| line.split_once(": line ").map_or(line, |(_, rest)| rest));
        // What BASH_SOURCE says in a function that was exported to another bash.
        let lines = lines.map(|line| line.replace("in environment f", "in  f"));
        lines.collect::<Vec<_>>().join("\n")
    };
    End { err: text(&end.err), out: text(&end.out), ..*end }
}
