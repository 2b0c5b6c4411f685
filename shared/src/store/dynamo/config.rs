//! Configuration in the table: for the operator read consistently, for the doors and workers at half the price.

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use super::{Changed, Committed, DynamoStore};
use crate::delivery::Endpoint;
use crate::ids::{ConnectorAccountId, EndpointId, KeyId, ProfileId, TenantId};
use crate::platform::BillingAccount;
use crate::store::{
    AccountRecord, Accounts, BillingAccounts, Claimed, Credential, Credentials, EndpointAdmin,
    EndpointRecord, Endpoints, KeyRecord, Keys, PublisherRecord, Publishers, StoreError,
    TenantRecord, Tenants, item,
};

/// So many items are read or removed at the same time.
const AT_ONCE: usize = 16;

impl DynamoStore {
    /// Makes or changes an item whose change has no condition. Whether it is new.
    async fn make(&self, key: &item::Key, change: item::Change) -> Result<bool, StoreError> {
        match self.change(key, change).await? {
            Changed::From(before) => Ok(!item::was_made(&before)),
            Changed::Refused => Err(StoreError::Unavailable("the item is contended".into())),
        }
    }
}

#[async_trait]
impl Tenants for DynamoStore {
    async fn put_tenant(&self, tenant: &TenantRecord) -> Result<bool, StoreError> {
        self.make(&item::tenant_key(&tenant.id), item::put_tenant(tenant))
            .await
    }

    async fn tenant(&self, id: &TenantId) -> Result<Option<TenantRecord>, StoreError> {
        self.get(&item::tenant_key(id), true)
            .await?
            .as_ref()
            .map(item::tenant)
            .transpose()
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        self.find_all(&item::find_tenants())
            .await?
            .iter()
            .map(item::tenant)
            .collect()
    }

    async fn delete_tenant(&self, id: &TenantId) -> Result<bool, StoreError> {
        let items = self.find_all(&item::find_configured(id)).await?;
        // Whatever this is interrupted by, doing it again finds what is left: what an item leads to is removed
        // before it, and the tenant last.
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
        Ok(self.remove(&item::tenant_key(id)).await?.is_some())
    }
}

#[async_trait]
impl Keys for DynamoStore {
    async fn put_key(&self, key: &KeyRecord, hash: &str) -> Result<(), StoreError> {
        let writes = vec![
            self.putting(item::new_key(key, hash), None),
            self.putting(
                item::new_credential(key, hash),
                Some(item::owned_or_absent(&key.tenant)),
            ),
        ];
        match self.transact(writes).await? {
            Committed::Done => Ok(()),
            Committed::Refused => Err(StoreError::Corrupt {
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
        let items = self.find_all(&item::find_endpoints(tenant, false)).await?;
        items
            .iter()
            .map(|item| Ok(item::endpoint(tenant, item, self.vault())?.endpoint))
            .collect()
    }

    async fn endpoint(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Endpoint>, StoreError> {
        let found = self.get(&item::endpoint_key(tenant, id), false).await?;
        found
            .map(|item| Ok(item::endpoint(tenant, &item, self.vault())?.endpoint))
            .transpose()
    }

    async fn mark_gone(&self, tenant: &TenantId, id: &EndpointId) -> Result<(), StoreError> {
        // Refused: it is switched off already, or not there any more.
        self.change(&item::endpoint_key(tenant, id), item::mark_gone())
            .await?;
        Ok(())
    }
}

#[async_trait]
impl EndpointAdmin for DynamoStore {
    async fn put_endpoint(&self, endpoint: &Endpoint, now: Timestamp) -> Result<bool, StoreError> {
        let key = item::endpoint_key(&endpoint.tenant, &endpoint.id);
        self.make(&key, item::put_endpoint(endpoint, now, self.vault()))
            .await
    }

    async fn endpoint_records(&self, tenant: &TenantId) -> Result<Vec<EndpointRecord>, StoreError> {
        let items = self.find_all(&item::find_endpoints(tenant, true)).await?;
        items
            .iter()
            .map(|item| item::endpoint(tenant, item, self.vault()))
            .collect()
    }

    async fn endpoint_record(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<EndpointRecord>, StoreError> {
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
            .map(|item| Ok(item::account(&item, self.vault())?.account))
            .transpose()
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
                self.putting(
                    item::new_account(account, created, self.vault()),
                    Some(condition),
                ),
                self.putting(item::pointer_key(&account.tenant, profile, id).item(), None),
            ];
            // Refused: it was claimed or freed since it was read, so read again.
            if let Committed::Done = self.transact(writes).await? {
                return Ok(claimed);
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
            Committed::Refused => false,
        })
    }
}

#[async_trait]
impl Publishers for DynamoStore {
    async fn put_rafiki(&self, publisher: &PublisherRecord) -> Result<bool, StoreError> {
        self.make(
            &item::rafiki_key(&publisher.tenant),
            item::put_rafiki(publisher, self.vault()),
        )
        .await
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
