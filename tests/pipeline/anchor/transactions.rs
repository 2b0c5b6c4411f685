//! Transactions as an anchor puts and reads them, and what their wallets are told of them.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::{Callbacks, Client};
use shared::ids::TenantId;
use shared::store::AnchorAdmin;
use tests::scene::Answer;
use tests::stories::TENANT;

use super::{Stage, client, deposit, of, url_of};
use crate::text;

/// Where one user's wallet wants to hear of one transaction.
const OWN_URL: &str = "https://wallet.example/changes/1";

fn tag(answer: &Answer) -> &str {
    let tag = answer.headers.get("etag").and_then(|tag| tag.to_str().ok());
    tag.unwrap_or_default()
}

async fn put_if(
    stage: &Stage,
    id: &str,
    body: &Value,
    conditions: &[(&str, &str)],
) -> Result<Answer> {
    let bearer = format!("Bearer {}", stage.key);
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(conditions);
    let path = format!("transactions/{id}");
    stage.send("PUT", &path, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_transaction_is_put_whole_and_shown_as_it_was_put() -> Result<()> {
    let stage = Stage::start().await?;
    let whole = json!({
        "sep": "6", "kind": "deposit", "status": "pending_user_transfer_start", "client": "lobby",
        "customers": { "sender": "cus_1" },
        "message": "Pay 100.00 USD",
        "transfer_received_at": "2025-01-01T00:00:00Z",
        "amounts_known": true, "instructions_known": true,
        "on_change_callback": OWN_URL,
        "details": { "amount_in": "100.00", "instructions": { "a": { "value": "1" } } },
    });
    let made = stage.ask("PUT", "transactions/tx-1", &whole).await?;
    assert_eq!((made.status.as_u16(), tag(&made)), (201, "\"1\""));
    let mut want = whole.clone();
    let times = json!({
        "id": "tx-1", "started_at": "2025-01-01T00:01:40Z", "updated_at": "2025-01-01T00:01:40Z",
    });
    if let (Some(want), Value::Object(times)) = (want.as_object_mut(), times) {
        want.extend(times);
    }
    assert_eq!(made.json(), want);
    assert_eq!(
        stage.transaction("tx-1").await?,
        (want.clone(), "\"1\"".to_owned())
    );
    // Put again, it is as it was.
    stage.scene.clock.advance(SignedDuration::from_secs(5));
    let again = stage.ask("PUT", "transactions/tx-1", &whole).await?;
    assert_eq!((again.status.as_u16(), tag(&again)), (200, "\"1\""));
    assert_eq!(again.json(), want);
    // What is left out is gone, and what happened stays.
    let bare = json!({ "sep": "6", "kind": "deposit", "status": "completed" });
    let changed = stage.ask("PUT", "transactions/tx-1", &bare).await?;
    assert_eq!((changed.status.as_u16(), tag(&changed)), (200, "\"2\""));
    let want = json!({
        "id": "tx-1", "sep": "6", "kind": "deposit", "status": "completed", "customers": {},
        "amounts_known": false, "instructions_known": false,
        "started_at": "2025-01-01T00:01:40Z", "updated_at": "2025-01-01T00:01:45Z",
        "completed_at": "2025-01-01T00:01:45Z",
    });
    assert_eq!(changed.json(), want);
    let gone = stage.ask("GET", "transactions/tx-2", &Value::Null).await?;
    assert_eq!(
        (gone.status.as_u16(), text(&gone.json(), "/type")),
        (404, "/problems/not-found".to_owned())
    );
    Ok(())
}

#[tokio::test]
async fn a_put_that_names_another_state_changes_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    let body = |status: &str| deposit(json!({ "status": status }));
    let first = put_if(
        &stage,
        "tx-1",
        &body("incomplete"),
        &[("if-match", "\"1\"")],
    )
    .await?;
    assert_eq!(first.status, 412, "there is none yet");
    let only_new = [("if-none-match", "*")];
    let made = put_if(&stage, "tx-1", &body("incomplete"), &only_new).await?;
    assert_eq!(made.status, 201);
    let refused: [&[(&str, &str)]; 7] = [
        &only_new,
        &[("if-match", "\"2\"")],
        &[("if-match", "1")],
        &[("if-match", "W/\"1\"")],
        &[("if-match", "*")],
        &[("if-none-match", "\"1\"")],
        &[("if-match", "\"1\""), ("if-none-match", "*")],
    ];
    for conditions in refused {
        let answer = put_if(&stage, "tx-1", &body("pending_anchor"), conditions).await?;
        assert_eq!(answer.status, 412, "{conditions:?}");
        assert_eq!(text(&answer.json(), "/type"), "/problems/changed");
    }
    let (shown, tag) = stage.transaction("tx-1").await?;
    assert_eq!(text(&shown, "/status"), "incomplete");
    let put = put_if(
        &stage,
        "tx-1",
        &body("pending_anchor"),
        &[("if-match", &tag)],
    )
    .await?;
    assert_eq!(put.status, 200);
    let late = put_if(&stage, "tx-1", &body("error"), &[("if-match", &tag)]).await?;
    assert_eq!(late.status, 412);
    assert_eq!(stage.recorded().await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_field_that_is_not_right_is_named() -> Result<()> {
    let stage = Stage::start().await?;
    stage
        .put(
            "tx-31",
            &deposit(json!({ "sep": "31", "status": "pending_sender" })),
        )
        .await?;
    let long = format!("https://a.example/{}", "x".repeat(2048));
    let cases = [
        (json!({ "sep": "12" }), "sep"),
        (json!({ "sep": 6 }), "sep"),
        (json!({ "kind": "" }), "kind"),
        (json!({ "kind": "x".repeat(65) }), "kind"),
        (json!({ "kind": null }), "kind"),
        (json!({ "status": "done" }), "status"),
        (json!({ "status": "pending_receiver" }), "status"),
        (json!({ "client": "a b" }), "client"),
        (json!({ "client": "nobody" }), "client"),
        (json!({ "client": 7 }), "client"),
        (json!({ "customers": "cus_1" }), "customers"),
        (json!({ "customers": { "sender": "" } }), "customers.sender"),
        (
            json!({ "customers": { "payer": "cus_1" } }),
            "customers.payer",
        ),
        (json!({ "message": 7 }), "message"),
        (json!({ "message": "x".repeat(4001) }), "message"),
        (
            json!({ "transfer_received_at": "soon" }),
            "transfer_received_at",
        ),
        (json!({ "amounts_known": "yes" }), "amounts_known"),
        (json!({ "instructions_known": 1 }), "instructions_known"),
        (
            json!({ "on_change_callback": "wallet.example" }),
            "on_change_callback",
        ),
        (
            json!({ "on_change_callback": "ftp://wallet.example/" }),
            "on_change_callback",
        ),
        (
            json!({ "on_change_callback": "https://10.0.0.1/" }),
            "on_change_callback",
        ),
        (
            json!({ "on_change_callback": "https://169.254.169.254/" }),
            "on_change_callback",
        ),
        (
            json!({ "on_change_callback": "https://me:pw@wallet.example/" }),
            "on_change_callback",
        ),
        (json!({ "on_change_callback": long }), "on_change_callback"),
        (json!({ "details": [] }), "details"),
        (json!({ "details": { "status": "x" } }), "details.status"),
        (
            json!({ "details": { "amount_in": 1.10 } }),
            "details.amount_in",
        ),
        (
            json!({ "details": { "memo": "x".repeat(65 * 1024) } }),
            "details",
        ),
        (json!({ "amount_in": "100.00" }), "amount_in"),
    ];
    for (more, field) in cases {
        let answer = stage
            .ask("PUT", "transactions/tx-1", &deposit(more.clone()))
            .await?;
        let problem = answer.json();
        assert_eq!(answer.status, 400, "{more}: {}", answer.body);
        let detail = text(&problem, "/detail");
        assert!(detail.contains(&format!("`{field}`")), "{more}: {detail}");
    }
    for member in ["sep", "kind", "status"] {
        let mut body = deposit(json!({}));
        body.as_object_mut().context("an object")?.remove(member);
        let answer = stage.ask("PUT", "transactions/tx-1", &body).await?;
        let detail = text(&answer.json(), "/detail");
        assert_eq!(answer.status, 400);
        assert!(detail.contains(&format!("`{member}`")), "{detail}");
    }
    let answer = stage
        .ask("PUT", "transactions/tx-31", &deposit(json!({})))
        .await?;
    let detail = text(&answer.json(), "/detail");
    assert!(answer.status == 400 && detail.contains("`sep`"), "{detail}");
    let answer = stage
        .ask("PUT", "transactions/a%20b", &deposit(json!({})))
        .await?;
    let detail = text(&answer.json(), "/detail");
    assert!(answer.status == 400 && detail.contains("`id`"), "{detail}");
    for body in ["", "[]", "{"] {
        let bearer = format!("Bearer {}", stage.key);
        let headers = [("authorization", bearer.as_str())];
        let answer = stage
            .send("PUT", "transactions/tx-1", &headers, body)
            .await?;
        assert_eq!(answer.status, 400, "{body:?}");
    }
    let gone = stage.ask("GET", "transactions/tx-1", &Value::Null).await?;
    assert_eq!(gone.status, 404, "nothing was written");
    Ok(())
}

#[tokio::test]
async fn only_a_key_of_the_tenant_reaches_its_transactions() -> Result<()> {
    let stage = Stage::start().await?;
    stage
        .scene
        .operator("PUT", "/v1/tenants/globex", json!({}))
        .await?;
    let made = stage
        .scene
        .operator("POST", "/v1/tenants/globex/keys", json!({}))
        .await?;
    let globex = format!("Bearer {}", text(&made, "/key"));
    stage.put("tx-1", &deposit(json!({}))).await?;
    let body = deposit(json!({ "status": "error" })).to_string();
    let cases: [(&[(&str, &str)], u16); 3] = [
        (&[], 401),
        (&[("authorization", "Bearer prk_nobody")], 401),
        (&[("authorization", &globex)], 403),
    ];
    for (headers, want) in cases {
        let read = stage.send("GET", "transactions/tx-1", headers, "").await?;
        let put = stage
            .send("PUT", "transactions/tx-1", headers, &body)
            .await?;
        assert_eq!((read.status.as_u16(), put.status.as_u16()), (want, want));
    }
    // A tenant has its transactions to itself, whatever they are called.
    let request = http::Request::get("/v1/tenants/globex/anchor/transactions/tx-1");
    let request = request.header("authorization", globex.as_str());
    let answer = stage
        .scene
        .send(request.body(String::new().into())?)
        .await?;
    assert_eq!(answer.status, 404);
    assert_eq!(
        text(&stage.transaction("tx-1").await?.0, "/status"),
        "incomplete"
    );
    Ok(())
}

#[tokio::test]
async fn a_status_that_changed_is_told_and_nothing_else_of_a_transaction() -> Result<()> {
    let stage = Stage::start().await?;
    let seps = [
        (6, "incomplete", "pending_anchor", "completed"),
        (24, "incomplete", "pending_external", "completed"),
        (31, "pending_sender", "pending_receiver", "completed"),
    ];
    for (sep, first, second, last) in seps {
        let id = format!("tx-{sep}");
        let body = |status: &str, amount: &str| {
            deposit(json!({
                "sep": sep.to_string(), "status": status, "message": "m", "details": { "amount_in": amount },
            }))
        };
        for (status, amount) in [
            (first, "1"),
            (first, "2"),
            (second, "3"),
            (second, "4"),
            (last, "4"),
        ] {
            stage.put(&id, &body(status, amount)).await?;
        }
        stage.scene.settle().await?;
        let told = stage.told()?;
        let told: Vec<_> = told
            .iter()
            .filter(|told| told.url == url_of("lobby", sep))
            .collect();
        let got: Vec<_> = told
            .iter()
            .map(|told| serde_json::from_str::<Value>(&told.body))
            .collect::<Result<_, _>>()?;
        let shown = |status: &str, amount: &str| {
            let message = if sep == 31 {
                "required_info_message"
            } else {
                "message"
            };
            let mut shown = json!({
                "id": id, "status": status, message: "m", "amount_in": amount,
                "started_at": "2025-01-01T00:01:40Z", "updated_at": "2025-01-01T00:01:40Z",
            });
            if let Some(shown) = shown.as_object_mut() {
                if sep != 31 {
                    shown.insert("kind".to_owned(), json!("deposit"));
                }
                if status == last {
                    shown.insert("completed_at".to_owned(), json!("2025-01-01T00:01:40Z"));
                }
            }
            json!({ "transaction": shown })
        };
        assert_eq!(got, [shown(second, "3"), shown(last, "4")], "SEP-{sep}");
    }
    assert_eq!(stage.told()?.len(), 6);
    assert_eq!(stage.recorded().await?.len(), 6);
    Ok(())
}

#[tokio::test]
async fn a_transactions_own_callback_is_told_before_the_clients() -> Result<()> {
    let stage = Stage::start().await?;
    let body =
        |status: &str, own: Value| deposit(json!({ "status": status, "on_change_callback": own }));
    stage.put("tx-1", &body("incomplete", json!(null))).await?;
    stage
        .put("tx-1", &body("pending_anchor", json!(OWN_URL)))
        .await?;
    stage.scene.settle().await?;
    stage
        .put("tx-1", &body("pending_external", json!(OWN_URL)))
        .await?;
    stage.scene.settle().await?;
    stage.put("tx-1", &body("completed", json!(null))).await?;
    stage.scene.settle().await?;
    assert_eq!(
        stage.told_at(OWN_URL)?,
        ["pending_anchor", "pending_external"]
    );
    assert_eq!(stage.told_at(&url_of("lobby", 6))?, ["completed"]);
    // It needs no URL of the client's, but it needs the client.
    stage
        .put_client(Client {
            callbacks: Callbacks::default(),
            ..client("lobby")?
        })
        .await?;
    stage
        .put("tx-2", &body("incomplete", json!(OWN_URL)))
        .await?;
    stage.put("tx-2", &body("error", json!(OWN_URL))).await?;
    stage.scene.settle().await?;
    let nobodys = json!({ "client": null, "status": "expired", "on_change_callback": OWN_URL });
    stage.put("tx-2", &deposit(nobodys)).await?;
    stage.scene.settle().await?;
    assert_eq!(
        stage.told_at(OWN_URL)?.last().map(String::as_str),
        Some("error")
    );
    assert_eq!(stage.told()?.len(), 4);
    assert_eq!(
        stage.set_aside().await?,
        ["transaction.status_changed no_client"]
    );
    Ok(())
}

#[tokio::test]
async fn what_may_be_about_a_person_is_shown_to_a_key_with_the_right() -> Result<()> {
    let stage = Stage::start().await?;
    let keys = format!("/v1/tenants/{TENANT}/keys");
    let made = stage.scene.operator("POST", &keys, json!({})).await?;
    let bare = format!("Bearer {}", text(&made, "/key"));
    let headers = [("authorization", bare.as_str())];
    let hush = json!({ "message": "Hush", "details": { "payer": "Ada" } });
    stage.put("tx-1", &deposit(hush)).await?;
    let (shown, _) = stage.transaction("tx-1").await?;
    assert_eq!(text(&shown, "/details/payer"), "Ada");
    let answer = stage.send("GET", "transactions/tx-1", &headers, "").await?;
    assert_eq!(text(&answer.json(), "/withheld"), "personal_data");
    assert!(!answer.body.contains("Hush") && !answer.body.contains("Ada"));
    Ok(())
}

#[tokio::test]
async fn without_a_key_to_sign_with_nothing_that_would_be_told_is_done() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &deposit(json!({}))).await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    let tenant = TenantId::parse(TENANT)?;
    assert!(stage.scene.store().delete_signing_keys(&tenant).await?);
    let moved = deposit(json!({ "status": "pending_anchor" }));
    let answer = stage.ask("PUT", "transactions/tx-1", &moved).await?;
    assert_eq!(answer.status, 409, "{}", answer.body);
    let got = stage.notify(of("tx-1", "cus_1")).await?;
    assert!(
        got.starts_with("-32603 the tenant has no signing key"),
        "{got}"
    );
    assert_eq!(
        text(&stage.transaction("tx-1").await?.0, "/status"),
        "incomplete"
    );
    assert!(stage.recorded().await?.is_empty());
    Ok(())
}
