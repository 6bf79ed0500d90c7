//! What a start through the loader costs, beside the bare interpreter and beside loading every
//! module; and what the index of a release costs.
//!
//! 1,000 bash modules with 2,000 functions and 1,000 Python modules. A start is timed from before
//! the index is opened to the end of the process.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{Sandbox, parts};
use loader::{File, Former, Namespace, build_index};
use sha2::{Digest, Sha256};

use crate::numbers::{Aim, Figure, Samples, Unit};

const MODULES: usize = 1_000;
/// What the loader may add to a bare start, in milliseconds.
const ONE_FUNCTION: f64 = 1.0;
const TEN_FUNCTIONS: f64 = 3.0;
const ONE_TOOL: f64 = 8.0;
/// The library whose index is made.
const INDEXED: usize = 10_000;
const CHANGED: usize = 10;
const WHOLE_INDEX: f64 = 2_000.0;
const NEXT_INDEX: f64 = 100.0;
/// Starts are short: more of them than rounds of other cases.
const STARTS: usize = 5;

/// A way to start something, and what it is compared with.
struct Start<'a> {
    case: &'static str,
    name: &'static str,
    make: Box<dyn Fn() -> Result<Command> + 'a>,
    /// What it may add to the first start of its case.
    added: Option<(&'static str, f64)>,
}

/// Starting scripts.
pub fn starts(rounds: usize) -> Result<Vec<Figure>> {
    let sandbox = Sandbox::with_library()?;
    sandbox.configure(&[&sandbox.file_url()], None)?;
    let python = parts::program("python3")?;
    library(&sandbox, &python)?;
    sandbox.publish()?;
    sandbox.synced()?;
    let tree = sandbox.lib();
    let index = sandbox.path("index");
    let signed = files(&tree)?;
    build_index(&tree, || signed, None, &index)?;
    let bash = parts::program("bash")?;
    let bare = |program: &Path, script: &str| {
        let mut command = Command::new(program);
        command.arg(tree.join(script));
        Ok(command)
    };
    let through =
        |script: &str| Ok(Namespace::release(&tree, &index)?.script(script, &[])?.command());
    let exec = |script: &str| sandbox.ldi_command(&sandbox.config(), &["exec", script]);
    let start = |case, name, make, added| Start { case, name, make, added };
    let (one, ten) =
        (("one function, added", ONE_FUNCTION), ("ten functions, added", TEN_FUNCTIONS));
    let tool = ("one tool, added", ONE_TOOL);
    let list = vec![
        start("bash", "bare", Box::new(|| bare(&bash, "scripts/bare.sh")), None),
        start("bash", "no module", Box::new(|| through("scripts/bare.sh")), None),
        start("bash", "one function", Box::new(|| through("scripts/one.sh")), Some(one)),
        start("bash", "ten functions", Box::new(|| through("scripts/ten.sh")), Some(ten)),
        start("bash", "every module", Box::new(|| through("scripts/every.sh")), None),
        start("bash", "sourcing all", Box::new(|| bare(&bash, "scripts/all.sh")), None),
        start("bash", "one function, ldi exec", Box::new(|| exec("scripts/one.sh")), None),
        start("python", "bare", Box::new(|| bare(&python, "scripts/bare.py")), None),
        start("python", "no tool", Box::new(|| through("scripts/bare.py")), None),
        start("python", "one tool", Box::new(|| through("scripts/one.py")), Some(tool)),
        start("python", "eager imports", Box::new(|| bare(&python, "scripts/all.py")), None),
        start("python", "one tool, ldi exec", Box::new(|| exec("scripts/one.py")), None),
    ];
    measured(&list, rounds * STARTS)
}

fn measured(list: &[Start<'_>], rounds: usize) -> Result<Vec<Figure>> {
    let mut times = vec![Samples::default(); list.len()];
    let mut added = times.clone();
    for round in 0..rounds + 2 {
        let mut bare = ("", Duration::ZERO);
        for ((start, times), added) in list.iter().zip(&mut times).zip(&mut added) {
            let begun = Instant::now();
            let status = (start.make)()?.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            let took = begun.elapsed();
            ensure!(status.success(), "{}, {} failed", start.case, start.name);
            if bare.0 != start.case {
                bare = (start.case, took);
            }
            // The first rounds warm the caches.
            if round >= 2 {
                times.time(took);
                added.add((took.as_secs_f64() - bare.1.as_secs_f64()) * 1000.0);
            }
        }
    }
    let mut figures = Vec::new();
    for ((start, samples), added) in list.iter().zip(times).zip(added) {
        let figure = |name, samples, aim| Figure {
            files: MODULES,
            case: start.case,
            name,
            unit: Unit::Time,
            samples,
            aim,
        };
        figures.push(figure(start.name, samples, Aim::None));
        if let Some((name, most)) = start.added {
            figures.push(figure(name, added, Aim::AtMost(most)));
        }
    }
    Ok(figures)
}

/// What an activation adds for the loader.
pub fn index(rounds: usize) -> Result<Vec<Figure>> {
    let folder = tempfile::tempdir()?;
    let before = folder.path().join("before");
    for n in 0..INDEXED {
        put(&before, &format!("modules/m{n:05}.sh"), &bash_module(n))?;
    }
    let old = files(&before)?;
    // Ten modules do something else; or they define something more.
    let mut trees = Vec::new();
    for (name, more) in [("body", "  : more\n}\n"), ("names", "}\nmore_of_it() { :; }\n")] {
        let tree = folder.path().join(name);
        for file in &old {
            let full = tree.join(&file.path);
            fs::create_dir_all(full.parent().context("no folder")?)?;
            fs::hard_link(before.join(&file.path), full)?;
        }
        let mut changed = Vec::new();
        for n in 0..CHANGED {
            let path = format!("modules/m{:05}.sh", n * (INDEXED / CHANGED));
            let text = bash_module(n * (INDEXED / CHANGED));
            let text = text.trim_end().strip_suffix('}').context("no end")?.to_owned() + more;
            fs::remove_file(tree.join(&path))?;
            put(&tree, &path, &text)?;
            changed.push(path);
        }
        let now = files(&tree)?;
        let changed: Vec<File> =
            now.iter().filter(|f| changed.contains(&f.path)).cloned().collect();
        trees.push((tree, now, changed));
    }
    let (out, next) = (folder.path().join("index"), folder.path().join("next"));
    let (mut whole, mut body, mut names) =
        (Samples::default(), Samples::default(), Samples::default());
    for _ in 0..rounds {
        let given = old.clone();
        let begun = Instant::now();
        build_index(&before, || given, None, &out)?;
        whole.time(begun.elapsed());
        for ((tree, now, changed), samples) in trees.iter().zip([&mut body, &mut names]) {
            let given = now.clone();
            let former = Former { tree: &before, index: &out, changed: Some(changed) };
            let begun = Instant::now();
            build_index(tree, || given, Some(former), &next)?;
            samples.time(begun.elapsed());
        }
    }
    let figure = |name, samples, most| Figure {
        files: INDEXED,
        case: "index",
        name,
        unit: Unit::Time,
        samples,
        aim: Aim::AtMost(most),
    };
    Ok(vec![
        figure("of all modules", whole, WHOLE_INDEX),
        figure("ten changed", body, NEXT_INDEX),
        figure("ten with new names", names, NEXT_INDEX),
    ])
}

fn put(tree: &Path, path: &str, text: &str) -> Result<()> {
    e2e::tree::put(tree, path, text.as_bytes(), text.starts_with("#!"))
}

/// Every module and script of `tree`, as signed.
fn files(tree: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for folder in ["modules", "scripts"] {
        let Ok(entries) = fs::read_dir(tree.join(folder)) else { continue };
        for entry in entries {
            let name = entry?.file_name().into_string().ok().context("a name that is not UTF-8")?;
            let path = format!("{folder}/{name}");
            let text = fs::read(tree.join(&path))?;
            files.push(File {
                sha256: Sha256::digest(&text).into(),
                size: text.len() as u64,
                executable: text.starts_with(b"#!"),
                path,
            });
        }
    }
    Ok(files)
}

/// Two functions, of which some lean on one of a few that everything leans on.
fn bash_module(n: usize) -> String {
    let helper = n % 10;
    let second = if n < 10 { "note" } else { "repair" };
    format!(
        "#!/bin/bash\n# Checks and repairs part {n} of a machine.\n\nlimit_{n}={n}\n\n\
         # Prints whether the folder is there.\ncheck_{n}() {{\n  local folder=$1 count=0\n  \
         if [ ! -d \"$folder\" ]; then\n    note_{helper} \"no folder $folder\"\n    return 1\n  fi\n  \
         count=$((count + limit_{n}))\n  printf '%s %s\\n' \"$folder\" \"$count\"\n}}\n\n\
         {second}_{n}() {{\n  case \"$1\" in\n    on) echo \"part {n} is on\" ;;\n    \
         off) echo \"part {n} is off\" ;;\n    *) echo \"usage: on or off\" >&2; return 2 ;;\n  esac\n}}\n"
    )
}

fn python_module(n: usize) -> String {
    format!(
        "\"\"\"Checks and repairs part {n} of a machine.\"\"\"\nimport os\n\nLIMIT = {n}\n\n\n\
         def check(folder):\n    \"\"\"Whether the folder is there.\"\"\"\n    \
         return os.path.isdir(folder) and LIMIT\n\n\n\
         def repair(state='on'):\n    if state not in ('on', 'off'):\n        \
         raise ValueError(state)\n    return 'part {n} is %s' % state\n"
    )
}

fn library(sandbox: &Sandbox, python: &Path) -> Result<()> {
    let tree: PathBuf = sandbox.tree();
    for n in 0..MODULES {
        put(&tree, &format!("modules/m{n:04}.sh"), &bash_module(n))?;
        put(&tree, &format!("modules/m{n:04}_tools.py"), &python_module(n))?;
    }
    let mut ten = String::from("#!/bin/bash\n");
    for n in 0..10 {
        writeln!(ten, "check_{} /etc", n * 97 + 20)?;
    }
    let all = "for m in \"${0%/*}\"/../modules/*.sh; do . \"$m\"; done";
    let first = format!("#!{}\n", python.display());
    for (path, text) in [
        ("scripts/bare.sh", "#!/bin/bash\necho /etc 500\n".to_owned()),
        ("scripts/one.sh", "#!/bin/bash\ncheck_500 /etc\n".to_owned()),
        ("scripts/ten.sh", ten),
        ("scripts/every.sh", "#!/bin/bash\nread -r n <<< 500\neval \"check_$n /etc\"\n".to_owned()),
        ("scripts/all.sh", format!("#!/bin/bash\n{all}\ncheck_500 /etc\n")),
        ("scripts/bare.py", format!("{first}print('/etc', 500)\n")),
        (
            "scripts/one.py",
            format!("{first}import m0500_tools\nprint('/etc', m0500_tools.check('/etc'))\n"),
        ),
        (
            "scripts/all.py",
            format!(
                "{first}import sys\nsys.dont_write_bytecode = True\n\
                 sys.path.insert(0, sys.argv[0].rpartition('/')[0] + '/../modules')\n\
                 for n in range({MODULES}):\n    __import__('m%04d_tools' % n)\n\
                 print('/etc', sys.modules['m0500_tools'].check('/etc'))\n"
            ),
        ),
    ] {
        put(&tree, path, &text)?;
    }
    Ok(())
}
