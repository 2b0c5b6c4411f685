//! Deliberate defects, to see that the laws have teeth. None is in the product: each bends what passes between its code and
//! its surroundings as a mistake in the code would, and only where a run is told to.

use serde_json::Value;
use shared::delivery::Request;
use shared::queue::{Message, Queue};

use crate::process::Process;

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
    /// A door answers before what it accepted is durable.
    AnsweredBeforeSent => "answered-before-sent",
    /// A batch that was sent in part is taken for sent.
    PartialSendsTakenForWhole => "partial-sends-taken-for-whole",
    /// What is made by us has an id that is drawn, not derived.
    DrawnIds => "drawn-ids",
    /// Writes do not ask whether the item is as it was read.
    NoVersionCheck => "no-version-check",
    /// A second event under an id takes the place of the first.
    EventsWrittenOver => "events-written-over",
    /// A retry carries the signature of the first try.
    SignatureKept => "signature-kept",
    /// A parked delivery has no entry in the index that `sweep` reads.
    ParkedWithoutIndex => "parked-without-index",
    /// What an anchor's write is to send has no entry in the outbox.
    OutboxForgotten => "outbox-forgotten",
    /// Tenants are told apart by nothing when an endpoint is read.
    TenantLeftOut => "tenant-left-out",
    /// Writes are answered before they are durable.
    WritesBuffered => "writes-buffered",
    /// How far a line is settled is not kept.
    CursorForgotten => "cursor-forgotten",
    /// A message never says that another one of its kind may exist.
    CheckNotSet => "check-not-set",
    /// Who holds a delivery is not kept.
    HoldForgotten => "hold-forgotten",
    /// A transaction's writes go one by one, and the last may be missing.
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
        let Some(defect) = process.nature.defect else {
            return message;
        };
        let Ok(mut body) = serde_json::from_str::<Value>(&message.body) else {
            return message;
        };
        match defect {
            Self::DrawnIds if queue == Queue::Fanout => {
                let id = body.pointer_mut("/task/publish/event/id");
                let made = |id: &&mut Value| id.as_str().is_some_and(|id| !id.starts_with("pub-"));
                if let Some(id) = id.filter(made) {
                    *id = format!("drawn-{}", process.nature.chance.between(0, u64::MAX)).into();
                }
            }
            Self::CheckNotSet => {
                if let Some(check) = body.pointer_mut("/task/deliver/check") {
                    *check = false.into();
                }
            }
            _ => return message,
        }
        message.body = body.to_string();
        message
    }

    /// A request to a receiver, as the defect of the run has it made.
    pub fn bend_request(process: &Process, request: Request) -> Request {
        match process.nature.has(Self::SignatureKept) {
            true => process.nature.first_of(request),
            false => request,
        }
    }
}

impl Bent {
    /// A request to the table, as the defect of the run has it made.
    pub fn request(process: &Process, operation: &str, body: String) -> Self {
        let _ = (process, operation);
        Self::Asked(body)
    }

    /// An answer of the table, as the defect of the run has it read.
    pub fn answer(process: &Process, operation: &str, body: String) -> String {
        let _ = (process, operation);
        body
    }
}
