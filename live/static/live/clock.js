// What time it is for those who send: the browser's clock may be behind theirs, and one of theirs ahead of all others.

const MESSAGES = 8; // that tell it: whoever sends most of them must not lead all others
const SAMPLE = 32; // rows of a message that are looked at
const LAST_MOMENT = 8.64e15; // ms, of what a Date can hold

/** Is this a time in milliseconds that a Date can hold? */
export function isMoment(time) {
  return typeof time === "number" && Math.abs(time) <= LAST_MOMENT;
}

/** Learns from the times in messages. */
export class SenderClock {
  constructor() {
    this.leads = []; // ms by which the last messages were ahead of the browser
  }

  /**
   * The time now, in ms: the browser's (`now`), or a later one when nearly all of the last messages are later. `times` are
   * those of the message that has come.
   */
  read(times, now) {
    const step = Math.ceil(times.length / SAMPLE);
    const some = times.filter((time, row) => row % step === 0 && isMoment(time));
    if (some.length > 0) this.leads.push(smallest(some, 2) - now);
    if (this.leads.length > MESSAGES) this.leads.shift();
    return now + Math.max(0, smallest(this.leads, 4) ?? 0);
  }
}

// The number below which there is one in `parts` of them.
function smallest(numbers, parts) {
  return [...numbers].sort((a, b) => a - b)[Math.floor((numbers.length - 1) / parts)];
}
