//! The shortest run that still breaks the same law: fewer acts from outside, fewer kinds of faults.

use anyhow::Result;

use crate::campaign::caught;
use crate::run::{Options, Report};
use crate::weather::Weather;

/// The shortest run found that breaks a law that `options` break, with every step written down; `None` if they break none.
///
/// # Errors
/// If the machine fails.
pub fn shortest(options: &Options) -> Result<Option<(Options, Report)>> {
    let first = caught(options)?;
    let Some(law) = first.violations.first().map(|violation| violation.law) else {
        return Ok(None);
    };
    let breaks = |options: &Options| -> Result<bool> {
        let report = caught(options)?;
        Ok(report
            .violations
            .iter()
            .any(|violation| violation.law == law))
    };
    let mut best = options.clone();
    for acts in 0..first.acts {
        let fewer = Options {
            acts: Some(acts),
            ..best.clone()
        };
        if breaks(&fewer)? {
            best = fewer;
            break;
        }
    }
    for fault in Weather::draw(best.seed, &best.without).kinds() {
        let mut fewer = best.clone();
        fewer.without.insert(fault);
        if breaks(&fewer)? {
            best = fewer;
        }
    }
    let report = caught(&Options {
        traced: true,
        ..best.clone()
    })?;
    Ok(Some((best, report)))
}
