// Subscriptions, shared by everybody in the tab who wants the same channel.

import { needsSchema } from "./frames.js";
import { Feed } from "./history.js";
import { Presence } from "./presence.js";
import { connect, tab } from "./tab.js";

const LINGER = 250; // ms a channel stays subscribed after its last listener, so that redrawing a page costs nothing
const HISTORY_PAGE = 300; // publications asked for at a time: the server's limit

const INITIAL = { initial: true, late: false, past: false };
const LATE = { initial: false, late: true, past: false };
const PAST = { initial: false, late: false, past: true };
const LIVE = { initial: false, late: false, past: false };

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
