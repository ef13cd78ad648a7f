"use strict";

// The page: it asks the workers, and shows what comes back.
(async () => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const { law } = facts;
  const metric = facts.metrics[law.metric];
  const find = (id) => document.getElementById(id);

  let number = 0;
  let shown = null;
  const views = {};
  const workers = await openWorkers();

  async function openWorkers() {
    const code = URL.createObjectURL(new Blob([find("work").textContent], { type: "text/javascript" }));
    const begin = () => {
      const worker = new Worker(code);
      worker.onmessage = ({ data }) => data.id === number && take(data);
      return worker;
    };
    // A worker takes longer to begin than the core to unpack, so that it begins first.
    const first = begin();
    const [module, file] = await Promise.all([
      WebAssembly.compileStreaming(unpacked("core", "application/wasm")),
      unpacked("law", "application/json").json(),
    ]);
    const whole = { ...file, ...law.traits };
    const ready = (worker, role) => {
      worker.postMessage({ module, law: whole, role });
      return worker;
    };
    // That of the draws, once there is an answer for it not to keep waiting.
    let draws = null;
    return {
      law: ready(first, "law"),
      draws: () => (draws ??= ready(begin(), "draws")),
      here: await Core.of(module, { ...whole, draws: [] }),
    };
  }

  // What the page holds compressed; as a response, so that the core is compiled while it is unpacked.
  function unpacked(id, type) {
    const text = find(id).textContent.trim();
    const bytes = Uint8Array.fromBase64?.(text) ?? ofLetters(atob(text));
    const stream = new DecompressionStream("gzip");
    const writer = stream.writable.getWriter();
    writer.write(bytes);
    writer.close();
    return new Response(stream.readable, { headers: { "Content-Type": type } });
  }

  function ofLetters(letters) {
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
    return bytes;
  }

  function ask() {
    number += 1;
    const { mode } = form.state;
    // What is drawn of a mode stays until there is something newer.
    views[mode] ??= { mode, profile: null, spread: null, frontier: null, bands: null };
    shown = Object.assign(views[mode], { intervals: null, whole: false, began: performance.now() });
    document.body.dataset.answered = "";
    busy(true);
    workers.law.postMessage(form.asked(number));
  }

  function busy(whether) {
    for (const id of ["summary", "main"]) find(id).setAttribute("aria-busy", whether);
  }

  const takers = {
    point(part) {
      shown.point = part;
      document.body.dataset.took = performance.now() - shown.began;
      workers.draws().postMessage(form.asked(number));
      busy(false);
      find("refusal").hidden = true;
      form.blame(null);
      find("answer").hidden = false;
      shown.spread = null;
      find("progress").textContent = "";
      find("room").replaceChildren(...(part.room ?? []).map((words) => element("li", {}, words)));
      table();
      sentence();
      soon(profile);
      soon(frontier);
    },
    warnings(part) {
      if (shown.whole && part.role === "law") return; // those of the draws say more
      shown.whole = part.role === "draws";
      find("warnings").hidden = !part.warnings.length;
      find("warned").replaceChildren(...part.warnings.map((words) => element("li", {}, words)));
    },
    profile({ points }) {
      shown.profile = points;
      soon(profile);
    },
    spread({ ends }) {
      shown.spread = ends;
      soon(profile);
    },
    frontier(part) {
      shown.frontier = part;
      soon(frontier);
    },
    bands(part) {
      shown.bands = part;
      soon(frontier);
    },
    progress({ done, count }) {
      find("progress").textContent = `intervals: ${done} of ${count} draws of the law so far`;
    },
    intervals({ intervals, done, count }) {
      const level = share(form.state.level);
      find("progress").textContent =
        done < count
          ? `${level} intervals over the first ${done} of ${count} draws of the law`
          : `${level} intervals over all ${count} draws of the law`;
      shown.intervals = intervals;
      if (!shown.point) return;
      table();
      sentence();
    },
    refusal({ words, field, role }) {
      // A draw's number is its place among those that were planned together.
      const why = words.replace(/ in draw \d+/, "");
      find("progress").textContent = role === "draws" ? `no intervals, because of one draw: ${why}` : "";
      if (role === "draws") return;
      busy(false);
      form.blame(field);
      // The command's names by those of the fields.
      const named = words.replace(`${field}: `, "").replace("extrapolate=", `“${form.label("extrapolate")}” `);
      find("refusal").textContent = field ? `${form.label(field)}: ${named}` : named;
      find("refusal").hidden = false;
      find("answer").hidden = true;
      find("warnings").hidden = true;
      find("summary").textContent = "";
    },
    done({ role, id }) {
      soon(function answered() {
        if (id === number) document.body.dataset.answered += `${role} `;
      });
    },
  };

  function take(part) {
    if (part.part === "point" && shown.point?.id === part.id) return;
    takers[part.part](part);
  }

  function sentence() {
    const { best, ratio: times } = shown.point;
    const spanned = shown.intervals?.ratio?.map((value) => fixed(value, 2)).join(" to ");
    const by = form.state.row ? ` By draw ${form.state.row} of the law.` : "";
    const k = law.hasK ? ` and draw ${samples(best.k)} samples a problem` : "";
    const compared = `${law.metric === "pass@k" ? "" : "pass@k "}${fixed(times ?? NaN, 2)} times Chinchilla's`;
    const says =
      `Train ${amount(best.n)} parameters on ${amount(best.d)} tokens${k}: predicted ${law.metric} ${chance(best.value)}` +
      (times === null ? "." : `, ${compared}${spanned ? ` (${share(form.state.level)} interval ${spanned})` : ""}.`);
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
      ...(shown.mode !== "two"
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
    const head = ["", "plan", `${share(form.state.level)} interval`, `Chinchilla${rule ? ` (${general(rule, 6)} tokens a parameter)` : ""}`];
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

  // Charts are drawn once a frame, however many answers came meanwhile.
  const due = new Set();
  function soon(draw) {
    if (!due.size) requestAnimationFrame(paint);
    due.add(draw);
  }

  function paint() {
    const now = [...due];
    due.clear();
    for (const draw of now) draw();
  }

  function profile() {
    if (!shown.profile || !shown.point) return;
    const { best, chinchilla } = shown.point;
    // The spread is of the same sizes, once both workers have answered.
    const spread = shown.spread?.length === shown.profile.length ? shown.spread : [];
    const points = shown.profile.map((point, i) => ({ x: point.n, y: point.value, low: spread[i]?.[0], high: spread[i]?.[1], of: point }));
    find("spread").hidden = !spread.length;
    const read = ({ of, low, high }) =>
      `N = ${amount(of.n)}, D = ${amount(of.d)}${law.hasK ? `, k = ${samples(of.k)}` : ""}: ${law.metric} ${chance(of.value)}` +
      (low === undefined ? "" : ` (${chance(low)} to ${chance(high)})`);
    const mark = (kind, plan, here = []) => (plan ? [{ kind, x: plan.n, y: plan.value, low: here[0], high: here[1] }] : []);
    const { best: ours, chinchilla: theirs } = (spread.length && shown.intervals) || {};
    const marks = [...mark("ours", best, ours?.here), ...mark("theirs", chinchilla, theirs?.here)];
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
    if (form.state.mode === "two") return { name: "training budget", label: "training budget 6ND (FLOPs)", show: power, log: true, at: form.state.train };
    if (form.state.mode === "one") return { name: "budget", label: `budget (${form.coin})`, show: power, log: true, at: form.state.budget };
    return { name: "target", label: `target ${facts.sought}`, show: round, log: false, at: form.state.target };
  }

  function frontier() {
    const rows = shown.point && shown.frontier?.rows;
    // Bands about another frontier would mislead.
    const bands = shown.bands && shown.bands.key === shown.frontier?.key ? shown.bands.rows : [];
    find("frontier").hidden = !rows?.length;
    if (!rows?.length) return;
    const x = across();
    find("frontier-title").textContent = `The best choice by ${x.name}`;
    find("banded").hidden = !bands.length;
    const { best, chinchilla } = shown.point;
    for (const [name, chart] of Object.entries(charts.frontier)) {
      // A target is reached, so that its cost is what moves.
      chart.place.hidden = name === (form.state.mode === "target" ? "value" : "cost");
      if (chart.place.hidden) continue;
      // For a target Chinchilla's may cost as much as ours does.
      const sides = [["ours", "best"], ...(name === "cost" ? [] : [["theirs", "chinchilla"]])];
      const line = ([kind, side]) => ({
        kind,
        points: rows.map((row) => ({ x: row.at, y: row[side]?.[name] ?? NaN, of: row })),
        band: bands.map((row) => ({ x: row.at, low: row[side][name][0], high: row[side][name][1] })),
      });
      const seen = law.domain[{ n: "n_params", d: "n_tokens", k: "k" }[name]] ?? [];
      const words = { value: chance, k: samples, cost: (value) => money(value, form.coin) }[name] ?? amount;
      const show = (plan) => (plan ? words(plan[name]) : "none");
      chart.x = x;
      if (name === "cost") chart.y = { ...y.cost, label: `cost (${form.coin})` };
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

  drawn();
  const form = new Form(facts, ask);
  ask();
  // On a busy machine a worker takes longer to begin than all else together: the first plan is made here.
  const asked = form.asked(number);
  take({ id: number, part: "point", ...new TwoBudgets(workers.here, asked).point() });
})().catch((error) => {
  const place = document.getElementById("refusal");
  place.hidden = false;
  place.textContent = `This page needs a browser of 2023 or later, with WebAssembly and workers (${error.message}).`;
});
