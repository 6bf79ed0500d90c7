//! A log file that starts anew when it is large: `ldi.log`, `ldi.log.1`, … the oldest goes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of one file, at most, but for its last line.
pub const LIMIT: u64 = 2 << 20;
/// Files kept beside the one that is written.
pub const KEPT: u32 = 3;

/// The file. A line that cannot be written is lost and no more: the disk's troubles must not
/// become the daemon's, and the next line tries again.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    limit: u64,
    open: Mutex<Option<(File, u64)>>,
}

impl Rotating {
    /// The log file `path`; made with its first line.
    pub fn new(path: PathBuf) -> Self {
        Self { path, limit: LIMIT, open: Mutex::new(None) }
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut file, mut size) = match open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if size >= self.limit {
            drop(file);
            self.rotate();
            (file, size) = self.open()?;
        }
        // Not put back when this fails: opened anew, perhaps on a disk that is writable again.
        file.write_all(line)?;
        *open = Some((file, size + line.len() as u64));
        Ok(())
    }

    fn open(&self) -> io::Result<(File, u64)> {
        let file = OpenOptions::new().append(true).create(true).mode(0o640).open(&self.path)?;
        let size = file.metadata()?.len();
        Ok((file, size))
    }

    fn rotate(&self) {
        let named = |n: u32| match n {
            0 => self.path.clone(),
            n => self.path.with_extension(format!("log.{n}")),
        };
        for n in (0..KEPT).rev() {
            // One that is missing leaves a gap, which the next turns close.
            let _ = fs::rename(named(n), named(n + 1));
        }
    }
}

impl Write for &Rotating {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Told as written: the caller would print its own complaint for every line.
        let _ = self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Rotating {
    type Writer = &'a Rotating;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_starts_anew_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ldi.log");
        let log = Rotating { limit: 100, ..Rotating::new(path.clone()) };
        for n in 0..100 {
            (&log).write_all(format!("line {n:04} of a log\n").as_bytes()).unwrap();
        }
        let mut names: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["ldi.log", "ldi.log.1", "ldi.log.2", "ldi.log.3"]);
        let mut all = String::new();
        for name in names.iter().rev() {
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            assert!(text.len() < 130, "{name}: {}", text.len());
            all.push_str(&text);
        }
        assert!(all.ends_with("line 0099 of a log\n"));
        let first: u32 = all[5..9].parse().unwrap();
        assert_eq!(all.lines().count(), 100 - first as usize, "none is missing in between");
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn it_comes_back_after_its_folder_did() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("logs");
        let log = Rotating::new(folder.join("ldi.log"));
        (&log).write_all(b"lost\n").unwrap();
        fs::create_dir(&folder).unwrap();
        (&log).write_all(b"kept\n").unwrap();
        assert_eq!(fs::read_to_string(folder.join("ldi.log")).unwrap(), "kept\n");
    }
}
