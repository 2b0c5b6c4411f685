//! Billing accounts: claimed by one tenant, told without their secrets.

use serde_json::{Value, json};
use shared::ids::{ConnectorAccountId, ProfileId};
use shared::recovery::Terms;
use shared::store::BillingAccounts;

use crate::support::{START, World};

const PATH: &str = "/v1/tenants/acme/billing-accounts/pro_1/mca_1";
const SECRET: &str = "whsec_4dR7uGmAZq0vXw2cPb9s";

fn stripe(more: Value) -> Value {
    let mut body = json!({"platform": "stripe", "webhook_secrets": [SECRET]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

#[tokio::test]
async fn an_account_is_made_replaced_and_told_without_its_secrets() {
    let world = World::start().await;
    world.tenant("acme").await;
    let more = json!({
        "api_key": "sk_live_0123456789",
        "api_base_url": "https://api.example/",
        "mode": "cascading",
        "retry_threshold": 3,
        "ladder_s": [86_400, 7200, 172_800],
        "max_retry_count": 5,
        "grace_period_s": 2_592_000,
        "retry_window_s": 3600,
        "hard_declines": ["fraudulent", "2044", "fraudulent"],
        "payment_accounts": {"gw_1": "mca_stripe_eu"},
        "record_back": true,
    });
    let made = world.put(PATH, stripe(more)).await;
    let want = json!({
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "platform": "stripe",
        "webhook_secret_count": 1,
        "has_api_key": true,
        "api_base_url": "https://api.example/",
        "mode": "cascading",
        "retry_threshold": 3,
        "ladder_s": [86_400, 7200, 172_800],
        "max_retry_count": 5,
        "grace_period_s": 2_592_000,
        "retry_window_s": 3600,
        "hard_declines": ["2044", "fraudulent"],
        "payment_accounts": {"gw_1": "mca_stripe_eu"},
        "record_back": true,
        "created_at": START,
    });
    assert_eq!((made.status, &made.body), (201, &want));
    assert_eq!(world.get(PATH).await.body, want);
    assert!(!world.dump().await.contains(SECRET), "it rests sealed");

    world.pass(60);
    let second = "whsec_Tn5yKf8hJe1LmQ3rVx7z";
    let replaced = world
        .put(PATH, stripe(json!({"webhook_secrets": [SECRET, second]})))
        .await;
    let want = json!({
        "profile_id": "pro_1",
        "connector_account_id": "mca_1",
        "platform": "stripe",
        "webhook_secret_count": 2,
        "has_api_key": false,
        "api_base_url": null,
        "mode": "monitoring",
        "retry_threshold": 0,
        "ladder_s": Terms::LADDER,
        "max_retry_count": null,
        "grace_period_s": null,
        "retry_window_s": 7200,
        "hard_declines": [],
        "payment_accounts": {},
        "record_back": false,
        "created_at": START,
    });
    assert_eq!((replaced.status, &replaced.body), (200, &want));
    let listed = world.get("/v1/tenants/acme/billing-accounts").await;
    assert_eq!(listed.body, json!({"data": [want], "next_cursor": null}));

    let profile = ProfileId::parse("pro_1").expect("a valid id");
    let account = ConnectorAccountId::parse("mca_1").expect("a valid id");
    let read = world
        .store
        .billing_account(&profile, &account)
        .await
        .expect("the table answers");
    let secrets = read.map(|read| read.webhook_secrets).unwrap_or_default();
    assert_eq!(
        secrets
            .iter()
            .map(|secret| secret.expose())
            .collect::<Vec<_>>(),
        [SECRET, second]
    );
}

#[tokio::test]
async fn a_pair_of_ids_is_one_tenants_until_it_lets_go_of_it() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.tenant("rival").await;
    let rivals = "/v1/tenants/rival/billing-accounts/pro_1/mca_1";
    world.put(PATH, stripe(json!({}))).await;
    let taken = world.put(rivals, stripe(json!({}))).await;
    assert_eq!(taken.problem().0, 409);
    assert_eq!(taken.text("/type"), "/problems/billing-account-taken");
    assert!(
        !taken.body.to_string().contains("acme"),
        "whose it is is not told"
    );
    assert_eq!(world.get(rivals).await.status, 404);
    assert_eq!(world.delete(rivals).await.status, 404);
    assert_eq!(
        world
            .get("/v1/tenants/rival/billing-accounts")
            .await
            .at("/data"),
        json!([])
    );

    assert_eq!(world.delete(PATH).await.status, 204);
    let gone = (
        404,
        "There is no billing account `pro_1/mca_1` here.".to_owned(),
    );
    assert_eq!(world.delete(PATH).await.problem(), gone);
    assert_eq!(world.put(rivals, stripe(json!({}))).await.status, 201);
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let cases = [
        (
            json!({"webhook_secrets": null}),
            "`webhook_secrets`: is missing; `stripe` needs it",
        ),
        (
            json!({"basic": []}),
            "`basic`: is of no use with `stripe`; leave it out and give `webhook_secrets`",
        ),
        (
            json!({"webhook_secrets": []}),
            "`webhook_secrets`: must hold 1 to 5",
        ),
        (
            json!({"webhook_secrets": [SECRET, SECRET, SECRET, SECRET, SECRET, SECRET]}),
            "`webhook_secrets`: must hold 1 to 5",
        ),
        (
            json!({"webhook_secrets": [""]}),
            "`webhook_secrets[0]`: must be 16 to 256 characters",
        ),
        (
            json!({"webhook_secrets": [SECRET, "default_secret"]}),
            "`webhook_secrets[1]`: must be 16 to 256 characters",
        ),
        (
            json!({"webhook_secrets": ["whsec_default_secret"]}),
            "`webhook_secrets[0]`: must not be a default or placeholder; draw it at random",
        ),
        (
            json!({"webhook_secrets": format!("{SECRET} ")}),
            "`webhook_secrets`: must be a list",
        ),
        (
            json!({"webhook_secrets": [format!("{SECRET} ")]}),
            "`webhook_secrets[0]`: must not begin or end with white space, nor hold control characters",
        ),
        (
            json!({"api_key": "short"}),
            "`api_key`: must be 16 to 256 characters",
        ),
        (
            json!({"api_base_url": "http://api.example/"}),
            "`api_base_url`: must be an https URL",
        ),
        (
            json!({"api_base_url": "https://10.0.0.1/"}),
            "`api_base_url`: must not lead to a private, local or reserved address",
        ),
        (
            json!({"retry_threshold": 101}),
            "`retry_threshold`: must be 0 to 100",
        ),
        (
            json!({"mode": "smart"}),
            "`mode`: must be `monitoring` or `cascading`",
        ),
        (
            json!({"ladder_s": []}),
            "`ladder_s`: must hold 1 to 50 steps",
        ),
        (
            json!({"ladder_s": vec![86_400; 51]}),
            "`ladder_s`: must hold 1 to 50 steps",
        ),
        (
            json!({"ladder_s": [86_400, 59]}),
            "`ladder_s[1]`: must be 60 to 2592000 seconds",
        ),
        (
            json!({"ladder_s": [2_592_001]}),
            "`ladder_s[0]`: must be 60 to 2592000 seconds",
        ),
        (
            json!({"max_retry_count": 0}),
            "`max_retry_count`: must be 1 to 100",
        ),
        (
            json!({"max_retry_count": 101}),
            "`max_retry_count`: must be 1 to 100",
        ),
        (
            json!({"grace_period_s": 59}),
            "`grace_period_s`: must be 60 to 31536000 seconds",
        ),
        (
            json!({"retry_window_s": 59}),
            "`retry_window_s`: must be 60 to 86400 seconds",
        ),
        (
            json!({"retry_window_s": 86_401}),
            "`retry_window_s`: must be 60 to 86400 seconds",
        ),
        (
            json!({"retry_window_s": 10_801}),
            "`retry_window_s`: must be at most the shortest step of the ladder, 10800 seconds; left out, it is 7200 seconds",
        ),
        (
            json!({"ladder_s": [86_400, 3600]}),
            "`retry_window_s`: must be at most the shortest step of the ladder, 3600 seconds; left out, it is 7200 seconds",
        ),
        (
            json!({"hard_declines": vec!["a"; 201]}),
            "`hard_declines`: must hold at most 200 codes",
        ),
        (
            json!({"hard_declines": ["a", ""]}),
            "`hard_declines[1]`: must be 1 to 128 characters, without white space at an end and control characters",
        ),
        (
            json!({"payment_accounts": {"gw_1": " a"}}),
            "`payment_accounts.gw_1`: must be 1 to 128 characters, without white space at an end and control characters",
        ),
        (
            json!({"payment_accounts": {"": "a"}}),
            "`payment_accounts`: the name of each gateway must be 1 to 128 characters, without white space at an end and control characters",
        ),
        (
            json!({"payment_accounts": (0..101).map(|n| (n.to_string(), json!("a"))).collect::<serde_json::Map<_, _>>()}),
            "`payment_accounts`: must name at most 100 gateways",
        ),
        (
            json!({"record_back": true}),
            "`record_back`: needs `api_key`, the key for the platform's API; give it, or leave `record_back` out",
        ),
        (
            json!({"platform": "recurly"}),
            "`api_key`: is missing; `recurly` needs it, since its webhooks tell nothing of an invoice until its API is asked",
        ),
        (
            json!({"secret": SECRET}),
            "`secret`: is not known here; expected is one of `platform`, `webhook_secrets`, `basic`, `api_key`, `api_base_url`, `mode`, `retry_threshold`, `ladder_s`, `max_retry_count`, `grace_period_s`, `retry_window_s`, `hard_declines`, `payment_accounts`, `record_back`",
        ),
    ];
    let world = World::start().await;
    let refused = world.put(PATH, stripe(json!({}))).await;
    assert_eq!(
        refused.problem(),
        (404, "There is no tenant `acme` here.".to_owned())
    );
    world.tenant("acme").await;
    for (more, detail) in cases {
        let refused = world.put(PATH, stripe(more.clone())).await;
        assert_eq!(refused.problem(), (422, detail.to_owned()), "{more}");
        assert!(!refused.body.to_string().contains(SECRET), "{refused:?}");
    }
    let refused = world
        .put(
            "/v1/tenants/acme/billing-accounts/pro.1/mca_1",
            stripe(json!({})),
        )
        .await;
    let rule = "`profile_id`: profile_id must be 1 to 64 characters of A-Z, a-z, 0-9, `_` and `-`";
    assert_eq!(refused.problem(), (400, rule.to_owned()));
    assert_eq!(
        world.get(PATH).await.status,
        404,
        "nothing of all that was kept"
    );
}
