//! The settings of the local runner: those of the functions, with defaults where a laptop has an obvious one.

use std::sync::Arc;

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use jiff::SignedDuration;
use shared::aws::Account;
use shared::config::{Lookup, Settings};
use shared::delivery::Vetting;
use shared::entropy::Entropy;
use shared::queue::Queue;
use shared::secret::{Keyring, Secret, key_hash};

/// What is the same with and without AWS.
#[derive(Debug)]
pub struct Common {
    /// Which addresses endpoints may have.
    pub vetting: Vetting,
    /// How long what was recorded is kept.
    pub retention: SignedDuration,
}

impl Common {
    /// Reads `PAYRELAY_ALLOW_TARGETS` (default: loopback), `PAYRELAY_OWN_HOSTS` and `PAYRELAY_RETENTION_DAYS` (default: 30).
    ///
    /// # Errors
    /// Every problem, one a line.
    pub fn read(lookup: Lookup<'_>) -> anyhow::Result<Self> {
        let lookup = |name: &str| {
            lookup(name).or_else(|| match name {
                "PAYRELAY_ALLOW_TARGETS" => Some("127.0.0.0/8,::1/128".to_owned()),
                "PAYRELAY_RETENTION_DAYS" => Some("30".to_owned()),
                _ => None,
            })
        };
        let mut settings = Settings::new(&lookup);
        let vetting = Vetting::new(settings.allow_targets(), settings.runtime_api())
            .beside(settings.own_hosts());
        let retention = settings.retention();
        let common = retention.map(|retention| Self { vetting, retention });
        Ok(settings.finish(common)?)
    }
}

/// The operator's key, as far as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorKey {
    /// `PAYRELAY_OPERATOR_KEY`.
    Given(Secret),
    /// Made for this run, and printed.
    Fresh(Secret),
    /// `PAYRELAY_OPERATOR_KEY_SHA256`: whoever deployed has it.
    Elsewhere(String),
}

impl OperatorKey {
    /// The key of the environment, or a fresh one.
    ///
    /// # Errors
    /// If the one of the environment is too short to be a secret.
    pub fn read(lookup: Lookup<'_>, entropy: &dyn Entropy) -> anyhow::Result<Self> {
        match lookup("PAYRELAY_OPERATOR_KEY") {
            None => {
                let key = format!("prk_{}", HEXLOWER.encode(&entropy.bytes::<20>()));
                Ok(Self::Fresh(Secret::new(key)))
            }
            Some(key) if key.len() < 8 => {
                bail!("PAYRELAY_OPERATOR_KEY must have 8 characters or more")
            }
            Some(key) => Ok(Self::Given(Secret::new(key))),
        }
    }

    /// The key that was made for this run, which nobody else knows.
    #[must_use]
    pub fn fresh(&self) -> Option<String> {
        match self {
            Self::Fresh(key) => Some(key.expose().to_owned()),
            Self::Given(_) | Self::Elsewhere(_) => None,
        }
    }

    /// Its SHA-256, in lower-case hex.
    #[must_use]
    pub fn hash(&self) -> String {
        match self {
            Self::Given(key) | Self::Fresh(key) => key_hash(key),
            Self::Elsewhere(hash) => hash.clone(),
        }
    }
}

/// What there is to be used with `--aws`.
#[derive(Debug)]
pub struct Aws {
    /// Where, and who we are there.
    pub account: Account,
    /// The table.
    pub table: String,
    /// The queues.
    pub queues: Vec<(Queue, String)>,
    /// Their dead letters.
    pub dead_letters: Vec<(Queue, String)>,
    /// What seals secrets.
    pub keyring: Arc<Keyring>,
    /// The operator's key.
    pub operator_key: OperatorKey,
}

impl Aws {
    /// Reads what the functions read, all together.
    ///
    /// # Errors
    /// Every problem, one a line.
    pub fn read(lookup: Lookup<'_>, entropy: &dyn Entropy) -> anyhow::Result<Self> {
        let mut settings = Settings::new(lookup);
        let table = settings.table();
        let queues: Option<Vec<_>> = Queue::ALL
            .map(|queue| settings.queue(queue))
            .into_iter()
            .collect();
        let dead_letters: Option<Vec<_>> = Queue::ALL
            .map(|queue| settings.dead_letters(queue))
            .into_iter()
            .collect();
        let keyring = settings.seal_keys();
        let operator_key = match lookup("PAYRELAY_OPERATOR_KEY_SHA256") {
            Some(_) => settings.operator_key_hash().map(OperatorKey::Elsewhere),
            None => Some(OperatorKey::read(lookup, entropy)?),
        };
        let read = table
            .zip(queues)
            .zip(dead_letters)
            .zip(keyring)
            .zip(operator_key);
        let (read, account) = match (settings.finish(read), Account::from_lookup(lookup)) {
            (Ok(read), Ok(account)) => (read, account),
            (Err(settings), Err(account)) => bail!("{settings}\n{account}"),
            (Err(settings), Ok(_)) => return Err(settings.into()),
            (Ok(_), Err(account)) => {
                return Err(anyhow::Error::msg(account)).context("the settings are not right");
            }
        };
        let ((((table, queues), dead_letters), keyring), operator_key) = read;
        Ok(Self {
            account,
            table,
            queues,
            dead_letters,
            keyring,
            operator_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use shared::entropy::SeededEntropy;

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_laptop_needs_no_settings() {
        let common = Common::read(&nothing).expect("defaults");
        assert_eq!(common.retention, SignedDuration::from_hours(30 * 24));
        assert!(common.vetting.url("http://127.0.0.1:3001/").is_ok());
        assert!(common.vetting.url("http://10.0.0.1/").is_err());
    }

    #[test]
    fn aws_needs_all_that_the_functions_need_and_every_missing_name_is_listed() {
        let problem = Aws::read(&nothing, &SeededEntropy::new(1))
            .map(|_| ())
            .expect_err("nothing is set");
        let text = problem.to_string();
        let names = [
            "PAYRELAY_TABLE",
            "PAYRELAY_QUEUE_RECOVER",
            "PAYRELAY_QUEUE_FANOUT",
            "PAYRELAY_QUEUE_DELIVER",
            "PAYRELAY_QUEUE_DELIVER_ORDERED",
            "PAYRELAY_DEAD_RECOVER",
            "PAYRELAY_DEAD_FANOUT",
            "PAYRELAY_DEAD_DELIVER",
            "PAYRELAY_DEAD_DELIVER_ORDERED",
            "PAYRELAY_SEAL_KEYS",
            "AWS_REGION",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ];
        for name in names {
            assert!(
                text.contains(&format!("{name} is not set")),
                "{name} in {text}"
            );
        }
    }

    #[test]
    fn the_operators_key_is_the_given_one_or_a_fresh_one() {
        let entropy = SeededEntropy::new(1);
        let given = |value: &'static str| {
            move |name: &str| (name == "PAYRELAY_OPERATOR_KEY").then(|| value.to_owned())
        };
        let fresh = |key| matches!(key, Ok(OperatorKey::Fresh(_)));
        assert!(fresh(OperatorKey::read(&nothing, &entropy)));
        let read = OperatorKey::read(&given("a-long-key"), &entropy).expect("long enough");
        assert_eq!(read, OperatorKey::Given(Secret::new("a-long-key")));
        assert!(OperatorKey::read(&given("short"), &entropy).is_err());
    }
}
