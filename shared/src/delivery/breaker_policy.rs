//! When the breaker of an endpoint opens, how long it waits, and how fast it lets go what waited: its settings.

use std::fmt;

use jiff::SignedDuration;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The word for a breaker that never opens by itself.
const OFF: &str = "off";

/// Whether an endpoint's failures open its breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerPolicy {
    /// Never: every delivery is tried by its own policy. The operator may still open it.
    Off,
    /// By these settings.
    On(BreakerSettings),
}

impl Default for BreakerPolicy {
    fn default() -> Self {
        Self::On(BreakerSettings::default())
    }
}

impl BreakerPolicy {
    /// The settings; of one that is off, the usual ones.
    #[must_use]
    pub fn settings(&self) -> BreakerSettings {
        match self {
            Self::Off => BreakerSettings::default(),
            Self::On(settings) => *settings,
        }
    }

    /// Takes the policy if its settings are within bounds.
    ///
    /// # Errors
    /// See [`BreakerError`].
    pub fn check(self) -> Result<Self, BreakerError> {
        match self {
            Self::Off => Ok(self),
            Self::On(settings) => settings.check().map(Self::On),
        }
    }
}

/// When a breaker opens, and what follows. All are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// It opens after so many failures in a row, 1 to 1000.
    pub failures: u32,
    /// It opens when this share of the tries within a window failed, in percent, 1 to 100.
    pub share_percent: u32,
    /// How long a window is, in seconds, 10 to 3600.
    pub window_s: u32,
    /// A share is taken of at least so many tries, 1 to 10000.
    pub minimum: u32,
    /// How long it is open before it is probed, in seconds, 1 to 3600.
    pub pause_s: u32,
    /// Each probe that fails doubles the pause, up to this, in seconds: `pause_s` to 86400.
    pub pause_most_s: u32,
    /// Once it is closed, so many of those that waited are let go in a minute at most, 1 to 60000.
    pub release_per_minute: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            failures: 10,
            share_percent: 90,
            window_s: 300,
            minimum: 20,
            pause_s: 60,
            pause_most_s: 3600,
            release_per_minute: 600,
        }
    }
}

/// A setting of a breaker is out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be {least} to {most}")]
pub struct BreakerError {
    /// The setting's name.
    pub field: &'static str,
    /// The least that is taken.
    pub least: u32,
    /// The most that is taken.
    pub most: u32,
}

impl BreakerSettings {
    /// Takes the settings if each is within its bounds.
    ///
    /// # Errors
    /// [`BreakerError`], which names the first that is not.
    pub fn check(self) -> Result<Self, BreakerError> {
        let bounds = [
            ("failures", self.failures, 1, 1000),
            ("share_percent", self.share_percent, 1, 100),
            ("window_s", self.window_s, 10, 3600),
            ("minimum", self.minimum, 1, 10_000),
            ("pause_s", self.pause_s, 1, 3600),
            ("pause_most_s", self.pause_most_s, self.pause_s, 86_400),
            ("release_per_minute", self.release_per_minute, 1, 60_000),
        ];
        for (field, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(BreakerError { field, least, most });
            }
        }
        Ok(self)
    }

    /// How long a window is.
    #[must_use]
    pub fn window(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::from(self.window_s))
    }
}

impl Serialize for BreakerPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Off => serializer.serialize_str(OFF),
            Self::On(settings) => settings.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for BreakerPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = BreakerPolicy;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{OFF}` or an object of settings")
            }

            fn visit_str<E: Error>(self, word: &str) -> Result<BreakerPolicy, E> {
                if word == OFF {
                    Ok(BreakerPolicy::Off)
                } else {
                    Err(E::custom(format_args!(
                        "must be `{OFF}` or an object of settings"
                    )))
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BreakerPolicy, A::Error> {
                BreakerSettings::deserialize(MapAccessDeserializer::new(map)).map(BreakerPolicy::On)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_refused_by_name() {
        type Change = fn(&mut BreakerSettings);
        let cases: [(Change, Option<&str>); 16] = [
            (|_| {}, None),
            (|it| it.failures = 0, Some("failures")),
            (|it| it.failures = 1001, Some("failures")),
            (|it| it.share_percent = 0, Some("share_percent")),
            (|it| it.share_percent = 101, Some("share_percent")),
            (|it| it.window_s = 9, Some("window_s")),
            (|it| it.window_s = 3601, Some("window_s")),
            (|it| it.minimum = 0, Some("minimum")),
            (|it| it.minimum = 10_001, Some("minimum")),
            (|it| it.pause_s = 0, Some("pause_s")),
            (|it| it.pause_s = 3601, Some("pause_s")),
            (|it| it.pause_most_s = 59, Some("pause_most_s")),
            (|it| it.pause_most_s = 86_401, Some("pause_most_s")),
            (|it| it.pause_most_s = 60, None),
            (|it| it.release_per_minute = 0, Some("release_per_minute")),
            (
                |it| it.release_per_minute = 60_001,
                Some("release_per_minute"),
            ),
        ];
        for (row, (change, want)) in cases.into_iter().enumerate() {
            let mut settings = BreakerSettings::default();
            change(&mut settings);
            let got = BreakerPolicy::On(settings).check().err();
            assert_eq!(got.map(|error| error.field), want, "row {row}");
        }
    }

    #[test]
    fn a_policy_is_the_word_off_or_settings_of_which_any_may_be_left_out() {
        let parse = |json: &str| serde_json::from_str::<BreakerPolicy>(json);
        assert_eq!(parse("\"off\"").ok(), Some(BreakerPolicy::Off));
        assert_eq!(parse("{}").ok(), Some(BreakerPolicy::default()));
        let five = BreakerSettings {
            failures: 5,
            ..BreakerSettings::default()
        };
        let policy = BreakerPolicy::On(five);
        assert_eq!(parse(r#"{"failures":5}"#).ok(), Some(policy));
        let json = serde_json::to_string(&policy).expect("settings are numbers");
        assert_eq!(parse(&json).ok(), Some(policy));
        let json = serde_json::to_string(&BreakerPolicy::Off).expect("a word");
        assert_eq!(parse(&json).ok(), Some(BreakerPolicy::Off));
        for (bad, named) in [
            ("\"on\"", "`off`"),
            ("7", "`off`"),
            (r#"{"failure":5}"#, "`failure`"),
            (r#"{"failures":-1}"#, "-1"),
        ] {
            let error = parse(bad).expect_err("it is no policy").to_string();
            assert!(error.contains(named), "{bad}: {error}");
        }
    }

    #[test]
    fn the_settings_of_a_policy_are_its_own_and_of_none_the_usual() {
        let own = BreakerSettings {
            failures: 3,
            ..BreakerSettings::default()
        };
        assert_eq!(BreakerPolicy::On(own).settings(), own);
        let usual = BreakerSettings::default();
        assert_eq!(BreakerPolicy::Off.settings(), usual);
    }
}
