// Lines of a trace whose job runs: what came is added, and moves nothing that is there.
"use strict";

(() => {
  const { Lines, fetched, parsed, part } = tracediff;

  Object.assign(Lines.prototype, {
    // What a list holds by now: its pieces that have new or other lines, without rows, and some
    // of these rows by their number. All else stays as it is: what is folded, open, or in focus.
    grow(total, boxes, rows) {
      const { folded, unfiltered } = this;
      const sized = (was) => { const is = new Uint8Array(total); is.set(was); return is; };
      for (const box of boxes) {
        const last = this.pieces[this.pieces.length - 1];
        const piece = this.pieceOf(Number(box.dataset.first));
        if (last && Number(box.dataset.first) > last.first) this.append(box);
        else {
          Object.assign(piece.box.dataset, box.dataset);
          for (const name of ["labels", "changes"]) if (!box.dataset[name]) delete piece.box.dataset[name];
          piece.count = Number(box.dataset.count);
        }
      }
      this.total = total;
      this.root.dataset.total = String(total);
      this.readStructure();
      this.folded.set(folded);
      if (this.filters.size) this.unfiltered = sized(unfiltered);
      for (const piece of this.pieces) if (piece.rows) this.renew(piece, rows);
      this.lay();
      this.pump();
    },

    append(box) {
      const piece = this.made(document.importNode(box, false));
      this.pieces.push(piece);
      this.root.append(piece.box);
      this.byBox.set(piece.box, piece);
      this.watcher.observe(piece.box);
    },

    renew(piece, rows) {
      const { first, count, box } = piece;
      for (let at = 0; at < count; at += 1) {
        const row = rows.get(first + at);
        if (at < piece.rows.length) {
          if (row) this.refresh(piece.rows[at], row);
        } else if (row) {
          box.append(row);
          piece.rows.push(row);
        } else return this.empty(piece);
      }
      return undefined;
    },

    // The row itself stays, with its focus and what is open in it.
    refresh(row, by) {
      for (const part of [".says", ".took"]) {
        const [was, is] = [row.querySelector(`:scope > ${part}`), by.querySelector(`:scope > ${part}`)];
        if (was.outerHTML !== is.outerHTML) was.replaceWith(is);
      }
      const kept = ["current", "hit", "open"].filter((name) => row.classList.contains(name));
      row.className = [by.className, ...kept].join(" ");
      const opened = row.querySelector(":scope > .opened");
      if (!opened || opened.contains(document.activeElement)) return;
      if (opened.hidden) opened.remove();
      else part({ src: row.dataset.open }).then((markup) => opened.replaceChildren(parsed(markup)), () => {});
    },

    // What all rows say now, of a list that has come to its end.
    async settle() {
      for (const piece of this.pieces.filter((one) => one.rows && one.box.dataset.src)) {
        const found = [...parsed(await fetched(piece.box.dataset.src)).querySelectorAll(".line")];
        if (piece.rows) piece.rows.forEach((row, at) => found[at] && this.refresh(row, found[at]));
      }
    },
  });
})();
