//! Where log lines go: standard error; for the daemon also `ROOT/logs/ldi.log`, and under systemd
//! the journal, with fields, in place of standard error.
//!
//! Every line of a tier carries `tier`, every line of a run `job` and `run`: they come from spans.

mod file;

use std::{io::IsTerminal, path::Path};

use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

pub use file::{KEPT, LIMIT, Rotating};

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_env("LDI_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}

/// Sends log lines to standard error; `LDI_LOG` chooses which.
pub fn to_stderr(default: &str) {
    let colours = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    // A second call, as in a test, keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .try_init();
}

/// The daemon's log lines: see the module.
pub fn of_daemon(root: &Path) {
    let file =
        tracing_subscriber::fmt::layer().with_writer(Rotating::new(root.join("logs/ldi.log")));
    let journal = journal();
    let stderr = journal.is_none().then(|| {
        // No colours in either: what spans say is written once for both.
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false)
    });
    let _ = tracing_subscriber::registry()
        .with(filter("info"))
        .with(file.with_ansi(false).with_target(false))
        .with(stderr.map(|layer| layer.with_target(false)))
        .with(journal)
        .try_init();
}

/// The journal, when the service manager has connected standard error to it
/// (systemd.exec(5), `JOURNAL_STREAM`).
fn journal() -> Option<tracing_journald::Layer> {
    let stream = std::env::var("JOURNAL_STREAM").ok()?;
    let own = nix::sys::stat::fstat(std::io::stderr()).ok()?;
    if stream != format!("{}:{}", own.st_dev, own.st_ino) {
        return None;
    }
    let priorities = PriorityMappings { info: Priority::Informational, ..PriorityMappings::new() };
    let layer = tracing_journald::layer().ok()?.with_field_prefix(None);
    Some(layer.with_priority_mappings(priorities).with_syslog_identifier("ldi".to_owned()))
}
