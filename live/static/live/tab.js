// What a tab has one of: its connection, its id, what it is subscribed to.

import { Centrifuge } from "./vendor/centrifuge.js";

const COMMAND_TIMEOUT = 30_000; // ms; a busy server answers late rather than never
const LONGEST_RETRY = 10_000; // ms between attempts to reconnect, at most
const OWN_IDS = 8; // of this tab's last connections; what was before them is gone on the server too

// A page may load this file under two addresses, as storages of static files with hashes in the names have it. The tab
// has one connection all the same.
export const tab = (globalThis[Symbol.for("live.tab")] ??= {
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
