//! Files are swapped in a loop while they are started: what runs is what was signed, or nothing.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Result, ensure};
use loader::{Error, Namespace};

use crate::setting::{Library, out, run};

const ROUNDS: usize = 180;

/// Scripts and all that they reach: bash, sh and Python, modules and packages.
const GOOD: [(&str, &str); 7] = [
    ("scripts/x.sh", "#!/bin/bash\necho good; helper\n"),
    ("modules/m.sh", "helper() { echo good; }\n"),
    ("scripts/p", "#!/bin/sh\necho good\n"),
    ("scripts/x.py", "import m_tools, pack.inner\nprint('good', m_tools.word, pack.inner.word)\n"),
    ("modules/m_tools.py", "word = 'good'\n"),
    ("modules/pack/__init__.py", "print('good')\n"),
    ("modules/pack/inner.py", "word = 'good'\n"),
];

/// What every start in the race must hold to.
fn race(library: &Library, disturb: impl Fn(usize) -> Result<()> + Sync) -> Result<()> {
    let index = library.root().join("index");
    let stop = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    let done = thread::scope(|scope| {
        let swapper = scope.spawn(|| -> Result<()> {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                disturb(round)?;
            }
            Ok(())
        });
        let mut work = || -> Result<()> {
            for round in 0..ROUNDS {
                let path = match round % 9 {
                    0 => "scripts/x.py",
                    1 => "scripts/p",
                    _ => "scripts/x.sh",
                };
                let launch = Namespace::release(&library.tree(), &index)
                    .and_then(|namespace| namespace.script(path, &[]));
                match launch {
                    Ok(launch) => {
                        let done = run(launch)?;
                        ensure!(!done.out.contains("evil"), "{done:?}");
                        let stopped = done.err.contains("is not what was signed");
                        ensure!(stopped || done.code == Some(0), "{done:?}");
                        ran += 1;
                    }
                    Err(Error::Tampered { .. } | Error::Damaged { .. }) => refused += 1,
                    Err(other) => return Err(other.into()),
                }
            }
            Ok(())
        };
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        worked.and(swapper.join().unwrap_or_else(|_| anyhow::bail!("the swapper panicked")))
    });
    done?;
    eprintln!("{ran} ran, {refused} were refused");
    ensure!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused: no race was seen");
    Ok(())
}

/// By rename and by writing in place in turn.
fn swap(full: &Path, bytes: &[u8], round: usize) -> Result<()> {
    if round.is_multiple_of(3) {
        return Ok(fs::write(full, bytes)?);
    }
    let beside = full.with_extension("beside");
    fs::write(&beside, bytes)?;
    Ok(fs::rename(&beside, full)?)
}

fn library() -> Result<Library> {
    let mut library = Library::new()?;
    for (path, text) in GOOD {
        library.file(path, text)?;
    }
    let _ = library.release()?;
    Ok(library)
}

#[test]
fn a_swap_never_gets_its_bytes_run() -> Result<()> {
    let library = library()?;
    let tree = library.tree();
    race(&library, |round| {
        for (path, good) in GOOD {
            // Same length, so that only the bytes tell.
            let evil = good.replace("good", "evil");
            let text = if round.is_multiple_of(2) { evil.as_str() } else { good };
            swap(&tree.join(path), text.as_bytes(), round)?;
        }
        Ok(())
    })
}

#[test]
fn a_swapped_index_is_refused_or_good() -> Result<()> {
    let library = library()?;
    let path = library.root().join("index");
    let good = fs::read(&path)?;
    race(&library, |round| {
        let mut bytes = good.clone();
        match round % 4 {
            0 => bytes.truncate(round % good.len()),
            1 => bytes[round % good.len()] ^= 0x20,
            2 => bytes = fs::read("/proc/version").unwrap_or_default(),
            _ => {}
        }
        swap(&path, &bytes, round)
    })
}

/// What was handed over cannot be changed by the one who runs it, nor by its children.
#[test]
#[cfg(target_os = "linux")]
fn sealed_bytes_stay_as_they_are() -> Result<()> {
    let mut library = Library::new()?;
    library.file("modules/m.sh", "helper() { echo good; }\n")?.file(
        "scripts/x.sh",
        "#!/bin/bash\nhelper\nfor fd in /proc/$$/fd/1[0-9][0-9]; do\n\
         \x20 { echo 'echo evil' > \"$fd\"; } 2>/dev/null && echo evil\n\
         \x20 { exec 5<> \"$fd\" && echo 'echo evil' >&5; } 2>/dev/null && echo evil\n\
         \x20 sh -c 'echo \"echo evil\" >> \"$0\"' \"$fd\" 2>/dev/null && echo evil\n\
         \x20 seen=$fd\ndone\n[ -n \"$seen\" ] && echo tried\n",
    )?;
    assert_eq!(out(&library.release()?, "scripts/x.sh", &[])?, "good\ntried\n");
    Ok(())
}
