// Who else listens to a channel. No network and no DOM, so that it runs under Node.js as well.
//
// The server is asked when the subscription starts and once a minute, and tells in between who comes and goes. What it
// tells while it is asked is newer than its answer. A word that was lost on the way is made good by the next answer.

const MOST = 200; // clients known one by one; where there are more, only their number is
const REFRESH = 60_000; // ms between two questions
const NOT_AVAILABLE = 108;

/**
 * The others in one channel.
 *
 * - `count()`: promise of `{numClients}`, and `ask()` of `{clients: {id: info}}`, as the npm package `centrifuge` answers
 *   `presenceStats` and `presence`; rejected with `{code}`. Where the channel has no presence (108) it is not asked again.
 * - `isOwn(id)`: whether a client is, or was before a reconnect, this tab.
 * - `onChange({people, visitors, crowd})`: `people` are the users by name, `[{user, name, sessions, own}]`, of which `own`
 *   is this tab's user somewhere else; `visitors` is the number of those who are not logged in. Where there are more
 *   than `most` clients, `crowd` is about how many others there are and the two are empty; else it is 0.
 */
export class Presence {
  constructor({ count, ask, isOwn, onChange, most = MOST, refresh = REFRESH }) {
    Object.assign(this, { count, ask, isOwn, onChange, most, refresh });
    this.members = new Map(); // client id -> {user, name}
    this.crowd = 0; // number of clients when they are too many to be known
    this.user = ""; // this tab's own, as the server calls it
    this.news = null; // what came while the server is asked: client id -> info, null for who left
    this.run = 0; // number of the question under way; the answer to an older one is not wanted any more
    this.timer = null;
    this.wanted = false; // a change is about to be told
  }

  /** The subscription is up. Resolves when the server has answered, for tests. */
  start() {
    return this.#question();
  }

  /** The subscription is down: what was known stays until the next start. */
  stop() {
    this.run += 1;
    this.news = null;
    clearTimeout(this.timer);
  }

  /** The subscription has ended for good: what was known is nobody's business any more. */
  end() {
    this.stop();
    this.members.clear();
    this.crowd = 0;
    this.#changed();
  }

  /** A client came. */
  joined(info) {
    this.news?.set(info.client, info);
    if (this.crowd > 0 && !this.isOwn(info.client)) this.crowd += 1;
    this.#add(info);
    this.#changed();
  }

  /** A client left. */
  left(info) {
    this.news?.set(info.client, null);
    if (this.crowd > 0) this.crowd = Math.max(1, this.crowd - 1);
    this.members.delete(info.client);
    this.#changed();
  }

  /** The others now, as `onChange` gets them. */
  others() {
    if (this.crowd > 0) return { people: [], visitors: 0, crowd: this.crowd };
    const people = new Map();
    let visitors = 0;
    for (const [client, { user, name }] of this.members) {
      if (this.isOwn(client)) continue;
      if (user === "") {
        visitors += 1;
        continue;
      }
      const person = people.get(user) ?? { user, name, sessions: 0, own: user === this.user };
      person.sessions += 1;
      people.set(user, person);
    }
    const sorted = [...people.values()].sort((a, b) => a.name.localeCompare(b.name) || a.user.localeCompare(b.user));
    return { people: sorted, visitors, crowd: 0 };
  }

  async #question() {
    clearTimeout(this.timer);
    this.run += 1;
    const run = this.run;
    this.news = new Map();
    let again = true;
    try {
      const { numClients } = await this.count();
      const clients = numClients > this.most ? null : (await this.ask()).clients;
      if (run === this.run) this.#take(numClients, clients);
    } catch (error) {
      // Whatever it was, the next question may be answered; who is known stays known until then.
      again = error.code !== NOT_AVAILABLE;
    }
    if (run !== this.run) return;
    this.news = null;
    // Not all tabs at once.
    if (again) this.timer = setTimeout(() => this.#question(), this.refresh * (0.8 + 0.4 * Math.random()));
  }

  #take(number, clients) {
    this.members.clear();
    this.crowd = clients === null ? Math.max(1, number - 1) : 0;
    if (clients !== null) {
      for (const info of Object.values(clients)) this.#add(info);
      for (const [client, info] of this.news) {
        if (info === null) this.members.delete(client);
        else this.#add(info);
      }
    }
    this.#changed();
  }

  #add(info) {
    if (this.crowd > 0) return;
    const name = info.chanInfo?.name ?? info.user;
    this.members.set(info.client, { user: info.user, name: String(name) });
    if (this.isOwn(info.client)) this.user = info.user;
    if (this.members.size <= this.most) return;
    this.crowd = this.members.size - 1;
    this.members.clear();
  }

  // Once for all that comes in one message.
  #changed() {
    if (this.wanted) return;
    this.wanted = true;
    queueMicrotask(() => {
      this.wanted = false;
      this.onChange(this.others());
    });
  }
}
