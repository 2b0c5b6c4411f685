//! What each notification and each answer of Recurly means.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::ids::{ConnectorAccountId, ProfileId, TenantId};
use crate::money::MoneyError;
use crate::platform::account::{Locked, Settings};
use crate::platform::api::{Api, Enriching};
use crate::platform::hostile::any_answer;
use crate::recovery::{ChargeId, Enrichment, Network, Signal, SignalKind, Status};
use crate::secret::Secret;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../tests/fixtures/recurly/",
            $name,
            ".json"
        ))
    };
}

const FAILED: &str = fixture!("payment.failed");
const DECLINED: &str = fixture!("api/transaction.declined");
const SUCCESS: &str = fixture!("api/transaction.success");
const PROCESSING: &str = fixture!("api/transaction.processing");
const PAST_DUE: &str = fixture!("api/invoice.past_due");
const PAID: &str = fixture!("api/invoice.paid");
const DOCUMENTS: &[&str] = &[DECLINED, SUCCESS, PROCESSING, PAST_DUE, PAID];

fn account() -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform: Platform::Recurly,
        webhook_secrets: vec![Secret::new("recurly_test_secret")],
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

fn interpret(body: &str) -> Result<Interpretation, FieldError> {
    let now = Timestamp::from_second(1_700_000_000).expect("a time in range");
    let secret = Secret::new("recurly_test_secret");
    let header = recurly::sign(&secret, now, body.as_bytes()).expect("the secret is not empty");
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static(recurly::HEADER),
        HeaderValue::from_str(&header).expect("a header of ASCII"),
    )]);
    let proof = Recurly
        .verify(&headers, body.as_bytes(), &account(), now)
        .expect("a fresh signature");
    Recurly.interpret(body.as_bytes(), &account(), &proof)
}

fn thin(body: &str) -> Thin {
    match interpret(body) {
        Ok(Interpretation::Thin(thin)) => *thin,
        other => panic!("not thin: {other:?}"),
    }
}

fn enrich(body: &str, answers: &[&str]) -> Result<Enriching, FieldError> {
    let answers: Vec<_> = answers
        .iter()
        .map(|answer| Bytes::copy_from_slice(answer.as_bytes()))
        .collect();
    Recurly.enrich(&thin(body), &answers)
}

fn signal(body: &str, answers: &[&str]) -> Signal {
    match enrich(body, answers) {
        Ok(Enriching::Signal(signal)) => *signal,
        other => panic!("not a signal: {other:?}"),
    }
}

fn asked(body: &str, answers: &[&str]) -> String {
    match enrich(body, answers) {
        Ok(Enriching::Ask(request)) => {
            assert_eq!(
                request.headers.get("accept"),
                Some(&HeaderValue::from_static(
                    "application/vnd.recurly.v2021-02-25"
                ))
            );
            format!("{} {}", request.method, request.path)
        }
        other => panic!("nothing asked: {other:?}"),
    }
}

#[test]
fn what_concerns_no_collection_is_ignored_by_its_name_and_the_rest_is_asked_about() {
    let cases = [
        (fixture!("payment.scheduled"), None),
        (fixture!("payment.processing"), None),
        (fixture!("payment.succeeded"), None),
        (FAILED, None),
        (fixture!("payment.voided"), None),
        (fixture!("payment.transaction_status_updated"), None),
        (fixture!("payment.refunded"), Some("payment.refunded")),
        (
            fixture!("charge_invoice.created"),
            Some("charge_invoice.created"),
        ),
        (
            fixture!("charge_invoice.past_due"),
            Some("charge_invoice.past_due"),
        ),
        (fixture!("charge_invoice.processing"), None),
        (fixture!("charge_invoice.paid"), None),
        (fixture!("charge_invoice.failed"), None),
        (fixture!("charge_invoice.reopened"), None),
        (fixture!("charge_invoice.updated"), None),
    ];
    for (body, want) in cases {
        match (interpret(body), want) {
            (Ok(Interpretation::Ignored(ignored)), Some(want)) => {
                assert_eq!(ignored.platform_type.as_str(), want);
            }
            (Ok(Interpretation::Thin(thin)), None) => assert_eq!(thin.told, None),
            (other, _) => panic!("{body}: {other:?}"),
        }
    }
    let of_another_object = FAILED.replace("\"payment\"", "\"subscription\"");
    match interpret(&of_another_object) {
        Ok(Interpretation::Ignored(ignored)) => {
            assert_eq!(ignored.platform_type.as_str(), "subscription.failed");
        }
        other => panic!("not ignored: {other:?}"),
    }
}

#[test]
fn an_invoice_that_fails_is_no_payment_that_fails() {
    assert_eq!(
        asked(FAILED, &[]),
        "GET /transactions/uuid-63b068f7d409d4b4478dea4e6aba58ae"
    );
    assert_eq!(asked(FAILED, &[DECLINED]), "GET /invoices/inv_r100");
    assert_eq!(
        asked(fixture!("charge_invoice.failed"), &[]),
        "GET /invoices/number-1042"
    );
    let prefixed = fixture!("charge_invoice.paid").replace("1042", "\"FR/1042\"");
    assert_eq!(asked(&prefixed, &[]), "GET /invoices/number-FR%2F1042");
}

#[test]
fn a_declined_payment_is_told_with_everything_that_is_known_of_it() {
    let signal = signal(FAILED, &[DECLINED, PAST_DUE]);
    assert_eq!(signal.kind, SignalKind::PaymentFailed);
    assert_eq!(signal.id.as_str(), "rafhdbbf41mc");
    assert_eq!(signal.intent.invoice_id.as_str(), "inv_r100");
    assert_eq!(
        (signal.amount.amount, signal.amount.currency.code()),
        (2500, "USD")
    );
    assert_eq!(signal.left.map(|left| left.amount), Some(2500));
    assert_eq!(signal.tries, Some(1));
    assert_eq!(signal.order.at.to_string(), "2022-07-27T21:43:53Z");
    let charge = signal.charge.expect("a charge");
    let ids: Vec<_> = charge.ids.iter().map(ChargeId::key).collect();
    let ids: Vec<_> = ids.iter().map(|id| id.as_str()).collect();
    assert_eq!(ids, ["ch_3QfA9", "63b068f7d409d4b4478dea4e6aba58ae"]);
    assert_eq!(charge.status, Status::Failed);
    let details = charge.details;
    assert_eq!(details.enrichment, Enrichment::Enriched);
    assert_eq!(details.amount.amount, 2500);
    assert_eq!(
        details.made_at.map(|at| at.to_string()).as_deref(),
        Some("2022-07-27T21:43:50Z")
    );
    assert_eq!(details.gateway.as_deref(), Some("gw_r1"));
    let decline = details.decline.expect("a decline");
    assert_eq!(decline.code, "insufficient_funds");
    assert_eq!(decline.reason.as_deref(), Some("51"));
    assert_eq!((decline.network_code, decline.advice_code), (None, None));
    let instrument = details.instrument.expect("an instrument");
    assert_eq!(instrument.token.as_deref(), Some("pm_1Qbb"));
    assert_eq!(instrument.customer.as_deref(), Some("acc_9x"));
    let card = instrument.card.expect("a card");
    assert_eq!(
        (card.network, card.last4.as_deref()),
        (Network::Visa, Some("1111"))
    );
    assert_eq!(
        (card.expiry_month, card.expiry_year),
        (Some(12), Some(2030))
    );
}

#[test]
fn what_happened_is_read_from_the_event_the_transaction_and_the_invoice_together() {
    struct Case {
        name: &'static str,
        body: &'static str,
        answers: Vec<String>,
        want: Option<(SignalKind, Option<Status>)>,
    }
    let case = |name, body, answers: &[&str], want| Case {
        name,
        body,
        answers: answers.iter().map(|answer| (*answer).to_owned()).collect(),
        want,
    };
    let (succeeded, updated) = (
        fixture!("payment.succeeded"),
        fixture!("payment.transaction_status_updated"),
    );
    let (invoice_paid, invoice_updated) = (
        fixture!("charge_invoice.paid"),
        fixture!("charge_invoice.updated"),
    );
    let status = |status: &str| DECLINED.replace("\"declined\"", &format!("\"{status}\""));
    let kind = |kind: &str| DECLINED.replace("\"purchase\"", &format!("\"{kind}\""));
    let state = |state: &str| PAST_DUE.replace("\"past_due\"", &format!("\"{state}\""));
    let failed = Some((SignalKind::PaymentFailed, Some(Status::Failed)));
    let pending = Some((SignalKind::PaymentPending, Some(Status::Pending)));
    let collected = Some((SignalKind::PaymentSucceeded, Some(Status::Succeeded)));
    let cancelled = Some((SignalKind::InvoiceCancelled, Some(Status::Failed)));
    let half = SUCCESS.replace("25.00", "10.00");
    let cases = [
        case("declined", FAILED, &[DECLINED, PAST_DUE], failed),
        case(
            "an error at the gateway",
            FAILED,
            &[&status("error"), PAST_DUE],
            failed,
        ),
        case(
            "a read that lags behind a failure",
            FAILED,
            &[&status("pending"), PAST_DUE],
            failed,
        ),
        case(
            "a failure that was overtaken",
            FAILED,
            &[&status("success"), PAID],
            collected,
        ),
        case("a success", succeeded, &[SUCCESS, PAID], collected),
        case(
            "a read that lags behind a success",
            succeeded,
            &[PROCESSING, PAST_DUE],
            collected,
        ),
        case(
            "a success of a part",
            succeeded,
            &[
                &half,
                &PAST_DUE.replace("25.00,\"address\"", "15.00,\"address\""),
            ],
            Some((SignalKind::PaymentFailed, Some(Status::Succeeded))),
        ),
        case("the last part of it", succeeded, &[&half, PAID], collected),
        case(
            "scheduled",
            fixture!("payment.scheduled"),
            &[&status("scheduled"), PAST_DUE],
            pending,
        ),
        case(
            "processing",
            fixture!("payment.processing"),
            &[PROCESSING, PAST_DUE],
            pending,
        ),
        case(
            "a status that became success",
            updated,
            &[SUCCESS, PAID],
            collected,
        ),
        case(
            "a status that became declined",
            updated,
            &[DECLINED, PAST_DUE],
            failed,
        ),
        case(
            "a status that is pending still",
            updated,
            &[PROCESSING, PAST_DUE],
            pending,
        ),
        case(
            "voided before it collected",
            fixture!("payment.voided"),
            &[&status("void"), PAST_DUE],
            failed,
        ),
        case(
            "voided after it collected",
            fixture!("payment.voided"),
            &[&status("void"), PAID],
            None,
        ),
        case("disputed", updated, &[&status("chargeback"), PAID], None),
        case(
            "declined, and the invoice failed",
            FAILED,
            &[DECLINED, &state("failed")],
            cancelled,
        ),
        case(
            "declined, and the invoice voided",
            FAILED,
            &[DECLINED, &state("voided")],
            cancelled,
        ),
        case(
            "declined, and the invoice closed",
            FAILED,
            &[DECLINED, &state("closed")],
            cancelled,
        ),
        case("a refund", succeeded, &[&kind("refund")], None),
        case("a check of a card", FAILED, &[&kind("verify")], None),
        case("an authorization", FAILED, &[&kind("authorization")], None),
        case("a capture", FAILED, &[&kind("capture"), PAST_DUE], failed),
        case(
            "of no invoice",
            FAILED,
            &[&DECLINED.replace("\"invoice\":{", "\"other\":{")],
            None,
        ),
        case(
            "of a credit invoice",
            FAILED,
            &[
                DECLINED,
                &PAST_DUE.replace("\"charge\",\"state\"", "\"credit\",\"state\""),
            ],
            None,
        ),
        case("an invoice paid", invoice_paid, &[PAID, SUCCESS], collected),
        case(
            "an invoice paid by no charge",
            invoice_paid,
            &[&state("paid")],
            Some((SignalKind::PaymentSucceeded, None)),
        ),
        case(
            "an invoice processing",
            fixture!("charge_invoice.processing"),
            &[fixture!("api/invoice.processing"), PROCESSING],
            pending,
        ),
        case(
            "an invoice failed",
            fixture!("charge_invoice.failed"),
            &[fixture!("api/invoice.failed")],
            Some((SignalKind::InvoiceCancelled, None)),
        ),
        case(
            "an invoice reopened",
            fixture!("charge_invoice.reopened"),
            &[PAST_DUE],
            Some((SignalKind::PaymentFailed, None)),
        ),
        case("an invoice edited", invoice_updated, &[PAST_DUE], None),
        case(
            "an invoice voided",
            invoice_updated,
            &[fixture!("api/invoice.voided")],
            Some((SignalKind::InvoiceCancelled, None)),
        ),
    ];
    for Case {
        name,
        body,
        answers,
        want,
    } in cases
    {
        let answers: Vec<_> = answers.iter().map(String::as_str).collect();
        let got = match enrich(body, &answers) {
            Ok(Enriching::Signal(signal)) => {
                Some((signal.kind, signal.charge.map(|charge| charge.status)))
            }
            Ok(Enriching::Ignored(_)) => None,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn in_one_second_what_comes_later_in_the_life_of_an_invoice_ranks_higher() {
    let rank = |body, answers: &[&str]| signal(body, answers).order.rank;
    let ranks = [
        rank(fixture!("payment.processing"), &[PROCESSING, PAST_DUE]),
        rank(FAILED, &[DECLINED, PAST_DUE]),
        rank(
            fixture!("charge_invoice.failed"),
            &[fixture!("api/invoice.failed")],
        ),
        rank(fixture!("payment.succeeded"), &[SUCCESS, PAID]),
    ];
    assert!(ranks.is_sorted_by(|one, next| one < next), "{ranks:?}");
}

#[test]
fn decimals_become_minor_units_by_the_exponent_of_the_currency_exactly() {
    let not_whole = Err(("transaction.amount", Problem::Money(MoneyError::NotWhole)));
    let cases = [
        ("USD", "25.00", Ok(2500)),
        ("USD", "25.1", Ok(2510)),
        ("USD", "25", Ok(2500)),
        ("USD", "1e-2", Ok(1)),
        ("USD", "2.5E1", Ok(2500)),
        ("USD", "0.1", Ok(10)),
        ("USD", "4.35", Ok(435)),
        ("USD", "0.001", not_whole.clone()),
        ("JPY", "2500", Ok(2500)),
        ("JPY", "2500.0", Ok(2500)),
        ("JPY", "25.1", not_whole),
        ("KWD", "25.125", Ok(25_125)),
        (
            "USD",
            "\"25.00\"",
            Err(("transaction.amount", Problem::Money(MoneyError::NotDecimal))),
        ),
        (
            "XYZ",
            "25.00",
            Err((
                "transaction.currency",
                Problem::Money(MoneyError::UnknownCurrency),
            )),
        ),
    ];
    for (currency, written, want) in cases {
        let of = |document: &str| {
            document
                .replace("\"USD\"", &format!("\"{currency}\""))
                .replace("25.00", written)
        };
        let got = match enrich(FAILED, &[&of(DECLINED), &of(PAST_DUE)]) {
            Ok(Enriching::Signal(signal)) => Ok((
                signal.charge.expect("a charge").details.amount.amount,
                signal.amount.amount,
                signal.left.map(|left| left.amount),
            )),
            Ok(other) => panic!("{written} {currency}: {other:?}"),
            Err(error) => Err((error.field, error.problem)),
        };
        let want = want
            .map(|amount| (amount, amount, Some(amount)))
            .map_err(|(field, problem)| (field.to_owned(), problem));
        assert_eq!(got, want, "{written} {currency}");
    }
}

#[test]
fn every_name_of_a_card_is_a_network_and_one_that_we_do_not_know_is_none() {
    let cases = [
        ("Visa", Network::Visa),
        ("MasterCard", Network::Mastercard),
        ("American Express", Network::Amex),
        ("Discover", Network::Discover),
        ("Diners Club", Network::Diners),
        ("JCB", Network::Jcb),
        ("Union Pay", Network::UnionPay),
        ("Tarjeta Naranja", Network::Unknown),
        ("Unknown", Network::Unknown),
    ];
    for (brand, want) in cases {
        let transaction = DECLINED.replace("\"Visa\"", &format!("\"{brand}\""));
        let charge = signal(FAILED, &[&transaction, PAST_DUE]).charge;
        let card = charge.and_then(|it| it.details.instrument?.card);
        assert_eq!(card.map(|card| card.network), Some(want), "{brand}");
    }
}

#[test]
fn tries_are_the_transactions_that_tried_to_collect() {
    let signal = signal(fixture!("payment.succeeded"), &[SUCCESS, PAID]);
    assert_eq!(signal.tries, Some(2), "two purchases and a check of a card");
}

#[test]
fn an_invoice_without_transactions_lists_an_empty_list_or_nothing_at_all() {
    let reopened = fixture!("charge_invoice.reopened");
    let mut invoice: serde_json::Value = serde_json::from_str(PAST_DUE).expect("it is JSON");
    for nothing in [serde_json::json!([]), serde_json::Value::Null] {
        for list in ["transactions", "line_items"] {
            invoice[list] = nothing.clone();
        }
        let signal = signal(reopened, &[&invoice.to_string()]);
        let told = (signal.kind, signal.tries, signal.charge);
        assert_eq!(
            told,
            (SignalKind::PaymentFailed, Some(0), None),
            "{nothing}"
        );
    }
}

#[test]
fn an_invoice_that_is_not_named_is_taken_in_and_can_not_be_asked_about() {
    let unnamed = [
        fixture!("charge_invoice.failed.uuid").to_owned(),
        fixture!("charge_invoice.failed").replace("1042", "null"),
    ];
    for body in unnamed {
        let got = enrich(&body, &[]).map_err(|error| error.to_string());
        let want = "`invoice_number` is missing or of the wrong kind";
        assert_eq!(got, Err(want.to_owned()), "{body}");
    }
}

#[test]
fn what_describes_a_charge_may_be_missing_or_odd_and_the_charge_is_told_all_the_same() {
    let cases = [
        DECLINED.replace("\"ch_3QfA9\"", "null"),
        DECLINED.replace("\"ch_3QfA9\"", "\"no id at all\""),
        DECLINED.replace("\"ch_3QfA9\"", "\"000000\""),
        DECLINED.replace("\"exp_month\":12", "\"exp_month\":\"twelve\""),
        DECLINED.replace("\"exp_month\":12", "\"exp_month\":1200"),
        DECLINED.replace("\"payment_method\":{", "\"other\":{"),
        DECLINED.replace(
            "\"payment_gateway\":{\"id\":\"gw_r1\"",
            "\"payment_gateway\":{\"id\":7",
        ),
        DECLINED.replace("\"insufficient_funds\"", "{}"),
    ];
    for transaction in cases {
        let signal = signal(FAILED, &[&transaction, PAST_DUE]);
        assert_eq!(signal.kind, SignalKind::PaymentFailed, "{transaction}");
        let uuid = ChargeId::Platform(
            crate::ids::ChargeKey::parse("63b068f7d409d4b4478dea4e6aba58ae").expect("a valid id"),
        );
        let charge = signal.charge.expect("a charge");
        assert!(charge.ids.contains(&uuid), "{transaction}");
        let no_id = !transaction.contains("ch_3QfA9");
        assert_eq!(charge.ids.len() == 1, no_id, "{transaction}");
    }
}

#[test]
fn what_is_wrong_with_a_notification_or_an_answer_is_named_by_its_field() {
    let shape = |field: &str| format!("`{field}` is missing or of the wrong kind");
    let notifications = [
        ("not json".to_owned(), "`body` is not JSON".to_owned()),
        (FAILED.replace("\"uuid\"", "\"other\""), shape("uuid")),
        (
            FAILED.replace("63b068f7d409d4b4478dea4e6aba58ae", ""),
            shape("uuid"),
        ),
        (
            FAILED.replace("2022-07-27T21:43:53Z", "yesterday"),
            shape("event_time"),
        ),
        (
            FAILED.replace("\"object_type\"", "\"other\""),
            shape("object_type"),
        ),
        (FAILED.replace("\"failed\"", "\"a b\""), shape("event_type")),
        (
            fixture!("charge_invoice.failed").replace("1042", "-1"),
            shape("invoice_number"),
        ),
    ];
    for (body, want) in notifications {
        assert_eq!(
            interpret(&body).map_err(|error| error.to_string()),
            Err(want),
            "{body}"
        );
    }
    let answers = [
        (vec!["<html>"], "`transaction` is not JSON".to_owned()),
        (vec!["[]"], shape("transaction")),
        (vec!["{}"], shape("transaction.uuid")),
        (vec![DECLINED, "{}"], shape("invoice.id")),
        (vec![DECLINED, "7"], shape("invoice")),
    ];
    for (answers, want) in answers {
        let got = enrich(FAILED, &answers).map_err(|error| error.to_string());
        assert_eq!(got, Err(want), "{answers:?}");
    }
    let unknown = DECLINED.replace("\"declined\"", "\"confused\"");
    let got = enrich(FAILED, &[&unknown, PAST_DUE]).map_err(|error| error.to_string());
    assert_eq!(got, Err(shape("transaction.status")));
    let elsewhere = DECLINED.replace("\"inv_r100\"", "\"..\"");
    let got = enrich(FAILED, &[&elsewhere]).map_err(|error| error.to_string());
    assert_eq!(got, Err(shape("transaction.invoice.id")));
}

#[test]
fn a_success_is_recorded_by_marking_the_invoice() {
    let key = Recurly
        .authorization(&Secret::new("key"))
        .expect("a header");
    assert_eq!(key.to_str().ok(), Some("Basic a2V5Og=="));
    assert!(key.is_sensitive());
    let signal = signal(FAILED, &[DECLINED, PAST_DUE]);
    let now = Timestamp::UNIX_EPOCH;
    let intent = crate::recovery::Intent::open(&signal, now).expect("a failure opens an intent");
    let request = Recurly
        .record_back(&intent, "key_1")
        .expect("it can be told");
    assert_eq!(
        (
            request.method.as_str(),
            request.path.as_str(),
            request.body.len()
        ),
        ("PUT", "/invoices/inv_r100/mark_successful", 0)
    );
    assert_eq!(
        Recurly.recorded_id(PAID.as_bytes()).as_deref(),
        Some("inv_r100")
    );
    assert_eq!(Recurly.recorded_id(b"<html>"), None);
}

#[test]
fn a_body_is_not_read_before_its_signature_holds() {
    let got = Recurly.verify(
        &HeaderMap::new(),
        b"not json",
        &account(),
        Timestamp::UNIX_EPOCH,
    );
    assert_eq!(got.err(), Some(VerifyError::Missing));
}

proptest! {
    #[test]
    fn no_answer_whatever_makes_it_panic(
        body in prop::sample::select(vec![FAILED, fixture!("charge_invoice.paid")]),
        known in prop::sample::select(DOCUMENTS),
        answer in any_answer(DOCUMENTS),
    ) {
        let _outcome = enrich(body, &[&answer]);
        let _outcome = enrich(body, &[known, &answer]);
        let _outcome = enrich(body, &[&answer, known]);
        let _outcome = Recurly.recorded_id(answer.as_bytes());
    }
}
