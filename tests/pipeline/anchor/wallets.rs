//! What wallets are told: the bytes of each moment, signed, in order, and only to the wallet that owns them.

use anyhow::Result;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::{Callbacks, Client};
use shared::delivery::Outcome;
use shared::ids::{EndpointId, TenantId};
use shared::store::AnchorAdmin;
use tests::stories::TENANT;

use super::business::answers;
use super::{Stage, call, client, deposit, of, url_of};

/// What a business server says at three moments, as only a serializer of its own would write it.
const MOMENTS: [&str; 3] = [
    "{\"status\" : \"NEEDS_INFO\",\"id\":\"cus_1\",\n \"fields\":{\"b\":{\"type\":\"string\",\"description\":\"\\u00e9\"},\"a\":1.50}}",
    "{\"id\":\"cus_1\", \"status\":\"PROCESSING\",\"message\":\"Dossier refusé – pièce expirée\"}",
    "{\"id\":\"cus_1\",\"provided_fields\":{},\"status\":\"ACCEPTED\"}\n",
];

#[tokio::test]
async fn a_wallet_hears_of_three_quick_moments_as_three_in_order_each_to_the_byte() -> Result<()> {
    let stage = Stage::start().await?;
    let payable = json!({ "amounts_known": true, "instructions_known": true });
    stage.put("tx-1", &deposit(payable)).await?;
    stage
        .business
        .is("cus_1", MOMENTS.map(|said| answers(200, said)));
    stage
        .rpc(&Value::Array(vec![call(of("tx-1", "cus_1")); 3]))
        .await?;
    stage.scene.pass(SignedDuration::from_mins(1)).await?;
    let told = stage.told()?;
    let at = |url: String| told.iter().filter(move |told| told.url == url);
    let bodies: Vec<_> = at(url_of("lobby", 12))
        .map(|told| told.body.as_str())
        .collect();
    assert_eq!(bodies, MOMENTS.map(str::trim_end));
    let statuses: Vec<_> = at(url_of("lobby", 6))
        .map(|told| told.status.as_str())
        .collect();
    assert_eq!(
        statuses,
        [
            "pending_customer_info_update",
            "pending_anchor",
            "pending_user_transfer_start"
        ]
    );
    assert_eq!(told.len(), 6, "and nothing else");
    let ids: std::collections::BTreeSet<_> = told.iter().map(|told| &told.id).collect();
    assert_eq!(ids.len(), 6);
    assert!(stage.scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn each_try_has_the_same_bytes_and_id_and_a_signature_of_its_own() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &deposit(json!({}))).await?;
    stage.business.is("cus_1", [answers(200, MOMENTS[0])]);
    let url = url_of("lobby", 12);
    let outcomes = [500, 302, 204].map(Outcome::answered);
    stage.scene.far.script(&url, outcomes);
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.pass(SignedDuration::from_mins(2)).await?;
    let told = stage.told()?;
    let tries: Vec<_> = told.iter().filter(|told| told.url == url).collect();
    let [first, second, third] = tries.as_slice() else {
        anyhow::bail!("{tries:?}");
    };
    for other in [second, third] {
        assert_eq!((&other.id, &other.body), (&first.id, &first.body));
    }
    let waits = [second.signed - first.signed, third.signed - second.signed];
    assert!(waits[0] >= 5 && waits[1] >= 30, "{waits:?}");
    Ok(())
}

#[tokio::test]
async fn only_the_client_that_owns_a_transaction_hears_of_it_and_of_its_customers() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &deposit(json!({}))).await?;
    stage
        .put("tx-2", &deposit(json!({ "client": "kiosk" })))
        .await?;
    stage.customer_is("cus_1", "NEEDS_INFO");
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.customer_is("cus_1", "PROCESSING");
    stage.notify(of("tx-2", "cus_1")).await?;
    stage.scene.settle().await?;
    let told = |client| stage.told_at(&url_of(client, 12));
    assert_eq!(told("lobby")?, ["NEEDS_INFO"]);
    assert_eq!(told("kiosk")?, ["PROCESSING"]);
    // Of one customer each client has a line of its own.
    stage.notify(of("tx-1", "cus_1")).await?;
    stage.scene.settle().await?;
    assert_eq!(told("lobby")?, ["NEEDS_INFO", "PROCESSING"]);
    assert_eq!(told("kiosk")?, ["PROCESSING"]);
    Ok(())
}

#[tokio::test]
async fn what_nobody_owns_or_has_a_url_for_is_recorded_and_nobody_is_called() -> Result<()> {
    let stage = Stage::start().await?;
    stage
        .put_client(Client {
            callbacks: Callbacks::default(),
            ..client("mute")?
        })
        .await?;
    stage.put_client(client("gone")?).await?;
    for (id, owner) in [
        ("tx-1", json!(null)),
        ("tx-2", json!("mute")),
        ("tx-3", json!("gone")),
    ] {
        let customers = json!({ "sender": format!("cus-{id}") });
        let owned = json!({ "client": owner, "customers": customers });
        stage.put(id, &deposit(owned)).await?;
    }
    let (tenant, gone) = (TenantId::parse(TENANT)?, EndpointId::parse("gone")?);
    assert!(stage.scene.store().delete_client(&tenant, &gone).await?);
    let reasons = [
        ("tx-1", "no_client"),
        ("tx-2", "no_callback"),
        ("tx-3", "no_client"),
    ];
    let mut want = Vec::new();
    for (id, reason) in reasons {
        let customer = format!("cus-{id}");
        stage.customer_is(&customer, "NEEDS_INFO");
        let got = stage.notify(of(id, &customer)).await?;
        assert_eq!(got, "pending_customer_info_update", "{id}");
        // It was recorded with the others of its moment.
        stage.scene.clock.advance(SignedDuration::from_secs(1));
        want.push(format!("customer.status_changed {reason}"));
        want.push(format!("transaction.status_changed {reason}"));
    }
    stage.scene.pass(SignedDuration::from_mins(2)).await?;
    let (mut got, all) = (stage.set_aside().await?, stage.recorded().await?.len());
    got.sort();
    want.sort();
    assert_eq!((got, all), (want, 6));
    assert!(stage.told()?.is_empty());
    // Once somebody owns it, what is new is told, as the first of its line.
    stage
        .put(
            "tx-1",
            &deposit(json!({
                "status": "pending_customer_info_update", "customers": { "sender": "cus-tx-1" },
            })),
        )
        .await?;
    stage.customer_is("cus-tx-1", "PROCESSING");
    stage.notify(of("tx-1", "cus-tx-1")).await?;
    stage.scene.settle().await?;
    assert_eq!(stage.told_at(&url_of("lobby", 12))?, ["PROCESSING"]);
    assert_eq!(stage.told_at(&url_of("lobby", 6))?, ["pending_anchor"]);
    Ok(())
}

#[tokio::test]
async fn other_fields_of_the_same_status_are_told_and_move_nothing() -> Result<()> {
    let stage = Stage::start().await?;
    stage.put("tx-1", &deposit(json!({}))).await?;
    let said = [r#"{"id":"cus_1","status":"NEEDS_INFO"}"#, MOMENTS[0]];
    stage
        .business
        .is("cus_1", said.map(|said| answers(200, said)));
    stage
        .rpc(&Value::Array(vec![call(of("tx-1", "cus_1")); 3]))
        .await?;
    stage.scene.settle().await?;
    let told = stage.told()?;
    let bodies: Vec<_> = told
        .iter()
        .filter(|told| told.url == url_of("lobby", 12))
        .map(|told| told.body.as_str())
        .collect();
    assert_eq!(bodies, said);
    assert_eq!(stage.told_at(&url_of("lobby", 6))?.len(), 1);
    let recorded = stage.recorded().await?;
    let updated = recorded
        .iter()
        .filter(|it| it.event.event_type.as_str() == "customer.updated");
    assert_eq!(updated.count(), 1);
    Ok(())
}
