//! The API of the billing platform: it tells of charges, and takes an invoice for paid when it is told to.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::SignedDuration;
use serde_json::json;
use shared::delivery::Failure;
use shared::transport::{Answer, Call, Caller};

use super::books::{AMOUNT, Account, Books, Charge, Invoice};
use super::merchant::{STRIPE_KEYS, of_tenant};
use super::platform::{paid_out_of_band, tell};
use crate::cluster::Cluster;
use crate::nature::pass;
use crate::stage::{Stage, TENANTS};

/// The API.
pub(super) struct StripeApi {
    cluster: Weak<Cluster>,
    stage: Arc<Stage>,
    books: Arc<Books>,
}

impl StripeApi {
    pub(super) fn new(cluster: &Arc<Cluster>, stage: &Arc<Stage>, books: &Arc<Books>) -> Self {
        Self {
            cluster: Arc::downgrade(cluster),
            stage: stage.clone(),
            books: books.clone(),
        }
    }

    /// Fails now and then until faults end.
    async fn weather(&self) -> Option<Result<Answer, Failure>> {
        let nature = &self.books.nature;
        pass(nature.chance.millis(5, 60)).await;
        if nature.is_calm() || nature.is_fair() {
            return None;
        }
        match nature.chance.between(0, 99) {
            0..8 => Some(Ok(Answer::of(500, Bytes::new()))),
            8..12 => Some(Ok(Answer {
                retry_after: Some(SignedDuration::from_secs(30)),
                ..Answer::of(429, Bytes::new())
            })),
            12..16 => {
                pass(std::time::Duration::from_secs(10)).await;
                Some(Err(Failure::Timeout))
            }
            16..20 => Some(Err(Failure::Closed)),
            _ => None,
        }
    }

    fn answer(&self, call: &Call) -> Answer {
        let path = call.url.trim_start_matches("https://api.stripe.com/v1/");
        let key = call.headers.get("authorization");
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
        let key = key.trim_start_matches("Bearer ");
        let mut tenants = TENANTS.into_iter();
        let tenant = tenants.find(|tenant| of_tenant(&STRIPE_KEYS, tenant) == key);
        let Some(tenant) = tenant else {
            return Answer::of(401, Bytes::new());
        };
        if let Some(id) = path.strip_prefix("charges/") {
            let kept = self.books.kept();
            let charge = kept.charges.iter().find(|it| it.id == id);
            self.books.nature.check(
                "a platform is asked with the key of whose invoice it is",
                charge.is_none_or(|charge| charge.invoice.tenant == tenant),
                || format!("{id} with the key of {tenant}"),
            );
            return match charge {
                Some(charge) => Answer::of(200, shown(charge)),
                None => Answer::of(404, Bytes::new()),
            };
        }
        let invoice = path
            .strip_prefix("invoices/")
            .and_then(|rest| rest.strip_suffix("/pay"));
        match invoice {
            Some(id) => self.pay(&Invoice {
                tenant,
                account: Account::Stripe,
                id: id.to_owned(),
            }),
            None => Answer::of(404, Bytes::new()),
        }
    }

    /// Takes an invoice for paid, once, and tells of it.
    fn pay(&self, invoice: &Invoice) -> Answer {
        let mut kept = self.books.kept();
        let ours = |it: &Charge| it.invoice == *invoice && it.paid && it.retry.is_some();
        self.books.nature.check(
            "a platform is told only of what was collected by a retry",
            kept.charges.iter().any(ours),
            || format!("{invoice:?}"),
        );
        let known = !kept.closed.insert(invoice.clone());
        let again = !kept.recorded_back.insert(invoice.clone());
        if known && !again {
            let error = json!({ "error": { "message": "Invoice is already paid" } });
            return Answer::of(400, error.to_string());
        }
        drop(kept);
        if let Some(cluster) = self.cluster.upgrade().filter(|_| !again) {
            let (stage, books) = (self.stage.clone(), self.books.clone());
            let telling = paid_out_of_band(invoice, books.platforms_now(invoice.tenant));
            let busy = books.busy();
            tokio::spawn(async move {
                tell(&cluster, &stage, &books, telling, 500).await;
                drop(busy);
            });
        }
        Answer::of(
            200,
            json!({ "id": invoice.id, "object": "invoice", "status": "paid" }).to_string(),
        )
    }
}

fn shown(charge: &Charge) -> String {
    let failure = (!charge.paid).then_some(match charge.hard {
        true => "stolen_card",
        false => "card_declined",
    });
    json!({
        "id": charge.id, "object": "charge", "amount": AMOUNT, "currency": "usd",
        "status": if charge.paid { "succeeded" } else { "failed" }, "customer": "cus_1",
        "payment_method": charge.card.token(), "created": charge.at.as_second(),
        "failure_code": failure,
        "payment_method_details": {
            "type": "card",
            "card": { "brand": charge.card.network(), "network": charge.card.network() },
        },
    })
    .to_string()
}

#[async_trait]
impl Caller for StripeApi {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        match self.weather().await {
            Some(failed) => failed,
            None => Ok(self.answer(&call)),
        }
    }
}
