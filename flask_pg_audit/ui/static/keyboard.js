// Keys for the pages of the audit log. Everything works without them; the words are in _keyboard.html.
"use strict";

(() => {
  const root = document.querySelector(".fpa-root");
  const button = root?.querySelector("[data-fpa-keys]");
  const dialog = root?.querySelector("[data-fpa-dialog]");
  if (!button || !dialog) return; // a template of the host's, without them

  // What can be gone through: groups of the feed, versions of a record, changes, looks at the log, rows of a table.
  const ITEMS = ".fpa-group, .fpa-version, .fpa-change:not(.fpa-version .fpa-change), .fpa-view, .fpa-numbers tbody tr";
  // The first that an item has is what Enter opens.
  const MAIN_LINKS = [".fpa-facts a", ".fpa-change-header a.fpa-more", "a[href]"];
  const FIELDS = "input, textarea, select, [contenteditable]:not([contenteditable='false']), [role='textbox']";
  const SWITCH = "fpa-keys"; // in localStorage: single keys must be something that one can turn off (WCAG 2.1.4)

  // A browser may keep nothing, or refuse to.
  const remember = (value) => { try { localStorage.setItem(SWITCH, value); } catch { /* then for this page only */ } };
  const remembered = () => { try { return localStorage.getItem(SWITCH); } catch { return null; } };

  const box = dialog.querySelector("[data-fpa-keys-on]");
  box.checked = remembered() !== "off";
  box.addEventListener("change", () => remember(box.checked ? "on" : "off"));
  button.addEventListener("click", () => dialog.showModal()); // Esc closes it, and gives the focus back
  button.hidden = false;

  const items = () => [...root.querySelectorAll(ITEMS)].filter((item) => item.checkVisibility());
  // Who has scrolled down does not want to be taken back to the top.
  const firstInView = (all) => all.find((item) => item.getBoundingClientRect().top >= 0) ?? all.at(-1);

  function go(step) {
    const all = items();
    const at = all.findIndex((item) => item.contains(document.activeElement));
    const next = at < 0 ? (step > 0 ? firstInView(all) : undefined) : all[at + step];
    if (!next) return all.length > 0;
    next.tabIndex = -1;
    next.dataset.fpaItem = "";
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
    return true;
  }

  function open() {
    const item = document.activeElement;
    if (!item?.matches("[data-fpa-item]")) return false; // Enter on a link is the browser's
    const link = MAIN_LINKS.map((selector) => item.querySelector(selector)).find(Boolean);
    link?.click();
    return Boolean(link);
  }

  function search() {
    const field = root.querySelector(".fpa-search-box");
    field?.focus();
    field?.select();
    return Boolean(field);
  }

  function leave() {
    const place = document.activeElement;
    const isOurs = place?.matches(".fpa-search-box, [data-fpa-item]");
    if (isOurs) place.blur();
    return Boolean(isOurs);
  }

  const help = () => { dialog.showModal(); return true; };
  const KEYS = { "/": search, "?": help, j: () => go(1), k: () => go(-1), Enter: open };

  // On the window and not before others: what a script of the host's has handled is not handled again.
  addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const isOurs = target === document.body || target === document.documentElement || root.contains(target);
    if (!isOurs || document.querySelector("dialog[open]")) return;
    if (key === "Escape" && leave()) event.preventDefault(); // or the browser would empty the box
    if (!box.checked || target.isContentEditable || target.closest?.(FIELDS)) return;
    if (Object.hasOwn(KEYS, key) && KEYS[key]()) event.preventDefault();
  });
})();
