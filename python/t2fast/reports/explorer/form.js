"use strict";

// What is asked: its fields, the state behind them, and the command that asks the same.

const FLOPS = "FLOPs";
const USD = "USD";
const MODES = { two: "two budgets", one: "one budget", target: "a target" };
const SHORT = ["mostD", "unique", "leastN", "mostN"]; // written with a unit, as 1.2B
const USUAL = { extrapolate: 2, level: 0.9, batch: 64, promptTokens: 500, outputTokens: 500 }; // of the command

// A field: label and unit; `range` of its slider, logarithmic unless it is `even`; `open`, in words, what an empty one
// means (at the lower end if `low`); `least` and `most` what it may be at all; `modes` in which it is asked, `shown` on what else that hangs; `flag` of the command.
function fieldsOf({ law, ranges, chips, sought }, priced) {
  const money = ["one", "target"];
  const everywhere = Object.keys(MODES);
  const asked = [
    { id: "train", label: "Training budget 6ND", unit: FLOPS, range: ranges.train, modes: ["two"], flag: "--train-flops" },
    { id: "inference", label: "Inference budget 2Nk, per token served", unit: FLOPS, range: ranges.inference, modes: ["two"], needs: law.hasK, flag: "--inference-flops" },
    { id: "budget", label: "Budget for training and all queries", unit: () => (priced() ? USD : FLOPS), range: () => (priced() ? [1e2, 1e9] : ranges.budget), modes: ["one"], flag: () => (priced() ? "--usd" : "--total-flops") },
    { id: "target", label: `Target ${sought}`, range: ranges.target, even: true, modes: ["target"], flag: "--target" },
    { id: "queries", label: "Queries to be answered", range: [1, 1e12], modes: money, flag: "--queries" },
    { id: "promptTokens", label: "Tokens of a prompt", unit: "tokens", range: [1, 1e5], modes: money, flag: "--prompt-tokens" },
    { id: "outputTokens", label: "Tokens of a sample", unit: "tokens", range: [1, 1e5], modes: money, flag: "--output-tokens" },
    { id: "chip", label: "Paid in", choices: [["", FLOPS], ...chips.map(({ name }) => [name, `dollars, on ${name}`])], modes: money, flag: "--gpu" },
    { id: "usdPerHour", label: "Price of one chip", unit: "USD an hour", range: [0.1, 100], modes: money, shown: priced, flag: "--usd-per-hour" },
    { id: "batch", label: "Samples in flight", range: [1, 1024], modes: money, shown: priced, flag: "--batch" },
    { id: "mfu", label: "Share of the arithmetic reached", range: [0.01, 1], even: true, most: 1, modes: money, shown: priced, flag: "--mfu" },
    { id: "mbu", label: "Share of the bandwidth reached", range: [0.01, 1], even: true, most: 1, modes: money, shown: priced, flag: "--mbu" },
    { id: "unique", label: "Text that there is; more is read again", unit: "tokens", range: ranges.tokens, open: "no end", modes: money, flag: "--unique-tokens" },
    { id: "mostD", label: "Tokens that there are: a data wall", unit: "tokens", range: ranges.tokens, open: "no end", modes: ["two"], flag: "--max-tokens" },
    { id: "row", label: "By which law", draws: law.draws, needs: law.draws > 0, modes: everywhere },
  ];
  const limits = [
    { id: "leastN", label: "Fewest parameters", unit: "parameters", range: ranges.params, open: "no end", low: true, flag: "--min-params" },
    { id: "mostN", label: "Most parameters", unit: "parameters", range: ranges.params, open: "no end", flag: "--max-params" },
    { id: "mostK", label: "Most samples", range: [1, 1e4], least: 1, open: "no end", needs: law.hasK, flag: "--max-k" },
    { id: "wholeK", label: " k whole, the budget kept", box: true, needs: law.hasK, flag: "--integer-k" },
    { id: "extrapolate", label: "How far beyond the law's data, as a factor", range: [1, 100], least: 1, flag: "--extrapolate" },
    { id: "ratio", label: "Chinchilla's tokens per parameter", range: [1, 1000], open: law.latent ? "20" : "by the law; 20 for one budget", flag: "--chinchilla" },
    { id: "level", label: "Level of the intervals", range: [0.5, 0.95], even: true, most: 0.9999, flag: "--level" },
  ].map((field) => ({ modes: everywhere, ...field }));
  const wanted = ({ needs }) => needs ?? true;
  return { asked: asked.filter(wanted), limits: limits.filter(wanted) };
}

class Form {
  // `moved` is called after every change.
  constructor(facts, moved) {
    Object.assign(this, { facts, moved, fields: new Map(), blamed: null });
    this.begin();
    const { asked, limits } = fieldsOf(facts, () => this.priced);
    const find = (id) => document.getElementById(id);
    const modes = Object.entries(MODES).map(([value, words]) => {
      const radio = element("input", { type: "radio", name: "mode", value });
      radio.addEventListener("change", () => this.change("mode", value));
      return element("label", {}, radio, ` ${words}`);
    });
    find("modes").append(element("legend", {}, "What is given"), ...modes);
    find("controls").append(...asked.map((field) => this.build(field)));
    find("limits").append(...limits.map((field) => this.build(field)));
    find("form").addEventListener("submit", (event) => event.preventDefault());
    find("reset").addEventListener("click", () => {
      this.begin();
      this.reflect(null);
      this.moved();
    });
    this.reflect(null);
  }

  begin() {
    this.state = { mode: "two", wholeK: false, row: 0, ...this.facts.start };
  }

  get priced() {
    return this.state.chip !== "";
  }

  get coin() {
    return this.priced ? USD : FLOPS;
  }

  get chip() {
    return this.facts.chips.find(({ name }) => name === this.state.chip) ?? null;
  }

  build(field) {
    const { id, label } = field;
    const box = element("div", { class: "field" });
    let text = null;
    let slider = null;
    if (field.box) {
      text = element("input", { type: "checkbox", id });
      text.addEventListener("change", () => this.change(id, text.checked));
      box.append(element("label", {}, text, label));
    } else if (field.choices) {
      text = element("select", { id }, ...field.choices.map(([value, words]) => element("option", { value }, words)));
      text.addEventListener("change", () => this.change(id, text.value));
    } else if (field.draws) {
      text = element("output", { for: id });
      slider = element("input", { id, type: "range", min: 0, max: field.draws, step: 1 });
      slider.addEventListener("input", () => this.change(id, Number(slider.value)));
    } else {
      text = element("input", { id, type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false" });
      if (field.open) text.placeholder = field.open;
      text.setAttribute("aria-describedby", `${id}-why`);
      slider = element("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": label });
      text.addEventListener("input", () => this.type(field, text));
      slider.addEventListener("input", () => this.change(id, valueAt(field, Number(slider.value) / 1000)));
    }
    if (!field.box) {
      const line = element("span", { class: "value" }, text, element("span", { class: "unit" }));
      box.append(element("label", { for: id }, label), line, ...(slider ? [slider] : []));
      box.append(element("p", { id: `${id}-why`, class: "why", role: "alert" }));
    }
    this.fields.set(id, { field, box, text, slider });
    return box;
  }

  type(field, text) {
    const open = field.open && text.value.trim() === "";
    const wrong = open ? "" : whyNot(text.value, field);
    this.mark(field.id, wrong !== "", wrong);
    if (!wrong) this.change(field.id, open ? null : parsed(text.value), field.id);
  }

  mark(id, wrong, why = "") {
    const { box, text } = this.fields.get(id);
    text.setAttribute("aria-invalid", wrong);
    box.querySelector(".why").textContent = why;
  }

  label(id) {
    return this.fields.get(id).field.label;
  }

  // Marks the field that a refusal is of, in place of the one before.
  blame(id) {
    if (this.blamed) this.mark(this.blamed, false);
    this.blamed = id;
    if (id) this.mark(id, true);
  }

  // `but` is the field that is being typed in.
  change(id, value, but = null) {
    const { state } = this;
    const before = this.priced;
    state[id] = value;
    // The same money in another unit, at what a FLOP of training costs.
    if (this.priced && !before) {
      const usd = (state.budget * state.usdPerHour) / 3600 / (this.chip.flops * state.mfu);
      state.budget = Number(usd.toPrecision(3));
    } else if (before && !this.priced) state.budget = this.facts.start.budget;
    this.reflect(but);
    this.moved();
  }

  // Puts the state into the fields.
  reflect(but) {
    const { state } = this;
    for (const [id, { field, box, text, slider }] of this.fields) {
      box.hidden = !field.modes.includes(state.mode) || !(of(field.shown) ?? true);
      const value = state[id];
      if (field.box) text.checked = value;
      else if (field.choices) text.value = value;
      else if (field.draws) {
        slider.value = value;
        text.textContent = value ? `draw ${value} of ${field.draws}` : "the law itself";
      } else {
        const words = value === null ? "" : SHORT.includes(id) ? amount(value) : general(value, 4);
        const unit = of(field.unit) ?? "";
        if (id !== but) {
          text.value = words;
          this.mark(id, id === this.blamed);
        }
        slider.value = Math.round(1000 * placeOf(field, value));
        slider.setAttribute("aria-valuetext", value === null ? field.open : `${words} ${unit}`);
        box.querySelector(".unit").textContent = unit;
      }
    }
    for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === state.mode;
    document.getElementById("command").textContent = this.command();
    document.getElementById("by").textContent = state.row
      ? "At the command line, by the law itself: no command plans by one draw"
      : "The same at the command line";
  }

  command() {
    const usual = { ...USUAL, mfu: this.facts.mfu, mbu: this.facts.mbu };
    const words = ["t2fast plan", ...(this.facts.law.ours ? [] : ["--law LAW.json"])];
    for (const { field, box } of this.fields.values()) {
      const value = this.state[field.id];
      const flag = of(field.flag);
      if (!flag || box.hidden || [null, "", false, usual[field.id]].includes(value)) continue;
      if (value === true) words.push(flag);
      else if (typeof value === "string") words.push(`${flag} "${value}"`);
      else words.push(`${flag} ${value >= 1e6 ? value.toExponential().replace("e+", "e") : value}`);
    }
    return words.join(" ");
  }

  // As the workers take it.
  asked(id) {
    const { state } = this;
    const one = state.mode !== "two";
    const { row, level, ratio, wholeK, extrapolate, train, inference } = state;
    const common = {
      id, row, level, ratio, wholeK, extrapolate,
      mode: one ? "one" : "two",
      n: [state.leastN ?? 1, state.mostN ?? Infinity],
      d: [1, (one ? null : state.mostD) ?? Infinity],
      mostK: state.mostK ?? Infinity,
    };
    if (!one) return { ...common, train, inference };
    const { queries, promptTokens, outputTokens, usdPerHour, batch, mfu, mbu, unique, budget } = state;
    const target = state.mode === "target" ? state.target : null;
    return { ...common, target, budget, queries, promptTokens, outputTokens, chip: this.chip, usdPerHour, batch, mfu, mbu, unique };
  }
}

// What is wrong with the text of a field, in words; nothing if it is a number that the field takes.
function whyNot(text, { least = Number.MIN_VALUE, most = Number.MAX_VALUE }) {
  const value = parsed(text);
  if (Number.isNaN(value)) return `${text.trim() ? `“${text.trim()}” is no number` : "a number is needed"}: write 2.5e9, 160M or 1.2B`;
  if (value < least) return least === Number.MIN_VALUE ? "more than 0" : `at least ${general(least, 4)}`;
  return value > most ? `at most ${general(most, 4)}` : "";
}

function of(setting) {
  return typeof setting === "function" ? setting() : setting;
}

// A value by the place of a slider from 0 to 1, and back.
function valueAt(field, at) {
  const [low, high] = of(field.range);
  if (field.open && at === (field.low ? 0 : 1)) return null;
  const value = field.even ? low + (high - low) * at : low * (high / low) ** at;
  return Number(value.toPrecision(field.even ? 2 : 3));
}

function placeOf(field, value) {
  const [low, high] = of(field.range);
  if (value === null) return field.low ? 0 : 1;
  const at = field.even ? (value - low) / (high - low) : Math.log(value / low) / Math.log(high / low);
  return Math.min(Math.max(at, 0), 1);
}
