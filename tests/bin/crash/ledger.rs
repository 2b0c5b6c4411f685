//! What was sent, what arrived, and what befell it on the way: what the laws are judged by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::ids::EventId;
use shared::queue::Task;

/// The number of an event that a client sends, which all that becomes of it can be known by.
pub(super) type Number = u32;

/// What every id of an event begins with; seven digits follow.
const MARK: &str = "crash";
const DIGITS: usize = 7;

/// The part of an event's ids that names it.
pub(super) fn mark(number: Number) -> String {
    format!("{MARK}{number:07}")
}

/// The numbers of all events that a text names.
pub(super) fn numbers(text: &str) -> BTreeSet<Number> {
    text.match_indices(MARK)
        .filter_map(|(at, mark)| {
            let from = at + mark.len();
            text.get(from..from + DIGITS)?.parse().ok()
        })
        .collect()
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// Kills, by function.
    Kills,
    /// Events in the hands of killed functions, by function.
    InHand,
    /// Lost requests and answers, by kind.
    Cuts,
    /// What was asked for in requests that were cut.
    Operations,
    /// What a client was answered other than 200.
    Clients,
    /// What endpoints got, and did with it.
    Endpoints,
    /// What should be seldom.
    Oddities,
}

/// What befell a message while a function had it in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mishap {
    /// The function was killed.
    Killed(&'static str),
    /// An answer to the function was lost.
    Cut(&'static str),
    /// The function took longer than the message was hidden, and it was handed out again.
    Overdue(&'static str),
}

/// An event that a client sends until it is accepted.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    /// The paths of the endpoints that it is for.
    pub(super) endpoints: Vec<&'static str>,
    /// Its id, if it passes through; else it is derived on the way.
    pub(super) id: Option<String>,
    /// The text that each of its deliveries must contain.
    pub(super) says: String,
    /// The line in which it has to be told after those before it, if it is in one.
    pub(super) line: Option<u32>,
    /// The id of the callback that it makes, if it makes one: messages name that, and no mark.
    pub(super) callback: Option<EventId>,
    /// Whether it was answered 200.
    pub(super) accepted: bool,
}

/// The deliveries of one event to one endpoint.
#[derive(Debug, Clone)]
pub(super) struct Arrived {
    /// The event that it comes from.
    pub(super) number: Number,
    /// What was answered 200.
    pub(super) taken: u32,
    /// The body of the first, which all others must have.
    body: String,
}

/// Which delivery: the endpoint's path and the event's id.
pub(super) type Which = (String, String);

/// What was noted.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// What was sent.
    pub(super) sent: BTreeMap<Number, Sent>,
    /// Which of them make which callbacks.
    pub(super) callbacks: BTreeMap<EventId, Number>,
    /// How many of them are accepted.
    pub(super) accepted: u64,
    /// How many deliveries those have to make.
    pub(super) due: u64,
    /// The last event of each line that an endpoint was asked to take.
    pub(super) lines: BTreeMap<u32, Number>,
    /// What arrived.
    pub(super) arrived: BTreeMap<Which, Arrived>,
    /// How many different deliveries were taken.
    pub(super) taken: u64,
    /// How many requests came for each delivery.
    pub(super) tries: BTreeMap<Which, u64>,
    /// What befell each event.
    pub(super) mishaps: BTreeMap<Number, Vec<Mishap>>,
    /// How often something happened that is worth a line of the report, by its topic.
    pub(super) counts: BTreeMap<(Topic, String), u64>,
    /// Laws that were broken.
    pub(super) broken: Vec<String>,
}

/// The books, which everybody writes to.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Books>);

impl Ledger {
    /// The books. Whoever panicked over them left each entry whole.
    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that something happened, so often.
    pub(super) fn count(&self, topic: Topic, what: &str, often: usize) {
        let often = u64::try_from(often).unwrap_or(u64::MAX);
        let mut books = self.books();
        *books.counts.entry((topic, what.to_owned())).or_default() += often;
    }

    /// Notes what befell all that was in hand.
    pub(super) fn befell(&self, numbers: &BTreeSet<Number>, mishap: Mishap) {
        let mut books = self.books();
        for number in numbers {
            books.mishaps.entry(*number).or_default().push(mishap);
        }
    }

    /// Notes that a client begins to send an event.
    pub(super) fn sends(&self, number: Number, sent: Sent) {
        let mut books = self.books();
        if let Some(callback) = &sent.callback {
            books.callbacks.insert(callback.clone(), number);
        }
        books.sent.insert(number, sent);
    }

    /// The numbers of all events that a queue's message is about.
    pub(super) fn about(&self, message: &str) -> BTreeSet<Number> {
        let mut about = numbers(message);
        if let Ok(Task::Callback(task)) = Task::decode(message) {
            about.extend(self.books().callbacks.get(&task.event));
        }
        about
    }

    /// Notes that it was answered 200.
    pub(super) fn accepted(&self, number: Number) {
        let mut books = self.books();
        let endpoints = books.sent.get_mut(&number).map_or(0, |sent| {
            sent.accepted = true;
            sent.endpoints.len()
        });
        books.due += u64::try_from(endpoints).unwrap_or_default();
        books.accepted += 1;
    }

    /// How many deliveries are due and not taken yet.
    pub(super) fn backlog(&self) -> u64 {
        let books = self.books();
        books.due.saturating_sub(books.taken)
    }

    /// Notes a delivery with a valid signature, and holds it to what was sent.
    pub(super) fn arrived(&self, endpoint: &str, id: &str, body: &str, taken: bool) {
        let mut books = self.books();
        let numbers = numbers(body);
        let mut named = numbers.iter();
        let (Some(number), None) = (named.next().copied(), named.next()) else {
            let broken = format!("{endpoint} got {id}, which names no event that was sent: {body}");
            books.broken.push(broken);
            return;
        };
        let wrong = match books.sent.get(&number) {
            None => Some("was never sent"),
            Some(sent) if !sent.endpoints.contains(&endpoint) => Some("is for somebody else"),
            Some(sent) if sent.id.as_deref().is_some_and(|own| own != id) => {
                Some("has another id than it was sent with")
            }
            Some(sent) if !body.contains(&sent.says) => Some("has other bytes than were sent"),
            Some(_) => None,
        };
        if let Some(wrong) = wrong {
            let broken = format!("{endpoint} got {id} of event {number}, which {wrong}: {body}");
            books.broken.push(broken);
        }
        if let Some(line) = books.sent.get(&number).and_then(|sent| sent.line) {
            let last = books.lines.insert(line, number).unwrap_or_default();
            if last > number {
                let broken = format!("{endpoint} got event {number} after {last}, out of order");
                books.broken.push(broken);
            }
        }
        let which = (endpoint.to_owned(), id.to_owned());
        let arrived = books.arrived.entry(which).or_insert_with(|| Arrived {
            number,
            taken: 0,
            body: body.to_owned(),
        });
        let changed = arrived.body != body;
        arrived.taken += u32::from(taken);
        let first = taken && arrived.taken == 1;
        books.taken += u64::from(first);
        if changed {
            let broken = format!("{endpoint} got {id} with two bodies");
            books.broken.push(broken);
        }
    }
}

#[cfg(test)]
mod tests {
    use shared::event::Line;
    use shared::ids::{EndpointId, Round, TenantId, TransactionId};
    use shared::queue::task::CallbackTask;

    use super::*;

    #[test]
    fn events_are_known_by_their_marks_wherever_they_stand() {
        let text = format!(
            r#"{{"id":"in_{}","\"{}\"":"crash","crash12"}}"#,
            mark(7),
            mark(1_234_567)
        );
        assert_eq!(numbers(&text), BTreeSet::from([7, 1_234_567]));
    }

    #[test]
    fn a_callbacks_message_is_about_the_event_that_makes_it() {
        let line = Line::Transaction {
            id: TransactionId::parse("tx-1").expect("an id"),
        };
        let task = CallbackTask {
            tenant: TenantId::parse("acme").expect("an id"),
            event: EventId::parse("told").expect("an id"),
            client: EndpointId::parse("lobby").expect("an id"),
            line,
            round: Round::FIRST,
            hop: 0,
            after: None,
        };
        let (callback, body) = (task.event.clone(), Task::Callback(task).encode().body);
        let ledger = Ledger::default();
        assert_eq!(ledger.about(&body), BTreeSet::new());
        ledger.sends(
            7,
            Sent {
                endpoints: vec!["/a"],
                id: None,
                says: mark(7),
                line: Some(1),
                callback: Some(callback),
                accepted: false,
            },
        );
        assert_eq!(ledger.about(&body), BTreeSet::from([7]));
    }

    #[test]
    fn what_comes_out_of_order_breaks_a_law() {
        let cases = [
            ([(0, 3), (1, 4), (0, 5), (1, 6)], 0),
            ([(0, 3), (0, 3), (0, 4), (0, 4)], 0),
            ([(0, 3), (0, 4), (0, 3), (0, 4)], 1),
            ([(0, 4), (1, 3), (0, 3), (1, 5)], 1),
        ];
        for (arrivals, want) in cases {
            let ledger = Ledger::default();
            for (line, number) in arrivals {
                let sent = Sent {
                    endpoints: vec!["/a"],
                    id: None,
                    says: mark(number),
                    line: Some(line),
                    callback: None,
                    accepted: true,
                };
                ledger.sends(number, sent);
            }
            for (_, number) in arrivals {
                ledger.arrived("/a", &mark(number), &mark(number), true);
            }
            assert_eq!(ledger.books().broken.len(), want, "{arrivals:?}");
        }
    }

    #[test]
    fn a_delivery_to_somebody_else_or_with_other_bytes_breaks_a_law() {
        let cases = [
            ("/a", "crash0000001", r#"{"d":"crash0000001"}"#, 0),
            ("/b", "crash0000001", r#"{"d":"crash0000001"}"#, 1),
            ("/a", "another", r#"{"d":"crash0000001"}"#, 1),
            ("/a", "crash0000001", r#"{"e":"crash0000001"}"#, 1),
            ("/a", "crash0000002", r#"{"d":"crash0000002"}"#, 1),
            ("/a", "crash0000001", "{}", 1),
        ];
        for (endpoint, id, body, want) in cases {
            let ledger = Ledger::default();
            ledger.sends(
                1,
                Sent {
                    endpoints: vec!["/a"],
                    id: Some("crash0000001".to_owned()),
                    says: r#""d":"#.to_owned(),
                    line: None,
                    callback: None,
                    accepted: false,
                },
            );
            ledger.arrived(endpoint, id, body, true);
            assert_eq!(ledger.books().broken.len(), want, "{endpoint} {id} {body}");
        }
    }
}
