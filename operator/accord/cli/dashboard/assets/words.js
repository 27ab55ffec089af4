// Figures and times in words, as the commands write them.

export function span(seconds) {
  for (const [least, unit, letter] of [[172800, 86400, "d"], [10800, 3600, "h"], [120, 60, "m"]]) {
    if (seconds >= least) return `${Math.floor(seconds / unit)}${letter}`;
  }
  return `${Math.max(0, Math.floor(seconds))}s`;
}

export const ago = (time, now) => `${span(now - Date.parse(time) / 1000)} ago`;

export function ahead(time, now) {
  const left = Date.parse(time) / 1000 - now;
  return left > 0 ? `in ${span(left)}` : "due";
}

export const percent = (value) => `${Math.round(value * 10) / 10} %`;

export function figure(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size < 0.001 || size >= 1e6 ? value.toExponential(1).replace("e+", "e").replace(".0e", "e") : String(Number(value.toPrecision(3)));
}

export const whole = (value) => value.toLocaleString("en-US");

export function clock(seconds, days) {
  const time = new Date(seconds * 1000);
  const hours = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return days ? `${time.toLocaleDateString([], { month: "short", day: "numeric" })} ${hours}` : hours;
}
