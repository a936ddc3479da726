// Types of elements.js, which defines the custom elements when it is loaded and exports nothing.

import type { LiveFault } from "./live.js";

/** What an element tells with the event `live-state`. */
export interface LiveState {
  /** What is wrong, in words; "" when nothing is. */
  text: string;
  /** Whether that is the tab's connection, and so all elements. */
  connection: boolean;
  /** Why the channel is refused, or (code 0) what did not fit; null when neither is. */
  error: LiveFault | null;
}

/** `<live-panel channel fields labels paused title type unit>` */
export interface LivePanelElement extends HTMLElement {}

/** `<live-value channel field labels unit digits>` */
export interface LiveValueElement extends HTMLElement {}

declare global {
  interface HTMLElementTagNameMap {
    "live-panel": LivePanelElement;
    "live-value": LiveValueElement;
  }
  interface HTMLElementEventMap {
    "live-state": CustomEvent<LiveState>;
  }
}
