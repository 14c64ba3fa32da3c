// Lines to the server: /live brings frames and state, commands are asked one after another, and the
// emergency stop has a line of its own that nothing else waits on.

const WAITING = 8; // commands that may wait in this page
const STOP_ANSWER_MS = 150;

const address = (path) => {
  const here = new URL(path, location.href);
  here.protocol = here.protocol === "https:" ? "wss:" : "ws:";
  return here.href;
};

export class Net {
  constructor({ onAbout, onState, onFrame, onLink }) {
    Object.assign(this, { onAbout, onState, onFrame, onLink });
    this.key = sessionStorage.getItem("rain-key") || "";
    this.waiting = 0;
    this.last = Promise.resolve();
    this.delay = 250;
    this.stopDelay = 250;
    this.connect();
    this.connectStop();
  }

  connect() {
    this.onLink("connecting");
    const socket = (this.socket = new WebSocket(address("live")));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(this.key);
    socket.onmessage = (event) => {
      this.delay = 250;
      if (typeof event.data === "string") this.take(JSON.parse(event.data));
      else this.onFrame(event.data);
    };
    socket.onclose = (event) => {
      if (event.code === 4401) return location.reload();
      this.onLink(event.code === 4429 ? "too many viewers" : "reconnecting");
      setTimeout(() => this.connect(), this.delay);
      this.delay = Math.min(3000, this.delay * 1.6);
    };
  }

  take(message) {
    if ("key" in message) {
      this.key = message.key;
      sessionStorage.setItem("rain-key", this.key);
      this.onLink("live");
      this.onAbout(message.about);
    } else {
      this.onState(message);
    }
  }

  got(number) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ got: number }));
  }

  // Commands in their order. A page that waits for too many refuses more.
  ask(command, args = {}) {
    if (this.waiting >= WAITING) return Promise.reject(new Error("too many commands are waiting"));
    this.waiting += 1;
    const answer = this.last.then(() => this.post(`do/${command}`, args));
    this.last = answer.catch(() => {}).finally(() => (this.waiting -= 1));
    return answer;
  }

  async post(path, args) {
    const answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Rain-Viewer": this.key },
      body: JSON.stringify(args),
    }).catch(() => {
      throw new Error("the server cannot be reached");
    });
    const found = await answer.json();
    if (!answer.ok || "error" in found) throw new Error(found.error || answer.statusText);
    return found;
  }

  connectStop() {
    const line = (this.stopLine = new WebSocket(address("stop")));
    line.onopen = () => (this.stopDelay = 250);
    line.onmessage = () => this.stopHeard?.();
    line.onclose = () => {
      setTimeout(() => this.connectStop(), this.stopDelay);
      this.stopDelay = Math.min(2000, this.stopDelay * 1.6);
    };
  }

  // Resolves when the server has said that it stopped; keeps trying until then.
  stop() {
    return new Promise((resolve) => {
      let done = false;
      const heard = () => {
        done = true;
        clearInterval(again);
        resolve();
      };
      this.stopHeard = heard;
      const byLine = () => this.stopLine.readyState === WebSocket.OPEN && this.stopLine.send(this.key);
      const byPost = () => {
        if (done) return;
        byLine();
        fetch("stop", { method: "POST", headers: { "X-Rain-Viewer": this.key }, keepalive: true, priority: "high" })
          .then((answer) => answer.ok && heard())
          .catch(() => {});
      };
      const again = setInterval(byPost, STOP_ANSWER_MS * 4);
      if (byLine() === false) byPost();
      else setTimeout(byPost, STOP_ANSWER_MS);
    });
  }
}
