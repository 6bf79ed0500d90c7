use super::*;

fn args(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

fn settings() -> Settings {
    Settings { libraries: vec!["/srv/codesync".into(), "/srv/two".into()], ..Settings::default() }
}

fn judged(call: Result<Call, BadCall>) -> Judge {
    match call {
        Ok(Call::Judge(judge)) => *judge,
        other => panic!("{other:?}"),
    }
}

fn by_login(line: &str, original: Option<&str>) -> Result<Call, BadCall> {
    login(&args(&["codesync-shell", "-c", line]), original.map(OsStr::new), &settings())
}

#[test]
fn a_forced_command_takes_its_options_and_the_clients_words() {
    let call = args(&["codesync-shell", "--library", "/srv/x/", "--publish"]);
    let judge = judged(forced(&call, Some(OsStr::new("codesync serve"))));
    assert_eq!(judge.policy.library(), Path::new("/srv/x"));
    assert_eq!(judge.policy.library().to_str(), Some("/srv/x"));
    assert!(judge.policy.publish && judge.policy.rsync);
    assert_eq!(judge.original, b"codesync serve");
    assert_eq!(judged(forced(&call, None)).original, b"");
}

#[test]
fn a_forced_command_refuses_what_it_does_not_know() {
    for words in [
        &["codesync-shell"][..],
        &["codesync-shell", "--publish"],
        &["codesync-shell", "--library"],
        &["codesync-shell", "--library", "srv"],
        &["codesync-shell", "--library", "/a", "--library", "/b"],
        &["codesync-shell", "--library", "/a", "--log", "x"],
        &["codesync-shell", "--library", "/a", "serve"],
        &["codesync-shell", "--library=/a"],
    ] {
        assert!(matches!(forced(&args(words), None), Err(BadCall::Usage(_))), "{words:?}");
    }
    for library in ["/", "/srv/../etc"] {
        let call = args(&["codesync-shell", "--library", library]);
        assert!(matches!(forced(&call, None), Err(BadCall::Settings(_))), "{library}");
    }
}

#[test]
fn a_login_shell_honours_its_own_forced_line() {
    let line = "/usr/local/bin/codesync-shell --library /srv/two --publish";
    let judge = judged(by_login(line, Some("codesync receive")));
    assert_eq!(judge.policy.library(), Path::new("/srv/two"));
    assert!(judge.policy.publish);
    assert_eq!(judge.original, b"codesync receive");
    // A wish for a shell.
    assert_eq!(judged(by_login(line, None)).original, b"");
}

#[test]
fn a_login_shell_without_forced_command_only_reads() {
    let judge = judged(by_login("codesync serve", None));
    assert_eq!(judge.policy, Policy::new(Path::new("/srv/codesync")).unwrap());
    assert_eq!(judge.original, b"codesync serve");
    let judge = judged(login(&args(&["-codesync-shell"]), None, &settings()));
    assert_eq!(judge.original, b"");
}

#[test]
fn a_client_cannot_play_the_forced_line() {
    // An unforced key whose client sends our own name: nothing to run.
    let judge = judged(by_login("codesync-shell --library /srv/codesync --publish", None));
    assert_eq!(judge.original, b"");
    // Even with SSH_ORIGINAL_COMMAND smuggled in: no other library, program or file.
    for line in [
        "codesync-shell --library /etc",
        "codesync-shell --library /srv/codesync --codesync /bin/sh",
        "codesync-shell --library /srv/codesync --log /srv/codesync/x",
    ] {
        let call = by_login(line, Some("codesync serve"));
        assert!(matches!(call, Err(BadCall::Settings(_))), "{line}: {call:?}");
    }
    // Forced to something else: refused whatever the client says.
    let judge = judged(by_login("/bin/sh", Some("codesync serve")));
    assert_eq!(judge.original, b"-");
}

#[test]
fn login_is_told_from_forced() {
    assert!(is_login(&args(&["-codesync-shell"])));
    assert!(is_login(&args(&["codesync-shell", "-c", "x"])));
    assert!(!is_login(&args(&["codesync-shell", "--library", "/x"])));
    assert!(!is_login(&args(&["codesync-shell"])));
}
