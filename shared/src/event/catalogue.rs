//! The catalogue: every event type that we know, with what it carries and what it asks of its receiver.
//!
//! A row names the type's payload, and its two files in `shared/schemas/`: the JSON Schema and a sample. Tests hold the
//! three together. Who is told is said by [`super::rules`]. A change that an old receiver could not read is a new
//! version, with files of its own.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::field::{self, FieldError};
use super::{
    EventType, Json, grant, incoming_payment, liquidity, outgoing_payment, recovery, wallet_address,
};

macro_rules! catalogue {
    ($($kind:ident: $name:literal, $data:ty, $when:literal, $action:literal;)*) => {
        /// The event types that we know.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $when] $kind,)*
        }

        impl Kind {
            /// Every known kind, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The wire name.
            #[must_use]
            pub fn wire_name(self) -> &'static str {
                match self { $(Self::$kind => $name,)* }
            }

            /// When it happens.
            #[must_use]
            pub fn when(self) -> &'static str {
                match self { $(Self::$kind => $when,)* }
            }

            /// What its receiver has to do.
            #[must_use]
            pub fn action(self) -> &'static str {
                match self { $(Self::$kind => $action,)* }
            }

            /// The JSON Schema (2020-12) of the event, as text.
            #[must_use]
            pub fn schema(self) -> &'static str {
                match self {
                    $(Self::$kind => include_str!(concat!("../../schemas/", $name, ".v1.json")),)*
                }
            }

            /// A sample of the event, as JSON text.
            #[must_use]
            pub fn sample(self) -> &'static str {
                match self {
                    $(Self::$kind => include_str!(concat!("../../schemas/", $name, ".v1.sample.json")),)*
                }
            }

            /// The payload as it comes back from its struct.
            #[cfg(test)]
            pub(super) fn rewritten(self, data: &str) -> Result<serde_json::Value, FieldError> {
                let written = |json| serde_json::from_str(json).expect("what we write is JSON");
                match self {
                    $(Self::$kind => {
                        let payload = field::read::<$data>("data", data)?;
                        Ok(written(Json::of(&payload).expect("a payload has a JSON form").as_str()))
                    })*
                }
            }

            fn check(self, data: &str) -> Result<(), FieldError> {
                match self { $(Self::$kind => field::read::<$data>("data", data).map(drop),)* }
            }
        }
    };
}

catalogue! {
    RecoveryPaymentFailed: "recovery.payment_failed", recovery::PaymentFailed,
        "A charge of an invoice failed.",
        "None; it is for your information. The invoice stays open until `recovery.recovered` or `recovery.cancelled`.";
    RecoveryPaymentSucceeded: "recovery.payment_succeeded", recovery::PaymentSucceeded,
        "A charge of an invoice succeeded.",
        "Book the payment.";
    RecoveryPaymentPending: "recovery.payment_pending", recovery::PaymentPending,
        "A charge of an invoice became known and is not settled yet.",
        "None; wait for `recovery.payment_succeeded` or `recovery.payment_failed`.";
    RecoveryRecovered: "recovery.recovered", recovery::Recovered,
        "An invoice that had failed was collected.",
        "Give the customer back what the failed invoice took from them.";
    RecoveryRetryScheduled: "recovery.retry_scheduled", recovery::RetryScheduled,
        "A failed invoice will be charged again.",
        "None; `recovery.retry_due` follows at the time it names, unless something comes between.";
    RecoveryRetryDue: "recovery.retry_due", recovery::RetryDue,
        "A failed invoice is to be charged now.",
        "Charge `token` before `deadline`, giving the payment service provider `idempotency_key`, and report what came of it \
         to `POST /v1/tenants/{tenant}/recovery/attempts` with `retry`. After `deadline`, leave it.";
    RecoveryLimitsExhausted: "recovery.limits_exhausted", recovery::LimitsExhausted,
        "A failed invoice will not be charged again.",
        "Ask the customer for another means of payment, or give the invoice up.";
    RecoveryCancelled: "recovery.cancelled", recovery::Cancelled,
        "An invoice will not be collected any more.",
        "End, or keep, what the customer has not paid for.";
    IncomingPaymentCreated: "incoming_payment.created", incoming_payment::Created,
        "An incoming payment was created.",
        "None. Where the payment backend waits for approval (`POLL_INCOMING_PAYMENT_CREATED_WEBHOOK`), answer it within \
         10 s with `approveIncomingPayment` or `cancelIncomingPayment`.";
    IncomingPaymentCompleted: "incoming_payment.completed", incoming_payment::Completed,
        "An incoming payment received all it asked for, or was completed by its client.",
        "`createIncomingPaymentWithdrawal` (two-phase: then `postLiquidityWithdrawal`), and credit the payee.";
    IncomingPaymentExpired: "incoming_payment.expired", incoming_payment::Expired,
        "An incoming payment expired with something received.",
        "As for `incoming_payment.completed`: withdraw what was received and credit the payee.";
    IncomingPaymentPartialPaymentReceived: "incoming_payment.partial_payment_received",
        incoming_payment::PartialPaymentReceived,
        "A part of an incoming payment arrived with data of its sender, and waits for a decision.",
        "`confirmPartialIncomingPayment` or `rejectPartialIncomingPayment`, with `incomingPaymentId` and \
         `partialIncomingPaymentId`, within 1.5 s; without a decision the part is declined.";
    IncomingPaymentDecisionRequested: "incoming_payment.decision_requested", incoming_payment::DecisionRequested,
        "A payment backend is about to create an incoming payment, and waits for the decision.",
        "Answer the request at the endpoint's `decision_url` with 200 and the decision (`shared/docs/decisions.md`). It is \
         never delivered to `url`.";
    IncomingPaymentPartialDecisionRequested: "incoming_payment.partial_decision_requested",
        incoming_payment::PartialDecisionRequested,
        "A payment backend is about to take a partial payment, and waits for the decision.",
        "As for `incoming_payment.decision_requested`; a partial payment is accepted or rejected as it is.";
    OutgoingPaymentCreated: "outgoing_payment.created", outgoing_payment::Created,
        "An outgoing payment was created and waits for its money.",
        "Hold the payer's funds, then `depositOutgoingPaymentLiquidity`; or `cancelOutgoingPayment` with a reason, and for a \
         card payment with `cardPaymentFailureReason`. Its quote ends after 5 minutes.";
    OutgoingPaymentCompleted: "outgoing_payment.completed", outgoing_payment::Completed,
        "An outgoing payment was sent, or its receiver needs no more.",
        "Settle the debit of `sentAmount`. Where `balance` is more than 0, take the rest back with \
         `createOutgoingPaymentWithdrawal`.";
    OutgoingPaymentFailed: "outgoing_payment.failed", outgoing_payment::Failed,
        "An outgoing payment failed for good.",
        "Debit `sentAmount`, release the hold of the rest, and take `balance` back with `createOutgoingPaymentWithdrawal`.";
    OutgoingPaymentFunded: "outgoing_payment.funded", outgoing_payment::Funded,
        "The account servicing entity paid for an outgoing payment that a card started.",
        "The card service answers the request that waits (`cardDetails.requestId`).";
    OutgoingPaymentCancelled: "outgoing_payment.cancelled", outgoing_payment::Cancelled,
        "The account servicing entity cancelled an outgoing payment that a card started.",
        "The card service refuses the request that waits (`cardDetails.requestId`), for the reason in `metadata`.";
    WalletAddressNotFound: "wallet_address.not_found", wallet_address::NotFound,
        "Somebody asked for a wallet address that is not known, and waits.",
        "`createWalletAddress` within 1.5 s if the address is to exist; else nothing.";
    WalletAddressWebMonetization: "wallet_address.web_monetization", wallet_address::WebMonetization,
        "A wallet address was paid directly, and enough came together to be withdrawn.",
        "`createWalletAddressWithdrawal`, credit the payee, and post the withdrawal.";
    AssetLiquidityLow: "asset.liquidity_low", liquidity::AssetLow,
        "The liquidity of an asset is at its threshold or below; told after every debit, so often in a row.",
        "`depositAssetLiquidity`.";
    AssetLiquidityHigh: "asset.liquidity_high", liquidity::AssetHigh,
        "The liquidity of an asset is above its upper threshold.",
        "`createAssetLiquidityWithdrawal`, if the surplus is of better use elsewhere.";
    PeerLiquidityLow: "peer.liquidity_low", liquidity::PeerLow,
        "The liquidity of a peer is at its threshold or below; told after every debit, so often in a row.",
        "`depositPeerLiquidity`, once the peer has settled.";
    PeerLiquidityHigh: "peer.liquidity_high", liquidity::PeerHigh,
        "The liquidity of a peer is above its upper threshold.",
        "Settle with the peer, and `createPeerLiquidityWithdrawal`.";
    GrantRevoked: "grant.revoked", grant::Revoked,
        "A grant was revoked.",
        "Stop what rests on the grant, such as recurring payments.";
}

impl Kind {
    /// The version of its payload.
    #[must_use]
    pub fn version(self) -> u32 {
        1
    }

    /// The type that carries this kind.
    #[must_use]
    pub fn event_type(self) -> EventType {
        EventType(self.wire_name().to_owned())
    }

    /// The kind of a type, if we know it.
    #[must_use]
    pub fn of(event_type: &EventType) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.wire_name() == event_type.as_str())
    }

    /// How long after it happened a retry is still of use, if somebody waits for it.
    ///
    /// Sources: `WALLET_ADDRESS_LOOKUP_TIMEOUT_MS` (1500), `PARTIAL_PAYMENT_DECISION_MAX_WAIT_MS` (1500) and
    /// `QUOTE_LIFESPAN` (5 min) of interledger/rafiki.
    #[must_use]
    pub fn useful_for(self) -> Option<SignedDuration> {
        match self {
            Self::WalletAddressNotFound | Self::IncomingPaymentPartialPaymentReceived => {
                Some(SignedDuration::from_millis(1500))
            }
            Self::OutgoingPaymentCreated => Some(SignedDuration::from_mins(5)),
            _ => None,
        }
    }
}

/// How long after it happened a retry of an event is still of use, for types that somebody waits for.
#[must_use]
pub fn useful_for(event_type: &EventType) -> Option<SignedDuration> {
    Kind::of(event_type)?.useful_for()
}

/// Checks a payload by its type: what the catalogue documents must be as documented, fields that it does not know may be
/// there. The payload of a type that we don't know must be an object.
///
/// # Errors
/// The field that is wrong, by its path from the root of the event (`data.receivedAmount.value`).
pub fn check(event_type: &EventType, data: &Json) -> Result<(), FieldError> {
    match Kind::of(event_type) {
        Some(kind) => kind.check(data.as_str()),
        None => field::read::<Unknown>("data", data.as_str()).map(drop),
    }
}

/// A payload that we know nothing about.
#[derive(Deserialize)]
struct Unknown {}

/// What an event is about, to find it by: the payment, the wallet address (or the URL that was asked for), the asset or
/// peer, the grant, the invoice. `None` where the payload does not say.
#[must_use]
pub fn resource(event_type: &EventType, data: &Json) -> Option<String> {
    #[derive(Deserialize)]
    struct About<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        #[serde(borrow, rename = "walletAddressUrl")]
        url: Option<&'a RawValue>,
        #[serde(borrow, rename = "walletAddress")]
        address: Option<&'a RawValue>,
        #[serde(borrow)]
        invoice_id: Option<&'a RawValue>,
        #[serde(borrow, rename = "incomingPaymentId")]
        payment: Option<&'a RawValue>,
    }
    let about: About<'_> = serde_json::from_str(data.as_str()).ok()?;
    let named = match Kind::of(event_type) {
        Some(Kind::WalletAddressNotFound) => about.url?,
        Some(Kind::IncomingPaymentDecisionRequested) => about.address?,
        Some(Kind::IncomingPaymentPartialDecisionRequested) => about.payment?,
        Some(Kind::WalletAddressWebMonetization) => {
            serde_json::from_str::<About<'_>>(about.address?.get())
                .ok()?
                .id?
        }
        Some(
            Kind::RecoveryPaymentFailed
            | Kind::RecoveryPaymentSucceeded
            | Kind::RecoveryPaymentPending
            | Kind::RecoveryRecovered
            | Kind::RecoveryRetryScheduled
            | Kind::RecoveryRetryDue
            | Kind::RecoveryLimitsExhausted
            | Kind::RecoveryCancelled,
        ) => about.invoice_id?,
        _ => about.id?,
    };
    serde_json::from_str::<field::Text>(named.get())
        .ok()
        .map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Envelope;

    #[test]
    fn every_kind_comes_back_from_its_wire_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of(&kind.event_type()), Some(*kind));
            assert_eq!(
                EventType::parse(kind.wire_name()),
                Ok(kind.event_type()),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn every_sample_is_an_event_of_its_type_and_says_what_it_is_about() {
        for kind in Kind::ALL {
            let sample = Envelope::read(kind.sample());
            let said = sample.map(|sample| {
                let about = resource(&sample.event_type, &sample.data);
                (Kind::of(&sample.event_type), about.is_some())
            });
            assert_eq!(said, Ok((Some(*kind), true)), "{kind:?}");
        }
    }

    #[test]
    fn what_an_event_is_about_is_read_from_where_its_type_has_it() {
        let cases = [
            (
                "incoming_payment.created",
                r#"{"id":"p1","walletAddressId":"w1"}"#,
                Some("p1"),
            ),
            (
                "wallet_address.not_found",
                r#"{"id":"x","walletAddressUrl":"https://w.example/a"}"#,
                Some("https://w.example/a"),
            ),
            (
                "wallet_address.web_monetization",
                r#"{"walletAddress":{"id":"w1"}}"#,
                Some("w1"),
            ),
            (
                "peer.liquidity_low",
                r#"{"id":"peer","asset":{"id":"a1"}}"#,
                Some("peer"),
            ),
            ("grant.revoked", r#"{"id":"g1"}"#, Some("g1")),
            (
                "recovery.recovered",
                r#"{"invoice_id":"in_1","id":"x"}"#,
                Some("in_1"),
            ),
            ("something.new", r#"{"id":"n1"}"#, Some("n1")),
            ("something.new", r#"{"id":7}"#, None),
            ("something.new", r#"{"id":""}"#, None),
            ("something.new", "{}", None),
            ("something.new", "[]", None),
        ];
        for (event_type, data, want) in cases {
            let event_type = EventType::parse(event_type).expect("a valid type");
            let data = Json::parse(data.into()).expect("valid JSON");
            assert_eq!(
                resource(&event_type, &data).as_deref(),
                want,
                "{event_type} {data:?}"
            );
        }
    }
}
