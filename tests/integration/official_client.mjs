// The npm package `centrifuge`, unmodified, against a running site. Arguments: address, channel, options as JSON, and
// which of the package's builds: `centrifuge/build/protobuf` leaves the JSON inside messages to its user.
// Prints one JSON line for each thing that happens. A line on standard input is a command: unsubscribe, subscribe, quit,
// or `{"call": method, "with": [arguments]}` for a method of the subscription; its answer is printed as well.
import { createInterface } from "node:readline";
import WebSocket from "ws";

const [url, channel, options, build = "centrifuge"] = process.argv.slice(2);
const { Centrifuge } = await import(build);
const payload = (value) => (build === "centrifuge" ? value : new TextEncoder().encode(JSON.stringify(value)));
function plain(name, value) {
  const bytes = this[name];
  // What is empty is not the object's own there.
  if (value?.constructor !== Object && value?.user === "") return { ...value, user: "" };
  if (!(bytes instanceof Uint8Array)) return value;
  return bytes.length ? JSON.parse(new TextDecoder().decode(bytes)) : null;
}
const { states, ...more } = JSON.parse(options ?? "{}");
const say = (event, context = {}) => console.log(JSON.stringify({ event, ...context }, plain));

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
    subscription[call](...(call === "publish" ? values.map(payload) : values)).then(
      (result) => say("answer", { result }),
      ({ code, message }) => say("answer", { error: { code, message } }),
    );
  }
}
client.disconnect();
