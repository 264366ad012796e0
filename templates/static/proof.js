// Where htmx sent a request that needs a proof first, the form that asks for it is shown.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.getResponseHeader("Proof-Needed")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
  }
});
