// The deploy page: line numbers with marks, links that jump to a line, and how far
// an upload is. Without this file the form works too.
"use strict";

const byId = (id) => document.getElementById(id);
const MIB = 1048576;

// Number the lines of the editor and mark those that something was found in.
function number() {
  const text = byId("formfile"), gutter = document.querySelector("#editor .gutter");
  if (!text) return;
  const marks = new Map();
  for (const item of document.querySelectorAll("#findings [data-line]"))
    if (marks.get(item.dataset.line) !== "error")
      marks.set(item.dataset.line, item.className);
  const lines = [];
  for (let n = 1, last = text.value.split("\n").length; n <= last; n++) {
    const line = document.createElement("span");
    line.id = `line-${n}`;
    line.textContent = n;
    line.className = marks.get(String(n)) || "";
    lines.push(line, "\n");
  }
  gutter.replaceChildren(...lines);
  gutter.scrollTop = text.scrollTop;
  text.toggleAttribute("aria-invalid", [...marks.values()].includes("error"));
  if (text.hasAttribute("aria-invalid")) text.setAttribute("aria-invalid", "true");
}

// Put the cursor where a finding says.
function jump(line, column) {
  const text = byId("formfile"), lines = text.value.split("\n");
  const before = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  // columns count characters, the field counts UTF-16 units
  const at = before + [...(lines[line - 1] || "")].slice(0, column - 1).join("").length;
  const height = parseFloat(getComputedStyle(text).lineHeight);
  text.focus();
  text.setSelectionRange(at, at);
  text.scrollTop = Math.max(0, (line - 4) * height);
}

// Why the chosen files cannot be sent, or nothing.
function refusal(form) {
  const files = [...byId("archive").files, ...byId("folder").files];
  const size = files.reduce((total, file) => total + file.size, 0) / MIB;
  if (size > Number(form.dataset.limitMib))
    return `These are ${Math.ceil(size)} MiB, and at most ${form.dataset.limitMib} MiB ` +
      "can be sent at once; leave out what is not needed.";
  if (byId("archive").files.length && byId("folder").files.length)
    return "Choose a folder or an archive, not both.";
  return "";
}

function say(sentence) {
  byId("upload-error").textContent = sentence;
}

let began = 0;

function progress(loaded, total) {
  if (!byId("sending") || performance.now() - began < 1000) return;
  byId("sending").hidden = false;
  byId("progress").value = (100 * loaded) / total;
  byId("sent").textContent = loaded < total
    ? `${Math.round(loaded / MIB)} of ${Math.ceil(total / MIB)} MiB sent`
    : "Reading what was sent";
}

document.addEventListener("input", (event) => {
  if (event.target.id === "formfile") number();
});
document.addEventListener("change", (event) => {
  if (event.target.type === "file") say(refusal(byId("deploy")));
});
document.addEventListener("scroll", (event) => {
  if (event.target.id === "formfile")
    document.querySelector("#editor .gutter").scrollTop = event.target.scrollTop;
}, true);
document.addEventListener("click", (event) => {
  const found = event.target.closest("#findings [data-line]");
  if (!found || event.target.tagName !== "A") return;
  event.preventDefault();
  jump(Number(found.dataset.line), Number(found.dataset.column));
});

// the element that asked; an event's own element may be what is swapped
const isForm = (event) => event.detail.requestConfig.elt.id === "deploy";
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!isForm(event)) return;
  const why = refusal(byId("deploy"));
  say(why);
  if (why) event.preventDefault();
  began = performance.now();
});
document.addEventListener("htmx:xhr:progress", (event) => {
  if (event.target.id === "deploy") progress(event.detail.loaded, event.detail.total);
});
document.addEventListener("htmx:beforeSwap", (event) => {
  if (!isForm(event)) return;
  const status = event.detail.xhr.status;
  if (status === 422) {
    event.detail.shouldSwap = true; // the page again, with what is wrong
    event.detail.isError = false;
  } else if (status >= 400) {
    const page = new DOMParser().parseFromString(event.detail.xhr.responseText, "text/html");
    const told = page.querySelector("main .quiet");
    say(told ? told.textContent : `The node answered ${status}; try again.`);
  }
});
document.addEventListener("htmx:sendError", (event) => {
  if (isForm(event)) say("The node cannot be reached, or it ended the upload; try again.");
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (isForm(event) && byId("sending")) byId("sending").hidden = true;
});
document.addEventListener("htmx:afterSettle", number);
number();
