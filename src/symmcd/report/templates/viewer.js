"use strict";
// The page of crystals to turn.  Expects the crystals as JSON in #data, 3Dmol.js and crystal_view.js loaded.
(() => {
  const crystals = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const stage = byId("stage");
  let view = null;
  let current = 0;

  function show(keepView) {
    const crystal = crystals[current];
    const how = { cells: Number(byId("cells").value), touching: byId("look").value === "fill", keepView };
    view.show(crystal, how);
    byId("legend").innerHTML = Object.entries(crystal.elements)
      .map(([name, { colour }]) => `<span class="key"><i style="background:${colour}"></i>${name}</span>`).join("");
    // formula and group are HTML made from atomic numbers and the number of the group; an id is anybody's text
    byId("caption").innerHTML =
      `<span class="formula">${crystal.formula}</span> &nbsp;${crystal.group}, ${countedAtoms(crystal)} in the cell, id `;
    byId("caption").append(String(crystal.id));
    byId("list").querySelectorAll("button").forEach((button, i) => button.setAttribute("aria-pressed", String(i === current)));
    stage.dataset.shown = crystal.id;
  }

  if (!crystals.length) {
    stage.textContent = "No generated crystal is valid both ways and small enough to draw.";
    return;
  }
  crystals.forEach((crystal, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.innerHTML = `${crystal.formula}<small>${crystal.group}, ${countedAtoms(crystal)}</small>`;
    button.addEventListener("click", () => {
      current = i;
      if (view) show(false);
    });
    byId("list").append(button);
  });

  try {
    view = crystalView(stage);
  } catch (error) {
    stage.textContent = `This browser cannot draw in three dimensions (WebGL): ${error}`;
    return;
  }
  byId("cells").addEventListener("change", () => show(false));
  byId("look").addEventListener("change", () => show(true));
  byId("reset").addEventListener("click", () => show(false));
  byId("spin").addEventListener("change", (event) => view.spin(event.target.checked));
  show(false);
})();
