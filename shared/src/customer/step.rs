//! One call, or one put, one step: what changes, and what wallets are told of it. Pure.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{
    Client, Customer, Customers, Mapping, Registration, Snapshot, StatusRefused, Transaction,
    TransactionStatus, map,
};
use crate::event::{
    Callback, Event, EventType, Json, Line, Recipients, Sep, SetAside, Source, Via,
};
use crate::ids::{CustomerId, CustomerType, EventId, TenantId, TransactionId};

/// What a business server says with `notify_customer_info_updated`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Of which transaction.
    pub transaction: TransactionId,
    /// What the user is told.
    pub message: Option<String>,
    /// Whose status is to be looked up; of nobody's, the transaction goes on as if it were processing.
    pub customer: Option<CustomerId>,
    /// In which type.
    pub customer_type: Option<CustomerType>,
}

impl Call {
    /// What the customer is told in order with, as `client` knows it.
    #[must_use]
    pub fn line(&self, client: Option<&Client>) -> Option<Line> {
        Some(Line::Customer {
            client: client.map(|client| client.id.clone()),
            customer: self.customer.clone()?,
            kind: self.customer_type.clone(),
        })
    }
}

/// What is known when a call comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The transaction.
    pub transaction: Transaction,
    /// The wallet client that owns it, if it is there.
    pub client: Option<Client>,
    /// What was last said of the customer.
    pub snapshot: Option<Snapshot>,
    /// Where the client wants to hear of the customer, if it said so.
    pub registration: Option<Registration>,
}

/// Why a call changes nothing. The texts are for the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The transaction does not take it as it stands.
    #[error(transparent)]
    Status(#[from] StatusRefused),
    /// The transaction is about other customers.
    #[error("`customer_id` is no customer of this transaction; put it with its `customers`")]
    OtherCustomer,
    /// The transaction fails, and nobody says why.
    #[error(
        "`message` is required, since the transaction gets the status `error` and the customer has no message"
    )]
    NoMessage,
}

/// Something to be told: an event that is recorded with its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// The event; its payload is what is posted, to the byte.
    pub event: Event,
    /// Who hears of it, or why nobody does.
    pub recipients: Recipients,
}

/// What a call or a put changes: all of it is written, or nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The transaction as it stands now.
    pub transaction: Transaction,
    /// What is remembered of the customer now, and its line.
    pub snapshot: Option<(Line, Snapshot)>,
    /// The registration, if a verdict ends it.
    pub registration: Option<Registration>,
    /// What is told.
    pub tellings: Vec<Telling>,
}

/// The longest message that is kept of a transaction, in characters.
pub const MESSAGE_MOST: usize = 4000;
/// What a customer's status changed to.
pub const CUSTOMER_STATUS_CHANGED: &str = "customer.status_changed";
/// What else changed of a customer.
pub const CUSTOMER_UPDATED: &str = "customer.updated";
/// What a transaction's status changed to.
pub const TRANSACTION_STATUS_CHANGED: &str = "transaction.status_changed";

/// Whether an event is the text of a callback, which is personal data whomever it is told.
#[must_use]
pub fn is_personal(event_type: &EventType) -> bool {
    [
        CUSTOMER_STATUS_CHANGED,
        CUSTOMER_UPDATED,
        TRANSACTION_STATUS_CHANGED,
    ]
    .contains(&event_type.as_str())
}

/// What `call` changes, given what the business server told of the `customer` it names; `None` if that was done before.
///
/// # Errors
/// See [`Refused`].
pub fn step(
    tenant: &TenantId,
    call: &Call,
    customer: Option<&Customer>,
    known: &Known,
    mapping: Mapping,
    now: Timestamp,
) -> Result<Option<Change>, Refused> {
    let transaction = &known.transaction;
    if let Some(id) = &call.customer
        && !transaction.customers.name(id)
    {
        return Err(Refused::OtherCustomer);
    }
    let (sep, funds) = (transaction.sep, transaction.funds());
    let status = customer.map(|customer| customer.status);
    let to = map::next(sep, mapping, status, funds).ok_or(StatusRefused::Sep(sep))?;
    let cut = |message: &String| message.chars().take(MESSAGE_MOST).collect();
    let theirs = || customer.and_then(|customer| customer.message.as_ref().map(cut));
    let defaulted = || (to == TransactionStatus::Error).then(theirs).flatten();
    let message = call.message.clone().or_else(defaulted);
    let said = match (customer, &known.snapshot) {
        (Some(customer), Some(snapshot)) => snapshot.says(customer),
        (Some(_), None) => false,
        (None, _) => true,
    };
    let same_message = message.is_none() || message == transaction.message;
    if said && same_message && to == transaction.status {
        return Ok(None);
    }
    map::takes(sep, mapping, transaction.status, status, funds)?;
    if to == TransactionStatus::Error && message.is_none() {
        return Err(Refused::NoMessage);
    }
    let mut changed = Transaction {
        status: to,
        message: message.or_else(|| transaction.message.clone()),
        updated_at: now,
        revision: transaction.revision.saturating_add(1),
        ..transaction.clone()
    };
    changed.details.remove("user_action_required_by");
    let mut change = Change {
        transaction: changed,
        snapshot: None,
        registration: None,
        tellings: Vec::new(),
    };
    if let (Some(customer), Some(line)) = (customer, call.line(known.client.as_ref()))
        && !said
    {
        change.tell_customer(tenant, call, customer, &line, known, now);
    }
    if change.transaction.status != transaction.status {
        change.tell_transaction(tenant, known.client.as_ref(), now);
    }
    Ok(Some(change))
}

/// A transaction as the anchor wants it to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The SEP it follows.
    pub sep: Sep,
    /// What the SEP calls its kind.
    pub kind: String,
    /// How it stands.
    pub status: TransactionStatus,
    /// The wallet client that owns it.
    pub client: Option<crate::ids::EndpointId>,
    /// Who it is about.
    pub customers: Customers,
    /// What the user is told.
    pub message: Option<String>,
    /// When the user's funds arrived.
    pub transfer_received_at: Option<Timestamp>,
    /// Whether amounts and fee are known.
    pub amounts_known: bool,
    /// Whether it is known how the user is to pay.
    pub instructions_known: bool,
    /// Where the wallet wants to hear of it.
    pub on_change_callback: Option<String>,
    /// What else the wallet is told.
    pub details: Map<String, Value>,
}

/// What putting `draft` as the transaction `id` changes, given what is `known` of it and the `client` that owns it now;
/// `None` if it is so already. Nobody is told of a transaction's first status.
#[must_use]
pub fn put(
    tenant: &TenantId,
    id: &TransactionId,
    draft: Draft,
    known: Option<&Transaction>,
    client: Option<&Client>,
    now: Timestamp,
) -> Option<Change> {
    let ended = draft.status.is_completed();
    let wanted = Transaction {
        id: id.clone(),
        sep: draft.sep,
        kind: draft.kind,
        status: draft.status,
        client: draft.client,
        customers: draft.customers,
        message: draft.message,
        transfer_received_at: draft.transfer_received_at,
        amounts_known: draft.amounts_known,
        instructions_known: draft.instructions_known,
        on_change_callback: draft.on_change_callback,
        started_at: known.map_or(now, |known| known.started_at),
        updated_at: known.map_or(now, |known| known.updated_at),
        completed_at: known
            .and_then(|known| known.completed_at)
            .or(Some(now))
            .filter(|_| ended),
        details: draft.details,
        told: known.map_or(0, |known| known.told),
        revision: known.map_or(0, |known| known.revision),
    };
    if known == Some(&wanted) {
        return None;
    }
    let was = known.map(|known| known.status);
    let mut change = Change {
        transaction: Transaction {
            updated_at: now,
            revision: wanted.revision.saturating_add(1),
            ..wanted
        },
        snapshot: None,
        registration: None,
        tellings: Vec::new(),
    };
    if was.is_some_and(|was| was != change.transaction.status) {
        change.tell_transaction(tenant, client, now);
    }
    Some(change)
}

impl Change {
    /// Tells the owner of a customer what is new of it, or records why nobody is told.
    fn tell_customer(
        &mut self,
        tenant: &TenantId,
        call: &Call,
        customer: &Customer,
        line: &Line,
        known: &Known,
        now: Timestamp,
    ) {
        let before = known.snapshot.as_ref();
        let told = before.map_or(0, |before| before.told);
        let moved = before.is_none_or(|before| before.status != customer.status);
        let client = known.client.as_ref();
        let kind = call.customer_type.as_ref().map_or("", CustomerType::as_str);
        let armed = known
            .registration
            .as_ref()
            .filter(|registration| moved && !registration.ended.contains(kind));
        let of_client = client.and_then(|client| client.callbacks.of(Sep::Sep12));
        let via = match (armed, of_client) {
            (Some(registration), _) => Some(Via::Registered {
                customer: registration.customer.clone(),
            }),
            (None, Some(_)) => Some(Via::Static { sep: Sep::Sep12 }),
            (None, None) => None,
        };
        let recipients = recipients(client, via.clone(), line, told);
        let number = recipients
            .callback()
            .map_or(told, |callback| callback.number);
        self.snapshot = Some((line.clone(), Snapshot::of(customer, number)));
        if let Some(registration) = armed.filter(|_| customer.status.is_verdict()) {
            let mut registration = registration.clone();
            registration.ended.insert(kind.to_owned());
            self.registration = Some(registration);
        }
        // Who put a URL for one customer hears of its status alone.
        if !moved && via.is_none() {
            return;
        }
        let name = if moved {
            CUSTOMER_STATUS_CHANGED
        } else {
            CUSTOMER_UPDATED
        };
        let subject = call.customer.as_ref().map_or("", CustomerId::as_str);
        let body = customer.body.clone();
        self.tell(tenant, name, subject, line, body, recipients, now);
    }

    /// Tells the owner of the transaction how it stands, or records why nobody is told.
    fn tell_transaction(&mut self, tenant: &TenantId, client: Option<&Client>, now: Timestamp) {
        let transaction = &self.transaction;
        let line = Line::Transaction {
            id: transaction.id.clone(),
        };
        let of_client = client.and_then(|client| client.callbacks.of(transaction.sep));
        let via = match (&transaction.on_change_callback, of_client) {
            (Some(_), _) => Some(Via::Transaction {
                id: transaction.id.clone(),
            }),
            (None, Some(_)) => Some(Via::Static {
                sep: transaction.sep,
            }),
            (None, None) => None,
        };
        let recipients = recipients(client, via, &line, transaction.told);
        if let Some(callback) = recipients.callback() {
            self.transaction.told = callback.number;
        }
        let (subject, body) = (self.transaction.id.clone(), self.transaction.shown());
        self.tell(
            tenant,
            TRANSACTION_STATUS_CHANGED,
            subject.as_str(),
            &line,
            body,
            recipients,
            now,
        );
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "each is one field of the event that is made here"
    )]
    fn tell(
        &mut self,
        tenant: &TenantId,
        name: &'static str,
        subject: &str,
        line: &Line,
        data: Json,
        recipients: Recipients,
        now: Timestamp,
    ) {
        let revision = self.transaction.revision;
        let id = match recipients.callback() {
            Some(callback) => line.event(tenant, callback.number),
            // What nobody is told has no place in the line.
            None => {
                let id = &self.transaction.id;
                EventId::derive(tenant, &line.name(), &format!("{id} {revision}"), name)
            }
        };
        self.tellings.push(Telling {
            event: Event {
                id,
                event_type: EventType::parse(name).expect("a name of ours is a type"),
                data,
                at: now,
                source: Source::new("anchor"),
                resource: Some(subject.to_owned()),
            },
            recipients,
        });
    }
}

/// Who is told as the next of its line: the client, if there is one and it has a URL.
fn recipients(client: Option<&Client>, via: Option<Via>, line: &Line, told: u64) -> Recipients {
    match (client, via) {
        (None, _) => Recipients::SetAside(SetAside::NoClient),
        (Some(_), None) => Recipients::SetAside(SetAside::NoCallback),
        (Some(client), Some(via)) => Recipients::Callback(Callback {
            client: client.id.clone(),
            via,
            line: line.clone(),
            number: told.saturating_add(1),
        }),
    }
}
