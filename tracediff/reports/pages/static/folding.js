// Lines that are folded, filtered and gone to.
"use strict";

(() => {
  const { Lines } = tracediff;
  const MANY = 1200; // rows that come into view at once, from which those far away are let go first

  Object.assign(Lines.prototype, {
    lay() {
      const kept = this.kept();
      const shown = () => this.pieces.reduce((sum, one) => sum + (one.rows ? one.seen : 0), 0);
      const before = shown();
      let until = -1;
      for (let line = 0; line < this.total; line += 1) {
        this.hidden[line] = line <= until || (kept && !kept[line]) ? 1 : 0;
        if (this.folded[line] && this.end[line] > until) until = this.end[line];
      }
      for (const piece of this.pieces) {
        let seen = 0;
        for (let at = 0; at < piece.count; at += 1) seen += 1 - this.hidden[piece.first + at];
        piece.seen = seen;
        if (piece.rows) piece.rows.forEach((row, at) => this.dress(row, piece.first + at));
        this.size(piece);
      }
      if (shown() > before + MANY) this.tidy(this.current >= 0 ? this.current : this.upper);
      this.reachable();
      this.viewer.dispatchEvent(new CustomEvent("laid"));
    },

    // The lines that a filter keeps, and those above them in the tree; null for all.
    kept() {
      if (!this.filters.size) return null;
      const kept = new Uint8Array(this.total);
      for (const label of this.filters) {
        for (const line of this.labels.get(label) || []) kept[line] = 1;
      }
      const above = [];
      for (let line = 0; line < this.total; line += 1) {
        while (above.length && this.depth[above[above.length - 1]] >= this.depth[line]) above.pop();
        if (kept[line]) {
          for (let at = above.length - 1; at >= 0 && !kept[above[at]]; at -= 1) kept[above[at]] = 1;
        }
        above.push(line);
      }
      return kept;
    },

    filter(label, on) {
      const before = this.filters.size;
      if (on) this.filters.add(label);
      else this.filters.delete(label);
      if (!before && this.filters.size) {
        this.unfiltered = this.folded;
        this.folded = new Uint8Array(this.total);
      } else if (before && !this.filters.size) {
        this.folded = this.unfiltered;
      }
      this.keepPlace(() => this.lay());
    },

    fold(line, on) {
      if (this.end[line] <= line) return;
      this.folded[line] = on ? 1 : 0;
      this.lay();
    },

    // Folds every line at this depth or deeper, unfolds those above; 0 unfolds all.
    foldTo(level) {
      this.keepPlace(() => {
        for (let line = 0; line < this.total; line += 1) {
          const inner = this.end[line] > line;
          this.folded[line] = level && inner && this.depth[line] >= level - 1 ? 1 : 0;
        }
        if (this.current >= 0) {
          let shown = this.current;
          for (let at = this.current; at >= 0; at = this.parent(at)) {
            if (at !== this.current && this.folded[at]) shown = at;
          }
          this.mark(shown);
        }
        this.lay();
      });
    },

    // What is in the middle of attention stays where it is while lines above it come or go.
    keepPlace(change) {
      this.upper = this.topmost();
      const line = this.current >= 0 ? this.current : this.upper;
      const row = this.row(line);
      const before = row && !row.hidden ? row.getBoundingClientRect().top : null;
      change();
      let shown = line;
      while (shown > 0 && this.hidden[shown]) shown -= 1;
      while (shown < this.total && this.hidden[shown]) shown += 1;
      if (shown === this.total) return;
      const after = this.row(shown);
      if (before !== null && before > 0 && before < innerHeight && after && !after.hidden) {
        scrollBy({ top: after.getBoundingClientRect().top - before, behavior: "instant" });
      } else if (before !== null && !after) {
        this.reach(shown, { focus: false, mark: false });
      }
    },

    unfoldAbove(line) {
      let changed = false;
      for (let at = this.parent(line); at >= 0; at = this.parent(at)) {
        if (this.folded[at]) { this.folded[at] = 0; changed = true; }
      }
      if (this.filters.size && this.hidden[line] && !changed) {
        this.filters.clear();
        this.folded = this.unfiltered;
        this.viewer.dispatchEvent(new CustomEvent("unfiltered"));
        this.unfoldAbove(line);
        changed = true;
      }
      if (changed) this.lay();
    },

    // Moving --------------------------------------------------------------------------------

    mark(line) {
      const before = this.current;
      this.current = line;
      for (const one of [before < 0 ? 0 : before, line]) {
        const row = one >= 0 && this.row(one);
        if (row) this.dress(row, one);
      }
      this.reachable();
    },

    // Brings a line into view: its piece is filled, its folds are opened.
    async reach(line, { focus = true, block = "center", mark = true } = {}) {
      const wanted = Math.max(0, Math.min(this.total - 1, line));
      this.goal = wanted;
      this.unfoldAbove(wanted);
      const piece = this.pieceOf(wanted);
      piece.awaited = true; // it is not let go before it is in view
      for (let tries = 0; !piece.rows && tries < 2; tries += 1) await this.fill(piece);
      const row = this.row(wanted);
      if (row && this.goal === wanted) {
        if (mark) this.mark(wanted);
        row.scrollIntoView({ block, behavior: "instant" });
      }
      piece.awaited = false;
      if (!row || this.goal !== wanted) return;
      if (focus) row.focus({ preventScroll: true });
    },

    step(by) {
      let line = this.current < 0 ? (by > 0 ? this.topmost() - 1 : this.topmost()) : this.current;
      do line += by; while (line >= 0 && line < this.total && this.hidden[line]);
      if (line >= 0 && line < this.total) this.reach(line, { block: "nearest" });
    },

    ends(last) {
      let line = last ? this.total - 1 : 0;
      while (line > 0 && this.hidden[line]) line -= 1;
      this.reach(line);
    },

    change(by) {
      const from = this.current < 0 ? (by > 0 ? -1 : this.total) : this.current;
      // While a filter is on, only the changes that it asks for are gone to.
      const asked = this.filters.size
        && new Set([...this.filters].flatMap((label) => this.labels.get(label) || []));
      const there = (line) => (by > 0 ? line > from : line < from) && (!asked || asked.has(line));
      const found = by > 0 ? this.changes.find(there) : this.changes.findLast(there);
      if (found === undefined) return this.say(by > 0 ? "none below" : "none above");
      this.reach(found);
      return undefined;
    },

    // The first line that is in view, about: empty pieces have a height and no rows.
    topmost() {
      const top = this.top();
      const piece = this.pieces.find((one) => one.seen && one.box.getBoundingClientRect().bottom > top)
        || this.pieces[this.pieces.length - 1];
      return this.lineAt(piece, top);
    },

    bottommost() {
      const piece = this.pieces.findLast((one) => one.seen && one.box.getBoundingClientRect().top < innerHeight)
        || this.pieces[0];
      return this.lineAt(piece, innerHeight);
    },

    top() {
      const tools = this.viewer.querySelector(".tools");
      return tools ? Math.max(0, tools.getBoundingClientRect().bottom) : 0;
    },

    lineAt(piece, y) {
      const box = piece.box.getBoundingClientRect();
      let share = box.height ? (y - box.top) / box.height : 0;
      share = Math.max(0, Math.min(0.999, share));
      let nth = Math.floor(share * piece.seen);
      for (let line = piece.first; line < piece.first + piece.count; line += 1) {
        if (!this.hidden[line] && nth-- === 0) return line;
      }
      return piece.first;
    },

    say(text) {
      const place = this.viewer.querySelector("[data-said]");
      if (place) place.textContent = text;
    },
  });
})();
