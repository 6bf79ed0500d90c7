//! Trees that change in ways that a cache could miss.

use std::{fs::FileTimes, time::SystemTime};

use super::*;
use crate::{
    library::Library,
    manifest::Manifest,
    publish::{self, Tree, scan::scan},
    sign::Keys,
};

struct Setting {
    folder: tempfile::TempDir,
    library: Library,
}

impl Setting {
    /// A tree of two files that were last touched long ago, as far as a cache can tell.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("tree")).unwrap();
        let keys = Keys::new(&folder.path().join("keys"));
        let library = folder.path().join("library");
        publish::init(&library, &keys, &["stable".into()], (1, 1), chrono::Utc::now()).unwrap();
        let library = Library::open(&library).unwrap();
        let setting = Self { folder, library };
        setting.write("a", "one");
        setting.write("b", "two");
        setting
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path("tree").join(name), content).unwrap();
    }

    fn tree<'a>(folder: &'a Path, cache: &'a Path) -> Tree<'a> {
        Tree { cache: Some(cache), ..Tree::from(folder) }
    }

    fn scan(&self) -> Manifest {
        let (tree, cache) = (self.path("tree"), self.path("cache"));
        scan(&Self::tree(&tree, &cache), &self.library, &Manifest::default()).unwrap().0
    }

    fn cache(&self) -> Cache {
        Cache::open(Some(&self.path("cache")), &self.path("tree"))
    }

    /// Puts every file into the cache, however young it is.
    fn remember(&self) {
        let manifest = self.scan();
        let stamp = |path: &str| Stamp::of(&fs::metadata(self.path("tree").join(path)).unwrap());
        let mut cache = self.cache();
        cache.settled = i128::MAX;
        let files: Vec<_> = manifest.files().collect();
        cache.replace(files.iter().map(|f| (f.path.as_str(), stamp(&f.path), f.sha256)));
        cache.save();
    }

    /// Has the cache say that every file's content is `hash`: who believes it gives it back.
    fn lie(&self, hash: Hash) {
        let mut cache = self.cache();
        assert!(!cache.entries.is_empty());
        cache.entries.iter_mut().for_each(|entry| entry.sha256 = hash);
        cache.dirty = true;
        cache.save();
    }

    fn hashes(&self) -> Vec<Hash> {
        self.scan().files().map(|file| file.sha256).collect()
    }
}

fn both() -> Vec<Hash> {
    vec![sha256(b"one"), sha256(b"two")]
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let setting = Setting::new();
    setting.remember();
    // The lie must name a content that is stored.
    setting.lie(sha256(b"one"));
    assert_eq!(setting.hashes(), vec![sha256(b"one"); 2]);
    let (tree, cache) = (setting.path("tree"), setting.path("cache"));
    let anew = Tree { rehash: true, ..Setting::tree(&tree, &cache) };
    let manifest = scan(&anew, &setting.library, &Manifest::default()).unwrap().0;
    assert_eq!(manifest.at(1).unwrap().sha256, sha256(b"two"));
}

#[test]
fn a_file_that_was_just_written_is_read_again() {
    let setting = Setting::new();
    setting.scan();
    assert!(setting.cache().entries.is_empty());
}

#[test]
fn an_edit_is_seen_whatever_the_file_says_of_itself() {
    let setting = Setting::new();
    setting.remember();
    let path = setting.path("tree/a");
    let before = fs::metadata(&path).unwrap();
    // The same length, in place, and the old modification time put back.
    std::thread::sleep(Duration::from_millis(20));
    fs::write(&path, "eno").unwrap();
    let times = FileTimes::new().set_modified(before.modified().unwrap());
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before.modified().unwrap());
    assert_eq!(setting.hashes()[0], sha256(b"eno"));

    // Another file renamed over it, older than the first.
    setting.remember();
    let other = setting.path("other");
    fs::write(&other, "neo").unwrap();
    let times = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    fs::File::options().write(true).open(&other).unwrap().set_times(times).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(setting.hashes()[0], sha256(b"neo"));
}

#[test]
fn a_copy_of_tree_and_cache_is_read_again() {
    let setting = Setting::new();
    setting.remember();
    setting.lie(sha256(b"one"));
    let (tree, copy) = (setting.path("tree"), setting.path("copy"));
    fs::create_dir(&copy).unwrap();
    for name in ["a", "b"] {
        fs::copy(tree.join(name), copy.join(name)).unwrap();
        let times = FileTimes::new()
            .set_modified(fs::metadata(tree.join(name)).unwrap().modified().unwrap());
        fs::File::options().write(true).open(copy.join(name)).unwrap().set_times(times).unwrap();
    }
    fs::remove_dir_all(&tree).unwrap();
    fs::rename(&copy, &tree).unwrap();
    assert_eq!(setting.hashes(), both());
}

#[test]
fn a_cache_that_cannot_be_believed_is_none() {
    let setting = Setting::new();
    setting.remember();
    setting.lie(sha256(b"one"));
    let file = setting.cache().file.unwrap();
    let good = fs::read(&file).unwrap();
    for at in [0, 5, 9, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, bad).unwrap();
        assert_eq!(setting.hashes(), both(), "byte {at}");
        fs::write(&file, &good[..at]).unwrap();
        assert_eq!(setting.hashes(), both(), "cut at {at}");
    }
    // Somebody else could have written it.
    fs::write(&file, &good).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(setting.hashes(), both());
    fs::remove_file(&file).unwrap();
    fs::write(setting.path("else"), &good).unwrap();
    std::os::unix::fs::symlink(setting.path("else"), &file).unwrap();
    assert_eq!(setting.hashes(), both());
}

#[test]
fn a_content_that_the_library_lost_is_stored_again() {
    let setting = Setting::new();
    setting.remember();
    let object = setting.library.object(&sha256(b"one"));
    fs::remove_file(&object).unwrap();
    assert_eq!(setting.hashes(), both());
    assert_eq!(fs::read(&object).unwrap(), b"one");
}

#[test]
fn what_was_damaged_is_mended_in_store_and_export() {
    let setting = Setting::new();
    let (tree, cache, keys) =
        (setting.path("tree"), setting.path("cache"), Keys::new(&setting.path("keys")));
    let publish = |rehash| {
        let tree = Tree { rehash, ..Setting::tree(&tree, &cache) };
        let lifetimes = publish::Lifetimes::default();
        let now = chrono::Utc::now();
        publish::publish(&setting.library, &keys, tree, "stable", "", lifetimes, now).unwrap()
    };
    publish(false);
    setting.remember();
    let object = setting.library.object(&sha256(b"one"));
    let exported = setting.path("library/export/stable/a");
    // Damage of the same length is found where everything is read, a lost length where a file is.
    fs::write(&object, "eno").unwrap();
    assert_eq!(fs::read(&exported).unwrap(), b"eno");
    assert_eq!(publish(true).changed, 0);
    assert_eq!(fs::read(&exported).unwrap(), b"one");
    fs::write(&object, "").unwrap();
    fs::remove_file(setting.cache().file.unwrap()).unwrap();
    setting.write("b", "three");
    assert_eq!(publish(false).changed, 1);
    assert_eq!(fs::read(&exported).unwrap(), b"one");
    assert_eq!(fs::read(setting.path("library/export/stable/b")).unwrap(), b"three");
}
