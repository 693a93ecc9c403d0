(() => {
  document.documentElement.classList.add("js");
  const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
  const make = (tag, properties = {}, ...children) => {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  };
  const minus = (text) => text.replace(/(^|[^\w])-(?=[\d.])/g, "$1\u2212");
  const words = (node) => node.textContent.replace(/\s+/g, " ").trim();

  // ---- tables: sort, filter, copy ------------------------------------------------------------------
  function groups(body) { // each row with the detail below it
    const out = [];
    for (const row of body.rows) {
      if (row.classList.contains("detail") && out.length) out[out.length - 1].push(row);
      else out.push([row]);
    }
    return out;
  }
  function key(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    const text = cell.dataset.sort ?? words(cell);
    const number = Number(text.replace(/\u2212/g, "-"));
    return text !== "" && Number.isFinite(number) ? number : text;
  }
  function compare(a, b) {
    const blank = (x) => x === "" || x === "-" || x === "?";
    if (blank(a) || blank(b)) return blank(a) - blank(b);
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, "en", {numeric: true});
  }
  function sortBy(table, th, column) {
    const down = th.getAttribute("aria-sort") === "ascending";
    for (const other of th.parentNode.cells) other.removeAttribute("aria-sort");
    th.setAttribute("aria-sort", down ? "descending" : "ascending");
    for (const body of table.tBodies) {
      const parts = groups(body);
      const fixedRows = parts.filter(([row]) => row.classList.contains("head"));
      const rest = parts.filter(([row]) => !row.classList.contains("head")).map((part) => [key(part[0], column), part]);
      const blank = ([k]) => k === "" || k === "-" || k === "?";
      const full = rest.filter((p) => !blank(p)).sort((a, b) => compare(a[0], b[0]));
      if (down) full.reverse();
      body.append(...fixedRows.flat(), ...full.flatMap((p) => p[1]), ...rest.filter(blank).flatMap((p) => p[1]));
    }
  }
  // A spreadsheet takes text that begins as a formula for one; an apostrophe keeps it text.
  function guarded(text) {
    const plain = text.replace(/\u2212(?=[\d.])/g, "-");
    return /^[=+@\uff1d\uff0b\uff0d\uff20]/.test(plain) || /^-(?![\d.])./.test(plain) ? `'${plain}` : plain;
  }
  function tabbed(table) {
    return all("tr", table).filter((row) => !row.hidden && !row.classList.contains("detail"))
      .map((row) => Array.from(row.cells).map((cell) => guarded(words(cell))).join("\t")).join("\n") + "\n";
  }
  async function copied(text) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch (refused) { // an old browser, or a page that may not write there: the older way
      const area = make("textarea", {value: text, className: "visually-hidden"});
      document.body.append(area);
      area.select();
      const done = document.execCommand("copy");
      area.remove();
      return done;
    }
  }
  function setUpTable(box) {
    const table = box.querySelector("table");
    const tools = make("div", {className: "tools"});
    const told = make("span", {className: "told"});
    told.setAttribute("role", "status");
    if ("filterable" in box.dataset) {
      const input = make("input", {type: "search", placeholder: "words to look for"});
      input.addEventListener("input", () => {
        const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0, count = 0;
        for (const body of table.tBodies) for (const part of groups(body)) {
          if (part[0].classList.contains("head")) continue;
          const text = part.map(words).join(" ").toLowerCase();
          const fits = wanted.every((word) => text.includes(word));
          part.forEach((row) => { row.hidden = !fits; });
          count += 1; shown += fits;
        }
        told.textContent = wanted.length ? `${shown} of ${count} rows` : "";
      });
      tools.append(make("label", {}, "Filter ", input));
    }
    const button = make("button", {type: "button", textContent: "Copy table"});
    button.setAttribute("aria-label", `Copy table: ${words(table.caption)}`);
    button.addEventListener("click", async () => {
      told.textContent = await copied(tabbed(table)) ? "Copied, columns parted by tabs" : "The browser did not allow it";
    });
    tools.append(button, told);
    const inside = box.querySelector("details.folded") ?? box, first = inside.querySelector(":scope > .scroll");
    if ("filterable" in box.dataset) first.before(tools); else first.after(tools);
    if ("sortable" in box.dataset) {
      Array.from(table.tHead.rows[0].cells).forEach((th, column) => {
        const sorter = make("button", {type: "button", className: "sort", textContent: th.textContent});
        sorter.addEventListener("click", () => sortBy(table, th, column));
        th.replaceChildren(sorter);
      });
    }
  }

  // ---- figures: enlarge, style, rows that tell where they come from --------------------------------
  const card = document.getElementById("card");
  let pinned = null;
  function show(row, route) {
    all("[data-row].shown").forEach((other) => other.classList.remove("shown"));
    row.classList.add("shown");
    const close = make("button", {type: "button", textContent: "Close"});
    close.addEventListener("click", () => { const from = pinned; hide(); from?.focus(); });
    card.replaceChildren(make("h2", {textContent: words(route.querySelector("summary"))}), close,
      route.querySelector("dl").cloneNode(true));
    card.hidden = false;
  }
  function hide() {
    pinned = null;
    card.hidden = true;
    all("[data-row].shown").forEach((row) => row.classList.remove("shown"));
  }
  function setUpRows(figure, canvas) {
    const rows = all("[data-row]", canvas);
    const routes = new Map(all(".route", figure).map((route) => [route.dataset.for, route]));
    const live = rows.filter((row) => routes.has(row.dataset.row));
    live.forEach((row, i) => {
      const route = routes.get(row.dataset.row);
      row.setAttribute("tabindex", i === 0 ? "0" : "-1");
      row.setAttribute("role", "button");
      row.setAttribute("aria-label", `${words(route.querySelector("summary"))}: where the number comes from`);
      row.addEventListener("pointerenter", (event) => { if (!pinned && event.pointerType === "mouse") show(row, route); });
      row.addEventListener("pointerleave", () => { if (!pinned) hide(); });
      row.addEventListener("focus", () => { if (!pinned && row.matches(":focus-visible")) show(row, route); });
      row.addEventListener("blur", () => { if (!pinned) hide(); });
      row.addEventListener("click", () => { if (pinned === row) hide(); else { show(row, route); pinned = row; } });
      row.addEventListener("keydown", (event) => {
        const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
        if (step) {
          const next = live[i + step];
          if (next) { row.setAttribute("tabindex", "-1"); next.setAttribute("tabindex", "0"); next.focus(); }
          event.preventDefault();
        } else if (event.key === "Enter" || event.key === " ") {
          row.dispatchEvent(new MouseEvent("click"));
          event.preventDefault();
        }
      });
    });
    if (!live.length) return;
    // A row is hit anywhere over its whole width, also between its words.
    const width = canvas.querySelector("svg").viewBox.baseVal.width;
    const boxes = live.map((row) => row.getBBox());
    live.forEach((row, i) => {
      const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      const hit = {class: "hit", x: 0, y: boxes[i].y - 1.5, width, height: boxes[i].height + 3};
      Object.entries(hit).forEach(([name, value]) => rect.setAttribute(name, value));
      row.prepend(rect);
    });
  }
  function setUpFigure(figure) {
    const canvas = figure.querySelector(".canvas");
    if (!canvas) return;
    const tools = make("div", {className: "tools"});
    let zoom = 1;
    const size = () => {
      const svg = canvas.querySelector("svg");
      canvas.classList.toggle("zoomed", zoom !== 1);
      svg.style.width = zoom === 1 ? "" : `${Math.round(svg.viewBox.baseVal.width * zoom * 4 / 3)}px`;
    };
    [["+", "Enlarge the figure", 1.3], ["\u2212", "Reduce the figure", 1 / 1.3], ["1:1", "Figure at its own size", 0]].forEach(([text, label, factor]) => {
      const button = make("button", {type: "button", textContent: text});
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => { zoom = factor ? Math.min(8, Math.max(0.4, zoom * factor)) : 1; size(); });
      tools.append(button);
    });
    const drawings = new Map([[canvas.dataset.style, canvas.firstElementChild]]);
    all("template", figure).forEach((it) => drawings.set(it.dataset.style, it));
    if (drawings.size > 1) {
      const select = make("select", {}, ...Array.from(drawings.keys(), (name) => make("option", {value: name, textContent: name})));
      select.addEventListener("change", () => {
        hide();
        const chosen = drawings.get(select.value);
        const svg = chosen.content ? chosen.content.firstElementChild : chosen;
        drawings.set(select.value, svg);
        canvas.dataset.style = select.value;
        canvas.replaceChildren(svg);
        if (!svg.classList.contains("live")) { svg.classList.add("live"); setUpRows(figure, canvas); }
        size();
      });
      tools.append(make("label", {}, "Style ", select));
    }
    canvas.firstElementChild?.classList.add("live");
    figure.prepend(tools);
    setUpRows(figure, canvas);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape" && !card.hidden) { const from = pinned; hide(); from?.focus(); } });

  // ---- studies ticked off ---------------------------------------------------------------------------
  const data = JSON.parse(document.getElementById("explorers").textContent);
  function setUpExplorer(box) {
    const d = data[box.id];
    const ticks = all("input[data-row-index]", box);
    const controls = box.querySelector(".controls");
    const own = d.model;
    const choose = (title, options, chosen) => {
      const select = make("select", {}, ...options.map(([value, text]) => make("option", {value, textContent: text, selected: value === chosen})));
      select.addEventListener("change", update);
      controls.append(make("label", {}, title, select));
      return select;
    };
    const kind = choose("Model", [["common", "common effect"], ...d.estimators.map((name) => [name, `random effects, ${name}`])],
      own.kind === "common" ? "common" : own.tau2);
    const ci = choose("Interval", [["auto", "auto"], ["HKSJ", "HKSJ"], ["HKSJ-floor", "HKSJ, floor"], ["Wald", "Wald"]],
      own.kind === "common" ? "Wald" : own.ci);
    const button = (text, action) => {
      const it = make("button", {type: "button", textContent: text});
      it.addEventListener("click", () => { action(); update(); });
      controls.append(it);
    };
    button("All", () => ticks.forEach((tick) => { tick.checked = true; }));
    button("None", () => ticks.forEach((tick) => { tick.checked = false; }));
    button("As analysed", () => {
      ticks.forEach((tick) => { tick.checked = true; });
      kind.value = own.kind === "common" ? "common" : own.tau2;
      ci.value = own.kind === "common" ? "Wald" : own.ci;
    });
    ticks.forEach((tick) => tick.addEventListener("change", update));
    const status = box.querySelector(".answer");
    const put = (name, text) => all(`[data-answer="${name}"]`, box).forEach((node) => { node.textContent = minus(text); });
    function update(first) {
      const inside = ticks.map((tick) => tick.checked);
      const chosen = d.rows.filter((row, i) => inside[i]);
      const common = kind.value === "common";
      ci.disabled = common;
      const model = {...own, null: d.null, kind: common ? "common" : "random", tau2: common ? "none" : kind.value, ci: ci.value};
      const result = chosen.length ? pooling.pool(chosen.map((r) => r.y), chosen.map((r) => r.v), model) : {refused: "no study is ticked"};
      const back = pooling.back[d.scale];
      const all_n = chosen.every((row) => row.n !== null);
      const people = all_n ? String(chosen.reduce((sum, row) => sum + row.n, 0)) : "?";
      const refused = Boolean(result.refused);
      put("k", `${chosen.length} of ${d.rows.length}`);
      put("n", people);
      const pooled = refused ? "-" : `${pooling.fixed(back(result.estimate), d.decimals)} ${pooling.interval(result.ci, d.decimals, back)}`;
      put("pooled", pooled);
      put("estimate", pooled);
      put("pi", refused ? "-" : pooling.interval(result.pi, d.decimals, back));
      put("p", refused ? "-" : pooling.pvalue(result.pvalue));
      put("tau2", refused ? "-" : pooling.tau2Words(result.tau2));
      put("i2", refused ? "-" : `${pooling.fixed(result.i2, 0)}%`);
      put("q", refused ? "-" : `${pooling.fixed(result.q, 2)} (df ${chosen.length - 1}, p ${pooling.pvalue(result.qPvalue)})`);
      put("method", refused ? "-" : common ? "common effect, Wald" : `random effects, ${kind.value}, ${result.ciMethod}`);
      if (!(first === true)) status.textContent = refused ? `Nothing is pooled: ${result.refused}.`
        : minus(`${d.measure} ${pooled}, ${chosen.length} of ${d.rows.length} studies`);
      let j = 0;
      const weights = inside.map((is) => (is && !refused ? result.weights[j++] : null));
      const most = Math.max(...weights);
      ticks.forEach((tick, i) => {
        const row = tick.closest("tr");
        row.classList.toggle("out", !inside[i]);
        row.querySelector("[data-weight]").textContent = weights[i] === null ? "-" : `${pooling.fixed(100 * weights[i], 1)}%`;
        const square = row.querySelector(".square"), side = weights[i] === null ? 0 : 12 * Math.sqrt(weights[i] / most);
        const middle = d.rows[i].x;
        Object.entries({x: middle - side / 2, y: 8 - side / 2, width: side, height: side}).forEach(([name, value]) => square.setAttribute(name, value.toFixed(2)));
      });
      const at = (value) => Math.min(240, Math.max(0, 240 * (value - d.axis[0]) / (d.axis[1] - d.axis[0])));
      const diamond = box.querySelector(".diamond"), line = box.querySelector(".prediction");
      diamond.setAttribute("points", refused ? "" : `${at(result.ci[0])},8 ${at(result.estimate)},3 ${at(result.ci[1])},8 ${at(result.estimate)},13`);
      const reach = refused || !result.pi ? [0, 0] : result.pi.map(at);
      line.setAttribute("x1", reach[0]); line.setAttribute("x2", reach[1]);
    }
    update(true);
    status.textContent = box.querySelector("[data-answer=pooled]") ? minus(`${d.measure} ${words(box.querySelector("[data-answer=pooled]"))}, ${d.rows.length} of ${d.rows.length} studies`) : "";
  }

  // What is far down the page is set up when it comes near, so that a long report opens at once.
  const later = [["[data-table]", setUpTable], ["[data-figure]", setUpFigure], ["[data-explorer]", setUpExplorer]];
  for (const section of all("main > section")) {
    const setUp = () => later.forEach(([selector, action]) => all(selector, section).forEach(action));
    if (!("IntersectionObserver" in window) || section.getBoundingClientRect().top < 2 * innerHeight) { setUp(); continue; }
    const observer = new IntersectionObserver((entries) => {
      if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); setUp(); }
    }, {rootMargin: "1500px 0px"});
    observer.observe(section);
  }
  if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".contents details").open = false;
  Object.defineProperty(window, "mtmeta", {value: Object.freeze({pool: pooling.pool, fixed: pooling.fixed, data})});
})();
