//! A charge of Stripe's API (`Charge`), and what is known by it.

use jiff::Timestamp;
use serde::Deserialize;

use super::digits;
use crate::ids::ChargeKey;
use crate::money::{Currency, Money, MoneyError};
use crate::platform::field::{FieldError, Problem, at, if_it_fits};
use crate::recovery::{Card, Decline, Details, Enrichment, Instrument, Network, Signal, Status};

/// All that Stripe charges through is one gateway, itself; Hyperswitch calls it by this name too.
const GATEWAY: &str = "stripebilling";

/// As much of a charge as is read.
#[derive(Deserialize)]
pub(super) struct Charge {
    pub(super) id: ChargeKey,
    status: String,
    amount: i64,
    currency: String,
    created: i64,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_intent: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    customer: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_method: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_method_details: Option<MethodDetails>,
    #[serde(default, deserialize_with = "if_it_fits")]
    failure_code: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    failure_message: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    outcome: Option<Outcome>,
}

#[derive(Deserialize)]
struct MethodDetails {
    #[serde(rename = "type", default, deserialize_with = "if_it_fits")]
    method: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    card: Option<CardDetails>,
}

#[derive(Deserialize)]
struct CardDetails {
    #[serde(default, deserialize_with = "if_it_fits")]
    brand: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    network: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    funding: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    last4: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    exp_month: Option<u8>,
    #[serde(default, deserialize_with = "if_it_fits")]
    exp_year: Option<u16>,
}

/// The network's decline code says why, its advice code when to try again; Stripe's own `advice_code` is neither.
#[derive(Deserialize)]
struct Outcome {
    #[serde(default, deserialize_with = "if_it_fits")]
    reason: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    network_decline_code: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    network_advice_code: Option<String>,
}

impl Charge {
    /// Whether it may be the charge in `status` that `told` speaks of: it ended like that, and was made before.
    pub(super) fn may_be(&self, status: Status, told: &Signal) -> bool {
        let ended = match status {
            Status::Failed => "failed",
            Status::Succeeded => "succeeded",
            Status::Pending => "pending",
        };
        self.status == ended && self.created <= told.order.at.as_second()
    }

    /// When it was made, in seconds; to compare charges by.
    pub(super) fn created(&self) -> i64 {
        self.created
    }

    /// What is known of it in `status`.
    ///
    /// # Errors
    /// If the amount or the time can't be had.
    pub(super) fn details(&self, status: Status) -> Result<Details, FieldError> {
        let currency = Currency::parse(&self.currency)
            .ok_or(MoneyError::UnknownCurrency)
            .map_err(at("currency"))?;
        let amount =
            Money::from_scaled(self.amount, digits(currency), currency).map_err(at("amount"))?;
        let made_at = Timestamp::from_second(self.created)
            .map_err(|_| Problem::Time)
            .map_err(at("created"))?;
        Ok(Details {
            made_at: Some(made_at),
            transaction_id: self.payment_intent.clone(),
            decline: self.decline().filter(|_| status == Status::Failed),
            instrument: Some(self.instrument()),
            gateway: Some(GATEWAY.to_owned()),
            enrichment: Enrichment::Enriched,
            ..Details::of(amount)
        })
    }

    /// `card_declined` hides the reason, which is in the outcome; what was blocked has no code at all.
    fn decline(&self) -> Option<Decline> {
        let outcome = self.outcome.as_ref();
        let reason = outcome.and_then(|outcome| outcome.reason.clone());
        let code = self.failure_code.clone().or_else(|| reason.clone())?;
        Some(Decline {
            code,
            message: self.failure_message.clone(),
            reason,
            network_code: outcome.and_then(|outcome| outcome.network_decline_code.clone()),
            advice_code: outcome.and_then(|outcome| outcome.network_advice_code.clone()),
            network_message: None,
        })
    }

    fn instrument(&self) -> Instrument {
        let details = self.payment_method_details.as_ref();
        Instrument {
            token: self.payment_method.clone(),
            customer: self.customer.clone(),
            method: details.and_then(|details| details.method.clone()),
            card: details.and_then(|details| Some(details.card.as_ref()?.card())),
        }
    }
}

impl CardDetails {
    /// A card of two brands is charged through one network.
    fn card(&self) -> Card {
        let known = |name: &String| match Network::of_brand(name) {
            Network::Unknown => None,
            network => Some(network),
        };
        let network = self.network.as_ref().and_then(known);
        let brand = || self.brand.as_ref().and_then(known);
        Card {
            network: network.or_else(brand).unwrap_or_default(),
            funding: self.funding.clone(),
            last4: self.last4.clone(),
            expiry_month: self.exp_month,
            expiry_year: self.exp_year,
        }
    }
}
