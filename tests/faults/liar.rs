//! A server whose SSH is in order and whose words are not, and publishers whose keys are real.

use std::{collections::BTreeSet, fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use chrono::{TimeDelta, Utc};
use codesync::{
    library::Library,
    publish::{self, Lifetimes},
    sign::Keys,
};
use e2e::{process, program};

use crate::{
    Plan,
    forge::{Forge, Item, bundle, edits, frame, manifest, varint},
    site::{Site, word},
    tally::Tally,
};

/// What a client may need of memory whatever it is sent, in bytes.
const PEAK: u64 = 200 << 20;
const GIB: u64 = 1 << 30;

type Attack = Box<dyn Fn(&Site) -> Result<()>>;

/// The case. The client has release 2, the library is at 3, and each attack starts from there.
pub fn run(plan: Plan) -> Result<Vec<Tally>> {
    let mut site = Site::new(plan.seed, 60)?;
    copy(&site, "library", "library.1")?;
    site.next(10)?;
    site.recover()?;
    copy(&site, "library", "library.2")?;
    site.next(10)?;
    copy(&site, "library", "library.3")?;
    copy(&site, "client", "client.2")?;
    let mut tallies = Vec::new();
    for (name, attacks) in [
        ("without keys", unsigned()),
        ("stolen keys: names", names()),
        ("stolen keys: bombs", bombs()),
    ] {
        let mut tally = Tally::new(format!("hostile server, {name}"));
        let mut most = 0;
        for (what, attack) in attacks.into_iter().step_by(plan.step()) {
            let end = one(&site, &attack);
            most = most.max(end.as_ref().map_or(0, |(_, memory)| *memory));
            tally.add(end.map(|(word, _)| word).context(what));
            restore(&site)?;
        }
        tally.say(format!("most memory {} MiB", most >> 20));
        tallies.push(tally);
    }
    let mut tally = Tally::new("hostile server, endless answers");
    for (number, words) in endless()?.into_iter().enumerate() {
        tally.add(stream(&site, number, &words));
    }
    let mut control = Tally::new("the same forgery with a clean name");
    control.add(clean(&site));
    tallies.extend([tally, control]);
    Ok(tallies)
}

fn copy(site: &Site, from: &str, to: &str) -> Result<()> {
    let (from, to) = (site.sandbox.path(from), site.sandbox.path(to));
    fs::remove_dir_all(&to).ok();
    let mut command = process::command(&program("cp")?);
    process::run(command.arg("-a").arg("--").arg(from).arg(to))?.success().map(drop)
}

fn restore(site: &Site) -> Result<()> {
    copy(site, "library.3", "library")?;
    copy(site, "client.2", "client")
}

/// One sync from the library as `attack` left it: how it ended, and the memory it needed.
fn one(site: &Site, attack: &Attack) -> Result<(&'static str, u64)> {
    attack(site).context("the attack itself")?;
    let before = names_in(site)?;
    let done = site.sync()?;
    let end = word(&done)?;
    ensure!(end != "done", "accepted: {done}");
    ensure!(site.whole()? == Some(2), "release 2 is not active any more: {done}");
    judge(site, &before, done.wall.as_secs())?;
    // The attack over, the honest library is taken. What stolen keys signed is newer; getting over
    // that takes new keys, which is not what is looked at here.
    copy(site, "library.3", "library")?;
    copy(site, "client.2/trust", "client/trust")?;
    let memory = site.memory()?;
    site.recover().context("the honest library after the attack")?;
    Ok((end, memory))
}

fn judge(site: &Site, before: &BTreeSet<PathBuf>, seconds: u64) -> Result<()> {
    ensure!(names_in(site)? == *before, "something was written beside the client's root");
    for stray in ["/etc/outside", "/outside"] {
        ensure!(fs::symlink_metadata(stray).is_err(), "{stray} was written");
    }
    ensure!(seconds < 60, "it took {seconds} s");
    let memory = site.memory()?;
    ensure!(memory < PEAK, "the client needed {} MiB", memory >> 20);
    Ok(())
}

fn names_in(site: &Site) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(site.sandbox.path(""))?;
    Ok(entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?)
}

fn attack(run: impl Fn(&Site) -> Result<()> + 'static) -> Attack {
    Box::new(run)
}

fn ring(site: &Site, version: u8, name: &str) -> PathBuf {
    let library = if version == 0 { "library".to_owned() } else { format!("library.{version}") };
    site.sandbox.path(&library).join("rings/stable").join(name)
}

fn unsigned() -> Vec<(String, Attack)> {
    let mut all: Vec<(String, Attack)> = Vec::new();
    for name in ["timestamp.json", "3.snapshot.json", "3.targets.json"] {
        all.push((
            format!("a forged signature on {name}"),
            attack(move |site| {
                let path = ring(site, 0, name);
                let text = fs::read_to_string(&path)?;
                let at = text.find("\"sig\":\"").context("no signature")? + 7;
                let old = text.get(at..at + 1).context("no signature")?;
                let new = if old == "0" { "1" } else { "0" };
                Ok(fs::write(&path, format!("{}{new}{}", &text[..at], &text[at + 1..]))?)
            }),
        ));
        all.push((
            format!("{name} of 2 GiB"),
            attack(move |site| Ok(fs::File::create(ring(site, 0, name))?.set_len(2 * GIB)?)),
        ));
        all.push((
            format!("{name} of 60,000 brackets"),
            attack(move |site| Ok(fs::write(ring(site, 0, name), "[".repeat(60_000))?)),
        ));
        all.push((
            format!("{name} of an older release"),
            attack(move |site| {
                let old = name.replace('3', "2");
                Ok(fs::copy(ring(site, 2, &old), ring(site, 0, name)).map(drop)?)
            }),
        ));
    }
    // The last is a replay that the client has already: nothing new, and nothing wrong.
    all.retain(|(what, _)| what != "timestamp.json of an older release");
    all.push((
        "the whole library as it was before".to_owned(),
        attack(|site| copy(site, "library.1", "library")),
    ));
    all.push((
        "a timestamp that expired".to_owned(),
        attack(|site| {
            let library = Library::open(&site.sandbox.library())?;
            let keys = Keys::new(&site.sandbox.keys());
            let then = Utc::now() - TimeDelta::days(21);
            publish::refresh(&library, &keys, "stable", Lifetimes::default(), then)?;
            Ok(())
        }),
    ));
    for (what, from, to) in [
        ("a full bundle under a patch's name", "full.zst", "2-3.patch.zst"),
        ("a manifest under a patch's name", "manifest", "2-3.patch.zst"),
        ("an older patch under a newer one's name", "1-3.patch.zst", "2-3.patch.zst"),
    ] {
        all.push((
            what.to_owned(),
            attack(move |site| {
                let find = |end: &str| {
                    fs::read_dir(ring(site, 0, "targets"))?
                        .filter_map(|entry| Some(entry.ok()?.path()))
                        .find(|path| path.to_string_lossy().ends_with(end))
                        .with_context(|| format!("no {end}"))
                };
                Ok(fs::copy(find(from)?, find(to)?).map(drop)?)
            }),
        ));
    }
    all
}

fn names() -> Vec<(String, Attack)> {
    let long = vec![b'a'; 5000];
    let part = [b"a/".to_vec(), vec![b'b'; 300]].concat();
    let lists: Vec<Vec<&[u8]>> = vec![
        vec![b"../outside"],
        vec![b"modules/../../outside"],
        vec![b"/etc/outside"],
        vec![b"//outside"],
        vec![b"./outside"],
        vec![b"a//outside"],
        vec![b""],
        vec![b".."],
        vec![b".git/config"],
        vec![b"a/.GIT/config"],
        vec![b"-rf"],
        vec![b"a\\b"],
        vec![b"nul\0outside"],
        vec![b"line\noutside"],
        vec![b"bell\x07"],
        vec![b"\xff\xfe"],
        vec![b"A/x", b"a/x"],
        vec![b"a", b"a/b"],
        vec![b"a", b"a"],
        vec![b"b", b"a"],
        vec![&long],
        vec![&part],
    ];
    let mut all = Vec::new();
    for list in lists {
        for bundled in [false, true] {
            let paths: Vec<Vec<u8>> = list.iter().map(|path| path.to_vec()).collect();
            let shown: String = String::from_utf8_lossy(list[0]).chars().take(30).collect();
            let how = if bundled { "in a bundle" } else { "in a manifest" };
            let run = attack(move |site| named(site, &paths, bundled));
            all.push((format!("the name {shown:?} {how}"), run));
        }
    }
    all
}

fn named(site: &Site, paths: &[Vec<u8>], bundled: bool) -> Result<()> {
    let content = b"outside\n";
    let mut forge = Forge::new(&site.sandbox);
    let number = forge.number()?;
    forge.object(content)?;
    let items: Vec<Item> = paths.iter().map(|path| Item::new(path, content)).collect();
    let text = manifest(&items);
    forge.target("manifest", &text, text.len() as u64)?;
    if bundled {
        let raw = [edits(&items), content.to_vec()].concat();
        let bytes = bundle(number, raw.len() as u64, &varint(0), &frame(&raw, 0, 0, 17))?;
        forge.target(&format!("{number}.full.zst"), &bytes, bytes.len() as u64)?;
    }
    forge.sign()
}

/// That what [`named`] makes is refused for the name alone.
fn clean(site: &Site) -> Result<String> {
    for bundled in [false, true] {
        restore(site)?;
        fs::remove_dir_all(site.sandbox.root())?;
        named(site, &[b"inside".to_vec()], bundled)?;
        site.sync()?.success()?;
        ensure!(fs::read(site.sandbox.lib().join("inside"))? == b"outside\n");
    }
    restore(site)?;
    Ok("accepted".to_owned())
}

/// Bundles and counts, each small to carry and large to believe.
fn bombs() -> Vec<(String, Attack)> {
    let item = |number: u8, size: u64| Item {
        path: format!("f{number:03}").into_bytes(),
        size,
        sha256: [number; 32],
    };
    let many = edits(&(0..60).map(|number| item(number, 64 << 20)).collect::<Vec<_>>());
    let forever = [varint(1 << 62), vec![]].concat();
    let endless_edits = [varint(0), varint(1 << 40)].concat();
    let basis = [varint(60 << 20), vec![1; 60 << 20]].concat();
    let cases: Vec<(&str, u64, Vec<u8>, Vec<u8>)> = vec![
        ("100 bytes that expand to 4 GiB", 100, varint(0), frame(&[], 0, 4 * GIB, 17)),
        ("4 GiB of nothing", 4 * GIB, varint(0), frame(&[], 0, 4 * GIB, 17)),
        ("4 GiB of removed files", 4 * GIB, varint(0), frame(&forever, 1, 4 * GIB, 17)),
        ("4 GiB of edits", 4 * GIB, varint(0), frame(&endless_edits, 2, 4 * GIB, 17)),
        ("60 contents of 64 MiB", 4 * GIB, varint(0), frame(&many, 0, 60 * (64 << 20), 17)),
        ("a window of 2 GiB", 4 * GIB, varint(0), frame(&[], 0, 4 * GIB, 31)),
        ("more raw than there may be", 5 * GIB, varint(0), frame(&[], 0, 1, 17)),
        ("a basis of 60 million files", 9, basis, frame(&[], 0, 9, 17)),
        ("a basis of 2^63 files", 9, varint(1 << 63), frame(&[], 0, 9, 17)),
    ];
    let mut all: Vec<(String, Attack)> = Vec::new();
    for (what, window) in [("a window of 1 GiB", 30), ("a window of 64 MiB", 26)] {
        let run = attack(move |site| contents(site, window));
        all.push((format!("contents of 64 MiB in {what}"), run));
    }
    for (what, raw, basis, frame) in cases {
        let run = attack(move |site| {
            let mut forge = Forge::new(&site.sandbox);
            let number = forge.number()?;
            let text = manifest(&[Item::new(b"inside", b"outside\n")]);
            forge.target("manifest", &text, text.len() as u64)?;
            let bytes = bundle(number, raw, &basis, &frame)?;
            forge.target(&format!("{number}.full.zst"), &bytes, bytes.len() as u64)?;
            forge.sign()
        });
        all.push((what.to_owned(), run));
    }
    for (what, size) in [("a file of 2^63 bytes", 1 << 63), ("a file of 2^64 - 1 bytes", u64::MAX)]
    {
        let run = attack(move |site| {
            let mut forge = Forge::new(&site.sandbox);
            forge.object(b"outside\n")?;
            let item = Item { size, ..Item::new(b"inside", b"outside\n") };
            let text = manifest(&[item]);
            forge.target("manifest", &text, text.len() as u64)?;
            forge.sign()
        });
        all.push((what.to_owned(), run));
    }
    for (what, length) in [("a manifest of 2^63 bytes", 1 << 63), ("a manifest too short", 3)] {
        let run = attack(move |site| {
            let mut forge = Forge::new(&site.sandbox);
            let text = manifest(&[Item::new(b"inside", b"outside\n")]);
            forge.target("manifest", &text, length)?;
            forge.sign()
        });
        all.push((what.to_owned(), run));
    }
    all
}

/// A bundle of contents as large as they may be, all as signed but for the last.
fn contents(site: &Site, window: u8) -> Result<()> {
    let zeros = vec![0; 64 << 20];
    let mut items: Vec<Item> =
        (0..5).map(|less| Item::new(format!("f{less}").as_bytes(), &zeros[less..])).collect();
    if let Some(last) = items.last_mut() {
        last.sha256 = [1; 32];
    }
    let size = items.iter().map(|item| item.size).sum::<u64>();
    let head = edits(&items);
    let mut forge = Forge::new(&site.sandbox);
    let number = forge.number()?;
    let text = manifest(&items);
    forge.target("manifest", &text, text.len() as u64)?;
    let bytes =
        bundle(number, head.len() as u64 + size, &varint(0), &frame(&head, 0, size, window))?;
    forge.target(&format!("{number}.full.zst"), &bytes, bytes.len() as u64)?;
    forge.sign()
}

/// A head, and a frame that is repeated for ever.
fn endless() -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let frame = |tag: u8, payload: &[u8]| -> Result<Vec<u8>> {
        Ok([&[tag], u32::try_from(payload.len())?.to_be_bytes().as_slice(), payload].concat())
    };
    let head = |length: u64| {
        frame(b'F', format!("{{\"name\":\"timestamp.json\",\"length\":{length}}}").as_bytes())
    };
    let file = [head(2)?, frame(b'D', b"{}")?].concat();
    Ok(vec![
        (head(60_000)?, frame(b'D', &[b' '; 4096])?),
        (head(60_000)?, frame(b'D', b"")?),
        (head(1)?, frame(b'W', b"")?),
        (Vec::new(), file),
        (Vec::new(), head(0)?),
        (Vec::new(), frame(b'Z', b"")?),
    ])
}

/// A server that says `words`, whatever it is asked, for as long as somebody listens.
fn stream(site: &Site, number: usize, (head, again): &(Vec<u8>, Vec<u8>)) -> Result<String> {
    let (first, rest) = (site.sandbox.path("endless.head"), site.sandbox.path("endless.rest"));
    fs::write(&first, head)?;
    fs::write(&rest, again.repeat(200))?;
    let cat = program("cat")?.display().to_string();
    let script = site.sandbox.path("endless.sh");
    let text = format!(
        "#!/bin/sh\n{cat} {}\nwhile {cat} {}; do :; done\n",
        first.display(),
        rest.display()
    );
    fs::write(&script, text)?;
    let config = site.forced(&format!("endless-{number}"), format!("sh {}", script.display()))?;
    let before = names_in(site)?;
    let done = site.sync_with(&config)?;
    let mut end = word(&done)?;
    if end == "done" {
        // An end that comes at once is a server that has nothing new.
        ensure!(done.json()?["outcome"] == "current", "accepted: {done}");
        end = "held back";
    }
    ensure!(site.whole()? == Some(2), "release 2 is not active any more: {done}");
    judge(site, &before, done.wall.as_secs())?;
    Ok(end.to_owned())
}
