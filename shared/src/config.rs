//! Settings: the one place that reads the environment. Each function's settings are a struct made from a look-up,
//! and every problem is reported at once.

use std::net::SocketAddr;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use ipnet::IpNet;
use jiff::SignedDuration;
use url::Url;

use crate::queue::Queue;
use crate::secret::Keyring;

/// Looks a setting up by name.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The process's environment.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "this is the door to the environment"
)]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Every problem with the settings, one a line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings are not right:\n{}", .0.join("\n"))]
pub struct ConfigError(Vec<String>);

/// Reads settings and collects what is wrong with them.
pub struct Settings<'a> {
    lookup: Lookup<'a>,
    problems: Vec<String>,
}

impl<'a> Settings<'a> {
    /// Reads from `lookup`.
    #[must_use]
    pub fn new(lookup: Lookup<'a>) -> Self {
        Self {
            lookup,
            problems: Vec::new(),
        }
    }

    fn required(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        if value.is_none() {
            self.problems.push(format!("{name} is not set"));
        }
        value
    }

    fn problem<T>(&mut self, name: &str, problem: impl std::fmt::Display) -> Option<T> {
        self.problems.push(format!("{name} {problem}"));
        None
    }

    /// `PAYRELAY_TABLE`: the table's name.
    pub fn table(&mut self) -> Option<String> {
        self.required("PAYRELAY_TABLE")
    }

    /// `PAYRELAY_QUEUE_RECOVER`, `PAYRELAY_QUEUE_DELIVER_ORDERED` and the like: a queue's URL.
    pub fn queue(&mut self, queue: Queue) -> Option<(Queue, String)> {
        let url = self.required(&format!("PAYRELAY_QUEUE_{}", upper(queue)))?;
        Some((queue, url))
    }

    /// `PAYRELAY_DEAD_RECOVER` and the like: the URL of a queue's dead letters.
    pub fn dead_letters(&mut self, queue: Queue) -> Option<(Queue, String)> {
        let url = self.required(&format!("PAYRELAY_DEAD_{}", upper(queue)))?;
        Some((queue, url))
    }

    /// `PAYRELAY_SEAL_KEYS`: what seals secrets at rest.
    pub fn seal_keys(&mut self) -> Option<Arc<Keyring>> {
        let name = "PAYRELAY_SEAL_KEYS";
        match Keyring::parse(&self.required(name)?) {
            Ok(keyring) => Some(Arc::new(keyring)),
            Err(error) => self.problem(name, error),
        }
    }

    /// `PAYRELAY_OPERATOR_KEY_SHA256`: the SHA-256 of the first operator key, in lower-case hex.
    pub fn operator_key_hash(&mut self) -> Option<String> {
        let name = "PAYRELAY_OPERATOR_KEY_SHA256";
        let hash = self.required(name)?.to_lowercase();
        match HEXLOWER.decode(hash.as_bytes()) {
            Ok(bytes) if bytes.len() == 32 => Some(hash),
            Ok(_) | Err(_) => self.problem(name, "must be 64 hex digits: the SHA-256 of the key"),
        }
    }

    /// `PAYRELAY_ALLOW_TARGETS`: networks exempt from the vetting of targets; none if it is not set.
    pub fn allow_targets(&mut self) -> Vec<IpNet> {
        let name = "PAYRELAY_ALLOW_TARGETS";
        let value = (self.lookup)(name).unwrap_or_default();
        let mut nets = Vec::new();
        for entry in value
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            match entry.parse() {
                Ok(net) => nets.push(net),
                Err(_) => {
                    self.problem::<()>(
                        name,
                        format!("holds `{entry}`, which is no network such as 10.1.0.0/16"),
                    );
                }
            }
        }
        nets
    }

    /// `PAYRELAY_OWN_HOSTS`: the names that our own doors are reached by, which must never be targets. Each may be written
    /// as a URL; none if it is not set.
    pub fn own_hosts(&mut self) -> Vec<String> {
        let name = "PAYRELAY_OWN_HOSTS";
        let value = (self.lookup)(name).unwrap_or_default();
        let mut hosts = Vec::new();
        for entry in value
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let url = match entry.contains("://") {
                true => Url::parse(entry),
                false => Url::parse(&format!("https://{entry}/")),
            };
            let host = url.ok().and_then(|url| Some(url.host_str()?.to_owned()));
            match host {
                Some(host) => hosts.push(host.trim_end_matches('.').to_owned()),
                None => {
                    self.problem::<()>(
                        name,
                        format!("holds `{entry}`, which is no host name such as api.example.com"),
                    );
                }
            }
        }
        hosts
    }

    /// `AWS_LAMBDA_RUNTIME_API`: the address that must never be a target; not set outside of Lambda. Lambda sets a host
    /// and a port, emulators a URL with a path.
    pub fn runtime_api(&mut self) -> Option<SocketAddr> {
        let value = (self.lookup)("AWS_LAMBDA_RUNTIME_API")?;
        let host = value
            .strip_prefix("http://")
            .unwrap_or(&value)
            .split('/')
            .next()?;
        host.parse().ok()
    }

    /// `PAYRELAY_RETENTION_DAYS`: how long what was recorded is kept, 1 to 3650 days.
    pub fn retention(&mut self) -> Option<SignedDuration> {
        let name = "PAYRELAY_RETENTION_DAYS";
        match self.required(name)?.parse() {
            Ok(days @ 1..=3650) => Some(SignedDuration::from_hours(24 * days)),
            Ok(_) | Err(_) => self.problem(name, "must be a number of days from 1 to 3650"),
        }
    }

    /// The settings, if nothing was wrong with them.
    ///
    /// # Errors
    /// [`ConfigError`] with every problem found since [`Settings::new`].
    pub fn finish<T>(self, settings: Option<T>) -> Result<T, ConfigError> {
        match settings {
            Some(settings) if self.problems.is_empty() => Ok(settings),
            Some(_) | None => Err(ConfigError(self.problems)),
        }
    }
}

/// The queue's name as a part of a setting's name.
fn upper(queue: Queue) -> String {
    queue.as_str().to_uppercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_api_is_read_from_an_address_or_a_url() {
        let address = |value: &str| Settings::new(&|_| Some(value.to_owned())).runtime_api();
        let want = "127.0.0.1:9001".parse().ok();
        assert_eq!(address("127.0.0.1:9001"), want);
        assert_eq!(address("http://127.0.0.1:9001/console"), want);
    }

    #[test]
    fn own_hosts_are_read_from_names_and_urls() {
        let lookup =
            |_: &str| Some("https://A1.lambda-url.example/, API.example.com,, a b".to_owned());
        let mut settings = Settings::new(&lookup);
        assert_eq!(
            settings.own_hosts(),
            ["a1.lambda-url.example", "api.example.com"]
        );
        let want = "PAYRELAY_OWN_HOSTS holds `a b`, which is no host name such as api.example.com";
        let got = settings.finish(Some(()));
        assert_eq!(got, Err(ConfigError(vec![want.to_owned()])));
    }

    #[test]
    fn every_problem_is_reported_at_once_and_no_value_is_quoted_but_networks() {
        let lookup = |name: &str| match name {
            "PAYRELAY_SEAL_KEYS" => Some("k1:c2hvcnQ=".to_owned()),
            "PAYRELAY_ALLOW_TARGETS" => Some("127.0.0.0/8, nonsense".to_owned()),
            "PAYRELAY_RETENTION_DAYS" => Some("0".to_owned()),
            _ => None,
        };
        let mut settings = Settings::new(&lookup);
        let table = settings.table();
        let queue = settings.queue(Queue::Fanout);
        let keys = settings.seal_keys();
        let nets = settings.allow_targets();
        let days = settings.retention();
        assert_eq!(nets.len(), 1);
        let got = settings
            .finish(table.zip(queue).zip(keys).zip(days))
            .map(|_| ());
        let want = [
            "PAYRELAY_TABLE is not set",
            "PAYRELAY_QUEUE_FANOUT is not set",
            "PAYRELAY_SEAL_KEYS entry 1 is not `id:base64-of-32-bytes`",
            "PAYRELAY_ALLOW_TARGETS holds `nonsense`, which is no network such as 10.1.0.0/16",
            "PAYRELAY_RETENTION_DAYS must be a number of days from 1 to 3650",
        ];
        assert_eq!(got, Err(ConfigError(want.map(String::from).to_vec())));
    }
}
