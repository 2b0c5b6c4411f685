//! Answers that no platform documents, for the law that reading one never panics.

use proptest::prelude::*;
use serde_json::{Map, Value};

/// Any text, any JSON, or one of `documents` with anything at all in one of its places.
pub(super) fn any_answer(documents: &'static [&'static str]) -> impl Strategy<Value = String> {
    let altered = (
        prop::sample::select(documents),
        any::<prop::sample::Index>(),
        any_json(),
    )
        .prop_map(|(document, place, value)| altered(document, place, value));
    prop_oneof![".*", any_json().prop_map(|json| json.to_string()), altered]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,8}", inner, 0..4)
                .prop_map(|fields| Value::Object(Map::from_iter(fields))),
        ]
    })
}

fn altered(document: &str, place: prop::sample::Index, value: Value) -> String {
    let mut json: Value = serde_json::from_str(document).expect("the fixtures are JSON");
    let mut places = Vec::new();
    collect(&json, String::new(), &mut places);
    let place = place.get(&places);
    if let Some(at) = json.pointer_mut(place) {
        *at = value;
    }
    json.to_string()
}

fn collect(json: &Value, at: String, places: &mut Vec<String>) {
    match json {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{at}/{index}"), places);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    places.push(at);
}
