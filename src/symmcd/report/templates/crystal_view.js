"use strict";
// A window that shows one crystal at a time.  Expects 3Dmol.js loaded.
// A crystal: {lattice: rows in Å, atoms: [[element, x, y, z], ...] fractional, elements: {Fe: {colour, radius, metal}}, reach}
const crystalView = (stage) => {
  const view = $3Dmol.createViewer(stage, { backgroundAlpha: 0, disableFog: false });
  view.setProjection("orthographic");

  const cartesian = (lattice, f) => [0, 1, 2].map((x) => f[0] * lattice[0][x] + f[1] * lattice[1][x] + f[2] * lattice[2][x]);
  const length = (v) => Math.hypot(v[0], v[1], v[2]);
  const point = (v) => ({ x: v[0], y: v[1], z: v[2] });

  // Atoms of n × n × n cells with those on its faces, edges and corners on both sides, as [element, x, y, z] in Å.
  function atomsOf(crystal, n) {
    const tolerance = crystal.lattice.map((row) => 0.05 / length(row));
    const found = [];
    for (const [element, ...position] of crystal.atoms) {
      const along = position.map((f, axis) => {
        const images = [];
        for (let value = f - Math.floor(f) - 1; value < n + 1; value += 1) {
          if (value > -tolerance[axis] && value < n + tolerance[axis]) images.push(value);
        }
        return images;
      });
      for (const a of along[0]) for (const b of along[1]) for (const c of along[2]) {
        found.push([element, ...cartesian(crystal.lattice, [a, b, c])]);
      }
    }
    return found;
  }

  function joined(crystal, one, other) {
    const [a, b] = [crystal.elements[one[0]], crystal.elements[other[0]]];
    if (a.metal && b.metal) return false;
    const distance = Math.hypot(one[1] - other[1], one[2] - other[2], one[3] - other[3]);
    return distance > 0.3 && distance < crystal.reach * (a.radius + b.radius);
  }

  function drawAtoms(crystal, n, touching) {
    const atoms = atomsOf(crystal, n);
    for (const [element, x, y, z] of atoms) {
      const { colour, radius } = crystal.elements[element];
      view.addSphere({ center: { x, y, z }, radius: (touching ? 1 : 0.46) * radius, color: colour, quality: 3 });
    }
    if (touching) return;
    for (let i = 0; i < atoms.length; i += 1) for (let j = 0; j < i; j += 1) {
      if (!joined(crystal, atoms[i], atoms[j])) continue;
      const [start, end] = [atoms[i].slice(1), atoms[j].slice(1)];
      const middle = start.map((value, axis) => (value + end[axis]) / 2);
      for (const [from, element] of [[start, atoms[i][0]], [end, atoms[j][0]]]) {
        view.addCylinder({
          start: point(from), end: point(middle), radius: 0.085, color: crystal.elements[element].colour, fromCap: 1, toCap: 0,
        });
      }
    }
  }

  function drawCell(crystal) {
    const axes = ["#cc453d", "#3d9952", "#4069cc"];
    for (let axis = 0; axis < 3; axis += 1) {
      const others = [0, 1, 2].filter((other) => other !== axis);
      for (const u of [0, 1]) for (const v of [0, 1]) {
        const start = [0, 0, 0];
        [start[others[0]], start[others[1]]] = [u, v];
        const end = start.slice();
        end[axis] = 1;
        view.addCylinder({
          start: point(cartesian(crystal.lattice, start)), end: point(cartesian(crystal.lattice, end)),
          radius: 0.04, color: u || v ? "#858c96" : axes[axis], fromCap: 2, toCap: 2,
        });
      }
    }
  }

  // c upwards, a towards the viewer, then a little turned and tilted: as the drawings in the report.
  function look(crystal) {
    const unit = (v) => v.map((value) => value / length(v));
    const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
    const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    const add = (a, x, b, y) => a.map((value, k) => x * value + y * b[k]);
    const up = unit(crystal.lattice[2]);
    const out = unit(add(crystal.lattice[0], 1, up, -dot(crystal.lattice[0], up)));
    const [turn, tilt] = [(24 * Math.PI) / 180, (13 * Math.PI) / 180];
    const right = add(cross(up, out), Math.cos(turn), out, -Math.sin(turn));
    const turned = add(cross(up, out), Math.sin(turn), out, Math.cos(turn));
    // rows of the rotation from crystal to screen: right, up, towards the viewer
    const m = [right, add(up, Math.cos(tilt), turned, -Math.sin(tilt)), add(up, Math.sin(tilt), turned, Math.cos(tilt))];
    const view0 = view.getView();
    view.setView([...view0.slice(0, 4), ...quaternion(m)]);
  }

  function quaternion(m) {
    const largest = [0, 1, 2].reduce((best, k) => (m[k][k] > m[best][best] ? k : best), 0);
    const trace = m[0][0] + m[1][1] + m[2][2];
    if (trace > 0) {
      const s = 2 * Math.sqrt(1 + trace);
      return [(m[2][1] - m[1][2]) / s, (m[0][2] - m[2][0]) / s, (m[1][0] - m[0][1]) / s, s / 4];
    }
    const [i, j, k] = [largest, (largest + 1) % 3, (largest + 2) % 3];
    const s = 2 * Math.sqrt(1 + m[i][i] - m[j][j] - m[k][k]);
    const q = [0, 0, 0, (m[k][j] - m[j][k]) / s];
    q[i] = s / 4;
    q[j] = (m[j][i] + m[i][j]) / s;
    q[k] = (m[k][i] + m[i][k]) / s;
    return q;
  }

  return {
    // cells: along each edge; keepView: do not turn back
    show(crystal, { cells = 1, touching = false, keepView = false } = {}) {
      const before = keepView ? view.getView() : null;
      view.removeAllShapes();
      drawAtoms(crystal, cells, touching);
      drawCell(crystal);
      if (before) {
        view.setView(before);
      } else {
        view.zoomTo();
        look(crystal);
        view.zoom(1.4);
      }
      view.render();
    },
    clear() {
      view.removeAllShapes();
      view.render();
    },
    spin(on) {
      view.spin(on ? "y" : false, 0.5);
    },
    resize() {
      view.resize();
    },
  };
};

const countedAtoms = (crystal) => `${crystal.atoms.length} atom${crystal.atoms.length === 1 ? "" : "s"}`;
