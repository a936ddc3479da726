// Reading a chart at one moment: under the pointer or a finger, or where the arrow keys go.
//
// It lies over the picture and is a slider for those who hear the page: its text is the moment and the values there.

import { texts } from "./config.js";
import { make, set } from "./dom.js";
import { nearestMoment } from "./scales.js";

const SHORT = 1e-3; // ms, less than times differ by
const STEPS = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 };

export class Reader {
  /** `onMove()` is called when another moment is to be read; `name` is what the chart is called. */
  constructor(name, onMove) {
    this.onMove = onMove;
    this.series = []; // of what is drawn
    this.chart = null;
    this.pixel = null; // where the pointer is
    this.chosen = null; // the moment that the keys went to
    this.spoken = null; // the moment that was said last
    const label = [name, texts.moment].filter(Boolean).join(", ");
    this.element = make("div", { class: "reader", part: "reader", role: "slider", tabindex: "0", "aria-label": label });
    set(this.element, { "aria-valuemin": 0, "aria-valuemax": 0, "aria-valuenow": 0 });
    const listen = (type, listener) => this.element.addEventListener(type, listener);
    listen("pointermove", (event) => this.#move(event.offsetX));
    listen("pointerdown", (event) => {
      this.element.focus({ preventScroll: true, focusVisible: false });
      this.#move(event.offsetX);
    });
    // A finger is lifted to look; what it touches next ends it.
    listen("pointerleave", ({ pointerType }) => pointerType !== "touch" && this.#move(null));
    listen("blur", () => this.#move(null));
    listen("keydown", (event) => this.#key(event));
  }

  /** Whether somebody has the keyboard here, and hears each change. */
  get focused() {
    return this.element.getRootNode().activeElement === this.element;
  }

  /** The moment that is read in these series, drawn in this chart; null when none is. */
  moment(series, chart) {
    [this.series, this.chart] = [series, chart];
    // What has left the picture is read no more.
    if (this.chosen !== null) return (this.chosen = Math.max(this.chosen, this.#first()));
    return this.pixel === null ? null : Math.max(nearestMoment(series, chart.momentAt(this.pixel)), this.#first());
  }

  /** Say what is read, once; null: what there is when nothing is. */
  say(moment, text) {
    if (moment !== null && moment === this.spoken) return;
    this.spoken = moment;
    const { from, to } = this.chart.scale;
    const now = Math.round((moment ?? to) - from);
    set(this.element, { "aria-valuemax": Math.round(to - from), "aria-valuenow": now, "aria-valuetext": text });
  }

  #move(pixel) {
    if (pixel === null && this.pixel === null && this.chosen === null) return;
    [this.pixel, this.chosen] = [pixel, null];
    this.onMove();
  }

  #first() {
    return nearestMoment(this.series, this.chart.scale.from - SHORT, 1);
  }

  #key(event) {
    if (this.chart === null || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Escape") {
      this.#move(null);
      return;
    }
    const { from, to } = this.chart.scale;
    let moment = this.moment(this.series, this.chart) ?? to;
    if (event.key === "Home") moment = this.#first();
    else if (event.key === "End") moment = to;
    else if (event.key in STEPS) {
      const step = STEPS[event.key];
      for (let left = Math.abs(step); left > 0; left -= 1) {
        const next = nearestMoment(this.series, moment, Math.sign(step));
        if (next === null || next < from) break;
        moment = next;
      }
    } else return;
    event.preventDefault();
    [this.pixel, this.chosen] = [null, moment];
    this.onMove();
  }
}
