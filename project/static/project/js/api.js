// The API of the dashboards and of the channels. Every function returns `{status, body}`; no answer at all is status 0 with a readable text.

import { sessionId } from "../../live/live.js";
import { config } from "./page.js";

/** What the name of a channel looks like. */
export const CHANNEL = /^[A-Za-z0-9_-]+\/[A-Za-z0-9_-]+\/[A-Za-z0-9_\-/=.]+$/;

const address = (uid) => `${config.api}${uid}/`;

export const load = (uid) => request("GET", address(uid));
export const create = (dashboard) => request("POST", config.api, dashboard);
export const update = (uid, dashboard) => request("PUT", address(uid), dashboard);
export const remove = (uid) => request("DELETE", address(uid));

/** The active channels: `[{channel, minute_rate, subscribers, data: {schema}}]`; null when they cannot be read. */
export async function listChannels() {
  const { status, body } = await request("GET", config.live.listUrl);
  return status === 200 ? body.channels : null;
}

/** Publish JSON to a channel; `explainPublish` has the words for the answer. */
export const publish = (channel, data) => request("POST", config.live.publishUrl, { channel, data });

/** Why something was not published, in one text a person can act on; "" when it was. */
export function explainPublish({ status, body }) {
  const said = typeof body?.message === "string" ? body.message : "";
  const reason = ["", "Forbidden", "Not Found"].includes(said) ? "" : ` The server says: ${said}`;
  if (status === 200) return "";
  if (status === 0) return "The server cannot be reached. Nothing was published; try again in a moment.";
  if (status === 401) return "Only who is signed in may publish to this channel.";
  if (status === 403) return `You may not publish to this channel.${config.user ? "" : " Signing in may help."}${reason}`;
  if (status === 404) return `There is nothing to publish to here, or you may not know of it.${reason}`;
  if (status === 413) return `This message is too large.${reason}`;
  if (status === 503) return `The server cannot publish right now; try again in a moment.${reason}`;
  return said || `The server answered with an error (${status}).`;
}

/** What went wrong, in one text a person can act on. */
export function explain({ status, body }) {
  if (status === 0) return "The server cannot be reached. Nothing was saved; try again in a moment.";
  if (status === 401 || status === 403) return "You are not allowed to do this. Sign in again in another tab, then retry.";
  if (status === 404) return "This dashboard does not exist any more.";
  if (status === 413) return "This dashboard is too large.";
  const texts = messages(body);
  return texts.length > 0 ? texts.join(" ") : `The server answered with an error (${status}).`;
}

function messages(body) {
  if (typeof body === "string") return [body];
  if (Array.isArray(body)) return body.flatMap(messages);
  if (body && typeof body === "object") return Object.values(body).flatMap(messages);
  return [];
}

async function request(method, url, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") {
    headers["X-CSRFToken"] = cookie("csrftoken");
    headers["X-Live-Session"] = sessionId;
  }
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    // fetch rejects only where there is no answer: the server is away or the network is.
    return { status: 0, body: String(error) };
  }
  const isJson = response.headers.get("Content-Type")?.includes("json");
  return { status: response.status, body: isJson ? await response.json() : null };
}

// Read at each request: signing in in another tab changes it.
function cookie(name) {
  const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
