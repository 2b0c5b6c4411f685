//! The cases of Chargebee's webhooks and of its API.

use http::header::CONTENT_TYPE;

use super::*;
use crate::ids::{ConnectorAccountId, InvoiceId, ProfileId, TenantId};
use crate::platform::account::{Locked, Settings};
use crate::platform::{Api, Thin};
use crate::recovery::{Intent, Network};
use crate::secret::Secret;

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!(
            "../../../../tests/fixtures/chargebee/",
            $name,
            ".json"
        ))
    };
}

fn account(pairs: &[&str]) -> BillingAccount {
    BillingAccount {
        tenant: TenantId::parse("acme").expect("a valid id"),
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        platform: Platform::Chargebee,
        webhook_secrets: pairs.iter().map(|pair| Secret::new(*pair)).collect(),
        api_key: None,
        locked: Locked::default(),
        settings: Settings::default(),
    }
}

fn verify(headers: &HeaderMap, pairs: &[&str]) -> Result<Verified, VerifyError> {
    Chargebee.verify(headers, b"{}", &account(pairs), Timestamp::UNIX_EPOCH)
}

fn headers(values: &[&'static str]) -> HeaderMap {
    let value = |value: &&'static str| (AUTHORIZATION, http::HeaderValue::from_static(value));
    values.iter().map(value).collect()
}

fn interpret(body: &str) -> Result<Interpretation, FieldError> {
    let sent = headers(&["Basic aG9va191c2VyOmhvb2tfcGFzcw=="]);
    let proof = verify(&sent, &["hook_user:hook_pass"]).expect("the pair");
    Chargebee.interpret(body.as_bytes(), &account(&[]), &proof)
}

fn signal(body: &str) -> Signal {
    match interpret(body) {
        Ok(Interpretation::Signal(signal)) => *signal,
        other => panic!("not a signal: {other:?}"),
    }
}

#[test]
fn one_header_with_a_live_pair_is_taken() {
    const PAIR: &str = "Basic aG9va191c2VyOmhvb2tfcGFzcw==";
    let two = ["new_user:new_pass", "hook_user:hook_pass"];
    let cases: [(&[&'static str], &[&str], Option<VerifyError>); 5] = [
        (&[PAIR], &["hook_user:hook_pass"], None),
        (&[PAIR], &two, None),
        (&[PAIR], &["hook_user:other"], Some(VerifyError::WrongPair)),
        (&[], &two, Some(VerifyError::NoPair)),
        (&[PAIR, PAIR], &two, Some(VerifyError::NoPair)),
    ];
    for (sent, pairs, want) in cases {
        assert_eq!(verify(&headers(sent), pairs).err(), want, "{sent:?}");
    }
}

#[test]
fn a_transaction_s_status_says_what_happened() {
    use SignalKind::*;
    use Status::*;
    let cases = [
        (
            "failed",
            fixture!("payment_failed"),
            PaymentFailed,
            Failed,
            1,
        ),
        (
            "succeeded",
            fixture!("payment_succeeded"),
            PaymentSucceeded,
            Succeeded,
            3,
        ),
        (
            "initiated",
            fixture!("payment_initiated"),
            PaymentPending,
            Pending,
            0,
        ),
        (
            "needs attention",
            fixture!("payment_failed.needs_attention"),
            PaymentPending,
            Pending,
            0,
        ),
        (
            "timed out",
            fixture!("payment_failed.timeout"),
            PaymentFailed,
            Failed,
            1,
        ),
        (
            "voided",
            fixture!("payment_failed.voided"),
            PaymentFailed,
            Failed,
            1,
        ),
        (
            "failed late",
            fixture!("payment_failed.late_failure"),
            PaymentFailed,
            Failed,
            4,
        ),
    ];
    for (name, body, kind, status, rank) in cases {
        let signal = signal(body);
        let charged = signal.charge.as_ref().map(|charge| charge.status);
        let got = (signal.kind, charged, signal.order.rank);
        assert_eq!(got, (kind, Some(status), rank), "{name}");
        let untyped = body.replace("\"type\":\"payment\",", "");
        assert_eq!(self::signal(&untyped), signal, "{name}, of no type");
    }
    let unsaid = fixture!("payment_failed").replace("\"status\":\"failure\",", "");
    assert_eq!(
        signal(&unsaid).kind,
        PaymentFailed,
        "the event's type says it"
    );
}

#[test]
fn a_late_failure_is_later_than_the_success_it_takes_back() {
    let paid = signal(fixture!("payment_succeeded"));
    let late = signal(fixture!("payment_failed.late_failure"));
    assert!(late.order > paid.order);
    let same_time =
        fixture!("payment_failed.late_failure").replace("1736121600789", "1735776070456");
    assert!(signal(&same_time).order > paid.order);
    let ids = |signal: Signal| signal.charge.map(|charge| charge.ids);
    assert_eq!(ids(late), ids(paid));
}

#[test]
fn an_invoice_that_ends_without_a_charge_ends_here_too() {
    use SignalKind::*;
    let at = |millisecond| Timestamp::from_millisecond(millisecond).expect("a time in range");
    let cases = [
        (
            "deleted",
            fixture!("invoice_deleted"),
            InvoiceCancelled,
            at(1_735_800_000_000),
        ),
        (
            "voided",
            fixture!("invoice_updated.voided"),
            InvoiceCancelled,
            at(1_735_800_000_321),
        ),
        (
            "written off",
            fixture!("invoice_updated.written_off"),
            InvoiceCancelled,
            at(1_735_800_000_321),
        ),
        (
            "paid with credits",
            fixture!("invoice_updated.paid_with_credits"),
            PaymentSucceeded,
            at(1_735_800_000_321),
        ),
    ];
    for (name, body, kind, at) in cases {
        let signal = signal(body);
        assert_eq!((signal.kind, signal.order.at), (kind, at), "{name}");
        assert_eq!(signal.charge, None, "{name}");
        assert_eq!(signal.intent.invoice_id.as_str(), "INV-1001", "{name}");
    }
}

#[test]
fn an_invoice_that_is_paid_is_later_than_what_failed_before_whatever_day_somebody_wrote_on_the_payment()
 {
    let failed = fixture!("payment_failed").replace("1735689660123", "1735800000320");
    let failed = signal(&failed);
    for paid_at in [1_735_800_000, 1_735_000_000, 1_735_900_000] {
        let paid = fixture!("invoice_updated.paid_with_credits")
            .replace("\"paid_at\":1735800000", &format!("\"paid_at\":{paid_at}"));
        assert!(signal(&paid).order > failed.order, "{paid_at}");
    }
    let again = fixture!("payment_failed").replace("1735689660123", "1735800000322");
    let paid = signal(fixture!("invoice_updated.paid_with_credits"));
    assert!(signal(&again).order > paid.order);
}

#[test]
fn a_part_that_is_paid_says_what_is_left() {
    let signal = signal(fixture!("payment_succeeded.part"));
    assert_eq!(signal.kind, SignalKind::PaymentSucceeded);
    let left = signal.left.map(|left| left.amount);
    assert_eq!((signal.amount.amount, left), (2500, Some(1500)));
    let charge = signal.charge.expect("a charge");
    let charged = (charge.status, charge.details.amount.amount);
    assert_eq!(charged, (Status::Succeeded, 1000));
}

#[test]
fn what_is_of_no_interest_is_ignored_by_name() {
    let refund =
        fixture!("payment_succeeded").replace("\"type\":\"payment\"", "\"type\":\"refund\"");
    let unknown =
        fixture!("payment_failed").replace("\"status\":\"failure\"", "\"status\":\"novel\"");
    let other = r#"{"id":"ev_1","occurred_at":1,"event_type":"customer_created","content":{}}"#;
    let cases = [
        (
            "generated",
            fixture!("invoice_generated"),
            "invoice_generated",
        ),
        (
            "updated and still due",
            fixture!("invoice_updated.payment_due"),
            "invoice_updated",
        ),
        (
            "paid in advance",
            fixture!("payment_succeeded.in_advance"),
            "payment_succeeded",
        ),
        ("a refund", &refund, "payment_succeeded"),
        ("a status that is not known", &unknown, "payment_failed"),
        ("another type", other, "customer_created"),
    ];
    for (name, body, want) in cases {
        match interpret(body) {
            Ok(Interpretation::Ignored(ignored)) => {
                assert_eq!(ignored.platform_type.as_str(), want, "{name}");
            }
            other => panic!("{name}: not ignored: {other:?}"),
        }
    }
}

#[test]
fn everything_that_recovery_asks_for_is_read() {
    let signal = signal(fixture!("payment_failed"));
    let at = |second| Timestamp::from_second(second).expect("a time in range");
    assert_eq!(signal.id.as_str(), "ev_AzyCbe1001");
    assert_eq!(signal.order.at.as_millisecond(), 1_735_689_660_123);
    assert_eq!(
        (signal.amount.amount, signal.left.map(|left| left.amount)),
        (2500, Some(2500))
    );
    assert_eq!(
        (signal.tries, signal.next_try),
        (Some(1), Some(at(1_735_776_060)))
    );
    let charge = signal.charge.expect("a charge");
    let ids: Vec<_> = charge.ids.iter().map(|id| id.key().as_str()).collect();
    assert_eq!(ids, ["ch_3QfA1", "txn_Azy2001"]);
    let details = charge.details;
    assert_eq!(details.made_at, Some(at(1_735_689_655)));
    assert_eq!(details.gateway.as_deref(), Some("gw_stripe_eu"));
    let decline = details.decline.expect("a decline");
    assert_eq!(
        (decline.code.as_str(), decline.message.as_deref()),
        ("card_declined", Some("Insufficient funds"))
    );
    let instrument = details.instrument.expect("an instrument");
    assert_eq!(instrument.token.as_deref(), Some("pm_1Qbb"));
    assert_eq!(instrument.customer.as_deref(), Some("cus_R9aa"));
    let card = instrument.card.expect("a card");
    assert_eq!(
        (card.network, card.funding.as_deref()),
        (Network::Visa, Some("credit"))
    );
    assert_eq!(
        (card.last4.as_deref(), card.expiry_month, card.expiry_year),
        (Some("4242"), Some(12), Some(2030))
    );
}

#[test]
fn what_others_demand_may_be_missing_or_of_another_kind() {
    let charge = |body: &str| signal(body).charge.expect("a charge");
    let one_off = charge(fixture!("payment_failed.one_off"));
    let ids: Vec<_> = one_off.ids.iter().map(|id| id.key().as_str()).collect();
    assert_eq!(ids, ["txn_Azy2003"], "no id at the gateway");
    let instrument = one_off.details.instrument.expect("an instrument");
    assert_eq!(instrument.token, None, "no customer");
    let card = instrument.card.expect("a card");
    assert_eq!(
        (card.network, card.funding.as_deref()),
        (Network::Amex, Some("prepaid"))
    );
    assert_eq!(signal(fixture!("payment_failed.one_off")).tries, None);

    let other = charge(fixture!("payment_failed.other_gateway")).details;
    let instrument = other.instrument.expect("an instrument");
    assert_eq!(
        instrument.token.as_deref(),
        Some("8ac7a4a27e9a"),
        "a bare id"
    );
    assert_eq!(instrument.customer, None);
    assert_eq!(instrument.card.expect("a card").network, Network::Unknown);
    let decline = other.decline.expect("a decline");
    assert_eq!(decline.reason.as_deref(), Some("insufficient_funds"));
    assert_eq!(
        (
            decline.network_code.as_deref(),
            decline.advice_code.as_deref()
        ),
        (Some("51"), Some("02"))
    );

    let backup = charge(fixture!("payment_failed.backup_card")).details;
    let instrument = backup.instrument.expect("an instrument");
    assert_eq!(instrument.token, None, "the token is another card's");

    let timeout = charge(fixture!("payment_failed.timeout")).details;
    assert_eq!(timeout.decline.expect("a decline").code, "timeout");

    let garbled = fixture!("payment_failed").replace("{\\\"card\\\"", "{card");
    let card = charge(&garbled).details.instrument.and_then(|it| it.card);
    assert_eq!(
        card.map(|card| card.network),
        Some(Network::Unknown),
        "details that are no JSON"
    );

    let spaced = fixture!("payment_failed").replace("ch_3QfA1", "ch 3QfA1");
    assert_eq!(
        charge(&spaced).ids.len(),
        1,
        "an id at the gateway that can't be kept"
    );

    for nothing in ["0", "000000", ""] {
        let body = fixture!("payment_failed").replace("ch_3QfA1", nothing);
        let charge = charge(&body);
        let ids: Vec<_> = charge.ids.iter().map(|id| id.key().as_str()).collect();
        assert_eq!(ids, ["txn_Azy2001"], "{nothing:?} at the gateway");
        assert_eq!(charge.details.transaction_id, None, "{nothing:?}");
    }

    let versionless = fixture!("payment_failed").replace("resource_version", "other");
    assert_eq!(
        signal(&versionless).order.at.as_second(),
        1_735_689_660,
        "by the event's time"
    );
}

#[test]
fn amounts_follow_the_exceptions_of_the_platform() {
    let due = "content.invoice.total";
    let cases = [
        ("EUR", 2500, Ok(2500)),
        ("JPY", 2500, Ok(2500)),
        ("KRW", 2500, Ok(2500)),
        ("XAF", 2500, Ok(2500)),
        ("KWD", 2500, Ok(25_000)),
        ("TND", 2501, Ok(25_010)),
        (
            "ZZZ",
            2500,
            Err(("content.invoice.currency_code", MoneyError::UnknownCurrency)),
        ),
        ("KWD", i64::MAX, Err((due, MoneyError::OutOfRange))),
    ];
    for (code, given, want) in cases {
        let body = fixture!("payment_failed")
            .replace("\"EUR\"", &format!("\"{code}\""))
            .replace("2500", &given.to_string());
        let got = interpret(&body)
            .map(|_| signal(&body).amount.amount)
            .map_err(|error| (error.field, error.problem));
        let want = want.map_err(|(field, error)| (field.to_owned(), Problem::Money(error)));
        assert_eq!(got, want, "{given} {code}");
    }
}

#[test]
fn what_is_wrong_with_a_body_is_named_by_its_field() {
    let body = fixture!("payment_failed");
    let without = |field: &str| body.replace(&format!("\"{field}\""), "\"other\"");
    let cases = [
        ("not json".to_owned(), "`body` is not JSON"),
        (
            without("event_type"),
            "`event_type` is missing or of the wrong kind",
        ),
        (
            without("occurred_at"),
            "`occurred_at` is missing or of the wrong kind",
        ),
        (
            without("transaction"),
            "`content.transaction` is missing or of the wrong kind",
        ),
        (
            without("total"),
            "`content.invoice.total` is missing or of the wrong kind",
        ),
        (
            body.replace("1735776060", "99999999999999"),
            "`content.invoice.next_retry_at` is not a unix time in seconds",
        ),
        (
            body.replace("INV-1001", "INV 1001"),
            "`content.invoice.id` is missing or of the wrong kind",
        ),
    ];
    for (body, want) in cases {
        let got = interpret(&body).map_err(|error| error.to_string());
        assert_eq!(got, Err(want.to_owned()));
    }
}

/// An invoice that a charge of the merchant's collected.
fn collected(currency: &str, amount: i64) -> Intent {
    let body = fixture!("payment_succeeded")
        .replace("\"EUR\"", &format!("\"{currency}\""))
        .replace("2500", &amount.to_string())
        .replace("INV-1001", "INV/1001");
    let paid = signal(&body);
    let mut intent = Intent::open(&paid, Timestamp::UNIX_EPOCH).expect("it tells of an invoice");
    intent.join(&paid, Timestamp::UNIX_EPOCH);
    intent
}

#[test]
fn a_payment_is_recorded_under_the_id_that_its_echo_brings_back() {
    let request = Chargebee
        .record_back(&collected("EUR", 2500), "key_1")
        .expect("Chargebee can be told");
    assert_eq!(request.method, http::Method::POST);
    assert_eq!(request.path, "/api/v2/invoices/INV%2F1001/record_payment");
    assert_eq!(
        request.body,
        "transaction%5Bamount%5D=2500&transaction%5Bpayment_method%5D=other\
         &transaction%5Bid_at_gateway%5D=ch_3QfA2&transaction%5Bstatus%5D=success"
    );
    let header = |name: &str| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    assert_eq!(header("chargebee-idempotency-key"), Some("key_1"));
    assert_eq!(
        header(CONTENT_TYPE.as_str()),
        Some("application/x-www-form-urlencoded")
    );
}

#[test]
fn an_invoice_whose_id_is_no_segment_of_a_path_is_not_told_of() {
    for id in ["..", "."] {
        let mut intent = collected("EUR", 2500);
        intent.key.invoice_id = InvoiceId::parse(id).expect("an id");
        assert_eq!(Chargebee.record_back(&intent, "key_1"), None, "{id}");
    }
}

#[test]
fn a_payment_is_recorded_in_the_units_of_the_platform() {
    for (code, amount, want) in [("JPY", 2500, "2500"), ("KWD", 2500, "2500")] {
        let request = Chargebee.record_back(&collected(code, amount), "key_1");
        let body = request.expect("Chargebee can be told").body;
        let want = format!("transaction%5Bamount%5D={want}&");
        assert!(body.starts_with(want.as_bytes()), "{code}: {body:?}");
    }
    let unpaid = Intent::open(&signal(fixture!("payment_failed")), Timestamp::UNIX_EPOCH);
    let unpaid = unpaid.expect("it tells of an invoice");
    assert_eq!(Chargebee.record_back(&unpaid, "key_1"), None);
}

#[test]
fn the_answer_says_what_was_recorded() {
    let answer = br#"{"invoice":{"id":"INV-1001"},"transaction":{"id":"txn_Azy2099"}}"#;
    assert_eq!(
        Chargebee.recorded_id(answer).as_deref(),
        Some("txn_Azy2099")
    );
    assert_eq!(Chargebee.recorded_id(b"{}"), None);
}

#[test]
fn the_key_is_the_user_of_http_basic_and_every_site_has_its_own_address() {
    let header = Chargebee.authorization(&Secret::new("test_key"));
    let header = header.expect("a header of ASCII");
    assert_eq!(header, "Basic dGVzdF9rZXk6");
    assert!(header.is_sensitive());
    assert_eq!(Chargebee.base_url(), None);
}

#[test]
fn nothing_is_asked_of_a_platform_whose_webhook_says_all() {
    let told = signal(fixture!("payment_failed"));
    let thin = Thin {
        id: told.id.clone(),
        platform: Platform::Chargebee,
        profile_id: told.intent.profile_id.clone(),
        connector_account_id: told.intent.connector_account_id.clone(),
        platform_type: EventType::parse("payment_failed").expect("a valid type"),
        at: told.order.at,
        notification: crate::event::Json::parse("{}".into()).expect("JSON"),
        told: Some(told.clone()),
    };
    let got = Chargebee.enrich(&thin, &[]);
    assert_eq!(got, Ok(crate::platform::Enriching::Signal(Box::new(told))));
}
