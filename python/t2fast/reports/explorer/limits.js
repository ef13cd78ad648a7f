"use strict";

// What keeps a plan near the law's data, in the words of `t2fast plan`.

const SYMBOLS = { n: "N", d: "D", k: "k" };
const AXES = { n: "n_params", d: "n_tokens", k: "k" };
const NEAR = 4; // factor of N, or of D, within which a plan should have a measured checkpoint
const RATIO = 20; // tokens per parameter of Chinchilla's choice where the law has no training loss of its own

// What cannot be planned, in the words of `t2fast plan`, and the field of the form that is to blame.
class Refusal extends Error {
  constructor(words, field) {
    super(words);
    this.field = field;
  }
}

// The ranges asked for, narrowed to a factor beyond the law's data, and which of their ends are the data's.
function heldToData(law, { n, d, mostK, wholeK, extrapolate }) {
  const held = { n: [...n], d: [...d], mostK, wholeK };
  const ends = [];
  for (const axis of ["n", "d"]) {
    const seen = law.domain[AXES[axis]];
    if (!seen) continue;
    const [least, most] = seen;
    const [low, high] = held[axis];
    const [from, to] = [Math.max(low, least / extrapolate), Math.min(high, most * extrapolate)];
    if (from > to) {
      const beyond = low > most ? low / most : least / high;
      throw new Refusal(
        `${SYMBOLS[axis]} ${between(low, high)} lies beyond what the law was fitted on ` +
          `(${amount(least)} to ${amount(most)}): allow it by extrapolate=${roundedUp(beyond)}`,
        `${low > most ? "least" : "most"}${axis.toUpperCase()}`,
      );
    }
    if (from > low) ends.push({ axis, end: "least", limit: from, seen: least });
    if (to < high) ends.push({ axis, end: "most", limit: to, seen: most });
    held[axis] = [from, to];
  }
  if (law.hasK && law.domain.k) {
    const most = Math.max(law.domain.k[1] * extrapolate, 1);
    if (most < held.mostK) {
      held.mostK = most;
      ends.push({ axis: "k", end: "most", limit: most, seen: law.domain.k[1] });
    }
  }
  return { ...held, ends, factor: extrapolate };
}

// A range, its open ends left out.
function between(low, high) {
  if (high === Infinity) return `from ${amount(low)} on`;
  return low === 1 ? `up to ${amount(high)}` : `from ${amount(low)} to ${amount(high)}`;
}

// Refuses text that, however often it is read, is worth less than the law is believed for.
function checkText(law, unique, extrapolate) {
  if (unique === null || !law.domain.n_tokens) return;
  const least = law.domain.n_tokens[0];
  const most = unique * (1 + law.repeats);
  if (most >= least / extrapolate) return;
  throw new Refusal(
    `unique_tokens: however often ${amount(unique)} tokens are read, they are worth less than ` +
      `${amount(most)} (Muennighoff et al. 2023), ${general(least / most, 3)}x below the least D that the law ` +
      `was fitted on (${amount(least)}): allow it by extrapolate=${roundedUp(least / most)}`,
    "unique",
  );
}

// Refuses budgets that buy nothing as large as what the law may be believed for.
function checkReach(budget, limits) {
  const [train, inference] = budget;
  const byData = limits.ends.filter(({ end }) => end === "least").map(({ axis }) => axis);
  if (!byData.length) return;
  const [n, d] = [limits.n[0], limits.d[0]];
  const [training, sampling] = [6 * n * d, 2 * n];
  if (!(training / train > 1 || (byData.includes("n") && sampling / inference > 1))) return;
  const further = [(training / train) ** (1 / byData.length)];
  if (byData.includes("n")) further.push(sampling / inference);
  const allowed = roundedUp(limits.factor * Math.max(...further));
  const short =
    training > train
      ? `${general(train, 3)} training FLOPs buy no model that this law can speak of: the least that it is believed ` +
        `for, ${amount(n)} parameters on ${amount(d)} tokens, costs ${general(training, 2)}, ` +
        `${general(training / train, 3)}x as much`
      : `${general(inference, 3)} inference FLOPs per token draw not one sample from the smallest model that this law ` +
        `is believed for, ${amount(n)} parameters (2N = ${general(sampling, 2)})`;
  throw new Refusal(`${short}. Raise the budget, or allow it by extrapolate=${allowed}`, training > train ? "train" : "inference");
}

// The ends of the data that a choice sits on.
function binding(limits, choice) {
  return limits.ends.filter(({ axis, end, limit }) => {
    const value = choice[axis];
    if (!Number.isFinite(value)) return false;
    return end === "most" ? value >= limit * (1 - 1e-9) : value <= limit * (1 + 1e-9);
  });
}

// How far N, D and k lie outside what the law was fitted on, or else from all of its checkpoints; `held` are axes on a
// limit that is named, with how far beyond the data it is, elsewhere.
function* beyondData(law, place, held) {
  let outside = false;
  for (const axis of ["n", "d", "k"]) {
    const value = place[axis];
    if (axis === "k" && !law.hasK) continue;
    const [low, high] = law.domain[AXES[axis]] ?? [-Infinity, Infinity];
    const below = value < low && axis !== "k";
    if (!below && !(value > high && Number.isFinite(value))) continue;
    outside ||= axis !== "k";
    if (held.has(axis)) continue;
    const [times, end] = below
      ? [low / value, `below the smallest fitted (${amount(low)})`]
      : [value / high, `above the largest fitted (${amount(high)})`];
    yield `${SYMBOLS[axis]} = ${amount(value)} is ${general(times, 3)}x ${end}`;
  }
  if (!outside && law.hasProcess) yield* noNeighbour(law.checkpoints, place);
}

// The nearest checkpoint, where the ranges of N and D hold a place that no checkpoint is near.
function* noNeighbour(checkpoints, { n, d }) {
  const away = checkpoints.map((row) => [Math.abs(Math.log(row[0] / n)), Math.abs(Math.log(row[1] / d))]);
  const far = away.map(([x, y]) => Math.hypot(x, y));
  const nearest = far.indexOf(far.reduce((least, one) => Math.min(least, one)));
  const [ofN, ofD] = away[nearest].map(Math.exp);
  if (Math.max(ofN, ofD) <= NEAR) return;
  const [seenN, seenD] = checkpoints[nearest];
  yield `no checkpoint is near: the nearest, N = ${amount(seenN)} at D = ${amount(seenD)}, is ${general(ofN, 3)}x away in N ` +
    `and ${general(ofD, 3)}x in D`;
}

// The limits with one end moved outward by a further factor of two.
function lifted(limits, { axis, end, limit }) {
  const moved = limit * (end === "most" ? 2 : 0.5);
  if (axis === "k") return { ...limits, mostK: moved };
  const [low, high] = limits[axis];
  return { ...limits, [axis]: end === "most" ? [low, moved] : [Math.max(moved, 1), high] };
}

function endInWords({ axis, end, limit, seen }, factor) {
  const shown = axis === "k" ? (value) => general(value, 3) : amount;
  const beyond = factor === 1 ? "" : `, ${general(factor, 6)}x beyond the ${end} it was fitted on`;
  return `${SYMBOLS[axis]} = ${shown(limit)}, where this law stops being believed${beyond} (${shown(seen)})`;
}

// The largest factor by which a choice lies outside the law's data; at least 1.
function distance(law, choice) {
  const factors = [1];
  for (const axis of ["n", "d", "k"]) {
    const seen = law.domain[AXES[axis]];
    const value = choice[axis];
    if (!seen || !Number.isFinite(value) || (axis === "k" && !law.hasK)) continue;
    factors.push(value / seen[1]);
    if (axis !== "k") factors.push(seen[0] / value);
  }
  return Math.max(...factors);
}

// Why a ratio of two choices cannot be believed; `cut` is what moved Chinchilla's.
function whyWithheld(law, ours, theirs, cut, believed) {
  for (const [whose, choice] of [["the plan", ours], ["Chinchilla's choice", theirs]]) {
    const beyond = distance(law, choice);
    if (beyond > believed * (1 + 1e-9)) return `${whose} lies ${general(beyond, 3)}x outside the law's data`;
  }
  return cut === null ? null : `Chinchilla's choice is cut by ${cut}`;
}

// Our pass@k over Chinchilla's; NaN for a loss, or where Chinchilla's is 0.
function ratioOf(law, ours, theirs) {
  if (law.metric === "loss") return NaN;
  if (law.metric === "-log pass@k") return Math.exp(theirs - ours);
  return theirs > 0 ? Math.exp(Math.log(ours) - Math.log(theirs)) : NaN;
}

// A factor with two digits, rounded up, so that it suffices as typed.
function roundedUp(factor) {
  const scale = 10 ** (1 - Math.floor(Math.log10(factor)));
  return general(Math.ceil(factor * scale * (1 - 1e-12)) / scale, 6);
}
