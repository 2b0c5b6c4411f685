//! What calls do: each status once and in order, whatever is called again, and only what the transaction takes.

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::event::{Recipients, Sep, Via};

use super::business::{answers, body, says};
use super::rpc::{stage, with};
use super::told::status_in;
use super::{Stage, call, deposit, of, outcome};
use crate::text;

#[tokio::test]
async fn three_calls_that_look_alike_are_three_statuses_in_their_order() -> Result<()> {
    let stage = stage().await?;
    let statuses = ["NEEDS_INFO", "PROCESSING", "ACCEPTED"];
    stage
        .business
        .is("cus_1", statuses.map(|status| says("cus_1", status)));
    let alike = Value::Array(vec![call(of("tx-1", "cus_1")); 3]);
    let answers = stage.rpc(&alike).await?;
    let got: Vec<_> = answers
        .as_array()
        .into_iter()
        .flatten()
        .map(outcome)
        .collect();
    let want = [
        "pending_customer_info_update",
        "pending_anchor",
        // No amounts are known: there is nothing to pay yet.
        "pending_anchor",
    ];
    assert_eq!(got, want);
    let recorded = stage.recorded().await?;
    let told = recorded
        .iter()
        .filter_map(|record| match &record.recipients {
            Recipients::Callback(callback) => Some((
                callback.number,
                status_in(&serde_json::from_str(record.event.data.as_str()).ok()?),
            )),
            Recipients::Chosen(_) | Recipients::SetAside(_) => None,
        });
    let mut told: Vec<_> = told.collect();
    told.sort();
    let told: Vec<_> = told
        .iter()
        .map(|(number, status)| (*number, status.as_str()))
        .collect();
    let want = [
        (1, "NEEDS_INFO"),
        (1, "pending_customer_info_update"),
        (2, "PROCESSING"),
        (2, "pending_anchor"),
        (3, "ACCEPTED"),
    ];
    assert_eq!(told, want);
    Ok(())
}

#[tokio::test]
async fn a_call_that_was_made_before_answers_a_result_whatever_the_transaction_takes() -> Result<()>
{
    let stage = Stage::start().await?;
    let payable = json!({ "amounts_known": true, "instructions_known": true });
    for (customer, status) in [
        ("NEEDS_INFO", "pending_customer_info_update"),
        ("PROCESSING", "pending_anchor"),
        // Neither of these takes another one.
        ("ACCEPTED", "pending_user_transfer_start"),
        ("REJECTED", "error"),
    ] {
        let (id, who) = (format!("tx-{customer}"), format!("cus-{customer}"));
        let customers = json!({ "sender": who });
        let transaction = with(payable.clone(), "customers", customers);
        stage.put(&id, &deposit(transaction)).await?;
        let said = body(&who, customer).replace('}', r#","message":"See."}"#);
        stage.business.is(&who, [answers(200, &said)]);
        assert_eq!(stage.notify(of(&id, &who)).await?, status);
        let (after, recorded) = (stage.transaction(&id).await?, stage.recorded().await?);
        stage.scene.clock.advance(SignedDuration::from_hours(1));
        for other in [json!(1), json!("other")] {
            let again = with(call(of(&id, &who)), "id", other);
            assert_eq!(outcome(&stage.rpc(&again).await?), status);
        }
        assert_eq!(stage.transaction(&id).await?, after);
        assert_eq!(stage.recorded().await?, recorded, "{customer}");
        assert_eq!(
            stage.business.queries().len() % 3,
            0,
            "it is asked each time"
        );
    }
    // But news are refused by a transaction that is over.
    stage.customer_is("cus-REJECTED", "ACCEPTED");
    let got = stage.notify(of("tx-REJECTED", "cus-REJECTED")).await?;
    assert_eq!(
        got,
        "-32600 a transaction in status `error` does not take it"
    );
    Ok(())
}

#[tokio::test]
async fn only_customers_of_the_transaction_can_move_it() -> Result<()> {
    let stage = Stage::start().await?;
    let customers = json!({ "customers": { "sender": "cus_1", "receiver": "cus_2" } });
    stage.put("tx-1", &deposit(customers)).await?;
    stage
        .put("tx-2", &deposit(json!({ "customers": {} })))
        .await?;
    for customer in ["cus_1", "cus_2", "cus_3"] {
        stage.customer_is(customer, "PROCESSING");
    }
    let want =
        "-32602 `customer_id` is no customer of this transaction; put it with its `customers`";
    for (id, customer) in [("tx-1", "cus_3"), ("tx-2", "cus_1")] {
        assert_eq!(stage.notify(of(id, customer)).await?, want);
    }
    assert!(
        stage.business.calls().is_empty(),
        "nobody is asked about a stranger"
    );
    assert!(stage.recorded().await?.is_empty());
    for customer in ["cus_1", "cus_2"] {
        assert_eq!(stage.notify(of("tx-1", customer)).await?, "pending_anchor");
    }
    Ok(())
}

#[tokio::test]
async fn a_rejected_customer_needs_a_message_of_its_own_or_of_the_call() -> Result<()> {
    let stage = Stage::start().await?;
    for id in ["tx-1", "tx-2", "tx-3"] {
        let customers = json!({ "sender": "cus_1", "receiver": "cus_3" });
        stage
            .put(id, &deposit(json!({ "customers": customers })))
            .await?;
    }
    stage.customer_is("cus_1", "REJECTED");
    let got = stage.notify(of("tx-1", "cus_1")).await?;
    assert!(got.starts_with("-32602 `message` is required"), "{got}");
    assert_eq!(
        text(&stage.transaction("tx-1").await?.0, "/status"),
        "incomplete"
    );
    assert!(stage.recorded().await?.is_empty());
    let said = with(of("tx-2", "cus_1"), "message", json!("No luck"));
    assert_eq!(stage.notify(said).await?, "error");
    assert_eq!(
        text(&stage.transaction("tx-2").await?.0, "/message"),
        "No luck"
    );
    let own = body("cus_3", "REJECTED").replace('}', r#","message":"Not eligible"}"#);
    stage.business.is("cus_3", [answers(200, &own)]);
    assert_eq!(stage.notify(of("tx-3", "cus_3")).await?, "error");
    assert_eq!(
        text(&stage.transaction("tx-3").await?.0, "/message"),
        "Not eligible"
    );
    Ok(())
}

#[tokio::test]
async fn a_call_without_a_customer_moves_the_transaction_and_tells_of_no_customer() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-6", &deposit(json!({}))).await?;
    let receive = json!({ "sep": "31", "kind": "receive", "status": "pending_receiver" });
    stage.put("tx-31", &deposit(receive.clone())).await?;
    let got = stage.notify(json!({ "transaction_id": "tx-6" })).await?;
    assert_eq!(got, "pending_anchor");
    let got = stage.notify(json!({ "transaction_id": "tx-31" })).await?;
    assert_eq!(got, "pending_receiver");
    assert!(stage.business.calls().is_empty());
    let recorded = stage.recorded().await?;
    let types: Vec<_> = recorded
        .iter()
        .map(|it| it.event.event_type.to_string())
        .collect();
    assert_eq!(types, ["transaction.status_changed"], "the one that moved");
    let callback = recorded.first().and_then(|it| it.recipients.callback());
    let via = callback.map(|callback| callback.via.clone());
    assert_eq!(via, Some(Via::Static { sep: Sep::Sep6 }));
    Ok(())
}

#[tokio::test]
async fn what_a_transaction_does_not_take_is_refused_before_anything_is_written() -> Result<()> {
    let stage = Stage::start().await?;
    stage.customer_is("cus_1", "ACCEPTED");
    let paid = json!({
        "status": "pending_user_transfer_start", "transfer_received_at": "2025-01-01T00:00:00Z",
    });
    let cases = [
        (
            json!({ "sep": "24" }),
            "transactions of SEP-24 don't take it",
        ),
        (
            json!({ "status": "completed" }),
            "a transaction in status `completed` does not take it",
        ),
        (
            paid,
            "a transaction in status `pending_user_transfer_start` does not take it",
        ),
        (
            json!({ "sep": "31", "status": "pending_sender" }),
            "a transaction in status `pending_sender` does not take it",
        ),
    ];
    for (n, (more, want)) in cases.into_iter().enumerate() {
        let id = format!("tx-{n}");
        stage.put(&id, &deposit(more.clone())).await?;
        let got = stage.notify(of(&id, "cus_1")).await?;
        assert_eq!(got, format!("-32600 {want}"), "{more}");
    }
    assert!(stage.recorded().await?.is_empty());
    Ok(())
}
