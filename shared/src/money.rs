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
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (minor units)", self.amount, self.currency.code())
    }
}

#[cfg(test)]
mod tests {
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
}
