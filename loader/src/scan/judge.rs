//! What a simple command means for a closure: whether it forms names at run time, and whether it
//! may stand at a module's top level without effect.

use std::borrow::Cow;

use super::{
    Kind, Scanner, is_ident, is_name,
    word::{Exp, Word},
};

/// Commands that only look, as a test or within a substitution at a module's top level.
const PURE: [&[u8]; 5] = [b"[", b"test", b":", b"true", b"false"];
const PURE_INSIDE: [&[u8]; 10] = [
    b"uname",
    b"hostname",
    b"id",
    b"dirname",
    b"basename",
    b"pwd",
    b"printf",
    b"echo",
    b"cd",
    b"type",
];

/// Commands that stand first when they are arguments of something that runs its arguments, and
/// that never run a function of this shell given to them.
pub(super) const OUTSIDERS: [&[u8]; 60] = [
    b"apt-get",
    b"awk",
    b"basename",
    b"bash",
    b"cat",
    b"cd",
    b"chmod",
    b"chown",
    b"cp",
    b"curl",
    b"cut",
    b"date",
    b"dd",
    b"defaults",
    b"df",
    b"diff",
    b"dirname",
    b"du",
    b"echo",
    b"env",
    b"false",
    b"find",
    b"git",
    b"grep",
    b"gzip",
    b"head",
    b"hostname",
    b"id",
    b"install",
    b"jamf",
    b"kill",
    b"launchctl",
    b"ln",
    b"ls",
    b"mkdir",
    b"mktemp",
    b"mount",
    b"mv",
    b"nice",
    b"ping",
    b"printf",
    b"ps",
    b"rm",
    b"rmdir",
    b"rsync",
    b"sed",
    b"sh",
    b"sleep",
    b"sort",
    b"ssh",
    b"stat",
    b"sudo",
    b"systemctl",
    b"tail",
    b"tar",
    b"tee",
    b"touch",
    b"tr",
    b"uname",
    b"wget",
];

fn outsider(name: &[u8]) -> bool {
    OUTSIDERS.binary_search(&name).is_ok() || name.first() == Some(&b'/')
}

fn ident(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_ident(b))
}

/// What stood in a command beside its words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) redirected: bool,
    /// `NAME=…` behind `declare` and its like.
    pub(super) declared: bool,
}

/// Whether `word` is an option with one of `letters`.
pub(super) fn option(word: &Word<'_>, letters: &[u8]) -> bool {
    word.literal().is_some_and(|text| {
        matches!(text.first(), Some(b'-' | b'+')) && text[1..].iter().any(|b| letters.contains(b))
    })
}

/// Whether a command changes what a plain definition in a later module does: `set -eu`, a trap
/// for every command.
fn disturbs(name: &[u8], args: &[Word<'_>]) -> bool {
    const OPTIONS: [&[u8]; 8] = [
        b"allexport",
        b"errexit",
        b"noexec",
        b"nounset",
        b"onecmd",
        b"posix",
        b"verbose",
        b"xtrace",
    ];
    const EVENTS: [&[u8]; 3] = [b"ERR", b"DEBUG", b"RETURN"];
    let any = |from: usize, words: &[&[u8]]| {
        args.iter().skip(from).any(|a| a.literal().is_none_or(|a| words.contains(&a)))
    };
    match name {
        b"set" => args.iter().any(|a| option(a, b"aentuvx")) || any(0, &OPTIONS),
        b"trap" => any(1, &EVENTS),
        // What is given to its name goes elsewhere.
        b"declare" | b"typeset" => args.iter().any(|a| option(a, b"n")),
        _ => false,
    }
}

impl<'a> Scanner<'a> {
    /// Weighs a simple command.
    pub(super) fn judge(&mut self, command: &Word<'a>, args: &[Word<'a>], around: Around) {
        let Some(name) = command.literal() else {
            self.effect();
            self.sink(command);
            return self.arguments(None, args);
        };
        let name = name.to_vec();
        if command.globs && name.contains(&b'{') {
            self.unit().general = true;
        }
        self.top_level(&name, args, around.redirected);
        match name.as_slice() {
            b"eval" => self.eval(args),
            b"." | b"source" => self.source(args),
            b"alias" | b"compgen" | b"complete" => self.unit().general = true,
            b"shopt" => {
                self.unit().general |= args.iter().any(|a| a.literal() == Some(b"expand_aliases"));
            }
            b"declare" | b"typeset" | b"local" | b"readonly" | b"export" => {
                self.declare(&name, args, around.declared);
            }
            b"set" => self.set(args),
            b"trap" => {
                if let Some(handler) = args.iter().find(|a| !option(a, b"lp")) {
                    self.handler(handler);
                }
            }
            b"type" | b"hash" => args.iter().for_each(|arg| self.sink(arg)),
            b"command" if args.first().is_some_and(|a| option(a, b"vV")) => {
                args.iter().for_each(|arg| self.sink(arg));
            }
            b"[" | b"test" => {
                for pair in args.windows(2) {
                    if pair[0].literal() == Some(b"-v") && !pair[1].exps.is_empty() {
                        self.unit().general = true;
                    }
                }
            }
            b"mapfile" | b"readarray" if args.iter().any(|a| option(a, b"C")) => {
                // One of them is called for each line.
                self.may_fill(args);
                args.iter().for_each(|arg| self.sink(arg));
            }
            b"read" | b"mapfile" | b"readarray" | b"getopts" | b"printf" | b"let" => {
                // Their bare words may be variables that they fill.
                self.may_fill(args);
            }
            b"builtin" | b"command" | b"exec" | b"unset" => {}
            _ if outsider(&name) => {}
            _ => {
                self.may_fill(args);
                self.arguments(Some(&name), args);
            }
        }
    }

    fn may_fill(&mut self, args: &[Word<'a>]) {
        for arg in args {
            if let Some(text) = arg.literal().filter(|text| ident(text)) {
                // Looked up by value; the text is in the file, so a borrowed copy is there too.
                let found = self.unit().words.iter().rev().find_map(|w| match w {
                    Cow::Borrowed(w) if *w == text => Some(*w),
                    _ => None,
                });
                if let Some(found) = found {
                    self.facts.bare_args.insert(found);
                }
            }
        }
    }

    /// `word` stands where a name of the namespace is looked up.
    pub(super) fn sink(&mut self, word: &Word<'a>) {
        if word.exps.is_empty() {
            if word.globs && word.prefix.contains(&b'{') {
                self.unit().general = true;
            }
            return;
        }
        if word.slash {
            return; // a path is no function's name
        }
        if !word.prefix.is_empty() || !word.suffix.is_empty() {
            let pattern = (word.prefix.clone(), word.suffix.clone());
            return self.unit().patterns.push(pattern);
        }
        match word.exps.as_slice() {
            [Exp::Pos] => self.unit().positional = true,
            [Exp::Var(name)] => self.unit().var_sinks.push(name),
            [Exp::Number] => {}
            _ => self.unit().general = true,
        }
    }

    /// Arguments of `name`, which may run them.
    fn arguments(&mut self, name: Option<&[u8]>, args: &[Word<'a>]) {
        let Some(name) = name else { return };
        for arg in args {
            if let Some(text) = arg.literal() {
                if outsider(text) {
                    return;
                }
                if arg.globs && text.contains(&b'{') {
                    self.unit().risky.push(Cow::Owned(name.to_vec()));
                }
                continue;
            }
            if arg.slash {
                continue;
            }
            let name = Cow::Owned(name.to_vec());
            match arg.exps.as_slice() {
                _ if !arg.prefix.is_empty() || !arg.suffix.is_empty() => {
                    // A text with a blank is a message, not a name.
                    let text = arg.prefix.iter().chain(&arg.suffix);
                    if text.clone().all(|b| !b" :=,%'\"()".contains(b)) {
                        self.unit().risky.push(name);
                    }
                }
                [Exp::Pos] => self.unit().relays.push(name),
                [Exp::Var(var)] => self.unit().call_vars.push((name, var)),
                [Exp::Number] => {}
                _ => self.unit().risky.push(name),
            }
        }
    }

    fn eval(&mut self, args: &[Word<'a>]) {
        for arg in args {
            match arg.literal() {
                Some(text) if !text.iter().any(|b| b"$`\\{".contains(b)) => {}
                None if matches!(arg.exps.as_slice(), [Exp::Pos])
                    && arg.prefix.is_empty()
                    && arg.suffix.is_empty() =>
                {
                    self.unit().positional = true;
                }
                _ => self.unit().general = true,
            }
        }
    }

    fn source(&mut self, args: &[Word<'a>]) {
        let Some(file) = args.first() else { return };
        let tail = if file.exps.is_empty() { &file.prefix } else { &file.suffix };
        let system = file.exps.is_empty()
            && [&b"/etc/"[..], b"/usr/", b"/lib/", b"/dev/null"]
                .iter()
                .any(|p| file.prefix.starts_with(p));
        if !system && !tail.ends_with(b"autoinit.sh") {
            self.unit().general = true;
        }
    }

    fn declare(&mut self, name: &[u8], args: &[Word<'a>], declared: bool) {
        // Without names it prints those that there are.
        let names = declared || args.iter().any(|a| !option(a, b"aAfFgiIlnprtuxz"));
        self.unit().general |= !names;
        // With these it matters what a name meant before.
        let shows =
            matches!(name, b"export" | b"readonly") || args.iter().any(|a| option(a, b"fFnprx"));
        if shows {
            args.iter().filter(|a| !a.prefix.contains(&b'=')).for_each(|arg| self.sink(arg));
        }
        let readonly = name == b"readonly" || args.iter().any(|a| option(a, b"r"));
        let functions = args.iter().any(|a| option(a, b"fF"));
        for arg in args {
            let Some(text) = arg.literal() else {
                if name != b"export" {
                    self.effect();
                }
                continue;
            };
            if ident(text) && !functions {
                let kind = if readonly { Kind::Readonly } else { Kind::Loose };
                self.define(Cow::Owned(text.to_vec()), kind, None);
            }
        }
    }

    fn set(&mut self, args: &[Word<'a>]) {
        if args.is_empty() {
            self.unit().general = true; // prints every name
        }
        if args.iter().any(|a| !a.exps.iter().all(|e| matches!(e, Exp::Pos | Exp::Number))) {
            self.unit().resets = true;
        }
    }

    /// Text that is run later.
    fn handler(&mut self, word: &Word<'a>) {
        if !word.exps.is_empty() && word.prefix.is_empty() {
            self.sink(word);
        } else if word.prefix.starts_with(b"$") || word.prefix.starts_with(b"\"$") {
            self.unit().general = true;
        } else if !word.exps.is_empty() {
            // A name around an expansion.
            let before = word.prefix.iter().rev().take_while(|b| is_name(**b)).count();
            let prefix = word.prefix[word.prefix.len() - before..].to_vec();
            let after = word.suffix.iter().take_while(|b| is_name(**b)).count();
            let suffix = word.suffix[..after].to_vec();
            if !prefix.is_empty() || !suffix.is_empty() {
                self.unit().patterns.push((prefix, suffix));
            }
        }
        let text = &word.prefix;
        if text.windows(5).any(|w| w == b"eval ") {
            self.unit().general = true;
        }
    }

    /// Whether the command, at the top level of a module, has an effect beyond names.
    fn top_level(&mut self, name: &[u8], args: &[Word<'a>], redirected: bool) {
        if self.nested > 0 {
            return;
        }
        if name == b"return" {
            self.facts.returns = true;
            if self.subshell == 0 {
                self.conditional += 1; // the rest of the file may not be reached
                return;
            }
        }
        if self.subshell == 0 && disturbs(name, args) {
            self.unit().disturbs = true;
        }
        let names_only = matches!(name, b"declare" | b"typeset" | b"readonly")
            && !args.iter().any(|a| option(a, b"xfFptnglu"));
        let asks = name == b"command" && args.first().is_some_and(|a| option(a, b"vV"));
        let looks = PURE.contains(&name)
            || self.subshell > 0 && (PURE_INSIDE.contains(&name) || asks)
            || redirected && (asks || name == b"type");
        let quiet = looks || names_only && self.subshell == 0;
        if !quiet {
            self.effect();
        }
    }
}
