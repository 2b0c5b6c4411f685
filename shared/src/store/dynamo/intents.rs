//! Intents and the ledgers of their tokens, in the table.

use async_trait::async_trait;
use futures::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use tracing::error;

use super::newest::Newest;
use super::{Committed, DynamoStore, Tried, Written};
use crate::ids::TenantId;
use crate::problem::chain;
use crate::recovery::{Intent, IntentKey, TokenLedger};
use crate::store::{
    DueIntents, IntentList, IntentQuery, IntentStep, IntentSummary, Intents, LedgerStep, Page,
    Read, Saved, StoreError, Version, item,
};
use crate::time::later;

/// The tries of a token count for 30 days.
const LEDGER_KEPT: SignedDuration = SignedDuration::from_hours(31 * 24);
/// A token that must not be charged again is remembered for longer than any invoice is pursued.
const STOPPED_KEPT: SignedDuration = SignedDuration::from_hours(400 * 24);

#[async_trait]
impl Intents for DynamoStore {
    async fn intent(
        &self,
        tenant: &TenantId,
        key: &IntentKey,
    ) -> Result<Option<Read<Intent>>, StoreError> {
        let found = self.get(&item::intent_key(tenant, key), true).await?;
        found.as_ref().map(item::intent).transpose()
    }

    async fn ledger(
        &self,
        tenant: &TenantId,
        token: &str,
    ) -> Result<Option<Read<TokenLedger>>, StoreError> {
        let found = self.get(&item::ledger_key(tenant, token), true).await?;
        found.as_ref().map(item::ledger).transpose()
    }

    async fn save_step(
        &self,
        tenant: &TenantId,
        step: &IntentStep<'_>,
        now: Timestamp,
    ) -> Result<Saved, StoreError> {
        let key = item::intent_key(tenant, &step.intent.key);
        let ttl = step.intent.state.ended().then(|| self.expiry(now));
        let intent = item::new_intent(tenant, step.intent, step.read, self.entropy.bytes(), ttl);
        if step.ledgers.is_empty() {
            return self.save(&key, intent, step.read).await;
        }
        if !item::fits(&intent) {
            return Err(key.too_large());
        }
        let mut writes = vec![self.putting(intent, Some(item::unchanged(step.read)))];
        for ledger in &step.ledgers {
            let item = item::new_ledger(tenant, ledger, expiry(ledger, now));
            if !item::fits(&item) {
                return Err(item::ledger_key(tenant, ledger.token).too_large());
            }
            writes.push(self.putting(item, Some(item::unchanged(ledger.read))));
        }
        Ok(match self.transact_once(writes).await? {
            Tried::Ended(Committed::Done) => Saved::Stored,
            Tried::Ended(Committed::Refused { .. }) | Tried::Collided(_) => Saved::Lost,
        })
    }
}

#[async_trait]
impl DueIntents for DynamoStore {
    async fn due_intents(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<(TenantId, IntentKey)>, StoreError> {
        let finds = item::find_due_intents(now);
        let found =
            try_join_all(finds.iter().map(|find| self.find(find, None, Some(limit)))).await?;
        let keys = found
            .iter()
            .flat_map(|found| &found.items)
            .map(item::intent_named);
        // One entry that can't be read must not keep all the others waiting.
        let readable = keys.filter_map(|key| {
            key.inspect_err(|problem| error!(error = chain(problem), "an entry of due intents"))
                .ok()
        });
        Ok(readable.collect())
    }
}

#[async_trait]
impl IntentList for DynamoStore {
    async fn intents(
        &self,
        tenant: &TenantId,
        query: &IntentQuery,
    ) -> Result<Page<IntentSummary, String>, StoreError> {
        let nothing = Page {
            items: Vec::new(),
            next: None,
        };
        let found = self.get(&item::tenant_key(tenant), false).await?;
        let Some(record) = found.as_ref().map_or(Ok(None), item::tenant)? else {
            return Ok(nothing);
        };
        // Intents that did not end outlast a deleted tenant; who has its name by now must not see them.
        let since = query.since.max(Some(record.created_at));
        self.newest(Newest {
            finds: item::find_intents(tenant, query, since),
            cursor: query.cursor.as_ref(),
            limit: query.limit,
            entry: item::intent_summary,
            place: item::intent_place,
        })
        .await
    }
}

/// When a ledger written at `now` expires, in seconds: never while an invoice may charge the token.
fn expiry(step: &LedgerStep<'_>, now: Timestamp) -> i64 {
    let kept = if step.ledger.stop.is_some() {
        STOPPED_KEPT
    } else {
        LEDGER_KEPT
    };
    let claimed = step.ledger.claim.as_ref().map_or(now, |claim| claim.until);
    later(now.max(claimed), kept).as_second()
}

impl DynamoStore {
    /// Writes an item over what was read. A request whose answer was lost is made again by the SDK, and then finds
    /// the version changed by itself: that is told from a lost race by what the writer drew.
    pub(super) async fn save(
        &self,
        key: &item::Key,
        item: item::Item,
        read: Option<Version>,
    ) -> Result<Saved, StoreError> {
        match self
            .put(key, item.clone(), Some(item::unchanged(read)))
            .await?
        {
            Written::Done => Ok(Saved::Stored),
            Written::Refused(Some(found)) if item::same_write(&item, &found) => Ok(Saved::Stored),
            Written::Refused(_) => Ok(Saved::Lost),
        }
    }
}
