//! What `cargo local` says of itself when it is ready.

use std::fmt;

use serde::Serialize;

use crate::demo;
use crate::demo::anchor;

/// What somebody who started this wants to know.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    pub(crate) message: &'static str,
    pub(crate) api: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) receiver: Option<String>,
    pub(crate) table: String,
    pub(crate) queues: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) operator_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) demo: Option<Demo>,
}

/// The demo tenant's names and secrets, and where its webhooks go.
#[derive(Debug, Serialize)]
pub(crate) struct Demo {
    tenant: &'static str,
    tenant_key: &'static str,
    webhook_url: String,
    webhook_secret: &'static str,
    chargebee_url: String,
    chargebee_pair: &'static str,
    recurly_url: String,
    recurly_secret: &'static str,
    endpoint: &'static str,
    endpoint_secret: &'static str,
    events_url: String,
    publisher_secret: &'static str,
    rafiki_endpoints: [&'static str; 3],
    rafiki_secret: &'static str,
    rpc_url: String,
    wallet: &'static str,
    signing_key: &'static str,
}

impl Demo {
    /// The demo tenant behind an API at `port`.
    pub(crate) fn at(port: u16) -> Self {
        let api = format!("http://127.0.0.1:{port}");
        Self {
            tenant: demo::TENANT,
            tenant_key: demo::TENANT_KEY,
            webhook_url: format!("{api}{}", demo::webhook_path()),
            webhook_secret: demo::STRIPE_SECRET,
            chargebee_url: format!("{api}{}", demo::webhook_path_of(demo::CHARGEBEE_ACCOUNT)),
            chargebee_pair: demo::CHARGEBEE_PAIR,
            recurly_url: format!("{api}{}", demo::webhook_path_of(demo::RECURLY_ACCOUNT)),
            recurly_secret: demo::RECURLY_SECRET,
            endpoint: demo::ENDPOINT,
            endpoint_secret: demo::ENDPOINT_SECRET,
            events_url: format!("{api}{}", demo::events_path()),
            publisher_secret: demo::PUBLISHER_SECRET,
            rafiki_endpoints: demo::RAFIKI_ENDPOINTS.map(|(name, _)| name),
            rafiki_secret: demo::RAFIKI_SECRET,
            rpc_url: format!("{api}{}", anchor::rpc_path()),
            wallet: anchor::CLIENT,
            signing_key: anchor::SIGNING_KEY,
        }
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Payrelay is ready; Ctrl-C ends it.\n")?;
        writeln!(f, "  API            {}", self.api)?;
        let key = self
            .operator_key
            .as_deref()
            .unwrap_or("as the environment has it");
        writeln!(f, "  operator key   {key}")?;
        let receiver = self
            .receiver
            .as_deref()
            .unwrap_or("not here; `cargo local receiver` runs it");
        writeln!(f, "  receiver       {receiver}")?;
        writeln!(f, "  table          {}", self.table)?;
        writeln!(f, "  queues         {}", self.queues)?;
        let Some(demo) = &self.demo else {
            return Ok(());
        };
        writeln!(
            f,
            "\n  demo tenant    {}, key {}",
            demo.tenant, demo.tenant_key
        )?;
        writeln!(f, "  Stripe posts   {}", demo.webhook_url)?;
        writeln!(f, "  signed with    {}", demo.webhook_secret)?;
        writeln!(f, "  Chargebee      {}", demo.chargebee_url)?;
        writeln!(f, "  comes with     {}", demo.chargebee_pair)?;
        writeln!(f, "  Recurly        {}", demo.recurly_url)?;
        writeln!(f, "  signed with    {}", demo.recurly_secret)?;
        writeln!(
            f,
            "  endpoint       {}, secret {}",
            demo.endpoint, demo.endpoint_secret
        )?;
        writeln!(f, "  Rafiki posts   {}", demo.events_url)?;
        writeln!(f, "  signed with    {}", demo.publisher_secret)?;
        writeln!(
            f,
            "  endpoints      {}, secret {}",
            demo.rafiki_endpoints.join(", "),
            demo.rafiki_secret
        )?;
        writeln!(f, "  anchors call   {}", demo.rpc_url)?;
        writeln!(
            f,
            "  wallet         {}, SIGNING_KEY {}",
            demo.wallet, demo.signing_key
        )?;
        let elsewhere =
            demo.webhook_url != format!("http://127.0.0.1:3000{}", demo::webhook_path());
        let url = if elsewhere {
            format!(" --url {}", demo.webhook_url)
        } else {
            String::new()
        };
        writeln!(
            f,
            "\nIn another terminal:\n  cargo local send stripe invoice.payment_failed{url}"
        )?;
        let url = if elsewhere {
            format!(" --url {}", demo.events_url)
        } else {
            String::new()
        };
        writeln!(f, "  cargo local send rafiki outgoing_payment.created{url}")?;
        writeln!(
            f,
            "  curl -s -H 'Authorization: Bearer {}' {}/v1/tenants/{}/events",
            demo.tenant_key, self.api, demo.tenant
        )
    }
}

/// The same of the receiver alone.
#[derive(Debug, Serialize)]
pub(crate) struct Listening {
    message: &'static str,
    receiver: String,
    answer: u16,
}

impl Listening {
    /// A receiver at a URL, which answers so.
    pub(crate) fn at(receiver: String, answer: u16) -> Self {
        Self {
            message: "ready",
            receiver,
            answer,
        }
    }
}

impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            receiver, answer, ..
        } = self;
        writeln!(
            f,
            "The receiver listens at {receiver} and answers {answer}; Ctrl-C ends it."
        )
    }
}
