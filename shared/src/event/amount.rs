//! Amounts as payment backends write them: a whole number in a string, with the asset it counts.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::field::{Text, object_of, text};

/// An amount of an asset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amount {
    /// How much, in units of `10^-asset_scale` of the asset.
    pub value: Units,
    /// The asset's code, such as `USD`.
    pub asset_code: Text,
    /// How many decimal digits the asset is counted in.
    pub asset_scale: u8,
}

/// The members of an amount.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Members {
    value: Units,
    asset_code: Text,
    asset_scale: u8,
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let rule = "an object of `value`, `assetCode` and `assetScale`";
        let members: Members = object_of(json, rule)?;
        Ok(Self {
            value: members.value,
            asset_code: members.asset_code,
            asset_scale: members.asset_scale,
        })
    }
}

/// A count of an asset's smallest units: an unsigned 64-bit integer, written as a string because it may be more than a
/// JSON number carries exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Units(pub u64);

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, json: S) -> Result<S::Ok, S::Error> {
        json.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let rule =
            "a string of an integer from 0 to 18446744073709551615, without sign or leading zeros";
        text(json, rule, |text| {
            let canonical =
                text == "0" || text.starts_with(|first: char| matches!(first, '1'..='9'));
            canonical.then(|| text.parse().ok().map(Self)).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_strings_of_unsigned_64_bit_integers_and_nothing_else() {
        let units = |json: &str| serde_json::from_str::<Units>(json).ok();
        let cases = [
            (r#""0""#, Some(0)),
            (r#""1040""#, Some(1040)),
            (r#""18446744073709551615""#, Some(u64::MAX)),
            (r#""18446744073709551616""#, None),
            (r#""-1""#, None),
            (r#""+1""#, None),
            (r#""01""#, None),
            (r#""1.0""#, None),
            (r#""1e3""#, None),
            (r#"" 1""#, None),
            (r#""""#, None),
            ("1040", None),
        ];
        for (json, want) in cases {
            assert_eq!(units(json), want.map(Units), "{json}");
        }
        assert_eq!(
            serde_json::to_string(&Units(7)).ok().as_deref(),
            Some(r#""7""#)
        );
    }
}
