//! Batches: what becomes of a message, and on a FIFO queue of the rest of its group and of nobody else.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::event::{Event, EventType, Json, Line, Source};
use crate::ids::{EndpointId, EventId, Round, TenantId, TransactionId};
use crate::queue::QueueError;
use crate::queue::task::{CallbackTask, DeliverTask};
use crate::store::StoreError;
use crate::time::ManualClock;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// What becomes of messages, by their ids, and what was done with them.
#[derive(Default)]
struct Played {
    /// Whether the queue is a standard one.
    standard: bool,
    dispositions: BTreeMap<&'static str, Disposition>,
    panics: &'static [&'static str],
    takes: Option<(Arc<ManualClock>, SignedDuration)>,
    queue_out: bool,
    /// How often a message had panicked before.
    panicked: u32,
    table_out: bool,
    handled: Mutex<Vec<String>>,
    sent: Mutex<Vec<String>>,
    deferred: Mutex<Vec<(String, SignedDuration)>>,
    quarantined: Mutex<Vec<Quarantined>>,
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
        match self.standard {
            true => Queue::Deliver,
            false => Queue::DeliverOrdered,
        }
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
        match self.table_out {
            true => Err(StoreError::Unavailable("out of order".into())),
            false => Ok(self.panicked + 1),
        }
    }

    async fn quarantine(&self, entry: &Quarantined) -> Result<(), StoreError> {
        if self.table_out {
            return Err(StoreError::Unavailable("out of order".into()));
        }
        push(&self.quarantined, [entry.clone()]);
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

/// A message of a standard queue that was received `count` times.
fn delivery(id: &str, count: u32) -> Received {
    let task = Task::Deliver(DeliverTask {
        tenant: TenantId::parse("acme").expect("a valid id"),
        event: Event {
            id: EventId::parse(id).expect("a valid id"),
            event_type: EventType::parse("recovery.recovered").expect("a valid type"),
            data: Json::parse("{}".into()).expect("valid JSON"),
            at: jiff::Timestamp::UNIX_EPOCH,
            source: Source::new("stripe"),
            resource: None,
        },
        endpoint: EndpointId::parse("shop").expect("a valid id"),
        round: Round::FIRST,
        hop: 0,
        check: false,
        guard: None,
    });
    Received {
        body: task.encode().body,
        count,
        ..message(id)
    }
}

/// Handles messages; answers who is to come again after how long, which is what is reported as failed.
async fn run(played: &Arc<Played>, ids: &[&str]) -> Vec<(String, SignedDuration)> {
    run_all(played, ids.iter().map(|id| message(id)).collect()).await
}

async fn run_all(played: &Arc<Played>, messages: Vec<Received>) -> Vec<(String, SignedDuration)> {
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
    let half = SignedDuration::from_millis(500);
    // Each message takes so many halves of a second: who is begun within five seconds is handled.
    let cases: [(i32, &[(&str, i64)]); 4] = [
        (3, &[]),
        (5, &[("g4", 0)]),
        (6, &[("g3", 0), ("g4", 0)]),
        (11, &[("g2", 0), ("g3", 0), ("g4", 0)]),
    ];
    for (halves, want) in cases {
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        let played = Arc::new(Played {
            takes: Some((clock, half * halves)),
            ..Played::default()
        });
        let deferred = run(&played, &["g1", "g2", "g3", "g4"]).await;
        assert_eq!(named(&deferred), want, "{halves}");
    }
}

/// What becomes of one message of a standard queue: after how long it comes again, or why it was set aside.
async fn fate(played: Played, received: Received) -> Result<Option<i64>, (Cause, bool)> {
    let played = Arc::new(Played {
        standard: true,
        ..played
    });
    let deferred = run_all(&played, vec![received.clone()]).await;
    match taken(&played.quarantined).as_slice() {
        [] => Ok(named(&deferred).first().map(|(_, wait)| *wait)),
        [entry] => {
            assert_eq!(named(&deferred), [], "what is set aside is let go");
            assert_eq!(entry.id, Quarantined::id_of(Queue::Deliver, &received.id));
            assert_eq!(entry.body.expose(), received.body);
            Err((entry.cause, entry.tenant.is_some()))
        }
        many => panic!("{many:?}"),
    }
}

#[tokio::test]
async fn a_message_is_set_aside_when_its_tries_do_not_explain_its_receipts() {
    let retry = |after, tries| Disposition::Retry {
        after: SECOND * after,
        tries,
    };
    let forward = Disposition::Forward(vec![(Queue::Deliver, Message::new("next"))]);
    let stuck = Err((Cause::Stuck, true));
    let eleven_hours = 11 * 3600;
    let cases = [
        ("done", Disposition::Done, 99, Ok(None)),
        ("explained", retry(5, 3), 23, Ok(Some(5))),
        ("one more", retry(5, 3), 24, stuck),
        ("many more", retry(5, 3), 99, stuck),
        ("for nothing", retry(0, 1), 1, Ok(Some(1))),
        ("for a day", retry(86_400, 1), 1, Ok(Some(eleven_hours))),
        ("nowhere to go", forward.clone(), 20, Ok(Some(900))),
        ("nowhere to go for long", forward.clone(), 21, stuck),
        ("nowhere to go for ever", forward, 99, stuck),
    ];
    for (name, disposition, count, want) in cases {
        let played = Played {
            dispositions: BTreeMap::from([("evt", disposition)]),
            queue_out: true,
            ..Played::default()
        };
        let got = fate(played, delivery("evt", count)).await;
        assert_eq!(got, want, "{name}");
    }
}

#[tokio::test]
async fn a_message_that_panics_for_the_third_time_is_set_aside() {
    let cases = [
        (0, false, Ok(Some(30))),
        (1, false, Ok(Some(30))),
        (2, false, Err((Cause::Panicked, true))),
        (3, false, Err((Cause::Panicked, true))),
        (2, true, Ok(Some(30))),
    ];
    for (panicked, table_out, want) in cases {
        let played = Played {
            panics: &["evt"],
            panicked,
            table_out,
            ..Played::default()
        };
        let got = fate(played, delivery("evt", 1)).await;
        assert_eq!(got, want, "{panicked} {table_out}");
    }
}

#[tokio::test]
async fn what_is_no_task_of_this_queue_is_set_aside_and_handled_by_nobody() {
    let no_task = Received {
        body: "secret".into(),
        ..delivery("evt", 1)
    };
    let cases = [
        (message("evt"), false, Err((Cause::Undecodable, true))),
        (no_task.clone(), false, Err((Cause::Undecodable, false))),
        (no_task, true, Ok(Some(30))),
    ];
    for (received, table_out, want) in cases {
        let played = Played {
            panics: &["evt"],
            table_out,
            ..Played::default()
        };
        assert_eq!(fate(played, received).await, want, "{table_out}");
    }
}

#[test]
fn rests_double_up_to_a_quarter_of_an_hour() {
    let cases = [
        (0, 2),
        (1, 2),
        (2, 4),
        (3, 8),
        (9, 512),
        (10, 900),
        (11, 900),
        (u32::MAX, 900),
    ];
    for (count, seconds) in cases {
        assert_eq!(rest(count).as_secs(), seconds, "{count}");
    }
}
