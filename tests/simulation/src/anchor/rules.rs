//! What should become of a transaction, written from the tables of `shared/docs/anchors.md` and apart from the code; and who
//! the wallets are.

use serde_json::{Value, json};

/// What a business server may say of a customer.
pub const STATUSES: [&str; 4] = ["NEEDS_INFO", "PROCESSING", "ACCEPTED", "REJECTED"];
pub(super) const OF_SEP_6: [&str; 5] = [
    "incomplete",
    "pending_anchor",
    "pending_customer_info_update",
    "pending_user_transfer_start",
    "completed",
];
pub(super) const OF_SEP_31: [&str; 3] = ["pending_sender", "pending_receiver", "completed"];
/// Why a rejected customer is.
pub(super) const REASON: &str = "the papers are not right";
/// The waits after failed tries, in seconds.
pub const WAITS_S: [u32; 4] = [5, 30, 120, 1_200];
/// The wallet clients. The second is told only of the latest.
pub const CLIENTS: [&str; 2] = ["lobby", "kiosk"];

/// The client of a story.
pub(super) fn client(story: usize) -> &'static str {
    CLIENTS.get(story % 2).copied().unwrap_or("lobby")
}

/// The SEP that the transaction of a story follows.
pub(super) fn sep(story: usize) -> u8 {
    if story % 4 < 2 { 6 } else { 31 }
}

/// The customer of a story; two of them, of two clients, have the same.
pub(super) fn customer(story: usize) -> String {
    format!("cus_{}", story / 2)
}

/// The wallets of a tenant, one for each URL: the client and the URL.
#[must_use]
pub fn wallets(tenant: &str) -> Vec<(&'static str, String)> {
    let of = |client| [6, 12, 31].map(|sep| (client, url_of(tenant, client, sep)));
    CLIENTS.into_iter().flat_map(of).collect()
}

/// The URL of a client for a SEP.
pub(super) fn url_of(tenant: &str, client: &str, sep: u8) -> String {
    format!("https://{client}.{tenant}.example/{sep}")
}

/// Where the business server of a tenant is.
pub(super) fn business_url(tenant: &str) -> String {
    format!("https://business.{tenant}.example/api")
}

/// What the business server of a tenant knows us by.
pub(super) fn business_key(tenant: &str) -> String {
    format!("the key of the business server of {tenant}")
}

/// What is set up for the anchor of a tenant: paths after the tenant's, and bodies. The first answers with the signing key.
#[must_use]
pub fn settings(tenant: &str) -> Vec<(String, Value)> {
    let mut set = vec![
        ("anchor/signing-key".to_owned(), json!({})),
        (
            "anchor".to_owned(),
            json!({
                "business_server": {
                    "base_url": business_url(tenant),
                    "auth": { "type": "api_key", "key": business_key(tenant) },
                },
            }),
        ),
    ];
    for client in CLIENTS {
        let body = json!({
            "domains": [format!("{client}.{tenant}.example")],
            "callback_urls": {
                "sep6": url_of(tenant, client, 6), "sep12": url_of(tenant, client, 12),
                "sep31": url_of(tenant, client, 31),
            },
            "latest_only": client == "kiosk",
            "retry": { "policy": "ladder", "waits_s": WAITS_S },
        });
        set.push((format!("clients/{client}"), body));
    }
    set
}

/// A transaction as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) status: &'static str,
    pub(super) message: Option<&'static str>,
    pub(super) paid: bool,
    pub(super) payable: bool,
}

/// Where a transaction goes by the status of its customer, and whether it takes that.
pub(super) fn moved(sep: u8, it: &Transaction, customer: &str) -> (&'static str, bool) {
    let open = match (sep, it.status) {
        (6, "incomplete" | "pending_anchor" | "pending_customer_info_update") => true,
        (6, "pending_user_transfer_start") => {
            !it.paid && matches!(customer, "NEEDS_INFO" | "REJECTED")
        }
        (31, "pending_receiver" | "pending_customer_info_update") => true,
        _ => false,
    };
    let next = match (customer, sep) {
        ("NEEDS_INFO", _) => "pending_customer_info_update",
        ("REJECTED", _) => "error",
        ("ACCEPTED", 6) if !it.paid && it.payable => "pending_user_transfer_start",
        (_, 6) => "pending_anchor",
        _ => "pending_receiver",
    };
    (next, open)
}
