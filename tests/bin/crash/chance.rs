//! What is drawn, all of it from the seed: the same run as far as processes allow.

use shared::entropy::{Entropy, SeededEntropy};

/// A source of chance for one purpose.
pub(super) struct Chance(SeededEntropy);

impl Chance {
    /// The source of `purpose`; the same seed and purpose give the same.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let spread = purpose.bytes().fold(seed, |spread, byte| {
            spread.wrapping_mul(1_099_511_628_211) ^ u64::from(byte)
        });
        Self(SeededEntropy::new(spread))
    }

    /// A number below `most`, or 0 if that is 0.
    pub(super) fn below(&self, most: u64) -> u64 {
        let entropy: &dyn Entropy = &self.0;
        u64::from_le_bytes(entropy.bytes())
            .checked_rem(most)
            .unwrap_or_default()
    }
}
