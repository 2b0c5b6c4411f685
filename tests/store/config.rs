//! Configuration: whose it is, who may claim it, that its secrets are sealed, and that it goes when it is told to.

use anyhow::Result;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::HEXLOWER;
use futures::future::try_join_all;
use shared::delivery::EndpointState;
use shared::ids::KeyId;
use shared::secret::Secret;
use shared::store::{
    Accounts, BillingAccounts, Claimed, Credential, Credentials, EndpointAdmin, Endpoints, Keys,
    PublisherRecord, Publishers, Scope, StoreError, TenantRecord, Tenants,
};
use tests::sample::{account, acme, at, endpoint, endpoint_id, key, tenant};
use tests::table::Table;

#[tokio::test]
async fn a_tenant_keeps_when_it_was_made() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let named = TenantRecord {
        id: acme(),
        display_name: Some("Acme".into()),
        created_at: at(0),
    };
    assert!(store.put_tenant(&named).await?);
    assert_eq!(store.tenant(&acme()).await?, Some(named));
    let plain = TenantRecord {
        id: acme(),
        display_name: None,
        created_at: at(5),
    };
    assert!(!store.put_tenant(&plain).await?);
    let kept = TenantRecord {
        created_at: at(0),
        ..plain
    };
    let other = TenantRecord {
        id: tenant("aardvark"),
        display_name: None,
        created_at: at(6),
    };
    assert!(store.put_tenant(&other).await?);
    assert_eq!(store.tenants().await?, [other, kept]);
    assert_eq!(store.tenant(&tenant("nobody")).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_key_opens_until_it_is_revoked() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let (first, second) = (key(&acme(), "key_1"), key(&acme(), "key_2"));
    store.put_key(&first, "aa11").await?;
    store.put_key(&second, "bb22").await?;
    store.put_key(&second, "bb22").await?;
    let credential = Credential {
        key: first.id.clone(),
        scope: Scope::Tenant { tenant: acme() },
    };
    assert_eq!(store.credential("aa11").await?, Some(credential));
    assert_eq!(store.credential("cc33").await?, None);
    assert_eq!(store.keys(&acme()).await?, [first.clone(), second.clone()]);
    assert_eq!(store.keys(&tenant("other")).await?, []);

    assert!(!store.revoke_key(&tenant("other"), &first.id).await?);
    assert!(store.revoke_key(&acme(), &first.id).await?);
    assert!(!store.revoke_key(&acme(), &first.id).await?);
    assert_eq!(store.credential("aa11").await?, None);
    assert_eq!(store.keys(&acme()).await?, [second]);

    let taken = store.put_key(&key(&tenant("other"), "key_3"), "bb22").await;
    assert!(
        matches!(taken, Err(StoreError::Corrupt { .. })),
        "{taken:?}"
    );
    assert_eq!(store.keys(&tenant("other")).await?, []);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_comes_back_with_its_secrets_open() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let shop = endpoint(&acme(), "shop", "whsec_new");
    assert!(store.put_endpoint(&shop, at(1)).await?);
    assert_eq!(store.endpoint(&acme(), &shop.id).await?, Some(shop.clone()));
    assert_eq!(store.endpoint(&tenant("other"), &shop.id).await?, None);

    let mut changed = shop.clone();
    changed.url = "https://shop.example/new".into();
    changed.useful_for = Some(jiff::SignedDuration::from_millis(1500));
    changed.secrets.truncate(1);
    assert!(!store.put_endpoint(&changed, at(9)).await?);
    let till = endpoint(&acme(), "a-till", "whsec_till");
    assert!(store.put_endpoint(&till, at(2)).await?);
    let record = store
        .endpoint_record(&acme(), &shop.id)
        .await?
        .expect("it is there");
    assert_eq!(
        (record.endpoint.clone(), record.created_at),
        (changed.clone(), at(1))
    );
    let names: Vec<_> = store
        .endpoint_records(&acme())
        .await?
        .into_iter()
        .map(|r| r.endpoint.id)
        .collect();
    assert_eq!(names, [endpoint_id("a-till"), endpoint_id("shop")]);
    assert_eq!(store.endpoints(&acme()).await?, [till, changed]);

    assert!(store.delete_endpoint(&acme(), &shop.id).await?);
    assert!(!store.delete_endpoint(&acme(), &shop.id).await?);
    assert_eq!(store.endpoint(&acme(), &shop.id).await?, None);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_marked_unless_the_operator_switched_it_off_or_removed_it()
-> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut shop = endpoint(&acme(), "shop", "whsec_new");
    store.mark_gone(&acme(), &shop.id).await?;
    assert_eq!(store.endpoint(&acme(), &shop.id).await?, None);
    let cases = [
        (EndpointState::Enabled, EndpointState::Gone),
        (EndpointState::Gone, EndpointState::Gone),
        (EndpointState::Disabled, EndpointState::Disabled),
    ];
    for (before, after) in cases {
        shop.state = before;
        store.put_endpoint(&shop, at(1)).await?;
        store.mark_gone(&acme(), &shop.id).await?;
        assert_eq!(
            store
                .endpoint(&acme(), &shop.id)
                .await?
                .map(|found| found.state),
            Some(after),
            "{before:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_pair_of_ids_belongs_to_the_first_tenant_that_claims_it() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mine = account(&acme(), "pro_1", "mca_1");
    let theirs = account(&tenant("other"), "pro_1", "mca_1");
    let (profile, id) = (&mine.profile_id, &mine.connector_account_id);
    assert_eq!(store.put_account(&mine, at(1)).await?, Claimed::New);
    assert_eq!(store.put_account(&theirs, at(2)).await?, Claimed::Taken);
    assert_eq!(
        store.billing_account(profile, id).await?,
        Some(mine.clone())
    );
    assert_eq!(store.account(&tenant("other"), profile, id).await?, None);
    assert_eq!(store.accounts(&tenant("other")).await?, []);
    assert!(!store.delete_account(&tenant("other"), profile, id).await?);

    let mut changed = mine.clone();
    changed.api_key = None;
    changed.webhook_secrets = vec![Secret::new("whsec_rotated")];
    assert_eq!(store.put_account(&changed, at(9)).await?, Claimed::Replaced);
    let second = account(&acme(), "pro_1", "mca_2");
    assert_eq!(store.put_account(&second, at(3)).await?, Claimed::New);
    let got: Vec<_> = store
        .accounts(&acme())
        .await?
        .into_iter()
        .map(|r| (r.account, r.created_at))
        .collect();
    assert_eq!(got, [(changed.clone(), at(1)), (second, at(3))]);
    let found = store
        .account(&acme(), profile, id)
        .await?
        .expect("it is there");
    assert_eq!((found.account, found.created_at), (changed, at(1)));

    assert!(store.delete_account(&acme(), profile, id).await?);
    assert!(!store.delete_account(&acme(), profile, id).await?);
    assert_eq!(store.put_account(&theirs, at(5)).await?, Claimed::New);
    assert_eq!(store.accounts(&acme()).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn of_many_tenants_that_claim_one_pair_at_once_exactly_one_gets_it() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let claims: Vec<_> = (0..8)
        .map(|n| account(&tenant(&format!("t{n}")), "pro_1", "mca_1"))
        .collect();
    let got = try_join_all(claims.iter().map(|claim| store.put_account(claim, at(1)))).await?;
    assert_eq!(
        got.iter()
            .filter(|claimed| **claimed == Claimed::New)
            .count(),
        1
    );
    assert_eq!(
        got.iter()
            .filter(|claimed| **claimed == Claimed::Taken)
            .count(),
        7
    );
    Ok(())
}

#[tokio::test]
async fn a_publisher_is_made_replaced_and_removed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let publisher = |secret: &str, second| PublisherRecord {
        tenant: acme(),
        secrets: vec![Secret::new(secret)],
        created_at: at(second),
    };
    assert_eq!(store.rafiki(&acme()).await?, None);
    assert!(store.put_rafiki(&publisher("one", 1)).await?);
    assert!(!store.put_rafiki(&publisher("two", 2)).await?);
    assert_eq!(store.rafiki(&acme()).await?, Some(publisher("two", 1)));
    assert!(store.delete_rafiki(&acme()).await?);
    assert!(!store.delete_rafiki(&acme()).await?);
    Ok(())
}

#[tokio::test]
async fn no_secret_rests_in_clear_and_none_opens_in_another_item() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    store
        .put_endpoint(&endpoint(&acme(), "shop", "whsec_new"), at(1))
        .await?;
    assert_eq!(
        store
            .put_account(&account(&acme(), "pro_1", "mca_1"), at(1))
            .await?,
        Claimed::New
    );
    let publisher = PublisherRecord {
        tenant: acme(),
        secrets: vec![Secret::new("rafiki_hush")],
        created_at: at(1),
    };
    store.put_rafiki(&publisher).await?;
    store.put_key(&key(&acme(), "key_1"), "aa11").await?;

    let dump = table.dump().await?;
    assert!(
        dump.contains("shop.example"),
        "the dump shows what is in clear"
    );
    let secrets = [
        "whsec_new",
        "whsec_old",
        "whsec_stripe_1",
        "whsec_stripe_2",
        "sk_live_hush",
        "rafiki_hush",
    ];
    for secret in secrets {
        let printed = HEXLOWER.encode(secret.as_bytes());
        assert!(
            format!("{:?}", Blob::new(secret)).contains(&printed),
            "bytes are printed in hex"
        );
        assert!(!dump.contains(&printed), "{secret} as bytes");
        assert!(!dump.contains(secret), "{secret} as text");
    }

    // An item copied under another tenant's key.
    let key = |pk: &str| {
        let value = |text: &str| AttributeValue::S(text.to_owned());
        [
            ("pk".to_owned(), value(pk)),
            ("sk".to_owned(), value("EP#shop")),
        ]
    };
    let item = table
        .client
        .get_item()
        .table_name(&table.name)
        .set_key(Some(key("T#acme").into()))
        .send()
        .await?;
    let mut item = item.item.expect("it is there");
    item.extend(key("T#other"));
    table
        .client
        .put_item()
        .table_name(&table.name)
        .set_item(Some(item))
        .send()
        .await?;
    let got = store.endpoint(&tenant("other"), &endpoint_id("shop")).await;
    let want = "the item T#other|EP#shop can't be read: the sealed secret does not open here";
    assert_eq!(got.map_err(|error| error.to_string()), Err(want.to_owned()));
    Ok(())
}

#[tokio::test]
async fn with_a_tenant_goes_everything_that_let_it_in_and_nothing_of_others() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let other = tenant("other");
    for (n, tenant) in [(1, acme()), (2, other.clone())] {
        store
            .put_tenant(&TenantRecord {
                id: tenant.clone(),
                display_name: None,
                created_at: at(0),
            })
            .await?;
        for m in 0..30 {
            store
                .put_endpoint(&endpoint(&tenant, &format!("shop{m}"), "whsec_new"), at(1))
                .await?;
            store
                .put_key(&key(&tenant, &format!("key{m}")), &format!("hash-{n}-{m}"))
                .await?;
        }
        let account = account(&tenant, &format!("pro_{n}"), "mca_1");
        assert_eq!(store.put_account(&account, at(1)).await?, Claimed::New);
        let secrets = vec![Secret::new("x")];
        store
            .put_rafiki(&PublisherRecord {
                tenant,
                secrets,
                created_at: at(1),
            })
            .await?;
    }

    assert!(store.delete_tenant(&acme()).await?);
    assert!(!store.delete_tenant(&acme()).await?);
    let dump = table.dump().await?;
    assert!(
        !dump.contains("acme") && !dump.contains("hash-1-") && !dump.contains("pro_1"),
        "{dump}"
    );
    assert_eq!(store.tenants().await?.len(), 1);
    assert_eq!(store.endpoints(&other).await?.len(), 30);
    assert_eq!(store.keys(&other).await?.len(), 30);
    assert_eq!(store.accounts(&other).await?.len(), 1);
    assert!(
        store
            .credential("hash-2-7")
            .await?
            .is_some_and(|c| Ok(c.key) == KeyId::parse("key7"))
    );
    assert_eq!(
        store
            .put_account(&account(&other, "pro_1", "mca_1"), at(9))
            .await?,
        Claimed::New
    );
    Ok(())
}
