//! What a Python script sees, with every Python of this machine from 3.9 on: those of the usual
//! folders and of pyenv, or those that `LOADER_PYTHON` names (paths with `:` between).

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Result;
use e2e::parts;
use loader::{Launch, pyexec};

use crate::setting::{End, Library, end, run, words};

/// Version (minor) and program.
pub fn pythons() -> Result<BTreeMap<u32, PathBuf>> {
    let mut programs: Vec<PathBuf> = Vec::new();
    if let Some(named) = std::env::var_os("LOADER_PYTHON") {
        programs.extend(std::env::split_paths(&named));
    } else {
        let mut folders: Vec<PathBuf> =
            ["/usr/bin", "/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from).into();
        let home = std::env::var_os("HOME").unwrap_or_default();
        let pyenv = std::fs::read_dir(Path::new(&home).join(".pyenv/versions"));
        folders.extend(pyenv.into_iter().flatten().flatten().map(|one| one.path().join("bin")));
        for folder in folders {
            programs.push(folder.join("python3"));
            programs.extend((9..=20).map(|minor| folder.join(format!("python3.{minor}"))));
        }
    }
    let mut found = BTreeMap::new();
    for program in programs.into_iter().filter(|program| program.is_file()) {
        let mut command = Command::new(&program);
        let said = end(command.args(["-c", "import sys; print(sys.version_info[1])"]))?;
        if let Ok(minor) = said.out.trim().parse()
            && minor >= 9
        {
            found.entry(minor).or_insert(program);
        }
    }
    if found.is_empty() {
        parts::absent(&["python3"])?;
    }
    eprintln!("with Python 3.x: {:?}", found.keys());
    Ok(found)
}

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    library
        .file("modules/a_tools.py", "import b_tools\ndef twice(x):\n    return b_tools.join(x, x)\n")?
        .file("modules/b_tools.py", "def join(*parts):\n    return '-'.join(parts)\nclass Point:\n    def __init__(self, x):\n        self.x = x\n    def __eq__(self, other):\n        return self.x == other.x\n")?
        .file("modules/broken_tools.py", "def broken(:\n")?
        .file("modules/pack/__init__.py", "from . import inner\nfrom .deep.leaf import value\n")?
        .file("modules/pack/inner.py", "from .deep import leaf\nfrom . import deep\nsame = deep.leaf is leaf\n")?
        .file("modules/pack/deep/__init__.py", "")?
        .file("modules/pack/deep/leaf.py", "from .. import inner\nimport b_tools\nvalue = b_tools.join('l', 'f')\n")?
        .file("modules/pack/__main__.py", "import sys\nfrom . import inner\nprint('pack', sys.argv[1:], __name__, inner.same, sys.argv[0] == __file__)\n")?
        .file("modules/pack/cli.py", "import sys\nfrom .inner import same\nif __name__ == '__main__':\n    print('cli', sys.argv[1:], same, __package__)\n    sys.exit(4)\n")?
        .file("modules/pack/data.txt", "data\n")?
        .file("modules/loose/part.py", "value = 8\n")?
        .file("scripts/daily/beside.py", "name = 'beside'\n")?;
    Ok(library)
}

fn with(mut launch: Launch, python: &Path) -> Result<End> {
    launch.program = python.to_owned();
    run(launch)
}

#[test]
fn imports_of_every_kind() -> Result<()> {
    let mut library = library()?;
    library.file(
        "scripts/daily/x.py",
        "import sys, os, pickle, importlib, importlib.resources, importlib.util, pkgutil\n\
         import a_tools, pack, loose.part, beside\n\
         from b_tools import Point\n\
         print(a_tools.twice('x'), pack.value, pack.inner.same, loose.part.value, beside.name)\n\
         print(pickle.loads(pickle.dumps(Point(3))) == Point(3), Point.__module__)\n\
         print(importlib.resources.read_text('pack', 'data.txt') if sys.version_info < (3, 13)\n\
         \x20     else importlib.resources.files('pack').joinpath('data.txt').read_text(), end='')\n\
         print(importlib.resources.files('pack').joinpath('data.txt').read_text(), end='')\n\
         print(pkgutil.get_data('pack', 'data.txt'))\n\
         print(sorted(m.name for m in pkgutil.iter_modules(pack.__path__)))\n\
         print(importlib.util.find_spec('broken_tools') is not None, 'broken_tools' in sys.modules)\n\
         print(importlib.reload(a_tools).twice('y'), importlib.import_module('.leaf', 'pack.deep').value)\n\
         try:\n    import broken_tools\nexcept SyntaxError as e:\n    print('broken', e.filename == a_tools.__file__.replace('a_', 'broken_'))\n\
         try:\n    import none_tools\nexcept ModuleNotFoundError as e:\n    print(e)\n\
         print(os.path.relpath(__file__, os.path.dirname(os.path.dirname(pack.__path__[0]))), sys.argv[1:])\n",
    )?;
    let expected = "x-x l-f True 8 beside\nTrue b_tools\ndata\ndata\nb'data\\n'\n\
                    ['__main__', 'cli', 'deep', 'inner']\nTrue False\ny-y l-f\nbroken True\n\
                    No module named 'none_tools'\nscripts/daily/x.py ['a b', '']\n";
    for (minor, python) in pythons()? {
        for namespace in [library.release()?, library.working()?] {
            let launch = namespace.script("scripts/daily/x.py", &words(&["a b", ""]))?;
            let done = with(launch, &python)?;
            let err: Vec<&str> = done.err.lines().filter(|l| !l.contains("Deprecat")).collect();
            assert_eq!((done.out.as_str(), done.code), (expected, Some(0)), "3.{minor}: {err:?}");
        }
    }
    Ok(())
}

#[test]
fn processes_that_start_anew_have_the_same_modules_and_main() -> Result<()> {
    let mut library = library()?;
    // The file is overwritten before a child could read it: what was verified is what runs.
    library.file(
        "scripts/spawn.py",
        "import multiprocessing, sys, concurrent.futures\nimport a_tools, b_tools, pack\n\
         def work(point):\n    import loose.part\n    return a_tools.twice(point.x), loose.part.value, __name__\n\
         def nested(x):\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n        return pool.map(a_tools.twice, [x])\n\
         if __name__ == '__main__':\n\
         \x20   if sys.argv[1] == 'overwrite':\n        open(__file__, 'w').write('print(\"evil\")\\n')\n\
         \x20   points = [b_tools.Point(x) for x in 'ab']\n\
         \x20   for method in 'spawn', 'forkserver', 'fork':\n\
         \x20       with multiprocessing.get_context(method).Pool(1) as pool:\n            print(method, pool.map(work, points))\n\
         \x20   context = multiprocessing.get_context('spawn')\n\
         \x20   with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:\n        print(pool.submit(nested, 'n').result())\n",
    )?;
    let lines = "spawn [('a-a', 8, '__mp_main__'), ('b-b', 8, '__mp_main__')]\n\
                 forkserver [('a-a', 8, '__mp_main__'), ('b-b', 8, '__mp_main__')]\n\
                 fork [('a-a', 8, '__main__'), ('b-b', 8, '__main__')]\n['n-n']\n";
    let script = library.tree().join("scripts/spawn.py");
    let text = std::fs::read(&script)?;
    for (minor, python) in pythons()? {
        for (namespace, word) in [(library.release()?, "overwrite"), (library.working()?, "leave")]
        {
            let done = with(namespace.script("scripts/spawn.py", &words(&[word]))?, &python)?;
            assert_eq!((done.out.as_str(), done.code), (lines, Some(0)), "3.{minor}: {}", done.err);
            std::fs::write(&script, &text)?;
        }
    }
    Ok(())
}

#[test]
fn options_of_pyexec() -> Result<()> {
    let mut library = library()?;
    library
        .file("scripts/raise.py", "def f():\n    secret = 41\n    return 1 / 0\nf()\n")?
        .file("scripts/late.py", "import sys, pdb\nprint('late', sys.last_type.__name__, a_tools if 'a_tools' in globals() else None)\npdb.post_mortem()\n")?;
    let namespace = library.release()?;
    let input = library.root().join("input");
    for (minor, python) in pythons()? {
        let done = |args: &[&str], typed: &str| -> Result<(String, Option<i32>, String)> {
            std::fs::write(&input, typed)?;
            let mut launch = pyexec(&namespace, &words(args))?;
            launch.program = python.clone();
            let mut command = launch.command();
            command.stdin(std::fs::File::open(&input)?).stdout(Stdio::piped());
            let done = End::from(command.output()?);
            Ok((done.out, done.code, done.err))
        };
        let (out, code, err) = done(&["-m", "pack", "a", "-i", "--onerror"], "")?;
        let expected = "pack ['a', '-i', '--onerror'] __main__ True True\n";
        assert_eq!((out.as_str(), code), (expected, Some(0)), "3.{minor}: {err}");
        let (out, code, err) = done(&["-m", "pack.cli", "b"], "")?;
        assert_eq!((out.as_str(), code), ("cli ['b'] True pack\n", Some(4)), "3.{minor}: {err}");
        let (out, code, _) = done(&["-m", "json.tool", "--compact"], "{\"a\": 1}")?;
        assert_eq!((out.trim(), code), ("{\"a\":1}", Some(0)), "3.{minor}");
        let (_, code, err) = done(&["-m", "pack.none"], "")?;
        assert!(code == Some(1) && err.contains("No module named 'pack.none'"), "3.{minor}: {err}");

        let (out, code, err) = done(&["-c", "print(a_tools.twice('c'))"], "")?;
        assert_eq!((out.as_str(), code), ("c-c\n", Some(0)), "3.{minor}: {err}");
        let (out, _, err) = done(&["-i", "-c", "x = a_tools.twice('i')"], "print(x)\n")?;
        assert!(out.ends_with("i-i\n"), "3.{minor}: {out} {err}");
        let late = ["--onerror", "scripts/late.py", "scripts/raise.py"];
        let (out, code, err) = done(&late, "p secret + 1\nq\n")?;
        let seen = out.starts_with("late ZeroDivisionError None\n") && out.contains("42");
        assert!(seen && code == Some(1), "3.{minor}: {out} {err}");
        assert!(err.contains("scripts/raise.py\", line 3, in f"), "3.{minor}: {err}");
        assert!(!err.contains("importlib") && !err.contains("/dev/fd"), "3.{minor}: {err}");
    }
    Ok(())
}
