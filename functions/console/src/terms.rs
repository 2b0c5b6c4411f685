//! What may be agreed on for the recovery of an account's invoices: the bounds of [`Terms`].

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use shared::recovery::{Mode, Terms};

use crate::reply::Refusal;

/// So many steps a ladder has.
const STEPS: RangeInclusive<usize> = 1..=50;
/// So long a step waits, in seconds: a minute to 30 days.
const STEP_S: RangeInclusive<u32> = 60..=30 * 24 * 3600;
/// So many charges an invoice may be left to its platform.
const THRESHOLD_MOST: u32 = 100;
/// So often an invoice may be charged.
const RETRIES: RangeInclusive<u32> = 1..=100;
/// So long after the first failure an invoice may be charged, in seconds: a minute to a year.
const GRACE_S: RangeInclusive<u32> = 60..=365 * 24 * 3600;
/// So long a merchant may have for a retry, in seconds: a minute to a day.
const WINDOW_S: RangeInclusive<u32> = 60..=24 * 3600;
/// So many codes of hard declines an account may add.
const CODES_MOST: usize = 200;
/// So many gateways an account may map.
const GATEWAYS_MOST: usize = 100;
/// So many characters a code and the name of a gateway or a payment account may have.
const NAME_MOST: usize = 128;

/// Terms as they were asked for.
pub(crate) struct Asked {
    pub(crate) mode: Mode,
    pub(crate) retry_threshold: u32,
    pub(crate) ladder_s: Option<Vec<u32>>,
    pub(crate) max_retry_count: Option<u32>,
    pub(crate) grace_period_s: Option<u32>,
    pub(crate) retry_window_s: Option<u32>,
    pub(crate) hard_declines: Vec<String>,
    pub(crate) payment_accounts: BTreeMap<String, String>,
    pub(crate) record_back: bool,
}

impl Asked {
    /// Takes them if every one is within its bounds.
    pub(crate) fn check(self) -> Result<Terms, Refusal> {
        if self.retry_threshold > THRESHOLD_MOST {
            return Err(Refusal::field("retry_threshold", "must be 0 to 100"));
        }
        check_ladder(self.ladder_s.as_deref())?;
        within("max_retry_count", self.max_retry_count, RETRIES, "")?;
        within("grace_period_s", self.grace_period_s, GRACE_S, " seconds")?;
        within("retry_window_s", self.retry_window_s, WINDOW_S, " seconds")?;
        let terms = Terms {
            mode: self.mode,
            ladder_s: self.ladder_s,
            retry_threshold: self.retry_threshold,
            max_retry_count: self.max_retry_count,
            grace_period_s: self.grace_period_s,
            retry_window_s: self.retry_window_s,
            hard_declines: check_codes(self.hard_declines)?,
            payment_accounts: check_accounts(self.payment_accounts)?,
            record_back: self.record_back,
        };
        check_window(&terms)?;
        Ok(terms)
    }
}

fn within(
    field: &'static str,
    value: Option<u32>,
    bounds: RangeInclusive<u32>,
    unit: &str,
) -> Result<(), Refusal> {
    match value {
        Some(value) if !bounds.contains(&value) => {
            let (least, most) = (bounds.start(), bounds.end());
            Err(Refusal::field(
                field,
                format!("must be {least} to {most}{unit}"),
            ))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_ladder(ladder: Option<&[u32]>) -> Result<(), Refusal> {
    let Some(ladder) = ladder else { return Ok(()) };
    if !STEPS.contains(&ladder.len()) {
        return Err(Refusal::field("ladder_s", "must hold 1 to 50 steps"));
    }
    match ladder.iter().position(|step| !STEP_S.contains(step)) {
        Some(place) => Err(Refusal::field(
            format!("ladder_s[{place}]"),
            "must be 60 to 2592000 seconds",
        )),
        None => Ok(()),
    }
}

/// A retry that may still be made when the next one is due would be two at once.
fn check_window(terms: &Terms) -> Result<(), Refusal> {
    let window = terms.retry_window().as_secs();
    let steps = terms.ladder_s.as_deref().unwrap_or(&Terms::LADDER);
    match steps.iter().min() {
        Some(shortest) if i64::from(*shortest) < window => Err(Refusal::field(
            "retry_window_s",
            format!(
                "must be at most the shortest step of the ladder, {shortest} seconds; left out, it is {} seconds",
                Terms::RETRY_WINDOW.as_secs()
            ),
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_codes(codes: Vec<String>) -> Result<BTreeSet<String>, Refusal> {
    if codes.len() > CODES_MOST {
        return Err(Refusal::field(
            "hard_declines",
            "must hold at most 200 codes",
        ));
    }
    match codes.iter().position(|code| !is_name(code)) {
        Some(place) => Err(Refusal::field(format!("hard_declines[{place}]"), NAME)),
        None => Ok(codes.into_iter().collect()),
    }
}

fn check_accounts(accounts: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    if accounts.len() > GATEWAYS_MOST {
        return Err(Refusal::field(
            "payment_accounts",
            "must name at most 100 gateways",
        ));
    }
    if accounts.keys().any(|gateway| !is_name(gateway)) {
        return Err(Refusal::field(
            "payment_accounts",
            format!("the name of each gateway {NAME}"),
        ));
    }
    match accounts.iter().find(|(_, account)| !is_name(account)) {
        Some((gateway, _)) => Err(Refusal::field(format!("payment_accounts.{gateway}"), NAME)),
        None => Ok(accounts),
    }
}

const NAME: &str =
    "must be 1 to 128 characters, without white space at an end and control characters";

fn is_name(text: &str) -> bool {
    (1..=NAME_MOST).contains(&text.chars().count())
        && text.trim() == text
        && !text.chars().any(char::is_control)
}
