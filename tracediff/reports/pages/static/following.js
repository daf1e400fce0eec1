// The page of a trace whose job runs: it shows what comes, and becomes that of a trace that has ended.
"use strict";

(() => {
  const { fetched, parsed, typing } = tracediff;
  const EVERY = 2000; // milliseconds between two looks while something comes
  const SELDOM = 5000; // while nothing does
  const LONGEST = 30000; // while the server does not answer
  const TELL = 10000; // between two times that it is said how much came

  const growth = document.getElementById("growth");
  const viewer = document.querySelector(".viewer");
  const lines = viewer?.lines;
  if (!growth || !lines) return;
  const button = document.getElementById("follow");
  const said = document.getElementById("follow-said");
  let parts = Number(growth.dataset.parts);
  let following = true;
  let over = false;
  let delay = EVERY;
  let told = 0;
  let unsaid = 0;
  let timer = 0;

  const say = (text) => { if (said.textContent !== text) said.textContent = text; };

  async function ask() {
    const address = new URL(growth.dataset.source, location.href);
    address.searchParams.set("parts", String(parts));
    address.searchParams.set("lines", String(lines.total));
    return parsed(await fetched(address));
  }

  // Takes the new one of an element, unless it is the same or somebody uses it.
  function swap(id, found, force = false) {
    const [was, is] = [document.getElementById(id), found.getElementById(id)];
    if (!was || !is || was.outerHTML === is.outerHTML) return;
    if (was.contains(document.activeElement) && !force) return;
    const open = was.querySelector("details[open]") !== null;
    was.replaceWith(is);
    if (open) is.querySelector("details")?.setAttribute("open", "");
  }

  function artifacts(found) {
    const [was, is] = [document.getElementById("artifacts"), found.getElementById("artifacts")];
    const had = was.querySelectorAll(":scope > details").length;
    was.append(...[...is.children].slice(had));
    was.hidden = is.hidden;
  }

  function tools(found) {
    const is = found.querySelector(".tools");
    const was = viewer.querySelector(".tools");
    const group = (one) => one.querySelector('[aria-label="Show only"]');
    if (group(is) && !group(was)) was.querySelector(".search").after(group(is));
    else if (group(is)) {
      for (const fresh of group(is).querySelectorAll("[data-filter]")) {
        const old = group(was).querySelector(`[data-filter="${fresh.dataset.filter}"]`);
        if (old) old.replaceChildren(...fresh.childNodes);
        else group(was).append(fresh);
      }
    }
    const [before, level] = [was.querySelector("[data-level]"), is.querySelector("[data-level]")];
    if (before && level && before.options.length < level.options.length) {
      before.append(...[...level.options].slice(before.options.length));
    }
  }

  function strip(found) {
    const [was, is] = [viewer.querySelector(".minimap svg"), found.querySelector(".minimap")];
    if (!is) return;
    if (!was) {
      viewer.querySelector(".beside").append(is);
      viewer.mapped();
      return;
    }
    const view = was.querySelector(".view");
    is.querySelector(".view").replaceWith(view);
    was.setAttribute("viewBox", is.firstElementChild.getAttribute("viewBox"));
    was.replaceChildren(...is.firstElementChild.childNodes);
  }

  // Who has scrolled to the end goes on there; for anybody else nothing moves.
  const atEnd = () => scrollY > 0
    && scrollY + innerHeight >= document.documentElement.scrollHeight - 48;

  function grow(found, total) {
    const rows = new Map([...found.querySelectorAll("#rows > .line")]
      .map((row) => [Number(row.id.slice("line-".length)), row]));
    const before = lines.total;
    const change = () => lines.grow(total, [...found.querySelectorAll(".piece")], rows);
    if (atEnd()) {
      change();
      scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    } else if (scrollY > 0) lines.keepPlace(change);
    else change();
    return total - before;
  }

  // The time that open steps take so far: the words are those of reports.wording.lasted.
  function ages(now) {
    const two = (number) => String(number).padStart(2, "0");
    for (const cell of lines.root.querySelectorAll(".took[data-since]")) {
      const seconds = Math.max(0, Math.floor((now - Number(cell.dataset.since)) / 1000));
      const [minutes, hours] = [Math.floor(seconds / 60), Math.floor(seconds / 3600)];
      cell.textContent = hours ? `${hours} h ${two(minutes % 60)} min`
        : minutes ? `${minutes} min ${two(seconds % 60)} s` : `${seconds} s`;
    }
  }

  function take(found) {
    const { again, state, total, took, parts: known } = found.getElementById("growth").dataset;
    if (again) {
      location.reload();
      return true;
    }
    const ended = state !== "running";
    const grown = Number(known) !== parts || ended;
    swap("standing", found, ended);
    if (grown) {
      const came = grow(found, Number(total));
      swap("links", found, ended);
      swap("timeline", found);
      artifacts(found);
      tools(found);
      strip(found);
      tell(came);
    }
    parts = Number(known);
    ages(Number(took));
    if (ended) end(state === "lost" ? "This job was lost." : `This job has ended: ${state}.`);
    return grown;
  }

  // It is read out: not with each part.
  function tell(came) {
    unsaid += came;
    if (unsaid <= 0 || Date.now() - told < TELL) return;
    told = Date.now();
    say(`${unsaid.toLocaleString("en")} new ${unsaid === 1 ? "line" : "lines"}`);
    unsaid = 0;
  }

  function end(text) {
    over = true;
    say(text);
    button.hidden = true;
    lines.settle().catch(() => {}); // they say what was so when they came
  }

  function trouble(error) {
    if (error.status === 401) end("You are signed out.");
    else if (error.status === 404) end("This trace is gone: its job took it back, or it was deleted.");
    else say("No answer; trying again.");
  }

  async function turn() {
    clearTimeout(timer);
    if (over || !following || document.hidden) return;
    try {
      const grown = take(await ask());
      if (said.textContent === "No answer; trying again.") say("");
      delay = grown ? EVERY : Math.min(delay * 1.2, SELDOM);
    } catch (error) {
      delay = Math.min(delay * 2, LONGEST);
      trouble(error);
    }
    clearTimeout(timer);
    if (!over && following) timer = setTimeout(turn, delay);
  }

  function toggle() {
    if (over) return;
    following = !following;
    button.setAttribute("aria-pressed", String(following));
    button.textContent = following ? "Following" : "Follow";
    delay = EVERY;
    if (following) turn();
  }

  button.hidden = false;
  button.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "f" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!typing(event.target) && !document.querySelector("dialog[open]")) toggle();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) turn(); });
  timer = setTimeout(turn, EVERY);
})();
