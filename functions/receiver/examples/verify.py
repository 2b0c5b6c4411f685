"""Checks who sent a webhook, with nothing but Python's standard library (3.10 or later)."""

import base64
import binascii
import decimal
import hashlib
import hmac
import json
import math
import re
import time

# How far a signature's time may lie from yours, either way, in seconds: what was captured is of no use for longer.
TOLERANCE_S = 300


def rafiki(header: str, body: bytes, secrets: list[str], now: float | None = None) -> bool:
    """`Rafiki-Signature: t=<unix ms>, v1=<hex>`: HMAC-SHA256 of `t.` and the canonical form (RFC 8785) of the body.

    The number in `v1` is a label. `body` is the bytes that arrived, `secrets` a list: two of them while one is rotated.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    t = next((value for name, _, value in parts if name == "t"), "")
    tags = [value for name, _, value in parts if re.fullmatch("v[0-9]+", name)]
    if not re.fullmatch("[0-9]{1,15}", t) or not fresh(int(t) / 1000, now):
        return False
    try:
        # JavaScript has no integers: 9007199254740993 is signed as 9007199254740992.
        value = json.loads(body.decode(), parse_int=float, parse_constant=no_number)
        signed = f"{t}.{canonical(value)}".encode()
    except (ValueError, RecursionError):
        return False
    keys = [secret.encode() for secret in secrets]
    return any_matches(keys, signed, lambda digest: digest.hex(), tags)


def standard(id: str, timestamp: str, signatures: str, body: bytes, secrets: list[str], now: float | None = None) -> bool:
    """Standard Webhooks: `webhook-signature` is a list of `v1,<base64>`, each an HMAC-SHA256 of
    `<webhook-id>.<webhook-timestamp>.` and the body as it arrived. Secrets are `whsec_<base64>`.
    """
    if not re.fullmatch("[0-9]{1,12}", timestamp) or not fresh(int(timestamp), now):
        return False
    tags = [it[3:] for it in signatures.split(" ") if it.startswith("v1,")]
    try:
        keys = [base64.b64decode(it[6:], validate=True) for it in secrets if it.startswith("whsec_")]
    except binascii.Error:
        return False
    signed = f"{id}.{timestamp}.".encode() + body
    return any_matches(keys, signed, lambda digest: base64.b64encode(digest).decode(), tags)


def canonical(value) -> str:
    """RFC 8785: no white space, keys by their UTF-16 code units, numbers and texts as JavaScript writes them."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        # Half of a surrogate pair is no character, and JavaScript escapes it.
        text = json.dumps(value, ensure_ascii=False)
        return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text)
    return json.dumps(value)


def number(value: float) -> str:
    """A double as JavaScript writes it (ECMA-262, Number::toString): the same digits as Python's, laid out differently."""
    if value == 0:
        return "0"
    if math.isinf(value):
        raise ValueError("no double is so large")
    sign = "-" if value < 0 else ""
    _, digits, exponent = decimal.Decimal(repr(abs(value))).normalize().as_tuple()
    digits = "".join(map(str, digits))
    point = len(digits) + exponent
    if len(digits) <= point <= 21:
        return sign + digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    fraction = "." + digits[1:] if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{fraction}e{point - 1:+d}"


def no_number(name: str):
    """`NaN` and `Infinity` are no JSON, though Python reads them."""
    raise ValueError(name)


def fresh(at: float, now: float | None) -> bool:
    return abs((time.time() if now is None else now) - at) <= TOLERANCE_S


def any_matches(keys: list[bytes], signed: bytes, encoded, tags: list[str]) -> bool:
    """Any of the signatures may be made with any of the secrets. An empty secret is none."""
    expected = [encoded(hmac.new(key, signed, hashlib.sha256).digest()).encode() for key in keys if key]
    return any(hmac.compare_digest(it, tag.encode()) for it in expected for tag in tags)
