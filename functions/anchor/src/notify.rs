//! `notify_customer_info_updated`: what is known, what the business server says, one write, then the queue.
//!
//! ```text
//! read transaction, client, snapshot, registration ──▶ ask the business server ──▶ step ──▶ one write ──▶ queue ──▶ answer
//!        ▲                                                                            │
//!        └──────────────── somebody else wrote first: read, ask and decide again ◀────┘
//! ```
//! Versions are read before the business server is asked, so an old answer never overwrites a newer one. What fails before
//! the write tells nobody; once it is written, the outbox remembers what is to be sent, whatever happens here.

use futures::try_join;
use jiff::Timestamp;
use shared::customer::{
    AnchorSettings, Call, Change, Client, Customer, Known, Refused, StatusRefused, Telling,
    Transaction, step,
};
use shared::event::Sep;
use shared::ids::TenantId;
use shared::problem::chain;
use shared::store::{AnchorStep, Read, Saved, StoreError, Version};
use shared::time::until;
use tracing::{error, info, warn};

use crate::business::{Lookup, ask};
use crate::handler::Anchor;
use crate::reply::NO_SIGNING_KEY;
use crate::rpc::{Code, Fault, no_transaction};

/// What is answered where nobody knows whether a write was made.
pub(crate) const UNSURE: &str =
    "something we depend on is unavailable; call again, and the answer tells whether it was done";
/// So often a lost race is run again.
const RACES: usize = 6;

/// What was read, and in which states.
struct Before {
    known: Known,
    read: Version,
    snapshot: Option<Version>,
    registration: Option<Version>,
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Status(_) => Code::InvalidRequest,
            Refused::OtherCustomer | Refused::NoMessage => Code::InvalidParams,
        };
        Self::new(code, refused.to_string())
    }
}

impl Anchor {
    /// Does what a call asks for, until `ends`; answers the transaction as it stands then, and what is to be sent of it.
    ///
    /// # Errors
    /// See [`Fault`]: nobody is told of anything then.
    pub(crate) async fn notify(
        &self,
        tenant: &TenantId,
        settings: Option<&AnchorSettings>,
        call: &Call,
        ends: Timestamp,
    ) -> Result<(Transaction, Vec<Telling>), Fault> {
        let mut tried: Option<Change> = None;
        let mut written = None;
        for _ in 0..RACES {
            let before = match self.before(tenant, call).await {
                Ok(before) => before.ok_or_else(no_transaction)?,
                Err(trouble) => return Err(unavailable(&trouble, written.is_some())),
            };
            // The write whose answer was lost was made after all.
            if let Some(change) = tried
                .take()
                .filter(|tried| tried.transaction == before.known.transaction)
            {
                return Ok(done(tenant, change));
            }
            let decided = self
                .decide(tenant, settings, call, &before.known, ends)
                .await;
            // Once a write may have been made, nothing else that goes wrong tells that it was not.
            let sure = |fault| match &written {
                Some(trouble) => unavailable(trouble, true),
                None => fault,
            };
            let Some(change) = decided.map_err(sure)? else {
                return Ok((before.known.transaction, Vec::new()));
            };
            let now = self.clock.now();
            match self.can_tell(tenant, &change.tellings).await {
                Ok(true) => {}
                Ok(false) => return Err(sure(Fault::new(Code::Internal, NO_SIGNING_KEY))),
                Err(trouble) => return Err(unavailable(&trouble, written.is_some())),
            }
            let snapshot = change.snapshot.as_ref();
            let registration = change.registration.as_ref().zip(before.registration);
            let saved = self
                .transactions
                .save_change(
                    tenant,
                    &AnchorStep {
                        transaction: &change.transaction,
                        read: Some(before.read),
                        snapshot: snapshot.map(|(line, it)| (line, it, before.snapshot)),
                        registration,
                        tellings: &change.tellings,
                    },
                    now,
                )
                .await;
            match saved {
                Ok(Saved::Stored) => return Ok(done(tenant, change)),
                Ok(Saved::Lost) => {}
                // It may have been written: read again, and see.
                Err(trouble @ StoreError::Unavailable(_)) => {
                    written = Some(trouble);
                    tried = Some(change);
                }
                Err(trouble) => return Err(unavailable(&trouble, written.is_some())),
            }
        }
        Err(match written {
            Some(trouble) => unavailable(&trouble, true),
            None => Fault::new(
                Code::Internal,
                "the transaction was changed by others again and again; call again",
            ),
        })
    }

    /// What the call changes, by what the business server says now; nothing if that was done before.
    async fn decide(
        &self,
        tenant: &TenantId,
        settings: Option<&AnchorSettings>,
        call: &Call,
        known: &Known,
        ends: Timestamp,
    ) -> Result<Option<Change>, Fault> {
        let customer = self.look_up(settings, call, known, ends).await?;
        let mapping = settings.map(|it| it.status_map).unwrap_or_default();
        let now = self.clock.now();
        Ok(step(tenant, call, customer.as_ref(), known, mapping, now)?)
    }

    /// Reads all that the step depends on, before anybody outside is asked.
    async fn before(&self, tenant: &TenantId, call: &Call) -> Result<Option<Before>, StoreError> {
        let found = self.transactions.transaction(tenant, &call.transaction);
        let Some(Read { value, version }) = found.await? else {
            return Ok(None);
        };
        let client = self.owner(tenant, &value).await?;
        let line = call.line(client.as_ref());
        let (snapshot, registration) = try_join!(
            async {
                match &line {
                    Some(line) => self.transactions.snapshot(tenant, line).await,
                    None => Ok(None),
                }
            },
            async {
                match (&client, &call.customer) {
                    (Some(client), Some(customer)) => {
                        self.registrations
                            .registration(tenant, &client.id, customer)
                            .await
                    }
                    (None, _) | (_, None) => Ok(None),
                }
            }
        )?;
        Ok(Some(Before {
            read: version,
            snapshot: snapshot.as_ref().map(|read| read.version),
            registration: registration.as_ref().map(|read| read.version),
            known: Known {
                transaction: value,
                client,
                snapshot: snapshot.map(|read| read.value),
                registration: registration.map(|read| read.value),
            },
        }))
    }

    /// The wallet client that owns a transaction, if it is there.
    pub(crate) async fn owner(
        &self,
        tenant: &TenantId,
        transaction: &Transaction,
    ) -> Result<Option<Client>, StoreError> {
        let Some(client) = &transaction.client else {
            return Ok(None);
        };
        let read = self.anchors.client(tenant, client).await?;
        Ok(read.map(|read| read.value))
    }

    async fn look_up(
        &self,
        settings: Option<&AnchorSettings>,
        call: &Call,
        known: &Known,
        ends: Timestamp,
    ) -> Result<Option<Customer>, Fault> {
        let transaction = &known.transaction;
        if !matches!(transaction.sep, Sep::Sep6 | Sep::Sep31) {
            return Err(Refused::Status(StatusRefused::Sep(transaction.sep)).into());
        }
        let Some(id) = &call.customer else {
            return Ok(None);
        };
        if !transaction.customers.name(id) {
            return Err(Refused::OtherCustomer.into());
        }
        let Some(settings) = settings else {
            let message = "the tenant's anchor is not set up: its business server is not known";
            return Err(Fault::new(Code::Internal, message));
        };
        let now = self.clock.now();
        let lookup = Lookup {
            id: Some(id),
            kind: call.customer_type.as_ref(),
            transaction: Some(&transaction.id),
            ..Lookup::default()
        };
        let server = &settings.business_server;
        let left = until(now, ends);
        let answer = ask(self.business.as_ref(), server, lookup, left, now).await;
        let read = answer.and_then(|body| Ok(Customer::read(&body, id)?));
        read.map(Some).map_err(|trouble| {
            warn!(
                tenant = settings.tenant.as_str(),
                transaction = transaction.id.as_str(),
                error = %trouble,
                "no usable answer from the business server"
            );
            trouble.into()
        })
    }
}

/// A change is written.
fn done(tenant: &TenantId, change: Change) -> (Transaction, Vec<Telling>) {
    let transaction = change.transaction;
    info!(
        tenant = tenant.as_str(),
        transaction = transaction.id.as_str(),
        status = transaction.status.as_str(),
        told = change.tellings.len(),
        "transaction moved"
    );
    (transaction, change.tellings)
}

/// The table failed. After a write of which the answer was lost nobody knows whether it was made.
fn unavailable(trouble: &StoreError, unsure: bool) -> Fault {
    error!(error = chain(trouble), "a call failed");
    let message = if unsure {
        UNSURE
    } else {
        "something we depend on is unavailable; nothing was changed; call again"
    };
    Fault::new(Code::Internal, message)
}
