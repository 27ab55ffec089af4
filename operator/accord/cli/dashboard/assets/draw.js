// Pictures of the view, as SVG. What each one shows is also said in its label.

import { s } from "./dom.js";
import { clock, figure, whole } from "./words.js";

export function share(index, mode) {
  const at = (value) => `${Math.max(0, Math.min(100, value))}%`;
  const tick = (value, kind) => s("rect", { class: kind, x: at(value), y: 0, width: 3, height: 22, transform: "translate(-1.5)" });
  return s("svg", { "aria-hidden": "true" },
    s("rect", { class: "track", x: 0, y: 4, width: "100%", height: 14, rx: 7 }),
    mode.actual !== null && s("rect", { class: `m${index % 6}`, x: 0, y: 4, width: at(mode.actual), height: 14, rx: 7 }),
    mode.shifted && tick(mode.effective, "forced"),
    tick(mode.target, "goal"));
}

export function progress(percent, said) {
  return s("svg", { class: "progress", role: "img", "aria-label": said },
    s("rect", { class: "track", width: "100%", height: 12, rx: 6 }),
    s("rect", { class: "done", width: `${percent}%`, height: 12, rx: 6 }),
    [25, 50, 75].map((each) => s("rect", { class: "tick", x: `${each}%`, width: 2, height: 12 })));
}

function ticks(low, high, count) {
  const raw = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((each) => each * unit).find((each) => each >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(Math.abs(at) < step * 1e-9 ? 0 : at);
  return found;
}

const path = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

export function chart(each, width) {
  const [left, right, top, height] = [46, 8, 10, 172];
  const floor = height - 24;
  const values = [...each.schedule, ...each.dots, ...each.lines.flatMap((line) => line.points)].map(([, value]) => value);
  if (!values.length) {
    return s("svg", { viewBox: `0 0 ${width} 60`, role: "img", "aria-label": each.said },
      s("text", { x: left, y: 34 }, "nothing reported yet"));
  }
  let [low, high] = [Math.min(...values), Math.max(...values)];
  const margin = (high - low) * 0.08 || Math.abs(high) * 0.5 || 1;
  [low, high] = [low >= 0 && low - margin < 0 ? 0 : low - margin, high + margin];
  const x = (step) => left + (Math.min(step, each.total) / each.total) * (width - left - right);
  const y = (value) => floor - ((value - low) / (high - low)) * (floor - top);
  const place = (points) => points.map(([step, value]) => [x(step), y(value)]);
  return s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": each.said },
    ticks(low, high, 4).map((value) => [
      s("path", { class: "grid", d: `M${left} ${y(value).toFixed(1)}H${width - right}` }),
      s("text", { x: left - 7, y: (y(value) + 4).toFixed(1), "text-anchor": "end" }, figure(value)),
    ]),
    s("path", { class: "axis", d: `M${left} ${floor}H${width - right}` }),
    [0, 0.5, 1].map((part) => s("text", {
      x: x(part * each.total), y: height - 6, "text-anchor": ["start", "middle", "end"][part * 2],
    }, part === 1 ? `step ${whole(each.total)}` : whole(Math.round(part * each.total)))),
    each.schedule.length > 0 && s("path", { class: "schedule", d: path(place(each.schedule)) }),
    each.lines.map((line) => s("path", { class: line.current ? "curve" : "curve old", d: path(place(line.points)) },
      s("title", {}, line.label))),
    (each.lines.length ? each.dots.slice(-1) : each.dots).map(([step, value]) =>
      s("circle", { class: "dot", cx: x(step).toFixed(1), cy: y(value).toFixed(1), r: 4.5 })));
}

const cross = (x, y) => s("path", { class: "cross", d: `M${x - 4} ${y - 4}l8 8m0 -8l-8 8` });

export function timeline(line, width) {
  const [left, right, dots, bar, base] = [4, 4, 46, 72, 112];
  const x = (at) => left + ((at - line.begin) / (line.end - line.begin)) * (width - left - right);
  const days = line.end - line.begin > 72000;
  const count = Math.max(2, Math.min(8, Math.floor(width / 110)));
  const labels = [];
  const label = (at, text, y, kind) => {
    const half = text.length * 3.4;
    const middle = Math.max(half + 1, Math.min(width - half - 1, x(at)));
    if (labels.some((other) => other.y === y && Math.abs(other.middle - middle) < other.half + half + 6)) return null;
    labels.push({ middle, half, y });
    return s("text", { class: kind, x: middle.toFixed(1), y, "text-anchor": "middle" }, text);
  };
  const named = line.checkpoints.filter((each) => each.served || each.best);
  return s("svg", { viewBox: `0 0 ${width} ${base + 8}`, role: "img", "aria-label": line.said },
    line.rollbacks.map((each) => [
      s("path", { class: "back", d: `M${x(each.at).toFixed(1)} 18V${base - 18}` }),
      label(each.at, each.label, 12, "back-text"),
    ]),
    s("path", { class: "grid", d: `M${left} ${dots}H${width - right}` }),
    line.served.map((each, index) => {
      const [from, to] = [x(each.begin), x(each.end)];
      const text = `step ${whole(each.step)}`;
      return s("g", {},
        s("title", {}, `step ${each.step} served from ${clock(each.begin, days)} to ${clock(each.end, days)}`),
        s("rect", { class: index % 2 ? "spell-b" : "spell-a", x: from.toFixed(1), y: bar, width: Math.max(1.5, to - from - 1).toFixed(1), height: 20, rx: 3 }),
        to - from > text.length * 6.6 + 6 && s("text", { class: "on-bar", x: ((from + to) / 2).toFixed(1), y: bar + 14, "text-anchor": "middle" }, text));
    }),
    line.checkpoints.map((each) => {
      const at = Number(x(each.at).toFixed(1));
      return s("g", {},
        s("title", {}, `step ${each.step}, ${each.state}${each.best ? ", best" : ""}${each.served ? ", served" : ""}`),
        each.state === "quarantined" ? cross(at, dots)
          : s("circle", { class: each.state === "usable" ? "saved" : "pending", cx: at, cy: dots, r: 5 }),
        each.best && s("circle", { class: "ring", cx: at, cy: dots, r: 9 }));
    }),
    named.map((each) => label(each.at, [each.served && "served", each.best && "best", whole(each.step)].filter(Boolean).join(" "), 30, "strong")),
    Array.from({ length: count }, (_, index) => {
      const at = line.begin + ((index + 0.5) / count) * (line.end - line.begin);
      return s("text", { x: x(at).toFixed(1), y: base + 4, "text-anchor": "middle" }, clock(at, days));
    }));
}

// Small samples for the legends.
export const sample = {
  curve: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("path", { class: "curve", d: "M1 6H25" })),
  old: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("path", { class: "curve old", d: "M1 6H25" })),
  schedule: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("path", { class: "schedule", d: "M1 6H25" })),
  dot: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("circle", { class: "dot", cx: 13, cy: 6, r: 4.5 })),
  saved: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("circle", { class: "saved", cx: 13, cy: 6, r: 5 })),
  pending: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("circle", { class: "pending", cx: 13, cy: 6, r: 4 })),
  quarantined: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, cross(13, 6)),
  best: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("circle", { class: "saved", cx: 13, cy: 6, r: 3 }), s("circle", { class: "ring", cx: 13, cy: 6, r: 5 })),
  target: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("rect", { class: "goal", x: 12, width: 3, height: 12 })),
  forced: () => s("svg", { viewBox: "0 0 26 12", "aria-hidden": "true" }, s("rect", { class: "forced", x: 12, width: 3, height: 12 })),
};
