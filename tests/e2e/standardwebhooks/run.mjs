// The npm library: one JSON object per line on standard input, its answer per line on standard output.
// {"do":"sign","secret","id","at" (seconds),"body"} → {"signature"}; {"do":"verify","secret","headers","body"} → {"ok"}.
import { createInterface } from "node:readline";
import { Webhook } from "standardwebhooks";

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  const webhook = new Webhook(asked.secret);
  if (asked.do === "sign") {
    console.log(JSON.stringify({ signature: webhook.sign(asked.id, new Date(asked.at * 1000), asked.body) }));
    continue;
  }
  let ok = true;
  try {
    webhook.verify(asked.body, asked.headers);
  } catch (error) {
    ok = false;
  }
  console.log(JSON.stringify({ ok }));
}
