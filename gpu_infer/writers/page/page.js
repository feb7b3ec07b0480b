"use strict";
// Names come from files: they are set as text, never as HTML.
const byId = (id) => document.getElementById(id);
const study = JSON.parse(byId("case").textContent);
const canvas = byId("view");
const VIEWS = ["four", "axial", "coronal", "sagittal", "render"];
const SLICE_TYPES = { four: 3, axial: 0, coronal: 1, sagittal: 2, render: 4 };
const NORMALS = { axial: [0, 0, 1], coronal: [0, 1, 0], sagittal: [1, 0, 0] };

const viewer = new niivue.Niivue({
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  multiplanarShowRender: 1,
  multiplanarLayout: 2,
  show3Dcrosshair: true,
  crosshairColor: [0.3, 0.8, 1, 1],
  crosshairWidth: 0.004 * Math.max(...study.shape.map((voxels, axis) => voxels * study.spacing_mm[axis])),
  crosshairWidthUnit: "mm",
  fontColor: [0.85, 0.85, 0.85, 1],
  backColor: [0, 0, 0, 1],
  dragAndDropEnabled: false,
  loadingText: "",
  logLevel: "error",
});
let view = "four";
let shownMap = 0;
let hidden = new Set(); // indices of labels that the legend hides
const maps = []; // NiiVue's volumes of the label maps

// -- voxels ----------------------------------------------------------------------------------------------------------

async function voxelFile(id) {
  const element = byId(id);
  if (!element) return (await fetch(id)).arrayBuffer(); // the page comes from a server that has the file
  const text = atob(element.textContent);
  element.remove();
  const packed = Uint8Array.from(text, (character) => character.charCodeAt(0));
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function load() {
  const names = ["image", ...study.maps.map((_, number) => `labels-${number}`)];
  const files = await Promise.all(names.map(voxelFile)); // all before the first is drawn, which may take long
  viewer.setSliceType(SLICE_TYPES.axial); // 3-D would be drawn after each file
  await viewer.loadFromArrayBuffer(files[0], "image.nii");
  for (let number = 0; number < study.maps.length; number++) {
    await viewer.loadFromArrayBuffer(files[number + 1], `labels-${number}.nii`);
    maps.push(viewer.volumes[1]);
    paint(number);
    if (number > 0) viewer.removeVolumeByIndex(1);
  }
}

function paint(number) {
  const labels = study.maps[number].labels;
  const table = { R: [0], G: [0], B: [0], A: [0], I: [0], labels: ["background"] };
  for (const { index, colour, name } of labels) {
    table.R.push(colour[0]);
    table.G.push(colour[1]);
    table.B.push(colour[2]);
    table.A.push(hidden.has(index) ? 0 : 255);
    table.I.push(index);
    table.labels.push(name);
  }
  maps[number].setColormapLabel(table);
}

function repaint() {
  paint(shownMap);
  viewer.updateGLVolume();
}

function showMap(number) {
  viewer.removeVolume(maps[shownMap]);
  shownMap = number;
  hidden = new Set();
  paint(number);
  viewer.addVolume(maps[number]);
  applyOpacity();
  fillLegend();
}

// -- controls --------------------------------------------------------------------------------------------------------

function showView(name) {
  view = name;
  viewer.setSliceType(SLICE_TYPES[name]);
  for (const button of document.querySelectorAll("[data-view]")) {
    button.setAttribute("aria-pressed", String(button.dataset.view === name));
  }
}

function applyOpacity() {
  if (viewer.volumes.length > 1) viewer.setOpacity(1, byId("mask").checked ? byId("opacity").value / 100 : 0);
}

function changeOpacity(step) {
  const slider = byId("opacity");
  slider.value = Number(slider.value) + step;
  applyOpacity();
}

function toggleMask() {
  byId("mask").checked = !byId("mask").checked;
  applyOpacity();
}

function applyWindow() {
  const { low, high } = study.windows[byId("window").value];
  const [image] = viewer.volumes;
  image.cal_min = low;
  image.cal_max = high;
  viewer.updateGLVolume();
}

function nextWindow() {
  const select = byId("window");
  select.selectedIndex = (select.selectedIndex + 1) % select.length;
  applyWindow();
}

function option(text, value) {
  const element = document.createElement("option");
  element.textContent = text;
  element.value = value;
  return element;
}

const rounded = (value) => String(Number(value.toPrecision(4))).replace("-", "−");

function fillControls() {
  study.windows.forEach(({ name, low, high }, number) => {
    byId("window").append(option(`${name} (${rounded(low)} … ${rounded(high)}${study.unit && ` ${study.unit}`})`, number));
  });
  study.maps.forEach(({ name }, number) => byId("map").append(option(name, number)));
  byId("map-choice").hidden = study.maps.length < 2;
  for (const button of document.querySelectorAll("[data-view]")) {
    button.addEventListener("click", () => showView(button.dataset.view));
  }
  byId("window").addEventListener("change", applyWindow);
  byId("mask").addEventListener("change", applyOpacity);
  byId("opacity").addEventListener("input", applyOpacity);
  byId("map").addEventListener("change", (event) => showMap(Number(event.target.value)));
  byId("filter").addEventListener("input", filterLegend);
  byId("all").addEventListener("change", showAll);
  const most = Math.max(...study.block);
  const grid = `${study.shape.join(" × ")} voxels of ${study.spacing_mm.map((mm) => Number(mm.toFixed(3))).join(" × ")} mm`;
  byId("note").textContent =
    most > 1 ? `File: ${grid}. Shown at 1/${most} resolution; ml are of the full resolution.` : `${grid}.`;
}

// -- legend ----------------------------------------------------------------------------------------------------------

function fillLegend() {
  const { labels } = study.maps[shownMap];
  const body = document.querySelector("#legend tbody");
  body.replaceChildren(...labels.map(legendRow));
  byId("filter").hidden = labels.length < 12;
  byId("filter").value = "";
  byId("all").checked = true;
  if (labels.length === 0) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = 3;
    cell.textContent = "No label occurs.";
  }
}

function legendRow(label) {
  const row = document.createElement("tr");
  row.dataset.index = label.index;
  const box = document.createElement("input");
  box.type = "checkbox";
  box.checked = true;
  box.setAttribute("aria-label", `Show ${label.name}`);
  box.addEventListener("change", () => {
    hide(row, !box.checked);
    repaint();
  });
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = `rgb(${label.colour.join(" ")})`;
  const name = document.createElement("button");
  name.type = "button";
  name.className = "name";
  name.textContent = label.name;
  name.title = `Label ${label.number}, ${label.voxels} voxels`;
  row.insertCell().append(box, swatch);
  const cell = row.insertCell();
  cell.append(name);
  if (label.shown === 0) {
    const small = document.createElement("span");
    small.className = "small";
    small.textContent = "too small for this resolution";
    cell.append(small);
    name.disabled = true;
  }
  name.addEventListener("click", () => goTo(label.index));
  const number = row.insertCell();
  number.className = "number";
  number.textContent = label.ml.toFixed(3);
  return row;
}

function hide(row, isHidden) {
  const index = Number(row.dataset.index);
  if (isHidden) hidden.add(index);
  else hidden.delete(index);
  row.classList.toggle("hidden-row", isHidden);
  row.querySelector("input").checked = !isHidden;
}

const rows = () => document.querySelectorAll("#legend tbody tr[data-index]");

function showAll() {
  rows().forEach((row) => hide(row, !byId("all").checked));
  repaint();
}

function filterLegend() {
  const words = byId("filter").value.toLowerCase();
  rows().forEach((row) => {
    row.hidden = !row.querySelector(".name").textContent.toLowerCase().includes(words);
  });
}

/** Move the crosshair into the label: into the slice with most of it, to its voxel nearest to the mean there. */
function goTo(index) {
  const { img, hdr } = maps[shownMap];
  const [, columns, lines, slices] = hdr.dims;
  const area = columns * lines;
  const counts = new Uint32Array(slices);
  for (let at = 0; at < img.length; at++) if (img[at] === index) counts[Math.floor(at / area)]++;
  const slice = counts.indexOf(Math.max(...counts));
  const points = [];
  for (let at = 0; at < area; at++) {
    if (img[slice * area + at] === index) points.push([at % columns, Math.floor(at / columns)]);
  }
  if (points.length === 0) return;
  const mean = [0, 1].map((axis) => points.reduce((sum, point) => sum + point[axis], 0) / points.length);
  const distance = (point) => (point[0] - mean[0]) ** 2 + (point[1] - mean[1]) ** 2;
  const [i, j] = points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
  const mm = hdr.affine.slice(0, 3).map((line) => line[0] * i + line[1] * j + line[2] * slice + line[3]);
  viewer.scene.crosshairPos = viewer.mm2frac(mm);
  viewer.createOnLocationChange();
  viewer.drawScene();
}

// -- position --------------------------------------------------------------------------------------------------------

function labelAt(mm) {
  if (maps.length === 0) return undefined;
  const map = maps[shownMap];
  const index = map.getValue(...map.mm2vox(mm));
  return study.maps[shownMap].labels.find((label) => label.index === index);
}

function describe(mm) {
  const letters = ["RL", "AP", "SI"];
  const parts = letters.map((pair, axis) => `${mm[axis] < 0 ? pair[1] : pair[0]} ${Math.abs(mm[axis]).toFixed(1)}`);
  return `${parts.join("  ")} mm`;
}

/** Show the place under the mouse if there is one, else the crosshair's, and always the crosshair's slices. */
function showPosition(below) {
  const [image] = viewer.volumes;
  const slices = Array.from(viewer.frac2mm(viewer.scene.crosshairPos)).slice(0, 3);
  const mm = below ?? slices;
  byId("slices").textContent = describe(slices);
  byId("place").textContent = below ? describe(below) : "";
  byId("value").textContent = `${rounded(image.getValue(...image.mm2vox(mm)))} ${study.unit}`;
  const label = labelAt(mm);
  byId("label").textContent = label ? label.name : "–";
  rows().forEach((row) => row.classList.toggle("current", Number(row.dataset.index) === label?.index));
}

/** The position in mm below the mouse; undefined outside of the planes. */
function mmBelow(event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  const at = viewer.canvasPos2frac([(event.clientX - box.left) * scale, (event.clientY - box.top) * scale]);
  return at[0] < 0 ? undefined : Array.from(viewer.frac2mm(at)).slice(0, 3);
}

canvas.addEventListener("pointermove", (event) => {
  if (viewer.volumes.length) showPosition(mmBelow(event));
});
canvas.addEventListener("pointerleave", () => viewer.volumes.length && showPosition());
viewer.onLocationChange = () => showPosition();

// -- keys ------------------------------------------------------------------------------------------------------------

const KEYS = {
  m: toggleMask,
  w: nextWindow,
  "[": () => changeOpacity(-10),
  "]": () => changeOpacity(10),
};
VIEWS.forEach((name, number) => { KEYS[number + 1] = () => showView(name); });
// Steps of the crosshair in each view, in voxels along right, anterior, superior. Right of the patient is left on screen.
const MOVES = {
  axial: { ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0] },
  coronal: { ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1] },
  sagittal: { ArrowLeft: [0, 1, 0], ArrowRight: [0, -1, 0], ArrowUp: [0, 0, 1], ArrowDown: [0, 0, -1] },
};
for (const [name, moves] of Object.entries(MOVES)) {
  moves.PageUp = NORMALS[name];
  moves.PageDown = NORMALS[name].map((step) => -step);
}
MOVES.four = MOVES.axial;

// NiiVue has keys of its own, which would act twice or open dialogs: none reaches it.
document.addEventListener("keydown", (event) => {
  if (event.target === canvas) event.stopPropagation();
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("select, input[type=search], input[type=range]")) return;
  const move = MOVES[view]?.[event.key];
  const act = move ? () => viewer.moveCrosshairInVox(...move) : KEYS[event.key.toLowerCase()];
  if (!act || viewer.volumes.length === 0) return;
  event.preventDefault();
  act();
}, true);
document.addEventListener("keyup", (event) => event.target === canvas && event.stopPropagation(), true);

// -- start -----------------------------------------------------------------------------------------------------------

async function start() {
  fillControls();
  fillLegend();
  await viewer.attachToCanvas(canvas);
  viewer.setRenderAzimuthElevation(160, 10); // from the patient's front and a little from the side
  await load();
  applyWindow();
  applyOpacity();
  showView("four");
  byId("message").hidden = true;
  showPosition();
}

start().then(
  () => { document.body.dataset.state = "ready"; },
  (error) => {
    document.body.dataset.state = "failed";
    byId("message").textContent = `The volume cannot be shown: ${error.message}. The page needs WebGL 2.`;
    console.error(error);
  },
);
