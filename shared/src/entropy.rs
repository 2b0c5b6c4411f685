//! The one door to chance. Pure code takes what was drawn as an argument; handlers hold an [`Entropy`].

use std::sync::Mutex;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Draws random bytes.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with unpredictable ones.
    fn fill(&self, bytes: &mut [u8]);
}

impl dyn Entropy + '_ {
    /// So many random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Evenly drawn from 0 to 999: the share of a jitter.
    #[must_use]
    pub fn per_mille(&self) -> u16 {
        let drawn = u64::from_le_bytes(self.bytes());
        u16::try_from(drawn % 1000).unwrap_or_default()
    }
}

/// The operating system's source, through the crypto library.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom::new()
            .fill(bytes)
            .expect("the crypto library's generator does not fail once it is seeded");
    }
}

/// A repeatable sequence for tests: the same seed gives the same bytes.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<(u64, u64)>);

impl SeededEntropy {
    /// The sequence that `seed` gives.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new((seed, 0)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for chunk in bytes.chunks_mut(32) {
            let (seed, count) = *state;
            *state = (seed, count.wrapping_add(1));
            let block = digest(&SHA256, &[seed.to_le_bytes(), count.to_le_bytes()].concat());
            for (byte, drawn) in chunk.iter_mut().zip(block.as_ref()) {
                *byte = *drawn;
            }
        }
    }
}
