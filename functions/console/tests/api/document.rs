//! The OpenAPI document and the router say the same.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use console::handler::paths;
use serde_json::Value;

use crate::support::World;

/// The operations of the document, as method and path, without those of other functions.
pub(crate) fn documented() -> BTreeSet<(String, String)> {
    let document = console::openapi::document();
    let paths = document
        .get("paths")
        .and_then(Value::as_object)
        .expect("it has paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object()
            .into_iter()
            .flatten()
            .map(move |(method, _)| (method.to_uppercase(), path.clone()))
    });
    operations
        .filter(|(_, path)| path.starts_with("/v1/"))
        .filter(|(_, path)| !path.ends_with("/decisions") && !path.ends_with("/attempts"))
        .filter(|(_, path)| !console::openapi::ANCHOR_PATHS.contains(&path.as_str()))
        .collect()
}

/// A path with something in place of its `{names}`.
pub(crate) fn filled(path: &str, fill: impl Fn(&str) -> String) -> String {
    let part = |part: &str| match part
        .strip_prefix('{')
        .and_then(|part| part.strip_suffix('}'))
    {
        Some(name) => fill(name),
        None => part.to_owned(),
    };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_operation_has_a_route() {
    let world = World::start().await;
    let mut routed = BTreeSet::new();
    for path in paths() {
        let request = Request::builder()
            .method("PROBE")
            .uri(filled(path, |_| "x".into()))
            .body(Body::empty());
        let answer = world.send(request.expect("a valid request")).await;
        assert_eq!(answer.status, 405, "{path}");
        // HEAD is answered wherever GET is, and needs no words of its own.
        let methods = answer.header("allow");
        let methods = methods.split(',').filter(|method| *method != "HEAD");
        routed.extend(methods.map(|method| (method.to_owned(), path.to_owned())));
    }
    assert_eq!(routed, documented());
}

#[tokio::test]
async fn the_document_is_served_to_anybody() {
    let world = World::start().await;
    let request = Request::builder()
        .uri("/v1/openapi.json")
        .body(Body::empty())
        .expect("a valid request");
    let answer = world.send(request).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, "application/json".to_owned())
    );
    assert_eq!(answer.body, console::openapi::document());
    for path in [
        "/v2/webhooks/revenue_recovery/{profile_id}/{connector_account_id}",
        "/v2/webhooks/recovery/{merchant_id}/{profile_id}/{connector_id}",
    ] {
        let responses = answer.body["paths"][path]["post"]["responses"]
            .as_object()
            .expect("it is documented");
        let statuses: Vec<_> = responses.keys().collect();
        assert_eq!(
            statuses,
            ["200", "400", "401", "404", "405", "413", "415", "503"],
            "{path}"
        );
    }
}
