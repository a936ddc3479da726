// scales.js: scales, marks, paths and moments; the drawing itself is seen by a real browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  countMoments,
  linePaths,
  nearestMoment,
  rowAt,
  timeMarks,
  timeRange,
  valueRange,
  valueScale,
} from "../../live/static/live/scales.js";

const same = (value) => value;
const paths = (times, values, { from = 0, width = 1000, base = 9 } = {}) =>
  linePaths({ times, values }, from, same, same, width, base);

test("a scale has round marks around its values, and zero where it is near", () => {
  assert.deepEqual(valueScale(3, 97, 4).marks, [0, 25, 50, 75, 100]);
  assert.deepEqual(valueScale(50, 51, 4).marks, [50, 50.25, 50.5, 50.75, 51]);
  assert.deepEqual(valueScale(-5, -1, 3).marks, [-6, -4, -2, 0]);
  assert.deepEqual(valueScale(0.1, 0.3, 3).marks, [0, 0.1, 0.2, 0.3]);
  assert.deepEqual(valueScale(-7, 12, 2), { low: -10, high: 20, marks: [-10, 0, 10, 20] });
});

test("a scale of one value, of none and of extreme ones has room for a line", () => {
  const odd = [[5, 5], [0, 0], [-2, -2], [Infinity, -Infinity], [1e300, 1e308], [-1e308, 1e308], [0, 5e-324], [1e15, 1e15 + 1]];
  for (const [low, high] of odd) {
    const scale = valueScale(low, high, 4);
    assert.ok(scale.high > scale.low, `${low} to ${high}`);
    assert.ok(scale.marks.length >= 2 && scale.marks.length <= 12 && scale.marks.every(Number.isFinite), `${low} to ${high}`);
  }
});

test("the range of values leaves out what is missing and what is before", () => {
  const one = { times: [1, 2, 3, 4, 5], values: [99, 1, null, NaN, 3] };
  assert.deepEqual(valueRange([one], 2), [1, 3]);
  assert.deepEqual(valueRange([{ times: [1], values: [null] }], 0), [Infinity, -Infinity]);
});

test("a chart ends at its last row and is neither too short nor too long", () => {
  const series = (first, last) => ({ times: [first, last] });
  assert.deepEqual(timeRange([series(1000, 2000)]), [2000 - 20_000, 2000]);
  assert.deepEqual(timeRange([series(0, 60_000), series(10_000, 100_000)]), [0, 100_000]);
  assert.deepEqual(timeRange([series(0, 900_000)]), [600_000, 900_000]);
});

test("moments are round and no more than there is room for", () => {
  assert.deepEqual(timeMarks(1_000, 21_000, 5), { marks: [5_000, 10_000, 15_000, 20_000], step: 5_000 });
  assert.equal(timeMarks(0, 300_000, 3).step, 120_000);
  assert.equal(timeMarks(0, 300_000, 0).step, 300_000);
});

test("a missing value interrupts the line, a value by itself is a dot", () => {
  assert.deepEqual(paths([1, 2, 3, 4], [1, 2, 3, 4]), { line: "M1,1L2,2L3,3L4,4", area: "M1,1L2,2L3,3L4,4V9H1Z", dots: "", dense: false });
  assert.equal(paths([1, 2, 3, 4, 5], [1, null, 2, NaN, Infinity]).dots, "M1,1h0M3,2h0");
  const both = paths([1, 2, 3, 4, 5, 6], [1, 2, null, 3, null, 4]);
  assert.deepEqual([both.line, both.area, both.dots], ["M1,1L2,2", "M1,1L2,2V9H1Z", "M4,3h0M6,4h0"]);
  assert.equal(paths([1, 2, 3], [true, false, true]).line, "M1,1L2,0L3,1");
  assert.equal(paths([], []).line, "");
});

test("a line comes in from the left of what is shown", () => {
  assert.equal(paths([1, 2, 3, 4], [1, 1, 1, 1], { from: 3 }).line, "M2,1L3,1L4,1");
  assert.equal(paths([1, 2], [1, 1], { from: 9 }).line, "");
});

const count = (path, command = "L") => path.split(command).length - 1;

test("there are at most two points a column of pixels, and no peak is lost", () => {
  const times = Array.from({ length: 100_000 }, (_, index) => index / 1000); // 1000 points a pixel
  const values = times.map((_, index) => (index === 54_321 ? 99 : index % 7));
  const { line, area, dense } = paths(times, values, { width: 100 });
  assert.equal(dense, true);
  assert.ok(count(line) <= 2 * 101, `${count(line)} points`);
  assert.ok(line.includes("L54,99"));
  assert.ok(count(area) < count(line) / 4, `${count(area)} points`);
});

test("the extremes of a column are drawn in the order of their coming", () => {
  const times = [0, 0.1, 0.2, 0.3, 1, 1.1, 1.2, 1.3];
  const values = [5, 9, 1, 4, 5, 1, 9, 4];
  assert.equal(paths(times, values, { width: 4 }).line, "M0,9L0,1L1,1L1,9");
});

test("gaps between dense points stay gaps", () => {
  const times = Array.from({ length: 1000 }, (_, index) => index / 10);
  const values = times.map((time) => (time >= 40 && time < 60 ? null : 1));
  const { line, area } = paths(times, values, { width: 100 });
  assert.equal(count(line, "M"), 2);
  assert.equal(count(area, "Z"), 2);
  assert.ok(line.includes("M60,1") && !line.includes(",1L50,"));
});

const group = (...times) => ({ times, values: times });

test("the nearest moment of all series is found, and the next in both directions", () => {
  const series = [group(10, 20, 30), group(12, 28)];
  assert.deepEqual([0, 14, 21, 27, 99].map((time) => nearestMoment(series, time)), [10, 12, 20, 28, 30]);
  assert.deepEqual([10, 12, 20, 30].map((time) => nearestMoment(series, time, 1)), [12, 20, 28, null]);
  assert.deepEqual([30, 28, 12, 10].map((time) => nearestMoment(series, time, -1)), [28, 20, 10, null]);
  assert.equal(nearestMoment([group()], 1), null);
});

test("a series stands for the moments of its time only", () => {
  const series = group(10, 20, 30);
  assert.deepEqual([10, 14, 16, 30].map((moment) => rowAt(series, moment)), [0, 0, 1, 2]);
  assert.deepEqual([5, 35].map((moment) => rowAt(series, moment)), [0, 2]); // a little earlier or later than its neighbours
  assert.deepEqual([-1, 41].map((moment) => rowAt(series, moment)), [-1, -1]);
  assert.deepEqual([10, 500, 2000].map((moment) => rowAt(group(10), moment)), [0, 0, -1]);
});

test("moments are counted once", () => {
  const one = group(1, 2, 3);
  assert.equal(countMoments([one, { ...one }]), 3);
  assert.equal(countMoments([one, group(2, 4)]), 4);
});

test("infinities are gaps, and have no part in the scale", () => {
  const times = [1, 2, 3, 4];
  assert.deepEqual(valueRange([{ times, values: [3, Infinity, -Infinity, 4] }], 0), [3, 4]);
  assert.deepEqual(valueRange([{ times, values: [NaN, Infinity, -Infinity, null] }], 0), [Infinity, -Infinity]);
  assert.deepEqual(valueScale(Infinity, -Infinity, 5), valueScale(0, 1, 5));
});

test("values that hardly differ have a scale with room", () => {
  let seed = 1;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 20_000; round += 1) {
    const low = (random() - 0.5) * 10 ** (random() * 20 - 10);
    const high = low + Math.abs(low) * 10 ** (-16 * random());
    const scale = valueScale(low, high, 1 + Math.floor(random() * 8));
    assert.ok(scale.low < scale.high && scale.low <= low && scale.high >= high, `${low} to ${high}`);
    assert.equal(new Set(scale.marks).size, scale.marks.length);
  }
});
