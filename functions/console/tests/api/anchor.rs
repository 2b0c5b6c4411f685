//! How a tenant's anchor is set up: made, replaced, told without its secrets, removed; and its signing keys.

use serde_json::{Value, json};

use crate::support::{START, World};

const ANCHOR: &str = "/v1/tenants/acme/anchor";
const SIGNING_KEY: &str = "/v1/tenants/acme/anchor/signing-key";
const ROTATE: &str = "/v1/tenants/acme/anchor/signing-key/rotate";

const BUSINESS: &str = "9f2c1b7e4a6d8035c1e7f9a2b4d6e8f0";
const RPC: &str = "1c3e5a7092b4d6f8e0a2c4b6d8f0e1a3";
const SEP10: &str = "7b5d3f1e9c8a6042d4f6b8e0a1c3e5d7";

// Bytes 00 to 1f, and SEP-10's own example.
const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
const PUBLIC: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";

/// The body of settings with `more`.
fn anchor(more: Value) -> Value {
    let mut body = json!({
        "business_server": {"base_url": "https://business.anchor.example/cb", "auth": {"type": "none"}},
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

fn business(auth: &Value) -> Value {
    json!({"business_server": {"base_url": "https://business.anchor.example/cb", "auth": auth}})
}

#[tokio::test]
async fn an_anchor_is_set_up_replaced_read_and_removed_and_tells_no_secret() {
    let world = World::start().await;
    let missing = (404, "There is no tenant `acme` here.".to_owned());
    assert_eq!(
        world.put(ANCHOR, anchor(json!({}))).await.problem(),
        missing
    );
    world.tenant("acme").await;
    let missing = (404, "There is no anchor of tenant `acme` here.".to_owned());
    assert_eq!(world.get(ANCHOR).await.problem(), missing);

    let made = world.put(ANCHOR, anchor(json!({}))).await;
    let want = json!({
        "business_server": {"base_url": "https://business.anchor.example/cb", "auth": {"type": "none"}},
        "has_rpc_secret": false,
        "sep10": null,
        "status_map": "sep6",
        "erase_payloads": "with_event",
        "created_at": START,
    });
    assert_eq!((made.status, &made.body), (201, &want));

    world.pass(60);
    let issuer = "https://anchor.example/auth";
    let more = json!({
        "business_server": {
            "base_url": "https://business.anchor.example/cb",
            "auth": {"type": "jwt", "secret": BUSINESS},
        },
        "rpc_secret": RPC,
        "sep10": {"issuer": issuer, "audience": "anchor", "secret": SEP10},
        "status_map": "anchor_platform",
        "erase_payloads": "after_delivery",
    });
    let replaced = world.put(ANCHOR, more).await;
    let want = json!({
        "business_server": {"base_url": "https://business.anchor.example/cb", "auth": {"type": "jwt"}},
        "has_rpc_secret": true,
        "sep10": {"issuer": issuer, "audience": "anchor"},
        "status_map": "anchor_platform",
        "erase_payloads": "after_delivery",
        "created_at": START,
    });
    assert_eq!((replaced.status, &replaced.body), (200, &want));
    let read = world.get(ANCHOR).await;
    assert_eq!(read.body, want);
    let kept = world.dump().await;
    for secret in [BUSINESS, RPC, SEP10] {
        assert!(!replaced.raw.contains(secret) && !read.raw.contains(secret));
        assert!(!kept.contains(secret), "it rests sealed");
    }

    let key = json!({"type": "api_key", "key": "4dR7uGmAZq0vXw2c"});
    let replaced = world.put(ANCHOR, business(&key)).await;
    let auth = json!({"type": "api_key", "header": "X-Api-Key"});
    assert_eq!(replaced.at("/business_server/auth"), auth);
    assert_eq!(
        replaced.at("/has_rpc_secret"),
        false,
        "all of it is replaced"
    );

    assert_eq!(world.delete(ANCHOR).await.status, 204);
    assert_eq!(world.delete(ANCHOR).await.problem(), missing);
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let url = |url: &str| json!({"business_server": {"base_url": url, "auth": {"type": "none"}}});
    let short = "must be at least 32 bytes long for HS256";
    let differ = "must differ from the other secrets: a token that a wallet was given would open what they protect";
    let sep10 = |secret: &str| json!({"issuer": "i", "secret": secret});
    let free = "must be the name of a header that is free for a key, such as `X-Api-Key`";
    let cases = [
        (
            url("http://business.anchor.example"),
            "`business_server.base_url`: must be an https URL".to_owned(),
        ),
        (
            url("https://business.anchor.example/?a=b"),
            "`business_server.base_url`: must have no query and no fragment".to_owned(),
        ),
        (
            business(&json!({"type": "hush"})),
            "`business_server.auth.type`: must be one of `none`, `api_key`, `jwt`".to_owned(),
        ),
        (
            business(&json!({"type": "api_key"})),
            "`business_server.auth.key`: is missing".to_owned(),
        ),
        (
            business(&json!({"type": "api_key", "key": "short"})),
            "`business_server.auth.key`: must be 16 to 256 characters".to_owned(),
        ),
        (
            business(&json!({"type": "api_key", "key": "4dR7uGmAZq0vXw2cü"})),
            "`business_server.auth.key`: must be printable ASCII".to_owned(),
        ),
        (
            business(&json!({"type": "api_key", "header": "Host", "key": "4dR7uGmAZq0vXw2c"})),
            format!("`business_server.auth.header`: {free}"),
        ),
        (
            business(&json!({"type": "api_key", "header": "a b", "key": "4dR7uGmAZq0vXw2c"})),
            format!("`business_server.auth.header`: {free}"),
        ),
        (
            business(&json!({"type": "jwt", "secret": "4dR7uGmAZq0vXw2c"})),
            format!("`business_server.auth.secret`: {short}"),
        ),
        (
            json!({"rpc_secret": "4dR7uGmAZq0vXw2c"}),
            format!("`rpc_secret`: {short}"),
        ),
        (
            json!({"rpc_secret": "secret-secret-secret-secret-secret"}),
            "`rpc_secret`: must not be a default or placeholder; draw it at random".to_owned(),
        ),
        (
            json!({"sep10": sep10("short")}),
            format!("`sep10.secret`: {short}"),
        ),
        (
            json!({"sep10": {"issuer": "", "secret": SEP10}}),
            "`sep10.issuer`: must be 1 to 512 characters, none of them a control character"
                .to_owned(),
        ),
        (
            json!({"sep10": {"issuer": "i", "audience": "a\n", "secret": SEP10}}),
            "`sep10.audience`: must be 1 to 512 characters, none of them a control character"
                .to_owned(),
        ),
        (
            json!({"rpc_secret": SEP10, "sep10": sep10(SEP10)}),
            format!("`sep10.secret`: {differ}"),
        ),
        (
            json!({
                "business_server": business(&json!({"type": "jwt", "secret": SEP10}))["business_server"],
                "sep10": sep10(SEP10),
            }),
            format!("`sep10.secret`: {differ}"),
        ),
        (
            json!({"status_map": "hush"}),
            "`status_map`: must be `sep6` or `anchor_platform`".to_owned(),
        ),
        (
            json!({"erase_payloads": "never"}),
            "`erase_payloads`: must be `with_event` or `after_delivery`".to_owned(),
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (more, detail) in cases {
        let answer = world.put(ANCHOR, anchor(more.clone())).await;
        assert_eq!(answer.problem(), (422, detail), "{more}");
        assert!(!answer.raw.contains(SEP10), "{answer:?}");
    }
    assert_eq!(world.get(ANCHOR).await.status, 404, "nothing was kept");
}

#[tokio::test]
async fn the_first_signing_key_is_given_or_made_and_its_seed_is_shown_only_when_made() {
    let world = World::start().await;
    world.tenant("acme").await;
    let missing = (
        404,
        "There is no signing key `SIGNING_KEY` here.".to_owned(),
    );
    assert_eq!(world.get(SIGNING_KEY).await.problem(), missing);
    assert_eq!(world.post(ROTATE, json!({})).await.problem(), missing);
    for wrong in [PUBLIC, "S", ""] {
        let refused = world.put(SIGNING_KEY, json!({"seed": wrong})).await;
        let rule = "must be a Stellar secret seed: `S` and 55 more characters, with its checksum";
        assert_eq!(refused.problem(), (422, format!("`seed`: {rule}")));
    }

    let given = world.put(SIGNING_KEY, json!({"seed": SEED})).await;
    let line = format!("SIGNING_KEY=\"{PUBLIC}\"");
    let want = json!({"public_key": PUBLIC, "stellar_toml": line, "next": null});
    assert_eq!((given.status, &given.body), (201, &want));
    assert_eq!(world.get(SIGNING_KEY).await.body, want);
    assert!(!world.dump().await.contains(SEED), "it rests sealed");
    let again = world.put(SIGNING_KEY, json!({})).await;
    let detail = "Wallets know the signing key there is; announce the next one with `POST .../anchor/signing-key/rotate`.";
    assert_eq!(again.problem(), (409, detail.to_owned()));
    assert_eq!(world.get(SIGNING_KEY).await.body, want);

    assert_eq!(world.delete(SIGNING_KEY).await.status, 204);
    assert_eq!(world.delete(SIGNING_KEY).await.problem(), missing);
    let made = world.put(SIGNING_KEY, json!({})).await;
    let seed = made.text("/seed");
    assert_eq!((made.status, seed.len()), (201, 56));
    let read = world.get(SIGNING_KEY).await;
    assert_eq!(read.at("/public_key"), made.at("/public_key"));
    assert!(!read.raw.contains(&seed) && !world.dump().await.contains(&seed));
    // The seed that was told is the one that signs.
    world.delete(SIGNING_KEY).await;
    let given = world.put(SIGNING_KEY, json!({"seed": seed})).await;
    assert_eq!(given.at("/public_key"), made.at("/public_key"));
}

#[tokio::test]
async fn the_next_signing_key_is_announced_and_signs_from_its_time_on() {
    let world = World::start().await;
    world.tenant("acme").await;
    world.put(SIGNING_KEY, json!({"seed": SEED})).await;
    let same = world.post(ROTATE, json!({"seed": SEED})).await;
    let rule = "must differ from that of the key that signs now";
    assert_eq!(same.problem(), (422, format!("`seed`: {rule}")));
    let refused = [
        (
            "tomorrow",
            "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)",
        ),
        ("2027-03-01T00:00:00Z", "must be at most 90 days from now"),
    ];
    for (from, rule) in refused {
        let refused = world.post(ROTATE, json!({"from": from})).await;
        assert_eq!(refused.problem(), (422, format!("`from`: {rule}")));
    }

    let announced = world.post(ROTATE, json!({})).await;
    let next = announced.text("/next/public_key");
    assert_eq!(announced.status, 200);
    assert_eq!(announced.text("/seed").len(), 56);
    assert_eq!(announced.at("/public_key"), PUBLIC);
    assert_eq!(announced.at("/next/from"), "2026-11-23T09:00:00.000Z");
    let line = format!("SIGNING_KEY=\"{next}\"");
    assert_eq!(announced.at("/next/stellar_toml"), line);

    let from = "2026-11-22T10:00:00Z";
    let instead = world.post(ROTATE, json!({"from": from})).await;
    let last = instead.text("/next/public_key");
    assert_ne!(last, next, "what does not sign yet is replaced");
    world.pass(3599);
    assert_eq!(world.get(SIGNING_KEY).await.at("/public_key"), PUBLIC);
    world.pass(1);
    let read = world.get(SIGNING_KEY).await;
    assert_eq!(read.text("/public_key"), last);
    assert_eq!(read.at("/next"), Value::Null);

    let at_once = world
        .post(ROTATE, json!({"seed": SEED, "from": from}))
        .await;
    assert_eq!((at_once.status, at_once.at("/seed")), (200, Value::Null));
    assert_eq!(at_once.at("/public_key"), PUBLIC, "its time is over");
}
