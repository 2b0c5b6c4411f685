//! A transaction of Recurly's API, and the charge that it is (`Transaction` of API v2021-02-25).

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::ids::ChargeKey;
use crate::money::{Currency, Money, MoneyError};
use crate::platform::field::{FieldError, Problem, at, gateway_key, if_it_fits};
use crate::recovery::{
    Card, Charge, ChargeId, Decline, Details, Enrichment, Instrument, Network, Status, TriggeredBy,
};

/// As much of a transaction as is read.
#[derive(Deserialize)]
pub(super) struct Transaction {
    uuid: String,
    #[serde(rename = "type")]
    kind: String,
    status: String,
    amount: Box<RawValue>,
    currency: String,
    #[serde(default)]
    invoice: Option<OfInvoice>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "if_it_fits")]
    account: Option<Id>,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_method: Option<PaymentMethod>,
    #[serde(default, deserialize_with = "if_it_fits")]
    payment_gateway: Option<Id>,
    #[serde(default, deserialize_with = "if_it_fits")]
    gateway_reference: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    gateway_response_code: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    status_code: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    status_message: Option<String>,
}

#[derive(Deserialize)]
struct OfInvoice {
    id: String,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct PaymentMethod {
    #[serde(default, deserialize_with = "if_it_fits")]
    object: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    card_type: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    funding_source: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    last_four: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    exp_month: Option<u8>,
    #[serde(default, deserialize_with = "if_it_fits")]
    exp_year: Option<u16>,
    #[serde(default, deserialize_with = "if_it_fits")]
    gateway_token: Option<String>,
    #[serde(default, deserialize_with = "if_it_fits")]
    gateway_attributes: Option<GatewayAttributes>,
}

#[derive(Deserialize)]
struct GatewayAttributes {
    #[serde(default, deserialize_with = "if_it_fits")]
    account_reference: Option<String>,
}

/// How a transaction stands, as far as it concerns the collection of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is under way.
    Pending,
    /// It ended without money.
    Declined,
    /// It collected its amount.
    Collected,
    /// It was called back before the money moved.
    Void,
    /// The money was collected and is disputed, which is no matter of collecting.
    Disputed,
}

/// Whether a transaction of this type tries to collect money: refunds give it back, authorizations and checks of a card
/// take none.
pub(super) fn collects(kind: &str) -> bool {
    matches!(kind, "purchase" | "capture")
}

/// What `TransactionStatusEnum` means.
pub(super) fn standing(status: &str) -> Option<Standing> {
    match status {
        "pending" | "processing" | "scheduled" => Some(Standing::Pending),
        "declined" | "error" => Some(Standing::Declined),
        "success" => Some(Standing::Collected),
        "void" => Some(Standing::Void),
        "chargeback" => Some(Standing::Disputed),
        _ => None,
    }
}

impl Transaction {
    /// The invoice that it collects; `None` if it collects none.
    pub(super) fn collects_invoice(&self) -> Option<&str> {
        let invoice = self.invoice.as_ref().filter(|_| collects(&self.kind))?;
        Some(&invoice.id)
    }

    /// How it stands.
    ///
    /// # Errors
    /// If it stands in a way that we don't know.
    pub(super) fn standing(&self) -> Result<Standing, FieldError> {
        standing(&self.status)
            .ok_or(Problem::Shape)
            .map_err(at("status"))
    }

    /// What it charged.
    ///
    /// # Errors
    /// If that can't be had in minor units.
    pub(super) fn money(&self) -> Result<Money, FieldError> {
        let currency = Currency::parse(&self.currency)
            .ok_or(MoneyError::UnknownCurrency)
            .map_err(at("currency"))?;
        Money::from_decimal(self.amount.get(), currency).map_err(at("amount"))
    }

    /// The charge that it is, in `status`.
    ///
    /// # Errors
    /// If an id or the amount can't be had.
    pub(super) fn charge(&self, status: Status) -> Result<Charge, FieldError> {
        let uuid = ChargeKey::parse(&*self.uuid).map_err(at("uuid"))?;
        // A reference that is no id is shown, and tells nothing apart.
        let reference = self.gateway_reference.as_ref();
        let psp = reference.and_then(|reference| gateway_key(reference));
        let ids = psp.map(ChargeId::Psp).into_iter();
        Ok(Charge {
            ids: ids
                .chain([ChargeId::Platform(uuid)])
                .collect::<BTreeSet<_>>(),
            status,
            triggered_by: TriggeredBy::External,
            retry: None,
            details: Details {
                made_at: self.created_at,
                transaction_id: reference.cloned(),
                decline: self.decline().filter(|_| status == Status::Failed),
                instrument: self.instrument(),
                gateway: self.payment_gateway.as_ref().map(|it| it.id.clone()),
                enrichment: Enrichment::Enriched,
                ..Details::of(self.money()?)
            },
        })
    }

    /// `status_code` is Recurly's own word, the same for every gateway; the gateway's own stands behind it.
    fn decline(&self) -> Option<Decline> {
        let gateway_code = self.gateway_response_code.clone();
        let code = self.status_code.clone().or_else(|| gateway_code.clone())?;
        Some(Decline {
            code,
            message: self.status_message.clone(),
            reason: gateway_code,
            ..Decline::default()
        })
    }

    fn instrument(&self) -> Option<Instrument> {
        let method = self.payment_method.as_ref()?;
        let attributes = method.gateway_attributes.as_ref();
        let at_gateway = attributes.and_then(|it| it.account_reference.clone());
        let card = method.card_type.as_ref().map(|brand| Card {
            network: Network::of_brand(brand),
            funding: method.funding_source.clone(),
            last4: method.last_four.clone(),
            expiry_month: method.exp_month,
            expiry_year: method.exp_year,
        });
        Some(Instrument {
            token: method.gateway_token.clone(),
            customer: at_gateway.or_else(|| self.account.as_ref().map(|it| it.id.clone())),
            method: method.object.clone(),
            card,
        })
    }
}
