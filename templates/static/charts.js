/* Charts of measurements, from the API and then point by point as live.js tells them.
   All charts of a page show the same time: its range, or what was zoomed to. Colours come
   from the page; the second line is dashed. */
(() => {
  "use strict";
  const SPANS = { hour: 3600, day: 86400, month: 31 * 86400, year: 366 * 86400 };
  const LEAST_S = 120, ROWS = 120, REFRESH_MS = 30000;
  const ranges = document.querySelector("[data-span]");
  const span = SPANS[ranges && ranges.dataset.span] || SPANS.hour;
  const whole = ranges && ranges.querySelector("[data-whole]");
  const followed = span === SPANS.hour && document.querySelector("[data-live]");
  let zoom = null;

  function size(value) {
    for (const unit of ["B", "kB", "MB", "GB"]) {
      if (Math.abs(value) < 1000) return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
      value /= 1000;
    }
    return `${value.toFixed(1)} TB`;
  }

  const WORDS = {
    percent: (value) => `${value.toFixed(0)} %`,
    bytes: size,
    "bytes/s": (value) => `${size(value)}/s`,
    s: (value) => value < 120 ? `${Number(value.toFixed(1))} s` : `${(value / 60).toFixed(0)} min`,
  };
  const short = (unit) => WORDS[unit] || ((value) => `${Number(value.toFixed(1))}`);
  const words = (unit) => (value) => value == null ? "–" : WORDS[unit] ? WORDS[unit](value) : `${Number(value.toFixed(2))}${unit.replace(/^[a-z]+(?=\/)/, "")}`;

  /* 1, 2 or 5 times a power of ten: the top of a scale that is not known beforehand. */
  function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value * 0.999);
  }

  const local = (seconds, form) => new Date(seconds * 1000).toLocaleString([], { hour12: false, ...form });
  const TIME = { hour: "2-digit", minute: "2-digit" }, DATE = { day: "numeric", month: "short" };
  const moment = (seconds, step) => local(seconds, { ...DATE, ...TIME, ...(step < 60 ? { second: "2-digit" } : {}) });
  function tick(seconds, apart) {
    if (apart >= 28 * 86400) return local(seconds, { month: "short", year: "numeric" });
    const midnight = new Date(seconds * 1000).getHours() === 0 && new Date(seconds * 1000).getMinutes() === 0;
    return local(seconds, apart >= 86400 || (midnight && apart > 3600) ? DATE : TIME);
  }

  function make(tag, text, attributes = {}) {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  class Chart {
    constructor(element) {
      this.element = element;
      this.subject = element.dataset.subject;
      this.metrics = element.dataset.metrics.split(",");
      this.most = Number(element.dataset.most) || null;
      this.title = element.dataset.title;
      this.legend = element.parentElement.querySelector(".legend");
      this.details = element.parentElement.querySelector("details");
      this.step = 10;
      this.plot = this.unit = null;
      this.forget();
      element.tabIndex = 0;
      element.addEventListener("keydown", (event) => this.press(event));
      element.addEventListener("focus", () => this.legend.setAttribute("aria-live", "polite"));
      element.addEventListener("blur", () => this.legend.removeAttribute("aria-live"));
      if (this.details) this.details.addEventListener("toggle", () => this.list());
    }

    forget() {
      this.values = new Map(this.metrics.map((metric) => [metric, new Map()]));
      this.titles = [];
    }

    async load() {
      const end = Date.now() / 1000, asked = zoom || [end - span, end];
      const answers = await Promise.all(this.metrics.map((metric) => this.ask(metric, asked)));
      this.forget();
      this.shown = asked;
      answers.forEach((answer, number) => {
        if (!answer) return;
        this.unit = answer.unit;
        this.step = answer.step;
        this.titles[number] = answer.title;
        for (const [time, value] of answer.points) this.values.get(this.metrics[number]).set(time, value);
      });
      this.draw();
    }

    async ask(metric, [from, to]) {
      const query = new URLSearchParams({ subject: this.subject, metric, from: from.toFixed(0), to: to.toFixed(0) });
      try {
        const answer = await fetch("/api/v1/admin/metrics?" + query);
        return answer.ok ? await answer.json() : null;
      } catch { return null; /* the node restarts: the next round asks again */ }
    }

    add(points) {
      if (this.unit === null || zoom || !followed) return;
      let news = false;
      for (const metric of this.metrics) {
        const values = this.values.get(metric), point = points[metric];
        if (!point || values.has(point[0])) continue;
        values.set(point[0], point[1]);
        this.shown = [point[0] - span, point[0]];
        news = true;
      }
      if (news) this.draw();
    }

    /* Every step of what is shown, so that gaps stay gaps. */
    data() {
      const [from, to] = this.shown, times = [];
      for (let time = Math.ceil(from / this.step) * this.step; time <= to; time += this.step) times.push(time);
      for (const values of this.values.values()) {
        for (const time of values.keys()) if (time < from - this.step) values.delete(time);
      }
      const there = this.metrics.filter((metric) => this.values.get(metric).size);
      this.names = there.map((metric) => this.titles[this.metrics.indexOf(metric)] || metric);
      return [times, ...there.map((metric) => times.map((time) => this.values.get(metric).get(time) ?? null))];
    }

    draw() {
      const data = this.data();
      if (!data.slice(1).some((row) => row.some((value) => value !== null))) {
        if (this.plot) this.plot.destroy();
        this.plot = null;
        this.element.replaceChildren(make("span", zoom ? "not measured then" : "not measured yet", { class: "empty" }));
        this.legend.textContent = "";
        return;
      }
      this.say(data);
      const at = this.plot && this.plot.cursor.idx, time = at == null ? null : this.plot.data[0][at];
      if (this.plot && this.plot.series.length === data.length) this.plot.setData(data);
      else this.make(data);
      queueMicrotask(() => this.point(time)); /* once uPlot has its new scales */
      this.list();
    }

    make(data) {
      if (this.plot) this.plot.destroy();
      this.element.textContent = "";
      const style = getComputedStyle(this.element);
      const [ink, grid, text] = [style.color, style.borderTopColor, style.outlineColor];
      const axis = { stroke: text, font: "11px system-ui, sans-serif", ticks: { show: false } };
      const series = data.slice(1).map((_, number) => ({
        stroke: number ? text : ink, width: 1.5, dash: number ? [4, 3] : [], points: { show: false },
      }));
      this.plot = new uPlot({
        width: this.element.clientWidth, height: this.element.clientHeight, padding: [8, 20, 0, 0],
        legend: { show: false }, series: [{}, ...series],
        cursor: {
          y: false, drag: { x: true, y: false, setScale: false, dist: 4 },
          sync: { key: "page", filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
          bind: { dblclick: () => () => zoomTo(null) },
        },
        hooks: {
          setCursor: [(plot) => this.tell(plot.cursor.idx)],
          setSelect: [(plot) => this.chosen(plot)],
        },
        scales: { y: { range: (_, low, high) => [0, this.most || (high > 0 ? roundUp(high) : 1)] } },
        axes: [
          { ...axis, grid: { show: false }, size: 20, gap: 3, space: 70, values: (_, times, number, space, apart) => times.map((time) => tick(time, apart)) },
          { ...axis, grid: { stroke: grid, width: 1 }, size: 58, gap: 4, splits: (_, axis, low, high) => [low, high / 2, high], values: (_, values) => values.map(short(this.unit)) },
        ],
      }, data, this.element);
    }

    /* The cursor stays at its time while points come. */
    point(time) {
      if (!this.plot) return;
      const times = this.plot.data[0], left = this.plot.valToPos(time, "x");
      if (time !== null && time >= times[0] && time <= times[times.length - 1]) this.plot.setCursor({ left, top: 0 }, true, false);
      else this.tell(null);
    }

    chosen(plot) {
      const { left, width } = plot.select;
      if (width < 4) return;
      plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      zoomTo([plot.posToVal(left, "x"), plot.posToVal(left + width, "x")]);
    }

    press(event) {
      if (!this.plot || event.ctrlKey || event.metaKey || event.altKey) return;
      const times = this.plot.data[0], last = times.length - 1, at = this.plot.cursor.idx ?? last;
      const far = event.shiftKey ? 10 : 1, [from, to] = this.shown;
      const moves = { ArrowLeft: at - far, ArrowRight: at + far, Home: 0, End: last };
      if (event.key in moves) {
        const to = Math.min(Math.max(moves[event.key], 0), last);
        this.plot.setCursor({ left: this.plot.valToPos(times[to], "x"), top: 0 }, true, true);
      } else if (event.key === "+") zoomTo([times[at] - (to - from) / 4, times[at] + (to - from) / 4]);
      else if (event.key === "-" || event.key === "Escape") zoomTo(null);
      else return;
      event.preventDefault();
    }

    /* The values at the cursor; without one, what the lines are. */
    tell(at) {
      if (!this.plot) return;
      const there = at != null, [times, ...rows] = this.plot.data;
      const parts = rows.map((row, number) => {
        const part = make("span", `${this.names[number]}${there ? " " + words(this.unit)(row[at]) : ""}`);
        if (number) part.className = "dashed";
        return part;
      });
      if (there) parts.unshift(make("time", moment(times[at], this.step)));
      this.legend.replaceChildren(...(there || rows.length > 1 ? parts : []));
    }

    /* The same for who cannot see it: in the label, and as a table. */
    say(data) {
      const told = data[1].filter((value) => value !== null), unit = words(this.unit);
      if (!told.length) return;
      const now = told[told.length - 1], [low, high] = [Math.min(...told), Math.max(...told)];
      const past = zoom ? "in what is shown" : `in the last ${ranges ? ranges.dataset.span : "hour"}`;
      this.element.setAttribute("aria-label", `${this.title}: ${zoom ? "last" : "now"} ${unit(now)}, ${past} between ${unit(low)} and ${unit(high)}`);
    }

    list() {
      if (!this.plot || !this.details || !this.details.open) return;
      const [times, ...rows] = this.plot.data, unit = words(this.unit);
      const told = times.map((_, at) => at).filter((at) => rows.some((row) => row[at] !== null)).reverse();
      const every = Math.ceil(told.length / ROWS), table = make("table", "");
      const head = table.createTHead().insertRow();
      for (const [number, name] of ["Time", ...this.names].entries()) head.append(make("th", name, { scope: "col", class: number ? "n" : "" }));
      const body = table.createTBody();
      for (const at of told.filter((_, number) => number % every === 0)) {
        const line = body.insertRow();
        line.append(make("td", moment(times[at], this.step)), ...rows.map((row) => make("td", unit(row[at]), { class: "n" })));
      }
      this.details.querySelector("table").replaceWith(table);
    }

    fit() {
      if (this.plot) this.plot.setSize({ width: this.element.clientWidth, height: this.element.clientHeight });
    }
  }

  const charts = [...document.querySelectorAll(".chart")].map((element) => new Chart(element));
  const refresh = () => Promise.all(charts.map((chart) => chart.load()));

  /* All charts show this time from now on; null is the page's range. */
  function zoomTo(wanted) {
    if (!wanted && !zoom) return;
    if (wanted && wanted[1] - wanted[0] < LEAST_S) {
      const middle = (wanted[0] + wanted[1]) / 2;
      wanted = [middle - LEAST_S / 2, middle + LEAST_S / 2];
    }
    zoom = wanted;
    if (whole) whole.hidden = !zoom;
    refresh();
  }

  refresh();
  if (whole) whole.addEventListener("click", () => zoomTo(null));
  setInterval(() => { if (!zoom && !followed && !document.hidden) refresh(); }, REFRESH_MS);
  document.addEventListener("points", ({ detail }) => {
    for (const chart of charts) chart.add(detail[chart.subject] || {});
  });
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  charts.forEach((chart) => sized.observe(chart.element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) if (chart.plot) chart.make(chart.data());
  });
})();
