"use strict";

// Plans under two budgets: 6ND for training, 2Nk for each token served.

const BOUNDS = [
  null,
  "the n_params minimum",
  "the n_params maximum",
  "the least k, one sample unless listed (n_params = inference_flops/(2 k))",
  "the n_tokens minimum",
  "the n_tokens maximum",
  "the k maximum",
];
const CUT = [1, 2, 5];
const MOVED = 1.5; // factor of N from which on a plan says that the process moved it

class TwoBudgets {
  constructor(core, asked) {
    this.core = core;
    this.law = core.law;
    this.asked = asked;
    this.budget = [asked.train, this.law.hasK ? asked.inference : Infinity];
    const ratio = asked.ratio ?? (this.law.latent ? RATIO : 0);
    this.limits = { ...heldToData(this.law, asked), ratio };
  }

  planned(limits, row) {
    return this.core.plans([this.budget], limits, row, 1)[0][0];
  }

  // The plan by one row of the law, Chinchilla's beside it.
  point() {
    checkReach(this.budget, this.limits);
    const { best, chinchilla } = this.planned(this.limits, this.asked.row);
    this.best = best;
    this.chinchilla = chinchilla;
    const cut = Object.keys(this.law.domain).length && CUT.includes(chinchilla.bound) ? BOUNDS[chinchilla.bound] : null;
    const noRatio = this.law.metric === "loss" ? null : whyWithheld(this.law, best, chinchilla, cut, this.law.believed);
    const ratio = ratioOf(this.law, best.value, chinchilla.value);
    const believed = noRatio === null && Number.isFinite(ratio);
    return { best, chinchilla, rule: this.limits.ratio, ratio: believed ? ratio : null, noRatio };
  }

  // What every size would buy, evenly in ln N, as far as the limits allow.
  profile(points) {
    const { n, d } = this.limits;
    const ceiling = Math.min(this.budget[1] / 2, this.budget[0] / (6 * d[0]));
    const [small, large] = [this.best.n, this.chinchilla.n].sort((a, b) => a - b);
    const [low, high] = [Math.max(n[0], small / 30), Math.min(n[1], large * 30, ceiling)];
    const line = this.core.line(this.budget, this.limits, spaced(low, high, points));
    const [values] = this.core.values(line, this.asked.row, 1);
    return line.map((point, i) => ({ ...point, value: values[i] }));
  }

  // Values of rows at points.
  values(points, first, rows) {
    return this.core.values(points, first, rows);
  }

  // Plans over training budgets, as far as the data reach.
  frontierBudgets(points) {
    const { n, d } = this.limits;
    const [low, high] = [6 * n[0] * d[0], 6 * n[1] * d[1]];
    return Number.isFinite(high) ? spaced(low * (1 + 1e-9), high, points) : spaced(this.asked.train / 100, this.asked.train * 100, points);
  }

  frontierAt(train, row, rows) {
    return this.core.plans([[train, this.budget[1]]], this.limits, row, rows)[0];
  }

  // Plans by some draws, and what they say of this very plan.
  drawn(first, rows) {
    const plans = this.core.plans([this.budget], this.limits, first, rows)[0];
    const { best, chinchilla } = this;
    const here = this.values([best, chinchilla], first, rows);
    return plans.map((plan, i) => ({ ...plan, here: here[i] }));
  }

  // Intervals over draws of all that has one.
  intervals(drawn, level) {
    const of = (side, at) => {
      const choices = drawn.map((draw) => draw[side]);
      const found = {
        n: interval(choices.map(({ n }) => n), level),
        d: interval(choices.map(({ d }) => d), level),
        perParam: interval(choices.map(({ n, d }) => d / n), level),
        value: interval(choices.map(({ value }) => value), level),
        here: interval(drawn.map(({ here }) => here[at]), level),
      };
      if (this.law.hasK) found.k = interval(choices.map(({ k }) => k), level);
      return found;
    };
    const ratios = drawn.map(({ best, chinchilla }) => ratioOf(this.law, best.value, chinchilla.value));
    const ratio = interval(ratios, level);
    return { best: of("best", 0), chinchilla: of("chinchilla", 1), ratio: ratio.every(Number.isFinite) ? ratio : null };
  }

  // What to know before trusting it; `drawn` once the draws are planned.
  warnings(drawn) {
    return [
      ...this.moved(),
      ...beyondData(this.law, this.best, new Set(binding(this.limits, this.best).map(({ axis }) => axis))),
      ...this.withoutSamples(),
      ...this.movedByProcess(),
      ...this.bounds(drawn),
      ...this.unspent(),
      ...this.backwards(),
      ...this.law.cautions.map((caution) => `the law: ${caution}`),
    ];
  }

  *withoutSamples() {
    if (this.law.hasK || !Number.isFinite(this.best.k)) return;
    yield "the law says nothing of samples: k is what the inference budget pays for at this N";
  }

  *moved() {
    const { bound } = this.chinchilla;
    if (bound) yield `Chinchilla's N was moved by ${BOUNDS[bound]}`;
  }

  *movedByProcess() {
    if (!this.law.hasProcess || this.asked.row) return;
    const alone = this.core.withoutProcess(this.budget, this.limits)?.best.n;
    if (Math.max(this.best.n / alone, alone / this.best.n) > MOVED) {
      yield `the process, that is the checkpoints nearby, puts N here: by the laws alone N = ${amount(alone)} would be best`;
    }
  }

  *bounds(drawn) {
    const found = binding(this.limits, this.best);
    for (const end of found) {
      const further = this.planned(lifted(this.limits, end), this.asked.row).best.value;
      yield `held to ${endInWords(end, this.limits.factor)}; twice as far would bring ${this.law.metric} ` +
        `${general(further, 4)} in place of ${general(this.best.value, 4)}, by the law`;
    }
    const { bound } = this.best;
    if (bound !== 0 && !found.length) yield `the plan sits on ${BOUNDS[bound]}`;
    if (!drawn?.length) return;
    const counts = BOUNDS.map((_, code) => drawn.filter(({ best }) => best.bound === code && code !== bound).length);
    if (counts.reduce((sum, count) => sum + count) <= 0.05 * drawn.length) return;
    const where = counts.flatMap((count, code) =>
      code && count ? [`${share(count / drawn.length)} end on ${BOUNDS[code]}`] : [],
    );
    if (where.length) yield `of the law's draws ${where.join(", ")}, which cuts the intervals there`;
    if (counts[0] > 0.05 * drawn.length) yield `${share(counts[0] / drawn.length)} of the law's draws end on no bound`;
  }

  *unspent() {
    const { n, d, k } = this.best;
    const [train, inference] = this.budget;
    if (6 * n * d < train * (1 - 1e-9)) {
      yield `the n_tokens maximum leaves ${share(1 - (6 * n * d) / train, 1)} of the training budget unspent`;
    }
    if (Number.isFinite(k) && !this.limits.wholeK && 2 * n * k < inference * (1 - 1e-9)) {
      yield `the k maximum leaves ${share(1 - (2 * n * k) / inference, 1)} of the inference budget unspent`;
    }
  }

  // A hundredth less of each resource at the plan must not look better.
  *backwards() {
    const { n, d, k } = this.best;
    const points = [{ n, d, k }, { n, d: 0.99 * d, k }, { n, d, k: Math.max(0.99 * k, 1) }];
    const [[value, ...less]] = this.core.values(points, this.asked.row, 1);
    const sign = this.law.higherIsBetter ? -1 : 1;
    for (const [i, resource] of ["tokens", "samples"].entries()) {
      if (sign * (less[i] - value) < -1e-9 * Math.abs(value)) {
        yield `the law gets worse with more ${resource} here, yet the plan takes all that budgets and limits allow`;
      }
    }
  }
}

// Numbers at even ratios from one end to the other.
function spaced(low, high, count) {
  if (!(high > low)) return [low];
  const [from, to] = [Math.log(low), Math.log(high)];
  return Array.from({ length: count }, (_, i) =>
    i === 0 ? low : i === count - 1 ? high : Math.exp(from + ((to - from) * i) / (count - 1)),
  );
}
