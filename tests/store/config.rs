//! Configuration: whose it is, who may claim it, that its secrets are sealed, and that it goes when it is told to.

use anyhow::Result;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::HEXLOWER;
use futures::future::try_join_all;
use jiff::SignedDuration;
use shared::decision::{OnFailure, Policy};
use shared::delivery::{Endpoint, EndpointState};
use shared::ids::KeyId;
use shared::platform::account::ApiKey;
use shared::platform::{BillingAccount, RecoveryAccount};
use shared::secret::Secret;
use shared::signature::TOLERANCE;
use shared::store::{
    AccountTerms, Accounts, BillingAccounts, Claimed, Credential, Credentials, EndpointAdmin,
    EndpointRecord, Endpoints, KeyRecord, Keys, Made, PaymentBackends, PublisherRecord, Publishers,
    Put, RecoveryAccounts, Scope, StoreError, TenantRecord, Tenants,
};
use tests::faults::Fault;
use tests::sample::{account, acme, at, endpoint, endpoint_id, key, tenant};
use tests::table::Table;

#[tokio::test]
async fn a_tenant_that_was_made_before_there_was_a_policy_has_the_usual_one() -> Result<()> {
    let table = Table::start().await?;
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let item = [
        ("pk".to_owned(), text("TENANTS")),
        ("sk".to_owned(), text("acme")),
        ("cr".to_owned(), AttributeValue::N("0".to_owned())),
    ];
    table
        .client
        .put_item()
        .table_name(&table.name)
        .set_item(Some(item.into()))
        .send()
        .await?;
    let found = table.store().tenant(&acme()).await?;
    assert_eq!(
        found.map(|tenant| tenant.decisions),
        Some(Policy::default())
    );
    Ok(())
}

#[tokio::test]
async fn a_tenant_keeps_when_it_was_made() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let named = TenantRecord {
        id: acme(),
        display_name: Some("Acme".into()),
        decisions: Policy {
            on_failure: OnFailure::Accept,
            deadline_ms: 10_000,
        },
        created_at: at(0),
    };
    assert_eq!(store.put_tenant(&named).await?, Made::New);
    assert_eq!(store.tenant(&acme()).await?, Some(named));
    let plain = TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(5),
    };
    assert_eq!(store.put_tenant(&plain).await?, Made::Changed);
    let kept = TenantRecord {
        created_at: at(0),
        ..plain
    };
    let other = TenantRecord {
        id: tenant("aardvark"),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(6),
    };
    assert_eq!(store.put_tenant(&other).await?, Made::New);
    assert_eq!(store.tenants().await?, [other, kept]);
    assert_eq!(store.tenant(&tenant("nobody")).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_key_opens_until_it_is_revoked() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let first = key(&acme(), "key_1");
    let second = KeyRecord {
        personal_data: true,
        ..key(&acme(), "key_2")
    };
    for (key, hash) in [(&first, "aa11"), (&second, "bb22"), (&second, "bb22")] {
        assert_eq!(store.put_key(key, hash).await?, Put::New);
    }
    let credential = Credential {
        key: first.id.clone(),
        scope: Scope::Tenant { tenant: acme() },
        personal_data: false,
    };
    assert_eq!(store.credential("aa11").await?, Some(credential));
    let found = store.credential("bb22").await?;
    assert!(found.is_some_and(|found| found.personal_data));
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
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let shop = endpoint(&acme(), "shop", "whsec_new");
    assert_eq!(store.put_endpoint(&kept(&shop, 1), None).await?, Put::New);
    assert_eq!(store.endpoint(&acme(), &shop.id).await?, Some(shop.clone()));
    assert_eq!(store.endpoint(&tenant("other"), &shop.id).await?, None);

    let mut changed = shop.clone();
    changed.url = "https://shop.example/new".into();
    changed.useful_for = Some(jiff::SignedDuration::from_millis(1500));
    changed.secrets.truncate(1);
    let read = store.endpoint_record(&acme(), &shop.id).await?;
    let read = read.expect("it is there").version;
    for (read, want) in [
        (None, Put::Lost),
        (Some(read), Put::Replaced),
        (Some(read), Put::Lost),
    ] {
        assert_eq!(
            store.put_endpoint(&kept(&changed, 1), read).await?,
            want,
            "{read:?}"
        );
    }
    let till = endpoint(&acme(), "a-till", "whsec_till");
    assert_eq!(store.put_endpoint(&kept(&till, 2), None).await?, Put::New);
    let record = store
        .endpoint_record(&acme(), &shop.id)
        .await?
        .expect("it is there")
        .value;
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

/// An endpoint as it is kept.
pub(super) fn kept(endpoint: &Endpoint, created: i64) -> EndpointRecord {
    EndpointRecord {
        endpoint: endpoint.clone(),
        created_at: at(created),
    }
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_marked_unless_it_was_switched_off_moved_or_removed()
-> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let shop = endpoint(&acme(), "shop", "whsec_new");
    store.mark_gone(&shop).await?;
    assert_eq!(store.endpoint(&acme(), &shop.id).await?, None);
    let moved = "https://shop.example/moved";
    let cases = [
        (EndpointState::Enabled, &*shop.url, EndpointState::Gone),
        (EndpointState::Gone, &*shop.url, EndpointState::Gone),
        (EndpointState::Disabled, &*shop.url, EndpointState::Disabled),
        (EndpointState::Enabled, moved, EndpointState::Enabled),
    ];
    let mut read = None;
    for (before, url, after) in cases {
        let mut now = kept(&shop, 1);
        now.endpoint.state = before;
        now.endpoint.url = url.to_owned();
        let _put = store.put_endpoint(&now, read).await?;
        store.mark_gone(&shop).await?;
        let found = store
            .endpoint_record(&acme(), &shop.id)
            .await?
            .expect("it is there");
        assert_eq!(found.value.endpoint.state, after, "{before:?} {url}");
        read = Some(found.version);
    }
    Ok(())
}

#[tokio::test]
async fn who_read_an_endpoint_before_it_was_marked_gone_has_to_read_again() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let shop = kept(&endpoint(&acme(), "shop", "whsec_new"), 1);
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
    let read = store
        .endpoint_record(&acme(), &shop.endpoint.id)
        .await?
        .expect("it is there");
    store.mark_gone(&shop.endpoint).await?;
    let put = store.put_endpoint(&shop, Some(read.version)).await?;
    assert_eq!(put, Put::Lost);
    Ok(())
}

#[tokio::test]
async fn an_endpoint_kept_without_a_version_is_replaced_as_it_was_read() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let shop = kept(&endpoint(&acme(), "shop", "whsec_new"), 1);
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
    let value = |text: &str| AttributeValue::S(text.to_owned());
    table
        .client
        .update_item()
        .table_name(&table.name)
        .key("pk", value("T#acme"))
        .key("sk", value("EP#shop"))
        .update_expression("REMOVE v")
        .send()
        .await?;
    let read = store
        .endpoint_record(&acme(), &shop.endpoint.id)
        .await?
        .expect("it is there");
    for want in [Put::Replaced, Put::Lost] {
        let put = store.put_endpoint(&shop, Some(read.version)).await?;
        assert_eq!(put, want);
    }
    Ok(())
}

#[tokio::test]
async fn nothing_is_kept_for_a_tenant_that_is_not_there() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    assert!(store.delete_tenant(&acme(), at(1)).await?);
    for id in [acme(), tenant("nobody")] {
        let shop = kept(&endpoint(&id, "shop", "whsec_new"), 2);
        assert_eq!(store.put_endpoint(&shop, None).await?, Put::NoTenant);
        let account = account(&id, "pro_1", "mca_1");
        assert_eq!(store.put_account(&account, at(2)).await?, Claimed::NoTenant);
        let put = store.put_key(&key(&id, "key_1"), "aa11").await?;
        assert_eq!(put, Put::NoTenant);
        let publisher = PublisherRecord {
            tenant: id,
            secrets: vec![Secret::new("rafiki_hush")],
            tolerance: TOLERANCE,
            created_at: at(2),
        };
        assert_eq!(store.put_rafiki(&publisher).await?, Put::NoTenant);
    }
    assert_eq!(store.credential("aa11").await?, None);
    Ok(())
}

#[tokio::test]
async fn the_name_of_a_deleted_tenant_rests_until_nothing_of_it_is_left() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let day = 24 * 3600;
    assert!(store.delete_tenant(&acme(), at(10)).await?);
    assert!(!store.delete_tenant(&acme(), at(20)).await?);
    assert_eq!(store.tenant(&acme()).await?, None);
    assert_eq!(store.tenants().await?, []);
    let anew = |second| TenantRecord {
        id: acme(),
        display_name: None,
        decisions: Policy::default(),
        created_at: at(second),
    };
    let until = at(10 + (30 + 14) * day);
    let early = store.put_tenant(&anew(9 + 44 * day)).await?;
    assert_eq!(early, Made::Resting { until });
    let free = anew(10 + 44 * day);
    assert_eq!(store.put_tenant(&free).await?, Made::New);
    assert_eq!(store.tenants().await?, [free]);
    Ok(())
}

#[tokio::test]
async fn an_account_opens_its_webhook_secrets_at_the_door_and_its_api_key_behind_it() -> Result<()>
{
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let account = account(&acme(), "pro_1", "mca_1");
    let (profile, id) = (&account.profile_id, &account.connector_account_id);
    assert_eq!(store.put_account(&account, at(1)).await?, Claimed::New);
    let key = account.api_key.clone().expect("the sample has one");

    let at_the_door = BillingAccount {
        api_key: None,
        ..account.clone()
    };
    assert_eq!(store.billing_account(profile, id).await?, Some(at_the_door));
    let mut behind = RecoveryAccount {
        tenant: acme(),
        platform: account.platform,
        api_key: ApiKey::Open(key),
        settings: account.settings.clone(),
    };
    let read = store.recovery_account(&acme(), profile, id).await?;
    assert_eq!(read.as_ref(), Some(&behind));
    let other = tenant("other");
    let theirs = store.recovery_account(&other, profile, id).await?;
    assert_eq!(theirs, None);

    let without = BillingAccount {
        api_key: None,
        ..account.clone()
    };
    let put = store.put_account(&without, at(2)).await?;
    assert_eq!(put, Claimed::Replaced);
    behind.api_key = ApiKey::Absent;
    let read = store.recovery_account(&acme(), profile, id).await?;
    assert_eq!(read, Some(behind));
    Ok(())
}

#[tokio::test]
async fn an_account_that_was_just_made_is_there_for_whoever_acts_on_its_absence() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let account = account(&acme(), "pro_1", "mca_1");
    let (profile, id) = (&account.profile_id, &account.connector_account_id);
    assert_eq!(store.put_account(&account, at(1)).await?, Claimed::New);
    table.faults.next("GetItem", Fault::Unseen);
    let read = store.recovery_account(&acme(), profile, id).await?;
    assert!(read.is_some());
    table.faults.next("GetItem", Fault::Unseen);
    let terms = store.terms(&acme(), profile, id).await?;
    assert!(terms.is_some());
    assert_eq!(table.faults.left(), 0);
    Ok(())
}

#[tokio::test]
async fn a_pair_of_ids_belongs_to_the_first_tenant_that_claims_it() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let mine = account(&acme(), "pro_1", "mca_1");
    let theirs = account(&tenant("other"), "pro_1", "mca_1");
    let (profile, id) = (&mine.profile_id, &mine.connector_account_id);
    assert_eq!(store.put_account(&mine, at(1)).await?, Claimed::New);
    assert_eq!(store.put_account(&theirs, at(2)).await?, Claimed::Taken);
    let read = store.account(&acme(), profile, id).await?;
    assert_eq!(read.map(|record| record.account), Some(mine.clone()));
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
    let tenants: Vec<_> = (0..8).map(|n| tenant(&format!("t{n}"))).collect();
    let store = table.store_of(&tenants).await?;
    let claims: Vec<_> = tenants
        .iter()
        .map(|tenant| account(tenant, "pro_1", "mca_1"))
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
    let store = table.store_of(&[acme()]).await?;
    let publisher = |secret: &str, second| PublisherRecord {
        tenant: acme(),
        secrets: vec![Secret::new(secret)],
        tolerance: SignedDuration::from_secs(second),
        created_at: at(second),
    };
    assert_eq!(store.rafiki(&acme()).await?, None);
    assert_eq!(store.put_rafiki(&publisher("one", 1)).await?, Put::New);
    assert_eq!(store.put_rafiki(&publisher("two", 2)).await?, Put::Replaced);
    let want = PublisherRecord {
        created_at: at(1),
        ..publisher("two", 2)
    };
    assert_eq!(store.rafiki(&acme()).await?.as_ref(), Some(&want));
    assert_eq!(store.payment_backend(&acme()).await?, Some(want));
    assert!(store.delete_rafiki(&acme()).await?);
    assert!(!store.delete_rafiki(&acme()).await?);
    Ok(())
}

#[tokio::test]
async fn no_secret_rests_in_clear_and_none_opens_in_another_item() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let shop = kept(&endpoint(&acme(), "shop", "whsec_new"), 1);
    assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
    assert_eq!(
        store
            .put_account(&account(&acme(), "pro_1", "mca_1"), at(1))
            .await?,
        Claimed::New
    );
    let publisher = PublisherRecord {
        tenant: acme(),
        secrets: vec![Secret::new("rafiki_hush")],
        tolerance: TOLERANCE,
        created_at: at(1),
    };
    assert_eq!(store.put_rafiki(&publisher).await?, Put::New);
    assert_eq!(
        store.put_key(&key(&acme(), "key_1"), "aa11").await?,
        Put::New
    );

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
    let got = store
        .endpoint(&tenant("other"), &endpoint_id("shop"))
        .await?
        .expect("it is there");
    assert_eq!(got.secrets, []);
    assert_eq!(got.locked.len(), shop.endpoint.secrets.len());
    Ok(())
}

#[tokio::test]
async fn with_a_tenant_goes_everything_that_let_it_in_and_nothing_of_others() -> Result<()> {
    let table = Table::start().await?;
    let other = tenant("other");
    let store = table.store_of(&[acme(), other.clone()]).await?;
    for (n, tenant) in [(1, acme()), (2, other.clone())] {
        for m in 0..30 {
            let shop = kept(&endpoint(&tenant, &format!("shop{m}"), "whsec_new"), 1);
            assert_eq!(store.put_endpoint(&shop, None).await?, Put::New);
            let key = key(&tenant, &format!("key{m}"));
            let put = store.put_key(&key, &format!("hash-{n}-{m}")).await?;
            assert_eq!(put, Put::New);
        }
        let account = account(&tenant, &format!("pro_{n}"), "mca_1");
        assert_eq!(store.put_account(&account, at(1)).await?, Claimed::New);
        let secrets = vec![Secret::new("x")];
        let publisher = PublisherRecord {
            tenant,
            secrets,
            tolerance: TOLERANCE,
            created_at: at(1),
        };
        assert_eq!(store.put_rafiki(&publisher).await?, Put::New);
    }

    assert!(store.delete_tenant(&acme(), at(2)).await?);
    assert!(!store.delete_tenant(&acme(), at(2)).await?);
    let dump = table.dump().await?;
    assert_eq!(
        dump.matches("acme").count(),
        1,
        "only that its name rests: {dump}"
    );
    assert!(
        !dump.contains("hash-1-") && !dump.contains("pro_1"),
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
