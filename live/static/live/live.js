// Live in the browser: one connection for the whole tab, subscriptions shared by everybody who wants the same channel.
//
// `connect()` opens the tab's WebSocket (the npm package `centrifuge` does the work: backoff, resubscribe, recovery);
// `subscribe()` listens to a channel and `publish()` sends to one; `onConnectionState()` tells how the connection is;
// `watchDashboard()` decides which events of a dashboard concern this tab; `frames()` keeps the last rows of a channel.

import { publish, subscribe } from "./channels.js";
import { DashboardEvents } from "./dashboards.js";
import { sessionId } from "./tab.js";

export { publish, subscribe } from "./channels.js";
export { connect, onConnectionState, sessionId, switchOff } from "./tab.js";
export { frames } from "./tables.js";

const NOT_FOUND = 404;
const FIRST_SERVER_CODE = 100; // below are the faults of the connection

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
