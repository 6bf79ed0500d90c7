//! Files are swapped in a loop while they are started: what runs is what was signed, or nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Result;
use loader::Error;

use crate::setting::{Library, run};

const ROUNDS: usize = 150;

#[test]
fn a_swap_never_gets_its_bytes_run() -> Result<()> {
    let mut library = Library::new()?;
    let good = [
        ("scripts/x.sh", "#!/bin/bash\necho good; helper\n"),
        ("modules/m.sh", "helper() { echo good; }\n"),
        ("scripts/x.py", "import m_tools\nprint(m_tools.word)\n"),
        ("modules/m_tools.py", "word = 'good'\n"),
    ];
    for (path, text) in good {
        library.file(path, text)?;
    }
    let namespace = library.release()?;
    let tree = library.tree();
    let stop = AtomicBool::new(false);
    let (mut ran, mut refused) = (0, 0);
    thread::scope(|scope| -> Result<()> {
        scope.spawn(|| {
            // Same length, so that only the bytes tell; by rename and by writing in place.
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                for (path, text) in good {
                    let evil = text.replace("good", "evil");
                    let full = tree.join(path);
                    let beside = tree.join("beside");
                    let text = if round % 2 == 0 { evil.as_str() } else { text };
                    let swapped = if round % 3 == 0 {
                        std::fs::write(&full, text)
                    } else {
                        std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &full))
                    };
                    if swapped.is_err() {
                        return;
                    }
                }
            }
        });
        let mut work = || -> Result<()> {
            for round in 0..ROUNDS {
                let path = if round % 10 == 0 { "scripts/x.py" } else { "scripts/x.sh" };
                match namespace.script(path, &[]) {
                    Ok(launch) => {
                        let done = run(launch)?;
                        anyhow::ensure!(!done.out.contains("evil"), "{done:?}");
                        ran += 1;
                    }
                    Err(Error::Tampered { .. }) => refused += 1,
                    Err(other) => return Err(other.into()),
                }
            }
            Ok(())
        };
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        worked
    })?;
    eprintln!("{ran} ran, {refused} were refused");
    anyhow::ensure!(ran > 0 && refused > 0, "{ran} ran, {refused} were refused: no race was seen");
    Ok(())
}
