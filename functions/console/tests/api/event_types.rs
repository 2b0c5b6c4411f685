//! The catalogue of events, as it is served.

use serde_json::Value;
use shared::event::Kind;

use crate::support::World;

#[tokio::test]
async fn the_catalogue_is_served_to_any_key_with_schema_and_example() {
    let world = World::start().await;
    let key = world.tenant("acme").await;
    let list = world
        .call(&key, "GET", "/v1/event-types", Value::Null)
        .await;
    assert_eq!(list.status, 200);
    let types: Vec<_> = (0..Kind::ALL.len())
        .map(|place| list.text(&format!("/data/{place}/type")))
        .collect();
    let names: Vec<_> = Kind::ALL.iter().map(|kind| kind.wire_name()).collect();
    assert_eq!(types, names);
    assert_eq!(list.at("/next_cursor"), Value::Null);

    for (place, kind) in Kind::ALL.iter().enumerate() {
        let path = format!("/v1/event-types/{}", kind.wire_name());
        let one = world.get(&path).await;
        assert_eq!(one.status, 200, "{path}");
        assert_eq!(one.body, list.at(&format!("/data/{place}")), "{path}");
        let kept = |text| serde_json::from_str::<Value>(text).expect("it is JSON");
        assert_eq!(one.at("/schema"), kept(kind.schema()), "{path}");
        assert_eq!(one.at("/example"), kept(kind.sample()), "{path}");
    }
}

#[tokio::test]
async fn a_type_says_who_is_told_what_to_do_and_how_long_it_is_of_use() {
    let world = World::start().await;
    let one = world.get("/v1/event-types/wallet_address.not_found").await;
    assert_eq!(one.text("/told"), "ase");
    assert_eq!(one.text("/copied"), "operator");
    assert_eq!(one.text("/made_by"), "payment_backend");
    assert_eq!(one.at("/useful_for_ms"), 1500);
    assert_eq!(one.at("/version"), 1);
    assert!(
        one.text("/what_to_do").contains("createWalletAddress"),
        "{one:?}"
    );
    let other = world
        .get("/v1/event-types/incoming_payment.completed")
        .await;
    assert_eq!(other.text("/told_on_request"), "pos");
    assert_eq!(other.at("/useful_for_ms"), Value::Null);

    let ours = world.get("/v1/event-types/recovery.recovered").await;
    assert_eq!(ours.text("/made_by"), "payrelay");

    let (status, detail) = world.get("/v1/event-types/card.disputed").await.problem();
    assert_eq!(
        (status, detail.as_str()),
        (404, "There is no event type `card.disputed` here.")
    );
    let (status, detail) = world.get("/v1/event-types/a-b").await.problem();
    assert_eq!(status, 400);
    assert!(detail.starts_with("`type`: "), "{detail}");
}
