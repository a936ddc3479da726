// frames.js, as the browser runs it: full and data-only frames, labels, schema changes, bounds.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  displayNames,
  FrameError,
  FrameTable,
  isFrame,
  joinSeries,
  matchLabels,
  parseLabels,
} from "../../live/static/live/frames.js";

const LABELS = { name: "labels", type: "string" };
const TIME = { name: "time", type: "time" };
const number = (name, labels) => ({ name, type: "number", ...(labels && { labels }) });
const frame = (fields, values, entities) => ({ schema: { name: "m", fields }, data: { values, entities } });
const data = (...values) => ({ data: { values } });
const T = 1_700_000_000_000;

const plain = (table) => table.series.map(({ field, labelText, times, values }) => ({ field, labelText, times, values }));

test("a full frame and data-only frames after it become series split by label set", () => {
  const table = new FrameTable();
  const first = frame([LABELS, TIME, number("a"), number("b")], [["host=x", "host=y"], [T, T], [1, 2], [3, null]]);
  assert.equal(table.push(first), true);
  assert.equal(table.push(data(["host=x"], [T + 1000], [5], [6])), false);
  assert.deepEqual(plain(table), [
    { field: "a", labelText: "host=x", times: [T, T + 1000], values: [1, 5] },
    { field: "b", labelText: "host=x", times: [T, T + 1000], values: [3, 6] },
    { field: "a", labelText: "host=y", times: [T], values: [2] },
    { field: "b", labelText: "host=y", times: [T], values: [null] },
  ]);
  assert.deepEqual([...table.series[0].labels], [["host", "x"]]);
});

test("a new label set changes the set of series", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a")], [["host=x"], [T], [1]]));
  assert.equal(table.push(data(["host=z"], [T + 1], [1])), true);
  assert.equal(table.series.length, 2);
});

test("a schema change keeps the values of columns with the same name and type", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a"), number("b")], [["h=1"], [T], [1], [2]]));
  assert.equal(table.push(frame([LABELS, TIME, number("c"), number("a")], [["h=1"], [T + 1], [3], [4]])), true);
  assert.deepEqual(plain(table), [
    { field: "a", labelText: "h=1", times: [T, T + 1], values: [1, 4] },
    { field: "c", labelText: "h=1", times: [T, T + 1], values: [null, 3] },
  ]);
});

test("a column that changes its type starts anew", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[T], [1]]));
  table.push(frame([TIME, { name: "a", type: "string" }], [[T + 1], ["one"]]));
  assert.deepEqual(plain(table), [{ field: "a", labelText: "", times: [T + 1], values: ["one"] }]);
});

test("the same schema again is no change", () => {
  const table = new FrameTable();
  const fields = [TIME, number("a")];
  table.push(frame(fields, [[T], [1]]));
  assert.equal(table.push(frame(fields, [[T + 1], [2]])), false);
});

test("wide frames carry labels on the field", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a", { cpu: "0" }), number("a", { cpu: "1" })], [[T], [1], [2]]));
  assert.deepEqual(
    plain(table).map(({ labelText, values }) => [labelText, values]),
    [
      ["cpu=0", [1]],
      ["cpu=1", [2]],
    ],
  );
});

test("wrong number of columns is an error that names both, and the next full frame repairs it", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[T], [1]]));
  assert.throws(() => table.push(data([T], [1], [2])), { name: "FrameError", message: /3 columns.*has 2/ });
  table.push(frame([TIME, number("a"), number("b")], [[T + 1], [1], [2]]));
  assert.equal(table.series.length, 2);
});

test("columns of different length and things that are no frame are errors", () => {
  const table = new FrameTable();
  assert.throws(() => table.push(frame([TIME, number("a")], [[T, T], [1]])), FrameError);
  for (const message of [null, 1, "x", {}, { data: 1 }, { schema: {} }]) {
    assert.equal(isFrame(message), false);
    assert.throws(() => table.push(message), FrameError);
  }
});

test("data before any schema is read by guessing", () => {
  const table = new FrameTable();
  assert.equal(table.push(data([7], [T], ["x"])), true);
  assert.deepEqual(plain(table), [
    { field: "Field 1", labelText: "", times: [T], values: [7] },
    { field: "Field 3", labelText: "", times: [T], values: ["x"] },
  ]);
});

test("entities become NaN and the infinities, and a chart sees gaps there", () => {
  const table = new FrameTable();
  const entities = [null, { NaN: [0], Inf: [1], NegInf: [2] }];
  table.push(frame([TIME, number("a")], [[T, T + 1, T + 2, T + 3], [null, null, null, 4]], entities));
  assert.deepEqual(table.series[0].values, [NaN, Infinity, -Infinity, 4]);
  assert.deepEqual(joinSeries(table.series), [
    [T, T + 1, T + 2, T + 3],
    [null, null, null, 4],
  ]);
});

test("rows are bounded by number and by age, and a silent label set disappears", () => {
  const table = new FrameTable({ maxPoints: 3, maxAge: 10_000 });
  table.push(frame([LABELS, TIME, number("a")], [["h=old"], [T], [1]]));
  for (let step = 1; step <= 9; step += 1) table.push(data(["h=new"], [T + step * 1000], [step]));
  assert.deepEqual(
    plain(table).map(({ labelText, values }) => [labelText, values]),
    [
      ["h=old", [1]],
      ["h=new", [7, 8, 9]],
    ],
  );
  assert.equal(table.push(data(["h=new"], [T + 12_000], [10])), true);
  assert.deepEqual(plain(table), [
    { field: "a", labelText: "h=new", times: [T + 8000, T + 9000, T + 12_000], values: [8, 9, 10] },
  ]);
});

test("label sets are bounded: the one silent for longest goes", () => {
  const table = new FrameTable({ maxGroups: 2 });
  table.push(frame([LABELS, TIME, number("a")], [["h=1", "h=2", "h=3"], [T + 2, T, T + 1], [1, 2, 3]]));
  assert.deepEqual(
    table.series.map(({ labelText }) => labelText),
    ["h=1", "h=3"],
  );
});

test("late rows are put in order and a repeated time replaces the row", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[T, T + 2, T + 1], [0, 2, 1]]));
  table.push(data([T + 2], [22]));
  assert.deepEqual(plain(table), [{ field: "a", labelText: "", times: [T, T + 1, T + 2], values: [0, 1, 22] }]);
});

test("series of different times are joined on time", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a")], [["h=1", "h=2"], [T, T + 1], [1, 2]]));
  assert.deepEqual(joinSeries(table.series), [
    [T, T + 1],
    [1, undefined],
    [undefined, 2],
  ]);
  assert.deepEqual(joinSeries([]), [[]]);
});

test("label texts are read in both spellings", () => {
  const read = (text) => Object.fromEntries(parseLabels(text));
  assert.deepEqual(read(""), {});
  assert.deepEqual(read("a=1, b=2"), { a: "1", b: "2" });
  assert.deepEqual(read('{a="1",b="x y"}'), { a: "1", b: "x y" });
  assert.deepEqual(read("path=/a,b, c=d=e"), { path: "/a,b", c: "d=e" });
  assert.equal(matchLabels(parseLabels("a=1, b=2"), parseLabels("b=2")), true);
  assert.equal(matchLabels(parseLabels("a=1, b=2"), parseLabels("b=3")), false);
});

test("names show the field and only the labels that differ", () => {
  const one = (field, text) => ({ field, labels: parseLabels(text) });
  assert.deepEqual(displayNames([one("a", "host=x")]), ["a"]);
  assert.deepEqual(displayNames([one("a", "host=x, cpu=0"), one("a", "host=x, cpu=1")]), ["0", "1"]);
  assert.deepEqual(displayNames([one("a", "cpu=0"), one("b", "cpu=1")]), ["a 0", "b 1"]);
});
