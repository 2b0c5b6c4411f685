//! Wallet clients: made, replaced, told, removed; and each field that is wrong named.

use serde_json::{Value, json};

use crate::support::{START, World};

const LOBBY: &str = "/v1/tenants/acme/clients/lobby";
const KEY: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";

/// The body of a client with `more`.
fn lobby(more: Value) -> Value {
    let mut body = json!({"domains": ["wallet.example.com"]});
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

#[tokio::test]
async fn a_client_is_made_replaced_read_listed_and_removed() {
    let world = World::start().await;
    let missing = (404, "There is no tenant `acme` here.".to_owned());
    assert_eq!(world.put(LOBBY, lobby(json!({}))).await.problem(), missing);
    world.tenant("acme").await;
    let missing = (404, "There is no client `lobby` here.".to_owned());
    assert_eq!(world.get(LOBBY).await.problem(), missing);

    let made = world.put(LOBBY, lobby(json!({}))).await;
    let ladder = json!([5, 30, 120, 600, 1800, 3600, 7200, 14_400, 28_800]);
    let mut want = json!({
        "id": "lobby",
        "domains": ["wallet.example.com"],
        "signing_keys": [],
        "callback_urls": {},
        "signed_host": "as_sent",
        "latest_only": false,
        "retry": {"policy": "ladder", "waits_s": ladder},
        "breaker": {
            "failures": 10, "share_percent": 90, "window_s": 300, "minimum": 20,
            "pause_s": 60, "pause_most_s": 3600, "release_per_minute": 600,
        },
        "breaker_state": {
            "state": "closed", "since": null, "opened_by": null, "failures": 0, "next_probe_at": null,
        },
        "timeout_ms": 15_000,
        "state": "enabled",
        "created_at": START,
    });
    assert_eq!((made.status, &made.body), (201, &want));

    world.pass(60);
    let urls = json!({
        "sep6": "https://wallet.example.com/6",
        "sep12": "https://wallet.example.com:8443/12",
        "sep24": "https://wallet.example.com/24",
        "sep31": "https://wallet.example.com/31",
    });
    let body = json!({
        "domains": ["Wallet.Example.com", "b.example:8000"],
        "signing_keys": [KEY],
        "callback_urls": urls,
        "signed_host": "name_only",
        "latest_only": true,
        "retry": {"policy": "linear", "step_s": 10, "max_retry": 3},
        "breaker": "off",
        "timeout_ms": 5000,
        "state": "disabled",
    });
    let replaced = world.put(LOBBY, body).await;
    for (field, value) in [
        ("domains", json!(["b.example:8000", "wallet.example.com"])),
        ("signing_keys", json!([KEY])),
        ("callback_urls", urls),
        ("signed_host", json!("name_only")),
        ("latest_only", json!(true)),
        (
            "retry",
            json!({"policy": "linear", "step_s": 10, "max_retry": 3}),
        ),
        ("breaker", json!("off")),
        ("timeout_ms", json!(5000)),
        ("state", json!("disabled")),
    ] {
        want[field] = value;
    }
    assert_eq!((replaced.status, &replaced.body), (200, &want));
    assert_eq!(world.get(LOBBY).await.body, want);
    let listed = world.get("/v1/tenants/acme/clients").await;
    assert_eq!(listed.body, json!({"data": [want], "next_cursor": null}));

    let kept = world.put(LOBBY, lobby(json!({}))).await;
    assert_eq!(kept.at("/state"), "disabled", "left out, it stays");
    assert_eq!(kept.at("/latest_only"), false, "all else is replaced");
    assert_eq!(world.delete(LOBBY).await.status, 204);
    assert_eq!(world.delete(LOBBY).await.problem(), missing);
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let place = "must be a domain such as `wallet.example.com`, without scheme and path";
    let cases = [
        (
            json!({"domains": []}),
            "`domains`: must name at least one, or `signing_keys` must: nobody could sign in as the client".to_owned(),
        ),
        (
            json!({"domains": ["ok.example", "https://wallet.example.com"]}),
            format!("`domains[1]`: {place}"),
        ),
        (
            json!({"domains": vec!["a.example"; 51]}),
            "`domains`: must hold at most 50".to_owned(),
        ),
        (
            json!({"signing_keys": ["SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI"]}),
            "`signing_keys[0]`: must be a Stellar public key: `G` and 55 more characters, with its checksum".to_owned(),
        ),
        (
            json!({"callback_urls": {"sep6": "http://wallet.example.com/"}}),
            "`callback_urls.sep6`: must be an https URL".to_owned(),
        ),
        (
            json!({"callback_urls": {"sep12": "https://10.0.0.1/"}}),
            "`callback_urls.sep12`: must not lead to a private, local or reserved address".to_owned(),
        ),
        (
            json!({"callback_urls": {"sep10": "https://wallet.example.com/"}}),
            "`callback_urls.sep10`: is not known here; expected is one of `sep6`, `sep12`, `sep24`, `sep31`".to_owned(),
        ),
        (
            json!({"signed_host": "hush"}),
            "`signed_host`: must be `as_sent` or `name_only`".to_owned(),
        ),
        (
            json!({"timeout_ms": 20_001}),
            "`timeout_ms`: must be 100 to 20000 milliseconds".to_owned(),
        ),
        (
            json!({"retry": {"policy": "ladder", "waits_s": [0]}}),
            "`retry`: every wait must be 1 to 604800 seconds".to_owned(),
        ),
        (
            json!({"state": "gone"}),
            "`state`: must be `enabled` or `disabled`".to_owned(),
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (more, detail) in cases {
        let answer = world.put(LOBBY, lobby(more.clone())).await;
        assert_eq!(answer.problem(), (422, detail), "{more}");
    }
    let answer = world
        .put("/v1/tenants/acme/clients/a%23", lobby(json!({})))
        .await;
    assert_eq!(answer.problem().0, 400);
    assert_eq!(
        world.get("/v1/tenants/acme/clients").await.at("/data"),
        json!([])
    );
}

#[tokio::test]
async fn what_a_client_is_known_by_is_no_other_clients_of_the_tenant() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.tenant("rival").await;
    let body = || json!({"domains": ["wallet.example.com"], "signing_keys": [KEY]});
    assert_eq!(world.put(LOBBY, body()).await.status, 201);
    assert_eq!(world.put(LOBBY, body()).await.status, 200, "its own");
    const OTHER: &str = "/v1/tenants/acme/clients/other";
    let cases = [
        (json!({"domains": ["WALLET.example.com"]}), "domains"),
        (json!({"signing_keys": [KEY]}), "signing_keys"),
    ];
    for (body, field) in cases {
        let answer = world.put(OTHER, body).await;
        let detail = format!("`{field}`: must hold none of the client `lobby`");
        assert_eq!(answer.problem(), (422, detail));
    }
    let elsewhere = world.put("/v1/tenants/rival/clients/other", body()).await;
    assert_eq!(elsewhere.status, 201, "tenants are judged one by one");
}

#[tokio::test]
async fn an_endpoint_and_a_client_never_share_a_name() {
    const ENDPOINT: &str = "/v1/tenants/acme/endpoints/lobby";
    let taken = || {
        let detail =
            "Endpoints and wallet clients of a tenant share their names; choose another one.";
        (409, detail.to_owned())
    };
    let endpoint =
        || json!({"url": "https://shop.example/", "role": "merchant", "scheme": "rafiki"});
    let world = World::start().await;
    world.tenant("acme").await;
    assert_eq!(world.put(LOBBY, lobby(json!({}))).await.status, 201);
    assert_eq!(world.put(ENDPOINT, endpoint()).await.problem(), taken());
    assert_eq!(world.get(ENDPOINT).await.status, 404);
    assert_eq!(world.delete(LOBBY).await.status, 204);
    assert_eq!(world.put(ENDPOINT, endpoint()).await.status, 201);
    assert_eq!(world.put(LOBBY, lobby(json!({}))).await.problem(), taken());
    assert_eq!(world.get(LOBBY).await.status, 404);
}
