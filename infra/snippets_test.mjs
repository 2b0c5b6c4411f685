// Holds the Node of the receivers' guide to the list of deliveries: snippets_test.mjs VECTORS VERIFY.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [vectorsFile, verifyFile] = process.argv.slice(2);
const vectors = JSON.parse(readFileSync(vectorsFile, "utf8"));
const verify = await import(pathToFileURL(verifyFile));
const wrong = vectors.filter((it) => {
  const body = Buffer.from(it.body, "utf8");
  const genuine = it.scheme === "rafiki"
    ? verify.rafiki(it.signature, body, it.secrets, it.now_ms)
    : verify.standard(it.id, it.timestamp, it.signature, body, it.secrets, it.now_ms);
  return genuine !== it.genuine;
});
for (const it of wrong) console.error(`verify.mjs judges wrongly: ${it.name}`);
console.log(`Node ${process.version}: ${vectors.length - wrong.length} of ${vectors.length} deliveries judged rightly`);
process.exit(wrong.length > 0 || vectors.length === 0 ? 1 : 0);
