//! Blanking secrets in a stream: `***` stands for them, also when they come in pieces.

use zeroize::Zeroizing;

use super::Secret;

const BLANKED: &[u8] = b"***";

/// One stream and what must not be seen in it.
pub struct Blank {
    patterns: Vec<Zeroizing<Vec<u8>>>,
    /// Which patterns begin with a byte: most bytes begin none.
    beginnings: [bool; 256],
    /// The end of what came, which may be the beginning of a secret.
    held: Zeroizing<Vec<u8>>,
    /// So many bytes of `held` belong to a secret that began before them.
    covered: usize,
    /// What was written last is a blanked secret.
    blanked: bool,
}

impl Blank {
    /// Of `secrets`.
    pub fn new(secrets: &[Secret]) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        let mut beginnings = [false; 256];
        for pattern in secrets.iter().flat_map(Secret::patterns) {
            if let Some(first) = pattern.first() {
                beginnings[usize::from(*first)] = true;
                patterns.push(Zeroizing::new(pattern.to_vec()));
            }
        }
        Self { patterns, beginnings, held: Zeroizing::new(Vec::new()), covered: 0, blanked: false }
    }

    /// Takes what came; what may be shown of the stream by now.
    pub fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut all = Zeroizing::new(Vec::with_capacity(self.held.len() + bytes.len()));
        all.extend_from_slice(&self.held);
        all.extend_from_slice(bytes);
        let open = |at: &usize| {
            let rest = &all[*at..];
            self.beginnings[usize::from(rest[0])]
                && self.patterns.iter().any(|p| p.len() > rest.len() && p.starts_with(rest))
        };
        let end = (0..all.len()).find(open).unwrap_or(all.len());
        self.show(&all, end)
    }

    /// What is left when the stream has ended.
    pub fn rest(&mut self) -> Vec<u8> {
        let all = std::mem::take(&mut self.held);
        let end = all.len();
        self.show(&all, end)
    }

    /// `all` up to `end`, blanked. No secret that begins before `end` is cut by the end of `all`.
    fn show(&mut self, all: &[u8], end: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(end);
        for (at, byte) in all[..end].iter().enumerate() {
            if self.beginnings[usize::from(*byte)] {
                let here = self.patterns.iter().filter(|p| all[at..].starts_with(p));
                let longest = here.map(|p| p.len()).max().unwrap_or(0);
                // Secrets may overlap: all of their bytes are covered.
                self.covered = self.covered.max(longest);
            }
            if self.covered == 0 {
                out.push(*byte);
            } else if !self.blanked {
                out.extend_from_slice(BLANKED);
            }
            self.blanked = self.covered > 0;
            self.covered = self.covered.saturating_sub(1);
        }
        self.held = Zeroizing::new(all[end..].to_vec());
        out
    }
}

impl std::fmt::Debug for Blank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blank({} patterns)", self.patterns.len())
    }
}
