//! Signals that come at the same moment: of one invoice, and of invoices that are paid by one token.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tests::scene::Scene;
use tests::stories::TENANT;

use crate::{list, text};

const DECLINED: &str = include_str!("../../fixtures/chargebee/payment_failed.json");

/// A failed charge of an invoice, by the token of the fixture.
fn declined(invoice: &str, charge: usize) -> String {
    DECLINED
        .replace("ev_AzyCbe1001", &format!("ev_{invoice}_{charge}"))
        .replace("INV-1001", invoice)
        .replace("txn_Azy2001", &format!("txn_{invoice}_{charge}"))
        .replace("ch_3QfA1", &format!("ch_{invoice}_{charge}"))
}

async fn cascading() -> anyhow::Result<Scene> {
    let scene = Scene::start().await?;
    let terms = json!({ "mode": "cascading", "retry_window_s": 1800 });
    scene.put_chargebee(terms).await?;
    Ok(scene)
}

async fn intent(scene: &Scene, invoice: &str) -> anyhow::Result<Value> {
    let path = format!(
        "/v1/tenants/{TENANT}/intents?profile=pro_1&account=mca_chargebee&invoice={invoice}"
    );
    scene.operator("GET", &path, Value::Null).await
}

#[tokio::test]
async fn webhooks_of_one_invoice_at_once_are_all_joined() -> anyhow::Result<()> {
    let scene = cascading().await?;
    // More than fit in a batch, in one round of the worker.
    for charge in 0..15 {
        let answer = scene.chargebee(&declined("INV-1", charge)).await?;
        assert_eq!(answer.status, 200);
    }
    scene.pass(SignedDuration::from_mins(5)).await?;
    let intent = intent(&scene, "INV-1").await?;
    assert_eq!(list(&intent, "/attempts").len(), 15);
    let failed = scene.events().await?.into_iter();
    let failed = failed.filter(|event| text(event, "/type") == "recovery.payment_failed");
    assert_eq!(failed.count(), 15);
    assert!(scene.queues.is_empty());
    Ok(())
}

#[tokio::test]
async fn of_invoices_of_one_token_one_at_a_time_is_due() -> anyhow::Result<()> {
    let scene = cascading().await?;
    for invoice in ["INV-1", "INV-2", "INV-3"] {
        let answer = scene.chargebee(&declined(invoice, 0)).await?;
        assert_eq!(answer.status, 200);
    }
    // They fall due at the same moment, after three hours; each has half an hour.
    scene.settle().await?;
    scene.clock.advance(SignedDuration::from_mins(178));
    scene.pass(SignedDuration::from_mins(70)).await?;
    let mut windows = Vec::new();
    for event in scene.events().await? {
        if text(&event, "/type") == "recovery.retry_due" {
            let at: Timestamp = text(&event, "/occurred_at").parse()?;
            let deadline: Timestamp = text(&event, "/data/deadline").parse()?;
            windows.push((at, deadline, text(&event, "/data/invoice_id")));
        }
    }
    windows.sort();
    assert_eq!(windows.len(), 3, "{windows:?}");
    for pair in windows.windows(2) {
        let [(_, deadline, _), (at, _, _)] = pair else {
            continue;
        };
        assert!(at >= deadline, "{windows:?}");
    }
    Ok(())
}
