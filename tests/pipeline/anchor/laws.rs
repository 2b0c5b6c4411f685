//! What holds whatever happens, in whatever order: an error tells nobody of anything, a result is told exactly, each line
//! keeps its order, and no client hears of another's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::customer::{Callbacks, Client};
use shared::delivery::{Outcome, Policy};
use tests::faults::Fault;

use super::business::answers;
use super::model::{
    CUSTOMERS, Called, LIES, Line, Model, OF_SEP_6, Placed, STATUSES, TRANSACTIONS, Telling,
    Transaction, lie, own_url,
};
use super::told::Told;
use super::{KIOSK_KEY, Stage, call, client, deposit, outcome, url_of};
use crate::text;

#[derive(Debug, Clone)]
enum Act {
    /// The business server makes up its mind about a customer.
    Moves {
        customer: usize,
        status: usize,
        message: bool,
    },
    /// The next time it is asked about the customer it fails, or tells a lie.
    Lies {
        customer: usize,
        how: usize,
    },
    Calls(Vec<Called>),
    Puts(Placed),
    /// A wallet puts a URL for a customer.
    Registers {
        kiosk: bool,
        customer: usize,
    },
    /// Whether messages can be sent.
    Queue(bool),
    /// Whether a client's wallet answers.
    Wallet {
        kiosk: bool,
        up: bool,
    },
    /// The next write of several items collides with another.
    Collides,
    Passes(i64),
    /// The process dies after so many effects of a call.
    DiesCalling(usize, Called),
    DiesPutting(usize, Placed),
    DiesPassing(usize),
}

fn any_call() -> impl Strategy<Value = Called> {
    let customer = prop::option::weighted(0.9, 0..CUSTOMERS.len());
    (0..TRANSACTIONS.len(), customer, prop::bool::weighted(0.3)).prop_map(
        |(transaction, customer, message)| Called {
            transaction,
            customer,
            message,
        },
    )
}

fn any_put() -> impl Strategy<Value = Placed> {
    (
        0..TRANSACTIONS.len(),
        0..OF_SEP_6.len(),
        prop::bool::weighted(0.3),
        any::<bool>(),
    )
        .prop_map(|(transaction, status, paid, payable)| Placed {
            transaction,
            status,
            paid,
            payable,
        })
}

fn any_act() -> impl Strategy<Value = Act> {
    let customer = 0..CUSTOMERS.len();
    prop_oneof![
        6 => (customer.clone(), 0..STATUSES.len(), any::<bool>())
            .prop_map(|(customer, status, message)| Act::Moves { customer, status, message }),
        1 => (customer.clone(), 0..LIES).prop_map(|(customer, how)| Act::Lies { customer, how }),
        8 => prop::collection::vec(any_call(), 1..4).prop_map(Act::Calls),
        2 => any_put().prop_map(Act::Puts),
        2 => (any::<bool>(), customer).prop_map(|(kiosk, customer)| Act::Registers { kiosk, customer }),
        1 => any::<bool>().prop_map(Act::Queue),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(kiosk, up)| Act::Wallet { kiosk, up }),
        1 => Just(Act::Collides),
        3 => (0..90_i64).prop_map(Act::Passes),
        2 => (1..8_usize, any_call()).prop_map(|(after, call)| Act::DiesCalling(after, call)),
        1 => (1..6_usize, any_put()).prop_map(|(after, put)| Act::DiesPutting(after, put)),
        1 => (1..12_usize).prop_map(Act::DiesPassing),
    ]
}

fn request(call_: &Called) -> Value {
    let mut params = json!({ "transaction_id": format!("tx-{}", call_.transaction) });
    let Some(object) = params.as_object_mut() else {
        return params;
    };
    if let Some((customer, kind)) = call_.customer.and_then(|it| CUSTOMERS.get(it)) {
        object.insert("customer_id".to_owned(), json!(customer));
        object.insert("customer_type".to_owned(), json!(kind));
    }
    if call_.message {
        object.insert("message".to_owned(), json!("said so"));
    }
    call(params)
}

fn as_put(number: usize, it: &Transaction) -> Result<Value> {
    let (sep, client) = TRANSACTIONS.get(number).context("it is one of them")?;
    let paid = it.paid.then_some("2025-01-01T00:00:00Z");
    Ok(deposit(json!({
        "sep": sep.to_string(), "client": client, "status": it.status, "message": it.message,
        "customers": { "sender": "cus_0", "receiver": "cus_1" }, "transfer_received_at": paid,
        "amounts_known": it.payable, "instructions_known": it.payable,
    })))
}

struct Play {
    stage: Stage,
    model: Model,
    queue_out: bool,
}

impl Play {
    async fn start() -> Result<Self> {
        let stage = Stage::start().await?;
        let patient = Policy::Ladder {
            waits_s: vec![60; 50],
        };
        let kiosk = Client {
            callbacks: Callbacks {
                sep12: None,
                ..client("kiosk")?.callbacks
            },
            signing_keys: BTreeSet::from([KIOSK_KEY.to_owned()]),
            policy: patient.clone(),
            ..client("kiosk")?
        };
        let lobby = Client {
            policy: patient,
            ..client("lobby")?
        };
        stage.put_client(kiosk).await?;
        stage.put_client(lobby).await?;
        let mut model = Model::default();
        for (number, (sep, _)) in TRANSACTIONS.into_iter().enumerate() {
            let it = Transaction {
                status: if sep == 31 {
                    "pending_receiver"
                } else {
                    "incomplete"
                },
                ..Transaction::default()
            };
            stage
                .put(&format!("tx-{number}"), &as_put(number, &it)?)
                .await?;
            model.transactions.push(it);
        }
        Ok(Self {
            stage,
            model,
            queue_out: false,
        })
    }

    /// What the business server answers from now on about a customer.
    fn script(&self, customer: usize) -> Result<()> {
        let name = CUSTOMERS.get(customer).context("it is one of them")?.0;
        let truth = match self.model.truth.get(&customer) {
            Some((_, _, bytes)) => answers(200, bytes),
            None => answers(404, "{}"),
        };
        let lie = self.model.lies.get(&customer).map(|how| lie(*how, name).0);
        self.stage.business.is(name, lie.into_iter().chain([truth]));
        Ok(())
    }

    /// Forgets the lies that were told since `asked` questions were.
    fn lied(&mut self, asked: usize) {
        for query in self.stage.business.queries().into_iter().skip(asked) {
            for (number, (name, _)) in CUSTOMERS.into_iter().enumerate() {
                if query.contains(name) {
                    self.model.lies.remove(&number);
                }
            }
        }
    }

    async fn version(&self, transaction: usize) -> Result<u64> {
        let (_, tag) = self.stage.transaction(&format!("tx-{transaction}")).await?;
        Ok(tag.trim_matches('"').parse()?)
    }

    async fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Moves {
                customer,
                status,
                message,
            } => {
                let status = STATUSES.get(*status).context("it is one of them")?;
                self.model.turns += 1;
                let message = message.then(|| format!("turn {}", self.model.turns));
                let more = message.as_ref().map(|it| format!(r#","message":"{it}""#));
                let bytes = format!(
                    r#"{{"id":"cus_{customer}", "status":"{status}"{},"n":{}}}"#,
                    more.unwrap_or_default(),
                    // Now and then it says the same again.
                    self.model.turns % 3
                );
                self.model.truth.insert(*customer, (status, message, bytes));
                self.script(*customer)?;
            }
            Act::Lies { customer, how } => {
                self.model.lies.insert(*customer, *how);
                self.script(*customer)?;
            }
            Act::Calls(calls) => self.calls(calls).await?,
            Act::Puts(put) => {
                self.send_put(put).await?;
                self.model.put(put);
            }
            Act::Registers { kiosk, customer } => self.register(*kiosk, *customer).await?,
            Act::Queue(up) => self.queue(*up),
            Act::Wallet { kiosk, up } => self.wallet(*kiosk, *up),
            Act::Collides => {
                let faults = &self.stage.scene.faults;
                faults.next("TransactWriteItems", Fault::Contended);
            }
            Act::Passes(seconds) => {
                let passed = self
                    .stage
                    .scene
                    .pass(SignedDuration::from_secs(*seconds))
                    .await;
                self.passed(passed)?;
            }
            Act::DiesCalling(after, call) => self.dies_calling(*after, call).await?,
            Act::DiesPutting(after, put) => self.dies_putting(*after, put).await?,
            Act::DiesPassing(after) => {
                self.stage.scene.effects.die_after(*after);
                let passed = tokio::select! {
                    biased;
                    () = self.stage.scene.effects.death() => Ok(()),
                    passed = self.stage.scene.pass(SignedDuration::from_secs(70)) => passed,
                };
                self.stage.scene.restart()?;
                self.passed(passed)?;
            }
        }
        Ok(())
    }

    fn queue(&mut self, up: bool) {
        self.queue_out = !up;
        self.stage.scene.effects.queues_out(!up);
    }

    /// Time goes no further where a sweep fails, which only a queue that is down makes it do.
    fn passed(&self, passed: Result<()>) -> Result<()> {
        passed.or_else(|problem| if self.queue_out { Ok(()) } else { Err(problem) })
    }

    fn wallet(&self, kiosk: bool, up: bool) {
        let client = if kiosk { "kiosk" } else { "lobby" };
        let urls = [6, 12, 31].map(|sep| url_of(client, sep)).into_iter();
        for url in urls.chain((0..CUSTOMERS.len()).map(|customer| own_url(client, customer))) {
            let outcome = Outcome::answered(if up { 200 } else { 503 });
            self.stage.scene.far.script(&url, [outcome]);
        }
    }

    async fn calls(&mut self, calls: &[Called]) -> Result<()> {
        let asked = self.stage.business.calls().len();
        let answers = self.stage.rpc(&calls.iter().map(request).collect()).await?;
        let answers = answers.as_array().context("an array")?;
        ensure!(answers.len() == calls.len(), "{answers:?}");
        for (call, answer) in calls.iter().zip(answers) {
            let (want, changes) = self.model.judge(call);
            let got = outcome(answer);
            ensure!(
                got == want || want.starts_with('-') && got.starts_with(&want),
                "{call:?}: {got}, not {want}"
            );
            if changes {
                self.model.apply(call);
            }
            // The next one of them hears the truth.
            if let Some(customer) = call.customer {
                self.model.lies.remove(&customer);
            }
        }
        self.lied(asked);
        Ok(())
    }

    async fn send_put(&self, put: &Placed) -> Result<()> {
        let (number, known) = (
            put.transaction,
            self.model.transactions.get(put.transaction),
        );
        let wanted = self.model.changes(put).or(known.cloned());
        let body = as_put(number, &wanted.context("it is one of them")?)?;
        self.stage.put(&format!("tx-{number}"), &body).await?;
        Ok(())
    }

    async fn register(&mut self, kiosk: bool, customer: usize) -> Result<()> {
        let client = if kiosk { "kiosk" } else { "lobby" };
        let url = own_url(client, customer);
        super::callback::registers(&self.stage, client, &format!("cus_{customer}"), &url).await?;
        self.model.armed.insert((client, customer));
        Ok(())
    }

    async fn dies_calling(&mut self, after: usize, call: &Called) -> Result<()> {
        let asked = self.stage.business.calls().len();
        let before = self.version(call.transaction).await?;
        let (_, changes) = self.model.judge(call);
        let request = request(call);
        self.stage.scene.effects.die_after(after);
        tokio::select! {
            biased;
            () = self.stage.scene.effects.death() => {}
            answer = self.stage.rpc(&request) => { answer?; }
        }
        self.stage.scene.restart()?;
        let written = self.version(call.transaction).await? - before;
        ensure!(written <= u64::from(changes), "{call:?}: {written} writes");
        if written == 1 {
            self.model.apply(call);
        }
        self.lied(asked);
        Ok(())
    }

    async fn dies_putting(&mut self, after: usize, put: &Placed) -> Result<()> {
        let before = self.version(put.transaction).await?;
        self.stage.scene.effects.die_after(after);
        tokio::select! {
            biased;
            () = self.stage.scene.effects.death() => {}
            done = self.send_put(put) => done?,
        }
        self.stage.scene.restart()?;
        let written = self.version(put.transaction).await? - before;
        let changes = self.model.changes(put).is_some();
        ensure!(written <= u64::from(changes), "{put:?}: {written} writes");
        if written == 1 {
            self.model.put(put);
        }
        Ok(())
    }

    /// Everything is up again, and time enough passes.
    async fn rests(&self) -> Result<()> {
        let scene = &self.stage.scene;
        scene.effects.queues_out(false);
        scene.faults.none();
        for kiosk in [false, true] {
            self.wallet(kiosk, true);
        }
        scene.pass(SignedDuration::from_mins(8)).await?;
        ensure!(scene.queues.is_empty(), "something is left on a queue");
        for (number, want) in self.model.transactions.iter().enumerate() {
            let (shown, _) = self.stage.transaction(&format!("tx-{number}")).await?;
            let message = want.message.as_deref().unwrap_or_default();
            let got = (text(&shown, "/status"), text(&shown, "/message"));
            ensure!(
                got == (want.status.to_owned(), message.to_owned()),
                "{shown}, not {want:?}"
            );
        }
        let told = by_line(self.stage.told()?)?;
        ensure!(
            told == self.model.told,
            "told: {told:#?}, not {:#?}",
            self.model.told
        );
        let aside = self.stage.set_aside().await?;
        let unowned = aside.iter().filter(|it| it.ends_with("no_client")).count();
        ensure!(
            unowned == self.model.unowned,
            "{aside:?}, not {}",
            self.model.unowned
        );
        Ok(())
    }
}

/// What each client's wallet heard of each customer and transaction, in its order. Tries of one callback that follow each
/// other count once; a callback that comes again after another one counts again, and is wrong.
fn by_line(told: Vec<Told>) -> Result<BTreeMap<Line, Vec<Telling>>> {
    let mut lines: BTreeMap<Line, Vec<(String, Telling)>> = BTreeMap::new();
    for told in told {
        let client = told
            .url
            .strip_prefix("https://")
            .and_then(|it| it.split('.').next());
        let body: Value = serde_json::from_str(&told.body)?;
        let (subject, what) = match body.get("transaction") {
            None => (text(&body, "/id"), told.body),
            Some(it) => {
                let message = text(it, "/message") + &text(it, "/required_info_message");
                (text(it, "/id"), format!("{} {message}", told.status))
            }
        };
        let line = lines
            .entry((client.unwrap_or_default().to_owned(), subject))
            .or_default();
        if line.last().is_none_or(|last| last.0 != told.id) {
            line.push((told.id, (told.url, what)));
        }
    }
    let without_ids = lines
        .into_iter()
        .map(|(line, told)| (line, told.into_iter().map(|(_, telling)| telling).collect()));
    Ok(without_ids.collect())
}

async fn holds(acts: &[Act]) -> Result<()> {
    let mut play = Play::start().await?;
    for act in acts {
        play.act(act).await.with_context(|| format!("{act:?}"))?;
    }
    play.rests().await
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_happens_results_are_told_exactly_in_order_and_to_their_owner_and_errors_to_nobody(
        acts in prop::collection::vec(any_act(), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let held = runtime.map_err(anyhow::Error::from).and_then(|it| it.block_on(holds(&acts)));
        prop_assert!(held.is_ok(), "{:?}", held.err());
    }
}
