"use strict";

// Line charts in SVG: small, redrawn as often as the answers change, read by pointer, by keyboard and in words.

const WIDE = 30; // greatest over least value from which on an axis is logarithmic
const HEIGHT = 250;
const MARGIN = { left: 64, right: 14, top: 10, bottom: 40 };

class Chart {
  // `title` is a heading in words, `x` and `y` what the axes show: { label, show, log }.
  constructor(place, x, y) {
    Object.assign(this, { place, x, y, data: null, picked: null });
    this.body = element("div", { class: "chart", tabindex: "0", role: "img" });
    this.readout = element("p", { class: "readout" }, "\u00a0");
    place.append(this.body, this.readout);
    this.body.addEventListener("pointermove", (event) => this.point(event));
    this.body.addEventListener("pointerleave", () => this.pick(null));
    this.body.addEventListener("blur", () => this.pick(null));
    this.body.addEventListener("keydown", (event) => this.step(event));
    // Drawn in the frame after: what changes a size while sizes are watched is an error.
    const again = () => this.data && this.body.clientWidth !== this.width && this.draw();
    new ResizeObserver(() => requestAnimationFrame(again)).observe(this.body);
  }

  // `lines`: { name, kind, points: [{ x, y, low, high }] }; `marks`: { name, kind, x, y, low, high }; `rules`: { x } or { y }.
  show(data) {
    this.data = data;
    if (this.picked !== null) this.picked = Math.min(this.picked, Math.max(data.lines[0].points.length - 1, 0));
    this.body.setAttribute("aria-label", data.says);
    this.draw();
  }

  draw() {
    this.width = this.body.clientWidth;
    const width = Math.max(this.width, 200);
    const { lines, marks = [], rules = [] } = this.data;
    const all = lines.flatMap(({ points }) => points);
    const inside = (value, log) => Number.isFinite(value) && (!log || value > 0);
    const xs = [...all, ...marks].map(({ x }) => x).filter((value) => inside(value, this.x.log));
    // Where a band leaves what lines and choices reach, it does not matter how far.
    const values = [...all.map(({ y }) => y), ...marks.flatMap(({ y, low, high }) => [y, low, high])];
    const floor = this.data.floor ?? -Infinity;
    const ceiling = this.data.ceiling ?? Infinity;
    const ys = values.filter((value) => inside(value, this.y.log) && value >= floor && value <= ceiling);
    this.body.replaceChildren();
    if (!xs.length || !ys.length) return;
    const yLog = this.y.log ?? (Math.min(...ys) > 0 && Math.max(...ys) / Math.min(...ys) > WIDE);
    const sx = scale(xs, this.x.log, MARGIN.left, width - MARGIN.right, 0.02);
    const sy = scale(ys, yLog, HEIGHT - MARGIN.bottom, MARGIN.top, 0.06);
    this.sx = sx;
    const svg = shape("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}` });
    const clip = `clip-${this.place.id}`;
    const frame = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom };
    svg.append(within(shape("clipPath", { id: clip }), shape("rect", frame)));
    this.axes(svg, sx, sy, width);
    const drawing = shape("g", { "clip-path": `url(#${clip})` });
    for (const rule of rules) {
      const at = rule.x === undefined
        ? { x1: MARGIN.left, x2: width - MARGIN.right, y1: sy.at(rule.y), y2: sy.at(rule.y) }
        : { x1: sx.at(rule.x), x2: sx.at(rule.x), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom };
      drawing.append(shape("line", { class: rule.kind ?? "end", ...at }));
    }
    for (const { kind, points, band } of lines) {
      const banded = (band ?? points).filter(({ low, high }) => Number.isFinite(low) && Number.isFinite(high));
      if (banded.length > 1) {
        const up = banded.map(({ x, high }) => `${sx.at(x)},${sy.at(high)}`);
        const down = banded.map(({ x, low }) => `${sx.at(x)},${sy.at(low)}`).reverse();
        drawing.append(shape("polygon", { class: `band ${kind}`, points: [...up, ...down].join(" ") }));
      }
    }
    for (const { kind, points } of lines) {
      const path = points.filter(({ y }) => inside(y, yLog)).map(({ x, y }, i) => `${i ? "L" : "M"}${sx.at(x)} ${sy.at(y)}`);
      drawing.append(shape("path", { class: `line ${kind}`, d: path.join("") }));
    }
    for (const { kind, x, y } of marks) {
      if (!inside(x, this.x.log) || !inside(y, yLog)) continue;
      const [cx, cy] = [sx.at(x), sy.at(y)];
      drawing.append(
        kind === "theirs"
          ? shape("rect", { class: "mark theirs", x: cx - 5, y: cy - 5, width: 10, height: 10 })
          : shape("circle", { class: "mark ours", cx, cy, r: 6 }),
      );
    }
    const here = this.data.lines[0].points[this.picked];
    if (here) {
      drawing.append(shape("line", { class: "here", x1: sx.at(here.x), x2: sx.at(here.x), y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
    }
    svg.append(drawing);
    this.body.append(svg);
    this.readout.textContent = here ? this.data.read(here, this.picked) : "\u00a0";
  }

  axes(svg, sx, sy, width) {
    const bottom = HEIGHT - MARGIN.bottom;
    const labels = [];
    for (const tick of sy.ticks(5)) {
      svg.append(shape("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: sy.at(tick), y2: sy.at(tick) }));
      labels.push(within(shape("text", { x: MARGIN.left - 6, y: sy.at(tick) + 4, "text-anchor": "end" }), this.y.show(tick)));
    }
    let last = -Infinity;
    for (const tick of sx.ticks(Math.max(3, Math.floor(width / 80)))) {
      const at = sx.at(tick);
      svg.append(shape("line", { class: "tick", x1: at, x2: at, y1: bottom, y2: bottom + 4 }));
      if (at - last < 46) continue;
      last = at;
      labels.push(within(shape("text", { x: at, y: bottom + 16, "text-anchor": "middle" }), this.x.show(tick)));
    }
    svg.append(
      shape("line", { class: "axis", x1: MARGIN.left, x2: width - MARGIN.right, y1: bottom, y2: bottom }),
      ...labels,
      within(shape("text", { class: "label", x: (MARGIN.left + width - MARGIN.right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }), this.x.label),
      within(
        shape("text", { class: "label", transform: `translate(12 ${(MARGIN.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }),
        this.y.label,
      ),
    );
  }

  point(event) {
    const points = this.data?.lines[0].points ?? [];
    if (!this.sx || !points.length) return;
    const at = event.clientX - this.body.getBoundingClientRect().left;
    const far = points.map(({ x }) => Math.abs(this.sx.at(x) - at));
    this.pick(far.indexOf(Math.min(...far)));
  }

  step(event) {
    const last = (this.data?.lines[0].points.length ?? 0) - 1;
    const moves = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
    if (last < 0 || !(event.key in moves)) return;
    event.preventDefault();
    const from = this.picked ?? (moves[event.key] > 0 ? -1 : last + 1);
    this.pick(Math.min(Math.max(from + moves[event.key], 0), last));
  }

  pick(place) {
    if (place === this.picked) return;
    this.picked = place;
    if (this.data) this.draw();
  }
}

const DECADES = 9;

// From values to places, with a little room at the ends.
function scale(values, log, from, to, room) {
  const by = log ? Math.log : (value) => value;
  const [a, b] = [by(Math.min(...values)), by(Math.max(...values))];
  const apart = log ? Math.min(b - a, DECADES * Math.LN10) : b - a;
  const pad = (apart || Math.abs(a) * 0.1 || 1) * room + (b === a ? Math.abs(a) * 0.05 || 0.5 : 0);
  // What is a billion times less than the most is at the foot: a chart of more decades shows nothing.
  const [low, high] = log ? [Math.max(a, b - DECADES * Math.LN10) - pad, b + pad] : [a - pad, b + pad];
  const at = (value) => from + ((Math.max(by(value), low) - low) / (high - low)) * (to - from);
  const ticks = (count) => (log ? logTicks(Math.exp(low), Math.exp(high), count) : evenTicks(low, high, count));
  return { at, ticks };
}

function evenTicks(low, high, count) {
  const rough = (high - low) / count;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * [1, 2, 5, 10].find((factor) => factor * unit >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high && i + 1 > i; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function logTicks(low, high, count) {
  const decades = Math.log10(high / low);
  if (decades < 0.7) return evenTicks(low, high, Math.min(count, 4)).filter((value) => value > 0);
  const digits = decades * 3 <= count ? [1, 2, 5] : [1];
  const every = digits.length > 1 ? 1 : Math.max(1, Math.ceil(decades / count));
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    if (((power % every) + every) % every) continue;
    for (const digit of digits) {
      const value = Number(`${digit}e${power}`);
      if (value >= low && value <= high) found.push(value);
    }
  }
  return found;
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function within(parent, child) {
  parent.append(child);
  return parent;
}
