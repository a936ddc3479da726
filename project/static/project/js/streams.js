// The frame channels of a page: one table a channel, shared by all panels that show it.

import { FrameError, FrameTable, isFrame } from "../../live/frames.js";
import { subscribe } from "../../live/live.js";

const streams = new Map(); // channel -> Stream
const LONGEST_PAST = 5 * 60 * 1000; // ms a table reaches back, as far as the server's history does
const KEEP = 2000; // ms a table stays without listeners, so that replacing a panel does not lose its past

/**
 * Listen to a channel, its history first. The listener's `onUpdate(stream, past)` is called after each message (`past`:
 * one of the history) and `onError(text)` when the channel is refused. Returns `{stream, close()}`; `stream.table` is
 * the FrameTable, `stream.last` the last message.
 */
export function openStream(channel, listener) {
  let stream = streams.get(channel);
  if (!stream) {
    stream = new Stream(channel);
    streams.set(channel, stream);
  }
  return stream.add(listener);
}

/** The labels seen in a channel that this page shows, as `name=value` texts. */
export function knownLabels(channel) {
  const series = streams.get(channel)?.table.series ?? [];
  return [...new Set(series.flatMap(({ labels }) => [...labels].map(([name, value]) => `${name}=${value}`)))].sort();
}

class Stream {
  constructor(channel) {
    this.channel = channel;
    this.table = new FrameTable({ maxDelta: LONGEST_PAST });
    this.last = null;
    this.error = "";
    this.listeners = new Set();
    this.timer = null;
    this.subscription = subscribe(channel, {
      onData: (message, { past }) => this.receive(message, past),
      onState: (state) => {
        if (state === "subscribed") this.fail("");
      },
      onError: ({ code, message }) => this.fail(code === 403 ? "You may not watch this channel." : message),
    });
  }

  add(listener) {
    clearTimeout(this.timer);
    this.listeners.add(listener);
    if (this.error) listener.onError?.(this.error);
    return { stream: this, close: () => this.remove(listener) };
  }

  remove(listener) {
    if (!this.listeners.delete(listener) || this.listeners.size > 0) return;
    this.timer = setTimeout(() => {
      streams.delete(this.channel);
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
        // Waiting for the next full frame is the cure; the panels say so meanwhile.
        this.fail(`Waiting for a whole frame: ${error.message}.`);
        return;
      }
    }
    this.fail("");
    for (const listener of [...this.listeners]) listener.onUpdate?.(this, past);
  }

  fail(text) {
    if (text === this.error) return;
    this.error = text;
    for (const listener of [...this.listeners]) listener.onError?.(text);
  }
}
