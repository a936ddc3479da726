// Where panels are shown: no gaps, none over another, and what an editor saved as it is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { inOrder, settled } from "../../project/static/project/js/layout.js";

const panels = (places) => Object.entries(places).map(([id, [x, y, w, h]]) => ({ id, title: id, grid: { x, y, w, h } }));
const places = (some) => Object.fromEntries(some.map(({ id, grid: { x, y, w, h } }) => [id, [x, y, w, h]]));

test("what has no gaps stays as it is, in the order it came", () => {
  const layout = { e: [0, 2, 9, 2], a: [0, 0, 6, 2], c: [9, 2, 3, 1], b: [6, 0, 6, 2] };
  const before = panels(layout);
  assert.deepEqual(settled(before), before);
  assert.deepEqual(
    inOrder(before).map(({ id }) => id),
    ["a", "b", "e", "c"],
  );
});

test("a panel rises as far as those above let it", () => {
  const layout = { a: [0, 3, 6, 2], b: [6, 0, 6, 4], c: [4, 9, 4, 1], d: [0, 700, 4, 1] };
  assert.deepEqual(places(settled(panels(layout))), { a: [0, 0, 6, 2], b: [6, 0, 6, 4], c: [4, 4, 4, 1], d: [0, 2, 4, 1] });
});

test("of panels over one another the later one makes room", () => {
  const layout = { a: [0, 0, 6, 3], b: [3, 1, 6, 2], c: [3, 1, 6, 2], d: [6, 2, 6, 1] };
  assert.deepEqual(places(settled(panels(layout))), { a: [0, 0, 6, 3], b: [3, 3, 6, 2], c: [3, 5, 6, 2], d: [6, 7, 6, 1] });
});

test("everything else of a panel is kept, and what was given is not changed", () => {
  const given = [{ id: "a", fields: ["x"], grid: { x: 1, y: 5, w: 2, h: 3 } }];
  const copy = structuredClone(given);
  assert.deepEqual(settled(given), [{ id: "a", fields: ["x"], grid: { x: 1, y: 0, w: 2, h: 3 } }]);
  assert.deepEqual(given, copy);
  assert.deepEqual(settled([]), []);
});
