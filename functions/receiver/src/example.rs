//! An account that only says what would have to be done. Replace it: what it answers `Ok` to is done with.

use async_trait::async_trait;
use shared::event::Kind;
use shared::event::grant::Revoked;
use shared::event::incoming_payment::{IncomingPayment, PartialPaymentReceived};
use shared::event::liquidity::Liquidity;
use shared::event::outgoing_payment::OutgoingPayment;
use shared::event::wallet_address::{NotFound, WebMonetization};
use shared::ids::EventId;
use tracing::info;

use crate::account::{Account, Answer};
use crate::event::Event;

/// Logs the catalogue's advice, and does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Example;

fn to_do(kind: Kind, id: &EventId) -> Answer {
    info!(
        event.type = kind.wire_name(),
        event.id = id.as_str(),
        action = kind.action(),
        "to do"
    );
    Ok(())
}

#[async_trait]
impl Account for Example {
    async fn incoming_payment_created(&self, id: &EventId, _: &IncomingPayment) -> Answer {
        to_do(Kind::IncomingPaymentCreated, id)
    }

    async fn incoming_payment_completed(&self, id: &EventId, _: &IncomingPayment) -> Answer {
        to_do(Kind::IncomingPaymentCompleted, id)
    }

    async fn incoming_payment_expired(&self, id: &EventId, _: &IncomingPayment) -> Answer {
        to_do(Kind::IncomingPaymentExpired, id)
    }

    async fn partial_payment_received(&self, id: &EventId, _: &PartialPaymentReceived) -> Answer {
        to_do(Kind::IncomingPaymentPartialPaymentReceived, id)
    }

    async fn outgoing_payment_created(&self, id: &EventId, _: &OutgoingPayment) -> Answer {
        to_do(Kind::OutgoingPaymentCreated, id)
    }

    async fn outgoing_payment_completed(&self, id: &EventId, _: &OutgoingPayment) -> Answer {
        to_do(Kind::OutgoingPaymentCompleted, id)
    }

    async fn outgoing_payment_failed(&self, id: &EventId, _: &OutgoingPayment) -> Answer {
        to_do(Kind::OutgoingPaymentFailed, id)
    }

    async fn outgoing_payment_funded(&self, id: &EventId, _: &OutgoingPayment) -> Answer {
        to_do(Kind::OutgoingPaymentFunded, id)
    }

    async fn outgoing_payment_cancelled(&self, id: &EventId, _: &OutgoingPayment) -> Answer {
        to_do(Kind::OutgoingPaymentCancelled, id)
    }

    async fn wallet_address_not_found(&self, id: &EventId, _: &NotFound) -> Answer {
        to_do(Kind::WalletAddressNotFound, id)
    }

    async fn web_monetization(&self, id: &EventId, _: &WebMonetization) -> Answer {
        to_do(Kind::WalletAddressWebMonetization, id)
    }

    async fn asset_liquidity_low(&self, id: &EventId, _: &Liquidity) -> Answer {
        to_do(Kind::AssetLiquidityLow, id)
    }

    async fn asset_liquidity_high(&self, id: &EventId, _: &Liquidity) -> Answer {
        to_do(Kind::AssetLiquidityHigh, id)
    }

    async fn peer_liquidity_low(&self, id: &EventId, _: &Liquidity) -> Answer {
        to_do(Kind::PeerLiquidityLow, id)
    }

    async fn peer_liquidity_high(&self, id: &EventId, _: &Liquidity) -> Answer {
        to_do(Kind::PeerLiquidityHigh, id)
    }

    async fn grant_revoked(&self, id: &EventId, _: &Revoked) -> Answer {
        to_do(Kind::GrantRevoked, id)
    }

    async fn other(&self, event: &Event) -> Answer {
        match Kind::of(&event.event_type) {
            Some(kind) => to_do(kind, &event.id),
            None => {
                info!(
                    event.type = event.event_type.as_str(),
                    event.id = event.id.as_str(),
                    "of a type that is not in the catalogue"
                );
                Ok(())
            }
        }
    }
}
