// The front end of ragvec.widgets.SearchWidget.
//
// The model's `_view` says what is shown; messages to the model say what a person does. Every text becomes a text node:
// nothing of a document is ever read as HTML.

let widgets = 0;

/** A thumb, up or down; drawn, since not every system has a letter for it. */
function thumbIcon(up) {
  const space = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(space, "svg");
  for (const [name, value] of Object.entries({ viewBox: "0 0 24 24", width: 18, height: 18, "aria-hidden": "true" })) icon.setAttribute(name, value);
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", "M3 10h4v11H3zM7 11l4-8c1.7 0 2.6 1 2.4 2.6L13 9h6.2c1.2 0 2 1 1.8 2.2l-1.5 8C19.3 20.3 18.5 21 17.500 21H7");
  if (!up) path.setAttribute("transform", "rotate(180 12 12)");
  icon.append(path);
  return icon;
}

function pieces(parts) {
  return parts.map(([text, marked]) => (marked ? h("mark", {}, text) : text));
}

function options(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([value, label]) => h("option", { value, selected: value === chosen }, label)));
  select.value = chosen;
}

/** Writes into a field, unless somebody has typed there since it was last written or sent. */
function write(input, text) {
  const untouched = [input.dataset.shown ?? "", input.dataset.sent].includes(input.value);
  if (untouched) input.value = text;
  input.dataset.shown = text;
}

function render({ model, el }) {
  const id = `ragvec-${++widgets}`;
  const send = (what, more) => model.send({ do: what, ...more });
  const field = (name, label, input) => {
    input.id = `${id}-${name}`;
    return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
  };

  // -- what stays while results come and go ------------------------------------------------------------------------

  const titles = h("datalist", { id: `${id}-titles` });
  const query = h("input", {
    type: "search", list: titles.id, placeholder: "Ask, or leave empty to browse", autocomplete: "off", spellcheck: "false",
  });
  const mode = h("select", { change: () => search() });
  const sort = h("select", { change: () => search() });
  const user = h("input", { type: "text", autocomplete: "off", placeholder: "anyone" });
  const groups = h("input", { type: "text", autocomplete: "off", placeholder: "HR, managers" });
  const search = (text) => {
    if (text != null) query.value = text;
    clearTimeout(waiting);
    for (const input of [query, user, groups]) input.dataset.sent = input.value;
    root.setAttribute("aria-busy", "true");
    send("search", { text: query.value, mode: mode.value, sort: sort.value, user: user.value, groups: groups.value });
  };

  let waiting;
  query.addEventListener("input", () => {
    clearTimeout(waiting);
    const typed = query.value;
    if (typed.trim().length > 1) waiting = setTimeout(() => send("suggest", { text: typed }), 150);
  });
  // Not left to the form: while titles are offered, Enter would only close their list.
  query.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault();
    search();
  });
  const told = (message) => {
    if (message.suggestions && message.for === query.value) {
      titles.replaceChildren(...message.suggestions.map((text) => h("option", { value: text })));
    }
  };
  model.on("msg:custom", told);

  const fieldOf = h("select", { change: () => fieldChosen() });
  const operator = h("select", { change: () => operatorChosen() });
  const values = h("datalist", { id: `${id}-values` });
  const value = h("input", { type: "text", list: values.id, autocomplete: "off" });
  const fieldChosen = () => {
    const known = (model.get("_view").fields ?? []).find(([name]) => name === fieldOf.value);
    if (!known) return;
    options(operator, known[2].map((each) => [each, each]), known[2].includes(operator.value) ? operator.value : known[2][0]);
    values.replaceChildren(...known[3].map((text) => h("option", { value: text })));
    operatorChosen();
  };
  const operatorChosen = () => { value.disabled = operator.value === "is there" || operator.value === "is missing"; };
  const add = (event) => {
    event.preventDefault();
    send("add", { field: fieldOf.value, operator: operator.value, text: value.disabled ? "" : value.value });
    value.value = "";
  };

  const form = h("form", { role: "search", submit: (event) => { event.preventDefault(); search(); } },
    h("div", { class: "row" },
      h("div", { class: "field wide" }, h("label", { for: `${id}-query` }, "Search"), query),
      h("button", { type: "submit", class: "primary" }, "Search"),
      field("mode", "Mode", mode), field("sort", "Sort by", sort)),
    titles,
    h("details", { class: "options" }, h("summary", {}, "Filter and access"),
      h("div", { class: "row" }, field("field", "Field", fieldOf), field("operator", "Condition", operator),
        field("value", "Value", value), h("button", { type: "button", click: add }, "Add condition")),
      values,
      h("div", { class: "row" }, field("user", "As user", user), field("groups", "In groups", groups))));
  query.id = `${id}-query`;
  value.addEventListener("keydown", (event) => { if (event.key === "Enter") add(event); });

  const chips = h("div", { class: "chips" });
  const error = h("div", { class: "error", role: "alert" });
  const status = h("div", { class: "status", role: "status" });
  const facets = h("div", { class: "facets", role: "group", "aria-label": "Filter by counts" });
  const found = h("div", { class: "found" });
  const pager = h("nav", { class: "pager", "aria-label": "Pages" });
  const code = h("code");
  const copied = h("span", { class: "copied", role: "status" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      copied.textContent = "Copied.";
    } catch {
      // Without permission the text is chosen, so that the keyboard copies it.
      getSelection().selectAllChildren(code);
      copied.textContent = "Press Ctrl+C or ⌘C to copy.";
    }
  };
  const root = h("section", { class: "ragvec", "data-lm-suppress-shortcuts": "true" },
    form, chips, error, status, h("div", { class: "columns" }, facets, found), pager,
    h("details", { class: "code" }, h("summary", {}, "Copy as code"),
      h("pre", { tabindex: 0, role: "region", "aria-label": "Code" }, code),
      h("button", { type: "button", click: copy }, "Copy"), " ", copied));
  // A notebook's own keys, such as `a` for a cell above, are not for who works in here.
  root.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(root);

  // -- one result --------------------------------------------------------------------------------------------------

  function thumbs(card, kind, at) {
    const thumb = (relevant, sign, label) => {
      const on = card.judged === (relevant ? 1 : 0);
      return h("button", {
        type: "button", class: "thumb", "aria-pressed": String(on), title: label, "aria-label": `${label}: ${named(card)}`,
        "data-key": `${kind} ${at} ${sign}`, click: () => send("judge", { kind, at, relevant: on ? null : relevant }),
      }, thumbIcon(relevant));
    };
    return h("span", { class: "thumbs" }, thumb(true, "up", "Relevant"), thumb(false, "down", "Not relevant"));
  }

  const named = (card) => card.title.map(([text]) => text).join("");

  function table(rows) {
    const head = rows[0]?.every(([, header]) => header);
    const cells = (row) => row.map(([text, header, top]) =>
      h(header ? "th" : "td", { scope: header && (head ? "col" : "row") }, top ? h("mark", {}, text) : text));
    return h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Table" },
      h("table", {}, h("tbody", {}, rows.map((row) => h("tr", {}, cells(row))))));
  }

  function source(view) {
    const more = (count, where) => count > 0 && h("p", { class: "quiet" }, `${count} more ${count === 1 ? "passage" : "passages"} ${where}`);
    return h("div", { class: "source", tabindex: -1, role: "region", "aria-label": `Source ${view.document}` },
      more(view.before, "before"),
      view.parts.map((part) => [
        part.heading && h("p", { class: "heading" }, h("bdi", {}, part.heading)),
        part.page != null && h("p", { class: "quiet" }, `page ${part.page}`),
        h("p", { dir: "auto", class: part.found ? "passage here" : "passage" }, part.found ? h("mark", {}, part.text) : part.text),
      ]),
      more(view.after, "after"),
      view.before + view.after > 0 && h("button", {
        type: "button", "data-key": "whole", click: () => send("open", { kind: view.kind, at: view.at, whole: true }),
      }, "Show the whole document"), " ",
      h("button", { type: "button", "data-key": "close", click: () => send("close") }, "Close"));
  }

  function result(card, kind, at, opened) {
    const open = opened && opened.kind === kind && opened.at === at;
    const title = kind === "faqs"
      ? h("span", { class: "title" }, h("bdi", {}, pieces(card.title)))
      : h("button", {
        type: "button", class: "title", "aria-expanded": String(!!open), title: "Show the passage in its document",
        "data-key": `${kind} ${at} open`, click: () => (open ? send("close") : send("open", { kind, at })),
      }, h("bdi", {}, pieces(card.title)));
    const level = card.confidence.toLowerCase().replace("_", "-");
    return h("article", { "data-document": card.id },
      h("div", { class: "top" }, title,
        card.score && h("span", { class: `score ${level}` }, card.score),
        card.uri && h("a", { href: card.uri, target: "_blank", rel: "noopener noreferrer", "aria-label": `Open the page of ${named(card)}` }, "open page"),
        model.get("_view").value.trim() && thumbs(card, kind, at)),
      card.table?.length ? table(card.table) : h("div", { class: "text", dir: "auto" }, pieces(card.text)),
      card.where && h("div", { class: "quiet" }, h("bdi", {}, card.where), card.more > 0 && ` · and ${card.more} more of its group`),
      card.attributes.length > 0 && h("dl", { class: "quiet" },
        card.attributes.map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, h("bdi", {}, text))))),
      open && source(opened));
  }

  // -- everything as the model has it --------------------------------------------------------------------------------

  function showChips(view) {
    const chosen = (view.facets ?? []).flatMap((facet) => facet.values.map((each, at) => ({ ...each, at, facet })).filter((each) => each.on));
    const chip = (text, key, click) => h("button", { type: "button", class: "chip", "data-key": key, "aria-label": `Remove the filter ${text}`, click }, h("bdi", {}, text), " ×");
    chips.replaceChildren(
      ...chosen.map((each) => chip(`${each.facet.label}: ${each.text}`, `chip ${each.facet.name} ${each.text}`, () => send("choose", { field: each.facet.name, at: each.at }))),
      ...view.conditions.map((text, at) => chip(text, `condition ${at}`, () => send("remove", { at }))),
      ...(chosen.length + view.conditions.length ? [h("button", { type: "button", "data-key": "clear", click: () => send("clear") }, "Clear all")] : []));
  }

  function showFacets(view) {
    facets.replaceChildren(...(view.facets ?? []).map((facet) =>
      h("fieldset", {}, h("legend", {}, facet.label), facet.values.map((each, at) =>
        h("label", {}, h("input", {
          type: "checkbox", checked: each.on, "data-key": `facet ${facet.name} ${each.text}`,
          change: () => send("choose", { field: facet.name, at }),
        }), " ", h("bdi", {}, each.text), h("span", { class: "count" }, each.count.toLocaleString("en")))))));
    facets.hidden = !(view.facets ?? []).length;
  }

  function showStatus(view, results) {
    const number = `${results.total.toLocaleString("en")} ${results.total === 1 ? "document" : "documents"}`;
    const page = results.pages > 1 ? ` · page ${results.page} of ${results.pages.toLocaleString("en")}` : "";
    status.replaceChildren(
      h("span", {}, `${number}${page} · ${view.milliseconds < 10 ? view.milliseconds.toFixed(1) : Math.round(view.milliseconds)} ms`),
      ...(results.correction ? [h("span", {}, "Did you mean ", h("button", { type: "button", class: "link", "data-key": "correct", click: () => search(results.correction) }, results.correction), "?")] : []),
      ...results.warnings.map((text) => h("span", {}, text)));
  }

  function showResults(view, results) {
    const block = (kind, name) => results[kind].length > 0 &&
      h("div", { class: `block ${kind}`, role: "group", "aria-label": name }, h("div", { class: "name" }, name),
        results[kind].map((card, at) => result(card, kind, at, view.source)));
    found.replaceChildren(...[
      block("featured", "Featured"), block("answers", "Answers"), block("faqs", "Questions and answers"),
      results.items.length > 0 && h("ol", { start: results.first }, results.items.map((card, at) => h("li", {}, result(card, "items", at, view.source)))),
      results.total === 0 && h("p", { class: "nothing" }, "Nothing was found. Other words, or fewer filters, may find more."),
    ].filter(Boolean));
    const to = (page, label, key) => h("button", { type: "button", "data-key": key, disabled: page < 1 || page > results.pages, click: () => send("page", { at: page }) }, label);
    pager.replaceChildren(to(results.page - 1, "← Previous", "previous"), h("span", {}, `Page ${results.page} of ${Math.max(1, results.pages)}`), to(results.page + 1, "Next →", "next"));
    pager.hidden = results.pages <= 1 && results.page === 1;
  }

  let known = "";
  function show() {
    const view = model.get("_view");
    if (!view || view.value == null) return;
    const held = el.getRootNode().activeElement?.dataset?.key;
    root.setAttribute("aria-label", `Search ${view.name}`);
    root.setAttribute("aria-busy", "false");
    write(query, view.value); write(user, view.user); write(groups, view.groups);
    options(mode, view.modes, view.mode);
    options(sort, view.sorts, view.sort);
    const fields = JSON.stringify(view.fields);
    if (fields !== known) {
      const before = fieldOf.value;
      options(fieldOf, view.fields.map(([name, label]) => [name, label]), view.fields.some(([name]) => name === before) ? before : view.fields[0]?.[0] ?? "");
      known = fields;
      fieldChosen();
    }
    error.textContent = view.error;
    error.hidden = !view.error;
    showChips(view);
    showFacets(view);
    if (view.results) {
      showStatus(view, view.results);
      showResults(view, view.results);
    }
    code.textContent = view.code;
    // Whoever works with the keyboard goes on where they were.
    const again = held && [...root.querySelectorAll("[data-key]")].find((each) => each.dataset.key === held);
    if (again) again.focus({ preventScroll: true });
    const here = root.querySelector(".source .here");
    if (here && held?.endsWith("open")) here.scrollIntoView?.({ block: "nearest" });
  }

  model.on("change:_view", show);
  show();
  return () => {
    clearTimeout(waiting);
    model.off("change:_view", show);
    model.off("msg:custom", told);
  };
}

export default { render };
