// The npm package `centrifuge`, unmodified, against a running site. Arguments: address, channel, options as JSON.
// Prints one JSON line for each thing that happens. A line on standard input is a command: unsubscribe, subscribe, quit,
// or `{"call": method, "with": [arguments]}` for a method of the subscription; its answer is printed as well.
import { createInterface } from "node:readline";
import { Centrifuge } from "centrifuge";
import WebSocket from "ws";

const [url, channel, options] = process.argv.slice(2);
const { states, ...more } = JSON.parse(options ?? "{}");
const say = (event, context = {}) => console.log(JSON.stringify({ event, ...context }));

const client = new Centrifuge(url, { websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 200 });
client.on("connected", (context) => say("connected", { client: context.client }));
client.on("connecting", (context) => say("connecting", { code: context.code, reason: context.reason }));
client.on("disconnected", (context) => say("disconnected", { code: context.code, reason: context.reason }));
client.on("error", (context) => say("error", { message: context.error.message }));

const subscription = client.newSubscription(channel, {
  minResubscribeDelay: 50,
  maxResubscribeDelay: 200,
  // Where the application keeps its own state: each call takes the next position.
  ...(states && { getState: async () => say("asked for a state") ?? states.shift() }),
  ...more,
});
subscription.on("subscribing", ({ code }) => say("subscribing", { code }));
subscription.on("subscribed", ({ data, wasRecovering, recovered, recoverable, positioned, streamPosition }) =>
  say("subscribed", { data: data ?? null, wasRecovering, recovered, recoverable, positioned, position: streamPosition }),
);
subscription.on("publication", (context) => say("publication", { data: context.data, offset: context.offset }));
subscription.on("join", ({ info }) => say("join", { client: info.client, user: info.user }));
subscription.on("leave", ({ info }) => say("leave", { client: info.client, user: info.user }));
subscription.on("unsubscribed", ({ code, reason }) => say("unsubscribed", { code, reason }));
subscription.on("error", (context) => say("subscription error", { code: context.error.code }));

subscription.subscribe();
client.connect();

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "quit") break;
  if (line === "unsubscribe") subscription.unsubscribe();
  else if (line === "subscribe") subscription.subscribe();
  else {
    const { call, with: values } = JSON.parse(line);
    subscription[call](...values).then(
      (result) => say("answer", { result }),
      ({ code, message }) => say("answer", { error: { code, message } }),
    );
  }
}
client.disconnect();
