//! Stripe Billing: `invoice.*` webhooks, in the shapes before and after API version 2025-03-31 ("basil").
//!
//! - Signature: [`crate::signature::stripe`].
//! - Order key: `created` of the event; signals of one second rank failed < given up < paid, as an invoice lives.
//! - Charge key: `charge` of the invoice. Basil took it away; there a failed charge is known by the invoice and its
//!   `attempt_count`, and the successful one, of which an invoice has but one, by the invoice. The count tells of the
//!   platform's own retries only, so it is no id of a charge that has a better one.
//! - Money: integers of ISO 4217 minor units but for three currencies ([`digits`]).

use std::collections::BTreeSet;

use http::HeaderMap;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

use super::field::{FieldError, Problem, at, read};
use super::{Adapter, BillingAccount, Ignored, Interpretation, Platform, intent_key};
use crate::event::{EventType, Source};
use crate::ids::{ChargeKey, IdError, InvoiceId, SignalId};
use crate::money::{Currency, Money, MoneyError};
use crate::recovery::{Charge, ChargeId, Details, Order, Signal, SignalKind, Status, TriggeredBy};
use crate::signature::{TOLERANCE, Verified, VerifyError, stripe};

/// The adapter.
#[derive(Debug, Clone, Copy)]
pub struct Stripe;

impl Adapter for Stripe {
    fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Verified, VerifyError> {
        let header = headers
            .get(stripe::HEADER)
            .map(|value| value.to_str().map_err(|_| VerifyError::Malformed));
        stripe::verify(
            header.transpose()?,
            body,
            &account.webhook_secrets,
            now,
            TOLERANCE,
        )
    }

    fn interpret(
        &self,
        body: &[u8],
        account: &BillingAccount,
        _proof: &Verified,
    ) -> Result<Interpretation, FieldError> {
        let envelope: Envelope = read(body)?;
        let happened = Timestamp::from_second(envelope.created)
            .map_err(|_| Problem::Time)
            .map_err(at("created"))?;
        let source = Source::new(Platform::Stripe.as_str());
        let Some((kind, rank)) = meaning(envelope.event_type.as_str()) else {
            let platform_type = envelope.event_type;
            return Ok(Interpretation::Ignored(Ignored {
                id: envelope.id,
                source,
                platform_type,
                at: happened,
            }));
        };
        let invoice = read::<Notification>(body)?.data.object;
        let currency = Currency::parse(&invoice.currency)
            .ok_or(MoneyError::UnknownCurrency)
            .map_err(at("data.object.currency"))?;
        let money = |amount, field| {
            Money::from_scaled(amount, digits(currency), currency).map_err(at(field))
        };
        let amount = money(invoice.amount_due, "data.object.amount_due")?;
        let left = money(invoice.amount_remaining, "data.object.amount_remaining")?;
        let next_try = invoice
            .next_payment_attempt
            .map(|second| Timestamp::from_second(second).map_err(|_| Problem::Time))
            .transpose()
            .map_err(at("data.object.next_payment_attempt"))?;
        let charged = match kind {
            SignalKind::PaymentFailed => Some((Status::Failed, left)),
            SignalKind::PaymentSucceeded if invoice.charged() => Some((
                Status::Succeeded,
                money(invoice.amount_paid, "data.object.amount_paid")?,
            )),
            SignalKind::PaymentSucceeded
            | SignalKind::PaymentPending
            | SignalKind::InvoiceCancelled
            | SignalKind::Other => None,
        };
        let charge = charged
            .map(|(status, amount)| {
                let ids = invoice
                    .charge_ids(status)
                    .map_err(at("data.object.charge"))?;
                Ok(Charge {
                    ids,
                    status,
                    triggered_by: TriggeredBy::External,
                    retry: None,
                    details: Details {
                        transaction_id: invoice.payment_intent.clone(),
                        ..Details::of(amount)
                    },
                })
            })
            .transpose()?;
        Ok(Interpretation::Signal(Box::new(Signal {
            order: Order {
                at: happened,
                rank,
                id: envelope.id.clone(),
            },
            id: envelope.id,
            source,
            by_merchant: false,
            intent: intent_key(account, invoice.id),
            kind,
            amount,
            left: Some(left),
            tries: Some(invoice.attempt_count),
            next_try,
            charge,
        })))
    }
}

/// What an event type means to us and its tie rank; `None` for types that we don't handle.
fn meaning(event_type: &str) -> Option<(SignalKind, u8)> {
    match event_type {
        "invoice.payment_failed" => Some((SignalKind::PaymentFailed, 0)),
        "invoice.voided" | "invoice.marked_uncollectible" => {
            Some((SignalKind::InvoiceCancelled, 1))
        }
        "invoice.paid" | "invoice.payment_succeeded" => Some((SignalKind::PaymentSucceeded, 2)),
        _ => None,
    }
}

/// How many decimal digits Stripe's integers have: ISO 4217's, but for the currencies that its documentation
/// ("Supported currencies", special cases and zero-decimal currencies) treats differently.
fn digits(currency: Currency) -> u32 {
    match currency.code() {
        "ISK" | "UGX" => 2,
        "MGA" => 0,
        _ => currency.exponent().unwrap_or_default(),
    }
}

#[derive(Deserialize)]
struct Envelope {
    id: SignalId,
    #[serde(rename = "type")]
    event_type: EventType,
    created: i64,
}

#[derive(Deserialize)]
struct Notification {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    object: Invoice,
}

#[derive(Deserialize)]
struct Invoice {
    id: InvoiceId,
    currency: String,
    amount_due: i64,
    amount_paid: i64,
    amount_remaining: i64,
    attempt_count: u32,
    /// `None` where the shape has no such field (basil and later), `Some(None)` where no charge was made.
    #[serde(default, deserialize_with = "present")]
    charge: Option<Option<String>>,
    #[serde(default)]
    payment_intent: Option<String>,
    #[serde(default)]
    next_payment_attempt: Option<i64>,
}

fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Invoice {
    /// Whether money was collected by a charge: an invoice of nothing, or one paid out of band, has none.
    fn charged(&self) -> bool {
        match &self.charge {
            Some(charge) => charge.is_some(),
            None => self.amount_paid > 0,
        }
    }

    fn charge_ids(&self, status: Status) -> Result<BTreeSet<ChargeId>, IdError> {
        let id = match (&self.charge, status) {
            (Some(Some(charge)), _) => ChargeId::Psp(ChargeKey::parse(charge)?),
            (Some(None) | None, Status::Succeeded) => {
                ChargeId::Platform(ChargeKey::parse(format!("{}:paid", self.id))?)
            }
            (Some(None) | None, Status::Failed | Status::Pending) => {
                let counted = format!("{}:{}", self.id, self.attempt_count);
                ChargeId::Platform(ChargeKey::parse(counted)?)
            }
        };
        Ok(BTreeSet::from([id]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ConnectorAccountId, ProfileId, TenantId};
    use crate::platform::account::{Locked, Settings};
    use crate::secret::Secret;

    macro_rules! fixture {
        ($name:literal) => {
            include_str!(concat!("../../../tests/fixtures/stripe/", $name, ".json"))
        };
    }

    fn account() -> BillingAccount {
        BillingAccount {
            tenant: TenantId::parse("acme").expect("a valid id"),
            profile_id: ProfileId::parse("pro_1").expect("a valid id"),
            connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
            platform: Platform::Stripe,
            webhook_secrets: vec![Secret::new("whsec_test_secret")],
            api_key: None,
            locked: Locked::default(),
            settings: Settings::default(),
        }
    }

    fn interpret(body: &str) -> Result<Interpretation, FieldError> {
        let now = Timestamp::from_second(1_735_689_660).expect("a time in range");
        let secret = Secret::new("whsec_test_secret");
        let header = stripe::sign(&secret, now, body.as_bytes()).expect("the secret is not empty");
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(stripe::HEADER),
            http::HeaderValue::from_str(&header).expect("a header of ASCII"),
        )]);
        let proof = Stripe
            .verify(&headers, body.as_bytes(), &account(), now)
            .expect("a fresh signature");
        Stripe.interpret(body.as_bytes(), &account(), &proof)
    }

    fn signal(body: &str) -> Signal {
        match interpret(body) {
            Ok(Interpretation::Signal(signal)) => *signal,
            other => panic!("not a signal: {other:?}"),
        }
    }

    #[test]
    fn every_handled_type_in_both_shapes_becomes_a_signal() {
        struct Case {
            name: &'static str,
            body: &'static str,
            want: (SignalKind, i64, Option<(&'static str, Status, i64)>),
        }
        let cases = [
            Case {
                name: "payment_failed",
                body: fixture!("invoice.payment_failed"),
                want: (
                    SignalKind::PaymentFailed,
                    2500,
                    Some(("ch_3QfA1", Status::Failed, 2500)),
                ),
            },
            Case {
                name: "payment_failed, basil",
                body: fixture!("invoice.payment_failed.basil"),
                want: (
                    SignalKind::PaymentFailed,
                    2500,
                    Some(("in_1QfInv:1", Status::Failed, 2500)),
                ),
            },
            Case {
                name: "paid",
                body: fixture!("invoice.paid"),
                want: (
                    SignalKind::PaymentSucceeded,
                    2500,
                    Some(("ch_3QfA2", Status::Succeeded, 2500)),
                ),
            },
            Case {
                name: "paid, basil",
                body: fixture!("invoice.paid.basil"),
                want: (
                    SignalKind::PaymentSucceeded,
                    2500,
                    Some(("in_1QfInv:paid", Status::Succeeded, 2500)),
                ),
            },
            Case {
                name: "paid without a charge",
                body: fixture!("invoice.paid.zero"),
                want: (SignalKind::PaymentSucceeded, 0, None),
            },
            Case {
                name: "payment_succeeded",
                body: fixture!("invoice.payment_succeeded"),
                want: (
                    SignalKind::PaymentSucceeded,
                    2500,
                    Some(("ch_3QfA2", Status::Succeeded, 2500)),
                ),
            },
            Case {
                name: "voided",
                body: fixture!("invoice.voided"),
                want: (SignalKind::InvoiceCancelled, 2500, None),
            },
            Case {
                name: "marked_uncollectible",
                body: fixture!("invoice.marked_uncollectible"),
                want: (SignalKind::InvoiceCancelled, 2500, None),
            },
        ];
        for Case { name, body, want } in cases {
            let signal = signal(body);
            let charge = signal
                .charge
                .as_ref()
                .and_then(|c| Some((c.key()?.as_str(), c.status, c.details.amount.amount)));
            assert_eq!((signal.kind, signal.amount.amount, charge), want, "{name}");
            assert_eq!(signal.intent.invoice_id.as_str(), "in_1QfInv", "{name}");
            assert_eq!(signal.amount.currency.code(), "USD", "{name}");
        }
    }

    #[test]
    fn amounts_follow_the_exceptions_of_the_platform() {
        struct Case {
            currency: &'static str,
            given: i64,
            want: Result<i64, (&'static str, Problem)>,
        }
        let due = "data.object.amount_due";
        let cases = [
            Case {
                currency: "usd",
                given: 2500,
                want: Ok(2500),
            },
            Case {
                currency: "jpy",
                given: 2500,
                want: Ok(2500),
            },
            Case {
                currency: "kwd",
                given: 2500,
                want: Ok(2500),
            },
            Case {
                currency: "isk",
                given: 2500,
                want: Ok(25),
            },
            Case {
                currency: "isk",
                given: 2501,
                want: Err((due, Problem::Money(MoneyError::NotWhole))),
            },
            Case {
                currency: "ugx",
                given: 2500,
                want: Ok(25),
            },
            Case {
                currency: "mga",
                given: 2500,
                want: Ok(250_000),
            },
            Case {
                currency: "zzz",
                given: 2500,
                want: Err((
                    "data.object.currency",
                    Problem::Money(MoneyError::UnknownCurrency),
                )),
            },
        ];
        for Case {
            currency,
            given,
            want,
        } in cases
        {
            let body = fixture!("invoice.payment_failed")
                .replace("\"usd\"", &format!("\"{currency}\""))
                .replace("2500", &given.to_string());
            let got = interpret(&body)
                .map_err(|error| (error.field, error.problem))
                .map(|_| signal(&body).amount.amount);
            assert_eq!(
                got,
                want.map_err(|(field, problem)| (field.to_owned(), problem)),
                "{given} {currency}"
            );
        }
    }

    #[test]
    fn a_genuine_event_of_another_type_is_ignored_by_name() {
        match interpret(fixture!("customer.created")) {
            Ok(Interpretation::Ignored(ignored)) => {
                assert_eq!(ignored.platform_type.as_str(), "customer.created")
            }
            other => panic!("not ignored: {other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_is_named_by_its_field() {
        let body = fixture!("invoice.payment_failed");
        let without = |field: &str| body.replace(&format!("\"{field}\""), "\"other\"");
        let cases = [
            ("no JSON", "not json".to_owned(), "`body` is not JSON"),
            (
                "cut short",
                body.get(..100).unwrap_or_default().to_owned(),
                "`body` is not JSON",
            ),
            (
                "more than one document",
                format!("{body}{{}}"),
                "`body` is not JSON",
            ),
            (
                "no object",
                "[]".to_owned(),
                "`body` is missing or of the wrong kind",
            ),
            (
                "no type",
                without("type"),
                "`type` is missing or of the wrong kind",
            ),
            (
                "no created",
                without("created"),
                "`created` is missing or of the wrong kind",
            ),
            (
                "no currency",
                without("currency"),
                "`data.object.currency` is missing or of the wrong kind",
            ),
            (
                "an amount of text",
                body.replace(":2500", ":\"x\""),
                "`data.object.amount_due` is missing or of the wrong kind",
            ),
            (
                "a time out of range",
                body.replace("1735689660", "99999999999999"),
                "`created` is not a unix time in seconds",
            ),
        ];
        for (name, body, want) in cases {
            assert_eq!(
                interpret(&body).map_err(|error| error.to_string()),
                Err(want.to_owned()),
                "{name}"
            );
        }
    }

    #[test]
    fn a_body_is_not_read_before_its_signature_holds() {
        let now = Timestamp::from_second(0).expect("a time in range");
        let got = Stripe.verify(&HeaderMap::new(), b"not json", &account(), now);
        assert_eq!(got.err(), Some(VerifyError::Missing));
    }
}
