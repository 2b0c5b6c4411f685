//! Chance that is drawn from a seed: the same seed, the same run.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use shared::entropy::Entropy;

/// A sequence of draws.
#[derive(Debug)]
pub struct Chance(Mutex<Rng>);

impl Chance {
    /// The sequence of `seed` for one purpose, so that more draws for one do not change those for another.
    #[must_use]
    pub fn new(seed: u64, purpose: u64) -> Self {
        let seed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ purpose.rotate_left(32);
        Self(Mutex::new(Rng::with_seed(seed)))
    }

    fn rng<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Evenly from `from` to `to`, both included.
    pub fn between(&self, from: u64, to: u64) -> u64 {
        self.rng(|rng| rng.u64(from..=to.max(from)))
    }

    /// So many times in a million.
    pub fn in_million(&self, times: u32) -> bool {
        times > 0 && self.rng(|rng| rng.u32(0..1_000_000)) < times
    }

    /// So many times in a hundred.
    pub fn percent(&self, times: u32) -> bool {
        self.in_million(times.saturating_mul(10_000))
    }

    /// One of them; `None` if there is none.
    pub fn pick<'a, T>(&self, among: &'a [T]) -> Option<&'a T> {
        self.rng(|rng| match among.len() {
            0 => None,
            some => among.get(rng.usize(0..some)),
        })
    }

    /// Evenly from `from` to `to`, both in milliseconds and included.
    pub fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }
}

impl Entropy for Chance {
    fn fill(&self, bytes: &mut [u8]) {
        self.rng(|rng| rng.fill(bytes));
    }
}
