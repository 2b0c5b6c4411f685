//! Struct, JSON Schema and sample of every type of the catalogue agree, on what they take and on what they refuse.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use super::{Envelope, Kind};

/// The schema of a type, ready to judge.
struct Judge {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Judge {
    fn of(kind: Kind) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.enable_format_assertions();
        let url = "https://payrelay.example/schema.json";
        compiler
            .add_resource(url, schema(kind))
            .expect("it is a resource");
        let index = compiler
            .compile(url, &mut schemas)
            .expect("it is a JSON Schema");
        Self { schemas, index }
    }

    fn takes(&self, event: &Value) -> bool {
        self.schemas.validate(event, self.index).is_ok()
    }
}

fn schema(kind: Kind) -> Value {
    serde_json::from_str(kind.schema()).expect("a schema is JSON")
}

fn sample(kind: Kind) -> Value {
    serde_json::from_str(kind.sample()).expect("a sample is JSON")
}

/// What is put in the place of each value: for each there is a field that must refuse it, and one that must not.
fn others() -> Vec<Value> {
    let long = "x".repeat(2049);
    vec![
        json!(null),
        json!(true),
        json!(7),
        json!(-1),
        json!(1.5),
        json!(256),
        json!(""),
        json!("x"),
        json!("USD"),
        json!("internal"),
        json!("7"),
        json!("007"),
        json!("-7"),
        json!("18446744073709551615"),
        json!("18446744073709551616"),
        json!("99999999999999999999"),
        json!("2026-08-17T12:00:00Z"),
        json!("2026-08-17T14:00:00.123456+02:00"),
        json!("2026-08-17 12:00:00Z"),
        json!("2026-02-30T12:00:00Z"),
        json!(long),
        json!({}),
        json!([]),
        json!({"value": "1", "assetCode": "USD", "assetScale": 2}),
        // The members of objects in their order, which a derived reader takes for the object.
        json!(["1", "USD", 2]),
        json!(["id", "USD", 2]),
        json!(["id", {}, null]),
        json!(["id", "2026-08-17T12:00:00Z"]),
        json!(["id", "2026-08-17T12:00:00Z", {"value": "1", "assetCode": "USD", "assetScale": 2}, null]),
        json!({"value": "1", "assetCode": "USD", "assetScale": 2, "more": 1}),
    ]
}

/// Every place below `at` of an event, the places that only the schema names among them.
fn places(at: &str, value: &Value, schema: &Value, found: &mut Vec<String>) {
    let mut names: Vec<&String> = value.as_object().into_iter().flat_map(Map::keys).collect();
    names.extend(
        schema
            .pointer("/properties")
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(Map::keys),
    );
    names.sort();
    names.dedup();
    for name in names {
        let place = format!("{at}/{name}");
        let inner = |of: &Value| of.get(name).cloned().unwrap_or_default();
        let below = schema.pointer("/properties").map(inner).unwrap_or_default();
        places(&place, &inner(value), &below, found);
        found.push(place);
    }
}

/// `event` with `value` at `place`, or without what is there.
fn changed(event: &Value, place: &str, value: Option<&Value>) -> Option<Value> {
    let mut event = event.clone();
    let (parent, name) = place.rsplit_once('/')?;
    let parent = event.pointer_mut(parent)?.as_object_mut()?;
    match value {
        Some(value) => parent.insert(name.to_owned(), value.clone()),
        None => parent.remove(name),
    };
    Some(event)
}

#[test]
fn a_schema_names_its_type_and_is_closed_around_the_payload_and_open_within() {
    for kind in Kind::ALL {
        let schema = schema(*kind);
        let name = kind.wire_name();
        let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
        let version = kind.version();
        assert_eq!(
            at("/$schema"),
            "https://json-schema.org/draft/2020-12/schema",
            "{name}"
        );
        assert_eq!(at("/$id"), format!("urn:payrelay:event:{name}:v{version}"));
        assert_eq!(at("/title"), name);
        assert_eq!(at("/properties/type/const"), name);
        assert_eq!(at("/additionalProperties"), false, "{name}");
        assert_eq!(
            at("/properties/data/additionalProperties"),
            Value::Null,
            "{name}"
        );
    }
}

#[test]
fn a_sample_fits_its_schema_and_comes_back_from_its_struct() {
    for kind in Kind::ALL {
        let sample = sample(*kind);
        assert!(Judge::of(*kind).takes(&sample), "{kind:?}");
        let mut data = sample.get("data").cloned().unwrap_or_default();
        let written = kind.rewritten(&data.to_string());
        if let Some(data) = data.as_object_mut() {
            data.retain(|_, value| !value.is_null());
        }
        assert_eq!(written, Ok(data), "{kind:?}");
    }
}

#[test]
fn schema_and_struct_refuse_the_same() {
    let (mut taken, mut refused) = (0, 0);
    for kind in Kind::ALL {
        let (judge, sample) = (Judge::of(*kind), sample(*kind));
        let mut all = vec!["/more".to_owned(), "/data/more".to_owned()];
        places("", &sample, &schema(*kind), &mut all);
        // Another type is another catalogue row's business.
        all.retain(|place| place != "/type");
        let others = others();
        let values = others.iter().map(Some).chain([None]);
        for (place, value) in all
            .iter()
            .flat_map(|place| values.clone().map(move |value| (place, value)))
        {
            let Some(event) = changed(&sample, place, value) else {
                continue;
            };
            let ours = Envelope::read(&event.to_string());
            assert_eq!(
                judge.takes(&event),
                ours.is_ok(),
                "{kind:?}: {place} = {value:?}, and the struct says {ours:?}"
            );
            if ours.is_ok() {
                taken += 1
            } else {
                refused += 1
            }
        }
    }
    assert!(
        taken > 1000 && refused > 1000,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn an_error_names_the_field_by_its_path_from_the_root() {
    let cases = [
        (
            Kind::IncomingPaymentCreated,
            "/data/receivedAmount/value",
            Some(json!(7)),
            "data.receivedAmount.value",
        ),
        (
            Kind::IncomingPaymentCreated,
            "/data/receivedAmount/assetScale",
            None,
            "data.receivedAmount.assetScale",
        ),
        (
            Kind::IncomingPaymentPartialPaymentReceived,
            "/data/receivedAmount/assetScale",
            Some(json!(256)),
            "data.receivedAmount.assetScale",
        ),
        (
            Kind::IncomingPaymentPartialPaymentReceived,
            "/data/partialIncomingPaymentId",
            None,
            "data.partialIncomingPaymentId",
        ),
        (
            Kind::OutgoingPaymentFunded,
            "/data/cardDetails/requestId",
            Some(json!("")),
            "data.cardDetails.requestId",
        ),
        (
            Kind::OutgoingPaymentCreated,
            "/data/debitAmount/more",
            Some(json!(1)),
            "data.debitAmount.more",
        ),
        (
            Kind::WalletAddressWebMonetization,
            "/data/walletAddress/receivedAmount",
            None,
            "data.walletAddress.receivedAmount",
        ),
        (
            Kind::AssetLiquidityLow,
            "/data/asset/scale",
            Some(json!("2")),
            "data.asset.scale",
        ),
        (
            Kind::GrantRevoked,
            "/data/revokedAt",
            Some(json!("now")),
            "data.revokedAt",
        ),
        (
            Kind::RecoveryRecovered,
            "/data/invoice_id",
            None,
            "data.invoice_id",
        ),
    ];
    for (kind, place, value, want) in cases {
        let event = changed(&sample(kind), place, value.as_ref()).expect("there is such a place");
        let field = Envelope::read(&event.to_string()).map_err(|error| error.field);
        assert_eq!(field.map(drop), Err(want.to_owned()), "{kind:?} {place}");
    }
}
