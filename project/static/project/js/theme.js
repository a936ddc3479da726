// Runs before the first paint: the chosen colours, or the system's. Not a module, since modules run too late for it.
(() => {
  "use strict";
  const system = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // Storage may be switched off; then the system's colours are used.
    }
    const dark = chosen ? chosen === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
  };
  show();
  // Many systems go dark in the evening.
  system.addEventListener("change", show);
})();
