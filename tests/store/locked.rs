//! Secrets that can't be opened: what they belong to is shown without them, and hides nothing else.

use anyhow::Result;
use shared::platform::account::Locked;
use shared::store::{Accounts, BillingAccounts, Claimed, EndpointAdmin, Endpoints, Put};
use tests::sample::{account, acme, at, endpoint};
use tests::table::Table;

use crate::config::kept;

/// A key that the tests' stores don't have.
const ANOTHER: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

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
    assert_eq!(store.billing_account(profile, id).await?, Some(locked));
    let opened = sealed_otherwise.billing_account(profile, id).await?;
    assert_eq!(opened, Some(broken.clone()));

    assert_eq!(store.put_account(&broken, at(2)).await?, Claimed::Replaced);
    assert_eq!(store.billing_account(profile, id).await?, Some(broken));
    Ok(())
}
