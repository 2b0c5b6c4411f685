//! What asking a platform about a thin notification came to.

use serde::{Deserialize, Serialize};

use super::{Ignored, Thin};
use crate::recovery::{Enrichment, Signal};

/// What asking a platform about a thin notification came to. It is kept, so that nobody asks again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enriched {
    /// It tells of an invoice to collect.
    Signal(Box<Signal>),
    /// It is of no interest here.
    Ignored(Ignored),
    /// Nothing more became known, and the notification says too little by itself.
    Unknown(Enrichment),
}

impl Thin {
    /// What it comes to if the platform does not tell more: what it told by itself, its charge marked with the `problem`.
    #[must_use]
    pub fn unenriched(&self, problem: Enrichment) -> Enriched {
        let Some(mut signal) = self.told.clone() else {
            return Enriched::Unknown(problem);
        };
        if let Some(charge) = &mut signal.charge {
            charge.details.enrichment = problem;
        }
        Enriched::Signal(Box::new(signal))
    }
}
