//! Another program's answers about many files: a few processes for all, each with a time limit and
//! a bound on what it may say. A file that ends or holds up the program is known by its missing
//! answer, and the others go on without it.

use std::{
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

/// What one process may take; reading a batch takes a fraction of a second.
const LIMIT: Duration = Duration::from_secs(60);
const MAX_ANSWER: u64 = 64 << 20;
/// After so many files that end the program, the rest of a batch is given up.
const MAX_BLAMED: usize = 3;
/// Files for one process.
pub const BATCH: usize = 256;

/// Feeds `input` to `command` and returns what it wrote until it ended, or until the limit; its
/// whole process group is then ended.
pub fn answer(mut command: Command, input: Vec<u8>, limit: Duration) -> std::io::Result<Vec<u8>> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (done, ended) = mpsc::channel();
    let said = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that stops reading has said all that it has to say.
            let _ = stdin.map(|mut stdin| stdin.write_all(&input));
        });
        let reader = scope.spawn(move || {
            let mut said = Vec::new();
            let _ = stdout.map(|stdout| stdout.take(MAX_ANSWER).read_to_end(&mut said));
            let _ = done.send(());
            said
        });
        let _ = ended.recv_timeout(limit);
        // Also what it left behind; it is not waited for yet, so the number is still its own.
        let _ = killpg(group, Signal::SIGKILL);
        reader.join().unwrap_or_default()
    });
    child.wait()?;
    Ok(said)
}

/// As [`answer`], within the usual limit.
pub fn usual(command: Command, input: Vec<u8>) -> std::io::Result<Vec<u8>> {
    answer(command, input, LIMIT)
}

/// The answers about `files`, in order; `None` for those that got none. `ask` returns answers for
/// the first of the files that it is given, as many as there were.
pub fn each<F, T>(files: &[F], ask: impl Fn(&[F]) -> Vec<T>) -> Vec<Option<T>> {
    let mut answers: Vec<Option<T>> = Vec::with_capacity(files.len());
    let mut blamed = 0;
    while answers.len() < files.len() && blamed < MAX_BLAMED {
        let rest = files.get(answers.len()..).unwrap_or_default();
        answers.extend(ask(rest).into_iter().take(rest.len()).map(Some));
        if answers.len() < files.len() {
            answers.push(None);
            blamed += 1;
        }
    }
    answers.resize_with(files.len(), || None);
    answers
}

/// `work` on parts of `items`, at most [`BATCH`] each, on all cores; what it returns, in order.
pub fn in_parts<'a, I: Sync, T: Send>(
    items: &'a [I],
    work: impl Fn(&'a [I]) -> Vec<T> + Sync,
) -> Vec<T> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let share = items.len().div_ceil(cores).clamp(1, BATCH);
    let parts: Vec<&'a [I]> = items.chunks(share).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(part) = parts.get(at) else { return done };
            done.push((at, work(part)));
        }
    };
    let mut all: Vec<(usize, Vec<T>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        // A worker that panicked is a bug that its own message shows.
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
    });
    all.sort_unstable_by_key(|(at, _)| *at);
    all.into_iter().flat_map(|(_, done)| done).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_an_answer_is_left_out_alone() {
        let ask = |rest: &[u32]| rest.iter().copied().take_while(|n| *n != 3).collect::<Vec<_>>();
        let got = each(&[1, 2, 3, 4, 5], ask);
        assert_eq!(got, [Some(1), Some(2), None, Some(4), Some(5)]);
        let none = |_: &[u32]| Vec::<u32>::new();
        assert_eq!(each(&[1, 2, 3, 4, 5, 6], none), [None; 6]);
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo first; sleep 1000 & wait"]);
        let said = answer(command, Vec::new(), Duration::from_secs(3)).unwrap();
        assert_eq!(said, b"first\n");
    }

    #[test]
    fn parts_come_back_in_order() {
        let items: Vec<usize> = (0..1000).collect();
        assert_eq!(in_parts(&items, <[usize]>::to_vec), items);
        assert!(in_parts(&[] as &[usize], <[usize]>::to_vec).is_empty());
    }
}
