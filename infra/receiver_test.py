"""Checks a deployed receiver from outside, as a sender sees it. receiver-test.sh deploys and calls it.

    receiver_test.py STACK SECRET

Deliveries are signed here from the published scheme, not with the project's code.
"""

import hashlib
import hmac
import http.client
import json
import os
import sys
import time
import urllib.parse

import boto3

import checks
from checks import check, until

PARTS = ("door", "worker")
PLATFORM = ("START ", "END ", "REPORT ")
EVENT_ID = "0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01"
EVENT = {
    "id": EVENT_ID,
    "type": "wallet_address.not_found",
    "data": {"walletAddressUrl": "https://wallet.example.com/carla_garcia"},
}


class Stack:
    """A deployed receiver: its outputs, and calls to its door."""

    def __init__(self, name: str, secret: str):
        self.name = name
        self.secret = secret
        stack = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        self.outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}

    def call(self, method: str, body: bytes | None, headers: dict) -> tuple[int, str]:
        """One request to the door. The emulator tells URLs apart by the Host header."""
        host = urllib.parse.urlsplit(self.outputs["DoorUrl"]).netloc
        port = urllib.parse.urlsplit(os.environ["AWS_ENDPOINT_URL"]).port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request(method, "/hooks", body=body, headers={"host": host, **headers})
        response = connection.getresponse()
        answer = response.read().decode(errors="replace")
        connection.close()
        return response.status, answer

    def deliver(self, event: dict, secret: str | None = None) -> tuple[int, str]:
        """Posts a signed event. It is ASCII without fractions, so sorted keys without space are its canonical form."""
        at = str(int(time.time() * 1000))
        canonical = json.dumps(event, sort_keys=True, separators=(",", ":"))
        mac = hmac.new((secret or self.secret).encode(), f"{at}.{canonical}".encode(), hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "rafiki-signature": f"t={at}, v1={mac}"}
        return self.call("POST", json.dumps(event).encode(), headers)

    def logs(self, part: str) -> list[str]:
        """All that a part has logged."""
        group = f"/aws/lambda/{self.name}-{part}"
        events = boto3.client("logs").get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"].rstrip() for page in events for event in page["events"]]

    def said(self, message: str) -> list[str]:
        """What the worker has logged of this message."""
        return [line for line in self.logs("worker") if f'"message":"{message}"' in line]


def the_door_answers(stack: Stack) -> None:
    """Sees who is turned away, and how."""
    status, _ = stack.call("GET", None, {})
    check("a GET", status == 405, status)
    status, _ = stack.call("POST", json.dumps(EVENT).encode(), {})
    check("an event without a signature", status == 401, status)
    status, _ = stack.deliver(EVENT, "somebody else's secret")
    check("an event with a wrong signature", status == 401, status)
    status, answer = stack.deliver({"type": "wallet_address.not_found"})
    check("what is signed and no event", status == 400 and "`id`" in answer, f"{status} {answer}")
    status, answer = stack.deliver(EVENT)
    check("a signed event", (status, answer) == (200, ""), f"{status} {answer}".strip())


def the_worker_handles_once(stack: Stack) -> None:
    """Sees the event handled and noted, and its duplicate dropped."""
    check("it is handled", bool(until(lambda: stack.said("handled"))), EVENT_ID)
    check("its own method was called", len(stack.said("to do")) == 1, stack.said("to do"))
    item = boto3.client("dynamodb").get_item(TableName=stack.outputs["HandledTable"], Key={"id": {"S": EVENT_ID}})
    left = int(item.get("Item", {}).get("expires_at", {}).get("N", 0)) - time.time()
    check("it is noted for 30 days", abs(left / 86400 - 30) < 0.1, f"{left / 86400:.2f} days")
    # As it would come after five minutes, when the queue takes its id again.
    boto3.client("sqs").send_message(QueueUrl=stack.outputs["EventQueue"], MessageBody=json.dumps(EVENT),
                                     MessageGroupId=EVENT_ID, MessageDeduplicationId="later")
    check("a late duplicate is dropped", bool(until(lambda: stack.said("duplicate, dropped"))), EVENT_ID)
    check("its method was not called again", len(stack.said("to do")) == 1, len(stack.said("to do")))


def what_fails_comes_again(stack: Stack) -> None:
    """Sends what is no event, and sees it put off by the worker's own waits, not by the queue's three minutes."""
    boto3.client("sqs").send_message(QueueUrl=stack.outputs["EventQueue"], MessageBody="not an event",
                                     MessageGroupId="g", MessageDeduplicationId="d")
    tried = until(lambda: len(it) >= 3 and it if (it := stack.said("a message that is no event")) else None)
    check("what fails is tried again after 2 and 4 s", bool(tried), f"{len(tried or [])} times")


def policies_are_enough(stack: Stack) -> None:
    """The emulator checks each request against the policy of the function's role: none may have been refused."""
    for part in PARTS:
        lines = stack.logs(part)
        refused = [line for line in lines if "AccessDenied" in line or "not authorized" in line]
        check(f"the role of the {part} is enough", not refused, refused[:1] or f"no refusal in {len(lines)} log lines")


def main() -> None:
    stack = Stack(*sys.argv[1:3])
    the_door_answers(stack)
    the_worker_handles_once(stack)
    what_fails_comes_again(stack)
    policies_are_enough(stack)
    if checks.failed:
        for part in PARTS:
            for line in [it for it in stack.logs(part) if not it.startswith(PLATFORM)][-15:]:
                print(f"  {part}: {line[:600]}")
    checks.finish()


if __name__ == "__main__":
    main()
