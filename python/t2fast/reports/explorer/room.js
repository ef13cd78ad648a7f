"use strict";

// A model in the memory of the chips that hold it, with its samples in flight, and how long its samples take there.

const WEIGHT_BYTES = 2;

class Room {
  constructor({ chip, batch, mfu, mbu, promptTokens, outputTokens }, n) {
    Object.assign(this, { chip, batch, mfu, mbu, promptTokens, outputTokens, n, chips: 1 });
    this.tokens = promptTokens + outputTokens;
    this.weights = WEIGHT_BYTES * n;
    this.cache = chip.cache * n ** chip.cachePower;
    while (this.largestBatch < batch) this.chips *= 2;
  }

  get memory() {
    return this.chip.memory * this.chips;
  }

  // Samples in flight at which caches fill what the weights leave.
  get largestBatch() {
    const left = this.memory - this.weights;
    return left < 0 ? 0 : Math.floor(left / (this.cache * this.tokens));
  }

  // Latency of k samples of one query: the prompt, then a step a token, as often as not all samples fit at once.
  seconds(k) {
    const flops = this.chip.flops * this.chips * this.mfu;
    const bandwidth = this.chip.bandwidth * this.chips * this.mbu;
    const together = Math.min(k, this.largestBatch);
    const context = this.promptTokens + this.outputTokens / 2;
    const prompt = Math.max((2 * this.n * this.promptTokens) / flops, this.weights / bandwidth);
    const step = Math.max((2 * this.n * together) / flops, (this.weights + together * context * this.cache) / bandwidth);
    return prompt + this.outputTokens * step * Math.ceil(k / together);
  }

  // As `t2fast plan` says it.
  words(k) {
    const gigabytes = (bytes) => `${general(bytes / 1e9, 3)} GB`;
    const chips = `${grouped(this.chips)} chip${this.chips === 1 ? "" : "s"}`;
    const short = this.chips > 1 ? "; 1 does not hold it" : "";
    const waits = k <= this.largestBatch ? "" : `, ${grouped(this.largestBatch)} at a time`;
    const even = this.chips > 1 ? ", if these share bytes and arithmetic evenly" : "";
    return [
      `served on ${chips} of ${this.chip.name}, ${gigabytes(this.memory)}: weights ${gigabytes(this.weights)}, keys and ` +
        `values of ${general(this.batch, 6)} samples of ${grouped(this.tokens)} tokens ` +
        `${gigabytes(this.batch * this.tokens * this.cache)} (${general(this.cache / 1e6, 3)} MB a token); memory binds at ` +
        `a batch of ${grouped(this.largestBatch)}${short}`,
      `${k === 1 ? "1 sample takes" : `${samples(k)} samples together take`} ${general(this.seconds(k), 3)} s ` +
        `there${waits}, keys and values read and the chips free${even}`,
    ];
  }
}
