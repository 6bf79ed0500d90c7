//! Against a web server on loopback.

use std::{collections::BTreeMap, fs, time::Duration};

use super::{
    server::{Faults, Server},
    *,
};
use crate::{manifest::sha256, source::Address};

const BODY: &[u8] = b"The quick brown fox jumps over the lazy dog.";

struct Setting {
    _folder: tempfile::TempDir,
    server: Server,
    source: Https,
    target: Target,
}

fn setting() -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let target = Target { name: "t".into(), sha256: sha256(BODY), length: BODY.len() as u64 };
    let targets = folder.path().join("rings/stable/targets");
    fs::create_dir_all(&targets).unwrap();
    fs::write(targets.join(target.file()), BODY).unwrap();
    fs::write(folder.path().join("rings/stable/2.root.json"), BODY).unwrap();
    let access = Access { timeout: Duration::from_secs(5), ..Access::default() };
    let Address::Https { url } = Address::parse(&server.url()).unwrap() else { panic!() };
    let source = Https::library(&url, &access).unwrap();
    Setting { _folder: folder, server, source, target }
}

fn fetched(setting: &mut Setting, offset: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    setting.source.target("stable", &setting.target, offset, &mut out).map(|()| out)
}

#[test]
fn a_target_is_resumed_whether_or_not_the_server_knows_ranges() {
    let mut setting = setting();
    assert_eq!(fetched(&mut setting, 0).unwrap(), BODY);
    for no_ranges in [false, true] {
        setting.server.fault(Faults { no_ranges, ..Faults::default() });
        for offset in [1, 20, 43] {
            let rest = fetched(&mut setting, offset as u64).unwrap();
            assert_eq!(rest, &BODY[offset..], "{no_ranges} {offset}");
        }
    }
    assert!(setting.server.asked().last().unwrap().ends_with(".t from 43"));
    assert_eq!(fetched(&mut setting, BODY.len() as u64).unwrap(), b"");
    assert!(setting.server.asked().is_empty());
    let traffic = setting.source.traffic();
    assert!(traffic.received > BODY.len() as u64 * 4 && traffic.sent > 100, "{traffic:?}");
}

#[test]
fn a_body_is_bounded_before_it_is_read() {
    let mut setting = setting();
    let kind = |result: Result<Vec<u8>>| result.unwrap_err().kind();
    // It says so itself.
    setting.target.length -= 1;
    assert_eq!(kind(fetched(&mut setting, 0)), Kind::Refused);
    assert_eq!(kind(fetched(&mut setting, 5)), Kind::Refused);
    setting.target.length += 2;
    assert_eq!(kind(fetched(&mut setting, 0)), Kind::Refused);
    setting.target.length -= 1;
    // It does not say.
    setting.server.fault(Faults { surplus: 1 << 20, ..Faults::default() });
    assert_eq!(kind(fetched(&mut setting, 0)), Kind::Refused);
    let metadata = setting.source.metadata("stable", "2.root.json", 50);
    assert_eq!(metadata.unwrap_err().kind(), Kind::Refused);
    // A cut is no lie.
    setting.server.fault(Faults { cut_after: Some(7), ..Faults::default() });
    assert_eq!(kind(fetched(&mut setting, 0)), Kind::Unreachable);
    setting.server.fault(Faults::default());
    let limit = BODY.len() as u64;
    let mut metadata = |limit| setting.source.metadata("stable", "2.root.json", limit);
    assert_eq!(metadata(limit).unwrap().unwrap(), BODY);
    assert_eq!(metadata(limit - 1).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn statuses_say_what_to_do_next() {
    let mut setting = setting();
    for (status, kind) in [
        ("404 Not Found", None),
        ("403 Forbidden", None),
        ("410 Gone", None),
        ("401 Unauthorized", Some(Kind::Unreachable)),
        ("429 Too Many Requests", Some(Kind::Unreachable)),
        ("503 Service Unavailable", Some(Kind::Unreachable)),
    ] {
        let answers = BTreeMap::from([("/rings/stable/2.root.json".to_owned(), status.to_owned())]);
        setting.server.fault(Faults { answers, ..Faults::default() });
        let result = setting.source.metadata("stable", "2.root.json", 100);
        match kind {
            None => assert_eq!(result.unwrap(), None, "{status}"),
            Some(kind) => assert_eq!(result.unwrap_err().kind(), kind, "{status}"),
        }
    }
    // What metadata has named must be there.
    setting.target.sha256 = [0; 32];
    assert_eq!(fetched(&mut setting, 0).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn redirects_are_few_and_stay_at_home() {
    let mut setting = setting();
    let redirect = |setting: &mut Setting, to: &str| {
        let head = format!("302 Found\r\nLocation: {to}");
        let answers = BTreeMap::from([("/rings/stable/1.root.json".to_owned(), head)]);
        setting.server.fault(Faults { answers, ..Faults::default() });
        setting.source.metadata("stable", "1.root.json", 100)
    };
    assert_eq!(redirect(&mut setting, "2.root.json").unwrap().unwrap(), BODY);
    // Another host in the clear, and itself for ever.
    for to in ["http://localhost:9/x", "1.root.json"] {
        let error = redirect(&mut setting, to).unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable);
        assert!(error.to_string().contains("it redirects"), "{error}");
    }
}

#[test]
fn objects_come_in_order_and_large_ones_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<File> = (0..40_u32)
        .map(|number| {
            let size = match number {
                0 => 0,
                n if n % 7 == 0 => 3 << 20,
                n => n as usize * 100,
            };
            let content = vec![u8::try_from(number).unwrap(); size];
            let sha256 = sha256(&content);
            let name = hex::encode(sha256);
            let path = folder.path().join("objects").join(&name[..2]);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join(&name), content).unwrap();
            let path = format!("f{number:02}");
            File { path, sha256, size: size as u64, executable: false }
        })
        .collect();
    let server = Server::start(folder.path());
    let mut source = Https::library(&server.url(), &Access::default()).unwrap();
    let (mut got, mut done) = (Vec::new(), Vec::new());
    let wanted: Vec<&File> = files.iter().collect();
    source
        .objects(&wanted, &mut |file, piece| {
            got.extend_from_slice(piece);
            if piece.is_empty() {
                assert_eq!(sha256(&std::mem::take(&mut got)), file.sha256);
                done.push(file.path.clone());
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(done, files.iter().map(|file| file.path.clone()).collect::<Vec<_>>());
}

#[test]
fn names_that_a_url_resolves_away_are_refused() {
    assert_eq!(encode_path("a b/ü?#%").unwrap(), "a%20b/%C3%BC%3F%23%25");
    for name in ["../x", "/x", "a//b", "a/./b", "a/..", ""] {
        assert_eq!(encode_path(name).unwrap_err().kind(), Kind::Refused, "{name:?}");
    }
}

#[test]
fn a_set_up_that_cannot_work_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.pem");
    let kind = |access: &Access<'_>| {
        Https::library("https://mirror.example.com", access).unwrap_err().kind()
    };
    let access = Access { ca_file: Some(&path), ..Access::default() };
    assert_eq!(kind(&access), Kind::Config);
    fs::write(&path, "no certificate").unwrap();
    assert_eq!(kind(&access), Kind::Config);
    let access = Access { client_certificate: Some(&path), ..Access::default() };
    assert_eq!(kind(&access), Kind::Config);
}
