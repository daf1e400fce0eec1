// What only served pages do: the token of writing requests, and the list of traces.
"use strict";

document.addEventListener("htmx:configRequest", (event) => {
  event.detail.headers["X-CSRF-Token"] = document.querySelector('meta[name="csrf"]').content;
});

// What went wrong with a part of the page is said in one place, until it is closed.
document.addEventListener("htmx:afterSwap", (event) => {
  if (event.detail.target.id === "refusal" && !event.detail.target.open) event.detail.target.show();
  event.detail.target.removeAttribute("aria-busy");
});

document.addEventListener("htmx:sendError", () => {
  const place = document.getElementById("refusal");
  place.textContent = "The server does not answer.";
  if (!place.open) place.show();
});

// The list of traces --------------------------------------------------------------------------
(() => {
  const list = document.querySelector(".list");
  if (!list) return;
  const { parsed, typing } = tracediff;

  async function part(address, signal) {
    const answer = await fetch(address, {
      headers: { "HX-Request": "true" }, credentials: "same-origin", signal,
    });
    if (!answer.ok) throw Object.assign(new Error(answer.statusText), { status: answer.status });
    return parsed(await answer.text());
  }

  // The search box: a combobox, as the ARIA practices describe it -------------------------------

  const box = document.getElementById("q");
  const offers = document.getElementById("offers");
  let asking = null;
  let waiting = 0;
  let active = -1;

  const options = () => [...offers.querySelectorAll("[role=option]")];

  function activate(at) {
    const all = options();
    active = all.length ? (at + all.length + 1) % (all.length + 1) : -1;
    if (active === all.length) active = -1; // one step beyond either end is the box itself
    all.forEach((one, index) => one.setAttribute("aria-selected", String(index === active)));
    if (active < 0) box.removeAttribute("aria-activedescendant");
    else {
      box.setAttribute("aria-activedescendant", all[active].id);
      all[active].scrollIntoView({ block: "nearest" });
    }
  }

  function shut() {
    clearTimeout(waiting);
    asking?.abort();
    offers.hidden = true;
    active = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  async function ask() {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    const address = new URL(box.dataset.source, location.href);
    address.searchParams.set("q", box.value);
    try {
      const found = await part(address, signal);
      if (signal.aborted || document.activeElement !== box) return;
      offers.replaceChildren(found);
      offers.hidden = false;
      box.setAttribute("aria-expanded", "true");
      activate(-1);
    } catch {
      if (!signal.aborted) shut(); // the box works without it
    }
  }

  function choose(option) {
    if (option.dataset.fill) {
      box.value = option.dataset.fill;
      ask();
    } else {
      shut();
      location.assign(option.dataset.href);
    }
  }

  if (box.dataset.source) {
    const soon = (delay) => {
      clearTimeout(waiting);
      waiting = setTimeout(ask, delay);
    };
    box.addEventListener("input", () => soon(120));
    box.addEventListener("click", () => { if (offers.hidden) soon(0); });
    box.addEventListener("blur", () => setTimeout(() => {
      if (document.activeElement !== box) shut();
    }, 150));
    offers.addEventListener("mousedown", (event) => event.preventDefault()); // the box keeps focus
    offers.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) choose(option);
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (offers.hidden) soon(0);
        else activate(event.key === "ArrowDown" ? active + 1 : active < 0 ? options().length - 1 : active - 1);
      } else if (event.key === "Enter" && active >= 0 && !offers.hidden) {
        event.preventDefault();
        choose(options()[active]);
      } else if (event.key === "Escape") {
        event.preventDefault();
        if (!offers.hidden) shut();
        else { box.value = ""; box.blur(); }
      }
    });
  }

  // Keys ----------------------------------------------------------------------------------------

  const rows = document.getElementById("rows");
  let current = null;

  const entries = () => (rows ? [...rows.querySelectorAll(".entry")] : []);

  function mark(row) {
    current?.classList.remove("current");
    current = row;
    if (!row) return;
    row.classList.add("current");
    row.querySelector(".go").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const all = entries();
    const at = all.indexOf(current);
    const next = at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + by, 0), all.length - 1);
    if (all[next]) mark(all[next]);
  }

  const follow = (selector, within) => (within || document).querySelector(selector)?.click();

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    g: () => mark(entries()[0]),
    G: () => mark(entries().at(-1)),
    o: () => current && follow(".go", current),
    Enter: () => current && follow(".go", current),
    c: () => current && follow(".versus", current),
    n: () => follow('.pager a[rel="next"]'),
    p: () => follow("#pause:not([hidden])"),
    "/": () => { box.focus(); box.select(); },
    "?": () => document.getElementById("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (typing(event.target) || document.querySelector("dialog[open]:modal")) return;
    if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
    if (keys[event.key]) {
      event.preventDefault();
      keys[event.key]();
    }
  });

  rows?.addEventListener("focusin", (event) => {
    const row = event.target.closest(".entry");
    if (row && row !== current) {
      current?.classList.remove("current");
      current = row;
      row.classList.add("current");
    }
    if (row) history.replaceState({ ...history.state, row: row.id }, "");
  });

  // Who comes back from a trace goes on at its row.
  if (performance.getEntriesByType("navigation")[0]?.type === "back_forward" && history.state?.row) {
    mark(entries().find((row) => row.id === history.state.row));
  }

  // New rows while one watches ------------------------------------------------------------------

  const source = document.querySelector("[data-live]")?.dataset.live;
  if (!source) return;

  const EVERY = 2000;
  const MOST = 300; // rows that are shown; beyond them the page is loaded again
  const SETTLED = 10000; // milliseconds after which it may be so by itself
  const PICTURED = 10000; // between two times that the pictures are made again, at least
  const KEPT = 8000; // for which the server shows the same pictures again
  const pause = document.getElementById("pause");
  const fresh = document.getElementById("fresh");
  const said = document.getElementById("live-said");
  const overview = document.getElementById("overview");
  const held = new Map(); // rows that wait until the reader asks for them
  let paused = false;
  let missed = false;
  let timer = 0;
  let told = 0;
  let changed = 0; // when the pictures last became old
  let due = Date.now() + PICTURED;

  const key = (row) => [BigInt(row.dataset.at), row.id];
  const younger = (one, other) => {
    const [at, id] = key(one);
    const [since, than] = key(other);
    return at === since ? id > than : at > since;
  };

  function newest() {
    const all = [...entries(), ...held.values()];
    return all.reduce((found, one) => (!found || younger(one, found) ? one : found), null);
  }

  const reading = () => scrollY > rows.getBoundingClientRect().top + scrollY - 40 || current !== null;

  function insert(row) {
    const before = entries().find((one) => younger(row, one));
    row.classList.add("came");
    rows.insertBefore(row, before || null);
  }

  // Of a job that runs on, only what is said of it is another now.
  function update(old, row) {
    if (old.dataset.state === row.dataset.state && old.dataset.parts === row.dataset.parts) {
      for (const cell of old.dataset.parts === undefined ? [] : [".heard", ".took-cell"]) {
        const [was, is] = [old.querySelector(cell), row.querySelector(cell)];
        if (was.outerHTML !== is.outerHTML) was.replaceWith(is);
      }
      return;
    }
    if (old.dataset.state !== row.dataset.state) changed = Date.now();
    const focused = old.contains(document.activeElement);
    old.replaceWith(row);
    if (old === current) { current = null; if (focused) mark(row); else { current = row; row.classList.add("current"); } }
  }

  // What ran and is not there any more was taken back, or deleted.
  function drop(gone) {
    for (const row of gone) {
      if (row === current) current = null;
      row.remove();
      changed = Date.now();
    }
  }

  // Rows are missed where those that came do not reach back to the newest that was there.
  function take(found, top) {
    const last = entries().at(-1);
    let count = 0;
    const rest = found.querySelector("#more") !== null;
    const oldest = rest ? [...found.querySelectorAll(".entry")].at(-1) : null;
    missed = missed || (oldest && top && younger(oldest, top));
    for (const row of found.querySelectorAll(".entry")) {
      const old = document.getElementById(row.id);
      if (old) update(old, row);
      else if (held.has(row.id)) held.set(row.id, row);
      else if (!last || younger(row, last)) { held.set(row.id, row); count += 1; }
    }
    return count;
  }

  // The pictures follow what ended and what came; those that take long are made more seldom.
  async function picture() {
    const now = Date.now();
    if (!changed || !overview || now < due) return;
    if (overview.matches(":hover") || overview.contains(document.activeElement)) return;
    if (now - changed > KEPT) changed = 0;
    due = Infinity;
    try {
      const found = await part(overview.getAttribute("hx-get"));
      if (overview.contains(document.activeElement)) return;
      const open = overview.querySelector("details[open]") !== null;
      overview.replaceChildren(found);
      if (open) overview.querySelector("details")?.setAttribute("open", "");
    } catch {
      // those that are there stay; of the server's troubles the rows tell
    } finally {
      due = Date.now() + Math.max(PICTURED, 20 * (Date.now() - now));
    }
  }

  function show() {
    if (missed || entries().length + held.size > MOST) {
      location.reload();
      return;
    }
    const all = [...held.values()];
    held.clear();
    all.forEach(insert);
    fresh.hidden = true;
  }

  // Nothing would be lost: nobody reads below, types, or has something open.
  const idle = () => performance.now() > SETTLED && document.activeElement === document.body
    && !box.value && !document.querySelector("dialog[open], .custom[open]");

  function offer() {
    fresh.textContent = missed ? `over ${held.size} new: load them` : `${held.size} new`;
    fresh.hidden = !held.size;
  }

  function tell(count) {
    if (count) changed = Date.now();
    if (!count || Date.now() - told < 10000) return;
    told = Date.now();
    said.textContent = `${count} new ${count === 1 ? "trace" : "traces"}`;
  }

  async function poll() {
    if (document.hidden || paused) return;
    const address = new URL(source, location.href);
    const top = newest();
    if (top) address.searchParams.set("newest", top.dataset.at);
    const asked = entries().filter((one) => one.dataset.state === "running").slice(0, 50);
    for (const one of asked) address.searchParams.append("id", one.id.slice(2));
    try {
      const found = await part(address);
      if (paused) return;
      drop(asked.filter((one) => !found.getElementById(one.id)));
      if (!rows) {
        if (found.querySelector(".entry")) location.reload();
        return;
      }
      if (said.dataset.lost) { said.textContent = ""; delete said.dataset.lost; }
      const count = take(found, top);
      tell(count);
      const fits = !missed && entries().length + held.size <= MOST;
      if (held.size && !reading() && (fits || idle())) show();
      else offer();
    } catch (error) {
      if (!said) return;
      said.dataset.lost = "1";
      said.textContent = error.status === 401 ? "You are signed out." : "No answer; trying again.";
    }
  }

  // Times are told anew: the words are those of reports.wording.age.
  const UNITS = [[60, 1, "s"], [3600, 60, "min"], [172800, 3600, "h"], [1209600, 86400, "days"]];

  function age() {
    for (const row of entries()) {
      const seconds = Math.floor((Date.now() - Number(BigInt(row.dataset.at) / 1000000n)) / 1000);
      if (seconds < 0) continue;
      const unit = UNITS.find(([bound]) => seconds < bound);
      if (!unit) continue;
      const text = seconds < 5 ? "just now" : `${Math.floor(seconds / unit[1])} ${unit[2]} ago`;
      const time = row.querySelector("time");
      if (time.textContent !== text) time.textContent = text;
    }
  }

  async function turn() {
    clearTimeout(timer);
    await poll();
    picture();
    if (rows) age();
    clearTimeout(timer);
    if (!document.hidden && !paused) timer = setTimeout(turn, EVERY);
  }

  if (pause) {
    pause.hidden = false;
    pause.addEventListener("click", () => {
      paused = !paused;
      pause.setAttribute("aria-pressed", String(paused));
      pause.textContent = paused ? "Paused" : "Pause";
      if (!paused) turn();
    });
  }
  fresh?.addEventListener("click", () => {
    mark(null);
    show();
    scrollTo({ top: 0 });
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  timer = setTimeout(turn, EVERY);
})();
