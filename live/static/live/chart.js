// Lines over time in a box: SVG, whose colours and fonts are the style sheet's, so that it follows them by itself.

import { formatMark, formatTime } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";
const LONGEST_SPAN = 5 * 60 * 1000; // ms
const SHORTEST_SPAN = 20 * 1000;
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120].map((seconds) => seconds * 1000);
const TOP = 6;
const RIGHT = 10;
const BOTTOM = 20;
const CHARACTER = 6.6; // px that a character of a mark takes at most
const MARK_HEIGHT = 36; // px between two marks, at least
const MARK_WIDTH = 76;

/** Colours that lines have, one after the other: the classes `s1` to `s8`. */
export const COLOURS = 8;

const LARGEST = 1e300; // beyond it, and below its inverse, there is no room to calculate
const SMALLEST_PART = 1e-12; // of a value: what differs less is the same, for marks have no more digits

/** The time that a chart of these series shows, `[from, to]` in ms: up to their newest value, and not longer than 5 min. */
export function timeRange(series) {
  const to = Math.max(...series.map(({ newest }) => newest));
  const first = Math.min(...series.map(({ times }) => times[0]));
  return [to - Math.min(LONGEST_SPAN, Math.max(SHORTEST_SPAN, to - first)), to];
}

/**
 * A scale around the values from `low` to `high`, with about `count` steps between round marks: `{low, high, marks}`. Zero
 * belongs to it where it is not far away.
 */
export function valueScale(low, high, count) {
  let [from, to] = low <= high ? [Math.max(low, -LARGEST), Math.min(high, LARGEST)] : [0, 1]; // or no value at all
  const size = Math.max(Math.abs(from), Math.abs(to));
  if (to - from <= size * SMALLEST_PART || size < 1 / LARGEST) {
    const room = size < 1 / LARGEST ? 1 : size / 2;
    [from, to] = [from - room, to + room];
  }
  if (from > 0 && from < to - from) from = 0;
  if (to < 0 && -to < to - from) to = 0;
  const rough = (to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((each) => power * each >= rough * 0.999);
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  const marks = [];
  for (let mark = first; mark <= last; mark += 1) marks.push(Number((mark * step).toPrecision(12)));
  return { low: marks[0], high: marks.at(-1), marks };
}

/** Round moments between `from` and `to`, no more than `count`, and their distance: `{marks, step}`, all in ms. */
export function timeMarks(from, to, count) {
  const step = TIME_STEPS.find((each) => (to - from) / each <= Math.max(1, count)) ?? LONGEST_SPAN;
  const marks = [];
  for (let mark = Math.ceil(from / step) * step; mark <= to; mark += step) marks.push(mark);
  return { marks, step };
}

/**
 * A series as the `d` of a path; `x` and `y` make pixels of times and values. Missing values interrupt the line, a value
 * between two of them is a dot (of a line with round ends). Of more than two points a pixel, only those that can be seen
 * are left: the first, the lowest, the highest and the last of each column, so its length follows the width.
 */
export function linePath({ times, values }, from, x, y, width) {
  let begin = times.findIndex((time) => time >= from);
  if (begin < 0) return "";
  if (begin > 0) begin -= 1; // the line comes in from the left
  const dense = times.length - begin > 2 * width;
  const parts = [];
  let open = null; // the column under way: {left, low, high, last}
  let points = 0; // of the line under way
  const close = () => {
    if (open === null) return;
    if (open.low !== open.high) parts.push(`V${round(open.low)}V${round(open.high)}V${round(open.last)}`);
    open = null;
  };
  const end = () => {
    close();
    if (points === 1) parts.push("h0");
    points = 0;
  };
  for (let index = begin; index < times.length; index += 1) {
    const value = values[index] === null ? NaN : Number(values[index]);
    if (!Number.isFinite(value)) {
      end();
      continue;
    }
    const exact = x(times[index]);
    const left = dense ? Math.round(exact) : exact;
    const top = y(value);
    if (dense && open?.left === left) {
      open.low = Math.min(open.low, top);
      open.high = Math.max(open.high, top);
      open.last = top;
      points += 1;
      continue;
    }
    close();
    parts.push(`${points === 0 ? "M" : "L"}${round(left)},${round(top)}`);
    points += 1;
    if (dense) open = { left, low: top, high: top, last: top };
  }
  end();
  return parts.join("");
}

/** One chart; `element` is its SVG. Series are those of a `FrameTable`; nothing is drawn but by `draw`. */
export class Chart {
  constructor() {
    this.marks = svg("g");
    this.lines = svg("svg"); // one in the other, since it cuts off what is outside
    this.element = svg("svg", { "aria-hidden": "true", focusable: "false" });
    this.element.append(this.marks, this.lines);
  }

  /** Draw these series, of which at least one has a value, in a box of so many pixels. */
  draw(series, width, height, unit) {
    const [from, to] = timeRange(series);
    const tall = Math.max(1, height - TOP - BOTTOM);
    const { low, high, marks } = valueScale(...extremes(series, from), Math.floor(tall / MARK_HEIGHT));
    const texts = marks.map((mark) => formatMark(mark, unit));
    const left = Math.max(...texts.map((text) => text.length)) * CHARACTER + 8;
    const wide = Math.max(1, width - left - RIGHT);
    const x = (time) => ((time - from) / (to - from)) * wide;
    const y = (value) => ((high - value) / (high - low)) * tall;

    set(this.element, { viewBox: `0 0 ${width} ${height}`, width, height });
    set(this.lines, { x: left, y: TOP, width: wide, height: tall });
    const shapes = marks.flatMap((mark, index) => {
      const top = TOP + y(mark);
      const line = svg("line", { x1: left, x2: width - RIGHT, y1: top, y2: top });
      return [line, text(texts[index], { class: "value", x: left - 6, y: top + 4 })];
    });
    const times = timeMarks(from, to, Math.floor(wide / MARK_WIDTH));
    for (const mark of times.marks) {
      const place = left + x(mark);
      if (place < left + 20 || place > width - 26) continue; // half of its text would be outside
      shapes.push(text(formatTime(mark, times.step >= 60_000), { class: "time", x: place, y: height - 4 }));
    }
    this.marks.replaceChildren(...shapes);
    while (this.lines.childElementCount > series.length) this.lines.lastElementChild.remove();
    series.forEach((one, index) => {
      const path = this.lines.children[index] ?? this.lines.appendChild(svg("path"));
      set(path, { class: `line s${(index % COLOURS) + 1}`, d: linePath(one, from, x, y, wide) });
    });
  }
}

function extremes(series, from) {
  let [low, high] = [Infinity, -Infinity];
  for (const { times, values } of series) {
    for (let index = times.length - 1; index >= 0 && times[index] >= from; index -= 1) {
      const value = values[index] === null ? NaN : Number(values[index]);
      if (!Number.isFinite(value)) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return [low, high];
}

function svg(name, attributes = {}) {
  const node = document.createElementNS(SVG, name);
  set(node, attributes);
  return node;
}

function text(content, attributes) {
  const node = svg("text", attributes);
  node.textContent = content;
  return node;
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

function round(number) {
  return Math.round(number * 100) / 100;
}
