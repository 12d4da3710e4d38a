/* SPDX-License-Identifier: Apache-2.0
 *
 * Alerts, the table of tiers, what was saved, stores, the ring, buckets and hot
 * keys. Foreign names are text here and nothing else.
 */

function table(columns, label) {
  const body = el('tbody');
  const head = el('tr', '', ...columns.map(c => attr(el('th', '', c), { scope: 'col' })));
  const t = el('table', '', el('caption', 'sr', label), el('thead', '', head), body);
  const box = attr(el('div', 'scroll', t), { tabindex: '0', role: 'region', 'aria-label': label });
  return { box, set: (rows, none) => fill(body, rows, columns.length, none) };
}

/* Rows of strings or elements; what is there already is kept. */
function fill(body, rows, width, none) {
  if (!rows.length) {
    body.replaceChildren(el('tr', '', attr(el('td', 'empty', none), { colspan: width })));
    return;
  }
  rows.forEach((row, i) => {
    let tr = body.children[i];
    if (!tr || tr.children.length !== row.length) {
      const fresh = el('tr', '', ...row.map(() => el('td')));
      tr ? tr.replaceWith(fresh) : body.append(fresh);
      tr = fresh;
    }
    row.forEach((cell, k) => {
      const td = tr.children[k];
      if (typeof cell === 'string') {
        setText(td, cell);
        if (k === 0) td.title = cell;
      } else {
        td.replaceChildren(cell);
      }
    });
  });
  while (body.children.length > rows.length) body.lastChild.remove();
}

function bar(share, color) {
  const i = el('i');
  i.style.width = Math.min(100, 100 * share) + '%';
  if (color) i.style.background = `var(${color})`;
  return el('span', 'bar', i);
}

const span = (...children) => el('span', '', ...children);

function drawAlerts() {
  const list = alertsOf(), box = byId('alerts');
  box.hidden = !list.length;
  const key = JSON.stringify(list);
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...list.slice(0, 50).map(a => {
    const severity = String(a.severity || 'info');
    const cls = { critical: 'critical', error: 'critical', warning: 'warning', warn: 'warning' }[severity] || '';
    const since = typeof a.since === 'number' ? new Date(a.since < 1e12 ? a.since * 1000 : a.since).toLocaleString() : String(a.since || '');
    const one = el('article', 'alert ' + cls, el('span', 'sev', severity), el('b', '', String(a.text || a.name || '')),
      el('span', 'when', since && 'since ' + since));
    if (a.advice) one.append(el('p', '', String(a.advice)));
    return attr(one, { role: cls === 'critical' ? 'alert' : 'status' });
  }));
}

function makeTiers() {
  const t = table(['Tier', 'Answers', 'Share', 'p50', 'p95', 'p99'], 'First byte by tier');
  const p = panel('Tiers', 'half tiers', '', t.box);
  const note = p.head.appendChild(el('span', 'note'));
  panels.push({
    draw: s => {
      setText(note, spanName());
      const all = s.total(TIERS.map(from));
      t.set(TIERS.filter(x => s.total([from(x)]) > 0 || x === 'ram').map(x => {
        const places = s.places([x], 0, s.length), n = s.total([from(x)]);
        return [span(dot(`var(--c-${x})`), TIER_NAMES[x]), say(n, 'count'), say(all ? n / all : NaN, 'percent'),
          ...[0.5, 0.95, 0.99].map(q => say(quantile(places, q), 'seconds'))];
      }), '');
    },
  });
}

function makeSaved() {
  const box = el('div', 'pairs');
  panel('Saved', 'half', 'what the origin did not have to do', box);
  panels.push({
    draw: s => {
      const here = savedIn(s), ever = saved(model.now), costHere = moneyOf(here), costEver = moneyOf(ever);
      const currency = model.settings.currency, rows = [['', spanName(), 'since the start', 'h'],
        ['requests', say(here.requests, 'count'), say(ever.requests, 'count')],
        ['bytes', say(here.bytes, 'bytes'), say(ever.bytes, 'bytes')]];
      if (!Number.isNaN(costEver.requests)) rows.push([`for requests, at ${money(model.settings.price_requests, currency)} for 1000`, money(costHere.requests, currency), money(costEver.requests, currency)]);
      if (!Number.isNaN(costEver.bytes)) rows.push([`for transfer, at ${money(model.settings.price_gb, currency)} for 1 GB`, money(costHere.bytes, currency), money(costEver.bytes, currency)]);
      if (rows.length > 3) {
        const add = c => (c.requests || 0) + (c.bytes || 0);
        rows.push(['in all', money(add(costHere), currency), money(add(costEver), currency), 'total']);
      }
      box.replaceChildren(...rows.flatMap(([k, a, b, cls]) =>
        [el('span', 'k ' + (cls || ''), k), el('span', cls || '', a), el('span', cls || '', b)]));
    },
  });
}

const STORE_STATES = { serving: 'good', recovering: 'warn', waiting: 'warn', failed: 'bad' };

function makeStores() {
  const list = el('div', 'stores');
  const p = panel('Flash stores', 'full', '', list);
  panels.push({
    draw: () => {
      const stores = model.now.stores;
      p.hidden = !stores.length;
      list.replaceChildren(...stores.map(s => {
        const recovering = s.state === 'recovering';
        const share = recovering ? s.recovery.segments / Math.max(1, s.segments) : s.live_bytes / Math.max(1, s.bytes);
        const m = attr(el('div', 'meter'), { role: 'progressbar', 'aria-valuemin': 0, 'aria-valuemax': 100,
          'aria-valuenow': Math.round(100 * share), 'aria-label': `${s.path}: ${recovering ? 'recovered' : 'in use'}` });
        const i = el('i');
        i.style.width = 100 * Math.min(1, share) + '%';
        i.style.background = recovering ? 'var(--warn)' : 'var(--c-flash)';
        m.append(i);
        const errors = s.reads.errors + s.reads.timeouts + s.reads.corrupt + s.writes.errors;
        const what = recovering
          ? `recovering: ${say(share, 'percent')} of ${say(s.segments, 'count')} segments, ${say(s.recovery.records, 'count')} records`
          : `${say(s.live_bytes, 'bytes')} of ${say(s.bytes, 'bytes')}, ${say(s.records, 'count')} records, ` +
            `write amplification ${digits(s.writes.amplification)}` +
            (s.recovery.records ? `, ${say(s.recovery.records, 'count')} records recovered in ${say(s.recovery.milliseconds / 1000, 'seconds')}` : '');
        return el('div', 'store', el('div', 'row', attr(el('span', 'path', s.path), { title: s.path }),
          el('span', 'what', what), el('span', 'what', errors ? `${say(errors, 'count')} errors` : 'no errors'),
          el('span', 'state ' + (STORE_STATES[s.state] || ''), s.state)), m);
      }));
    },
  });
}

/* What this node runs for all of the ring; how much there is to do is known of a
 * list alone. */
function makeWarm() {
  const t = table(['What', 'Mode', 'Done', 'Objects', 'Cached before', 'Fetched', 'Fetching', 'No room', 'Missing', 'Failed'], 'Warm-up jobs');
  const p = panel('Warm-up', 'full warm', 'jobs that run', t.box);
  panels.push({
    draw: () => {
      const jobs = model.now.warmup_jobs;
      p.hidden = !jobs.length;
      t.set(jobs.map(j => {
        const old = model.was && model.was.warmup_jobs.find(o => o.id === j.id);
        const percent = j.nodes.length ? j.nodes[0].percent : undefined;
        const what = j.source === 'list' ? 'a list' : `${j.bucket}/${j.prefix}`;
        const done = percent === undefined ? BLANK
          : span(say(percent / 100, 'percent'), attr(bar(percent / 100), { role: 'progressbar', 'aria-valuemin': 0,
            'aria-valuemax': 100, 'aria-valuenow': Math.round(percent), 'aria-label': what }));
        return [what, j.mode, done, say(j.objects, 'count'), say(j.cached, 'count'),
          `${say(j.fetched, 'count')} (${say(j.fetched_bytes, 'bytes')})`, say(rateOf(j.fetched_bytes, old ? old.fetched_bytes : undefined), 'byterate'),
          ...[j.no_room, j.missing, j.failed].map(n => say(n, 'count'))];
      }), '');
    },
  });
}

/* Shadow verify and scrubs, from when they first looked at something. */
function makeChecked() {
  const t = table(['What', 'Whole', 'Wrong', 'Not known'], 'Bytes that were checked');
  const p = panel('Checked bytes', 'full checked', 'since the start', t.box);
  panels.push({
    draw: () => {
      const z = model.now, v = z.verify, flash = key => z.stores.reduce((n, s) => n + s.scrub[key], 0);
      const rows = [['answers, compared with the origin', v.same, v.mismatch, v.changed + v.gone + v.error + v.shed],
        ['entries in memory, read again', z.scrub.entries - z.scrub.failures, z.scrub.failures, 0],
        ['records on flash, read again', flash('records'), flash('failures'), 0]].filter(r => r[1] + r[2] + r[3] > 0);
      p.hidden = !rows.length;
      t.set(rows.map(([what, whole, wrong, unknown]) => [what, say(whole, 'count'),
        wrong ? span(dot('var(--bad)'), say(wrong, 'count')) : say(0, 'count'), say(unknown, 'count')]), '');
    },
  });
}

const REACH = { self: 'good', up: 'good', resting: 'bad', unasked: '' };
const REACH_NAMES = { self: 'this node', up: 'answers', resting: 'does not answer', unasked: 'not asked yet' };

function ringOf(name) {
  const of = model.ring && model.ring.zone === model.zone ? model.ring.nodes : [];
  return of.find(n => n.name === name);
}

function makeRing() {
  const t = table(['Node', 'State', 'Share', 'Hit ratio', 'Requests', 'Sent', 'From the origin', 'Memory', 'Asked by this', 'p50', 'p99', 'Failures', 'Hedges'], 'Nodes of the ring');
  const p = panel('Ring', 'full ring', '', t.box);
  const note = p.head.appendChild(el('span', 'note'));
  panels.push({
    draw: () => {
      const ring = model.now.ring;
      p.hidden = !ring;
      if (!ring) return;
      setText(note, `${ring.members.length} nodes, ring ${ring.digest.slice(0, 8)}, ` +
        (ring.vouched ? 'all answer for what they write' : 'not all answer for what they write: what is kept is validated'));
      const most = Math.max(...ring.members.map(m => m.share), 0.001);
      const was = name => model.was && model.was.ring && model.was.ring.members.find(m => m.name === name);
      t.set(ring.members.map(m => {
        const old = was(m.name), more = ringOf(m.name);
        const state = m.state === 'ready' ? REACH_NAMES[m.reach] || m.reach : m.state;
        return [span(m.name, ' ', el('small', '', m.address)),
          el('span', 'state ' + (REACH[m.reach] || ''), state), span(say(m.share, 'percent'), bar(m.share / most, '--c-peer')),
          ...nodeRates(more),
          m.self ? BLANK : say(rateOf(m.asks, old && old.asks), 'rate'),
          ...['p50', 'p99'].map(q => m.self || m.first_byte[q] === null ? BLANK : say(m.first_byte[q], 'seconds')),
          m.self ? BLANK : say(m.failures.away + m.failures.wrong, 'count'), m.self ? BLANK : say(m.hedges, 'count')];
      }), 'no nodes');
    },
  });
}

/* What a node says of itself, if it was asked. */
function nodeRates(node) {
  if (!node || node.error) return [node ? node.error : BLANK, BLANK, BLANK, BLANK, BLANK];
  const a = n => node.took_ms ? n * 1000 / node.took_ms : NaN, reads = node.hits + node.misses;
  return [say(reads ? node.hits / reads : NaN, 'percent'), say(a(node.requests), 'rate'), say(a(node.sent_bytes), 'byterate'),
    say(a(node.origin_requests), 'rate'), say(node.memory_bytes / node.arena_bytes, 'percent')];
}

function makeBuckets() {
  const t = table(['Bucket', 'Requests', 'Hit ratio', 'Sent', 'All requests', 'All sent'], 'Buckets');
  const p = panel('Top buckets', 'half names', 'by bytes sent now, then ever', t.box);
  const more = attr(el('button', '', 'Show all'), { type: 'button', 'aria-pressed': 'false' });
  const tools = el('div', 'tabs', more);
  p.head.append(tools);
  more.addEventListener('click', () => {
    more.setAttribute('aria-pressed', String(more.getAttribute('aria-pressed') === 'false'));
    redraw();
  });
  panels.push({
    draw: () => {
      const old = new Map((model.was ? model.was.buckets : []).map(b => [b.name, b]));
      const rows = model.now.buckets.map(b => {
        const was = old.get(b.name), sent = b.sent_bytes.hit + b.sent_bytes.miss;
        const reads = b.requests.hit + b.requests.miss, all = reads + b.requests.pass;
        const now = rateOf(sent, was && was.sent_bytes.hit + was.sent_bytes.miss);
        return { now: now || 0, sent, all, cells: [b.name, say(rateOf(all, was && was.requests.hit + was.requests.miss + was.requests.pass), 'rate'),
          say(reads ? b.requests.hit / reads : NaN, 'percent'), say(now, 'byterate'), say(all, 'count'), say(sent, 'bytes')] };
      }).filter(r => r.all > 0 || r.sent > 0).sort((a, b) => b.now - a.now || b.sent - a.sent);
      more.hidden = rows.length <= 10;
      const shown = more.getAttribute('aria-pressed') === 'true' ? rows : rows.slice(0, 10);
      t.set(shown.map(r => r.cells), 'no bucket has been read yet');
    },
  });
}

function makeHot() {
  const t = table(['Key', 'Reads', 'Share'], 'Hot keys');
  panel('Hot keys', 'half names', 'of the last one to two minutes, estimated', t.box);
  panels.push({
    draw: () => {
      const hot = model.hot && model.hot.zones.find(z => z.name === model.zone);
      const keys = hot ? hot.keys.slice(0, 12) : [];
      const seconds = hot ? hot.ms / 1000 : 0;
      const most = keys.length ? keys[0].reads : 1;
      t.set(keys.map(k => [k.name, say(k.reads / seconds, 'rate'), bar(k.reads / most)]), 'nothing has been read lately');
    },
  });
}
