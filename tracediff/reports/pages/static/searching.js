// The search in the lines.
"use strict";

(() => {
  const { Lines, fetched, island, parsed } = tracediff;

  Object.assign(Lines.prototype, {
    isHit(line) {
      let low = 0;
      let high = this.hits.length - 1;
      while (low <= high) {
        const middle = (low + high) >> 1;
        if (this.hits[middle] === line) return true;
        if (this.hits[middle] < line) low = middle + 1;
        else high = middle - 1;
      }
      return false;
    },

    async search(text) {
      this.wanted = text;
      this.stopSearch?.abort();
      if (!text) return this.found("", [], "");
      const stop = new AbortController();
      this.stopSearch = stop;
      this.say("searching");
      try {
        if (this.root.dataset.find) {
          const address = new URL(this.root.dataset.find, location.href);
          address.searchParams.set("q", text);
          for (let more = true; more && !stop.signal.aborted;) {
            const answer = JSON.parse(await fetched(address, stop.signal));
            more = answer.more;
            if (!stop.signal.aborted) this.found(text, answer.lines, answer.said);
          }
        } else {
          const lines = await this.scan(text.toLowerCase(), stop.signal);
          if (!stop.signal.aborted) this.found(text, lines, "");
        }
      } catch (error) {
        if (error.name !== "AbortError") this.say(`the search failed: ${error.message}`);
      }
      return undefined;
    },

    // Pieces that are packed are searched as the texts in their markup, none of which is parsed
    // that does not hold what is looked for.
    async scan(wanted, signal) {
      const lines = [];
      const escaped = wanted.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
        .replaceAll(">", "&gt;").replaceAll('"', "&#34;").replaceAll("'", "&#39;");
      for (const piece of this.pieces) {
        if (signal.aborted) return lines;
        let rows = piece.rows;
        if (!rows && piece.box.dataset.island) {
          const markup = await island(piece.box.dataset.island);
          const said = markup.replace(/<[^>]*>/g, "").toLowerCase();
          if (said.includes(escaped)) rows = [...parsed(markup).querySelectorAll(".line")];
        }
        (rows || []).forEach((row, at) => {
          if (row.textContent.toLowerCase().includes(wanted)) lines.push(piece.first + at);
        });
      }
      return lines;
    },

    found(text, lines, said) {
      const goesOn = this.hit >= 0 && this.sought === text; // more of the same was found
      this.sought = text;
      this.hits = lines;
      if (!goesOn) this.hit = -1;
      this.remark = said;
      for (const piece of this.pieces) {
        if (piece.rows) piece.rows.forEach((row, at) => this.dress(row, piece.first + at));
      }
      this.highlight();
      if (!text) return this.say("");
      if (goesOn) return this.sayHit();
      const from = this.current >= 0 ? this.current : this.topmost();
      const next = lines.findIndex((line) => line >= from);
      if (lines.length) return this.goToHit(next < 0 ? 0 : next, false);
      return this.say(said ? `none; ${said}` : "none");
    },

    goToHit(at, focus = false) {
      if (!this.hits.length) return;
      this.hit = (at + this.hits.length) % this.hits.length;
      this.reach(this.hits[this.hit], { focus });
      this.sayHit();
    },

    sayHit() {
      const of = `${(this.hit + 1).toLocaleString("en")} of ${this.hits.length.toLocaleString("en")}`;
      this.say(this.remark ? `${of}; ${this.remark}` : of);
    },

    // The text that was searched for, marked where it shows, without touching the document.
    highlight() {
      if (!globalThis.CSS?.highlights) return;
      CSS.highlights.delete("found");
      const wanted = this.wanted.toLowerCase();
      if (!wanted || !this.hits.length) return;
      const ranges = [];
      for (const piece of this.pieces) {
        if (!piece.rows || !piece.near) continue;
        for (const row of piece.rows) {
          if (row.hidden || !row.classList.contains("hit")) continue;
          const walk = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) {
            const text = walk.currentNode.data.toLowerCase();
            for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
              const range = new Range();
              range.setStart(walk.currentNode, Math.min(at, walk.currentNode.length));
              range.setEnd(walk.currentNode, Math.min(at + wanted.length, walk.currentNode.length));
              ranges.push(range);
              if (ranges.length > 2000) break;
            }
          }
        }
      }
      CSS.highlights.set("found", new Highlight(...ranges));
    },
  });
})();
