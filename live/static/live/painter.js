// Drawing when the screen does, and only what is seen.

/** Calls `draw` once per painted frame after `request()`, and only while the element is on the screen. */
export class Painter {
  constructor(node, draw) {
    this.draw = draw;
    this.wanted = false;
    this.inView = false;
    this.frame = 0;
    this.observer = new IntersectionObserver((entries) => {
      this.inView = entries.at(-1).isIntersecting;
      this.go();
    });
    this.observer.observe(node);
    this.onVisibility = () => this.go();
    document.addEventListener("visibilitychange", this.onVisibility);
  }

  request() {
    this.wanted = true;
    this.go();
  }

  go() {
    if (!this.wanted || !this.inView || document.hidden || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.wanted = false;
      this.draw();
    });
  }

  close() {
    this.observer.disconnect();
    document.removeEventListener("visibilitychange", this.onVisibility);
    cancelAnimationFrame(this.frame);
  }
}
