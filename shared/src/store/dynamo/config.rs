//! Configuration in the table: read consistently for the operator and for what is settled for good, at half the price
//! for the doors and workers.

use async_trait::async_trait;
use aws_sdk_dynamodb::types::TransactWriteItem;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};

use super::{Changed, Committed, DynamoStore};
use crate::delivery::Endpoint;
use crate::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use crate::platform::{BillingAccount, RecoveryAccount};
use crate::recovery::Terms;
use crate::store::item::{Configured, Item, Key};
use crate::store::{
    AccountRecord, AccountTerms, Accounts, BillingAccounts, Claimed, Credential, Credentials,
    EndpointAdmin, EndpointRecord, Endpoints, EndpointsNow, KeyRecord, Keys, KnownTenants, Made,
    PaymentBackends, PublisherRecord, Publishers, Put, Read, RecoveryAccounts, StoreError,
    TenantRecord, Tenants, Version, item,
};
use crate::time::later;

/// So many items are read or removed at the same time.
const AT_ONCE: usize = 16;

/// So often a lost race over a tenant, or over an endpoint that is gone, is run again.
pub(super) const RACES: usize = 8;
/// The longest that something of a deleted tenant is still on its way: a message on a queue, or a delivery that is parked.
pub(super) const UNDER_WAY: SignedDuration = SignedDuration::from_hours(14 * 24);

impl DynamoStore {
    /// Configuration is only kept for a tenant that is there: the first of a transaction's writes.
    pub(super) fn for_tenant(&self, tenant: &TenantId) -> TransactWriteItem {
        self.checking(&item::tenant_key(tenant), item::tenant_is_there())
    }

    /// Keeps `item` of a tenant that is there, over what was `read`, unless its name is taken by the item at `other`. Who has
    /// a name keeps the other from taking it.
    pub(super) async fn put_named(
        &self,
        tenant: &TenantId,
        item: Item,
        other: &Key,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        let mut writes = vec![
            self.for_tenant(tenant),
            self.putting(item, Some(item::unchanged(read))),
        ];
        if read.is_none() {
            writes.push(self.checking(other, item::absent()));
        }
        Ok(match self.transact(writes).await? {
            Committed::Done if read.is_none() => Put::New,
            Committed::Done => Put::Replaced,
            Committed::Refused { first: 0 } => Put::NoTenant,
            Committed::Refused { first: 1 } => Put::Lost,
            Committed::Refused { .. } => Put::NameTaken,
        })
    }

    /// Leaves of a tenant only that its name rests. Whether it was there.
    async fn bury(&self, tenant: &TenantId, free: Timestamp) -> Result<bool, StoreError> {
        let key = item::tenant_key(tenant);
        for _ in 0..RACES {
            if let Changed::From(_) = self.change(&key, item::bury_tenant(free)).await? {
                return Ok(true);
            }
            // Refused because it is not there, or because something was being kept for it at that moment.
            let found = self.get(&key, true).await?;
            if !found.as_ref().is_some_and(item::was_made) {
                return Ok(false);
            }
        }
        Err(contended())
    }

    /// Removes what an interrupted deletion left of a tenant that is not there, for whoever gets the name next: else
    /// the keys and URLs of the one before would be theirs. It leaves alone what is kept for a tenant that was made
    /// anew meanwhile.
    async fn finish_deletion(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let gone = || self.checking(&item::tenant_key(tenant), item::tenant_is_not_there());
        for item in self.find_all(&item::find_configured(tenant)).await? {
            let Configured { key, elsewhere } = item::configured(&item)?;
            // One by one, since each checks the same item; and what an item leads to before it, as in a deletion.
            if let Some(elsewhere) = elsewhere {
                let mine = item::owned_or_absent(tenant);
                let writes = vec![gone(), self.removing(&elsewhere, Some(mine))];
                if let Committed::Refused { first: 0 } = self.transact(writes).await? {
                    return Ok(());
                }
            }
            let writes = vec![gone(), self.removing(&key, None)];
            if let Committed::Refused { .. } = self.transact(writes).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn all_endpoints(
        &self,
        tenant: &TenantId,
        consistent: bool,
    ) -> Result<Vec<Endpoint>, StoreError> {
        let find = item::find_endpoints(tenant, consistent);
        let items = self.find_all(&find).await?;
        items
            .iter()
            .map(|item| Ok(item::endpoint(tenant, item, self.vault())?.value.endpoint))
            .collect()
    }

    async fn one_endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
        consistent: bool,
    ) -> Result<Option<Endpoint>, StoreError> {
        let found = self
            .get(&item::endpoint_key(tenant, id), consistent)
            .await?;
        found
            .map(|item| Ok(item::endpoint(tenant, &item, self.vault())?.value.endpoint))
            .transpose()
    }
}

fn contended() -> StoreError {
    StoreError::Unavailable("the tenant is contended".into())
}

#[async_trait]
impl Tenants for DynamoStore {
    async fn put_tenant(&self, tenant: &TenantRecord) -> Result<Made, StoreError> {
        let key = item::tenant_key(&tenant.id);
        for _ in 0..RACES {
            let found = self.get(&key, true).await?.unwrap_or_default();
            let rests = item::rests_until(&found)?;
            if let Some(until) = rests.filter(|until| *until > tenant.created_at) {
                return Ok(Made::Resting { until });
            }
            if !item::was_made(&found) {
                self.finish_deletion(&tenant.id).await?;
            }
            match self.change(&key, item::put_tenant(tenant)).await? {
                Changed::From(before) if item::was_made(&before) => return Ok(Made::Changed),
                Changed::From(_) => return Ok(Made::New),
                Changed::Refused => {}
            }
        }
        Err(contended())
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
        self.get(&item::tenant_key(id), true)
            .await?
            .as_ref()
            .map_or(Ok(None), item::tenant)
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        self.find_all(&item::find_tenants())
            .await?
            .iter()
            .filter_map(|item| item::tenant(item).transpose())
            .collect()
    }

    async fn delete_tenant(&self, id: &TenantId, now: Timestamp) -> Result<bool, StoreError> {
        // First of all, so that nothing is kept for it any more while it is being removed.
        let free = later(later(now, self.retention), UNDER_WAY);
        let buried = self.bury(id, free).await?;
        let items = self.find_all(&item::find_configured(id)).await?;
        // Whatever this is interrupted by, doing it again finds what is left: what an item leads to is removed
        // before it.
        stream::iter(items.iter().map(item::configured))
            .try_for_each_concurrent(AT_ONCE, async |configured| {
                if let Some(elsewhere) = &configured.elsewhere {
                    // Refused: it is somebody else's by now, so that only the pointer to it goes.
                    let removing = self.removing(elsewhere, Some(item::owned_or_absent(id)));
                    self.transact(vec![removing]).await?;
                }
                self.remove(&configured.key).await?;
                Ok(())
            })
            .await?;
        Ok(buried || !items.is_empty())
    }
}

#[async_trait]
impl KnownTenants for DynamoStore {
    async fn is_known(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let found = self.get(&item::tenant_key(tenant), false).await?;
        let known = found.as_ref().map_or(Ok(None), item::tenant)?;
        Ok(known.is_some())
    }
}

#[async_trait]
impl Keys for DynamoStore {
    async fn put_key(&self, key: &KeyRecord, hash: &str) -> Result<Put, StoreError> {
        let writes = vec![
            self.for_tenant(&key.tenant),
            self.putting(item::new_key(key, hash), None),
            self.putting(
                item::new_credential(key, hash),
                Some(item::owned_or_absent(&key.tenant)),
            ),
        ];
        match self.transact(writes).await? {
            Committed::Done => Ok(Put::New),
            Committed::Refused { first: 0 } => Ok(Put::NoTenant),
            Committed::Refused { .. } => Err(StoreError::Corrupt {
                item: item::credential_key(hash).name(),
                problem: "it is another tenant's".to_owned(),
            }),
        }
    }

    async fn keys(&self, tenant: &TenantId) -> Result<Vec<KeyRecord>, StoreError> {
        self.find_all(&item::find_keys(tenant))
            .await?
            .iter()
            .map(|item| item::key(tenant, item))
            .collect()
    }

    async fn revoke_key(&self, tenant: &TenantId, id: &KeyId) -> Result<bool, StoreError> {
        let key = item::key_key(tenant, id);
        let Some(found) = self.get(&key, true).await? else {
            return Ok(false);
        };
        let writes = vec![
            self.removing(&item::credential_of(&found)?, None),
            self.removing(&key, None),
        ];
        self.transact(writes).await?;
        Ok(true)
    }
}

#[async_trait]
impl Credentials for DynamoStore {
    async fn credential(&self, hash: &str) -> Result<Option<Credential>, StoreError> {
        self.get(&item::credential_key(hash), false)
            .await?
            .as_ref()
            .map(item::credential)
            .transpose()
    }
}

#[async_trait]
impl Endpoints for DynamoStore {
    async fn endpoints(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, StoreError> {
        self.all_endpoints(tenant, false).await
    }

    async fn endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        self.one_endpoint(tenant, id, false).await
    }

    async fn mark_gone(&self, tried: &Endpoint) -> Result<(), StoreError> {
        let key = item::endpoint_key(&tried.tenant, &tried.id);
        for _ in 0..RACES {
            let found = self.get(&key, true).await?;
            let Some(change) = found.map_or(Ok(None), |item| item::mark_gone(&item, &tried.url))?
            else {
                return Ok(());
            };
            if let Changed::From(_) = self.change(&key, change).await? {
                return Ok(());
            }
        }
        Err(StoreError::Unavailable("the endpoint is contended".into()))
    }
}

#[async_trait]
impl EndpointsNow for DynamoStore {
    async fn endpoints_now(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, StoreError> {
        self.all_endpoints(tenant, true).await
    }

    async fn endpoint_now(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        self.one_endpoint(tenant, id, true).await
    }
}

#[async_trait]
impl EndpointAdmin for DynamoStore {
    async fn put_endpoint(
        &self,
        record: &EndpointRecord,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        let (tenant, id) = (&record.endpoint.tenant, &record.endpoint.id);
        let item = item::new_endpoint(record, read, self.vault());
        self.put_named(tenant, item, &item::client_key(tenant, id), read)
            .await
    }

    async fn endpoint_records(&self, tenant: &TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        let items = self.find_all(&item::find_endpoints(tenant, true)).await?;
        items
            .iter()
            .map(|item| Ok(item::endpoint(tenant, item, self.vault())?.value))
            .collect()
    }

    async fn endpoint_record(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Read<EndpointRecord>>, StoreError> {
        let found = self.get(&item::endpoint_key(tenant, id), true).await?;
        found
            .map(|item| item::endpoint(tenant, &item, self.vault()))
            .transpose()
    }

    async fn delete_endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<bool, StoreError> {
        Ok(self
            .remove(&item::endpoint_key(tenant, id))
            .await?
            .is_some())
    }
}

#[async_trait]
impl BillingAccounts for DynamoStore {
    async fn billing_account(
        &self,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<BillingAccount>, StoreError> {
        let found = self
            .get(&item::account_key(profile, account), false)
            .await?;
        found
            .map(|item| item::account_at_the_door(&item, self.vault()))
            .transpose()
    }
}

#[async_trait]
impl RecoveryAccounts for DynamoStore {
    async fn recovery_account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<RecoveryAccount>, StoreError> {
        let key = item::account_key(profile, account);
        self.get_surely(&key, |item| {
            let found = item::account_behind_the_door(&item, self.vault())?;
            Ok(Some(found).filter(|found| found.tenant == *tenant))
        })
        .await
    }
}

#[async_trait]
impl AccountTerms for DynamoStore {
    async fn terms(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<Terms>, StoreError> {
        let key = item::account_key(profile, account);
        self.get_surely(&key, |item| item::terms_of(tenant, &item))
            .await
    }
}

#[async_trait]
impl Accounts for DynamoStore {
    async fn put_account(
        &self,
        account: &BillingAccount,
        now: Timestamp,
    ) -> Result<Claimed, StoreError> {
        let (profile, id) = (&account.profile_id, &account.connector_account_id);
        let key = item::account_key(profile, id);
        loop {
            let found = self.get(&key, true).await?;
            let known = found.map(|item| item::account_owner(&item)).transpose()?;
            let (created, condition, claimed) = match known {
                None => (now, item::absent(), Claimed::New),
                Some((owner, created)) if owner == account.tenant => {
                    (created, item::owned(&account.tenant), Claimed::Replaced)
                }
                Some(_) => return Ok(Claimed::Taken),
            };
            let writes = vec![
                self.for_tenant(&account.tenant),
                self.putting(
                    item::new_account(account, created, self.vault()),
                    Some(condition),
                ),
                self.putting(item::pointer_key(&account.tenant, profile, id).item(), None),
            ];
            match self.transact(writes).await? {
                Committed::Done => return Ok(claimed),
                Committed::Refused { first: 0 } => return Ok(Claimed::NoTenant),
                // It was claimed or freed since it was read, so read again.
                Committed::Refused { .. } => {}
            }
        }
    }

    async fn accounts(&self, tenant: &TenantId) -> Result<Vec<AccountRecord>, StoreError> {
        let pointers = self.find_all(&item::find_pointers(tenant)).await?;
        let found: Vec<_> = stream::iter(pointers.iter().map(item::pointed_at))
            .map(async |key| self.get(&key?, true).await)
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        // One that was deleted since its pointer was read may be another tenant's by now.
        let mine = found
            .iter()
            .flatten()
            .map(|item| item::account_of(tenant, item, self.vault()));
        mine.filter_map(Result::transpose).collect()
    }

    async fn account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<Option<AccountRecord>, StoreError> {
        let found = self.get(&item::account_key(profile, account), true).await?;
        found.map_or(Ok(None), |item| {
            item::account_of(tenant, &item, self.vault())
        })
    }

    async fn delete_account(
        &self,
        tenant: &TenantId,
        profile: &ProfileId,
        account: &ConnectorAccountId,
    ) -> Result<bool, StoreError> {
        let writes = vec![
            self.removing(
                &item::account_key(profile, account),
                Some(item::owned(tenant)),
            ),
            self.removing(&item::pointer_key(tenant, profile, account), None),
        ];
        Ok(match self.transact(writes).await? {
            Committed::Done => true,
            Committed::Refused { .. } => false,
        })
    }
}

#[async_trait]
impl Publishers for DynamoStore {
    async fn put_rafiki(&self, publisher: &PublisherRecord) -> Result<Put, StoreError> {
        let key = item::rafiki_key(&publisher.tenant);
        loop {
            let found = self.get(&key, true).await?;
            let (created, condition, put) = match found.as_ref().map(item::created).transpose()? {
                None => (publisher.created_at, item::absent(), Put::New),
                Some(created) => (created, item::made_at(created), Put::Replaced),
            };
            let writes = vec![
                self.for_tenant(&publisher.tenant),
                self.putting(
                    item::new_rafiki(publisher, created, self.vault()),
                    Some(condition),
                ),
            ];
            match self.transact(writes).await? {
                Committed::Done => return Ok(put),
                Committed::Refused { first: 0 } => return Ok(Put::NoTenant),
                // It was made or removed since it was read, so read again.
                Committed::Refused { .. } => {}
            }
        }
    }

    async fn rafiki(&self, tenant: &TenantId) -> Result<Option<PublisherRecord>, StoreError> {
        let found = self.get(&item::rafiki_key(tenant), true).await?;
        found
            .map(|item| item::rafiki(tenant, &item, self.vault()))
            .transpose()
    }

    async fn delete_rafiki(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.remove(&item::rafiki_key(tenant)).await?.is_some())
    }
}

#[async_trait]
impl PaymentBackends for DynamoStore {
    async fn payment_backend(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<PublisherRecord>, StoreError> {
        let found = self.get(&item::rafiki_key(tenant), false).await?;
        found
            .map(|item| item::rafiki(tenant, &item, self.vault()))
            .transpose()
    }
}
