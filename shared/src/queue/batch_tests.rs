//! Batches of a FIFO queue: what becomes of a message decides for the rest of its group, and for nobody else.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::event::Line;
use crate::ids::{EndpointId, EventId, Round, TenantId, TransactionId};
use crate::queue::QueueError;
use crate::queue::task::CallbackTask;
use crate::store::StoreError;
use crate::time::ManualClock;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What becomes of messages, by their ids, and what was done with them.
#[derive(Default)]
struct Played {
    dispositions: BTreeMap<&'static str, Disposition>,
    panics: &'static [&'static str],
    takes: Option<(Arc<ManualClock>, SignedDuration)>,
    queue_out: bool,
    handled: Mutex<Vec<String>>,
    sent: Mutex<Vec<String>>,
    deferred: Mutex<Vec<(String, SignedDuration)>>,
}

fn push<T>(list: &Mutex<Vec<T>>, items: impl IntoIterator<Item = T>) {
    list.lock().expect("nobody panics here").extend(items);
}

fn taken<T: Clone>(list: &Mutex<Vec<T>>) -> Vec<T> {
    list.lock().expect("nobody panics here").clone()
}

#[async_trait]
impl Handle for Played {
    fn queue(&self) -> Queue {
        Queue::DeliverOrdered
    }

    async fn handle(&self, _: Task, received: &Received) -> Disposition {
        push(&self.handled, [received.id.clone()]);
        if let Some((clock, time)) = &self.takes {
            clock.advance(*time);
        }
        tokio::task::yield_now().await;
        let id = received.id.as_str();
        assert!(!self.panics.contains(&id), "as it is told to");
        let played = self.dispositions.get(id);
        played.cloned().unwrap_or(Disposition::Done)
    }
}

#[async_trait]
impl Enqueue for Played {
    async fn send(&self, _: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
        if self.queue_out {
            return Err(QueueError::Unavailable("out of order".into()));
        }
        push(&self.sent, messages.into_iter().map(|it| it.body));
        Ok(())
    }
}

#[async_trait]
impl Defer for Played {
    async fn defer(
        &self,
        _: Queue,
        leases: Vec<(Receipt, SignedDuration)>,
    ) -> Result<(), QueueError> {
        let leases = leases.into_iter().map(|(receipt, wait)| (receipt.0, wait));
        push(&self.deferred, leases);
        Ok(())
    }
}

#[async_trait]
impl Quarantine for Played {
    async fn count_panic(&self, _: Queue, _: &str, _: jiff::Timestamp) -> Result<u32, StoreError> {
        Ok(1)
    }

    async fn quarantine(&self, _: &Quarantined) -> Result<(), StoreError> {
        Ok(())
    }
}

/// `g1` is the message 1 of the group g.
fn message(id: &str) -> Received {
    let task = Task::Callback(CallbackTask {
        tenant: TenantId::parse("acme").expect("a valid id"),
        event: EventId::parse(id).expect("a valid id"),
        client: EndpointId::parse("wallet").expect("a valid id"),
        line: Line::Transaction {
            id: TransactionId::parse("tx").expect("a valid id"),
        },
        round: Round::FIRST,
        hop: 0,
        after: None,
    });
    Received {
        id: id.to_owned(),
        receipt: Receipt(id.to_owned()),
        body: task.encode().body,
        // Those before it in its group explain its receipts.
        count: 50,
        sent: jiff::Timestamp::UNIX_EPOCH,
        group: id.get(..1).map(str::to_owned),
    }
}

/// Handles messages; answers who is to come again after how long, which is what is reported as failed.
async fn run(played: &Arc<Played>, ids: &[&str]) -> Vec<(String, SignedDuration)> {
    let clock = match &played.takes {
        Some((clock, _)) => clock.clone(),
        None => Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH)),
    };
    let batch = Batch::new(
        played.clone(),
        played.clone(),
        played.clone(),
        played.clone(),
        clock,
    );
    let messages = ids.iter().map(|id| message(id)).collect();
    let failed = batch.run(messages).await;
    let deferred = taken(&played.deferred);
    assert!(deferred.iter().map(|(id, _)| id).eq(&failed), "{failed:?}");
    deferred
}

fn again(seconds: i64) -> Disposition {
    Disposition::Retry {
        after: SECOND * i32::try_from(seconds).expect("few seconds"),
        tries: 50,
    }
}

fn named(deferred: &[(String, SignedDuration)]) -> Vec<(&str, i64)> {
    let named = |(_, wait): &(String, SignedDuration)| wait.as_secs();
    let waits = deferred.iter().map(named);
    let ids = deferred.iter().map(|(id, _)| id.as_str());
    ids.zip(waits).collect()
}

#[tokio::test]
async fn a_message_that_is_to_come_again_holds_the_rest_of_its_group_and_nobody_else() {
    let played = Arc::new(Played {
        dispositions: BTreeMap::from([("g2", again(30)), ("h1", again(0))]),
        ..Played::default()
    });
    let deferred = run(&played, &["g1", "h1", "g2", "i1", "g3", "h2", "g4", "i2"]).await;
    let want = [("h1", 1), ("g2", 30), ("g3", 0), ("h2", 0), ("g4", 0)];
    assert_eq!(named(&deferred), want, "each waits for the one that failed");
    // Side by side, and each group in its order.
    assert_eq!(
        taken(&played.handled),
        ["g1", "h1", "i1", "g2", "i2"],
        "what is held is not begun"
    );
}

#[tokio::test]
async fn a_panic_holds_its_group_and_what_is_forwarded_keeps_its_order() {
    let forward = |body: &str| {
        let message = Message::new(body);
        Disposition::Forward(vec![(Queue::DeliverOrdered, message)])
    };
    let played = Arc::new(Played {
        dispositions: BTreeMap::from([("g1", forward("first")), ("g2", forward("second"))]),
        panics: &["h1"],
        ..Played::default()
    });
    let deferred = run(&played, &["h1", "g1", "h2", "g2"]).await;
    assert_eq!(named(&deferred), [("h1", 30), ("h2", 0)]);
    assert_eq!(taken(&played.sent), ["first", "second"]);
}

#[tokio::test]
async fn what_could_not_be_forwarded_comes_again_however_often_it_was_received() {
    let forward = Disposition::Forward(vec![(Queue::DeliverOrdered, Message::new("next"))]);
    let played = Arc::new(Played {
        dispositions: BTreeMap::from([("g1", forward)]),
        queue_out: true,
        ..Played::default()
    });
    let deferred = run(&played, &["g1", "h1"]).await;
    assert_eq!(named(&deferred), [("g1", rest(50).as_secs())]);
}

#[tokio::test]
async fn a_group_whose_time_in_the_batch_is_over_goes_on_in_the_next() {
    let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
    let played = Arc::new(Played {
        takes: Some((clock, SECOND * 3)),
        ..Played::default()
    });
    let deferred = run(&played, &["g1", "g2", "g3", "g4"]).await;
    assert_eq!(named(&deferred), [("g3", 0), ("g4", 0)]);
}
