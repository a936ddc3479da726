// What `{% live_script %}` told the elements about the site; a page without it has the usual.

const ENGLISH = {
  waiting: "Waiting for data",
  lost: "Connection lost, trying again",
  offline: "Not connected",
  off: "Live is switched off",
  forbidden: "You may not watch this channel",
  nowhere: "There is no such channel",
  broken: "Waiting for a whole frame",
  nothing: "No channel is named",
  back: "Connected again",
  chart: "Chart",
  empty: "no data yet",
  moment: "point in time",
  at: "{time}: {values}",
  latest: "latest at {time}: {values}",
  points: "{count} points in time since {time}",
  earlier: "earlier",
  more: "and {count} more",
};

const told = JSON.parse(document.getElementById("live-config")?.textContent || "{}");

/** The WebSocket's address, "" for the usual one. */
export const url = told.url ?? "";

/** Whether the server has Live switched on. */
export const enabled = told.enabled ?? true;

/** Whether the elements tell those who hear the page that the connection is lost; else the page does. */
export const announce = told.announce ?? true;

/** What the elements say. */
export const texts = { ...ENGLISH, ...told.texts };
