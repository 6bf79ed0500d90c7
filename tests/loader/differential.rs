//! Random libraries and scripts: what the loader gives equals what sourcing every module gives.

use std::{fmt::Write, process::Command};

use anyhow::{Context, Result, ensure};
use e2e::rng::Rng;

use crate::setting::{End, Library, end, run, words};

/// Cases of one run; more with `LOADER_CASES=N`.
const CASES: u64 = 220;
const FUNCTIONS: usize = 24;
const VARIABLES: usize = 10;

#[test]
fn the_loader_equals_sourcing_everything() -> Result<()> {
    let cases = match std::env::var("LOADER_CASES") {
        Ok(n) => n.parse().context("LOADER_CASES is not a number")?,
        Err(_) => CASES,
    };
    let (mut narrow, mut sourced, mut all) = (0, 0, 0);
    for seed in 0..cases {
        let mut rng = Rng::new(seed);
        // Most libraries only define; the rest does everything that a top level can do.
        let quiet = rng.chance(65);
        let mut library = Library::new()?;
        let mut modules = Vec::new();
        for n in 0..4 + rng.below(9) {
            let path = format!("modules/{}{n}.sh", if rng.chance(50) { "m" } else { "M_" });
            library.file(&path, module(&mut rng, quiet))?;
            modules.push(path);
        }
        modules.sort();
        let text = script(&mut rng, quiet);
        library.file("scripts/s.sh", &text)?;
        let args: Vec<&str> = if rng.chance(50) { vec!["f3", "a b"] } else { vec!["x"] };

        let expected = plain(&everything(&library, &modules, &args)?);
        let mut found = Vec::new();
        for namespace in [library.release()?, library.working()?] {
            let reach = namespace.reach("scripts/s.sh", &words(&args))?;
            all += modules.len();
            narrow += usize::from(reach.is_some());
            sourced += reach.as_ref().map_or(modules.len(), Vec::len);
            found.push(reach);
            let done = plain(&run(namespace.script("scripts/s.sh", &words(&args))?)?);
            ensure!(
                done == expected,
                "seed {seed}\n{}\n--- script\n{text}\n--- reached {found:?}\n--- loader\n{done:?}\n--- everything\n{expected:?}",
                shown(&library, &modules)?
            );
        }
    }
    eprintln!(
        "{cases} cases, {narrow} of {} narrow, {sourced} of {all} modules sourced",
        cases * 2
    );
    ensure!(narrow as u64 > cases / 2, "only {narrow} of {} cases were narrow", cases * 2);
    ensure!(sourced * 10 < all * 8, "{sourced} of {all} modules were sourced");
    Ok(())
}

fn shown(library: &Library, modules: &[String]) -> Result<String> {
    let mut text = String::new();
    for path in modules {
        write!(text, "--- {path}\n{}", std::fs::read_to_string(library.tree().join(path))?)?;
    }
    Ok(text)
}

/// The same script with every module sourced before it, in the order of bytes.
fn everything(library: &Library, modules: &[String], args: &[&str]) -> Result<End> {
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
    let script = tree.join("scripts/s.sh");
    writeln!(text, ". '{}'", script.display())?;
    let mut command = Command::new("/bin/bash");
    command.arg("-c").arg(text).arg(script).args(args).env_remove("BASH_ENV");
    end(&mut command)
}

/// Without what names the file that a message comes from.
fn plain(end: &End) -> End {
    let text = |text: &str| {
        let lines = text.lines().map(|line| match line.split_once(": line ") {
            Some((_, rest)) => rest,
            None => line,
        });
        lines.collect::<Vec<_>>().join("\n")
    };
    End { err: text(&end.err), out: text(&end.out), ..*end }
}

/// Function `n`; some names have a dash.
fn f(n: usize) -> String {
    if n % 5 == 4 { format!("f-{n}") } else { format!("f{n}") }
}

fn v(rng: &mut Rng) -> String {
    format!("v{}", rng.below(VARIABLES))
}

fn module(rng: &mut Rng, quiet: bool) -> String {
    let mut text = String::from("#!/bin/bash\n# f0 f1 v0 are only words in a comment\n");
    if rng.chance(10) {
        let _ = writeln!(text, "[ -n \"${}\" ] && return 0", v(rng));
    }
    for _ in 0..1 + rng.below(5) {
        let n = rng.below(FUNCTIONS);
        let name = f(n);
        match rng.below(if quiet { 17 } else { 22 }) {
            0..=9 => {
                let body = body(rng, n, quiet);
                let _ = writeln!(text, "{name}() {{\n{body}}}");
            }
            10 => {
                let _ = writeln!(text, "function {name} {{ echo \"$v1 ${{v2:-none}}\"; }}");
            }
            11 => {
                let _ = writeln!(text, "{name}() (\n  v3=inner; echo \"{name} $v3\"\n)");
            }
            12 | 13 => {
                let _ = writeln!(text, "{}=w{}", v(rng), rng.below(9));
            }
            14 => {
                let _ = writeln!(text, "{}+=p{}", v(rng), rng.below(9));
            }
            15 => {
                let _ = writeln!(text, "{}=\"${}/x\"", v(rng), v(rng));
            }
            16 => {
                let (a, b) = (v(rng), rng.below(9));
                let _ = writeln!(
                    text,
                    "if [ -n \"${a}\" ]; then {name}() {{ echo cond{b}; }}; else {}=else{b}; fi",
                    v(rng)
                );
            }
            17 => {
                let _ = writeln!(text, ": \"${{{}:=default{}}}\"", v(rng), rng.below(9));
            }
            18 if rng.chance(30) => {
                let _ = writeln!(text, "export {}=exported", v(rng));
            }
            19 if rng.chance(30) => {
                let _ = writeln!(text, "{}=$({} 2>/dev/null)", v(rng), f(rng.below(FUNCTIONS)));
            }
            20 if rng.chance(30) => {
                let _ = writeln!(text, "unset -f {name}");
            }
            21 if rng.chance(30) => {
                let _ = writeln!(text, "declare -u {}=abc", v(rng));
            }
            _ => {
                let _ = writeln!(text, "{}=(one \"two ${{{}}}\" f{n})", v(rng), v(rng));
            }
        }
    }
    text
}

/// The body of function `n`, which calls only later ones: no endless recursion.
fn body(rng: &mut Rng, n: usize, quiet: bool) -> String {
    let mut text = String::new();
    for _ in 0..1 + rng.below(3) {
        let later = f(n + 1 + rng.below(FUNCTIONS));
        let var = v(rng);
        let _ = match rng.below(if quiet { 11 } else { 14 }) {
            0..=3 => writeln!(text, "  echo \"f{n} $1 ${var}\""),
            4..=6 => writeln!(text, "  {later} \"${var}\" 2>/dev/null | tail -n 1"),
            7 => writeln!(text, "  local {var}=local\n  {later}"),
            8 => writeln!(text, "  {var}=set{n}"),
            9 => writeln!(text, "  cat <<END\n${{{var}}} $({later} here)\nEND"),
            10 => writeln!(text, "  case \"${var}\" in w*) {later} ;; *) echo 'other)' ;; esac"),
            11 if rng.chance(40) => {
                writeln!(text, "  local cmd=$1; shift; [ $# -gt 0 ] && \"$cmd\" \"$@\"")
            }
            12 if rng.chance(20) => {
                writeln!(text, "  local name=f; \"${{name}}{}\" 2>/dev/null", n + 1)
            }
            13 if rng.chance(20) => writeln!(text, "  inner{n}() {{ {later} x; }}\n  inner{n}"),
            _ => writeln!(text, "  echo $(( ${{#{var}}} + {n} ))"),
        };
    }
    text
}

fn script(rng: &mut Rng, quiet: bool) -> String {
    let mut text = String::from(
        "#!/bin/bash\n[ -z $autoinit ] && { . /Library/code/lib/modules/autoinit.sh; autoinit; }\n",
    );
    if rng.chance(20) {
        text.push_str("set -euo pipefail\n");
    }
    for _ in 0..1 + rng.below(4) {
        let name = f(rng.below(FUNCTIONS));
        let (a, b) = (v(rng), v(rng));
        let _ = match rng.below(if quiet { 21 } else { 30 }) {
            0..=6 => writeln!(text, "{name} one \"two 2\" || echo status $?"),
            7..=9 => writeln!(text, "echo \"${a} ${{{b}[@]}}\""),
            10 => writeln!(text, "( {a}=changed; {name} sub )\necho \"${a}\""),
            11 => writeln!(text, "x=$({name} <<< \"${a}\" 2>/dev/null) || true; echo \"$x\""),
            12 => writeln!(text, "{name}() {{ echo own; }}\n{name}\n{} f2", f(rng.below(4))),
            13 => writeln!(text, "for c in f1 f2 {name}; do $c loop || :; done"),
            14 => writeln!(text, "cmd={name}; \"$cmd\" var || :"),
            15 => writeln!(text, "\"$@\" 2>/dev/null || echo no"),
            16 => writeln!(text, "trap '{name} bye || :' EXIT"),
            17 => writeln!(text, "cat <<X\n${{{a}:-unset}} `{name} old 2>/dev/null`\nX"),
            18 => writeln!(text, "bash -c 'echo \"child ${a}\"'"),
            19 => writeln!(text, "type {name} 2>/dev/null | head -n 1 || :"),
            20 => writeln!(text, "do_it() {{ \"$@\"; }}\ndo_it {name} passed || :"),
            21 if rng.chance(50) => {
                writeln!(text, "n={}; \"f$n\" part 2>/dev/null || :", rng.below(9))
            }
            22 if rng.chance(50) => {
                writeln!(text, "p=v; p=${{p}}{}; echo \"${{!p:-none}}\"", rng.below(8))
            }
            23 if rng.chance(50) => writeln!(text, "eval \"{name} \\$1\" || :"),
            24 if rng.chance(50) => {
                writeln!(text, "declare -F | wc -l; set | grep -c '^v[0-9]=' || :")
            }
            25 => writeln!(text, "if {name} cond >/dev/null 2>&1; then echo yes; else echo no; fi"),
            26 => writeln!(text, "acts=({name} arg); \"${{acts[@]}}\" || :"),
            27 => writeln!(text, "echo \"${{#{a}[@]}} $(( ${{#{b}}} + 1 ))\" 2>/dev/null || :"),
            28 => writeln!(text, "{name} $( {} 2>/dev/null ) || :", f(rng.below(FUNCTIONS))),
            _ => writeln!(
                text,
                "while read -r line; do {name} \"$line\" || :; done < <(printf '%s\\n' a \"${{{a}:-}}\")"
            ),
        };
    }
    if rng.chance(30) {
        let _ = writeln!(text, "exit {}", rng.below(4));
    }
    text
}
