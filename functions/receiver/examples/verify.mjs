// Checks who sent a webhook, with nothing but Node's own modules.
import { createHmac, timingSafeEqual } from "node:crypto";

// How far a signature's time may lie from yours, either way: what was captured is of no use for longer.
const TOLERANCE_MS = 300_000;

// `Rafiki-Signature: t=<unix ms>, v1=<hex>`: HMAC-SHA256 of `t.` and the canonical form (RFC 8785) of the body. The number in
// `v1` is a label. `body` is a Buffer with the bytes that arrived, `secrets` a list: two of them while one is rotated.
export function rafiki(header, body, secrets, now = Date.now()) {
  const parts = header.split(",").map((part) => part.trim().split("="));
  const t = parts.find(([name]) => name === "t")?.[1] ?? "";
  const tags = parts.filter(([name]) => /^v\d+$/.test(name)).map(([, hex]) => hex ?? "");
  if (!/^\d{1,15}$/.test(t) || Math.abs(now - Number(t)) > TOLERANCE_MS) return false;
  let signed;
  try {
    signed = `${t}.${canonical(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)))}`;
  } catch {
    return false;
  }
  const keys = secrets.map((secret) => Buffer.from(secret, "utf8"));
  return anyMatches(keys, signed, "hex", tags);
}

// Standard Webhooks: `webhook-signature` is a list of `v1,<base64>`: HMAC-SHA256 of `<webhook-id>.<webhook-timestamp>.` and
// the body as it arrived. Secrets are `whsec_<base64>`.
export function standard(id, timestamp, signatures, body, secrets, now = Date.now()) {
  if (!/^\d{1,12}$/.test(timestamp) || Math.abs(now - Number(timestamp) * 1000) > TOLERANCE_MS) return false;
  const tags = signatures.split(" ").filter((it) => it.startsWith("v1,")).map((it) => it.slice(3));
  const keys = secrets.filter((it) => it.startsWith("whsec_")).map((it) => Buffer.from(it.slice(6), "base64"));
  return anyMatches(keys, Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body]), "base64", tags);
}

// RFC 8785: no white space, keys by their UTF-16 code units, numbers and texts as JavaScript writes them.
export function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const entries = Object.keys(value).sort().map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`);
  return `{${entries.join(",")}}`;
}

// Any of the signatures may be made with any of the secrets. An empty secret is none.
function anyMatches(keys, signed, encoding, tags) {
  return keys.filter((key) => key.length > 0).some((key) => {
    const expected = Buffer.from(createHmac("sha256", key).update(signed).digest(encoding));
    return tags.map((tag) => Buffer.from(tag)).some((tag) => tag.length === expected.length && timingSafeEqual(tag, expected));
  });
}
