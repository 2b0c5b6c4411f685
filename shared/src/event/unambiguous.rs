//! JSON that can be read in one way only. Where an object names a member twice, some readers take the first and some the last:
//! it could be signed as one thing and acted on as another.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Number, Value};

use super::FieldError;

/// So many characters of a path are told: somebody may have made up a very long name.
const PATH_MOST: usize = 128;

/// Reads JSON of any form in which no object names a member twice. What passes has a canonical form, so it can be signed.
///
/// # Errors
/// The member that stands there twice, or `body` and where the text stops being JSON.
pub fn unambiguous(json: &str) -> Result<Value, FieldError> {
    let error = match serde_json::from_str(json) {
        Ok(Unambiguous(value)) => return Ok(value),
        Err(error) => error,
    };
    if error.is_data() {
        // Keeping track of the path takes longer than reading, so only what does not fit is read with it.
        let mut parser = serde_json::Deserializer::from_str(json);
        let read = serde_path_to_error::deserialize::<_, Unambiguous>(&mut parser);
        let path = read.err().map(|error| error.path().to_string());
        return Err(FieldError {
            field: path.unwrap_or_default().chars().take(PATH_MOST).collect(),
            rule: "stands there twice".to_owned(),
        });
    }
    let (line, column) = (error.line(), error.column());
    Err(FieldError {
        field: "body".to_owned(),
        rule: format!("is not JSON at line {line}, column {column}"),
    })
}

struct Unambiguous(Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unambiguous(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key_seed(NewName(&object))? {
            let Unambiguous(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

/// Reads a name that these members do not have yet.
struct NewName<'a>(&'a Map<String, Value>);

impl<'de> DeserializeSeed<'de> for NewName<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        let name = String::deserialize(json)?;
        match self.0.contains_key(&name) {
            false => Ok(name),
            true => Err(D::Error::custom("a name that was read before")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_object_names_a_member_twice_however_deep_and_however_it_is_spelt() {
        let cases = [
            (r#"{"a":1,"a":1}"#, "a"),
            (
                r#"{"data":{"x":[{"b":1},{"b":1,"c":{},"b":2}]}}"#,
                "data.x[1].b",
            ),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"[{"":1,"":2}]"#, "[0]."),
        ];
        for (json, field) in cases {
            let wrong = unambiguous(json).map_err(|wrong| wrong.to_string());
            assert_eq!(
                wrong,
                Err(format!("`{field}` stands there twice")),
                "{json}"
            );
        }
        let long = format!(r#"{{"{0}":1,"{0}":2}}"#, "n".repeat(500));
        let wrong = unambiguous(&long).map_err(|wrong| wrong.field.len());
        assert_eq!(wrong, Err(PATH_MOST));
    }

    #[test]
    fn what_passes_is_read_as_it_is() {
        for json in [
            r#"{"a":[12345678901234567890,-7,1e21,0.5,"\ud83d\ude00",null,true,{}],"b":{"a":{"a":1}}}"#,
            "7",
            r#""text""#,
        ] {
            let usual: Value = serde_json::from_str(json).expect("it is JSON");
            assert_eq!(unambiguous(json), Ok(usual), "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place_and_is_not_quoted() {
        let deep = "[".repeat(200);
        let cases = [
            ("", "`body` is not JSON at line 1, column 0"),
            ("hush", "`body` is not JSON at line 1, column 1"),
            ("{} x", "`body` is not JSON at line 1, column 4"),
            (&deep, "`body` is not JSON at line 1, column 128"),
            (r#""\ud800""#, "`body` is not JSON at line 1, column 8"),
            ("1e400", "`body` is not JSON at line 1, column 5"),
        ];
        for (json, want) in cases {
            let wrong = unambiguous(json).map_err(|wrong| wrong.to_string());
            assert_eq!(wrong, Err(want.to_owned()), "{json}");
        }
    }
}
