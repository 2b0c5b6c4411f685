//! Two invoices of one customer, and the two cards that pay them.

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::time::{Clock, later};
use tests::scene::Scene;
use tests::stories::TENANT;

use super::billing::{self, Charge};
use crate::text;

const OLDER: &str = "pm_older";
const NEWER: &str = "pm_newer";

/// The site tells of a charge of a card that failed.
async fn failed(
    scene: &Scene,
    invoice: &str,
    (number, at): (u32, Timestamp),
    card: &str,
    code: &str,
) -> Result<()> {
    let charge = Charge {
        number,
        at,
        status: "failure",
    };
    let mut body = billing::body(invoice, &charge)?;
    let set = [
        (
            "/content/customer/payment_method/reference_id",
            json!(format!("cus_1/{card}")),
        ),
        ("/content/transaction/error_code", json!(code)),
    ];
    for (place, value) in set {
        *body.pointer_mut(place).context(place)? = value;
    }
    let answer = billing::post(scene, &body).await?;
    ensure!(answer.status == 200, "{}", answer.body);
    scene.settle().await
}

async fn retry(scene: &Scene, invoice: &str) -> Result<(String, String)> {
    let path = format!("/v1/tenants/{TENANT}/intents?profile=pro_1&account=cb_1&invoice={invoice}");
    let intent = scene.operator("GET", &path, Value::Null).await?;
    let reason = text(&intent, "/retry/reason");
    Ok((text(&intent, "/retry/stage"), reason))
}

/// Of each event of this type: the invoice, and what is said in this place.
async fn told(scene: &Scene, name: &str, place: &str) -> Result<Vec<(String, String)>> {
    let events = scene.events().await?;
    let events = events.iter().filter(|it| text(it, "/type") == name);
    let told = events.map(|it| (text(it, "/data/invoice_id"), text(it, place)));
    Ok(told.collect())
}

#[tokio::test]
async fn a_late_charge_of_the_older_card_of_one_invoice_stops_the_retry_of_another_on_that_card()
-> Result<()> {
    let scene = Scene::start().await?;
    let settings = json!({ "mode": "cascading", "ladder_s": [10800, 10800] });
    billing::put_account(&scene, settings).await?;
    let now = scene.clock.now();
    failed(&scene, "INV-A", (2, now), NEWER, "card_declined").await?;
    failed(&scene, "INV-B", (1, now), OLDER, "card_declined").await?;
    for invoice in ["INV-A", "INV-B"] {
        assert_eq!(retry(&scene, invoice).await?.0, "planned", "{invoice}");
    }

    // The first charge of the one, by the card that it had then, is told last.
    let earlier = later(now, SignedDuration::from_mins(-10));
    failed(&scene, "INV-A", (1, earlier), OLDER, "stolen_card").await?;
    assert_eq!(retry(&scene, "INV-A").await?.0, "planned");
    scene.clock.advance(SignedDuration::from_hours(3));
    scene.sweep().await?;
    scene.settle().await?;

    let ended = ("ended".to_owned(), "hard_declined".to_owned());
    assert_eq!(retry(&scene, "INV-B").await?, ended);
    let pair = |invoice: &str, what: &str| vec![(invoice.to_owned(), what.to_owned())];
    let exhausted = told(&scene, "recovery.limits_exhausted", "/data/reason").await?;
    assert_eq!(exhausted, pair("INV-B", "hard_declined"));
    // The other card is as good as it was.
    let due = told(&scene, "recovery.retry_due", "/data/token").await?;
    assert_eq!(due, pair("INV-A", NEWER));
    Ok(())
}
