// Types of dashboards.js.

/** What travels in the channel of a dashboard. */
export interface DashboardEvent {
  uid: string;
  action?: "saved" | "deleted" | "editing-started";
  version?: number;
  sessionId?: string;
  user?: unknown;
}

export interface DashboardCallbacks {
  /** The version this tab holds now; events of versions that it has already are ignored. */
  version: () => number;
  /** Somebody else saved; `missed` when it happened while this tab was away. */
  onSaved?: (event: { version: number | undefined; user: unknown; missed: boolean }) => void;
  /** Somebody else deleted it, or it is gone since the last connection: `user` is null then. */
  onDeleted?: (event: { user: unknown }) => void;
  /** Somebody else edits it as well; told only while this tab edits. */
  onEditing?: (event: { user: unknown }) => void;
}

export interface DashboardEventsOptions extends DashboardCallbacks {
  uid: string;
  sessionId: string;
  /** Say to the others that this tab edits. */
  announce?: () => void;
  /** Milliseconds, for tests. */
  now?: () => number;
}

/** Judges which events of one dashboard concern this tab; `watchDashboard` of live.js feeds it. */
export class DashboardEvents {
  constructor(options: DashboardEventsOptions);
  receive(event: DashboardEvent, missed?: boolean): void;
  setConnected(connected: boolean): void;
  setEditing(editing: boolean): void;
  gone(): void;
  whileSaving<T>(promise: Promise<T>): Promise<T>;
  close(): void;
}
