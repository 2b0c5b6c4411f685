//! The canonical form of JSON, which Rafiki signs: it means what the document means, is its own canonical form, and does not
//! depend on how the document was written.

use serde_json::Value;
use shared::signature::rafiki::canonical;

/// Holds the laws; an input is a document.
///
/// # Panics
/// Where one is broken.
pub fn hold(input: &[u8]) {
    let Some(form) = canonical(input) else {
        return;
    };
    assert_eq!(
        canonical(&form).as_deref(),
        Some(form.as_slice()),
        "it is its own canonical form"
    );
    let document: Value = serde_json::from_slice(input).expect("what has a canonical form is JSON");
    let meant: Value = serde_json::from_slice(&form).expect("a canonical form is JSON");
    assert!(same(&document, &meant), "it means something else");
    let written = serde_json::to_vec(&document).expect("a JSON value has a JSON form");
    assert_eq!(
        canonical(&written).as_deref(),
        Some(form.as_slice()),
        "written again it has another"
    );
    let spaced = serde_json::to_vec_pretty(&document).expect("a JSON value has a JSON form");
    assert_eq!(
        canonical(&spaced).as_deref(),
        Some(form.as_slice()),
        "white space counts"
    );
    assert!(sorted(&form), "members are out of order");
}

/// Whether both are the same but for numbers, which are doubles.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one
            .as_f64()
            .is_some_and(|one| other.as_f64().is_some_and(|other| one == other)),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

/// Whether members stand in the order of their UTF-16 code units, as they are written.
fn sorted(form: &[u8]) -> bool {
    let mut parser = serde_json::Deserializer::from_slice(form);
    serde::Deserialize::deserialize(&mut parser).is_ok_and(|Sorted(sorted)| sorted)
}

struct Sorted(bool);

impl<'de> serde::Deserialize<'de> for Sorted {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Order)
    }
}

/// Looks at the order of members, which a map of values has lost.
struct Order;

impl<'de> serde::de::Visitor<'de> for Order {
    type Value = Sorted;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_str<E>(self, _: &str) -> Result<Sorted, E> {
        Ok(Sorted(true))
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Sorted, A::Error> {
        let mut all = true;
        while let Some(Sorted(sorted)) = items.next_element()? {
            all &= sorted;
        }
        Ok(Sorted(all))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<Sorted, A::Error> {
        let mut all = true;
        let mut last: Option<Vec<u16>> = None;
        while let Some((name, Sorted(sorted))) = members.next_entry::<String, Sorted>()? {
            let name: Vec<u16> = name.encode_utf16().collect();
            all &= sorted && last.as_ref().is_none_or(|last| *last < name);
            last = Some(name);
        }
        Ok(Sorted(all))
    }
}
