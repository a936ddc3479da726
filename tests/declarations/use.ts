// Every name of the declarations, used as the TypeScript of a project uses it; what is wrong must be refused.

import type {
  DashboardCallbacks,
  DashboardEvent,
  DashboardEventsOptions,
} from "/static/live/dashboards.js";
import { DashboardEvents } from "/static/live/dashboards.js";
import type { LivePanelElement, LiveState, LiveValueElement } from "/static/live/elements.js";
import "/static/live/elements.js";
import type { FrameData, FrameMessage, FrameSchema, FrameTableOptions, Series } from "/static/live/frames.js";
import {
  displayNames,
  FrameError,
  FrameTable,
  isFrame,
  joinSeries,
  latestValue,
  matchLabels,
  needsSchema,
  parseLabels,
} from "/static/live/frames.js";
import type {
  Connection,
  ConnectionState,
  FrameListener,
  FrameSource,
  Listener,
  LiveFault,
  Origin,
  Others,
  Subscription,
  WatchedDashboard,
  WatchOptions,
} from "/static/live/live.js";
import {
  connect,
  frames,
  onConnectionState,
  publish,
  sessionId,
  subscribe,
  switchOff,
  watchDashboard,
} from "/static/live/live.js";

// --- live.js: the connection

const connection: Connection = connect();
connect("wss://example.com/api/live/ws").disconnect();
const up: boolean = connection.state === "connected";
// @ts-expect-error: there is no such state
const far: boolean = connection.state === "far";
// @ts-expect-error: the address is a text
connect(new URL("wss://example.com/"));

const stop: () => void = onConnectionState(({ state, code, reason }: ConnectionState) => {
  const words: Record<ConnectionState["state"], string> = {
    idle: "", connecting: "", live: "", lost: "", offline: "", off: "",
  };
  document.title = `${words[state]} ${code.toFixed()} ${reason.trim()}`;
  // @ts-expect-error: a state of the npm package's, not of the tab's
  if (state === "connected") stop();
});
if (sessionId.length === 0) switchOff();
// @ts-expect-error: it is the tab's for good
sessionId = "other";

// --- live.js: channels

interface Order {
  open: number;
}

const listener: Listener<Order> = {
  onData: ({ open }: Order, { initial, late, past }: Origin) => console.log(open.toFixed(), initial || late || past),
  onState: (state) => console.log(state === "subscribed"),
  onError: ({ code, message }: LiveFault) => console.warn(code.toFixed(), message.trim()),
  onPresence: ({ people, visitors, crowd }: Others) => {
    const others = people.filter(({ own }) => !own);
    const names: string[] = others.map(({ user, name, sessions }) => name || user || `${sessions}`);
    console.log(names, visitors + crowd);
  },
  history: false,
};
const subscription: Subscription = subscribe<Order>("grafana/broadcast/shop", listener);
console.log(subscription.channel.split("/"));
subscription.close();
subscribe("stream/host/cpu");
// @ts-expect-error: a message may be anything until its type is said
subscribe("grafana/broadcast/shop", { onData: (message) => message.open });
// @ts-expect-error: no such callback
subscribe("grafana/broadcast/shop", { onMessage: () => {} });
// @ts-expect-error: a state of the npm package's connection
subscribe("grafana/broadcast/shop", { onState: (state) => state === "connected" });
// @ts-expect-error: which channel?
subscribe();

const said: Promise<void> = publish("grafana/broadcast/shop", { open: 7 });
said.catch(({ code }: LiveFault) => console.warn(code));
// @ts-expect-error: publish what?
publish("grafana/broadcast/shop");

// --- live.js: frames

const drawn: FrameListener = {
  onUpdate: (source, past) => console.log(source.table.series.length, past || source.last),
  onError: (error) => console.warn(error === null ? "" : error.message),
};
const source: FrameSource = frames("stream/host/cpu", drawn);
const table: FrameTable = source.table;
const fault: string = source.error?.message ?? "";
source.close();
// @ts-expect-error: the table is the source's own
source.table = new FrameTable();
// @ts-expect-error: there may be no fault
source.error.message;

// --- live.js: dashboards

const callbacks: DashboardCallbacks = {
  version: () => 3,
  onSaved: ({ version, user, missed }) => console.log(version?.toFixed(), user, missed === true),
  onDeleted: ({ user }) => console.log(user),
  onEditing: ({ user }) => console.log(user),
};
const options: WatchOptions = {
  ...callbacks,
  onPresence: ({ people }) => console.log(people.length),
  onError: ({ message }) => console.warn(message),
};
const watched: WatchedDashboard = watchDashboard("main", options);
const saved: Promise<Response> = watched.whileSaving(fetch("/save", { headers: { "X-Live-Session": sessionId } }));
watched.setEditing(true);
watched.close();
// @ts-expect-error: it must know which version the page has
watchDashboard("main", { onSaved: () => location.reload() });
// @ts-expect-error: there may be no number
watchDashboard("main", { version: () => 0, onSaved: ({ version }) => version.toFixed() });
// @ts-expect-error: yes or no
watched.setEditing("yes");

// --- frames.js

const schema: FrameSchema = {
  name: "cpu",
  fields: [
    { name: "time", type: "time" },
    { name: "usage", type: "number", labels: { cpu: "cpu0" }, config: { unit: "percent" } },
  ],
};
const data: FrameData = { values: [[1000, 2000], [1, null]], nanos: [[0, 5], null], entities: [null, { NaN: [1] }] };
const message: FrameMessage = { schema, data };
const limits: FrameTableOptions = { maxLength: 10, maxDelta: 60_000, action: "replace", maxGroups: 5 };
const own: FrameTable = new FrameTable(limits);
try {
  const changed: boolean = own.push(message);
  console.log(changed, own.name.trim(), own.newest.toFixed());
} catch (error) {
  if (error instanceof FrameError) console.warn(error.message);
}
const all: readonly Series[] = own.series;
const wanted: Map<string, string> = parseLabels("cpu=cpu0");
const some: Series[] = all.filter((one) => matchLabels(one.labels, wanted) && one.type === "number");
const names: string[] = displayNames(some);
const [times, ...columns] = joinSeries(some);
const newest: (number | null | undefined)[] = columns.map((column) => column.at(-1));
console.log(names, times.at(-1)?.toFixed(), newest, needsSchema(message));
for (const { key, field, labelText, times, nanos, values, newest } of some) {
  console.log(`${key} ${field} ${labelText}`, times[0]?.toFixed(), nanos.length, values.length, newest.toFixed());
}
const unknown: unknown = JSON.parse("{}");
if (isFrame(unknown)) console.log(unknown.data?.values.length);
// @ts-expect-error: it may be anything until it is known to be a frame
unknown.data;
// @ts-expect-error: a value may be no number
latestValue(some[0]!).toFixed();
// @ts-expect-error: the series are the table's own
own.series.push(some[0]);
// @ts-expect-error: no such action
new FrameTable({ action: "prepend" });
// @ts-expect-error: the fields are a list
own.push({ schema: { fields: { usage: "number" } } });

// --- dashboards.js

const events: DashboardEventsOptions = { ...callbacks, uid: "main", sessionId, announce: () => {}, now: Date.now };
const judge: DashboardEvents = new DashboardEvents(events);
const event: DashboardEvent = { uid: "main", action: "saved", version: 4, sessionId: "other", user: { name: "Ann" } };
judge.receive(event, true);
judge.setConnected(true);
judge.setEditing(false);
judge.gone();
const answer: Promise<number> = judge.whileSaving(Promise.resolve(4));
judge.close();
// @ts-expect-error: no such action
judge.receive({ uid: "main", action: "moved" });

// --- elements.js

const panel: LivePanelElement = document.createElement("live-panel");
panel.setAttribute("channel", "stream/host/cpu");
const value: LiveValueElement | null = document.querySelector("live-value");
value?.scrollIntoView();
document.querySelectorAll("live-panel").forEach((each: LivePanelElement) => (each.hidden = true));
panel.addEventListener("live-state", ({ detail }) => {
  const { text, connection, error }: LiveState = detail;
  console.log(text.trim(), connection === true, error?.code.toFixed());
  // @ts-expect-error: there may be no fault of the channel
  console.log(error.message);
});
// @ts-expect-error: what is shown is said with attributes
panel.channel = "stream/host/cpu";

export { answer, far, fault, saved, table, up };
