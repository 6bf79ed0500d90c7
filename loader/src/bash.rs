//! Starts bash with the modules that a script reaches.
//!
//! Owns the prelude, which must be understood by bash 3.2: globals, then one `.` per module, then
//! the script, all in the one process that is started. Script and modules come from descriptors
//! (verified trees) or from their own paths (working trees).

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::OwnedFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use crate::{
    Error, Launch, Namespace, bytes,
    closure::{self, Reach},
    index::{MODULE_OWN_SOURCE, MODULE_RETURNS},
    scan,
};

/// Numbers that scripts do not use by habit, below the 256 that macOS allows.
const FD_PRELUDE: i32 = 109;
const FD_SCRIPT: i32 = 110;
const FD_MODULES: i32 = 120;
const FD_END: i32 = 250;
/// More modules than this stand in the prelude itself, each in an `eval` of its own.
const MAX_DESCRIPTORS: usize = 64;
/// Holds, in each verified file, what `BASH_SOURCE` means there.
const OWN_SOURCE: &str = "LDI_SOURCE";

/// The script's text and what it is called.
pub struct Script<'a> {
    /// Its bytes.
    pub text: &'a [u8],
    /// Absolute; `$0`.
    pub path: PathBuf,
    /// Read it from `path` rather than from a private copy.
    pub in_place: bool,
}

/// The prelude under construction.
struct Prelude {
    text: Vec<u8>,
    fds: Vec<(OwnedFd, i32)>,
    sources: usize,
}

impl Prelude {
    fn line(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.text.extend_from_slice(part);
        }
        self.text.push(b'\n');
    }

    /// The text with `BASH_SOURCE`, where it means this file, replaced by a variable that names it:
    /// bash takes BASH_SOURCE from the path it reads, which is a descriptor, and lets nobody set it.
    fn own_source(&mut self, text: &[u8], offsets: &[usize], path: &Path) -> Vec<u8> {
        let name = format!("{OWN_SOURCE}{}", self.sources);
        self.sources += 1;
        self.line(&[name.as_bytes(), b"=", &quote(path.as_os_str())]);
        let mut out = Vec::with_capacity(text.len());
        let mut from = 0;
        let mut offsets = offsets.to_vec();
        offsets.sort_unstable();
        for at in offsets {
            if at >= from && text[at..].starts_with(b"BASH_SOURCE") {
                out.extend_from_slice(&text[from..at]);
                out.extend_from_slice(name.as_bytes());
                from = at + b"BASH_SOURCE".len();
            }
        }
        out.extend_from_slice(&text[from..]);
        out
    }
}

/// `'…'`, which means itself to every shell.
fn quote(text: &OsStr) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &b in text.as_bytes() {
        if b == b'\'' { out.extend_from_slice(b"'\\''") } else { out.push(b) }
    }
    out.push(b'\'');
    out
}

/// Prepares `script` for `program`, with options from its first line.
pub fn script(
    namespace: &Namespace,
    program: PathBuf,
    options: Vec<OsString>,
    script: &Script<'_>,
    args: &[OsString],
) -> Result<Launch, Error> {
    let facts = scan::scan(script.text);
    let reach = closure::reach(&namespace.index, &facts, args)?;
    let mut prelude = prelude(namespace, &reach)?;
    let mut start = b". /dev/fd/109".to_vec();
    let mut before = Vec::new();
    let mut options = options.into_iter().peekable();
    while let Some(option) = options.next() {
        // What `set` understands must not be in force while modules are sourced.
        let letters = option.as_bytes().strip_prefix(b"-").unwrap_or_default();
        if option == "-o" {
            let named = options.next().unwrap_or_default();
            start.extend_from_slice(b"; set -o ");
            start.extend_from_slice(&quote(&named));
        } else if !letters.is_empty() && letters.iter().all(|b| b"abefhkmntuvxBCEHPT".contains(b)) {
            start.extend_from_slice(b"; set ");
            start.extend_from_slice(option.as_bytes());
        } else if option != "--" && option != "-" {
            before.push(option);
        }
    }
    if script.in_place {
        start.extend_from_slice(b"; . ");
        start.extend_from_slice(&quote(script.path.as_os_str()));
    } else {
        let text = if facts.own_source.is_empty() {
            bytes::seal(script.text)?
        } else {
            let text = prelude.own_source(script.text, &facts.own_source, &script.path);
            bytes::seal(&text)?
        };
        prelude.fds.push((text, FD_SCRIPT));
        start.extend_from_slice(b"; . /dev/fd/110");
    }
    before.extend(["-c".into(), OsString::from_vec(start), script.path.clone().into_os_string()]);
    before.extend_from_slice(args);
    finish(prelude, program, before)
}

/// Prepares a call of one function.
pub fn function(
    namespace: &Namespace,
    program: PathBuf,
    name: &str,
    args: &[OsString],
) -> Result<Launch, Error> {
    let text = format!("{name} \"$@\"\n");
    let facts = scan::scan(text.as_bytes());
    let reach = closure::reach(&namespace.index, &facts, args)?;
    let prelude = prelude(namespace, &reach)?;
    let start = [b". /dev/fd/109; ".as_slice(), &quote(OsStr::new(name)), b" \"$@\""].concat();
    let mut all = vec!["-c".into(), OsString::from_vec(start), name.into()];
    all.extend_from_slice(args);
    finish(prelude, program, all)
}

/// Prepares an interactive shell with every module.
pub fn shell(namespace: &Namespace, program: PathBuf) -> Result<Launch, Error> {
    let mut prelude = prelude(namespace, &Reach::All)?;
    prelude.line(&[b"PS1='ldi \\w\\$ '"]);
    let args = ["--noprofile", "--rcfile", "/dev/fd/109", "-i"].map(OsString::from).to_vec();
    finish(prelude, program, args)
}

fn finish(mut prelude: Prelude, program: PathBuf, args: Vec<OsString>) -> Result<Launch, Error> {
    let mut close = b"exec 109<&-".to_vec();
    for (_, n) in prelude.fds.iter().filter(|(_, n)| *n != FD_SCRIPT) {
        close.extend_from_slice(format!(" {n}<&-").as_bytes());
    }
    prelude.line(&[&close]);
    let text = bytes::seal(&prelude.text)?;
    prelude.fds.push((text, FD_PRELUDE));
    Ok(Launch {
        program,
        arg0: Some("bash".into()),
        args,
        env: Vec::new(),
        env_remove: vec!["BASH_ENV".into(), "ENV".into()],
        fds: prelude.fds,
    })
}

/// The globals, and every module of `reach`.
fn prelude(namespace: &Namespace, reach: &Reach) -> Result<Prelude, Error> {
    let index = &namespace.index;
    let mut prelude = Prelude { text: Vec::new(), fds: Vec::new(), sources: 0 };
    prelude.line(&[b"unset code lib logs modules scripts autoinit"]);
    // Quoted within ${…:-'…'}: not portable to 3.2, hence the test.
    prelude.line(&[b"code=", &quote(namespace.root().as_os_str())]);
    prelude.line(&[b"[ -n \"${LDI_ROOT:-}\" ] && code=$LDI_ROOT"]);
    prelude.line(&[b"lib=", &quote(namespace.tree.as_os_str())]);
    prelude.line(&[b"logs=$code/logs modules=$lib/modules scripts=$lib/scripts autoinit=true"]);
    prelude.line(&[b"autoinit() { :; }"]);
    let modules = match reach {
        Reach::Some(modules) => modules.clone(),
        Reach::All => (0..index.modules()).collect(),
    };
    let many = modules.len() > MAX_DESCRIPTORS;
    for module in modules {
        let module = index.module(module).ok_or_else(|| index.damaged())?;
        let entry = index.file(module.file).ok_or_else(|| index.damaged())?;
        let path = namespace.tree.join(entry.path);
        if entry.sha256.is_none() {
            prelude.line(&[b". ", &quote(path.as_os_str())]);
            continue;
        }
        let mut text = bytes::read(&namespace.tree, &entry)?;
        if module.flags & MODULE_OWN_SOURCE != 0 {
            let offsets = scan::scan(&text).own_source;
            text = prelude.own_source(&text, &offsets, &path);
        }
        let number = FD_MODULES + i32::try_from(prelude.fds.len()).unwrap_or(i32::MAX);
        let single = !many || module.flags & MODULE_RETURNS != 0 || text.contains(&0);
        if single && number < FD_END {
            prelude.fds.push((bytes::seal(&text)?, number));
            prelude.line(&[format!(". /dev/fd/{number}").as_bytes()]);
        } else {
            // Within `eval` a syntax error ends only this module, as it does with `.`.
            prelude.line(&[b"eval ", &quote(OsStr::from_bytes(&text))]);
        }
    }
    Ok(prelude)
}
