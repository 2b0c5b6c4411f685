//! Messages set aside: once, sealed, whole, and listed newest first.

use anyhow::Result;
use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use shared::entropy::{Entropy, SeededEntropy};
use shared::ids::TenantId;
use shared::queue::{Queue, Receipt, Received};
use shared::store::{Cause, Quarantine, QuarantineAdmin, Quarantined};
use tests::sample::{acme, at, tenant};
use tests::table::Table;

pub(crate) fn entry(
    message: &str,
    body: String,
    tenant: Option<TenantId>,
    now: Timestamp,
) -> Quarantined {
    let receipt = Receipt("receipt".into());
    let received = Received {
        id: message.to_owned(),
        receipt,
        body,
        count: 3,
        sent: at(0),
        group: None,
    };
    Quarantined::new(Queue::Recover, &received, Cause::Panicked, tenant, now)
}

/// Text that hardly deflates.
pub(crate) fn noise(bytes: usize) -> String {
    let entropy: &dyn Entropy = &SeededEntropy::new(7);
    let mut drawn = vec![0; bytes / 4 * 3];
    entropy.fill(&mut drawn);
    BASE64.encode(&drawn)
}

#[tokio::test]
async fn a_message_of_any_size_comes_back_whole_and_rests_sealed() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let sizes = [0, 1, 1000, 900 * 1024, 1024 * 1024];
    for size in sizes {
        let entry = entry(&format!("m{size}"), noise(size), Some(acme()), at(1));
        store.quarantine(&entry).await?;
        assert_eq!(
            store.find_quarantined(&entry.id).await?,
            Some(entry),
            "{size} bytes"
        );
    }
    let poison = entry("poison", "no task at all: hush".to_owned(), None, at(2));
    store.quarantine(&poison).await?;
    assert_eq!(store.find_quarantined(&poison.id).await?, Some(poison));
    Ok(())
}

#[tokio::test]
async fn a_body_is_not_readable_in_the_table() -> Result<()> {
    let table = Table::start().await?;
    let body = "hush";
    table
        .store()
        .quarantine(&entry("m", body.repeat(3), None, at(1)))
        .await?;
    let dump = table.dump().await?;
    assert!(
        !dump.contains("hush") && !dump.contains(&HEXLOWER.encode(b"hush")),
        "{dump}"
    );
    Ok(())
}

#[tokio::test]
async fn setting_aside_twice_keeps_the_first() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for size in [10, 900 * 1024] {
        let first = entry(&format!("m{size}"), noise(size), Some(acme()), at(1));
        let second = Quarantined {
            cause: Cause::Stuck,
            count: 9,
            at: at(2),
            ..first.clone()
        };
        store.quarantine(&first).await?;
        store.quarantine(&second).await?;
        assert_eq!(
            store.find_quarantined(&first.id).await?,
            Some(first),
            "{size} bytes"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_list_is_newest_first_in_pages_and_a_tenant_sees_its_own() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let mut all = Vec::new();
    for n in 0..23_i64 {
        let owner = (n % 3 != 0).then(|| if n % 3 == 1 { acme() } else { tenant("other") });
        let entry = entry(&format!("m{n}"), format!("body {n}"), owner, at(n / 4));
        store.quarantine(&entry).await?;
        all.push(entry);
    }
    all.sort_by(|a, b| (b.at, b.id.as_str()).cmp(&(a.at, a.id.as_str())));
    let mine: Vec<_> = all
        .iter()
        .filter(|entry| entry.tenant == Some(acme()))
        .cloned()
        .collect();
    for (tenant, want) in [(None, all), (Some(acme()), mine)] {
        for limit in [1, 4, 5, 23, 50] {
            let mut got = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let page = store
                    .quarantined(tenant.as_ref(), after.as_deref(), limit)
                    .await?;
                assert!(page.items.len() <= limit);
                got.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(got, want, "pages of {limit} for {tenant:?}");
        }
    }
    for nonsense in ["", "!", "~~~", "1.2.3", "#"] {
        store.quarantined(None, Some(nonsense), 5).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_forgotten_leaves_nothing_behind() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    let entry = entry("m", noise(900 * 1024), Some(acme()), at(1));
    assert_eq!(store.count_panic(entry.queue, "m", at(0)).await?, 1);
    store.quarantine(&entry).await?;
    assert!(store.forget_quarantined(&entry.id).await?);
    assert!(!store.forget_quarantined(&entry.id).await?);
    assert_eq!(store.find_quarantined(&entry.id).await?, None);
    assert_eq!(table.dump().await?, "");
    Ok(())
}

#[tokio::test]
async fn panics_are_counted_per_message_of_a_queue() -> Result<()> {
    let table = Table::start().await?;
    let store = table.store();
    for want in 1..=3 {
        assert_eq!(store.count_panic(Queue::Deliver, "m1", at(1)).await?, want);
    }
    assert_eq!(store.count_panic(Queue::Deliver, "m2", at(1)).await?, 1);
    assert_eq!(store.count_panic(Queue::Fanout, "m1", at(1)).await?, 1);
    Ok(())
}
