// Types of elements.js, which defines the custom elements when it is loaded and exports nothing.

/** `<live-panel channel fields labels title type unit>` */
export interface LivePanelElement extends HTMLElement {}

/** `<live-value channel field labels unit digits>` */
export interface LiveValueElement extends HTMLElement {}

declare global {
  interface HTMLElementTagNameMap {
    "live-panel": LivePanelElement;
    "live-value": LiveValueElement;
  }
}
