//! `codesync serve` against clients that mean it no good: memory stays flat, sessions end.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use codesync::wire::{PIECE, Tag, read_frame, write_frame};
use e2e::{Sandbox, parts};

const MIB: u64 = 1 << 20;
/// What a session may take whatever is asked, a delta apart.
const FLAT: u64 = 24 * MIB;

/// A session without sshd.
struct Serve {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Serve {
    fn start(sandbox: &Sandbox) -> Result<Self> {
        let mut command = sandbox.codesync_command(&["serve"])?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().context("no stdout")?);
        Ok(Self { child, to, from })
    }

    fn ask(&mut self, json: &str) -> Result<()> {
        let to = self.to.as_mut().context("closed")?;
        Ok(write_frame(to, Tag::Request, json.as_bytes())?)
    }

    /// Reads one answer; how it ended, and how many bytes of content came.
    fn answer(&mut self) -> Result<(Tag, u64)> {
        let (mut payload, mut bytes) = (Vec::new(), 0);
        loop {
            match read_frame(&mut self.from, &mut payload)? {
                Some(Tag::Data) => bytes += payload.len() as u64,
                Some(Tag::File) => {}
                Some(tag) => return Ok((tag, bytes)),
                None => anyhow::bail!("the session ended within an answer"),
            }
        }
    }

    /// The most memory that it had so far, in bytes.
    fn peak(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        Ok(kib.context("no VmHWM")? << 10)
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A library with one more content: nobody asks serve whether it is what its name says.
fn library(length: u64) -> Result<Option<(Sandbox, String)>> {
    if !parts::need_bins(&["codesync"])? {
        return Ok(None);
    }
    let sandbox = Sandbox::with_library()?;
    sandbox.put("modules/a.sh", "a() { :; }\n")?;
    sandbox.publish()?;
    let hash = "ab".repeat(32);
    let object = sandbox.library().join("objects/ab").join(&hash);
    fs::create_dir_all(sandbox.library().join("objects/ab"))?;
    fs::File::create(&object)?.set_len(length)?;
    Ok(Some((sandbox, hash)))
}

#[test]
fn half_a_gigabyte_and_a_slow_reader_take_no_memory() -> Result<()> {
    let Some((sandbox, hash)) = library(500 * MIB)? else { return Ok(()) };
    let mut serve = Serve::start(&sandbox)?;
    let ask = format!(r#"{{"v":1,"op":"objects","sha256":["{hash}"]}}"#);
    serve.ask(&ask)?;
    let mut few = [0; 100];
    for _ in 0..20 {
        serve.from.read_exact(&mut few[..5])?;
        let [_, length @ ..] = few.first_chunk::<5>().context("five")?;
        let length = u64::from(u32::from_be_bytes(*length));
        std::io::copy(&mut (&mut serve.from).take(length), &mut std::io::sink())?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let (tag, bytes) = serve.answer()?;
    // The first of the twenty frames was the head.
    ensure!(tag == Tag::End && bytes == 500 * MIB - 19 * PIECE as u64, "{tag:?} {bytes}");
    ensure!(serve.peak()? < FLAT, "{} B", serve.peak()?);
    Ok(())
}

#[test]
fn a_flood_of_requests_is_answered_in_order_and_takes_no_memory() -> Result<()> {
    let Some((sandbox, hash)) = library(3)? else { return Ok(()) };
    let mut serve = Serve::start(&sandbox)?;
    let many = vec![format!("{hash:?}"); 500].join(",");
    let ask = format!(r#"{{"v":1,"op":"objects","sha256":[{many}]}}"#);
    let mut to = serve.to.take().context("closed")?;
    let writer = std::thread::spawn(move || {
        for _ in 0..100 {
            // It stops reading while nobody reads its answers.
            write_frame(&mut to, Tag::Request, ask.as_bytes())?;
        }
        Ok::<_, std::io::Error>(to)
    });
    for _ in 0..100 {
        ensure!(serve.answer()? == (Tag::End, 1500));
    }
    let _open = writer.join().map_err(|_| anyhow::anyhow!("the writer failed"))??;
    ensure!(serve.peak()? < FLAT, "{} B", serve.peak()?);
    Ok(())
}

#[test]
fn a_giant_frame_ends_the_session_before_it_is_read() -> Result<()> {
    let Some((sandbox, _)) = library(3)? else { return Ok(()) };
    for start in [&b"Q\xff\xff\xff\xff"[..], b"S\x7f\xff\xff\xff", b"Q\x00\x01\x00\x01"] {
        let mut serve = Serve::start(&sandbox)?;
        serve.to.as_mut().context("closed")?.write_all(start)?;
        ensure!(serve.answer()?.0 == Tag::Error);
        ensure!(serve.child.wait()?.code() == Some(2));
    }
    Ok(())
}

#[test]
fn the_dearest_delta_is_bounded() -> Result<()> {
    let Some((sandbox, hash)) = library(60 * MIB)? else { return Ok(()) };
    // Small blocks, as many as a signature may have, and a content that shares nothing with them.
    let mut noise = e2e::rng::Rng::new(1);
    let mut signature = vec![0x72, 0x73, 0x01, 0x36, 0, 0, 0, 128, 0, 0, 0, 8];
    while signature.len() as u64 + 12 <= MIB {
        let (a, b) = (noise.bits().to_le_bytes(), noise.bits().to_le_bytes());
        signature.extend_from_slice(&a);
        signature.extend_from_slice(&b[..4]);
    }
    let content: Vec<u8> = (0..60 * MIB / 8).flat_map(|_| noise.bits().to_le_bytes()).collect();
    fs::write(sandbox.library().join("objects/ab").join(&hash), &content)?;
    let mut serve = Serve::start(&sandbox)?;
    serve.ask(&format!(
        r#"{{"v":1,"op":"delta","sha256":"{hash}","length":{}}}"#,
        signature.len()
    ))?;
    for piece in signature.chunks(PIECE) {
        write_frame(serve.to.as_mut().context("closed")?, Tag::Signature, piece)?;
    }
    let (tag, bytes) = serve.answer()?;
    ensure!(tag == Tag::End && bytes > 60 * MIB, "{tag:?} {bytes}");
    println!("most memory of a delta: {} B", serve.peak()?);
    ensure!(serve.peak()? < 96 * MIB, "{} B", serve.peak()?);
    serve.ask(&format!(r#"{{"v":1,"op":"delta","sha256":"{hash}","length":{}}}"#, MIB + 1))?;
    ensure!(serve.answer()?.0 == Tag::Error);
    Ok(())
}
