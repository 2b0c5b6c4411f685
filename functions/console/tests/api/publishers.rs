//! The Rafiki publisher: made, replaced, told without its secrets, removed.

use serde_json::json;

use crate::support::{START, World};

const PATH: &str = "/v1/tenants/acme/publishers/rafiki";
const SECRET: &str = "0Jm7QkS1vXb4Zt9RyN3w";

#[tokio::test]
async fn a_publisher_is_made_replaced_read_listed_and_removed() {
    let world = World::start().await;
    let refused = world.put(PATH, json!({"secrets": [SECRET]})).await;
    assert_eq!(
        refused.problem(),
        (404, "There is no tenant `acme` here.".to_owned())
    );
    world.tenant("acme").await;
    let missing = (404, "There is no publisher `rafiki` here.".to_owned());
    assert_eq!(world.get(PATH).await.problem(), missing);
    assert_eq!(
        world.get("/v1/tenants/acme/publishers").await.at("/data"),
        json!([])
    );

    let made = world.put(PATH, json!({"secrets": [SECRET]})).await;
    let want = json!({"publisher": "rafiki", "secret_count": 1, "tolerance_seconds": 300, "created_at": START});
    assert_eq!((made.status, &made.body), (201, &want));
    assert!(!world.dump().await.contains(SECRET), "it rests sealed");

    world.pass(60);
    let replaced = world
        .put(
            PATH,
            json!({"secrets": [SECRET, "fedcba9876543210"], "tolerance_seconds": 86_400}),
        )
        .await;
    let want = json!({"publisher": "rafiki", "secret_count": 2, "tolerance_seconds": 86_400, "created_at": START});
    assert_eq!((replaced.status, &replaced.body), (200, &want));
    assert_eq!(world.get(PATH).await.body, want);
    let listed = world.get("/v1/tenants/acme/publishers").await;
    assert_eq!(listed.body, json!({"data": [want], "next_cursor": null}));

    assert_eq!(world.delete(PATH).await.status, 204);
    assert_eq!(world.delete(PATH).await.problem(), missing);
}

#[tokio::test]
async fn each_wrong_field_is_named() {
    let cases = [
        (json!({}), "`secrets`: is missing"),
        (json!({"secrets": []}), "`secrets`: must hold 1 to 5"),
        (
            json!({"secrets": ["secret"]}),
            "`secrets[0]`: must be 16 to 256 characters",
        ),
        (
            json!({"secrets": [SECRET, "secretsecretsecret"]}),
            "`secrets[1]`: must not be a default or placeholder; draw it at random",
        ),
        (
            json!({"secrets": [SECRET], "tolerance_seconds": 0}),
            "`tolerance_seconds`: must be 1 to 86400",
        ),
        (
            json!({"secrets": [SECRET], "tolerance_seconds": 86_401}),
            "`tolerance_seconds`: must be 1 to 86400",
        ),
    ];
    let world = World::start().await;
    world.tenant("acme").await;
    for (body, detail) in cases {
        assert_eq!(
            world.put(PATH, body.clone()).await.problem(),
            (422, detail.to_owned()),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_publisher_and_an_endpoint_of_a_tenant_never_share_a_secret() {
    const OWN: &str = "/v1/tenants/acme/endpoints/ase";
    const OTHER: &str = "fedcba9876543210";
    let ase = |secrets| {
        let url = "https://ase.example/hook";
        json!({"url": url, "role": "ase", "scheme": "rafiki", "secrets": secrets})
    };
    let theirs = |field| {
        let rule = "must not be a secret of the publisher `rafiki`: whoever knows it can sign events; send another, or \
                    leave it out to have one made";
        (422, format!("`{field}`: {rule}"))
    };
    let world = World::start().await;
    world.tenant("acme").await;
    world.tenant("other").await;
    let made = world.put(PATH, json!({"secrets": [SECRET]})).await;
    assert_eq!(made.status, 201);

    let refused = world.put(OWN, ase(json!([OTHER, SECRET]))).await;
    assert_eq!(refused.problem(), theirs("secrets[1]"));
    assert_eq!(world.get(OWN).await.status, 404, "nothing was kept");
    assert_eq!(world.put(OWN, ase(json!([OTHER]))).await.status, 201);
    let rotate = format!("{OWN}/secrets");
    let refused = world.post(&rotate, json!({"secret": SECRET})).await;
    assert_eq!(refused.problem(), theirs("secret"));
    assert!(!refused.raw.contains(SECRET), "{refused:?}");

    let refused = world.put(PATH, json!({"secrets": [SECRET, OTHER]})).await;
    let rule = "must not be a secret of the endpoint `ase`: whoever knows it can sign events; have the publisher sign \
                with a new one";
    assert_eq!(refused.problem(), (422, format!("`secrets[1]`: {rule}")));
    assert!(!refused.raw.contains(OTHER), "{refused:?}");

    let elsewhere = "/v1/tenants/other/endpoints/ase";
    let made = world.put(elsewhere, ase(json!([SECRET]))).await;
    assert_eq!(made.status, 201, "tenants are judged one by one");
}
