//! Words: an amount in minor units is exactly what was written, an id has one reading, a wait is what a header says.
//!
//! An input is a currency, and on the next line a decimal; the whole is tried as an id, a type and a header as well.

use jiff::SignedDuration;
use shared::delivery::parse_retry_after;
use shared::event::{EventType, Role};
use shared::ids::{ChargeKey, TenantId};
use shared::money::{Currency, Money};

use crate::{now, text_line};

/// Holds the laws.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    if let Some((code, rest)) = text_line(input)
        && let (Some(currency), Ok(decimal)) = (Currency::parse(code), std::str::from_utf8(rest))
    {
        money(decimal, currency);
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(id) = TenantId::parse(text) {
        assert!(
            id.as_str() == text
                && text
                    .bytes()
                    .all(|it| it.is_ascii_graphic() && !b"/#%?.".contains(&it))
        );
    }
    if let Ok(key) = ChargeKey::parse(text) {
        let written = serde_json::to_string(&key).expect("a text has a JSON form");
        assert_eq!(serde_json::from_str(&written).ok(), Some(key));
    }
    if let Ok(event_type) = EventType::parse(text) {
        assert!(event_type.as_str() == text && text.len() <= 128);
    }
    if let Some(role) = Role::parse(text) {
        assert_eq!(role.as_str(), text);
    }
    if let Some(wait) = parse_retry_after(text, now()) {
        let digits = text.trim();
        if let Ok(seconds) = digits.parse::<i64>() {
            assert_eq!(wait, SignedDuration::from_secs(seconds));
        }
    }
}

fn money(decimal: &str, currency: Currency) {
    assert_eq!(Currency::parse(currency.code()), Some(currency));
    let Ok(money) = Money::from_decimal(decimal, currency) else {
        return;
    };
    let digits = currency.exponent().expect("what was read has minor units");
    // The two must be the same number: written without point and exponent, all but zeros at the end agrees.
    let (sign, plain, point) = taken_apart(decimal);
    let minor = money.amount.unsigned_abs().to_string();
    let significant = |text: &str| {
        text.trim_start_matches('0')
            .trim_end_matches('0')
            .to_owned()
    };
    assert_eq!(
        significant(&plain),
        significant(&minor),
        "{decimal} {currency:?} {money}"
    );
    if money.amount != 0 {
        assert_eq!(sign, money.amount < 0, "{decimal} {money}");
        // The last digit that is not zero counts the same power of ten.
        let zeros = |text: &str| {
            i64::try_from(text.len() - text.trim_end_matches('0').len()).unwrap_or(i64::MAX)
        };
        assert_eq!(
            point + zeros(&plain) + i64::from(digits),
            zeros(&minor),
            "{decimal} {money}"
        );
    }
    // Platforms that write integers are read back as they are told.
    for scale in 0..4 {
        if let Ok(scaled) = money.to_scaled(scale) {
            assert_eq!(Money::from_scaled(scaled, scale, currency), Ok(money));
        }
    }
}

/// Whether a JSON number is negative, its digits, and the power of ten that they count.
fn taken_apart(decimal: &str) -> (bool, String, i64) {
    let (number, exponent) = decimal.split_once(['e', 'E']).unwrap_or((decimal, "0"));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{}{fraction}", whole.trim_start_matches('-'));
    let power = exponent
        .trim_start_matches('+')
        .parse::<i64>()
        .unwrap_or(i64::MAX / 2);
    let fraction = i64::try_from(fraction.len()).unwrap_or(i64::MAX / 2);
    (
        whole.starts_with('-'),
        digits,
        power.saturating_sub(fraction),
    )
}
