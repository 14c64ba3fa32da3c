// The views: frames on canvases with region, plan and what is pointed at; pointing by mouse, finger
// and keyboard. A click carries the number of the frame that was on the screen.

const DRAG = 7; // screen pixels from which a press is a box

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function parse(buffer) {
  const length = new DataView(buffer).getUint32(0);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  let at = 4 + length;
  for (const view of header.views) {
    view.jpeg = new Blob([new Uint8Array(buffer, at, view.bytes)], { type: "image/jpeg" });
    at += view.bytes;
  }
  return header;
}

// Run lengths to a tinted picture with a firm edge, no larger than the region: { picture, x, y }.
function mask({ width, height, runs }, colour) {
  const rows = [];
  let [left, right, at] = [width, 0, 0];
  runs.forEach((length, i) => {
    if (i % 2) {
      for (let from = at; from < at + length; ) {
        const start = from % width;
        const end = Math.min(start + at + length - from, width);
        rows.push([(from - start) / width, start, end]);
        left = Math.min(left, start);
        right = Math.max(right, end);
        from += end - start;
      }
    }
    at += length;
  });
  if (!rows.length) return null;
  const top = rows[0][0];
  const wide = right - left;
  const high = rows[rows.length - 1][0] - top + 1;
  const inside = new Uint8Array(wide * high);
  for (const [row, start, end] of rows) inside.fill(1, (row - top) * wide + start - left, (row - top) * wide + end - left);
  const picture = new ImageData(wide, high);
  const [r, g, b] = colour;
  const reach = width < 200 ? 1 : 2;
  for (let i = 0; i < inside.length; i++) {
    if (!inside[i]) continue;
    const x = i % wide;
    let edge = x < reach || x >= wide - reach;
    for (let n = 1; n <= reach && !edge; n++) edge = !inside[i - n] || !inside[i + n] || !inside[i - n * wide] || !inside[i + n * wide];
    picture.data.set([r, g, b, edge ? 255 : 105], 4 * i);
  }
  const canvas = new OffscreenCanvas(wide, high);
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return { picture: canvas, x: left, y: top };
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

export class Views {
  constructor(root, { onPoint, onBox, onDrawn }) {
    Object.assign(this, { root, onPoint, onBox, onDrawn });
    this.cells = new Map();
    this.latest = null;
    this.busy = false;
    this.pending = null;
    this.active = true;
  }

  // The latest frame wins: what comes while one is being drawn replaces what waits.
  show(buffer) {
    this.waits = buffer;
    if (!this.busy) this.draw();
  }

  async draw() {
    this.busy = true;
    while (this.waits) {
      const buffer = this.waits;
      this.waits = null;
      const frame = parse(buffer);
      const images = await Promise.all(frame.views.map((view) => createImageBitmap(view.jpeg)));
      this.latest = frame;
      frame.views.forEach((view, i) => this.paint(view, images[i]));
      this.onDrawn(frame);
    }
    this.busy = false;
  }

  cell(view) {
    if (!this.cells.has(view.name)) {
      const figure = document.createElement("figure");
      const canvas = document.createElement("canvas");
      const caption = document.createElement("figcaption");
      caption.textContent = view.name;
      canvas.dataset.view = view.name;
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-label", `View ${view.name}: click a target or drag a box; with keys, arrows and Enter`);
      figure.append(canvas, caption);
      this.root.append(figure);
      const cell = { canvas, figure, caption, cursor: null };
      this.cells.set(view.name, cell);
      this.listen(view.name, cell);
      this.root.dataset.count = this.cells.size;
    }
    return this.cells.get(view.name);
  }

  paint(view, image) {
    const cell = this.cell(view);
    Object.assign(cell, { view, image: image || cell.image });
    const { canvas } = cell;
    // Canvas pixels a pixel of the image: as many as the screen can show, within reason.
    const wanted = (canvas.clientWidth * devicePixelRatio) / view.width;
    const sharp = Math.max(1, Math.min(Math.round(wanted + 0.2), view.width < 200 ? 4 : 2));
    if (canvas.width !== view.width * sharp) {
      canvas.width = view.width * sharp;
      canvas.height = view.height * sharp;
    }
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(cell.image, 0, 0, canvas.width, canvas.height);
    const pending = this.pending?.regions[view.name];
    if (view.region) this.stamp(context, view.region, "--region", this.pending ? 0.45 : 1);
    if (pending) this.stamp(context, pending, "--pending", 1);
    if (view.plan) this.plan(context, view.plan, sharp);
    if (cell.drag) this.box(context, cell.drag, sharp);
    if (cell.cursor) this.cross(context, cell.cursor, sharp);
    cell.figure.dataset.sees = Boolean(view.region && view.region.runs.length > 1);
  }

  repaint() {
    for (const cell of this.cells.values()) if (cell.view) this.paint(cell.view, null);
  }

  stamp(context, region, colour, alpha) {
    const found = mask(region, rgb(css(colour)));
    if (!found) return;
    const { picture, x, y } = found;
    const scale = context.canvas.width / region.width;
    context.save();
    context.globalAlpha = alpha;
    context.imageSmoothingEnabled = false;
    context.drawImage(picture, x * scale, y * scale, picture.width * scale, picture.height * scale);
    context.restore();
  }

  plan(context, points, sharp) {
    const at = points.map((p) => p && [(p[0] + 0.5) * sharp, (p[1] + 0.5) * sharp]);
    context.save();
    context.lineCap = "round";
    const colour = (i) => `hsl(${46 - (38 * i) / (at.length - 1)} 96% 58%)`;
    const thick = Math.min(1, (0.75 * context.canvas.width) / (context.canvas.clientWidth || context.canvas.width));
    for (const [width, dark] of [[7 * thick, true], [3.5 * thick, false]]) {
      for (let i = 0; i + 1 < at.length; i++) {
        if (!at[i] || !at[i + 1]) continue;
        context.beginPath();
        context.moveTo(...at[i]);
        context.lineTo(...at[i + 1]);
        context.lineWidth = width;
        context.strokeStyle = dark ? "rgb(0 0 0 / 45%)" : colour(i);
        context.stroke();
      }
    }
    at.forEach((point, i) => {
      if (!point) return;
      context.beginPath();
      context.arc(...point, 4.5 * thick, 0, 7);
      context.fillStyle = colour(i);
      context.fill();
    });
    const last = at[at.length - 1];
    if (last) {
      context.beginPath();
      context.arc(...last, 13 * thick, 0, 7);
      context.lineWidth = 3.5 * thick;
      context.strokeStyle = colour(at.length - 1);
      context.stroke();
    }
    context.restore();
  }

  box(context, { from, to }, sharp) {
    context.save();
    context.strokeStyle = css("--pending");
    context.lineWidth = 4;
    context.setLineDash([12, 8]);
    context.strokeRect(from[0] * sharp, from[1] * sharp, (to[0] - from[0]) * sharp, (to[1] - from[1]) * sharp);
    context.restore();
  }

  cross(context, [x, y], sharp) {
    context.save();
    for (const [colour, width] of [["#000", 5], ["#fff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo((x + 3 * dx) * sharp, (y + 3 * dy) * sharp);
        context.lineTo((x + 11 * dx) * sharp, (y + 11 * dy) * sharp);
      }
      context.stroke();
    }
    context.restore();
  }

  listen(name, cell) {
    const { canvas } = cell;
    const where = (event) => {
      const box = canvas.getBoundingClientRect();
      const { width, height } = cell.view;
      const inside = (value, most) => Math.min(Math.max(value, 0), most - 0.01);
      return [
        inside(((event.clientX - box.left) / box.width) * width, width),
        inside(((event.clientY - box.top) / box.height) * height, height),
      ];
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.active || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      cell.press = { screen: [event.clientX, event.clientY], at: where(event), frame: this.latest.number };
      cell.cursor = null;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!cell.press) return;
      const far = Math.hypot(event.clientX - cell.press.screen[0], event.clientY - cell.press.screen[1]);
      if (far > DRAG || cell.drag) {
        cell.drag = { from: cell.press.at, to: where(event) };
        this.paint(cell.view, null);
      }
    });
    const end = (event) => {
      const { press, drag } = cell;
      cell.press = cell.drag = null;
      if (!press || event.type === "pointercancel") return this.paint(cell.view, null);
      if (!drag) return this.onPoint({ frame: press.frame, view: name, x: press.at[0], y: press.at[1] });
      const [[x, y], [u, v]] = [drag.from, where(event)];
      this.onBox({
        frame: press.frame, view: name,
        left: Math.min(x, u), top: Math.min(y, v), right: Math.max(x, u), bottom: Math.max(y, v),
      });
    };
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("keydown", (event) => this.key(event, name, cell));
    canvas.addEventListener("blur", () => {
      cell.cursor = null;
      if (cell.view) this.paint(cell.view, null);
    });
  }

  key(event, name, cell) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (!this.active || !cell.view) return;
    const { width, height } = cell.view;
    if (event.key in moves) {
      event.preventDefault();
      const step = event.shiftKey ? 1 : Math.max(1, Math.round(width / 40));
      const [x, y] = cell.cursor || [width / 2, height / 2];
      const [dx, dy] = moves[event.key];
      cell.cursor = [Math.min(Math.max(x + dx * step, 0), width - 1), Math.min(Math.max(y + dy * step, 0), height - 1)];
      this.paint(cell.view, null);
    } else if ((event.key === "Enter" || event.key === " ") && cell.cursor) {
      event.preventDefault();
      event.stopPropagation();
      const [x, y] = cell.cursor;
      cell.cursor = null;
      this.onPoint({ frame: this.latest.number, view: name, x, y });
    }
  }
}
