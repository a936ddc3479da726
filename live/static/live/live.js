// Live in the browser: one connection for the whole tab, subscriptions shared by everybody who wants the same channel.
//
// `connect()` opens the tab's WebSocket (the npm package `centrifuge` does the work: backoff, resubscribe, recovery);
// `subscribe()` listens to a channel; `onConnectionState()` tells how the connection is; `watchDashboard()` decides
// which events of a dashboard concern this tab.

import { DashboardEvents } from "./dashboards.js";
import { Centrifuge } from "./vendor/centrifuge.js";

const COMMAND_TIMEOUT = 30_000; // ms; a busy server answers late rather than never
const LONGEST_RETRY = 10_000; // ms between attempts to reconnect, at most
const LINGER = 250; // ms a channel stays subscribed after its last listener, so that redrawing a page costs nothing
const NOT_FOUND = 404;

let client = null;
let address = null;
let off = false;
let state = { state: "idle", code: 0, reason: "" };
const stateListeners = new Set();
const channels = new Map(); // channel name -> Shared

/**
 * This tab's random id. Send it with a save (header `X-Live-Session`), so that the tab knows its own event again.
 * Not kept in any storage: a duplicated tab must have its own. (`crypto.randomUUID` needs https.)
 */
export const sessionId = Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) =>
  byte.toString(16).padStart(2, "0"),
).join("");

/**
 * Open the tab's connection, or return the open one. `url` is the WebSocket's address, by default `/api/live/ws` of
 * this page's host. There is one connection a tab, so a second url is an error. After a disconnect that the server
 * meant to be final, calling it again tries again.
 */
export function connect(url = defaultUrl()) {
  if (off) throw new Error("Live is switched off.");
  if (client === null) {
    address = url;
    client = new Centrifuge(url, { timeout: COMMAND_TIMEOUT, maxReconnectDelay: LONGEST_RETRY });
    let wasLive = false;
    client.on("connecting", ({ code, reason }) => setState(wasLive ? "lost" : "connecting", code, reason));
    client.on("connected", () => {
      wasLive = true;
      setState("live", 0, "");
    });
    client.on("disconnected", ({ code, reason }) => setState("offline", code, reason));
    // A failed attempt is followed by the next one; it is shown as a state, not thrown.
    client.on("error", ({ error }) => {
      if (state.state === "connecting") setState("lost", error.code, error.message);
    });
  } else if (url !== address) {
    throw new Error(`This tab is connected to ${address} already.`);
  }
  client.connect();
  return client;
}

/** Never connect in this tab, for a server that has Live switched off. Subscriptions made after it stay silent. */
export function switchOff() {
  off = true;
  setState("off", 0, "");
}

/**
 * Call `callback({state, code, reason})` now and at each change; returns a function that ends it. States: `idle`,
 * `connecting` (first attempt), `live`, `lost` (reconnecting by itself), `offline` (ended; `connect()` tries again),
 * `off` (see `switchOff`).
 */
export function onConnectionState(callback) {
  stateListeners.add(callback);
  callback(state);
  return () => stateListeners.delete(callback);
}

/**
 * Listen to a channel. All listeners of a tab share one subscription, made by the first and ended after the last.
 *
 * - `onData(data, {initial, late})`: a publication, or the data that came with the subscription (`initial`: after each
 *   reconnect too). A listener that joins later is given the last known data at once (`late`); of a frame channel it
 *   is always a full frame.
 * - `onState(name)`: `subscribing`, `subscribed` or `unsubscribed`.
 * - `onError({code, message})`: the subscription was refused or ended by the server. Temporary faults are retried.
 *
 * Returns `{channel, close()}`.
 */
export function subscribe(channel, listener = {}) {
  if (off) return { channel, close() {} };
  let shared = channels.get(channel);
  if (!shared) {
    shared = new Shared(channel, connect(address ?? undefined));
    channels.set(channel, shared);
  }
  return shared.add(listener);
}

/**
 * Watch one dashboard for what others do to it; see `DashboardEvents` for the rules and the callbacks `version`,
 * `onSaved` and `onDeleted`. `onError({code, message})` is told when it may not be watched. Returns
 * `{whileSaving(promise), close()}`.
 */
export function watchDashboard(uid, { version, onSaved, onDeleted, onError } = {}) {
  const events = new DashboardEvents({ uid, sessionId, version, onSaved, onDeleted });
  const subscription = subscribe(`grafana/dashboard/uid/${uid}`, {
    onData: (event, { initial, late }) => events.receive(event, initial || late),
    onError: (error) => (error.code === NOT_FOUND ? events.gone() : onError?.(error)),
  });
  return {
    whileSaving: (promise) => events.whileSaving(promise),
    close() {
      events.close();
      subscription.close();
    },
  };
}

// One channel's subscription and its listeners.
class Shared {
  constructor(channel, centrifuge) {
    this.channel = channel;
    this.centrifuge = centrifuge;
    this.listeners = new Set();
    this.schema = null; // of the last full frame
    this.last = undefined; // the last message
    this.error = null;
    this.timer = null;
    this.subscription = centrifuge.newSubscription(channel);
    this.subscription.on("subscribing", () => this.tell("onState", "subscribing"));
    this.subscription.on("subscribed", ({ data }) => {
      this.error = null;
      this.tell("onState", "subscribed");
      if (data !== undefined && data !== null) this.receive(data, true);
    });
    this.subscription.on("publication", ({ data }) => this.receive(data, false));
    this.subscription.on("unsubscribed", ({ code, reason }) => {
      this.tell("onState", "unsubscribed");
      if (code === 0) return; // our own doing
      this.error = { code, message: reason };
      this.tell("onError", this.error);
    });
  }

  add(listener) {
    clearTimeout(this.timer);
    this.listeners.add(listener);
    if (this.subscription.state === "unsubscribed") this.subscription.subscribe();
    listener.onState?.(this.subscription.state);
    if (this.last !== undefined) listener.onData?.(this.whole(), { initial: false, late: true });
    return { channel: this.channel, close: () => this.remove(listener) };
  }

  remove(listener) {
    if (!this.listeners.delete(listener) || this.listeners.size > 0) return;
    this.timer = setTimeout(() => {
      channels.delete(this.channel);
      this.subscription.unsubscribe();
      this.centrifuge.removeSubscription(this.subscription);
    }, LINGER);
  }

  receive(data, initial) {
    if (data?.schema?.fields) this.schema = data.schema;
    this.last = data;
    this.tell("onData", data, { initial, late: false });
  }

  // The last message as a newcomer needs it: data without a schema is completed to a full frame.
  whole() {
    const dataOnly = this.schema !== null && this.last?.schema === undefined && this.last?.data?.values;
    return dataOnly ? { schema: this.schema, data: this.last.data } : this.last;
  }

  // One listener's failure must not keep the message from the others; it is reported as any uncaught error.
  tell(method, ...args) {
    for (const listener of [...this.listeners]) {
      try {
        listener[method]?.(...args);
      } catch (error) {
        reportError(error);
      }
    }
  }
}

function setState(name, code, reason) {
  state = { state: name, code, reason };
  for (const callback of [...stateListeners]) callback(state);
}

function defaultUrl() {
  const url = new URL("/api/live/ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}
