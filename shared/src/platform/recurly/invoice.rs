//! An invoice of Recurly's API (`Invoice` of API v2021-02-25).

use serde::Deserialize;
use serde_json::value::RawValue;

use super::transaction::{Standing, collects, standing};
use crate::ids::InvoiceId;
use crate::money::{Currency, Money, MoneyError};
use crate::platform::field::{FieldError, at, if_it_fits};

/// As much of an invoice as is read.
#[derive(Deserialize)]
pub(super) struct Invoice {
    pub(super) id: InvoiceId,
    pub(super) state: State,
    #[serde(rename = "type", default)]
    kind: Option<String>,
    currency: String,
    total: Box<RawValue>,
    #[serde(default)]
    balance: Option<Box<RawValue>>,
    #[serde(default)]
    transactions: Option<Vec<Listed>>,
}

/// How an invoice stands (`InvoiceStateEnum`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Open,
    Pending,
    PastDue,
    Processing,
    Paid,
    Closed,
    Failed,
    Voided,
}

impl State {
    /// Whether nobody collects it any more, though it was not paid.
    pub(super) fn given_up(self) -> bool {
        matches!(self, Self::Closed | Self::Failed | Self::Voided)
    }

    /// Whether there is something left to collect.
    pub(super) fn to_be_collected(self) -> bool {
        matches!(
            self,
            Self::Open | Self::Pending | Self::PastDue | Self::Processing
        )
    }
}

/// A transaction as an invoice lists it, the oldest first or not: nothing is said of that.
#[derive(Deserialize)]
struct Listed {
    #[serde(default, deserialize_with = "if_it_fits")]
    id: Option<String>,
    #[serde(rename = "type", default, deserialize_with = "if_it_fits")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    status: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    created_at: Option<jiff::Timestamp>,
}

impl Listed {
    /// Whether it tried to collect the invoice; one whose type is not said is taken to have.
    fn collects(&self) -> bool {
        self.kind.as_deref().is_none_or(collects)
    }

    fn standing(&self) -> Option<Standing> {
        standing(self.status.as_deref()?)
    }
}

impl Invoice {
    /// Whether it gives money back.
    pub(super) fn is_credit(&self) -> bool {
        self.kind.as_deref() == Some("credit")
    }

    /// What it asks for.
    ///
    /// # Errors
    /// If that can't be had in minor units.
    pub(super) fn total(&self) -> Result<Money, FieldError> {
        Money::from_decimal(self.total.get(), self.currency()?).map_err(at("total"))
    }

    /// What is left to collect of it, where that is said.
    ///
    /// # Errors
    /// If that can't be had in minor units.
    pub(super) fn balance(&self) -> Result<Option<Money>, FieldError> {
        let currency = self.currency()?;
        let read = |balance: &RawValue| Money::from_decimal(balance.get(), currency);
        let balance = self.balance.as_deref().map(read);
        balance.transpose().map_err(at("balance"))
    }

    fn currency(&self) -> Result<Currency, FieldError> {
        Currency::parse(&self.currency)
            .ok_or(MoneyError::UnknownCurrency)
            .map_err(at("currency"))
    }

    /// Where there are none, they are listed as nothing at all.
    fn transactions(&self) -> impl Iterator<Item = &Listed> {
        self.transactions.iter().flatten()
    }

    /// How often it was tried to be collected.
    pub(super) fn tries(&self) -> u32 {
        let tries = self.transactions().filter(|it| it.collects()).count();
        u32::try_from(tries).unwrap_or(u32::MAX)
    }

    /// The id of the latest transaction that tried to collect it and stands like this.
    pub(super) fn latest(&self, standing: Standing) -> Option<&str> {
        self.transactions()
            .filter(|it| it.collects() && it.standing() == Some(standing))
            .max_by_key(|it| it.created_at)
            .and_then(|it| it.id.as_deref())
    }
}
