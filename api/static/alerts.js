// Keeps the alert list fresh while it is open. Without this file the page works as it is: reload to see what is new.
"use strict";
(() => {
  const list = document.getElementById("alert-list");
  const status = document.getElementById("alert-status");
  if (!list || !status || !window.EventSource) return;
  let waiting = null;

  const refresh = async () => {
    waiting = null;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin", redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const items = fresh.getElementById("alert-list");
      const tabs = fresh.getElementById("alert-tabs");
      // A person who is about to press a button must not have it move away.
      const focused = list.contains(document.activeElement) ? document.activeElement.id : "";
      if (items) list.innerHTML = items.innerHTML;
      if (tabs) document.getElementById("alert-tabs").innerHTML = tabs.innerHTML;
      if (focused) document.getElementById(focused)?.focus();
      document.title = fresh.title;
      status.textContent = "Updated " + new Date().toLocaleTimeString("en-GB") + ".";
    } catch {
      status.textContent = "The list could not be updated; reload the page.";
    }
  };

  const stream = new EventSource("/api/v1/alerts/stream?reason=the+alert+list+of+the+console&since=" + encodeURIComponent(list.dataset.revision));
  stream.addEventListener("alert", () => { waiting ??= setTimeout(refresh, 300); });
})();
