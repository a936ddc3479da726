// What the scripts export against what their declarations say, in both directions. The scripts say no types, and what
// the compiler makes of them is loose: it finds names, methods and parts of results that one side has alone.

import * as declaredDashboards from "/static/live/dashboards.js";
import * as declaredElements from "/static/live/elements.js";
import * as declaredFrames from "/static/live/frames.js";
import * as declaredLive from "/static/live/live.js";

import * as dashboards from "./written/dashboards.js";
import * as elements from "./written/elements.js";
import * as frames from "./written/frames.js";
import * as live from "./written/live.js";
import type { Centrifuge } from "./written/vendor/centrifuge.js";

export const asDeclared: [
  typeof declaredDashboards,
  typeof declaredElements,
  typeof declaredFrames,
  typeof declaredLive,
] = [
  dashboards,
  elements,
  {
    ...frames,
    // A script cannot say that it narrows a type, nor that a list has a first element.
    isFrame: frames.isFrame as typeof declaredFrames.isFrame,
    joinSeries: frames.joinSeries as typeof declaredFrames.joinSeries,
  },
  live,
];

type Nothing<Name extends never> = Name;
export type NotDeclared = [
  Nothing<Exclude<keyof typeof dashboards, keyof typeof declaredDashboards>>,
  Nothing<Exclude<keyof typeof elements, keyof typeof declaredElements>>,
  Nothing<Exclude<keyof typeof frames, keyof typeof declaredFrames>>,
  Nothing<Exclude<keyof typeof live, keyof typeof declaredLive>>,
];

// `connect()` returns one, of which the declaration names some parts.
declare const client: Centrifuge;
export const connection: declaredLive.Connection = client;

// That it finds something:
const { publish, ...withoutOne } = live;
// @ts-expect-error: an export that is missing
export const missing: typeof declaredLive = withoutOne;
// @ts-expect-error: a part of a result that is missing
export const poor: typeof declaredLive = { ...live, publish, frames: (channel) => ({ channel, close() {} }) };
// @ts-expect-error: an export that is not declared
export type Undeclared = Nothing<Exclude<keyof typeof live | "extra", keyof typeof declaredLive>>;
