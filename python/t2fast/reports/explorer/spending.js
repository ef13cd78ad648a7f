"use strict";

// Plans under one budget for training and all queries, and the least cost of a target.

const WIDEST = { n: [1e3, 1e15], d: [1e3, 1e20] };
const MOST_SAMPLES = 1e9;
const TRILLION = 1e12;

// Cost of training a parameter on a token, of all prompts, and of a sample of each; on a chip in dollars, else in FLOPs.
// Of a sample's bytes there: weights a parameter, and keys and values, which grow with N by a power.
function pricesOf({ queries, promptTokens, outputTokens, chip, usdPerHour, batch, mfu, mbu }) {
  const work = [6, queries * (2 * promptTokens), queries * (2 * outputTokens)];
  if (!chip) return { prices: work, bytes: [0, 0, 0] };
  const second = usdPerHour / 3600;
  const read = second / (chip.flops * mfu);
  const moved = (queries * outputTokens * second) / (chip.bandwidth * mbu);
  const context = promptTokens + outputTokens / 2;
  return {
    prices: work.map((flops) => read * flops),
    bytes: [(2 * moved) / batch, moved * context * chip.cache, chip.cachePower],
  };
}

// What the model of N costs with D tokens and k samples.
function costOf({ prices, bytes }, n, d, k) {
  const [weights, caches, power] = bytes;
  const sample = Math.max(prices[2] * n, weights * n + caches * n ** power);
  return prices[0] * n * d + prices[1] * n + sample * k;
}

class OneBudget {
  constructor(core, asked) {
    this.core = core;
    this.law = core.law;
    this.asked = asked;
    this.unit = asked.chip ? "USD" : "FLOPs";
    const limits = heldToData(this.law, asked);
    checkText(this.law, asked.unique, asked.extrapolate);
    this.limits = limits;
    const within = ([low, high], [least, most]) => [Math.max(low, low === 1 ? least : 0), Math.min(high, Math.max(most, low))];
    this.search = {
      n: within(limits.n, WIDEST.n),
      ...pricesOf(asked),
      d: within(limits.d, WIDEST.d),
      k: [1, this.law.hasK ? Math.min(limits.mostK, MOST_SAMPLES) : 1],
      wholeK: limits.wholeK,
      unique: asked.unique,
      repeats: this.law.repeats,
    };
    this.targeted = asked.target !== null;
    // A law of -log pass@k is asked for pass@k all the same.
    this.amount = this.targeted ? (this.law.metric === "-log pass@k" ? -Math.log(asked.target) : asked.target) : asked.budget;
  }

  bought(changes = {}, row = this.asked.row, rows = 1) {
    const goal = this.targeted ? "target" : "budget";
    return this.core.purchases({ ...this.search, goal, amount: this.amount, ...changes }, row, rows);
  }

  best({ ...changes } = {}) {
    return this.bought(changes)[0];
  }

  // The best for what was spent, whatever was asked for.
  sameCost(changes = {}) {
    return this.best({ goal: "budget", amount: this.spent, ...changes });
  }

  point() {
    this.check();
    this.chosen = this.best();
    if (this.chosen === null) this.refuse();
    this.spent = this.targeted ? this.chosen.cost : this.asked.budget;
    this.other = this.core.purchases(this.comparison(), this.asked.row, 1)[0];
    const found = { best: this.chosen, chinchilla: this.other, rule: this.asked.ratio || RATIO, unit: this.unit };
    const room = this.asked.chip ? new Room(this.asked, this.chosen.n).words(this.chosen.k) : [];
    return { ...found, ...this.compared(), room };
  }

  comparison() {
    return {
      ...this.search, d: [1, 1e20], wholeK: false, goal: "ratio", amount: this.spent, ratio: this.asked.ratio || RATIO,
    };
  }

  check() {
    const { law, asked, search } = this;
    if (this.targeted && law.metric !== "loss" && !(asked.target > 0 && asked.target < 1)) {
      const name = law.metric === "-log pass@k" ? "pass@k" : law.metric;
      throw new Refusal(`target: ${name} ${asked.target} is not between 0 and 1`, "target");
    }
    if (this.targeted) return;
    const n = search.n[0];
    const least = costOf(search, n, search.d[0], search.k[0]);
    if (least > asked.budget) {
      throw new Refusal(
        `budget: ${money(asked.budget, this.unit)} is too little for the least model (${amount(n)} parameters, ` +
          `${amount(search.d[0])} tokens, k = ${general(search.k[0], 6)}), which costs ${money(least, this.unit)}, ` +
          `${general(least / asked.budget, 3)} times that`,
        "budget",
      );
    }
  }

  refuse() {
    const { law, search } = this;
    if (!this.targeted) throw new Error(`the ${law.name} law has no finite value under this budget: check its parameters`);
    const { n, d, k, value } = this.best({ goal: "highest" });
    throw new Refusal(
      `target: the law reaches ${law.metric} ${general(this.amount, 6)} nowhere with N up to ${amount(search.n[1])}, ` +
        `D up to ${amount(search.d[1])} and k up to ${general(search.k[1], 6)}; its best there is ${chance(value)}, ` +
        `${general(Math.abs(value - this.amount), 2)} short, at N = ${amount(n)}, D = ${amount(d)} and k = ${samples(k)}`,
      "target",
    );
  }

  worth(d) {
    const { unique } = this.asked;
    return unique === null ? d : effectiveTokens(d, unique, this.law.repeats);
  }

  compared() {
    const { law, other } = this;
    this.ours = this.targeted && other ? this.sameCost() : this.chosen;
    if (law.metric === "loss" || !other) return { ratio: null, noRatio: null };
    const seen = (plan) => ({ n: plan.n, d: this.worth(plan.d), k: plan.k });
    const noRatio = whyWithheld(law, seen(this.ours), seen(other), this.cut(other), law.believed);
    const ratio = ratioOf(law, this.ours.value, other.value);
    return { ratio: noRatio === null && Number.isFinite(ratio) ? ratio : null, noRatio };
  }

  cut({ n }) {
    const [low, high] = Object.keys(this.law.domain).length ? this.search.n : [0, Infinity];
    if (n >= high * (1 - 1e-6)) return BOUNDS[2];
    return n <= low * (1 + 1e-6) ? BOUNDS[1] : null;
  }

  // Values of rows at points.
  values(points, first, rows) {
    return this.core.values(points.map(({ n, d, k }) => ({ n, d: this.worth(d), k })), first, rows);
  }

  // What one size would give for the same money; null where it is not bought.
  atSize(n) {
    const { d, k } = this.search;
    const least = costOf(this.search, n, d[0], k[0]);
    return least > this.spent ? null : this.best({ goal: "budget", amount: this.spent, n: [n, n] });
  }

  // Where a frontier is drawn: budgets about this one, or targets.
  frontierPlaces(count) {
    if (!this.targeted) return spaced(this.asked.budget / 30, this.asked.budget * 30, count);
    if (this.law.metric === "loss") return spaced(this.amount * 0.8, this.amount * 1.25, count);
    return Array.from({ length: count }, (_, i) => (i + 0.5) / count);
  }

  // The plan for another budget or target, Chinchilla's beside it; null where there is none.
  frontierAt(at) {
    const logged = this.targeted && this.law.metric === "-log pass@k";
    const best = this.best({ amount: logged ? -Math.log(at) : at });
    if (!best) return null;
    const amount = this.targeted ? best.cost : at;
    return { best, chinchilla: this.core.purchases({ ...this.comparison(), amount }, this.asked.row, 1)[0] };
  }

  drawn(first, rows) {
    const bought = this.bought({}, first, rows);
    const others = this.other ? this.core.purchases(this.comparison(), first, rows) : [];
    const ours = this.targeted ? this.bought({ goal: "budget", amount: this.spent }, first, rows) : bought;
    const here = this.values([this.chosen], first, rows);
    return bought.map((best, i) => ({ best, ours: ours[i], chinchilla: others[i] ?? null, here: here[i] }));
  }

  intervals(drawn, level) {
    const found = drawn.flatMap(({ best }) => (best ? [best] : []));
    const best = { here: interval(drawn.map(({ here }) => here[0]), level) };
    if (found.length) {
      for (const axis of ["n", "d", "k", "value", "cost"]) best[axis] = interval(found.map((plan) => plan[axis]), level);
      best.perParam = interval(found.map(({ n, d }) => d / n), level);
    }
    const ratios = drawn.flatMap(({ ours, chinchilla }) =>
      ours && chinchilla ? [ratioOf(this.law, ours.value, chinchilla.value)].filter((value) => !Number.isNaN(value)) : [],
    );
    return { best, ratio: ratios.length ? interval(ratios, level) : null };
  }

  // What a plan is for, in words.
  aim(plan) {
    return this.targeted ? `a cost of ${money(plan.cost, this.unit)}` : this.valueWords(plan);
  }

  valueWords({ value }) {
    return this.law.metric === "-log pass@k" ? `pass@k ${chance(Math.exp(-value))}` : `${this.law.metric} ${chance(value)}`;
  }

  // As `best`, but for where the search stops: no worse is what is allowed more.
  wider(changes) {
    const found = this.best(changes) ?? this.chosen;
    return this.targeted && found.cost > this.chosen.cost ? this.chosen : found;
  }

  warnings(drawn) {
    return [
      ...this.bounds(),
      ...this.wall(),
      ...this.beyondData(),
      ...this.nothingBeside(),
      ...this.unspent(),
      ...this.unreached(drawn),
      ...this.law.cautions.map((caution) => `the law: ${caution}`),
    ];
  }

  *bounds() {
    for (const axis of ["n", "d", "k"]) {
      const [low, high] = this.search[axis];
      const value = this.chosen[axis];
      const end = value >= high * (1 - 1e-6) ? "most" : value <= low * (1 + 1e-6) ? "least" : null;
      if (!end || low === high || (axis === "k" && end === "least")) continue;
      const own = this.limits.ends.find((one) => one.axis === axis && one.end === end);
      const what = own
        ? endInWords(own, this.limits.factor)
        : `${SYMBOLS[axis]} = ${axis === "k" ? samples(value) : amount(value)}, the ${end} allowed`;
      const further = this.aim(this.wider({ [axis]: end === "most" ? [low, 2 * high] : [low / 2, high] }));
      const here = this.aim(this.chosen);
      const brings = further === here ? "would bring nothing" : `would bring ${further} in place of ${here}`;
      yield `held to ${what}; twice as far ${brings}, by the law`;
    }
  }

  *wall() {
    const { unique } = this.asked;
    if (unique === null) return;
    const epochs = this.chosen.d / unique;
    if (epochs <= 1) {
      yield `${amount(unique)} tokens are enough text: ${share(epochs)} of it is read once`;
      return;
    }
    const more = this.sameCost({ unique: unique + TRILLION });
    yield `text is short: read ${general(epochs, 2)} times, ${amount(this.chosen.d)} tokens are worth ` +
      `${amount(this.worth(this.chosen.d))} unique ones (Muennighoff et al. 2023); another trillion would bring ` +
      `${this.valueWords(more)} in place of ${this.valueWords(this.chosen)}`;
  }

  *beyondData() {
    const { n, d, k } = this.chosen;
    const held = new Set(binding(this.limits, this.chosen).map(({ axis }) => axis));
    if (this.asked.unique !== null) held.delete("d");
    yield* beyondData(this.law, { n, d: this.worth(d), k }, held);
  }

  *nothingBeside() {
    if (this.other) return;
    const [low, high] = this.search.n;
    yield `this budget buys no model with ${general(this.asked.ratio || RATIO, 6)} tokens a parameter and N from ` +
      `${amount(low)} to ${amount(high)}: nothing to compare with`;
  }

  *unspent() {
    if (this.targeted) return;
    const left = 1 - this.chosen.cost / this.asked.budget;
    if (left <= 1e-6) return;
    yield this.chosen.d < this.search.d[1] * (1 - 1e-6)
      ? `the law gets worse with more than ${amount(this.chosen.d)} tokens here: ${share(left, 1)} of the budget is ` +
        "better left unspent"
      : `these limits leave ${share(left, 1)} of the budget unspent`;
  }

  *unreached(drawn) {
    if (!drawn?.length) return;
    const missing = drawn.filter(({ best }) => !best).length / drawn.length;
    if (missing > 0) {
      yield `${share(missing)} of the law's draws reach the target nowhere in these ranges; the intervals are of the others`;
    }
  }
}

// What tokens are worth of which so many are unique (Muennighoff et al. 2023, equation 5).
function effectiveTokens(d, unique, repeats) {
  const full = Math.min(unique, d);
  const times = d / full;
  return full + (times > 1 ? full * -repeats * Math.expm1(-(times - 1) / repeats) : 0);
}
