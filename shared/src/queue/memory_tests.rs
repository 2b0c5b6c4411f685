//! What the queues in this process promise by themselves, on a driven clock; `tests/contract` holds them to SQS.

use super::*;
use crate::time::ManualClock;

const SECOND: SignedDuration = SignedDuration::from_secs(1);
/// How long a received message stays hidden here.
const HIDDEN: SignedDuration = SignedDuration::from_secs(3);

/// One queue on a clock that starts at 100 s.
struct Driven {
    clock: Arc<ManualClock>,
    queues: MemoryQueues,
    queue: Queue,
}

impl Driven {
    fn new(queue: Queue, spec: Spec) -> Self {
        let clock = Arc::new(ManualClock::new(at(100)));
        Self {
            queues: MemoryQueues::with(clock.clone(), &[(queue, spec)]),
            clock,
            queue,
        }
    }

    fn standard() -> Self {
        let spec = Spec {
            visibility: HIDDEN,
            ..Spec::of(Queue::Deliver)
        };
        Self::new(Queue::Deliver, spec)
    }

    fn fifo() -> Self {
        let spec = Spec {
            visibility: HIDDEN,
            ..Spec::of(Queue::DeliverOrdered)
        };
        Self::new(Queue::DeliverOrdered, spec)
    }

    async fn send(&self, messages: impl IntoIterator<Item = Message>) {
        let messages = messages.into_iter().collect();
        let sent = self.queues.send(self.queue, messages).await;
        sent.expect("the queue takes them");
    }

    async fn receive(&self, most: usize) -> Vec<Received> {
        let got = self.queues.receive(self.queue, most, SECOND).await;
        got.expect("the queue is there")
    }

    /// The bodies and counts of the next messages, 10 at most.
    async fn next(&self) -> Vec<(String, u32)> {
        let got = self.receive(10).await.into_iter();
        got.map(|it| (it.body, it.count)).collect()
    }

    async fn delete(&self, receipts: &[&str]) {
        let receipts = receipts.iter().map(|it| Receipt((*it).to_owned()));
        let deleted = self.queues.delete(self.queue, receipts.collect()).await;
        deleted.expect("SQS tells nobody of old receipts");
    }

    async fn defer(&self, leases: &[(&str, SignedDuration)]) -> Vec<usize> {
        let lease =
            |(receipt, wait): &(&str, SignedDuration)| (Receipt((*receipt).to_owned()), *wait);
        let leases: Vec<_> = leases.iter().map(lease).collect();
        let most = leases.len();
        match self.queues.defer(self.queue, leases).await {
            Ok(()) => Vec::new(),
            Err(QueueError::Partly { sent, refused }) if sent == most => refused,
            Err(problem) => panic!("{problem:?}"),
        }
    }

    fn shows(&self) -> Option<Timestamp> {
        self.queues.next_visible(self.queue)
    }

    fn in_flight(&self) -> usize {
        let line = self.queues.line(self.queue).expect("the queue is there");
        line.lock().out.len()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time in range")
}

fn messages<const N: usize>(bodies: [&str; N]) -> [Message; N] {
    bodies.map(Message::new)
}

/// A message of a FIFO queue: `g1` is of the group g.
fn of(body: &str) -> Message {
    Message {
        group: body.get(..1).map(str::to_owned),
        deduplication: Some(body.to_owned()),
        ..Message::new(body)
    }
}

fn counted<const N: usize>(want: [(&str, u32); N]) -> Vec<(String, u32)> {
    want.map(|(body, count)| (body.to_owned(), count)).to_vec()
}

#[test]
fn every_queue_is_as_the_template_has_it() {
    for queue in Queue::ALL {
        let Spec {
            visibility,
            max_receive,
            fifo,
        } = Spec::of(queue);
        assert_eq!(
            (visibility, max_receive, fifo),
            (SECOND * 180, 1000, queue == Queue::DeliverOrdered),
            "{queue:?}"
        );
    }
}

#[tokio::test]
async fn a_message_is_hidden_while_it_is_out_and_comes_again_with_another_receipt() {
    let driven = Driven::standard();
    assert_eq!((driven.next().await, driven.shows()), (Vec::new(), None));
    assert!(driven.queues.is_empty());
    driven.send(messages(["a"])).await;
    assert_eq!(
        (driven.queues.len(driven.queue), driven.in_flight()),
        (1, 0)
    );
    assert_eq!(driven.shows(), Some(at(100)));
    let want = |count: u32| Received {
        id: "deliver-0".into(),
        receipt: Receipt(format!("0:{count}")),
        body: "a".into(),
        count,
        sent: at(100),
        group: None,
    };
    assert_eq!(driven.receive(10).await, [want(1)]);
    assert_eq!(
        (driven.queues.len(driven.queue), driven.in_flight()),
        (1, 1)
    );
    assert!(!driven.queues.is_empty(), "hidden is not gone");
    assert_eq!(driven.shows(), Some(at(103)));
    driven.clock.advance(SECOND * 2);
    assert_eq!(driven.receive(10).await, []);
    driven.clock.advance(SECOND);
    assert_eq!(driven.receive(10).await, [want(2)]);
    assert_eq!(driven.in_flight(), 1);
    for receipt in ["0:1", "1:2", "0:two", "two"] {
        driven.delete(&[receipt]).await;
        assert_eq!(driven.queues.len(driven.queue), 1, "{receipt}");
    }
    driven.delete(&["0:2"]).await;
    assert!(driven.queues.is_empty());
    assert_eq!((driven.in_flight(), driven.shows()), (0, None));
}

#[tokio::test]
async fn no_more_is_received_than_was_asked_for_than_ten_and_than_may_be_in_flight() {
    let driven = Driven::standard();
    let many = (0..40).map(|n| Message::new(n.to_string()));
    driven.send(many).await;
    for (asked, got) in [(0, 0), (1, 1), (3, 3), (10, 10), (11, 10)] {
        assert_eq!(driven.receive(asked).await.len(), got, "{asked}");
    }
    assert_eq!(
        (driven.queues.len(driven.queue), driven.in_flight()),
        (40, 24)
    );
    let line = driven.queues.line(driven.queue);
    let others = (1_000..).map(|key| (driven.clock.now() + HIDDEN, key));
    let others = others.take(IN_FLIGHT_MOST - 2 - 24);
    line.expect("the queue is there").lock().out.extend(others);
    assert_eq!(driven.receive(10).await.len(), 2);
    assert_eq!(driven.receive(10).await, []);
    driven.clock.advance(HIDDEN);
    assert_eq!(
        driven.receive(10).await.len(),
        10,
        "what shows again is not in flight"
    );
}

#[tokio::test]
async fn a_delay_hides_a_message_at_first_but_not_on_a_fifo_queue() {
    let late = Message {
        delay: SECOND * 60,
        ..of("g1")
    };
    let fifo = Driven::fifo();
    fifo.send([late.clone()]).await;
    assert_eq!(fifo.shows(), Some(at(100)));
    assert_eq!(fifo.next().await, counted([("g1", 1)]));
    let standard = Driven::standard();
    standard.send([late]).await;
    assert_eq!(standard.shows(), Some(at(160)));
    standard.clock.advance_to(at(159));
    assert_eq!(standard.next().await, counted([]));
    standard.clock.advance_to(at(160));
    assert_eq!(standard.next().await, counted([("g1", 1)]));
}

#[tokio::test]
async fn what_is_put_off_comes_after_exactly_so_long_and_old_receipts_put_nothing_off() {
    let driven = Driven::standard();
    driven.send(messages(["a", "b"])).await;
    assert_eq!(driven.next().await, counted([("a", 1), ("b", 1)]));
    let refused = driven
        .defer(&[("0:0", SECOND), ("0:1", SECOND * 5), ("7:1", SECOND)])
        .await;
    assert_eq!(refused, [0, 2]);
    assert_eq!(driven.in_flight(), 2);
    assert_eq!(driven.defer(&[("1:1", SignedDuration::ZERO)]).await, [0; 0]);
    assert_eq!(
        driven.in_flight(),
        1,
        "what is put off for nothing is not out"
    );
    assert_eq!(driven.next().await, counted([("b", 2)]));
    driven.delete(&["1:2"]).await;
    driven.clock.advance(SECOND * 4);
    assert_eq!(driven.next().await, counted([]));
    driven.clock.advance(SECOND);
    assert_eq!(driven.next().await, counted([("a", 2)]));
}

#[tokio::test]
async fn a_glance_tells_what_shows_what_is_out_and_since_when_the_oldest_young_one_waits() {
    let driven = Driven::standard();
    let glance = || driven.queues.glance(driven.queue);
    assert_eq!(glance(), Glance::default());
    driven.send(messages(["a"])).await;
    driven.clock.advance(SECOND);
    let later = Message {
        delay: SECOND,
        ..Message::new("b")
    };
    driven.send([later]).await;
    for receipts in 1..=3 {
        let oldest = Some(at(100));
        let before = Glance {
            visible: receipts.min(2),
            in_flight: 0,
            oldest,
        };
        assert_eq!(glance(), before, "before receipt {receipts}");
        driven.receive(1).await;
        driven.receive(1).await;
        let after = Glance {
            visible: 0,
            in_flight: receipts.min(2),
            oldest: if receipts < 3 { oldest } else { Some(at(101)) },
        };
        assert_eq!(glance(), after, "after receipt {receipts}");
        driven.clock.advance(HIDDEN);
    }
}

#[tokio::test]
async fn a_message_goes_to_the_dead_letters_after_its_last_receipt() {
    let spec = Spec {
        visibility: HIDDEN,
        max_receive: 2,
        fifo: false,
    };
    let driven = Driven::new(Queue::Deliver, spec);
    let dead = driven.queues.dead_letters();
    driven.send(messages(["poison"])).await;
    for count in 1..=2 {
        assert_eq!(driven.next().await, counted([("poison", count)]));
        assert!(dead.is_empty());
        driven.clock.advance(HIDDEN);
    }
    assert_eq!(driven.next().await, counted([]));
    assert!(driven.queues.is_empty());
    assert_eq!(dead.len(Queue::Deliver), 1);
    assert_eq!(dead.next_visible(Queue::Deliver), Some(at(106)));
    let got = dead.receive(Queue::Deliver, 10, SECOND).await;
    let got = got.expect("the queue is there");
    let facts: Vec<_> = got.iter().map(|it| (it.id.as_str(), it.count)).collect();
    assert_eq!(
        facts,
        [("deliver-0", 3)],
        "its id and its receipts go along"
    );
}

#[tokio::test]
async fn a_message_longer_than_a_queue_takes_is_refused_with_all_the_others() {
    let driven = Driven::standard();
    let long = |more| Message::new("x".repeat(MESSAGE_MOST + more));
    let sent = driven
        .queues
        .send(driven.queue, vec![Message::new("a"), long(1)])
        .await;
    assert!(
        matches!(sent, Err(QueueError::TooLarge { size }) if size == MESSAGE_MOST + 1),
        "{sent:?}"
    );
    assert!(driven.queues.is_empty());
    driven.send([long(0)]).await;
    assert_eq!(driven.queues.len(driven.queue), 1);
}

#[tokio::test]
async fn a_fifo_queue_takes_no_message_without_a_group_or_an_id() {
    let no_group = Message {
        group: None,
        ..of("g1")
    };
    let no_id = Message {
        deduplication: None,
        ..of("g1")
    };
    let driven = Driven::fifo();
    let cases = [
        (
            no_group.clone(),
            "a message for a FIFO queue names no group",
        ),
        (
            no_id.clone(),
            "a message for a FIFO queue has no deduplication id",
        ),
    ];
    for (message, want) in cases {
        match driven.queues.send(driven.queue, vec![message]).await {
            Err(QueueError::Unavailable(why)) => assert_eq!(why.to_string(), want),
            other => panic!("{other:?}"),
        }
    }
    assert!(driven.queues.is_empty());
    let standard = Driven::standard();
    standard.send([no_group, no_id]).await;
    assert_eq!(
        standard.queues.len(standard.queue),
        2,
        "others need neither"
    );
}

#[tokio::test]
async fn there_is_nothing_on_a_queue_that_is_not_there() {
    let Driven { queues, .. } = Driven::standard();
    let sent = queues.send(Queue::Fanout, vec![Message::new("a")]).await;
    match sent {
        Err(QueueError::Unavailable(why)) => {
            assert_eq!(why.to_string(), "there is no queue `fanout`");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(queues.len(Queue::Fanout), 0);
    assert_eq!(queues.next_visible(Queue::Fanout), None);
}

#[tokio::test]
async fn a_group_keeps_its_order_and_waits_while_one_of_its_messages_is_out() {
    let driven = Driven::fifo();
    driven.send(["g1", "g2", "h1", "g3"].map(of)).await;
    let first = driven.receive(1).await;
    assert_eq!(first.first().map(|it| it.body.as_str()), Some("g1"));
    assert_eq!(
        driven.next().await,
        counted([("h1", 1)]),
        "the other group goes on"
    );
    assert_eq!(driven.next().await, counted([]));
    driven.delete(&["0:1"]).await;
    assert_eq!(driven.next().await, counted([("g2", 1), ("g3", 1)]));
    // The later one is out, and holds the earlier one that is not.
    driven.clock.advance(SECOND);
    let waits = [("1:1", SignedDuration::ZERO), ("3:1", SECOND * 9)];
    assert_eq!(driven.defer(&waits).await, [0; 0]);
    assert_eq!(driven.shows(), Some(at(103)), "of the other group");
    driven.clock.advance_to(at(103));
    assert_eq!(driven.next().await, counted([("h1", 2)]));
    driven.delete(&["2:2"]).await;
    assert_eq!(
        driven.shows(),
        Some(at(110)),
        "when the last that is out comes back"
    );
    driven.clock.advance_to(at(109));
    assert_eq!(driven.next().await, counted([]));
    driven.clock.advance_to(at(110));
    assert_eq!(driven.next().await, counted([("g2", 2), ("g3", 2)]));
}

#[tokio::test]
async fn a_batch_holds_each_message_once_even_if_it_shows_again_at_once() {
    let spec = Spec {
        visibility: SignedDuration::ZERO,
        ..Spec::of(Queue::DeliverOrdered)
    };
    let driven = Driven::new(Queue::DeliverOrdered, spec);
    driven.send(["g1", "h1"].map(of)).await;
    assert_eq!(driven.next().await, counted([("g1", 1), ("h1", 1)]));
}

#[tokio::test]
async fn what_was_sent_to_a_group_under_an_id_is_not_taken_again_for_five_minutes() {
    let driven = Driven::fifo();
    let elsewhere = Message {
        group: Some("h".into()),
        ..of("g1")
    };
    driven.send([of("g1"), of("g1"), elsewhere]).await;
    assert_eq!(driven.next().await, counted([("g1", 1), ("g1", 1)]));
    driven.delete(&["0:1", "1:1"]).await;
    // What comes again makes it no younger.
    for (second, taken) in [(300, 0), (399, 0), (400, 1), (699, 1), (700, 2)] {
        driven.clock.advance_to(at(second));
        driven.send([of("g1")]).await;
        assert_eq!(driven.queues.len(driven.queue), taken, "{second}");
    }
}
