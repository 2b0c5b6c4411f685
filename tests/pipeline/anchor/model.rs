//! What should be so of transactions, customers and wallets, written from the tables of `shared/docs/anchors.md` and apart
//! from the code.

use std::collections::{BTreeMap, BTreeSet};

use shared::delivery::Failure;

use super::business::{Said, answers, says};
use super::url_of;

/// The transactions: their SEP, and who owns them.
pub(super) const TRANSACTIONS: [(u8, Option<&str>); 5] = [
    (6, Some("lobby")),
    (6, Some("lobby")),
    (6, Some("kiosk")),
    (31, Some("lobby")),
    (6, None),
];
/// The customers, each with the type it is asked for in.
pub(super) const CUSTOMERS: [(&str, Option<&str>); 2] = [("cus_0", Some("sep6")), ("cus_1", None)];
pub(super) const STATUSES: [&str; 4] = ["NEEDS_INFO", "PROCESSING", "ACCEPTED", "REJECTED"];
pub(super) const OF_SEP_6: [&str; 5] = [
    "incomplete",
    "pending_anchor",
    "pending_customer_info_update",
    "pending_user_transfer_start",
    "completed",
];
pub(super) const OF_SEP_31: [&str; 3] = ["pending_sender", "pending_receiver", "completed"];

/// What a caller says.
#[derive(Debug, Clone)]
pub(super) struct Called {
    pub(super) transaction: usize,
    pub(super) customer: Option<usize>,
    pub(super) message: bool,
}

/// How a transaction is put.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) transaction: usize,
    pub(super) status: usize,
    pub(super) paid: bool,
    pub(super) payable: bool,
}

/// How many ways there are to fail.
pub(super) const LIES: usize = 6;

pub(super) fn lie(how: usize, customer: &str) -> (Said, &'static str) {
    match how {
        0 => (answers(500, "{}"), "-32603"),
        1 => (Err(Failure::Timeout), "-32603"),
        2 => (says("cus_9", "ACCEPTED"), "-32603"),
        3 => (says(customer, "ACCEPTABLE"), "-32603"),
        4 => (answers(422, "{}"), "-32602"),
        _ => (answers(404, "{}"), "-32603"),
    }
}

/// What a wallet is to be told: where, and the customer's bytes or the transaction's status and message.
pub(super) type Telling = (String, String);
/// Whose wallet is told, of what.
pub(super) type Line = (String, String);

/// A transaction as the model has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Transaction {
    pub(super) status: &'static str,
    pub(super) message: Option<String>,
    pub(super) paid: bool,
    pub(super) payable: bool,
}

/// All that should be so.
#[derive(Default)]
pub(super) struct Model {
    pub(super) transactions: Vec<Transaction>,
    /// How each customer stands with the business server: its status, message and bytes.
    pub(super) truth: BTreeMap<usize, (&'static str, Option<String>, String)>,
    pub(super) lies: BTreeMap<usize, usize>,
    /// What was last said of a customer, client by client: its status and bytes.
    pub(super) said: BTreeMap<(Option<&'static str>, usize), (&'static str, String)>,
    /// Which URLs are put and not ended.
    pub(super) armed: BTreeSet<(&'static str, usize)>,
    pub(super) told: BTreeMap<Line, Vec<Telling>>,
    pub(super) unowned: usize,
    /// How often the bytes of a customer changed.
    pub(super) turns: usize,
}

pub(super) fn own_url(client: &str, customer: usize) -> String {
    format!("https://{client}.example/own/{customer}")
}

/// Where a SEP-6 or SEP-31 transaction goes by its customer, if it takes that.
pub(super) fn moved(sep: u8, it: &Transaction, customer: Option<&str>) -> (&'static str, bool) {
    let open = match (sep, it.status) {
        (6, "incomplete" | "pending_anchor" | "pending_customer_info_update") => true,
        (6, "pending_user_transfer_start") => {
            !it.paid && matches!(customer, Some("NEEDS_INFO" | "REJECTED"))
        }
        (31, "pending_receiver" | "pending_customer_info_update") => true,
        _ => false,
    };
    let next = match (customer, sep) {
        (Some("NEEDS_INFO"), _) => "pending_customer_info_update",
        (Some("REJECTED"), _) => "error",
        (Some("ACCEPTED"), 6) if !it.paid && it.payable => "pending_user_transfer_start",
        (_, 6) => "pending_anchor",
        _ => "pending_receiver",
    };
    (next, open)
}

impl Model {
    fn tell(&mut self, client: Option<&str>, subject: &str, url: Option<String>, what: String) {
        match (client, url) {
            (Some(client), Some(url)) => {
                let line = (client.to_owned(), subject.to_owned());
                self.told.entry(line).or_default().push((url, what));
            }
            (Some(_), None) => {}
            (None, _) => self.unowned += 1,
        }
    }

    fn tell_transaction(&mut self, number: usize) {
        let Some(((sep, client), it)) = TRANSACTIONS.get(number).zip(self.transactions.get(number))
        else {
            return;
        };
        let what = format!(
            "{} {}",
            it.status,
            it.message.as_deref().unwrap_or_default()
        );
        let url = client.map(|client| url_of(client, *sep));
        self.tell(*client, &format!("tx-{number}"), url, what);
    }

    /// What comes of a call: an error's code, or the transaction's status, and whether anything changes.
    pub(super) fn judge(&self, call: &Called) -> (String, bool) {
        let Some(((sep, client), it)) = TRANSACTIONS
            .get(call.transaction)
            .zip(self.transactions.get(call.transaction))
        else {
            return (String::new(), false);
        };
        if let Some(how) = call.customer.and_then(|customer| self.lies.get(&customer)) {
            return (lie(*how, "").1.to_owned(), false);
        }
        let truth = call.customer.map(|customer| self.truth.get(&customer));
        let truth = match truth {
            // It was never heard of.
            Some(None) => return ("-32603".to_owned(), false),
            Some(Some(truth)) => Some(truth),
            None => None,
        };
        let (next, open) = moved(*sep, it, truth.map(|truth| truth.0));
        let message = self.message(call, next);
        let news = call.customer.is_some_and(|customer| {
            let said = self.said.get(&(*client, customer)).map(|said| &said.1);
            said != truth.map(|truth| &truth.2)
        });
        let same = message.is_none() || message == it.message;
        if !news && same && next == it.status {
            (next.to_owned(), false)
        } else if !open {
            ("-32600".to_owned(), false)
        } else if next == "error" && message.is_none() {
            ("-32602".to_owned(), false)
        } else {
            (next.to_owned(), true)
        }
    }

    fn message(&self, call: &Called, next: &str) -> Option<String> {
        let given = call.message.then(|| "said so".to_owned());
        let theirs = || self.truth.get(&call.customer?)?.1.clone();
        given.or_else(|| (next == "error").then(theirs).flatten())
    }

    /// The call changes what [`Model::judge`] said it does.
    pub(super) fn apply(&mut self, call: &Called) {
        let Some(&(sep, client)) = TRANSACTIONS.get(call.transaction) else {
            return;
        };
        let truth = call.customer.and_then(|customer| {
            let truth = self.truth.get(&customer)?;
            Some((customer, truth.0, truth.2.clone()))
        });
        let Some(it) = self.transactions.get(call.transaction).cloned() else {
            return;
        };
        let (next, _) = moved(sep, &it, truth.as_ref().map(|truth| truth.1));
        let message = self.message(call, next).or(it.message.clone());
        if let Some((customer, status, bytes)) = truth {
            self.hear(client, customer, status, bytes);
        }
        if let Some(it) = self.transactions.get_mut(call.transaction) {
            (it.status, it.message) = (next, message);
        }
        if next != it.status {
            self.tell_transaction(call.transaction);
        }
    }

    fn hear(
        &mut self,
        client: Option<&'static str>,
        customer: usize,
        status: &'static str,
        bytes: String,
    ) {
        let before = self
            .said
            .insert((client, customer), (status, bytes.clone()));
        if before.as_ref().is_some_and(|before| before.1 == bytes) {
            return;
        }
        let turned = before.is_none_or(|before| before.0 != status);
        let armed = client.filter(|client| turned && self.armed.contains(&(*client, customer)));
        // `kiosk` has no URL of its own for customers.
        let url = match (armed, client) {
            (Some(client), _) => Some(own_url(client, customer)),
            (None, Some("lobby")) => Some(url_of("lobby", 12)),
            (None, _) => None,
        };
        if let Some(client) = armed
            && matches!(status, "ACCEPTED" | "REJECTED")
        {
            self.armed.remove(&(client, customer));
        }
        // Of other fields nobody is told who has no URL for them; nor is it recorded that nobody was.
        if turned || url.is_some() {
            let subject = format!("cus_{customer}");
            self.tell(client, &subject, url, bytes);
        }
    }

    /// Whether a put changes anything.
    pub(super) fn changes(&self, put: &Placed) -> Option<Transaction> {
        let (sep, _) = TRANSACTIONS.get(put.transaction)?;
        let statuses = if *sep == 31 {
            &OF_SEP_31[..]
        } else {
            &OF_SEP_6[..]
        };
        let wanted = Transaction {
            status: statuses.get(put.status % statuses.len())?,
            message: None,
            paid: put.paid,
            payable: put.payable,
        };
        (self.transactions.get(put.transaction) != Some(&wanted)).then_some(wanted)
    }

    pub(super) fn put(&mut self, put: &Placed) {
        let Some(wanted) = self.changes(put) else {
            return;
        };
        let was = self.transactions.get(put.transaction).map(|it| it.status);
        let status = wanted.status;
        if let Some(it) = self.transactions.get_mut(put.transaction) {
            *it = wanted;
        }
        if was.is_some_and(|was| was != status) {
            self.tell_transaction(put.transaction);
        }
    }
}
