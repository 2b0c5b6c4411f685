//! Deliberate defects, to see that the laws have teeth. None is in the product: each bends what passes between its code and
//! its surroundings as a mistake in the code would, and only where a run is told to.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use shared::delivery::{Outcome, Request};
use shared::queue::{Message, Queue};
use shared::time::later;

use crate::process::Process;
use crate::table::TABLE;

macro_rules! defects {
    ($($(#[doc = $doc:literal])+ $variant:ident => $name:literal,)+) => {
        /// A deliberate defect.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Defect {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Defect {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Its name, which `--defect` takes.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

defects! {
    /// A message is let go of before its work is done.
    ReleasedBeforeDone => "released-before-done",
    /// What the queue counts is taken for tries: after a few receipts a message is given up.
    ReceiptsCountedAsTries => "receipts-counted-as-tries",
    /// A door, or a worker, goes on before what it sends is durable.
    AnsweredBeforeSent => "answered-before-sent",
    /// A batch that was sent in part is taken for sent.
    PartialSendsTakenForWhole => "partial-sends-taken-for-whole",
    /// That messages could not be sent is not noticed.
    SendErrorsIgnored => "send-errors-ignored",
    /// What is made by us has an id that is drawn, not derived.
    DrawnIds => "drawn-ids",
    /// A write does not ask whether its item is as it was read.
    NoVersionCheck => "no-version-check",
    /// A second event under an id takes the place of the first.
    EventsWrittenOver => "events-written-over",
    /// Now and then a write is answered that is not durable.
    WritesBuffered => "writes-buffered",
    /// A retry carries the signature of the first try.
    SignatureKept => "signature-kept",
    /// What a receiver asks for in `Retry-After` is not heard.
    RetryAfterIgnored => "retry-after-ignored",
    /// A parked delivery has no entry in the index that `sweep` reads.
    ParkedWithoutIndex => "parked-without-index",
    /// Of the tries made only the first is kept.
    TriesForgotten => "tries-forgotten",
    /// Who holds a delivery is not kept.
    HoldForgotten => "hold-forgotten",
    /// A delivery goes to the endpoint of that name of another tenant.
    TenantMixedUp => "tenant-mixed-up",
    /// How often an invoice may be charged is not read.
    CeilingForgotten => "ceiling-forgotten",
    /// A Mastercard is taken for a Visa, whose network takes more tries.
    NetworkMistaken => "network-mistaken",
    /// Until when a merchant may charge is handed on as a day later, each time that it is.
    DeadlineMoved => "deadline-moved",
    /// The waits before retries are read as half of what they are.
    WaitsHalved => "waits-halved",
    /// That an invoice is over is not seen by a single read within a minute of one that saw it open.
    GuardReadStale => "guard-read-stale",
    /// What an anchor's write is to send has no entry in the outbox.
    OutboxForgotten => "outbox-forgotten",
    /// That an endpoint is to be left alone is not kept. One run has too few events to feel it: see [`crate::dead`].
    BreakerForgotten => "breaker-forgotten",
    /// How far a line is settled is not kept.
    CursorForgotten => "cursor-forgotten",
    /// A line is read as one further than it is settled, and as one of which nothing was told.
    CursorAhead => "cursor-ahead",
    /// Now and then a transaction is answered that was not made.
    TransactionsBuffered => "transactions-buffered",
    /// The last write of a transaction is missing.
    TransactionTorn => "transaction-torn",
}

/// What a defect makes of a request to the table.
pub enum Bent {
    /// This is asked of it.
    Asked(String),
    /// Nothing is asked, and this is the answer.
    Answered(String),
}

impl Defect {
    /// The defect with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|defect| defect.name() == name)
    }

    /// A message, as the defect of the run has it sent.
    pub fn bend_message(process: &Process, queue: Queue, mut message: Message) -> Message {
        let nature = &process.nature;
        if nature.has(Self::NetworkMistaken) {
            message.body = message.body.replace("\"mastercard\"", "\"visa\"");
            return message;
        }
        let Some(mut body) = nature.defect.and_then(|_| parsed(&message.body)) else {
            return message;
        };
        let bent = match nature.defect {
            Some(Self::DrawnIds) if queue == Queue::Fanout => body
                .pointer_mut("/task/publish/event/id")
                .filter(|id| id.as_str().is_some_and(|id| !id.starts_with("pub-")))
                .map(|id| *id = format!("drawn-{}", nature.chance.between(0, u64::MAX)).into()),
            Some(Self::TenantMixedUp) => body
                .pointer_mut("/task/deliver/tenant")
                .map(|tenant| *tenant = "amber".into()),
            Some(Self::DeadlineMoved) => ["publish", "deliver"]
                .iter()
                .find_map(|task| moved(body.pointer_mut(&format!("/task/{task}/guard/deadline"))?)),
            _ => None,
        };
        if bent.is_some() {
            message.body = body.to_string();
        }
        message
    }

    /// A request to a receiver, as the defect of the run has it made.
    pub fn bend_request(process: &Process, request: Request) -> Request {
        match process.nature.has(Self::SignatureKept) {
            true => process.nature.first_of(request),
            false => request,
        }
    }

    /// What came of it, as the defect of the run has it read.
    pub fn bend_outcome(process: &Process, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Answered {
                status, excerpt, ..
            } if process.nature.has(Self::RetryAfterIgnored) => Outcome::Answered {
                status,
                retry_after: None,
                excerpt,
            },
            outcome => outcome,
        }
    }
}

/// Moves a time by a day.
fn moved(time: &mut Value) -> Option<()> {
    let at: Timestamp = time.as_str()?.parse().ok()?;
    *time = later(at, SignedDuration::from_hours(24)).to_string().into();
    Some(())
}

fn parsed(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

impl Bent {
    /// A request to the table, as the defect of the run has it made.
    pub fn request(process: &Process, operation: &str, body: String) -> Self {
        let nature = &process.nature;
        let Some((defect, mut request)) = nature.defect.zip(parsed(&body)) else {
            return Self::Asked(body);
        };
        if operation == "TransactWriteItems" {
            if defect == Defect::TransactionsBuffered && nature.chance.percent(5) {
                return Self::Answered("{}".to_owned());
            }
            let writes = request
                .get_mut("TransactItems")
                .and_then(Value::as_array_mut);
            for write in writes.into_iter().flatten() {
                let put = write.get_mut("Put");
                let _is_bent = put.is_some_and(|put| bend_put(defect, put));
            }
            let writes = request
                .get_mut("TransactItems")
                .and_then(Value::as_array_mut);
            if let (Defect::TransactionTorn, Some(writes)) = (defect, writes)
                && writes.len() > 1
            {
                writes.pop();
            }
            return Self::Asked(request.to_string());
        }
        let sk = request.pointer("/Item/sk/S").and_then(Value::as_str);
        let sk = sk.unwrap_or_default().to_owned();
        let is_lost = match defect {
            Defect::CursorForgotten => sk == "C",
            Defect::BreakerForgotten => sk.starts_with("BR#"),
            Defect::WritesBuffered => nature.chance.percent(2),
            _ => false,
        };
        match (operation, is_lost) {
            ("PutItem", true) => Self::Answered("{}".to_owned()),
            ("PutItem", false) if bend_put(defect, &mut request) => {
                Self::Asked(request.to_string())
            }
            _ => Self::Asked(body),
        }
    }
}

impl Bent {
    /// What the table answered to what it was asked, as the defect of the run has it read.
    pub fn answer(process: &Process, asked: &str, answer: String) -> String {
        let nature = &process.nature;
        let Some(defect) = nature.defect else {
            return answer;
        };
        match defect {
            Defect::GuardReadStale => {
                let Some(asked) = parsed(asked) else {
                    return answer;
                };
                if asked.pointer("/Key/sk/S") != Some(&"I".into()) {
                    return answer;
                }
                let asked = asked.to_string();
                let state = parsed(&answer).and_then(|it| it.pointer("/Item/st/S").cloned());
                if state == Some("open".into()) {
                    nature.remember(&asked, &answer);
                    return answer;
                }
                let stale = nature.recall(&asked, SignedDuration::from_mins(1));
                stale.unwrap_or(answer)
            }
            Defect::CeilingForgotten | Defect::WaitsHalved => {
                misread(answer, "BA", |account| bend_terms(defect, account))
            }
            Defect::CursorAhead => misread(answer, "C", |cursor| {
                let settled = cursor.get("settled").and_then(Value::as_u64);
                set(cursor, "settled", (settled.unwrap_or_default() + 1).into());
                set(cursor, "told", 0.into());
            }),
            _ => answer,
        }
    }
}

/// Bends the bodies of the items of one kind in an answer.
fn misread(answer: String, sk: &str, bend: impl Fn(&mut Value)) -> String {
    let Some(mut read) = parsed(&answer) else {
        return answer;
    };
    let bend = |item: &mut Value| {
        if item.pointer("/sk/S") == Some(&sk.into()) {
            in_body(item, |body| {
                bend(body);
                true
            });
        }
    };
    read.get_mut("Item").into_iter().for_each(bend);
    let found = read.pointer_mut(&format!("/Responses/{TABLE}"));
    let found = found.and_then(Value::as_array_mut);
    found.into_iter().flatten().for_each(bend);
    read.to_string()
}

fn set(body: &mut Value, name: &str, value: Value) {
    if let Some(body) = body.as_object_mut() {
        body.insert(name.to_owned(), value);
    }
}

/// Bends what an account agreed on.
fn bend_terms(defect: Defect, account: &mut Value) {
    let terms = account.pointer_mut("/settings/terms");
    let Some(terms) = terms.and_then(Value::as_object_mut) else {
        return;
    };
    if defect == Defect::CeilingForgotten {
        terms.remove("max_retry_count");
        return;
    }
    let ladder = terms.get_mut("ladder_s").and_then(Value::as_array_mut);
    for step in ladder.into_iter().flatten() {
        *step = (step.as_u64().unwrap_or_default() / 2).into();
    }
}

/// Bends the writing of an item; answers whether it did.
fn bend_put(defect: Defect, put: &mut Value) -> bool {
    let text = |path: &str| {
        put.pointer(path)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (sk, due) = (
        text("/Item/sk/S").to_owned(),
        text("/Item/dpk/S").to_owned(),
    );
    match defect {
        Defect::NoVersionCheck => without_condition(put, "v = :read"),
        Defect::EventsWrittenOver if sk == "E" => {
            without_condition(put, "attribute_not_exists(pk)")
        }
        Defect::ParkedWithoutIndex if due.starts_with("DUE#") => without_due(put),
        Defect::OutboxForgotten if due.starts_with("OUT#") => without_due(put),
        Defect::TriesForgotten if sk.starts_with("D#") => in_item(put, |body| {
            let tries = body.get_mut("tries").and_then(Value::as_array_mut);
            tries.map(|tries| tries.truncate(1)).is_some()
        }),
        Defect::HoldForgotten if sk.starts_with("D#") => in_item(put, |body| {
            body.as_object_mut()
                .is_some_and(|it| it.remove("hold").is_some())
        }),
        _ => false,
    }
}

fn without_condition(put: &mut Value, condition: &str) -> bool {
    let asks = put.get("ConditionExpression").and_then(Value::as_str) == Some(condition);
    if let (true, Some(put)) = (asks, put.as_object_mut()) {
        put.remove("ConditionExpression");
        put.remove("ExpressionAttributeValues");
    }
    asks
}

fn without_due(put: &mut Value) -> bool {
    let item = put.get_mut("Item").and_then(Value::as_object_mut);
    item.is_some_and(|item| item.remove("dpk").is_some() && item.remove("dsk").is_some())
}

/// Bends the body of the item that is written.
fn in_item(put: &mut Value, bend: impl FnOnce(&mut Value) -> bool) -> bool {
    put.get_mut("Item").is_some_and(|item| in_body(item, bend))
}

/// Bends the body of an item, where it is text.
fn in_body(item: &mut Value, bend: impl FnOnce(&mut Value) -> bool) -> bool {
    let Some(text) = item.pointer_mut("/d/S") else {
        return false;
    };
    let Some(mut body) = text.as_str().and_then(parsed) else {
        return false;
    };
    let bent = bend(&mut body);
    *text = body.to_string().into();
    bent
}
