//! What a platform told of a thin notification: kept once, for longer than it is sent again.

use anyhow::Result;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::event::{EventType, Json, Source};
use shared::ids::{ConnectorAccountId, ProfileId, SignalId};
use shared::platform::{Enriched, Ignored, Platform, Thin};
use shared::recovery::Enrichment;
use shared::store::Enrichments;
use tests::sample::{acme, at, tenant};
use tests::table::Table;

fn thin(id: &str) -> Result<Thin> {
    Ok(Thin {
        id: SignalId::parse(id)?,
        platform: Platform::Stripe,
        profile_id: ProfileId::parse("pro_1")?,
        connector_account_id: ConnectorAccountId::parse("mca_1")?,
        platform_type: EventType::parse("invoice.paid")?,
        at: at(1),
        notification: Json::parse("{}".to_owned())?,
        told: None,
    })
}

#[tokio::test]
async fn the_first_that_is_kept_of_a_notification_stays() -> Result<()> {
    let table = Table::start().await?;
    let (store, acme) = (table.store(), acme());
    let notification = thin("evt#1")?;
    assert_eq!(store.enriched(&acme, &notification).await?, None);
    let ignored = Enriched::Ignored(Ignored {
        id: notification.id.clone(),
        source: Source::new("stripe"),
        platform_type: notification.platform_type.clone(),
        at: at(1),
    });
    let kept = store.keep_enriched(&acme, &notification, ignored.clone(), at(5));
    assert_eq!(kept.await?, ignored);
    let unknown = Enriched::Unknown(Enrichment::Refused);
    let kept = store.keep_enriched(&acme, &notification, unknown.clone(), at(6));
    assert_eq!(kept.await?, ignored);
    let read = store.enriched(&acme, &notification).await?;
    assert_eq!(read, Some(ignored));

    let other = tenant("other");
    assert_eq!(store.enriched(&other, &notification).await?, None);
    let another = thin("evt#2")?;
    assert_eq!(store.enriched(&acme, &another).await?, None);
    let kept = store.keep_enriched(&acme, &another, unknown.clone(), at(6));
    assert_eq!(kept.await?, unknown);

    let items = table
        .client
        .scan()
        .table_name(&table.name)
        .send()
        .await?
        .items
        .unwrap_or_default();
    let mut expiries: Vec<_> = items.iter().filter_map(|item| item.get("ttl")).collect();
    expiries.sort_by_key(|value| format!("{value:?}"));
    let days = |from: i64| AttributeValue::N((at(from).as_second() + 10 * 24 * 3600).to_string());
    assert_eq!(expiries, [&days(5), &days(6)]);
    Ok(())
}
