//! Intents whose time has come: retries that are due are told, and those that nobody answered are held.
//!
//! A retry is claimed in the table before the merchant is told of it, so that two runs, and two invoices of one token, never
//! tell twice. The intent stays due until its event is on its queue: a run that dies in between is finished by the next.
//! All else is told before it is stored, under ids that make telling twice telling once.

use futures::future::join_all;
use jiff::Timestamp;
use shared::delivery::Guard;
use shared::event::Event;
use shared::ids::TenantId;
use shared::queue::Task;
use shared::queue::task::{PublishTask, send};
use shared::recovery::{Alarm, Due, IntentKey, Issue, due};
use shared::store::{IntentStep, LedgerStep, Read, Saved};
use tracing::{error, info};

use crate::handler::{AT_ONCE, Sweep, Trouble, note, set_aside};
use crate::pages::Pages;

/// A run moves so many at most: what an outage held up comes to the merchants at this rate a minute.
const RUN_MOST: usize = 2_000;
/// So often a lost race is run again before the intent is left for the next run.
const RACES: usize = 4;

impl Sweep {
    /// Moves on every intent that is due; how many that were.
    pub(crate) async fn advance_all(&self, first: &mut Option<Trouble>) -> usize {
        let (mut advanced, mut pages) = (0, Pages::new(self.clock.now()));
        loop {
            let now = self.clock.now();
            let due = match self.due_intents.due_intents(now, pages.size()).await {
                Ok(due) => due,
                Err(trouble) => {
                    note(trouble.into(), first);
                    return advanced;
                }
            };
            let before = advanced;
            for some in due.chunks(AT_ONCE) {
                let work = some.iter().map(|(tenant, key)| self.advance(tenant, key));
                for done in join_all(work).await {
                    match done {
                        Ok(done) => advanced += usize::from(done),
                        Err(trouble) => set_aside(trouble, "an invoice", first),
                    }
                }
                if advanced >= RUN_MOST || pages.over(self.clock.now()) {
                    return advanced;
                }
            }
            if !pages.more(due.len(), advanced - before, self.clock.now()) {
                return advanced;
            }
        }
    }

    async fn advance(&self, tenant: &TenantId, key: &IntentKey) -> Result<bool, Trouble> {
        for _ in 0..RACES {
            let now = self.clock.now();
            // The index lags behind the table: only the intent says what is so.
            let Some(Read { value, version }) = self.intents.intent(tenant, key).await? else {
                return Ok(false);
            };
            let terms = self
                .terms
                .terms(tenant, &key.profile_id, &key.connector_account_id)
                .await?;
            let token = value.token().map(str::to_owned);
            let ledger = match &token {
                Some(token) => self.intents.ledger(tenant, token).await?,
                None => None,
            };
            let read = ledger.as_ref().map(|read| read.version);
            let ledger = ledger.map(|read| read.value);
            let Some(step) = due(tenant, value, terms.as_ref(), ledger, now) else {
                return Ok(false);
            };
            // Before it is stored: nobody would say so again after that.
            let (of, invoice) = (tenant.as_str(), key.invoice_id.as_str());
            match step.alarm {
                Some(Alarm::UnknownOutcome) => error!(
                    alarm = "unknown_outcome",
                    tenant = of,
                    invoice,
                    "nobody knows what came of a retry: its deadline passed without a report"
                ),
                Some(Alarm::Held) => error!(
                    alarm = "held",
                    tenant = of,
                    invoice,
                    "a charge has been under way for too long"
                ),
                None => {}
            }
            let events = step.events.iter().cloned();
            self.tell(tenant, events.map(|event| (event, None))).await?;
            let ledger = step.ledger.as_ref().zip(token.as_deref());
            let ledger = ledger.map(|(ledger, token)| LedgerStep {
                token,
                ledger,
                read,
            });
            let stored = IntentStep {
                intent: &step.intent,
                read: Some(version),
                ledgers: ledger.into_iter().collect(),
            };
            if self.intents.save_step(tenant, &stored, now).await? == Saved::Lost {
                continue;
            }
            self.tell_retry(tenant, key, &step, now).await?;
            return Ok(true);
        }
        Ok(false)
    }

    async fn tell_retry(
        &self,
        tenant: &TenantId,
        key: &IntentKey,
        step: &Due,
        now: Timestamp,
    ) -> Result<(), Trouble> {
        let invoice = key.invoice_id.as_str();
        let Some((event, issue)) = &step.retry else {
            return Ok(());
        };
        let guard = guard(key, issue);
        self.tell(tenant, [(event.clone(), Some(guard))]).await?;
        info!(
            tenant = tenant.as_str(),
            invoice,
            retry = issue.number,
            times = issue.times,
            event.id = event.id.as_str(),
            "merchant told to charge"
        );
        // Whoever wrote in between knows of the retry; if the note is lost, the event is sent once more under its id.
        let Some(Read { mut value, version }) = self.intents.intent(tenant, key).await? else {
            return Ok(());
        };
        value.note_sent(issue);
        let noted = IntentStep::alone(&value, Some(version));
        let _raced = self.intents.save_step(tenant, &noted, now).await?;
        Ok(())
    }

    async fn tell(
        &self,
        tenant: &TenantId,
        events: impl IntoIterator<Item = (Event, Option<Guard>)>,
    ) -> Result<(), Trouble> {
        let publish = |(event, guard)| {
            Task::Publish(PublishTask {
                tenant: tenant.clone(),
                event,
                roles: None,
                guard,
            })
        };
        send(self.queues.as_ref(), events.into_iter().map(publish)).await?;
        Ok(())
    }
}

/// What must hold for the merchant to be told to charge: that it is still to.
fn guard(key: &IntentKey, issue: &Issue) -> Guard {
    Guard::RetryDue {
        intent: key.clone(),
        number: issue.number,
        times: issue.times,
        deadline: issue.deadline,
    }
}
