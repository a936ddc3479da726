// Live in the browser: one connection for the whole tab, subscriptions shared by everybody who wants the same channel.
//
// `connect()` opens the tab's WebSocket (the npm package `centrifuge` does the work: backoff, resubscribe, recovery);
// `subscribe()` listens to a channel and `publish()` sends to one; `onConnectionState()` tells how the connection is;
// `watchDashboard()` decides which events of a dashboard concern this tab; `frames()` keeps the last rows of a channel.

import { DashboardEvents } from "./dashboards.js";
import { needsSchema } from "./frames.js";
import { Feed } from "./history.js";
import { Presence } from "./presence.js";
import { Centrifuge } from "./vendor/centrifuge.js";

export { frames } from "./tables.js";

const COMMAND_TIMEOUT = 30_000; // ms; a busy server answers late rather than never
const LONGEST_RETRY = 10_000; // ms between attempts to reconnect, at most
const LINGER = 250; // ms a channel stays subscribed after its last listener, so that redrawing a page costs nothing
const HISTORY_PAGE = 300; // publications asked for at a time: the server's limit
const NOT_FOUND = 404;
const FIRST_SERVER_CODE = 100; // below are the faults of the connection
const OWN_IDS = 8; // of this tab's last connections; what was before them is gone on the server too

const INITIAL = { initial: true, late: false, past: false };
const LATE = { initial: false, late: true, past: false };
const PAST = { initial: false, late: false, past: true };
const LIVE = { initial: false, late: false, past: false };

// A page may load this file under two addresses, as storages of static files with hashes in the names have it. The tab
// has one connection all the same.
const tab = (globalThis[Symbol.for("live.tab")] ??= {
  client: null,
  address: null,
  off: false,
  state: { state: "idle", code: 0, reason: "" },
  stateListeners: new Set(),
  ownIds: [], // what the server called this tab, the newest last
  channels: new Map(), // channel name -> Shared
  sessionId: randomId(),
});

/**
 * This tab's random id. Send it with a save (header `X-Live-Session`), so that the tab knows its own event again.
 * Not kept in any storage: a duplicated tab must have its own. (`crypto.randomUUID` needs https.)
 */
export const sessionId = tab.sessionId;

/**
 * Open the tab's connection, or return the open one. `url` is the WebSocket's address, by default `/api/live/ws` of
 * this page's host. There is one connection a tab, so a second url is an error. After a disconnect that the server
 * meant to be final, calling it again tries again.
 */
export function connect(url = defaultUrl()) {
  if (tab.off) throw new Error("Live is switched off.");
  if (tab.client === null) {
    tab.address = url;
    const client = new Centrifuge(url, { timeout: COMMAND_TIMEOUT, maxReconnectDelay: LONGEST_RETRY });
    let wasLive = false;
    client.on("connecting", ({ code, reason }) => setState(wasLive ? "lost" : "connecting", code, reason));
    client.on("connected", ({ client: id }) => {
      wasLive = true;
      tab.ownIds.push(id);
      tab.ownIds.splice(0, tab.ownIds.length - OWN_IDS);
      setState("live", 0, "");
    });
    client.on("disconnected", ({ code, reason }) => setState("offline", code, reason));
    // A failed attempt is followed by the next one; it is shown as a state, not thrown.
    client.on("error", ({ error }) => {
      if (tab.state.state === "connecting") setState("lost", error.code, error.message);
    });
    tab.client = client;
  } else if (url !== tab.address) {
    throw new Error(`This tab is connected to ${tab.address} already.`);
  }
  tab.client.connect();
  return tab.client;
}

/** Never connect in this tab, for a server that has Live switched off. Subscriptions made after it stay silent. */
export function switchOff() {
  tab.off = true;
  setState("off", 0, "");
}

/**
 * Call `callback({state, code, reason})` now and at each change; returns a function that ends it. States: `idle`,
 * `connecting` (first attempt), `live`, `lost` (reconnecting by itself), `offline` (ended; `connect()` tries again),
 * `off` (see `switchOff`).
 */
export function onConnectionState(callback) {
  tab.stateListeners.add(callback);
  callback(tab.state);
  return () => tab.stateListeners.delete(callback);
}

/**
 * Listen to a channel. All listeners of a tab share one subscription, made by the first and ended after the last.
 *
 * - `onData(data, {initial, late, past})`: a publication. Where the channel keeps a history, a listener gets that first
 *   (`past`), whenever it joins, and after an interruption what it missed: all in order, none twice. Of a frame channel
 *   it starts with a full frame. Where there is no history, it gets the data that came with the subscription
 *   (`initial`: after each reconnect too) or, when it joins later, the last known data (`late`).
 * - `onState(name)`: `subscribing`, `subscribed` or `unsubscribed`.
 * - `onError({code, message})`: the subscription was refused or ended by the server. Temporary faults are retried.
 * - `onPresence({people, visitors, crowd})`: who else listens, now and at each change, where the channel has presence; see
 *   `Presence`.
 * - `history: false`: no history for this listener, only what is known now, what comes, and (`past`) what an interruption
 *   kept from it, if the server still has that.
 *
 * Returns `{channel, close()}`.
 */
export function subscribe(channel, listener = {}) {
  if (tab.off) return { channel, close() {} };
  let shared = tab.channels.get(channel);
  if (!shared) {
    shared = new Shared(channel, connect(tab.address ?? undefined));
    tab.channels.set(channel, shared);
  }
  return shared.add(listener);
}

/**
 * Publish JSON to a channel over the tab's connection. The promise is rejected with `{code, message, temporary}` where
 * the server refuses it, or cannot be reached.
 */
export async function publish(channel, data) {
  if (tab.off) throw new Error("Live is switched off.");
  await connect(tab.address ?? undefined).publish(channel, data);
}

/**
 * Watch one dashboard for what others do to it; see `DashboardEvents` for the rules and the callbacks `version`,
 * `onSaved`, `onDeleted` and `onEditing`. `onPresence` is told who else has it open, see `subscribe`, and
 * `onError({code, message})` when it may not be watched. Returns `{whileSaving(promise), setEditing(yes), close()}`: tell
 * when a person begins and ends to edit it in this tab.
 */
export function watchDashboard(uid, { version, onSaved, onDeleted, onEditing, onPresence, onError } = {}) {
  const channel = `grafana/dashboard/uid/${uid}`;
  const announce = () =>
    publish(channel, { uid, action: "editing-started", sessionId }).catch(({ code, message }) => {
      // With the next connection it is said again; a refusal is worth a word to whoever develops the page.
      if (code >= FIRST_SERVER_CODE) console.warn(`Nobody was told that ${uid} is edited here: ${message} (${code})`);
    });
  const events = new DashboardEvents({ uid, sessionId, version, onSaved, onDeleted, onEditing, announce });
  const subscription = subscribe(channel, {
    history: false,
    onData: (event, { initial, late }) => events.receive(event, initial || late),
    onState: (state) => events.setConnected(state === "subscribed"),
    onPresence,
    onError: (error) => (error.code === NOT_FOUND ? events.gone() : onError?.(error)),
  });
  return {
    whileSaving: (promise) => events.whileSaving(promise),
    setEditing: (yes) => events.setEditing(yes),
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
    this.feeds = new Map(); // listener -> its Feed; null when it wants no history
    this.pages = new Map(); // pages of the history that are asked for, so that listeners share the answer
    this.schema = null; // of the last full frame
    this.last = undefined; // the last message
    this.recovering = false; // whether publications are those that were missed
    this.error = null;
    this.timer = null;
    this.presence = null; // made for the first listener that wants it
    this.subscription = centrifuge.newSubscription(channel);
    this.subscription.on("subscribing", () => {
      this.stopFeeds();
      this.tell("onState", "subscribing");
    });
    this.subscription.on("subscribed", ({ data, streamPosition, recovered }) => {
      // What was missed follows in this turn.
      this.recovering = recovered;
      queueMicrotask(() => (this.recovering = false));
      this.start(data ?? undefined, streamPosition);
      this.presence?.start();
    });
    this.subscription.on("join", ({ info }) => this.presence?.joined(info));
    this.subscription.on("leave", ({ info }) => this.presence?.left(info));
    this.subscription.on("publication", ({ data, offset }) => {
      const past = this.recovering;
      this.keep(data);
      this.each((listener, feed) => (feed ? feed.receive(data, offset, past) : listener.onData?.(data, past ? PAST : LIVE)));
    });
    this.subscription.on("unsubscribed", ({ code, reason }) => {
      this.stopFeeds();
      this.presence?.end();
      this.tell("onState", "unsubscribed");
      if (code === 0) return; // our own doing
      this.error = { code, message: reason };
      this.tell("onError", this.error);
    });
  }

  add(listener) {
    clearTimeout(this.timer);
    const feed = listener.history === false ? null : this.makeFeed(listener);
    this.feeds.set(listener, feed);
    if (this.subscription.state === "unsubscribed") this.subscription.subscribe();
    listener.onState?.(this.subscription.state);
    if (listener.onPresence) this.showPresence(listener);
    const known = this.last === undefined ? undefined : { data: this.whole(), info: LATE };
    if (feed && this.subscription.state === "subscribed") feed.start(known);
    else if (known) listener.onData?.(known.data, known.info);
    return { channel: this.channel, close: () => this.remove(listener) };
  }

  makeFeed(listener) {
    return new Feed({
      ask: (since) => this.page(since),
      deliver: (data, info) => guarded(() => listener.onData?.(data, info)),
      onFailure: ({ code, message }) => console.warn(`The history of ${this.channel} was not read: ${message} (${code})`),
    });
  }

  showPresence(listener) {
    if (this.presence !== null) {
      listener.onPresence(this.presence.others());
      return;
    }
    this.presence = new Presence({
      count: () => this.subscription.presenceStats(),
      ask: () => this.subscription.presence(),
      isOwn: (id) => tab.ownIds.includes(id),
      onChange: (others) => this.tell("onPresence", others),
    });
    if (this.subscription.state === "subscribed") this.presence.start();
  }

  remove(listener) {
    this.feeds.get(listener)?.stop();
    if (!this.feeds.delete(listener) || this.feeds.size > 0) return;
    this.timer = setTimeout(() => {
      tab.channels.delete(this.channel);
      this.subscription.unsubscribe();
      this.centrifuge.removeSubscription(this.subscription);
    }, LINGER);
  }

  // After a recovery `position` is the one from before the interruption, and what was missed follows as publications;
  // else it is the channel's newest.
  start(data, position) {
    this.error = null;
    if (data !== undefined) this.keep(data);
    this.tell("onState", "subscribed");
    const known = data === undefined ? undefined : { data, info: INITIAL };
    this.each((listener, feed) => {
      if (feed) feed.start(known, position);
      else if (known) listener.onData?.(known.data, known.info);
    });
  }

  stopFeeds() {
    this.presence?.stop();
    for (const feed of this.feeds.values()) feed?.stop();
  }

  page(since) {
    const key = since ? `${since.offset} ${since.epoch}` : "";
    if (!this.pages.has(key)) {
      const answer = this.subscription.history({ limit: HISTORY_PAGE, since });
      this.pages.set(key, answer.finally(() => this.pages.delete(key)));
    }
    return this.pages.get(key);
  }

  keep(data) {
    if (data?.schema?.fields) this.schema = data.schema;
    this.last = data;
  }

  // The last message as a newcomer needs it: data without a schema is completed to a full frame.
  whole() {
    return this.schema !== null && needsSchema(this.last) ? { schema: this.schema, data: this.last.data } : this.last;
  }

  tell(method, ...args) {
    this.each((listener) => listener[method]?.(...args));
  }

  each(call) {
    for (const [listener, feed] of [...this.feeds]) {
      if (this.feeds.has(listener)) guarded(() => call(listener, feed)); // it may have closed meanwhile
    }
  }
}

// One listener's failure must not keep the message from the others; it is reported as any uncaught error.
function guarded(call) {
  try {
    call();
  } catch (error) {
    reportError(error);
  }
}

function setState(name, code, reason) {
  tab.state = { state: name, code, reason };
  for (const callback of [...tab.stateListeners]) callback(tab.state);
}

function defaultUrl() {
  const url = new URL("/api/live/ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  return url.href;
}

function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
