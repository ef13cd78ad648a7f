"use strict";

// The core, compiled to WebAssembly, and the law in it. Row 0 is the law itself, the others are its draws. Numbers are
// written where `numbers` says, answers read where `answers` says; a count below 0 is a refusal in words.
class Core {
  constructor(instance, law) {
    this.exports = instance.exports;
    this.law = law;
    this.rows = law.name === "forecast" ? this.keepForecast(law) : this.keepFormula(law);
    if (this.rows < 1) throw new Error("this page holds no whole law");
  }

  // `module` is compiled.
  static async of(module, law) {
    return new Core(await WebAssembly.instantiate(module, {}), law);
  }

  write(numbers) {
    const place = this.exports.numbers(numbers.length);
    new Float64Array(this.exports.memory.buffer, place, numbers.length).set(numbers);
  }

  ask(name, numbers, ...rest) {
    this.write(numbers);
    const count = this.exports[name](...rest);
    const memory = this.exports.memory.buffer;
    if (count < 0) {
      const bytes = new Uint8Array(memory, this.exports.words(), this.exports.words_length());
      throw new Error(new TextDecoder().decode(bytes));
    }
    return new Float64Array(memory, this.exports.answers(), count).slice();
  }

  keepFormula(law) {
    this.write([...Object.values(law.params), ...law.draws.flat()]);
    return this.exports.formula(["chinchilla", "loss", "accuracy", "counts", "direct"].indexOf(law.name));
  }

  keepForecast(law) {
    const width = law.k.length;
    const missing = (value) => value ?? NaN;
    const members = law.members.map(({ l, scale, ...parameters }) => [scale, Object.values(parameters)]);
    this.write([
      ...law.checkpoints.flatMap(([n, d]) => [Math.log(n), Math.log(d)]),
      ...law.k,
      ...law.checkpoints.flatMap((row) => row.slice(2, 2 + width).map(missing)),
      ...law.checkpoints.flatMap((row) => row.slice(2 + width).map(missing)),
      ...members.flatMap(([, parameters]) => parameters),
      ...members.map(([scale]) => scale),
      law.widening,
      ...law.draws.flat().map(missing),
    ]);
    const metric = ["pass@k", "accuracy", "loss"].indexOf(law.metric);
    return this.exports.forecast(metric, law.chance, law.checkpoints.length, width, law.draws.length);
  }

  // Plans under pairs of budgets, [budget][row]: the best choice, and Chinchilla's.
  plans(budgets, limits, first, rows) {
    const numbers = this.ask("plans", [...limitNumbers(limits), ...budgets.flat()], first, rows);
    return budgets.map((_, i) => Array.from({ length: rows }, (_, j) => planOf(numbers, 10 * (i * rows + j))));
  }

  withoutProcess(budget, limits) {
    const numbers = this.ask("without_process", [...limitNumbers(limits), ...budget]);
    return numbers.length ? planOf(numbers, 0) : null;
  }

  // Tokens and samples that a pair of budgets buys at sizes.
  line(budget, limits, sizes) {
    const numbers = this.ask("line", [...limitNumbers(limits), ...budget, ...sizes]);
    return sizes.map((n, i) => ({ n, d: numbers[2 * i], k: numbers[2 * i + 1] }));
  }

  // Values of rows at points {n, d, k}, [row][point].
  values(points, first, rows) {
    const hasK = this.law.hasK;
    const numbers = this.ask("values", points.flatMap(({ n, d, k }) => [n, d, hasK ? k : 1]), first, rows);
    const width = points.length;
    return Array.from({ length: rows }, (_, i) => Array.from(numbers.subarray(i * width, (i + 1) * width)));
  }

  // What rows buy under one budget, or for a target at least cost; null where there is nothing.
  purchases(search, first, rows) {
    const { n, prices, bytes, d, k, wholeK, unique, repeats, goal, amount, ratio } = search;
    const which = ["budget", "ratio", "target", "highest"].indexOf(goal);
    const numbers = this.ask(
      "purchases",
      [...n, ...prices, ...bytes, ...d, ...k, wholeK ? 1 : 0, unique ?? Infinity, repeats, which, amount, ratio ?? NaN],
      first,
      rows,
    );
    return Array.from({ length: rows }, (_, i) => {
      const [n, d, k, value, training, serving] = numbers.subarray(7 * i);
      return Number.isNaN(n) ? null : { n, d, k, value, training, serving, cost: training + serving };
    });
  }
}

function limitNumbers({ n, d, mostK, wholeK, ratio }) {
  return [...n, ...d, mostK, wholeK ? 1 : 0, ratio ?? 0];
}

function planOf(numbers, place) {
  const side = (at) => {
    const [n, d, k, value, bound] = numbers.subarray(at, at + 5);
    return { n, d, k, value, bound };
  };
  return { best: side(place), chinchilla: side(place + 5) };
}
