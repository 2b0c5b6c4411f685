"""What the tests of the deployed functions share: counting checks, a receiver, and the signature schemes.

Signatures are made and verified here from the published schemes, not with the project's code.
"""

import base64
import hashlib
import hmac
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

FIXTURE = pathlib.Path(__file__).parent.parent / "tests/fixtures/stripe/invoice.payment_failed.json"
RAFIKI_EVENT = {
    "id": "0f8a9d2e-5b1c-4c3e-9a77-3f2d1c0b9a01",
    "type": "wallet_address.not_found",
    "data": {"walletAddressUrl": "https://wallet.example.com/carla_garcia"},
}
RAFIKI_SECRET = "a test's Rafiki instance"
ASE_SECRET = "a test's account servicing entity"
STRIPE_SECRET = "whsec_" + base64.b64encode(b"a test's billing account").decode()
HOOK_KEY = b"a test's receiver of deliveries."
HOOK_SECRET = "whsec_" + base64.b64encode(HOOK_KEY).decode()

passed, failed = 0, 0


def check(name: str, ok: bool, seen: object = "") -> bool:
    """Counts and prints one check, with what was seen."""
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    print(f"{'ok    ' if ok else 'FAILED'} {name}: {seen}", flush=True)
    return ok


def until(what, seconds: float = 30, every: float = 0.25):
    """Asks again until the answer is true or the time is over; gives the last answer."""
    end = time.monotonic() + seconds
    while not (answer := what()) and time.monotonic() < end:
        time.sleep(every)
    return answer


def finish() -> None:
    """Prints how many checks passed, and ends the process accordingly."""
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)


def stripe_signature(secret: str, body: bytes) -> str:
    """Signs as Stripe does: HMAC-SHA256 over `<t>.<body>`, in hex."""
    at = str(int(time.time()))
    mac = hmac.new(secret.encode(), at.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={mac}"


def rafiki_signature(secret: str, body: bytes) -> str:
    """Signs as Rafiki does: HMAC-SHA256 over `<t>.<canonical JSON>`, `t` in milliseconds, in hex."""
    at = str(int(time.time() * 1000))
    # Enough for what the tests send: keys in ASCII, and no number that is not whole.
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    mac = hmac.new(secret.encode(), at.encode() + b"." + canonical, hashlib.sha256).hexdigest()
    return f"t={at}, v1={mac}"


def rafiki_is_valid(secret: str, headers: dict, body: bytes) -> bool:
    """Verifies a delivery in Rafiki's scheme."""
    at, _, mac = headers.get("rafiki-signature", "").removeprefix("t=").partition(", v1=")
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    want = hmac.new(secret.encode(), at.encode() + b"." + canonical, hashlib.sha256).hexdigest()
    return mac == want and abs(time.time() - int(at) / 1000) < 60


class Receiver:
    """An HTTP server that keeps what it got. `/flaky` answers 500 twice for each webhook id, then 200; `/decide` rejects.
    To a GET it is a business server, and answers `customer`, a JSON text."""

    def __init__(self):
        self.got = []
        self.customer = b"{}"
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((self.path, headers, body, time.monotonic()))
                tries = len(receiver.of(self.path, headers.get("webhook-id")))
                self.send_response(500 if self.path.endswith("/flaky") and tries <= 2 else 200)
                answer = b'{"decision":"rejected","reason":"a test"}' if self.path.endswith("/decide") else b""
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_GET(self):
                self.send_response(200)
                self.send_header("content-length", str(len(receiver.customer)))
                self.end_headers()
                self.wfile.write(receiver.customer)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def of(self, path: str, webhook_id: str | None = None) -> list:
        """What came to a path, of one webhook id or of all."""
        return [it for it in list(self.got) if it[0] == path and webhook_id in (None, it[1].get("webhook-id"))]


def standard_webhook_is_valid(headers: dict, body: bytes) -> bool:
    """Verifies `v1` as the Standard Webhooks specification says: base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`."""
    at = headers["webhook-timestamp"]
    content = f"{headers['webhook-id']}.{at}.".encode() + body
    want = "v1," + base64.b64encode(hmac.new(HOOK_KEY, content, hashlib.sha256).digest()).decode()
    return want in headers["webhook-signature"].split(" ") and abs(time.time() - int(at)) < 60


def callback_is_valid(public_key: str, host: str, headers: dict, body: bytes) -> bool:
    """Verifies a callback as SEP-12 says, with OpenSSL: Ed25519 over `<t>.<host>.<body>`, by the key of stellar.toml."""
    at, _, signature = headers.get("signature", "").removeprefix("t=").partition(", s=")
    raw = base64.b32decode(public_key + "=" * (-len(public_key) % 8))[1:33]
    # The header of a SubjectPublicKeyInfo with an Ed25519 key (RFC 8410).
    key = bytes.fromhex("302a300506032b6570032100") + raw
    with tempfile.TemporaryDirectory() as folder:
        files = {"key": key, "signature": base64.b64decode(signature), "message": f"{at}.{host}.".encode() + body}
        for name, content in files.items():
            pathlib.Path(folder, name).write_bytes(content)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key", "-rawin", "-in", "message", "-sigfile", "signature"]
        verified = subprocess.run(command, cwd=folder, capture_output=True).returncode == 0
    return verified and headers.get("x-stellar-signature") == headers["signature"] and abs(time.time() - int(at)) < 60


def type_of(body: bytes) -> str | None:
    """The event type in a delivered body."""
    try:
        return json.loads(body).get("type")
    except ValueError:
        return None
