"use strict";
// The colours, and the list of responses. Every text is set as text, never as markup.
(() => {
  const PAGE = 25;
  const NOT_ASKED = -1;
  const byId = (id) => document.getElementById(id);

  byId("theme-choice").hidden = false;
  byId("theme").addEventListener("change", (event) => {
    document.documentElement.dataset.theme = event.target.value;
  });
  if (!byId("answers")) return;

  const filters = byId("filters");
  const field = (name) => byId(name).value;
  let chapters, chapter, lowered, matches = [], page = 0;

  async function unpack() {
    const letters = atob(byId("answers").content.textContent);
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).json();
  }

  function element(tag, properties = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  // --- choices -------------------------------------------------------------------------------------------------------

  function choices(id, all, pairs) {
    byId(id).replaceChildren(
      ...(all ? [new Option(all, "")] : []),
      ...pairs.map(([text, value]) => new Option(text, value)),
    );
  }

  function present(columns) {
    const found = new Set(columns.flatMap((column) => [...new Set(column)]));
    found.delete(NOT_ASKED);
    return [...found].map((number) => [chapter.names[number], number]);
  }

  function choose(number) {
    chapter = chapters[number];
    lowered = null;
    const sorted = (pairs) => pairs.sort((one, other) => one[0].localeCompare(other[0]));
    choices("task", "all", present([chapter.items.task]));
    choices("category", "all", present([chapter.items.category]));
    choices("label", "safe and unsafe", sorted(present([chapter.items.label])));
    choices("run", chapter.runs.length > 1 ? "any" : "", chapter.runs.map((run, at) => [`${run.name}: ${run.model}`, at]));
    choices("verdict", "all", sorted(present(chapter.answers.map((answers) => answers.verdict))));
    byId("disagreement").hidden = chapter.runs.length < 2;
    // Opens on what is worth reading.
    const missed = chapter.missed.some((items) => items.size);
    byId("judged").options[0].disabled = !missed;
    byId("judged").value = missed ? "missed" : "";
  }

  // --- filters -------------------------------------------------------------------------------------------------------

  const right = (verdict, expected) => verdict === expected;
  const decided = (verdict) => chapter.names[verdict] !== "na" && chapter.names[verdict] !== "failed";

  function judgedAs(wanted, run, item) {
    const verdict = chapter.answers[run].verdict[item], expected = chapter.items.expected[item];
    if (wanted === "missed") return chapter.missed[run].has(item);
    if (wanted === "none") return !decided(verdict);
    if (wanted === "right") return right(verdict, expected);
    return decided(verdict) && !right(verdict, expected);
  }

  function holding(text) {
    lowered ??= { texts: chapter.texts.map((each) => each.toLowerCase()), names: chapter.names.map((each) => each.toLowerCase()) };
    const numbers = (texts) => new Uint8Array(texts.map((each) => each.includes(text)));
    return { texts: numbers(lowered.texts), names: numbers(lowered.names) };
  }

  function search() {
    const { items, answers } = chapter;
    const number = (name) => (field(name) === "" ? null : Number(field(name)));
    const exact = ["task", "category", "label"].map((name) => [items[name], number(name)]).filter(([, value]) => value !== null);
    const verdict = number("verdict"), run = number("run"), judged = field("judged");
    const differing = byId("disagree").checked && chapter.runs.length > 1;
    const text = field("text").trim().toLowerCase();
    const held = text ? holding(text) : null;
    const runs = run === null ? [...answers.keys()] : [run];

    matches = [];
    for (let item = 0; item < items.row.length; item++) {
      if (exact.some(([column, value]) => column[item] !== value)) continue;
      if (differing && !differs(item)) continue;
      const named = !held || held.names[items.concept[item]] || held.texts[items.question[item]];
      const fits = runs.some((at) =>
        answers[at].response[item] !== NOT_ASKED
        && (verdict === null || answers[at].verdict[item] === verdict)
        && (!judged || judgedAs(judged, at, item))
        && (named || held.texts[answers[at].response[item]]));
      if (fits) matches.push(item);
    }
    show(0);
  }

  function differs(item) {
    const given = chapter.answers.map((answers) => answers.verdict[item]).filter((verdict) => verdict !== NOT_ASKED);
    return given.some((verdict) => verdict !== given[0]);
  }

  // --- what is shown -------------------------------------------------------------------------------------------------

  function show(wanted) {
    const pages = Math.max(1, Math.ceil(matches.length / PAGE));
    page = Math.min(Math.max(0, wanted), pages - 1);
    const first = page * PAGE, items = matches.slice(first, first + PAGE);
    const count = (number) => number.toLocaleString("en");
    byId("found").textContent = matches.length
      ? `${count(first + 1)} to ${count(first + items.length)} of ${count(matches.length)} questions that match, of ${count(chapter.items.row.length)}`
      : `No question of ${count(chapter.items.row.length)} matches.`;
    byId("items").replaceChildren(...items.map(entry));
    byId("pager").hidden = pages === 1;
    byId("page").value = page + 1;
    byId("page").max = pages;
    byId("pages").textContent = `of ${count(pages)}`;
    byId("previous").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
  }

  function entry(item) {
    const { items, names, texts } = chapter;
    const name = (column) => names[items[column][item]];
    const about = `${name("label")} · ${name("category")} · ${name("task")} · row ${items.row[item]} · right: ${name("expected")}`;
    return element("li", {},
      element("h3", {}, ...marked(name("concept"))),
      element("p", { className: "about" }, about),
      element("p", { className: "question" }, ...marked(texts[items.question[item]])),
      ...picture(item),
      table(item));
  }

  function table(item) {
    const head = element("tr", {}, ...["Run", "Response", "Verdict"].map((text) => element("th", { scope: "col" }, text)));
    const rows = chapter.runs.map((run, at) => {
      const response = chapter.answers[at].response[item], verdict = chapter.answers[at].verdict[item];
      if (response === NOT_ASKED) return element("tr", {}, element("th", { scope: "row" }, run.name), element("td", { className: "empty" }, "not asked"), element("td"));
      const text = chapter.texts[response];
      const said = text === "" ? element("div", { className: "empty" }, "(empty)") : element("div", { className: "response" }, ...marked(text));
      return element("tr", {}, element("th", { scope: "row" }, run.name), element("td", {}, said), judged(verdict, chapter.items.expected[item]));
    });
    return element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows));
  }

  function judged(verdict, expected) {
    const [className, sign] = !decided(verdict) ? ["empty", ""] : right(verdict, expected) ? ["right", " ✓ right"] : ["wrong", " ✗ wrong"];
    return element("td", { className }, chapter.names[verdict] + sign);
  }

  function picture(item) {
    const address = chapter.images[`${chapter.pictured[chapter.items.task[item]]}/${chapter.items.row[item]}`];
    if (!address) return [];
    const label = element("span", {}, "Show the image");
    const button = element("button", { type: "button", className: "picture" }, element("img", { src: address, alt: "" }), label);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => {
      const shown = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", String(shown));
      label.textContent = shown ? "Blur the image" : "Show the image";
    });
    return [button];
  }

  // The text as nodes, with what was searched for marked.
  function marked(text) {
    const wanted = field("text").trim().toLowerCase(), low = text.toLowerCase();
    // A letter whose lower case is longer would put the marks in the wrong places.
    if (!wanted || low.length !== text.length) return [text];
    const nodes = [];
    let from = 0;
    for (let at = low.indexOf(wanted); at >= 0; at = low.indexOf(wanted, from)) {
      nodes.push(text.slice(from, at), element("mark", {}, text.slice(at, at + wanted.length)));
      from = at + wanted.length;
    }
    return [...nodes, text.slice(from)];
  }

  // --- start ---------------------------------------------------------------------------------------------------------

  function turn(to) {
    show(to);
    byId("found").scrollIntoView({ block: "nearest" });
  }

  let typing;
  filters.addEventListener("input", (event) => {
    clearTimeout(typing);
    if (event.target.id === "source") choose(Number(field("source")));
    typing = setTimeout(search, event.target.id === "text" ? 150 : 0);
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  byId("all").addEventListener("click", () => {
    const source = field("source");
    filters.reset();
    byId("source").value = source;
    choose(Number(source));
    byId("judged").value = "";
    search();
  });
  byId("previous").addEventListener("click", () => turn(page - 1));
  byId("next").addEventListener("click", () => turn(page + 1));
  byId("page").addEventListener("change", () => turn(Number(field("page")) - 1));

  unpack().then((content) => {
    chapters = content.filter((each) => each.items.row.length);
    for (const each of chapters) each.missed = each.missed.map((items) => new Set(items));
    choices("source", "", chapters.map((each, at) => [each.source, at]));
    byId("source").parentElement.hidden = chapters.length < 2;
    choose(0);
    filters.hidden = false;
    byId("summary").hidden = false;
    search();
  }).catch((error) => {
    byId("unreadable").textContent = `The responses cannot be unpacked (${error}). This file may be incomplete, or the browser older than 2024.`;
    byId("unreadable").hidden = false;
  });
})();
