//! Anchors, through the whole path: what a call of the business server does, and what the wallets are told of it.

mod business;
mod callback;
mod crash;
mod laws;
mod lookup;
mod model;
mod moves;
mod ordered;
mod rpc;
mod told;
mod transactions;
mod wallet;
mod wallets;

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use http::Request as HttpRequest;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared::customer::{
    AnchorSettings, BusinessAuth, BusinessServer, Callbacks, Client, ErasePayloads, Mapping, Sep10,
    SigningKeys,
};
use shared::delivery::{BreakerPolicy, EndpointState, Policy};
use shared::event::{Recipients, SetAside};
use shared::ids::{EndpointId, TenantId};
use shared::secret::Secret;
use shared::signature::stellar::SignedHost;
use shared::store::{AnchorAdmin, Anchors, EventQuery, EventRecord, Events, Put};
use shared::time::Clock;
use tests::scene::{Answer, Scene};
use tests::stories::TENANT;

use crate::text;

use business::{Business, says};
use told::{Told, told};

/// Where the business server is.
const BUSINESS_URL: &str = "https://business.example/api";
/// The test key of the vectors: seed bytes 00 to 1f.
const SEED: &str = "SAAACAQDAQCQMBYIBEFAWDANBYHRAEISCMKBKFQXDAMRUGY4DUPB6NKI";
/// Its public key.
const PUBLIC: &str = "GAB2CB576PHBBPQ5ODORRZ2LYCMWPZGWGCN2KDK7DXOIMZASKUY3QZ6Q";
/// The account that the wallet client `kiosk` signs in with.
const KIOSK_KEY: &str = "GA7QYNF7SOWQ3GLR2BGMZEHXAVIRZA4KVWLTJJFC7MGXUA74P7UJVSGZ";
/// What opens the RPC door beside keys.
const RPC_SECRET: &str = "the secret of the rpc door, which has more than 32 bytes";
/// What SEP-10 tokens are signed with.
const SEP10_SECRET: &str = "the secret of the SEP-10 server, of more than 32 bytes";
/// Who issues them.
const ISSUER: &str = "https://anchor.example/auth";

/// How the anchor of [`TENANT`] works, before a test says otherwise.
fn settings() -> Result<AnchorSettings> {
    Ok(AnchorSettings {
        tenant: TenantId::parse(TENANT)?,
        business_server: BusinessServer {
            base_url: BUSINESS_URL.to_owned(),
            auth: BusinessAuth::None,
        },
        rpc_secret: Some(Secret::new(RPC_SECRET)),
        sep10: Some(Sep10 {
            issuer: ISSUER.to_owned(),
            audience: None,
            secret: Secret::new(SEP10_SECRET),
        }),
        status_map: Mapping::Sep6,
        erase_payloads: ErasePayloads::WithEvent,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    })
}

/// The URL of a wallet client for a SEP.
fn url_of(client: &str, sep: u8) -> String {
    format!("https://{client}.example/{sep}")
}

/// A wallet client with a URL for every SEP, a home domain, and a short ladder of retries.
fn client(name: &str) -> Result<Client> {
    let url = |sep| Some(url_of(name, sep));
    Ok(Client {
        tenant: TenantId::parse(TENANT)?,
        id: EndpointId::parse(name)?,
        domains: BTreeSet::from([format!("{name}.example")]),
        signing_keys: BTreeSet::new(),
        callbacks: Callbacks {
            sep6: url(6),
            sep12: url(12),
            sep24: url(24),
            sep31: url(31),
        },
        signed_host: SignedHost::AsSent,
        latest_only: false,
        breaker: BreakerPolicy::default(),
        policy: Policy::Ladder {
            waits_s: vec![5, 30, 120, 600],
        },
        deadline: SignedDuration::from_secs(15),
        state: EndpointState::Enabled,
        created_at: jiff::Timestamp::UNIX_EPOCH,
    })
}

/// A SEP-6 deposit of `lobby` and of the customer `cus_1`, of which `more` says more or otherwise.
fn deposit(more: Value) -> Value {
    let mut body = json!({
        "sep": "6", "kind": "deposit", "status": "incomplete", "client": "lobby",
        "customers": { "sender": "cus_1" },
    });
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
    body
}

/// The one call there is, of `params`.
fn call(params: Value) -> Value {
    let members = [
        ("jsonrpc", json!("2.0")),
        ("id", json!(1)),
        ("method", json!("notify_customer_info_updated")),
        ("params", params),
    ];
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// What makes a customer's status move a transaction.
fn of(transaction: &str, customer: &str) -> Value {
    json!({ "transaction_id": transaction, "customer_id": customer, "customer_type": "sep6" })
}

/// A code of an answer and its text, or what it has for a result's status.
fn outcome(answer: &Value) -> String {
    match answer.get("error") {
        Some(_) => format!(
            "{} {}",
            text(answer, "/error/code"),
            text(answer, "/error/message")
        ),
        None => text(answer, "/result/status"),
    }
}

/// A scene with an anchor: a business server that is played, the wallet clients `lobby` and `kiosk`, and a key.
struct Stage {
    scene: Scene,
    business: Arc<Business>,
    key: String,
}

impl Stage {
    async fn start() -> Result<Self> {
        let business = Arc::new(Business::default());
        let scene = Scene::with_platforms(business.clone()).await?;
        business.goes_by(scene.clock.clone());
        let made = scene
            .operator(
                "POST",
                &format!("/v1/tenants/{TENANT}/keys"),
                json!({ "personal_data": true }),
            )
            .await?;
        let key = text(&made, "/key");
        let stage = Self {
            scene,
            business,
            key,
        };
        stage.configure(&settings()?).await?;
        let keys = SigningKeys {
            current: Secret::new(SEED),
            next: None,
        };
        let tenant = TenantId::parse(TENANT)?;
        let put = stage.scene.store().put_signing_keys(&tenant, &keys, None);
        ensure!(put.await? == Put::New, "the key is new");
        stage.put_client(client("lobby")?).await?;
        stage
            .put_client(Client {
                signing_keys: BTreeSet::from([KIOSK_KEY.to_owned()]),
                ..client("kiosk")?
            })
            .await?;
        Ok(stage)
    }

    /// Sets how the anchor works.
    async fn configure(&self, settings: &AnchorSettings) -> Result<()> {
        let store = self.scene.store();
        let read = store.anchor(&settings.tenant).await?;
        let read = read.map(|read| read.version);
        let put = store.put_anchor(settings, read).await?;
        ensure!(matches!(put, Put::New | Put::Replaced), "{put:?}");
        Ok(())
    }

    /// Makes or replaces a wallet client.
    async fn put_client(&self, client: Client) -> Result<()> {
        let store = self.scene.store();
        let read = store.client(&client.tenant, &client.id).await?;
        let read = read.map(|read| read.version);
        let put = store.put_client(&client, read).await?;
        ensure!(matches!(put, Put::New | Put::Replaced), "{put:?}");
        Ok(())
    }

    /// Sends a request to one of the anchor's paths.
    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let path = format!("/v1/tenants/{TENANT}/anchor/{path}");
        let mut request = HttpRequest::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.scene.send(request.body(body.to_owned().into())?).await
    }

    /// Sends a request with the tenant's key.
    async fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Answer> {
        let bearer = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, &body).await
    }

    /// Makes calls, or one; the answers as they came.
    async fn rpc(&self, calls: &Value) -> Result<Value> {
        let answer = self.ask("POST", "rpc", calls).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        Ok(answer.json())
    }

    /// Makes one call; what came of it, see [`outcome`].
    async fn notify(&self, params: Value) -> Result<String> {
        Ok(outcome(&self.rpc(&call(params)).await?))
    }

    /// Puts a transaction and expects success.
    async fn put(&self, id: &str, transaction: &Value) -> Result<Value> {
        let path = format!("transactions/{id}");
        let answer = self.ask("PUT", &path, transaction).await?;
        ensure!(
            answer.status.is_success(),
            "{} {}",
            answer.status,
            answer.body
        );
        Ok(answer.json())
    }

    /// A transaction, and the state it is in.
    async fn transaction(&self, id: &str) -> Result<(Value, String)> {
        let path = format!("transactions/{id}");
        let answer = self.ask("GET", &path, &Value::Null).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
        let tag = answer.headers.get("etag").context("it is in a state")?;
        Ok((answer.json(), tag.to_str()?.to_owned()))
    }

    /// Everything that was recorded of the tenant, the oldest first.
    async fn recorded(&self) -> Result<Vec<EventRecord>> {
        let (store, tenant) = (self.scene.store(), TenantId::parse(TENANT)?);
        let mut query = EventQuery {
            limit: 100,
            ..EventQuery::default()
        };
        let mut records = Vec::new();
        loop {
            let page = store.events(&tenant, &query).await?;
            for summary in page.items {
                let read = store.event(&tenant, &summary.id).await?;
                records.push(read.context("what is listed is there")?.value);
            }
            if page.next.is_none() {
                records.reverse();
                return Ok(records);
            }
            query.cursor = page.next;
        }
    }

    /// What nobody is told, and why: the type and the reason, in a line each.
    async fn set_aside(&self) -> Result<Vec<String>> {
        let reason = |it: &EventRecord| match &it.recipients {
            Recipients::SetAside(reason) => Some(reason_line(it, *reason)),
            Recipients::Chosen(_) | Recipients::Callback(_) => None,
        };
        Ok(self.recorded().await?.iter().filter_map(reason).collect())
    }

    /// What the wallets were told by now, in the order they were; see [`told`].
    fn told(&self) -> Result<Vec<Told>> {
        told(&self.scene.far.requests(), self.scene.clock.now())
    }

    /// Status by status, what `url` was told by now.
    fn told_at(&self, url: &str) -> Result<Vec<String>> {
        let told = self.told()?.into_iter();
        Ok(told
            .filter(|told| told.url == url)
            .map(|told| told.status)
            .collect())
    }

    /// The business server tells of a customer in this status from now on.
    fn customer_is(&self, customer: &str, status: &str) {
        self.business.is(customer, [says(customer, status)]);
    }
}

fn reason_line(record: &EventRecord, reason: SetAside) -> String {
    format!("{} {}", record.event.event_type, reason.as_str())
}
