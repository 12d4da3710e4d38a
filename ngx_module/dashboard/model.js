/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known: the samples of both series, the numbers as they are now, and
 * how they are asked for. All of it comes from the page's own address.
 */

const HOME = location.pathname;
const TIERS = ['ram', 'flash', 'mirror', 'peer', 'joined', 'origin', 'pass'];
const TIER_NAMES = { ram: 'memory', flash: 'flash', mirror: 'mirrors', peer: 'peers',
  joined: 'joined', origin: 'origin', pass: 'passed' };
const HIT_TIERS = ['ram', 'flash', 'mirror', 'peer', 'joined'];
const ERRORS = ['origin_unreachable', 'origin_timeout', 'origin_cut', 'origin_malformed', 'origin_5xx'];
const PLACES = 21;
const PLACE_SECONDS = Array.from({ length: PLACES }, (_, i) => 16e-6 * 2 ** i);

async function ask(query) {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 10000);
  try {
    const answer = await fetch(HOME + query, { cache: 'no-store', signal: stop.signal });
    if (!answer.ok) throw new Error('HTTP ' + answer.status);
    return await answer.json();
  } finally {
    clearTimeout(timer);
  }
}

/* One series of one zone, column by column, oldest first. */
class Series {
  constructor(word, keep) {
    this.word = word;
    this.keep = keep;
    this.clear();
  }

  clear() {
    this.last = 0;
    this.columns = null;
  }

  get length() {
    return this.columns ? this.columns.time_ms.length : 0;
  }

  async load(zone) {
    const query = `?history=${this.word}&zone=${encodeURIComponent(zone)}`;
    const answer = await ask(query + (this.last ? `&since=${this.last}` : ''));
    const got = answer.zones[0];
    model.sampled = answer.sampled;
    model.skew = answer.now_ms - Date.now();
    if (got.last < this.last) {         /* another life of the zone */
      this.clear();
    }
    this.add(got);
  }

  add(got) {
    const flat = { time_ms: got.time_ms, took_ms: got.took_ms };
    for (const group of ['counts', 'bytes', 'gauges', 'first_byte']) {
      for (const [name, column] of Object.entries(got[group])) flat[group[0] + '.' + name] = column;
    }
    if (!this.columns || (got.time_ms.length && got.time_ms[0] <= this.columns.time_ms.at(-1) - 5000)) {
      this.columns = flat;
    } else {
      for (const name of Object.keys(flat)) {
        const all = this.columns[name].concat(flat[name]);
        this.columns[name] = all.length > this.keep ? all.slice(-this.keep) : all;
      }
    }
    this.last = got.last || this.last;
  }

  /* Columns as they lie: c.hit, b.sent_ram, g.entries, f.ram, time_ms. */
  column(name) {
    return this.columns ? this.columns[name] : [];
  }

  rate(...names) {
    const took = this.column('took_ms');
    const columns = names.map(n => this.column(n));
    return took.map((ms, i) => columns.reduce((s, c) => s + c[i], 0) * 1000 / ms);
  }

  total(names, last = Infinity) {
    const from = Math.max(0, this.length - last);
    let v = 0;
    for (const n of names) {
      const c = this.column(n);
      for (let i = from; i < c.length; i++) v += c[i];
    }
    return v;
  }

  /* Of the last n samples, a second. */
  recent(names, n = 5) {
    const from = Math.max(0, this.length - n);
    const ms = sum(this.column('took_ms').slice(from));
    return ms > 0 ? this.total(names, n) * 1000 / ms : NaN;
  }

  latest(name) {
    const c = this.column(name);
    return c.length ? c.at(-1) : NaN;
  }

  hitRatio() {
    const hit = HIT_TIERS.map(t => this.column('c.from_' + t));
    const miss = this.column('c.from_origin');
    return miss.map((m, i) => {
      const h = hit.reduce((s, c) => s + c[i], 0);
      return h + m > 0 ? h / (h + m) : null;
    });
  }

  /* Histogram of samples i..j-1. Of what is sampled, the sum of all tiers takes
   * each for as many as it stands for. */
  places(tiers, i, j) {
    const out = new Array(PLACES).fill(0);
    for (const t of tiers) {
      const weight = tiers.length > 1 && (t === 'ram' || t === 'mirror') ? model.sampled : 1;
      const column = this.column('f.' + t);
      for (let k = Math.max(0, i); k < Math.min(j, column.length); k++) {
        const cell = column[k];
        for (let m = 1; cell && m < cell.length; m++) out[cell[0] + m - 1] += weight * cell[m];
      }
    }
    return out;
  }
}

function quantile(places, share) {
  const all = sum(places);
  if (all === 0) return null;
  const rank = all * share;
  let below = 0;
  for (let i = 0; i < PLACES; i++) {
    if (places[i] > 0 && below + places[i] >= rank) {
      const low = i ? PLACE_SECONDS[i - 1] : 0;
      return low + (PLACE_SECONDS[i] - low) * (rank - below) / places[i];
    }
    below += places[i];
  }
  return PLACE_SECONDS[PLACES - 1];
}

const model = {
  settings: { host: '', price_requests: null, price_gb: null, currency: 'USD' },
  sampled: 16,
  skew: 0,                               /* of the node's clock to ours */
  range: 'seconds',
  zone: null,
  status: null,
  before: null,                          /* the status before this one */
  hot: null,
  ring: null,
  seconds: new Series('seconds', 600),
  minutes: new Series('minutes', 1440),
  get series() { return this[this.range]; },
  get now() { return (this.status ? this.status.zones.find(z => z.name === this.zone) : null) || null; },
  get was() { return (this.before ? this.before.zones.find(z => z.name === this.zone) : null) || null; },
  get span() { return this.range === 'seconds' ? 600e3 : 86400e3; },
};

async function loadStatus() {
  const got = await ask('?format=json');
  got.at = performance.now();
  /* rates of what has no history: over two answers, some seconds apart */
  if (!model.status || got.at - model.status.at > 4000 || !model.before) model.before = model.status;
  model.status = got;
  if (!got.zones.some(z => z.name === model.zone)) {
    model.zone = got.zones.length ? got.zones[0].name : null;
    model.seconds.clear();
    model.minutes.clear();
  }
}

async function loadRing() {
  if (model.now && model.now.ring) model.ring = await ask('?history=ring&zone=' + encodeURIComponent(model.zone));
}

/* A second, of a number of two statuses. */
function rateOf(is, was) {
  const seconds = model.before ? (model.status.at - model.before.at) / 1000 : 0;
  return seconds > 0.5 && was !== undefined && is >= was ? (is - was) / seconds : NaN;
}

function alertsOf() {
  const of = model.status || {};
  return [].concat(Array.isArray(of.alerts) ? of.alerts : [],
    model.now && Array.isArray(model.now.alerts) ? model.now.alerts : []);
}

/* What did not have to be asked of the origin. */
function saved(counter) {
  const reads = counter.requests.hit + counter.requests.shared + counter.requests.stale
    + counter.requests.revalidated + counter.requests.miss + counter.requests.bypass + counter.requests.error;
  const requests = reads + counter.peers.served - counter.peers.asked - counter.origin.requests;
  const bytes = sum(Object.values(counter.sent_bytes)) + counter.peers.sent_bytes
    - counter.peers.received_bytes - counter.origin.received_bytes;
  return { requests, bytes };
}

function savedIn(s) {
  const requests = s.total(['c.hit', 'c.shared', 'c.stale', 'c.revalidated', 'c.miss', 'c.bypass', 'c.error',
    'c.peers_served']) - s.total(['c.peers_asked', 'c.origin_requests']);
  const bytes = s.total(['b.sent_ram', 'b.sent_flash', 'b.sent_mirror', 'b.sent_peer', 'b.sent_origin',
    'b.sent_pass', 'b.peers_sent']) - s.total(['b.peers_received', 'b.origin_received']);
  return { requests, bytes };
}

function moneyOf(of) {
  const { price_requests: r, price_gb: g } = model.settings;
  return { requests: r === null ? NaN : of.requests / 1000 * r, bytes: g === null ? NaN : of.bytes / 1e9 * g };
}
