//! A signal: joined into its intent, stored with what it changes for the token, and told.

use jiff::Timestamp;
use shared::event::{Event, EventType};
use shared::ids::TenantId;
use shared::platform::Ignored;
use shared::queue::task::{IgnoredTask, PublishTask, RecordBackTask, SignalTask};
use shared::queue::{Disposition, Message, Queue, Task};
use shared::recovery::{Action, Intent, IntentKey, Terms, TokenLedger, join};
use shared::store::{IntentStep, LedgerStep, Read, Saved, StoreError, Version};
use tracing::{error, info};

use crate::handler::{RACES, Recover, Trouble};
use crate::record_back::settle;

/// A token, with what is known of it and the state that was read in.
pub(crate) struct Token(Option<(String, Option<Read<TokenLedger>>)>);

impl Token {
    pub(crate) fn ledger(&self) -> Option<TokenLedger> {
        let (_, read) = self.0.as_ref()?;
        read.as_ref().map(|read| read.value.clone())
    }

    /// What a step makes of it, if it changes it.
    pub(crate) fn step<'a>(&'a self, changed: Option<&'a TokenLedger>) -> Option<LedgerStep<'a>> {
        let (token, read) = self.0.as_ref()?;
        Some(LedgerStep {
            token,
            ledger: changed?,
            read: read.as_ref().map(|read| read.version),
        })
    }
}

impl Recover {
    pub(crate) async fn signal(
        &self,
        SignalTask { tenant, signal }: SignalTask,
    ) -> Result<Disposition, Trouble> {
        for _ in 0..RACES {
            let now = self.clock.now();
            let read = self.intents.intent(&tenant, &signal.intent).await?;
            let version = read.as_ref().map(|read| read.version);
            let joined = join(read.map(|read| read.value), &signal, now);
            let terms = self.terms_of(&tenant, &signal.intent).await?;
            let token = self.token(&tenant, joined.token()).await?;
            let mut step = joined.finish(&tenant, &signal, &terms, token.ledger(), now);
            if let Some(intent) = step.intent.as_mut().filter(|_| step.changed)
                && settle(intent, now)
            {
                step.record_back = false;
            }
            if let Some(intent) = step.intent.as_ref().filter(|_| step.changed) {
                let ledger = token.step(step.ledger.as_ref());
                let saved = self.save(&tenant, intent, version, ledger, now);
                if saved.await? == Saved::Lost {
                    continue;
                }
            }
            if step.action == Action::InvalidAction {
                error!(
                    alarm = "invalid_signal",
                    tenant = tenant.as_str(),
                    signal = signal.id.as_str(),
                    "a signal that means nothing to recovery"
                );
                let ignored = Ignored {
                    id: signal.id,
                    source: signal.source,
                    platform_type: EventType::parse(step.action.as_str())
                        .expect("the name of an action is of a type's form"),
                    at: signal.order.at,
                };
                return self.ignored(IgnoredTask { tenant, ignored }).await;
            }
            info!(
                tenant = tenant.as_str(),
                signal = signal.id.as_str(),
                invoice = signal.intent.invoice_id.as_str(),
                action = step.action.as_str(),
                seen_before = !step.changed,
                events = step.events.len(),
                "signal joined"
            );
            let mut messages = events(&tenant, step.events);
            if step.record_back {
                let task = Task::RecordBack(RecordBackTask {
                    tenant,
                    intent: signal.intent,
                });
                messages.push((task.queue(), task.encode()));
            }
            return Ok(Disposition::Forward(messages));
        }
        Err(Trouble::Contended)
    }

    /// What the intent's account agreed on; without an account there is nobody to ask to charge, as in monitoring.
    pub(crate) async fn terms_of(
        &self,
        tenant: &TenantId,
        key: &IntentKey,
    ) -> Result<Terms, StoreError> {
        let terms = self
            .terms
            .terms(tenant, &key.profile_id, &key.connector_account_id)
            .await?;
        Ok(terms.unwrap_or_default())
    }

    pub(crate) async fn token(
        &self,
        tenant: &TenantId,
        token: Option<&str>,
    ) -> Result<Token, StoreError> {
        let Some(token) = token else {
            return Ok(Token(None));
        };
        let read = self.intents.ledger(tenant, token).await?;
        Ok(Token(Some((token.to_owned(), read))))
    }

    pub(crate) async fn save(
        &self,
        tenant: &TenantId,
        intent: &Intent,
        read: Option<Version>,
        ledger: Option<LedgerStep<'_>>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let step = IntentStep {
            intent,
            read,
            ledger,
        };
        self.intents.save_step(tenant, &step, now).await
    }
}

/// Events, as messages for fanout.
pub(crate) fn events(tenant: &TenantId, events: Vec<Event>) -> Vec<(Queue, Message)> {
    let publish = |event| {
        let task = Task::Publish(PublishTask {
            tenant: tenant.clone(),
            event,
            roles: None,
            guard: None,
        });
        (task.queue(), task.encode())
    };
    events.into_iter().map(publish).collect()
}
