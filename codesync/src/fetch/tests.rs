//! Downloads that are cut, damaged, and slowed down.

use super::*;
use crate::{
    manifest::sha256,
    source::{
        Access, Https,
        https::server::{Faults, Server},
    },
};

struct Setting {
    folder: tempfile::TempDir,
    server: Server,
    content: Vec<u8>,
    target: Target,
}

fn setting(length: usize) -> Setting {
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..=250_u8).cycle().take(length).collect();
    let target = Target { name: "t".into(), sha256: sha256(&content), length: length as u64 };
    let targets = folder.path().join("www/rings/stable/targets");
    fs::create_dir_all(&targets).unwrap();
    fs::write(targets.join(target.file()), &content).unwrap();
    let server = Server::start(&folder.path().join("www"));
    Setting { folder, server, content, target }
}

impl Setting {
    fn partial(&self) -> PathBuf {
        self.folder.path().join("partial")
    }

    fn file(&self) -> PathBuf {
        self.partial().join(hex::encode(self.target.sha256))
    }

    fn fetch(&self) -> Result<Vec<u8>> {
        self.fetch_at(None)
    }

    fn fetch_at(&self, rate: Option<u64>) -> Result<Vec<u8>> {
        let mut source = Https::library(&self.server.url(), &Access::default())?;
        let mut downloads = Downloads::new(&self.partial(), rate)?;
        let wanted = Wanted::Target("stable", &self.target);
        let mut content = Vec::new();
        downloads.fetch(&mut source, wanted, &|_| ())?.read_to_end(&mut content).unwrap();
        downloads.finish()?;
        assert_eq!(fs::read_dir(self.partial()).unwrap().count(), 0);
        Ok(content)
    }
}

#[test]
fn a_cut_costs_what_was_not_there_yet() {
    let setting = setting(1 << 20);
    setting.server.fault(Faults { cut_after: Some(300_000), ..Faults::default() });
    for times in 1..=3 {
        assert_eq!(setting.fetch().unwrap_err().kind(), Kind::Unreachable);
        assert_eq!(fs::metadata(setting.file()).unwrap().len(), times * 300_000);
    }
    assert_eq!(setting.fetch().unwrap(), setting.content);
    let from: Vec<String> = setting
        .server
        .asked()
        .iter()
        .filter_map(|path| path.split_once(" from ").map(|(_, from)| from.to_owned()))
        .collect();
    assert_eq!(from, ["300000", "600000", "900000"]);
}

#[test]
fn a_wrong_partial_file_is_dropped_once() {
    let setting = setting(1 << 20);
    fs::create_dir(setting.partial()).unwrap();
    for wrong in [vec![b'x'; 1000], vec![b'x'; 1 << 20], vec![b'x'; 2 << 20]] {
        fs::write(setting.file(), wrong).unwrap();
        assert_eq!(setting.fetch().unwrap(), setting.content);
    }
    std::os::unix::fs::symlink("/dev/zero", setting.file()).unwrap();
    assert_eq!(setting.fetch().unwrap(), setting.content);
    // What the server has is wrong too.
    let mut bytes = setting.content.clone();
    bytes[7] ^= 1;
    let path = setting.folder.path().join("www/rings/stable/targets").join(setting.target.file());
    fs::write(path, bytes).unwrap();
    fs::write(setting.file(), &setting.content[..1000]).unwrap();
    // The part that is here is right, and so is the rest of what the server has.
    assert_eq!(setting.fetch().unwrap(), setting.content);
    setting.server.asked();
    fs::write(setting.file(), b"x").unwrap();
    assert_eq!(setting.fetch().unwrap_err().kind(), Kind::Refused);
    assert_eq!(setting.server.asked().len(), 2);
    assert!(!setting.file().exists());
}

#[test]
fn short_downloads_leave_nothing() {
    let setting = setting(1000);
    setting.server.fault(Faults { cut_after: Some(300), ..Faults::default() });
    assert_eq!(setting.fetch().unwrap_err().kind(), Kind::Unreachable);
    assert_eq!(fs::read_dir(setting.partial()).unwrap().count(), 0);
}

#[test]
fn a_rate_is_kept_on_average() {
    let setting = setting(100_000);
    let began = Instant::now();
    assert_eq!(setting.fetch_at(Some(200_000)).unwrap(), setting.content);
    assert!(began.elapsed() > Duration::from_millis(450), "{:?}", began.elapsed());
    assert_eq!(Downloads::new(&setting.partial(), Some(1000)).unwrap_err().kind(), Kind::Config);
}

#[test]
fn old_and_strange_files_go() {
    let setting = setting(10);
    fs::create_dir(setting.partial()).unwrap();
    let names = ["a", "b"].map(|letter| letter.repeat(64));
    for name in [&names[0], &names[1], "stranger"] {
        fs::write(setting.partial().join(name), "x").unwrap();
    }
    let old = SystemTime::now() - KEPT - Duration::from_secs(60);
    let file = fs::File::options().write(true).open(setting.partial().join(&names[0])).unwrap();
    file.set_modified(old).unwrap();
    expire(&setting.partial()).unwrap();
    let left: Vec<_> = fs::read_dir(setting.partial()).unwrap().collect();
    assert_eq!(left.len(), 1);
    Downloads::new(&setting.partial(), None).unwrap().prune(&|_| false).unwrap();
    assert_eq!(fs::read_dir(setting.partial()).unwrap().count(), 0);
}
