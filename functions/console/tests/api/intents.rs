//! Intents: an invoice with its charges and what was said of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use shared::event::Source;
use shared::ids::{ChargeKey, ConnectorAccountId, InvoiceId, KeyId, ProfileId, SignalId};
use shared::money::{Currency, Money};
use shared::recovery::{
    Ask, Card, Charge, ChargeId, Decline, Details, EndReason, Enrichment, Hold, Hurry, Instrument,
    Intent, IntentKey, Issue, Lever, Network, Order, Plan, Pull, RecordBack, Recording, Retry,
    Signal, SignalKind, Stage, Status, TriggeredBy,
};
use shared::store::{IntentStep, Intents, Saved};

use crate::support::{START, World, tenant_id};

pub(crate) fn signal(id: &str, kind: SignalKind, status: Status, second: i64) -> Signal {
    let amount = Money {
        amount: 2500,
        currency: Currency::parse("EUR").expect("an ISO code"),
    };
    let id = SignalId::parse(id).expect("a valid id");
    let at = jiff::Timestamp::from_second(1_767_225_600 + second).expect("a time in range");
    let decline = Decline {
        code: "card_declined".to_owned(),
        message: Some("No.".to_owned()),
        reason: Some("insufficient_funds".to_owned()),
        network_code: Some("51".to_owned()),
        advice_code: Some("02".to_owned()),
        network_message: Some("Not sufficient funds".to_owned()),
    };
    let left = Money {
        amount: 1500,
        ..amount
    };
    Signal {
        id: id.clone(),
        source: Source::new("stripe"),
        by_merchant: false,
        intent: IntentKey {
            profile_id: ProfileId::parse("pro_1").expect("a valid id"),
            connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
            invoice_id: InvoiceId::parse("in/1").expect("a valid id"),
        },
        kind,
        order: Order { at, rank: 0, id },
        amount,
        left: Some(left),
        tries: Some(3),
        next_try: at.checked_add(jiff::SignedDuration::from_hours(24)).ok(),
        charge: Some(Charge {
            ids: BTreeSet::from([
                ChargeId::Psp(ChargeKey::parse("ch_1").expect("a valid id")),
                ChargeId::Platform(ChargeKey::parse("in/1#1").expect("a valid id")),
            ]),
            status,
            triggered_by: TriggeredBy::External,
            retry: Some(1),
            details: Details {
                instrument: Some(instrument()),
                gateway: Some("gw_1".to_owned()),
                enrichment: Enrichment::NoKey,
                transaction_id: Some("pi_1".to_owned()),
                decline: (status == Status::Failed).then_some(decline),
                ..Details::of(amount)
            },
        }),
    }
}

fn instrument() -> Instrument {
    Instrument {
        token: Some("pm_1QbbSecret".to_owned()),
        customer: Some("cus_1".to_owned()),
        method: Some("card".to_owned()),
        card: Some(Card {
            network: Network::Visa,
            funding: Some("credit".to_owned()),
            last4: Some("4242".to_owned()),
            expiry_month: Some(12),
            expiry_year: Some(2030),
        }),
    }
}

/// An intent of which one charge failed, and a second one with it.
pub(crate) fn failed() -> (Signal, Intent) {
    let failed = signal("evt_1", SignalKind::PaymentFailed, Status::Failed, 0);
    let intent = Intent::open(&failed, failed.order.at);
    let mut intent = intent.expect("it tells of an invoice");
    intent.join(&failed, failed.order.at);
    (failed, intent)
}

pub(crate) async fn keep(world: &World, intent: &Intent) {
    let known = world.store.intent(&tenant_id("acme"), &intent.key).await;
    let read = known.expect("the table answers").map(|read| read.version);
    let saved = world
        .store
        .save_step(
            &tenant_id("acme"),
            &IntentStep::alone(intent, read),
            world.now(),
        )
        .await;
    assert_eq!(saved.expect("the table takes it"), Saved::Stored);
}

pub(crate) const READ: &str = "/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in%2F1";

#[tokio::test]
async fn an_intent_is_told_with_its_charges_its_retries_and_what_was_done_to_it() {
    let world = World::start().await;
    world.tenant("acme").await;
    let account = json!({
        "platform": "stripe",
        "webhook_secrets": ["whsec_4dR7uGmAZq0vXw2cPb9s"],
        "mode": "cascading",
        "payment_accounts": {"gw_1": "mca_stripe_eu"},
    });
    let path = "/v1/tenants/acme/billing-accounts/pro_1/mca_1";
    assert_eq!(world.put(path, account).await.status, 201);
    let (_, mut intent) = failed();
    let mut paid = signal("evt_2", SignalKind::PaymentSucceeded, Status::Succeeded, 60);
    paid.left = None;
    intent.join(&paid, paid.order.at);
    let at = |second: i64| jiff::Timestamp::from_second(1_767_225_600 + second).expect("in range");
    intent.retry = Retry {
        plans: vec![Plan {
            signal: SignalId::parse("evt_1").expect("a valid id"),
            retry: 1,
            stage: Stage::Planned { at: at(30) },
        }],
        stage: Stage::Unknown(Issue {
            sent: true,
            ..Issue::new(2, at(30), at(90), Ask::of(intent.amount))
        }),
        told: 2,
        hold: Some(Hold::Paused),
        hurried: Some(Hurry {
            told: 1,
            at: at(20),
        }),
        ..Retry::default()
    };
    let pull = |id: &str, lever, by: Option<&str>| Pull {
        id: id.to_owned(),
        lever,
        by: by.map(|id| KeyId::parse(id).expect("a valid id")),
        at: at(20),
        refused: None,
    };
    intent.pulls = vec![
        pull("pull_1", Lever::RetryNow, Some("key_1")),
        pull("pull_2", Lever::Pause, None),
    ];
    intent.record_back = Some(RecordBack {
        state: Recording::Recorded,
        charge: ChargeKey::parse("ch_1").expect("a valid id"),
        began_by: None,
        tries: 2,
        at: at(70),
        status: Some(200),
        platform_id: Some("txn_9".to_owned()),
    });
    keep(&world, &intent).await;

    let read = world.get(READ).await;
    let decline = json!({
        "code": "card_declined",
        "message": "No.",
        "reason": "insufficient_funds",
        "network_code": "51",
        "advice_code": "02",
        "network_message": "Not sufficient funds",
    });
    let facts = json!([
                {
                    "status": "failed",
                    "at": "2026-01-01T00:00:00.000Z",
                    "last_at": "2026-01-01T00:00:00.000Z",
                    "signal": "evt_1",
                    "amount": 2500,
                    "currency": "EUR",
                    "transaction_id": "pi_1",
                    "error_code": "card_declined",
                    "error_message": "No.",
                },
                {
                    "status": "succeeded",
                    "at": "2026-01-01T00:01:00.000Z",
                    "last_at": "2026-01-01T00:01:00.000Z",
                    "signal": "evt_2",
                    "amount": 2500,
                    "currency": "EUR",
                    "transaction_id": "pi_1",
                },
    ]);
    let want = json!({
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "invoice_id": "in/1",
        "source": "stripe",
        "amount": 2500,
        "amount_left": 1500,
        "currency": "EUR",
        "state": "recovered",
        "since": "2026-01-01T00:01:00.000Z",
        "opened_at": "2026-01-01T00:00:00.000Z",
        "mode": "cascading",
        "tried": 3,
        "platform_retries_at": "2026-01-02T00:00:00.000Z",
        "first_failure": decline,
        "retry": {
            "stage": "unknown",
            "told": 2,
            "at": "2026-01-01T00:00:30.000Z",
            "number": 2,
            "times": 1,
            "deadline": "2026-01-01T00:01:30.000Z",
            "plans": [
                {"signal": "evt_1", "retry": 1, "stage": "planned", "at": "2026-01-01T00:00:30.000Z"},
            ],
            "hold": "paused",
            "hurried_at": "2026-01-01T00:00:20.000Z",
        },
        "attempts": [{
            "charge": "ch_1",
            "ids": [{"kind": "psp", "id": "ch_1"}, {"kind": "platform", "id": "in/1#1"}],
            "triggered_by": "external",
            "retry": 1,
            "status": "succeeded",
            "made_at": "2026-01-01T00:00:00.000Z",
            "decline": decline,
            "instrument": {
                "token_last4": "cret",
                "customer": "cus_1",
                "method": "card",
                "card": {
                    "network": "visa",
                    "funding": "credit",
                    "last4": "4242",
                    "expiry_month": 12,
                    "expiry_year": 2030,
                },
            },
            "gateway": "gw_1",
            "payment_account": "mca_stripe_eu",
            "enrichment": "no_key",
            "facts": facts,
        }],
        "pulls": [
            {"id": "pull_1", "lever": "retry_now", "by": "key_1", "at": "2026-01-01T00:00:20.000Z"},
            {"id": "pull_2", "lever": "pause", "by": null, "at": "2026-01-01T00:00:20.000Z"},
        ],
        "record_back": {
            "state": "recorded",
            "charge": "ch_1",
            "tries": 2,
            "at": "2026-01-01T00:01:10.000Z",
            "status": 200,
            "platform_id": "txn_9",
        },
        "signals": [
            {"id": "evt_1", "at": "2026-01-01T00:00:00.000Z"},
            {"id": "evt_2", "at": "2026-01-01T00:01:00.000Z"},
        ],
    });
    assert_eq!((read.status, &read.body), (200, &want));
    assert!(!read.raw.contains("pm_1Qbb"), "a token is not told");

    // Without its billing account nobody knows what was agreed on.
    assert_eq!(world.delete(path).await.status, 204);
    let read = world.get(READ).await;
    let of = [
        "/mode",
        "/attempts/0/gateway",
        "/attempts/0/payment_account",
    ];
    assert_eq!(
        of.map(|pointer| read.at(pointer)),
        [Value::Null, json!("gw_1"), Value::Null]
    );
}

#[tokio::test]
async fn each_stage_of_the_retries_is_told() {
    let at = jiff::Timestamp::from_second(1_767_225_600).expect("in range");
    let time = "2026-01-01T00:00:00.000Z";
    let issue = || {
        let left = failed().1.amount;
        Issue::new(1, at, at, Ask::of(left))
    };
    let issued = |stage: &str| json!({"stage": stage, "told": 0, "at": time, "number": 1, "times": 1, "deadline": time});
    let cases = [
        (Stage::Idle, json!({"stage": "idle", "told": 0})),
        (
            Stage::PlatformFirst,
            json!({"stage": "platform_first", "told": 0}),
        ),
        (Stage::Held, json!({"stage": "held", "told": 0})),
        (Stage::Paused, json!({"stage": "paused", "told": 0})),
        (
            Stage::Planned { at },
            json!({"stage": "planned", "told": 0, "at": time}),
        ),
        (
            Stage::Missed { at },
            json!({"stage": "missed", "told": 0, "at": time}),
        ),
        (Stage::Due(issue()), issued("due")),
        (Stage::Unknown(issue()), issued("unknown")),
        (
            Stage::Ended {
                reason: EndReason::HardDeclined,
            },
            json!({"stage": "ended", "told": 0, "reason": "hard_declined"}),
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    let (_, mut intent) = failed();
    for (stage, want) in cases {
        // The name that is told is the one that is kept.
        let kept = serde_json::to_value(&stage).expect("it has a JSON form");
        assert_eq!(kept.get("stage"), want.get("stage"));
        intent.retry.stage = stage;
        keep(&world, &intent).await;
        assert_eq!(world.get(READ).await.at("/retry"), want);
    }
}

#[tokio::test]
async fn the_two_forms_of_the_path_are_told_apart_and_not_mixed() {
    let together = "is missing; `profile`, `account` and `invoice` name an intent together";
    let apart = "belongs to the list; leave it out to read the intent of one invoice";
    let cases = [
        ("account=a&invoice=i", format!("`profile`: {together}")),
        ("profile=p&invoice=i", format!("`account`: {together}")),
        ("profile=p&account=a", format!("`invoice`: {together}")),
        ("invoice=i&state=open", format!("`state`: {apart}")),
        ("profile=p&account=a&invoice=i&since=", format!("`since`: {apart}")),
        ("profile=p&cursor=x", format!("`cursor`: {apart}")),
        ("account=a&limit=1", format!("`limit`: {apart}")),
        (
            "profile=p&account=a&invoice=i&x=1",
            "`x`: is not known here; expected is one of `profile`, `account`, `invoice`, `state`, `since`, `cursor`, `limit`"
                .to_owned(),
        ),
        (
            "profile=p.&account=a&invoice=i",
            "`profile`: profile_id must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`".to_owned(),
        ),
        (
            "profile=p&account=a&invoice=",
            "`invoice`: invoice id must be 1 to 255 bytes without white space or control characters"
                .to_owned(),
        ),
        (
            "state=closed",
            "`state`: must be one of open, processing, cancelled, recovered".to_owned(),
        ),
        (
            "since=yesterday",
            "`since`: must be a time such as 2026-01-31T12:00:00Z (RFC 3339; write `+` as %2B)".to_owned(),
        ),
        ("limit=101", "`limit`: must be a whole number from 1 to 100".to_owned()),
        (
            "cursor=*",
            "`cursor`: must be the `next_cursor` of the page before".to_owned(),
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (query, detail) in cases {
        let refused = world
            .get(&format!("/v1/tenants/acme/intents?{query}"))
            .await;
        assert_eq!(refused.problem(), (400, detail), "{query}");
    }
    let absent = world.get(READ).await;
    let detail = "There is no intent for invoice `in/1` here.".to_owned();
    assert_eq!(absent.problem(), (404, detail));
}

fn invoice(id: &str, kind: SignalKind, second: i64) -> Intent {
    let mut told = signal("evt_1", kind, Status::Failed, second);
    told.intent.invoice_id = InvoiceId::parse(id).expect("a valid id");
    let began: jiff::Timestamp = START.parse().expect("a time");
    let opened_at = began + jiff::SignedDuration::from_secs(second);
    let mut intent = Intent::open(&told, opened_at).expect("it tells of an invoice");
    intent.join(&told, told.order.at);
    intent
}

#[tokio::test]
async fn intents_are_listed_the_latest_first_page_by_page() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let kinds = [
        ("in_1", SignalKind::PaymentFailed),
        ("in_2", SignalKind::InvoiceCancelled),
        ("in_3", SignalKind::PaymentFailed),
        ("in_4", SignalKind::PaymentFailed),
    ];
    for (second, (id, kind)) in (0..).zip(kinds) {
        keep(&world, &invoice(id, kind, second)).await;
    }
    let list = async |query: &str| {
        let path = format!("/v1/tenants/acme/intents{query}");
        let listed = world.call(&key, "GET", &path, Value::Null).await;
        assert_eq!(listed.status, 200, "{listed:?}");
        let ids = listed.at("/data");
        let ids = ids.as_array().cloned().unwrap_or_default();
        let ids: Vec<_> = ids.iter().map(|one| one["invoice_id"].clone()).collect();
        (ids, listed)
    };
    let (ids, all) = list("").await;
    assert_eq!(ids, ["in_4", "in_3", "in_2", "in_1"]);
    assert_eq!(all.at("/next_cursor"), Value::Null);
    let want = json!({
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "invoice_id": "in_4",
        "source": "stripe",
        "amount": 2500,
        "amount_left": 1500,
        "currency": "EUR",
        "state": "open",
        "since": "2026-01-01T00:00:03.000Z",
        "opened_at": "2026-11-22T09:00:03.000Z",
        "tried": 3,
        "retry": {"stage": "idle", "told": 0},
    });
    assert_eq!(all.at("/data/0"), want);

    let (ids, _) = list("?state=cancelled").await;
    assert_eq!(ids, ["in_2"]);
    let (ids, _) = list("?since=2026-11-22T09:00:02Z").await;
    assert_eq!(ids, ["in_4", "in_3"]);
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for _ in 0..9 {
        let (ids, page) = list(&format!("?state=open&limit=1&cursor={cursor}")).await;
        assert!(ids.len() <= 1, "{page:?}");
        seen.extend(ids);
        cursor = page.text("/next_cursor");
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!(
        (seen, cursor),
        (
            vec![json!("in_4"), json!("in_3"), json!("in_1")],
            String::new()
        )
    );
}
