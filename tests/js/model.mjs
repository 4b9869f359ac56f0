// What stands in for anywidget, the kernel, the browser's requests and a file's bytes, so that a desk runs in node.
import { Desk } from "../../nbfiles/widget/static/upload.js";

/** A model as anywidget hands it over; it keeps what was sent. */
export class Model {
  constructor(state = {}) {
    this.state = {
      uid: "u",
      rows: [],
      limits: { accept: "", multiple: true, max_files: null, max_bytes: 500e6 },
      local: false,
      note: "",
      ...state,
    };
    this.listeners = new Map();
    this.sent = [];
  }

  get(name) {
    return this.state[name];
  }

  on(name, does) {
    this.listeners.set(name, [...(this.listeners.get(name) ?? []), does]);
  }

  emit(name, ...rest) {
    for (const does of this.listeners.get(name) ?? []) does(...rest);
  }

  send(message, _callbacks, buffers) {
    this.sent.push(buffers ? { ...message, bytes: buffers[0].byteLength } : message);
  }

  /** Says something as the kernel. */
  say(message) {
    this.emit("msg:custom", message, []);
  }

  /** Returns what was sent of one kind. */
  of(kind) {
    return this.sent.filter((message) => message.kind === kind);
  }
}

/** A request that waits until a test ends it. */
export class Request {
  static all = [];

  constructor() {
    this.upload = {};
    this.headers = {};
    this.status = 0;
    this.responseText = "";
    this.aborted = false;
    Request.all.push(this);
  }

  open(method, url) {
    this.method = method;
    this.url = url;
  }

  setRequestHeader(name, value) {
    this.headers[name] = value;
  }

  send(body) {
    this.body = body;
  }

  abort() {
    this.aborted = true;
    this.onloadend();
  }

  /** Reports how much has left the browser. */
  progress(loaded) {
    this.upload.onprogress({ loaded });
  }

  /** Ends it, and lets everything that waits for it run. */
  async end(status, said = "") {
    this.status = status;
    this.responseText = said;
    this.onloadend();
    await settled();
  }
}

/** Puts the page of a Jupyter server around the desk; null takes it away. */
export function surround(config) {
  Request.all = [];
  globalThis.XMLHttpRequest = Request;
  globalThis.document = {
    cookie: "other=1; _xsrf=2|abc",
    getElementById: () => (config ? { textContent: JSON.stringify(config) } : null),
  };
}

/** A file of so many bytes that holds none of them. */
export function file(name, size = 10, { gone = false } = {}) {
  const slice = (from = 0, to = size) => ({
    arrayBuffer: async () => {
      if (gone) throw new DOMException("moved", "NotReadableError");
      return { byteLength: to - from };
    },
  });
  return { name, size, slice, webkitRelativePath: "" };
}

/** Lets every promise that can go on do so. */
export async function settled() {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** A desk, the page it runs in, and what the kernel would say to it. */
export class Bench {
  constructor(state, config = { baseUrl: "/user/me/" }) {
    surround(config);
    this.model = new Model(state);
    this.desk = new Desk(this.model);
    this.said = [];
    this.desk.views.add({ touch() {}, speak: (text, urgent) => this.said.push((urgent ? "! " : "") + text) });
  }

  /** Welcomes the page, and answers its probe with `status`. */
  async welcome(status = 200, said = "") {
    this.model.say({ kind: "welcome", page: this.desk.page, probe: "probe", rows: [] });
    await settled();
    const probe = Request.all.at(-1);
    if (probe) await probe.end(status, said);
  }

  /** Offers files; returns their rows. */
  offer(...files) {
    this.desk.offer(files.map((each) => ({ file: each, path: "" })));
    return this.desk.list.slice(-files.length);
  }

  /** Says as the kernel what it knows of a row, or of each of them. */
  know(rows, news) {
    this.model.say({ kind: "rows", rows: [rows].flat().map(({ known }) => ({ ...known, ...news })), removed: [] });
  }

  /** Offers files that the kernel accepts. */
  accept(...files) {
    const rows = this.offer(...files);
    this.know(rows, { state: "queued", mime: "text/plain" });
    return rows;
  }

  /** Lets the browser send a row's bytes. */
  async go(row, offset = 0) {
    this.model.say({ kind: "go", key: row.known.key, landing: `landing-${row.known.key}`, offset });
    await settled();
  }

  /** Acknowledges a row's bytes up to `received`. */
  async ack(row, received) {
    this.model.say({ kind: "ack", key: row.known.key, landing: row.landing, received });
    await settled();
  }
}
