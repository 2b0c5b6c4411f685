//! A crash at each step in turn: before it, and after it. Nothing acknowledged is lost, and only a method that had
//! succeeded and was not noted is called again.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use receiver::account::{Account, Answer};
use receiver::event::Event;
use receiver::inprocess::LINE;
use receiver::ports::{Memory, Queue, Unavailable};
use shared::event::grant::Revoked;
use shared::event::incoming_payment::{IncomingPayment, PartialPaymentReceived};
use shared::event::liquidity::Liquidity;
use shared::event::outgoing_payment::OutgoingPayment;
use shared::event::wallet_address::{NotFound, WebMonetization};
use shared::ids::EventId;
use shared::queue::Receipt;

use crate::support::{Delivery, RAFIKI, Receiver, Told, not_found};

/// Counts steps, and dies at one of them: whoever takes it never goes on.
struct Fuse {
    steps: AtomicUsize,
    dies_at: usize,
}

impl Fuse {
    async fn step(&self) {
        if self.steps.fetch_add(1, Ordering::Relaxed) == self.dies_at {
            pending::<()>().await;
        }
    }
}

struct Mortal<T: ?Sized>(Arc<T>, Arc<Fuse>);

#[async_trait]
impl Queue for Mortal<dyn Queue> {
    async fn send(&self, id: &EventId, body: String) -> Result<(), Unavailable> {
        self.1.step().await;
        self.0.send(id, body).await?;
        self.1.step().await;
        Ok(())
    }

    async fn put_off(&self, receipt: &Receipt, wait: SignedDuration) -> Result<(), Unavailable> {
        self.0.put_off(receipt, wait).await
    }
}

#[async_trait]
impl Memory for Mortal<dyn Memory> {
    async fn handled(&self, id: &EventId) -> Result<Option<Timestamp>, Unavailable> {
        self.1.step().await;
        self.0.handled(id).await
    }

    async fn note(&self, id: &EventId, until: Timestamp) -> Result<(), Unavailable> {
        self.1.step().await;
        self.0.note(id, until).await?;
        self.1.step().await;
        Ok(())
    }
}

/// Every method is `other` here: which is called is another test's question.
#[async_trait]
impl Account for Mortal<dyn Account> {
    async fn incoming_payment_created(&self, _: &EventId, _: &IncomingPayment) -> Answer {
        Ok(())
    }

    async fn incoming_payment_completed(&self, _: &EventId, _: &IncomingPayment) -> Answer {
        Ok(())
    }

    async fn incoming_payment_expired(&self, _: &EventId, _: &IncomingPayment) -> Answer {
        Ok(())
    }

    async fn partial_payment_received(&self, _: &EventId, _: &PartialPaymentReceived) -> Answer {
        Ok(())
    }

    async fn outgoing_payment_created(&self, _: &EventId, _: &OutgoingPayment) -> Answer {
        Ok(())
    }

    async fn outgoing_payment_completed(&self, _: &EventId, _: &OutgoingPayment) -> Answer {
        Ok(())
    }

    async fn outgoing_payment_failed(&self, _: &EventId, _: &OutgoingPayment) -> Answer {
        Ok(())
    }

    async fn outgoing_payment_funded(&self, _: &EventId, _: &OutgoingPayment) -> Answer {
        Ok(())
    }

    async fn outgoing_payment_cancelled(&self, _: &EventId, _: &OutgoingPayment) -> Answer {
        Ok(())
    }

    async fn wallet_address_not_found(&self, _: &EventId, _: &NotFound) -> Answer {
        Ok(())
    }

    async fn web_monetization(&self, _: &EventId, _: &WebMonetization) -> Answer {
        Ok(())
    }

    async fn asset_liquidity_low(&self, _: &EventId, _: &Liquidity) -> Answer {
        Ok(())
    }

    async fn asset_liquidity_high(&self, _: &EventId, _: &Liquidity) -> Answer {
        Ok(())
    }

    async fn peer_liquidity_low(&self, _: &EventId, _: &Liquidity) -> Answer {
        Ok(())
    }

    async fn peer_liquidity_high(&self, _: &EventId, _: &Liquidity) -> Answer {
        Ok(())
    }

    async fn grant_revoked(&self, _: &EventId, _: &Revoked) -> Answer {
        Ok(())
    }

    async fn other(&self, event: &Event) -> Answer {
        self.1.step().await;
        self.0.other(event).await?;
        self.1.step().await;
        Ok(())
    }
}

/// Send, look, handle, note: before, and for all but looking after it.
const STEPS: usize = 7;

/// How often the method was called if the process dies at `dies_at`, and the sender tries again after `wait`.
fn calls(dies_at: usize, wait: SignedDuration) -> usize {
    let fuse = Arc::new(Fuse {
        steps: AtomicUsize::new(0),
        dies_at,
    });
    let receiver = Receiver::over(Told::default(), |queue, memory, account| {
        (
            Arc::new(Mortal(queue, fuse.clone())),
            Arc::new(Mortal(memory, fuse.clone())),
            Arc::new(Mortal(account, fuse.clone())),
        )
    });
    let body = r#"{"id":"evt_1","type":"somebody.else","data":{}}"#;
    let acknowledged = (0..5).any(|_| {
        let delivery = Delivery::rafiki(body, RAFIKI, receiver.now());
        let answer = receiver.post(&delivery);
        receiver.clock.advance(wait);
        answer.is_some_and(|answer| answer.status == 200)
    });
    assert!(acknowledged, "one crash is not for ever (step {dies_at})");
    for _ in 0..5 {
        receiver.work();
        receiver.clock.advance(SignedDuration::from_mins(10));
    }
    assert_eq!(receiver.queues.len(LINE), 0, "step {dies_at}");
    if dies_at >= STEPS {
        assert_eq!(fuse.steps.load(Ordering::Relaxed), STEPS);
    }
    receiver.told.calls().len()
}

#[test]
fn a_crash_at_any_step_loses_nothing() {
    // The queue itself drops what comes again within five minutes; later the note does.
    for wait in [SignedDuration::from_secs(10), SignedDuration::from_mins(6)] {
        let by_step: Vec<_> = (0..=STEPS).map(|dies_at| calls(dies_at, wait)).collect();
        // Dying after the method and before its note was kept is what a method has to be idempotent for.
        assert_eq!(by_step, [1, 1, 1, 1, 2, 2, 1, 1], "sent again after {wait}");
    }
}

#[test]
fn a_message_that_was_not_let_go_of_is_found_handled() {
    let receiver = Receiver::new(Told::default());
    let delivery = Delivery::rafiki(&not_found("evt_1"), RAFIKI, receiver.now());
    receiver.post(&delivery);
    receiver.work_and_die_before_letting_go();
    receiver.clock.advance(SignedDuration::from_mins(10));
    assert_eq!(receiver.work().map(|worked| worked.done), Some(1));
    assert_eq!(receiver.told.calls().len(), 1);
    assert_eq!(receiver.queues.len(LINE), 0);
}
