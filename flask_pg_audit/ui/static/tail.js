// The live tail of the audit log: asks for what is new and puts it where it belongs. The words are in _tail.html; what
// a number of things is called is asked of the server with each answer.
"use strict";

(() => {
  const live = document.querySelector("[data-fpa-live]");
  const list = document.querySelector("[data-fpa-list]");
  const cut = document.querySelector("[data-fpa-cut]");
  if (!live || !list || !cut) return; // a template of the host's, without them

  const [button, pill] = live.querySelectorAll("button");
  const [state, status] = live.querySelectorAll(".fpa-live-state, [role='status']");
  const words = live.dataset;
  const EVERY = 2000, LONGEST = 60_000; // ms between two questions: as a rule, and at most after errors
  const QUIET = 10_000; // ms between two announcements
  const KEY = "fpa-live"; // in sessionStorage: of this tab alone
  let timer, delay = EVERY, asking = false, wasReading = false, saidAt = -QUIET;
  let mark = words.fpaMark, bottom = words.fpaBottom === undefined ? null : BigInt(words.fpaBottom), end = bottom;
  let waiting = [], tally = "0", unsaid = "0", toSay = "";

  const remember = (value) => { try { sessionStorage.setItem(KEY, value); } catch { /* then until the next page */ } };
  const remembered = () => { try { return sessionStorage.getItem(KEY); } catch { return null; } };

  const isOn = () => button.getAttribute("aria-pressed") === "true";
  const groups = () => [...list.querySelectorAll("article[data-fpa-id]")];
  const number = (group) => BigInt(group.dataset.fpaId); // more than a Number can count
  const newestFirst = (a, b) => (number(a) < number(b) ? 1 : -1);
  const isReached = (group) => bottom === null || number(group) >= bottom;

  // A person reads: nothing moves. Who has just gone may be on the way to the pill.
  const isReading = () => [list, pill].some((part) => part.matches(":hover") || part.contains(document.activeElement));

  function question() {
    const known = [...groups(), ...waiting].filter(isReached).sort(newestFirst).map(number);
    const url = new URL(words.fpaUrl, location.href);
    // Each number as how much lower it is than the one before: short enough for a URL.
    const steps = known.map((id, at) => (at ? known[at - 1] - id : id)).join(".");
    Object.entries({ mark, known: steps, bottom: bottom ?? "", waiting: tally, unsaid })
      .filter(([, value]) => value !== "")
      .forEach(([name, value]) => url.searchParams.set(name, value));
    return url;
  }

  async function ask() {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(question(), { redirect: "manual", headers: { Accept: "text/html" } });
      if (!isOn()) return;
      if (answer.status >= 500) throw new Error(answer.statusText);
      if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) { stop(words.fpaStopped); return; }
      if (![200, 204].includes(answer.status)) { stop(words.fpaRefused); return; }
      const news = answer.status === 200 ? read(await answer.text()) : null;
      if (news === undefined) { stop(words.fpaStopped); return; } // a page to log in, say
      mark = answer.headers.get("X-Audit-Mark") ?? mark;
      if (news) take(news);
      delay = EVERY;
      settle();
    } catch { // nobody there, or not able to answer
      delay = Math.min(2 * delay, LONGEST);
      state.textContent = words.fpaAway;
    } finally {
      asking = false;
      next();
    }
  }

  function next() {
    clearTimeout(timer);
    if (isOn() && !document.hidden) timer = setTimeout(ask, delay);
  }

  const read = (text) => new DOMParser().parseFromString(text, "text/html").querySelector("[data-fpa-news]") ?? undefined;

  function take(news) {
    waiting.push(...[...news.querySelectorAll("article[data-fpa-id]")].map((group) => document.adoptNode(group)));
    if (news.dataset.fpaBottom !== undefined) bottom = BigInt(news.dataset.fpaBottom);
    const all = [...groups(), ...waiting].sort(newestFirst);
    if (all.length > words.fpaMost) bottom = number(all[words.fpaMost - 1]);
    waiting = waiting.filter(isReached);
    ({ fpaWaiting: tally, fpaUnsaid: unsaid, fpaSaid: toSay } = news.dataset);
    pill.textContent = news.dataset.fpaPill;
  }

  // After each answer: show what waits, unless somebody reads; and say so, but not all the time.
  function settle() {
    const reading = isReading();
    if ((waiting.length || bottom !== end) && !reading && !wasReading) show();
    wasReading = reading;
    pill.hidden = waiting.length === 0;
    state.textContent = waiting.length ? words.fpaPaused : "";
    if (toSay && performance.now() - saidAt >= QUIET) {
      status.textContent = toSay;
      [saidAt, unsaid, toSay] = [performance.now(), "0", ""];
    }
  }

  function show() {
    list.querySelectorAll(".fpa-arrived").forEach((group) => group.classList.remove("fpa-arrived"));
    waiting.forEach((group) => group.classList.add("fpa-arrived"));
    list.querySelector(".fpa-nothing")?.remove();
    for (const group of waiting) {
      list.insertBefore(group, groups().find((other) => number(other) < number(group)) ?? null);
    }
    groups().filter((group) => !isReached(group)).forEach((group) => group.remove());
    if (bottom !== end) leadOn();
    nameDays();
    [waiting, tally, end] = [[], "0", bottom];
    pill.hidden = true;
  }

  // The groups stay where they are, with what is selected or unfolded in them; the headings are made again.
  function nameDays() {
    list.querySelectorAll(":scope > .fpa-day").forEach((heading) => heading.remove());
    let day;
    for (const group of groups()) {
      if (group.dataset.fpaDay === day) continue;
      const heading = document.createElement("h2");
      heading.className = "fpa-day";
      heading.textContent = day = group.dataset.fpaDay;
      group.before(heading);
    }
  }

  // What is no longer on this page is on the next one.
  function leadOn() {
    cut.hidden = false;
    for (const link of document.querySelectorAll(".fpa-pager a[rel='next'], .fpa-reached a, [data-fpa-cut] a")) {
      const url = new URL(link.href);
      url.searchParams.set("before", bottom);
      link.href = url;
    }
  }

  function start() { button.setAttribute("aria-pressed", "true"); delay = EVERY; ask(); }

  function stop(why) {
    button.setAttribute("aria-pressed", "false");
    state.textContent = status.textContent = why;
    clearTimeout(timer);
  }

  button.addEventListener("click", () => { isOn() ? stop("") : start(); remember(isOn() ? "on" : "off"); });
  pill.addEventListener("click", () => { show(); button.focus(); state.textContent = ""; });
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : isOn() && ask()));
  live.hidden = false;
  if (remembered() === "on") start();
})();
