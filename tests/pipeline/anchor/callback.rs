//! The URLs that wallets put for single customers: who may, for whom, and how long they are told.

use anyhow::{Result, ensure};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use shared::customer::{AnchorSettings, Callbacks, Client, Sep10};
use shared::delivery::Failure;
use shared::secret::Secret;
use shared::time::Clock;
use tests::scene::Answer;

use super::business::{Said, answers, body, says};
use super::{ISSUER, KIOSK_KEY, SEP10_SECRET, Stage, client, deposit, of, settings, url_of};
use crate::text;

/// An account of a user of `lobby`.
const USER: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";
/// SEP-23's example: [`KIOSK_KEY`] with an id.
const MUXED: &str = "MA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVAAAAAAAAAAAAAJLK";
/// Its id.
const MUXED_ID: &str = "9223372036854775808";
/// Where a wallet wants to hear of a customer.
const OWN_URL: &str = "https://wallet.example/kyc/1";

/// A token of the SEP-10 server, of which `more` says more or otherwise.
fn token(stage: &Stage, secret: &str, more: Value) -> Result<String> {
    let now = stage.scene.clock.now().as_second();
    let mut claims = json!({
        "iss": ISSUER, "sub": USER, "client_domain": "lobby.example", "iat": now, "exp": now + 24 * 3600,
    });
    if let (Some(claims), Value::Object(more)) = (claims.as_object_mut(), more) {
        claims.extend(more);
        claims.retain(|_, value| !value.is_null());
    }
    let key = EncodingKey::from_secret(secret.as_bytes());
    Ok(encode(&Header::new(Algorithm::HS256), &claims, &key)?)
}

/// Puts a URL with a token; `None`: without.
async fn put_with(stage: &Stage, token: Option<&str>, body: &Value) -> Result<Answer> {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    stage
        .send("PUT", "customer/callback", &headers, &body.to_string())
        .await
}

/// Puts a URL as the user of `lobby`.
async fn put(stage: &Stage, body: &Value) -> Result<Answer> {
    let token = token(stage, SEP10_SECRET, json!({}))?;
    put_with(stage, Some(&token), body).await
}

/// The wallet of a client puts a URL for a customer, who is its own.
pub(super) async fn registers(
    stage: &Stage,
    client: &str,
    customer: &str,
    url: &str,
) -> Result<()> {
    let claims = match client {
        "kiosk" => json!({ "sub": KIOSK_KEY, "client_domain": null }),
        client => json!({ "client_domain": format!("{client}.example") }),
    };
    let account = if client == "kiosk" { KIOSK_KEY } else { USER };
    stage.business.is(account, [says(customer, "PROCESSING")]);
    let token = token(stage, SEP10_SECRET, claims)?;
    let body = json!({ "url": url, "id": customer });
    let answer = put_with(stage, Some(&token), &body).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
    Ok(())
}

/// A stage whose business server knows the customer `cus_1` of [`USER`], in a status.
async fn stage(status: &str) -> Result<Stage> {
    let stage = Stage::start().await?;
    stage.customer_is("cus_1", status);
    stage.business.is(USER, [says("cus_1", status)]);
    stage.put("tx-1", &deposit(json!({}))).await?;
    Ok(stage)
}

#[tokio::test]
async fn only_a_token_of_the_anchors_sep_10_server_and_of_a_client_is_taken() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    stage.business.is(KIOSK_KEY, [says("cus_2", "NEEDS_INFO")]);
    stage.business.is(MUXED, [says("cus_3", "NEEDS_INFO")]);
    let now = stage.scene.clock.now().as_second();
    let other = "x".repeat(32);
    let no_domain = json!({ "client_domain": null });
    let cases = [
        ("of the wallet's domain", SEP10_SECRET, json!({}), 200),
        (
            "in capitals",
            SEP10_SECRET,
            json!({ "client_domain": "Lobby.Example" }),
            200,
        ),
        (
            "with a memo",
            SEP10_SECRET,
            json!({ "sub": format!("{USER}:42") }),
            200,
        ),
        (
            "of a custodial wallet's account",
            SEP10_SECRET,
            json!({ "sub": KIOSK_KEY, "client_domain": null }),
            200,
        ),
        (
            "muxed",
            SEP10_SECRET,
            json!({ "sub": MUXED, "client_domain": null }),
            200,
        ),
        ("of nobody", SEP10_SECRET, no_domain, 403),
        (
            "of another domain",
            SEP10_SECRET,
            json!({ "client_domain": "evil.example" }),
            403,
        ),
        (
            "of another issuer",
            SEP10_SECRET,
            json!({ "iss": "https://evil.example/auth" }),
            401,
        ),
        ("of no issuer", SEP10_SECRET, json!({ "iss": null }), 401),
        ("expired", SEP10_SECRET, json!({ "exp": now - 60 }), 401),
        ("without an end", SEP10_SECRET, json!({ "exp": null }), 401),
        ("of later", SEP10_SECRET, json!({ "iat": now + 120 }), 401),
        ("of another secret", &other, json!({}), 401),
        (
            "of no account",
            SEP10_SECRET,
            json!({ "sub": "cus_1" }),
            401,
        ),
        (
            "of a text as memo",
            SEP10_SECRET,
            json!({ "sub": format!("{USER}:me") }),
            401,
        ),
    ];
    let url = json!({ "url": OWN_URL });
    for (name, secret, claims, want) in cases {
        let asked = stage.business.calls().len();
        let token = token(&stage, secret, claims)?;
        let answer = put_with(&stage, Some(&token), &url).await?;
        assert_eq!(answer.status, want, "{name}: {}", answer.body);
        assert!(!answer.body.contains(&token), "{name}");
        let asks = stage.business.calls().len() - asked;
        assert_eq!(asks, usize::from(want == 200), "{name}");
    }
    let keys = [None, Some(stage.key.as_str()), Some("a.b.c")];
    for key in keys {
        let answer = put_with(&stage, key, &url).await?;
        assert_eq!(answer.status, 401, "{key:?}");
    }
    for (sep10, want) in [
        (None, 401),
        (
            Some(Sep10 {
                issuer: ISSUER.to_owned(),
                audience: Some("us".to_owned()),
                secret: Secret::new(SEP10_SECRET),
            }),
            401,
        ),
    ] {
        stage
            .configure(&AnchorSettings {
                sep10,
                ..settings()?
            })
            .await?;
        assert_eq!(put(&stage, &url).await?.status, want);
    }
    let token = token(&stage, SEP10_SECRET, json!({ "aud": "us" }))?;
    let answer = put_with(&stage, Some(&token), &url).await?;
    assert_eq!(answer.status, 200);
    Ok(())
}

#[tokio::test]
async fn the_business_server_is_asked_whose_customer_it_is() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    stage.business.is(MUXED, [says("cus_1", "NEEDS_INFO")]);
    let memo = format!("{USER}:42");
    let cases = [
        (USER, json!({}), format!("account={USER}")),
        (
            &memo,
            json!({ "memo": "42" }),
            format!("account={USER}&memo=42&memo_type=id"),
        ),
        (
            MUXED,
            json!({ "memo": MUXED_ID, "memo_type": "id", "account": MUXED }),
            format!("account={MUXED}"),
        ),
        (USER, json!({ "id": "cus_1" }), format!("account={USER}")),
        (USER, json!({ "account": USER }), format!("account={USER}")),
    ];
    for (sub, more, query) in cases {
        let mut body = json!({ "url": OWN_URL });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        let token = token(&stage, SEP10_SECRET, json!({ "sub": sub }))?;
        let answer = put_with(&stage, Some(&token), &body).await?;
        assert_eq!(answer.status, 200, "{body}: {}", answer.body);
        assert_eq!(stage.business.queries().pop(), Some(query), "{body}");
    }
    Ok(())
}

#[tokio::test]
async fn a_form_is_taken_as_well_as_json() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    let bearer = format!("Bearer {}", token(&stage, SEP10_SECRET, json!({}))?);
    let form = |media: &'static str| [("authorization", bearer.as_str()), ("content-type", media)];
    let url = "url=https%3A%2F%2Fwallet.example%2Fkyc%2F1&id=cus_1&other=x";
    for media in [
        "application/x-www-form-urlencoded",
        "Application/X-WWW-Form-Urlencoded; charset=UTF-8",
    ] {
        let answer = stage
            .send("PUT", "customer/callback", &form(media), url)
            .await?;
        assert_eq!(answer.status, 200, "{media}: {}", answer.body);
    }
    let answer = stage
        .send("PUT", "customer/callback", &form("text/plain"), url)
        .await?;
    assert_eq!(answer.status, 415);
    let part = |name: &str, value: &str| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts = part("url", OWN_URL) + &part("id", "cus_1") + &part("other", "x") + "--x--\r\n";
    let multipart = form("multipart/form-data; boundary=x");
    for (body, status) in [("no parts", 400), ("", 400), (parts.as_str(), 200)] {
        let answer = stage
            .send("PUT", "customer/callback", &multipart, body)
            .await?;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(OWN_URL)?, ["NEEDS_INFO"]);
    Ok(())
}

#[tokio::test]
async fn a_field_that_is_not_right_is_named_and_nobody_is_asked() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    let long = format!("https://a.example/{}", "x".repeat(2048));
    let cases = [
        (json!({}), "url"),
        (json!({ "url": "" }), "url"),
        (json!({ "url": null }), "url"),
        (json!({ "url": 7 }), "url"),
        (json!({ "url": "wallet.example/kyc" }), "url"),
        (json!({ "url": "https://10.0.0.1/" }), "url"),
        (json!({ "url": "https://169.254.169.254/latest" }), "url"),
        (json!({ "url": "https://[::ffff:10.0.0.1]/" }), "url"),
        (json!({ "url": "https://me:pw@wallet.example/" }), "url"),
        (json!({ "url": long }), "url"),
        (json!({ "url": OWN_URL, "account": KIOSK_KEY }), "account"),
        (json!({ "url": OWN_URL, "memo": "42" }), "memo"),
        (json!({ "url": OWN_URL, "memo_type": "text" }), "memo_type"),
        (json!({ "url": OWN_URL, "id": "" }), "id"),
        (json!({ "url": OWN_URL, "id": "a b" }), "id"),
    ];
    for (body, field) in cases {
        let answer = put(&stage, &body).await?;
        let detail = text(&answer.json(), "/detail");
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
        assert!(detail.contains(&format!("`{field}`")), "{body}: {detail}");
    }
    let token = token(&stage, SEP10_SECRET, json!({ "sub": format!("{USER}:42") }))?;
    let others = json!({ "url": OWN_URL, "memo": "43" });
    let answer = put_with(&stage, Some(&token), &others).await?;
    assert_eq!(answer.status, 400, "another user's memo");
    for body in ["", "[]", "{\"url\""] {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let answer = stage
            .send("PUT", "customer/callback", &headers, body)
            .await?;
        assert_eq!(answer.status, 400, "{body:?}");
    }
    assert!(stage.business.calls().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_customer_that_the_business_server_does_not_confirm_is_not_registered() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    let cases: [(Said, u16); 10] = [
        (says("cus_2", "NEEDS_INFO"), 404),
        (answers(404, r#"{"error":"not found"}"#), 404),
        (answers(200, r#"{"status":"NEEDS_INFO"}"#), 404),
        (answers(400, r#"{"error":"no type"}"#), 400),
        (answers(200, "[]"), 503),
        (answers(200, r#"["cus_1"]"#), 503),
        (answers(200, "<html>"), 503),
        (answers(500, ""), 503),
        (answers(401, ""), 503),
        (Err(Failure::Timeout), 503),
    ];
    for (said, want) in cases {
        let shown = format!("{said:?}");
        stage.business.is(USER, [said]);
        let answer = put(&stage, &json!({ "url": OWN_URL, "id": "cus_1" })).await?;
        assert_eq!(answer.status, want, "{shown}: {}", answer.body);
    }
    stage.customer_is("cus_1", "NEEDS_INFO");
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.settle().await?;
    assert!(stage.told_at(OWN_URL)?.is_empty());
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["NEEDS_INFO"]);
    Ok(())
}

#[tokio::test]
async fn a_put_url_is_told_until_the_verdict_and_again_once_it_is_put_again() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    let step = async |status: &str| -> Result<()> {
        stage.customer_is("cus_1", status);
        // It goes on whatever the customer's status was.
        let id = format!("tx-{}", stage.business.calls().len());
        stage.put(&id, &deposit(json!({}))).await?;
        let mut params = of(&id, "cus_1");
        if let Some(params) = params.as_object_mut() {
            params.insert("message".to_owned(), json!("m"));
        }
        let got = stage.notify(params).await?;
        assert!(!got.starts_with('-'), "{status}: {got}");
        stage.scene.settle().await
    };
    for verdict in ["ACCEPTED", "REJECTED"] {
        assert_eq!(put(&stage, &json!({ "url": OWN_URL })).await?.status, 200);
        step("NEEDS_INFO").await?;
        step("PROCESSING").await?;
        step(verdict).await?;
        // The verdict was told: from here on the client's own URL is told.
        step("PROCESSING").await?;
    }
    let round = |verdict| ["NEEDS_INFO", "PROCESSING", verdict];
    let own = [round("ACCEPTED"), round("REJECTED")].concat();
    assert_eq!(stage.told_at(OWN_URL)?, own);
    assert_eq!(
        stage.told_at(&url_of("lobby", 12))?,
        ["PROCESSING", "PROCESSING"]
    );
    // All of it is one line: no URL hears of an older status after a newer one.
    let numbers: Vec<_> = stage
        .recorded()
        .await?
        .iter()
        .filter_map(|it| {
            let callback = it.recipients.callback()?;
            (it.event.resource.as_deref() == Some("cus_1")).then_some(callback.number)
        })
        .collect();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=8).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_verdict_in_one_type_ends_what_is_told_of_that_type_alone() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    stage.put("tx-2", &deposit(json!({}))).await?;
    put(&stage, &json!({ "url": OWN_URL })).await?;
    let in_type = |id: &str, kind: Value| json!({ "transaction_id": id, "customer_id": "cus_1", "customer_type": kind });
    stage.customer_is("cus_1", "ACCEPTED");
    stage.notify(in_type("tx-1", json!("sep6"))).await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    stage.notify(in_type("tx-1", json!("sep6"))).await?;
    stage.notify(in_type("tx-2", json!("sep31-sender"))).await?;
    stage.customer_is("cus_1", "PROCESSING");
    stage.notify(in_type("tx-2", json!(null))).await?;
    stage.scene.settle().await?;
    let mut own = stage.told_at(OWN_URL)?;
    own.sort();
    assert_eq!(own, ["ACCEPTED", "NEEDS_INFO", "PROCESSING"]);
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["NEEDS_INFO"]);
    Ok(())
}

#[tokio::test]
async fn a_put_url_hears_of_a_status_and_the_clients_own_of_other_fields_too() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    put(&stage, &json!({ "url": OWN_URL })).await?;
    stage.notify(of("tx-1", "cus_1")).await?;
    let more = body("cus_1", "NEEDS_INFO").replace('}', r#","fields":{}}"#);
    stage.business.is("cus_1", [answers(200, &more)]);
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(OWN_URL)?, ["NEEDS_INFO"]);
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["NEEDS_INFO"]);
    // A client without a URL of its own hears of nothing but the status.
    stage
        .put_client(Client {
            callbacks: Callbacks::default(),
            ..client("lobby")?
        })
        .await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.customer_is("cus_1", "PROCESSING");
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(OWN_URL)?, ["NEEDS_INFO", "PROCESSING"]);
    Ok(())
}

#[tokio::test]
async fn the_newest_url_is_told_and_what_another_client_put_never() -> Result<()> {
    let stage = stage("NEEDS_INFO").await?;
    stage.business.is(KIOSK_KEY, [says("cus_1", "NEEDS_INFO")]);
    let others = token(
        &stage,
        SEP10_SECRET,
        json!({ "sub": KIOSK_KEY, "client_domain": null }),
    )?;
    let spy = json!({ "url": "https://spy.example/kyc" });
    assert_eq!(put_with(&stage, Some(&others), &spy).await?.status, 200);
    for url in ["https://wallet.example/kyc/0", OWN_URL] {
        assert_eq!(put(&stage, &json!({ "url": url })).await?.status, 200);
    }
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.pass(SignedDuration::from_mins(2)).await?;
    let urls: Vec<_> = stage.told()?.into_iter().map(|told| told.url).collect();
    let mut urls: Vec<_> = urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    assert_eq!(urls, [url_of("lobby", 6).as_str(), OWN_URL]);
    Ok(())
}
