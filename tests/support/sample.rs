//! Samples of every record, with a word or two to tell them apart.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use shared::customer::{Callbacks, Client, Customers, Telling, Transaction, TransactionStatus};
use shared::delivery::{
    BreakerPolicy, Delivery, DeliveryKey, Endpoint, EndpointState, LiveSecret, Outcome, Policy,
    Scheme, State, Try,
};
use shared::event::{
    Callback, Chosen, Event, EventType, Json, Line, Recipients, Role, Sep, Source, Via,
};
use shared::ids::{
    ChargeKey, ConnectorAccountId, CustomerId, CustomerType, EndpointId, EventId, InvoiceId, KeyId,
    ProfileId, Round, SignalId, TenantId, TransactionId,
};
use shared::money::{Currency, Money};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::recovery::{
    Charge, ChargeId, Decline, Details, Intent, IntentKey, Order, Signal, SignalKind, Status,
    Terms, TriggeredBy,
};
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;
use shared::store::KeyRecord;

/// A point in time, in seconds after the tests' beginning of time (2026-01-01).
#[must_use]
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).expect("a time in range")
}

/// The tests' first tenant.
#[must_use]
pub fn acme() -> TenantId {
    tenant("acme")
}

/// A tenant by its name.
#[must_use]
pub fn tenant(name: &str) -> TenantId {
    TenantId::parse(name).expect("a valid id")
}

/// An event id.
#[must_use]
pub fn event_id(id: &str) -> EventId {
    EventId::parse(id).expect("a valid id")
}

/// An endpoint id.
#[must_use]
pub fn endpoint_id(id: &str) -> EndpointId {
    EndpointId::parse(id).expect("a valid id")
}

/// An event with a small payload.
#[must_use]
pub fn event(id: &str, event_type: &str, resource: Option<&str>) -> Event {
    Event {
        id: event_id(id),
        event_type: EventType::parse(event_type).expect("a valid type"),
        data: Json::parse(format!(r#"{{ "id": "{id}", "amount": 25.00 }}"#)).expect("valid JSON"),
        at: at(-1),
        source: Source::new("stripe"),
        resource: resource.map(str::to_owned),
    }
}

/// What `event` goes to when it goes to one merchant's endpoint.
#[must_use]
pub fn to_shop() -> Recipients {
    Recipients::Chosen(BTreeMap::from([(
        Role::Merchant,
        Chosen::Endpoints(vec![endpoint_id("shop")]),
    )]))
}

/// A delivery of an event to an endpoint, not tried yet.
#[must_use]
pub fn delivery(event: &str, endpoint: &str, round: u32) -> Delivery {
    let key = DeliveryKey {
        tenant: acme(),
        event: event_id(event),
        endpoint: endpoint_id(endpoint),
        round: Round::new(round).expect("rounds count from 1"),
    };
    Delivery::new(key, None)
}

/// The delivery after one more try at `at`, which left it in `state`.
#[must_use]
pub fn tried(mut delivery: Delivery, at: Timestamp, status: u16, state: State) -> Delivery {
    delivery
        .tries
        .push(Try::new(at, at, &Outcome::answered(status)));
    delivery.state = state;
    delivery
}

/// An endpoint whose secret is `secret`.
#[must_use]
pub fn endpoint(tenant: &TenantId, id: &str, secret: &str) -> Endpoint {
    Endpoint {
        tenant: tenant.clone(),
        id: endpoint_id(id),
        url: "https://shop.example/hook".to_owned(),
        role: Role::Merchant,
        scheme: Scheme::StandardWebhooks,
        secrets: vec![
            LiveSecret {
                secret: Secret::new(secret),
                until: None,
            },
            LiveSecret {
                secret: Secret::new("whsec_old"),
                until: Some(at(86_400)),
            },
        ],
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(Scheme::StandardWebhooks),
        breaker: BreakerPolicy::default(),
        deadline: Scheme::StandardWebhooks.deadline(),
        useful_for: None,
        signed_host: SignedHost::AsSent,
        decision_url: Some("https://shop.example/decide".to_owned()),
        state: EndpointState::Enabled,
    }
}

/// A billing account of `tenant`.
#[must_use]
pub fn account(tenant: &TenantId, profile: &str, account: &str) -> BillingAccount {
    BillingAccount {
        tenant: tenant.clone(),
        profile_id: ProfileId::parse(profile).expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse(account).expect("a valid id"),
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new("whsec_stripe_1"), Secret::new("whsec_stripe_2")],
        api_key: Some(Secret::new("sk_live_hush")),
        locked: Locked::default(),
        settings: Settings {
            api_base_url: None,
            terms: Terms {
                retry_threshold: 4,
                ..Terms::default()
            },
        },
    }
}

/// A key of `tenant`.
#[must_use]
pub fn key(tenant: &TenantId, id: &str) -> KeyRecord {
    KeyRecord {
        id: KeyId::parse(id).expect("a valid id"),
        tenant: tenant.clone(),
        label: Some("the till".to_owned()),
        personal_data: false,
        created_at: at(0),
    }
}

/// Which invoice.
#[must_use]
pub fn intent_key(invoice: &str) -> IntentKey {
    IntentKey {
        profile_id: ProfileId::parse("pro_1").expect("a valid id"),
        connector_account_id: ConnectorAccountId::parse("mca_1").expect("a valid id"),
        invoice_id: InvoiceId::parse(invoice).expect("a valid id"),
    }
}

/// The n-th signal about an invoice, about a charge that failed or succeeded.
#[must_use]
pub fn signal(invoice: &str, n: u32, kind: SignalKind) -> Signal {
    let amount = Money {
        amount: 2500,
        currency: Currency::parse("EUR").expect("an ISO code"),
    };
    let id = SignalId::parse(format!("evt_1PqRsTuVwXyZ{n:04}")).expect("a valid id");
    let (status, decline) = match kind {
        SignalKind::PaymentSucceeded => (Status::Succeeded, None),
        SignalKind::PaymentFailed
        | SignalKind::PaymentPending
        | SignalKind::InvoiceCancelled
        | SignalKind::Other => (Status::Failed, Some(decline())),
    };
    Signal {
        id: id.clone(),
        source: Source::new("stripe"),
        by_merchant: false,
        intent: intent_key(invoice),
        kind,
        order: Order {
            at: at(i64::from(n)),
            rank: 0,
            id,
        },
        amount,
        left: None,
        tries: None,
        next_try: None,
        charge: Some(Charge {
            ids: BTreeSet::from([ChargeId::Psp(
                ChargeKey::parse(format!("ch_3PqRsTuVwXyZ{n:04}")).expect("a valid id"),
            )]),
            status,
            triggered_by: TriggeredBy::External,
            retry: None,
            details: Details {
                transaction_id: Some(format!("pi_3PqRsTuVwXyZ{n:04}")),
                decline,
                ..Details::of(amount)
            },
        }),
    }
}

fn decline() -> Decline {
    Decline {
        code: "card_declined".to_owned(),
        message: Some("Your card was declined.".to_owned()),
        ..Decline::default()
    }
}

/// An intent that has joined `signals` charges, the last of which was of `kind`.
#[must_use]
pub fn intent(invoice: &str, signals: u32, last: SignalKind) -> Intent {
    let first = signal(
        invoice,
        1,
        if signals == 1 {
            last
        } else {
            SignalKind::PaymentFailed
        },
    );
    let mut intent = Intent::open(&first, at(1)).expect("it tells of an invoice");
    for n in 1..=signals {
        let kind = if n == signals {
            last
        } else {
            SignalKind::PaymentFailed
        };
        intent.join(&signal(invoice, n, kind), at(i64::from(n)));
    }
    intent
}

/// A customer's line, as the client `wallet` knows it.
#[must_use]
pub fn customer_line(customer: &str) -> Line {
    Line::Customer {
        client: Some(endpoint_id("wallet")),
        customer: CustomerId::parse(customer).expect("a valid id"),
        kind: Some(CustomerType::parse("sep6").expect("a valid type")),
    }
}

/// A transaction's id.
#[must_use]
pub fn transaction_id(id: &str) -> TransactionId {
    TransactionId::parse(id).expect("a valid id")
}

/// A transaction's line.
#[must_use]
pub fn transaction_line(id: &str) -> Line {
    Line::Transaction {
        id: transaction_id(id),
    }
}

/// A transaction of the client `wallet`, put at 1 s, of which nothing was told.
#[must_use]
pub fn transaction(id: &str, status: TransactionStatus) -> Transaction {
    let details = serde_json::json!({ "to": "Jane Doe, 12 Long Street" });
    Transaction {
        id: transaction_id(id),
        sep: Sep::Sep6,
        kind: "deposit".to_owned(),
        status,
        client: Some(endpoint_id("wallet")),
        customers: Customers::default(),
        message: Some("Jane has to come by".to_owned()),
        transfer_received_at: None,
        amounts_known: true,
        instructions_known: false,
        on_change_callback: Some("https://wallet.example/tx".to_owned()),
        started_at: at(1),
        updated_at: at(1),
        completed_at: None,
        details: serde_json::from_value(details).expect("an object"),
        told: 0,
        revision: 1,
    }
}

/// What is told to the client `wallet` as the `number`th of a line of tenant acme, through its own URL.
#[must_use]
pub fn telling(line: &Line, number: u64, event_type: &str, data: &str) -> Telling {
    let callback = Callback {
        client: endpoint_id("wallet"),
        via: Via::Static { sep: Sep::Sep12 },
        line: line.clone(),
        number,
    };
    let id = line.event(&acme(), number);
    Telling {
        event: Event {
            data: Json::parse(data.to_owned()).expect("valid JSON"),
            source: Source::new("anchor"),
            ..event(id.as_str(), event_type, Some("cus_1"))
        },
        recipients: Recipients::Callback(callback),
    }
}

/// A wallet client of `tenant`, made at 1 s, that wants to hear of customers and of SEP-6 transactions.
#[must_use]
pub fn client(tenant: &TenantId, id: &str) -> Client {
    Client {
        tenant: tenant.clone(),
        id: endpoint_id(id),
        domains: BTreeSet::from(["wallet.example".to_owned()]),
        signing_keys: BTreeSet::new(),
        callbacks: Callbacks {
            sep6: Some("https://wallet.example/sep6".to_owned()),
            sep12: Some("https://wallet.example/sep12".to_owned()),
            ..Callbacks::default()
        },
        signed_host: SignedHost::NameOnly,
        latest_only: true,
        breaker: BreakerPolicy::default(),
        policy: Policy::default_for(Scheme::Stellar),
        deadline: Scheme::Stellar.deadline(),
        state: EndpointState::Enabled,
        created_at: at(1),
    }
}
