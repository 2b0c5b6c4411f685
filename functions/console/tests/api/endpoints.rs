//! Endpoints: what is taken, what is told of their secrets, how those are rotated.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use console::handler::Console;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::{Callbacks, Client};
use shared::delivery::{BreakerPolicy, EndpointState, LiveSecret, Policy, Scheme};
use shared::entropy::SystemEntropy;
use shared::ids::{EndpointId, TenantId};
use shared::secret::Secret;
use shared::signature::standard;
use shared::signature::stellar::SignedHost;
use shared::store::{
    AnchorAdmin, EndpointAdmin, EndpointRecord, Endpoints, Put, Read, StoreError, Version,
};

use crate::support::{OPERATOR, START, World, endpoint_id, tenant_id};

const SHOP: &str = "/v1/tenants/acme/endpoints/shop";
const ROTATE: &str = "/v1/tenants/acme/endpoints/shop/secrets";
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const PRIVATE: &str =
    "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "whpk_A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// The least that makes an endpoint, with `more`.
fn shop(more: Value) -> Value {
    let mut body = json!({"url": "https://shop.example/hook", "role": "merchant", "scheme": "standard-webhooks"});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// Endpoints that somebody else changes as soon as they were read, for as many times as are left.
struct Raced {
    inner: Arc<dyn EndpointAdmin>,
    left: AtomicUsize,
}

#[async_trait]
impl EndpointAdmin for Raced {
    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        self.inner.put_endpoint(record, read).await
    }

    async fn endpoint_records(&self, tenant: &TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        self.inner.endpoint_records(tenant).await
    }

    async fn endpoint_record(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Read<EndpointRecord>>, StoreError> {
        let found = self.inner.endpoint_record(tenant, id).await?;
        let less = |left: usize| left.checked_sub(1);
        if let Some(read) = &found
            && self
                .left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        {
            let mut theirs = read.value.clone();
            theirs.endpoint.state = EndpointState::Gone;
            let secret = standard::generate(&SystemEntropy);
            theirs.endpoint.secrets.push(LiveSecret {
                secret,
                until: None,
            });
            let put = self.inner.put_endpoint(&theirs, Some(read.version)).await?;
            assert_eq!(put, Put::Replaced);
        }
        Ok(found)
    }

    async fn delete_endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<bool, StoreError> {
        self.inner.delete_endpoint(tenant, id).await
    }
}

/// A world in which somebody else writes the endpoint `shop` before us, so many times.
async fn raced(left: usize) -> World {
    let raced = |console: Console| Console {
        endpoints: Arc::new(Raced {
            inner: console.endpoints,
            left: AtomicUsize::new(left),
        }),
        ..console
    };
    let world = World::with(raced).await;
    world.tenant("acme").await;
    assert_eq!(world.put(SHOP, shop(json!({}))).await.status, 201);
    world
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_neither_lost_nor_undone() {
    let rotate = format!("{SHOP}/secrets");
    let changes = [
        ("PUT", SHOP, shop(json!({"timeout_ms": 500}))),
        ("POST", &rotate, json!({})),
    ];
    for (method, path, body) in changes {
        let world = raced(2).await;
        let before = kept(&world).await.len();
        let answer = world.call(OPERATOR, method, path, body).await;
        assert_eq!(answer.status, 200, "{method}: {answer:?}");
        assert_eq!(answer.at("/state"), "gone", "{method}");
        let rotated = usize::from(method == "POST");
        assert_eq!(kept(&world).await.len(), before + 2 + rotated, "{method}");
    }
}

#[tokio::test]
async fn a_change_that_never_gets_through_is_refused_and_not_made() {
    let world = raced(usize::MAX).await;
    let refused = world.put(SHOP, shop(json!({"timeout_ms": 500}))).await;
    assert_eq!(refused.problem().0, 409, "{refused:?}");
    assert_eq!(refused.text("/type"), "/problems/contended");
    assert_ne!(record(&world).await.endpoint.deadline.as_millis(), 500);
}

#[tokio::test]
async fn the_name_of_a_wallet_client_is_taken() {
    let world = World::start().await;
    world.tenant("acme").await;
    let wallet = Client {
        tenant: tenant_id("acme"),
        id: endpoint_id("shop"),
        domains: BTreeSet::new(),
        signing_keys: BTreeSet::new(),
        callbacks: Callbacks::default(),
        signed_host: SignedHost::AsSent,
        latest_only: false,
        breaker: BreakerPolicy::default(),
        policy: Policy::default_for(Scheme::Stellar),
        deadline: Scheme::Stellar.deadline(),
        state: EndpointState::Enabled,
        created_at: START.parse().expect("a time"),
    };
    let put = world.store.put_client(&wallet, None).await;
    assert_eq!(put.ok(), Some(Put::New));
    let refused = world.put(SHOP, shop(json!({}))).await;
    assert_eq!(refused.problem().0, 409, "{refused:?}");
    assert_eq!(refused.text("/type"), "/problems/name-taken");
    assert_eq!(world.get(SHOP).await.status, 404);
}

async fn record(world: &World) -> EndpointRecord {
    let record = world
        .store
        .endpoint_record(&tenant_id("acme"), &endpoint_id("shop"))
        .await;
    record
        .expect("the table answers")
        .expect("it is there")
        .value
}

async fn kept(world: &World) -> Vec<LiveSecret> {
    record(world).await.endpoint.secrets
}

fn live(secret: &str, until: Option<jiff::Timestamp>) -> LiveSecret {
    LiveSecret {
        secret: Secret::new(secret),
        until,
    }
}

#[tokio::test]
async fn a_missing_secret_is_made_told_once_and_kept_when_the_endpoint_is_replaced() {
    let world = World::start().await;
    world.tenant("acme").await;
    let made = world.put(SHOP, shop(json!({}))).await;
    let secret = made.text("/secrets/0");
    assert!(secret.starts_with("whsec_"), "{secret}");
    let mut want = json!({
        "id": "shop",
        "url": "https://shop.example/hook",
        "role": "merchant",
        "scheme": "standard-webhooks",
        "event_types": null,
        "retry": {"policy": "ladder", "waits_s": [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]},
        "breaker": {
            "failures": 10, "share_percent": 90, "window_s": 300, "minimum": 20,
            "pause_s": 60, "pause_most_s": 3600, "release_per_minute": 600,
        },
        "breaker_state": {
            "state": "closed", "since": null, "opened_by": null, "failures": 0, "next_probe_at": null,
        },
        "timeout_ms": 15000,
        "useful_for_ms": null,
        "decision_url": null,
        "state": "enabled",
        "live_secrets": [{"public_key": null, "until": null}],
        "created_at": START,
        "secrets": [secret],
    });
    assert_eq!((made.status, &made.body), (201, &want));

    world.pass(60);
    if let Some(shown) = want.as_object_mut() {
        shown.remove("secrets");
    }
    let replaced = world.put(SHOP, shop(json!({}))).await;
    assert_eq!(
        (replaced.status, &replaced.body),
        (200, &want),
        "a secret that is kept is not told"
    );
    assert_eq!(world.get(SHOP).await.body, want);
    let listed = world.get("/v1/tenants/acme/endpoints").await;
    assert_eq!(listed.body, json!({"data": [want], "next_cursor": null}));
    assert_eq!(kept(&world).await, [live(&secret, None)]);
    assert!(!world.dump().await.contains(&secret), "it rests sealed");
}

#[tokio::test]
async fn an_ase_may_be_asked_to_decide_and_nobody_else() {
    let world = World::start().await;
    world.tenant("acme").await;
    let url = "https://ase.example/decide";
    let asked = shop(json!({"role": "ase", "decision_url": url}));
    let made = world.put(SHOP, asked).await;
    assert_eq!((made.status, made.at("/decision_url")), (201, json!(url)));
    assert_eq!(world.get(SHOP).await.at("/decision_url"), json!(url));

    let not_ase = world.put(SHOP, shop(json!({"decision_url": url}))).await;
    let rule = "`decision_url`: must be left out: only an endpoint of role `ase` decides";
    assert_eq!(not_ase.problem(), (422, rule.to_owned()));
    let private = shop(json!({"role": "ase", "decision_url": "https://10.0.0.1/decide"}));
    let rule = "`decision_url`: must not lead to a private, local or reserved address";
    assert_eq!(
        world.put(SHOP, private).await.problem(),
        (422, rule.to_owned())
    );

    let left_out = world.put(SHOP, shop(json!({"role": "ase"}))).await;
    assert_eq!(
        (left_out.status, left_out.at("/decision_url")),
        (200, json!(null))
    );
}

#[tokio::test]
async fn everything_that_is_said_is_kept() {
    let world = World::start().await;
    world.tenant("acme").await;
    let body = json!({
        "url": "https://pos.example:8443/hook?x=1",
        "role": "pos",
        "scheme": "rafiki",
        "secrets": ["0123456789abcdef", "fedcba9876543210"],
        "event_types": ["incoming_payment.*", "recovery.recovered"],
        "retry": {"policy": "linear", "step_s": 5, "max_retry": 3, "cap_s": 60},
        "timeout_ms": 100,
        "useful_for_ms": 2_592_000_000_u32,
        "state": "disabled",
    });
    let made = world.put(SHOP, body.clone()).await;
    assert_eq!(made.status, 201);
    for (field, value) in body.as_object().expect("an object") {
        let want = if field == "secrets" {
            Value::Null
        } else {
            value.clone()
        };
        assert_eq!(made.at(&format!("/{field}")), want, "{field}");
    }
    let plain = json!({"public_key": null, "until": null});
    assert_eq!(made.at("/live_secrets"), json!([plain, plain]));
    assert!(
        !made.body.to_string().contains("0123456789abcdef"),
        "a secret that was given is not told"
    );

    let second = world.put(
        "/v1/tenants/acme/endpoints/pos",
        json!({
            "url": "https://pos.example/hook", "role": "ase", "scheme": "rafiki",
        }),
    );
    let second = second.await;
    assert_eq!(
        second.at("/retry"),
        json!({"policy": "linear", "step_s": 10, "max_retry": 10})
    );
    assert_eq!(second.at("/timeout_ms"), 2000);
}

#[tokio::test]
async fn a_private_key_is_told_by_its_public_key() {
    let world = World::start().await;
    world.tenant("acme").await;
    let made = world
        .put(SHOP, shop(json!({"secrets": [SECRET, PRIVATE]})))
        .await;
    let want = json!([{"public_key": null, "until": null}, {"public_key": PUBLIC, "until": null}]);
    assert_eq!(made.at("/live_secrets"), want);
    assert!(!made.body.to_string().contains("whsk_"), "{made:?}");
}

#[tokio::test]
async fn each_wrong_field_is_named_with_what_it_must_be_and_nothing_is_quoted() {
    struct Case {
        more: Value,
        detail: &'static str,
    }
    let cases = [
        Case {
            more: json!({"url": 7}),
            detail: "`url`: must be a string",
        },
        Case {
            more: json!({"url": "shop"}),
            detail: "`url`: must be an absolute URL",
        },
        Case {
            more: json!({"url": "http://shop.example/"}),
            detail: "`url`: must be an https URL",
        },
        Case {
            more: json!({"url": "https://me:hush@shop.example/"}),
            detail: "`url`: must not hold a user name or password",
        },
        Case {
            more: json!({"url": "https://127.0.0.1/"}),
            detail: "`url`: must not lead to a private, local or reserved address",
        },
        Case {
            more: json!({"url": "https://shop.example:22/"}),
            detail: "`url`: must use port 443 or 8443",
        },
        Case {
            more: json!({"url": "https://intranet/"}),
            detail: "`url`: must name a public host",
        },
        Case {
            more: json!({"url": format!("https://shop.example/{}", "x".repeat(2048))}),
            detail: "`url`: must be at most 2048 bytes long",
        },
        Case {
            more: json!({"role": "hush"}),
            detail: "`role`: must be one of `ase`, `pos`, `card`, `merchant`, `wallet`, `operator`",
        },
        Case {
            more: json!({"scheme": "hush"}),
            detail: "`scheme`: must be `rafiki` or `standard-webhooks`",
        },
        Case {
            more: json!({"scheme": "stellar"}),
            detail: "`scheme`: must be `rafiki` or `standard-webhooks`; what is signed as `stellar` goes to wallet clients, so register one with `PUT /v1/tenants/{tenant}/clients/{client}`",
        },
        Case {
            more: json!({"secrets": []}),
            detail: "`secrets`: must hold 1 to 5; leave it out to keep those there are or have one made",
        },
        Case {
            more: json!({"secrets": [SECRET, SECRET, SECRET, SECRET, SECRET, SECRET]}),
            detail: "`secrets`: must hold 1 to 5; leave it out to keep those there are or have one made",
        },
        Case {
            more: json!({"secrets": [SECRET, "hush-hush-hush-hush"]}),
            detail: "`secrets[1]`: must start with `whsec_` (HMAC) or `whsk_` (Ed25519)",
        },
        Case {
            more: json!({"secrets": [SECRET, OTHER, SECRET]}),
            detail: "`secrets[2]`: must differ from the others",
        },
        Case {
            more: json!({"secrets": [["hush"]]}),
            detail: "`secrets[0]`: must be a string",
        },
        Case {
            more: json!({"scheme": "rafiki", "secrets": ["hush"]}),
            detail: "`secrets[0]`: must be 16 to 256 characters",
        },
        Case {
            more: json!({"scheme": "rafiki", "secrets": ["default_secret"]}),
            detail: "`secrets[0]`: must be 16 to 256 characters",
        },
        Case {
            more: json!({"scheme": "rafiki", "secrets": ["default_secret_key"]}),
            detail: "`secrets[0]`: must not be a default or placeholder; draw it at random",
        },
        Case {
            more: json!({"event_types": []}),
            detail: "`event_types`: each entry must be an event type, a prefix such as `recovery.*`, or `*`, and there must be 1 to 100",
        },
        Case {
            more: json!({"event_types": ["re*"]}),
            detail: "`event_types`: each entry must be an event type, a prefix such as `recovery.*`, or `*`, and there must be 1 to 100",
        },
        Case {
            more: json!({"retry": {"policy": "hush"}}),
            detail: "`retry.policy`: must be `linear` or `ladder`",
        },
        Case {
            more: json!({"retry": {"policy": "ladder"}}),
            detail: "`retry.waits_s`: is missing",
        },
        Case {
            more: json!({"retry": {"policy": "ladder", "waits_s": [0]}}),
            detail: "`retry`: every wait must be 1 to 604800 seconds",
        },
        Case {
            more: json!({"retry": {"policy": "linear", "max_retry": 51}}),
            detail: "`retry`: there can be at most 50 retries",
        },
        Case {
            more: json!({"breaker": "hush"}),
            detail: "`breaker`: must be `off` or an object of settings",
        },
        Case {
            more: json!({"breaker": {"failures": 0}}),
            detail: "`breaker.failures`: must be 1 to 1000",
        },
        Case {
            more: json!({"breaker": {"pause_s": 120, "pause_most_s": 60}}),
            detail: "`breaker.pause_most_s`: must be 120 to 86400",
        },
        Case {
            more: json!({"breaker": {"failures": -1}}),
            detail: "`breaker.failures`: must be a whole number that is not negative",
        },
        Case {
            more: json!({"timeout_ms": 99}),
            detail: "`timeout_ms`: must be 100 to 20000 milliseconds",
        },
        Case {
            more: json!({"timeout_ms": 20001}),
            detail: "`timeout_ms`: must be 100 to 20000 milliseconds",
        },
        Case {
            more: json!({"timeout_ms": -1}),
            detail: "`timeout_ms`: must be a whole number that is not negative",
        },
        Case {
            more: json!({"useful_for_ms": 0}),
            detail: "`useful_for_ms`: must be 1 to 2592000000 milliseconds",
        },
        Case {
            more: json!({"state": "gone"}),
            detail: "`state`: must be `enabled` or `disabled`",
        },
        Case {
            more: json!({"timeout": 5}),
            detail: "`timeout`: is not known here; expected is one of `url`, `role`, `scheme`, `secrets`, `event_types`, `retry`, `breaker`, `timeout_ms`, `WEBHOOK_TIMEOUT`, `WEBHOOK_MAX_RETRY`, `decision_url`, `useful_for_ms`, `state`",
        },
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for Case { more, detail } in cases {
        let refused = world.put(SHOP, shop(more.clone())).await;
        assert_eq!(refused.problem(), (422, detail.to_owned()), "{more}");
        assert!(!refused.body.to_string().contains("hush"), "{refused:?}");
    }
    let refused = world
        .put(SHOP, json!({"role": "merchant", "scheme": "rafiki"}))
        .await;
    assert_eq!(refused.problem(), (422, "`url`: is missing".to_owned()));
    assert_eq!(
        world.get(SHOP).await.status,
        404,
        "nothing of all that was kept"
    );
}

#[tokio::test]
async fn the_operators_switch_stays_as_it_is_until_it_is_set() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({"state": "disabled"}))).await;
    assert_eq!(
        world
            .put(SHOP, shop(json!({"timeout_ms": 500})))
            .await
            .at("/state"),
        "disabled"
    );
    assert_eq!(
        world
            .put(SHOP, shop(json!({"state": "enabled"})))
            .await
            .at("/state"),
        "enabled"
    );

    world
        .store
        .mark_gone(&record(&world).await.endpoint)
        .await
        .expect("the table takes it");
    assert_eq!(
        world.get(SHOP).await.at("/state"),
        EndpointState::Gone.as_str()
    );
    assert_eq!(world.put(SHOP, shop(json!({}))).await.at("/state"), "gone");
    assert_eq!(
        world
            .put(SHOP, shop(json!({"state": "enabled"})))
            .await
            .at("/state"),
        "enabled"
    );
}

#[tokio::test]
async fn secrets_that_are_kept_have_to_fit_a_new_scheme() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({"scheme": "rafiki"}))).await;
    let refused = world.put(SHOP, shop(json!({}))).await;
    let detail = "`secrets`: those there are do not fit `standard-webhooks`; send new ones";
    assert_eq!(refused.problem(), (422, detail.to_owned()));
    assert_eq!(
        world
            .put(SHOP, shop(json!({"secrets": [SECRET]})))
            .await
            .status,
        200
    );
    assert_eq!(kept(&world).await, [live(SECRET, None)]);
}

#[tokio::test]
async fn rotation_puts_the_new_secret_first_and_ends_the_old_one_with_the_overlap() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({"secrets": [SECRET]}))).await;

    let rotated = world
        .post(ROTATE, json!({"secret": OTHER, "overlap_s": 3600}))
        .await;
    let end = world
        .now()
        .saturating_add(SignedDuration::from_secs(3600))
        .expect("a time in range");
    assert_eq!(rotated.status, 200);
    assert_eq!(
        rotated.at("/secrets"),
        Value::Null,
        "a secret that was given is not told"
    );
    let told = json!([{"public_key": null, "until": null}, {"public_key": null, "until": "2026-11-22T10:00:00.000Z"}]);
    assert_eq!(rotated.at("/live_secrets"), told);
    assert_eq!(
        kept(&world).await,
        [live(OTHER, None), live(SECRET, Some(end))]
    );

    world.pass(3599);
    assert_eq!(
        world.get(SHOP).await.at("/live_secrets/1/until"),
        "2026-11-22T10:00:00.000Z"
    );
    world.pass(1);
    assert_eq!(
        world.get(SHOP).await.at("/live_secrets"),
        json!([{"public_key": null, "until": null}])
    );

    let made = world.post(ROTATE, json!({})).await;
    let new = made.text("/secrets/0");
    let day = world
        .now()
        .saturating_add(SignedDuration::from_hours(24))
        .expect("a time in range");
    assert_eq!(
        kept(&world).await,
        [live(&new, None), live(OTHER, Some(day))],
        "what has ended is dropped"
    );

    world
        .post(ROTATE, json!({"secret": PRIVATE, "overlap_s": 0}))
        .await;
    assert_eq!(
        kept(&world).await,
        [live(PRIVATE, None)],
        "without overlap only the new one is left"
    );
}

#[tokio::test]
async fn a_secret_that_has_ended_may_come_back() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({"secrets": [SECRET]}))).await;
    world
        .post(ROTATE, json!({"secret": OTHER, "overlap_s": 60}))
        .await;
    world.pass(59);
    let refused = world.post(ROTATE, json!({"secret": SECRET})).await;
    assert_eq!(refused.status, 422, "it still signs");
    world.pass(1);
    let rotated = world
        .post(ROTATE, json!({"secret": SECRET, "overlap_s": 0}))
        .await;
    assert_eq!(rotated.status, 200);
    assert_eq!(kept(&world).await, [live(SECRET, None)]);
}

#[tokio::test]
async fn rotation_is_refused_by_its_field() {
    let cases = [
        (
            json!({"secret": "hush"}),
            422,
            "`secret`: must start with `whsec_` (HMAC) or `whsk_` (Ed25519)",
        ),
        (
            json!({"secret": SECRET}),
            422,
            "`secret`: must differ from those that sign already",
        ),
        (
            json!({"overlap_s": 604_801}),
            422,
            "`overlap_s`: must be 0 to 604800 seconds",
        ),
        (
            json!({"overlap": 1}),
            422,
            "`overlap`: is not known here; expected is `secret` or `overlap_s`",
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    let missing = world.post(ROTATE, json!({})).await;
    assert_eq!(
        missing.problem(),
        (404, "There is no endpoint `shop` here.".to_owned())
    );
    world.put(SHOP, shop(json!({"secrets": [SECRET]}))).await;
    for (body, status, detail) in cases {
        assert_eq!(
            world.post(ROTATE, body.clone()).await.problem(),
            (status, detail.to_owned()),
            "{body}"
        );
    }
    assert_eq!(kept(&world).await, [live(SECRET, None)]);
}

#[tokio::test]
async fn so_many_secrets_are_live_at_once_and_no_more() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({}))).await;
    for n in 2..=10 {
        assert_eq!(
            world.post(ROTATE, json!({})).await.status,
            200,
            "secret {n}"
        );
    }
    assert_eq!(world.post(ROTATE, json!({})).await.status, 409);
    assert_eq!(
        world.post(ROTATE, json!({"overlap_s": 0})).await.status,
        200
    );
    assert_eq!(kept(&world).await.len(), 1);
}

#[tokio::test]
async fn a_removed_endpoint_is_gone() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SHOP, shop(json!({}))).await;
    assert_eq!(world.delete(SHOP).await.status, 204);
    let gone = (404, "There is no endpoint `shop` here.".to_owned());
    assert_eq!(world.delete(SHOP).await.problem(), gone);
    assert_eq!(world.get(SHOP).await.problem(), gone);
}

#[tokio::test]
async fn an_endpoint_needs_a_tenant() {
    let world = World::start().await;
    let refused = world.put(SHOP, shop(json!({}))).await;
    assert_eq!(
        refused.problem(),
        (404, "There is no tenant `acme` here.".to_owned())
    );
}
