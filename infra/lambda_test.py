"""Invokes each function alone through `cargo lambda`, and checks its answer. lambda-test.sh starts what it needs.

    lambda_test.py PORT FOLDER        PORT is cargo lambda's; the events go to FOLDER, to be invoked again by hand

No event is made up for a worker: what one function put on a queue is received here, wrapped as Lambda's poller wraps it,
and handed to the next. That is the same event that the function gets when it is deployed.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

import boto3

import checks
from checks import ASE_SECRET, HOOK_SECRET, RAFIKI_SECRET, STRIPE_SECRET, Receiver, check

ACCOUNT = "pro_1/mca_1"
DOOR = f"/v2/webhooks/revenue_recovery/{ACCOUNT}"


class Functions:
    """The functions, as `cargo lambda watch` serves them."""

    def __init__(self, port: str, folder: pathlib.Path):
        self.port = port
        self.folder = folder

    def file(self, name: str) -> pathlib.Path:
        """Where an event is kept."""
        return self.folder / f"{name}.json"

    def invoke(self, function: str, name: str) -> dict:
        """Invokes a function with a kept event. The first call of a function starts it."""
        command = ["cargo", "lambda", "invoke", "--invoke-address", "127.0.0.1", "--invoke-port", self.port, function,
                   "--data-file", str(self.file(name)), "--output-format", "json"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
        except subprocess.TimeoutExpired:
            # So it is when the function ended as it started.
            return {"failed": "no answer within 60 s"}
        if done.returncode:
            return {"failed": (done.stderr or done.stdout).strip()[:500]}
        return json.loads(done.stdout or "null") or {}

    def http(self, function: str, name: str, method: str, path: str, value: object = None, key: str = "") -> dict:
        """Invokes a door with one request, as the HTTP API would hand it on (payload format 2.0)."""
        key = key or os.environ["PAYRELAY_OPERATOR_KEY"]
        route, _, query = path.partition("?")
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": route,
            "rawQueryString": query,
            "headers": {"host": "localhost", "authorization": f"Bearer {key}", "content-type": "application/json",
                        "idempotency-key": name},
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "localhost",
                "domainPrefix": "localhost",
                "http": {"method": method, "path": route, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "test"},
                "requestId": name,
                "routeKey": "$default",
                "stage": "$default",
                "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime()),
                "timeEpoch": int(time.time() * 1000),
            },
            "body": None if value is None else json.dumps(value),
            "isBase64Encoded": False,
        }
        self.file(name).write_text(json.dumps(event, indent=1))
        return self.invoke(function, name)

    def batch(self, queue: str, function: str) -> tuple[int, dict]:
        """Hands the messages of a queue to its function, and deletes those that it let go of."""
        sqs = boto3.client("sqs")
        url = os.environ[f"PAYRELAY_QUEUE_{queue}"]
        arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=2,
                                       AttributeNames=["All"], MessageAttributeNames=["All"]).get("Messages", [])
        records = [record(message, arn) for message in messages]
        self.file(function).write_text(json.dumps({"Records": records}, indent=1))
        answer = self.invoke(function, function)
        kept = {it["itemIdentifier"] for it in answer.get("batchItemFailures", [])}
        for message in messages:
            if message["MessageId"] not in kept:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return len(messages), answer


def record(message: dict, arn: str) -> dict:
    """A message as Lambda's poller hands it on."""
    attributes = {
        name: {"dataType": it["DataType"], "stringValue": it.get("StringValue"),
               "stringListValues": [], "binaryListValues": []}
        for name, it in message.get("MessageAttributes", {}).items()
    }
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": attributes,
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": os.environ["AWS_REGION"],
    }


def set_up(functions: Functions, receiver: Receiver) -> None:
    """A tenant with endpoints, a billing account and a publisher, made by console."""
    tenant = "/v1/tenants/acme"
    endpoint = {"url": f"{receiver.url}/shop", "role": "merchant", "scheme": "standard-webhooks", "secrets": [HOOK_SECRET]}
    account = {"platform": "stripe", "webhook_secrets": [STRIPE_SECRET]}
    ase = {"url": f"{receiver.url}/ase", "role": "ase", "scheme": "rafiki", "secrets": [ASE_SECRET]}
    for name, path, value in (
        ("console-tenant", tenant, {}),
        ("console-endpoint", f"{tenant}/endpoints/shop", endpoint),
        ("console-account", f"{tenant}/billing-accounts/{ACCOUNT}", account),
        ("console-ase", f"{tenant}/endpoints/ase", ase),
        ("console-publisher", f"{tenant}/publishers/rafiki", {"secrets": [RAFIKI_SECRET]}),
    ):
        answer = functions.http("console", name, "PUT", path, value)
        check(f"console: PUT {path}", answer.get("statusCode") in (200, 201), answer.get("statusCode", answer))


def sign(functions: Functions) -> None:
    """A freshly signed webhook for ingest and an event for publish, written by the developer's own command."""
    # `cargo local` itself would compile it once more, without optimisation.
    local = ["cargo", "run", "--quiet", "--profile", "quick", "--locked", "--bin", "local", "--"]
    for sender, what, secret, door, function in (
        ("stripe", "invoice.payment_failed", STRIPE_SECRET, DOOR, "ingest"),
        ("rafiki", "outgoing_payment.created", RAFIKI_SECRET, "/v1/tenants/acme/events", "publish"),
    ):
        command = [*local, "send", sender, what, "--secret", secret, "--url", f"http://localhost{door}",
                   "--as-lambda-event", str(functions.file(function))]
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=900)
        seen = done.stderr.strip()[-300:] if done.returncode else "written"
        check(f"cargo local -- send {sender} ... --as-lambda-event", done.returncode == 0, seen)


def walk(functions: Functions, receiver: Receiver) -> None:
    """A webhook through ingest and recover, an event through publish, both through fanout and deliver, each invoked alone."""
    answer = functions.invoke("ingest", "ingest")
    check("ingest: a signed webhook", answer.get("statusCode") == 200, answer.get("statusCode", answer))
    answer = functions.invoke("publish", "publish")
    check("publish: a signed event", answer.get("statusCode") == 200, answer.get("statusCode", answer))
    for queue, function in (("RECOVER", "recover"), ("FANOUT", "fanout"), ("DELIVER", "deliver")):
        count, answer = functions.batch(queue, function)
        check(f"{function}: a batch of {count}", count > 0 and answer.get("batchItemFailures") == [], json.dumps(answer))
    arrived = [it for it in receiver.of("/shop") if checks.type_of(it[2]) == "recovery.payment_failed"]
    valid = bool(arrived) and checks.standard_webhook_is_valid(arrived[0][1], arrived[0][2])
    check("the receiver got a validly signed delivery", valid, f"{len(arrived)} of recovery.payment_failed")
    arrived = [it for it in receiver.of("/ase") if checks.type_of(it[2]) == "outgoing_payment.created"]
    valid = bool(arrived) and checks.rafiki_is_valid(ASE_SECRET, arrived[0][1], arrived[0][2])
    check("and so did the account servicing entity", valid, f"{len(arrived)} of outgoing_payment.created")


def tell(functions: Functions, receiver: Receiver) -> None:
    """A call to anchor, which asks the business server, and the callback through deliver."""
    tenant, client = "/v1/tenants/acme", {"domains": ["lobby.example"], "callback_urls": {"sep12": f"{receiver.url}/wallet"}}
    base = {"base_url": f"{receiver.url}/business", "auth": {"type": "none"}}
    for name, path, value in (
        ("console-anchor", f"{tenant}/anchor", {"business_server": base}),
        ("console-signing-key", f"{tenant}/anchor/signing-key", {}),
        ("console-client", f"{tenant}/clients/lobby", client),
    ):
        answer = functions.http("console", name, "PUT", path, value)
        check(f"console: PUT {path}", answer.get("statusCode") in (200, 201), answer.get("statusCode", answer))
    made = functions.http("console", "console-anchor-key", "POST", f"{tenant}/keys", {})
    key = json.loads(made.get("body") or "{}").get("key", "none")
    deposit = {"sep": "6", "kind": "deposit", "status": "incomplete", "client": "lobby", "customers": {"sender": "cus_1"}}
    answer = functions.http("anchor", "anchor-put", "PUT", f"{tenant}/anchor/transactions/tx-1", deposit, key)
    check("anchor: a transaction", answer.get("statusCode") == 201, answer.get("statusCode", answer))
    receiver.customer = b'{"id":"cus_1","status":"NEEDS_INFO"}'
    params = {"transaction_id": "tx-1", "customer_id": "cus_1"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "notify_customer_info_updated", "params": params}
    answer = functions.http("anchor", "anchor-call", "POST", f"{tenant}/anchor/rpc", call, key)
    told = json.loads(answer.get("body") or "{}")
    check("anchor: a call", told.get("result", {}).get("status") == "pending_customer_info_update", told or answer)
    count, answer = functions.batch("DELIVER_ORDERED", "deliver")
    check(f"deliver: a batch of {count} in order", count == 1 and answer.get("batchItemFailures") == [], json.dumps(answer))
    got = [it[2] for it in receiver.of("/wallet")]
    check("the wallet is told, to the byte", got == [receiver.customer], got)


def ask(functions: Functions, receiver: Receiver) -> None:
    """A question to decide, which asks the ASE."""
    tenant = "/v1/tenants/acme"
    endpoint = {"url": f"{receiver.url}/decider", "decision_url": f"{receiver.url}/decide", "role": "ase",
                "scheme": "standard-webhooks", "secrets": [HOOK_SECRET], "event_types": ["none"]}
    functions.http("console", "console-decider", "PUT", f"{tenant}/endpoints/decider", endpoint)
    made = functions.http("console", "console-key", "POST", f"{tenant}/keys", {})
    key = json.loads(made.get("body") or "{}").get("key", "none")
    question = {"walletAddress": "https://wallet.example/alice", "expiresAt": "2030-01-01T00:00:00Z"}
    answer = functions.http("decide", "decide", "POST", f"{tenant}/incoming-payments/decisions", question, key)
    told = json.loads(answer.get("body") or "{}")
    check("decide: the ASE's decision", (told.get("decision"), told.get("by")) == ("rejected", "ase"), told or answer)
    asked = receiver.of("/decide")
    valid = len(asked) == 1 and checks.standard_webhook_is_valid(asked[0][1], asked[0][2])
    check("the ASE was asked once, validly signed", valid, f"{len(asked)} requests")


def look(functions: Functions) -> None:
    """What is left: a run of sweep, and the event on the operator API."""
    event = {
        "version": "0", "id": "00000000-0000-0000-0000-000000000000", "detail-type": "Scheduled Event",
        "source": "aws.events", "account": "000000000000", "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": os.environ["AWS_REGION"], "resources": [], "detail": {},
    }
    functions.file("sweep").write_text(json.dumps(event, indent=1))
    answer = functions.invoke("sweep", "sweep")
    check("sweep: a scheduled run", "failed" not in answer and "errorType" not in answer, json.dumps(answer))
    answer = functions.http("console", "console", "GET", "/v1/tenants/acme/events?limit=10")
    events = json.loads(answer.get("body") or "{}").get("data", [])
    seen = [(it.get("type"), it.get("state")) for it in events]
    check("console: the event is listed", any(it[0] == "recovery.payment_failed" for it in seen), seen or answer)


def main() -> None:
    port, folder = sys.argv[1:]
    functions = Functions(port, pathlib.Path(folder))
    receiver = Receiver()
    set_up(functions, receiver)
    sign(functions)
    walk(functions, receiver)
    ask(functions, receiver)
    tell(functions, receiver)
    look(functions)
    checks.finish()


if __name__ == "__main__":
    main()
