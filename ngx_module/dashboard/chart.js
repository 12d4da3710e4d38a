/* SPDX-License-Identifier: Apache-2.0
 *
 * Charts over time on a canvas: lines, stacked areas, a heat map, sparklines.
 * All share the time under the pointer, or under the arrow keys.
 */

const charts = new Set();
const cursor = { at: null, chart: null };

/* Tops of a scale, and in how many parts it is divided. */
const NICE = [[1, 4], [1.5, 3], [2, 4], [3, 3], [4, 4], [5, 5], [6, 3], [8, 4], [10, 4]];

function niceParts(top) {
  const n = top / 10 ** Math.floor(Math.log10(top));
  const found = NICE.find(([m]) => Math.abs(m - n) < 0.01);
  return found ? found[1] : 4;
}

function niceTop(v, step) {
  if (!(v > 0)) return 1;
  if (step === 1024) {
    let unit = 1;
    while (v / unit >= 1024) unit *= 1024;
    return niceTop(v / unit, 10) * unit;
  }
  const p = 10 ** Math.floor(Math.log10(v));
  return NICE.find(([n]) => n * p >= v * 0.999)[0] * p;
}

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext('2d');
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return [g, w, h];
}

function spark(canvas, values, color) {
  const [g, w, h] = fit(canvas);
  const top = Math.max(...values.filter(Number.isFinite), 0);
  if (values.length < 2 || w === 0) return;
  const ink = colour(color);
  const x = i => i * w / (values.length - 1);
  const y = v => h - 2 - (h - 4) * (top > 0 && Number.isFinite(v) ? v / top : 0);
  g.beginPath();
  values.forEach((v, i) => i ? g.lineTo(x(i), y(v)) : g.moveTo(x(0), y(v)));
  g.strokeStyle = ink;
  g.lineWidth = 1.5;
  g.lineJoin = 'round';
  g.stroke();
  g.lineTo(w, h);
  g.lineTo(0, h);
  g.globalAlpha = 0.12;
  g.fillStyle = ink;
  g.fill();
  g.globalAlpha = 1;
}

/* Not more points than pixels can show: means of neighbours. */
function thinned(values, times, most) {
  const n = Math.ceil(values.length / most);
  if (n <= 1) return [values, times];
  const v = [], t = [];
  for (let i = 0; i < values.length; i += n) {
    const some = values.slice(i, i + n).filter(Number.isFinite);
    v.push(some.length ? sum(some) / some.length : null);
    t.push(times[Math.min(i + n, times.length) - 1]);
  }
  return [v, t];
}

/*
 * options: kind 'lines' | 'stack' | 'share' | 'heat'; unit; log (seconds);
 * lines: [{ name, label, color, of: series => values }]; min: least top.
 */
class Chart {
  constructor(title, options) {
    this.o = options;
    this.title = title;
    this.off = new Set();
    this.canvas = attr(el('canvas'), { tabindex: '0', role: 'img', 'aria-label': title });
    this.box = el('div', options.tall ? 'chart tall' : 'chart', this.canvas);
    this.values = [];
    this.times = [];
    charts.add(this);
    this.listen();
    if (options.lines) this.makeLegend();
  }

  makeLegend() {
    this.legend = attr(el('ul', 'legend'), { 'aria-label': this.title + ': what is shown' });
    for (const line of this.o.lines) {
      line.value = el('b');
      const b = attr(el('button', '', dot(`var(${line.color})`), line.label, line.value),
        { type: 'button', 'aria-pressed': 'true' });
      b.addEventListener('click', () => {
        const off = !this.off.has(line);
        if (off && this.off.size === this.o.lines.length - 1) return;
        off ? this.off.add(line) : this.off.delete(line);
        b.setAttribute('aria-pressed', String(!off));
        this.draw();
      });
      this.legend.append(el('li', '', b));
    }
    this.box.append(this.legend);
  }

  listen() {
    const c = this.canvas;
    c.addEventListener('pointermove', e => this.point(e));
    c.addEventListener('pointerdown', e => this.point(e));
    c.addEventListener('pointerleave', () => this.leave());
    c.addEventListener('blur', () => this.leave());
    c.addEventListener('keydown', e => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity }[e.key];
      if (e.key === 'Escape') this.leave();
      if (step === undefined || !this.times.length) return;
      e.preventDefault();
      const last = this.times.length - 1;
      const i = cursor.chart === this && cursor.at !== null ? this.nearest(cursor.at) : last;
      const to = Math.min(last, Math.max(0, cursor.chart === this ? i + step : last));
      const box = c.getBoundingClientRect();
      this.show(this.times[to], box.left + this.x(this.times[to]), box.top + 20);
    });
  }

  point(e) {
    if (!this.times.length) return;
    const box = this.canvas.getBoundingClientRect();
    const t = this.t0 + (e.clientX - box.left - this.left) / (box.width - this.left) * (this.t1 - this.t0);
    this.show(this.times[this.nearest(t)], e.clientX, e.clientY, e.clientY - box.top);
  }

  show(t, x, y, inside) {
    cursor.at = t;
    cursor.chart = this;
    for (const c of charts) c.draw();
    this.tip(x, y, inside);
  }

  leave() {
    if (cursor.chart !== this) return;
    cursor.at = cursor.chart = null;
    byId('tip').hidden = true;
    for (const c of charts) c.draw();
  }

  nearest(t) {
    let best = 0;
    for (let i = 1; i < this.times.length; i++) {
      if (Math.abs(this.times[i] - t) < Math.abs(this.times[best] - t)) best = i;
    }
    return best;
  }

  rows(i, inside) {
    const o = this.o;
    if (o.kind === 'heat') {
      const place = Math.floor((this.bottom - inside) / (this.bottom - this.top) * PLACES);
      const cell = this.cells[i];
      if (place >= 0 && place < PLACES && inside !== undefined) {
        return [['accent', placeName(place), say(cell[place], 'count')]];
      }
      return [0.5, 0.95, 0.99].map(q => ['c-p' + 100 * q, 'p' + 100 * q, say(quantile(cell, q), 'seconds')]);
    }
    return o.lines.filter(l => !this.off.has(l))
      .map(l => [l.color.slice(2), l.label, say(this.values[o.lines.indexOf(l)][i], o.unit)]);
  }

  tip(x, y, inside) {
    const tip = byId('tip'), i = this.nearest(cursor.at);
    const rows = this.rows(i, inside).map(([color, label, value]) =>
      el('div', 'r', dot(`var(--${color})`), el('span', '', label), el('span', '', value)));
    if (this.o.kind === 'stack' || this.o.kind === 'share') rows.reverse();
    tip.replaceChildren(el('div', 't', clock(this.times[i], model.range === 'seconds')), ...rows);
    tip.hidden = false;
    const w = tip.offsetWidth, h = tip.offsetHeight;
    tip.style.left = Math.max(4, x + 16 + w > innerWidth ? x - w - 14 : x + 16) + 'px';
    tip.style.top = Math.max(4, Math.min(y - h / 2, innerHeight - h - 4)) + 'px';
  }

  update(series) {
    this.t1 = Date.now() + model.skew;
    this.t0 = this.t1 - model.span;
    const times = series.column('time_ms');
    const most = Math.max(60, Math.floor(this.canvas.clientWidth / 1.5));
    if (this.o.kind === 'heat') {
      this.fill(series, times);
    } else {
      this.values = this.o.lines.map(l => {
        const [v, t] = thinned(l.of(series), times, most);
        this.times = t;
        return v;
      });
      this.o.lines.forEach((l, i) => setText(l.value, say(this.values[i].at(-1), this.o.unit)));
    }
    this.describe();
    this.draw();
    if (cursor.chart === this && cursor.at < this.t0) this.leave();
  }

  /* Of a heat map: as many columns as there is room for. */
  fill(series, times) {
    const n = Math.max(20, Math.min(150, Math.floor(this.canvas.clientWidth / 5)));
    const width = model.span / n;
    this.columns = n;
    this.cells = [];
    this.times = [];
    let i = 0;
    for (let k = 0; k < n; k++) {
      const end = this.t0 + (k + 1) * width;
      let j = i;
      while (j < times.length && times[j] <= end) j++;
      if (times.length && times[0] <= end) {
        this.cells.push(series.places(this.o.tiers(), i, j));
        this.times.push(end);
      }
      i = j;
    }
  }

  describe() {
    let text = this.title + ': no samples yet';
    if (this.times.length) {
      const i = this.times.length - 1;
      text = this.title + ', last: ' + this.rows(i).map(([, l, v]) => `${l} ${v}`).join(', ');
    }
    this.canvas.setAttribute('aria-label', text);
  }

  x(t) {
    return this.left + (t - this.t0) / (this.t1 - this.t0) * (this.width - this.left);
  }

  draw() {
    const [g, w, h] = fit(this.canvas);
    if (w === 0 || this.t1 === undefined) return;
    this.width = w;
    this.top = 8;
    this.bottom = h - 18;
    g.font = '11px ' + getComputedStyle(document.body).fontFamily;
    this.scale(g);
    this.axis(g);
    if (this.o.kind === 'heat') this.heat(g);
    else this.curves(g);
    if (!this.times.length) {
      g.fillStyle = colour('--faint');
      g.textAlign = 'center';
      g.fillText('no samples yet', (w + this.left) / 2, h / 2);
    }
    if (cursor.at !== null && cursor.at >= this.t0) {
      g.fillStyle = colour('--faint');
      g.fillRect(Math.round(this.x(cursor.at)), this.top, 1, this.bottom - this.top);
    }
  }

  scale(g) {
    const o = this.o;
    const on = o.kind === 'heat' ? [] : this.values.filter((_, i) => !this.off.has(o.lines[i]));
    if (o.kind === 'heat') {
      this.ticks = [0, 4, 8, 12, 16, 20].map(p => [(p + 0.5) / PLACES, placeName(p)]);
    } else if (o.log) {
      this.low = Math.log10(10e-6);
      const all = on.flat().filter(v => v > 0);
      this.high = Math.max(-2, Math.ceil(Math.log10(Math.max(...all, 1e-3))));
      this.ticks = [];
      for (let e = -5; e <= this.high; e++) this.ticks.push([(e - this.low) / (this.high - this.low), say(10 ** e, 'seconds')]);
    } else {
      let most = o.min || 0;
      if (o.kind === 'stack') {
        for (let i = 0; i < this.times.length; i++) most = Math.max(most, sum(on.map(v => v[i] || 0)));
      } else {
        for (const v of on) for (const n of v) if (n > most) most = n;
      }
      this.peak = o.unit === 'percent' ? 1 : niceTop(most, o.unit === 'bytes' ? 1024 : 10);
      let unit = 1;
      while (o.unit === 'bytes' && this.peak / unit >= 1024) unit *= 1024;
      const n = niceParts(this.peak / unit);
      this.ticks = Array.from({ length: n + 1 }, (_, i) => [i / n, say(i / n * this.peak, o.unit)]);
      if (this.peak < 4 && o.unit === 'count') this.ticks = this.ticks.filter(([f]) => Number.isInteger(f * this.peak));
    }
    this.left = Math.ceil(Math.max(...this.ticks.map(([, s]) => g.measureText(s).width))) + 8;
  }

  y(v) {
    const f = this.o.log ? (Math.log10(Math.max(v, 1e-9)) - this.low) / (this.high - this.low) : v / this.peak;
    return this.bottom - Math.max(0, Math.min(1, f)) * (this.bottom - this.top);
  }

  axis(g) {
    g.textBaseline = 'middle';
    g.textAlign = 'right';
    for (const [f, label] of this.ticks) {
      const y = Math.round(this.bottom - f * (this.bottom - this.top));
      if (this.o.kind !== 'heat') {
        g.fillStyle = colour('--grid');
        g.fillRect(this.left, y, this.width - this.left, 1);
      }
      g.fillStyle = colour('--faint');
      g.fillText(label, this.left - 6, y);
    }
    const step = model.range === 'seconds' ? (this.width < 340 ? 180e3 : 120e3) : (this.width < 340 ? 21600e3 : 14400e3);
    const zone = new Date().getTimezoneOffset() * 60e3;
    g.textBaseline = 'alphabetic';
    g.textAlign = 'center';
    for (let t = Math.ceil((this.t0 - zone) / step) * step + zone; t < this.t1; t += step) {
      const x = this.x(t);
      if (x > this.left + 14 && x < this.width - 14) g.fillText(clock(t), x, this.bottom + 15);
    }
  }

  curves(g) {
    const o = this.o, stacked = o.kind === 'stack' || o.kind === 'share';
    let base = new Array(this.times.length).fill(0);
    o.lines.forEach((line, k) => {
      if (this.off.has(line)) return;
      const values = this.values[k], ink = colour(line.color);
      if (stacked) {
        const top = values.map((v, i) => base[i] + (v || 0));
        this.area(g, base, top, ink);
        base = top;
      } else {
        this.line(g, values, ink);
      }
    });
  }

  /* Pieces without a hole; where samples are missing the line ends. */
  pieces(values) {
    const out = [], gap = this.t1 - this.t0 > 3600e3 ? 400e3 : 8e3;
    let piece = null;
    this.times.forEach((t, i) => {
      if (t < this.t0 - gap || values[i] === null || values[i] === undefined) { piece = null; return; }
      if (!piece || t - this.times[i - 1] > gap) out.push(piece = []);
      piece.push(i);
    });
    return out;
  }

  clip(g) {
    g.save();
    g.beginPath();
    g.rect(this.left, 0, this.width - this.left, this.bottom + 1);
    g.clip();
    g.lineJoin = 'round';
  }

  line(g, values, ink) {
    if (!values.some(v => v > 0)) return;       /* nothing happened: no line at all */
    this.clip(g);
    g.strokeStyle = ink;
    g.lineWidth = 1.75;
    for (const piece of this.pieces(values)) {
      g.beginPath();
      piece.forEach((i, n) => g[n ? 'lineTo' : 'moveTo'](this.x(this.times[i]), this.y(values[i])));
      if (piece.length === 1) g.arc(this.x(this.times[piece[0]]), this.y(values[piece[0]]), 1, 0, 7);
      g.stroke();
    }
    g.restore();
  }

  area(g, low, high, ink) {
    this.clip(g);
    for (const piece of this.pieces(high)) {
      g.beginPath();
      piece.forEach((i, n) => g[n ? 'lineTo' : 'moveTo'](this.x(this.times[i]), this.y(high[i])));
      for (const i of piece.slice().reverse()) g.lineTo(this.x(this.times[i]), this.y(low[i]));
      g.fillStyle = ink;
      g.globalAlpha = 0.8;
      g.fill();
      g.globalAlpha = 1;
    }
    g.restore();
  }

  heat(g) {
    if (!this.times.length) return;
    const most = Math.max(1, ...this.cells.map(c => Math.max(...c)));
    const from = colour('--heat-0').split(',').map(Number), to = colour('--heat-1').split(',').map(Number);
    const w = (this.width - this.left) / this.columns, h = (this.bottom - this.top) / PLACES;
    this.clip(g);
    this.cells.forEach((cell, i) => {
      const x = this.x(this.times[i]) - w;
      cell.forEach((n, p) => {
        if (!n) return;
        const f = Math.sqrt(Math.log1p(n) / Math.log1p(most));
        g.fillStyle = `rgb(${from.map((c, k) => Math.round(c + (to[k] - c) * f)).join(' ')})`;
        g.fillRect(x, this.bottom - (p + 1) * h, Math.max(1, w - 0.5), Math.max(1, h - 0.5));
      });
    });
    g.restore();
  }
}

function placeName(p) {
  return p === PLACES - 1 ? 'over ' + say(PLACE_SECONDS[p - 1], 'seconds') : '\u2264 ' + say(PLACE_SECONDS[p], 'seconds');
}
