//! What Stripe's answers add to its webhooks.

use bytes::Bytes;
use proptest::prelude::*;

use super::tests::{fixture, interpret};
use super::*;
use crate::platform::api::{Api, Enriching};
use crate::platform::hostile::any_answer;
use crate::recovery::{Enrichment, Network};
use crate::secret::Secret;

const FAILED: &str = fixture!("invoice.payment_failed");
const FAILED_BASIL: &str = fixture!("invoice.payment_failed.basil");
const PAID_BASIL: &str = fixture!("invoice.paid.basil");
const CHARGE_FAILED: &str = fixture!("api/charge.failed");
const CHARGE_SUCCEEDED: &str = fixture!("api/charge.succeeded");
const PAYMENTS_OPEN: &str = fixture!("api/invoice_payments.open");
const PAYMENTS_PAID: &str = fixture!("api/invoice_payments.paid");
const CHARGES: &str = fixture!("api/charges");
const DOCUMENTS: &[&str] = &[
    CHARGE_FAILED,
    CHARGE_SUCCEEDED,
    PAYMENTS_OPEN,
    PAYMENTS_PAID,
    CHARGES,
];

fn enrich(body: &str, answers: &[&str]) -> Result<Enriching, FieldError> {
    let Ok(Interpretation::Thin(thin)) = interpret(body) else {
        panic!("not thin: {body}");
    };
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| Bytes::copy_from_slice(answer.as_bytes()))
        .collect();
    Stripe.enrich(&thin, &answers)
}

fn asked(body: &str, answers: &[&str]) -> String {
    match enrich(body, answers) {
        Ok(Enriching::Ask(request)) => {
            assert!(request.headers.contains_key("stripe-version"));
            format!("{} {}", request.method, request.path)
        }
        other => panic!("nothing asked: {other:?}"),
    }
}

fn signal(body: &str, answers: &[&str]) -> Signal {
    match enrich(body, answers) {
        Ok(Enriching::Signal(signal)) => *signal,
        other => panic!("not a signal: {other:?}"),
    }
}

fn charge(body: &str, answers: &[&str]) -> Charge {
    signal(body, answers).charge.expect("a charge")
}

fn ids(charge: &Charge) -> Vec<&str> {
    charge.ids.iter().map(|id| id.key().as_str()).collect()
}

const LOOK_UP: &str =
    "GET /v1/invoice_payments?invoice=in_1QfInv&limit=100&expand%5B%5D=data.payment.payment_intent";

#[test]
fn a_charge_is_asked_for_by_its_name_or_by_its_invoice() {
    assert_eq!(asked(FAILED, &[]), "GET /v1/charges/ch_3QfA1");
    assert_eq!(asked(FAILED_BASIL, &[]), LOOK_UP);
    assert_eq!(
        asked(FAILED_BASIL, &[PAYMENTS_OPEN]),
        "GET /v1/charges/ch_3QfA1"
    );
    assert_eq!(
        asked(PAID_BASIL, &[PAYMENTS_PAID]),
        "GET /v1/charges/ch_3QfA2"
    );
    let unexpanded = PAYMENTS_OPEN
        .split_once("{\"id\":\"pi_3QfA1\"")
        .and_then(|(head, tail)| Some(format!("{head}\"pi_3QfA1\"{}", tail.split_once('}')?.1)))
        .expect("the fixture has a payment intent");
    let all = "GET /v1/charges?payment_intent=pi_3QfA1&limit=100";
    assert_eq!(asked(FAILED_BASIL, &[&unexpanded]), all);
    assert_eq!(
        ids(&charge(FAILED_BASIL, &[&unexpanded, CHARGES])),
        ["ch_3QfA1"]
    );
}

#[test]
fn a_failed_charge_is_told_with_everything_that_is_known_of_it_in_both_shapes() {
    for (body, answers) in [
        (FAILED, vec![CHARGE_FAILED]),
        (FAILED_BASIL, vec![PAYMENTS_OPEN, CHARGE_FAILED]),
    ] {
        let charge = charge(body, &answers);
        assert_eq!(ids(&charge), ["ch_3QfA1"]);
        assert_eq!(charge.status, Status::Failed);
        let details = charge.details;
        assert_eq!(details.enrichment, Enrichment::Enriched);
        assert_eq!(
            (details.amount.amount, details.amount.currency.code()),
            (2500, "USD")
        );
        assert_eq!(
            details.made_at.map(Timestamp::as_second),
            Some(1_735_689_655)
        );
        assert_eq!(details.transaction_id.as_deref(), Some("pi_3QfA1"));
        assert_eq!(details.gateway.as_deref(), Some("stripebilling"));
        let decline = details.decline.expect("a decline");
        assert_eq!(decline.code, "card_declined");
        assert_eq!(decline.reason.as_deref(), Some("insufficient_funds"));
        assert_eq!(decline.network_code.as_deref(), Some("51"));
        assert_eq!(decline.advice_code.as_deref(), Some("02"));
        let instrument = details.instrument.expect("an instrument");
        assert_eq!(instrument.token.as_deref(), Some("pm_1Qbb"));
        assert_eq!(instrument.customer.as_deref(), Some("cus_R9aa"));
        assert_eq!(instrument.method.as_deref(), Some("card"));
        let card = instrument.card.expect("a card");
        assert_eq!(
            (card.network, card.funding.as_deref()),
            (Network::Visa, Some("credit"))
        );
        assert_eq!(card.last4.as_deref(), Some("4242"));
        assert_eq!(
            (card.expiry_month, card.expiry_year),
            (Some(12), Some(2030))
        );
    }
}

#[test]
fn what_the_webhook_says_of_the_invoice_stays() {
    let told = interpret(FAILED).map(|it| match it {
        Interpretation::Thin(thin) => thin.told,
        Interpretation::Signal(_) | Interpretation::Ignored(_) => None,
    });
    let told = told
        .ok()
        .flatten()
        .expect("what the webhook tells by itself");
    let enriched = signal(FAILED, &[CHARGE_FAILED]);
    let charge = enriched.charge.clone();
    assert_eq!(enriched, Signal { charge, ..told });
}

#[test]
fn a_success_since_basil_keeps_what_it_is_known_by_without_its_charge() {
    let charge = charge(PAID_BASIL, &[PAYMENTS_PAID, CHARGE_SUCCEEDED]);
    assert_eq!(ids(&charge), ["ch_3QfA2", "in_1QfInv:paid"]);
    assert_eq!(charge.status, Status::Succeeded);
    assert_eq!(charge.details.decline, None);
}

#[test]
fn a_failure_that_is_read_after_a_later_charge_finds_its_own() {
    let later = PAYMENTS_PAID;
    let all = "GET /v1/charges?payment_intent=pi_3QfA1&limit=100";
    assert_eq!(asked(FAILED_BASIL, &[later, CHARGE_SUCCEEDED]), all);
    let found = charge(FAILED_BASIL, &[later, CHARGE_SUCCEEDED, CHARGES]);
    assert_eq!(ids(&found), ["ch_3QfA1"]);
    let failed_again = CHARGE_SUCCEEDED.replace("succeeded", "failed");
    assert_eq!(
        asked(FAILED_BASIL, &[later, &failed_again]),
        all,
        "made after the webhook"
    );
    let none = r#"{"data":[]}"#;
    let unknown = charge(FAILED_BASIL, &[later, CHARGE_SUCCEEDED, none]);
    assert_eq!(ids(&unknown), ["in_1QfInv:1"]);
    assert_eq!(unknown.details.enrichment, Enrichment::Refused);
}

#[test]
fn an_invoice_paid_out_of_band_has_no_charge() {
    let record = PAYMENTS_PAID
        .replace("\"payment_intent\":{", "\"other\":{")
        .replace("\"type\":\"payment_intent\"", "\"type\":\"payment_record\"");
    for payments in [
        fixture!("api/invoice_payments.none"),
        PAYMENTS_OPEN,
        &record,
    ] {
        let paid = signal(PAID_BASIL, &[payments]);
        assert_eq!(
            (paid.kind, paid.charge),
            (SignalKind::PaymentSucceeded, None)
        );
    }
}

#[test]
fn every_network_of_a_card_is_known_by_its_names_and_any_other_is_none() {
    let cases = [
        ("amex", "amex", Network::Amex),
        ("diners", "diners", Network::Diners),
        ("jcb", "jcb", Network::Jcb),
        ("unionpay", "unionpay", Network::UnionPay),
        ("discover", "discover", Network::Discover),
        ("mastercard", "mastercard", Network::Mastercard),
        ("visa", "cartes_bancaires", Network::Visa),
        ("mastercard", "visa", Network::Visa),
        ("unknown", "unknown", Network::Unknown),
        ("a new one", "another", Network::Unknown),
    ];
    for (brand, network, want) in cases {
        let answer = CHARGE_FAILED
            .replace("\"brand\":\"visa\"", &format!("\"brand\":\"{brand}\""))
            .replace(
                "\"network\":\"visa\"",
                &format!("\"network\":\"{network}\""),
            )
            .replace("\"funding\":\"credit\"", "\"funding\":\"prepaid\"");
        let card = charge(FAILED, &[&answer])
            .details
            .instrument
            .and_then(|it| it.card);
        let card = card.expect("a card");
        assert_eq!(card.network, want, "{brand} {network}");
        assert_eq!(card.funding.as_deref(), Some("prepaid"));
    }
}

#[test]
fn codes_of_a_decline_are_not_mixed_up_and_may_be_missing() {
    let only = |field: &str, value: &str| {
        let mut answer: serde_json::Value =
            serde_json::from_str(CHARGE_FAILED).expect("the fixture is JSON");
        for name in ["reason", "network_advice_code", "network_decline_code"] {
            if let Some(it) = answer.pointer_mut(&format!("/outcome/{name}")) {
                *it = serde_json::Value::Null;
            }
        }
        if let Some(it) = answer.pointer_mut(field) {
            *it = value.into();
        }
        let charge = charge(FAILED, &[&answer.to_string()]);
        let decline = charge.details.decline.expect("a decline");
        (
            decline.code,
            decline.reason,
            decline.network_code,
            decline.advice_code,
        )
    };
    let declined = || "card_declined".to_owned();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        only("/outcome/reason", "r"),
        (declined(), some("r"), None, None)
    );
    assert_eq!(
        only("/outcome/network_decline_code", "d"),
        (declined(), None, some("d"), None)
    );
    assert_eq!(
        only("/outcome/network_advice_code", "a"),
        (declined(), None, None, some("a"))
    );
    let blocked = CHARGE_FAILED.replace("\"card_declined\"", "null");
    let decline = charge(FAILED, &[&blocked])
        .details
        .decline
        .expect("a decline");
    assert_eq!(decline.code, "insufficient_funds");
}

#[test]
fn what_is_wrong_with_an_answer_is_named_by_its_field() {
    let shape = |field: &str| format!("`{field}` is missing or of the wrong kind");
    let isk = CHARGE_FAILED
        .replace("\"usd\"", "\"isk\"")
        .replace("2500", "2501");
    let cases = [
        (FAILED, vec!["<html>"], "`charge` is not JSON".to_owned()),
        (FAILED, vec!["{}"], shape("charge.id")),
        (FAILED, vec![r#"{"id":"a b"}"#], shape("charge.id")),
        (FAILED_BASIL, vec!["[]"], shape("invoice_payments")),
        (FAILED_BASIL, vec![PAYMENTS_OPEN, "{}"], shape("charge.id")),
        (
            FAILED_BASIL,
            vec![PAYMENTS_PAID, CHARGE_SUCCEEDED, "{}"],
            shape("charges.data"),
        ),
        (
            FAILED,
            vec![&*isk],
            "`charge.amount` does not divide into whole minor units of its currency".to_owned(),
        ),
    ];
    for (body, answers, want) in cases {
        let got = enrich(body, &answers).map_err(|error| error.to_string());
        assert_eq!(got, Err(want), "{answers:?}");
    }
    let elsewhere = FAILED.replace("\"ch_3QfA1\"", "\"..\"");
    let got = enrich(&elsewhere, &[]).map_err(|error| error.to_string());
    assert_eq!(got, Err(shape("data.object.charge")));
}

#[test]
fn a_success_is_recorded_as_paid_out_of_band_under_one_key() {
    let authorization = Stripe
        .authorization(&Secret::new("sk_1"))
        .expect("a header");
    assert_eq!(authorization.to_str().ok(), Some("Bearer sk_1"));
    assert!(authorization.is_sensitive());
    let failed = signal(FAILED, &[CHARGE_FAILED]);
    let intent =
        crate::recovery::Intent::open(&failed, failed.order.at).expect("a failure opens an intent");
    let request = Stripe
        .record_back(&intent, "key_1")
        .expect("it can be told");
    assert_eq!(
        (
            request.method.as_str(),
            request.path.as_str(),
            &*request.body
        ),
        (
            "POST",
            "/v1/invoices/in_1QfInv/pay",
            &b"paid_out_of_band=true"[..]
        )
    );
    let header = |name: &str| request.headers.get(name).and_then(|it| it.to_str().ok());
    assert_eq!(header("idempotency-key"), Some("key_1"));
    assert_eq!(
        header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    let paid = fixture!("api/invoice.pay");
    assert_eq!(
        Stripe.recorded_id(paid.as_bytes()).as_deref(),
        Some("in_1QfInv")
    );
    assert_eq!(Stripe.recorded_id(b"<html>"), None);
}

proptest! {
    #[test]
    fn no_answer_whatever_makes_it_panic(
        body in prop::sample::select(vec![FAILED, FAILED_BASIL, PAID_BASIL]),
        known in prop::sample::select(DOCUMENTS),
        answer in any_answer(DOCUMENTS),
    ) {
        let _outcome = enrich(body, &[&answer]);
        let _outcome = enrich(body, &[known, &answer]);
        let _outcome = enrich(body, &[&answer, known]);
        let _outcome = enrich(body, &[PAYMENTS_PAID, CHARGE_SUCCEEDED, &answer]);
        let _outcome = Stripe.recorded_id(answer.as_bytes());
    }
}
