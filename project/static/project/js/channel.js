// One channel of the explorer: its values as lines, its messages as they come, and a form to publish to it.

import { isFrame } from "../../live/frames.js";
import { subscribe } from "../../live/live.js";
import { explainPublish, publish } from "./api.js";
import { livePanel } from "./card.js";

const WINDOW = 5000; // ms over which the rate is measured
const STEP = 500; // ms between two texts of the rate

const byId = (id) => document.getElementById(id);
const form = byId("publish-form");
const narrow = matchMedia("(max-width: 760px)");
const fault = form.querySelector(".form-error");
let open = null; // the Opened channel
let paused = false;

/** Show a channel in place of the one before; `frames`: it is known that it has something to draw. */
export function openChannel(channel, frames = false) {
  open?.close();
  open = new Opened(channel, frames);
  byId("raw-title").textContent = channel;
  byId("pause").hidden = false;
  byId("messages").hidden = false;
  byId("publish").hidden = false;
  sayPublished("");
  setPaused(false);
  byId("detail").classList.remove("none-chosen");
  // In one column the channel is below the list.
  if (narrow.matches) byId("detail").scrollIntoView({ block: "start" });
}

class Opened {
  constructor(channel, frames) {
    this.channel = channel;
    this.received = 0;
    this.arrivals = []; // times of the messages in the window
    this.refusal = ""; // why it may not be watched
    this.note = ""; // what is wrong with what comes
    this.chart = livePanel({ channel, type: "timeseries", title: channel });
    this.log = livePanel({ channel, type: "raw", title: "Messages" });
    this.chart.addEventListener("live-state", ({ detail }) => this.broken(detail.error));
    byId("raw-empty").hidden = false;
    byId("raw-empty").textContent = "Waiting for the next message.";
    byId("chart").hidden = !frames;
    byId("chart").replaceChildren(this.chart);
    byId("raw").replaceChildren(this.log);
    this.subscription = subscribe(channel, {
      history: false, // what comes is counted
      onData: (message, info) => this.receive(message, info),
      onState: (state) => {
        if (state === "subscribed") this.refused("");
      },
      onError: ({ code, message }) => this.refused(`This channel cannot be watched: ${explain(code, message)}`),
    });
    this.timer = setInterval(() => this.describe(), STEP);
    this.describe();
  }

  receive(message, { initial, late, past }) {
    if (isFrame(message)) byId("chart").hidden = false;
    if (!initial && !late && !past) {
      this.received += 1;
      this.arrivals.push(performance.now());
    }
    byId("raw-empty").hidden = true;
  }

  refused(text) {
    this.refusal = text;
    this.describe();
    if (!text) return;
    byId("raw-empty").textContent = "Nothing comes from here.";
  }

  // What came did not fit; that the channel may not be watched is said already.
  broken(error) {
    this.note = error?.code === 0 ? `Waiting for a whole frame: ${error.message}.` : "";
    this.describe();
  }

  pause(yes) {
    for (const panel of [this.chart, this.log]) panel.toggleAttribute("paused", yes);
  }

  describe() {
    const now = performance.now();
    while (this.arrivals.length > 0 && this.arrivals[0] < now - WINDOW) this.arrivals.shift();
    const hint = byId("detail-hint");
    const text = this.refusal || this.note || this.#pace(now);
    hint.classList.toggle("trouble", Boolean(this.refusal || this.note));
    if (hint.textContent !== text) hint.textContent = text;
  }

  #pace(now) {
    if (this.received === 0) return "Nothing has come since you opened it.";
    const span = Math.max(1000, now - this.arrivals[0]) / 1000;
    const rate = this.arrivals.length > 1 ? (this.arrivals.length - 1) / span : 0;
    const often = rate >= 0.95 ? `About ${Math.round(rate)} message${rate >= 1.5 ? "s" : ""} a second` : "Less than a message a second";
    return `${often}, ${this.received.toLocaleString()} since you opened it`;
  }

  close() {
    clearInterval(this.timer);
    this.subscription.close();
  }
}

function explain(code, message) {
  if (code === 403 || code === 103) return message && !/forbidden|denied/i.test(message) ? message : "you may not watch it.";
  if (code === 404 && /^not found$/i.test(message)) return "there is nothing under this name.";
  return message;
}

function setPaused(yes) {
  paused = yes;
  open?.pause(yes);
  byId("pause").setAttribute("aria-pressed", String(yes));
  byId("pause").textContent = yes ? "Go on" : "Pause";
}

function sayPublished(text, problem = "") {
  byId("publish-state").textContent = text;
  fault.textContent = problem;
  fault.hidden = !problem;
}

async function send() {
  const { channel } = open;
  let data;
  try {
    data = JSON.parse(form.elements.data.value);
  } catch (error) {
    sayPublished("", `This is not JSON: ${error.message}`);
    form.elements.data.focus();
    return;
  }
  const button = form.querySelector("button");
  button.disabled = true;
  sayPublished("Publishing");
  const answer = await publish(channel, data);
  button.disabled = false;
  // The answer is about the channel it was sent to, whatever is open now.
  if (open.channel === channel) sayPublished(answer.status === 200 ? "Published" : "", explainPublish(answer));
}

byId("pause").addEventListener("click", () => setPaused(!paused));
form.addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
form.elements.data.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (!form.querySelector("button").disabled) send();
});
form.elements.data.addEventListener("input", () => sayPublished(""));
