//! Where `cargo local send` tells the stand-in what it will be asked for, since it is in another process.

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::Value;

use super::{Kind, PlatformApi};

impl Kind {
    const ALL: [Self; 6] = [
        Self::StripeCharge,
        Self::StripeInvoicePayment,
        Self::StripeInvoice,
        Self::RecurlyTransaction,
        Self::RecurlyInvoice,
        Self::ChargebeeInvoice,
    ];

    /// Its name in a path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StripeCharge => "stripe-charge",
            Self::StripeInvoicePayment => "stripe-invoice-payment",
            Self::StripeInvoice => "stripe-invoice",
            Self::RecurlyTransaction => "recurly-transaction",
            Self::RecurlyInvoice => "recurly-invoice",
            Self::ChargebeeInvoice => "chargebee-invoice",
        }
    }
}

impl PlatformApi {
    /// Its routes, and one to put objects in.
    pub fn with_desk(&self) -> Router {
        let desk = Router::new().route("/put/{kind}", post(put));
        desk.with_state(self.clone()).merge(self.router())
    }
}

async fn put(
    State(api): State<PlatformApi>,
    Path(kind): Path<String>,
    Json(object): Json<Value>,
) -> StatusCode {
    match Kind::ALL.into_iter().find(|known| known.as_str() == kind) {
        Some(kind) => {
            api.put(kind, object);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::NOT_FOUND,
    }
}
