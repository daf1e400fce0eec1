// Parts of a page that come later: fetched from the server, or opened from the file. What the
// scripts of the viewer give each other is in globalThis.tracediff, made here.
"use strict";

(() => {
  async function fetched(address, signal) {
    const answer = await fetch(address, {
      headers: { "X-Part": "1" }, credentials: "same-origin", signal,
    });
    if (!answer.ok) {
      const said = `${answer.status} ${answer.statusText}`;
      throw Object.assign(new Error(said), { status: answer.status });
    }
    return answer.text();
  }

  async function island(id) {
    const packed = document.getElementById(id).textContent.trim();
    const bytes = Uint8Array.from(atob(packed), (one) => one.charCodeAt(0));
    const open = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(open).text();
  }

  // Markup comes from this server or this file alone, which made it of escaped texts.
  function parsed(markup) {
    const holder = document.createElement("template");
    holder.innerHTML = markup;
    return holder.content;
  }

  const part = (data, signal) => (data.island ? island(data.island) : fetched(data.src, signal));

  function failed(place, error, again) {
    const said = document.createElement("p");
    said.className = "bad failed";
    said.append(`This part did not come: ${error.message} `);
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "try again";
    button.addEventListener("click", again);
    said.append(button);
    place.replaceChildren(said);
  }

  const typing = (target) =>
    target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);

  globalThis.tracediff = { failed, fetched, island, parsed, part, typing };
})();
