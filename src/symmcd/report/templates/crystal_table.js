// Searches and sorts the table of crystals, and shows the chosen one.  Expects 3Dmol.js and crystal_view.js loaded.
(() => {
  const AT_ONCE = 50; // rows; more on demand
  const root = document.getElementById("crystal-table");
  const one = (selector) => root.querySelector(selector);
  const form = one("form.finder");
  const body = one("tbody");
  const more = one("button.more");
  const crystals = JSON.parse(one("script.crystals").textContent);
  const headings = [...root.querySelectorAll("th[data-sort]")];
  const numbers = one("details.numbers");
  let limit = AT_ONCE;
  let view = null;
  let current = -1;

  const rows = [...body.rows].map((row, rank) => {
    const orders = JSON.parse(row.dataset.orders);
    const elements = new Set(row.dataset.formula.match(/[A-Z][a-z]?/g) || []);
    const find = row.dataset.find.toLowerCase();
    return { row, rank, orders, elements, find, words: new Set(row.dataset.find.split(/\s+/)), formula: row.dataset.formula };
  });

  // "Li O": crystals that have both elements; anything else is looked for in formula, id, space group and doubts.
  const fits = (entry, token) =>
    /^[A-Z][a-z]?$/.test(token)
      ? entry.elements.has(token) || entry.words.has(token)
      : entry.find.includes(token.toLowerCase());

  const value = (entry, key) => (key === "rank" ? entry.rank : key === "formula" ? entry.formula : entry.orders[Number(key)]);

  function compare(a, b, key, sign) {
    const [x, y] = [value(a, key), value(b, key)];
    if (x === null || y === null) return (x === null) - (y === null) || a.rank - b.rank; // unknown: always last
    const order = typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
    return sign * order || a.rank - b.rank;
  }

  function arrange() {
    const tokens = form.elements.search.value.trim().split(/[\s,]+/).filter(Boolean);
    const key = form.elements.sort.value;
    const sign = form.elements.reverse.checked ? -1 : 1;
    const undoubted = form.elements.undoubted && form.elements.undoubted.checked;
    const found = rows.filter(
      (entry) => tokens.every((token) => fits(entry, token)) && !(undoubted && entry.row.querySelector(".tag")),
    );
    found.sort((a, b) => compare(a, b, key, sign));
    body.replaceChildren(...found.slice(0, limit).map((entry) => entry.row));
    headings.forEach((heading) => {
      const sorted = heading.dataset.sort === key;
      heading.setAttribute("aria-sort", sorted ? (sign > 0 ? "ascending" : "descending") : "none");
    });
    form.elements.count.value = `${found.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    one("p.none").hidden = found.length > 0;
    more.hidden = found.length <= limit;
    more.textContent = `Show ${Math.min(AT_ONCE, found.length - limit)} more`;
  }

  function again() {
    limit = AT_ONCE;
    arrange();
  }

  function show(index, keepView) {
    const crystal = crystals[index];
    one(".turned").hidden = false;
    try {
      view = view || crystalView(one(".stage"));
    } catch (error) {
      one(".stage").textContent = `This browser cannot draw in three dimensions (WebGL): ${error}`;
      return;
    }
    current = index;
    const aside = one(".turned");
    const cells = Number(aside.querySelector("[name=cells]").value);
    view.show(crystal, { cells, touching: aside.querySelector("[name=look]").value === "fill", keepView });
    const { row } = rows[index];
    one(".caption").replaceChildren(row.querySelector(".formula").cloneNode(true));
    one(".caption").append(` ${countedAtoms(crystal)} in the cell`);
    one(".legend").replaceChildren(...Object.entries(crystal.elements).map(([name, { colour }]) => {
      const [key, dot] = [document.createElement("span"), document.createElement("i")];
      key.className = "key";
      dot.style.background = colour;
      key.append(dot, name);
      return key;
    }));
    if (numbers) {
      numbers.hidden = !crystal.details.length;
      numbers.querySelector("dl").replaceChildren(...crystal.details.flat().map((text, place) => {
        const part = document.createElement(place % 2 ? "dd" : "dt");
        part.textContent = text;
        return part;
      }));
    }
    rows.forEach((entry) => entry.row.classList.toggle("current", entry.row === row));
    root.dataset.shown = rows[index].row.querySelector(".id").textContent;
  }

  rows.forEach(({ row }, index) => {
    if (!crystals[index]) return;
    const formula = row.querySelector(".formula");
    const button = document.createElement("button");
    button.type = "button";
    button.title = "show in 3D";
    formula.replaceWith(button);
    button.append(formula);
    button.addEventListener("click", () => show(index, false));
  });
  headings.forEach((heading) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const same = form.elements.sort.value === heading.dataset.sort;
      form.elements.reverse.checked = same && !form.elements.reverse.checked;
      form.elements.sort.value = heading.dataset.sort;
      again();
    });
  });
  if (numbers) numbers.open = window.matchMedia("(min-width: 761px)").matches;
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", again);
  more.addEventListener("click", () => {
    limit += AT_ONCE;
    arrange();
  });
  one("[name=cells]").addEventListener("change", () => show(current, false));
  one("[name=look]").addEventListener("change", () => show(current, true));
  one("[name=spin]").addEventListener("change", (event) => view && view.spin(event.target.checked));
  arrange();
  const first = crystals.findIndex(Boolean);
  if (first >= 0) show(first, false);
})();
