//! One charge of an invoice, as one signal tells of it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Network, TriggeredBy};
use crate::ids::ChargeKey;
use crate::money::Money;

/// One charge of an invoice, as a signal tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// What tells it from the invoice's other charges; never empty. Two charges that share one of them are one.
    pub ids: BTreeSet<ChargeId>,
    /// How the charge stands.
    pub status: Status,
    /// Who made it. Platforms don't say; a merchant that reports what came of a retry does.
    #[serde(default = "external", skip_serializing_if = "is_external")]
    pub triggered_by: TriggeredBy,
    /// Which of our retries it answers (their number, from 1), where the merchant says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<u32>,
    /// What else is known of it.
    #[serde(flatten)]
    pub details: Details,
}

impl Charge {
    /// The strongest of its ids, by which it is shown.
    #[must_use]
    pub fn key(&self) -> Option<&ChargeKey> {
        self.ids.first().map(ChargeId::key)
    }
}

fn external() -> TriggeredBy {
    TriggeredBy::External
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_external(by: &TriggeredBy) -> bool {
    *by == TriggeredBy::External
}

/// An id that belongs to one charge only, the strongest kind first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeId {
    /// The payment service provider's id of the charge (`ch_..`).
    Psp(ChargeKey),
    /// A transaction id that a billing platform or a merchant uses for one charge only.
    Transaction(ChargeKey),
    /// The billing platform's own id of its transaction, or what it counts charges by.
    Platform(ChargeKey),
}

impl ChargeId {
    /// The id as the other side writes it.
    #[must_use]
    pub fn key(&self) -> &ChargeKey {
        match self {
            Self::Psp(key) | Self::Transaction(key) | Self::Platform(key) => key,
        }
    }

    /// Whether it is the billing platform's own.
    #[must_use]
    pub fn is_platforms(&self) -> bool {
        matches!(self, Self::Platform(_))
    }
}

/// How a charge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Under way.
    Pending,
    /// Declined, or it ended without money.
    Failed,
    /// The money was collected.
    Succeeded,
}

/// What is known of a charge beside its ids and its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// What was charged, in minor units.
    pub amount: Money,
    /// When the charge was made, where the platform says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<Timestamp>,
    /// The payment service provider's transaction, where the platform names one. Several charges may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// Why it failed, where the platform says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decline: Option<Decline>,
    /// What was charged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instrument: Option<Instrument>,
    /// The platform's id of the gateway that the charge went through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Whether the platform was asked for what its notification does not say.
    #[serde(default, skip_serializing_if = "Enrichment::not_needed")]
    pub enrichment: Enrichment,
}

impl Details {
    /// Details of which only the amount is known.
    #[must_use]
    pub fn of(amount: Money) -> Self {
        Self {
            amount,
            made_at: None,
            transaction_id: None,
            decline: None,
            instrument: None,
            gateway: None,
            enrichment: Enrichment::NotNeeded,
        }
    }
}

/// Whether the platform was asked for what its notification does not say; the richest first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Enrichment {
    /// It was asked and answered.
    Enriched,
    /// The notification says all.
    #[default]
    NotNeeded,
    /// The billing account has no key for the platform's API, so nobody could be asked.
    NoKey,
    /// The platform does not know it, or would not tell (404 and other 4xx).
    Refused,
    /// What it answered could not be used.
    NotUnderstood,
    /// It could not be reached for as long as was tried.
    Unreachable,
}

impl Enrichment {
    /// The wire name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enriched => "enriched",
            Self::NotNeeded => "not_needed",
            Self::NoKey => "no_key",
            Self::Refused => "refused",
            Self::NotUnderstood => "not_understood",
            Self::Unreachable => "unreachable",
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde asks for a reference"
    )]
    fn not_needed(&self) -> bool {
        *self == Self::NotNeeded
    }
}

/// Why a charge failed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decline {
    /// The code, as the platform or the PSP writes it.
    pub code: String,
    /// The text for humans.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the PSP gives as the reason behind a general code (Stripe's `outcome.reason`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The card network's code for the decline (`51`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_code: Option<String>,
    /// The card network's advice on trying again (Mastercard's merchant advice code, `02`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice_code: Option<String>,
    /// The card network's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_message: Option<String>,
}

/// What was charged: whose, by which token, and what is known of the card.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    /// The token at the payment service provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The customer at the payment service provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    /// The method, as the platform names it (`card`, `sepa_debit`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// The card, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Card>,
}

/// What is known of a card; never its number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The network; [`Network::Unknown`] for a brand that we don't know.
    pub network: Network,
    /// How it is funded, as the platform names it (`credit`, `debit`, `prepaid`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub funding: Option<String>,
    /// Its last four digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last4: Option<String>,
    /// The month it is good until, 1 to 12.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_month: Option<u8>,
    /// The year it is good until.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry_year: Option<u16>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::recovery::parts::{charge, psp};

    #[test]
    fn only_what_is_not_the_usual_is_written_of_a_charge() {
        let usual = charge("ch_1", Status::Failed);
        let written = json!({
            "ids": [{"psp": "ch_1"}],
            "status": "failed",
            "amount": {"amount": 2500, "currency": "USD"},
        });
        let told = Charge {
            triggered_by: TriggeredBy::Internal,
            details: Details {
                enrichment: Enrichment::NoKey,
                ..usual.details.clone()
            },
            ..usual.clone()
        };
        let told_written = json!({
            "ids": [{"psp": "ch_1"}],
            "status": "failed",
            "triggered_by": "internal",
            "amount": {"amount": 2500, "currency": "USD"},
            "enrichment": "no_key",
        });
        for (charge, want) in [(usual, written), (told, told_written)] {
            let json = serde_json::to_value(&charge).expect("it has a JSON form");
            assert_eq!(json, want);
            let read: Result<Charge, _> = serde_json::from_value(json);
            assert_eq!(read.ok(), Some(charge));
        }
    }

    #[test]
    fn an_id_is_the_platforms_if_it_is_said_to_be() {
        let key = |id| ChargeKey::parse(id).expect("a valid id");
        let cases = [
            (psp("a"), false),
            (ChargeId::Transaction(key("a")), false),
            (ChargeId::Platform(key("a")), true),
        ];
        for (id, want) in cases {
            assert_eq!(id.is_platforms(), want, "{id:?}");
            assert_eq!(id.key(), &key("a"));
        }
    }

    #[test]
    fn what_came_of_asking_has_one_name_wherever_it_is_written() {
        let cases = [
            (Enrichment::Enriched, "enriched"),
            (Enrichment::NotNeeded, "not_needed"),
            (Enrichment::NoKey, "no_key"),
            (Enrichment::Refused, "refused"),
            (Enrichment::NotUnderstood, "not_understood"),
            (Enrichment::Unreachable, "unreachable"),
        ];
        for (enrichment, name) in cases {
            assert_eq!(enrichment.as_str(), name);
            let json = serde_json::to_value(enrichment).ok();
            assert_eq!(json, Some(json!(name)));
        }
    }
}
