//! An array of events: each is judged by itself, those that are right are sent together, and each is told what became
//! of it.

use std::collections::{BTreeSet, HashMap};

use serde_json::value::RawValue;
use shared::body::BodyError;
use shared::event::{Envelope, FieldError, Role, unambiguous};
use shared::ids::EventId;
use shared::queue::{Message, Queue, QueueError};
use tracing::warn;

use crate::body::{EVENT_MOST, event, wrong};
use crate::handler::{Publish, Sender};
use crate::reply::{Item, Refusal};

/// So many events an array may hold.
pub const MOST: usize = 10;

/// What is to be told of an event before anything is sent.
enum Judged {
    /// It is the message at this place of those to be sent.
    Sent(EventId, usize),
    Refused(Option<EventId>, Refusal),
}

/// The events of an array, as they were written.
///
/// # Errors
/// [`FieldError`] if it is no array, or holds none or too many.
pub fn split(text: &str) -> Result<Vec<&RawValue>, FieldError> {
    let rule = || wrong("body", format!("must be an array of 1 to {MOST} events"));
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| rule())?;
    if (1..=MOST).contains(&items.len()) {
        Ok(items)
    } else {
        Err(rule())
    }
}

impl Publish {
    /// Takes an array of events.
    ///
    /// # Errors
    /// [`Refusal`] if not one of them was accepted because the queue can't be reached.
    pub(crate) async fn many(
        &self,
        sender: &Sender,
        roles: Option<&BTreeSet<Role>>,
        items: &[&RawValue],
    ) -> Result<Vec<Item>, Refusal> {
        let mut messages: Vec<Message> = Vec::new();
        let mut places: HashMap<EventId, (Envelope, usize)> = HashMap::new();
        let mut judged = Vec::new();
        for item in items {
            let event = match read(item.get()) {
                Ok(event) => event,
                Err(refusal) => {
                    judged.push(Judged::Refused(None, refusal));
                    continue;
                }
            };
            let id = event.id.clone();
            judged.push(match places.get(&id) {
                // Said twice in one breath is said once.
                Some((first, place)) if *first == event => Judged::Sent(id, *place),
                Some(_) => Judged::Refused(Some(id), Refusal::SameId),
                None => {
                    let place = messages.len();
                    messages.push(self.task(sender, event.clone(), roles).encode());
                    places.insert(id.clone(), (event, place));
                    Judged::Sent(id, place)
                }
            });
        }
        let refused = match self.queues.send(Queue::Fanout, messages).await {
            Ok(()) => Vec::new(),
            Err(QueueError::Partly { sent, refused }) => {
                warn!(
                    sent,
                    refused = refused.len(),
                    "the queue took a part of an array"
                );
                refused
            }
            Err(error) => return Err(error.into()),
        };
        let told: Vec<Item> = judged
            .into_iter()
            .map(|judged| match judged {
                Judged::Sent(id, place) => Item {
                    id: Some(id),
                    refused: refused.contains(&place).then_some(Refusal::NotTaken),
                },
                Judged::Refused(id, refusal) => Item {
                    id,
                    refused: Some(refusal),
                },
            })
            .collect();
        Ok(told)
    }
}

fn read(text: &str) -> Result<Envelope, Refusal> {
    if text.len() > EVENT_MOST {
        return Err(BodyError::TooLong(EVENT_MOST).into());
    }
    unambiguous(text)?;
    Ok(event(text)?)
}
