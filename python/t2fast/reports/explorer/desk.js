"use strict";

// What a worker does: it answers what is asked in parts, the quickest first, and drops them when something else is asked.
// One worker has the law, another its draws, so that what takes seconds keeps nothing waiting.

const SLICE = 40; // milliseconds of work between two looks at what is asked
const PROFILE = 120; // sizes of a profile
const SIZES = 60; // sizes of a profile that is searched size by size
const BUDGETS = 25; // budgets of a frontier
const SEARCHED = 15; // those of one that is searched budget by budget
const BANDS = 13; // budgets of its bands
const ENOUGH = 40; // draws from which on an interval is shown

class Desk {
  constructor(module, law, role) {
    Object.assign(this, { module, law, role, number: 0, cores: new Map(), known: {} });
  }

  // The core for a row of the law, and the row's place in it. A forecast law takes long to load with all its draws.
  async core(row) {
    const alone = this.role === "law" && this.law.name === "forecast";
    const key = alone ? row : 0;
    if (!this.cores.has(key)) {
      const draws = alone ? this.law.draws.slice(row - 1, row && row) : this.law.draws;
      this.cores.clear();
      this.cores.set(key, Core.of(this.module, { ...this.law, draws }));
    }
    return [await this.cores.get(key), alone ? Math.min(row, 1) : row];
  }

  async answer(asked, say) {
    const mine = ++this.number;
    await rest(); // whatever else was asked meanwhile comes first
    if (mine !== this.number) return;
    try {
      const [core, row] = await this.core(asked.row);
      const problem = asked.mode === "two" ? new TwoBudgets(core, { ...asked, row }) : new OneBudget(core, { ...asked, row });
      const parts = this.role === "law" ? this.byLaw(problem, asked) : this.byDraws(problem, asked);
      for (const part of parts) {
        if (mine !== this.number) return;
        if (part) say({ id: asked.id, ...part });
        await rest();
      }
    } catch (error) {
      const broken = error instanceof WebAssembly.RuntimeError;
      if (broken) this.cores.clear();
      const { message, field = null } = error;
      if (mine === this.number) say({ id: asked.id, part: "refusal", words: broken ? "no answer to this" : message, field });
    }
  }

  *byLaw(problem, asked) {
    yield { part: "point", ...problem.point() };
    yield { part: "warnings", warnings: problem.warnings(null) };
    const points = yield* this.sizes(problem, asked);
    yield { part: "profile", points };
    yield* asked.mode === "two" ? this.twoByLaw(problem, asked) : this.oneByLaw(problem);
    yield { part: "done" };
  }

  // What every size would buy.
  *sizes(problem, { mode }) {
    if (mode === "two") return problem.profile(PROFILE);
    const points = [];
    for (const n of spaced(...problem.search.n, SIZES)) {
      const found = problem.atSize(n);
      if (found) points.push(found);
      if (points.length % 5 === 0) yield null;
    }
    return points;
  }

  *twoByLaw(problem, asked) {
    yield* this.onceOnly("frontier", asked, function* () {
      const rows = [];
      for (const at of problem.frontierBudgets(BUDGETS)) {
        rows.push({ at, ...problem.frontierAt(at, problem.asked.row, 1)[0] });
        if (rows.length % 5 === 0) yield null;
      }
      yield { part: "frontier", rows };
    });
  }

  *oneByLaw(problem) {
    const rows = [];
    for (const at of problem.frontierPlaces(SEARCHED)) {
      const found = problem.frontierAt(at);
      if (found) rows.push({ at, ...found });
      yield null;
    }
    yield { part: "frontier", rows };
  }

  *byDraws(problem, asked) {
    problem.point();
    const count = this.law.draws.length;
    if (count) {
      let said = 0;
      const drawn = [];
      for (const part of this.slices(count, (first, rows) => problem.drawn(first, rows))) {
        drawn.push(...part);
        const whole = drawn.length === count;
        if (whole || (drawn.length >= ENOUGH && performance.now() - said > 250)) {
          yield { part: "intervals", intervals: problem.intervals(drawn, asked.level), done: drawn.length, count };
          said = performance.now();
        } else yield { part: "progress", done: drawn.length, count };
      }
      yield { part: "warnings", warnings: problem.warnings(drawn) };
      yield* this.spread(problem, asked, count);
      if (asked.mode === "two") yield* this.bands(problem, asked, count);
    }
    yield { part: "done" };
  }

  // Intervals of what every size brings, in the order of `sizes`.
  *spread(problem, asked, count) {
    const points = yield* this.sizes(problem, asked);
    const drawn = [];
    for (const part of this.slices(count, (first, rows) => problem.values(points, first, rows))) {
      drawn.push(...part);
      yield null;
    }
    yield { part: "spread", ends: points.map((_, i) => interval(drawn.map((values) => values[i]), asked.level)) };
  }

  *bands(problem, asked, count) {
    const slices = this.slices.bind(this);
    yield* this.onceOnly("bands", asked, function* () {
      const rows = [];
      for (const at of problem.frontierBudgets(BANDS)) {
        const plans = [];
        for (const part of slices(count, (first, rows) => problem.frontierAt(at, first, rows))) {
          plans.push(...part);
          yield null;
        }
        const of = (side) => {
          const ends = (value) => interval(plans.map((plan) => value(plan[side])), asked.level);
          return { n: ends(({ n }) => n), d: ends(({ d }) => d), k: ends(({ k }) => k), value: ends(({ value }) => value) };
        };
        rows.push({ at, best: of("best"), chinchilla: of("chinchilla") });
        yield { part: "bands", rows: [...rows] };
      }
    });
  }

  // Draws in as many parts as keep each short.
  *slices(count, work) {
    let rows = 1;
    for (let first = 1; first <= count; ) {
      const start = performance.now();
      const found = work(first, Math.min(rows, count - first + 1));
      const took = performance.now() - start;
      first += rows;
      if (took < SLICE / 2) rows *= 2;
      else if (took > SLICE && rows > 1) rows = Math.ceil(rows / 2);
      yield found;
    }
  }

  // A frontier does not move with the training budget: done once for all else that is asked.
  *onceOnly(what, { id, train, ...rest }, parts) {
    const key = JSON.stringify(rest);
    if (this.known[what] === key) return;
    this.known[what] = null;
    for (const part of parts()) yield part && { ...part, key };
    this.known[what] = key;
  }
}

function rest() {
  return new Promise((resume) => setTimeout(resume));
}

// The page has this, too, for its first answer.
if (typeof document === "undefined") {
  let desk = null;
  self.onmessage = ({ data }) => {
    if (data.module) desk = new Desk(data.module, data.law, data.role);
    else desk.answer(data, (part) => self.postMessage({ role: desk.role, ...part }));
  };
}
