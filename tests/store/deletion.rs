//! A deletion of a tenant that something gets in the way of: it fails or is finished, and nothing of it is inherited.

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use jiff::Timestamp;
use shared::decision::Policy;
use shared::store::dynamo::DynamoStore;
use shared::store::{
    Accounts, Claimed, Credentials, EndpointAdmin, Keys, Made, Put, StoreError, TenantRecord,
    Tenants,
};
use tests::faults::Fault;
use tests::sample::{account, acme, at, endpoint, key, tenant};
use tests::table::Table;

use crate::config::kept;

/// When the name of a tenant that was deleted at 10 s is free.
const FREE: i64 = 10 + (30 + 14) * 24 * 3600;

/// As often as the client tries a request.
const TRIES: usize = 3;

fn anew(at: Timestamp) -> TenantRecord {
    TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at,
    }
}

/// A store with a tenant that has a key, an endpoint and a billing account.
async fn configured(table: &Table) -> Result<DynamoStore> {
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let put = store.put_key(&key(&acme(), "key_1"), "aa11").await?;
    assert_eq!(put, Put::New);
    let shop = kept(&endpoint(&acme(), "shop", "whsec_new"), 1);
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
    let account = account(&acme(), "pro_1", "mca_1");
    assert_eq!(store.put_account(&account, at(1)).await?, Claimed::New);
    Ok(store)
}

/// How many keys, endpoints and billing accounts the tenant has, and whether its key opens doors.
async fn left(store: &DynamoStore) -> Result<([usize; 3], bool)> {
    let lists = [
        store.keys(&acme()).await?.len(),
        store.endpoint_records(&acme()).await?.len(),
        store.accounts(&acme()).await?.len(),
    ];
    Ok((lists, store.credential("aa11").await?.is_some()))
}

#[tokio::test]
async fn a_tenant_is_deleted_whatever_it_collides_with_or_the_deletion_fails() -> Result<()> {
    for (collisions, deleted) in [(1, true), (7, true), (8, false)] {
        let table = Table::start().await?;
        let store = configured(&table).await?;
        for _ in 0..collisions {
            table.faults.next("UpdateItem", Fault::Contended);
        }
        let answer = store.delete_tenant(&acme(), at(10)).await;
        assert_eq!(table.faults.left(), 0, "{collisions} collisions");
        let there = store.tenant(&acme()).await?.is_some();
        if deleted {
            assert!(answer?, "{collisions} collisions");
            assert!(!there, "{collisions} collisions");
            assert_eq!(left(&store).await?, ([0; 3], false));
        } else {
            assert!(
                matches!(answer, Err(StoreError::Unavailable(_))),
                "{answer:?}"
            );
            assert!(there, "what is not deleted keeps what it has");
            assert_eq!(left(&store).await?, ([1; 3], true));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_tenant_is_made_although_its_item_collides() -> Result<()> {
    let table = Table::start().await?;
    let store = configured(&table).await?;
    table.faults.next("UpdateItem", Fault::Contended);
    assert_eq!(store.put_tenant(&anew(at(2))).await?, Made::Changed);
    assert_eq!(left(&store).await?, ([1; 3], true));
    Ok(())
}

#[tokio::test]
async fn what_an_interrupted_deletion_left_is_not_inherited_with_the_name() -> Result<()> {
    for expired in [false, true] {
        for interrupted in ["Query", "TransactWriteItems", "DeleteItem"] {
            let table = Table::start().await?;
            let store = configured(&table).await?;
            // Its items are removed at the same time, so each has to fail as often as it is tried.
            for _ in 0..8 * TRIES {
                table.faults.next(interrupted, Fault::Before);
            }
            let answer = store.delete_tenant(&acme(), at(10)).await;
            assert!(
                matches!(answer, Err(StoreError::Unavailable(_))),
                "{interrupted}: {answer:?}"
            );
            table.faults.none();
            let (lists, _) = left(&store).await?;
            assert_ne!(lists, [0; 3], "{interrupted}: something is left");
            if expired {
                // So does the table with what has outlived its `ttl`.
                let text = |value: &str| AttributeValue::S(value.to_owned());
                table
                    .client
                    .delete_item()
                    .table_name(&table.name)
                    .key("pk", text("TENANTS"))
                    .key("sk", text("acme"))
                    .send()
                    .await?;
            }

            assert_eq!(store.put_tenant(&anew(at(FREE))).await?, Made::New);
            assert_eq!(left(&store).await?, ([0; 3], false), "{interrupted}");
            let theirs = account(&tenant("other"), "pro_1", "mca_1");
            let claimed = store.put_account(&theirs, at(FREE)).await?;
            assert_eq!(claimed, Claimed::New, "{interrupted}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn finishing_a_deletion_takes_nothing_that_is_another_tenants_by_now() -> Result<()> {
    let table = Table::start().await?;
    let store = configured(&table).await?;
    for _ in 0..TRIES {
        table.faults.next("Query", Fault::Before);
    }
    let answer = store.delete_tenant(&acme(), at(10)).await;
    assert!(answer.is_err(), "{answer:?}");
    // As if the deletion had come as far as the account, and its pair had been claimed.
    let text = |value: &str| AttributeValue::S(value.to_owned());
    table
        .client
        .delete_item()
        .table_name(&table.name)
        .key("pk", text("BA#pro_1#mca_1"))
        .key("sk", text("BA"))
        .send()
        .await?;
    let theirs = account(&tenant("other"), "pro_1", "mca_1");
    assert_eq!(store.put_account(&theirs, at(11)).await?, Claimed::New);

    assert_eq!(store.put_tenant(&anew(at(FREE))).await?, Made::New);
    assert_eq!(left(&store).await?, ([0; 3], false));
    assert_eq!(store.accounts(&tenant("other")).await?.len(), 1);
    Ok(())
}
