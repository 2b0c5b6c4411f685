//! Signals and charges made of the least that they need, for tests of single decisions.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::*;
use crate::event::Source;
use crate::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId, TenantId};
use crate::money::{Currency, Money};

pub(super) fn tenant() -> TenantId {
    TenantId::parse("acme").expect("a valid id")
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time in range")
}

pub(super) fn usd(amount: i64) -> Money {
    Money {
        amount,
        currency: Currency::parse("USD").expect("an ISO code"),
    }
}

pub(super) fn key(invoice: &str) -> IntentKey {
    IntentKey {
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        invoice_id: InvoiceId::parse(invoice).expect("a valid id"),
    }
}

/// The place of the signal that happened at `second`.
pub(super) fn order(second: i64) -> Order {
    Order {
        at: at(second),
        rank: 0,
        id: SignalId::parse(format!("evt_{second}")).expect("a valid id"),
    }
}

pub(super) fn psp(id: &str) -> ChargeId {
    ChargeId::Psp(ChargeKey::parse(id).expect("a valid id"))
}

/// A charge of 2500 that the platform made.
pub(super) fn charge(id: &str, status: Status) -> Charge {
    Charge {
        ids: BTreeSet::from([psp(id)]),
        status,
        triggered_by: TriggeredBy::External,
        retry: None,
        details: Details::of(usd(2500)),
    }
}

/// What the platform said at `second` of an invoice over 2500.
pub(super) fn signal(second: i64, kind: SignalKind, charge: Option<Charge>) -> Signal {
    let order = order(second);
    Signal {
        id: order.id.clone(),
        source: Source::new("stripe"),
        by_merchant: false,
        intent: key("in_1"),
        kind,
        order,
        amount: usd(2500),
        left: None,
        tries: None,
        next_try: None,
        charge,
    }
}

/// The intent after these signals.
pub(super) fn intent(signals: &[Signal]) -> Intent {
    let first = signals.first().expect("there is a signal");
    let mut intent = Intent::open(first, at(0)).expect("it tells of an invoice");
    for signal in signals {
        intent.join(signal, at(0));
    }
    intent
}
