/* Charts of measurements: the last hour from the API, then point by point as live.js
   tells them. Colours come from the page; the second line is dashed. */
(() => {
  "use strict";
  const SPAN_S = 3600;

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
  };
  const words = (unit) => WORDS[unit] || ((value) => `${Number(value.toFixed(1))}`);
  /* 1, 2 or 5 times a power of ten: the top of a scale that is not known beforehand. */
  function roundUp(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((factor) => factor * power).find((top) => top >= value * 0.999);
  }
  const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

  class Chart {
    constructor(element) {
      this.element = element;
      this.subject = element.dataset.subject;
      this.metrics = element.dataset.metrics.split(",");
      this.most = Number(element.dataset.most) || null;
      this.title = element.dataset.title;
      this.values = new Map(this.metrics.map((metric) => [metric, new Map()]));
      this.step = 10;
      this.plot = null;
      this.unit = null;
    }

    async load() {
      const answers = await Promise.all(this.metrics.map((metric) => this.ask(metric)));
      answers.forEach((answer, number) => {
        if (!answer) return;
        this.unit = answer.unit;
        this.step = answer.step;
        for (const [time, value] of answer.points) this.values.get(this.metrics[number]).set(time, value);
      });
      this.draw();
    }

    async ask(metric) {
      const query = new URLSearchParams({ subject: this.subject, metric });
      const answer = await fetch("/api/v1/admin/metrics?" + query);
      return answer.ok ? answer.json() : null;
    }

    add(points) {
      if (this.unit === null) return;
      let news = false;
      for (const metric of this.metrics) {
        const values = this.values.get(metric), point = points[metric];
        if (!point || values.has(point[0])) continue;
        values.set(point[0], point[1]);
        news = true;
      }
      if (news) this.draw();
    }

    /* Every step of the last hour, so that gaps stay gaps. */
    data() {
      const end = Math.max(...[...this.values.values()].flatMap((values) => [...values.keys()]));
      const times = [];
      for (let time = end - SPAN_S; time <= end; time += this.step) times.push(time);
      for (const values of this.values.values()) {
        for (const time of values.keys()) if (time < end - SPAN_S) values.delete(time);
      }
      const rows = [...this.values.values()].filter((values) => values.size);
      return [times, ...rows.map((values) => times.map((time) => values.get(time) ?? null))];
    }

    draw() {
      if (![...this.values.values()].some((values) => values.size)) {
        this.element.innerHTML = '<span class="empty">not measured yet</span>';
        return;
      }
      const data = this.data();
      this.say(data);
      if (this.plot && this.plot.series.length === data.length) this.plot.setData(data);
      else this.make(data);
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
        width: this.element.clientWidth, height: this.element.clientHeight, padding: [8, 8, 0, 0],
        legend: { show: false }, cursor: { show: false }, series: [{}, ...series],
        scales: { y: { range: (_, low, high) => [0, this.most || (high > 0 ? roundUp(high) : 1)] } },
        axes: [
          { ...axis, grid: { show: false }, size: 20, gap: 3, space: 70, values: (_, times) => times.map(clock) },
          { ...axis, grid: { stroke: grid, width: 1 }, size: 58, gap: 4, splits: (_, axis, low, high) => [low, high / 2, high], values: (_, values) => values.map(words(this.unit)) },
        ],
      }, data, this.element);
    }

    /* The same for who cannot see it. */
    say(data) {
      const told = data[1].filter((value) => value !== null), unit = words(this.unit);
      const now = told[told.length - 1], [low, high] = [Math.min(...told), Math.max(...told)];
      this.element.setAttribute("aria-label",
        `${this.title}: now ${unit(now)}, in the last hour between ${unit(low)} and ${unit(high)}`);
      this.element.title = `last hour: ${unit(low)} to ${unit(high)}`;
    }

    fit() {
      if (this.plot) this.plot.setSize({ width: this.element.clientWidth, height: this.element.clientHeight });
    }
  }

  const charts = [...document.querySelectorAll(".chart")].map((element) => new Chart(element));
  for (const chart of charts) chart.load();
  document.addEventListener("points", ({ detail }) => {
    for (const chart of charts) chart.add(detail[chart.subject] || {});
  });
  const sized = new ResizeObserver(() => charts.forEach((chart) => chart.fit()));
  charts.forEach((chart) => sized.observe(chart.element));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const chart of charts) if (chart.plot) chart.make(chart.data());
  });
})();
