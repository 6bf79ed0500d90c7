use super::*;

fn words(facts: &Facts<'_>, unit: usize) -> Vec<String> {
    let mut words: Vec<String> =
        facts.units[unit].words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    words.sort();
    words.dedup();
    words
}

fn defs(text: &str) -> Vec<(String, Kind)> {
    let facts = scan(text.as_bytes());
    assert!(!facts.unsure, "{text}");
    facts.defs.iter().map(|d| (String::from_utf8_lossy(&d.name).into_owned(), d.kind)).collect()
}

#[test]
fn definitions_of_the_top_level() {
    let found = defs(
        "a() { b() { :; }; x=1; }\nfunction c { :; }\nfunction d() (\n :\n)\ny=1 z=2\n\
         if [ -n \"$y\" ]; then e() { :; }; fi\nw+=1\nreadonly r=1\n\
         f-g.h:i () { :; }\n( s=1 )\nt=$(u=2)\nenv_only=1 [ x ]\n",
    );
    let expected = [
        ("a", Kind::Function),
        ("c", Kind::Function),
        ("d", Kind::Function),
        ("y", Kind::Scalar),
        ("z", Kind::Scalar),
        ("e", Kind::Loose),
        ("w", Kind::Loose),
        ("r", Kind::Readonly),
        ("f-g.h:i", Kind::Function),
        ("t", Kind::Scalar),
    ];
    let expected: Vec<_> = expected.iter().map(|(n, k)| (n.to_string(), *k)).collect();
    assert_eq!(found, expected);
}

#[test]
fn what_may_not_happen_keeps_what_was_there() {
    for loose in [
        "[ -n \"$y\" ] && x=1\n",
        "[ -n \"$y\" ] ||\n  x=1\n",
        "x=1 | true\n",
        "true | x=1\n",
        "{ x=1; } &\n",
        "[ a ] && [ b ] && { x=1; }\n",
        "if a && b; then x=1; fi\n",
        "[ -n \"$y\" ] && return\nx=1\n",
        "x=1\nbroken( {\n",
    ] {
        let facts = scan(loose.as_bytes());
        assert_eq!(facts.defs.first().map(|d| d.kind), Some(Kind::Loose), "{loose}");
    }
    for certain in ["a && b; x=1\n", "a && b\nx=1\n", "a || b\n{ x=1; }\n", "a | b\nx=1\n"] {
        assert_eq!(defs(certain), [("x".to_owned(), Kind::Scalar)], "{certain}");
    }
}

#[test]
fn top_levels_that_disturb_others() {
    let disturbs = |text: &str| scan(text.as_bytes()).units[0].disturbs;
    for loud in ["set -e\n", "set -o nounset\n", "trap f ERR\n", "declare -n r=x\n", "set $x\n"] {
        assert!(disturbs(loud), "{loud}");
    }
    for quiet in ["set -f\n", "trap f EXIT\n", "f() { set -e; }\n", "( set -e )\n", "set -- a\n"] {
        assert!(!disturbs(quiet), "{quiet}");
    }
}

#[test]
fn effects_of_the_top_level() {
    for quiet in [
        "a=1\n",
        "f() { rm -rf /x; }\n",
        "[ -n \"$x\" ] && y=1\n",
        "if [[ $x == a* ]]; then y=1; fi\n",
        "x=$(uname)\n",
        "case $x in a) y=1 ;; esac\n",
        "if command -v x >/dev/null 2>&1; then y=1; fi\n",
        "declare -a list=(a b)\n",
        "x=$(( y <= 1 && z == 2 ))\n",
        "x=$(command -v y)\n",
        ": \"${x:=1}\"\n",
    ] {
        assert!(!scan(quiet.as_bytes()).effects, "{quiet}");
    }
    for loud in [
        "echo hello\n",
        "f() { :; }\nf\n",
        "x=$(date)\n",
        "export x=1\n",
        "set -u\n",
        "trap f EXIT\n",
        ": > /tmp/x\n",
        "for i in 1 2; do eval \"f$i() { :; }\"; done\n",
        "(( x = 1 ))\n",
        "y=$(( x++ ))\n",
        ": $(( x <<= 1 ))\n",
        "x=$(command touch /x)\n",
        "\"$x\"\n",
        "unset -f f\n",
    ] {
        assert!(scan(loud.as_bytes()).effects, "{loud}");
    }
}

#[test]
fn names_that_cannot_be_followed() {
    for formed in [
        "read -r f; \"$f\"\n",
        "eval \"$x\"\n",
        "$(choose)\n",
        "\"$a$b\"\n",
        "echo \"${!x}\"\n",
        "declare -F\n",
        "declare -f \"$x\"\n",
        "set\n",
        ". ./other.sh\n",
        "source \"$x\"\n",
        "f=a; f+=b; $f\n",
        "f=${1#x}; $f\n",
        "x=$(compgen -A function)\n",
        "for f in *; do $f; done\n",
        "get f; \"$f\"\nf=a\n",
        "trap \"$x\" EXIT\n",
        "[[ -v $x ]]\n",
        "print_{a,b}\n",
        "set -- $(list); \"$1\"\n",
        "case x in (", // not understood
        "echo 'open\n",
        "`echo \\`f\\``\n",
        "export \"$x\"\n",
        "declare -n r=\"$x\"\n",
        "declare -a\n",
        "readonly\n",
        "mapfile -C \"$x\" -c 1 y\n",
    ] {
        let facts = scan(formed.as_bytes());
        assert!(facts.units.iter().any(|unit| unit.general), "{formed}");
    }
    for plain in [
        "f=a; $f\n",
        "for f in a b; do \"$f\" x; done\n",
        "jamf=/usr/local/bin/jamf; \"$jamf\" recon\n",
        "\"$HOME/bin/x\" a\n",
        "cmd=(a b); \"${cmd[@]}\" c\n",
        "echo \"$x\" ${y[@]} ${#z} $(( a + b )) ${!list[@]}\n",
        "eval 'a=1'\n",
        ". /Library/code/lib/modules/autoinit.sh\n",
        ". /etc/os-release\n",
        "x=$(a \"$b\" | c)\n",
        "trap 'rm -f \"$x\"' EXIT\n",
        "trap \"rm -f $x\" EXIT\n",
        "declare -f name\n",
        "trap \"rm -f $x $y\" EXIT\n",
        "export PATH=\"$x\"\n",
        "declare -n r=name\n",
        "local \"$x=$y\"\n",
        "set -euo pipefail\n",
    ] {
        let facts = scan(plain.as_bytes());
        assert!(!facts.unsure && facts.units.iter().all(|unit| !unit.general), "{plain}");
    }
}

#[test]
fn names_are_found_wherever_they_stand() {
    let text = "a \"b $(c \"$d\") ${e:-f}\" 'g' `h` <(i) h\\i pr\"int\"_red\ncat <<X\n$j k $(l)\nX\n\
                x=(m [n]=o)\n[[ p =~ (q|r) ]] && s-t\n(( u + v ))\ncase w in x*|y) z ;; esac # no\n";
    let facts = scan(text.as_bytes());
    assert!(!facts.unsure);
    let found = words(&facts, 0);
    for name in "abcdefghijklmopqrsuvwyz".chars() {
        assert!(found.contains(&name.to_string()), "{name} of {found:?}");
    }
    for name in ["print_red", "s-t", "hi"] {
        assert!(found.iter().any(|f| f == name), "{name} of {found:?}");
    }
    assert!(!found.contains(&"no".to_owned()));
}

#[test]
fn names_around_expansions_are_patterns() {
    for (text, prefix, suffix) in [
        ("\"f$n\"\n", "f", ""),
        ("${n}_done\n", "", "_done"),
        ("echo $(( a + i$n ))\n", "i", ""),
        ("trap \"rm x; f$n y\" EXIT\n", "f", ""),
        ("echo \"${!v*}\"\n", "v", ""),
        ("declare -n r=\"v$n\"\n", "v", ""),
        ("export \"v$n\"\n", "v", ""),
    ] {
        let facts = scan(text.as_bytes());
        let expected = (prefix.as_bytes().to_vec(), suffix.as_bytes().to_vec());
        assert!(facts.units[0].patterns.contains(&expected), "{text}");
    }
    let facts = scan(br"$'f\x31' $'\146\062' $'f\u0033'");
    for name in ["f1", "f2", "f3"] {
        assert!(words(&facts, 0).contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn who_hands_on_a_name_is_who_is_asked() {
    let facts =
        scan(b"keep() { list+=(\"$1\"); }\nall() { for h in \"${list[@]}\"; do $h; done; }\n");
    assert!(facts.units[1].positional && facts.units[2].positional);
}

#[test]
fn own_source_is_found_where_it_is_expanded_here() {
    let text = "a=${BASH_SOURCE[0]} b=$BASH_SOURCE c=\"${BASH_SOURCE%/*}\" '$BASH_SOURCE' \
                ${BASH_SOURCE[1]} ${BASH_SOURCE[@]}\ncat <<'X'\n$BASH_SOURCE\nX\n";
    assert_eq!(scan(text.as_bytes()).own_source, vec![4, 23, 40]);
}

#[test]
fn hard_text_is_understood() {
    for text in [
        "x=\"${y//\\'/a}\"\n",
        "echo \"it's ${x:-don't}\"\n",
        "a=$(cat <<X\n) ' \"\nX\n)\n",
        "case $x in \\#*|'a)'|\"b)\") c ;; esac\n",
        "echo ${x#*#} $# ${#} ${#x} # comment '\n",
        "if a; then b; elif c; then d; else e; fi > x 2>&1\n",
        "while read -r x; do y; done < <(z)\n",
        "[[ $x =~ ^[a-z]+(\\.[0-9]+)?$ ]]\n",
        "x=$(( (1 + 2) * 3 ))\nfor ((i = 0; i < 3; i++)); do a; done\n",
        "f() if a; then b; fi\n",
        "a && { b; c; } || d &\n",
        "x=( # comment\n a b\n)\n",
        "echo $'it\\'s' $\"text\"\n",
        "cat <<-X | a\n\tb\n\tX\n",
        "a <<X; b <<Y\n1\nX\n2\nY\n",
        "! a | b; time c\n",
        "shopt -s extglob; case a in @(b|c)) d ;; esac\n",
        "x[$((i + 1))]=2 y[\"a b\"]=3\n",
        "echo {fd} {a,b} } {\n",
        "exec 3>&1 {fd}>x 2>&-\n",
    ] {
        assert!(!scan(text.as_bytes()).unsure, "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let _ = scan(&text);
    }

    #[test]
    fn any_shell_like_text_is_read_without_panic(
        text in "([a-c]|[\\[\\](){}$`\"'\\\\#;&|<>=+!:%/\n \t]|if|fi|do|done|case|esac|in|for|<<X|\\(\\(|\\$\\(){0,60}"
    ) {
        let _ = scan(text.as_bytes());
    }
}

#[test]
fn deep_nesting_is_bounded() {
    for open in ["$(", "{ ", "\"${x:-", "if a; then ", "((", "f() { "] {
        let text = open.repeat(20_000);
        assert!(scan(text.as_bytes()).unsure, "{open}");
    }
}

#[test]
fn lists_that_are_searched_are_sorted() {
    assert!(judge::OUTSIDERS.is_sorted());
}
