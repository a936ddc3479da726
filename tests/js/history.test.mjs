// history.js: the merge of a channel's history with what is live, for one listener.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Feed } from "../../live/static/live/history.js";

const full = (n) => ({ schema: { fields: [{ name: "a", type: "number" }] }, data: { values: [[n]] } });
const short = (n) => ({ data: { values: [[n]] } });
const number = (message) => message.data.values[0][0];

// A channel as the server has it, and a subscription to it whose answers and live publications the test lets through.
class Channel {
  constructor({ pageSize = 300, ...options } = {}) {
    this.pageSize = pageSize;
    this.epoch = "e1";
    this.kept = [];
    this.top = 0;
    this.asked = [];
    this.seen = []; // what the listener was told: numbers, with a mark of where they came from
    this.failures = [];
    this.feed = new Feed({
      ask: (since) => this.page(since),
      deliver: (data, { initial, late, past }) => {
        this.seen.push(`${initial ? "initial " : ""}${late ? "late " : ""}${past ? "past " : ""}${number(data)}`);
      },
      onFailure: ({ code }) => this.failures.push(code),
      retryPause: 0,
      ...options,
    });
  }

  // Publishes the next numbers, to the listener as well when `live` or `recovered`; a full frame where `key(n)` says so.
  publish(count, { live = false, recovered = false, key = (n) => n === 1 } = {}) {
    for (let step = 0; step < count; step += 1) {
      this.top += 1;
      const data = key(this.top) ? full(this.top) : short(this.top);
      this.kept.push({ data, offset: this.top });
      if (live || recovered) this.feed.receive(data, this.top, recovered);
    }
  }

  async page(since) {
    this.asked.push(since);
    await this.beforeAnswer?.();
    if (since && since.epoch !== this.epoch) throw { code: 112, message: "unrecoverable position" };
    const after = this.kept.filter(({ offset }) => offset > (since?.offset ?? 0));
    const answer = { publications: after.slice(0, this.pageSize), offset: this.top, epoch: this.epoch };
    await this.afterAnswer?.();
    return answer;
  }
}

const past = (...numbers) => numbers.map((n) => `past ${n}`);
const live = (...numbers) => numbers.map(String);
const known = (n, info = {}) => ({ data: full(n), info: { initial: true, late: false, past: false, ...info } });

test("the history comes first, then what is live; the initial data is in it and not told again", async () => {
  const channel = new Channel();
  channel.publish(3);
  await channel.feed.start(known(3));
  channel.publish(2, { live: true });
  assert.deepEqual(channel.seen, [...past(1, 2, 3), ...live(4, 5)]);
  assert.deepEqual(channel.asked, [undefined]);
});

test("pages are read until the top is reached", async () => {
  const channel = new Channel({ pageSize: 2 });
  channel.publish(5);
  await channel.feed.start();
  assert.deepEqual(channel.seen, past(1, 2, 3, 4, 5));
  assert.deepEqual(channel.asked, [undefined, { offset: 2, epoch: "e1" }, { offset: 4, epoch: "e1" }]);
});

test("what arrives while the pages are read is told after them, none twice, none missing", async () => {
  const channel = new Channel({ pageSize: 2 });
  channel.publish(3);
  channel.beforeAnswer = () => channel.top < 7 && channel.publish(1, { live: true });
  channel.afterAnswer = () => channel.top < 7 && channel.publish(1, { live: true });
  await channel.feed.start();
  channel.publish(1, { live: true });
  assert.deepEqual(
    channel.seen.map((text) => text.replace("past ", "")),
    live(1, 2, 3, 4, 5, 6, 7, 8),
  );
});

test("it starts at the first full frame", async () => {
  const channel = new Channel();
  channel.publish(6, { key: (n) => n === 4 });
  channel.kept.splice(0, 2);
  await channel.feed.start(known(6));
  assert.deepEqual(channel.seen, past(4, 5, 6));
});

test("messages that are no frames are told as they are", async () => {
  const seen = [];
  const publications = [{ data: { text: "x" }, offset: 7 }];
  const ask = async () => ({ publications, offset: 7, epoch: "e" });
  const feed = new Feed({ ask, deliver: (data) => seen.push(data.text) });
  await feed.start();
  feed.receive({ text: "y" }, 8);
  assert.deepEqual(seen, ["x", "y"]);
});

test("where the history is empty or says nothing, the data known already is told", async () => {
  const silent = new Channel();
  silent.top = 9; // all of it is past its time
  await silent.feed.start(known(9));
  silent.publish(1, { live: true });
  assert.deepEqual(silent.seen, ["initial 9", "10"]);

  const unreadable = new Channel();
  unreadable.publish(2, { key: () => false });
  await unreadable.feed.start(known(2, { initial: false, late: true }));
  assert.deepEqual(unreadable.seen, ["late 2"]);

  const fresh = new Channel();
  await fresh.feed.start();
  fresh.publish(1, { live: true });
  assert.deepEqual(fresh.seen, ["1"]);
});

test("after an interruption only what was missed is asked for, and no initial data repeated", async () => {
  const channel = new Channel();
  channel.publish(2);
  await channel.feed.start(known(2));
  channel.publish(1, { live: true });
  channel.feed.stop();
  channel.publish(2);
  await channel.feed.start(known(5));
  channel.publish(1, { live: true });
  channel.feed.stop();
  await channel.feed.start(known(6));
  assert.deepEqual(channel.seen, [...past(1, 2), ...live(3), ...past(4, 5), ...live(6)]);
  assert.deepEqual(channel.asked.slice(1), [
    { offset: 3, epoch: "e1" },
    { offset: 6, epoch: "e1" },
  ]);
});

test("a subscription that recovered is not asked for what it brings by itself", async () => {
  const channel = new Channel();
  channel.publish(2);
  await channel.feed.start(known(2), { offset: 2, epoch: "e1" });
  channel.publish(1, { live: true });
  channel.feed.stop();
  const recovered = channel.feed.start(undefined, { offset: 3, epoch: "e1" });
  channel.publish(2, { recovered: true }); // what was missed, told before anything else can happen
  await recovered;
  channel.publish(1, { live: true });
  channel.feed.stop();
  await channel.feed.start(undefined, { offset: 6, epoch: "e1" }); // nothing was missed
  channel.publish(1, { live: true });
  assert.deepEqual(channel.seen, [...past(1, 2), ...live(3), ...past(4, 5), ...live(6, 7)]);
  assert.deepEqual(channel.asked, [undefined]);
});

test("a listener that had not caught up before a recovery reads the rest, none twice", async () => {
  const channel = new Channel({ pageSize: 2 });
  channel.publish(5);
  let answer;
  channel.afterAnswer = () => channel.asked.length === 2 && new Promise((resolve) => (answer = resolve));
  const first = channel.feed.start(known(5), { offset: 5, epoch: "e1" });
  while (!answer) await new Promise(setImmediate);
  channel.feed.stop(); // 1 and 2 are told, 3 and 4 are on their way
  answer();
  await first;
  channel.afterAnswer = null;
  const second = channel.feed.start(undefined, { offset: 5, epoch: "e1" });
  channel.publish(2, { recovered: true });
  await second;
  assert.deepEqual(
    channel.seen.map((text) => text.replace("past ", "")),
    live(1, 2, 3, 4, 5, 6, 7),
  );
});

test("a subscription that could not recover is read from the history, also at the same offset", async () => {
  const channel = new Channel();
  channel.publish(3);
  await channel.feed.start(known(3), { offset: 3, epoch: "e1" });
  channel.feed.stop();
  Object.assign(channel, { epoch: "e2", top: 0, kept: [] });
  channel.publish(3);
  await channel.feed.start(known(3), { offset: 3, epoch: "e2" });
  assert.deepEqual(channel.seen, past(1, 2, 3, 1, 2, 3));

  channel.feed.stop();
  channel.publish(2);
  await channel.feed.start(known(5), { offset: 5, epoch: "e2" });
  assert.deepEqual(channel.seen.slice(6), past(4, 5));
});

test("initial data is told once where the history had nothing", async () => {
  const channel = new Channel();
  await channel.feed.start(undefined, { offset: 0, epoch: "e1" });
  channel.feed.stop();
  await channel.feed.start(known(9), { offset: 0, epoch: "e1" });
  channel.feed.stop();
  await channel.feed.start(known(9), { offset: 0, epoch: "e1" });
  assert.deepEqual(channel.seen, ["initial 9"]);
  assert.deepEqual(channel.asked, [undefined]);
});

test("an interruption longer than the history: it goes on at a full frame", async () => {
  const channel = new Channel();
  channel.publish(2);
  await channel.feed.start();
  channel.feed.stop();
  channel.publish(8, { key: (n) => n === 8 });
  channel.kept.splice(0, 5); // 6, 7, 8, 9, 10 are left
  await channel.feed.start(known(10));
  assert.deepEqual(channel.seen, past(1, 2, 8, 9, 10));

  channel.feed.stop();
  channel.publish(2);
  channel.kept = [];
  await channel.feed.start(known(12));
  assert.deepEqual(channel.seen.slice(5), ["initial 12"]);

  channel.feed.stop();
  channel.publish(2);
  channel.kept = [];
  await channel.feed.start(); // 13 and 14 are lost, maybe with another schema
  channel.feed.stop();
  channel.publish(3, { key: (n) => n === 16 });
  await channel.feed.start();
  assert.deepEqual(channel.seen.slice(6), past(16, 17));
});

test("a channel that began anew is read from its start", async () => {
  const channel = new Channel();
  channel.publish(3);
  await channel.feed.start();
  channel.feed.stop();
  Object.assign(channel, { epoch: "e2", top: 0, kept: [] });
  channel.publish(2);
  await channel.feed.start(known(2));
  channel.publish(1, { live: true });
  assert.deepEqual(channel.seen.slice(3), [...past(1, 2), ...live(3)]);
  assert.deepEqual(channel.asked.slice(1), [{ offset: 3, epoch: "e1" }, undefined]);
});

test("an answer of another epoch without an error is a new beginning too", async () => {
  const channel = new Channel();
  channel.publish(3);
  await channel.feed.start();
  channel.feed.stop();
  const page = channel.page.bind(channel);
  channel.page = (since) => page(since && { ...since, epoch: "e2" });
  Object.assign(channel, { epoch: "e2", top: 0, kept: [] });
  channel.publish(4);
  await channel.feed.start();
  assert.deepEqual(channel.seen.slice(3), past(1, 2, 3, 4));
});

test("a channel without history works as it does without asking", async () => {
  for (const code of [108, 103]) {
    const channel = new Channel();
    channel.page = async () => {
      channel.feed.receive(short(8), undefined);
      throw { code, message: "no" };
    };
    await channel.feed.start(known(7));
    channel.feed.receive(short(9), undefined);
    channel.feed.stop();
    channel.page = async () => {
      throw { code, message: "no" };
    };
    await channel.feed.start(known(9));
    assert.deepEqual(channel.seen, ["initial 7", "8", "9", "initial 9"]);
    assert.deepEqual(channel.failures, []);
  }
});

test("a temporary fault is tried again, a lasting one told, and what is live goes on", async () => {
  const channel = new Channel();
  channel.publish(2);
  let faults = 2;
  channel.beforeAnswer = () => {
    faults -= 1;
    if (faults >= 0) throw { code: 100, message: "internal", temporary: true };
  };
  await channel.feed.start(known(2));
  assert.deepEqual(channel.seen, past(1, 2));
  channel.feed.stop();
  channel.beforeAnswer = () => {
    throw { code: 100, message: "internal", temporary: true };
  };
  await channel.feed.start(known(2));
  channel.publish(1, { live: true });
  assert.deepEqual(channel.seen.slice(2), ["initial 2", "3"]);
  assert.deepEqual(channel.failures, [100]);
  assert.equal(channel.asked.length, 6);
});

test("a gap in what is live is filled from the history; one that cannot be filled stops nothing", async () => {
  const channel = new Channel();
  channel.publish(1);
  await channel.feed.start();
  channel.publish(2); // lost on the way
  channel.publish(1, { live: true });
  await new Promise(setImmediate);
  assert.deepEqual(channel.seen, past(1, 2, 3, 4));
  channel.top = 20;
  channel.kept = [];
  channel.feed.receive(short(20), 20);
  await new Promise(setImmediate);
  channel.publish(1, { live: true });
  assert.deepEqual(channel.seen.slice(-1), ["21"]);
});

test("more than may be held is read from the history instead", async () => {
  const channel = new Channel({ maxHeld: 3 });
  channel.publish(1);
  channel.afterAnswer = () => {
    channel.afterAnswer = null;
    channel.publish(10, { live: true });
    assert.equal(channel.feed.held.length, 3);
  };
  await channel.feed.start();
  assert.deepEqual(
    channel.seen.map((text) => Number(text.replace("past ", ""))),
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  );
});

test("the number of pages is bounded", async () => {
  const channel = new Channel({ pageSize: 1, maxPages: 5 });
  channel.publish(9);
  await channel.feed.start();
  assert.equal(channel.asked.length, 5);
  assert.deepEqual(channel.seen, past(1, 2, 3, 4, 5));
});

test("a reading that was overtaken by another, or by the end, tells nothing", async () => {
  const channel = new Channel();
  channel.publish(2);
  let answer;
  channel.beforeAnswer = () => new Promise((resolve) => (answer = resolve));
  const first = channel.feed.start(known(2));
  const answerFirst = answer;
  channel.feed.stop();
  channel.beforeAnswer = null;
  await channel.feed.start(known(2));
  answerFirst();
  await first;
  assert.deepEqual(channel.seen, past(1, 2));
});

test("a listener that closes while it is told hears no more", async () => {
  const channel = new Channel();
  channel.publish(3);
  const { deliver } = channel.feed;
  channel.feed.deliver = (data, info) => {
    deliver(data, info);
    if (number(data) === 2) channel.feed.stop();
  };
  await channel.feed.start();
  assert.deepEqual(channel.seen, past(1, 2));
});
