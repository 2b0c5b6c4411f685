//! Anchors' configuration, wallet clients, what wallets registered, and where callbacks go, in the table; all of it is read
//! consistently.

use async_trait::async_trait;
use futures::future::OptionFuture;
use futures::{join, try_join};
use jiff::Timestamp;

use super::config::RACES;
use super::{Committed, DynamoStore, Written};
use crate::customer::{AnchorSettings, Client, ErasePayloads, Registration, SigningKeys};
use crate::delivery::{Endpoint, LiveSecret, Scheme};
use crate::event::{Callback, Role, Via};
use crate::ids::{CustomerId, EndpointId, TenantId};
use crate::store::{
    AnchorAdmin, Anchors, CallbackTarget, Put, Read, Registrations, StoreError, Version, item,
};

#[async_trait]
impl Anchors for DynamoStore {
    async fn anchor(&self, tenant: &TenantId) -> Result<Option<Read<AnchorSettings>>, StoreError> {
        let found = self.get(&item::anchor_key(tenant), true).await?;
        found
            .map(|item| item::anchor(tenant, &item, self.vault()))
            .transpose()
    }

    async fn clients(&self, tenant: &TenantId) -> Result<Vec<Client>, StoreError> {
        let items = self.find_all(&item::find_clients(tenant)).await?;
        items
            .iter()
            .map(|item| item::client(tenant, item).map(|read| read.value))
            .collect()
    }

    async fn can_sign(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let found = self.get(&item::signing_keys_key(tenant), true).await?;
        Ok(found.is_some())
    }

    async fn client(
        &self,
        tenant: &TenantId,
        id: &EndpointId,
    ) -> Result<Option<Read<Client>>, StoreError> {
        let found = self.get(&item::client_key(tenant, id), true).await?;
        found.map(|item| item::client(tenant, &item)).transpose()
    }
}

#[async_trait]
impl AnchorAdmin for DynamoStore {
    async fn put_anchor(
        &self,
        settings: &AnchorSettings,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        let item = item::new_anchor(settings, read, self.vault());
        self.put_configured(&settings.tenant, item, read).await
    }

    async fn delete_anchor(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        Ok(self.remove(&item::anchor_key(tenant)).await?.is_some())
    }

    async fn put_client(&self, client: &Client, read: Option<Version>) -> Result<Put, StoreError> {
        let (tenant, id) = (&client.tenant, &client.id);
        let item = item::new_client(client, read);
        self.put_named(tenant, item, &item::endpoint_key(tenant, id), read)
            .await
    }

    async fn delete_client(&self, tenant: &TenantId, id: &EndpointId) -> Result<bool, StoreError> {
        Ok(self.remove(&item::client_key(tenant, id)).await?.is_some())
    }

    async fn signing_keys(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<Read<SigningKeys>>, StoreError> {
        let found = self.get(&item::signing_keys_key(tenant), true).await?;
        found
            .map(|item| item::signing_keys(tenant, &item, self.vault()))
            .transpose()
    }

    async fn put_signing_keys(
        &self,
        tenant: &TenantId,
        keys: &SigningKeys,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        let item = item::new_signing_keys(tenant, keys, read, self.vault());
        self.put_configured(tenant, item, read).await
    }

    async fn delete_signing_keys(&self, tenant: &TenantId) -> Result<bool, StoreError> {
        let key = item::signing_keys_key(tenant);
        Ok(self.remove(&key).await?.is_some())
    }
}

#[async_trait]
impl Registrations for DynamoStore {
    async fn registration(
        &self,
        tenant: &TenantId,
        client: &EndpointId,
        customer: &CustomerId,
    ) -> Result<Option<Read<Registration>>, StoreError> {
        let client_key = item::client_key(tenant, client);
        let key = item::registration_key(tenant, client, customer);
        let (client, found) = try_join!(self.get(&client_key, true), self.get(&key, true))?;
        match found {
            Some(found) => item::registration(&found, client.as_ref()),
            None => Ok(None),
        }
    }

    async fn put_registration(
        &self,
        tenant: &TenantId,
        registration: &Registration,
    ) -> Result<Put, StoreError> {
        let (client, customer) = (&registration.client, &registration.customer);
        let client_key = item::client_key(tenant, client);
        let key = item::registration_key(tenant, client, customer);
        for _ in 0..RACES {
            let (client, found) = try_join!(self.get(&client_key, true), self.get(&key, true))?;
            // It is good only with the client that is there now, so a deletion at this moment ends it as well.
            let Some(client) = client else {
                return Ok(Put::NoTenant);
            };
            let known = found
                .as_ref()
                .map_or(Ok(None), |found| item::registration(found, Some(&client)))?;
            let read = found.as_ref().map(item::version).transpose()?;
            let made_with = item::of_client(&client)?;
            let item = item::new_registration(tenant, registration, made_with, read);
            match self.put(&key, item, Some(item::unchanged(read))).await? {
                Written::Done if known.is_some() => return Ok(Put::Replaced),
                Written::Done => return Ok(Put::New),
                Written::Refused(_) => {}
            }
        }
        Ok(Put::Lost)
    }
}

impl DynamoStore {
    /// Keeps `item` of a tenant that is there, over what was `read`.
    async fn put_configured(
        &self,
        tenant: &TenantId,
        item: item::Item,
        read: Option<Version>,
    ) -> Result<Put, StoreError> {
        let writes = vec![
            self.for_tenant(tenant),
            self.putting(item, Some(item::unchanged(read))),
        ];
        Ok(match self.transact(writes).await? {
            Committed::Done if read.is_none() => Put::New,
            Committed::Done => Put::Replaced,
            Committed::Refused { first: 0 } => Put::NoTenant,
            Committed::Refused { .. } => Put::Lost,
        })
    }

    /// Where a callback goes at `now`. What that takes is asked for at once, and so read by one request.
    pub(super) async fn target_of(
        &self,
        tenant: &TenantId,
        callback: &Callback,
        now: Timestamp,
    ) -> Result<Option<CallbackTarget>, StoreError> {
        let id = &callback.client;
        let elsewhere = match &callback.via {
            Via::Static { .. } => None,
            Via::Registered { customer } => Some(item::registration_key(tenant, id, customer)),
            Via::Transaction { id } => Some(item::transaction_key(tenant, id)),
        };
        let (client_key, keys_key) = (item::client_key(tenant, id), item::signing_keys_key(tenant));
        let (anchor_key, tenant_key) = (item::anchor_key(tenant), item::tenant_key(tenant));
        let breaker_key = item::breaker_key(tenant, id);
        let elsewhere = elsewhere.as_ref().map(|key| self.get(key, true));
        let (client, keys, anchor, made, breaker, elsewhere) = join!(
            self.get(&client_key, true),
            self.get(&keys_key, true),
            self.get(&anchor_key, true),
            self.get(&tenant_key, true),
            self.get(&breaker_key, true),
            OptionFuture::from(elsewhere)
        );
        let (Some(client_item), keys, anchor, made) = (client?, keys?, anchor?, made?) else {
            return Ok(None);
        };
        let elsewhere = elsewhere.transpose()?.flatten();
        let client = item::client(tenant, &client_item)?.value;
        let url = match (&callback.via, elsewhere) {
            (Via::Static { sep }, _) => client.callbacks.of(*sep).map(str::to_owned),
            (_, None) => None,
            (Via::Registered { .. }, Some(found)) => {
                item::registration(&found, Some(&client_item))?.map(|read| read.value.url)
            }
            (Via::Transaction { .. }, Some(found))
                if item::is_left_over(&found, made.as_ref())? =>
            {
                None
            }
            (Via::Transaction { .. }, Some(found)) => {
                let transaction = item::transaction(tenant, &found, self.vault())?.value;
                let of_client = client.callbacks.of(transaction.sep).map(str::to_owned);
                // What one client was to be told is never told another at its URL.
                let own = transaction.client.as_ref() == Some(id);
                transaction.on_change_callback.filter(|_| own).or(of_client)
            }
        };
        let Some(url) = url else {
            return Ok(None);
        };
        let seed = item::live_seed(tenant, keys.as_ref(), now, self.vault())?;
        let erase = match anchor {
            Some(anchor) => item::erase_payloads(&anchor)?,
            None => ErasePayloads::default(),
        };
        let breaker = breaker?.as_ref().map(item::breaker).transpose()?;
        Ok(Some(CallbackTarget {
            breaker: breaker.map(|read| read.value).unwrap_or_default(),
            latest_only: client.latest_only,
            erase: erase == ErasePayloads::AfterDelivery,
            endpoint: wallet(
                client,
                url,
                seed.map(|secret| LiveSecret {
                    secret,
                    until: None,
                }),
            ),
        }))
    }
}

/// A wallet client as who is called at `url`. Without a seed it is locked: its callbacks fail and are tried again.
fn wallet(client: Client, url: String, seed: Option<LiveSecret>) -> Endpoint {
    let locked = match seed {
        Some(_) => Vec::new(),
        None => vec![None],
    };
    Endpoint {
        tenant: client.tenant,
        id: client.id,
        url,
        role: Role::Wallet,
        scheme: Scheme::Stellar,
        secrets: Vec::from_iter(seed),
        locked,
        filter: None,
        policy: client.policy,
        breaker: client.breaker,
        deadline: client.deadline,
        useful_for: None,
        signed_host: client.signed_host,
        decision_url: None,
        state: client.state,
    }
}
