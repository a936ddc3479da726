// Which events of a dashboard concern this tab. No network and no DOM, so that it runs under Node.js as well.

const QUIET = 5000; // ms after a warning in which there is no other
const MAX_HEARD = 50; // sessions of others that are told apart

/**
 * Judges the events of one dashboard.
 *
 * - `uid`, `sessionId`: the dashboard, and this tab's random id.
 * - `version()`: the version this tab holds now.
 * - `onSaved({version, user, missed})`: somebody else saved; `missed` when it happened while this tab was away.
 * - `onDeleted({user})`: somebody else deleted it, or it is gone since the last connection (`user` is null then).
 * - `onEditing({user})`: somebody else edits it as well. Told only while this tab edits, once in each of its editing
 *   sessions, and never twice within five seconds, however often the others say it.
 * - `announce()`: say to the others that this tab edits: when it begins, again with each connection, and once to each
 *   session that begins later.
 * - `now()`: milliseconds, for tests.
 *
 * Ignored are events of another uid, of this tab's own session, and of versions that this tab holds already. Without
 * versions the first state is taken for the one that the page shows, and each later one for a save that was missed.
 * Events that arrive while this tab saves wait for the end of the save: only then is it known which version it holds.
 */
export class DashboardEvents {
  constructor({ uid, sessionId, version, onSaved, onDeleted, onEditing, announce, now = () => performance.now() }) {
    Object.assign(this, { uid, sessionId, version, onSaved, onDeleted, onEditing, announce, now });
    this.connected = false;
    this.begun = false; // whether the state that the page began with is past
    this.editing = false;
    this.warned = false; // in this editing session
    this.warnedAt = -Infinity;
    this.heard = new Set(); // sessions of others that were answered
    this.saves = 0;
    this.waiting = [];
    this.closed = false;
  }

  /** Take an event of the channel, or (`missed`) the state that came with the subscription: `{uid, version}`. */
  receive(event, missed = false) {
    if (this.closed || event?.uid !== this.uid) return;
    if (event.sessionId && event.sessionId === this.sessionId) return;
    if (event.action === "editing-started") {
      this.#othersEdit(event);
      return;
    }
    if (this.saves > 0) {
      this.waiting.push([event, missed]);
      return;
    }
    const user = event.user ?? null;
    if (event.action === "deleted") {
      this.onDeleted?.({ user });
    } else if (event.action === "saved" || missed) {
      const first = missed && !this.begun;
      this.begun = true;
      if (event.version === undefined ? first : event.version <= this.version()) return;
      this.onSaved?.({ version: event.version, user, missed });
    }
  }

  /** Whether the channel is subscribed to; with each new subscription the others hear again that this tab edits. */
  setConnected(connected) {
    const returned = connected && !this.connected;
    this.connected = connected;
    if (returned && this.editing) this.announce?.();
  }

  /** A person begins to edit in this tab, or ends. */
  setEditing(editing) {
    if (editing === this.editing || this.closed) return;
    this.editing = editing;
    this.warned = false;
    this.heard.clear();
    if (editing && this.connected) this.announce?.();
  }

  /** The server says that there is no such dashboard. */
  gone() {
    if (!this.closed) this.onDeleted?.({ user: null });
  }

  /** Hold events back until the promise of this tab's own save is settled; returns what it returns. */
  async whileSaving(promise) {
    this.saves += 1;
    try {
      return await promise;
    } finally {
      this.saves -= 1;
      // Later than the code that awaits this: it takes over the version it saved first.
      if (this.saves === 0) setTimeout(() => this.#release());
    }
  }

  /** Judge nothing any more. */
  close() {
    this.closed = true;
    this.editing = false;
    this.waiting = [];
  }

  #othersEdit({ sessionId = "", user = null }) {
    if (!this.editing) return;
    if (!this.heard.has(sessionId) && this.heard.size < MAX_HEARD) {
      // Whoever begins later has not heard that this tab edits. Each is answered once, so that it comes to an end.
      this.heard.add(sessionId);
      if (this.connected) this.announce?.();
    }
    if (this.warned || this.now() - this.warnedAt < QUIET) return;
    this.warned = true;
    this.warnedAt = this.now();
    this.onEditing?.({ user });
  }

  #release() {
    if (this.saves > 0) return;
    const events = this.waiting;
    this.waiting = [];
    for (const [event, missed] of events) this.receive(event, missed);
  }
}
