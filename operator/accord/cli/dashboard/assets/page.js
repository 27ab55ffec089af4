// From the view to elements. Decides nothing: all words and tones come from the program.

import { h } from "./dom.js";
import { chart, progress, sample, share, timeline } from "./draw.js";
import { ago, ahead, percent, whole } from "./words.js";

const time = (text, at) => h("time", { datetime: at, title: new Date(at).toLocaleString() }, text);
const since = (at, now) => at && time(ago(at, now), at);
const badge = (text, tone) => h("span", { class: `badge ${tone}` }, text);
const title = (level, each, view) => h(`h${level}`, {}, view.namespace === null ? `${each.namespace}/${each.name}` : each.name);

export function button(action, primary) {
  const step = action.step === null ? "" : ` ${whole(action.step)}`;
  const named = `${action.label}${step ? ` checkpoint${step}` : ""}: ${action.kind} ${action.name}`;
  return h("button", {
    type: "button", class: primary ? "primary" : "slight", "aria-label": named, title: action.command,
    "aria-haspopup": "dialog", "data-action": JSON.stringify(action),
  }, action.label);
}

function compared(facts) {
  return facts.length > 0 && h("dl", { class: "compared" },
    facts.map((fact) => h("div", {}, h("dt", {}, fact.name), h("dd", {}, fact.value))));
}

function tree(lines) {
  return lines.length > 0 && h("ul", { class: "tree" }, lines.map((line) => h("li", {},
    line.spans.map(([text, tone]) => h("span", { class: `tone-${tone}` }, text)), tree(line.below))));
}

function head(level, each, view) {
  return h("div", { class: "head" },
    title(level, each, view), h("span", { class: "quiet small" }, each.kind), badge(each.state, each.tone),
    h("div", { class: "end" }, each.actions.filter(({ action }) => action === "pause" || action === "resume").map((action) => button(action))));
}

function alarm(each, now) {
  return h("li", { class: `card alarm ${each.tone}`, "data-key": each.id },
    h("div", { class: "head" }, h("h3", {}, each.title), h("span", { class: "quiet small" }, each.object, each.since && " · ", since(each.since, now))),
    each.text && h("p", {}, each.text),
    compared(each.compared),
    each.actions.length > 0 && h("div", { class: "buttons" }, each.actions.map((action) => button(action, action.action !== "reject"))));
}

function hero(view) {
  const bad = view.alarms.some((each) => each.tone === "bad");
  const count = view.alarms.length;
  const tone = bad ? "bad" : count ? "warning" : "good";
  const big = count === 0 ? (view.objects ? "All is well" : "Nothing to show yet") : count === 1 ? "1 alarm" : `${count} alarms`;
  return h("div", { class: "hero" },
    h("span", { class: `sign ${tone}`, "aria-hidden": "true" }, count ? "!" : "✓"),
    h("div", {}, h("p", { class: "big" }, big), h("p", { class: "quiet" }, view.objects
      ? `${view.ready} of ${view.objects} objects are ready`
      : "no TrafficPolicy, TrainingRun or CheckpointPolicy was found")));
}

function mode(each, index) {
  return h("li", { class: "mode", "data-key": each.name },
    h("span", { class: "name" }, each.name),
    h("div", { class: "bar" }, share(index, each)),
    h("span", { class: each.alert ? "figures tone-bad" : "figures" },
      h("b", {}, each.actual === null ? "not measured" : percent(each.actual)), h("span", { class: "quiet" }, ` of ${percent(each.target)}`)),
    h("p", { class: "more small quiet" },
      h("span", { class: `tone-${each.pods[1]}` }, each.pods[0]),
      each.shifted && [" · ", h("span", { class: "tone-warning" }, `in force ${percent(each.effective)}`)],
      each.serves && ` · ${each.serves}`,
      each.remarks && [" · ", h("span", { class: each.alert ? "tone-bad" : "tone-warning" }, each.remarks)]));
}

function traffic(each, view, now) {
  const force = each.inForce;
  const said = [each.strategy, each.address].filter(Boolean).join(" · ");
  return h("article", { class: "card", "data-key": each.id, "aria-label": `${each.kind} ${each.name}` },
    head(3, each, view),
    h("p", { class: each.tone === "good" ? "quiet" : `tone-${each.tone}` }, each.said),
    h("p", { class: "small" }, said && h("span", { class: "quiet" }, said),
      force && [said && " · ", h("span", { class: force.reason === "Spec" ? "quiet" : "tone-warning" }, `in force ${force.why}`),
        h("span", { class: "quiet" }, ", since ", since(force.since, now), force.until && `, until ${ahead(force.until, now)}`)]),
    h("ul", { class: "modes", "aria-label": "Modes: measured share of target" }, each.modes.map(mode)),
    tree(each.lines),
    h("p", { class: "legend" }, h("span", {}, sample.target(), "target"),
      each.modes.some((one) => one.shifted) && h("span", {}, sample.forced(), "in force"), h("span", {}, each.measured)));
}

function charts(each) {
  const width = window.matchMedia("(max-width: 46rem)").matches ? Math.max(260, document.documentElement.clientWidth - 62)
    : Math.min(540, (Math.min(1184, document.documentElement.clientWidth) - 98) / 2);
  const old = each.charts.some((one) => one.lines.length > 1);
  const lines = each.charts.some((one) => one.lines.length);
  return [
    h("div", { class: "charts" }, each.charts.map((one) => h("figure", { "data-key": one.id },
      h("figcaption", {}, h("span", { class: "tone-strong" }, one.title),
        one.scheduled && h("span", { class: "quiet small" }, `schedule ${one.scheduled}`), h("b", {}, one.value ?? "–")),
      chart(one, Math.round(width))))),
    h("p", { class: "legend" },
      lines && h("span", {}, sample.curve(), "reported"), old && h("span", {}, sample.old(), "earlier attempts"),
      h("span", {}, sample.schedule(), "schedule"), h("span", {}, sample.dot(), lines ? "now" : "at milestones, and now"),
      h("span", {}, "by training step")),
  ];
}

function training(each, view, now) {
  const ends = each.ends ? ["done ", time(ahead(each.ends, now), each.ends)] : each.ended ? ["ended ", since(each.ended, now)] : null;
  return h("article", { class: "card", "data-key": each.id, "aria-label": `${each.kind} ${each.name}` },
    head(3, each, view),
    h("p", { class: each.tone === "good" ? "quiet" : `tone-${each.tone}` }, each.said),
    each.percent !== undefined && each.percent !== null && h("div", {},
      progress(each.percent, `${each.percent} percent done`),
      h("p", { class: "head small" },
        h("span", { class: "tone-strong" }, `${each.percent} %`),
        h("span", {}, `step ${whole(each.step)} of ${whole(each.total)}`),
        each.schedule && h("span", { class: "tone-good" }, each.schedule),
        ends && h("span", { class: "quiet end" }, h("span", {}, ends)))),
    tree(each.lines),
    each.charts.length > 0 && charts(each),
    (each.policies ?? []).map((policy) => checkpoints(policy, view, now, true)));
}

function checkpoint(each, now) {
  const marks = [each.served && badge("served", "good"), each.best && badge("best", "good"),
    each.state === "quarantined" ? badge("quarantined", "bad") : each.state === "pending" ? badge("pending", "warning") : null];
  return h("tr", { "data-key": `${each.attempt}-${each.step}` },
    h("th", { scope: "row" }, whole(each.step), " ", marks),
    h("td", { class: "wide-only" }, each.attempt),
    h("td", {}, since(each.at, now) ?? "–"),
    h("td", {}, each.reward ?? "–"),
    h("td", { class: "wide-only" }, each.loss ?? "–"),
    h("td", {}, each.actions.map((action) => button(action))));
}

function past(each, now) {
  return h("li", { "data-key": each.id },
    h("p", {}, h("span", { class: `tone-${each.tone}` }, each.phase), ` step ${each.from === null ? "–" : whole(each.from)} → ${each.to === null ? "–" : whole(each.to)} `,
      h("span", { class: "quiet" }, since(each.at, now))),
    each.message && h("p", { class: "small quiet" }, each.message),
    compared(each.compared));
}

function checkpoints(each, view, now, inside) {
  const level = inside ? 4 : 3;
  const wide = Math.min(1184, document.documentElement.clientWidth) - (window.matchMedia("(max-width: 46rem)").matches ? 62 : 76);
  const check = each.check;
  const sub = (text) => h(`h${level + 1}`, { class: "small" }, text);
  return h(inside ? "section" : "article", { class: inside ? "part" : "card", "data-key": each.id, "aria-label": `${each.kind} ${each.name}` },
    head(level, each, view),
    h("p", { class: each.tone === "good" ? "quiet" : `tone-${each.tone}` }, each.said),
    tree(each.lines),
    each.timeline && h("figure", { class: "line" },
      timeline(each.timeline, Math.round(Math.max(280, wide))),
      h("figcaption", { class: "legend" },
        h("span", {}, sample.saved(), "checkpoint"), h("span", {}, sample.best(), "best"),
        h("span", {}, sample.pending(), "pending"), h("span", {}, sample.quarantined(), "quarantined"),
        h("span", {}, each.timeline.known ? "bars: served" : "bar: served now; earlier ones need Prometheus"),
        each.timeline.earlier > 0 && h("span", {}, `${each.timeline.earlier} older ones not drawn`))),
    check && h("div", {}, h("p", { class: "head" }, h("span", { class: "tone-strong small" }, "Last check of the training"),
      badge(check.outcome, check.tone), h("span", { class: "quiet small" }, check.at && since(check.at, now))),
    check.message && h("p", { class: "small" }, check.message), compared(check.compared)),
    each.history.length > 0 && h("div", {}, sub("Rollbacks"), h("ol", { class: "history" }, each.history.map((one) => past(one, now)))),
    each.checkpoints.length > 0 && h("details", { "data-key": `${each.id}/list` },
      h("summary", {}, `${each.checkpoints.length + each.older} checkpoints`),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": `Checkpoints of ${each.name}` },
        h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Step"), h("th", { scope: "col", class: "wide-only" }, "Attempt"), h("th", { scope: "col" }, "Saved"),
          h("th", { scope: "col" }, "Reward"), h("th", { scope: "col", class: "wide-only" }, "Loss"), h("th", { scope: "col" }, h("span", { class: "hidden" }, "Action")))),
        h("tbody", {}, each.checkpoints.map((one) => checkpoint(one, now))))),
      each.older > 0 && h("p", { class: "quiet small" }, `and ${each.older} older ones`)));
}

export function page(view, problem, now) {
  const list = (name, items) => items.length > 0 && [h("h2", { "data-key": name }, name), items];
  const lost = view.connection.lost && `The API server is not responding. Shown is what was read ${view.connection.at ? ago(view.connection.at, now) : "last"}.`;
  return [
    problem && h("p", { class: "banner bad", role: "alert", "data-key": "problem" }, problem),
    lost && h("p", { class: "banner bad", role: "alert", "data-key": "lost" }, lost),
    !lost && view.connection.problems.map((each) => h("p", { class: "banner", "data-key": each }, each)),
    h("h2", { class: "hidden", "data-key": "summary" }, "Summary"),
    hero(view),
    view.alarms.length > 0 && h("ul", { class: "alarms", "aria-label": "Alarms", "data-key": "alarms" }, view.alarms.map((each) => alarm(each, now))),
    view.rights && h("p", { class: "quiet small", "data-key": "rights" }, view.rights),
    list("Traffic", view.traffic.map((each) => traffic(each, view, now))),
    list("Training", view.training.map((each) => training(each, view, now))),
    list("Checkpoints", view.checkpoints.map((each) => checkpoints(each, view, now, false))),
    view.prometheus && h("p", { class: "quiet small", "data-key": "prometheus" }, view.prometheus),
  ];
}
