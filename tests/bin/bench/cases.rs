//! What is measured: each function with its budgets, what it is started and invoked with, and the ways of an event
//! through them.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use shared::decision;
use shared::delivery::{BreakerPolicy, Endpoint, EndpointState, LiveSecret, Policy, Scheme};
use shared::entropy::SystemEntropy;
use shared::event::{Event, Role};
use shared::ids::{ConnectorAccountId, EndpointId, ProfileId, Round, TenantId};
use shared::platform::account::{Locked, Settings};
use shared::platform::{BillingAccount, Platform};
use shared::queue::Task;
use shared::queue::task::{DeliverTask, PublishTask};
use shared::secret::{Secret, key_hash};
use shared::signature::stellar::SignedHost;
use shared::store::{
    Accounts, EndpointAdmin, EndpointRecord, PublisherRecord, Publishers, TenantRecord, Tenants,
};
use shared::time::{Clock, SystemClock};
use tests::invocation::{self, Record};
use tests::standin::{Canned, StandIn};
use tests::table::Table;

/// Workers are measured with full batches, as they run under load.
pub(super) const BATCH: usize = 10;

/// One function and what it is started and invoked with.
pub(super) struct Case {
    /// The binary's name.
    pub(super) function: &'static str,
    /// The most its median start may take, in hundredths of the bare one's.
    pub(super) budget: u128,
    /// How many events one invocation of the CPU measurement carries.
    pub(super) events: u128,
    /// The most requests that such an invocation may make to DynamoDB and SQS, reads of configuration apart.
    pub(super) requests: u64,
    /// The event of an invocation that carries so many messages.
    pub(super) payload: fn(usize) -> Result<Value>,
    /// What a right answer contains.
    pub(super) answer: &'static str,
}

/// The function that does nothing: what any function takes.
pub(super) const BARE: &str = "hello";

/// The function that does nothing but make one request: what a request takes.
pub(super) const REQUEST: &str = "request";

/// An event's way through the functions.
pub(super) struct Way {
    /// What goes this way.
    pub(super) what: &'static str,
    /// The functions that it passes.
    pub(super) functions: &'static [&'static str],
    /// The most CPU time it may take, in hundredths of what the bare function takes for an invocation.
    pub(super) budget: u128,
}

/// Every way that is measured.
pub(super) const WAYS: [Way; 2] = [
    Way {
        what: "a billing webhook",
        functions: &["ingest", "recover", "fanout", "deliver"],
        budget: 2_200,
    },
    Way {
        what: "an event",
        functions: &["publish", "fanout", "deliver"],
        budget: 2_000,
    },
];

/// The bare function first: the others are compared with it.
pub(super) const CASES: [Case; 9] = [
    Case {
        function: BARE,
        budget: 100,
        events: 1,
        requests: 0,
        payload: |_| Ok(json!({ "name": "you" })),
        answer: "Hello, you!",
    },
    Case {
        function: REQUEST,
        budget: 300,
        events: 1,
        requests: 1,
        payload: message,
        answer: "sent",
    },
    Case {
        function: "ingest",
        budget: 300,
        events: 1,
        requests: 1,
        payload: webhook,
        answer: r#""statusCode":200"#,
    },
    Case {
        function: "publish",
        budget: 300,
        events: 1,
        requests: 1,
        payload: published,
        answer: r#""statusCode":200"#,
    },
    Case {
        function: "anchor",
        budget: 300,
        events: 1,
        requests: 2,
        payload: call,
        answer: "there is no transaction",
    },
    Case {
        function: "recover",
        budget: 350,
        events: 10,
        requests: 3,
        payload: signals,
        answer: NONE_FAILED,
    },
    Case {
        function: "fanout",
        budget: 350,
        events: 10,
        requests: 2,
        payload: events,
        answer: NONE_FAILED,
    },
    Case {
        function: "deliver",
        budget: 350,
        events: 10,
        requests: 10,
        payload: deliveries,
        answer: NONE_FAILED,
    },
    Case {
        function: "console",
        budget: 300,
        events: 1,
        requests: 1,
        payload: tenants,
        answer: r#""statusCode":200"#,
    },
];

/// A batch of which no item is to come again.
const NONE_FAILED: &str = r#"{"batchItemFailures":[]}"#;

const FIXTURE: &str = include_str!("../../fixtures/stripe/invoice.payment_failed.json");
const OPERATOR_KEY: &str = "operator-of-the-bench";
const RAFIKI_SECRET: &str = "the secret of the measured Rafiki instance";
const STRIPE_SECRET: &str = "whsec_the_secret_of_the_measured_account";

const TENANT: &str = "acme";

fn tenant() -> Result<TenantId> {
    Ok(TenantId::parse(TENANT)?)
}

/// What the table would answer, made by the store itself on the embedded table: a billing account and an endpoint.
pub(super) async fn canned(target: &str) -> Result<Vec<Canned>> {
    let table = Table::start().await?;
    let now = SystemClock.now();
    let store = table.store();
    let account = BillingAccount {
        tenant: tenant()?,
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        platform: Platform::Stripe,
        webhook_secrets: vec![Secret::new(STRIPE_SECRET)],
        locked: Locked::default(),
        api_key: None,
        settings: Settings::default(),
    };
    let _made = store
        .put_tenant(&TenantRecord {
            id: tenant()?,
            display_name: None,
            decisions: decision::Policy::default(),
            created_at: now,
        })
        .await?;
    let _claimed = store.put_account(&account, now).await?;
    let scheme = Scheme::StandardWebhooks;
    let endpoint = Endpoint {
        tenant: tenant()?,
        id: EndpointId::parse("shop")?,
        url: format!("{target}/hook"),
        role: Role::Ase,
        scheme,
        secrets: vec![LiveSecret {
            secret: shared::signature::standard::generate(&SystemEntropy),
            until: None,
        }],
        locked: Vec::new(),
        filter: None,
        policy: Policy::default_for(scheme),
        deadline: scheme.deadline(),
        useful_for: None,
        signed_host: SignedHost::AsSent,
        breaker: BreakerPolicy::default(),
        decision_url: None,
        state: EndpointState::Enabled,
    };
    let record = EndpointRecord {
        endpoint,
        created_at: now,
    };
    let _put = store.put_endpoint(&record, None).await?;
    let publisher = PublisherRecord {
        tenant: tenant()?,
        secrets: vec![Secret::new(RAFIKI_SECRET)],
        tolerance: shared::signature::TOLERANCE,
        created_at: now,
    };
    let _put = store.put_rafiki(&publisher).await?;
    let mut canned = Vec::new();
    for item in table.items().await? {
        let key = item.get("sk").cloned().unwrap_or_default();
        let operations: &[(&'static str, Value)] = match key.get("S").and_then(Value::as_str) {
            Some("BA" | "PUB#rafiki" | TENANT) => &[("GetItem", json!({ "Item": item }))],
            Some(sk) if sk.starts_with("EP#") => &[
                ("GetItem", json!({ "Item": item })),
                // As `deliver` reads it, with its breaker, which is not there.
                (
                    "BatchGetItem",
                    json!({ "Responses": { "payrelay": [item] } }),
                ),
                ("Query", json!({ "Items": [item], "Count": 1 })),
            ],
            _ => &[],
        };
        for (operation, body) in operations {
            let mentions = if *operation == "Query" {
                "EP#".to_owned()
            } else {
                key.to_string()
            };
            canned.push(Canned {
                operation,
                mentions,
                body: body.clone(),
            });
        }
    }
    Ok(canned)
}

/// What every function of ours is given.
pub(super) fn env(outside: &StandIn) -> Vec<(String, String)> {
    let queue = |name: &str| format!("{}/123456789012/{name}", outside.url());
    let fixed = [
        ("AWS_REGION", "eu-central-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE".to_owned()),
        (
            "AWS_SECRET_ACCESS_KEY",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
        ),
        ("AWS_SESSION_TOKEN", "token".to_owned()),
        ("AWS_ENDPOINT_URL", outside.url()),
        ("PAYRELAY_TABLE", "payrelay".to_owned()),
        ("PAYRELAY_QUEUE_RECOVER", queue("recover")),
        ("PAYRELAY_QUEUE_FANOUT", queue("fanout")),
        ("PAYRELAY_QUEUE_DELIVER", queue("deliver")),
        (
            "PAYRELAY_QUEUE_DELIVER_ORDERED",
            queue("deliver-ordered.fifo"),
        ),
        ("PAYRELAY_SEAL_KEYS", tests::table::SEAL_KEYS.to_owned()),
        (
            "PAYRELAY_OPERATOR_KEY_SHA256",
            key_hash(&Secret::new(OPERATOR_KEY)),
        ),
        ("PAYRELAY_ALLOW_TARGETS", "127.0.0.0/8".to_owned()),
        ("PAYRELAY_RETENTION_DAYS", "30".to_owned()),
    ];
    fixed.map(|(name, value)| (name.to_owned(), value)).into()
}

/// The body of a message.
fn message(_: usize) -> Result<Value> {
    let event = tests::stories::event(1, SystemClock.now())?;
    Ok(json!({ "body": event.data.as_str() }))
}

/// A freshly signed webhook of a failed payment.
fn webhook(_: usize) -> Result<Value> {
    let signature = shared::signature::stripe::sign(
        &Secret::new(STRIPE_SECRET),
        SystemClock.now(),
        FIXTURE.as_bytes(),
    );
    let signature = signature.context("the secret is not empty")?;
    let path = "/v2/webhooks/revenue_recovery/pro_1/mca_1";
    Ok(invocation::http(
        "POST",
        path,
        &[("stripe-signature", &signature)],
        FIXTURE,
    ))
}

/// A freshly signed event of a Rafiki instance.
fn published(_: usize) -> Result<Value> {
    let event = tests::stories::event(1, SystemClock.now())?;
    let (id, event_type, data) = (event.id, event.event_type, event.data.as_str());
    let body = format!(r#"{{"id":"{id}","type":"{event_type}","data":{data}}}"#);
    let secret = Secret::new(RAFIKI_SECRET);
    let signature = shared::signature::rafiki::sign(&[&secret], SystemClock.now(), body.as_bytes());
    let signature = signature.context("the secret is not empty")?;
    let headers = [(shared::signature::rafiki::HEADER, signature.as_str())];
    Ok(invocation::http(
        "POST",
        "/v1/tenants/acme/events",
        &headers,
        &body,
    ))
}

/// A business server calls about a transaction that is not there.
fn call(_: usize) -> Result<Value> {
    let bearer = format!("Bearer {OPERATOR_KEY}");
    let body = json!([{
        "jsonrpc": "2.0",
        "id": 1,
        "method": "notify_customer_info_updated",
        "params": {"transaction_id": "tx-1", "customer_id": "cus_1"},
    }]);
    Ok(invocation::http(
        "POST",
        "/v1/tenants/acme/anchor/rpc",
        &[("authorization", &bearer)],
        &body.to_string(),
    ))
}

/// The operator lists the tenants.
fn tenants(_: usize) -> Result<Value> {
    let bearer = format!("Bearer {OPERATOR_KEY}");
    Ok(invocation::http(
        "GET",
        "/v1/tenants",
        &[("authorization", &bearer)],
        "",
    ))
}

/// A batch of signals of so many invoices.
fn signals(count: usize) -> Result<Value> {
    let mut bodies = Vec::new();
    for number in 0..count {
        let body = FIXTURE
            .replace("evt_1QfF1", &format!("evt_{number}"))
            .replace("in_1QfInv", &format!("in_{number}"));
        bodies.push(tests::stories::signal(&body)?.encode().body);
    }
    Ok(sqs_event("recover", &bodies))
}

/// A batch of so many events.
fn events(count: usize) -> Result<Value> {
    let publish = |event| {
        Ok(Task::Publish(PublishTask {
            tenant: tenant()?,
            event,
            roles: None,
            guard: None,
        }))
    };
    tasks("fanout", count, publish)
}

/// A batch of so many deliveries.
fn deliveries(count: usize) -> Result<Value> {
    let deliver = |event| {
        Ok(Task::Deliver(DeliverTask {
            tenant: tenant()?,
            event,
            endpoint: EndpointId::parse("shop")?,
            round: Round::FIRST,
            hop: 0,
            check: false,
            guard: None,
        }))
    };
    tasks("deliver", count, deliver)
}

fn tasks(queue: &str, count: usize, task: impl Fn(Event) -> Result<Task>) -> Result<Value> {
    let bodies: Result<Vec<_>> = (0..count)
        .map(|number| {
            Ok(task(tests::stories::event(number, SystemClock.now())?)?
                .encode()
                .body)
        })
        .collect();
    Ok(sqs_event(queue, &bodies?))
}

/// What an SQS trigger hands to a worker.
fn sqs_event(queue: &str, bodies: &[String]) -> Value {
    let leases: Vec<(String, String)> = (0..bodies.len())
        .map(|number| {
            let id = format!("059f36b4-87a3-44ab-83d2-{number:012}");
            (id, format!("AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a{number}"))
        })
        .collect();
    let records: Vec<Record<'_>> = leases
        .iter()
        .zip(bodies)
        .map(|((id, receipt), body)| Record {
            id,
            receipt,
            body,
            count: 1,
            sent_ms: SystemClock.now().as_millisecond(),
            group: None,
        })
        .collect();
    invocation::sqs(queue, &records)
}
