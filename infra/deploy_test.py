"""Checks a deployed stack from outside, as its callers and receivers see it. deploy-test.sh deploys and calls it.

    deploy_test.py STACK OPERATOR_KEY [ROUND]

ROUND names the accounts and ids, so that one stack can be checked again (behind the other front door). Prints a line for
each check.
"""

import base64
import http.client
import json
import os
import re
import sys
import urllib.parse

import boto3

import checks
from checks import ASE_SECRET, FIXTURE, HOOK_SECRET, RAFIKI_EVENT, RAFIKI_SECRET, STRIPE_SECRET, Receiver, check, until

FUNCTIONS = ("ingest", "publish", "decide", "anchor", "recover", "fanout", "deliver", "sweep", "console")
# How log lines of the platform begin.
PLATFORM = ("START ", "END ", "REPORT ")


class Stack:
    """A deployed stack: its outputs, and calls to its doors."""

    def __init__(self, name: str, operator_key: str):
        self.name = name
        self.operator_key = operator_key
        stack = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    def call(self, method: str, path: str, body: bytes | None, headers: dict) -> tuple[int, dict]:
        """One request to the door that serves the path. The emulator tells APIs and URLs apart by the Host header."""
        if path.startswith("/v2/webhooks/"):
            door = "IngestUrl"
        elif method == "POST" and path.partition("?")[0].endswith("/events"):
            door = "PublishUrl"
        elif path.endswith("/incoming-payments/decisions"):
            door = "DecideUrl"
        elif re.search("/anchor/(rpc|transactions/[^/]+|customer/callback)$", path):
            door = "AnchorUrl"
        else:
            door = "ConsoleUrl"
        host = urllib.parse.urlsplit(self.outputs.get("ApiUrl") or self.outputs[door]).netloc
        port = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, path, body=body, headers={"host": host, **headers})
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        try:
            return response.status, json.loads(answer)
        except ValueError:
            return response.status, {"text": answer.decode(errors="replace")}

    def operate(self, method: str, path: str, value: object = None) -> tuple[int, dict]:
        """One request to the operator API, with the operator's key."""
        body = None if value is None else json.dumps(value).encode()
        headers = {"authorization": f"Bearer {self.operator_key}", "content-type": "application/json"}
        return self.call(method, path, body, headers)

    def webhook(self, path: str, body: bytes, secret: str) -> tuple[int, dict]:
        """Posts a signed billing webhook."""
        headers = {"content-type": "application/json", "stripe-signature": checks.stripe_signature(secret, body)}
        return self.call("POST", path, body, headers)

    def rafiki(self, path: str, event: dict, secret: str) -> tuple[int, dict]:
        """Posts a signed event, as a Rafiki instance does."""
        body = json.dumps(event).encode()
        headers = {"content-type": "application/json", "rafiki-signature": checks.rafiki_signature(secret, body)}
        return self.call("POST", path, body, headers)

    def messages(self, output: str) -> int:
        """How many messages a queue holds, waiting or in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        got = boto3.client("sqs").get_queue_attributes(QueueUrl=self.outputs[output], AttributeNames=names)
        return sum(int(got["Attributes"][it]) for it in names)

    def logs(self, function: str) -> list[str]:
        """All that a function has logged."""
        group = f"/aws/lambda/{self.name}-{function}"
        events = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"].rstrip() for page in events for event in page["events"]]


def billing_webhook_arrives(stack: Stack, receiver: Receiver, tag: str) -> str | None:
    """Sets up a tenant, posts a billing webhook, and sees the delivery. Gives the event's id."""
    tenant = f"/v1/tenants/acme{tag}"
    account = f"pro_{tag}/mca_{tag}"
    door = f"/v2/webhooks/revenue_recovery/{account}"

    def endpoint(name: str, retry: dict) -> dict:
        return {"url": f"{receiver.url}/{tag}/{name}", "role": "merchant", "scheme": "standard-webhooks",
                "secrets": [HOOK_SECRET], "retry": retry}

    linear = {"policy": "linear", "step_s": 1, "max_retry": 3}
    setup = (
        (tenant, {}),
        (f"{tenant}/endpoints/shop", endpoint("shop", linear)),
        (f"{tenant}/endpoints/flaky", endpoint("flaky", linear)),
        (f"{tenant}/billing-accounts/{account}", {"platform": "stripe", "webhook_secrets": [STRIPE_SECRET]}),
    )
    for path, value in setup:
        status, answer = stack.operate("PUT", path, value)
        check(f"PUT {path}", status in (200, 201), f"{status} {answer if status > 201 else ''}".strip())
    status, _ = stack.call("GET", tenant, None, {})
    check("the operator API without a key", status == 401, status)

    webhook = json.loads(FIXTURE.read_bytes())
    webhook["id"] = f"evt_deploy_{tag}"
    body = json.dumps(webhook).encode()
    status, answer = stack.webhook(door, body, "whsec_" + base64.b64encode(b"somebody else").decode())
    check("a webhook with a wrong signature", status == 401, status)
    status, answer = stack.webhook(f"{door}x", body, STRIPE_SECRET)
    check("a webhook for an unknown account", status == 404, status)
    status, answer = stack.webhook(door, body, STRIPE_SECRET)
    check(f"a signed {webhook['type']} webhook", status == 200, f"{status} {answer if status != 200 else ''}".strip())

    def delivered():
        return [it for it in receiver.of(f"/{tag}/shop") if checks.type_of(it[2]) == "recovery.payment_failed"]

    if not check("its delivery arrived", bool(arrived := until(delivered)), f"{len(arrived)} of recovery.payment_failed"):
        return None
    _, headers, body, _ = arrived[0]
    check("the delivery's signature is valid", checks.standard_webhook_is_valid(headers, body), headers.get("webhook-signature"))
    return headers["webhook-id"]


def rafiki_event_arrives(stack: Stack, receiver: Receiver, tag: str) -> None:
    """Posts a signed event of a Rafiki instance, and sees the account servicing entity get it."""
    # Of its own: fanout keeps a tenant's endpoints for 10 s.
    tenant = f"/v1/tenants/wallet{tag}"
    events = f"{tenant}/events"
    event = {**RAFIKI_EVENT, "id": f"rafiki-{tag}"}
    endpoint = {"url": f"{receiver.url}/{tag}/ase", "role": "ase", "scheme": "rafiki", "secrets": [ASE_SECRET]}
    publisher = {"secrets": [RAFIKI_SECRET]}
    for path, value in ((tenant, {}), (f"{tenant}/endpoints/ase", endpoint), (f"{tenant}/publishers/rafiki", publisher)):
        status, answer = stack.operate("PUT", path, value)
        check(f"PUT {path}", status in (200, 201), f"{status} {answer if status > 201 else ''}".strip())
    status, _ = stack.rafiki(events, event, "somebody else's secret")
    check("an event with a wrong signature", status == 401, status)
    status, answer = stack.rafiki(f"{events}?recipients=bank", event, RAFIKI_SECRET)
    check("an event for an unknown role", status == 400, f"{status} {answer.get('detail')}")
    status, answer = stack.rafiki(events, event, RAFIKI_SECRET)
    check(f"a signed {event['type']} event", (status, answer) == (200, {"text": ""}), f"{status} {answer}")
    status, answer = stack.operate("POST", events, [{**event, "id": f"by-key-{tag}"}, {}])
    told = [it.get("status") for it in answer.get("results", [])]
    check("an array of which one is no event", (status, told) == (207, [200, 400]), f"{status} {told or answer}")

    def arrived():
        got = receiver.of(f"/{tag}/ase")
        return got if len(got) >= 2 else None

    got = until(arrived) or []
    ids = sorted(json.loads(it[2])["id"] for it in got)
    check("both arrived under their ids", ids == sorted([f"by-key-{tag}", f"rafiki-{tag}"]), ids)
    valid = [checks.rafiki_is_valid(ASE_SECRET, it[1], it[2]) for it in got]
    check("signed for the receiver", valid == [True, True], valid)
    status, _ = stack.call("PUT", events, b"{}", {"content-type": "application/json"})
    check("another method on the path of two doors", status == 405, status)


def ase_decides(stack: Stack, receiver: Receiver, tag: str) -> None:
    """Asks whether a payment may be made, and sees the ASE asked once, signed, for one idempotency key."""
    tenant = f"/v1/tenants/acme{tag}"
    endpoint = {"url": f"{receiver.url}/{tag}/decider", "decision_url": f"{receiver.url}/{tag}/decide", "role": "ase",
                "scheme": "standard-webhooks", "secrets": [HOOK_SECRET], "event_types": ["none"]}
    stack.operate("PUT", f"{tenant}/endpoints/decider", endpoint)
    _, made = stack.operate("POST", f"{tenant}/keys", {})
    headers = {"authorization": f"Bearer {made.get('key')}", "content-type": "application/json", "idempotency-key": tag}
    question = json.dumps({"walletAddress": "https://wallet.example/alice", "expiresAt": "2030-01-01T00:00:00Z"}).encode()
    door = f"{tenant}/incoming-payments/decisions"
    answers = [stack.call("POST", door, question, headers) for _ in range(2)]
    decided = [(status, answer.get("decision"), answer.get("by")) for status, answer in answers]
    check("the ASE decides", decided == [(200, "rejected", "ase")] * 2, decided)
    asked = receiver.of(f"/{tag}/decide")
    valid = len(asked) == 1 and checks.standard_webhook_is_valid(asked[0][1], asked[0][2])
    check("and was asked once, validly signed", valid, f"{len(asked)} requests")
    status, answer = stack.operate("GET", f"{tenant}/events/{answers[0][1].get('eventId')}")
    check("the decision is an event", answer.get("state") == "delivered", f"{status} {answer.get('state')}")
    status, _ = stack.call("GET", door, None, headers)
    check("and its door answers for itself", status == 405, status)


def wallet_is_told(stack: Stack, receiver: Receiver, tag: str) -> None:
    """Tells that a customer moved twice, and sees its wallet told both times, in order, signed."""
    tenant, path = f"/v1/tenants/acme{tag}", f"/{tag}/wallet"
    base = {"base_url": f"{receiver.url}/{tag}/business", "auth": {"type": "none"}}
    status, answer = stack.operate("PUT", f"{tenant}/anchor", {"business_server": base})
    check("an anchor is set up", status in (200, 201), f"{status} {answer}")
    status, answer = stack.operate("PUT", f"{tenant}/anchor/signing-key", {})
    key = answer.get("public_key", "")
    check("and has a signing key", key.startswith("G"), f"{status} {answer}")
    urls = {"sep12": receiver.url + path}
    status, answer = stack.operate("PUT", f"{tenant}/clients/lobby", {"domains": ["lobby.example"], "callback_urls": urls})
    check("a wallet client is registered", status in (200, 201), f"{status} {answer}")
    _, made = stack.operate("POST", f"{tenant}/keys", {})
    headers = {"authorization": f"Bearer {made.get('key')}", "content-type": "application/json"}
    deposit = json.dumps({"sep": "6", "kind": "deposit", "status": "incomplete", "client": "lobby", "customers": {"sender": "cus_1"}}).encode()
    status, answer = stack.call("PUT", f"{tenant}/anchor/transactions/tx-{tag}", deposit, headers)
    check("a transaction is put", status == 201, f"{status} {answer}")
    params = {"transaction_id": f"tx-{tag}", "customer_id": "cus_1"}
    call = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "notify_customer_info_updated", "params": params}]).encode()
    moved, bodies = [], [b'{"id":"cus_1","status":"NEEDS_INFO"}', b'{"id":"cus_1", "status":"PROCESSING"}']
    for receiver.customer in bodies:
        status, answer = stack.call("POST", f"{tenant}/anchor/rpc", call, headers)
        moved.append(answer[0].get("result", answer[0]).get("status") if status == 200 else answer)
    check("it moves as its customer does", moved == ["pending_customer_info_update", "pending_anchor"], moved)
    got = until(lambda: len(receiver.of(path)) >= 2 and receiver.of(path)) or []
    check("the wallet is told both, in order, to the byte", [it[2] for it in got] == bodies, [it[2] for it in got])
    host = urllib.parse.urlsplit(receiver.url).netloc
    valid = [checks.callback_is_valid(key, host, it[1], it[2]) for it in got]
    check("and signed by the published key", valid == [True, True], valid)
    status, _ = stack.call("GET", f"{tenant}/anchor/rpc", None, headers)
    check("and its door answers for itself", status == 405, status)


def failing_receiver_is_retried(stack: Stack, receiver: Receiver, tag: str, event: str) -> None:
    """Sees the endpoint that failed twice get the event at its third try, and the operator see all of that."""
    path = f"/{tag}/flaky"
    until(lambda: len(receiver.of(path, event)) >= 3)
    got = receiver.of(path, event)
    waits = [round(b[3] - a[3], 1) for a, b in zip(got, got[1:])]
    check("the failing receiver was tried three times", len(got) == 3, f"waits of {waits} s")
    # Linear: n steps after try n. Above is room for a slow machine, below there is none.
    check("each retry waited its step", len(waits) == 2 and 1 <= waits[0] < 6 and 2 <= waits[1] < 8, waits)

    def record():
        status, answer = stack.operate("GET", f"/v1/tenants/acme{tag}/events/{event}")
        of_flaky = [it for it in answer.get("deliveries", []) if it["endpoint"] == "flaky"]
        return (status, of_flaky) if of_flaky and of_flaky[0]["state"] == "delivered" else None

    status, of_flaky = until(record, 10) or (0, [])
    tries = [it["status"] for delivery in of_flaky for it in delivery["tries"]]
    check("its tries are visible", tries == [500, 500, 200], tries)
    status, answer = stack.operate("GET", f"/v1/tenants/acme{tag}/events?limit=10")
    ids = [it["id"] for it in answer.get("data", [])]
    check("the event is listed", event in ids, f"{status}, {len(ids)} events")


def quarantined(stack: Stack, queue: str) -> list[dict]:
    """The quarantined messages of a queue, as the operator sees them."""
    _, answer = stack.operate("GET", "/v1/quarantine")
    return [it for it in answer.get("data", []) if it["queue"] == queue]


def poison_is_quarantined(stack: Stack) -> None:
    """Sends what no function can decode, and sees it set aside with its cause."""
    boto3.client("sqs").send_message(QueueUrl=stack.outputs["DeliverQueue"], MessageBody="not a task")
    found = until(lambda: quarantined(stack, "deliver"))
    check("a poison message is quarantined", len(found) == 1, [it["cause"] for it in found])
    left = until(lambda: stack.messages("DeliverQueue") == 0, 10)
    check("and gone from its queue", bool(left), f"{stack.messages('DeliverQueue')} left")


def dead_letter_is_quarantined(stack: Stack) -> None:
    """Sees sweep, run by its schedule, move a dead letter to the table."""
    found = until(lambda: quarantined(stack, "recover"), 150, 1)
    check("a dead letter is quarantined by sweep", len(found) == 1, [it["cause"] for it in found])
    left = until(lambda: stack.messages("RecoverDeadQueue") == 0, 10)
    check("and gone from its queue", bool(left), f"{stack.messages('RecoverDeadQueue')} left")


def policies_are_enough(stack: Stack) -> None:
    """The emulator checks each request against the policy of the function's role: none may have been refused."""
    for function in FUNCTIONS:
        lines = stack.logs(function)
        refused = [line for line in lines if "AccessDenied" in line or "not authorized" in line]
        check(f"the role of {function} is enough", not refused, refused[:1] or f"no refusal in {len(lines)} log lines")


def main() -> None:
    name, operator_key, *rest = sys.argv[1:]
    tag = rest[0] if rest else "1"
    stack = Stack(name, operator_key)
    receiver = Receiver()
    first = tag == "1"
    if first:
        # Sent before all else: the schedule takes its minute.
        boto3.client("sqs").send_message(QueueUrl=stack.outputs["RecoverDeadQueue"], MessageBody="not a task")
    event = billing_webhook_arrives(stack, receiver, tag)
    rafiki_event_arrives(stack, receiver, tag)
    ase_decides(stack, receiver, tag)
    wallet_is_told(stack, receiver, tag)
    if event:
        failing_receiver_is_retried(stack, receiver, tag, event)
    if first:
        poison_is_quarantined(stack)
        dead_letter_is_quarantined(stack)
        policies_are_enough(stack)
    if checks.failed:
        for function in FUNCTIONS:
            for line in [it for it in stack.logs(function) if not it.startswith(PLATFORM)][-15:]:
                print(f"  {function}: {line[:600]}")
    checks.finish()


if __name__ == "__main__":
    main()
