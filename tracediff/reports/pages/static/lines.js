// Long lists of lines: pieces that are filled when they come near the view. What the markup must
// be like is described in templates/lines.html.
"use strict";

(() => {
  const { failed, parsed, part } = tracediff;

  const KEPT = 14; // filled pieces of a list that keep their rows; a piece has about 200
  const AT_ONCE = 6; // pieces that are asked for at a time
  const AGAIN = "[data-src], [data-island]"; // pieces that can be filled again
  const NEAR = 900; // pixels above and below the view

  // Of an island with the details of several lines, those of one.
  const only = (content, of) => (of === undefined ? content
    : content.querySelector(`[data-of="${CSS.escape(of)}"]`));

  // What stands in for details that a file does not hold.
  function elsewhere(command) {
    const said = document.createElement("p");
    const code = document.createElement("code");
    said.className = "soft";
    code.textContent = command;
    said.append("Not in this file, which would be too large with it. ", code, " shows it.");
    return said;
  }

  function numbers(text) {
    const found = [];
    for (const one of text ? text.split(/[ ,]+/) : []) {
      const [first, last] = one.split("-").map(Number);
      for (let at = first; at <= (last ?? first); at += 1) found.push(at);
    }
    return found;
  }

  class Lines {
    constructor(viewer) {
      this.viewer = viewer;
      this.root = viewer.querySelector(".lines");
      this.total = Number(this.root.dataset.total);
      this.current = -1;
      this.upper = 0;
      this.hits = [];
      this.hit = -1;
      this.wanted = "";
      this.filters = new Set();
      this.pieces = [...this.root.querySelectorAll(":scope > .piece")].map((box) => this.made(box));
      this.readStructure();
      for (const piece of this.pieces) {
        if (piece.box.querySelector(":scope > .line")) this.adopt(piece);
        else piece.box.replaceChildren();
      }
      this.measure();
      this.lay();
      this.watch();
    }

    made(box) {
      const count = Number(box.dataset.count);
      const first = Number(box.dataset.first);
      return { box, first, count, seen: count, rows: null, filling: null, stop: null, near: false };
    }

    // The tree of lines: depths are known of all of them, whichever are filled.
    readStructure() {
      const total = this.total;
      this.depth = new Uint16Array(total);
      this.end = new Uint32Array(total);
      this.folded = new Uint8Array(total);
      this.hidden = new Uint8Array(total);
      this.labels = new Map();
      this.changes = [];
      for (const { box, first } of this.pieces) {
        numbers(box.dataset.depths).forEach((depth, at) => { this.depth[first + at] = depth; });
        for (const line of numbers(box.dataset.folded)) this.folded[line] = 1;
        for (const one of (box.dataset.labels || "").split(" ")) {
          const [label, lines] = one.split(":");
          if (!lines) continue;
          if (!this.labels.has(label)) this.labels.set(label, []);
          this.labels.get(label).push(...numbers(lines));
        }
        this.changes.push(...numbers(box.dataset.changes));
      }
      const above = [];
      for (let line = 0; line < total; line += 1) {
        while (above.length && this.depth[above[above.length - 1]] >= this.depth[line]) {
          this.end[above.pop()] = line - 1;
        }
        above.push(line);
      }
      for (const line of above) this.end[line] = total - 1;
    }

    measure() {
      const filled = this.pieces.find((piece) => piece.rows && piece.seen);
      const row = filled?.rows.find((one) => !one.hidden && !one.classList.contains("open"));
      if (row && row.offsetHeight) this.height = row.getBoundingClientRect().height;
      this.height = this.height || 24;
    }

    pieceOf(line) {
      let low = 0;
      let high = this.pieces.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (this.pieces[middle].first <= line) low = middle;
        else high = middle - 1;
      }
      return this.pieces[low];
    }

    row(line) {
      const piece = this.pieceOf(line);
      return piece.rows ? piece.rows[line - piece.first] : null;
    }

    parent(line) {
      for (let above = line - 1; above >= 0; above -= 1) {
        if (this.depth[above] < this.depth[line]) return above;
      }
      return -1;
    }

    // Filling -------------------------------------------------------------------------------

    adopt(piece) {
      piece.rows = [...piece.box.querySelectorAll(":scope > .line")];
      // A list that grows may have more lines by now, and is told of them later.
      for (const row of piece.rows.splice(piece.count)) row.remove();
      piece.box.style.height = "";
      piece.box.removeAttribute("aria-busy");
      this.size(piece);
      piece.rows.forEach((row, at) => this.dress(row, piece.first + at));
    }

    // Writes only what is another now: there may be thousands of rows.
    dress(row, line) {
      const hidden = this.hidden[line] === 1;
      if (row.hidden !== hidden) row.hidden = hidden;
      const tab = line === this.current || (this.current < 0 && line === 0) ? "0" : "-1";
      if (row.getAttribute("tabindex") !== tab) row.setAttribute("tabindex", tab);
      if (row.classList.contains("current") !== (line === this.current)) {
        row.classList.toggle("current");
      }
      if (row.classList.contains("hit") !== this.isHit(line)) row.classList.toggle("hit");
      if (this.end[line] > line) {
        const expanded = String(!this.folded[line]);
        if (row.getAttribute("aria-expanded") !== expanded) {
          row.setAttribute("aria-expanded", expanded);
        }
      }
    }

    // Few pieces are asked for at a time, those in the middle of the view first.
    pump() {
      const wanted = this.pieces.filter((piece) => piece.near && !piece.rows && !piece.filling);
      const middle = innerHeight / 2;
      const away = (piece) => Math.abs(piece.box.getBoundingClientRect().top - middle);
      wanted.sort((a, b) => away(a) - away(b));
      const free = AT_ONCE - this.pieces.filter((piece) => piece.filling).length;
      for (const piece of wanted.slice(0, Math.max(free, 0))) this.fill(piece);
    }

    fill(piece) {
      if (piece.rows) return Promise.resolve();
      if (piece.filling) return piece.filling;
      const asked = piece.count;
      piece.stop = new AbortController();
      piece.box.setAttribute("aria-busy", "true");
      piece.filling = part(piece.box.dataset, piece.stop.signal)
        .then((markup) => {
          piece.box.replaceChildren(parsed(markup));
          this.adopt(piece);
          if (piece.count > asked && piece.rows.length < piece.count) this.empty(piece);
          this.highlight();
          this.tidy();
        })
        .catch((error) => {
          piece.box.removeAttribute("aria-busy");
          if (error.name === "AbortError") return;
          failed(piece.box, error, () => { piece.box.replaceChildren(); this.fill(piece); });
        })
        .finally(() => {
          piece.filling = null;
          piece.stop = null;
          if (piece.rows || piece.late) this.pump();
          piece.late = false;
        });
      return piece.filling;
    }

    // Lets a piece go that is to be filled again, with what it holds by now.
    empty(piece) {
      piece.rows = null;
      piece.late = true;
      this.size(piece);
      piece.box.replaceChildren();
    }

    // The rows of pieces far from the view are let go, so that a long list stays quick. Of those
    // near it too when what was folded opens: then they are not near any more.
    tidy(middle = null) {
      const filled = this.pieces.filter((piece) => piece.rows);
      const kept = middle === null ? KEPT : KEPT / 2;
      if (filled.length <= kept) return;
      const near = filled.filter((piece) => piece.near).map((piece) => piece.first);
      const from = middle ?? (near.length ? near[near.length >> 1] : 0);
      const far = filled
        .filter((piece) => (middle !== null || !piece.near) && piece.box.matches(AGAIN))
        .filter((piece) => !piece.awaited)
        .filter((piece) => !piece.box.querySelector(":scope > .open"))
        .filter((piece) => !piece.box.contains(document.activeElement))
        .sort((a, b) => Math.abs(b.first - from) - Math.abs(a.first - from));
      for (const piece of far.slice(0, filled.length - kept)) {
        piece.rows = null;
        this.size(piece);
        piece.box.replaceChildren();
      }
      this.reachable();
    }

    // Tab must lead into the list, also when the row it would lead to was let go.
    reachable() {
      const row = this.current >= 0 ? this.row(this.current) : this.row(0);
      this.root.tabIndex = row && !row.hidden ? -1 : 0;
    }

    watch() {
      this.watcher = new IntersectionObserver((entries) => {
        for (const entry of entries) {
          const piece = this.byBox.get(entry.target);
          piece.near = entry.isIntersecting;
          if (!piece.near && piece.stop && !piece.awaited) piece.stop.abort();
        }
        this.pump();
        this.tidy();
      }, { rootMargin: `${NEAR}px 0px` });
      this.byBox = new Map(this.pieces.map((piece) => [piece.box, piece]));
      for (const piece of this.pieces) this.watcher.observe(piece.box);
    }

    // A piece out of view is not laid out (content-visibility); it counts with this height.
    size(piece) {
      piece.box.hidden = piece.seen === 0;
      const height = `${piece.seen * this.height}px`;
      const { style } = piece.box;
      if (!piece.rows) style.height = height;
      style.containIntrinsicHeight = height;
      const open = piece.rows && piece.box.querySelector(":scope > .open");
      style.contentVisibility = open ? "visible" : "";
    }

    // Details ---------------------------------------------------------------------------------

    async open(line) {
      const row = this.row(line);
      if (!row) return;
      let box = row.querySelector(":scope > .opened");
      if (!box) {
        if (!row.dataset.open && !row.dataset.openIsland && !row.dataset.shownBy) {
          this.fold(line, !this.folded[line]);
          return;
        }
        box = document.createElement("div");
        box.className = "opened";
        box.hidden = true;
        row.append(box);
        const { open: src, openIsland, of, shownBy } = row.dataset;
        const load = () => part({ src, island: openIsland })
          .then((markup) => box.replaceChildren(only(parsed(markup), of)))
          .catch((error) => failed(box, error, load))
          .finally(() => box.removeAttribute("aria-busy"));
        if (shownBy) box.append(elsewhere(shownBy));
        else {
          box.setAttribute("aria-busy", "true");
          await Promise.race([load(), new Promise((done) => { setTimeout(done, 150); })]);
        }
      }
      box.hidden = !box.hidden;
      row.classList.toggle("open", !box.hidden);
      this.size(this.pieceOf(line));
      if (!box.hidden) box.scrollIntoView({ block: "nearest", behavior: "instant" });
    }

    close(line) {
      const box = this.row(line)?.querySelector(":scope > .opened");
      if (!box || box.hidden) return false;
      this.open(line);
      this.row(line).focus();
      return true;
    }
  }

  tracediff.Lines = Lines;
})();
