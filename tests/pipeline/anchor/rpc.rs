//! The JSON-RPC door: what its calls may look like, who may make them, and how much time they have.

use anyhow::{Context, Result};
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::AnchorSettings;
use shared::secret::Secret;
use shared::signature::jwt;
use shared::time::Clock;

use super::{RPC_SECRET, Stage, call, deposit, of, outcome, settings};
use crate::text;

/// What is shown at the door, its headers, and the status of the answer.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

/// A stage with `tx-1`, a deposit of the customer `cus_1`.
pub(super) async fn stage() -> Result<Stage> {
    let stage = Stage::start().await?;
    let customers = json!({ "sender": "cus_1", "receiver": "cus&1=%/" });
    stage
        .put("tx-1", &deposit(json!({ "customers": customers })))
        .await?;
    Ok(stage)
}

/// `call` with another member.
pub(super) fn with(mut call: Value, member: &str, value: Value) -> Value {
    if let Some(call) = call.as_object_mut() {
        call.insert(member.to_owned(), value);
    }
    call
}

fn without(mut call: Value, member: &str) -> Value {
    if let Some(call) = call.as_object_mut() {
        call.remove(member);
    }
    call
}

#[tokio::test]
async fn calls_in_an_array_are_answered_in_their_order_and_one_alone_alone() -> Result<()> {
    let stage = stage().await?;
    stage.customer_is("cus_1", "PROCESSING");
    let good = call(of("tx-1", "cus_1"));
    let several = json!([
        with(good.clone(), "id", json!("b")),
        with(good.clone(), "method", json!("do_stellar_payment")),
        with(good.clone(), "id", json!("b")),
        with(call(of("tx-2", "cus_1")), "id", json!(7)),
    ]);
    let answers = stage.rpc(&several).await?;
    let transaction = stage.transaction("tx-1").await?.0;
    let gone = "there is no transaction of this `transaction_id`; put it first";
    let want = json!([
        { "jsonrpc": "2.0", "id": "b", "result": transaction },
        {
            "jsonrpc": "2.0", "id": 1,
            "error": {
                "id": "tx-1", "code": -32601,
                "message": "there is no such method; the one there is is `notify_customer_info_updated`",
            },
        },
        { "jsonrpc": "2.0", "id": "b", "result": transaction },
        { "jsonrpc": "2.0", "id": 7, "error": { "id": "tx-2", "code": -32600, "message": gone } },
    ]);
    assert_eq!(answers, want);
    assert_eq!(text(&transaction, "/status"), "pending_anchor");
    let alone = stage.rpc(&good).await?;
    assert_eq!(
        alone,
        json!({ "jsonrpc": "2.0", "id": 1, "result": transaction })
    );
    assert_eq!(stage.rpc(&json!([])).await?, json!([]));
    Ok(())
}

#[tokio::test]
async fn forty_calls_are_taken_at_once_and_of_more_none_is_attempted() -> Result<()> {
    let stage = stage().await?;
    stage.customer_is("cus_1", "PROCESSING");
    let calls = |count| Value::Array(vec![call(of("tx-1", "cus_1")); count]);
    let answers = stage.rpc(&calls(41)).await?;
    let error = json!({
        "code": -32600, "message": "at most 40 calls are taken at once; none was attempted",
    });
    assert_eq!(answers, json!([{ "jsonrpc": "2.0", "error": error }]));
    assert!(stage.business.calls().is_empty());
    let answers = stage.rpc(&calls(40)).await?;
    let answers = answers.as_array().context("an array")?;
    let statuses: Vec<_> = answers.iter().map(outcome).collect();
    assert_eq!(statuses, ["pending_anchor"; 40]);
    Ok(())
}

#[tokio::test]
async fn what_is_no_call_is_refused_with_all_that_is_wrong_with_it() -> Result<()> {
    let stage = stage().await?;
    let good = call(of("tx-1", "cus_1"));
    let fault = |id: Option<Value>, transaction: Option<&str>, message: &str| {
        let mut error = json!({ "code": -32600, "message": message });
        if let Some(transaction) = transaction {
            error = with(error, "id", json!(transaction));
        }
        let answer = json!({ "jsonrpc": "2.0", "error": error });
        id.map_or(answer.clone(), |id| with(answer, "id", id))
    };
    let no_id = "`id` must be a string or a whole number";
    let cases = [
        (json!([]), fault(None, None, "a call must be an object")),
        (json!(7), fault(None, None, "a call must be an object")),
        (
            with(good.clone(), "jsonrpc", json!("1.0")),
            fault(Some(json!(1)), None, "`jsonrpc` must be \"2.0\""),
        ),
        (
            with(good.clone(), "id", json!(null)),
            fault(None, None, no_id),
        ),
        (without(good.clone(), "id"), fault(None, None, no_id)),
        (
            with(good.clone(), "id", json!(1.5)),
            fault(None, None, no_id),
        ),
        (
            without(without(good.clone(), "jsonrpc"), "method"),
            fault(
                Some(json!(1)),
                None,
                "`jsonrpc` must be \"2.0\"; `method` must be a name",
            ),
        ),
        (
            with(good.clone(), "params", json!(["tx-1"])),
            fault(Some(json!(1)), None, "`params` must be an object"),
        ),
        (
            with(good.clone(), "params", json!({ "customer_id": "cus_1" })),
            fault(Some(json!(1)), None, "`transaction_id` is missing"),
        ),
    ];
    let (calls, want): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    assert_eq!(stage.rpc(&Value::Array(calls)).await?, Value::Array(want));
    let wrong = [
        (
            json!({ "transaction_id": 1 }),
            "`transaction_id` must be a string",
        ),
        (
            json!({ "transaction_id": "tx-1", "customer_id": 1 }),
            "`customer_id` must be a string",
        ),
        (
            json!({ "transaction_id": "tx-1", "customer_id": "" }),
            "`customer_id`: customer id must be",
        ),
        (
            json!({ "transaction_id": "tx-1", "customer_id": "a", "customer_type": "a b" }),
            "`customer_type`: customer type must be",
        ),
        (
            json!({ "transaction_id": "tx-1", "message": {} }),
            "`message` must be a string",
        ),
        (
            json!({ "transaction_id": "tx-1", "message": "x".repeat(4001) }),
            "`message` must have at most 4000 characters",
        ),
    ];
    for (params, message) in wrong {
        let got = stage.notify(params.clone()).await?;
        assert!(
            got.starts_with(&format!("-32602 {message}")),
            "{params}: {got}"
        );
    }
    assert!(stage.business.calls().is_empty());
    assert!(stage.recorded().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_no_json_for_calls_is_a_problem_of_http() -> Result<()> {
    let stage = Stage::start().await?;
    let bearer = format!("Bearer {}", stage.key);
    let long = format!("[\"{}\"]", "x".repeat(256 * 1024));
    let cases = [
        ("application/json", "", 400, "/problems/not-calls"),
        ("application/json", "[{]", 400, "/problems/not-calls"),
        ("application/json", "null", 400, "/problems/not-calls"),
        ("application/json", "\"call\"", 400, "/problems/not-calls"),
        ("application/json", "[] []", 400, "/problems/not-calls"),
        ("application/json", &long, 413, "/problems/too-long"),
        ("text/plain", "[]", 415, "/problems/not-json-type"),
    ];
    for (media, body, status, kind) in cases {
        let headers = [("authorization", bearer.as_str()), ("content-type", media)];
        let answer = stage.send("POST", "rpc", &headers, body).await?;
        let shown: String = body.chars().take(20).collect();
        assert_eq!(answer.status, status, "{shown}");
        assert_eq!(text(&answer.json(), "/type"), kind, "{shown}");
    }
    let headers = [("authorization", bearer.as_str())];
    let answer = stage.send("GET", "rpc", &headers, "").await?;
    assert_eq!(answer.status, 405);
    Ok(())
}

#[tokio::test]
async fn a_key_of_the_tenant_or_a_token_of_its_secret_opens_the_door() -> Result<()> {
    let stage = Stage::start().await?;
    let scene = &stage.scene;
    scene
        .operator("PUT", "/v1/tenants/globex", json!({}))
        .await?;
    let made = scene
        .operator("POST", "/v1/tenants/globex/keys", json!({}))
        .await?;
    let globex = format!("Bearer {}", text(&made, "/key"));
    let made_at = |secret: &str, at| {
        let token = jwt::make(&Secret::new(secret), at, SignedDuration::from_secs(30));
        token.map(|token| format!("Bearer {}", token.expose()))
    };
    let now = scene.clock.now();
    let token = made_at(RPC_SECRET, now)?;
    let old = made_at(RPC_SECRET, now - SignedDuration::from_secs(91))?;
    let other = made_at(&"x".repeat(32), now)?;
    let (key, bearer) = (stage.key.as_str(), format!("Bearer {}", stage.key));
    let cases: [Case<'_>; 13] = [
        ("nothing", &[], 401),
        ("our key", &[("authorization", &bearer)], 200),
        ("in the platform's header", &[("x-api-key", key)], 200),
        (
            "twice",
            &[("x-api-key", key), ("authorization", &bearer)],
            401,
        ),
        ("two of one", &[("x-api-key", key), ("x-api-key", key)], 401),
        (
            "beside a token",
            &[("x-api-key", key), ("authorization", &token)],
            401,
        ),
        ("unknown", &[("x-api-key", "prk_nobody")], 401),
        ("no scheme", &[("authorization", key)], 401),
        ("another tenant's", &[("authorization", &globex)], 403),
        ("a token", &[("authorization", &token)], 200),
        ("an old one", &[("authorization", &old)], 401),
        ("of another secret", &[("authorization", &other)], 401),
        (
            "in the wrong header",
            &[(
                "x-api-key",
                token.strip_prefix("Bearer ").unwrap_or_default(),
            )],
            401,
        ),
    ];
    for (name, headers, want) in cases {
        let answer = stage.send("POST", "rpc", headers, "[]").await?;
        assert_eq!(answer.status, want, "{name}: {}", answer.body);
        if want == 200 {
            assert_eq!(answer.body, "[]", "{name}");
        }
    }
    // The other tenant has no such secret, whoever knows of ours.
    let request = http::Request::post("/v1/tenants/globex/anchor/rpc");
    let request = request.header("authorization", token.as_str());
    let answer = scene.send(request.body("[]".to_owned().into())?).await?;
    assert_eq!(answer.status, 401);
    stage
        .configure(&AnchorSettings {
            rpc_secret: None,
            ..settings()?
        })
        .await?;
    let headers = [("authorization", token.as_str())];
    let answer = stage.send("POST", "rpc", &headers, "[]").await?;
    assert_eq!(answer.status, 401, "the tenant takes no tokens any more");
    Ok(())
}

#[tokio::test]
async fn what_can_not_begin_within_the_budget_is_not_attempted() -> Result<()> {
    let stage = Stage::start().await?;
    let mut calls = Vec::new();
    for n in 0..9 {
        let id = format!("tx-{n}");
        let customers = json!({ "customers": { "sender": format!("cus_{n}") } });
        stage.put(&id, &deposit(customers)).await?;
        stage.customer_is(&format!("cus_{n}"), "PROCESSING");
        calls.push(call(of(&id, &format!("cus_{n}"))));
    }
    stage.business.takes(SignedDuration::from_secs(4));
    let answers = stage.rpc(&Value::Array(calls.clone())).await?;
    let answers = answers.as_array().context("an array")?;
    let got: Vec<_> = answers.iter().map(outcome).collect();
    let mut want = vec!["pending_anchor"; 6];
    // The seventh had a second left.
    want.push("-32603 the business server could not be asked (timeout)");
    want.extend(["-32603 not attempted"; 2]);
    assert_eq!(got, want);
    let last = answers.last().context("nine answers")?;
    assert_eq!(text(last, "/error/id"), "tx-8");
    let deadlines: Vec<_> = stage
        .business
        .calls()
        .iter()
        .map(|it| it.deadline.as_secs())
        .collect();
    assert_eq!(deadlines, [5, 5, 5, 5, 5, 5, 1]);
    for id in ["tx-6", "tx-7", "tx-8"] {
        assert_eq!(
            text(&stage.transaction(id).await?.0, "/status"),
            "incomplete"
        );
    }
    // Called again, they go on.
    stage.business.takes(SignedDuration::ZERO);
    let answers = stage.rpc(&Value::Array(calls)).await?;
    let answers = answers.as_array().context("an array")?;
    assert!(answers.iter().all(|it| outcome(it) == "pending_anchor"));
    assert_eq!(
        stage.recorded().await?.len(),
        18,
        "each customer and transaction once"
    );
    Ok(())
}
