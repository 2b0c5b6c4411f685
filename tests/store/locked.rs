//! Secrets that can't be opened: what they belong to is shown without them, and hides nothing else.

use anyhow::Result;
use shared::platform::account::{ApiKey, Locked};
use shared::secret::Secret;
use shared::store::{
    Accounts, BillingAccounts, Claimed, EndpointAdmin, Endpoints, Put, Quarantine, QuarantineAdmin,
    Quarantined, RecoveryAccounts,
};
use tests::sample::{account, acme, at, endpoint};
use tests::table::Table;

use crate::config::kept;
use crate::quarantine::{entry, noise};

/// A key that the tests' stores don't have.
pub(crate) const ANOTHER: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

#[tokio::test]
async fn an_endpoint_whose_secret_does_not_open_hides_no_other() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let sealed_otherwise = table.store_sealing(ANOTHER)?;
    let broken = kept(&endpoint(&acme(), "broken", "whsec_new"), 1);
    let put = sealed_otherwise.put_endpoint(&broken, None).await?;
    assert_eq!(put, Put::New);
    let shop = kept(&endpoint(&acme(), "shop", "whsec_new"), 1);
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);

    let mut locked = broken.endpoint.clone();
    locked.locked = broken.endpoint.secrets.iter().map(|s| s.until).collect();
    locked.secrets = Vec::new();
    assert_eq!(
        store.endpoints(&acme()).await?,
        [locked, shop.endpoint.clone()]
    );
    let opened = sealed_otherwise
        .endpoint(&acme(), &broken.endpoint.id)
        .await?;
    assert_eq!(opened, Some(broken.endpoint));
    Ok(())
}

#[tokio::test]
async fn a_billing_account_whose_secrets_do_not_open_hides_no_other() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let sealed_otherwise = table.store_sealing(ANOTHER)?;
    let broken = account(&acme(), "pro_1", "mca_1");
    let put = sealed_otherwise.put_account(&broken, at(1)).await?;
    assert_eq!(put, Claimed::New);
    let whole = account(&acme(), "pro_1", "mca_2");
    assert_eq!(store.put_account(&whole, at(1)).await?, Claimed::New);

    let mut locked = broken.clone();
    locked.webhook_secrets = Vec::new();
    locked.api_key = None;
    locked.locked = Locked {
        webhook_secrets: 2,
        api_key: true,
    };
    let (profile, id) = (&broken.profile_id, &broken.connector_account_id);
    let listed: Vec<_> = store
        .accounts(&acme())
        .await?
        .into_iter()
        .map(|record| record.account)
        .collect();
    assert_eq!(listed, [locked.clone(), whole]);
    let read = store.account(&acme(), profile, id).await?;
    assert_eq!(read.map(|record| record.account), Some(locked.clone()));
    let seen = store.billing_account(profile, id).await?;
    let seen = seen.map(|seen| (seen.webhook_secrets, seen.locked.webhook_secrets));
    assert_eq!(seen, Some((Vec::new(), 2)));
    let behind = store.recovery_account(&acme(), profile, id).await?;
    assert_eq!(behind.map(|behind| behind.api_key), Some(ApiKey::Locked));
    let opened = sealed_otherwise.account(&acme(), profile, id).await?;
    assert_eq!(opened.map(|record| record.account), Some(broken.clone()));

    assert_eq!(store.put_account(&broken, at(2)).await?, Claimed::Replaced);
    let read = store.account(&acme(), profile, id).await?;
    assert_eq!(read.map(|record| record.account), Some(broken));
    Ok(())
}

#[tokio::test]
async fn a_message_set_aside_that_does_not_open_hides_no_other_and_can_be_forgotten() -> Result<()>
{
    let table = Table::start().await?;
    let store = table.store();
    let sealed_otherwise = table.store_sealing(ANOTHER)?;
    // More than one item holds.
    let broken = entry("m1", noise(900 * 1024), Some(acme()), at(1));
    sealed_otherwise.quarantine(&broken).await?;
    let whole = entry("m2", "whole".to_owned(), Some(acme()), at(2));
    store.quarantine(&whole).await?;

    let locked = Quarantined {
        body: Secret::new(""),
        locked: true,
        ..broken.clone()
    };
    let listed = store.quarantined(Some(&acme()), None, 10).await?;
    assert_eq!(listed.items, [whole, locked.clone()]);
    assert_eq!(store.find_quarantined(&broken.id).await?, Some(locked));
    let opened = sealed_otherwise.find_quarantined(&broken.id).await?;
    assert_eq!(opened.as_ref(), Some(&broken));
    assert!(store.forget_quarantined(&broken.id).await?);
    assert_eq!(store.find_quarantined(&broken.id).await?, None);
    Ok(())
}
