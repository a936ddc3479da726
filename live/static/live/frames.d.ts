// Types of frames.js.

/** What a frame channel sends: a full frame, or `data` alone for the schema before it. */
export interface FrameMessage {
  schema?: FrameSchema;
  data?: FrameData;
}

export interface FrameSchema {
  name?: string;
  fields: { name: string; type?: string; labels?: Record<string, string>; config?: Record<string, unknown> }[];
}

export interface FrameData {
  /** Columns, all of one length. Times are milliseconds since 1970. */
  values: unknown[][];
  /** What each time column has below its milliseconds, in nanoseconds. */
  nanos?: (number[] | null)[];
  /** Rows of numbers that JSON cannot say. */
  entities?: ({ NaN?: number[]; Inf?: number[]; NegInf?: number[] } | null)[];
}

export interface Series {
  readonly key: string;
  readonly field: string;
  /** `number`, `string`, `boolean`, `time` or `other`. */
  readonly type: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly labelText: string;
  /** Milliseconds since 1970, oldest first. */
  readonly times: readonly number[];
  readonly nanos: readonly number[];
  /** As many as `times`; null is a missing value. */
  readonly values: readonly unknown[];
  /** Time of the last value that is not missing; -Infinity when there is none. */
  readonly newest: number;
}

/** A message that does not fit the schema before it. The next full frame repairs the table. */
export class FrameError extends Error {}

export interface FrameTableOptions {
  /** Rows kept for each label set; 1000. */
  maxLength?: number;
  /** Milliseconds kept before the newest row, and after the present moment; no limit. */
  maxDelta?: number;
  /** `replace` keeps only what came with the last message. */
  action?: "append" | "replace";
  /** Label sets kept, those that were heard of last; 200. */
  maxGroups?: number;
}

/** The last rows of one frame channel, split into series. */
export class FrameTable {
  constructor(options?: FrameTableOptions);
  /** Name of the last schema. */
  readonly name: string;
  /** Time of the newest row; -Infinity when there is none. */
  readonly newest: number;
  /** In the order of their first appearance; the table's own: read, do not change. */
  readonly series: readonly Series[];
  /** Add a message; returns whether the set of series changed. Throws `FrameError` when it does not fit. */
  push(message: FrameMessage): boolean;
}

/** Whether a message is a data frame, full or data only. */
export function isFrame(message: unknown): message is FrameMessage;
/** Whether a message is a frame without its schema. */
export function needsSchema(message: unknown): boolean;
/** Read a label text, `k=v, k2=v2` or as Prometheus writes it. */
export function parseLabels(text: string | null | undefined): Map<string, string>;
/** Whether a label set holds every label of `wanted`. */
export function matchLabels(labels: ReadonlyMap<string, string>, wanted: ReadonlyMap<string, string>): boolean;
/** Short names for series shown together: the field, and the labels that differ. */
export function displayNames(series: readonly Pick<Series, "field" | "labels">[]): string[];
/** The last value that is not missing; null when there is none. */
export function latestValue(series: Pick<Series, "values">): unknown;
/** Join series on time for a chart: times and a column for each; null is a gap, undefined no row at that time. */
export function joinSeries(series: readonly Series[]): [number[], ...(number | null | undefined)[][]];
