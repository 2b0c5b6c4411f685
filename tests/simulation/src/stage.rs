//! Who takes part in a run: tenants, their receivers, and their keys.

use std::sync::Arc;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::anchor;
use crate::chance::Chance;
use crate::cluster::Cluster;
use crate::outside::Mood;
use crate::recovery;

/// The tenants. They have receivers and events of the same names.
pub const TENANTS: [&str; 2] = ["amber", "birch"];

/// How a receiver's deliveries are written and signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// As Rafiki sends.
    Rafiki,
    /// Standard Webhooks.
    Standard,
    /// As SEP-12 has it; the secret is the public key.
    Stellar,
}

/// A receiver of deliveries.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Whose it is.
    pub tenant: &'static str,
    /// Its name.
    pub endpoint: &'static str,
    /// Its role.
    pub role: &'static str,
    /// How deliveries are signed.
    pub scheme: Scheme,
    /// Where it is.
    pub url: String,
    /// What they are signed with.
    pub secret: String,
    /// The waits after failed tries, in seconds.
    pub waits_s: Vec<u32>,
    /// Whether it is down for good.
    pub is_dead: bool,
}

impl Receiver {
    fn new(
        tenant: &'static str,
        (endpoint, role, scheme): (&'static str, &'static str, Scheme),
        waits_s: &[u32],
    ) -> Self {
        let secret = match scheme {
            Scheme::Rafiki => format!("the secret of {endpoint} of {tenant}, long enough"),
            // 32 bytes, whose first tell the receivers apart.
            Scheme::Standard => {
                let mark = match (tenant, endpoint) {
                    ("amber", "ledger") => "AAEC",
                    ("amber", _) => "AAED",
                    (_, "ledger") => "AAEE",
                    _ => "AAEF",
                };
                format!("whsec_{mark}AwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
            }
            Scheme::Stellar => String::new(),
        };
        Self {
            tenant,
            endpoint,
            role,
            scheme,
            url: format!("https://{endpoint}.{tenant}.example/hook"),
            secret,
            waits_s: waits_s.to_vec(),
            is_dead: false,
        }
    }

    /// Where the operator has it called from some time on, in some runs.
    #[must_use]
    pub fn other_url(&self) -> String {
        self.url.replace("/hook", "/moved")
    }

    /// What the operator has signed with from some time on, in some runs.
    #[must_use]
    pub fn other_secret(&self) -> String {
        match self.scheme {
            Scheme::Rafiki => format!("another {}", self.secret),
            Scheme::Standard => self.secret.replace("whsec_AA", "whsec_BB"),
            Scheme::Stellar => self.secret.clone(),
        }
    }

    /// What the operator puts.
    #[must_use]
    pub fn settings(&self) -> Value {
        let scheme = match self.scheme {
            Scheme::Rafiki => "rafiki",
            Scheme::Standard => "standard-webhooks",
            Scheme::Stellar => "stellar",
        };
        json!({
            "url": self.url, "role": self.role, "scheme": scheme, "secrets": [self.secret],
            "retry": { "policy": "ladder", "waits_s": self.waits_s },
        })
    }
}

/// Sets up the anchor of a tenant; answers its wallets, one for each URL.
async fn set_anchor(cluster: &Arc<Cluster>, tenant: &'static str) -> Result<Vec<Receiver>> {
    let mut public = None;
    for (path, body) in anchor::settings(tenant) {
        let path = format!("/v1/tenants/{tenant}/{path}");
        let answer = cluster.operator("PUT", &path, &body).await?;
        let key = answer.get("public_key").and_then(Value::as_str);
        public = public.or(key.map(str::to_owned));
    }
    let public = public.context("a new signing key is shown")?;
    let wallets = anchor::wallets(tenant).into_iter();
    let wallets = wallets.map(|(client, url)| Receiver {
        url,
        secret: public.clone(),
        ..Receiver::new(
            tenant,
            (client, "wallet", Scheme::Stellar),
            &anchor::WAITS_S,
        )
    });
    Ok(wallets.collect())
}

/// Who takes part.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The receivers.
    pub receivers: Vec<Receiver>,
    /// A key of each tenant, in the order of [`TENANTS`].
    pub keys: Vec<String>,
    /// When faults end.
    pub calm: Timestamp,
}

impl Stage {
    /// Sets the stage through the operator API: the same in every run.
    ///
    /// # Errors
    /// If the API refuses anything.
    pub async fn set(cluster: &Arc<Cluster>) -> Result<Self> {
        let (mut receivers, mut keys) = (Vec::new(), Vec::new());
        for tenant in TENANTS {
            let path = format!("/v1/tenants/{tenant}");
            cluster.operator("PUT", &path, &json!({})).await?;
            for (receiver, waits_s) in [
                (
                    ("bank", "ase", Scheme::Rafiki),
                    &[10, 20, 30, 40, 50, 60][..],
                ),
                (("ledger", "ase", Scheme::Standard), &[5, 60, 1_200, 3_600]),
                (("shop", "merchant", Scheme::Standard), &[5, 30, 300, 1_800]),
            ] {
                let receiver = Receiver::new(tenant, receiver, waits_s);
                let path = format!("{path}/endpoints/{}", receiver.endpoint);
                cluster.operator("PUT", &path, &receiver.settings()).await?;
                receivers.push(receiver);
            }
            for (account, settings) in recovery::accounts(tenant) {
                let path = format!("{path}/{account}");
                cluster.operator("PUT", &path, &settings).await?;
            }
            receivers.extend(set_anchor(cluster, tenant).await?);
            let made = cluster
                .operator("POST", &format!("{path}/keys"), &json!({}))
                .await?;
            let key = made.get("key").and_then(Value::as_str);
            keys.push(key.context("a new key is shown")?.to_owned());
        }
        Ok(Self {
            receivers,
            keys,
            calm: cluster.nature.now(),
        })
    }

    /// Draws when faults end, and how the receivers feel until then.
    #[must_use]
    pub fn begin(mut self, cluster: &Cluster, seed: u64) -> Self {
        let chance = Chance::new(seed, 3);
        let minutes = i64::try_from(chance.between(5, 40)).unwrap_or_default();
        self.calm = cluster.nature.now() + SignedDuration::from_mins(minutes);
        for receiver in &mut self.receivers {
            receiver.is_dead = !cluster.nature.is_fair() && chance.percent(8);
            let end = match receiver.is_dead {
                true => Mood::Answers(500),
                false => Mood::Well,
            };
            let outside = &cluster.outside;
            outside.place(&receiver.url, &chance, self.calm, end);
            outside.place(&receiver.other_url(), &chance, self.calm, end);
        }
        self
    }

    /// The key of a tenant.
    #[must_use]
    pub fn key(&self, tenant: &str) -> &str {
        let place = TENANTS.iter().position(|it| *it == tenant);
        let key = place.and_then(|place| self.keys.get(place));
        key.map_or("", String::as_str)
    }

    /// The receivers of a tenant that play a role.
    pub fn of_role(&self, tenant: &str, role: &str) -> impl Iterator<Item = &Receiver> {
        let fits = move |it: &&Receiver| it.tenant == tenant && it.role == role;
        self.receivers.iter().filter(fits)
    }
}
