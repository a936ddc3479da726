// History first: what one listener of a channel gets, in order, no publication twice, none missing.
//
// A channel may keep its last publications. `Feed` asks for them whenever the subscription starts, page by page, and
// holds back what arrives meanwhile. After an interruption the subscription mostly brings what was missed by itself
// (recovery); where it does not, the feed asks for that. Offsets decide: they count the publications of one life of the
// channel (its epoch). Nothing here touches the DOM or the network, so that it runs under Node.js as well.

import { needsSchema } from "./frames.js";

const MAX_PAGES = 20; // of one reading; the server's pages have up to 300 publications
const MAX_HELD = 1000; // live publications kept while pages are read; those beyond are read from the history instead
const RETRIES = 2; // of a page, when the server says that its fault is temporary
const RETRY_PAUSE = 1000; // ms
const PERMISSION_DENIED = 103;
const NOT_AVAILABLE = 108;
const UNRECOVERABLE = 112; // the channel began anew

const PAST = { initial: false, late: false, past: true };
const LIVE = { initial: false, late: false, past: false };

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/**
 * Merges a channel's history with its live publications for one listener.
 *
 * - `ask(since)`: promise of a page after `since` (`{offset, epoch}`; undefined: from the oldest), oldest first:
 *   `{publications: [{data, offset}], offset, epoch}`, where `offset` and `epoch` are the channel's newest position.
 *   Rejected with `{code, temporary}` as the protocol has it.
 * - `deliver(data, {initial, late, past})`: takes what comes out; `past` for what was read from the history or recovered.
 * - `onFailure(error)`: the history could not be read though the channel may have one; what is live goes on.
 *
 * Frames without a schema at the start of what can be read mean nothing and are left out: it starts at the first full
 * one. Where there is no history (error 108) the last known data and the live publications are delivered as they come.
 */
export class Feed {
  constructor({ ask, deliver, onFailure, retryPause = RETRY_PAUSE, maxPages = MAX_PAGES, maxHeld = MAX_HELD }) {
    Object.assign(this, { ask, deliver, onFailure, retryPause, maxPages, maxHeld });
    this.held = []; // live publications that wait for the history; null when they go straight through
    this.run = 0; // number of the reading under way; a reading of an older number is over
    this.#beginAnew();
  }

  /**
   * The subscription is up. `known` is the channel's last data as `{data, info}`, if there is any: delivered where the
   * history does not have it. `position` (`{offset, epoch}`) is where the subscription goes on from, if it tells: a
   * listener that is there already asks for nothing. Resolves when the listener has caught up, for tests.
   */
  start(known, position) {
    if (this.#isAt(position)) {
      this.run += 1;
      this.held = null;
      if (known && !this.fed) this.#tell(known.data, known.info);
      return Promise.resolve();
    }
    this.held = [];
    return this.#catchUp(known);
  }

  /** The subscription is down, or the listener gone: nothing is delivered until the next start. */
  stop() {
    this.run += 1;
    this.held = [];
  }

  /**
   * Take a publication of the subscription; `offset` is undefined or 0 where the channel keeps no history. `past`: it was
   * missed, and is told now.
   */
  receive(data, offset, past = false) {
    const info = past ? PAST : LIVE;
    if (this.held !== null) {
      this.held.push({ data, offset, info });
      if (this.held.length > this.maxHeld) this.held.shift();
    } else if (this.epoch !== "" && offset && offset !== this.offset + 1) {
      // The server promises not to leave any out. Whatever happened, the history tells.
      this.held = [{ data, offset, info }];
      this.#catchUp();
    } else {
      this.#pass(data, offset, info);
    }
  }

  #beginAnew() {
    this.offset = 0; // of the last publication seen
    this.epoch = ""; // "" until a page told it
    this.readable = false; // the listener holds the schema that the next frame without one refers to
    this.fed = false; // the listener was given something
  }

  #isAt(position) {
    return Boolean(position) && this.epoch !== "" && position.epoch === this.epoch && position.offset === this.offset;
  }

  async #catchUp(known) {
    this.run += 1;
    const run = this.run;
    const start = this.offset;
    const { answered, told } = await this.#readPages(run);
    if (run !== this.run) return;
    const missedNothing = answered && this.fed && this.offset === start;
    if (known && told === 0 && !missedNothing) this.#tell(known.data, known.info);
    const held = this.held;
    this.held = null;
    for (const { data, offset, info } of held) {
      if (run !== this.run) return; // the listener closed while it was told
      if (!offset || offset > this.offset) this.#pass(data, offset, info);
    }
  }

  // Delivers what the history has after `this.offset`. `told`: number of publications delivered.
  async #readPages(run) {
    let told = 0;
    for (let number = 0; number < this.maxPages; number += 1) {
      const since = this.epoch === "" ? undefined : { offset: this.offset, epoch: this.epoch };
      let page;
      try {
        page = await this.#page(since, run);
      } catch (error) {
        if (run !== this.run) return { answered: false, told };
        if (since && error.code === UNRECOVERABLE) {
          this.#beginAnew();
          continue;
        }
        if (![NOT_AVAILABLE, PERMISSION_DENIED].includes(error.code)) this.onFailure?.(error);
        return { answered: false, told };
      }
      if (run !== this.run) return { answered: false, told };
      if (since && page.epoch !== since.epoch) {
        this.#beginAnew();
        continue;
      }
      this.epoch = page.epoch;
      for (const { data, offset } of page.publications) {
        if (run !== this.run) return { answered: false, told };
        if (offset > this.offset) told += this.#pass(data, offset, PAST);
      }
      if (page.publications.length === 0) {
        if (page.offset > this.offset) this.#skipTo(page.offset);
        break;
      }
      if (this.offset >= page.offset && this.#joinsHeld()) break;
    }
    return { answered: true, told };
  }

  async #page(since, run) {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await this.ask(since);
      } catch (error) {
        if (!error.temporary || attempt === RETRIES || run !== this.run) throw error;
        await pause(this.retryPause);
        if (run !== this.run) throw error;
      }
    }
  }

  // Does the first held publication that is not delivered yet follow the last delivered one?
  #joinsHeld() {
    const next = this.held.find(({ offset }) => !offset || offset > this.offset);
    return !next?.offset || next.offset === this.offset + 1;
  }

  // Publications up to `offset` are lost: a schema may have been among them.
  #skipTo(offset) {
    this.offset = offset;
    this.readable = false;
  }

  // Returns the number of publications told: 0 when the listener could not read it.
  #pass(data, offset, info) {
    if (offset) {
      if (offset !== this.offset + 1) this.readable = false;
      this.offset = offset;
    }
    if (info.past && !this.readable && needsSchema(data)) return 0;
    this.#tell(data, info);
    return 1;
  }

  #tell(data, info) {
    this.readable ||= !needsSchema(data);
    this.fed = true;
    this.deliver(data, info);
  }
}
