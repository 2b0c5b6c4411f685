//! Everybody outside of the story: the merchant's endpoint, and Stripe's API.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use serde_json::{Value, json};
use shared::delivery::{Failure, Outcome, Request};
use shared::secret::Secret;
use shared::transport::{Answer, Call, Caller, Transport};

use crate::platform_api::{Kind, PlatformApi};
use crate::story::stage::{BEGIN_S, answered};

/// The key for Stripe's API.
pub(super) const STRIPE_KEY: &str = "rk_live_story_4dR7uGmAZq0v";

/// The merchant's inbox, and Stripe.
pub(super) struct FarSide {
    heard: Mutex<VecDeque<Value>>,
    stripe: PlatformApi,
}

impl FarSide {
    pub(super) fn new() -> Self {
        Self {
            heard: Mutex::default(),
            stripe: PlatformApi::new(Secret::new(STRIPE_KEY)),
        }
    }

    fn inbox(&self) -> MutexGuard<'_, VecDeque<Value>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The delivery that the merchant works on next: what became of a charge before what follows from it, since
    /// deliveries of one moment come in any order.
    pub(super) fn next_heard(&self) -> Option<Value> {
        let mut inbox = self.inbox();
        let of_charge = |heard: &Value| {
            let event_type = heard.get("type").and_then(Value::as_str);
            event_type.is_some_and(|it| it.starts_with("recovery.payment_"))
        };
        let place = inbox.iter().position(of_charge).unwrap_or_default();
        inbox.remove(place)
    }

    /// Has Stripe know of an open invoice, and of a charge of it that was declined.
    pub(super) fn stripe_charged(&self, charge: &str, invoice: &str) {
        let declined = json!({
            "id": charge,
            "object": "charge",
            "amount": 2500,
            "currency": "usd",
            "status": "failed",
            "paid": false,
            "customer": "cus_demo",
            "payment_method": "pm_demo_visa",
            "payment_intent": "pi_demo",
            "invoice": invoice,
            "created": BEGIN_S,
            "failure_code": "card_declined",
            "failure_message": "Your card has insufficient funds.",
            "outcome": {
                "network_status": "declined_by_network",
                "reason": "insufficient_funds",
                "network_advice_code": null,
                "network_decline_code": "51",
                "type": "issuer_declined",
            },
            "payment_method_details": {
                "type": "card",
                "card": {
                    "brand": "visa",
                    "network": "visa",
                    "funding": "credit",
                    "last4": "4242",
                    "exp_month": 12,
                    "exp_year": 2030,
                },
            },
        });
        self.stripe.put(Kind::StripeCharge, declined);
        let open =
            json!({"id": invoice, "object": "invoice", "status": "open", "amount_remaining": 2500});
        self.stripe.put(Kind::StripeInvoice, open);
    }

    /// Whether Stripe was told of a success.
    pub(super) fn stripe_was_told(&self) -> bool {
        !self.stripe.recorded().is_empty()
    }
}

#[async_trait]
impl Transport for FarSide {
    /// The merchant keeps what comes and answers at once, as a receiver should.
    async fn post(&self, request: Request) -> Outcome {
        match serde_json::from_slice(&request.body) {
            Ok(heard) => {
                self.inbox().push_back(heard);
                Outcome::answered(200)
            }
            Err(_) => Outcome::answered(400),
        }
    }
}

#[async_trait]
impl Caller for FarSide {
    async fn call(&self, call: Call) -> Result<Answer, Failure> {
        answered(self.stripe.router(), call).await
    }
}
