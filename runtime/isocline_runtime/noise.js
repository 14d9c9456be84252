// The random numbers of stochastic models, as the Python runtime draws them; docs/noise.md specifies them.
//
//   import { normals } from "./noise.js";
//   const W = normals({ seed: 1, stream: 0, samples: 256, steps: 64, channels: 5 }, [0, 1, 2]);
//
// Every function gives a Float64Array over (rows, samples, steps, channels), the last axis fastest; `drawNoise` takes an
// entry of a manifest and gives the array of the model's dtype. Seeds and rows are numbers below 2^53, or BigInts below
// 2^64. Uniform numbers and counts have the bits of the Python runtime, the others differ by rounding.

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;

/** The high word of the product of two words, from products of half words. */
function multiplyHigh(a, b) {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + (middle >>> 16) + (carried >>> 16)) >>> 0;
}

/** Philox 4x32-10: four words from a counter of four and a key of two, written into `out`. */
export function philox4x32(w0, w1, w2, w3, k0, k1, out = new Uint32Array(4)) {
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(w0, MULTIPLIER_0), low0 = Math.imul(w0, MULTIPLIER_0);
    const high1 = multiplyHigh(w2, MULTIPLIER_1), low1 = Math.imul(w2, MULTIPLIER_1);
    w0 = (high1 ^ w1 ^ k0) >>> 0;
    w1 = low1 >>> 0;
    w2 = (high0 ^ w3 ^ k1) >>> 0;
    w3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  out[0] = w0;
  out[1] = w1;
  out[2] = w2;
  out[3] = w3;
  return out;
}

/** The low and the high word of a number of 64 bits. */
function split(number, name) {
  const given = BigInt(number);
  if (given < 0n || given >= 1n << 64n || (typeof number === "number" && !Number.isSafeInteger(number))) {
    throw new RangeError(`${name} is ${number}; it is an integer from 0 to 2^64 - 1, a BigInt above 2^53`);
  }
  return [Number(given & 0xffffffffn), Number(given >> 32n)];
}

function complete(draws) {
  const all = {
    seed: 0, stream: 0, samples: 1, steps: 1, channels: 1, firstSample: 0, firstStep: 0,
    antithetic: false, lattice: false, ...draws,
  };
  const points = (all.lattice ? 2 ** 20 : 2 ** 24) * (all.lattice && all.antithetic ? 2 : 1);
  const limits = [
    ["stream", all.stream, 2 ** 32 - 1], ["samples", all.firstSample + all.samples, points],
    ["steps", all.firstStep + all.steps, 2 ** 20], ["channels", all.channels, 2 ** 20],
  ];
  for (const [name, value, most] of limits) {
    if (!(Number.isInteger(value) && 0 <= value && value <= most)) {
      throw new RangeError(`${name} is ${value}; it lies between 0 and ${most}`);
    }
  }
  return all;
}

const uniform = (high, low) => (high * 2 ** 20 + (low >>> 12) + 0.5) * 2 ** -52;

function reverseBits(word) {
  let reversed = 0;
  for (let bit = 0; bit < 32; bit++) reversed |= ((word >>> bit) & 1) << (31 - bit);
  return reversed >>> 0;
}

/**
 * Calls `visit(u, v, mirrored, place)` for every block of every row: its two uniform numbers, and where it stands in an
 * array over (rows, samples, blocks, channels). Blocks are numbered along the steps from `begin` to `end`.
 */
function eachBlock(draws, rows, begin, end, visit) {
  const { samples, channels, firstSample, antithetic, lattice } = draws;
  const [k0, k1] = philox4x32(draws.stream, 0, 0, 0, ...split(draws.seed, "the seed"));
  const words = new Uint32Array(4);
  let place = 0;
  for (const row of rows) {
    const [rowLow, rowHigh] = split(row, "a row");
    for (let n = firstSample; n < firstSample + samples; n++) {
      const sample = antithetic ? n >>> 1 : n;
      const reversed = reverseBits(sample);
      for (let block = begin; block < end; block++) {
        for (let channel = 0; channel < channels; channel++) {
          const dimension = 2 * block * channels + channel;
          const inside = lattice && dimension + channels < GENERATING_VECTOR.length;
          const own = inside ? 0 : sample;
          const low = channel + (block & 0xfff) * 2 ** 20, high = (block >>> 12) + own * 2 ** 8;
          philox4x32(rowLow, rowHigh, low, high, k0, k1, words);
          let first = words[0], second = words[2];
          if (inside) {
            first = (first + Math.imul(reversed, GENERATING_VECTOR[dimension])) >>> 0;
            second = (second + Math.imul(reversed, GENERATING_VECTOR[dimension + channels])) >>> 0;
          }
          visit(uniform(first, words[1]), uniform(second, words[3]), antithetic && n % 2 === 1, place++);
        }
      }
    }
  }
}

/** A number of every uniform number u; `mirrored` says that 1 - u stands for it. */
function ofPairs(draws, rows, number) {
  const { samples, steps, channels, firstStep } = draws;
  const begin = firstStep >>> 1, end = (firstStep + steps + 1) >>> 1, width = end - begin;
  const result = new Float64Array(rows.length * samples * steps * channels);
  eachBlock(draws, rows, begin, end, (u, v, mirrored, place) => {
    const channel = place % channels, along = Math.floor(place / channels);
    const step = 2 * (begin + (along % width)) - firstStep, path = Math.floor(along / width);
    const at = (path * steps + step) * channels + channel;
    if (step >= 0) result[at] = number(u, mirrored, step);
    if (step + 1 < steps) result[at + channels] = number(v, mirrored, step + 1);
  });
  return result;
}

/** Uniform numbers in (0, 1). */
export function uniforms(draws, rows) {
  return ofPairs(complete(draws), rows, (u, mirrored) => (mirrored ? 1 - u : u));
}

/** 1 where the uniform number lies below the probability, else 0. */
export function bernoulli(draws, rows, probability) {
  if (!(probability >= 0 && probability <= 1)) {
    throw new RangeError(`probability is ${probability}; it lies between 0 and 1`);
  }
  return uniforms(draws, rows).map((u) => (u < probability ? 1 : 0));
}

/** Standard normals; of a lattice, ordered by a Brownian bridge. */
export function normals(draws, rows) {
  const all = complete(draws);
  const result = ofPairs(all, rows, (u, mirrored) => (mirrored ? -normalQuantile(u) : normalQuantile(u)));
  if (!all.lattice) return result;
  if (all.firstStep) throw new RangeError("a lattice of normals begins at step 0: its steps are halves of longer ones");
  return bridge(result, rows.length * all.samples, all.steps, all.channels);
}

/** Symmetric stable numbers, whose characteristic function is exp(-|t|^alpha). */
export function stable(draws, rows, alpha) {
  const all = complete(draws);
  if (!(alpha >= 0.1 && alpha <= 2)) throw new RangeError(`alpha is ${alpha}; it lies between 0.1 and 2`);
  if (all.lattice) throw new RangeError("a stable number reads two uniform numbers, which a lattice does not give");
  const result = new Float64Array(rows.length * all.samples * all.steps * all.channels);
  eachBlock(all, rows, all.firstStep, all.firstStep + all.steps, (u, v, mirrored, place) => {
    const angle = Math.PI * (u - 0.5);
    const bent = (Math.cos((1 - alpha) * angle) / -Math.log(v)) ** ((1 - alpha) / alpha);
    const size = (Math.sin(alpha * angle) / Math.sin(Math.PI * Math.min(u, 1 - u)) ** (1 / alpha)) * bent;
    result[place] = mirrored ? -size : size;
  });
  return result;
}

/** Counts of a Poisson process, of one rate or of a list of rates, one for each step. */
export function poisson(draws, rows, rate) {
  const rates = typeof rate === "number" ? [rate] : [...rate];
  const tables = rates.map(cumulative);
  return ofPairs(complete(draws), rows, (u, mirrored, step) => {
    const { lowest, table } = tables[tables.length === 1 ? 0 : step];
    return lowest + above(table, mirrored ? 1 - u : u);
  });
}

/**
 * The array of a noise that the manifest of an artifact lists (`noises`), for the input of its name and of shape
 * [rows.length, noise.samples, noise.steps, noise.channels]; in the dtype of the model.
 */
export function drawNoise(noise, seed, rows) {
  if (noise.generator !== "philox4x32-10" || noise.version !== 1) {
    throw new RangeError(`the noise ${noise.name} is of ${noise.generator}, version ${noise.version}; not drawn here`);
  }
  const { stream, samples, steps, channels, ordering, distribution } = noise;
  const design = { antithetic: ordering.startsWith("antithetic"), lattice: ordering.endsWith("lattice") };
  const draws = { seed, stream, samples, steps, channels, ...design };
  const single = noise.dtype === "float32";
  const most = single ? 2 ** 128 - 2 ** 104 : Number.MAX_VALUE;
  const numbers =
    distribution === "poisson" ? poisson(draws, rows, noise.rates)
    : distribution === "uniform" ? uniforms(draws, rows)
    : distribution === "bernoulli" ? bernoulli(draws, rows, noise.probability)
    : distribution === "stable" ? stable(draws, rows, noise.alpha).map((x) => Math.min(Math.max(x, -most), most))
    : normals(draws, rows);
  return single ? Float32Array.from(numbers) : numbers;
}

/** How many entries of an increasing table are at most u. */
function above(table, u) {
  let low = 0, high = table.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (table[middle] <= u) low = middle + 1;
    else high = middle;
  }
  return low;
}

function cumulative(rate) {
  if (!(rate >= 0 && rate <= 2 ** 23)) throw new RangeError(`a rate lies between 0 and ${2 ** 23}`);
  const mode = Math.floor(rate), reach = Math.ceil(9 * Math.sqrt(rate)) + 40;
  const lowest = Math.max(0, mode - reach);
  const table = new Float64Array(mode + reach + 1 - lowest);
  table[mode - lowest] = 1;
  for (let k = mode; k > lowest; k--) table[k - 1 - lowest] = table[k - lowest] * (k / rate);
  for (let k = mode + 1; k <= mode + reach; k++) table[k - lowest] = table[k - 1 - lowest] * (rate / k);
  for (let i = 1; i < table.length; i++) table[i] += table[i - 1];
  const sum = table[table.length - 1];
  return { lowest, table: table.map((value) => value / sum) };
}

/** Independent normals along the steps to standard increments of a path, the coarse ones first. */
function bridge(numbers, paths, steps, channels) {
  const result = new Float64Array(numbers.length);
  for (let path = 0; path < paths; path++) {
    for (let channel = 0; channel < channels; channel++) {
      const at = (step) => (path * steps + step) * channels + channel;
      if (steps) result[at(0)] = numbers[at(0)] * Math.sqrt(steps);
      const waiting = [[0, steps]];
      for (let next = 0, number = 1; next < waiting.length; next++) {
        const [begin, end] = waiting[next];
        if (end - begin < 2) continue;
        const middle = (begin + end) >>> 1, left = middle - begin, right = end - middle;
        waiting.push([begin, middle], [middle, end]);
        const sum = result[at(begin)];
        const part = sum * (left / (end - begin)) + numbers[at(number++)] * Math.sqrt((left * right) / (end - begin));
        result[at(begin)] = part;
        result[at(middle)] = sum - part;
      }
    }
  }
  return result;
}

/** The number below which a standard normal lies with probability u: Wichura (1988), AS 241, PPND16. */
export function normalQuantile(u) {
  const q = u - 0.5;
  const x = 0.180625 - q * q;
  if (x >= 0) return (horner(CENTRAL[0], x) / horner(CENTRAL[1], x)) * q;
  const r = Math.sqrt(-Math.log(0.5 - Math.abs(q)));
  const [[above, below], y] = r > 5 ? [DISTANT, r - 5] : [NEAR, r - 1.6];
  const size = horner(above, y) / horner(below, y);
  return q < 0 ? -size : size;
}

function horner(coefficients, x) {
  let sum = coefficients[0];
  for (let i = 1; i < coefficients.length; i++) sum = sum * x + coefficients[i];
  return sum;
}

// Numerator and denominator, from the highest power down.
const CENTRAL = [
  [
    2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4, 4.5921953931549871457e4,
    1.3731693765509461125e4, 1.9715909503065514427e3, 1.3314166789178437745e2, 3.3871328727963666080,
  ],
  [
    5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4, 2.1213794301586595867e4,
    5.3941960214247511077e3, 6.8718700749205790830e2, 4.2313330701600911252e1, 1.0,
  ],
];
const NEAR = [
  [
    7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1, 1.27045825245236838258,
    3.64784832476320460504, 5.76949722146069140550, 4.63033784615654529590, 1.42343711074968357734,
  ],
  [
    1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2, 1.48103976427480074590e-1,
    6.89767334985100004550e-1, 1.67638483018380384940, 2.05319162663775882187, 1.0,
  ],
];
const DISTANT = [
  [
    2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3, 2.65321895265761230930e-2,
    2.96560571828504891230e-1, 1.78482653991729133580, 5.46378491116411436990, 6.65790464350110377720,
  ],
  [
    2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5, 7.86869131145613259100e-4,
    1.48753612908506148525e-2, 1.36929880922735805310e-1, 5.99832206555887937690e-1, 1.0,
  ],
];

// Cools, Kuo, Nuyens (2006), Constructing embedded lattice rules for multivariate integration, SIAM J. Sci. Comput. 28.
const GENERATING_VECTOR = [
  1, 182667, 469891, 498753, 110745, 446247, 250185, 118627, 245333, 283199, 408519, 391023, 246327, 126539, 399185,
  461527, 300343, 69681, 516695, 436179, 106383, 238523, 413283, 70841, 47719, 300129, 113029, 123925, 410745, 211325,
  17489, 511893, 40767, 186077, 519471, 255369, 101819, 243573, 66189, 152143, 503455, 113217, 132603, 463967, 297717,
  157383, 224015, 502917, 36237, 94049, 170665, 79397, 123963, 223451, 323871, 303633, 98567, 318855, 494245, 477137,
  177975, 64483, 26695, 88779, 94497, 239429, 381007, 110205, 339157, 73397, 407559, 181791, 442675, 301397, 32569,
  147737, 189949, 138655, 350241, 63371, 511925, 515861, 434045, 383435, 249187, 492723, 479195, 84589, 99703, 239831,
  269423, 182241, 61063, 130789, 143095, 471209, 139019, 172565, 487045, 304803, 45669, 380427, 19547, 425593, 337729,
  237863, 428453, 291699, 238587, 110653, 196113, 465711, 141583, 224183, 266671, 169063, 317617, 68143, 291637,
  263355, 427191, 200211, 365773, 254701, 368663, 248047, 209221, 279201, 323179, 80217, 122791, 316633, 118515,
  14253, 129509, 410941, 402601, 511437, 10469, 366469, 463959, 442841, 54641, 44167, 19703, 209585, 69037, 33317,
  433373, 55879, 245295, 10905, 468881, 128617, 417919, 45067, 442243, 359529, 51109, 290275, 168691, 212061, 217775,
  405485, 313395, 256763, 152537, 326437, 332981, 406755, 423147, 412621, 362019, 279679, 169189, 107405, 251851,
  5413, 316095, 247945, 422489, 2555, 282267, 121027, 369319, 204587, 445191, 337315, 322505, 388411, 102961, 506099,
  399801, 254381, 452545, 309001, 147013, 507865, 32283, 320511, 264647, 417965, 227069, 341461, 466581, 386241,
  494585, 201479, 151243, 481337, 68195, 75401, 58359, 448107, 459499, 9873, 365117, 350845, 181873, 7917, 436695,
  43899, 348367, 423927, 437399, 385089, 21693, 268793, 49257, 250211, 125071, 341631, 310163, 94631, 108795, 21175,
  142847, 383599, 71105, 65989, 446433, 177457, 107311, 295679, 442763, 40729, 322721, 420175, 430359, 480757,
];
