// Asks the program for the view every two seconds, shows it, and passes on what buttons ask for.

import { h, morph } from "./dom.js";
import { page } from "./page.js";
import { span } from "./words.js";

const EVERY = 2000;
const HIDDEN = 15000; // in a tab that nobody sees
const NAME = "accord";
const byId = (id) => document.getElementById(id);

// The token comes in the fragment, and is kept for this tab and this port alone.
if (location.hash.length > 20) {
  sessionStorage.setItem(NAME, location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
}
const token = sessionStorage.getItem(NAME) ?? "";

let view = null;
let receivedAt = 0;
let problem = "";
let timer = 0;

async function ask(path, options = {}) {
  const answer = await fetch(path, {
    ...options, cache: "no-store", credentials: "omit",
    headers: { ...options.headers, Authorization: `Bearer ${token}` },
  });
  const body = await answer.json();
  if (!answer.ok) throw new Refused(body.error ?? `HTTP ${answer.status}`);
  return body;
}

class Refused extends Error {}

async function look() {
  clearTimeout(timer);
  try {
    view = await ask("/api/view");
    receivedAt = performance.now();
    problem = "";
  } catch (error) {
    problem = error instanceof Refused ? error.message
      : "accord dashboard is not responding: start it again, and open the URL that it prints.";
  }
  show();
  timer = setTimeout(look, document.hidden ? HIDDEN : EVERY);
}

function show() {
  const main = byId("main");
  const fresh = main.cloneNode(false);
  if (view === null) {
    fresh.replaceChildren(h("p", { class: problem ? "banner bad" : "quiet", role: problem && "alert" }, problem || "Reading the cluster."));
  } else {
    const now = Date.parse(view.now) / 1000 + (performance.now() - receivedAt) / 1000;
    fresh.replaceChildren(...page(view, problem, now).flat(Infinity).filter((each) => each instanceof Node));
    fresh.classList.toggle("stale", Boolean(problem) || view.connection.lost);
    header(now);
  }
  morph(main, fresh);
}

function set(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function header(now) {
  set(byId("where"), `${view.namespace === null ? "all namespaces" : view.namespace} · ${view.context}`);
  const line = byId("connection");
  const isLost = Boolean(problem) || view.connection.lost;
  const age = view.connection.at ? now - Date.parse(view.connection.at) / 1000 : 0;
  line.className = isLost ? "bad" : "good";
  set(line, problem ? "not connected" : view.connection.lost ? "API server not responding" : age > 10 ? `live, read ${span(age)} ago` : "live");
  const count = view.alarms.length;
  document.title = `${isLost ? "(?) " : count ? `(${count}) ` : ""}Accord${view.namespace ? ` · ${view.namespace}` : ""}`;
}

// Buttons: shown with their command, asked for once more, then done.
const dialog = byId("confirm");
let pending = null;

document.addEventListener("click", (event) => {
  const pressed = event.target.closest?.("button[data-action]");
  if (pressed) open(JSON.parse(pressed.dataset.action));
});

function open(action) {
  pending = action;
  const step = action.step === null ? "" : ` checkpoint ${action.step}`;
  const label = action.action === "rollback" ? "Go back to" : action.label;
  set(byId("confirm-title"), `${label}${step}: ${action.kind} ${action.namespace}/${action.name}?`);
  set(byId("confirm-means"), action.means);
  set(byId("confirm-warning"), action.warning ?? "");
  set(byId("confirm-command"), action.command);
  set(byId("confirm-error"), "");
  set(byId("confirm-do"), action.action === "rollback" ? `Go back to ${action.step}` : action.label);
  byId("confirm-do").disabled = false;
  dialog.showModal();
  byId("confirm-cancel").focus();
}

byId("confirm-cancel").addEventListener("click", () => dialog.close());
byId("confirm-do").addEventListener("click", async () => {
  const { action, kind, namespace, name, step, patch } = pending;
  byId("confirm-do").disabled = true;
  try {
    const done = await ask("/api/act", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ action, kind, namespace, name, step, patch }),
    });
    dialog.close();
    toast(done.said);
    look();
  } catch (error) {
    set(byId("confirm-error"), error instanceof Refused ? error.message : "accord dashboard is not responding: nothing is known of what was done.");
    byId("confirm-do").disabled = false;
  }
});
// What was pressed may be gone by then.
dialog.addEventListener("close", () => setTimeout(() => document.activeElement === document.body && byId("main").focus(), 0));

let gone = 0;
function toast(text) {
  set(byId("toast"), text);
  clearTimeout(gone);
  gone = setTimeout(() => set(byId("toast"), ""), 8000);
}

document.addEventListener("visibilitychange", () => document.hidden || look());
addEventListener("resize", () => view && show());
look();
