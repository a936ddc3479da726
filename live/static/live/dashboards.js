// Which events of a dashboard concern this tab. No network and no DOM, so that it runs under Node.js as well.

/**
 * Judges the events of one dashboard.
 *
 * - `uid`, `sessionId`: the dashboard, and this tab's random id.
 * - `version()`: the version this tab holds now.
 * - `onSaved({version, user, missed})`: somebody else saved; `missed` when it happened while this tab was away.
 * - `onDeleted({user})`: somebody else deleted it, or it is gone since the last connection (`user` is null then).
 *
 * Ignored are events of another uid, of this tab's own session, and of versions that this tab holds already. Events
 * that arrive while this tab saves wait for the end of the save: only then is it known which version the tab holds.
 */
export class DashboardEvents {
  constructor({ uid, sessionId, version, onSaved, onDeleted }) {
    Object.assign(this, { uid, sessionId, version, onSaved, onDeleted });
    this.saves = 0;
    this.waiting = [];
    this.closed = false;
  }

  /** Take an event of the channel, or (`missed`) the state that came with the subscription: `{uid, version}`. */
  receive(event, missed = false) {
    if (this.closed || event?.uid !== this.uid) return;
    if (event.sessionId && event.sessionId === this.sessionId) return;
    if (this.saves > 0) {
      this.waiting.push([event, missed]);
      return;
    }
    const user = event.user ?? null;
    if (event.action === "deleted") {
      this.onDeleted?.({ user });
    } else if (event.action === "saved" || missed) {
      if (event.version !== undefined && event.version <= this.version()) return;
      this.onSaved?.({ version: event.version, user, missed });
    }
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
    this.waiting = [];
  }

  #release() {
    if (this.saves > 0) return;
    const events = this.waiting;
    this.waiting = [];
    for (const [event, missed] of events) this.receive(event, missed);
  }
}
