//! The form of Chargebee's webhooks, as far as recovery reads it. Names and kinds are those of its API documentation, version
//! 2; what it marks as optional may be missing here too.

use serde::Deserialize;

use crate::event::EventType;
use crate::ids::{InvoiceId, SignalId};
use crate::recovery::{Card, Decline, Network};

#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) id: SignalId,
    pub(super) event_type: EventType,
    pub(super) occurred_at: i64,
}

#[derive(Deserialize)]
pub(super) struct Notification<T> {
    pub(super) content: T,
}

#[derive(Deserialize)]
pub(super) struct Payment {
    pub(super) transaction: Transaction,
    #[serde(default)]
    pub(super) invoice: Option<Invoice>,
    #[serde(default)]
    pub(super) customer: Option<Customer>,
}

#[derive(Deserialize)]
pub(super) struct Changed {
    pub(super) invoice: Invoice,
}

#[derive(Deserialize)]
pub(super) struct Invoice {
    pub(super) id: InvoiceId,
    pub(super) currency_code: String,
    pub(super) total: i64,
    pub(super) amount_due: i64,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) write_off_amount: Option<i64>,
    #[serde(default)]
    pub(super) next_retry_at: Option<i64>,
    #[serde(default)]
    pub(super) resource_version: Option<i64>,
    #[serde(default)]
    pub(super) linked_payments: Option<Vec<serde::de::IgnoredAny>>,
}

#[derive(Deserialize)]
pub(super) struct Transaction {
    pub(super) id: String,
    pub(super) currency_code: String,
    pub(super) amount: i64,
    #[serde(default, rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) status: Option<String>,
    #[serde(default)]
    pub(super) date: Option<i64>,
    #[serde(default)]
    pub(super) id_at_gateway: Option<String>,
    #[serde(default)]
    pub(super) gateway_account_id: Option<String>,
    #[serde(default)]
    pub(super) payment_source_id: Option<String>,
    #[serde(default)]
    pub(super) payment_method: Option<String>,
    /// JSON in a string.
    #[serde(default)]
    pub(super) payment_method_details: Option<String>,
    #[serde(default)]
    pub(super) last4: Option<String>,
    #[serde(default)]
    pub(super) error_code: Option<String>,
    #[serde(default)]
    pub(super) error_text: Option<String>,
    #[serde(default)]
    pub(super) error_detail: Option<ErrorDetail>,
    #[serde(default)]
    pub(super) resource_version: Option<i64>,
}

/// What the gateway said beside its code (`GatewayErrorDetail` of Chargebee's API).
#[derive(Default, Clone, Deserialize)]
pub(super) struct ErrorDetail {
    #[serde(default)]
    pub(super) decline_code: Option<String>,
    #[serde(default)]
    pub(super) network_error_code: Option<String>,
    #[serde(default)]
    pub(super) network_error_message: Option<String>,
    #[serde(default)]
    pub(super) processor_advice_code: Option<String>,
}

impl Transaction {
    pub(super) fn is_payment(&self) -> bool {
        self.kind.as_deref().is_none_or(|kind| kind == "payment")
    }

    /// Where the gateway gave no code, the status says what happened (`timeout`).
    pub(super) fn decline(&self) -> Decline {
        let detail = self.error_detail.clone().unwrap_or_default();
        let code = self.error_code.as_ref().or(self.status.as_ref());
        Decline {
            code: code.cloned().unwrap_or_else(|| "failure".to_owned()),
            message: self.error_text.clone(),
            reason: detail.decline_code,
            network_code: detail.network_error_code,
            advice_code: detail.processor_advice_code,
            network_message: detail.network_error_message,
        }
    }

    /// What is known of the card. Details that are no JSON of the form that Chargebee documents tell nothing, which is no
    /// reason to lose the payment.
    pub(super) fn card(&self) -> Card {
        let details = self.payment_method_details.as_deref();
        let told = details
            .and_then(|text| serde_json::from_str::<MethodDetails>(text).ok())
            .and_then(|details| details.card)
            .unwrap_or_default();
        Card {
            network: told
                .brand
                .as_deref()
                .map_or(Network::Unknown, Network::of_brand),
            funding: told.funding_type,
            last4: told.last4.or_else(|| self.last4.clone()),
            expiry_month: told.expiry_month,
            expiry_year: told.expiry_year,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct MethodDetails {
    #[serde(default)]
    pub(super) card: Option<CardDetails>,
}

#[derive(Default, Deserialize)]
pub(super) struct CardDetails {
    #[serde(default)]
    pub(super) brand: Option<String>,
    #[serde(default)]
    pub(super) funding_type: Option<String>,
    #[serde(default)]
    pub(super) last4: Option<String>,
    #[serde(default)]
    pub(super) expiry_month: Option<u8>,
    #[serde(default)]
    pub(super) expiry_year: Option<u16>,
}

#[derive(Deserialize)]
pub(super) struct Customer {
    #[serde(default)]
    pub(super) primary_payment_source_id: Option<String>,
    #[serde(default)]
    pub(super) payment_method: Option<Method>,
}

#[derive(Deserialize)]
pub(super) struct Method {
    #[serde(default)]
    pub(super) reference_id: Option<String>,
    #[serde(default)]
    pub(super) gateway_account_id: Option<String>,
}

impl Customer {
    /// The customer and the token at the payment service provider that `transaction` charged. Stripe's and Braintree's are
    /// joined by `/` in the customer's payment method, other gateways have one id for both. The method is the primary one;
    /// where another one was charged, its token is not told.
    pub(super) fn token_of(&self, transaction: &Transaction) -> Option<(Option<String>, String)> {
        let method = self.payment_method.as_ref()?;
        let differ = |one: &Option<String>, other: &Option<String>| matches!((one, other), (Some(one), Some(other)) if one != other);
        let primary = &self.primary_payment_source_id;
        if differ(primary, &transaction.payment_source_id)
            || differ(&method.gateway_account_id, &transaction.gateway_account_id)
        {
            return None;
        }
        let reference = method.reference_id.as_deref()?;
        let customer = reference.split_once('/').map(|(customer, _)| customer);
        let token = reference.rsplit('/').next().unwrap_or(reference);
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Some((customer.and_then(some), some(token)?))
    }
}
