//! What is done about events: the trait to implement, with a method for each type, and who calls which.
//!
//! What each method has to do is told in calls of Rafiki's Admin API (`packages/backend/src/graphql/schema.graphql` of
//! interledger/rafiki). With another payment backend it is that one's calls, and the same work on your own ledger.

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use shared::event::grant::Revoked;
use shared::event::incoming_payment::{IncomingPayment, PartialPaymentReceived};
use shared::event::liquidity::Liquidity;
use shared::event::outgoing_payment::OutgoingPayment;
use shared::event::wallet_address::{NotFound, WebMonetization};
use shared::event::{Kind, check};
use shared::ids::EventId;

use crate::event::Event;

/// Why a method did not do its work: any error, for the log. The event comes again.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// What a method answers.
pub type Answer = Result<(), Failed>;

/// Your accounts, and what events do to them.
///
/// A method that answers `Ok` is not called again for the same event, but for a crash at that very moment: do your work so
/// that doing it twice with the same event id does it once. A method that answers `Err` is called again, after 2, 4, 8 s and
/// so on up to 15 minutes, for about a day; then the event waits among the dead letters for somebody to look.
///
/// # What keeps money from moving twice
/// Rafiki moves money under an id that belongs to the event: a withdrawal or deposit of a payment under the id of the
/// payment's own event, every other one under the `id` that you pass, which should be the event's. The second transfer of an
/// id fails (`TransferExists`, or a state in which there is nothing to move any more): take that for success. Pass the event's
/// id as `idempotencyKey`, too. In your own ledger make the event's id a unique key of the booking.
#[async_trait]
pub trait Account: Send + Sync {
    /// An incoming payment was created. For your information.
    ///
    /// Where Rafiki waits for approval (`POLL_INCOMING_PAYMENT_CREATED_WEBHOOK`), answer it within 10 s:
    /// `approveIncomingPayment` or `cancelIncomingPayment`. Either works only while the payment is `PENDING`, so a second
    /// call changes nothing.
    async fn incoming_payment_created(&self, id: &EventId, payment: &IncomingPayment) -> Answer;

    /// An incoming payment received all that it asked for, or its client completed it. Credit the payee.
    ///
    /// `createIncomingPaymentWithdrawal` takes `received_amount` out of Rafiki under the id of this event: with
    /// `timeoutSeconds` 0 at once, else it is held until `postLiquidityWithdrawal`. Credit the payee under the same id.
    async fn incoming_payment_completed(&self, id: &EventId, payment: &IncomingPayment) -> Answer;

    /// An incoming payment expired with something received. Credit the payee: as for
    /// [`Account::incoming_payment_completed`]. A payment ends only once, so there is no second withdrawal.
    async fn incoming_payment_expired(&self, id: &EventId, payment: &IncomingPayment) -> Answer;

    /// A part of an incoming payment is there, with data of its sender, and waits for your decision, 1.5 s at most.
    ///
    /// `confirmPartialIncomingPayment` or `rejectPartialIncomingPayment` (with a reason), with `payment.id` as
    /// `incomingPaymentId` and `partial_incoming_payment_id`. Without a decision the part is declined, so a decision that
    /// comes late does no harm, and the second one changes nothing.
    async fn partial_payment_received(
        &self,
        id: &EventId,
        payment: &PartialPaymentReceived,
    ) -> Answer;

    /// An outgoing payment was created and waits for its money. Its quote ends after 5 minutes.
    ///
    /// Hold `debit_amount` on the payer's account under the payment's id, then `depositOutgoingPaymentLiquidity`, which
    /// moves it under the id of this event and only while the payment is `FUNDING`. Or refuse: `cancelOutgoingPayment` with
    /// a reason, and for a card payment (`card_details`) with `cardPaymentFailureReason` `invalid_signature` or
    /// `invalid_request`. If the deposit fails for good, release the hold.
    async fn outgoing_payment_created(&self, id: &EventId, payment: &OutgoingPayment) -> Answer;

    /// An outgoing payment was sent, or its receiver needs no more. Settle the debit.
    ///
    /// Turn the hold into a debit of `sent_amount`, under the payment's id. If `balance` is more than 0,
    /// `createOutgoingPaymentWithdrawal` takes the rest out of Rafiki under the id of this event (then
    /// `postLiquidityWithdrawal` if it has a timeout): release it to the payer.
    async fn outgoing_payment_completed(&self, id: &EventId, payment: &OutgoingPayment) -> Answer;

    /// An outgoing payment failed for good; `error` says why, and something may have been sent.
    ///
    /// As for [`Account::outgoing_payment_completed`]: debit `sent_amount`, withdraw `balance`, release the rest of the hold.
    async fn outgoing_payment_failed(&self, id: &EventId, payment: &OutgoingPayment) -> Answer;

    /// For a card service: an outgoing payment that a card started was paid for. Answer the request that waits
    /// (`card_details.request_id`). No money moves.
    async fn outgoing_payment_funded(&self, id: &EventId, payment: &OutgoingPayment) -> Answer;

    /// For a card service: an outgoing payment that a card started was cancelled. Refuse the request that waits
    /// (`card_details.request_id`), for the reason in `metadata`. No money moves.
    async fn outgoing_payment_cancelled(&self, id: &EventId, payment: &OutgoingPayment) -> Answer;

    /// Somebody asked for a wallet address that is not known, and waits for 1.5 s.
    ///
    /// `createWalletAddress` if there is to be one. Each request makes an event, so several for one address are usual: that
    /// the address exists already is success.
    async fn wallet_address_not_found(&self, id: &EventId, address: &NotFound) -> Answer;

    /// A wallet address was paid directly, and enough came together to be withdrawn.
    ///
    /// `createWalletAddressWithdrawal` with this event's id as `id`, credit the payee under it, `postLiquidityWithdrawal`.
    /// `received_amount` is what came since the last such event, so events add up, and none may be left out or taken twice.
    async fn web_monetization(&self, id: &EventId, address: &WebMonetization) -> Answer;

    /// The liquidity of an asset is at its threshold or below. `depositAssetLiquidity` with this event's id as `id`.
    ///
    /// There is one after every debit while it is low: look at the present balance before you deposit, or one shortage is
    /// filled many times.
    async fn asset_liquidity_low(&self, id: &EventId, asset: &Liquidity) -> Answer;

    /// The liquidity of an asset is above its upper threshold. If the surplus is of better use elsewhere,
    /// `createAssetLiquidityWithdrawal` with this event's id as `id`.
    async fn asset_liquidity_high(&self, id: &EventId, asset: &Liquidity) -> Answer;

    /// The liquidity of a peer is at its threshold or below. Once the peer has settled, `depositPeerLiquidity` with this
    /// event's id as `id`. As often in a row as [`Account::asset_liquidity_low`].
    async fn peer_liquidity_low(&self, id: &EventId, peer: &Liquidity) -> Answer;

    /// The liquidity of a peer is above its upper threshold. Settle with the peer, and `createPeerLiquidityWithdrawal` with
    /// this event's id as `id`.
    async fn peer_liquidity_high(&self, id: &EventId, peer: &Liquidity) -> Answer;

    /// A grant was revoked. Stop what rests on it, such as recurring payments. No money moves.
    async fn grant_revoked(&self, id: &EventId, grant: &Revoked) -> Answer;

    /// An event of a type that has no method of its own: new in the payment backend, or meant for others, as the
    /// `recovery.*` events are for merchants.
    ///
    /// As it stands it logs the type and takes the event as done. If you would rather have it kept until you know it, answer
    /// an error: then it ends among the dead letters.
    async fn other(&self, event: &Event) -> Answer {
        tracing::warn!(
            event.type = event.event_type.as_str(),
            event.id = event.id.as_str(),
            "no method for this type"
        );
        Ok(())
    }
}

/// Calls the one method for the event's type.
///
/// # Errors
/// The method's, or that `data` is not what the type's catalogue entry says.
pub async fn tell(account: &dyn Account, event: &Event) -> Answer {
    let id = &event.id;
    let Some(kind) = Kind::of(&event.event_type) else {
        return account.other(event).await;
    };
    match kind {
        Kind::IncomingPaymentCreated => account.incoming_payment_created(id, &data(event)?).await,
        Kind::IncomingPaymentCompleted => {
            account.incoming_payment_completed(id, &data(event)?).await
        }
        Kind::IncomingPaymentExpired => account.incoming_payment_expired(id, &data(event)?).await,
        Kind::IncomingPaymentPartialPaymentReceived => {
            account.partial_payment_received(id, &data(event)?).await
        }
        Kind::OutgoingPaymentCreated => account.outgoing_payment_created(id, &data(event)?).await,
        Kind::OutgoingPaymentCompleted => {
            account.outgoing_payment_completed(id, &data(event)?).await
        }
        Kind::OutgoingPaymentFailed => account.outgoing_payment_failed(id, &data(event)?).await,
        Kind::OutgoingPaymentFunded => account.outgoing_payment_funded(id, &data(event)?).await,
        Kind::OutgoingPaymentCancelled => {
            account.outgoing_payment_cancelled(id, &data(event)?).await
        }
        Kind::WalletAddressNotFound => account.wallet_address_not_found(id, &data(event)?).await,
        Kind::WalletAddressWebMonetization => account.web_monetization(id, &data(event)?).await,
        Kind::AssetLiquidityLow => account.asset_liquidity_low(id, &data(event)?).await,
        Kind::AssetLiquidityHigh => account.asset_liquidity_high(id, &data(event)?).await,
        Kind::PeerLiquidityLow => account.peer_liquidity_low(id, &data(event)?).await,
        Kind::PeerLiquidityHigh => account.peer_liquidity_high(id, &data(event)?).await,
        Kind::GrantRevoked => account.grant_revoked(id, &data(event)?).await,
        // Asked at the `decision_url`, which is no business of this door.
        Kind::IncomingPaymentDecisionRequested
        | Kind::IncomingPaymentPartialDecisionRequested
        | Kind::RecoveryPaymentFailed
        | Kind::RecoveryPaymentSucceeded
        | Kind::RecoveryPaymentPending
        | Kind::RecoveryRecovered
        | Kind::RecoveryRetryScheduled
        | Kind::RecoveryRetryDue
        | Kind::RecoveryLimitsExhausted
        | Kind::RecoveryCancelled => account.other(event).await,
    }
}

/// The payload in its type's form. An amount that can't be read must not be taken for done.
fn data<T: DeserializeOwned>(event: &Event) -> Result<T, Failed> {
    serde_json::from_str(event.data.as_str()).map_err(|_| {
        // The parser's own words would quote the payload in the log; the catalogue's name the field.
        match check(&event.event_type, &event.data) {
            Err(field) => field.into(),
            Ok(()) => "`data` is not of its type's form".into(),
        }
    })
}
