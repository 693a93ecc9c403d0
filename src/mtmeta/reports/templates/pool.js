// Pooling in the page, by the formulas of the Python package; tests hold both equal to the printed digit.
const pooling = (() => {
  // Special functions: power series and continued fractions (Abramowitz and Stegun 6.5.29, 6.5.31, 26.5.8).
  const COEFFICIENTS = [676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
    12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7];
  function logGamma(x) { // Lanczos, g = 7
    if (x < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - logGamma(1 - x);
    let sum = 0.99999999999980993;
    COEFFICIENTS.forEach((c, i) => { sum += c / (x + i); });
    const t = x + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  }
  function upperGamma(a, x) { // Q(a, x), regularised
    if (x <= 0) return 1;
    const front = Math.exp(a * Math.log(x) - x - logGamma(a));
    if (x < a + 1) {
      let term = 1 / a, sum = term;
      for (let n = 1; n < 100000 && term > sum * 1e-17; n++) { term *= x / (a + n); sum += term; }
      return 1 - front * sum;
    }
    let b = x + 1 - a, c = 1e300, d = 1 / b, h = d;
    for (let i = 1; i < 100000; i++) {
      const an = -i * (i - a);
      b += 2;
      d = 1 / (an * d + b || 1e-300);
      c = b + an / c || 1e-300;
      h *= d * c;
      if (Math.abs(d * c - 1) < 1e-16) break;
    }
    return front * h;
  }
  function incompleteBeta(a, b, x) { // I_x(a, b)
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(b, a, 1 - x);
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    let c = 1, d = 1 / (1 - (a + b) * x / (a + 1) || 1e-300), h = d;
    for (let m = 1; m < 100000; m++) {
      let e = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / (1 + e * d || 1e-300); c = 1 + e / c || 1e-300; h *= d * c;
      e = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / (1 + e * d || 1e-300); c = 1 + e / c || 1e-300; h *= d * c;
      if (Math.abs(d * c - 1) < 1e-16) break;
    }
    return front * h / a;
  }
  function twoSided(z, df) {
    if (!Number.isFinite(z)) return 0;
    return df === Infinity ? upperGamma(0.5, z * z / 2) : incompleteBeta(df / 2, 0.5, df / (df + z * z));
  }
  // The root of a function that falls through zero between low and high, to the last bit.
  function root(f, low, high) {
    for (let i = 0; i < 2000; i++) {
      const middle = low + (high - low) / 2;
      if (middle <= low || middle >= high) break;
      if (f(middle) > 0) low = middle; else high = middle;
    }
    return low + (high - low) / 2;
  }
  const known = new Map();
  function critical(level, df) {
    const key = `${level} ${df}`;
    if (!known.has(key)) {
      let high = 2;
      while (twoSided(high, df) > 1 - level) high *= 2;
      known.set(key, root((x) => twoSided(x, df) - (1 - level), 0, high));
    }
    return known.get(key);
  }
  const chi2Tail = (x, df) => (df > 0 ? upperGamma(df / 2, x / 2) : 1);
  function chi2Median(df) {
    let high = Math.max(1, df);
    while (chi2Tail(high, df) > 0.5) high *= 2;
    return root((x) => chi2Tail(x, df) - 0.5, 0, high);
  }

  // Sums over the studies at a between-study variance t.
  function moments(y, v, t) {
    let w = 0, w2 = 0, wy = 0, least = Infinity;
    for (let i = 0; i < v.length; i++) least = Math.min(least, v[i] + t);
    const ws = new Float64Array(v.length);
    for (let i = 0; i < v.length; i++) {
      ws[i] = least / (v[i] + t);
      w += ws[i]; w2 += ws[i] * ws[i]; wy += ws[i] * (y[i] - y[0]);
    }
    const mean = wy / w;
    let q = 0, qq = 0;
    for (let i = 0; i < v.length; i++) {
      const gap = y[i] - y[0] - mean;
      q += ws[i] * gap * gap; qq += ws[i] * ws[i] * gap * gap;
    }
    return {w: w / least, trace: (w - w2 / w) / least, mean: y[0] + mean, q: q / least, qq: qq / least / least};
  }
  function logLikelihood(y, v, t, restricted) {
    const at = moments(y, v, t);
    let logs = restricted ? Math.log(at.w) : 0;
    for (const x of v) logs += Math.log(x + t);
    return -0.5 * (logs + at.q);
  }
  // The highest of all maxima of the (restricted) likelihood over t >= 0.
  function likelihoodMaximum(y, v, restricted) {
    const k = v.length, free = restricted ? k - 1 : k;
    const least = Math.min(...extremes(v)), most = Math.max(...extremes(v));
    const average = y.reduce((a, b) => a + b, 0) / k;
    const s = y.reduce((a, b) => a + (b - average) ** 2, 0) / free;
    const upper = Math.max(0, 0.5 * (s + Math.sqrt(s * (s + 4 * (most - least)))) * (1 + 1e-9) - least);
    const score = (t) => {
      const at = moments(y, v, t);
      return at.qq - (restricted ? at.trace : at.w);
    };
    const length = Math.log1p(upper / least), cells = Math.max(8, Math.ceil(length / 0.05));
    const candidates = score(0) <= 0 ? [0] : [];
    let before = 0, value = score(0);
    for (let i = 1; i <= cells; i++) {
      const t = least * Math.expm1(length * i / cells), next = score(t);
      if (value > 0 && next <= 0) candidates.push(root(score, before, t));
      before = t; value = next;
    }
    if (value > 0) candidates.push(root(score, before, 2 * before + least));
    const heights = candidates.map((t) => logLikelihood(y, v, t, restricted));
    return candidates[heights.indexOf(Math.max(...heights))];
  }
  function extremes(v) {
    let low = Infinity, high = -Infinity;
    for (const x of v) { low = Math.min(low, x); high = Math.max(high, x); }
    return [low, high];
  }
  function solveQ(y, v, target) {
    if (moments(y, v, 0).q <= target) return 0;
    let high = extremes(v)[1];
    while (moments(y, v, high).q > target) high *= 2;
    return root((t) => moments(y, v, t).q - target, 0, high);
  }
  function spread(y) {
    const average = y.reduce((a, b) => a + b, 0) / y.length;
    return y.reduce((a, b) => a + (b - average) ** 2, 0) / y.length;
  }
  function tauSquared(y, v, method) {
    const k = v.length, df = k - 1;
    if (df < 1 || method === "none") return 0;
    const at0 = moments(y, v, 0);
    let t;
    switch (method) {
      case "REML": case "ML": t = likelihoodMaximum(y, v, method === "REML"); break;
      case "PM": case "EB": t = solveQ(y, v, df); break;
      case "PMM": t = solveQ(y, v, chi2Median(df)); break;
      case "DL": t = (at0.q - df) / at0.trace; break;
      case "HS": t = (at0.q - k) / at0.w; break;
      case "HSk": t = (at0.q * k / df - k) / at0.w; break;
      case "HE": t = spread(y) * k / df - v.reduce((a, b) => a + b, 0) / k; break;
      case "SJ": { const start = spread(y); t = start * moments(y, v, start).q / df; break; }
      default: throw new Error(`unknown estimator ${method}`);
    }
    return Math.max(0, t);
  }

  const back = {
    "identity": (x) => x,
    "log": Math.exp,
    "logit": (x) => (x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x))),
    "fisher z": Math.tanh,
    "arcsine root": (x) => Math.sin(Math.min(Math.max(x, 0), Math.PI / 2)) ** 2,
    "Freeman-Tukey": (x) => Math.sin(Math.min(Math.max(x, 0), Math.PI / 2)) ** 2,
  };
  const FEWEST = {"V": 3, "HTS": 3, "normal": 2, "HK": 2, "HK-PR": 3};

  // y, v: effects and variances; model: {kind, tau2, ci, pi, level}. Returns what PoolResult tells.
  function pool(y, v, model) {
    const k = y.length, df = k - 1, level = model.level;
    if (!k) return null;
    const random = model.kind !== "common";
    const tau2 = random ? tauSquared(y, v, model.tau2) : 0;
    const at = moments(y, v, tau2), at0 = moments(y, v, 0);
    const classic = Math.sqrt(1 / at.w);
    let ci = random ? model.ci : "Wald";
    if (ci === "auto") ci = k <= 2 || tau2 === 0 ? "Wald" : "HKSJ";
    if (ci !== "Wald" && k < 2) return {refused: `the interval ${ci} needs at least 2 studies and there is ${k}`};
    const factor = df > 0 ? at.q / df : 1;
    const knapp = classic * Math.sqrt(ci === "HKSJ-floor" ? Math.max(1, factor) : factor);
    const se = ci === "Wald" ? classic : knapp, free = ci === "Wald" ? Infinity : df;
    const half = critical(level, free) * se;
    const statistic = se > 0 ? (at.mean - model.null) / se : (at.mean - model.null) / 0 || 0;
    const vt = df > 0 ? df / at0.trace : 0;
    let pi = null;
    if (random && k >= FEWEST[model.pi]) {
      const hk = model.pi === "HK" || model.pi === "HK-PR";
      const part = hk ? classic * Math.sqrt(ci === "HKSJ-floor" ? Math.max(1, factor) : factor) : classic;
      const dfPi = model.pi === "normal" ? Infinity : (model.pi === "HTS" || model.pi === "HK-PR" ? k - 2 : df);
      const reach = critical(level, dfPi) * Math.sqrt(tau2 + part * part);
      pi = [at.mean - reach, at.mean + reach];
    }
    const weights = Array.from(v, (x) => 1 / (x + tau2) / at.w);
    return {
      k, estimate: at.mean, se, df: free, ci: [at.mean - half, at.mean + half], pi, tau2, statistic,
      pvalue: twoSided(statistic, free), q: at0.q, qPvalue: df > 0 ? chi2Tail(at0.q, df) : 1,
      i2: random ? (tau2 > 0 ? 100 * tau2 / (tau2 + vt) : 0) : (at0.q > 0 ? 100 * Math.max(0, 1 - df / at0.q) : 0),
      ciMethod: ci, weights,
    };
  }

  // Numbers to words, as mtmeta.reports.words does; a tie goes to the even digit, as in Python.
  function fixed(x, decimals) {
    if (x === null || Number.isNaN(x)) return "-";
    if (!Number.isFinite(x)) return x > 0 ? "inf" : "-inf";
    const scaled = Math.abs(x) * 10 ** decimals, floor = Math.floor(scaled);
    const tie = scaled - floor === 0.5 && Number.isInteger(x * 2 ** 20);
    const text = tie ? ((floor + floor % 2) / 10 ** decimals).toFixed(decimals) : Math.abs(x).toFixed(decimals);
    return x < 0 && Number(text) !== 0 ? `-${text}` : text;
  }
  const pvalue = (p) => (p < 0.0005 ? "<0.001" : fixed(p, 3));
  function tau2Words(x) {
    if (x === 0) return "0";
    return fixed(x, Math.max(2, Math.min(5, 1 - Math.floor(Math.log10(Math.abs(x))))));
  }
  const interval = (pair, decimals, to) => (pair ? `[${fixed(to(pair[0]), decimals)}, ${fixed(to(pair[1]), decimals)}]` : "-");
  return Object.freeze({pool, fixed, pvalue, tau2Words, interval, back, critical, twoSided, chi2Tail});
})();
