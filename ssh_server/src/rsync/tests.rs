use super::*;

const LIBRARY: &str = "/srv/codesync";

fn parse_line(line: &str) -> Result<RsyncRequest, Refusal> {
    let words: Vec<&str> = line.split(' ').collect();
    parse(&words[1..], Path::new(LIBRARY))
}

/// What clients send: rsync 2.6.9, 3.2.7 and 3.5.0, openrsync.
const REAL: &[&str] = &[
    "rsync --server --sender -vlogDtpr . /srv/codesync/export/stable/",
    "rsync --server --sender -vlogDtpre.iLsfxCIvu . /srv/codesync/export/stable/",
    "rsync --server --sender -vlogDtprze.iLsfxCIvu . /srv/codesync/export/stable/",
    "rsync --server --sender -logDtpre.iLsfxCIvu . /srv/codesync/export/stable",
    "rsync --server --sender -vtre.iLsfxCIvu . /srv/codesync/export/stable/modules/",
    "rsync --server --sender -vnlogDtpre.iLsfxCIvu . stable/",
    "rsync --server --sender -vlogDtprce.iLsfxCIvu . stable/modules/a.sh",
    "rsync --server --sender -logDtpre.LsfxCIvu . stable",
    "rsync --server --sender -logDtpre.iLsfxCIvu --numeric-ids --bwlimit=100 . stable/",
    "rsync --server --sender -logDtprze.iLsfxCIvu --compress-level=9 . stable/",
    "rsync --server --sender -logDtpre.iLsfxCIvu -B700 --timeout=30 . stable/",
    "rsync --server --sender -logDtpre31.14LsfxCIvu --compress-choice=zstd . stable/",
    "rsync --server --sender -de.LsfxCIvu . stable/",
    "rsync --server --sender -D -g -l -o -p -r -t -v . stable/",
];

#[test]
fn real_clients_are_understood() {
    for line in REAL {
        let request = parse_line(line).unwrap_or_else(|why| panic!("{line}: {why:?}"));
        assert_eq!(request.ring, "stable", "{line}");
        assert_eq!(request.contents, line.ends_with('/'), "{line}");
    }
    let request = parse_line(REAL[6]).unwrap();
    assert_eq!(request.below, Path::new("modules/a.sh"));
    assert_eq!(request.options, ["-vlogDtprce.iLsfxCIvu"]);
}

#[test]
fn options_that_reach_further_are_refused() {
    for option in [
        "-svlogDtpre.iLsfxCIvu",
        "-vlogDtprse.iLsfxCIvu",
        "-s",
        "-Le.iLsfxCIvu",
        "-ke.LsfxCIvu",
        "-Re.iLsfxCIvu",
        "-Ae.iLsfxCIvu",
        "-Xe.iLsfxCIvu",
        "-be.iLsfxCIvu",
        "-Me.iLsfxCIvu",
        "-T/tmp",
        "-e",
        "-esh",
        "-e.i/bin/sh",
        "-e.iLsfxCIvu=1",
        "-re1234.i",
        "-",
        "--",
        "-B",
        "-B7e2",
        "-fmerge",
        "--remove-source-files",
        "--remove-sent-files",
        "--files-from=/etc/passwd",
        "--files-from=-",
        "--copy-links",
        "--copy-unsafe-links",
        "--copy-dirlinks",
        "--log-file=/tmp/x",
        "--log-file-format=x",
        "--daemon",
        "--config=/tmp/x",
        "--write-batch=/tmp/x",
        "--only-write-batch=/tmp/x",
        "--read-batch=/tmp/x",
        "--secluded-args",
        "--protect-args",
        "--rsync-path=sh",
        "--rsh=sh",
        "--filter=merge",
        "--exclude-from=/etc/passwd",
        "--password-file=/etc/passwd",
        "--early-input=/etc/passwd",
        "--temp-dir=/tmp",
        "--backup-dir=/tmp",
        "--compare-dest=/etc",
        "--link-dest=/etc",
        "--partial-dir=/tmp",
        "--munge-links",
        "--fake-super",
        "--super",
        "--chmod=777",
        "--usermap=0:1",
        "--debug=ALL",
        "--stop-after=1",
        "--iconv=utf-8",
        "--bwlimit",
        "--bwlimit=",
        "--bwlimit=1x",
        "--timeout=1234567890",
        "--numeric-ids=1",
        "--delet",
        "--compress-choice=",
        "--compress-choice=/x",
        "--server",
        "--sender",
        "--no-server",
        "--no-sender",
    ] {
        let line = format!("rsync --server --sender {option} . stable/");
        assert_eq!(parse_line(&line), Err(Refusal::RsyncOption(option.to_owned())), "{line}");
    }
}

#[test]
fn other_forms_are_refused() {
    let write = "rsync --server -vlogDtpre.iLsfxCIvu . stable/";
    assert_eq!(parse_line(write), Err(Refusal::RsyncWrite));
    for line in [
        "rsync",
        "rsync --server",
        "rsync --version",
        "rsync -av stable/ /tmp/x",
        "rsync --sender --server -r . stable/",
        "rsync --daemon .",
        "rsync --server --daemon .",
        "rsync --server --sender -r stable/",
        "rsync --server --sender -r .",
        "rsync --server --sender -r . stable/ stable/",
        "rsync --server --sender -r . stable/ -L",
        "rsync --server --sender -r stable/ .",
        "rsync --server --sender -r /etc stable/",
    ] {
        let refusal = parse_line(line).unwrap_err();
        assert!(matches!(refusal, Refusal::RsyncForm | Refusal::RsyncWrite), "{line}: {refusal:?}");
    }
}

#[test]
fn only_exported_paths_are_understood() {
    for path in [
        "/",
        ".",
        "..",
        "./",
        "../",
        "/etc",
        "/etc/passwd",
        "/srv/codesync",
        "/srv/codesync/",
        "/srv/codesync/export",
        "/srv/codesync/export/",
        "/srv/codesync/objects/",
        "/srv/codesync/export/..",
        "/srv/codesync/export/../objects/",
        "/srv/codesync/export/stable/../../objects",
        "/srv/codesync/export/stable/./x",
        "/srv/codesync/export/stable//",
        "/srv/codesync/export//stable/",
        "/srv/codesync/export/.hidden/",
        "/srv/codesync/exports/stable/",
        "/srv/codesyncx/export/stable/",
        "//srv/codesync/export/stable/",
        "srv/../etc",
        "stable/..",
        "stable/../../rings",
        "stable/.git",
        "stable/-x",
        "host:stable/",
        "stable:/x",
    ] {
        let line = format!("rsync --server --sender -r . {path}");
        assert_eq!(parse_line(&line), Err(Refusal::Path), "{line}");
    }
}
