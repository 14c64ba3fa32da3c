// What stands beside the views: subtasks, progress, figures, the chart of actions, the log.

const make = (tag, text, ...classes) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  element.classList.add(...classes);
  return element;
};

export function showSubtasks(list, state, { onSet, locked }) {
  const told = JSON.stringify([state.subtasks, state.active, state.done, state.target, state.pointed, locked]);
  if (list.dataset.told === told) return;
  list.dataset.told = told;
  list.replaceChildren(
    ...(state.subtasks || []).map(([action, target], i) => {
      const now = i === state.active && !state.done;
      const item = make("li");
      item.dataset.state = now ? "now" : i < state.active || state.done ? "done" : "later";
      const button = make("button");
      button.type = "button";
      button.disabled = locked;
      if (now) button.setAttribute("aria-current", "step");
      button.append(make("span", String(i + 1), "number"), make("span", action, "action"));
      const shown = now && state.pointed ? state.target : target;
      button.append(make("span", shown, "target"));
      if (now && state.pointed) button.append(make("span", `in place of ${target}`, "instead"));
      button.addEventListener("click", () => onSet(i));
      item.append(button);
      return item;
    }),
  );
}

export function showProgress(list, progress) {
  for (const part of ["completion", "distance", "alignment"]) {
    let row = list.querySelector(`[data-part=${part}]`);
    if (!row) {
      row = make("div");
      row.dataset.part = part;
      const meter = make("meter");
      Object.assign(meter, { min: 0, max: 1, value: 0 });
      meter.setAttribute("aria-label", part);
      const value = make("dd");
      value.append(meter, make("output", "–"));
      row.append(make("dt", part), value);
      list.append(row);
    }
    const value = progress ? progress[part] : null;
    row.querySelector("meter").value = value ?? 0;
    row.querySelector("output").textContent = value === null ? "–" : value.toFixed(2);
  }
}

export function showFigures(list, figures) {
  for (const [name, value] of Object.entries(figures)) {
    let row = list.querySelector(`[data-figure="${name}"]`);
    if (!row) {
      row = make("div");
      row.dataset.figure = name;
      row.append(make("dt", name), make("dd"));
      list.append(row);
    }
    row.querySelector("dd").textContent = value;
  }
}

// The latest actions: one line for each of their numbers, each in a band of its own.
export class Chart {
  constructor(canvas) {
    this.canvas = canvas;
    this.values = new Map();
    this.names = [];
  }

  reset() {
    this.values.clear();
  }

  add({ until, values }) {
    values.forEach((action, i) => this.values.set(until - values.length + i, action));
    for (const step of this.values.keys()) if (step < until - 160 || step >= until) this.values.delete(step);
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const steps = [...this.values.keys()].sort((a, b) => a - b);
    context.clearRect(0, 0, canvas.width, canvas.height);
    const rows = 7;
    const left = 84;
    const right = 92;
    const high = canvas.height / rows;
    const last = steps[steps.length - 1] ?? 0;
    context.font = `22px ${style.fontFamily}`;
    context.textBaseline = "middle";
    for (let row = 0; row < rows; row++) {
      const middle = (row + 0.5) * high;
      context.fillStyle = style.textDecorationColor;
      context.textAlign = "left";
      context.fillText(this.names[row] || `${row + 1}`, 2, middle);
      context.strokeStyle = style.borderTopColor;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(left, (row + 1) * high - 0.5);
      context.lineTo(canvas.width, (row + 1) * high - 0.5);
      context.stroke();
      if (!steps.length) continue;
      const found = steps.map((step) => this.values.get(step)[row]);
      const [low, most] = [Math.min(...found), Math.max(...found)];
      const span = Math.max(most - low, 0.05);
      const centre = (most + low) / 2;
      context.strokeStyle = style.outlineColor;
      context.lineWidth = 3;
      context.lineJoin = "round";
      context.beginPath();
      steps.forEach((step, i) => {
        const x = canvas.width - right - ((last - step) / 160) * (canvas.width - left - right);
        const y = middle - ((found[i] - centre) / span) * high * 0.68;
        if (i) context.lineTo(x, y);
        else context.moveTo(x, y);
      });
      context.stroke();
      context.fillStyle = style.color;
      context.textAlign = "right";
      context.fillText(found[found.length - 1].toFixed(2), canvas.width - 4, middle);
    }
  }
}

export function addLines(list, lines) {
  const scroll = list.parentElement;
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
  for (const line of lines) {
    if (list.querySelector(`[data-number="${line.number}"]`)) continue;
    const item = make("li");
    item.dataset.number = line.number;
    item.dataset.kind = line.kind;
    const time = make("time", new Date(line.time * 1000).toLocaleTimeString([], { hour12: false }));
    item.append(time, make("span", line.text));
    list.append(item);
  }
  while (list.children.length > 200) list.firstChild.remove();
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}
