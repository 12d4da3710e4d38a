/* SPDX-License-Identifier: Apache-2.0
 *
 * The tiles at the top and the charts below them: what each shows.
 */

const tiles = [];
const panels = [];

function tile(title, draw) {
  const t = { value: el('span'), unit: el('small'), sub: el('div', 'sub'), draw };
  t.box = el('article', 'tile', el('h2', '', title), el('div', 'big', t.value, t.unit), t.sub);
  t.spark = () => t.canvas || t.box.appendChild(t.canvas = attr(el('canvas'), { 'aria-hidden': 'true' }));
  t.meter = list => {
    const m = t.bar || t.box.appendChild(t.bar = attr(el('div', 'meter'), { 'aria-hidden': 'true' }));
    m.replaceChildren(...list.map(([share, color]) => {
      const i = el('i');
      i.style.width = 100 * share + '%';
      i.style.background = `var(${color})`;
      return i;
    }));
  };
  t.set = (v, unit, sub) => {
    const [n, u] = typeof v === 'string' ? [v, ''] : parts(v, unit);
    setText(t.value, n);
    setText(t.unit, u);
    setText(t.sub, sub);
    t.sub.title = sub;
  };
  tiles.push(t);
  byId('tiles').append(t.box);
  return t;
}

const from = t => 'c.from_' + t;
const SENT = ['ram', 'flash', 'mirror', 'peer', 'origin', 'pass'].map(t => 'b.sent_' + t);
const spanName = () => model.range === 'seconds' ? '10 min' : '24 h';

function makeTiles() {
  tile('Hit ratio', (t, s) => {
    const hit = s.total(HIT_TIERS.map(from)), miss = s.total([from('origin')]);
    const ever = model.now.hit_ratio;
    t.set(hit + miss ? hit / (hit + miss) : NaN, 'percent',
      `${say(ever, 'percent')} since the start`);
    spark(t.spark(), s.hitRatio(), '--c-ram');
  });
  tile('Requests', (t, s) => {
    t.set(model.seconds.recent(TIERS.map(from)), 'rate', `${say(s.total(TIERS.map(from)), 'count')} in ${spanName()}`);
    spark(t.spark(), s.rate(...TIERS.map(from)), '--accent');
  });
  tile('Sent to clients', (t, s) => {
    t.set(model.seconds.recent(SENT), 'byterate', `${say(s.total(SENT), 'bytes')} in ${spanName()}`);
    spark(t.spark(), s.rate(...SENT), '--accent');
  });
  tile('First byte, p99', (t, s) => {
    const all = s.places(TIERS, 0, s.length);
    t.set(quantile(all, 0.99), 'seconds', `median ${say(quantile(all, 0.5), 'seconds')}`);
    const n = 60, step = Math.max(1, Math.floor(s.length / n)), line = [];
    for (let i = 0; i + step <= s.length; i += step) line.push(quantile(s.places(TIERS, i, i + step), 0.99));
    spark(t.spark(), line, '--c-p99');
  });
  tile('Asked of the origin', (t, s) => {
    const errors = s.total(ERRORS.map(e => 'c.' + e));
    t.set(model.seconds.recent(['c.origin_requests']), 'rate',
      errors ? `${say(errors, 'count')} errors` : 'no errors');
    spark(t.spark(), s.rate('c.origin_requests'), '--c-origin');
  });
  tile('Saved', (t, s) => {
    const of = savedIn(s), cost = moneyOf(of), all = (cost.requests || 0) + (cost.bytes || 0);
    const priced = !Number.isNaN(cost.requests) || !Number.isNaN(cost.bytes);
    if (priced) t.set(money(all, model.settings.currency), '', `in ${spanName()}`);
    else t.set(of.bytes, 'bytes', `in ${spanName()}`);
    spark(t.spark(), s.rate(...HIT_TIERS.map(from)), '--good');
  });
  tile('Memory', t => {
    const m = model.now.memory;
    t.set(m.allocated_bytes / m.arena_bytes, 'percent', `${say(m.allocated_bytes, 'bytes')} of ${say(m.arena_bytes, 'bytes')}`);
    t.meter([[m.payload_bytes / m.arena_bytes, '--c-ram'],
      [Math.max(0, m.allocated_bytes - m.payload_bytes) / m.arena_bytes, '--c-pass']]);
  });
  tile('Flash', t => {
    const stores = model.now.stores, size = sum(stores.map(x => x.bytes)), live = sum(stores.map(x => x.live_bytes));
    t.box.hidden = !stores.length;
    t.set(size ? live / size : NaN, 'percent', `${say(live, 'bytes')} of ${say(size, 'bytes')}`);
    t.meter([[size ? live / size : 0, '--c-flash']]);
  });
}

let place = byId('grid');

function panel(title, cls, note, ...children) {
  const p = el('section', 'panel ' + cls);
  const h = el('h2', '', title);
  p.head = el('div', 'head', h);
  if (note) p.head.append(el('span', 'note', note));
  p.append(p.head, ...children);
  attr(p, { 'aria-label': title });
  place.append(p);
  return p;
}

function chartPanel(title, cls, note, options) {
  const c = new Chart(title, options);
  const p = panel(title, cls, note, c.box);
  panels.push({ draw: s => c.update(s) });
  return { p, c };
}

function tierTabs(p, charts) {
  const tabs = attr(el('div', 'tabs'), { role: 'group', 'aria-label': 'Tier' });
  for (const word of ['all'].concat(TIERS)) {
    const b = attr(el('button', '', word === 'all' ? 'all' : TIER_NAMES[word]),
      { type: 'button', 'aria-pressed': String(word === 'all') });
    b.addEventListener('click', () => {
      model.tier = word;
      for (const x of tabs.children) x.setAttribute('aria-pressed', String(x === b));
      for (const c of charts()) c.update(model.series);
    });
    tabs.append(b);
  }
  p.head.append(tabs);
}

/* Each with the four before it: few requests make ratios jump. */
function smooth(values) {
  let running = 0;
  return values.map((v, i) => {
    running += v - (i >= 5 ? values[i - 5] : 0);
    return Math.max(0, running) < 1e-9 ? 0 : running;
  });
}

const chosenTiers = () => !model.tier || model.tier === 'all' ? TIERS : [model.tier];

function quantiles(s, share) {
  const n = Math.max(1, Math.ceil(s.length / 150)), out = new Array(s.length).fill(null);
  for (let i = 0; i < s.length; i += n) {
    /* a window of some samples: one second has too few to say much */
    const v = quantile(s.places(chosenTiers(), i - 2 * n, i + n), share);
    out.fill(v, i, i + n);
  }
  return out;
}

function makeCharts() {
  chartPanel('Answers by tier', 'wide', 'a second, by what the client waited for', {
    kind: 'stack', unit: 'rate', min: 1, lines: TIERS.map(t => ({ label: TIER_NAMES[t], color: '--c-' + t, of: s => s.rate(from(t)) })),
  });
  chartPanel('Hit ratio by tier', '', 'of reads that may be cached', {
    kind: 'share', unit: 'percent', lines: HIT_TIERS.map(t => ({
      label: TIER_NAMES[t], color: '--c-' + t,
      of: s => {
        const all = smooth(s.rate(...HIT_TIERS.map(from), from('origin')));
        return smooth(s.rate(from(t))).map((v, i) => all[i] > 0 ? v / all[i] : null);
      },
    })),
  });
  const heat = new Chart('First byte over time', { kind: 'heat', unit: 'count', tall: true, tiers: chosenTiers });
  const lines = new Chart('First byte, p50 p95 p99', {
    kind: 'lines', unit: 'seconds', log: true, tall: true,
    lines: [50, 95, 99].map(q => ({ label: 'p' + q, color: '--c-p' + q, of: s => quantiles(s, q / 100) })),
  });
  const p1 = panel('First byte over time', 'half', '', heat.box);
  tierTabs(p1, () => [heat, lines]);
  panel('First byte, p50 p95 p99', 'half', 'of the same tier, log scale', lines.box);
  panels.push({ draw: s => { heat.update(s); lines.update(s); } });
  makeTiers();
  makeSaved();
  place = byId('grid').appendChild(el('div', 'charts'));

  chartPanel('Bytes sent', '', 'to clients, by where they were', {
    kind: 'stack', unit: 'byterate', min: 1,
    lines: ['ram', 'flash', 'mirror', 'peer', 'origin', 'pass'].map(t => ({ label: TIER_NAMES[t], color: '--c-' + t, of: s => s.rate('b.sent_' + t) })),
  });
  chartPanel('Origin', '', 'requests and errors', {
    kind: 'lines', unit: 'rate', min: 1, lines: [
      { label: 'requests', color: '--accent', of: s => s.rate('c.origin_requests') },
      { label: 'new connections', color: '--c-pass', of: s => s.rate('c.origin_connects') },
      { label: 'errors', color: '--bad', of: s => s.rate(...ERRORS.map(e => 'c.' + e)) }],
  });
  chartPanel('Origin bytes', '', 'received for the cache, and written', {
    kind: 'lines', unit: 'byterate', min: 1, lines: [
      { label: 'received', color: '--c-origin', of: s => s.rate('b.origin_received') },
      { label: 'written', color: '--c-flash', of: s => s.rate('b.origin_sent') }],
  });
  chartPanel('In flight', '', 'at the time of the sample', {
    kind: 'lines', unit: 'count', min: 4, lines: [
      { label: 'fills', color: '--c-origin', of: s => s.column('g.fills') },
      { label: 'requests that wait', color: '--c-joined', of: s => s.column('g.waiting') },
      { label: 'being read', color: '--c-ram', of: s => s.column('g.pins') }],
  });
  chartPanel('Fills', '', 'objects and blocks on their way in', {
    kind: 'lines', unit: 'rate', min: 1, lines: [
      { label: 'started', color: '--accent', of: s => s.rate('c.fills_started') },
      { label: 'joined', color: '--c-joined', of: s => s.rate('c.followed') },
      { label: 'failed', color: '--bad', of: s => s.rate('c.fills_failed') },
      { label: 'refused', color: '--c-pass', of: s => s.rate('c.fills_refused') }],
  });
  chartPanel('Admission and eviction', '', 'of memory', {
    kind: 'lines', unit: 'rate', min: 1, lines: [
      { label: 'admitted', color: '--c-peer', of: s => s.rate('c.inserts') },
      { label: 'evicted', color: '--c-origin', of: s => s.rate('c.evictions') },
      { label: 'dropped', color: '--c-pass', of: s => s.rate('c.drops') },
      { label: 'wanted again', color: '--c-flash', of: s => s.rate('c.ghost_hits') }],
  });
  chartPanel('Zone', '', 'memory in use', {
    kind: 'lines', unit: 'bytes', min: 1024, lines: [
      { label: 'taken', color: '--c-ram', of: s => s.column('g.allocated_bytes') },
      { label: 'asked for', color: '--c-mirror', of: s => s.column('g.payload_bytes') },
      { label: 'by fills', color: '--c-origin', of: s => s.column('g.fill_bytes') }],
  });
  const flash = chartPanel('Flash traffic', '', 'of all stores', {
    kind: 'lines', unit: 'byterate', min: 1, lines: [
      { label: 'read', color: '--c-flash', of: s => s.rate('b.flash_read') },
      { label: 'written', color: '--c-joined', of: s => s.rate('b.flash_written') }],
  });
  const kept = chartPanel('Flash records', '', 'hits, and what becomes of new ones', {
    kind: 'lines', unit: 'rate', min: 1, lines: [
      { label: 'hits', color: '--c-flash', of: s => s.rate('c.flash_hits') },
      { label: 'taken', color: '--c-peer', of: s => s.rate('c.flash_puts') },
      { label: 'denied or shed', color: '--c-joined', of: s => s.rate('c.flash_denied', 'c.flash_shed') },
      { label: 'errors', color: '--bad', of: s => s.rate('c.flash_read_errors', 'c.flash_timeouts', 'c.flash_corrupt', 'c.flash_write_errors') }],
  });
  const peers = chartPanel('Peers', '', 'questions among the nodes', {
    kind: 'lines', unit: 'rate', min: 1, lines: [
      { label: 'asked', color: '--c-peer', of: s => s.rate('c.peers_asked') },
      { label: 'answered for others', color: '--accent', of: s => s.rate('c.peers_served') },
      { label: 'hedged', color: '--c-joined', of: s => s.rate('c.peers_hedged') },
      { label: 'failed', color: '--bad', of: s => s.rate('c.peers_failed') }],
  });
  panels.push({
    draw: () => {
      flash.p.hidden = kept.p.hidden = !model.now.stores.length;
      peers.p.hidden = !model.now.ring;
    },
  });
  place = byId('grid');
}
