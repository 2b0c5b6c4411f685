//! A signal: joined into its intent, stored with what it changes for the tokens, and told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::event::{Event, EventType};
use shared::ids::TenantId;
use shared::platform::Ignored;
use shared::queue::task::{IgnoredTask, PublishTask, RecordBackTask, SignalTask};
use shared::queue::{Disposition, Message, Queue, Task};
use shared::recovery::{Action, Intent, IntentKey, Terms, TokenLedger, join};
use shared::store::{IntentStep, LedgerStep, Saved, StoreError, Version};
use tracing::{error, info};

use crate::handler::{RACES, Recover, Trouble};
use crate::record_back::settle;

/// What was read of tokens: the version of each ledger that is there.
pub(crate) struct Tokens {
    pub(crate) ledgers: BTreeMap<String, TokenLedger>,
    versions: BTreeMap<String, Version>,
}

impl Tokens {
    /// What a step makes of a token.
    pub(crate) fn step<'a>(&self, token: &'a str, ledger: &'a TokenLedger) -> LedgerStep<'a> {
        LedgerStep {
            token,
            ledger,
            read: self.versions.get(token).copied(),
        }
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
            let tokens = self.tokens(&tenant, joined.tokens()).await?;
            let mut step = joined.finish(&tenant, &signal, &terms, &tokens.ledgers, now);
            if let Some(intent) = step.intent.as_mut().filter(|_| step.changed)
                && settle(intent, now)
            {
                step.record_back = false;
            }
            if let Some(intent) = step.intent.as_ref().filter(|_| step.changed) {
                let changed = step.ledgers.iter();
                let ledgers = changed.map(|(token, ledger)| tokens.step(token, ledger));
                let saved = self.save(&tenant, intent, version, ledgers.collect(), now);
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

    pub(crate) async fn tokens(
        &self,
        tenant: &TenantId,
        tokens: impl IntoIterator<Item = &String>,
    ) -> Result<Tokens, StoreError> {
        let (mut ledgers, mut versions) = (BTreeMap::new(), BTreeMap::new());
        for token in tokens {
            if let Some(read) = self.intents.ledger(tenant, token).await? {
                ledgers.insert(token.clone(), read.value);
                versions.insert(token.clone(), read.version);
            }
        }
        Ok(Tokens { ledgers, versions })
    }

    pub(crate) async fn save(
        &self,
        tenant: &TenantId,
        intent: &Intent,
        read: Option<Version>,
        ledgers: Vec<LedgerStep<'_>>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let step = IntentStep {
            intent,
            read,
            ledgers,
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
