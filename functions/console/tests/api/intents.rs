//! Intents: an invoice with its charges and what was said of them.

use std::collections::BTreeSet;

use serde_json::json;
use shared::event::Source;
use shared::ids::{ChargeKey, ConnectorAccountId, InvoiceId, ProfileId, SignalId};
use shared::money::{Currency, Money};
use shared::recovery::{
    Charge, ChargeId, Decline, Details, Intent, IntentKey, Order, Signal, SignalKind, Status,
    TriggeredBy,
};
use shared::store::Intents;

use crate::support::{World, tenant_id};

fn signal(id: &str, kind: SignalKind, status: Status, second: i64) -> Signal {
    let amount = Money {
        amount: 2500,
        currency: Currency::parse("EUR").expect("an ISO code"),
    };
    let id = SignalId::parse(id).expect("a valid id");
    let at = jiff::Timestamp::from_second(1_767_225_600 + second).expect("a time in range");
    let decline = Decline {
        code: "card_declined".to_owned(),
        message: Some("No.".to_owned()),
        ..Decline::default()
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
        left: None,
        tries: None,
        next_try: None,
        charge: Some(Charge {
            ids: BTreeSet::from([ChargeId::Psp(ChargeKey::parse("ch_1").expect("a valid id"))]),
            status,
            triggered_by: TriggeredBy::External,
            retry: None,
            details: Details {
                transaction_id: Some("pi_1".to_owned()),
                decline: (status == Status::Failed).then_some(decline),
                ..Details::of(amount)
            },
        }),
    }
}

#[tokio::test]
async fn an_intent_is_told_with_its_charges_and_facts() {
    let world = World::start().await;
    world.tenant("acme").await;
    let failed = signal("evt_1", SignalKind::PaymentFailed, Status::Failed, 0);
    let paid = signal("evt_2", SignalKind::PaymentSucceeded, Status::Succeeded, 60);
    let mut intent = Intent::open(&failed, failed.order.at).expect("it tells of an invoice");
    intent.join(&failed, failed.order.at);
    intent.join(&paid, paid.order.at);
    let saved = world
        .store
        .save_intent(&tenant_id("acme"), &intent, None, world.now())
        .await;
    let _stored = saved.expect("the table takes it");

    let read = world
        .get("/v1/tenants/acme/intents?profile=pro_1&account=mca_1&invoice=in%2F1")
        .await;
    let want = json!({
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "invoice_id": "in/1",
        "source": "stripe",
        "amount": 2500,
        "currency": "EUR",
        "state": "recovered",
        "since": "2026-01-01T00:01:00.000Z",
        "attempts": [{
            "charge": "ch_1",
            "triggered_by": "external",
            "status": "succeeded",
            "facts": [
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
            ],
        }],
        "signals": [
            {"id": "evt_1", "at": "2026-01-01T00:00:00.000Z"},
            {"id": "evt_2", "at": "2026-01-01T00:01:00.000Z"},
        ],
    });
    assert_eq!((read.status, read.body), (200, want));
}

#[tokio::test]
async fn an_intent_is_asked_for_by_all_three_names() {
    let cases = [
        ("account=a&invoice=i", 400, "`profile`: is missing"),
        ("profile=p&invoice=i", 400, "`account`: is missing"),
        ("profile=p&account=a", 400, "`invoice`: is missing"),
        (
            "profile=p&account=a&invoice=i&x=1",
            400,
            "`x`: is not known here; expected is one of `profile`, `account`, `invoice`",
        ),
        (
            "profile=p.&account=a&invoice=i",
            400,
            "`profile`: profile_id must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`",
        ),
        (
            "profile=p&account=a&invoice=",
            400,
            "`invoice`: invoice id must be 1 to 255 bytes without white space or control characters",
        ),
        (
            "profile=p&account=a&invoice=i",
            404,
            "There is no intent for invoice `i` here.",
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (query, status, detail) in cases {
        let refused = world
            .get(&format!("/v1/tenants/acme/intents?{query}"))
            .await;
        assert_eq!(refused.problem(), (status, detail.to_owned()), "{query}");
    }
}
