/* SPDX-License-Identifier: Apache-2.0
 *
 * When what is asked for, and who draws. Nothing is asked while the page is
 * hidden or paused; what was missed comes with the next answer.
 */

let paused = false;
let failedSince = null;
let lastAnswer = 0;

const polls = [
  { every: 2000, run: loadStatus },
  { every: 1000, run: () => model.zone === null ? null : model.seconds.load(model.zone) },
  { every: 20000, run: () => model.zone === null ? null : model.minutes.load(model.zone) },
  { every: 5000, run: async () => { model.hot = await ask('?history=hot'); } },
  { every: 5000, run: loadRing },
];

function redraw() {
  if (!model.now) {
    drawLive();
    return;
  }
  drawAlerts();
  const s = model.series;
  for (const t of tiles) t.draw(t, s);
  for (const p of panels) p.draw(s);
  setText(byId('sampled'), String(model.sampled));
  drawLive();
}

function drawLive() {
  const live = byId('live');
  let state = 'on', text = 'live';
  if (paused) [state, text] = ['pause', 'paused at ' + clock(lastAnswer || Date.now(), true)];
  else if (failedSince !== null) [state, text] = ['off', 'no answer since ' + clock(failedSince, true)];
  else if (!lastAnswer) [state, text] = ['wait', 'connecting'];
  else if (!model.now) [state, text] = ['off', 'no zone is configured'];
  live.dataset.state = state;
  setText(live, text);
}

function drawZones() {
  const pick = byId('zone'), names = model.status ? model.status.zones.map(z => z.name) : [];
  pick.parentElement.hidden = names.length < 2;
  if (Array.from(pick.options, o => o.value).join('\n') !== names.join('\n')) {
    pick.replaceChildren(...names.map(n => attr(el('option', '', n), { value: n })));
  }
  if (model.zone !== null) pick.value = model.zone;
}

/* One question of each kind at a time. */
async function poll(p, now) {
  p.busy = true;
  p.next = now + p.every;
  try {
    await p.run();
    lastAnswer = Date.now();
    failedSince = null;
  } catch (e) {
    failedSince = failedSince === null ? Date.now() : failedSince;
    p.next = performance.now() + Math.min(10000, 2 * p.every);
  }
  p.busy = false;
}

async function beat() {
  if (!paused && !document.hidden) {
    const now = performance.now();
    const due = polls.filter(p => !p.busy && now >= (p.next || 0));
    if (due.length) {
      await Promise.all(due.map(p => poll(p, now)));
      drawZones();
      redraw();
    }
  }
}

function choose(range) {
  model.range = range;
  for (const word of ['seconds', 'minutes']) byId('range-' + word).setAttribute('aria-pressed', String(word === range));
  redraw();
}

function listen() {
  byId('range-seconds').addEventListener('click', () => choose('seconds'));
  byId('range-minutes').addEventListener('click', () => choose('minutes'));
  byId('pause').addEventListener('click', () => {
    paused = !paused;
    byId('pause').setAttribute('aria-pressed', String(paused));
    setText(byId('pause'), paused ? 'Go on' : 'Pause');
    redraw();
  });
  byId('zone').addEventListener('change', e => {
    model.zone = e.target.value;
    model.seconds.clear();
    model.minutes.clear();
    for (const p of polls) p.next = 0;
    redraw();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  let resized = 0;
  addEventListener('resize', () => {
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(redraw);
  });
}

async function start() {
  makeTiles();
  makeCharts();
  makeStores();
  makeWarm();
  makeChecked();
  makeRing();
  makeBuckets();
  makeHot();
  listen();
  drawLive();
  try {
    Object.assign(model.settings, await ask('?settings'));
    setText(byId('host'), model.settings.host);
    document.title = model.settings.host + ' \u2013 S3 cache';
    await poll(polls[0], performance.now());
  } catch {
    failedSince = Date.now();
  }
  await beat();
  setInterval(beat, 250);
}

start();
