//! What travels on the queues: versioned, self-contained, in text that SQS takes.

use std::collections::BTreeSet;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Enqueue, Message, Queue, QueueError};
use crate::delivery::{Delivery, DeliveryKey, Guard};
use crate::event::{Callback, Event, Line, Recipients, Role};
use crate::ids::{EndpointId, EventId, Round, TenantId};
use crate::platform::{Ignored, Thin};
use crate::recovery::{IntentKey, Pull, Signal};

/// One piece of work for a queue's reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// For `recover`: what a billing platform told us.
    Signal(SignalTask),
    /// For `recover`: a genuine notification of which the platform has to tell the rest.
    Thin(ThinTask),
    /// For `recover`: a genuine notification that is of no interest, to be recorded as such.
    Ignored(IgnoredTask),
    /// For `recover`: what an operator does to an intent.
    Lever(LeverTask),
    /// For `recover`: a platform is to be told of a success that it does not know.
    RecordBack(RecordBackTask),
    /// For `fanout`: an event to be recorded and given to its endpoints.
    Publish(PublishTask),
    /// For `deliver`: an event to be posted to one endpoint.
    Deliver(DeliverTask),
    /// For `deliver`: an event to be told to a wallet client, in its turn.
    Callback(CallbackTask),
}

/// See [`Task::Signal`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignalTask {
    /// Whose billing account it came from.
    pub tenant: TenantId,
    /// The signal.
    pub signal: Signal,
}

/// See [`Task::Thin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThinTask {
    /// Whose billing account it came from.
    pub tenant: TenantId,
    /// The notification.
    pub thin: Thin,
}

/// See [`Task::Lever`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeverTask {
    /// Whose intent it is.
    pub tenant: TenantId,
    /// The intent.
    pub intent: IntentKey,
    /// What was done to it, and by whom.
    pub pull: Pull,
}

/// See [`Task::RecordBack`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordBackTask {
    /// Whose intent it is.
    pub tenant: TenantId,
    /// The intent, which says what to tell.
    pub intent: IntentKey,
}

/// See [`Task::Ignored`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredTask {
    /// Whose billing account it came from.
    pub tenant: TenantId,
    /// The notification.
    pub ignored: Ignored,
}

/// See [`Task::Publish`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishTask {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event.
    pub event: Event,
    /// The roles its sender names; `None` leaves it to the event's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<Role>>,
    /// What must hold for its deliveries to be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// See [`Task::Deliver`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliverTask {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event, whole: the happy path reads nothing.
    pub event: Event,
    /// The receiver.
    pub endpoint: EndpointId,
    /// The round.
    pub round: Round,
    /// How often the delivery had been parked when this message was sent.
    #[serde(default)]
    pub hop: u32,
    /// Whether another message for the same delivery may exist, so that its record must be read first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub check: bool,
    /// What must hold for it to be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

impl DeliverTask {
    /// The delivery that it works on.
    #[must_use]
    pub fn key(&self) -> DeliveryKey {
        DeliveryKey {
            tenant: self.tenant.clone(),
            event: self.event.id.clone(),
            endpoint: self.endpoint.clone(),
            round: self.round,
        }
    }
}

/// See [`Task::Callback`]. What is told is personal, so the event stays in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackTask {
    /// Whose event it is.
    pub tenant: TenantId,
    /// The event, which names its place.
    pub event: EventId,
    /// The wallet client.
    pub client: EndpointId,
    /// What it is told in order with.
    pub line: Line,
    /// The round.
    pub round: Round,
    /// How often the delivery had been parked when this message was sent.
    #[serde(default)]
    pub hop: u32,
    /// The delivery that was settled right before it, if that is why the message was sent: it was sent before, and let go
    /// because it was not its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl CallbackTask {
    /// The first message of a callback, if the event is one.
    #[must_use]
    pub fn first(tenant: &TenantId, event: &EventId, recipients: &Recipients) -> Option<Self> {
        let Callback { client, line, .. } = recipients.callback()?;
        Some(Self {
            tenant: tenant.clone(),
            event: event.clone(),
            client: client.clone(),
            line: line.clone(),
            round: Round::FIRST,
            hop: 0,
            after: None,
        })
    }

    /// The delivery that it works on.
    #[must_use]
    pub fn key(&self) -> DeliveryKey {
        DeliveryKey {
            tenant: self.tenant.clone(),
            event: self.event.clone(),
            endpoint: self.client.clone(),
            round: self.round,
        }
    }

    /// What makes copies of this message one, within the time that a FIFO queue looks back. A message that is sent once
    /// more, because it was let go before its turn, is no copy.
    fn deduplication(&self) -> String {
        let Self {
            tenant,
            event,
            round,
            hop,
            after,
            line: _,
            client: _,
        } = self;
        let after = after.as_deref().unwrap_or_default();
        hashed(&format!(
            "{tenant}\u{1f}{event}\u{1f}{round}\u{1f}{hop}\u{1f}{after}"
        ))
    }
}

/// The wire form: the version first, so that a reader of tomorrow can tell what it got.
#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    v: u8,
    task: T,
}

const VERSION: u8 = 1;

/// Why a message's body is no task. The text holds nothing of the body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The body is not of the form we write.
    #[error("the message is no task: {class} error at line {line}, column {column}")]
    Malformed {
        /// The parser's class of error.
        class: &'static str,
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// It was written by a version that we don't know.
    #[error("the message is a task of version {0}, which is not known here")]
    Version(u8),
}

impl Task {
    /// What takes a delivery up where it stands: whoever handles it reads the record first.
    #[must_use]
    pub fn resume(delivery: &Delivery, event: Event, recipients: &Recipients) -> Self {
        let key = &delivery.key;
        match CallbackTask::first(&key.tenant, &event.id, recipients) {
            Some(first) => Self::Callback(CallbackTask {
                round: key.round,
                hop: delivery.hop,
                ..first
            }),
            None => Self::Deliver(DeliverTask {
                tenant: key.tenant.clone(),
                event,
                endpoint: key.endpoint.clone(),
                round: key.round,
                hop: delivery.hop,
                check: true,
                guard: delivery.guard.clone(),
            }),
        }
    }

    /// The queue it goes to.
    #[must_use]
    pub fn queue(&self) -> Queue {
        match self {
            Self::Signal(_)
            | Self::Thin(_)
            | Self::Ignored(_)
            | Self::Lever(_)
            | Self::RecordBack(_) => Queue::Recover,
            Self::Publish(_) => Queue::Fanout,
            Self::Deliver(_) => Queue::Deliver,
            Self::Callback(_) => Queue::DeliverOrdered,
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        match self {
            Self::Signal(task) => &task.tenant,
            Self::Thin(task) => &task.tenant,
            Self::Ignored(task) => &task.tenant,
            Self::Lever(task) => &task.tenant,
            Self::RecordBack(task) => &task.tenant,
            Self::Publish(task) => &task.tenant,
            Self::Deliver(task) => &task.tenant,
            Self::Callback(task) => &task.tenant,
        }
    }

    /// On a standard queue the fair-queue group: one slow endpoint, or one loud tenant, must not hold up the others. On a
    /// FIFO queue what is told in order.
    fn group(&self) -> String {
        hashed(&match self {
            Self::Deliver(task) => format!("{}\u{1f}{}", task.tenant, task.endpoint),
            Self::Callback(task) => format!("{}\u{1f}{}", task.tenant, task.line.name()),
            Self::Signal(_)
            | Self::Thin(_)
            | Self::Ignored(_)
            | Self::Lever(_)
            | Self::RecordBack(_)
            | Self::Publish(_) => self.tenant().to_string(),
        })
    }

    fn deduplication(&self) -> Option<String> {
        match self {
            Self::Callback(task) => Some(task.deduplication()),
            Self::Signal(_)
            | Self::Thin(_)
            | Self::Ignored(_)
            | Self::Lever(_)
            | Self::RecordBack(_)
            | Self::Publish(_)
            | Self::Deliver(_) => None,
        }
    }

    /// The task as a message.
    #[must_use]
    pub fn encode(&self) -> Message {
        let body = serde_json::to_string(&Envelope {
            v: VERSION,
            task: self,
        })
        .expect("ids, times and JSON texts always have a JSON form");
        Message {
            group: Some(self.group()),
            deduplication: self.deduplication(),
            ..Message::new(sqs_text(body))
        }
    }

    /// Reads a message's body.
    ///
    /// # Errors
    /// See [`DecodeError`].
    pub fn decode(body: &str) -> Result<Self, DecodeError> {
        let malformed = |error: serde_json::Error| DecodeError::Malformed {
            class: match error.classify() {
                serde_json::error::Category::Data => "data",
                serde_json::error::Category::Eof => "end-of-text",
                serde_json::error::Category::Io | serde_json::error::Category::Syntax => "syntax",
            },
            line: error.line(),
            column: error.column(),
        };
        let Envelope { v, task: _ } =
            serde_json::from_str::<Envelope<serde::de::IgnoredAny>>(body).map_err(malformed)?;
        if v != VERSION {
            return Err(DecodeError::Version(v));
        }
        serde_json::from_str::<Envelope<Self>>(body)
            .map(|envelope| envelope.task)
            .map_err(malformed)
    }
}

/// 32 characters that stand for `parts`, whatever they hold.
fn hashed(parts: &str) -> String {
    let hash = digest(&SHA256, parts.as_bytes());
    HEXLOWER.encode(hash.as_ref().get(..16).unwrap_or_default())
}

/// SQS refuses U+FFFE and U+FFFF, which JSON allows; inside a JSON string they can be escaped.
fn sqs_text(json: String) -> String {
    if json.contains(['\u{fffe}', '\u{ffff}']) {
        json.replace('\u{fffe}', "\\ufffe")
            .replace('\u{ffff}', "\\uffff")
    } else {
        json
    }
}

/// Sends `tasks`, each to its queue.
///
/// # Errors
/// See [`QueueError`]; after an error any of them may or may not have been sent, so send all of them again.
pub async fn send(
    queues: &dyn Enqueue,
    tasks: impl IntoIterator<Item = Task>,
) -> Result<(), QueueError> {
    let mut by_queue = std::collections::BTreeMap::<Queue, Vec<Message>>::new();
    for task in tasks {
        by_queue
            .entry(task.queue())
            .or_default()
            .push(task.encode());
    }
    for (queue, messages) in by_queue {
        queues.send(queue, messages).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::event::{Callback, EventType, Json, SetAside, Source, Via};
    use crate::ids::{ConnectorAccountId, InvoiceId, ProfileId, TransactionId};

    fn deliver(data: &str) -> Task {
        Task::Deliver(DeliverTask {
            tenant: TenantId::parse("acme").expect("a valid id"),
            event: Event {
                id: EventId::parse("evt_1").expect("a valid id"),
                event_type: EventType::parse("recovery.recovered").expect("a valid type"),
                data: Json::parse(data.into()).expect("valid JSON"),
                at: jiff::Timestamp::UNIX_EPOCH,
                source: Source::new("stripe"),
                resource: None,
            },
            endpoint: EndpointId::parse("shop").expect("a valid id"),
            round: Round::FIRST,
            hop: 0,
            check: false,
            guard: None,
        })
    }

    #[test]
    fn a_task_comes_back_with_its_payload_to_the_byte() {
        for data in [
            "{ \"a\": 1.50 }",
            "\"\u{b}caf\u{e9} \u{1f600}\""
                .replace('\u{b}', "\\u000b")
                .as_str(),
            "[]",
        ] {
            let task = deliver(data);
            assert_eq!(Task::decode(&task.encode().body), Ok(task), "{data}");
        }
    }

    #[test]
    fn characters_that_sqs_refuses_are_escaped_and_mean_the_same() {
        let body = deliver("\"\u{fffe}\u{ffff}\"").encode().body;
        assert!(!body.contains(['\u{fffe}', '\u{ffff}']));
        match Task::decode(&body) {
            Ok(Task::Deliver(task)) => {
                let text: String =
                    serde_json::from_str(task.event.data.as_str()).expect("a JSON string");
                assert_eq!(text, "\u{fffe}\u{ffff}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_task_is_refused_without_quoting_it() {
        let malformed = |body: &str| Task::decode(body).map_err(|error| error.to_string());
        assert_eq!(
            malformed("secret"),
            Err("the message is no task: syntax error at line 1, column 1".into())
        );
        assert_eq!(
            malformed(r#"{"v":2,"task":{}}"#),
            Err("the message is a task of version 2, which is not known here".into())
        );
        assert!(malformed(r#"{"v":1,"task":{"nonsense":{}}}"#).is_err());
    }

    #[test]
    fn what_is_told_in_order_shares_a_group_and_copies_of_a_message_are_one() {
        let parse = |id| EventId::parse(id).expect("a valid id");
        let first = CallbackTask {
            tenant: TenantId::parse("acme").expect("a valid id"),
            event: parse("evt_1"),
            client: EndpointId::parse("lobby").expect("a valid id"),
            line: Line::Transaction {
                id: TransactionId::parse("tx-1").expect("a valid id"),
            },
            round: Round::FIRST,
            hop: 0,
            after: None,
        };
        let of = |task: &CallbackTask| {
            let task = Task::Callback(task.clone());
            let message = task.encode();
            assert_eq!(Task::decode(&message.body), Ok(task));
            (message.group, message.deduplication)
        };
        let (group, id) = of(&first);
        assert!(group.is_some() && id.is_some());
        let others = [
            CallbackTask {
                event: parse("evt_2"),
                ..first.clone()
            },
            CallbackTask {
                round: Round::FIRST.next(),
                ..first.clone()
            },
            CallbackTask {
                hop: 1,
                ..first.clone()
            },
            CallbackTask {
                after: Some("evt_0#1".into()),
                ..first.clone()
            },
        ];
        for other in others {
            let (same, different) = of(&other);
            assert_eq!(same, group, "{other:?}");
            assert_ne!(different, id, "{other:?}");
        }
        let elsewhere = CallbackTask {
            line: Line::Transaction {
                id: TransactionId::parse("tx-2").expect("a valid id"),
            },
            ..first
        };
        assert_ne!(of(&elsewhere).0, group);
    }

    #[test]
    fn deliveries_to_one_endpoint_share_a_group_and_others_do_not() {
        let first = deliver("1").encode().group;
        let Task::Deliver(task) = deliver("2") else {
            unreachable!("it is a delivery")
        };
        let elsewhere = Task::Deliver(DeliverTask {
            endpoint: EndpointId::parse("other").expect("a valid id"),
            ..task
        });
        assert_eq!(first, deliver("2").encode().group);
        assert_ne!(first, elsewhere.encode().group);
    }

    #[test]
    fn what_is_taken_up_where_it_stands_keeps_its_round_and_says_how_often_it_was_parked() {
        let Task::Deliver(first) = deliver("{}") else {
            unreachable!("it is a delivery")
        };
        let guard = Guard::RetryDue {
            intent: IntentKey {
                profile_id: ProfileId::parse("p").expect("a valid id"),
                connector_account_id: ConnectorAccountId::parse("c").expect("a valid id"),
                invoice_id: InvoiceId::parse("i").expect("a valid id"),
            },
            number: 2,
            times: 1,
            deadline: jiff::Timestamp::UNIX_EPOCH,
        };
        let mut delivery = Delivery::new(
            DeliveryKey {
                round: Round::FIRST.next(),
                ..first.key()
            },
            Some(guard.clone()),
        );
        delivery.hop = 3;
        let nobody = Recipients::SetAside(SetAside::NotHandled);
        let want = Task::Deliver(DeliverTask {
            round: Round::FIRST.next(),
            hop: 3,
            check: true,
            guard: Some(guard),
            ..first.clone()
        });
        assert_eq!(Task::resume(&delivery, first.event.clone(), &nobody), want);

        let client = EndpointId::parse("lobby").expect("a valid id");
        let line = Line::Transaction {
            id: TransactionId::parse("tx-1").expect("a valid id"),
        };
        let callback = Recipients::Callback(Callback {
            client: client.clone(),
            via: Via::Transaction {
                id: TransactionId::parse("tx-1").expect("a valid id"),
            },
            line: line.clone(),
            number: 7,
        });
        let want = Task::Callback(CallbackTask {
            tenant: first.tenant.clone(),
            event: first.event.id.clone(),
            client,
            line,
            round: Round::FIRST.next(),
            hop: 3,
            after: None,
        });
        assert_eq!(Task::resume(&delivery, first.event, &callback), want);
    }

    #[tokio::test]
    async fn each_task_is_sent_to_its_queue_and_those_of_a_queue_together() {
        /// What was sent, and which queue is out of order.
        struct Sent(Mutex<Vec<(Queue, Vec<Message>)>>, Option<Queue>);

        #[async_trait::async_trait]
        impl Enqueue for Sent {
            async fn send(&self, queue: Queue, messages: Vec<Message>) -> Result<(), QueueError> {
                if self.1 == Some(queue) {
                    return Err(QueueError::Unavailable("out of order".into()));
                }
                let mut sent = self.0.lock().expect("nobody panics here");
                sent.push((queue, messages));
                Ok(())
            }
        }

        let Task::Deliver(DeliverTask { tenant, event, .. }) = deliver("{}") else {
            unreachable!("it is a delivery")
        };
        let publish = Task::Publish(PublishTask {
            tenant,
            event,
            roles: None,
            guard: None,
        });
        let tasks = [deliver("1"), publish, deliver("2")];
        let queues = Sent(Mutex::default(), None);
        send(&queues, tasks.clone())
            .await
            .expect("all queues take it");
        let bodies = |of: &[usize]| -> Vec<Message> {
            let task = |at: &usize| tasks.get(*at).map(Task::encode);
            of.iter().filter_map(task).collect()
        };
        assert_eq!(
            queues.0.into_inner().expect("nobody panics here"),
            [
                (Queue::Fanout, bodies(&[1])),
                (Queue::Deliver, bodies(&[0, 2])),
            ]
        );
        let out = Sent(Mutex::default(), Some(Queue::Deliver));
        let sent = send(&out, tasks).await;
        assert!(matches!(sent, Err(QueueError::Unavailable(_))), "{sent:?}");
    }
}
