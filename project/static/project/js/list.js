// The list of dashboards: makes a new one and opens it for editing.

import * as api from "./api.js";
import { config } from "./page.js";

const dialog = document.getElementById("new-dialog");

document.getElementById("new-dashboard")?.addEventListener("click", () => {
  dialog.querySelector("form").reset();
  dialog.querySelector(".form-error").hidden = true;
  dialog.showModal();
});

dialog?.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const title = event.target.elements.title.value.trim();
  const error = dialog.querySelector(".form-error");
  const answer = title ? await api.create({ title, panels: [] }) : null;
  if (answer?.status === 201) {
    location.assign(`${config.pages.dashboard.replace("UID", answer.body.uid)}#edit`);
    return;
  }
  error.textContent = answer ? api.explain(answer) : "Give it a title.";
  error.hidden = false;
});
