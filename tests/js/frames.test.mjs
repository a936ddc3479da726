// frames.js, as the browser runs it: full and data-only frames, labels, schema changes, bounds.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  displayNames,
  FrameError,
  FrameTable,
  isFrame,
  joinSeries,
  latestValue,
  matchLabels,
  needsSchema,
  parseLabels,
} from "../../live/static/live/frames.js";

const LABELS = { name: "labels", type: "string" };
const TIME = { name: "time", type: "time" };
const number = (name, labels) => ({ name, type: "number", ...(labels && { labels }) });
const frame = (fields, values, entities) => ({ schema: { name: "m", fields }, data: { values, entities } });
const data = (...values) => ({ data: { values } });
const T = 1_700_000_000_000;

const names = (table) => table.series.map(({ field, labelText }) => `${field} ${labelText}`.trim());
const values = (table) => table.series.map((series) => series.values);
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

test("a schema change drops nothing: a new field joins, one that is gone ends", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a"), number("b")], [["h=1"], [T], [1], [2]]));
  assert.equal(table.push(frame([LABELS, TIME, number("c"), number("a")], [["h=1"], [T + 1], [3], [4]])), true);
  assert.deepEqual(plain(table), [
    { field: "a", labelText: "h=1", times: [T, T + 1], values: [1, 4] },
    { field: "b", labelText: "h=1", times: [T, T + 1], values: [2, null] },
    { field: "c", labelText: "h=1", times: [T, T + 1], values: [null, 3] },
  ]);
});

test("a field that is gone leaves when its last value does", () => {
  const table = new FrameTable({ maxLength: 2 });
  table.push(frame([TIME, number("a"), number("b")], [[T], [1], [2]]));
  table.push(frame([TIME, number("a")], [[T + 1], [3]]));
  assert.equal(table.push(data([T + 2], [4])), true);
  assert.deepEqual(plain(table), [{ field: "a", labelText: "", times: [T + 1, T + 2], values: [3, 4] }]);
});

test("a field of the schema stays, with or without values", () => {
  const table = new FrameTable({ maxLength: 1 });
  table.push(frame([TIME, number("a"), number("b")], [[T], [1], [2]]));
  assert.equal(table.push(data([T + 1], [2], [null])), false);
  assert.deepEqual(names(table), ["a", "b"]);
});

test("another order of the same fields is no change of the series", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a"), number("b")], [[T], [1], [2]]));
  assert.equal(table.push(frame([TIME, number("b"), number("a")], [[T + 1], [4], [3]])), false);
  assert.deepEqual(values(table), [[1, 3], [2, 4]]);
});

test("a field that changes its type goes on beside its old values", () => {
  const table = new FrameTable();
  const text = { name: "a", type: "string" };
  table.push(frame([TIME, number("a")], [[T], [1]]));
  assert.equal(table.push(frame([TIME, text], [[T + 1], ["one"]])), true);
  assert.equal(table.push(frame([TIME, number("a")], [[T + 2], [3]])), false);
  assert.deepEqual(values(table), [[1, null, 3], [null, "one", null]]);
  assert.deepEqual(
    table.series.map(({ type, newest }) => [type, newest]),
    [
      ["number", T + 2],
      ["string", T + 1],
    ],
  );
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

test("wide frames that come with different label sets each time drop none", () => {
  const table = new FrameTable();
  const wide = (cpu, time, value) => frame([TIME, number("a", { cpu })], [[time], [value]]);
  assert.equal(table.push(wide("0", T, 1)), true);
  assert.equal(table.push(wide("1", T + 1, 2)), true);
  assert.equal(table.push(wide("0", T + 2, 3)), false);
  assert.equal(table.push(wide("1", T + 3, 4)), false);
  assert.deepEqual(values(table), [[1, 3], [2, 4]]);
});

test("wide and labelled frames of one series lead to the same series", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a")], [["cpu=0, host=x"], [T], [1]]));
  assert.equal(table.push(frame([TIME, number("a", { cpu: "0", host: "x" })], [[T + 1], [2]])), false);
  assert.deepEqual(values(table), [[1, 2]]);
});

test("rows of one label set at one time are one row, whatever the order of their fields", () => {
  const table = new FrameTable();
  table.push(frame([LABELS, TIME, number("a"), number("b")], [["h=1", "h=1"], [T, T], [1, null], [null, 2]]));
  assert.deepEqual(values(table), [[1], [2]]);
  const twice = new FrameTable(); // two lines of one series and time in the wide format
  twice.push(frame([TIME, number("a"), number("a")], [[T], [1], [2]]));
  assert.deepEqual(values(twice), [[2]]);
});

test("a message that does not fit names the reason, changes nothing, and the next full frame repairs", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[T], [1]]));
  const before = plain(table);
  assert.throws(() => table.push(data([T], [1], [2])), { name: "FrameError", message: /3 columns.*has 2/ });
  assert.throws(() => table.push(frame([TIME, number("b"), number("c")], [[T], [1]])), /2 columns.*has 3/);
  assert.throws(() => table.push(data([T + 1, T + 2], [1])), /differ in length/);
  assert.throws(() => table.push(data([T + 1], "x")), /not a list/);
  assert.deepEqual(plain(table), before);
  table.push(data([T + 1], [2])); // what fits still goes in
  table.push(frame([TIME, number("a"), number("b")], [[T + 2], [1], [2]]));
  assert.deepEqual(values(table), [[1, 2, 1], [null, null, 2]]);
});

test("columns of different length and things that are no frame are errors", () => {
  const table = new FrameTable();
  assert.throws(() => table.push(frame([TIME, number("a")], [[T, T], [1]])), FrameError);
  for (const message of [null, 1, "x", {}, { data: 1 }, { schema: {} }]) {
    assert.equal(isFrame(message), false);
    assert.throws(() => table.push(message), FrameError);
  }
  assert.equal(needsSchema(data([T], [1])), true);
  assert.equal(needsSchema(frame([TIME], [[T]])), false);
  assert.equal(needsSchema({ version: 3 }), false);
});

test("a table is bounded and stays itself, whatever comes for however long", () => {
  const table = new FrameTable({ maxLength: 50 });
  for (let step = 0; step < 2000; step += 1) {
    const labels = [`h=${step % 3}`, `h=${(step * 7) % 211}`];
    table.push(frame([LABELS, TIME, number(`f${step % 97}`)], [labels, [T + step, T + step - (step % 5)], [1, 2]]));
  }
  assert.ok(table.groups.size <= 200);
  for (const { times, values: own, nanos } of table.series) {
    assert.ok(times.length <= 50);
    assert.equal(own.length, times.length);
    assert.equal(nanos.length, times.length);
    assert.ok(own.some((value) => value !== null));
    assert.deepEqual(times, [...times].sort((a, b) => a - b));
  }
});

test("data before any schema is read by guessing, until a schema says better", () => {
  const table = new FrameTable();
  assert.equal(table.push({ data: { values: [] } }), false);
  assert.equal(table.push(data([7], [T], ["x"])), true);
  assert.deepEqual(plain(table), [
    { field: "Field 1", labelText: "", times: [T], values: [7] },
    { field: "Field 3", labelText: "", times: [T], values: ["x"] },
  ]);
  assert.equal(table.push(frame([number("a"), TIME, number("b")], [[8], [T + 1], [9]])), true);
  assert.deepEqual(names(table), ["a", "b"]);
});

test("a schema without rows is taken for the data after it", () => {
  const table = new FrameTable();
  assert.equal(table.push({ schema: { name: "m", fields: [TIME, number("a")] } }), false);
  assert.equal(table.name, "m");
  assert.equal(table.push(data([T], [1])), true);
  assert.deepEqual(names(table), ["a"]);
});

test("nanos are kept: rows of one millisecond stay rows, in their order", () => {
  const table = new FrameTable();
  const rows = frame([TIME, number("a")], [[T, T, T, T], [4, 1, 2, 3]]);
  rows.data.nanos = [[999_999, 0, 1500, 1501], null];
  table.push(rows);
  assert.deepEqual(values(table), [[1, 2, 3, 4]]);
  assert.deepEqual(table.series[0].nanos, [0, 1500, 1501, 999_999]);
  assert.deepEqual(
    table.series[0].times.map((time) => Math.round((time - T) * 1000)),
    [0, 1, 1, 999],
  );
  table.push(rows);
  assert.equal(table.series[0].times.length, 4);
});

test("replace keeps the last message only", () => {
  const table = new FrameTable({ action: "replace", maxDelta: 1000 });
  const fields = [LABELS, TIME, number("a")];
  assert.equal(table.push(frame(fields, [["h=1", "h=1"], [T, T + 1], [1, 2]])), true);
  assert.equal(table.push(data(["h=1"], [T - 5000], [3])), false);
  assert.deepEqual(plain(table), [{ field: "a", labelText: "h=1", times: [T - 5000], values: [3] }]);
  assert.equal(table.push(data(["h=2"], [T], [4])), true);
  assert.deepEqual(names(table), ["a h=2"]);
  assert.equal(table.push({ schema: { name: "m", fields } }), false);
  assert.deepEqual(names(table), ["a h=2"]);
  assert.throws(() => new FrameTable({ action: "prepend" }), RangeError);
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
  const table = new FrameTable({ maxLength: 3, maxDelta: 10_000 });
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

test("the latest value is the last that is not missing", () => {
  assert.equal(latestValue({ values: [1, 2, null] }), 2);
  assert.equal(latestValue({ values: [1, false, null] }), false);
  assert.equal(latestValue({ values: [null] }), null);
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

const every = (table) => table.series.map(({ labelText, times }) => [labelText, times.length]);

test("one clock that goes wrong hides nobody, and its own rows are there again when it is mended", () => {
  const table = new FrameTable({ maxDelta: 300_000 });
  const now = Date.now();
  table.push(frame([LABELS, TIME, number("a")], [["host=x", "host=y"], [now, now], [1, 2]]));
  table.push(data(["host=y", "host=x"], [now + 600_000, now + 1000], [1, 2]));
  assert.deepEqual(every(table), [["host=x", 2], ["host=y", 1]]);
  for (let second = 2; second < 100; second += 1) {
    table.push(data(["host=x", "host=y"], [now + second * 1000, now + second * 1000], [1, 2]));
  }
  assert.deepEqual(every(table), [["host=x", 100], ["host=y", 99]]);
  assert.equal(table.newest, now + 99_000);
});

test("a first row from the future gives way when others tell what time it is", () => {
  const table = new FrameTable({ maxDelta: 300_000 });
  const now = Date.now();
  table.push(frame([TIME, number("a"), number("b")], [[now + 3_600_000], [1], [2]]));
  assert.deepEqual(plain(table).map(({ times }) => times.length), [1, 1]);
  table.push(data([now, now + 1], [1, 2], [3, null]));
  assert.deepEqual(plain(table).map(({ times }) => times), [[now, now + 1], [now, now + 1]]);
  assert.deepEqual(table.series.map(({ newest }) => newest), [now + 1, now]);
});

test("a browser whose clock is behind shows what comes, the history and what is live", () => {
  for (const behind of [60_000, 420_000, 3_600_000]) {
    const table = new FrameTable({ maxDelta: 300_000 });
    const now = Date.now() + behind;
    table.push(frame([TIME, number("a")], [[now - 290_000], [0]]));
    for (let second = -280; second <= 0; second += 10) table.push(data([now + second * 1000], [second]));
    assert.equal(table.series[0].times.length, 30);
    assert.equal(table.newest, now);
  }
});

test("a clock that is set for good is followed, forward and back", () => {
  const table = new FrameTable({ maxDelta: 300_000 });
  const now = Date.now();
  table.push(frame([TIME, number("a")], [[now], [0]]));
  for (const start of [now + 900_000, now + 60_000]) {
    for (let second = 1; second <= 30; second += 1) table.push(data([start + second * 1000], [second]));
    assert.equal(table.newest, start + 30_000);
  }
});

test("senders that disagree by turns do not pull the table to and fro", () => {
  const table = new FrameTable({ maxDelta: 300_000 });
  const now = Date.now();
  table.push(frame([LABELS, TIME, number("a")], [["host=x"], [now], [1]]));
  for (let turn = 1; turn < 40; turn += 1) {
    // Now the one, now the other is first, and one is told of twice.
    const ahead = ["host=y", "host=y"].map((host, row) => data([host], [now + 900_000 + turn + row], [1]));
    const sound = data(["host=x"], [now + turn], [1]);
    for (const message of turn % 3 === 0 ? [sound, ...ahead] : [...ahead, sound]) table.push(message);
    assert.deepEqual(every(table), [["host=x", turn + 1]]);
  }
});

test("without a limit of time there is none to come either", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[Date.now()], [1]]));
  table.push(data([8.64e15], [2]));
  assert.deepEqual(values(table), [[1, 2]]);
});

test("times that no Date can hold are left out", () => {
  const table = new FrameTable();
  table.push(frame([TIME, number("a")], [[1e20, -9e15, T, "soon"], [1, 2, 3, 4]]));
  assert.deepEqual(plain(table), [{ field: "a", labelText: "", times: [T], values: [3] }]);
});

test("of too many label sets the same ones stay, and nothing seems to change", () => {
  const table = new FrameTable({ maxGroups: 3 });
  const hosts = ["host=5", "host=1", "host=2", "host=3", "host=4"];
  const push = (second, order) => table.push(data(order, order.map(() => T + second), order.map(() => second)));
  table.push(frame([LABELS, TIME, number("a")], [hosts.slice(1), hosts.slice(1).map(() => T), [0, 0, 0, 0]]));
  assert.equal(push(1, hosts), false);
  assert.equal(push(2, [...hosts].reverse()), false);
  assert.deepEqual(every(table), [["host=1", 3], ["host=2", 3], ["host=3", 3]]);
  // One that falls silent makes room.
  assert.equal(push(3, ["host=1", "host=4", "host=3"]), true);
  assert.deepEqual(every(table).map(([labelText]) => labelText).sort(), ["host=1", "host=3", "host=4"]);
});

test("of many rows that come backwards the last ones are kept, in their order", () => {
  const table = new FrameTable({ maxLength: 10 });
  const times = Array.from({ length: 500 }, (_, row) => T - row);
  table.push(frame([TIME, number("a")], [times, times.map((time) => T - time)]));
  assert.deepEqual(values(table), [[9, 8, 7, 6, 5, 4, 3, 2, 1, 0]]);
  assert.equal(table.newest, T);
});
