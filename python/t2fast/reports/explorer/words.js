"use strict";

// Numbers as t2fast prints them elsewhere.

// As Python's format(value, ".1f"): of two equally near the even one, where toFixed takes the larger. A value lies in the
// middle only if it is an odd number of halves of 1/2^places.
function fixed(value, places) {
  const text = value.toFixed(places);
  const middle = (Math.abs(value) * 2 ** (places + 1)) % 2 === 1;
  return middle && Number(text.at(-1)) % 2 ? (value - Math.sign(value) * 0.5 * 10 ** -places).toFixed(places) : text;
}

// Likewise format(value, ".2e"), with digits - 1 in place of 2.
function scientific(value, digits) {
  const text = value.toExponential(digits - 1);
  const [mantissa, power] = text.split("e");
  const unit = 10 ** (Number(power) - digits + 1);
  const middle = unit > 1 && Math.abs(value) % unit === unit / 2;
  return middle && Number(mantissa.at(-1)) % 2 ? (value - (Math.sign(value) * unit) / 2).toExponential(digits - 1) : text;
}

// Likewise format(value, ".3g").
function general(value, digits) {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const [mantissa, power] = scientific(value, digits).split("e");
  const exponent = Number(power);
  const bare = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent < -4 || exponent >= digits) {
    return `${bare(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
  }
  return bare(fixed(value, digits - 1 - exponent));
}

function grouped(value, places = 0) {
  const [whole, part] = fixed(value, places).split(".");
  const shown = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part === undefined ? shown : `${shown}.${part}`;
}

function amount(value) {
  if (value === null || !Number.isFinite(value)) return "-";
  for (const [unit, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= 0.9995 * unit && value < 1e15) return general(value / unit, 3) + letter;
  }
  return general(value, 3);
}

function samples(value) {
  if (value === null || !Number.isFinite(value)) return "-";
  if (value >= 1e12) return general(value, 3);
  return value === Math.round(value) || value >= 1000 ? grouped(value) : general(value, 3);
}

function ratio(value) {
  return value >= 1e12 ? general(value, 3) : value >= 10 ? grouped(value) : general(value, 2);
}

function chance(value) {
  return Math.abs(value) > 0 && Math.abs(value) < 9.5e-4 ? general(value, 2) : fixed(value, 4);
}

function share(value, places = 0) {
  return `${fixed(100 * value, places)}%`;
}

function money(value, unit) {
  if (unit === "FLOPs") return `${general(value, 3)} FLOPs`;
  return value >= 100 && value < 1e12 ? `${grouped(value)} USD` : `${general(value, 3)} USD`;
}

// A number such as 1e9, 160M or 1.2B; NaN for anything else.
function parsed(text) {
  const found = /^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)\s*([kmbt]?)\s*$/i.exec(text.replaceAll(",", ""));
  return found ? Number(found[1]) * ({ k: 1e3, m: 1e6, b: 1e9, t: 1e12 }[found[2].toLowerCase()] ?? 1) : NaN;
}

// The quantile of a share of numbers: of the place that one more draw would have.
function quantile(numbers, at) {
  const rising = Float64Array.from(numbers).sort();
  const last = rising.length - 1;
  const place = Math.min(Math.max(at * (last + 2) - 1, 0), last);
  const low = Math.min(Math.floor(place), Math.max(last - 1, 0));
  const [a, b, t] = [rising[low], rising[Math.min(low + 1, last)], place - low];
  return t >= 0.5 ? b - (b - a) * (1 - t) : a + (b - a) * t;
}

function interval(numbers, level) {
  return [quantile(numbers, (1 - level) / 2), quantile(numbers, (1 + level) / 2)];
}
