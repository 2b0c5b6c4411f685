//! What each webhook of Stripe means; what its answers add is in `enriched`.

use super::*;
use crate::ids::{ConnectorAccountId, ProfileId, TenantId};
use crate::platform::account::{Locked, Settings};
use crate::secret::Secret;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../tests/fixtures/stripe/",
            $name,
            ".json"
        ))
    };
}
pub(super) use fixture;

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

pub(super) fn interpret(body: &str) -> Result<Interpretation, FieldError> {
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
        Ok(Interpretation::Thin(thin)) => thin.told.expect("what the webhook tells by itself"),
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

#[test]
fn a_webhook_is_thin_where_there_is_a_charge_to_ask_about() {
    let without_charge = fixture!("invoice.payment_failed").replace("\"ch_3QfA1\"", "null");
    let cases = [
        (fixture!("invoice.payment_failed"), true),
        (fixture!("invoice.payment_failed.basil"), true),
        (fixture!("invoice.paid"), true),
        (fixture!("invoice.paid.basil"), true),
        (fixture!("invoice.payment_succeeded"), true),
        (fixture!("invoice.paid.zero"), false),
        (fixture!("invoice.voided"), false),
        (fixture!("invoice.marked_uncollectible"), false),
    ];
    for (body, want) in cases {
        let got = interpret(body).map(|it| matches!(it, Interpretation::Thin(_)));
        assert_eq!(got, Ok(want), "{body}");
    }
    let failed = signal(&without_charge);
    let charge = failed.charge.expect("a failed try");
    assert_eq!(charge.key().map(ChargeKey::as_str), Some("in_1QfInv:1"));
}

#[test]
fn an_invoice_first_seen_as_paid_for_nothing_asks_for_what_it_asked_before() {
    let paid = signal(fixture!("invoice.paid.zero"));
    let failed = signal(fixture!("invoice.payment_failed"));
    assert!(failed.order < paid.order);
    let now = paid.order.at;
    let mut intent = crate::recovery::Intent::open(&paid, now).expect("a success opens an intent");
    intent.join(&paid, now);
    assert_eq!(intent.amount.amount, 0);
    intent.join(&failed, now);
    assert_eq!(intent.amount.amount, 2500);
}
