// Values that open, are searched and copied, on any page.
"use strict";

(() => {
  const { failed, fetched, parsed } = tracediff;

  // <details data-src> and buttons with data-more get what they show when it is first asked for.
  async function fillNode(details) {
    const { src } = details.dataset;
    if (!src || details.dataset.filled) return;
    details.dataset.filled = "1";
    const place = details.querySelector(":scope > .inside");
    const load = () => fetched(src)
      .then((markup) => place.replaceChildren(parsed(markup)))
      .catch((error) => failed(place, error, load));
    place.textContent = "…";
    await load();
  }

  async function more(button) {
    button.disabled = true;
    try {
      const content = parsed(await fetched(button.dataset.more));
      const first = content.querySelector("summary, a, button");
      button.replaceWith(content);
      first?.focus({ preventScroll: true });
    } catch (error) {
      button.disabled = false;
      button.title = error.message;
      button.classList.add("bad");
    }
  }

  function copy(button) {
    const { copy: given, copyOf } = button.dataset;
    const target = copyOf ? document.getElementById(copyOf) : button.closest("[data-copied]");
    write(given ?? plain(target), button);
  }

  async function write(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const before = button.textContent;
    button.textContent = "copied";
    setTimeout(() => { button.textContent = before; }, 1200);
  }

  // The text of what is loaded, a line an entry, indented as the tree is.
  function plain(target) {
    if (!target) return "";
    const lines = [];
    const put = (depth, text) => lines.push("  ".repeat(depth) + text);
    const walk = (place, depth) => {
      for (const child of place.children) {
        if (child.matches(".entry")) {
          const details = child.querySelector(":scope > details");
          const said = details ? details.querySelector("summary") : child;
          const label = said.querySelector(":scope > .label")?.textContent;
          const inside = details?.querySelector(":scope > .inside");
          const filled = inside?.childElementCount;
          const value = said.querySelector(filled ? ":scope > .type" : ":scope > .value");
          put(depth, [label && `${label}:`, value.textContent].filter(Boolean).join(" "));
          if (filled) walk(inside, depth + 1);
        } else if (child.matches("pre")) {
          for (const line of child.textContent.split("\n")) put(depth, line);
        } else if (child.matches("tr")) {
          put(depth, [...child.cells].map((cell) => cell.textContent).join("\t"));
        } else if (child.matches("button.more, p.soft")) {
          put(depth, child.textContent);
        } else if (!child.matches("button, .title, .matches, .copier")) {
          walk(child, depth);
        }
      }
    };
    walk(target, 0);
    return lines.length ? lines.join("\n") : target.textContent.trim();
  }

  // Searches a large value: what its field's address gives stands below it.
  function findIn(field) {
    const place = field.closest(".values").querySelector(".matches");
    clearTimeout(findIn.waiting);
    findIn.waiting = setTimeout(async () => {
      const wanted = field.value.trim();
      place.hidden = !wanted;
      if (!wanted) return place.replaceChildren();
      const address = new URL(field.dataset.findIn, location.href);
      address.searchParams.set("q", wanted);
      try {
        const markup = await fetched(address);
        if (field.value.trim() === wanted) place.replaceChildren(parsed(markup));
      } catch (error) {
        failed(place, error, () => findIn(field));
      }
      return undefined;
    }, 250);
  }

  // Where a value lies, as its reader would write it: lines[2].net
  function pathOf(entry) {
    const parts = [];
    for (let one = entry; one; one = one.parentElement?.closest(".entry")) {
      const label = (one.querySelector(":scope > details > summary") || one)
        .querySelector(":scope > .label");
      if (!label) continue;
      const { role } = label.dataset;
      const word = /^[\p{L}_][\p{L}\p{N}_]*$/u.test(label.textContent);
      parts.unshift(role !== "index" && word ? `.${label.textContent}` : `[${label.textContent}]`);
    }
    return parts.join("").replace(/^\./, "");
  }

  // Two small buttons that come to the value under the pointer or the focus.
  const copier = document.createElement("span");
  copier.className = "copier";
  for (const what of ["copy", "path"]) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "quiet";
    button.textContent = what;
    button.title = what === "copy" ? "Copy this value (c)" : "Copy where it lies";
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      copyEntry(copier.closest(".entry"), what, button);
    });
    copier.append(button);
  }

  function copyEntry(entry, what, button) {
    if (!entry) return;
    const text = what === "path" ? pathOf(entry) : valueText(entry);
    write(text, button);
  }

  function valueText(entry) {
    const details = entry.querySelector(":scope > details");
    if (!details) return entry.querySelector(":scope > .value").textContent;
    const inside = details.querySelector(":scope > .inside");
    return inside.childElementCount ? plain(inside) : details.querySelector(".value").textContent;
  }

  for (const kind of ["pointerover", "focusin"]) {
    document.addEventListener(kind, (event) => {
      const entry = event.target.closest?.(".entry");
      if (entry && !copier.contains(event.target) && copier.parentElement !== entry) {
        entry.append(copier);
      }
    });
  }

  document.addEventListener("input", (event) => {
    if (event.target.dataset?.findIn) findIn(event.target);
  });

  document.addEventListener("toggle", (event) => {
    if (event.target.matches?.("details[data-src]") && event.target.open) fillNode(event.target);
  }, true);

  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button");
    if (!button) return;
    if (button.dataset.more) more(button);
    else if (button.dataset.copy !== undefined || button.dataset.copyOf !== undefined) copy(button);
    else if (button.dataset.dialog) document.getElementById(button.dataset.dialog)?.showModal();
    else if (button.dataset.close !== undefined) button.closest("dialog")?.close();
  });

  for (const details of document.querySelectorAll("details[data-src][open]")) fillNode(details);

  Object.assign(tracediff, { copier, copyEntry });
})();
