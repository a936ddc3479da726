// The frame channels of a page: one table a channel, shared by all who show it.

import { subscribe } from "./channels.js";
import { FrameError, FrameTable, isFrame } from "./frames.js";

const LONGEST_PAST = 5 * 60 * 1000; // ms a table reaches back, as far as the server's history of streams does
const KEEP = 2000; // ms a table stays without listeners, so that redrawing a part of a page does not lose its past

const tables = new Map(); // channel name -> Shared

/**
 * Collect the data frames of a channel, its history first, in one bounded table for the whole page.
 *
 * - `onUpdate(source, past)`: a message came and is in the table; `past` when it is one of the history.
 * - `onError(error)`: `{code, message}` when the channel is refused, or when a message did not fit (code 0, until the next
 *   full frame); null when that is over.
 *
 * Returns `{channel, table, last, error, close()}`, the `source` of `onUpdate` too: `table` is the `FrameTable`, with the
 * last five minutes and at most a thousand rows of each label set; `last` the last message, a frame or not, undefined
 * before the first.
 */
export function frames(channel, { onUpdate, onError } = {}) {
  let shared = tables.get(channel);
  if (!shared) {
    shared = new Shared(channel);
    tables.set(channel, shared);
  }
  return shared.add({ onUpdate, onError });
}

/**
 * The messages of a channel as they are, its history first: what `frames` gives, without a table. `past` is true also for
 * what was known before.
 */
export function messages(channel, { onUpdate, onError }) {
  const fail = (error) => {
    if (error === null && source.error === null) return;
    source.error = error;
    onError(error);
  };
  const source = { channel, last: undefined, error: null, close: () => subscription.close() };
  const subscription = subscribe(channel, {
    onData: (message, { initial, late, past }) => {
      source.last = message;
      onUpdate(source, initial || late || past);
    },
    onState: (state) => {
      if (state === "subscribed") fail(null);
    },
    onError: fail,
  });
  return source;
}

class Shared {
  constructor(channel) {
    this.channel = channel;
    this.table = new FrameTable({ maxDelta: LONGEST_PAST });
    this.last = undefined;
    this.error = null;
    this.listeners = new Map(); // listener -> its source
    this.timer = null;
    this.subscription = subscribe(channel, {
      onData: (message, { past }) => this.receive(message, past),
      onState: (state) => {
        if (state === "subscribed") this.fail(null);
      },
      onError: (error) => this.fail(error),
    });
  }

  add(listener) {
    clearTimeout(this.timer);
    const shared = this;
    const source = {
      channel: this.channel,
      table: this.table,
      get last() {
        return shared.last;
      },
      get error() {
        return shared.error;
      },
      close: () => this.remove(listener),
    };
    this.listeners.set(listener, source);
    if (this.error) listener.onError?.(this.error);
    return source;
  }

  remove(listener) {
    if (!this.listeners.delete(listener) || this.listeners.size > 0) return;
    this.timer = setTimeout(() => {
      tables.delete(this.channel);
      this.subscription.close();
    }, KEEP);
  }

  receive(message, past) {
    this.last = message;
    if (isFrame(message)) {
      try {
        this.table.push(message);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
        // Waiting for the next full frame is the cure; whoever shows the table says so meanwhile.
        this.fail({ code: 0, message: error.message });
        return;
      }
    }
    this.fail(null);
    for (const [listener, source] of [...this.listeners]) listener.onUpdate?.(source, past);
  }

  fail(error) {
    if (error === null && this.error === null) return;
    this.error = error;
    for (const listener of [...this.listeners.keys()]) listener.onError?.(error);
  }
}
