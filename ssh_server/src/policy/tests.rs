use proptest::prelude::*;

use super::*;

const LIBRARY: &str = "/srv/codesync";

fn policy(publish: bool) -> Policy {
    Policy { publish, ..Policy::new(Path::new(LIBRARY)).unwrap() }
}

fn refusal(command: &[u8]) -> Refusal {
    match decide(command, &policy(false)) {
        Decision::Refuse(refusal) => refusal,
        other => panic!("{}: {other:?}", command.escape_ascii()),
    }
}

#[test]
fn the_library_is_served() {
    for command in [
        "codesync serve",
        " codesync  serve ",
        "codesync serve --library /srv/codesync",
        "codesync serve --library=/srv/codesync",
        "codesync serve --library /srv/codesync/",
    ] {
        assert_eq!(decide(command.as_bytes(), &policy(false)), Decision::Serve, "{command}");
    }
}

#[test]
fn only_publishers_publish() {
    assert_eq!(refusal(b"codesync receive"), Refusal::Publish);
    assert_eq!(refusal(b"codesync receive --library /srv/codesync"), Refusal::Publish);
    assert_eq!(decide(b"codesync receive", &policy(true)), Decision::Receive);
    assert_eq!(decide(b"codesync serve", &policy(true)), Decision::Serve);
}

#[test]
fn everything_else_is_refused_with_its_reason() {
    let program = ["sh", "bash -i", "/usr/bin/codesync serve", "scp -f .", "Codesync serve", "-"];
    for command in program {
        assert_eq!(refusal(command.as_bytes()), Refusal::Program, "{command}");
    }
    for command in [
        "codesync",
        "codesync publish",
        "codesync serve stable",
        "codesync serve --library",
        "codesync serve --keys /etc",
        "codesync serve --library /srv/codesync --keys /x",
        "codesync --library /srv/codesync serve",
    ] {
        assert_eq!(refusal(command.as_bytes()), Refusal::Codesync, "{command}");
    }
    for command in [
        "codesync serve --library /etc",
        "codesync serve --library /srv/codesync/..",
        "codesync serve --library /srv/./codesync",
        "codesync serve --library /srv/codesync//",
        "codesync serve --library srv/codesync",
        "codesync serve --library=",
    ] {
        assert_eq!(refusal(command.as_bytes()), Refusal::Library, "{command}");
    }
    for command in ["codesync serve;id", "codesync serve\nid", "$(id)", "codesync\0serve", "é"] {
        assert!(matches!(refusal(command.as_bytes()), Refusal::Words(_)), "{command}");
    }
    assert_eq!(refusal(b""), Refusal::Interactive);
    assert_eq!(refusal(b"  "), Refusal::Interactive);
    let off = Policy { rsync: false, ..policy(true) };
    let command = b"rsync --server --sender -r . stable/";
    assert_eq!(decide(command, &off), Decision::Refuse(Refusal::RsyncOff));
}

#[test]
fn refusals_are_one_line() {
    for refusal in [
        Refusal::Interactive,
        Refusal::Words(BadWords::Byte(b'\n')),
        Refusal::RsyncOption("-\u{1b}[2J\n".to_owned()),
        Refusal::Outside,
    ] {
        let text = refusal.to_string();
        assert!(
            !text.contains(|c: char| c.is_control() || c == '.' && text.ends_with(c)),
            "{text}"
        );
    }
}

/// Parts of the long options that must never pass.
const LONG: &[&str] =
    &["remove", "from", "copy", "log", "batch", "daemon", "config", "dir", "args", "path"];

/// The allowed grammar once more, written another way: by what a shell, a file system and rsync
/// could misread in the raw bytes.
fn harmless(command: &[u8], publish: bool) -> bool {
    let Ok(text) = std::str::from_utf8(command) else { return false };
    let bad = "\"'\\$`;|&<>(){}[]*?!~#^";
    if text.contains(|c: char| c.is_control() || !c.is_ascii() || bad.contains(c)) {
        return false;
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if ["serve", "receive"].iter().any(|word| line.starts_with(&format!("codesync {word}"))) {
        let tail = line.trim_start_matches("codesync serve").trim_start_matches("codesync receive");
        let known = ["", " --library /srv/codesync", " --library=/srv/codesync"].map(str::to_owned);
        let may = publish || words[1] == "serve";
        return may && known.contains(&tail.trim_end_matches('/').to_owned());
    }
    let Some(rest) = line.strip_prefix("rsync --server --sender ") else { return false };
    let Some((options, path)) = rest.rsplit_once(' ') else { return false };
    let Some(options) = options.strip_suffix('.') else { return false };
    let inner = path.strip_prefix("/srv/codesync/export/").unwrap_or(path);
    !path.starts_with('-')
        && !inner.starts_with('/')
        && !inner.split('/').any(|part| part.starts_with(['.', '-']))
        && !inner.contains("//")
        && options.split(' ').all(|option| {
            let before_e = option.split('e').next().unwrap_or_default();
            let short = !option.starts_with("--");
            (option.is_empty() || option.starts_with('-'))
                && !option.contains(['/', ':'])
                && !(short && before_e.contains(['s', 'L', 'k', 'b', 'T', 'M', 'f', 'R']))
                && (short || !LONG.iter().any(|word| option.contains(word)))
        })
}

/// Pieces that, put together, often make nearly allowed commands.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "codesync",
        "serve",
        "receive",
        "--library",
        "/srv/codesync",
        "/",
        "=",
        " ",
        " ",
        " ",
        ".",
        "..",
        "rsync",
        "--server",
        "--sender",
        "-vlogDtpre.iLsfxCIvu",
        "-r",
        "-s",
        "-L",
        "-e",
        "/",
        "stable/",
        "/srv/codesync/export/stable/",
        "/export/",
        "../",
        "--delete",
        "--files-from=",
        "--remove-source-files",
        ";",
        "|",
        "$(",
        "`",
        "'",
        "\\",
        "\n",
        "\0",
        "é",
        "--bwlimit=1",
        "-B7",
        ":",
        "--",
        "-",
        "~",
        "*",
    ]);
    let word = prop_oneof![8 => piece.prop_map(|text| text.as_bytes().to_vec()),
                           1 => prop::collection::vec(any::<u8>(), 0..4)];
    prop::collection::vec(word, 0..14).prop_map(|words| words.concat())
}

/// An allowed command with up to two bytes changed, added or removed.
fn mutants() -> impl Strategy<Value = Vec<u8>> {
    let base = prop::sample::select(vec![
        "codesync serve",
        "codesync serve --library /srv/codesync",
        "codesync receive",
        "rsync --server --sender -vlogDtpre.iLsfxCIvu . /srv/codesync/export/stable/",
        "rsync --server --sender -logDtprze.iLsfxCIvu --numeric-ids . stable/modules/",
    ]);
    let change = (any::<prop::sample::Index>(), 0..3u8, any::<u8>());
    (base, prop::collection::vec(change, 0..3)).prop_map(|(base, changes)| {
        let mut bytes = base.as_bytes().to_vec();
        for (index, kind, byte) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    })
}

fn holds(command: &[u8], publish: bool) {
    let decision = decide(command, &policy(publish));
    let allowed = !matches!(decision, Decision::Refuse(_));
    assert!(!allowed || harmless(command, publish), "{}: {decision:?}", command.escape_ascii());
    if let Decision::Rsync(request) = decision {
        let path = Path::new(LIBRARY).join("export").join(&request.ring).join(&request.below);
        assert!(path.starts_with("/srv/codesync/export") && !path.ends_with("export"));
        assert!(path.components().all(|part| part != Component::ParentDir));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_but_the_grammar_is_allowed(command in pieces(), publish: bool) {
        holds(&command, publish);
    }

    #[test]
    fn near_misses_are_refused_or_harmless(command in mutants(), publish: bool) {
        holds(&command, publish);
    }

    #[test]
    fn no_bytes_make_it_panic(command in prop::collection::vec(any::<u8>(), 0..64)) {
        holds(&command, true);
    }
}
