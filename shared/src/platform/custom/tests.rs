//! What may be reported, and what a report tells.

use serde_json::{Value, json};

use super::*;
use crate::ids::{ConnectorAccountId, ProfileId, TenantId};
use crate::platform::account::{Locked, Settings};

const FAILED: &str = include_str!("../../../../tests/fixtures/custom/payment_failed.json");
const RETRIED: &str =
    include_str!("../../../../tests/fixtures/custom/payment_succeeded.retry.json");
const CANCELLED: &str = include_str!("../../../../tests/fixtures/custom/invoice_cancelled.json");
const OUT_OF_BAND: &str =
    include_str!("../../../../tests/fixtures/custom/payment_succeeded.out_of_band.json");

fn account(platform: Platform) -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform,
        webhook_secrets: Vec::new(),
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

fn read(body: &str, platform: Platform) -> Result<Signal, ReportError> {
    let now = Timestamp::from_second(1_736_035_200).expect("a time in range");
    Report::read(body)?.signal(&account(platform), now)
}

/// A fixture with the field at a path set, or taken away.
fn with(body: &str, path: &str, value: Value) -> String {
    let mut body: Value = serde_json::from_str(body).expect("a fixture is JSON");
    let (parent, name) = path.rsplit_once('/').expect("a path");
    let parent = body.pointer_mut(parent).and_then(Value::as_object_mut);
    let parent = parent.expect("a path to an object");
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    body.to_string()
}

#[test]
fn a_report_says_what_a_platform_s_webhook_would() {
    let failed = read(FAILED, Platform::Custom).expect("it is a report");
    assert_eq!(failed.id.as_str(), "report:rep_1001");
    assert_eq!(
        (failed.kind, failed.order.rank),
        (SignalKind::PaymentFailed, 1)
    );
    assert!(!failed.by_merchant, "who bills by himself is the platform");
    let charge = failed.charge.expect("a charge");
    let ids: Vec<_> = charge.ids.iter().cloned().collect();
    let key = |id: &str| crate::ids::ChargeKey::parse(id).expect("a valid id");
    assert_eq!(
        ids,
        [
            ChargeId::Psp(key("ch_3QfA1")),
            ChargeId::Platform(key("pay_7"))
        ],
        "a transaction that has charges with ids of their own tells none from another"
    );
    assert_eq!(charge.details.transaction_id.as_deref(), Some("pi_3QfA1"));

    let known = with(FAILED, "/charge/charge_id", Value::Null);
    let known = read(&known, Platform::Custom).expect("it is a report");
    let ids = known.charge.expect("a charge").ids;
    assert!(
        ids.contains(&ChargeId::Transaction(key("pi_3QfA1"))),
        "{ids:?}"
    );

    let cancelled = read(CANCELLED, Platform::Custom).expect("it is a report");
    assert_eq!(
        (cancelled.kind, cancelled.charge),
        (SignalKind::InvoiceCancelled, None)
    );
}

#[test]
fn what_came_of_a_retry_is_reported_at_any_platform_and_nothing_else_is() {
    let platforms = [
        (Platform::Custom, true),
        (Platform::Stripe, false),
        (Platform::Chargebee, false),
        (Platform::Recurly, false),
    ];
    for (platform, bills_itself) in platforms {
        let retried = read(RETRIED, platform).expect("it is a report");
        let charge = retried.charge.expect("a charge");
        assert_eq!(
            (charge.triggered_by, charge.retry),
            (TriggeredBy::Internal, Some(1))
        );
        assert!(retried.by_merchant);
        assert_eq!(retried.source.as_str(), platform.as_str());
        for body in [FAILED, CANCELLED, OUT_OF_BAND] {
            let got = read(body, platform).map(|_| ());
            let want = if bills_itself {
                Ok(())
            } else {
                Err(ReportError::NotOurs(platform.as_str()))
            };
            assert_eq!(got, want, "{platform:?}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_report_is_named_by_its_field() {
    let card = "4242 4242 4242 4242";
    let cases = [
        (
            FAILED,
            "/more",
            json!(1),
            "`more` is not a field that may stand here",
        ),
        (
            FAILED,
            "/charge/pan",
            json!("x"),
            "`charge.pan` is not a field that may stand here",
        ),
        (FAILED, "/id", Value::Null, "`id` is missing"),
        (
            FAILED,
            "/id",
            json!("a b"),
            "`id` must be a string of 1 to 200 bytes without white space or control characters",
        ),
        (
            FAILED,
            "/profile_id",
            json!("a b"),
            "`profile_id` must be a string of 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`",
        ),
        (
            FAILED,
            "/event",
            json!("paid"),
            "`event` must be one of `payment_failed`, `payment_pending`, `payment_succeeded`, `invoice_cancelled`",
        ),
        (
            FAILED,
            "/occurred_at",
            json!(1735689660),
            "`occurred_at` must be a date and time such as `2026-08-17T12:00:00.000Z`",
        ),
        (
            FAILED,
            "/occurred_at",
            json!("2025-01-05T00:05:01Z"),
            "`occurred_at` must not lie in the future",
        ),
        (
            FAILED,
            "/amount",
            json!(25.5),
            "`amount` must be a whole number",
        ),
        (
            FAILED,
            "/amount",
            json!("2500"),
            "`amount` must be a whole number",
        ),
        (
            FAILED,
            "/amount",
            json!(-1),
            "`amount` must not be negative",
        ),
        (
            FAILED,
            "/amount_left",
            json!(-1),
            "`amount_left` must not be negative",
        ),
        (
            FAILED,
            "/amount_left",
            json!(2501),
            "`amount_left` must not be more than `amount`",
        ),
        (
            FAILED,
            "/currency",
            json!("euro"),
            "`currency` must be an ISO 4217 code of a currency with amounts",
        ),
        (
            FAILED,
            "/currency",
            json!("XAU"),
            "`currency` must be an ISO 4217 code of a currency with amounts",
        ),
        (FAILED, "/charge", Value::Null, "`charge` is missing"),
        (
            FAILED,
            "/charge",
            json!({}),
            "`charge` must have a `charge_id`, a `transaction_id` or a `platform_id`",
        ),
        (
            FAILED,
            "/charge/retry",
            json!(1),
            "`charge.retry` is of a retry that Payrelay asked for; `charge.triggered_by` must be `internal` then",
        ),
        (
            RETRIED,
            "/charge/retry",
            json!(0),
            "`charge.retry` must be 1 or more",
        ),
        (
            RETRIED,
            "/charge/error",
            json!({"code": "x"}),
            "`charge.error` has its place beside `payment_failed` only; leave it out",
        ),
        (
            CANCELLED,
            "/charge",
            json!({"charge_id": "ch_1"}),
            "`charge` has no place beside `invoice_cancelled`; leave it out",
        ),
        (
            FAILED,
            "/charge/error/code",
            json!(""),
            "`charge.error.code` must be a string of 1 to 255 characters",
        ),
        (
            FAILED,
            "/charge/instrument/card/last4",
            json!("424242"),
            "`charge.instrument.card.last4` must be a string of 4 digits",
        ),
        (
            FAILED,
            "/charge/instrument/card/expiry_month",
            json!(13),
            "`charge.instrument.card.expiry_month` must be a whole number from 1 to 12",
        ),
        (
            FAILED,
            "/charge/instrument/card/expiry_year",
            json!(30),
            "`charge.instrument.card.expiry_year` must be a year of four digits, as a number",
        ),
        (
            FAILED,
            "/charge/instrument/token",
            json!(card),
            "`charge.instrument.token` must not hold a card number; send the token that stands for it",
        ),
        (
            FAILED,
            "/charge/error/message",
            json!(card),
            "`charge.error.message` must not hold a card number; send the token that stands for it",
        ),
    ];
    for (body, path, value, want) in cases {
        let body = with(body, path, value);
        let got = read(&body, Platform::Custom).map_err(|error| error.to_string());
        let got = got.map(|_| ());
        assert_eq!(got, Err(want.to_owned()), "{path}");
        assert!(!want.contains(card));
    }
    assert_eq!(
        Report::read("not json").map_err(|error| error.to_string()),
        Err("`body` is not JSON".to_owned())
    );
}

#[test]
fn a_charge_without_an_amount_was_of_all_that_it_could_collect() {
    // The event, what is left, the amount of the charge itself, and what was charged.
    let cases = [
        ("payment_succeeded", json!(0), Value::Null, 2500),
        ("payment_succeeded", json!(1500), Value::Null, 1000),
        ("payment_succeeded", Value::Null, Value::Null, 2500),
        ("payment_succeeded", json!(0), json!(700), 700),
        ("payment_failed", json!(1500), Value::Null, 1500),
        ("payment_failed", Value::Null, Value::Null, 2500),
        ("payment_pending", json!(1500), Value::Null, 1500),
        ("payment_failed", json!(1500), json!(700), 700),
    ];
    for (event, left, amount, want) in cases {
        let name = format!("{event}, {left} left, {amount} charged");
        let mut body = json!({
            "id": "rep_1", "profile_id": "pro_1", "connector_account_id": "mca_1", "invoice_id": "in_1",
            "event": event, "occurred_at": "2025-01-01T00:01:00Z", "amount": 2500, "currency": "USD",
            "charge": {"charge_id": "ch_2", "triggered_by": "internal", "retry": 1},
        });
        for (path, value) in [("/amount_left", left), ("/charge/amount", amount)] {
            body = serde_json::from_str(&with(&body.to_string(), path, value)).expect("JSON");
        }
        let signal = read(&body.to_string(), Platform::Stripe).expect(&name);
        let charged = signal.charge.map(|charge| charge.details.amount.amount);
        assert_eq!(charged, Some(want), "{name}");
    }
}
