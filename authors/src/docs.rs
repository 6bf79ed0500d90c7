//! What the modules of a tree offer and what of it runs when, as Markdown, HTML or JSON.
//!
//! Says what comments and docstrings say; runs nothing of the tree.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::Error;

mod book;
mod html;
mod markdown;

/// Words of the command.
#[derive(Debug, Args)]
#[command(after_help = "Example: codesync docs --tree . --html --out site/library.html")]
pub struct Options {
    /// The tree: the folder that holds modules/, scripts/ and conf/
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub tree: PathBuf,
    /// One HTML page that needs nothing else, in place of Markdown
    #[arg(long, conflicts_with = "json")]
    pub html: bool,
    /// Write it here; into a folder as library.md, library.html or library.json [default: stdout]
    #[arg(long, value_name = "PATH")]
    pub out: Option<PathBuf>,
    /// JSON, for other tools
    #[arg(long)]
    pub json: bool,
}

/// Writes them.
pub fn run(options: &Options) -> Result<ExitCode, Error> {
    let book = book::Book::of(&options.tree)?;
    let (text, name) = match (options.html, options.json) {
        (true, _) => (html::page(&book), "library.html"),
        (_, true) => (format!("{:#}\n", serde_json::json!(book)), "library.json"),
        _ => (markdown::page(&book), "library.md"),
    };
    match &options.out {
        None => crate::print(&text)?,
        Some(out) => {
            let out = file(out, name);
            fs::write(&out, text).map_err(|e| Error::io("write", out, e))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn file(out: &Path, name: &str) -> PathBuf {
    if out.is_dir() { out.join(name) } else { out.to_owned() }
}
