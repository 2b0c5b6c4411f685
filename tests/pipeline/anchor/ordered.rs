//! What a wallet is told of one customer comes in order, whatever becomes of single tries, messages and processes.

use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use shared::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, Client, CustomerStatus, ErasePayloads, Mapping,
    SigningKeys, Snapshot, TransactionStatus,
};
use shared::delivery::{BreakerPolicy, BreakerSettings, Cursor, EndpointState, Policy};
use shared::event::Line;
use shared::ids::Round;
use shared::queue::task::{CallbackTask, send};
use shared::queue::{Queue, Task};
use shared::secret::Secret;
use shared::store::{
    AnchorAdmin, AnchorStep, Deliveries, Events, Lines, Outbox, Saved, Transactions,
};
use shared::time::Clock;
use tests::sample::{acme, client, customer_line, telling, transaction};
use tests::scene::Scene;

use super::wallet::{SEED, To, Wallet};

const CUSTOMER: &str = "cus_1";

/// A tenant with a wallet client.
struct Anchor {
    scene: Scene,
    wallet: Arc<Wallet>,
}

fn ladder(waits_s: &[u32]) -> Policy {
    Policy::Ladder {
        waits_s: waits_s.to_vec(),
    }
}

fn patient() -> Client {
    Client {
        latest_only: false,
        ..client(&acme(), "wallet")
    }
}

impl Anchor {
    async fn of(client: Client) -> Result<Self> {
        let wallet = Arc::new(Wallet::default());
        let scene = Scene::with_transport(Arc::new(To(wallet.clone()))).await?;
        let keys = SigningKeys {
            current: Secret::new(SEED),
            next: None,
        };
        let store = scene.store();
        let _new = store.put_signing_keys(&acme(), &keys, None).await?;
        let _new = store.put_client(&client, None).await?;
        Ok(Self { scene, wallet })
    }

    async fn change(&self, change: impl FnOnce(&mut Client)) -> Result<()> {
        use shared::store::Anchors;
        let store = self.scene.store();
        let id = &patient().id;
        let read = store.client(&acme(), id).await?.context("it is there")?;
        let mut client = read.value;
        change(&mut client);
        let _replaced = store.put_client(&client, Some(read.version)).await?;
        Ok(())
    }

    /// Records what is told next of a customer, as `anchor` does. Its message is the caller's to send.
    async fn record(&self, customer: &str, body: &str) -> Result<CallbackTask> {
        let (store, line) = (self.scene.store(), customer_line(customer));
        let read = store.snapshot(&acme(), &line).await?;
        let before = read.as_ref().map(|read| read.version);
        let number = read.map_or(0, |read| read.value.told) + 1;
        let id = format!("tx_{customer}_{number}");
        let told = [telling(&line, number, "customer.status_changed", body)];
        let snapshot = Snapshot {
            status: CustomerStatus::Processing,
            digest: body.to_owned(),
            told: number,
        };
        let step = AnchorStep {
            transaction: &transaction(&id, TransactionStatus::Incomplete),
            read: None,
            snapshot: Some((&line, &snapshot, before)),
            registration: None,
            tellings: &told,
        };
        let saved = store
            .save_change(&acme(), &step, self.scene.clock.now())
            .await?;
        assert_eq!(saved, Saved::Stored);
        let [telling] = told;
        let event = &telling.event.id;
        store.note_sent(&acme(), event).await?;
        CallbackTask::first(&acme(), event, &telling.recipients).context("it is a callback")
    }

    async fn send(&self, task: CallbackTask) -> Result<()> {
        Ok(send(&self.scene.queues, [Task::Callback(task)]).await?)
    }

    /// A body of a customer.
    async fn tell(&self, customer: &str, bodies: &[&str]) -> Result<()> {
        for body in bodies {
            let task = self.record(customer, body).await?;
            self.send(task).await?;
        }
        Ok(())
    }

    /// Sends a callback once more, as the operator API does.
    async fn replay(&self, number: u64, round: u32) -> Result<()> {
        let line = customer_line(CUSTOMER);
        let event = line.event(&acme(), number);
        let read = self.scene.store().event(&acme(), &event).await?;
        let recipients = read.context("it is there")?.value.recipients;
        let first = CallbackTask::first(&acme(), &event, &recipients);
        self.send(CallbackTask {
            round: Round::new(round).context("a round")?,
            ..first.context("it is a callback")?
        })
        .await
    }

    async fn pass_minutes(&self, minutes: i64) -> Result<()> {
        self.scene.pass(SignedDuration::from_mins(minutes)).await
    }

    /// Passes the time that [`told_by_halves`] takes, and looks at it only where something happens.
    async fn go_on(&self) -> Result<()> {
        self.pass_minutes(4).await?;
        self.scene.clock.advance(SignedDuration::from_mins(17));
        self.pass_minutes(4).await
    }

    /// The state of each callback of the customer, round by round.
    async fn states(&self) -> Result<Vec<Vec<&'static str>>> {
        let (store, line) = (self.scene.store(), customer_line(CUSTOMER));
        let mut states = Vec::new();
        for number in 1..=store.newest(&acme(), &line).await? {
            let event = line.event(&acme(), number);
            let rounds = store.deliveries(&acme(), &event).await?;
            states.push(rounds.iter().map(|it| it.state.as_str()).collect());
        }
        Ok(states)
    }

    async fn cursor(&self, line: &Line) -> Result<Cursor> {
        let read = self.scene.store().cursor(&acme(), line).await?;
        Ok(read.map(|read| read.value).unwrap_or_default())
    }

    /// All that was sent was handled, and nothing waits.
    async fn is_at_rest(&self, settled: u64) -> Result<()> {
        let cursor = self.cursor(&customer_line(CUSTOMER)).await?;
        assert_eq!(cursor.settled, settled, "{cursor:?}");
        assert!(cursor.reopened.is_empty(), "{cursor:?}");
        assert!(self.scene.queues.is_empty());
        Ok(())
    }
}

const A: &str = r#"{"id":"cus_1","status":"NEEDS_INFO"}"#;
const B: &str = r#"{"id":"cus_1","status":"PROCESSING"}"#;
const C: &str = r#"{"id":"cus_1","status":"ACCEPTED"}"#;
/// Of another customer.
const OTHER: &str = r#"{"id":"cus_2","status":"ACCEPTED"}"#;

#[tokio::test]
async fn three_in_quick_succession_arrive_in_order_signed_afresh_at_a_wallet_that_fails_twice()
-> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    anchor.wallet.answers(A, [500, 503]);
    let began = anchor.scene.clock.now();
    anchor.tell(CUSTOMER, &[A, B, C]).await?;
    anchor.pass_minutes(2).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, A, B, C]);
    let heard = anchor.wallet.heard();
    let waited: Vec<i64> = heard
        .iter()
        .map(|heard| heard.signed_at.duration_since(began).as_secs())
        .collect();
    // 5 s and 30 s, each lengthened by up to a tenth and rounded up.
    let [0, second, third, fourth, fifth] = waited[..] else {
        panic!("{waited:?}");
    };
    assert!((5..=6).contains(&second), "{waited:?}");
    assert!((30..=34).contains(&(third - second)), "{waited:?}");
    assert_eq!(
        (fourth, fifth),
        (third, third),
        "nothing else is waited for"
    );
    let mut signatures: Vec<_> = heard.iter().map(|heard| &heard.signature).collect();
    signatures.sort();
    signatures.dedup();
    assert_eq!(signatures.len(), 5, "each try has its own");
    assert_eq!(
        anchor.states().await?,
        [["delivered"], ["delivered"], ["delivered"]]
    );
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn a_failing_line_keeps_no_other_waiting() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    anchor.wallet.answers(A, [500; 3]);
    anchor.tell(CUSTOMER, &[A, B]).await?;
    anchor.tell("cus_2", &[OTHER]).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, OTHER]);
    anchor.tell("cus_2", &[OTHER]).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, OTHER, OTHER]);
    anchor.pass_minutes(10).await?;
    assert_eq!(anchor.wallet.bodies(), [A, OTHER, OTHER, A, A, A, B]);
    anchor.is_at_rest(2).await
}

#[tokio::test]
async fn what_follows_a_parked_callback_waits_for_it_and_goes_on_after() -> Result<()> {
    let policy = ladder(&[1800]);
    let anchor = Anchor::of(Client {
        policy,
        ..patient()
    })
    .await?;
    anchor.wallet.answers(A, [500]);
    anchor.tell(CUSTOMER, &[A, B]).await?;
    anchor.pass_minutes(10).await?;
    anchor.tell(CUSTOMER, &[C]).await?;
    anchor.pass_minutes(15).await?;
    assert_eq!(anchor.wallet.bodies(), [A]);
    assert!(anchor.scene.queues.is_empty(), "nothing waits on a queue");
    assert_eq!(anchor.cursor(&customer_line(CUSTOMER)).await?.waiting, 3);
    anchor.pass_minutes(15).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, B, C]);
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn a_wallet_that_fails_on_is_left_alone_and_told_in_order_once_it_is_back() -> Result<()> {
    let settings = BreakerSettings {
        failures: 2,
        ..BreakerSettings::default()
    };
    let anchor = Anchor::of(Client {
        policy: ladder(&[5, 5, 1800, 1800]),
        breaker: BreakerPolicy::On(settings),
        ..patient()
    })
    .await?;
    anchor.wallet.answers(A, [500; 3]);
    anchor.tell(CUSTOMER, &[A, B]).await?;
    anchor.scene.pass(SignedDuration::from_secs(30)).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A]);
    assert_eq!(anchor.states().await?[..1], [["held"]]);
    anchor.tell("cus_2", &[OTHER]).await?;
    anchor.tell(CUSTOMER, &[C]).await?;
    anchor.scene.settle().await?;
    assert!(anchor.scene.queues.is_empty(), "nothing waits on a queue");
    // A probe that fails, and is parked by its policy; then one by the other customer's, and the rest.
    anchor.pass_minutes(10).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, A, OTHER]);
    anchor.pass_minutes(30).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, A, OTHER, A, B, C]);
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn what_is_given_up_lets_the_next_go() -> Result<()> {
    for (status, policy) in [(410, ladder(&[5])), (500, ladder(&[]))] {
        let anchor = Anchor::of(Client {
            policy,
            ..patient()
        })
        .await?;
        anchor.wallet.answers(A, [status]);
        anchor.tell(CUSTOMER, &[A, B]).await?;
        anchor.pass_minutes(1).await?;
        assert_eq!(anchor.wallet.bodies(), [A, B], "{status}");
        assert_eq!(anchor.states().await?, [["given_up"], ["delivered"]]);
        anchor.is_at_rest(2).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_message_that_comes_early_is_let_go_and_woken() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    let first = anchor.record(CUSTOMER, A).await?;
    anchor.tell(CUSTOMER, &[B, C]).await?;
    anchor.pass_minutes(1).await?;
    assert_eq!(anchor.wallet.bodies(), [""; 0]);
    assert!(anchor.scene.queues.is_empty());
    anchor.send(first).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, B, C]);
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn what_comes_behind_a_message_that_was_lost_has_it_sent_again() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    let _lost = anchor.record(CUSTOMER, A).await?;
    anchor.tell(CUSTOMER, &[B]).await?;
    anchor.pass_minutes(61).await?;
    assert_eq!(anchor.wallet.bodies(), [""; 0]);
    anchor.tell(CUSTOMER, &[C]).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, B, C]);
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn a_message_that_comes_again_tells_nothing_twice() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    anchor.wallet.answers(B, [500]);
    let first = anchor.record(CUSTOMER, A).await?;
    let second = anchor.record(CUSTOMER, B).await?;
    for again in ["", "again", "and again"] {
        for task in [&first, &second] {
            let after = Some(again.to_owned());
            let copy = CallbackTask {
                after,
                ..task.clone()
            };
            anchor.send(copy).await?;
        }
        anchor.scene.settle().await?;
    }
    anchor.pass_minutes(5).await?;
    assert_eq!(anchor.wallet.bodies(), [A, B, B]);
    anchor.is_at_rest(2).await
}

#[tokio::test]
async fn a_replay_of_what_was_given_up_holds_back_what_follows() -> Result<()> {
    let policy = ladder(&[]);
    let anchor = Anchor::of(Client {
        policy,
        ..patient()
    })
    .await?;
    anchor.wallet.answers(A, [500, 500]);
    anchor.tell(CUSTOMER, &[A]).await?;
    anchor.scene.settle().await?;
    anchor
        .change(|client| client.policy = ladder(&[1800]))
        .await?;
    anchor.replay(1, 2).await?;
    anchor.tell(CUSTOMER, &[B]).await?;
    anchor.pass_minutes(10).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A], "the replay is parked");
    anchor.pass_minutes(30).await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, A, B]);
    assert_eq!(
        anchor.states().await?,
        [vec!["given_up", "delivered"], vec!["delivered"]]
    );
    anchor.is_at_rest(2).await
}

#[tokio::test]
async fn a_replay_of_what_was_overtaken_is_superseded_and_the_newest_is_told_again() -> Result<()> {
    let policy = ladder(&[]);
    let anchor = Anchor::of(Client {
        policy,
        ..patient()
    })
    .await?;
    anchor.wallet.answers(A, [500]);
    anchor.tell(CUSTOMER, &[A, B]).await?;
    anchor.scene.settle().await?;
    anchor.replay(1, 2).await?;
    anchor.replay(2, 2).await?;
    anchor.tell(CUSTOMER, &[C]).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, B, B, C]);
    assert_eq!(
        anchor.states().await?,
        [
            vec!["given_up", "superseded"],
            vec!["delivered", "delivered"],
            vec!["delivered"]
        ]
    );
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn a_client_that_wants_the_latest_is_not_told_what_was_overtaken_while_it_waited()
-> Result<()> {
    let anchor = Anchor::of(client(&acme(), "wallet")).await?;
    anchor.wallet.answers(A, [500]);
    anchor.tell(CUSTOMER, &[A]).await?;
    anchor.scene.settle().await?;
    anchor.tell(CUSTOMER, &[B, C]).await?;
    anchor.pass_minutes(1).await?;
    assert_eq!(anchor.wallet.bodies(), [A, C]);
    assert_eq!(
        anchor.states().await?,
        [["superseded"], ["superseded"], ["delivered"]]
    );
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn what_has_nowhere_to_go_is_skipped_and_keeps_nobody_waiting() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    anchor
        .change(|client| client.state = EndpointState::Disabled)
        .await?;
    anchor.tell(CUSTOMER, &[A]).await?;
    anchor.scene.settle().await?;
    anchor
        .change(|client| client.state = EndpointState::Enabled)
        .await?;
    anchor
        .change(|client| client.callbacks.sep12 = None)
        .await?;
    anchor.tell(CUSTOMER, &[B]).await?;
    anchor.scene.settle().await?;
    let url = "https://wallet.example/moved".to_owned();
    anchor
        .change(|client| client.callbacks.sep12 = Some(url))
        .await?;
    anchor.tell(CUSTOMER, &[C]).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [C]);
    assert_eq!(
        anchor.states().await?,
        [["skipped"], ["skipped"], ["delivered"]]
    );
    anchor.is_at_rest(3).await
}

#[tokio::test]
async fn what_is_to_be_erased_is_gone_once_it_is_delivered_and_never_sent_empty() -> Result<()> {
    let anchor = Anchor::of(patient()).await?;
    let settings = AnchorSettings {
        tenant: acme(),
        business_server: BusinessServer {
            base_url: "https://business.example".to_owned(),
            auth: BusinessAuth::None,
        },
        rpc_secret: None,
        sep10: None,
        status_map: Mapping::default(),
        erase_payloads: ErasePayloads::AfterDelivery,
        created_at: anchor.scene.clock.now(),
    };
    let store = anchor.scene.store();
    let _new = store.put_anchor(&settings, None).await?;
    anchor.wallet.answers(A, [500]);
    anchor.tell(CUSTOMER, &[A]).await?;
    anchor.scene.settle().await?;
    let data = async || -> Result<String> {
        let event = customer_line(CUSTOMER).event(&acme(), 1);
        let read = store.event(&acme(), &event).await?;
        let event = read.context("it is there")?.value.event;
        Ok(event.data.as_str().to_owned())
    };
    assert_eq!(data().await?, A, "it is needed for the next try");
    anchor.pass_minutes(1).await?;
    assert_eq!(data().await?, "null");
    anchor.replay(1, 2).await?;
    anchor.scene.settle().await?;
    assert_eq!(anchor.wallet.bodies(), [A, A]);
    assert_eq!(anchor.states().await?, [["delivered", "expired"]]);
    anchor.is_at_rest(1).await
}

/// Three callbacks, of which the first waits on the queue, and the second in the table.
async fn told_by_halves() -> Result<Anchor> {
    let policy = ladder(&[5, 960]);
    let anchor = Anchor::of(Client {
        policy,
        ..patient()
    })
    .await?;
    anchor.wallet.answers(A, [500]);
    anchor.wallet.answers(B, [500, 500]);
    anchor.tell(CUSTOMER, &[A, B, C]).await?;
    Ok(anchor)
}

#[tokio::test]
async fn dying_after_any_effect_keeps_the_order_and_loses_nothing() -> Result<()> {
    let mut crashes = 0;
    for number in 1.. {
        let mut anchor = told_by_halves().await?;
        anchor.scene.effects.die_after(number);
        let died = tokio::select! {
            biased;
            () = anchor.scene.effects.death() => true,
            gone_on = anchor.go_on() => { gone_on?; false }
        };
        if died {
            crashes += 1;
            anchor.scene.restart()?;
            // What the process had in hand comes back when its visibility has run out.
            anchor.go_on().await?;
        }
        let mut bodies = anchor.wallet.bodies();
        let after = format!("after effect {number}: {bodies:#?}");
        assert!((6..=7).contains(&bodies.len()), "{after}");
        bodies.dedup();
        assert_eq!(bodies, [A, B, C], "{after}");
        let states = anchor.states().await?;
        assert_eq!(states, [["delivered"]; 3], "{after}");
        anchor.is_at_rest(3).await?;
        if !died {
            break;
        }
    }
    assert!(crashes >= 20, "only {crashes} effects");
    Ok(())
}

#[tokio::test]
async fn while_the_table_or_the_queue_is_away_the_order_is_kept() -> Result<()> {
    let anchor = told_by_halves().await?;
    anchor.scene.effects.table_out(true);
    anchor.scene.settle().await?;
    anchor.scene.effects.table_out(false);
    anchor.scene.effects.queues_out(true);
    anchor.pass_minutes(1).await?;
    anchor.scene.effects.queues_out(false);
    anchor.go_on().await?;
    assert_eq!(anchor.wallet.bodies(), [A, A, B, B, B, C]);
    assert_eq!(anchor.scene.queues.len(Queue::DeliverOrdered), 0);
    anchor.is_at_rest(3).await
}
