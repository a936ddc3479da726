// dashboards.js: which events of a dashboard concern a tab.

import assert from "node:assert/strict";
import { test } from "node:test";

import { DashboardEvents } from "../../live/static/live/dashboards.js";

// A tab that holds version 5 of dashboard `d`; `seen` is what it was told.
function tab() {
  const seen = [];
  const state = { version: 5, seen, now: 0 };
  state.events = new DashboardEvents({
    uid: "d",
    sessionId: "me",
    version: () => state.version,
    onSaved: (event) => seen.push(["saved", event]),
    onDeleted: (event) => seen.push(["deleted", event]),
    onEditing: (event) => seen.push(["editing", event]),
    announce: () => seen.push(["announced"]),
    now: () => state.now,
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
  events.receive({ uid: "d", action: "editing-started" }); // and this tab does not edit
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

test("without versions the first state is the page's own; one after it may be news", () => {
  const { events, seen } = tab();
  events.receive({ uid: "d" }, true);
  assert.deepEqual(seen, []);
  events.receive({ uid: "d" }, true);
  assert.deepEqual(seen, [["saved", { version: undefined, user: null, missed: true }]]);
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

const editing = (sessionId, name = "x") => ({ uid: "d", action: "editing-started", sessionId, user: { name } });
const warnings = ({ seen }) => seen.filter(([what]) => what === "editing").map(([, { user }]) => user.name);
const announcements = ({ seen }) => seen.filter(([what]) => what === "announced").length;

test("editing is announced when it begins and again with each connection, and not after its end", () => {
  const one = tab();
  one.events.setEditing(true); // the connection is not up yet
  assert.equal(announcements(one), 0);
  one.events.setConnected(true);
  assert.equal(announcements(one), 1);
  one.events.setEditing(true);
  one.events.setConnected(true);
  assert.equal(announcements(one), 1);
  one.events.setConnected(false);
  one.events.setConnected(true);
  assert.equal(announcements(one), 2);
  one.events.setEditing(false);
  one.events.setConnected(false);
  one.events.setConnected(true);
  assert.equal(announcements(one), 2);
  one.events.setEditing(true);
  assert.equal(announcements(one), 3);
});

test("who edits is warned of another editor once in an editing session; who only looks is not", () => {
  const one = tab();
  one.events.setConnected(true);
  one.events.receive(editing("b"));
  assert.deepEqual(one.seen, []);
  one.events.setEditing(true);
  one.events.receive(editing("me"));
  assert.deepEqual(warnings(one), []);
  for (let time = 0; time <= 60_000; time += 1000) {
    one.now = time;
    one.events.receive(editing("b", "Ann"));
    one.events.receive(editing("c", "Bob"));
  }
  assert.deepEqual(warnings(one), ["Ann"]);
});

test("another editing session warns again, but not within five seconds", () => {
  const one = tab();
  one.events.setEditing(true);
  one.events.receive(editing("b", "first"));
  one.events.setEditing(false);
  one.events.setEditing(true);
  one.now = 4999;
  one.events.receive(editing("b", "too soon"));
  assert.deepEqual(warnings(one), ["first"]);
  one.now = 5000;
  one.events.receive(editing("b", "second"));
  assert.deepEqual(warnings(one), ["first", "second"]);
});

test("two who edit learn of each other, and then there is silence", () => {
  const wire = [];
  const make = (sessionId) => {
    const warned = [];
    const announce = () => wire.push(editing(sessionId, sessionId));
    const onEditing = ({ user }) => warned.push(user.name);
    const events = new DashboardEvents({ uid: "d", sessionId, version: () => 1, onEditing, announce });
    events.setConnected(true);
    return { events, warned };
  };
  const tabs = ["a", "b", "c"].map(make);
  const sent = [];
  for (const { events } of tabs) {
    events.setEditing(true);
    while (wire.length > 0) {
      const event = wire.shift();
      sent.push(event.sessionId);
      assert.ok(sent.length < 20, "they answer each other for ever");
      for (const one of tabs) one.events.receive(event);
    }
  }
  assert.deepEqual(tabs.map(({ warned }) => warned), [["b"], ["a"], ["a"]]);
});

test("no more than fifty sessions are answered", () => {
  const one = tab();
  one.events.setConnected(true);
  one.events.setEditing(true);
  for (let number = 0; number < 500; number += 1) one.events.receive(editing(`s${number}`));
  assert.equal(announcements(one), 51);
});

test("who has closed says and hears nothing", () => {
  const one = tab();
  one.events.setEditing(true);
  one.events.close();
  one.events.setConnected(true);
  one.events.setEditing(true);
  one.events.receive(editing("b"));
  assert.deepEqual(one.seen, []);
});
