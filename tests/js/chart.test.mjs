// chart.js: scales, marks and paths; the drawing itself is seen by a real browser.

import assert from "node:assert/strict";
import { test } from "node:test";

import { linePath, timeMarks, timeRange, valueScale } from "../../live/static/live/chart.js";

const same = (value) => value;
const path = (times, values, { from = 0, width = 1000 } = {}) => linePath({ times, values }, from, same, same, width);

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

test("a chart ends at its newest value and is neither too short nor too long", () => {
  const series = (first, newest) => ({ times: [first, newest], newest });
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
  assert.equal(path([1, 2, 3, 4], [1, 2, 3, 4]), "M1,1L2,2L3,3L4,4");
  assert.equal(path([1, 2, 3, 4, 5], [1, null, 2, NaN, Infinity]), "M1,1h0M3,2h0");
  assert.equal(path([1, 2, 3], [true, false, true]), "M1,1L2,0L3,1");
  assert.equal(path([], []), "");
});

test("a line comes in from the left of what is shown", () => {
  assert.equal(path([1, 2, 3, 4], [1, 1, 1, 1], { from: 3 }), "M2,1L3,1L4,1");
  assert.equal(path([1, 2], [1, 1], { from: 9 }), "");
});

test("the length of a path follows the width of the chart, and no peak is lost", () => {
  const times = Array.from({ length: 100_000 }, (_, index) => index / 1000); // 1000 points a pixel
  const values = times.map((_, index) => (index === 54_321 ? 99 : index % 7));
  const drawn = path(times, values, { width: 100 });
  assert.ok(drawn.length < 101 * 40, `${drawn.length} characters`);
  assert.ok(drawn.includes("V99V"));
});
