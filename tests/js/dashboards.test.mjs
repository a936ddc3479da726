// dashboards.js: which events of a dashboard concern a tab.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DashboardEvents } from "../../live/static/live/dashboards.js";

// A tab that holds version 5 of dashboard `d`; `seen` is what it was told.
function tab() {
  const seen = [];
  const state = { version: 5, seen };
  state.events = new DashboardEvents({
    uid: "d",
    sessionId: "me",
    version: () => state.version,
    onSaved: (event) => seen.push(["saved", event]),
    onDeleted: (event) => seen.push(["deleted", event]),
  });
  return state;
}

const saved = (version, more) => ({ uid: "d", action: "saved", version, ...more });
const settled = () => new Promise((resolve) => setTimeout(resolve));

test("a newer version saved by somebody else is told with the user", () => {
  const { events, seen } = tab();
  events.receive(saved(6, { sessionId: "other", user: { name: "x" } }));
  assert.deepEqual(seen, [["saved", { version: 6, user: { name: "x" }, missed: false }]]);
});

test("another uid, the own session, held versions and unknown actions are ignored", () => {
  const { events, seen } = tab();
  events.receive({ ...saved(6), uid: "e" });
  events.receive(saved(6, { sessionId: "me" }));
  events.receive(saved(5));
  events.receive(saved(4));
  events.receive({ uid: "d", action: "editing-started" });
  events.receive(null);
  events.receive("text");
  assert.deepEqual(seen, []);
});

test("the state that came with the subscription tells of a missed save, and only of that", () => {
  const { events, seen } = tab();
  events.receive({ uid: "d", version: 5 }, true);
  assert.deepEqual(seen, []);
  events.receive({ uid: "d", version: 7 }, true);
  assert.deepEqual(seen, [["saved", { version: 7, user: null, missed: true }]]);
});

test("a dashboard without versions is told of at each save", () => {
  const { events, seen } = tab();
  events.receive(saved(undefined));
  assert.equal(seen.length, 1);
});

test("a deletion is told unless this tab did it; a dashboard that is gone is deleted", () => {
  const { events, seen } = tab();
  events.receive({ uid: "d", action: "deleted", sessionId: "me" });
  events.receive({ uid: "d", action: "deleted", user: { name: "x" } });
  events.gone();
  assert.deepEqual(seen, [
    ["deleted", { user: { name: "x" } }],
    ["deleted", { user: null }],
  ]);
});

test("while the tab saves, events wait; its own version is known when they are judged", async () => {
  const state = tab();
  let answer;
  const saving = state.events.whileSaving(new Promise((resolve) => (answer = resolve)));
  state.events.receive(saved(6)); // the own save, by a way that lost the session id
  state.events.receive(saved(7)); // somebody else's after it
  assert.deepEqual(state.seen, []);
  answer(6);
  state.version = await saving;
  await settled();
  assert.deepEqual(
    state.seen.map(([, { version }]) => version),
    [7],
  );
});

test("a save that failed releases the events too, and its error is the caller's", async () => {
  const state = tab();
  const saving = state.events.whileSaving(Promise.reject(new Error("no")));
  state.events.receive(saved(6));
  await assert.rejects(saving, /no/);
  await settled();
  assert.equal(state.seen.length, 1);
});

test("nothing is told after closing", async () => {
  const state = tab();
  const saving = state.events.whileSaving(Promise.resolve());
  state.events.receive(saved(6));
  state.events.close();
  state.events.receive(saved(7));
  state.events.gone();
  await saving;
  await settled();
  assert.deepEqual(state.seen, []);
});
