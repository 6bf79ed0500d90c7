//! Random bash: modules and scripts, made of the statements below.
//!
//! `@s` is the function that is defined, `@f` and `@g` are any functions, `@l` one that comes later
//! (what bodies call: no endless recursion), `@v` and `@w` variables, `@i` a counter and `@k` a later
//! counter, `@n` a digit, `@B` the lines of a body.

use e2e::rng::Rng;

/// How often, and what.
type Table = &'static [(usize, &'static str)];

const FUNCTIONS: usize = 24;
const VARIABLES: usize = 10;
const COUNTERS: usize = 5;

/// Top levels that only define.
const DEFINES: Table = &[
    (14, "@s() {\n@B}"),
    (1, "function @s { echo \"$@v ${@w:-none}\"; }"),
    (1, "function @s () { @l \"$1\"; } 2>/dev/null"),
    (1, "@s() (\n  @v=inner; echo \"@s $@v\"\n)"),
    (1, "@s() if [ -n \"$@v\" ]; then echo yes; @l; fi"),
    (1, "@s() { local -n ref=@v; echo \"ref $ref\"; ref=by-ref; }"),
    (1, "@s() { local -n ref=\"v$1\"; echo \"ref ${ref:-none}\"; } 2>/dev/null"),
    (1, "@s() { echo \"in ${BASH_SOURCE[0]##*/} ${FUNCNAME[0]} $LINENO\"; }"),
    (1, "@s() { select x in @l stop; do \"$x\"; break; done <<< 1 2>/dev/null; }"),
    (1, "@s() { printf -v made 'v%s' @n; echo \"${!made:-none}\"; }"),
    (1, "@s() { [[ $1 == f* ]] && \"$@\"; [[ $@v -gt 3 ]]; } 2>/dev/null"),
    (3, "@v=w@n"),
    (1, "@v=@w"),
    (1, "@v+=p@n"),
    (1, "@v=\"$@w/x\""),
    (1, "@v=$'tab\\t@n'"),
    (1, "@v='$(@f) text'"),
    (1, "@v=w@n | true"),
    (1, "{ @v=w@n; } 2>/dev/null &"),
    (1, "{ @v=grouped@n; }"),
    (1, "( lost=@n; @v_x=$lost )"),
    (1, "@v=(one \"two ${@w}\" f@n)"),
    (1, "@v+=(more@n)"),
    (1, "@v[@n]=element"),
    (1, "if [ -n \"$@v\" ]; then @s() { echo cond@n; }; else @w=else@n; fi"),
    (1, "case \"$@v\" in w*) @w=case@n ;; *) @s() { echo other; } ;; esac"),
    (1, "[ -n \"$@v\" ] && @w=and@n"),
    (1, "[ -z \"$@v\" ] || @s() { echo or@n; @l; }"),
    (1, "[ -n \"$@v\" ] &&\n  @s() { echo next@n; }"),
    (1, "[ -n \"$@v\" ] && return 0"),
    (1, ": \"${@v:=default@n}\""),
    (1, "declare @v=declared@n"),
    (1, "for @v in a b; do :; done"),
    (1, "for x in 1 2; do @v=x$@v; done; x=; while false; do :; done"),
    (1, "type @f >/dev/null 2>&1 || @s() { echo fallback; }"),
    (1, "command -v @s >/dev/null 2>&1 && @v=known@n"),
    (1, "@v=$(( ${#@w} + @n ))"),
    (2, "@i=@n"),
    (1, "@i=@k"),
    (1, "@i=$(( @k * 2 ))"),
    (1, ": $(( @i += @n ))"),
    (1, "@v=$(( @i++ ))"),
    (1, "@v=\"${@w:@i:2}\""),
    (
        1,
        "register() { handlers+=(\"$1\"); }\nrun_all() { local h; for h in \"${handlers[@]}\"; do \"$h\" ran 2>/dev/null; done; }",
    ),
    (1, "set_cb() { cb=$1; }"),
    (1, "run_cb() { \"$cb\" called; }"),
    (1, "retry() { \"$@\" || \"$@\"; }\nlater() { what=$1; retry \"$what\"; }"),
    (1, "@v=$(command -v @f)"),
    (1, "nf_help() { echo \"helper $@v\"; }"),
];

/// Top levels that act.
const ACTS: Table = &[
    (2, "export @v=exported@n"),
    (1, "export @v"),
    (1, "export -f @f 2>/dev/null || :"),
    (2, "@v=$(@f 2>/dev/null)"),
    (2, "unset -f @s"),
    (1, "unset @v"),
    (1, "declare -u @v=abc"),
    (1, "declare -i @v=5"),
    (1, "declare -x @v=w@n"),
    (1, "declare -A map@n=([@v]=@w)"),
    (1, "declare -n r@n=@v"),
    (1, "readonly @v=fixed"),
    (1, "readonly @v"),
    (2, "echo \"loaded $@v\""),
    (1, "trap '@f bye 2>/dev/null' EXIT"),
    (1, "set -f"),
    (1, "shopt -s nullglob"),
    (1, "shopt -s expand_aliases; alias a@n='@f aliased'"),
    (2, "eval \"@s() { echo evaluated $@v; }\""),
    (1, "for n in 1 2; do eval \"f$n() { echo looped $n; }\"; done"),
    (1, "printf -v @v %s made@n"),
    (1, "read -r @v <<< read@n"),
    (1, "IFS=:"),
    (1, "(( @i += 2 ))"),
    (1, "let @i=@k+1"),
    (1, "@f top >/dev/null 2>&1"),
    (2, "command_not_found_handle() { echo \"no $1 $@v\"; nf_help; return 127; } 2>/dev/null"),
    (1, "set -u"),
    (1, "set -e"),
    (1, "PATH=$PATH:/nowhere"),
    (1, ". \"$scripts/inc.sh\""),
];

/// In a function.
const BODY: Table = &[
    (6, "  echo \"@s $1 $@v\""),
    (4, "  @l \"$@v\" 2>/dev/null | { while read -r x; do :; done; echo \"$x\"; }"),
    (1, "  local @v=local\n  @l"),
    (1, "  @v=set@n"),
    (1, "  local @v; @v=$(@l 2>/dev/null); echo \"got $@v\""),
    (1, "  while read -r x; do echo \"$x\"; done <<END\n${@v} $(@l here 2>/dev/null)\nEND"),
    (1, "  case \"$@v\" in w*) @l ;; *) echo 'other)' ;; esac"),
    (1, "  echo $(( ${#@v} + @n ))"),
    (1, "  echo $(( @i + @k ))"),
    (1, "  (( @i++ )); echo \"$@i\""),
    (1, "  return @n"),
    (1, "  ( @v=sub; @l )"),
    (1, "  [ \"$(type -t @l)\" = function ] && echo known"),
];

/// In a function, with names formed when it runs.
const BODY_FORMED: Table = &[
    (2, "  local cmd=$1; shift; [ $# -gt 0 ] && \"$cmd\" \"$@\""),
    (1, "  inner@n() { @l x; }\n  inner@n"),
    (1, "  eval \"@l \\$1\""),
    (1, "  declare -F \"$1\" >/dev/null && echo function"),
    (1, "  unset -f @l"),
    (1, "  @l() { echo redefined; }"),
];

/// In a script.
const SCRIPT: Table = &[
    (8, "@f one \"two 2\" || echo status $?"),
    (4, "echo \"$@v ${@w[@]}\""),
    (2, "echo \"${@v:-unset} ${@w+set} ${#@v} ${@w^^} ${!@v[*]}\""),
    (1, "( @v=changed; @f sub )\necho \"$@v\""),
    (1, "x=$(@f <<< \"$@v\" 2>/dev/null) || true; echo \"$x\""),
    (1, "@f() { echo own; }\n@f\n@g f2"),
    (1, "for c in f1 f2 @f; do $c loop || :; done"),
    (1, "cmd=@f; \"$cmd\" var || :"),
    (1, "\"$@\" 2>/dev/null || echo no"),
    (1, "trap '@f bye || :' EXIT"),
    (1, "while read -r x; do echo \"$x\"; done <<X\n${@v:-unset} `@f old 2>/dev/null`\nX"),
    (1, "bash -c 'echo \"child $@v\"'"),
    (1, "type @f 2>/dev/null | { read -r x; echo \"$x\"; while read -r x; do :; done; } || :"),
    (1, "type -t @f || :; command -v @g || :"),
    (1, "declare -f @f || :"),
    (1, "declare -p @v @w 2>/dev/null || :"),
    (1, "do_it() { \"$@\"; }\ndo_it @f passed || :"),
    (1, "if @f cond >/dev/null 2>&1; then echo yes; else echo no; fi"),
    (1, "case \"$(@f 2>/dev/null)\" in f*) @g ;; *) echo \"$@v\" ;; esac || :"),
    (1, "select x in @f stop; do \"$x\" chosen || :; break; done <<< 1 2>/dev/null"),
    (1, "f\\1 odd || :; 'f2' odd || :; \"f\"3 odd || :; $'f\\x35' odd || :"),
    (1, "echo $(( @i + @k )) $(( @i * ${#@v} )) || :"),
    (1, "(( @i > 2 )) && echo more || :"),
    (1, "n=2; echo $(( n + i$n )) || :"),
    (1, "[[ @i -gt 1 && -n $@v || -v @w ]] && echo true || :"),
    (1, "echo \"${@v:@i:3} ${@w/w/x} ${@v%/*} ${@w@Q}\" || :"),
    (1, "export -f @f 2>/dev/null && bash -c '@f exported 2>/dev/null' || :"),
    (1, "export @v; bash -c 'echo \"exported $@v\"'"),
    (1, "declare -n ref=@v; echo \"${ref:-none}\"; ref=again; echo \"$@v\""),
    (1, "@v+=(x); @w[2]=y; echo \"${@v[@]}\" \"${@w[*]}\""),
    (1, "set -- @f \"$@v\"; \"$@\" || :"),
    (1, "unset -f @f; @f gone 2>/dev/null || echo gone"),
    (1, "! @f not || :; { @f group; } 2>&1 || :"),
    (1, "@f back & wait $! || :"),
    (1, "mapfile -t lines < <(@f mapped 2>/dev/null); echo \"${#lines[@]} $@v\""),
    (1, "while getopts ab opt -a -b; do @f \"$opt\" || :; done"),
    (1, "@f \"$(@g 2>/dev/null)\" || :"),
    (1, "no_such_command_@n here 2>/dev/null || echo missing"),
    (1, "x=\"$@v\"; y=${x:-@f}; echo \"$y\""),
    (1, "trap 'echo error' ERR; @f failing || :; trap - ERR"),
    (1, "echo \"${BASH_SOURCE[0]##*/} ${0##*/} $LINENO\""),
    (1, "until @f until >/dev/null 2>&1 || [ -n \"$x\" ]; do x=1; done"),
    (1, "echo \"$r1 ${map2[@]}\" 2>/dev/null || :"),
];

/// In a script, with names formed when it runs.
const SCRIPT_FORMED: Table = &[
    (1, "n=@n; \"f$n\" part 2>/dev/null || :"),
    (1, "p=v; p=${p}@n; echo \"${!p:-none}\""),
    (1, "eval \"@f \\$1\" || :"),
    (1, "eval 'echo \"$@v\"; @f evaluated' || :"),
    (1, "declare -F"),
    (1, "compgen -A function; compgen -A function f"),
    (1, "compgen -v v; echo ${!v*} \"${!i@}\""),
    (1, "set | { grep -E '^[vif][0-9]+=' || :; }"),
    (1, "acts=(@f arg); \"${acts[@]}\" || :"),
    (1, "read -r f <<< @f; \"$f\" read || :"),
    (1, "declare -n ref=\"v@n\"; echo \"${ref:-none}\""),
    (1, "x=v@n; declare -n ref=$x; echo \"${ref:-none}\""),
    (1, "x=@n; [[ -v v$x ]] && echo set || echo unset"),
    (1, "x=@n; export \"v$x\"; bash -c 'echo \"${v@n:-none}\"'"),
    (1, "x=@n; declare -p \"v$x\" 2>/dev/null || :"),
    (1, "x=@n; export -f \"f$x\" 2>/dev/null && bash -c 'f@n child 2>/dev/null' || :"),
    (1, "declare -a; export -p; declare -i"),
    (1, "readonly; declare -x"),
    (1, "for x in ${!v*}; do echo \"$x=${!x}\"; done"),
    (1, "for x in $(compgen -A function f); do type -t \"$x\"; done"),
    (1, ". \"$scripts/inc.sh\""),
    (1, "source \"${0%/*}/inc.sh\" || :"),
    (1, "shopt -s expand_aliases; alias go='@f alias'\ngo || :"),
    (1, "for x in 1 2; do echo \"$(f$x 2>/dev/null)\"; done"),
    (1, "x='@f'; x=\"${x% *}\"; $x cut || :"),
    (1, "f{1,2} brace || :; { f{3,4}; } || :"),
    (1, "command_not_found_handle() { \"${nf:-nf}_help\" 2>/dev/null; }; nof@n || :"),
    (1, "printf '%s\\n' @f @g | while read -r x; do $x piped || :; done"),
    (1, "handler() { \"$1\" handled || :; }; trap 'handler @f' EXIT"),
    (1, "n=@n; trap \"f$n bye 2>/dev/null || :\" EXIT"),
    (1, "n=@n; register @f; register \"f$n\"; run_all || :"),
    (1, "n=@n; set_cb \"f$n\"; run_cb || :"),
    (1, "own_cb() { mine=$1; }; own_run() { \"$mine\" own || :; }; n=@n; own_cb \"f$n\"; own_run"),
    (1, "n=@n; later \"f$n\" || :; retry \"f$n\" again || :"),
    (1, "x=(1 2); for c in \"${x[@]/#/f}\"; do $c each || :; done"),
    (1, "IFS=, read -r a b <<< 'f1,@f'; $a || :; \"$b\" || :"),
    (1, "x=f; x+=@n; $x || :"),
    (1, "x=$(printf 'f%s' @n); $x || :; printf -v x 'f%s' 3; $x || :"),
    (1, "by_part() { local f=\"f$1\"; $f deep || :; }; by_part @n"),
    (1, "declare -A map=([k]=@f); ${map[k]} || :; map[j]=@g; \"${map[j]}\" || :"),
    (1, "eval \"$1\" 2>/dev/null || :"),
    (1, "cb=@f; mapfile -C \"$cb\" -c 1 -t lines <<< one || :"),
    (1, "hash -r; x=$(declare -f @f); eval \"copy${x#f*[!(]}\" 2>/dev/null || :"),
];

/// One library or script under way.
pub struct Writer {
    rng: Rng,
    /// Whether it may do what the loader answers with every module.
    pub loud: bool,
}

impl Writer {
    pub fn new(rng: Rng, loud: bool) -> Self {
        Self { rng, loud }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound)
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.rng.chance(percent)
    }

    pub fn module(&mut self) -> String {
        let mut text = String::from("#!/bin/bash\n# f0 f1 v0 are only words in a comment\n");
        for _ in 0..1 + self.below(5) {
            let acts = self.loud && self.chance(12);
            let own = self.below(FUNCTIONS);
            let line = self.statement(if acts { ACTS } else { DEFINES }, own);
            text += &line;
        }
        if self.loud && self.chance(2) {
            // Its definitions before the error count, those behind it do not. What is not understood
            // keeps its BASH_SOURCE.
            text = text.replace("BASH_SOURCE", "FUNCNAME") + "broken( {\n";
            let own = self.below(FUNCTIONS);
            text += &self.statement(DEFINES, own).replace("BASH_SOURCE", "FUNCNAME");
        }
        text
    }

    pub fn script(&mut self) -> String {
        let mut text = String::from(
            "#!/bin/bash\n[ -z $autoinit ] && { . /Library/code/lib/modules/autoinit.sh; autoinit; }\n",
        );
        if self.chance(20) {
            text.push_str("set -euo pipefail\n");
        }
        for _ in 0..1 + self.below(5) {
            let formed = self.loud && self.chance(25);
            let line = self.statement(if formed { SCRIPT_FORMED } else { SCRIPT }, FUNCTIONS);
            text += &line;
        }
        if self.chance(25) {
            text.push_str("env | LC_ALL=C sort\n");
        }
        if self.chance(30) {
            text.push_str(&format!("exit {}\n", self.below(4)));
        }
        text
    }

    /// What other scripts source.
    pub fn included(&mut self) -> String {
        self.statement(DEFINES, FUNCTIONS - 1) + &self.statement(SCRIPT, FUNCTIONS)
    }

    fn statement(&mut self, table: Table, own: usize) -> String {
        let mut at = self.below(table.iter().map(|(often, _)| often).sum());
        let chosen = table.iter().find(|(often, _)| {
            let found = at < *often;
            at = at.saturating_sub(*often);
            found
        });
        let text = chosen.map_or("", |(_, text)| text);
        self.filled(text, own) + "\n"
    }

    fn filled(&mut self, template: &str, own: usize) -> String {
        let (f, g) = (self.below(FUNCTIONS), self.below(FUNCTIONS));
        let later = own + 1 + self.below(FUNCTIONS);
        let (v, w) = (self.variable(), self.variable());
        let i = self.below(COUNTERS);
        let k = i + 1 + self.below(COUNTERS);
        let n = self.below(10);
        let mut out = String::new();
        let mut parts = template.split('@');
        out.push_str(parts.next().unwrap_or_default());
        for part in parts {
            let mut rest = part.chars();
            match rest.next() {
                Some('s') => out.push_str(&function(own)),
                Some('f') => out.push_str(&function(f)),
                Some('g') => out.push_str(&function(g)),
                Some('l') => out.push_str(&function(later)),
                Some('v') => out.push_str(&v),
                Some('w') => out.push_str(&w),
                Some('i') => out.push_str(&format!("i{i}")),
                Some('k') => out.push_str(&format!("i{k}")),
                Some('n') => out.push_str(&n.to_string()),
                Some('B') => {
                    for _ in 0..1 + self.below(3) {
                        let formed = self.loud && self.chance(10);
                        out += &self.statement(if formed { BODY_FORMED } else { BODY }, own);
                    }
                }
                // `${x[@]}`, `${x@Q}`, `${!x@}`.
                _ => {
                    out.push('@');
                    out.push_str(part);
                    continue;
                }
            }
            out.push_str(rest.as_str());
        }
        out
    }

    /// One in thirty is a variable that stands in the environment of this process.
    fn variable(&mut self) -> String {
        if self.below(30) == 0 && std::env::var_os("CARGO_PKG_NAME").is_some() {
            return "CARGO_PKG_NAME".to_owned();
        }
        format!("v{}", self.below(VARIABLES))
    }
}

/// Function `n`; some names are odd.
fn function(n: usize) -> String {
    const ODD: [char; 6] = ['-', '.', ':', '+', '@', '!'];
    if n % 5 == 4 { format!("f{}{n}", ODD[n / 5 % ODD.len()]) } else { format!("f{n}") }
}
