//! What a start through the loader costs, beside the bare interpreter and beside loading every
//! module: `cargo run --release -p loader --example bench [--json]`.
//!
//! A generated library of 1,000 bash and 1,000 Python modules with two functions each; each figure
//! is the median of 50 starts, taken in turn, from before the index is opened to the end of the
//! process. `exec` rows start a second process that opens the index and becomes the script, as
//! `ldi exec` does.

use std::{
    error::Error,
    ffi::OsString,
    fmt::Write,
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use loader::{File, Namespace, build_index};
use sha2::{Digest, Sha256};

const MODULES: usize = 1_000;
const ROUNDS: usize = 50;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if let [mode, tree, index, script] = args.as_slice()
        && mode == "exec"
    {
        let namespace = Namespace::release(Path::new(tree), Path::new(index))?;
        let launch = namespace.script(script.to_str().ok_or("script")?, &[])?;
        return Err(launch.command().exec().into());
    }
    let folder = tempfile::tempdir()?;
    let tree = folder.path().join("lib");
    let files = generate(&tree)?;
    let index = folder.path().join("index");
    let mut built = Vec::new();
    for _ in 0..5 {
        let files = files.clone();
        let start = Instant::now();
        build_index(&tree, || files, None, &index)?;
        built.push(start.elapsed());
    }
    let mut rows = measure(&tree, &index)?;
    rows.push(("index of all modules".to_owned(), median(&mut built), None));
    if args.iter().any(|a| a == "--json") {
        let rows: Vec<String> = rows
            .iter()
            .map(|(name, time, _)| format!("{{\"name\":\"{name}\",\"ms\":{:.3}}}", ms(*time)))
            .collect();
        println!("[{}]", rows.join(","));
        return Ok(());
    }
    println!("{MODULES} bash and {MODULES} Python modules; medians of {ROUNDS}\n");
    println!("{:<34} {:>9} {:>12}", "", "ms", "over bare");
    for (name, time, bare) in rows {
        let over = bare.map_or(String::new(), |bare| format!("{:+.2}", ms(time) - ms(bare)));
        println!("{name:<34} {:>9.2} {over:>12}", ms(time));
    }
    println!("\nindex: {} bytes", fs::metadata(&index)?.len());
    Ok(())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Name, median, and the median of the bare interpreter that it is compared with.
type Row = (String, Duration, Option<Duration>);

fn measure(tree: &Path, index: &Path) -> Result<Vec<Row>> {
    let own = std::env::current_exe()?;
    let (bash, python) = (PathBuf::from("/bin/bash"), python()?);
    let command = |program: &Path, args: &[&Path]| {
        let mut command = Command::new(program);
        command.args(args);
        Ok(command)
    };
    let through =
        |script: &str| Ok(Namespace::release(tree, index)?.script(script, &[])?.command());
    let exec = |script: &str| {
        let mut command = Command::new(&own);
        command.arg("exec").arg(tree).arg(index).arg(script);
        Ok(command)
    };
    type Make<'a> = Box<dyn Fn() -> Result<Command> + 'a>;
    let at = |path: &str| tree.join(path);
    let cases: Vec<(&str, usize, Make<'_>)> = vec![
        ("bash, bare", 0, Box::new(|| command(&bash, &[&at("scripts/bare.sh")]))),
        ("bash, loader, no module", 0, Box::new(|| through("scripts/bare.sh"))),
        ("bash, loader, one function", 0, Box::new(|| through("scripts/one.sh"))),
        ("bash, loader, ten functions", 0, Box::new(|| through("scripts/ten.sh"))),
        ("bash, loader, one, by exec", 0, Box::new(|| exec("scripts/one.sh"))),
        ("bash, loader, every module", 0, Box::new(|| through("scripts/every.sh"))),
        ("bash, sourcing all", 0, Box::new(|| command(&bash, &[&at("scripts/all.sh")]))),
        ("python, bare", 8, Box::new(|| command(&python, &[&at("scripts/bare.py")]))),
        ("python, loader, no module", 7, Box::new(|| through("scripts/bare.py"))),
        ("python, loader, one module", 7, Box::new(|| through("scripts/one.py"))),
        ("python, loader, one, by exec", 7, Box::new(|| exec("scripts/one.py"))),
        ("python, importing all", 7, Box::new(|| command(&python, &[&at("scripts/all.py")]))),
    ];
    let mut times = vec![Vec::new(); cases.len()];
    for round in 0..ROUNDS + 2 {
        for ((name, _, make), times) in cases.iter().zip(&mut times) {
            let start = Instant::now();
            let status = make()?.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
            // The first rounds warm the caches.
            if round >= 2 {
                times.push(start.elapsed());
            }
            if !status.success() {
                return Err(format!("{name} failed").into());
            }
        }
    }
    let medians: Vec<Duration> = times.iter_mut().map(|times| median(times)).collect();
    let names = cases.iter().enumerate();
    Ok(names
        .map(|(n, (name, ..))| {
            let bare = if n < 7 { 0 } else { 7 };
            (name.to_string(), medians[n], (n != bare).then(|| medians[bare]))
        })
        .collect())
}

/// A Python of the system, not a wrapper script that stands before it in `PATH`.
fn python() -> Result<PathBuf> {
    let folders = ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"];
    let found = folders.iter().map(|f| Path::new(f).join("python3")).find(|p| p.is_file());
    Ok(found.ok_or("python3 is not installed")?)
}

fn generate(tree: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    let mut write = |path: String, text: String| -> Result<()> {
        let full = tree.join(&path);
        fs::create_dir_all(full.parent().ok_or("folder")?)?;
        fs::write(full, &text)?;
        files.push(File {
            path,
            sha256: Sha256::digest(&text).into(),
            size: text.len() as u64,
            executable: false,
        });
        Ok(())
    };
    let mut all =
        String::from("#!/bin/bash\nfor m in \"${0%/*}\"/../modules/*.sh; do . \"$m\"; done\n");
    all.push_str("check_500 /etc\n");
    for n in 0..MODULES {
        // Each module leans on one of a few that everything leans on.
        let helper = n % 10;
        write(
            format!("modules/m{n:04}.sh"),
            format!(
                "#!/bin/bash\n# Checks and repairs part {n} of a machine.\n\nlimit_{n}={n}\n\n\
             # Prints whether the folder is there.\ncheck_{n}() {{\n  local folder=$1 count=0\n  \
             if [ ! -d \"$folder\" ]; then\n    note_{helper} \"no folder $folder\"\n    return 1\n  fi\n  \
             count=$((count + limit_{n}))\n  printf '%s %s\\n' \"$folder\" \"$count\"\n}}\n\n\
             {}_{n}() {{\n  case \"$1\" in\n    on) echo \"part {n} is on\" ;;\n    off) echo \"part {n} is off\" ;;\n    \
             *) echo \"usage: on or off\" >&2; return 2 ;;\n  esac\n}}\n",
                if n < 10 { "note" } else { "repair" }
            ),
        )?;
        write(
            format!("modules/m{n:04}_tools.py"),
            format!(
                "\"\"\"Checks and repairs part {n} of a machine.\"\"\"\nimport os\n\nLIMIT = {n}\n\n\n\
             def check(folder):\n    \"\"\"Whether the folder is there.\"\"\"\n    return os.path.isdir(folder) and LIMIT\n\n\n\
             def repair(state='on'):\n    if state not in ('on', 'off'):\n        raise ValueError(state)\n    return 'part {n} is %s' % state\n"
            ),
        )?;
    }
    write("scripts/bare.sh".into(), "#!/bin/bash\necho /etc 500\n".into())?;
    write("scripts/one.sh".into(), "#!/bin/bash\ncheck_500 /etc\n".into())?;
    let mut ten = String::from("#!/bin/bash\n");
    for n in 0..10 {
        writeln!(ten, "check_{} /etc", n * 97 + 20)?;
    }
    write("scripts/ten.sh".into(), ten)?;
    write(
        "scripts/every.sh".into(),
        "#!/bin/bash\nread -r n <<< 500\neval \"check_$n /etc\"\n".into(),
    )?;
    write("scripts/all.sh".into(), all)?;
    let first = format!("#!{}\n", python()?.display());
    write("scripts/bare.py".into(), format!("{first}print('/etc', 500)\n"))?;
    write(
        "scripts/one.py".into(),
        format!("{first}import m0500_tools\nprint('/etc', m0500_tools.check('/etc'))\n"),
    )?;
    write(
        "scripts/all.py".into(),
        format!(
            "{first}import sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, sys.argv[0].rpartition('/')[0] + '/../modules')\n\
         for n in range({MODULES}):\n    __import__('m%04d_tools' % n)\nprint('/etc', sys.modules['m0500_tools'].check('/etc'))\n"
        ),
    )?;
    Ok(files)
}
