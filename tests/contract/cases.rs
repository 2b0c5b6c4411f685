//! The cases of the contract, each for one adapter.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::SignedDuration;
use shared::queue::memory::Spec;
use shared::queue::{MESSAGE_MOST, Message, QueueError, Received};
use tests::queues::{Adapter, Bench, Difference};

/// How long a message that was received stays hidden in these cases.
const HIDDEN: SignedDuration = SignedDuration::from_secs(3);
const SECOND: SignedDuration = SignedDuration::from_secs(1);

fn standard() -> Spec {
    Spec {
        visibility: HIDDEN,
        max_receive: 1000,
        fifo: false,
    }
}

fn fifo() -> Spec {
    Spec {
        fifo: true,
        ..standard()
    }
}

/// A message of a group of a FIFO queue.
fn of(group: &str, body: &str) -> Message {
    Message {
        group: Some(group.to_owned()),
        deduplication: Some(format!("{group}-{body}")),
        ..Message::new(body)
    }
}

fn bodies(messages: &[Received]) -> Vec<&str> {
    messages
        .iter()
        .map(|message| message.body.as_str())
        .collect()
}

pub(crate) async fn a_message_is_received_whole_and_is_gone_once_it_is_deleted(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    assert_eq!(bench.receive_all().await?, []);
    let body = "{\"text\": \"<&>\\u000b caf\u{e9} \u{1f600}\r\n\t\"}";
    bench.send(vec![Message::new(body)]).await?;
    let got = bench.receive_all().await?;
    assert_eq!(bodies(&got), [body]);
    assert_eq!(
        got.iter().map(|message| message.count).collect::<Vec<_>>(),
        [1]
    );
    assert!(got.iter().all(|message| !message.id.is_empty()));
    bench.delete(&got).await?;
    bench.pass(HIDDEN).await;
    assert_eq!(bench.receive_all().await?, []);
    bench.send(Vec::new()).await?;
    bench.delete(&[]).await?;
    Ok(())
}

pub(crate) async fn no_more_is_received_than_was_asked_for(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    bench
        .send((0..14).map(|n| Message::new(n.to_string())).collect())
        .await?;
    assert!(bench.receive(3).await?.len() <= 3);
    assert!(bench.receive(100).await?.len() <= 10);
    Ok(())
}

pub(crate) async fn a_message_that_is_not_deleted_comes_again_when_its_time_is_over(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    bench.send(vec![Message::new("x")]).await?;
    let first = bench.receive_all().await?;
    assert_eq!(bodies(&first), ["x"]);
    assert_eq!(bench.receive_all().await?, []);
    bench.pass(HIDDEN).await;
    let second = bench.receive_all().await?;
    let facts = |messages: &[Received]| -> Vec<_> {
        messages.iter().map(|m| (m.id.clone(), m.sent)).collect()
    };
    assert_eq!(facts(&first), facts(&second));
    assert_eq!(
        second
            .iter()
            .map(|message| message.count)
            .collect::<Vec<_>>(),
        [2]
    );
    let receipts = |messages: &[Received]| -> Vec<_> {
        messages
            .iter()
            .map(|message| message.receipt.clone())
            .collect()
    };
    assert_ne!(receipts(&first), receipts(&second));
    Ok(())
}

pub(crate) async fn a_message_that_is_put_off_comes_after_exactly_so_long(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    bench.send(vec![Message::new("x")]).await?;
    let got = bench.receive_all().await?;
    bench.pass(SECOND).await;
    // From now, not from when it was received.
    bench
        .defer(
            got.iter()
                .map(|message| (message.receipt.clone(), SECOND * 5))
                .collect(),
        )
        .await?;
    bench.pass(SECOND * 3).await;
    assert_eq!(bench.receive_all().await?, []);
    bench.pass(SECOND * 2).await;
    let got = bench.receive_all().await?;
    assert_eq!(
        got.iter().map(|message| message.count).collect::<Vec<_>>(),
        [2]
    );
    // The wait is not remembered: this time it is the queue's own.
    bench.pass(HIDDEN).await;
    assert_eq!(bench.receive_all().await?.len(), 1);
    Ok(())
}

pub(crate) async fn a_message_can_be_put_off_for_less_than_its_time(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            visibility: SECOND * 60,
            ..standard()
        },
    )
    .await?;
    bench
        .send((0..12).map(|n| Message::new(n.to_string())).collect())
        .await?;
    let got = bench.receive_all().await?;
    let leases = got
        .iter()
        .map(|message| (message.receipt.clone(), SECOND))
        .collect();
    bench.defer(leases).await?;
    bench.pass(SECOND).await;
    assert_eq!(bench.receive_all().await?.len(), 12);
    Ok(())
}

pub(crate) async fn a_message_that_is_put_off_for_nothing_comes_at_once(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    bench.send(vec![Message::new("x")]).await?;
    let got = bench.receive_all().await?;
    bench
        .defer(
            got.iter()
                .map(|message| (message.receipt.clone(), SignedDuration::ZERO))
                .collect(),
        )
        .await?;
    assert_eq!(bodies(&bench.receive_all().await?), ["x"]);
    Ok(())
}

pub(crate) async fn a_delayed_message_is_hidden_at_first(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    let late = Message {
        delay: SECOND * 2,
        ..Message::new("late")
    };
    bench.send(vec![late.clone(), Message::new("now")]).await?;
    bench.send(vec![late]).await?;
    let got = bench.receive_all().await?;
    assert_eq!(bodies(&got), ["now"]);
    bench.delete(&got).await?;
    bench.pass(SECOND * 2).await;
    let got = bench.receive_all().await?;
    assert_eq!(bodies(&got), ["late", "late"]);
    assert!(got.iter().all(|message| message.count == 1));
    Ok(())
}

pub(crate) async fn a_batch_of_any_number_arrives_whole(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            visibility: SECOND * 60,
            ..standard()
        },
    )
    .await?;
    let sent: BTreeSet<String> = (0..25).map(|n| format!("message {n}")).collect();
    bench.send(sent.iter().map(Message::new).collect()).await?;
    let got = bench.receive_all().await?;
    assert_eq!(got.len(), 25);
    assert_eq!(
        got.iter()
            .map(|message| message.body.clone())
            .collect::<BTreeSet<_>>(),
        sent
    );
    bench.delete(&got).await?;
    assert_eq!(bench.receive_all().await?, []);
    Ok(())
}

pub(crate) async fn a_batch_larger_than_a_request_arrives_whole(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            visibility: SECOND * 60,
            ..standard()
        },
    )
    .await?;
    let sizes = [
        MESSAGE_MOST,
        MESSAGE_MOST / 2,
        MESSAGE_MOST / 2,
        MESSAGE_MOST / 2 + 1,
        1,
    ];
    bench
        .send(
            sizes
                .iter()
                .map(|size| Message::new("x".repeat(*size)))
                .collect(),
        )
        .await?;
    let mut got: Vec<usize> = bench
        .receive_all()
        .await?
        .iter()
        .map(|message| message.body.len())
        .collect();
    got.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(
        got,
        [
            MESSAGE_MOST,
            MESSAGE_MOST / 2 + 1,
            MESSAGE_MOST / 2,
            MESSAGE_MOST / 2,
            1
        ]
    );
    Ok(())
}

pub(crate) async fn a_message_longer_than_a_queue_takes_is_refused_with_all_the_others(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    let long = Message::new("x".repeat(MESSAGE_MOST + 1));
    for messages in [vec![long.clone()], vec![Message::new("short"), long]] {
        let got = bench.send(messages).await;
        assert!(
            matches!(got, Err(QueueError::TooLarge { size }) if size == MESSAGE_MOST + 1),
            "{got:?}"
        );
    }
    assert_eq!(bench.receive_all().await?, []);
    Ok(())
}

pub(crate) async fn a_message_goes_to_the_dead_letters_after_its_last_receipt(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            max_receive: 2,
            ..standard()
        },
    )
    .await?;
    bench.send(vec![Message::new("poison")]).await?;
    let first = bench.receive_all().await?;
    assert_eq!(bench.dead_letters().await?, []);
    bench.pass(HIDDEN).await;
    assert_eq!(bodies(&bench.receive_all().await?), ["poison"]);
    bench.pass(HIDDEN).await;
    assert_eq!(bench.receive_all().await?, []);
    let dead = bench.dead_letters().await?;
    assert_eq!(bodies(&dead), ["poison"]);
    let ids = |messages: &[Received]| -> Vec<_> {
        messages.iter().map(|message| message.id.clone()).collect()
    };
    assert_eq!(ids(&dead), ids(&first), "its id is the same");
    assert!(
        dead.iter().all(|message| message.count > 2),
        "its receipts are counted on"
    );
    Ok(())
}

pub(crate) async fn only_the_latest_receipt_holds_a_message(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    bench.send(vec![Message::new("x")]).await?;
    let old = bench.receive_all().await?;
    bench.pass(HIDDEN).await;
    let mut latest = bench.receive_all().await?;
    assert_eq!(bodies(&latest), ["x"]);
    if !bench.differs(Difference::StaleReceiptsStillWork) {
        bench.delete(&old).await?;
        let leases = old
            .iter()
            .map(|message| (message.receipt.clone(), SignedDuration::ZERO));
        let got = bench.defer(leases.collect()).await;
        assert!(
            matches!(&got, Err(QueueError::Partly { sent: 1, refused }) if refused == &[0]),
            "{got:?}"
        );
        assert_eq!(bench.receive_all().await?, []);
        bench.pass(HIDDEN).await;
        latest = bench.receive_all().await?;
        assert_eq!(bodies(&latest), ["x"]);
    }
    bench.delete(&latest).await?;
    bench.pass(HIDDEN).await;
    assert_eq!(bench.receive_all().await?, []);
    Ok(())
}

pub(crate) async fn a_standard_queue_takes_groups_and_keeps_nobody_waiting(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, standard()).await?;
    let grouped = |body: &str| Message {
        group: Some("one".to_owned()),
        ..Message::new(body)
    };
    bench.send(vec![grouped("a"), grouped("b")]).await?;
    bench.send(vec![grouped("c")]).await?;
    let mut got = Vec::new();
    for _ in 0..3 {
        got.extend(bench.receive(1).await?);
    }
    got.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(bodies(&got), ["a", "b", "c"]);
    Ok(())
}

pub(crate) async fn a_fifo_queue_keeps_the_order_of_a_group(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    let bodies_sent: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
    bench
        .send(bodies_sent.iter().map(|body| of("g", body)).collect())
        .await?;
    let mut got = Vec::new();
    loop {
        let some = bench.receive(10).await?;
        if some.is_empty() {
            break;
        }
        bench.delete(&some).await?;
        got.extend(some);
    }
    assert_eq!(bodies(&got), bodies_sent);
    Ok(())
}

pub(crate) async fn a_fifo_queue_holds_a_group_back_while_one_of_its_messages_is_out(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    bench
        .send(vec![of("g", "1"), of("g", "2"), of("h", "1")])
        .await?;
    let first = bench.receive(1).await?;
    assert_eq!(bodies(&first), ["1"]);
    let other = bench.receive(10).await?;
    assert_eq!(bodies(&other), ["1"], "the other group goes on");
    assert_eq!(bench.receive(10).await?, []);
    bench.delete(&other).await?;
    bench.delete(&first).await?;
    assert_eq!(bodies(&bench.receive(10).await?), ["2"]);
    Ok(())
}

pub(crate) async fn a_fifo_queue_holds_a_group_back_while_one_of_its_messages_is_put_off(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    bench.send(vec![of("g", "1"), of("g", "2")]).await?;
    let first = bench.receive(1).await?;
    bench
        .defer(
            first
                .iter()
                .map(|message| (message.receipt.clone(), SECOND * 2))
                .collect(),
        )
        .await?;
    assert_eq!(bench.receive(10).await?, []);
    bench.pass(SECOND * 2).await;
    assert_eq!(bodies(&bench.receive(10).await?), ["1", "2"]);
    Ok(())
}

/// What is set on messages that were received together, a wait for each.
async fn defer(bench: &Bench, messages: &[Received], waits: &[SignedDuration]) -> Result<()> {
    let receipts = messages.iter().map(|message| message.receipt.clone());
    let leases = receipts.zip(waits.iter().copied()).collect();
    Ok(bench.defer(leases).await?)
}

pub(crate) async fn a_fifo_queue_holds_a_group_back_while_a_later_one_of_its_messages_is_out(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    bench.send(vec![of("g", "1"), of("g", "2")]).await?;
    let both = bench.receive(10).await?;
    assert_eq!(bodies(&both), ["1", "2"]);
    defer(&bench, &both, &[SignedDuration::ZERO, SECOND * 2]).await?;
    assert_eq!(bench.receive(10).await?, [], "the second is out");
    bench.pass(SECOND * 2).await;
    assert_eq!(bodies(&bench.receive(10).await?), ["1", "2"]);
    Ok(())
}

pub(crate) async fn a_group_whose_rest_is_put_off_for_nothing_waits_for_its_first_alone(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            visibility: SECOND * 60,
            ..fifo()
        },
    )
    .await?;
    bench
        .send(vec![of("g", "1"), of("g", "2"), of("g", "3")])
        .await?;
    let all = bench.receive(10).await?;
    assert_eq!(bodies(&all), ["1", "2", "3"]);
    let nothing = SignedDuration::ZERO;
    defer(&bench, &all, &[SECOND * 2, nothing, nothing]).await?;
    bench.send(vec![of("h", "1"), of("g", "4")]).await?;
    assert_eq!(bodies(&bench.receive(10).await?), ["1"], "of the other one");
    bench.pass(SECOND * 2).await;
    let again = bench.receive(10).await?;
    let facts: Vec<_> = again
        .iter()
        .map(|it| (it.body.as_str(), it.count))
        .collect();
    assert_eq!(facts, [("1", 2), ("2", 2), ("3", 2), ("4", 1)]);
    Ok(())
}

pub(crate) async fn a_message_says_which_group_it_was_sent_with(adapter: Adapter) -> Result<()> {
    for spec in [standard(), fifo()] {
        let bench = Bench::start(adapter, spec).await?;
        bench.send(vec![of("g", "1")]).await?;
        bench.send(vec![of("h", "2"), of("i", "3")]).await?;
        let mut got: Vec<_> = bench.receive_all().await?;
        got.sort_by(|a, b| a.body.cmp(&b.body));
        let groups: Vec<_> = got.iter().map(|it| it.group.as_deref()).collect();
        assert_eq!(groups, [Some("g"), Some("h"), Some("i")], "{spec:?}");
    }
    Ok(())
}

pub(crate) async fn a_fifo_queue_takes_no_notice_of_a_delay(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    let late = |body| Message {
        delay: SECOND * 60,
        ..of("g", body)
    };
    bench.send(vec![late("1")]).await?;
    bench.send(vec![late("2"), of("g", "3")]).await?;
    assert_eq!(bodies(&bench.receive_all().await?), ["1", "2", "3"]);
    Ok(())
}

pub(crate) async fn a_fifo_queue_takes_no_message_without_a_group_or_an_id(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    let cases = [
        Message::new("1"),
        Message {
            deduplication: None,
            ..of("g", "1")
        },
        Message {
            group: None,
            ..of("g", "1")
        },
    ];
    for message in cases {
        let got = bench.send(vec![message.clone()]).await;
        assert!(
            matches!(got, Err(QueueError::Unavailable(_))),
            "{message:?}: {got:?}"
        );
    }
    assert_eq!(bench.receive_all().await?, []);
    Ok(())
}

pub(crate) async fn a_fifo_queue_tells_groups_apart_when_it_drops_what_came_before(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    let same = |group, body| Message {
        deduplication: Some("the same".to_owned()),
        ..of(group, body)
    };
    bench
        .send(vec![same("g", "1"), same("h", "2"), same("g", "3")])
        .await?;
    let mut got = bench.receive_all().await?;
    got.sort_by(|a, b| a.body.cmp(&b.body));
    assert_eq!(bodies(&got), ["1", "2"]);
    Ok(())
}

pub(crate) async fn a_fifo_queue_takes_for_new_what_came_before_five_minutes_ago(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    if !bench.is_driven() {
        return Ok(());
    }
    bench.send(vec![of("g", "1")]).await?;
    bench.delete(&bench.receive_all().await?).await?;
    bench.pass(SECOND * 200).await;
    // This one is dropped, and makes the first no younger.
    bench.send(vec![of("g", "1")]).await?;
    bench.pass(SECOND * 99).await;
    bench.send(vec![of("g", "1")]).await?;
    assert_eq!(bench.receive_all().await?, []);
    bench.pass(SECOND).await;
    bench.send(vec![of("g", "1")]).await?;
    assert_eq!(bodies(&bench.receive_all().await?), ["1"]);
    Ok(())
}

pub(crate) async fn a_fifo_queue_drops_what_came_before(adapter: Adapter) -> Result<()> {
    let bench = Bench::start(adapter, fifo()).await?;
    bench.send(vec![of("g", "1")]).await?;
    bench.send(vec![of("g", "1"), of("g", "2")]).await?;
    let got = bench.receive_all().await?;
    assert_eq!(bodies(&got), ["1", "2"]);
    bench.delete(&got).await?;
    bench.send(vec![of("g", "1")]).await?;
    assert_eq!(bench.receive_all().await?, [], "even when it is gone");
    Ok(())
}

pub(crate) async fn a_dead_letter_of_a_fifo_queue_sets_its_group_free(
    adapter: Adapter,
) -> Result<()> {
    let bench = Bench::start(
        adapter,
        Spec {
            max_receive: 1,
            ..fifo()
        },
    )
    .await?;
    bench.send(vec![of("g", "1"), of("g", "2")]).await?;
    assert_eq!(bodies(&bench.receive(1).await?), ["1"]);
    assert_eq!(bench.receive(1).await?, []);
    bench.pass(HIDDEN).await;
    assert_eq!(bodies(&bench.receive(1).await?), ["2"]);
    assert_eq!(bodies(&bench.dead_letters().await?), ["1"]);
    Ok(())
}
