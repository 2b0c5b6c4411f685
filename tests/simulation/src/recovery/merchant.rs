//! Merchants: their billing accounts, and what they do when they are told to charge.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::api::StripeApi;
use super::books::{Account, Books, Card, Charge, Invoice};
use super::platform::{report, tell, webhook};
use crate::cluster::Cluster;
use crate::nature::pass;
use crate::outside::Arrival;
use crate::stage::{Stage, TENANTS};

/// What Stripe signs with for each tenant.
pub(super) const STRIPE_SECRETS: [&str; 2] = [
    "whsec_of_amber_at_stripe_0001",
    "whsec_of_birch_at_stripe_0002",
];
/// Each tenant's key for Stripe's API.
pub(super) const STRIPE_KEYS: [&str; 2] = ["rk_live_of_amber_0001", "rk_live_of_birch_0002"];

/// What belongs to a tenant, of one for each.
#[must_use]
pub(super) fn of_tenant<'a>(of_each: &[&'a str], tenant: &str) -> &'a str {
    let place = TENANTS.iter().position(|it| *it == tenant);
    let found = place.and_then(|place| of_each.get(place));
    found.copied().unwrap_or_default()
}

/// The billing accounts of a tenant: their paths after the tenant's, and their settings.
#[must_use]
pub fn accounts(tenant: &'static str) -> [(String, Value); 2] {
    Account::ALL.map(|account| {
        let mut settings = json!({
            "mode": "cascading", "ladder_s": account.ladder_s(),
            "retry_window_s": account.window_s(), "grace_period_s": 4 * 3600,
        });
        let more = match account {
            Account::Stripe => json!({
                "platform": "stripe",
                "webhook_secrets": [of_tenant(&STRIPE_SECRETS, tenant)],
                "api_key": of_tenant(&STRIPE_KEYS, tenant),
                "max_retry_count": account.charges_most(), "record_back": true,
            }),
            Account::Own => json!({ "platform": "custom" }),
        };
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        let path = format!("billing-accounts/pro_{tenant}/{}", account.id());
        (path, settings)
    })
}

/// Has the merchants and the platform's API at work.
pub fn open(cluster: &Arc<Cluster>, stage: &Arc<Stage>, books: &Arc<Books>) {
    let api = StripeApi::new(cluster, stage, books);
    cluster
        .outside
        .serve("https://api.stripe.com/", Arc::new(api));
    for shop in stage.receivers.iter().filter(|it| it.role == "merchant") {
        let (send, mut heard) = unbounded_channel();
        cluster.outside.hear(&shop.url, send);
        let tenant = shop.tenant;
        let (cluster, stage, books) = (Arc::downgrade(cluster), stage.clone(), books.clone());
        tokio::spawn(async move {
            while let Some(arrival) = heard.recv().await {
                let Some(cluster) = cluster.upgrade() else {
                    return;
                };
                let Some(told) = Told::of(tenant, &arrival) else {
                    continue;
                };
                let (stage, books) = (stage.clone(), books.clone());
                let busy = books.busy();
                tokio::spawn(async move {
                    charge(&cluster, &stage, &books, told).await;
                    drop(busy);
                });
            }
        });
    }
}

/// What a merchant is told to do.
struct Told {
    invoice: Invoice,
    retry: u64,
    key: String,
    deadline: jiff::Timestamp,
    token: Option<String>,
}

impl Told {
    fn of(tenant: &'static str, arrival: &Arrival) -> Option<Self> {
        let body: Value = serde_json::from_slice(&arrival.body).ok()?;
        if body.get("type")? != "recovery.retry_due" {
            return None;
        }
        let data = body.get("data")?;
        let text = |name: &str| data.get(name).and_then(Value::as_str);
        let account = text("connector_account_id")?;
        Some(Self {
            invoice: Invoice {
                tenant,
                account: Account::ALL.into_iter().find(|it| it.id() == account)?,
                id: text("invoice_id")?.to_owned(),
            },
            retry: data.get("retry")?.as_u64()?,
            key: text("idempotency_key")?.to_owned(),
            deadline: text("deadline")?.parse().ok()?,
            token: text("token").map(str::to_owned),
        })
    }
}

/// Charges once for each key, within the time for it, and reports what came of it.
async fn charge(cluster: &Arc<Cluster>, stage: &Arc<Stage>, books: &Arc<Books>, told: Told) {
    let worked_on = (told.invoice.clone(), told.key.clone());
    if !books.kept().worked_on.insert(worked_on) {
        return;
    }
    let (tenant, invoice) = (told.invoice.tenant, &told.invoice);
    let chance = books.chance_for(&format!("{} {}", invoice.subject(), told.retry));
    pass(chance.millis(10, 60_000)).await;
    // Some lose what they are told, and some see that they come too late.
    if cluster.nature.now() > told.deadline || chance.percent(3) {
        cluster.nature.count("retries that were not made", 1);
        return;
    }
    // The card of some invoices never pays: that is how ceilings and the limits of networks are reached.
    let stays_empty = books.chance_for(&invoice.subject()).percent(30);
    let cards = [Card::Mastercard, Card::Visa];
    let card = told
        .token
        .and_then(|token| cards.into_iter().find(|it| it.token() == token));
    let charge = Charge {
        invoice: invoice.clone(),
        id: format!("ch_{tenant}_{}_retry_{}", invoice.id, told.retry),
        card: card.unwrap_or(Card::Visa),
        at: books.merchants_now(tenant),
        paid: chance.percent(20) && !stays_empty,
        hard: chance.percent(3) && !stays_empty,
        retry: Some(told.retry),
    };
    {
        let mut kept = books.kept();
        kept.charges.push(charge.clone());
        // Who bills by itself knows that it is paid.
        if charge.paid && invoice.account == Account::Own {
            kept.closed.insert(invoice.clone());
        }
    }
    cluster.nature.count("retries that were made", 1);
    let name = format!("retry_{}", told.retry);
    let note = || {
        let report = (invoice.clone(), told.retry, cluster.nature.now());
        books.kept().reports.push(report);
    };
    let late = chance.percent(20);
    let late_ms = chance.between(0, if late { 200_000 } else { 2_000 });
    let by_report = async || {
        let telling = report(invoice, Some(&charge), &name, charge.at);
        note();
        tell(cluster, stage, books, telling, late_ms).await;
    };
    let by_platform = async || {
        // It went through the platform, which tells of it by its own clock.
        let at = books.platforms_now(tenant);
        let telling = webhook(books, invoice, Some(&charge), &name, at);
        if charge.paid {
            books.kept().closed.insert(invoice.clone());
        }
        note();
        tell(cluster, stage, books, telling, late_ms).await;
    };
    match (invoice.account, chance.between(0, 99)) {
        (Account::Stripe, 0..20) => by_platform().await,
        (Account::Stripe, 20..40) => {
            futures::join!(by_report(), by_platform());
        }
        _ => by_report().await,
    }
}
