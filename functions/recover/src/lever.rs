//! What an operator does to an intent: the console queues it, and this alone writes it.

use shared::queue::Disposition;
use shared::queue::task::LeverTask;
use shared::recovery::pull;
use shared::store::{Read, Saved};
use tracing::{info, warn};

use crate::handler::{RACES, Recover, Trouble};
use crate::signal::events;

impl Recover {
    pub(crate) async fn lever(
        &self,
        LeverTask {
            tenant,
            intent: key,
            pull: pulled,
        }: LeverTask,
    ) -> Result<Disposition, Trouble> {
        for _ in 0..RACES {
            let now = self.clock.now();
            let Some(Read { value, version }) = self.intents.intent(&tenant, &key).await? else {
                warn!(
                    tenant = tenant.as_str(),
                    invoice = key.invoice_id.as_str(),
                    "a lever of an intent that is not there any more"
                );
                return Ok(Disposition::Done);
            };
            let terms = self.terms_of(&tenant, &key).await?;
            let token = value.token().map(str::to_owned);
            let mut tokens = self.tokens(&tenant, &token).await?;
            let known = token.as_ref().and_then(|it| tokens.ledgers.remove(it));
            let step = pull(&tenant, value, &pulled, &terms, known, now);
            if step.changed {
                let changed = token.as_ref().zip(step.ledger.as_ref());
                let ledgers = changed.map(|(token, ledger)| tokens.step(token, ledger));
                let ledgers = ledgers.into_iter().collect();
                let saved = self.save(&tenant, &step.intent, Some(version), ledgers, now);
                if saved.await? == Saved::Lost {
                    continue;
                }
            }
            info!(
                tenant = tenant.as_str(),
                invoice = key.invoice_id.as_str(),
                lever = pulled.lever.as_str(),
                by = pulled.by.as_ref().map(|key| key.as_str()),
                seen_before = !step.changed,
                "lever pulled"
            );
            return Ok(Disposition::Forward(events(&tenant, step.events)));
        }
        Err(Trouble::Contended)
    }
}
