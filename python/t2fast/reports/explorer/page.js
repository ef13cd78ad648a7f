"use strict";

// The page: what is asked, and what comes back from the workers.
(async () => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const { law, start, chips } = facts;
  const metric = facts.metrics[law.metric];
  const find = (id) => document.getElementById(id);

  // ---- what is asked

  const unit = { flops: "FLOPs", usd: "USD" };
  const priced = () => state.chip !== "";
  const modes = { two: "two budgets", one: "one budget", target: "a target" };
  const CONTROLS = [
    { id: "train", label: "Training budget 6ND", unit: unit.flops, range: facts.ranges.train, modes: ["two"], flag: "--train-flops" },
    { id: "inference", label: "Inference budget 2Nk, per token served", unit: unit.flops, range: facts.ranges.inference, modes: ["two"], needs: law.hasK, flag: "--inference-flops" },
    { id: "budget", label: "Budget for training and all queries", unit: () => (priced() ? unit.usd : unit.flops), range: () => (priced() ? [1e2, 1e9] : facts.ranges.budget), modes: ["one"], flag: () => (priced() ? "--usd" : "--total-flops") },
    { id: "target", label: `Target ${metric}`, unit: "", range: facts.ranges.target, even: true, modes: ["target"], flag: "--target" },
    { id: "queries", label: "Queries to be answered", unit: "", range: [1, 1e12], modes: ["one", "target"], flag: "--queries" },
    { id: "promptTokens", label: "Tokens of a prompt", unit: "tokens", range: [1, 1e5], modes: ["one", "target"], flag: "--prompt-tokens" },
    { id: "outputTokens", label: "Tokens of a sample", unit: "tokens", range: [1, 1e5], modes: ["one", "target"], flag: "--output-tokens" },
    { id: "chip", label: "Paid in", choices: [["", "FLOPs"], ...chips.map(({ name }) => [name, `dollars, on ${name}`])], modes: ["one", "target"], flag: "--gpu" },
    { id: "usdPerHour", label: "Price of one chip", unit: "USD an hour", range: [0.1, 100], modes: ["one", "target"], shown: priced, flag: "--usd-per-hour" },
    { id: "batch", label: "Samples in flight", unit: "", range: [1, 1024], modes: ["one", "target"], shown: priced, flag: "--batch" },
    { id: "mfu", label: "Share of the arithmetic reached", unit: "", range: [0.01, 1], even: true, modes: ["one", "target"], shown: priced, flag: "--mfu" },
    { id: "mbu", label: "Share of the bandwidth reached", unit: "", range: [0.01, 1], even: true, modes: ["one", "target"], shown: priced, flag: "--mbu" },
    { id: "unique", label: "Text that there is; more is read again", unit: "tokens", range: facts.ranges.tokens, open: "no end", modes: ["one", "target"], flag: "--unique-tokens" },
    { id: "mostD", label: "Tokens that there are: a data wall", unit: "tokens", range: facts.ranges.tokens, open: "no end", modes: ["two"], flag: "--max-tokens" },
    { id: "row", label: "By which law", rows: true, needs: law.draws > 0, modes: ["two", "one", "target"] },
  ];
  const LIMITS = [
    { id: "leastN", label: "Fewest parameters", unit: "parameters", range: facts.ranges.params, open: "no end", low: true, flag: "--min-params" },
    { id: "mostN", label: "Most parameters", unit: "parameters", range: facts.ranges.params, open: "no end", flag: "--max-params" },
    { id: "mostK", label: "Most samples", unit: "", range: [1, 1e4], open: "no end", needs: law.hasK, flag: "--max-k" },
    { id: "extrapolate", label: "How far beyond the law's data, as a factor", unit: "", range: [1, 100], flag: "--extrapolate" },
    { id: "ratio", label: "Chinchilla's tokens per parameter", unit: "", range: [1, 1000], open: law.latent ? "20" : "by the law; 20 for one budget", flag: "--chinchilla" },
    { id: "level", label: "Level of the intervals", unit: "", range: [0.5, 0.95], even: true, flag: "--level" },
  ].map((control) => ({ modes: Object.keys(modes), ...control }));
  const state = { mode: "two", wholeK: false, row: 0, ...start };
  const fields = new Map();

  function valueOf(setting) {
    return typeof setting === "function" ? setting() : setting;
  }

  function field(control) {
    const { id, label } = control;
    const box = element("div", { class: "field" });
    const name = element("label", { for: id }, label);
    const parts = [name];
    let text = null;
    let slider = null;
    if (control.choices) {
      text = element("select", { id }, ...control.choices.map(([value, words]) => element("option", { value }, words)));
      text.addEventListener("change", () => changed(id, text.value));
    } else if (control.rows) {
      text = element("output", { id: `${id}-words`, for: id });
      slider = element("input", { id, type: "range", min: 0, max: law.draws, step: 1 });
      slider.addEventListener("input", () => changed(id, Number(slider.value)));
    } else {
      text = element("input", { id, type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false" });
      if (control.open) text.placeholder = control.open;
      slider = element("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": label });
      text.addEventListener("input", () => typed(control, text));
      slider.addEventListener("input", () => changed(id, fromSlider(control, Number(slider.value) / 1000)));
    }
    const line = element("span", { class: "value" }, text, element("span", { class: "unit" }));
    box.append(...parts, line, ...(slider ? [slider] : []));
    fields.set(id, { control, box, text, slider });
    return box;
  }

  function typed(control, text) {
    const open = control.open && text.value.trim() === "";
    const value = parsed(text.value);
    const wrong = !open && !(value > 0 && Number.isFinite(value));
    text.setAttribute("aria-invalid", wrong);
    if (!wrong) changed(control.id, open ? null : value, true);
  }

  function fromSlider(control, at) {
    const [low, high] = valueOf(control.range);
    if (control.open && (control.low ? at === 0 : at === 1)) return null;
    const value = control.even ? low + (high - low) * at : low * (high / low) ** at;
    return Number(value.toPrecision(control.even ? 2 : 3));
  }

  function toSlider(control, value) {
    const [low, high] = valueOf(control.range);
    if (value === null) return control.low ? 0 : 1;
    const at = control.even ? (value - low) / (high - low) : Math.log(value / low) / Math.log(high / low);
    return Math.min(Math.max(at, 0), 1);
  }

  function shownValue({ id }, value) {
    if (value === null) return "";
    return ["mostD", "unique", "leastN", "mostN"].includes(id) ? amount(value) : general(value, 4);
  }

  function changed(id, value, keep = false) {
    if (id === "chip") {
      const from = chips.find(({ name }) => name === state.chip);
      state.chip = value;
      // The same money in another unit, at what a FLOP of training costs.
      if (Boolean(from) !== priced()) state.budget = Number((priced() ? state.budget * perFlop() : start.budget).toPrecision(3));
    } else state[id] = value;
    reflect(keep ? id : null);
    ask();
  }

  function perFlop() {
    const chip = chips.find(({ name }) => name === state.chip);
    return state.usdPerHour / 3600 / (chip.flops * state.mfu);
  }

  // Puts the state into the fields; not into the one that is being typed in.
  function reflect(but) {
    for (const [id, { control, box, text, slider }] of fields) {
      box.hidden = !control.modes.includes(state.mode) || !(valueOf(control.shown) ?? true);
      const value = state[id];
      if (control.rows) {
        slider.value = value;
        text.textContent = value ? `draw ${value} of ${law.draws}` : "the law itself";
        continue;
      }
      if (control.choices) {
        text.value = value;
        continue;
      }
      if (id !== but) {
        text.value = shownValue(control, value);
        text.removeAttribute("aria-invalid");
      }
      slider.value = Math.round(1000 * toSlider(control, value));
      slider.setAttribute("aria-valuetext", value === null ? control.open : `${shownValue(control, value)} ${valueOf(control.unit)}`);
      box.querySelector(".unit").textContent = valueOf(control.unit);
    }
    for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === state.mode;
    find("wholeK").checked = state.wholeK;
    find("command").textContent = command();
  }

  function build() {
    const wanted = ({ needs }) => needs ?? true;
    const choices = Object.entries(modes).map(([value, words]) => {
      const radio = element("input", { type: "radio", name: "mode", value });
      radio.addEventListener("change", () => changed("mode", value));
      return element("label", {}, radio, ` ${words}`);
    });
    find("modes").append(element("legend", {}, "What is given"), ...choices);
    find("controls").append(...CONTROLS.filter(wanted).map(field));
    const whole = element("input", { type: "checkbox", id: "wholeK" });
    whole.addEventListener("change", () => changed("wholeK", whole.checked));
    const wholeK = element("div", { class: "field" }, element("label", {}, whole, " k whole, the budget kept"));
    find("limits").append(...LIMITS.filter(wanted).map(field), ...(law.hasK ? [wholeK] : []));
    if (!law.hasK) find("limits").append(element("div", { hidden: "" }, whole));
    find("form").addEventListener("submit", (event) => event.preventDefault());
    find("reset").addEventListener("click", () => {
      Object.assign(state, { mode: "two", wholeK: false, row: 0, ...start });
      reflect(null);
      ask();
    });
  }

  // The command that answers the same.
  function command() {
    const words = ["t2fast plan", "--law LAW.json"];
    for (const { control, box } of fields.values()) {
      const value = state[control.id];
      const flag = valueOf(control.flag);
      const usual = { extrapolate: 2, level: 0.9, batch: 64, mfu: facts.mfu, mbu: facts.mbu, promptTokens: 500, outputTokens: 500 };
      if (!flag || box.hidden || value === null || value === "" || value === usual[control.id]) continue;
      words.push(`${flag} ${typeof value === "number" ? general(value, 12).replace("e+", "e") : `"${value}"`}`);
    }
    if (state.wholeK) words.push("--integer-k");
    return words.join(" ");
  }

  function asked(id) {
    const one = state.mode !== "two";
    const chip = one && chips.find(({ name }) => name === state.chip);
    const limits = {
      n: [state.leastN ?? 1, state.mostN ?? Infinity],
      d: [1, (one ? null : state.mostD) ?? Infinity],
      mostK: state.mostK ?? Infinity,
      wholeK: state.wholeK,
      extrapolate: state.extrapolate,
    };
    const common = { id, mode: one ? "one" : "two", row: state.row, level: state.level, ratio: state.ratio, ...limits };
    if (!one) return { ...common, train: state.train, inference: state.inference };
    const { queries, promptTokens, outputTokens, usdPerHour, batch, mfu, mbu, unique } = state;
    const goal = { target: state.mode === "target" ? state.target : null, budget: state.budget };
    return { ...common, ...goal, queries, promptTokens, outputTokens, chip: chip || null, usdPerHour, batch, mfu, mbu, unique };
  }

  // ---- what comes back

  let number = 0;
  let shown = null;
  const workers = await openWorkers();

  async function openWorkers() {
    const unpack = async (id) => {
      const bytes = Uint8Array.from(atob(find(id).textContent.trim()), (letter) => letter.charCodeAt(0));
      return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
    };
    const [module, text] = await Promise.all([unpack("core").then(WebAssembly.compile), unpack("law")]);
    const whole = { ...JSON.parse(new TextDecoder().decode(text)), ...law.traits };
    const code = URL.createObjectURL(new Blob([find("work").textContent], { type: "text/javascript" }));
    const open = (role) => {
      const worker = new Worker(code);
      worker.postMessage({ module, law: whole, role });
      worker.onmessage = ({ data }) => data.id === number && take(data);
      return worker;
    };
    // That of the draws, once there is an answer for it not to keep waiting.
    let draws = null;
    return { law: open("law"), draws: () => (draws ??= open("draws")) };
  }

  function ask() {
    number += 1;
    const mode = state.mode === "two" ? "two" : "one";
    if (shown?.mode !== mode || shown?.goal !== state.mode) shown = { frontier: null, bands: null };
    shown = { ...shown, mode, goal: state.mode, intervals: null, whole: false, train: state.train, began: performance.now() };
    document.body.dataset.answered = "";
    workers.law.postMessage(asked(number));
  }

  const takers = {
    point(part) {
      shown.point = part;
      document.body.dataset.took = performance.now() - shown.began;
      workers.draws().postMessage(asked(number));
      find("refusal").hidden = true;
      find("answer").hidden = false;
      table();
      sentence();
      if (shown.profile) profile();
      frontier();
    },
    warnings(part) {
      if (shown.whole && part.role === "law") return; // those of the draws say more
      shown.whole = part.role === "draws";
      find("warnings").hidden = !part.warnings.length;
      find("warned").replaceChildren(...part.warnings.map((words) => element("li", {}, words)));
    },
    profile({ points }) {
      shown.profile = points;
      profile();
    },
    frontier({ rows }) {
      shown.frontier = rows;
      frontier();
    },
    bands({ rows }) {
      shown.bands = rows;
      if (shown.point) frontier();
    },
    progress({ done, count }) {
      find("progress").textContent = `intervals: ${done} of ${count} draws of the law so far`;
    },
    intervals({ intervals, done, count }) {
      const level = share(state.level);
      find("progress").textContent =
        done < count
          ? `${level} intervals over the first ${done} of ${count} draws of the law`
          : `${level} intervals over all ${count} draws of the law`;
      shown.intervals = intervals;
      if (!shown.point) return;
      table();
      sentence();
    },
    refusal({ words, role }) {
      if (role === "draws") return;
      find("refusal").textContent = words;
      find("refusal").hidden = false;
      find("answer").hidden = true;
      find("warnings").hidden = true;
      find("summary").textContent = "";
    },
    done({ role }) {
      document.body.dataset.answered += `${role} `;
    },
  };

  function take(part) {
    takers[part.part](part);
  }

  function sentence() {
    const { best, ratio: times } = shown.point;
    const spanned = shown.intervals?.ratio?.map((value) => fixed(value, 2)).join(" to ");
    const by = state.row ? ` By draw ${state.row} of the law.` : "";
    const k = law.hasK ? ` and draw ${samples(best.k)} samples a problem` : "";
    const compared = `${law.metric === "pass@k" ? "" : "pass@k "}${fixed(times ?? NaN, 2)} times Chinchilla's`;
    const says =
      `Train ${amount(best.n)} parameters on ${amount(best.d)} tokens${k}: predicted ${law.metric} ${chance(best.value)}` +
      (times === null ? "." : `, ${compared}${spanned ? ` (${share(state.level)} interval ${spanned})` : ""}.`);
    find("summary").textContent = says + by;
    const { noRatio } = shown.point;
    find("noRatio").textContent = noRatio ? `No ratio to Chinchilla's: ${noRatio}.` : "";
  }

  function table() {
    const { best, chinchilla, rule, unit: coin } = shown.point;
    const spans = shown.intervals?.best ?? {};
    const cost = (value, plan) => `${money(value, coin)} (${share(value / plan.cost)})`;
    const rows = [
      ["parameters N", (plan) => amount(plan.n), spans.n, amount],
      ["training tokens D", (plan) => amount(plan.d), spans.d, amount],
      ...(law.hasK ? [[shown.mode === "two" ? "samples per problem k" : "samples per query k", (plan) => samples(plan.k), spans.k, samples]] : []),
      ["tokens per parameter", (plan) => ratio(plan.d / plan.n), spans.perParam, ratio],
      [`predicted ${law.metric}`, (plan) => chance(plan.value), spans.here, chance],
      ...(law.metric === "-log pass@k"
        ? [["that is pass@k", (plan) => chance(Math.exp(-plan.value)), spans.here?.map((value) => Math.exp(-value)).reverse(), chance]]
        : []),
      ...(shown.mode === "one"
        ? [
            ["training", (plan) => cost(plan.training, plan)],
            ["queries", (plan) => cost(plan.serving, plan)],
            ["everything", (plan) => money(plan.cost, coin), spans.cost?.[1] > spans.cost?.[0] * (1 + 1e-6) ? spans.cost : null, (value) => money(value, coin)],
          ]
        : []),
    ];
    const cells = rows.map(([label, show, span, words]) => [
      label, show(best), span ? `${words(span[0])} to ${words(span[1])}` : "", chinchilla ? show(chinchilla) : "-",
    ]);
    const head = ["", "plan", `${share(state.level)} interval`, `Chinchilla${rule ? ` (${general(rule, 6)} tokens/parameter)` : ""}`];
    find("plan").replaceChildren(
      element("thead", {}, element("tr", {}, ...head.map((words) => element("th", { scope: "col" }, words)))),
      element("tbody", {}, ...cells.map(([label, ...values]) =>
        element("tr", {}, element("th", { scope: "row" }, label), ...values.map((words) => element("td", { class: "number" }, words))))),
    );
  }

  // ---- drawn

  const round = (value) => general(value, 3);
  const power = (value) => value.toExponential(0).replace("e+", "e");
  const sizes = { label: "parameters N", show: amount, log: true };
  const y = {
    cost: { label: "cost", show: power, log: true },
    value: { label: metric, show: round },
    n: { label: "parameters N", show: amount, log: true },
    d: { label: "training tokens D", show: amount, log: true },
    k: { label: "samples k", show: round, log: true },
  };
  const charts = { profile: null, frontier: {} };

  function drawn() {
    charts.profile = new Chart(find("profile"), sizes, y.value);
    for (const name of ["cost", "value", "n", "d", ...(law.hasK ? ["k"] : [])]) {
      const place = element("div", { id: `frontier-${name}` });
      find("frontiers").append(place);
      charts.frontier[name] = new Chart(place, {}, y[name]);
    }
  }

  function profile() {
    const { best, chinchilla } = shown.point;
    const points = shown.profile.map((point) => ({ x: point.n, y: point.value, of: point }));
    const read = ({ of }) =>
      `N = ${amount(of.n)}, D = ${amount(of.d)}${law.hasK ? `, k = ${samples(of.k)}` : ""}: ${law.metric} ${chance(of.value)}`;
    const marks = [["ours", best], ["theirs", chinchilla]].flatMap(([kind, plan]) => (plan ? [{ kind, x: plan.n, y: plan.value }] : []));
    const values = marks.map((mark) => mark.y);
    // Far from the best, it does not matter how far.
    const bounds = law.higherIsBetter ? { floor: Math.min(...values) / 5 } : { ceiling: Math.max(...values) * 1.3 };
    const rules = (law.domain.n_params ?? []).filter((end) => points.length && end >= points[0].x && end <= points.at(-1).x);
    charts.profile.show({
      lines: [{ kind: "curve", points }],
      marks,
      rules: rules.map((end) => ({ x: end })),
      ...bounds,
      read,
      says: `Predicted ${law.metric} over parameters N for the same budget. Plan: ${read({ of: best })}.` +
        (chinchilla ? ` Chinchilla: ${read({ of: chinchilla })}.` : ""),
    });
  }

  // Along what a frontier runs.
  function across() {
    if (state.mode === "two") return { name: "training budget", label: "training budget 6ND (FLOPs)", show: power, log: true, at: state.train };
    if (state.mode === "one") return { name: "budget", label: `budget (${priced() ? unit.usd : unit.flops})`, show: power, log: true, at: state.budget };
    return { name: "target", label: `target ${metric}`, show: round, log: false, at: state.target };
  }

  function frontier() {
    const rows = shown.frontier;
    find("frontier").hidden = !rows?.length;
    if (!rows?.length) return;
    const x = across();
    find("frontier-title").textContent = `The best choice by ${x.name}`;
    find("banded").hidden = !shown.bands?.length;
    const { best, chinchilla } = shown.point;
    for (const [name, chart] of Object.entries(charts.frontier)) {
      // A target is reached, so that its cost is what moves.
      chart.place.hidden = name === (state.mode === "target" ? "value" : "cost");
      if (chart.place.hidden) continue;
      // For a target Chinchilla's may cost as much as ours does.
      const sides = [["ours", "best"], ...(name === "cost" ? [] : [["theirs", "chinchilla"]])];
      const line = ([kind, side]) => ({
        kind,
        points: rows.map((row) => ({ x: row.at, y: row[side]?.[name] ?? NaN, of: row })),
        band: (shown.bands ?? []).map((row) => ({ x: row.at, low: row[side][name][0], high: row[side][name][1] })),
      });
      const seen = law.domain[{ n: "n_params", d: "n_tokens", k: "k" }[name]] ?? [];
      const words = { value: chance, k: samples, cost: (value) => money(value, priced() ? unit.usd : unit.flops) }[name] ?? amount;
      const show = (plan) => (plan ? words(plan[name]) : "none");
      chart.x = x;
      chart.show({
        lines: sides.map(line),
        marks: [["theirs", chinchilla], ["ours", best]].flatMap(([kind, plan]) => (plan ? [{ kind, x: x.at, y: plan[name] }] : [])),
        rules: seen.map((end) => ({ y: end })),
        read: ({ of }) => `${x.name} ${round(of.at)}: plan ${show(of.best)}, Chinchilla ${show(of.chinchilla)}`,
        says: `${y[name].label} of the best choice by ${x.name}, from ${show(rows[0].best)} at ${round(rows[0].at)} to ` +
          `${show(rows.at(-1).best)} at ${round(rows.at(-1).at)}, Chinchilla's beside it.`,
      });
    }
  }

  build();
  drawn();
  reflect(null);
  ask();
})().catch((error) => {
  const place = document.getElementById("refusal");
  place.hidden = false;
  place.textContent = `This page needs a browser of 2023 or later, with WebAssembly and workers (${error.message}).`;
});
