"use strict";
(() => {
  const sheet = document.body.dataset.sheet;
  const place = `tune-sheet-${sheet}`;
  const byId = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll(".item")];
  const buttons = [...document.querySelectorAll("[data-vote]")];
  const keys = { a: "A", 1: "A", b: "B", 2: "B", t: "tie", 3: "tie", x: "both bad", 4: "both bad" };
  const kept = recall();
  let now = Math.max(0, items.findIndex((item) => !vote(item)));
  let unsaved = false;

  function recall() {
    let found = null;
    try {
      found = JSON.parse(localStorage.getItem(place));
    } catch {
      found = null; // no storage here, or not ours: keep() says so at the first vote
    }
    const entries = found && typeof found.votes === "object" && found.votes ? found.votes : {};
    return { rater: String((found && found.rater) || ""), votes: { ...entries }, saved: Boolean(found && found.saved) };
  }

  function keep() {
    try {
      localStorage.setItem(place, JSON.stringify(kept));
      byId("said").textContent = "";
    } catch {
      unsaved = true;
      byId("said").textContent = "This browser keeps nothing for this page: save your votes before you close it.";
    }
  }

  function entry(item) {
    return kept.votes[item.dataset.id] || { vote: "", comment: "" };
  }

  function vote(item) {
    return entry(item).vote;
  }

  function set(change) {
    const item = items[now];
    kept.votes[item.dataset.id] = { ...entry(item), ...change };
    kept.saved = false;
    keep();
  }

  function choose(choice) {
    const again = vote(items[now]) === choice;
    set({ vote: again ? "" : choice });
    if (!again && now < items.length - 1) now += 1;
    show();
    if (items.every(vote)) byId("said").textContent = "All questions are voted on. Save your votes to a file.";
  }

  function move(by) {
    now = Math.min(items.length - 1, Math.max(0, now + by));
    show();
  }

  function show() {
    const done = items.filter(vote).length;
    items.forEach((item, index) => item.classList.toggle("now", index === now));
    buttons.forEach((button) => {
      button.setAttribute("aria-pressed", String(button.dataset.vote === vote(items[now])));
    });
    byId("comment").value = entry(items[now]).comment;
    byId("back").disabled = now === 0;
    byId("next").disabled = now === items.length - 1;
    byId("count").textContent = `${done} of ${items.length} voted`;
    byId("bar").value = done;
    byId("over").disabled = !kept.saved;
    scrollTo(0, 0);
  }

  function save() {
    const rater = byId("rater").value.trim();
    const votes = items
      .map((item) => ({ id: item.dataset.id, ...entry(item) }))
      .filter((one) => one.vote || one.comment);
    const text = JSON.stringify({ sheet, rater, saved: new Date().toISOString(), n: items.length, votes }, null, 2);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = `votes-${sheet}-${rater.replace(/[^\p{L}\p{N}]+/gu, "_") || "rater"}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    kept.saved = true;
    keep();
    unsaved = false;
    show();
    const done = items.filter(vote).length;
    byId("said").textContent = `Saved ${done} of ${items.length} votes as ${link.download}. Send that file back.`;
  }

  function startOver() {
    Object.assign(kept, { rater: "", votes: {}, saved: false });
    byId("rater").value = "";
    now = 0;
    keep();
    show();
  }

  buttons.forEach((button) => button.addEventListener("click", () => choose(button.dataset.vote)));
  byId("back").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("save").addEventListener("click", save);
  byId("over").addEventListener("click", startOver);
  byId("comment").addEventListener("input", (event) => set({ comment: event.target.value }));
  byId("rater").addEventListener("input", (event) => {
    kept.rater = event.target.value;
    keep();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof HTMLInputElement) {
      if (event.key === "Escape" || event.key === "Enter") event.target.blur();
      return;
    }
    const key = event.key.toLowerCase();
    if (Object.hasOwn(keys, key) && !event.repeat) choose(keys[key]);
    else if (key === "arrowleft") move(-1);
    else if (key === "arrowright") move(1);
    else if (key === "c") byId("comment").focus();
    else return;
    event.preventDefault();
  });
  addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });

  byId("rater").value = kept.rater;
  document.body.classList.add("going");
  show();
  if (kept.saved) byId("said").textContent = `The saved votes of ${kept.rater || "another rater"} are shown. Press Next rater to start over.`;
})();
