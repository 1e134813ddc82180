import { EVENT_TYPES } from "../../../proto/events.ts";

/** The first event is shown at once, a burst of them in one look a second: each renders a whole page on the farm. */
const LOOK_MS = 1_000;

/**
 * The console's one script. An event is only a reason to look again: pages are rendered by the server alone, so nothing of an event
 * reaches the document from here but through text. Without the script, pages reload by themselves.
 */
export const SCRIPT = `
"use strict";
(() => {
  const status = document.getElementById("live");
  const feed = status && status.dataset.feed;
  if (!feed) return;
  const say = (text) => { if (status.textContent !== text) status.textContent = text; };
  let timer = 0, busy = false, again = false, lookedMs = -Infinity;
  const refresh = async () => {
    timer = 0;
    lookedMs = performance.now();
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.status === 401) { location.reload(); return; }
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { say("away"); } finally { busy = false; }
    if (again) { again = false; soon(0); }
  };
  const soon = (ms) => {
    if (!timer && !document.hidden) timer = setTimeout(refresh, Math.max(ms, lookedMs + ${LOOK_MS} - performance.now()));
  };
  const replace = (next) => {
    if (!next.getElementById("live")) { location.reload(); return; }
    const selecting = String(getSelection()) !== "";
    for (const section of next.querySelectorAll("main > [id]")) {
      const old = document.getElementById(section.id);
      if (!old) { document.querySelector("main").append(section); continue; }
      if (old.innerHTML === section.innerHTML) continue;
      if (selecting && getSelection().containsNode(old, true)) continue;
      for (const open of old.querySelectorAll("details[open]")) {
        const same = section.querySelector("#" + CSS.escape(open.id));
        if (same) same.open = true;
      }
      const at = old.contains(document.activeElement) ? document.activeElement : null;
      const key = at && (at.getAttribute("href") || (at.parentElement && at.parentElement.id));
      old.replaceWith(section);
      if (!key) continue;
      for (const one of section.querySelectorAll("a,summary"))
        if ((one.getAttribute("href") || one.parentElement.id) === key) { one.focus(); break; }
    }
  };
  const source = new EventSource(feed);
  source.onopen = () => say("live");
  source.onerror = () => say("reconnecting");
  for (const type of ${JSON.stringify(Object.keys(EVENT_TYPES))}) source.addEventListener(type, () => soon(50));
  document.addEventListener("visibilitychange", () => soon(0));
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  setInterval(() => soon(0), 10000);
})();
`;
