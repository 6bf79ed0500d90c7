//! What `codesync serve` executes for a client that finds nothing new, counted by callgrind: a
//! figure that no load and no clock disturbs.

use std::{fs, process::Stdio};

use anyhow::{Context, Result};
use codesync::wire::{Tag, write_frame};
use e2e::{bin, command, parts};

use crate::{
    numbers::{Aim, Figure, Samples, Unit},
    site::Site,
};

/// The whole process, and the same without a request.
pub fn nothing(site: &Site) -> Result<Vec<Figure>> {
    if parts::find("valgrind").is_none() {
        println!("  valgrind is not installed: instructions are not counted");
        return Ok(Vec::new());
    }
    let versions = codesync::library::Library::open(&site.sandbox.library())?.versions("stable")?;
    let json = format!(
        r#"{{"v":1,"op":"refresh","ring":"stable","root":{},"timestamp":{},"snapshot":{},"targets":{}}}"#,
        versions.root, versions.timestamp, versions.snapshot, versions.targets
    );
    let mut request = Vec::new();
    write_frame(&mut request, Tag::Request, json.as_bytes())?;
    let mut figures = Vec::new();
    for (name, input) in
        [("serve, instructions", request.as_slice()), ("serve without a request", &[])]
    {
        let mut samples = Samples::default();
        samples.add(count(site, input)?);
        let (files, case) = (site.files, "nothing new");
        figures.push(Figure { files, case, name, unit: Unit::Count, samples, aim: Aim::None });
    }
    Ok(figures)
}

fn count(site: &Site, input: &[u8]) -> Result<f64> {
    let file = site.sandbox.path("request");
    fs::write(&file, input)?;
    let out = site.sandbox.path("callgrind.out");
    let mut valgrind = command(&parts::program("valgrind")?);
    valgrind.args(["--tool=callgrind", &format!("--callgrind-out-file={}", out.display())]);
    valgrind.arg(bin("codesync-serve")?).arg("--library").arg(site.sandbox.library());
    valgrind.stdin(fs::File::open(&file)?).stdout(Stdio::null()).stderr(Stdio::null());
    let status = valgrind.status()?;
    anyhow::ensure!(status.success(), "valgrind ended with {status}");
    let text = fs::read_to_string(&out)?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: "));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind told no summary")
}
