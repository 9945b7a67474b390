"use strict";
// Sorting and searching of the class tables. The tables are whole without it.
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0];
  const box = table.closest("[data-box]");
  const search = box.querySelector("input[type=search]");
  const group = box.querySelector("select[data-group]");
  const said = box.querySelector("[data-said]");
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const value = (row, column, numeric) => {
    const text = row.cells[column].textContent.trim();
    if (!numeric) return text.toLowerCase();
    const number = parseFloat(text.replace(/,/g, "").replace("\u2212", "-").replace("<", ""));
    return Number.isNaN(number) ? null : number;
  };
  heads.forEach((head, column) => {
    if (!head.hasAttribute("data-bar")) return;
    for (const row of rows) {
      const share = value(row, column, true);
      if (share === null) continue;
      row.cells[column].classList.add("r");
      row.cells[column].style.setProperty("--v", share);
    }
  });
  const sort = (column) => {
    const head = heads[column];
    const numeric = head.hasAttribute("data-number");
    const before = head.getAttribute("aria-sort");
    const falling = before === null ? numeric && !head.hasAttribute("data-rising") : before === "ascending";
    const sign = falling ? -1 : 1;
    const keyed = rows.map((row) => [value(row, column, numeric), row]);
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (a < b ? -1 : a > b ? 1 : 0);
    });
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    rows.splice(0, rows.length, ...keyed.map(([, row]) => row));
    body.append(...rows);
  };
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (button) button.addEventListener("click", () => sort(column));
  });
  const groupAt = group ? heads.findIndex((head) => head.textContent === "Group") : -1;
  const filter = () => {
    const wanted = search ? search.value.trim().toLowerCase() : "";
    const only = group ? group.value : "";
    let shown = 0;
    for (const row of rows) {
      const fits = (!only || row.cells[groupAt].textContent === only) && row.cells[0].textContent.toLowerCase().includes(wanted);
      row.hidden = !fits;
      shown += fits;
    }
    const word = said && (said.dataset.word || "classes");
    if (said) said.textContent = shown === rows.length ? `${shown} ${word}` : `${shown} of ${rows.length} ${word}`;
  };
  if (search) search.addEventListener("input", filter);
  if (group) group.addEventListener("change", filter);
  for (const tool of box.querySelectorAll("[data-tools]")) tool.hidden = false;
}
