//! Progress on a terminal: bars on stderr that hide themselves where that is a file or a pipe.

use std::{env, path::PathBuf};

use codesync::publish::Step;
use indicatif::{ProgressBar, ProgressStyle};

/// Characters of a bar: done, head, to do.
const CHARACTERS: &str = "=> ";

/// A bar in the form of `template`.
fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars(CHARACTERS);
    ProgressBar::no_length().with_style(style)
}

/// A bar that counts bytes.
pub fn bytes(what: &str) -> ProgressBar {
    bar("{msg:<10} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}")
        .with_message(what.to_owned())
}

/// The bars of a publication.
pub struct Publishing {
    bar: ProgressBar,
}

impl Publishing {
    /// Nothing is shown before the first step.
    pub fn new() -> Self {
        Self { bar: bar("{msg:<10} [{bar:30}] {human_pos} of {human_len}, {elapsed}") }
    }

    /// Shows a step.
    pub fn show(&self, step: Step) {
        let (what, done, of) = match step {
            Step::Read { done, of } => ("files", done as u64, of as u64),
            Step::Patched { done, of } => ("patches", done as u64, of as u64),
            Step::Packed { done, of } => ("bundle, KB", done >> 10, of >> 10),
        };
        // Several threads tell; the last word need not be the last step.
        let before = if self.bar.message() == what { self.bar.position() } else { 0 };
        self.bar.set_message(what);
        self.bar.set_length(of);
        self.bar.set_position(done.max(before));
    }

    /// Leaves no trace.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Where this user's programs keep what can be made again.
pub fn cache_folder() -> Option<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CACHE_HOME").or_else(|| {
        let below = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        absolute("HOME").map(|home| home.join(below))
    })?;
    Some(folder.join("codesync"))
}
