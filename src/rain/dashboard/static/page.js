// The page: what comes in goes to views and panels, what is done goes to the server.
import { Net } from "./net.js";
import { Chart, addLines, showFigures, showProgress, showSubtasks } from "./panels.js";
import { Views } from "./views.js";

const $ = (id) => document.getElementById(id);
const MODES = {
  waiting: "waiting", paused: "paused", running: "running", holding: "holding",
  stopped: "STOPPED", finished: "finished", playing: "playing",
};

let about = { kind: "", commands: [], locked: true };
let state = {};
let desk = { viewers: [], operator: null, asks: null, you: null };
let frames = [];
let toastUntil = 0;

function toast(text) {
  $("toast").textContent = text;
  $("toast").hidden = false;
  toastUntil = Date.now() + 4500;
  setTimeout(() => Date.now() >= toastUntil && ($("toast").hidden = true), 4600);
}

const ask = (command, args) =>
  net.ask(command, args).catch((error) => {
    toast(error.message);
    return null;
  });

const views = new Views($("views"), {
  onPoint: (args) => (operates() ? ask("point", args) : toast("take control first")),
  onBox: (args) => (operates() ? ask("box", args) : toast("take control first")),
  onDrawn: (frame) => {
    net.got(frame.number);
    drawn(frame);
  },
});
const chart = new Chart($("chart"));

const operates = () => !about.locked || (desk.operator !== null && desk.operator === desk.you);

function drawn(frame) {
  const now = performance.now();
  frames = [...frames.filter((at) => now - at < 2000), now];
  const { facts } = frame;
  showProgress($("progress"), facts.progress);
  const shown = { step: facts.step };
  for (const [name, value] of Object.entries(facts.latency || {})) shown[name] = `${value.toFixed(0)} ms`;
  shown.page = `${(frames.length / 2).toFixed(0)} fps`;
  showFigures($("figures"), shown);
  if (facts.actions) chart.add(facts.actions);
  if (about.kind === "replay") {
    if (document.activeElement !== $("slider") || state.mode === "playing") $("slider").value = facts.index;
    $("time").textContent = `${facts.seconds.toFixed(1)} s`;
  }
  document.body.dataset.frame = frame.number;
  // For whoever measures.
  document.dispatchEvent(new CustomEvent("rain-frame", { detail: { number: frame.number, stamp: frame.stamp } }));
}

function refresh() {
  const mode = state.mode || "waiting";
  const live = document.body.dataset.link === "live";
  const can = live && operates();
  document.body.dataset.mode = mode;
  $("mode").textContent = mode === "finished" && state.result ? `finished: ${state.result}` : MODES[mode] || mode;
  $("instruction").textContent = state.instruction ? `“${state.instruction}”` : "";
  showSubtasks($("subtasks"), state, { onSet: (index) => ask("set", { index }), locked: !can || !about.commands.includes("set") });
  const notes = [];
  if (state.holds) notes.push(`holds ${state.holds}`);
  if (state.wants) notes.push(`holds still: ${state.wants}`);
  $("notes").textContent = notes.join(" · ");

  const mine = desk.operator !== null && desk.operator === desk.you;
  $("operator").textContent = desk.operator === null ? "nobody operates" : mine ? "you operate" : `${desk.operator} operates`;
  $("operator").title = desk.viewers.join(", ");
  $("take").hidden = mine;
  $("take").firstChild.textContent = desk.operator === null ? "Take control " : "Ask for control ";
  const others = desk.viewers.filter((name) => name !== desk.you);
  $("giving").hidden = !mine;
  const options = ["nobody", ...others].join("|");
  if ($("give-to").dataset.told !== options) {
    $("give-to").dataset.told = options;
    $("give-to").replaceChildren(new Option("nobody", ""), ...others.map((name) => new Option(name, name)));
  }
  const asked = mine && desk.asks && others.includes(desk.asks);
  if (asked && $("asks").hidden) $("give-to").value = desk.asks;
  $("asks").hidden = !asked;
  $("asks").textContent = asked ? `${desk.asks} asks for control.` : "";

  const pending = state.pending || null;
  if (JSON.stringify(pending) !== JSON.stringify(views.pending)) {
    views.pending = pending;
    views.repaint();
  }
  $("pending").dataset.on = Boolean(pending);
  $("pending-text").textContent = pending
    ? `${(state.subtasks?.[state.active] || ["act on"])[0]} ${pending.target}?`
    : state.pointed
      ? `Acting on ${state.target}, as pointed at.`
      : "Click a target in any view, or drag a box around it.";
  const running = ["running", "holding", "paused"].includes(mode);
  $("confirm").disabled = $("cancel").disabled = !(can && pending);
  $("clear").disabled = !(can && state.pointed);
  $("resume").disabled = !(can && (mode === "paused" || mode === "holding"));
  $("pause").disabled = !(can && (mode === "running" || mode === "holding"));
  $("hold").disabled = !(can && (mode === "running" || mode === "paused"));
  $("next").disabled = !(can && running && state.active + 1 < (state.subtasks || []).length);
  $("previous").disabled = !(can && running && state.active > 0);
  $("release").hidden = mode !== "stopped";
  $("release").disabled = !can;
  $("end").disabled = !(can && running);
  $("again").disabled = $("episode").disabled = !(can && mode !== "stopped");
  $("text").disabled = document.querySelector("#instruct button").disabled = !(can && running);
  $("play").textContent = mode === "playing" ? "❚❚" : "▶";
}

for (const command of ["confirm", "cancel", "clear", "resume", "pause", "hold", "next", "previous", "release", "end", "take"])
  $(command).addEventListener("click", () => ask(command));
$("anew").addEventListener("submit", (event) => {
  event.preventDefault();
  ask("again", { episode: Number($("episode").value) });
});
$("give").addEventListener("click", () => ask("give", { to: $("give-to").value || null }));
$("play").addEventListener("click", () => ask(state.mode === "playing" ? "pause" : "resume"));
$("slider").addEventListener("input", () => seek(Number($("slider").value)));
$("instruct").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (await ask("instruct", { text: $("text").value })) $("text").value = "";
});
$("text").addEventListener("focus", async () => {
  const found = await ask("instructions");
  if (found) $("known").replaceChildren(...found.instructions.map((text) => new Option(text, text)));
});

// While one request to seek is on its way, only the last of the others is kept.
let seeking = false;
let wanted = null;
async function seek(index) {
  wanted = index;
  if (seeking) return;
  seeking = true;
  while (wanted !== null) {
    const frame = wanted;
    wanted = null;
    await ask("seek", { frame });
  }
  seeking = false;
}

function stop() {
  if (about.kind === "replay") return;
  document.body.classList.add("stopping");
  net.stop().then(() => document.body.classList.remove("stopping"));
}
$("stop").addEventListener("pointerdown", stop); // not the click, which comes when the finger leaves
$("stop").addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && stop());
addEventListener("keydown", (event) => event.key === "Escape" && stop(), { capture: true });

const KEYS = { r: "resume", p: "pause", h: "hold", n: "next", b: "previous", t: "take", x: "cancel", c: "clear" };
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (!$("keys").checked || typing || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const name = KEYS[event.key.toLowerCase()];
  if (name && !$(name).disabled && !$(name).hidden) $(name).click();
  else if (event.key === "Enter" && !event.target.matches("button, a, summary") && !$("confirm").disabled) $("confirm").click();
  else if (/^[1-9]$/.test(event.key)) $("subtasks").children[event.key - 1]?.querySelector("button").click();
});

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => chart.draw());
const themes = ["", "light", "dark"];
const paint = (theme) => {
  document.documentElement.dataset.theme = theme;
  chart.draw();
};
paint(localStorage.getItem("rain-theme") || "");
$("theme").addEventListener("click", () => {
  const next = themes[(themes.indexOf(document.documentElement.dataset.theme) + 1) % themes.length];
  localStorage.setItem("rain-theme", next);
  paint(next);
});
showProgress($("progress"), null);

// Last of all: what comes in needs everything above.
const net = new Net({
  onLink: (how) => {
    document.body.dataset.link = how;
    $("link-text").textContent = how;
    refresh();
  },
  onAbout: (found) => {
    about = found;
    document.body.dataset.kind = found.kind;
    $("title").textContent = found.title;
    document.title = `${found.title} · RAIN`;
    if (found.frames) $("slider").max = found.frames - 1;
    for (const element of document.querySelectorAll("[data-command]"))
      element.hidden = !found.commands.includes(element.dataset.command);
    views.active = found.commands.includes("point");
    $("log").replaceChildren();
    chart.reset();
    refresh();
  },
  onState: (message) => {
    state = message.state;
    if (state.axes) chart.names = state.axes;
    desk = message.desk;
    addLines($("log"), message.log);
    refresh();
  },
  onFrame: (buffer) => views.show(buffer),
});
