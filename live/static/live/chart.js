// Lines over time in a box: SVG, whose colours and fonts are the style sheet's, so that it follows them by itself.

import { set, setText, svg } from "./dom.js";
import { formatMark, formatTime } from "./format.js";
import { linePaths, timeMarks, timeRange, valueRange, valueScale } from "./scales.js";

const TOP = 6;
const RIGHT = 10;
const BOTTOM = 20;
const EDGE = 3; // px around the lines in which half of a stroke or of a dot is seen
const CHARACTER = 6.6; // px that a character of a mark takes at most
const MARK_HEIGHT = 36; // px between two marks, at least
const MARK_WIDTH = 76;
const TIME_WIDTH = 60; // px of a time of day
const MOST_AREAS = 3; // more lines than these hide each other's areas

/** Colours that lines have, one after the other: the classes `s1` to `s8`. */
export const COLOURS = 8;

/** One chart; `element` is its SVG. Series are those of a `FrameTable`; nothing is drawn but by `draw` and `point`. */
export class Chart {
  constructor() {
    this.values = svg("g");
    this.times = svg("g");
    this.lines = svg("svg", { class: "lines" }); // one in the other, since it cuts off what is outside
    this.line = svg("line", { class: "cursor" });
    this.time = svg("text", { class: "time at" });
    this.dots = svg("g");
    this.cursor = svg("g", { visibility: "hidden" }, this.line, this.dots, this.time);
    this.element = svg("svg", { "aria-hidden": "true", focusable: "false" });
    this.element.append(this.values, this.times, this.lines, this.cursor);
    this.scale = null; // what was drawn last: {from, to, x, y, left, wide, tall}, pixels inside of the box of the lines
    this.marked = "";
    this.marks = new Map(); // moment -> its mark
  }

  /** Draw these series, of which at least one has a value, in a box of so many pixels. */
  draw(series, width, height, unit) {
    const [from, to] = timeRange(series);
    const tall = Math.max(1, height - TOP - BOTTOM);
    const { low, high, marks } = valueScale(...valueRange(series, from), Math.floor(tall / MARK_HEIGHT));
    const texts = marks.map((mark) => formatMark(mark, unit));
    const left = Math.max(...texts.map((text) => text.length)) * CHARACTER + 8;
    const wide = Math.max(1, width - left - RIGHT);
    const x = (time) => ((time - from) / (to - from)) * wide;
    const y = (value) => ((high - value) / (high - low)) * tall;
    this.scale = { from, to, x, y, left, wide, tall, width };

    set(this.element, { viewBox: `0 0 ${width} ${height}`, width, height });
    const box = { x: left - EDGE, y: TOP - EDGE, width: wide + 2 * EDGE, height: tall + 2 * EDGE };
    set(this.lines, { ...box, viewBox: `${-EDGE} ${-EDGE} ${box.width} ${box.height}` });
    this.#drawValues(texts, marks.map(y));
    this.#drawTimes(timeMarks(from, to, Math.floor(wide / MARK_WIDTH)));
    this.#drawLines(series, y(Math.min(Math.max(0, low), high)));
  }

  /** The moment at so many pixels from the left of what was drawn last. */
  momentAt(pixel) {
    const { from, to, left, wide } = this.scale;
    return from + Math.min(1, Math.max(0, (pixel - left) / wide)) * (to - from);
  }

  /** Mark a moment, with a dot on each line that has a value there (not NaN); null marks none. */
  point(moment, values = []) {
    const shown = moment !== null;
    set(this.cursor, { visibility: shown ? "visible" : "hidden" });
    const { x, y, left, tall, width } = this.scale;
    const place = shown ? left + x(moment) : -Infinity;
    for (const { node, x: middle } of this.marks.values()) {
      set(node.lastChild, { visibility: Math.abs(middle - place) < TIME_WIDTH ? "hidden" : null });
    }
    if (!shown) return;
    set(this.line, { x1: place, x2: place, y1: TOP, y2: TOP + tall });
    set(this.time, { x: Math.min(Math.max(place, TIME_WIDTH / 2), width - TIME_WIDTH / 2), y: TOP + tall + BOTTOM - 4 });
    setText(this.time, formatTime(moment));
    while (this.dots.childElementCount > values.length) this.dots.lastChild.remove();
    values.forEach((value, index) => {
      const name = `s${(index % COLOURS) + 1}`;
      const dot = this.dots.children[index] ?? this.dots.appendChild(svg("circle", { class: name, r: 3.5 }));
      set(dot, Number.isFinite(value) ? { cx: place, cy: TOP + y(value), visibility: null } : { visibility: "hidden" });
    });
  }

  #drawValues(texts, places) {
    const { left, wide } = this.scale;
    const marked = [left, wide, ...texts, ...places].join(" ");
    if (marked === this.marked) return;
    this.marked = marked;
    const shapes = places.flatMap((place, index) => {
      const line = svg("line", { x1: left, x2: left + wide, y1: TOP + place, y2: TOP + place });
      const text = svg("text", { class: "value", x: left - 6, y: TOP + place + 4 });
      text.append(texts[index]);
      return [line, text];
    });
    this.values.replaceChildren(...shapes);
  }

  // Marks move to the left with their moment, and are not made anew.
  #drawTimes({ marks, step }) {
    const { x, left, tall, width } = this.scale;
    const size = `${step} ${tall}`;
    for (const [moment, mark] of this.marks) {
      if (mark.size === size && marks.includes(moment)) continue;
      mark.node.remove();
      this.marks.delete(moment);
    }
    for (const moment of marks) {
      let mark = this.marks.get(moment);
      if (!mark) {
        const text = svg("text", { class: "time", y: TOP + tall + BOTTOM - 4 });
        text.append(formatTime(moment, step >= 60_000));
        mark = { size, node: svg("g", {}, svg("line", { y1: TOP, y2: TOP + tall }), text) };
        this.times.append(mark.node);
        this.marks.set(moment, mark);
      }
      mark.x = left + x(moment);
      const cut = mark.x < left + 20 || mark.x > width - 26; // half of its text would be outside
      set(mark.node, { transform: `translate(${mark.x.toFixed(1)})` });
      set(mark.node.lastChild, { display: cut ? "none" : null });
    }
  }

  #drawLines(series, base) {
    const { from, x, y, wide } = this.scale;
    while (this.lines.childElementCount > series.length) this.lines.lastChild.remove();
    series.forEach((one, index) => {
      const shapes = ["area", "line", "dots"].map((name) => svg("path", { class: name }));
      const group = this.lines.children[index] ?? this.lines.appendChild(svg("g", {}, ...shapes));
      const [area, line, dots] = group.children;
      const paths = linePaths(one, from, x, y, wide, base);
      set(group, { class: `s${(index % COLOURS) + 1}` });
      set(area, { d: series.length <= MOST_AREAS ? paths.area : "" });
      set(line, { d: paths.line, class: paths.dense ? "line dense" : "line" });
      set(dots, { d: paths.dots });
    });
  }
}
