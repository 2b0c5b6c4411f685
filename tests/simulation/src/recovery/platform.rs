//! A billing platform, and a merchant that bills by itself: both tell what happens to an invoice again and again until they
//! are answered 200, and some of it once more after that.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::secret::Secret;
use shared::signature::{TOLERANCE, stripe};

use super::books::{AMOUNT, Account, Books, Charge, Invoice, Notice, Said};
use super::merchant::{STRIPE_SECRETS, of_tenant};
use super::{Billed, What};
use crate::cluster::{Answer, Cluster};
use crate::nature::pass;
use crate::stage::Stage;

/// What is told, and how.
pub(super) struct Telling {
    notice: Notice,
    body: Value,
    by: By,
}

/// How something is told.
enum By {
    /// A webhook, signed at that time by the platform's clock.
    Webhook(Timestamp),
    /// A report.
    Report,
}

/// Lets happen to an invoice what is planned, and tells of it.
pub async fn bill(cluster: Arc<Cluster>, stage: Arc<Stage>, books: Arc<Books>, billed: Billed) {
    pass(Duration::from_millis(billed.after_ms)).await;
    let invoice = &billed.invoice;
    let at = match invoice.account {
        Account::Stripe => books.platforms_now(invoice.tenant),
        Account::Own => books.merchants_now(invoice.tenant),
    };
    let charge = {
        let mut kept = books.kept();
        // Nobody collects what is known to be paid or was given up.
        if kept.closed.contains(invoice) {
            return;
        }
        match billed.what {
            What::GivenUp => {
                kept.closed.insert(invoice.clone());
                None
            }
            What::Charged { paid, hard } => {
                let charge = Charge {
                    invoice: invoice.clone(),
                    id: format!("ch_{}_{}_{}", invoice.tenant, invoice.id, billed.number),
                    card: billed.card,
                    at,
                    paid,
                    hard,
                    retry: None,
                };
                kept.charges.push(charge.clone());
                if paid {
                    kept.closed.insert(invoice.clone());
                }
                Some(charge)
            }
        }
    };
    books.nature.count("charges and endings at platforms", 1);
    let name = format!("{}", billed.number);
    let telling = match invoice.account {
        Account::Stripe => webhook(&books, invoice, charge.as_ref(), &name, at),
        Account::Own => report(invoice, charge.as_ref(), &name, at),
    };
    tell(&cluster, &stage, &books, telling, billed.late_ms).await;
}

/// A webhook about a charge, or, without one, about an invoice that was given up.
pub(super) fn webhook(
    books: &Books,
    invoice: &Invoice,
    charge: Option<&Charge>,
    name: &str,
    at: Timestamp,
) -> Telling {
    let (said, event_type, rank) = match charge {
        Some(charge) if charge.paid => (Said::Paid, "invoice.paid", 2),
        Some(_) => (Said::Failed, "invoice.payment_failed", 0),
        None => (Said::GivenUp, "invoice.voided", 1),
    };
    let paid = said == Said::Paid;
    let charge = charge.map(|charge| charge.id.clone());
    let kept = books.kept();
    let tried = kept.charges.iter();
    let tried = tried.filter(|it| it.invoice == *invoice && it.retry.is_none());
    let object = json!({
        "id": invoice.id, "object": "invoice", "currency": "usd", "amount_due": AMOUNT,
        "amount_paid": if paid { AMOUNT } else { 0 },
        "amount_remaining": if paid { 0 } else { AMOUNT },
        "attempt_count": tried.count(), "charge": charge, "payment_intent": null,
        "next_payment_attempt": null,
    });
    drop(kept);
    told_by_webhook(invoice, (said, event_type, rank), charge, &object, name, at)
}

/// The webhook of an invoice that the platform was told to take for paid: it names no charge.
pub(super) fn paid_out_of_band(invoice: &Invoice, at: Timestamp) -> Telling {
    let object = json!({
        "id": invoice.id, "object": "invoice", "currency": "usd", "amount_due": AMOUNT,
        "amount_paid": AMOUNT, "amount_remaining": 0, "attempt_count": 0, "charge": null,
        "payment_intent": null, "next_payment_attempt": null,
    });
    let kind = (Said::Paid, "invoice.paid", 2);
    told_by_webhook(invoice, kind, None, &object, "out_of_band", at)
}

fn told_by_webhook(
    invoice: &Invoice,
    (said, event_type, rank): (Said, &str, u8),
    charge: Option<String>,
    object: &Value,
    name: &str,
    at: Timestamp,
) -> Telling {
    let id = format!("evt_{}_{}_{name}", invoice.tenant, invoice.id);
    let second = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Telling {
        body: json!({
            "id": id, "object": "event", "type": event_type, "created": at.as_second(),
            "data": { "object": object },
        }),
        notice: Notice {
            invoice: invoice.clone(),
            charge,
            said,
            order: (second, rank, id),
        },
        by: By::Webhook(at),
    }
}

/// A report about a charge, or, without one, about an invoice that was given up.
pub(super) fn report(
    invoice: &Invoice,
    charge: Option<&Charge>,
    name: &str,
    at: Timestamp,
) -> Telling {
    let (said, event, rank) = match charge {
        Some(charge) if charge.paid => (Said::Paid, "payment_succeeded", 3),
        Some(_) => (Said::Failed, "payment_failed", 1),
        None => (Said::GivenUp, "invoice_cancelled", 2),
    };
    let id = format!("rep_{}_{}_{name}", invoice.tenant, invoice.id);
    let mut body = json!({
        "id": id, "profile_id": invoice.profile(), "connector_account_id": invoice.account.id(),
        "invoice_id": invoice.id, "event": event, "occurred_at": at, "amount": AMOUNT,
        "currency": "USD", "amount_left": if said == Said::Paid { 0 } else { AMOUNT },
    });
    if let (Some(charge), Some(body)) = (charge, body.as_object_mut()) {
        let error = (!charge.paid).then(|| {
            let code = if charge.hard {
                "stolen_card"
            } else {
                "card_declined"
            };
            json!({ "code": code })
        });
        let mut of = json!({
            "charge_id": charge.id, "amount": AMOUNT, "made_at": charge.at,
            "triggered_by": if charge.retry.is_some() { "internal" } else { "external" },
            "instrument": {
                "token": charge.card.token(), "method": "card",
                "card": { "network": charge.card.network() },
            },
        });
        if let Some(of) = of.as_object_mut() {
            of.extend(error.map(|error| ("error".to_owned(), error)));
            of.extend(charge.retry.map(|retry| ("retry".to_owned(), retry.into())));
        }
        body.insert("charge".to_owned(), of);
    }
    Telling {
        body,
        notice: Notice {
            invoice: invoice.clone(),
            charge: charge.map(|charge| charge.id.clone()),
            said,
            order: (at, rank, format!("report:{id}")),
        },
        by: By::Report,
    }
}

/// Tells something until it is taken.
pub(super) async fn tell(
    cluster: &Arc<Cluster>,
    stage: &Stage,
    books: &Arc<Books>,
    mut telling: Telling,
    late_ms: u64,
) {
    let nature = &cluster.nature;
    let chance = &nature.chance;
    pass(Duration::from_millis(late_ms)).await;
    let mut taken = false;
    loop {
        let began = nature.now();
        let answer = post(cluster, stage, &telling).await;
        nature.count("notices of platforms and merchants", 1);
        let age = telling.age(began).max(-telling.age(nature.now()));
        let status = answer.as_ref().map(|answer| answer.status.as_u16());
        match status {
            Some(200) => {
                nature.check("a stale signature is refused", age <= TOLERANCE, || {
                    format!("{} of {age}", telling.notice.order.2)
                });
                if !taken {
                    books.kept().notices.push(telling.notice.clone());
                    taken = true;
                }
                // Some is told again.
                if !chance.percent(15) {
                    return;
                }
            }
            Some(429 | 503) | None => {}
            Some(400 | 401) if telling.is_signed() && telling.may_be_stale(nature.now()) => {
                nature.count("signatures that were stale", 1);
                telling.sign_anew(books);
            }
            Some(status) => {
                let body = answer.map(|answer| answer.body);
                let id = &telling.notice.order.2;
                books
                    .kept()
                    .refused
                    .push(format!("{id}: {status} {body:?}"));
                return;
            }
        }
        // It comes again with the signature that it has, or with a new one.
        if chance.percent(60) {
            telling.sign_anew(books);
        }
        let most = if nature.is_calm() { 20_000 } else { 120_000 };
        pass(chance.millis(1_000, most)).await;
    }
}

impl Telling {
    fn is_signed(&self) -> bool {
        matches!(self.by, By::Webhook(_))
    }

    /// How old its signature is at `now`, by our clock; nothing if it has none.
    fn age(&self, now: Timestamp) -> SignedDuration {
        match self.by {
            By::Webhook(at) => {
                now.duration_since(Timestamp::from_second(at.as_second()).unwrap_or(at))
            }
            By::Report => SignedDuration::ZERO,
        }
    }

    fn may_be_stale(&self, now: Timestamp) -> bool {
        self.age(now).abs() > TOLERANCE
    }

    fn sign_anew(&mut self, books: &Books) {
        if self.is_signed() {
            self.by = By::Webhook(books.platforms_now(self.notice.invoice.tenant));
        }
    }
}

async fn post(cluster: &Cluster, stage: &Stage, telling: &Telling) -> Option<Answer> {
    let invoice = &telling.notice.invoice;
    let body = telling.body.to_string();
    let request = Request::builder()
        .method(Method::POST)
        .header("content-type", "application/json");
    let request = match telling.by {
        By::Webhook(at) => {
            let secret = Secret::new(of_tenant(&STRIPE_SECRETS, invoice.tenant));
            let account = invoice.account.id();
            request
                .uri(format!(
                    "/v2/webhooks/revenue_recovery/{}/{account}",
                    invoice.profile()
                ))
                .header(stripe::HEADER, stripe::sign(&secret, at, body.as_bytes())?)
        }
        By::Report => request
            .uri(format!("/v1/tenants/{}/recovery/attempts", invoice.tenant))
            .header(
                "authorization",
                format!("Bearer {}", stage.key(invoice.tenant)),
            ),
    };
    cluster.send(request.body(Body::from(body)).ok()?).await
}
