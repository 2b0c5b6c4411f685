//! The question to the business server: how it is asked, and that without a usable answer nobody is told of anything.

use anyhow::{Context, Result};
use data_encoding::BASE64URL_NOPAD;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::{AnchorSettings, BusinessAuth, BusinessServer};
use shared::delivery::Failure;
use shared::ids::TenantId;
use shared::secret::Secret;
use shared::store::AnchorAdmin;
use shared::time::Clock;
use shared::transport::Answer;
use tests::stories::TENANT;

use super::business::{Said, answers, body, says};
use super::rpc::stage;
use super::{BUSINESS_URL, of, settings};
use crate::text;

#[tokio::test]
async fn without_a_usable_answer_nothing_changes_and_nobody_is_told() -> Result<()> {
    let stage = stage().await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    assert_eq!(
        stage.notify(of("tx-1", "cus_1")).await?,
        "pending_customer_info_update"
    );
    stage.scene.settle().await?;
    let (before, told) = (stage.transaction("tx-1").await?, stage.told()?);
    let recorded = stage.recorded().await?;
    assert_eq!((recorded.len(), told.len()), (2, 2));
    let long = Answer {
        whole: false,
        ..Answer::of(200, body("cus_1", "ACCEPTED"))
    };
    let failed = |failure| Err(failure);
    let unusable = "the business server's answer";
    let cases: [(Said, &str); 18] = [
        (
            answers(400, r#"{"error":"no type\nsep6"}"#),
            "-32602 the business server refuses: no type sep6",
        ),
        (
            answers(422, r#"{"error":"which customer?"}"#),
            "-32602 the business server refuses: which customer?",
        ),
        (
            answers(400, "<html>"),
            "-32602 the business server refuses: it does not say why",
        ),
        (
            answers(404, "{}"),
            "-32603 the business server knows no such customer",
        ),
        (
            answers(401, "{}"),
            "-32603 the business server answered 401",
        ),
        (
            answers(500, "{}"),
            "-32603 the business server answered 500",
        ),
        (
            answers(201, &body("cus_1", "ACCEPTED")),
            "-32603 the business server answered 201",
        ),
        (answers(302, ""), "-32603 the business server answered 302"),
        (
            failed(Failure::Timeout),
            "-32603 the business server could not be asked (timeout)",
        ),
        (
            failed(Failure::Blocked),
            "-32603 the business server could not be asked (blocked)",
        ),
        (
            Ok(long),
            "-32603 the business server's answer is longer than 196608 bytes",
        ),
        (answers(200, "ACCEPTED"), unusable),
        (answers(200, r#"["cus_1","ACCEPTED",null]"#), unusable),
        (answers(200, r#"{"status":"ACCEPTED"}"#), unusable),
        (says("cus_2", "ACCEPTED"), unusable),
        (says("cus_1", "ACCEPTED_PARTIALLY"), unusable),
        (answers(200, r#"{"id":"cus_1"}"#), unusable),
        (
            answers(
                200,
                r#"{"id":"cus_1","status":"ACCEPTED","status":"REJECTED"}"#,
            ),
            unusable,
        ),
    ];
    for (said, want) in cases {
        let shown = format!("{said:?}");
        stage.business.is("cus_1", [said]);
        let got = stage.notify(of("tx-1", "cus_1")).await?;
        if want == unusable {
            assert!(got.starts_with(&format!("-32603 {want}")), "{shown}: {got}");
        } else {
            assert_eq!(got, want, "{shown}");
        }
        assert!(
            !got.contains("ACCEPTED_PARTIALLY"),
            "nothing of the answer is told"
        );
        assert_eq!(stage.transaction("tx-1").await?, before, "{shown}");
        stage.scene.pass(SignedDuration::from_mins(2)).await?;
        assert_eq!(stage.recorded().await?, recorded, "{shown}");
        assert_eq!(stage.told()?, told, "{shown}");
    }
    // What it could not say is no news afterwards either.
    stage.customer_is("cus_1", "NEEDS_INFO");
    assert_eq!(
        stage.notify(of("tx-1", "cus_1")).await?,
        "pending_customer_info_update"
    );
    assert_eq!(stage.transaction("tx-1").await?, before);
    assert_eq!(stage.recorded().await?, recorded);
    Ok(())
}

#[tokio::test]
async fn an_anchor_that_is_not_set_up_is_an_error() -> Result<()> {
    let stage = stage().await?;
    let tenant = TenantId::parse(TENANT)?;
    stage.scene.store().delete_anchor(&tenant).await?;
    let got = stage.notify(of("tx-1", "cus_1")).await?;
    let want = "-32603 the tenant's anchor is not set up: its business server is not known";
    assert_eq!(got, want);
    let got = stage.notify(json!({ "transaction_id": "tx-1" })).await?;
    assert_eq!(got, "pending_anchor", "nobody has to be asked");
    Ok(())
}

#[tokio::test]
async fn the_business_server_is_asked_for_the_customer_as_it_knows_us() -> Result<()> {
    let secret = "what the business server and we know: 32 bytes";
    let auths = [
        BusinessAuth::None,
        BusinessAuth::ApiKey {
            header: "X-Platform-Key".to_owned(),
            key: Secret::new("k3y"),
        },
        BusinessAuth::Jwt {
            secret: Secret::new(secret),
        },
    ];
    let stage = stage().await?;
    stage
        .business
        .is("cus%261%3D%25%2F", [says("cus&1=%/", "PROCESSING")]);
    for auth in auths {
        let server = BusinessServer {
            base_url: format!("{BUSINESS_URL}/"),
            auth: auth.clone(),
        };
        stage
            .configure(&AnchorSettings {
                business_server: server,
                ..settings()?
            })
            .await?;
        let got = stage.notify(of("tx-1", "cus&1=%/")).await?;
        assert_eq!(got, "pending_anchor");
        let asked = stage.business.calls().pop().context("it was asked")?;
        assert_eq!(
            (asked.method.as_str(), asked.url.as_str()),
            (
                "GET",
                "https://business.example/api/customer?id=cus%261%3D%25%2F&type=sep6&transaction_id=tx-1"
            )
        );
        assert!(asked.body.is_empty());
        let header = |name: &str| {
            let value = asked.headers.get(name).and_then(|it| it.to_str().ok());
            value.map(str::to_owned)
        };
        assert_eq!(header("content-type").as_deref(), Some("application/json"));
        let (key, bearer) = (header("x-platform-key"), header("authorization"));
        match auth {
            BusinessAuth::None => assert_eq!((key, bearer), (None, None)),
            BusinessAuth::ApiKey { .. } => {
                assert_eq!((key.as_deref(), bearer), (Some("k3y"), None));
            }
            BusinessAuth::Jwt { .. } => {
                let bearer = bearer.context("a bearer")?;
                let token = bearer.strip_prefix("Bearer ").context("a bearer")?;
                let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
                // The scene's clock is not the machine's.
                rules.validate_exp = false;
                let key = jsonwebtoken::DecodingKey::from_secret(secret.as_bytes());
                let claims = jsonwebtoken::decode::<Value>(token, &key, &rules)?.claims;
                let now = stage.scene.clock.now().as_second();
                assert_eq!(claims, json!({ "iat": now, "exp": now + 30 }));
                let head = token.split('.').next().unwrap_or_default();
                let head: Value =
                    serde_json::from_slice(&BASE64URL_NOPAD.decode(head.as_bytes())?)?;
                assert_eq!(text(&head, "/alg"), "HS256");
            }
        }
    }
    Ok(())
}
