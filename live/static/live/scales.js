// Numbers behind a chart: how long and how high it is, its marks, the paths of its lines. No DOM.

const LONGEST_SPAN = 5 * 60 * 1000; // ms
const SHORTEST_SPAN = 20 * 1000;
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120].map((seconds) => seconds * 1000);
const LARGEST = 1e300; // beyond it, and below its inverse, there is no room to calculate
const SMALLEST_PART = 1e-9; // of a value: what differs less is the same, for marks have 12 digits
const AREA_COLUMN = 4; // px of an area's outline for which one point is enough where they are dense
const ALONE = 1000; // ms around the only row of a series for which it stands

/** The time that a chart of these series shows, `[from, to]` in ms: up to their last row, and not longer than 5 min. */
export function timeRange(series) {
  const to = Math.max(...series.map(({ times }) => times.at(-1)));
  const first = Math.min(...series.map(({ times }) => times[0]));
  return [to - Math.min(LONGEST_SPAN, Math.max(SHORTEST_SPAN, to - first)), to];
}

/** The lowest and the highest value of these series since `from`; `[Infinity, -Infinity]` where there is none. */
export function valueRange(series, from) {
  let [low, high] = [Infinity, -Infinity];
  for (const { times, values } of series) {
    for (let index = times.length - 1; index >= 0 && times[index] >= from; index -= 1) {
      const value = numeric(values[index]);
      if (!Number.isFinite(value)) continue; // a gap of the line
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return [low, high];
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
 * A series as the `d` of three paths, `{line, area, dots}`; `x` and `y` make pixels of times and values, `base` is the
 * height on which the area stands. Missing values interrupt the line, a value between two of them is a dot.
 *
 * `dense` is whether there are more points than pixels. Then only the lowest and the highest of each column of pixels are
 * left, and the area follows the farthest of a few columns: however many points there are, the paths have no more than
 * can be seen.
 */
export function linePaths({ times, values }, from, x, y, width, base) {
  const begin = Math.max(0, firstAt(times, from) - 1); // the line comes in from the left
  const paths = { line: "", area: "", dots: "", dense: times.length - begin > width };
  if (times.length === 0 || times.at(-1) < from) return paths;
  let points = []; // of the line under way: x and y in turn
  let left = NaN; // of the column under way
  let [first, second] = [0, 0]; // its extremes in the order of their coming
  const endColumn = () => {
    if (Number.isNaN(left)) return;
    points.push(left, round(first));
    if (second !== first) points.push(left, round(second));
    left = NaN;
  };
  const endLine = () => {
    endColumn();
    if (points.length === 2) paths.dots += `M${points[0]},${points[1]}h0`;
    if (points.length > 2) {
      paths.line += through(points);
      paths.area += `${through(paths.dense ? outline(points, base) : points)}V${round(base)}H${points[0]}Z`;
    }
    points = [];
  };
  for (let index = begin; index < times.length; index += 1) {
    const value = numeric(values[index]);
    if (!Number.isFinite(value)) {
      endLine();
      continue;
    }
    const top = y(value);
    const place = paths.dense ? Math.round(x(times[index])) : round(x(times[index]));
    if (!paths.dense || place !== left) {
      endColumn();
      [left, first, second] = [place, top, top];
    } else if (top < Math.min(first, second)) {
      [first, second] = [Math.max(first, second), top];
    } else if (top > Math.max(first, second)) {
      [first, second] = [Math.min(first, second), top];
    }
  }
  endLine();
  return paths;
}

function through(points) {
  let path = `M${points[0]},${points[1]}`;
  for (let place = 2; place < points.length; place += 2) path += `L${points[place]},${points[place + 1]}`;
  return path;
}

// The point of each few columns that is farthest from the base, and the two ends.
function outline(points, base) {
  const kept = [points[0], points[1]];
  let farthest = 0;
  for (let place = 2; place < points.length; place += 2) {
    const begins = Math.floor(points[place] / AREA_COLUMN) !== Math.floor(points[place - 2] / AREA_COLUMN);
    if (begins && farthest > 0) kept.push(points[farthest], points[farthest + 1]);
    if (begins || farthest === 0 || Math.abs(points[place + 1] - base) > Math.abs(points[farthest + 1] - base)) farthest = place;
  }
  kept.push(points[farthest], points[farthest + 1], points.at(-2), points.at(-1));
  return kept;
}

/** The moment of these series that is nearest to `time`; with `step` 1 or -1 the first one after it, or before it. */
export function nearestMoment(series, time, step = 0) {
  let best = null;
  for (const times of new Set(series.map((one) => one.times))) {
    const after = firstAt(times, time);
    const places = { [-1]: [after - 1], 0: [after - 1, after], 1: [times[after] === time ? after + 1 : after] }[step];
    for (const place of places) {
      const found = times[place];
      if (found !== undefined && (best === null || Math.abs(found - time) < Math.abs(best - time))) best = found;
    }
  }
  return best;
}

/** The row of a series that stands for a moment: the nearest one; -1 before its first and after its last. */
export function rowAt({ times }, moment) {
  const after = firstAt(times, moment);
  const inside = times[after] === moment || (after > 0 && after < times.length);
  const nearest = after > 0 && !(times[after] - moment < moment - times[after - 1]) ? after - 1 : after;
  if (inside) return nearest;
  const next = nearest === 0 ? times[1] : times[nearest - 1]; // others may come a little earlier or later
  return Math.abs(times[nearest] - moment) < Math.abs(times[nearest] - (next ?? times[nearest] + ALONE)) ? nearest : -1;
}

/** How many moments these series have in all. */
export function countMoments(series) {
  const all = new Set(series.map(({ times }) => times));
  if (all.size === 1) return series[0].times.length;
  return new Set([...all].flat()).size;
}

// Index of the first of these times that is not before `time`.
function firstAt(times, time) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function numeric(value) {
  return value === null ? NaN : Number(value);
}

function round(number) {
  return Math.round(number * 10) / 10;
}
