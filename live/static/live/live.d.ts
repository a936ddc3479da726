// Types of live.js.

import type { DashboardCallbacks } from "./dashboards.js";
import type { FrameTable } from "./frames.js";

/** This tab's random id; send it with a save (header `X-Live-Session`), so that the tab knows its own event again. */
export const sessionId: string;

/** The tab's connection, a `Centrifuge` of the npm package of that name: what a page may want of it. */
export interface Connection {
  readonly state: "disconnected" | "connecting" | "connected";
  connect(): void;
  disconnect(): void;
}

/** Open the tab's one connection, or return it; `url` is `/api/live/ws` of this page's host unless said. */
export function connect(url?: string): Connection;

/** Never connect in this tab. */
export function switchOff(): void;

export interface ConnectionState {
  /** `lost`: reconnecting by itself; `offline`: ended, `connect()` tries again; `off`: see `switchOff`. */
  state: "idle" | "connecting" | "live" | "lost" | "offline" | "off";
  code: number;
  reason: string;
}

/** Call back now and at each change; returns a function that ends it. */
export function onConnectionState(callback: (state: ConnectionState) => void): () => void;

/** Where data comes from: with the subscription, known from before this listener, the history; none of them: live. */
export interface Origin {
  initial: boolean;
  late: boolean;
  past: boolean;
}

export interface LiveFault {
  code: number;
  message: string;
}

/** Who else listens to a channel. */
export interface Others {
  people: { user: string; name: string; sessions: number; own: boolean }[];
  /** How many are not logged in. */
  visitors: number;
  /** About how many others there are, where they are too many to be known; else 0. */
  crowd: number;
}

export interface Listener<T = unknown> {
  onData?: (data: T, origin: Origin) => void;
  onState?: (state: "subscribing" | "subscribed" | "unsubscribed") => void;
  onError?: (error: LiveFault) => void;
  onPresence?: (others: Others) => void;
  /** `false`: only what is known now and what comes. */
  history?: boolean;
}

export interface Subscription {
  readonly channel: string;
  close(): void;
}

/** Listen to a channel; all listeners of a tab share one subscription. */
export function subscribe<T = unknown>(channel: string, listener?: Listener<T>): Subscription;

/** Publish JSON over the tab's connection; rejected with a `LiveFault` where the server refuses or cannot be reached. */
export function publish(channel: string, data: unknown): Promise<void>;

export interface WatchOptions extends DashboardCallbacks {
  onPresence?: (others: Others) => void;
  onError?: (error: LiveFault) => void;
}

export interface WatchedDashboard {
  /** Hold events back until this tab's own save is settled; returns what the promise does. */
  whileSaving<T>(promise: Promise<T>): Promise<T>;
  setEditing(editing: boolean): void;
  close(): void;
}

/** Watch one dashboard for what others do to it. */
export function watchDashboard(uid: string, options: WatchOptions): WatchedDashboard;

export interface FrameSource {
  readonly channel: string;
  /** The last five minutes, shared by all who show the channel. */
  readonly table: FrameTable;
  /** The last message, a frame or not; undefined before the first. */
  readonly last: unknown;
  readonly error: LiveFault | null;
  close(): void;
}

export interface FrameListener {
  /** A message came and is in the table; `past` when it is one of the history. */
  onUpdate?: (source: FrameSource, past: boolean) => void;
  /** The channel is refused, or a message did not fit (code 0); null when that is over. */
  onError?: (error: LiveFault | null) => void;
}

/** Collect the data frames of a channel, its history first, in one bounded table for the whole page. */
export function frames(channel: string, listener?: FrameListener): FrameSource;
