//! Starts Python with the modules of the tree importable, each read and checked when it is used.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
};

use crate::{Error, File, Launch, Namespace, bytes};

const BOOT: &str = include_str!("boot.py");
/// What few starts need, as text until then.
const MORE: &str = include_str!("more.py");
const FD_BOOT: i32 = 110;
const FD_SCRIPT: i32 = 111;
const FD_TABLE: i32 = 112;
const FD_LATE: i32 = 113;

/// What Python is to do.
#[derive(Debug, Default)]
pub struct Task<'a> {
    /// The program text, and `__file__`.
    pub file: Option<(Vec<u8>, PathBuf)>,
    /// Folder within the tree whose modules come first.
    pub beside: Option<&'a str>,
    /// `-c`.
    pub code: Option<&'a OsStr>,
    /// `module.function`.
    pub call: Option<&'a str>,
    /// `-m`.
    pub module: Option<&'a OsStr>,
    /// Then a prompt.
    pub interactive: bool,
    /// Every `*_tools` is a global.
    pub globals: bool,
    /// Run after an uncaught exception.
    pub late: Option<(Vec<u8>, PathBuf)>,
    /// For Python itself.
    pub options: Vec<OsString>,
    /// `sys.argv`.
    pub argv: Vec<OsString>,
}

/// Prepares `task` for `program`.
pub fn launch(namespace: &Namespace, program: PathBuf, task: Task<'_>) -> Result<Launch, Error> {
    let mut head: Vec<u8> = Vec::new();
    let mut field = |text: &[u8]| {
        head.extend_from_slice(text);
        head.push(0);
    };
    let (mode, what): (&[u8], &[u8]) = match &task {
        Task { call: Some(name), .. } => (b"call", name.as_bytes()),
        Task { module: Some(name), .. } => (b"module", name.as_bytes()),
        Task { code: Some(code), .. } => (b"code", code.as_bytes()),
        Task { file: Some(_), .. } => (b"file", b""),
        _ => (b"none", b""),
    };
    field(mode);
    field(namespace.tree.as_os_str().as_bytes());
    field(task.file.as_ref().map_or(b"", |(_, path)| path.as_os_str().as_bytes()));
    field(what);
    field(task.late.as_ref().map_or(b"", |(_, path)| path.as_os_str().as_bytes()));
    let mut flags = String::new();
    for (on, flag) in
        [(namespace.index.verified(), 's'), (task.interactive, 'i'), (task.globals, 'g')]
    {
        if on {
            flags.push(flag);
        }
    }
    field(flags.as_bytes());
    field(MORE.as_bytes());
    if let Some(folder) = task.beside {
        head.extend_from_slice(&siblings(namespace, folder));
    }
    head.extend_from_slice(namespace.index.python());
    head.push(b'\n');

    // In the name that Python leaves out of tracebacks, as it does with its own import code.
    let boot = format!(
        "b = r'''{BOOT}'''\n\
         exec(compile(b, '<frozen importlib._bootstrap_external>', 'exec'), \
         {{'__name__': 'ldi', '__builtins__': __builtins__, '_source': b}})\n"
    );
    let mut fds = vec![(bytes::seal(boot.as_bytes())?, FD_BOOT), (bytes::seal(&head)?, FD_TABLE)];
    if let Some((text, _)) = &task.file {
        fds.push((bytes::seal(text)?, FD_SCRIPT));
    }
    if let Some((text, _)) = &task.late {
        fds.push((bytes::seal(text)?, FD_LATE));
    }
    let mut args = task.options;
    if task.interactive {
        args.push("-i".into());
    }
    args.push(format!("/dev/fd/{FD_BOOT}").into());
    args.extend(task.argv);
    Ok(Launch { program, arg0: None, args, env: Vec::new(), env_remove: Vec::new(), fds })
}

/// The modules that stand beside a script, as a plain start of the script would find them.
fn siblings(namespace: &Namespace, folder: &str) -> Vec<u8> {
    let index = &namespace.index;
    let prefix = format!("{folder}/");
    if !index.verified() {
        return table(&crate::tree::python_files(&namespace.tree, folder, 1), folder, false);
    }
    let mut files = Vec::new();
    for at in index.first_file(&prefix)..index.files() {
        let Some(entry) = index.file(at) else { break };
        let Some(rest) = entry.path.strip_prefix(&prefix) else { break };
        if !rest.ends_with(".py") {
            continue;
        }
        let Some(sha256) = entry.sha256.and_then(|s| s.try_into().ok()) else { continue };
        files.push(File {
            path: entry.path.to_owned(),
            sha256,
            size: entry.size,
            executable: entry.executable,
        });
    }
    table(&files, folder, true)
}

/// The 64 digits of `path`'s hash in a [`table`] of a verified tree, if it is in it.
pub fn hash_of<'a>(table: &'a mut [u8], path: &str) -> Option<&'a mut [u8]> {
    let mark = format!("\0{path}\0");
    let at = table.windows(mark.len()).position(|part| part == mark.as_bytes())?;
    let from = at + mark.len();
    table.get_mut(from..from + 64)
}

/// `\nNAME\0PATH\0HASH\0KIND` for each module beneath `folder`; KIND is m, p (package) or n
/// (package without `__init__.py`).
pub fn table(files: &[File], folder: &str, verified: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut folders = std::collections::BTreeSet::new();
    let prefix = format!("{folder}/");
    for file in files {
        let Some(rest) = file.path.strip_prefix(&prefix).and_then(|r| r.strip_suffix(".py")) else {
            continue;
        };
        let mut parts: Vec<&str> = rest.split('/').collect();
        if !parts.iter().all(|part| is_identifier(part)) {
            continue;
        }
        for depth in 1..parts.len() {
            folders.insert(parts[..depth].join("/"));
        }
        let package = parts.last() == Some(&"__init__");
        if package {
            parts.pop();
        }
        if parts.is_empty() {
            continue;
        }
        let hash = if verified { hex::encode(file.sha256) } else { String::new() };
        let name = parts.join(".");
        // A package is found before a module of the same name, as Python does it.
        let row = format!("\n{name}\0{}\0{hash}\0{}", file.path, if package { 'p' } else { 'm' });
        if package {
            out.splice(0..0, row.bytes());
        } else {
            out.extend_from_slice(row.as_bytes());
        }
        seen.insert(name);
    }
    for folder_path in folders {
        let name = folder_path.replace('/', ".");
        if !seen.contains(&name) {
            out.extend_from_slice(format!("\n{name}\0{prefix}{folder_path}\0\0n").as_bytes());
        }
    }
    out
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
}
