//! Random Python modules, packages and scripts: what the loader gives equals what a plain Python
//! gives that has imported every module before.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use e2e::rng::Rng;

use crate::{
    setting::{End, Library, end, run, words},
    versions::pythons,
};

/// Scripts of an ordinary run; more with `LOADER_PYTHON_CASES=N`.
const CASES: u64 = 60;
const MODULES: usize = 8;

/// Top levels of modules. `@s` is the own name, `@l` a module that comes later, `@n` and `@k` digits.
const TOP: &[&str] = &[
    "def f@n(x=0):\n    return ('@s', 'f@n', x)\n",
    "def f@n(x=0):\n    return ('@s', 'f@n', x, sorted(n for n in globals() if n[0] in 'cvf'))\n",
    "def f@n(x=0):\n    import @l as other\n    return getattr(other, 'f@k', repr)(x)\n",
    "def f@n(x=0):\n    from @l import f@k\n    return f@k((x, '@s'))\n",
    "import @l as late\nv@n = late.__name__\n",
    "try:\n    from @l import f@k\nexcept ImportError:\n    f@k = None\n",
    "try:\n    from @l import *\nexcept Exception as error:\n    v@n = type(error).__name__\n",
    "v@n = @k\n",
    "class C@n:\n    kind = '@s'\n    def __repr__(self):\n        return type(self).__module__\n",
    "__all__ = [name for name in ('f1', 'f2', 'v3') if name in globals()]\n",
    "import json, os.path\nv@n = json.dumps({'@s': @k})\n",
    "if __name__ == '__main__':\n    raise SystemExit('started')\n",
    "f@n = lambda x=0: __file__.rsplit('/', 1)[1]\n",
    "from pk import f@k as packed\n",
    "from pk.a import f@k as packed\n",
];

const BROKEN: &[&str] =
    &["def broken(:\n", "raise RuntimeError('@s')\n", "import none_such\n", "v@n = 1 / 0\n"];

/// Modules of the package.
const PACKED: &[&str] = &[
    "from . import b\nv@n = b.__name__\n",
    "from .b import v@k\n",
    "from .. import x\n",
    "from .deep.leaf import f1 as f@n\n",
    "def f@n(x=0):\n    from . import b\n    return (__package__, b.__name__, x)\n",
    "import pk.b as named\nv@n = named.__name__\n",
];

const SCRIPT: &[&str] = &[
    "import @m\nprint(@m.f@n('x'))\n",
    "import @m\nprint(sorted(n for n in vars(@m) if n[0] in 'fvC'), @m.__name__)\n",
    "from @m import f@n as f, v@k as v\nprint(f(v))\n",
    "try:\n    from @m import *\n    print(sorted(n for n in globals() if n[0] in 'fvC'))\nexcept Exception as error:\n    print(type(error).__name__, error)\n",
    "try:\n    import @m\nexcept Exception as error:\n    print(type(error).__name__, getattr(error, 'lineno', None))\n",
    "import importlib\ntry:\n    print(importlib.import_module('@m').f@n())\nexcept Exception as error:\n    print(type(error).__name__)\n",
    "try:\n    import pk.a\n    print(pk.a.__name__, pk.a.__package__, pk.__path__[0].rsplit('/', 1)[1])\nexcept Exception as error:\n    print(type(error).__name__)\n",
    "try:\n    from pk.deep.leaf import f1\n    print(f1('deep'))\nexcept Exception as error:\n    print(type(error).__name__)\n",
    "import near\nprint(near.f(@k))\n",
    "def call():\n    import @m\n    return @m.f@n\ntry:\n    print(call()(1))\nexcept Exception as error:\n    print(type(error).__name__, error)\n",
    "import sys, os\nprint(__name__, sys.argv[1:], os.path.basename(__file__))\n",
    "import inspect, @m\nprint(inspect.getsourcelines(@m)[0][:1], inspect.getmodule(getattr(@m, 'f@n', None)))\n",
    "import pickle, @m\nprint(pickle.loads(pickle.dumps(@m.C@n())).kind)\n",
    "raise SystemExit(@k)\n",
    "print(undefined_@n)\n",
];

#[test]
fn the_loader_equals_eager_imports() -> Result<()> {
    let cases = match std::env::var("LOADER_PYTHON_CASES") {
        Ok(n) => n.parse().context("LOADER_PYTHON_CASES is not a number")?,
        Err(_) => CASES,
    };
    let pythons: Vec<_> = pythons()?.into_values().collect();
    if pythons.is_empty() {
        return Ok(());
    }
    let mut ended_well = 0;
    for seed in 0..cases {
        let mut rng = Rng::new(seed);
        let mut library = Library::light()?;
        for n in 0..MODULES {
            library.file(&format!("modules/m{n}_tools.py"), module(&mut rng, n))?;
        }
        for path in ["pk/__init__.py", "pk/a.py", "pk/b.py", "pk/deep/leaf.py"] {
            let mut text =
                filled(&mut rng, "def f1(x=0):\n    return (__name__, x)\nv@n = '@n'\n", 0);
            if !path.ends_with("leaf.py") && !path.ends_with("b.py") && rng.chance(60) {
                let line = rng.pick(PACKED).unwrap_or_default().to_owned();
                text += &filled(&mut rng, &line, 0);
            }
            library.file(&format!("modules/{path}"), text)?;
        }
        library.file("scripts/near.py", "def f(x):\n    return ('near', x)\n")?;
        let mut text = String::new();
        for _ in 0..1 + rng.below(4) {
            let line = rng.pick(SCRIPT).unwrap_or_default().to_owned();
            text += &filled(&mut rng, &line, 0);
        }
        library.file("scripts/s.py", &text)?;
        let python = &pythons[rng.below(pythons.len())];
        let expected = eager(&library, python)?;
        let namespace = if seed % 2 == 0 { library.release()? } else { library.working()? };
        let mut launch = namespace.script("scripts/s.py", &words(&["a b"]))?;
        launch.program.clone_from(python);
        let done = run(launch)?;
        let same = done.out == expected.out
            && done.code == expected.code
            && last(&done) == last(&expected);
        ended_well += u64::from(done.code == Some(0));
        ensure!(
            same,
            "seed {seed}, {}\n{text}\n--- loader\n{done:?}\n--- eager\n{expected:?}\n{}",
            python.display(),
            shown(&library)?
        );
    }
    eprintln!("{cases} cases, {ended_well} ended with 0");
    ensure!(ended_well > cases / 5, "only {ended_well} of {cases} ended with 0");
    Ok(())
}

/// The complaint, without the way to it.
fn last(end: &End) -> &str {
    end.err.lines().last().unwrap_or_default()
}

fn shown(library: &Library) -> Result<String> {
    let mut text = String::new();
    for n in 0..MODULES {
        let path = library.tree().join(format!("modules/m{n}_tools.py"));
        text += &format!("--- {}\n{}", path.display(), std::fs::read_to_string(&path)?);
    }
    Ok(text)
}

fn module(rng: &mut Rng, own: usize) -> String {
    let mut text = String::new();
    for _ in 0..1 + rng.below(4) {
        let table = if rng.chance(4) { BROKEN } else { TOP };
        let line = rng.pick(table).unwrap_or_default().to_owned();
        text += &filled(rng, &line, own);
    }
    text
}

fn filled(rng: &mut Rng, template: &str, own: usize) -> String {
    // Only later modules: no circle of imports, whose end depends on who comes first.
    let later = own + 1 + rng.below(MODULES);
    let later = if later < MODULES { format!("m{later}_tools") } else { "near".to_owned() };
    template
        .replace("@s", &format!("m{own}_tools"))
        .replace("@l", &later)
        .replace("@m", &format!("m{}_tools", rng.below(MODULES)))
        .replace("@n", &(1 + rng.below(4)).to_string())
        .replace("@k", &(1 + rng.below(4)).to_string())
}

fn eager(library: &Library, python: &Path) -> Result<End> {
    let tree = library.tree();
    let names: Vec<String> = (0..MODULES)
        .map(|n| format!("m{n}_tools"))
        .chain(["pk", "pk.a", "pk.b", "pk.deep.leaf"].map(str::to_owned))
        .collect();
    let text = format!(
        "import sys, runpy, importlib\nsys.path[0:1] = ['{0}/scripts', '{0}/modules']\n\
         sys.argv = ['{0}/scripts/s.py', 'a b']\n\
         for name in {names:?}:\n    try:\n        importlib.import_module(name)\n    except Exception:\n        pass\n\
         runpy.run_path(sys.argv[0], run_name='__main__')\n",
        tree.display()
    );
    let mut command = Command::new(python);
    end(command.args(["-B", "-c", &text]))
}
