//! The merchant of the story: charges when it is told to, and reports what came of it.

use anyhow::Context;
use http::Method;
use serde_json::{Value, json};
use shared::time::Clock;

use super::Story;

/// The retry at which the card has money again.
const PAID_AT: u64 = 3;

impl Story {
    /// Does what a delivery asks for.
    pub(super) async fn merchant_acts(&self, heard: &Value) -> anyhow::Result<()> {
        let event_type = heard.get("type").and_then(Value::as_str);
        let event_type = event_type.context("a delivery has a type")?;
        let data = heard.get("data").context("a delivery has data")?;
        let number = |name: &str| data.get(name).and_then(Value::as_u64).unwrap_or_default();
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or("?");
        let time = |name: &str| text(name).parse().map(|at| self.stage.time(at));
        let more = match event_type {
            "recovery.payment_failed" => {
                format!("charge {} failed: {}", text("charge"), text("error_code"))
            }
            "recovery.payment_succeeded" => format!("charge {} succeeded", text("charge")),
            "recovery.retry_scheduled" => {
                format!("retry {} at {}", number("retry"), time("scheduled_at")?)
            }
            "recovery.retry_due" => {
                format!("retry {}, until {}", number("retry"), time("deadline")?)
            }
            "recovery.recovered" => {
                format!("{} {} collected", number("amount"), text("currency"))
            }
            _ => String::new(),
        };
        self.stage
            .tell("merchant", format!("hears {event_type}: {more}"))?;
        if event_type == "recovery.retry_due" {
            self.merchant_charges(data).await?;
        }
        Ok(())
    }

    async fn merchant_charges(&self, due: &Value) -> anyhow::Result<()> {
        let retry = due.get("retry").and_then(Value::as_u64);
        let retry = retry.context("a retry has a number")?;
        let text = |name: &str| due.get(name).and_then(Value::as_str).unwrap_or("?");
        let key: String = text("idempotency_key").chars().take(8).collect();
        let paid = retry >= PAID_AT;
        let (status, came) = if paid {
            ("succeeded", "paid")
        } else {
            ("failed", "declined, insufficient funds")
        };
        self.stage.tell(
            "merchant",
            format!(
                "charges {} {} to {} under the key {key}..: {came}; reports it",
                due.get("amount").unwrap_or(&Value::Null),
                text("currency"),
                text("token"),
            ),
        )?;
        let report = self.report(due, retry, status);
        let path = format!("/v1/tenants/{}/recovery/attempts", self.tenant);
        self.stage.ask(Method::POST, &path, Some(&report)).await?;
        Ok(())
    }

    /// The report of a charge, in the normalised form.
    fn report(&self, due: &Value, retry: u64, status: &str) -> Value {
        let of = |name: &str| due.get(name).cloned().unwrap_or_default();
        let mut charge = json!({
            "charge_id": format!("ch_by_merchant_{retry}"),
            "triggered_by": "internal",
            "retry": retry,
            "instrument": {
                "token": of("token"),
                "customer": of("customer"),
                "method": "card",
                "card": {"network": "visa", "last4": "4242"},
            },
        });
        if let (Some(charge), "failed") = (charge.as_object_mut(), status) {
            let error = json!({"code": "card_declined", "reason": "insufficient_funds", "network_code": "51"});
            charge.insert("error".to_owned(), error);
        }
        json!({
            "id": of("idempotency_key"),
            "profile_id": of("profile_id"),
            "connector_account_id": of("connector_account_id"),
            "invoice_id": of("invoice_id"),
            "event": format!("payment_{status}"),
            "occurred_at": self.stage.clock.now(),
            "amount": of("amount"),
            "currency": of("currency"),
            "charge": charge,
        })
    }
}
