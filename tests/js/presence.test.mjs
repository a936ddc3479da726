// presence.js: who else listens to a channel.

import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { Presence } from "../../live/static/live/presence.js";

const open = [];
afterEach(() => open.splice(0).forEach((one) => one.stop()));

const info = (client, user = "", name) => ({ client, user, chanInfo: name && { name } });
const turn = () => new Promise((resolve) => setTimeout(resolve));

// A tab called "me" of the user 1, on a server where `server.members` are there; `seen` is what it was told.
function tab({ members = [], refresh = 1e6, most } = {}) {
  const server = { members, asked: 0, fault: null, gate: null };
  const seen = [];
  const presence = new Presence({
    refresh,
    most,
    isOwn: (id) => id === "me" || id === "me-before",
    count: async () => {
      server.asked += 1;
      await server.gate;
      if (server.fault) throw server.fault;
      return { numClients: server.members.length };
    },
    ask: async () => ({ clients: Object.fromEntries(server.members.map((one) => [one.client, one])) }),
    onChange: (others) => seen.push(others),
  });
  open.push(presence);
  return { presence, server, seen };
}

test("the others are told by name, once a user, and visitors by their number", async () => {
  const members = [
    info("me", "1", "Ann"),
    info("me-before", "1", "Ann"),
    info("a", "1", "Ann"),
    info("b", "2", "Zoe"),
    info("c", "2", "Zoe"),
    info("d", "3", "Bob"),
    info("e"),
    info("f"),
  ];
  const { presence, seen } = tab({ members });
  await presence.start();
  await turn();
  assert.deepEqual(seen, [
    {
      people: [
        { user: "1", name: "Ann", sessions: 1, own: true },
        { user: "3", name: "Bob", sessions: 1, own: false },
        { user: "2", name: "Zoe", sessions: 2, own: false },
      ],
      visitors: 2,
      crowd: 0,
    },
  ]);
});

test("who has no name is called by its id", async () => {
  const { presence } = tab({ members: [info("me"), info("a", "7")] });
  await presence.start();
  assert.deepEqual(presence.others().people, [{ user: "7", name: "7", sessions: 1, own: false }]);
});

test("who comes and goes is told, all of one turn at once", async () => {
  const { presence, seen } = tab({ members: [info("me", "1", "Ann")] });
  await presence.start();
  await turn();
  seen.length = 0;
  presence.joined(info("me", "1", "Ann"));
  presence.joined(info("a", "2", "Bob"));
  presence.joined(info("b"));
  await turn();
  assert.deepEqual(seen.map(({ people, visitors }) => [people.length, visitors]), [[1, 1]]);
  presence.left(info("a", "2", "Bob"));
  presence.left(info("nobody"));
  await turn();
  assert.deepEqual(seen.at(-1), { people: [], visitors: 1, crowd: 0 });
});

test("what is told while the server is asked is newer than its answer", async () => {
  const { presence, server } = tab({ members: [info("me"), info("gone", "2", "Bob")] });
  let answer;
  server.gate = new Promise((resolve) => (answer = resolve));
  const started = presence.start();
  presence.left(info("gone", "2", "Bob"));
  presence.joined(info("new", "3", "Eve"));
  presence.joined(info("short", "4", "Sue"));
  presence.left(info("short", "4", "Sue"));
  answer();
  await started;
  assert.deepEqual(presence.others().people.map(({ name }) => name), ["Eve"]);
});

test("a lost word is made good by the next answer", async () => {
  const { presence, server } = tab({ members: [info("me"), info("a", "2", "Bob")], refresh: 1 });
  await presence.start();
  assert.equal(presence.others().people.length, 1);
  server.members = [info("me")];
  while (presence.others().people.length > 0) await turn();
});

test("a fault of the server changes nothing and is asked over; without presence there is no second question", async () => {
  const { presence, server } = tab({ members: [info("me"), info("a", "2", "Bob")], refresh: 1 });
  await presence.start();
  server.fault = { code: 100, temporary: true };
  const before = server.asked;
  while (server.asked < before + 2) await turn();
  assert.equal(presence.others().people.length, 1);

  const none = tab({ refresh: 1 });
  none.server.fault = { code: 108 };
  await none.presence.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(none.server.asked, 1);
});

test("an answer after the stop is dropped, and who was known stays until the next start", async () => {
  const { presence, server, seen } = tab({ members: [info("me"), info("a", "2", "Bob")] });
  await presence.start();
  await turn();
  server.members = [info("me")];
  let answer;
  server.gate = new Promise((resolve) => (answer = resolve));
  const late = presence.start();
  presence.stop();
  answer();
  await late;
  await turn();
  assert.equal(seen.length, 1);
  assert.equal(presence.others().people.length, 1);
  server.gate = null;
  await presence.start();
  assert.equal(presence.others().people.length, 0);
});

test("after the end nobody is known", async () => {
  const { presence, seen } = tab({ members: [info("me"), info("a", "2", "Bob")] });
  await presence.start();
  presence.end();
  await turn();
  assert.deepEqual(seen.at(-1), { people: [], visitors: 0, crowd: 0 });
});

test("of a crowd only the number is known", async () => {
  const many = (count) => [info("me"), ...Array.from({ length: count }, (_, number) => info(`c${number}`, `${number}`, "x"))];
  const { presence, server } = tab({ members: many(5), most: 10 });
  await presence.start();
  assert.equal(presence.others().people.length, 5);
  for (let number = 5; number < 30; number += 1) presence.joined(info(`c${number}`, `${number}`, "x"));
  assert.deepEqual(presence.others(), { people: [], visitors: 0, crowd: 29 + 1 });
  assert.equal(presence.members.size, 0);
  presence.left(info("c3", "3", "x"));
  presence.joined(info("me"));
  assert.equal(presence.others().crowd, 29);
  server.members = many(40);
  await presence.start();
  assert.equal(presence.others().crowd, 40);
  server.members = many(2);
  await presence.start();
  assert.equal(presence.others().people.length, 2);
  assert.equal(presence.others().crowd, 0);
});
