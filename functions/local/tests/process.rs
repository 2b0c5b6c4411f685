//! The program as somebody at a shell sees it: what it says, what it answers with, and how it ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

fn local() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command.env_clear();
    command
}

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = local().args(args).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn mistakes_are_said_with_the_way_out_and_the_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let nobody = "http://127.0.0.1:1/";
    let folder = Folder::new("no-folder");
    std::fs::write(&folder.0, "").expect("a file");
    let file = folder.0.to_str().expect("text");
    let cases: [(&[&str], i32, &str); 7] = [
        (&["--nonsense"], 2, "--nonsense"),
        (&["send", "stripe", "nonsense"], 2, "invoice.payment_failed"),
        (&["--port", &port], 1, "choose another one with --port"),
        (
            &["--port", "0", "--receiver-port", &port],
            1,
            "choose another one with --receiver-port",
        ),
        (
            &["--port", "0", "--receiver-port", "0", "--data", file],
            1,
            file,
        ),
        (
            &["--port", "0", "--receiver-port", "0", "--aws"],
            1,
            "PAYRELAY_QUEUE_RECOVER is not set",
        ),
        (
            &["send", "stripe", "invoice.paid", "--url", nobody],
            1,
            "start it with `cargo local`",
        ),
    ];
    for (args, code, says) in cases {
        let (status, _, stderr) = run(args);
        assert_eq!(status, Some(code), "{args:?}: {stderr}");
        assert!(stderr.contains(says), "{args:?}: {stderr}");
    }
    drop(taken);
}

#[test]
fn a_lambda_event_is_written_to_standard_output() {
    let (status, stdout, _) = run(&["send", "stripe", "invoice.paid", "--as-lambda-event", "-"]);
    assert_eq!(status, Some(0));
    let event: Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(event.pointer("/version"), Some(&"2.0".into()));
}

#[test]
fn a_webhook_is_delivered_and_what_a_kill_left_unfinished_goes_on_at_the_next_start() {
    let folder = Folder::new("kill");
    let data = folder.0.to_str().expect("text");
    let first = Running::start(&["--data", data, "--no-receiver", "--receiver-port", "1"]);
    let (status, stdout, stderr) = run(&[
        "send",
        "stripe",
        "invoice.payment_failed",
        "--url",
        &first.webhook_url,
    ]);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(stdout.contains(r#""status":200"#), "{stdout}");
    let mut first = first;
    let failed = first.wait_for("delivery tried");
    assert_eq!(text(&failed, "state"), "retrying");
    first.kill();

    let mut second = Running::start(&["--data", data, "--receiver-port", "0"]);
    let arrived = second.wait_for("verified");
    assert_eq!(text(&arrived, "event.id"), text(&failed, "event.id"));
    assert_eq!(text(&arrived, "event.type"), "recovery.payment_failed");
    second.wait_for("delivery tried");
    second.interrupt();
    let last = second.rest().last().map(|line| text(line, "message"));
    assert_eq!(last, Some("ended, with nothing left to do"));
}

#[test]
fn every_platform_of_the_demo_is_heard_of() {
    let mut running = Running::start(&["--receiver-port", "0"]);
    let ready = running.said.first().cloned().unwrap_or_default();
    let of = |pointer: &str| ready.pointer(pointer).and_then(Value::as_str);
    let [chargebee, recurly, receiver] =
        ["/demo/chargebee_url", "/demo/recurly_url", "/receiver"].map(|it| of(it).expect(it));
    let platform = format!("{receiver}platform");
    for event in ["payment_failed", "payment_succeeded", "invoice_deleted"] {
        let args = ["send", "chargebee", event, "--invoice", "INV-1", "--url"];
        let (status, stdout, stderr) = run(&[&args[..], &[chargebee]].concat());
        assert_eq!(status, Some(0), "{event}: {stdout} {stderr}");
        let joined = running.wait_for("signal joined");
        assert_eq!(text(&joined, "invoice"), "INV-1");
    }
    for event in ["failed", "succeeded", "processing"] {
        let args = ["send", "recurly", event, "--url", recurly, "--platform"];
        let (status, stdout, stderr) = run(&[&args[..], &[&platform]].concat());
        assert_eq!(status, Some(0), "{event}: {stdout} {stderr}");
        // Only what Recurly's API tells makes a signal of its notification.
        running.wait_for("signal joined");
    }
    let nowhere = ["--url", recurly, "--platform", "http://127.0.0.1:1"];
    let (status, _, stderr) = run(&[&["send", "recurly", "failed"], &nowhere[..]].concat());
    assert_eq!(status, Some(1));
    assert!(stderr.contains("name it with --platform"), "{stderr}");
}

/// Tells a story, which has these chapters, in this order.
fn told(story: &str, chapters: &[&str]) {
    let (status, stdout, stderr) = run(&["demo", story]);
    assert_eq!(status, Some(0), "{stdout}{stderr}");
    let lines: Vec<Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    let mut told = lines.iter().map(|line| text(line, "what"));
    for chapter in chapters {
        assert!(
            told.any(|what| what.contains(chapter)),
            "{chapter}: {stdout}"
        );
    }
}

#[test]
fn the_story_of_a_recovery_is_told_to_its_end() {
    let chapters = [
        "could not collect in_demo",
        "hears recovery.payment_failed",
        "retry 1 at 2025-01-01 03:01",
        "hears recovery.retry_due: retry 1,",
        "retry 2 at 2025-01-01 15:01",
        "hears recovery.retry_due: retry 2,",
        "retry 3 at 2025-01-02 09:01",
        "hears recovery.retry_due: retry 3,",
        "hears recovery.recovered: 2500 USD collected",
        "posts invoice.paid",
        "finds the invoice recovered, after 4 charges of which the merchant made 3; Stripe: recorded",
    ];
    told("recovery", &chapters);
}

#[test]
fn the_story_of_a_customer_is_told_to_its_end() {
    let chapters = [
        "sets up a business server, a wallet client and a signing key; stellar.toml has SIGNING_KEY=\"GAB2CB57",
        "puts the deposit dep-1 of cus_1, incomplete",
        "cus_1 is NEEDS_INFO; calls notify_customer_info_updated: dep-1 is pending_customer_info_update",
        "fails at NEEDS_INFO, signed t=1735689660",
        "cus_1 is PROCESSING; calls notify_customer_info_updated: dep-1 is pending_anchor",
        "cus_1 is ACCEPTED; calls notify_customer_info_updated: dep-1 is pending_user_transfer_start",
        "fails at NEEDS_INFO, signed t=",
        "takes NEEDS_INFO, signed t=",
        "takes PROCESSING, signed t=",
        "takes ACCEPTED, signed t=",
        "has taken each status once, in order",
        "calls once more: dep-1 is pending_user_transfer_start, as before",
        "hears nothing",
        "tells of cus_2 when asked for cus_1; the call is answered -32603:",
        "hears nothing",
        "finds 6 of 6 events delivered; the first, customer.status_changed, was answered 500, 500, 200; its data: personal_data",
    ];
    told("customer", &chapters);
}

#[test]
fn nothing_that_was_accepted_is_lost_by_a_clean_end() {
    let folder = Folder::new("clean");
    let data = folder.0.to_str().expect("text");
    let mut first = Running::start(&["--data", data, "--receiver-port", "0"]);
    let url = first.webhook_url.clone();
    let (status, _, stderr) = run(&[
        "send",
        "stripe",
        "invoice.payment_failed",
        "--times",
        "100",
        "--url",
        &url,
    ]);
    assert_eq!(status, Some(0), "{stderr}");
    first.interrupt();
    let recorded = |line: &Value| text(line, "message") == "event recorded";
    assert_eq!(
        first.rest().iter().filter(|line| recorded(line)).count(),
        100
    );
    let mut second = Running::start(&["--data", data, "--receiver-port", "0"]);
    second.interrupt();
    let kept = second.said.iter().find(|line| line.get("events").is_some());
    assert_eq!(kept.and_then(|line| line.get("events")), Some(&100.into()));
    second.rest();
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A running `cargo local`, and what it says.
struct Running {
    process: Child,
    lines: BufReader<ChildStdout>,
    said: Vec<Value>,
    webhook_url: String,
}

impl Running {
    fn start(args: &[&str]) -> Self {
        let mut process = local()
            .args(["--port", "0"])
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut running = Self {
            process,
            lines,
            said: Vec::new(),
            webhook_url: String::new(),
        };
        let ready = running.wait_for("ready");
        let url = ready.pointer("/demo/webhook_url").and_then(Value::as_str);
        url.expect("the demo account")
            .clone_into(&mut running.webhook_url);
        running
    }

    /// The next line; `None` after the last one.
    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("it speaks text");
        let line = (read > 0).then(|| serde_json::from_str(&line).expect("a JSON line"));
        self.said.extend(line.clone());
        line
    }

    /// Reads on until a line with this message; what is slow is not wrong, so there is no deadline but the runner's.
    fn wait_for(&mut self, message: &str) -> Value {
        loop {
            match self.line() {
                Some(line) if text(&line, "message") == message => return line,
                Some(_) => {}
                None => panic!("it ended before it said `{message}`"),
            }
        }
    }

    fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Tells it to end, as Ctrl-C does.
    fn interrupt(&mut self) {
        let id = self.process.id().to_string();
        let told = Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .expect("kill runs");
        assert!(told.success());
    }

    /// All that it has said, and says until it has ended well.
    fn rest(&mut self) -> &[Value] {
        while self.line().is_some() {}
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
        &self.said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("payrelay-process-{}-{name}", std::process::id()));
        let _was_there = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _still_there = std::fs::remove_dir_all(&self.0);
        let _or_a_file = std::fs::remove_file(&self.0);
    }
}
