//! Amounts: integers of the currency's minor unit, never floats, always with their currency.

use std::fmt;

use iso_currency::Currency as Iso;
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency, written in upper case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency(Iso);

impl Currency {
    /// The currency with this alphabetic code; platforms differ in case, so either is taken.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Iso::from_code(&code.to_ascii_uppercase()).map(Self)
    }

    /// The alphabetic code (`EUR`).
    #[must_use]
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// How many decimal digits the minor unit has (2 for EUR, 0 for JPY, 3 for KWD); `None` for currencies
    /// without a minor unit, such as gold.
    #[must_use]
    pub fn exponent(self) -> Option<u32> {
        self.0.exponent().map(u32::from)
    }
}

impl TryFrom<String> for Currency {
    type Error = MoneyError;
    fn try_from(code: String) -> Result<Self, MoneyError> {
        Self::parse(&code).ok_or(MoneyError::UnknownCurrency)
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.code().to_owned()
    }
}

/// An amount of money in ISO 4217 minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Integer minor units (cents of EUR, yen of JPY); negative for a credit.
    pub amount: i64,
    /// The currency the amount is in.
    pub currency: Currency,
}

/// Why an amount can't be had in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The code is no ISO 4217 currency.
    #[error("is not an ISO 4217 currency code")]
    UnknownCurrency,
    /// The platform's unit is finer than the currency's and the amount does not come out even.
    #[error("does not divide into whole minor units of its currency")]
    NotWhole,
    /// The text is no decimal number.
    #[error("is not a decimal number")]
    NotDecimal,
    /// The amount does not fit 64 bits, or the currency has no minor unit.
    #[error("is out of range")]
    OutOfRange,
}

impl Money {
    /// An amount that a platform wrote as an integer of `10^-digits` units, exactly, in minor units.
    ///
    /// # Errors
    /// [`MoneyError::NotWhole`] if it would have to be rounded, [`MoneyError::OutOfRange`] if it does not fit.
    pub fn from_scaled(amount: i64, digits: u32, currency: Currency) -> Result<Self, MoneyError> {
        let exponent = currency.exponent().ok_or(MoneyError::OutOfRange)?;
        let power = |n: u32| 10_i64.checked_pow(n).ok_or(MoneyError::OutOfRange);
        let amount = if digits > exponent {
            let divisor = power(digits - exponent)?;
            if amount % divisor != 0 {
                return Err(MoneyError::NotWhole);
            }
            amount / divisor
        } else {
            amount
                .checked_mul(power(exponent - digits)?)
                .ok_or(MoneyError::OutOfRange)?
        };
        Ok(Self { amount, currency })
    }

    /// The amount as an integer of `10^-digits` units, exactly: what [`Money::from_scaled`] reads.
    ///
    /// # Errors
    /// [`MoneyError::NotWhole`] if it would have to be rounded, [`MoneyError::OutOfRange`] if it does not fit.
    pub fn to_scaled(self, digits: u32) -> Result<i64, MoneyError> {
        let exponent = self.currency.exponent().ok_or(MoneyError::OutOfRange)?;
        let power = |n: u32| 10_i64.checked_pow(n).ok_or(MoneyError::OutOfRange);
        let Some(finer) = digits.checked_sub(exponent) else {
            let unit = power(exponent - digits)?;
            return match self.amount % unit {
                0 => Ok(self.amount / unit),
                _ => Err(MoneyError::NotWhole),
            };
        };
        self.amount
            .checked_mul(power(finer)?)
            .ok_or(MoneyError::OutOfRange)
    }

    /// An amount that a platform wrote as a decimal of major units (`25.1`, `25.00`, `1e-2`), exactly, in minor units.
    /// The text is that of a JSON number, so take it from the document itself (`serde_json::value::RawValue`): what went
    /// through a float is no longer what was written.
    ///
    /// # Errors
    /// [`MoneyError::NotDecimal`] if it is no JSON number, [`MoneyError::NotWhole`] if it would have to be rounded,
    /// [`MoneyError::OutOfRange`] if it does not fit.
    pub fn from_decimal(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let minor = currency.exponent().ok_or(MoneyError::OutOfRange)?;
        let decimal = Decimal::parse(text).ok_or(MoneyError::NotDecimal)?;
        let amount = decimal.scaled(minor)?;
        Ok(Self { amount, currency })
    }
}

/// A JSON number, taken apart; its digits have no zero at either end.
struct Decimal<'a> {
    negative: bool,
    digits: String,
    /// The power of ten that the digits count, before the written exponent moves it.
    point: i64,
    /// The exponent as written, without its sign and leading zeros; it may have any length.
    exponent: (bool, &'a str),
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (number, exponent) = match rest.split_once(['e', 'E']) {
            Some((number, exponent)) => {
                let (below, digits) = match exponent.strip_prefix('-') {
                    Some(digits) => (true, digits),
                    None => (false, exponent.strip_prefix('+').unwrap_or(exponent)),
                };
                is_digits(digits).then_some(())?;
                (number, (below, digits.trim_start_matches('0')))
            }
            None => (rest, (false, "")),
        };
        let (whole, fraction) = match number.split_once('.') {
            Some((whole, fraction)) => {
                is_digits(fraction).then_some(())?;
                (whole, fraction)
            }
            None => (number, ""),
        };
        let leads_with_zero = whole.len() > 1 && whole.starts_with('0');
        (is_digits(whole) && !leads_with_zero).then_some(())?;
        let all = format!("{whole}{fraction}");
        let digits = all.trim_end_matches('0');
        let cut = all.len().checked_sub(digits.len())?;
        let point = i64::try_from(cut).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self {
            negative,
            digits: digits.trim_start_matches('0').to_owned(),
            point,
            exponent,
        })
    }

    /// The number in units of `10^-minor`.
    fn scaled(&self, minor: u32) -> Result<i64, MoneyError> {
        if self.digits.is_empty() {
            return Ok(0);
        }
        // An exponent that does not fit four digits is past every amount, whatever the digits are.
        let (below, written) = self.exponent;
        let too_far = if below {
            MoneyError::NotWhole
        } else {
            MoneyError::OutOfRange
        };
        if written.len() > 4 {
            return Err(too_far);
        }
        let written: i64 = written.parse().unwrap_or_default();
        let exponent = if below { -written } else { written };
        let power = u32::try_from(self.point + exponent + i64::from(minor))
            .map_err(|_| MoneyError::NotWhole)?;
        let unsigned: i128 = self.digits.parse().map_err(|_| MoneyError::OutOfRange)?;
        let signed = if self.negative { -unsigned } else { unsigned };
        10_i128
            .checked_pow(power)
            .and_then(|unit| signed.checked_mul(unit))
            .and_then(|amount| i64::try_from(amount).ok())
            .ok_or(MoneyError::OutOfRange)
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (minor units)", self.amount, self.currency.code())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scaled_amounts_become_minor_units_exactly_or_not_at_all() {
        struct Case {
            name: &'static str,
            given: (i64, u32, &'static str),
            want: Result<i64, MoneyError>,
        }
        let cases = [
            Case {
                name: "cents stay cents",
                given: (2500, 2, "usd"),
                want: Ok(2500),
            },
            Case {
                name: "yen as is",
                given: (2500, 0, "JPY"),
                want: Ok(2500),
            },
            Case {
                name: "fils as is",
                given: (2500, 3, "KWD"),
                want: Ok(2500),
            },
            Case {
                name: "finer than the currency, even",
                given: (2500, 2, "ISK"),
                want: Ok(25),
            },
            Case {
                name: "finer than the currency, odd",
                given: (2501, 2, "ISK"),
                want: Err(MoneyError::NotWhole),
            },
            Case {
                name: "coarser than the currency",
                given: (25, 0, "MGA"),
                want: Ok(2500),
            },
            Case {
                name: "overflow",
                given: (i64::MAX, 0, "EUR"),
                want: Err(MoneyError::OutOfRange),
            },
            Case {
                name: "no minor unit",
                given: (1, 0, "XAU"),
                want: Err(MoneyError::OutOfRange),
            },
        ];
        for Case {
            name,
            given: (amount, digits, code),
            want,
        } in cases
        {
            let currency = Currency::parse(code).expect("an ISO code");
            let got = Money::from_scaled(amount, digits, currency).map(|money| money.amount);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn an_unknown_code_is_refused() {
        assert_eq!(Currency::parse("ZZZ"), None);
        assert_eq!(
            Currency::try_from("euro".to_owned()),
            Err(MoneyError::UnknownCurrency)
        );
    }

    #[test]
    fn decimals_of_major_units_become_minor_units_exactly_or_not_at_all() {
        use MoneyError::{NotDecimal, NotWhole, OutOfRange};
        let cases = [
            ("25.1", "USD", Ok(2510)),
            ("25.10", "USD", Ok(2510)),
            ("25.00", "USD", Ok(2500)),
            ("25", "USD", Ok(2500)),
            ("0.29", "USD", Ok(29)),
            ("1.15", "USD", Ok(115)),
            ("1e-2", "USD", Ok(1)),
            ("1E-2", "USD", Ok(1)),
            ("1e+2", "USD", Ok(10_000)),
            ("2.51e1", "USD", Ok(2510)),
            ("2510e-2", "USD", Ok(2510)),
            ("-25.1", "USD", Ok(-2510)),
            ("0", "USD", Ok(0)),
            ("-0.00", "USD", Ok(0)),
            ("0e999999999999", "USD", Ok(0)),
            ("25.100000000000000000000000000000000000", "USD", Ok(2510)),
            ("2500", "JPY", Ok(2500)),
            ("2500.0", "JPY", Ok(2500)),
            ("2500.5", "JPY", Err(NotWhole)),
            ("25.125", "KWD", Ok(25_125)),
            ("25.1255", "KWD", Err(NotWhole)),
            ("25.125", "USD", Err(NotWhole)),
            ("1e-3", "USD", Err(NotWhole)),
            ("1e-99999999999999999999", "USD", Err(NotWhole)),
            ("1e99999999999999999999", "USD", Err(OutOfRange)),
            ("1e00000000000000000002", "USD", Ok(10_000)),
            ("92233720368547758.07", "USD", Ok(i64::MAX)),
            ("92233720368547758.08", "USD", Err(OutOfRange)),
            ("-92233720368547758.08", "USD", Ok(i64::MIN)),
            (
                "1234567890123456789012345678901234567890123",
                "USD",
                Err(OutOfRange),
            ),
            ("1", "XAU", Err(OutOfRange)),
            ("", "USD", Err(NotDecimal)),
            ("-", "USD", Err(NotDecimal)),
            ("+1", "USD", Err(NotDecimal)),
            (".5", "USD", Err(NotDecimal)),
            ("5.", "USD", Err(NotDecimal)),
            ("01", "USD", Err(NotDecimal)),
            ("1e", "USD", Err(NotDecimal)),
            ("1e1e1", "USD", Err(NotDecimal)),
            ("1,5", "USD", Err(NotDecimal)),
            (" 1", "USD", Err(NotDecimal)),
            ("0x1", "USD", Err(NotDecimal)),
            ("NaN", "USD", Err(NotDecimal)),
            ("\"25.1\"", "USD", Err(NotDecimal)),
        ];
        for (text, code, want) in cases {
            let currency = Currency::parse(code).expect("an ISO code");
            let got = Money::from_decimal(text, currency).map(|money| money.amount);
            assert_eq!(got, want, "{text} {code}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_in_another_unit_reads_back_the_same(
            amount in -1_000_000_000_000_i64..1_000_000_000_000,
            digits in 0_u32..6,
            code in prop::sample::select(vec!["USD", "JPY", "KWD"]),
        ) {
            let currency = Currency::parse(code).expect("an ISO code");
            let money = Money { amount, currency };
            match money.to_scaled(digits) {
                Ok(scaled) => prop_assert_eq!(Money::from_scaled(scaled, digits, currency), Ok(money)),
                Err(error) => {
                    prop_assert_eq!(error, MoneyError::NotWhole);
                    let lost = currency.exponent().unwrap_or_default() - digits;
                    prop_assert_ne!(amount % 10_i64.pow(lost), 0);
                }
            }
        }

        #[test]
        fn a_decimal_means_the_same_however_its_point_and_its_exponent_stand(
            amount in any::<i64>(),
            shift in 0_u32..40,
            zeros in 0_usize..40,
            code in prop::sample::select(vec!["USD", "JPY", "KWD"]),
        ) {
            let currency = Currency::parse(code).expect("an ISO code");
            let exponent = currency.exponent().unwrap_or_default();
            let minor = format!("{amount}e-{exponent}");
            let shifted = format!("{amount}.{}e-{exponent}", "0".repeat(zeros + 1));
            let moved = format!("{amount}{}e-{}", "0".repeat(zeros), zeros + usize::try_from(exponent).unwrap_or_default());
            for text in [minor, shifted, moved] {
                prop_assert_eq!(Money::from_decimal(&text, currency), Ok(Money { amount, currency }), "{}", text);
            }
            // One digit finer than the minor unit does not come out even, unless it is a zero.
            let finer = format!("{amount}e-{}", exponent + 1 + shift);
            let divides = 10_i64.checked_pow(shift + 1).map_or(amount == 0, |unit| amount % unit == 0);
            prop_assert_eq!(Money::from_decimal(&finer, currency).is_ok(), divides, "{}", finer);
        }
    }
}
