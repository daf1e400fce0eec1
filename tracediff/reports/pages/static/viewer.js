// The viewer of a list of lines: its tools, mouse, keys and minimap.
"use strict";

(() => {
  const { Lines, copier, copyEntry, typing } = tracediff;

  function connect(viewer) {
    const lines = new Lines(viewer);
    const tools = viewer.querySelector(".tools");
    const field = tools?.querySelector('input[type="search"]');
    if (field) searching(field, lines);
    if (tools) tooling(tools, viewer, lines);
    choosing(lines);
    pressing(field, lines);
    placing(lines);
    minimap(viewer, lines);
    viewer.lines = lines;
    viewer.mapped = () => minimap(viewer, lines);
  }

  function searching(field, lines) {
    let waiting = 0;
    const search = () => lines.search(field.value.trim());
    field.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(search, 220);
    });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        clearTimeout(waiting);
        if (field.value.trim() !== lines.wanted) search();
        else lines.goToHit(lines.hit + (event.shiftKey ? -1 : 1));
      } else if (event.key === "Escape") {
        event.preventDefault();
        field.value = "";
        lines.search("");
        lines.reach(lines.current < 0 ? lines.topmost() : lines.current, { block: "nearest" });
      }
    });
  }

  function tooling(tools, viewer, lines) {
    tools.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { fold, filter, go } = button.dataset;
      if (fold) lines.foldTo(fold === "all" ? 1 : 0);
      if (go === "next" || go === "previous") lines.change(go === "next" ? 1 : -1);
      if (go === "hit" || go === "hit-before") lines.goToHit(lines.hit + (go === "hit" ? 1 : -1));
      if (filter) {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        lines.filter(filter, on);
      }
    });
    tools.querySelector("select[data-level]")?.addEventListener("change", (event) => {
      lines.foldTo(Number(event.target.value));
    });
    viewer.addEventListener("unfiltered", () => {
      for (const button of tools.querySelectorAll("[data-filter]")) {
        button.setAttribute("aria-pressed", "false");
      }
    });
  }

  // By mouse, or by Tab.
  function choosing(lines) {
    const numberOf = (row) => Number(row.id.slice("line-".length));
    lines.root.addEventListener("click", (event) => {
      const row = event.target.closest(".line");
      if (!row || event.target.closest(".opened, a, button, summary, input")) return;
      const line = numberOf(row);
      lines.mark(line);
      if (event.target.closest(".fold")) lines.fold(line, !lines.folded[line]);
      else if (!String(getSelection())) lines.open(line);
      row.focus({ preventScroll: true });
    });
    lines.root.addEventListener("focusin", (event) => {
      if (event.target === lines.root) {
        lines.reach(lines.current < 0 ? 0 : lines.current, { block: "nearest" });
      } else if (event.target.matches(".line") && numberOf(event.target) !== lines.current) {
        lines.mark(numberOf(event.target));
      }
    });
  }

  function pressing(field, lines) {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (typing(event.target) || document.querySelector("dialog[open]")) return;
      const act = keys(field, lines, event.target.matches?.(".line"))[event.key];
      if (act) {
        event.preventDefault();
        act();
      }
    });
  }

  // What keys do; some only where a line has the focus.
  function keys(field, lines, inList) {
    const at = lines.current;
    const moves = {
      j: () => lines.step(1),
      k: () => lines.step(-1),
      g: () => lines.ends(false),
      G: () => lines.ends(true),
      n: () => lines.change(1),
      p: () => lines.change(-1),
      N: () => lines.goToHit(lines.hit + 1),
      P: () => lines.goToHit(lines.hit - 1),
      o: () => lines.open(at < 0 ? lines.topmost() : at),
      c: () => copyEntry(document.activeElement?.closest(".entry"), "copy",
        copier.firstElementChild),
      h: () => shut(lines, at),
      l: () => lines.fold(at, false),
      "/": () => { field?.focus(); field?.select(); },
      "?": () => document.getElementById("keys")?.showModal(),
      Escape: () => lines.close(at),
    };
    return !inList ? moves : {
      ...moves,
      Enter: moves.o, ArrowDown: moves.j, ArrowUp: moves.k, ArrowLeft: moves.h,
      ArrowRight: () => (lines.folded[at] ? lines.fold(at, false) : lines.step(1)),
      Home: moves.g, End: moves.G,
    };
  }

  function shut(lines, line) {
    if (line < 0) return;
    if (lines.end[line] > line && !lines.folded[line]) lines.fold(line, true);
    else if (lines.parent(line) >= 0) lines.reach(lines.parent(line), { block: "nearest" });
  }

  // Where its address leads, and how high lines are in a window of another width.
  function placing(lines) {
    function toHash() {
      const named = /^#line-(\d+)$/.exec(location.hash);
      if (named && Number(named[1]) < lines.total) lines.reach(Number(named[1]));
    }
    addEventListener("hashchange", toHash);
    toHash();
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      lines.measure();
      for (const piece of lines.pieces) lines.size(piece);
    });
  }

  function minimap(viewer, lines) {
    const map = viewer.querySelector(".minimap svg");
    if (!map) return;
    const view = map.querySelector(".view");
    let due = false;
    const place = () => {
      due = false;
      const first = lines.topmost() / lines.total;
      const last = (lines.bottommost() + 1) / lines.total;
      const whole = map.viewBox.baseVal.height;
      view.setAttribute("y", String(first * whole));
      view.setAttribute("height", String(Math.max((last - first) * whole, whole / 150)));
      lines.highlight();
    };
    const soon = () => {
      if (!due) { due = true; requestAnimationFrame(place); }
    };
    const jump = (event) => {
      const box = map.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientY - box.top) / box.height));
      let line = Math.min(lines.total - 1, Math.floor(share * lines.total));
      while (line > 0 && lines.hidden[line]) line -= 1;
      lines.reach(line, { focus: false });
    };
    map.addEventListener("pointerdown", (event) => {
      map.setPointerCapture(event.pointerId);
      jump(event);
      event.preventDefault();
    });
    map.addEventListener("pointermove", (event) => {
      if (event.buttons & 1) jump(event);
    });
    addEventListener("scroll", soon, { passive: true });
    addEventListener("resize", soon, { passive: true });
    viewer.addEventListener("laid", soon);
    soon();
  }

  for (const viewer of document.querySelectorAll(".viewer")) connect(viewer);
})();
