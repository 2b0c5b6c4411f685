//! A table for one test: on the embedded engine, or where `PAYRELAY_CONTRACT_ENDPOINT` says.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use data_encoding::{BASE64, HEXLOWER};
use dynoxide::Database;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::aws::{Account, Clients};
use shared::config::environment;
use shared::decision::Policy;
use shared::entropy::{Entropy, SystemEntropy};
use shared::ids::TenantId;
use shared::secret::Keyring;
use shared::store::dynamo::{DynamoStore, create_table};
use shared::store::{Made, TenantRecord, Tenants};
use tokio::net::TcpListener;

use crate::faults::Faults;
use crate::meter::Meter;
use crate::sample::at;

/// Names where the contract tests run, if not on the embedded parts.
pub const ENDPOINT: &str = "PAYRELAY_CONTRACT_ENDPOINT";

/// What seals the secrets of the tests' stores.
pub const SEAL_KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How long the tests' stores keep what they record.
pub const RETENTION: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A fresh table, its client and its meter. The engine ends with the test's runtime.
pub struct Table {
    /// A client for the table.
    pub client: Client,
    /// Its name.
    pub name: String,
    /// What its requests consumed.
    pub meter: Meter,
    /// What happens to its requests.
    pub faults: Faults,
    keyring: Arc<Keyring>,
}

impl Table {
    /// Makes one.
    ///
    /// # Errors
    /// Whatever keeps the engine from starting or the table from being made.
    pub async fn start() -> Result<Self> {
        let endpoint = match environment(ENDPOINT) {
            Some(endpoint) => endpoint,
            None => embedded().await?,
        };
        let (meter, faults) = (Meter::default(), Faults::default());
        let http = faults.over(meter.over(shared::aws::http_client()));
        let client = Clients::over(Account::local(endpoint), http).dynamodb();
        let name = format!("payrelay-{}", random());
        create_table(&client, &name)
            .await
            .context("making the table")?;
        meter.take();
        let keyring = Keyring::parse(SEAL_KEYS)?;
        Ok(Self {
            client,
            name,
            meter,
            faults,
            keyring: Arc::new(keyring),
        })
    }

    /// The store in it, metered.
    #[must_use]
    pub fn store(&self) -> DynamoStore {
        self.store_keeping(RETENTION)
    }

    /// The store in it, metered, that keeps what it records for `retention`.
    #[must_use]
    pub fn store_keeping(&self, retention: SignedDuration) -> DynamoStore {
        let entropy = Arc::new(SystemEntropy);
        DynamoStore::new(
            self.client.clone(),
            &self.name,
            self.keyring.clone(),
            entropy,
            retention,
        )
        .metered(true)
    }

    /// The store in it, which seals with these keys and opens nothing else.
    ///
    /// # Errors
    /// If they are no keys.
    pub fn store_sealing(&self, keys: &str) -> Result<DynamoStore> {
        let (keyring, entropy) = (Arc::new(Keyring::parse(keys)?), Arc::new(SystemEntropy));
        let client = self.client.clone();
        Ok(DynamoStore::new(
            client, &self.name, keyring, entropy, RETENTION,
        ))
    }

    /// The store in it, metered, with these tenants made.
    ///
    /// # Errors
    /// If the table refuses them.
    pub async fn store_of(&self, tenants: &[TenantId]) -> Result<DynamoStore> {
        let store = self.store();
        for id in tenants {
            let record = TenantRecord {
                id: id.clone(),
                display_name: None,
                decisions: Policy::default(),
                created_at: at(0),
            };
            ensure!(store.put_tenant(&record).await? == Made::New, "{id} is new");
        }
        Ok(store)
    }

    /// Every item, in the form of the service's protocol: to play the service to a function.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn items(&self) -> Result<Vec<Value>> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.name)
            .into_paginator()
            .send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            for item in page?.items() {
                let fields = item
                    .iter()
                    .map(|(name, value)| (name.clone(), protocol(value)));
                items.push(Value::Object(fields.collect()));
            }
        }
        Ok(items)
    }

    /// Everything in the table, as the SDK prints it: to look for what must not be there in clear.
    ///
    /// # Errors
    /// The SDK's.
    pub async fn dump(&self) -> Result<String> {
        let mut pages = self
            .client
            .scan()
            .table_name(&self.name)
            .into_paginator()
            .send();
        let mut text = String::new();
        while let Some(page) = pages.next().await {
            for item in page?.items() {
                text.push_str(&format!("{item:?}\n"));
            }
        }
        Ok(text)
    }
}

/// A value as the service writes it.
fn protocol(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(number) => json!({ "N": number }),
        AttributeValue::B(bytes) => json!({ "B": BASE64.encode(bytes.as_ref()) }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::L(list) => json!({ "L": list.iter().map(protocol).collect::<Vec<_>>() }),
        AttributeValue::M(map) => {
            let fields = map
                .iter()
                .map(|(name, value)| (name.clone(), protocol(value)));
            json!({ "M": fields.collect::<serde_json::Map<_, _>>() })
        }
        _ => Value::Null,
    }
}

/// Eight random bytes in hex.
#[must_use]
pub fn random() -> String {
    let entropy: &dyn Entropy = &SystemEntropy;
    HEXLOWER.encode(&entropy.bytes::<8>())
}

/// Starts the embedded engine on a port of the system's choice; answers its URL.
async fn embedded() -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let database = Database::memory().context("opening the embedded engine")?;
    tokio::spawn(dynoxide::server::serve_with_shutdown(
        listener,
        database,
        std::future::pending(),
    ));
    Ok(url)
}
