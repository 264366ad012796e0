/* Live parts of a page: one event stream brings the fragments that changed; where it
   fails they are asked for from time to time. See blueprints/live.py. */
(() => {
  "use strict";
  const POLL_MS = 3000, AGAIN_MS = 60000;
  const part = document.querySelector("[data-live]");
  const query = part && new URLSearchParams({ view: part.dataset.live, of: part.dataset.of || "" });
  let stream = null, poll = null, again = null;

  function swap(element, html) {
    const held = element.contains(document.activeElement) && focusables(element).indexOf(document.activeElement);
    const log = element.querySelector("pre.log");
    const below = log && log.scrollHeight - log.scrollTop - log.clientHeight;
    element.innerHTML = html;
    const token = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRF-Token"] || "";
    for (const input of element.querySelectorAll("input[name=csrf]")) input.value = token;
    const after = element.querySelector("pre.log");
    if (after) after.scrollTop = after.scrollHeight - after.clientHeight - (below > 8 ? below : 0);
    if (held !== false && held >= 0) (focusables(element)[held] || element).focus();
    if (window.htmx) window.htmx.process(element);
  }

  const focusables = (element) => [...element.querySelectorAll("a, button, input, textarea, select")];

  function show(update) {
    for (const [id, html] of Object.entries(update.fragments)) {
      const element = document.getElementById(id);
      if (element) swap(element, html);
    }
    document.dispatchEvent(new CustomEvent("points", { detail: update.points }));
    tick();
    if (isDone()) stop();
  }

  const isDone = () => document.querySelector("[data-live-done]") !== null;

  function follow() {
    stop();
    if (isDone()) return;
    stream = new EventSource("/live/events?" + query);
    stream.addEventListener("update", (event) => show(JSON.parse(event.data)));
    stream.addEventListener("end", () => { stop(); location.reload(); });
    stream.onerror = () => {
      if (stream && stream.readyState === EventSource.CLOSED) fallBack();
    };
  }

  function fallBack() {
    stop();
    poll = setInterval(ask, POLL_MS);
    again = setTimeout(follow, AGAIN_MS);
  }

  async function ask() {
    try {
      const answer = await fetch("/live/parts?" + query, { redirect: "manual" });
      if (answer.ok) show(await answer.json());
      else if (answer.type === "opaqueredirect" || answer.status === 404) location.reload();
    } catch { /* the node restarts: the next round asks again */ }
  }

  function stop() {
    if (stream) stream.close();
    clearInterval(poll);
    clearTimeout(again);
    stream = poll = again = null;
  }

  /* Times in words, as blueprints/words.py has them. */
  function ago(seconds) {
    const future = seconds < 0, apart = Math.abs(seconds);
    for (const [unit, length] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
      const count = future ? Math.round(apart / length) : Math.floor(apart / length);
      const text = `${count} ${unit}${count > 1 ? "s" : ""}`;
      if (apart >= length) return future ? `in ${text}` : `${text} ago`;
    }
    return future ? "soon" : "just now";
  }

  function lasting(seconds) {
    seconds = Math.max(0, seconds);
    if (seconds < 120) return `${seconds} s`;
    return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
  }

  function tick() {
    const now = Math.floor(Date.now() / 1000);
    for (const [name, words] of [["when", ago], ["since", lasting]]) {
      for (const time of document.querySelectorAll(`time[data-${name}]`)) {
        const text = words(now - Number(time.dataset[name]));
        if (time.textContent !== text) time.textContent = text;
      }
    }
  }

  setInterval(tick, 1000);
  if (!part) return;
  for (const log of part.querySelectorAll("pre.log")) log.scrollTop = log.scrollHeight;
  /* A tab that nobody looks at holds no stream. */
  document.addEventListener("visibilitychange", () => document.hidden ? stop() : follow());
  window.addEventListener("pagehide", stop);
  if (!document.hidden) follow();
})();
