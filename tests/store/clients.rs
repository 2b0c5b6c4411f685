//! Anchors' configuration: sealed, gone with its tenant, one space of names with endpoints; and where callbacks go by it.

use std::collections::BTreeSet;

use anyhow::Result;
use jiff::Timestamp;
use shared::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, Client, ErasePayloads, Mapping, Registration,
    Sep10, SigningKeys, TransactionStatus,
};
use shared::delivery::{Breaker, BreakerPolicy, Endpoint, LiveSecret, Scheme};
use shared::event::{Callback, Role, Sep, Via};
use shared::ids::{CustomerId, TenantId};
use shared::secret::Secret;
use shared::store::dynamo::DynamoStore;
use shared::store::{
    AnchorAdmin, Anchors, CallbackTarget, EndpointAdmin, Lines, Put, Read, Registrations, Saved,
    StoreError, Tenants, Transactions, Version,
};
use tests::sample::{
    acme, at, client, customer_line, endpoint, endpoint_id, tenant, transaction, transaction_id,
    transaction_line,
};
use tests::table::Table;

use crate::config::kept;
use crate::lines::alone;

fn customer(id: &str) -> CustomerId {
    CustomerId::parse(id).expect("a valid id")
}

/// What the client `wallet` put for a customer.
pub(crate) fn registration(of: &str, url: &str) -> Registration {
    Registration {
        client: endpoint_id("wallet"),
        customer: customer(of),
        url: url.to_owned(),
        ended: BTreeSet::new(),
        registered_at: at(1),
    }
}

fn settings() -> AnchorSettings {
    AnchorSettings {
        tenant: acme(),
        business_server: BusinessServer {
            base_url: "https://anchor.example/api".to_owned(),
            auth: BusinessAuth::ApiKey {
                header: "X-Api-Key".to_owned(),
                key: Secret::new("hush-server"),
            },
        },
        rpc_secret: Some(Secret::new("hush-rpc")),
        sep10: Some(Sep10 {
            issuer: "https://anchor.example/auth".to_owned(),
            audience: Some("anchor.example".to_owned()),
            secret: Secret::new("hush-sep10"),
        }),
        status_map: Mapping::AnchorPlatform,
        erase_payloads: ErasePayloads::AfterDelivery,
        created_at: at(1),
    }
}

fn seeds(next: Option<(&str, Timestamp)>) -> SigningKeys {
    SigningKeys {
        current: Secret::new("SCURRENT"),
        next: next.map(|(seed, from)| (Secret::new(seed), from)),
    }
}

#[tokio::test]
async fn settings_come_back_with_their_secrets_open_and_rest_sealed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    assert_eq!(store.anchor(&acme()).await?, None);
    let full = settings();
    let plain = AnchorSettings {
        rpc_secret: None,
        sep10: None,
        business_server: BusinessServer {
            auth: BusinessAuth::None,
            ..full.business_server.clone()
        },
        ..full.clone()
    };
    let jwt = BusinessAuth::Jwt {
        secret: Secret::new("hush-jwt"),
    };
    let jwt = AnchorSettings {
        business_server: BusinessServer {
            auth: jwt,
            ..full.business_server.clone()
        },
        ..full.clone()
    };
    let mut read = None;
    for (settings, version, put) in [
        (full, 1, Put::New),
        (plain, 2, Put::Replaced),
        (jwt, 3, Put::Replaced),
    ] {
        assert_eq!(store.put_anchor(&settings, read).await?, put);
        assert_eq!(store.put_anchor(&settings, read).await?, Put::Lost);
        let dump = table.dump().await?;
        assert!(!dump.contains("hush"), "a secret rests in clear");
        read = Some(Version(version));
        let want = Read {
            value: settings,
            version: Version(version),
        };
        assert_eq!(store.anchor(&acme()).await?, Some(want));
    }
    assert_eq!(store.anchor(&tenant("other")).await?, None);
    let locked = table
        .store_sealing(crate::locked::ANOTHER)?
        .anchor(&acme())
        .await;
    assert!(
        matches!(locked, Err(StoreError::Corrupt { .. })),
        "{locked:?}"
    );
    assert!(store.delete_anchor(&acme()).await?);
    assert!(!store.delete_anchor(&acme()).await?);
    let nowhere = AnchorSettings {
        tenant: tenant("nobody"),
        ..settings()
    };
    assert_eq!(store.put_anchor(&nowhere, None).await?, Put::NoTenant);
    Ok(())
}

#[tokio::test]
async fn signing_keys_come_back_open_and_rest_sealed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    assert_eq!(store.signing_keys(&acme()).await?, None);
    let mut read = None;
    for (n, keys) in [(1, seeds(None)), (2, seeds(Some(("SNEXT", at(9)))))] {
        let want = if n == 1 { Put::New } else { Put::Replaced };
        assert_eq!(store.put_signing_keys(&acme(), &keys, read).await?, want);
        assert_eq!(
            store.put_signing_keys(&acme(), &keys, read).await?,
            Put::Lost
        );
        read = Some(Version(n));
        let want = Read {
            value: keys,
            version: Version(n),
        };
        assert_eq!(store.signing_keys(&acme()).await?, Some(want));
    }
    let dump = table.dump().await?;
    assert!(!dump.contains("SCURRENT") && !dump.contains("SNEXT"));
    assert!(store.delete_signing_keys(&acme()).await?);
    assert!(!store.delete_signing_keys(&acme()).await?);
    let put = store
        .put_signing_keys(&tenant("nobody"), &seeds(None), None)
        .await?;
    assert_eq!(put, Put::NoTenant);
    Ok(())
}

#[tokio::test]
async fn clients_come_back_by_name_and_only_to_their_tenant() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let (wallet, lobby) = (client(&acme(), "wallet"), client(&acme(), "lobby"));
    for client in [&wallet, &lobby] {
        assert_eq!(store.put_client(client, None).await?, Put::New);
        assert_eq!(store.put_client(client, None).await?, Put::Lost);
    }
    let changed = Client {
        latest_only: false,
        ..wallet.clone()
    };
    assert_eq!(
        store.put_client(&changed, Some(Version(1))).await?,
        Put::Replaced
    );
    assert_eq!(
        store.put_client(&changed, Some(Version(1))).await?,
        Put::Lost
    );
    assert_eq!(
        store.clients(&acme()).await?,
        [lobby.clone(), changed.clone()]
    );
    let want = Read {
        value: changed,
        version: Version(2),
    };
    assert_eq!(store.client(&acme(), &wallet.id).await?, Some(want));
    assert_eq!(store.clients(&tenant("other")).await?, []);
    assert_eq!(store.client(&tenant("other"), &wallet.id).await?, None);
    assert!(!store.delete_client(&tenant("other"), &wallet.id).await?);
    assert!(store.delete_client(&acme(), &wallet.id).await?);
    assert!(!store.delete_client(&acme(), &wallet.id).await?);
    assert_eq!(store.clients(&acme()).await?, [lobby]);
    let put = store
        .put_client(&client(&tenant("nobody"), "wallet"), None)
        .await?;
    assert_eq!(put, Put::NoTenant);
    Ok(())
}

#[tokio::test]
async fn a_client_and_an_endpoint_can_not_have_the_same_name() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme(), tenant("other")]).await?;
    let both = |tenant: &TenantId| {
        (
            client(tenant, "wallet"),
            kept(&endpoint(tenant, "wallet", "whsec_new"), 1),
        )
    };
    let (wallet, clashing) = both(&acme());
    assert_eq!(store.put_client(&wallet, None).await?, Put::New);
    assert_eq!(store.put_endpoint(&clashing, None).await?, Put::NameTaken);
    assert_eq!(
        store.put_client(&wallet, Some(Version(1))).await?,
        Put::Replaced
    );
    assert!(store.delete_client(&acme(), &wallet.id).await?);
    assert_eq!(store.put_endpoint(&clashing, None).await?, Put::New);
    assert_eq!(store.put_client(&wallet, None).await?, Put::NameTaken);
    assert_eq!(
        store.put_endpoint(&clashing, Some(Version(1))).await?,
        Put::Replaced
    );
    let theirs = client(&tenant("other"), "wallet");
    assert_eq!(store.put_client(&theirs, None).await?, Put::New);
    Ok(())
}

#[tokio::test]
async fn a_registration_is_good_for_the_client_it_was_made_with() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let wallet = client(&acme(), "wallet");
    let first = registration("cus#1", "https://wallet.example/1");
    let find = async || {
        let found = store
            .registration(&acme(), &wallet.id, &customer("cus#1"))
            .await?;
        anyhow::Ok(found.map(|read| read.value))
    };
    assert_eq!(
        store.put_registration(&acme(), &first).await?,
        Put::NoTenant
    );
    assert_eq!(find().await?, None);
    assert_eq!(store.put_client(&wallet, None).await?, Put::New);
    assert_eq!(store.put_registration(&acme(), &first).await?, Put::New);
    assert_eq!(find().await?, Some(first.clone()));
    let second = registration("cus#1", "https://wallet.example/2");
    assert_eq!(
        store.put_registration(&acme(), &second).await?,
        Put::Replaced
    );
    assert_eq!(find().await?, Some(second.clone()));
    let changed = Client {
        latest_only: false,
        ..wallet.clone()
    };
    assert_eq!(
        store.put_client(&changed, Some(Version(1))).await?,
        Put::Replaced
    );
    assert_eq!(find().await?, Some(second));

    assert!(store.delete_client(&acme(), &wallet.id).await?);
    assert_eq!(find().await?, None);
    let anew = Client {
        created_at: at(2),
        ..wallet.clone()
    };
    assert_eq!(store.put_client(&anew, None).await?, Put::New);
    assert_eq!(find().await?, None, "it was another client's");
    assert_eq!(store.put_registration(&acme(), &first).await?, Put::New);
    assert_eq!(find().await?, Some(first));
    Ok(())
}

/// What callbacks of the client `wallet` go to.
fn target(url: &str, seed: &str) -> CallbackTarget {
    let of = client(&acme(), "wallet");
    CallbackTarget {
        endpoint: Endpoint {
            tenant: acme(),
            id: of.id,
            url: url.to_owned(),
            role: Role::Wallet,
            scheme: Scheme::Stellar,
            secrets: vec![LiveSecret {
                secret: Secret::new(seed),
                until: None,
            }],
            locked: Vec::new(),
            filter: None,
            policy: of.policy,
            deadline: of.deadline,
            useful_for: None,
            signed_host: of.signed_host,
            breaker: BreakerPolicy::default(),
            decision_url: None,
            state: of.state,
        },
        breaker: Breaker::default(),
        latest_only: true,
        erase: false,
    }
}

fn callback(via: Via) -> Callback {
    Callback {
        client: endpoint_id("wallet"),
        via,
        line: customer_line("cus_1"),
        number: 1,
    }
}

async fn go(store: &DynamoStore, via: Via, now: i64) -> Result<Option<CallbackTarget>> {
    Ok(store
        .callback_target(&acme(), &callback(via), at(now))
        .await?)
}

#[tokio::test]
async fn a_callback_goes_where_its_client_is_now() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let via = Via::Static { sep: Sep::Sep12 };
    let registered = Via::Registered {
        customer: customer("cus_1"),
    };
    let of_transaction = Via::Transaction {
        id: transaction_id("tx_1"),
    };
    assert_eq!(go(&store, via.clone(), 5).await?, None);
    let wallet = client(&acme(), "wallet");
    assert_eq!(store.put_client(&wallet, None).await?, Put::New);
    let keys = seeds(Some(("SNEXT", at(9))));
    assert_eq!(
        store.put_signing_keys(&acme(), &keys, None).await?,
        Put::New
    );
    table.meter.take();
    let sep12 = target("https://wallet.example/sep12", "SCURRENT");
    assert_eq!(go(&store, via.clone(), 8).await?, Some(sep12.clone()));
    assert_eq!(
        table.meter.take().len(),
        1,
        "all of it is read by one request"
    );
    let after = target("https://wallet.example/sep12", "SNEXT");
    assert_eq!(go(&store, via.clone(), 9).await?, Some(after));
    assert_eq!(go(&store, Via::Static { sep: Sep::Sep31 }, 5).await?, None);

    for missing in [&registered, &of_transaction] {
        assert_eq!(go(&store, missing.clone(), 5).await?, None);
    }
    let once = registration("cus_1", "https://wallet.example/once");
    assert_eq!(store.put_registration(&acme(), &once).await?, Put::New);
    let mut change = transaction("tx_1", TransactionStatus::Incomplete);
    let saved = store
        .save_change(&acme(), &alone(&change, None), at(1))
        .await?;
    assert_eq!(saved, Saved::Stored);
    table.meter.take();
    let want = target("https://wallet.example/once", "SCURRENT");
    assert_eq!(go(&store, registered, 5).await?, Some(want));
    let want = target("https://wallet.example/tx", "SCURRENT");
    assert_eq!(go(&store, of_transaction.clone(), 5).await?, Some(want));
    assert_eq!(table.meter.take().len(), 2, "each is read by one request");
    // What the wallet was to be told goes to no URL of another client, and to its own where the transaction has none any more.
    let rival = endpoint_id("rival");
    let (own, theirs) = (change.client.clone(), change.on_change_callback.clone());
    for (version, client, url) in [(1, Some(rival), theirs), (2, own, None)] {
        (change.client, change.on_change_callback) = (client, url);
        let step = alone(&change, Some(Version(version)));
        assert_eq!(
            store.save_change(&acme(), &step, at(1)).await?,
            Saved::Stored
        );
        let want = target("https://wallet.example/sep6", "SCURRENT");
        let got = go(&store, of_transaction.clone(), 5).await?;
        assert_eq!(got, Some(want), "{version}");
    }

    assert_eq!(store.put_anchor(&settings(), None).await?, Put::New);
    let erased = CallbackTarget {
        erase: true,
        ..sep12
    };
    assert_eq!(go(&store, via.clone(), 5).await?, Some(erased));
    assert!(store.delete_client(&acme(), &wallet.id).await?);
    assert_eq!(go(&store, via, 5).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_callback_that_nothing_can_sign_is_locked() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let via = Via::Static { sep: Sep::Sep12 };
    assert_eq!(
        store.put_client(&client(&acme(), "wallet"), None).await?,
        Put::New
    );
    let mut locked = target("https://wallet.example/sep12", "");
    locked.endpoint.secrets = Vec::new();
    locked.endpoint.locked = vec![None];
    assert_eq!(go(&store, via.clone(), 5).await?, Some(locked.clone()));
    assert_eq!(
        store.put_signing_keys(&acme(), &seeds(None), None).await?,
        Put::New
    );
    let without = table.store_sealing(crate::locked::ANOTHER)?;
    assert_eq!(go(&without, via.clone(), 5).await?, Some(locked));
    let open = target("https://wallet.example/sep12", "SCURRENT");
    assert_eq!(go(&store, via, 5).await?, Some(open));
    Ok(())
}

#[tokio::test]
async fn an_anchor_goes_with_its_tenant() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store_of(&[acme()]).await?;
    let wallet = client(&acme(), "wallet");
    assert_eq!(store.put_client(&wallet, None).await?, Put::New);
    assert_eq!(store.put_anchor(&settings(), None).await?, Put::New);
    assert_eq!(
        store.put_signing_keys(&acme(), &seeds(None), None).await?,
        Put::New
    );
    let once = registration("cus_1", "https://wallet.example/once");
    assert_eq!(store.put_registration(&acme(), &once).await?, Put::New);
    let line = transaction_line("tx_1");
    assert_eq!(store.newest(&acme(), &line).await?, 0);
    assert!(store.delete_tenant(&acme(), at(2)).await?);
    assert_eq!(store.clients(&acme()).await?, []);
    assert_eq!(store.anchor(&acme()).await?, None);
    assert_eq!(store.signing_keys(&acme()).await?, None);
    assert_eq!(
        store
            .registration(&acme(), &wallet.id, &once.customer)
            .await?,
        None
    );
    assert_eq!(store.put_client(&wallet, None).await?, Put::NoTenant);
    Ok(())
}
