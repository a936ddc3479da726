// The npm package `centrifuge`, unmodified, against a running site. Prints one JSON line for each thing that happens;
// a line on standard input is a command: unsubscribe, quit.
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, channel] = process.argv.slice(2);
const say = (event, context = {}) => console.log(JSON.stringify({ event, ...context }));

const client = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 200 });
client.on("connected", (context) => say("connected", { client: context.client }));
client.on("connecting", (context) => say("connecting", { code: context.code, reason: context.reason }));
client.on("disconnected", (context) => say("disconnected", { code: context.code, reason: context.reason }));
client.on("error", (context) => say("error", { message: context.error.message }));

const subscription = client.newSubscription(channel, { minResubscribeDelay: 50, maxResubscribeDelay: 200 });
subscription.on("subscribed", (context) => say("subscribed", { data: context.data ?? null }));
subscription.on("publication", (context) => say("publication", { data: context.data, offset: context.offset }));
subscription.on("unsubscribed", (context) => say("unsubscribed", { code: context.code }));
subscription.on("error", (context) => say("subscription error", { code: context.error.code }));

subscription.subscribe();
client.connect();

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "unsubscribe") subscription.unsubscribe();
  if (line === "quit") break;
}
client.disconnect();
