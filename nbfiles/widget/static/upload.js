// The browser's half of nbfiles.UploadWidget: it takes files from a person, brings their bytes to the kernel, and shows
// how far they are on both hops. Only the kernel holds the key and talks to the Files API.
//
// A `Desk` per widget holds its files, a `Row` each; `View`s of it come and go. What a person named is data: it becomes
// text nodes, titles and labels only.

/**
 * What the kernel knows of a file.
 * @typedef {{key: string, name: string, path: string, size: number, mime: string, state: string, landed: number,
 *   sent: number, ready: boolean, reason: string, side: string, id: string, block: string, variable: string}} Known
 * @typedef {{file: File, path: string}} Choice
 * @typedef {{accept: string, multiple: boolean, max_files: number | null, max_bytes: number}} Limits
 * @typedef {{get(name: string): any, on(name: string, does: Function): void, off(name: string, does: Function): void,
 *   send(message: object, callbacks?: object, buffers?: ArrayBuffer[]): void}} Model
 */

const NB = "\u00a0";
const DOT = `${NB}· `;
const PIECE = 8 * 2 ** 20; // 10 MiB vanish without a word
const SMALL_PIECE = 2 ** 20;
const PUTS = 3;
const PATIENCE = 1500; // ms until an answer is missed
const UNDER_WAY = ["queued", "uploading", "retrying", "checking", "cancelling"];
const DONE = ["done", "reused"];
const BUSY = "waiting for the kernel: a cell is running";

// ---- figures and names

/** Writes bytes with 3 significant digits: `96 B`, `412 kB`, `24.1 MB`. @param {number} bytes */
export function formatSize(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)}${NB}B`;
  let [value, unit] = [bytes / 1000, 0];
  for (; value >= 999.5 && unit < 3; unit++) value /= 1000;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)}${NB}${"kMGT"[unit]}B`;
}

/** Writes `25.9 of 144 MB`: the unit once if it is the same. @param {number} part @param {number} whole */
export function formatPart(part, whole) {
  const [value, unit] = formatSize(part).split(NB);
  const all = formatSize(whole);
  return `${value}${all.endsWith(NB + unit) ? "" : NB + unit} of ${all}`;
}

/** Writes what is left, rounded up: `8 s left`, `4 min left`. @param {number} seconds */
export function formatLeft(seconds) {
  const [per, unit] = seconds <= 59 ? [1, "s"] : seconds <= 59 * 60 ? [60, "min"] : [3600, "h"];
  return `${Math.max(Math.ceil(seconds / per), 1)}${NB}${unit} left`;
}

/** Writes how long it took: `3.4 s`, `3 min 20 s`, `2 h 5 min`. @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 59.5) return `${seconds < 9.95 ? Math.max(seconds, 0.1).toFixed(1) : Math.round(seconds)}${NB}s`;
  const [per, large, small] = seconds < 3599.5 ? [1, "min", "s"] : [60, "h", "min"];
  const all = Math.round(seconds / per);
  return `${Math.floor(all / 60)}${NB}${large}${all % 60 ? ` ${all % 60}${NB}${small}` : ""}`;
}

/** Writes `1 file`, `1,902 files`. @param {number} count @param {string} noun */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** Writes every hidden or reordering character as its mark, `<U+202E>`. @param {string} text */
export function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (char) => {
    return `<U+${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}>`;
  });
}

/** Cuts a name into a head, which may give way, and the ending with 4 characters more. @param {string} name */
export function splitName(name) {
  const chars = [...name];
  const keep = 4 + [.../[^/](\.[^./]{0,9}$)|$/u.exec(name)?.[1] ?? ""].length;
  let cut = chars.length;
  for (let width = 0; cut && chars.length - cut < keep; cut--) {
    width += visible(chars[cut - 1]).length;
    if (width > 14) break;
  }
  while (cut && /^\p{M}/u.test(chars[cut] ?? "")) cut--; // an accent stays with its letter
  return [chars.slice(0, cut).join(""), chars.slice(cut).join("")];
}

/** Says what may be chosen: `PDF only, up to 500 MB each`. @param {Limits} limits */
export function limitsText({ accept, multiple, max_files, max_bytes }) {
  const kinds = accept.split(",").map((kind) => (kind[0] === "." ? kind.slice(1).toUpperCase() : kind.replace("/*", "")));
  const said = accept ? [`${kinds.join(", ")} only`] : [];
  if (multiple && max_files) said.push(`up to ${counted(max_files, "file")}`);
  said.push(`up to ${formatSize(max_bytes)}${multiple ? " each" : ""}`);
  return said.join(", ").replace(/^./, (first) => first.toUpperCase());
}

// ---- what a person hands over

/** Lists the files of an `<input>`, with their paths if a folder was chosen. @param {Iterable<File> | null} files */
export function chosen(files) {
  return [...(files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || "" }));
}

/** Lists the files of a paste; a text becomes one if there is no other. @param {DataTransfer | null} data @param {Date} when */
export function pasted(data, when) {
  const time = when.toTimeString().slice(0, 8).replaceAll(":", ".");
  const files = [...(data?.files ?? [])].map((file) => {
    // A screenshot has no name of its own; browsers call it image.png.
    const ending = /^image(\.\w+)$/.exec(file.name)?.[1];
    return ending ? new File([file], `Pasted image ${time}${ending}`, { type: file.type }) : file;
  });
  const text = files.length ? "" : data?.getData("text/plain");
  return chosen(text ? [new File([text], `Pasted text ${time}.txt`, { type: "text/plain" })] : files);
}

/** Lists the files of a drop, those in folders too, with their paths. @param {DataTransfer | null} data */
export async function dropped(data) {
  // All is taken before the first await: the items are gone after it.
  const items = [...(data?.items ?? [])].filter(({ kind }) => kind === "file");
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry?.(), file: item.getAsFile() }));
  /** @type {Choice[]} */
  const found = [];
  for (const { entry, file } of taken) {
    if (entry?.isDirectory) await walk(entry, found);
    else if (file) found.push({ file, path: "" });
  }
  return found;
}

/** @param {any} entry @param {Choice[]} found */
async function walk(entry, found) {
  try {
    if (entry.isFile) {
      const file = await new Promise((...ends) => entry.file(...ends));
      found.push({ file, path: entry.fullPath.replace(/^\//, "") });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      // It hands over a hundred at a time, and an empty list at the end.
      const entries = await new Promise((...ends) => reader.readEntries(...ends));
      if (!entries.length) return;
      for (const each of entries) await walk(each, found);
    }
  } catch {
    // Gone or locked since it was dropped: as if it had not been there.
  }
}

// ---- pace

/** How fast bytes move: the mean of the last 3 s. */
export class Speed {
  /** @type {{at: number, bytes: number}[]} */
  seen = [];
  hop = "";

  /** Notes how far the hop is that moves; another one starts anew. @param {string} hop @param {number} bytes @param {number} now */
  note(hop, bytes, now) {
    if (hop !== this.hop || bytes < (this.seen.at(-1)?.bytes ?? 0)) this.seen = [];
    this.hop = hop;
    this.seen.push({ at: now, bytes });
    while (this.seen[1]?.at <= now - 3000) this.seen.shift();
  }

  /** Writes `41.2 MB/s · 1 s left`, as much of it as can be told. @param {number} size */
  text(size) {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    if (!last || last.at - first.at < 500 || last.bytes >= size) return "";
    const rate = ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
    if (rate < 1) return "";
    return `${formatSize(rate)}/s${last.at - first.at < 2000 ? "" : DOT + formatLeft((size - last.bytes) / rate)}`;
  }
}

/** What is in the air on the comm lane, and what goes next. The kernel acknowledges by offset. */
export class Flight {
  /** @param {number} size @param {number} from @param {number} piece */
  constructor(size, from, piece) {
    this.size = size;
    this.received = this.next = from;
    this.piece = piece;
  }

  round = 0; // a new one begins when pieces were lost
  heard = 0;
  asked = 0;
  stuck = 0;
  /** @type {number[]} */
  ends = [];

  /** Takes the next piece, if there is one to send now. @param {number} now @returns {[number, number] | null} */
  take(now) {
    if (this.ends.length > 1 || this.next >= this.size) return null;
    if (!this.ends.length) this.heard = now;
    const start = this.next;
    this.next = Math.min(start + this.piece, this.size);
    this.ends.push(this.next);
    return [start, this.next];
  }

  /** Hears how far the kernel is; returns whether pieces turn out to be lost. @param {number} received @param {number} now */
  hear(received, now) {
    if (received > this.received) {
      this.received = received;
      this.next = Math.max(this.next, received);
      this.ends = this.ends.filter((end) => end > received);
      this.heard = now;
      this.asked = this.stuck = 0;
    } else if (this.asked && this.ends.length) {
      this.stuck ||= now;
      if (now - this.stuck < 1000) return false;
      // The same answer again, and nothing has come in between.
      this.piece = SMALL_PIECE;
      this.next = this.received;
      this.ends = [];
      this.round++;
      this.asked = this.stuck = 0;
      return true;
    }
    return false;
  }

  /** Whether to ask the kernel how far it is, which is then taken as done. @param {number} now */
  asks(now) {
    if (!this.ends.length || now - this.heard < 4000 || now - this.asked < 2000) return false;
    this.asked = now;
    return true;
  }
}

/**
 * Returns a function that has `work` done soon, at most once in `wait` ms.
 * @param {() => void} work @param {number} wait @param {(does: () => void) => void} [frame]
 */
export function throttle(work, wait, frame = requestAnimationFrame) {
  let last = 0;
  let due = false;
  const run = () => {
    due = false;
    last = Date.now();
    work();
  };
  return () => {
    if (!due) setTimeout(() => frame(run), last + wait - Date.now());
    due = true;
  };
}

/** What a screen reader says by the way: one text in 5 s, and the newest only. */
export class Voice {
  /** @param {(text: string) => void} write */
  constructor(write) {
    this.write = write;
  }

  last = 0;
  /** @type {(() => string) | null} */
  next = null;

  /** @param {() => string} text asked for when it is said, so that it is true then */
  say(text) {
    if (!this.next) setTimeout(() => this.speak(), Math.max(200, this.last + 5000 - Date.now()));
    this.next = text;
  }

  speak() {
    if (this.next) this.write(this.next());
    this.next = null;
    this.last = Date.now();
  }
}

// ---- the way over the Jupyter server

/** Returns the page's settings, if a Jupyter server made it. @returns {{baseUrl: string, token?: string} | null} */
function jupyter() {
  try {
    return JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "null");
  } catch {
    return null;
  }
}

/**
 * PUTs bytes where the kernel waits for them.
 * @param {string} landing @param {Blob} body @param {(bytes: number) => void} moved @param {number} [timeout] ms
 * @returns {{abort: () => void, answer: Promise<{status: number, said: string}>}}
 */
function put(landing, body, moved, timeout = 0) {
  const { baseUrl = "/", token } = jupyter() ?? {};
  const xhr = new XMLHttpRequest();
  xhr.open("PUT", `${baseUrl.replace(/\/?$/, "/")}nbfiles/landing/${landing}`);
  const xsrf = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
  if (xsrf) xhr.setRequestHeader("X-XSRFToken", xsrf);
  if (token) xhr.setRequestHeader("Authorization", `token ${token}`);
  xhr.timeout = timeout;
  xhr.upload.onprogress = ({ loaded }) => moved(loaded);
  const answer = new Promise((resolve) => {
    xhr.onloadend = () => resolve({ status: xhr.status, said: xhr.responseText.slice(0, 200) });
  });
  xhr.send(body);
  return { abort: () => xhr.abort(), answer };
}

// ---- rows

/** A file on the list: what the kernel knows of it, and how it goes from this page to the kernel. */
export class Row {
  /** @param {Desk} desk @param {Known} known @param {File | null} file */
  constructor(desk, known, file) {
    this.desk = desk;
    this.known = known;
    this.file = file;
  }

  phase = "idle"; // -> begun -> granted -> sending -> sent
  lane = "";
  landing = "";
  from = 0;
  up = 0; // bytes that have left the browser
  accepted = false;
  held = false; // nothing new is begun
  asked = 0; // since when the kernel owes an answer
  missed = false; // for too long
  timed = false; // its time is in the desk's
  reading = false;
  speed = new Speed();
  /** @type {Flight | null} */
  flight = null;
  /** @type {(() => void) | null} */
  abort = null;

  get label() {
    return visible(this.known.path || this.known.name);
  }

  get underWay() {
    return UNDER_WAY.includes(this.known.state);
  }

  get done() {
    return DONE.includes(this.known.state);
  }

  get landed() {
    return Math.min(this.known.size, Math.max(this.known.landed, this.known.sent, this.up));
  }

  /** Whether *Retry* can help. */
  get canRetry() {
    const { state, ready } = this.known;
    return !this.desk.lost && ["failed", "cancelled"].includes(state) && (ready || this.file !== null);
  }

  /** Tells the kernel, which then owes an answer. @param {string} kind @param {object} [more] @param {ArrayBuffer[]} [buffers] */
  tell(kind, more, buffers) {
    if (!buffers) this.asked ||= Date.now();
    this.desk.send({ kind, key: this.known.key, ...more }, buffers);
  }

  /** Takes what the kernel knows now. @param {Known} known */
  take(known) {
    this.known = known;
    this.accepted = true;
    this.asked = 0;
    if (known.ready && this.phase !== "sending") this.phase = "sent";
    if (this.underWay) {
      this.timed = true;
      this.move();
    } else {
      this.drop();
      this.up = 0;
      this.held = false;
      this.speed = new Speed();
      if (this.done || known.state === "refused") this.file = null;
    }
  }

  /** Notes how far it is. @param {number} [up] */
  move(up = this.up) {
    this.up = up;
    const { sent, key } = this.known;
    this.speed.note(sent ? "sent" : "landed", sent || this.landed, Date.now());
    this.desk.touch(key);
  }

  /** Lets go of its way to the kernel. */
  drop() {
    this.phase = "idle";
    this.landing = "";
    this.flight = null;
    this.abort?.();
    this.abort = null;
  }

  /** @param {string} lane */
  begin(lane) {
    this.phase = "begun";
    this.lane = lane;
    this.up = 0;
    this.tell("begin", { lane });
  }

  start() {
    this.phase = "sending";
    if (this.lane === "http") return this.put();
    this.flight = new Flight(this.known.size, this.from, this.desk.piece);
    return this.feed();
  }

  async put() {
    const { landing, file, desk } = this;
    if (!file) return;
    let moved = false;
    const request = put(landing, file, (bytes) => {
      moved = true;
      this.move(bytes);
    });
    this.abort = request.abort;
    const { status, said } = await request.answer;
    if (this.landing !== landing) return; // let go of meanwhile
    this.abort = null;
    if (status === 200) {
      this.phase = "sent";
      this.move(this.known.size);
    } else if (status === 0 && !(await readable(file))) this.broke(-1, "unreadable");
    else if (status === 404 || status === 405 || (status === 0 && !moved)) {
      this.drop();
      desk.fallBack(status, said);
    } else this.broke(status, said);
    desk.step();
  }

  /** Sends pieces while there is room in the air. */
  async feed() {
    const { flight, file, landing } = this;
    if (this.reading || !flight || !file) return;
    this.reading = true;
    try {
      for (let span; this.flight === flight && (span = flight.take(Date.now())); ) {
        const { round } = flight;
        const bytes = await file.slice(...span).arrayBuffer();
        if (this.flight === flight && flight.round === round) this.tell("piece", { landing, offset: span[0] }, [bytes]);
      }
    } catch {
      if (this.flight === flight) this.broke(-1, "unreadable");
    }
    this.reading = false;
    if (this.flight !== flight) this.feed(); // begun anew while it was read
  }

  /** Hears how far the kernel is on the comm lane. @param {number} received */
  hear(received) {
    const { flight } = this;
    if (!flight) return;
    if (flight.hear(received, Date.now())) this.desk.piece = SMALL_PIECE;
    this.move(flight.received);
    if (flight.received < flight.size) this.feed();
    else {
      this.flight = null;
      this.phase = "sent";
    }
  }

  /** Nothing more of it will come; the kernel says what that means. @param {number} status @param {string} said */
  broke(status, said) {
    this.phase = "sent";
    this.flight = null;
    this.tell("broke", { landing: this.landing, status, said });
  }

  /** @param {number} now */
  tick(now) {
    if (this.flight?.asks(now)) this.tell("where", { landing: this.landing });
    const missed = this.asked > 0 && now - this.asked >= PATIENCE;
    if (missed && this.held) this.drop(); // no answer, but at least no more bytes
    if (missed !== this.missed || this.known.state === "uploading") this.move();
    this.missed = missed;
  }
}

/** Whether a file can still be read: it may have moved or changed since it was chosen. @param {File} file */
function readable(file) {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

// ---- the desk

/** The files of one widget on this page, whatever views there are. */
export class Desk {
  /** @param {Model} model */
  constructor(model) {
    this.model = model;
    for (const known of model.get("rows") ?? []) this.take(known);
    /** @type {[string, Function][]} */
    this.listens = [
      ["msg:custom", (/** @type {any} */ message) => this.receive(message)],
      ["comm_live_update", () => this.lose()],
      ["comm:close", () => this.lose()],
      ...["limits", "local", "note"].map((name) => /** @type {[string, Function]} */ ([`change:${name}`, () => this.touch()])),
    ];
    for (const [name, does] of this.listens) model.on(name, does);
    globalThis.addEventListener?.("pagehide", this.leave);
    this.hello();
  }

  page = crypto.getRandomValues(new BigUint64Array(1))[0].toString(16).padStart(16, "0");
  /** @type {Map<string, Row>} */
  rows = new Map();
  /** @type {Set<{touch(key?: string): void, speak(text: string, urgent: boolean): void}>} */
  views = new Set();
  voice = new Voice((text) => this.speak(text, false));
  lane = ""; // until it is known
  slower = "";
  lost = false;
  count = 0;
  piece = PIECE;
  since = 0;
  elapsed = 0;
  gone = new Set();
  /** @type {Row[]} ended badly, and not yet said */
  bad = [];
  /** @type {ReturnType<typeof setInterval> | undefined} */
  clock = undefined;

  leave = () => this.send({ kind: "leave", page: this.page });

  hello() {
    this.send({ kind: "hello", page: this.page });
  }

  close() {
    globalThis.removeEventListener?.("pagehide", this.leave);
    for (const [name, does] of this.listens) this.model.off(name, does);
    for (const row of this.rows.values()) row.drop();
    clearInterval(this.clock);
    this.leave();
  }

  /** @returns {Limits} */
  get limits() {
    return this.model.get("limits");
  }

  get local() {
    return Boolean(this.model.get("local"));
  }

  // -- what a person asks

  /** @param {Choice[]} choices */
  offer(choices) {
    const blank = { mime: "", landed: 0, sent: 0, ready: false, reason: "", side: "", id: "", block: "", variable: "" };
    const rows = (this.limits.multiple ? choices : choices.slice(0, 1)).map(({ file, path }) => {
      const known = { key: `${this.page}-${++this.count}`, name: file.name, path, size: file.size, state: "queued", ...blank };
      const row = new Row(this, known, file);
      row.asked = Date.now();
      this.rows.set(known.key, row);
      if (this.lost) this.fail(row, "The kernel restarted. Run the cell again, then choose the file.");
      return row;
    });
    if (!rows.length) return;
    this.voice.say(() => `${counted(rows.length, "file")} added.`);
    for (let at = 0; at < rows.length; at += 1000) {
      const some = rows.slice(at, at + 1000).map(({ known: { key, name, path, size } }) => ({ key, name, path, size }));
      this.send({ kind: "offer", rows: some });
    }
    this.step();
  }

  /** @param {Row[]} rows */
  cancel(rows) {
    for (const row of rows) {
      row.held = true;
      row.asked ||= Date.now();
    }
    this.send({ kind: "cancel", keys: rows.map((row) => row.known.key) });
    this.step();
  }

  /** Takes rows off the list at once. @param {Row[]} rows */
  remove(rows) {
    const keys = rows.map((row) => row.known.key);
    for (const key of keys) {
      this.gone.add(key);
      this.rows.delete(key);
    }
    this.send({ kind: "remove", keys });
    this.step();
  }

  // -- what the kernel says

  /** @param {any} message */
  receive(message) {
    const row = this.rows.get(message?.key);
    if (row) row.asked = 0;
    switch (message?.kind) {
      case "welcome":
        if (message.page === this.page) this.welcome(message);
        break;
      case "rows":
        for (const key of message.removed ?? []) this.forget(key);
        for (const known of message.rows ?? []) this.take(known);
        break;
      case "go":
        if (row?.phase !== "begun") break;
        row.phase = row.lane === this.lane ? "granted" : "idle"; // the lane may have changed since
        row.landing = message.landing;
        row.from = message.offset;
        break;
      case "ack":
        if (row?.landing === message.landing) row?.hear(message.received);
        break;
      case "stop":
        row?.drop();
        if (row) row.held = true;
    }
    this.step(message?.key);
  }

  /** Takes the kernel's list for the truth, and finds the lane. @param {{probe: string | null, rows: Known[]}} message */
  async welcome({ probe, rows }) {
    this.lost = false;
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, row] of this.rows) if (row.accepted && !keys.has(key)) this.forget(key);
    for (const known of rows) this.take(known);
    if (this.lane) return;
    if (probe && jupyter()?.baseUrl) {
      const { status, said } = await put(probe, new Blob(["0"]), () => {}, 5000).answer;
      if (status === 200) this.lane = "http";
      else this.fallBack(status, said);
    } else this.lane = "comm";
    this.step();
  }

  /** From now on files go over the comm. @param {number} status @param {string} said */
  fallBack(status, said) {
    const apart = status === 404 && said.includes("no such ticket");
    const why = apart ? "and the kernel share no disk" : "has no nbfiles extension";
    this.slower ||= `Slower route: this Jupyter server ${why}, so files go through the notebook connection.`;
    this.lane = "comm";
  }

  /** @param {Known} known */
  take(known) {
    if (this.gone.has(known.key)) return;
    const row = this.rows.get(known.key) ?? new Row(this, known, null);
    const before = this.rows.has(known.key) ? row.known.state : known.state;
    this.rows.set(known.key, row);
    if (row.underWay !== UNDER_WAY.includes(known.state)) row.held = false;
    row.take(known);
    if (before !== known.state) this.announce(row);
    this.touch(known.key);
  }

  /** @param {string} key */
  forget(key) {
    this.rows.get(key)?.drop();
    this.rows.delete(key);
  }

  /** The kernel is gone, and with it whatever was under way. */
  lose() {
    for (const row of this.rows.values()) if (row.underWay) this.fail(row, "The kernel restarted. Choose the file again.");
    this.lost = true;
    this.step();
    this.hello(); // if it is there after all, it answers
  }

  /** Ends a row without the kernel. @param {Row} row @param {string} reason */
  fail(row, reason) {
    this.take({ ...row.known, state: "failed", ready: false, reason });
  }

  // -- odds and ends

  /** @param {{kind: string, [name: string]: any}} message @param {ArrayBuffer[]} [buffers] */
  send(message, buffers) {
    if (this.lost && message.kind !== "hello") return;
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      if (!this.lost) this.lose();
    }
  }

  /** Begins whatever may begin now, and keeps the time. @param {string} [key] of the row that changed */
  step(key) {
    const rows = [...this.rows.values()];
    const slots = !this.lane || this.lost ? -1 : this.lane === "http" ? PUTS : 1;
    let sending = 0;
    let begun = 0;
    for (const { phase } of rows) {
      if (phase === "sending") sending++;
      if (phase === "sending" || phase === "begun" || phase === "granted") begun++;
    }
    for (const row of rows) {
      if (row.phase === "granted" && sending < slots) {
        sending++;
        row.start();
      } else if (begun <= slots && row.phase === "idle" && row.file && row.accepted && !row.held && row.known.state === "queued") {
        begun++; // one ahead, so that no slot waits for an answer
        row.begin(this.lane);
      }
    }
    const now = Date.now();
    const busy = rows.some((row) => row.underWay);
    if (!busy && this.since) this.elapsed += now - this.since;
    this.since = busy ? this.since || now : 0;
    if (busy || rows.some((row) => row.asked)) this.clock ??= setInterval(() => this.tick(), 250);
    else {
      clearInterval(this.clock);
      this.clock = undefined;
    }
    this.touch(key);
  }

  tick() {
    for (const row of this.rows.values()) row.tick(Date.now());
    this.step();
  }

  /** Says how a row ended. @param {Row} row */
  announce(row) {
    const { state } = row.known;
    if (row.done) this.voice.say(() => this.progress());
    else if (state === "cancelled") this.voice.say(() => `Cancelled ${row.label}.`);
    else if (!row.underWay && this.bad.push(row) === 1) setTimeout(() => this.alarm());
  }

  /** Says at once what went wrong. */
  alarm() {
    const { bad, limits } = this;
    const [row] = bad;
    const { reason, state, size } = row.known;
    this.bad = [];
    let said = `${counted(bad.length, "file")} failed or not sent.`;
    if (bad.length === 1 && state === "failed") {
      said = `${row.label} failed: ${reason.replace(/ \(\d+\)| after \d+ tries/g, "").split(/\.(?: |$)/)[0]}.`;
    } else if (bad.length === 1) {
      const over = size > limits.max_bytes && `over ${formatSize(limits.max_bytes)}.`;
      said = `${row.label} was not sent: ${over || reason.replace(/^Not sent: /, "")}`;
    }
    this.speak(visible(said) + (row.canRetry ? " Retry is available." : ""), true);
  }

  /** Counts the rows by how they stand, and their bytes. */
  tally() {
    const sum = { all: 0, busy: 0, done: 0, failed: 0, refused: 0, cancelled: 0, landed: 0, sent: 0, size: 0, timed: true };
    for (const { known, done, underWay, landed, timed } of this.rows.values()) {
      const { state, size, sent, ready } = known;
      sum.all++;
      if (underWay) sum.busy++;
      else if (done) sum.done++;
      else if (state === "failed" || state === "refused" || state === "cancelled") sum[state]++;
      if (done) sum.timed &&= timed;
      if (state === "refused" || state === "cancelled") continue;
      sum.size += size;
      sum.landed += done || ready ? size : landed;
      sum.sent += done ? size : Math.min(sent, size);
    }
    return sum;
  }

  /** Says how far it all is. */
  progress() {
    const { all, done, failed, refused } = this.tally();
    const first = [...this.rows.values()].find((row) => row.done)?.known.variable ?? "";
    const bound = /^\w+(?!.*\.)/.exec(first);
    if (done === all) return `${all > 1 ? "All " : ""}${counted(all, "file")} done${bound ? `, bound to ${bound}` : ""}.`;
    return `${done} of ${counted(all, "file")} done${failed ? `, ${failed} failed` : ""}${refused ? `, ${refused} refused` : ""}.`;
  }

  /** @param {string} text @param {boolean} urgent */
  speak(text, urgent) {
    const [first] = this.views; // two would say it twice
    first?.speak(text, urgent);
  }

  /** Has a row drawn anew, and what stands around the rows. @param {string} [key] */
  touch(key) {
    for (const view of this.views) view.touch(key);
  }
}

// ---- how it is drawn

/** @type {Record<string, string>} */
const ICONS = {
  tray: "M8 11V3M4.8 6.2 8 3l3.2 3.2M2.5 11v2.5h11V11",
  folder: "M2 12.5v-9h4l1.5 2H14v7z",
  clock: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 4.8V8l2.2 1.6",
  arrow: "M8 13V3.5M4 7.5l4-4 4 4",
  check: "M3 8.5l3.2 3.2L13 5",
  equals: "M3 6h10M3 10h10",
  alert: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 5v3.6M8 10.9v.2",
  slash: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M3.8 3.8l8.4 8.4",
  warning: "M8 2.5 14.2 13.5H1.8zM8 6.5v3.2M8 11.6v.1",
  house: "M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  cross: "M4 4l8 8M12 4l-8 8",
};
/** Icon and tone of the states that are not a clock. @type {Record<string, string[]>} */
const STATES = {
  uploading: ["arrow", "accent"],
  done: ["check", "ok"],
  reused: ["equals", "dim"],
  failed: ["alert", "bad"],
  refused: ["slash", "warn"],
  cancelled: ["slash", "dim"],
};
/** @type {Record<string, number>} */
const STEPS = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };
/** @type {WeakMap<Element, string>} */
const written = new WeakMap();

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {string} [cls] @param {...(Node | string)} children
 */
function make(tag, cls, ...children) {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  node.append(...children);
  return node;
}

/** @template {Element} T @param {T} node @param {Record<string, string>} attributes */
function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== value) node.setAttribute(name, value);
  }
  return node;
}

/** @param {string} shape @param {string} [tone] */
function icon(shape, tone = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.append(set(path, { d: ICONS[shape] }));
  return set(svg, { class: `i ${tone}`, viewBox: "0 0 16 16", "aria-hidden": "true" });
}

/** @param {string} does @param {string} cls @param {...(Node | string)} children */
function button(does, cls, ...children) {
  return set(make("button", cls, ...children), { type: "button", "data-do": does });
}

/** Writes text as nodes, with a border around each mark. @param {string} text */
function marked(text) {
  return visible(text)
    .split(/(<U\+[0-9A-F]{4,6}>)/)
    .map((part, at) => (at % 2 ? make("span", "nbf-cc", part) : part));
}

/** Writes `text` into `node`, unless it is there. @param {Element} node @param {string} text */
function write(node, text) {
  if (written.get(node) !== text) node.replaceChildren(...marked(text));
  written.set(node, text);
}

/** Isolates a name, of which only the head gives way. @param {string[]} parts @param {string} [cls] */
function isolated([head, tail], cls = "") {
  const name = make("bdi", `nbf-name ${cls}`, make("span", "h", ...marked(head)), make("span", "t", ...marked(tail)));
  return set(name, { title: visible(head + tail), style: `--t:${visible(tail).length}` });
}

/** A file's line in one view. */
class Item {
  /** @param {Row} row */
  constructor({ known: { key, name, path, size }, label }) {
    this.name = isolated(splitName(path || name));
    this.small.append(formatSize(size), DOT);
    set(this.retry, { "aria-label": `Retry ${label}` });
    set(this.bar, { role: "progressbar", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100" });
    const exact = set(make("span", "size", formatSize(size)), { title: counted(size, "byte") });
    const acts = make("div", "acts", this.retry, this.end);
    this.element = set(make("li", "nbf-row", this.name, exact, this.line, this.side, acts, this.bar), { "data-key": key });
  }

  small = make("span", "small");
  said = make("span");
  line = make("div", "c2b l2", this.small, this.said);
  side = make("span", "side");
  retry = button("retry", "btn quiet retry", "Retry");
  end = button("end", "ib", icon("cross"));
  landed = make("i", "landed");
  sent = make("i", "sent");
  bar = make("div", "nbf-bar", this.landed, this.sent);
  variable = make("code", "var nbf-code");
  equals = make("span", "dim", "=");
  /** @type {Element | null} */
  bound = null;
  face = "";

  /** @param {Row} row @param {boolean} local */
  draw(row, local) {
    const { known, label, missed, underWay, done } = row;
    const { state, size, sent, mime, side } = known;
    const [shape, tone] = (!missed && STATES[state]) || ["clock", "dim"];
    if (this.face !== shape + tone) {
      if (this.face) this.element.firstChild?.remove();
      this.element.prepend(icon(shape, tone));
      this.face = shape + tone;
    }
    const figures = missed || state === "queued" || state === "uploading";
    const news = missed ? BUSY : state === "queued" ? state : row.speed.text(size);
    write(this.said, figures ? [mime, news].filter(Boolean).join(DOT) : done ? "" : known.reason);
    this.line.classList.toggle("bad", state === "failed" && !missed);
    this.small.hidden = !figures;
    this.bind(known, label);
    const part = Math.min(sent / size || 0, 1);
    const landed = row.landed / size || 0;
    const percent = Math.floor(part * 100);
    write(this.side, done ? side : state === "uploading" && !missed ? `${percent}${NB}%` : "");
    this.retry.hidden = !row.canRetry;
    const ends = underWay ? `Cancel ${label}` : `Remove ${label} from the list`;
    set(this.end, { "aria-label": ends, title: ends });
    this.bar.hidden = !underWay || state === "queued";
    this.landed.style.setProperty("--landed", `${landed}`);
    this.sent.style.setProperty("--sent", `${part}`);
    const both = `${Math.floor(landed * 100)} percent in the kernel, ${percent} percent ${local ? "stored" : "at Claude"}`;
    set(this.bar, { "aria-valuenow": `${percent}`, "aria-valuetext": both });
  }

  /** Shows a done file's id as one would type it. @param {Known} known @param {string} label */
  bind({ id, variable, block, side }, label) {
    if (id && !this.bound) {
      const copies = `Copy the id of ${label}`;
      const copy = set(button("copy", "ib sm", icon("copy")), { "aria-label": copies, title: copies });
      const name = isolated([id.slice(0, -6), id.slice(-6)], "mono");
      this.bound = make("span", "bound", this.variable, this.equals, name, copy);
      if (block) this.bound.append(make("span", "nbf-chip", block));
      if (side) this.bound.append(make("span", "small nw", "reused"));
      this.line.append(this.bound);
    } else if (!id) {
      this.bound?.remove();
      this.bound = null;
    }
    write(this.variable, variable);
    this.variable.hidden = this.equals.hidden = !variable;
  }
}

/** One place on the page where a desk is shown. */
class View {
  /** @param {Desk} desk @param {HTMLElement} el */
  constructor(desk, el) {
    this.desk = desk;
    const hint = { id: `nbf-${desk.page}-${(count += 1)}` };
    set(this.rest, hint);
    set(this.hit, { "aria-keyshortcuts": "Shift+Enter", "aria-describedby": hint.id });
    set(this.folder, { tabindex: "-1", "aria-label": "Choose a folder" });
    for (const input of [this.files, this.folders]) {
      set(input, { type: "file", hidden: "" }).addEventListener("change", () => {
        desk.offer(chosen(input.files));
        input.value = ""; // or the same file could not be chosen again
      });
    }
    this.folders.webkitdirectory = true;
    set(this.list, { "aria-label": "Files" });
    set(this.polite, { role: "status", "aria-live": "polite" });
    set(this.urgent, { role: "alert", "aria-live": "assertive" });
    set(this.root, { role: "group", "aria-label": "Upload files to Claude", "data-lm-suppress-shortcuts": "true" });
    this.listen();
    el.append(this.root);
    this.sight.observe(this.root);
    desk.views.add(this);
    this.draw();
  }

  /** @type {Set<string>} */
  dirty = new Set();
  /** @type {Map<string, Item>} */
  items = new Map();
  /** @type {HTMLElement[]} names whose tails were not measured yet */
  raw = [];
  depth = 0; // of the elements that something is held over
  held = 0;
  hit = button("choose", "hit");
  rest = make("p", "sub rest");
  keys = make("p", "sub keys", "Enter for files, Shift+Enter for a folder, or paste.");
  folder = button("folder", "btn quiet folder", icon("folder"), make("span", "", "Folder"));
  target = make("div", "nbf-drop", icon("tray"), make("div", "txt", this.hit, this.rest, this.keys), this.folder);
  notices = make("div");
  list = make("ul", "nbf-rows");
  state = make("p");
  landed = make("span");
  sent = make("span");
  legend = make(
    "p", "keys",
    make("span", "nw", make("span", "nbf-key landed"), this.landed),
    make("span", "nw", make("span", "nbf-key sent"), this.sent),
  );
  note = make("p");
  clear = button("clear", "btn quiet");
  stop = button("stop", "btn", "Cancel all");
  sum = make(
    "div", "nbf-sum", make("div", "txt", this.state, this.legend, this.note), make("div", "acts", this.clear, this.stop),
  );
  files = make("input");
  folders = make("input");
  polite = make("div", "sr");
  urgent = make("div", "sr");
  zero = make("i", "ch");
  root = make(
    "div", "nbf nbf-up", make("div", "nbf-box", this.target, this.notices, this.list, this.sum),
    this.files, this.folders, this.polite, this.urgent, this.zero,
  );
  paint = throttle(() => this.draw(), 100);
  sight = new ResizeObserver(() => this.fit());
  blur = () => this.hover(0);

  close() {
    this.desk.views.delete(this);
    this.sight.disconnect();
    globalThis.removeEventListener("blur", this.blur);
    this.root.remove();
  }

  /** @param {string} [key] */
  touch(key) {
    if (key) this.dirty.add(key);
    this.paint();
  }

  /** @param {string} text @param {boolean} urgent */
  speak(text, urgent) {
    const region = urgent ? this.urgent : this.polite;
    region.textContent = text + (region.textContent === text ? NB : ""); // the same text would be no news
  }

  // -- what a person does

  listen() {
    const { root, desk } = this;
    root.addEventListener("click", ({ target }) => {
      const on = target instanceof Element && target.closest("[data-do]");
      if (on) this.act(on.getAttribute("data-do"), on.closest("li"));
    });
    root.addEventListener("keydown", (event) => {
      event.stopPropagation(); // no key is to reach the notebook
      if (event.target instanceof Element && this.key(event, event.target)) event.preventDefault();
    });
    root.addEventListener("paste", (event) => {
      event.stopPropagation();
      const choices = pasted(event.clipboardData, new Date());
      if (choices.length) event.preventDefault();
      desk.offer(choices);
    });
    root.addEventListener("dragenter", (event) => this.drag(event, 1));
    root.addEventListener("dragover", (event) => this.drag(event, 0));
    root.addEventListener("dragleave", (event) => this.drag(event, -1));
    root.addEventListener("drop", async (event) => {
      if (!this.drag(event, 0)) return;
      this.hover(0);
      desk.offer(await dropped(event.dataTransfer));
    });
    globalThis.addEventListener("blur", this.blur);
  }

  /** Takes part in a drag, if it brings files. @param {DragEvent} event @param {number} step */
  drag(event, step) {
    const data = event.dataTransfer;
    if (!data?.types.includes("Files")) return false;
    event.preventDefault();
    event.stopPropagation();
    data.dropEffect = "copy";
    this.held = data.items.length || this.held;
    if (step) this.hover(Math.max(this.depth + step, 0));
    return true;
  }

  /** @param {number} depth */
  hover(depth) {
    this.depth = depth;
    this.target.classList.toggle("over", depth > 0);
    this.greet();
  }

  /** @param {string | null} does @param {Element | null} line */
  act(does, line) {
    const { desk } = this;
    const rows = [...desk.rows.values()];
    const row = desk.rows.get(line?.getAttribute("data-key") ?? "");
    if (does === "choose") this.files.click();
    else if (does === "folder") this.folders.click();
    else if (does === "stop") desk.cancel(rows.filter((each) => each.underWay));
    else if (does === "clear") desk.remove(rows.filter((each) => !each.underWay && each.known.state !== "failed"));
    else if (!row) return;
    else if (does === "copy") this.copy(row);
    else if (does === "retry") row.tell("retry");
    else if (row.underWay) desk.cancel([row]);
    else desk.remove([row]);
    desk.step();
  }

  /** Does what a key stands for; returns whether it stands for anything. @param {KeyboardEvent} event @param {Element} on */
  key({ key, shiftKey, repeat }, on) {
    const line = on.closest("li");
    if (key === "Escape") this.hover(0);
    else if (key === "Enter" && shiftKey && on === this.hit) this.folders.click();
    else if (line && key === "Delete" && !repeat) this.act("end", line);
    else if (line && key in STEPS) {
      const lines = [...this.list.children];
      const to = Math.min(Math.max(lines.indexOf(line) + STEPS[key], 0), lines.length - 1);
      this.focus(lines[to], on.getAttribute("data-do"));
    } else return false;
    return true;
  }

  /** Moves the focus to an action of a line, else to the target. @param {Element | undefined} line @param {string | null} does */
  focus(line, does) {
    /** @type {HTMLElement | null | undefined} */
    const to = line?.querySelector(`[data-do="${does}"]:not([hidden])`) ?? line?.querySelector('[data-do="end"]');
    (to ?? this.hit).focus();
  }

  /** @param {Row} row */
  async copy({ known: { id }, label }) {
    try {
      await navigator.clipboard.writeText(id);
    } catch {
      // Pages without https have none of that kind.
      const { active } = this;
      const area = make("textarea", "sr", id);
      this.root.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      active?.focus();
    }
    this.desk.voice.say(() => `Copied the id of ${label}.`);
  }

  /** What has the focus in here. */
  get active() {
    const { activeElement } = /** @type {Document | ShadowRoot} */ (this.root.getRootNode());
    return activeElement instanceof HTMLElement && this.root.contains(activeElement) ? activeElement : null;
  }

  // -- what a person sees

  /** Brings the page up to date; the focus stays where it is, or goes to the next line if its own has gone. */
  draw() {
    const { desk, active, items } = this;
    const line = active?.closest("li");
    const lines = [...this.list.children];
    for (const [key, { element }] of items) {
      if (!desk.rows.has(key) && items.delete(key)) element.remove();
    }
    for (const [key, row] of desk.rows) {
      let item = items.get(key);
      if (!item) {
        items.set(key, (item = new Item(row)));
        this.list.append(item.element);
        this.raw.push(item.name);
        this.dirty.add(key);
      }
      if (this.dirty.has(key)) item.draw(row, desk.local);
    }
    this.dirty.clear();
    this.greet();
    this.sumUp();
    this.fit();
    if (!active || (active.isConnected && !active.closest("[hidden]"))) return;
    this.focus(line ? lines.slice(lines.indexOf(line)).find((each) => each.isConnected) : undefined, "end");
  }

  /** Says what the target is for, and what a person should know. */
  greet() {
    const { limits, local, rows, lost, slower } = this.desk;
    const [thin, over] = [rows.size > 0, this.depth > 0];
    this.target.classList.toggle("thin", thin);
    this.root.classList.toggle("empty", !thin);
    const empty = `Drop ${limits.multiple ? "files" : "a file"} here, paste, or click to choose`;
    const more = `${limits.multiple ? "Add more" : "Replace it"}: drop, paste, or click`;
    write(this.hit, over ? `Release to upload ${counted(this.held, "item")}` : thin ? more : empty);
    const way = local ? "are stored on this machine." : "pass through this kernel to Claude; the API key never leaves the kernel.";
    write(this.rest, limitsText(limits) + (over ? "" : `. Files ${way}`));
    this.files.accept = limits.accept;
    this.files.multiple = limits.multiple;
    const warning = lost ? "The kernel restarted. Choose the unfinished files again." : slower;
    const house = local ? "Nothing leaves this machine: the local Files API takes the files." : "";
    if (written.get(this.notices) === warning + house) return;
    written.set(this.notices, warning + house);
    const notices = Object.entries({ warning, house }).filter(([, said]) => said);
    this.notices.replaceChildren(
      ...notices.map(([shape, said]) => {
        return set(make("div", "nbf-notice", icon(shape, shape === "house" ? "" : "warn"), make("span", "", said)), { role: "note" });
      }),
    );
  }

  sumUp() {
    const { desk } = this;
    const { all, busy, done, failed, refused, cancelled, landed, sent, size, timed } = desk.tally();
    const kept = [...desk.rows.values()].reduce((total, row) => total + (row.done ? row.known.size : 0), 0);
    const took = timed && desk.elapsed ? ` in ${formatDuration(desk.elapsed / 1000)}` : "";
    const said = busy ? [`${done} of ${all} done`] : done ? [counted(done, "file"), formatSize(kept) + took] : [];
    for (const [state, number] of Object.entries({ failed, refused, cancelled })) if (number) said.push(`${number} ${state}`);
    write(this.state, said.join(DOT));
    write(this.landed, `in the kernel ${formatSize(landed)}`);
    write(this.sent, `${desk.local ? "stored" : "at Claude"} ${formatPart(sent, size)}`);
    write(this.note, desk.model.get("note") ?? "");
    write(this.clear, busy || failed ? "Clear finished" : "Clear");
    this.sum.hidden = !all;
    this.legend.hidden = this.stop.hidden = !busy;
    this.clear.hidden = all === busy + failed;
  }

  /** Measures the tails of new names, so that exactly the rest gives way. */
  fit() {
    const { width } = this.zero.getBoundingClientRect();
    if (!width) return; // not on the page yet; `sight` comes back
    const tails = this.raw.map((name) => name.lastElementChild?.getBoundingClientRect().width ?? 0);
    this.raw.forEach((name, at) => name.style.setProperty("--t", (tails[at] / width + 0.1).toFixed(2)));
    this.raw = [];
  }
}

// ---- what anywidget calls

let count = 0;
/** The two get different stand-ins for a model, so its desk goes by the widget's uid. @type {Map<string, Desk>} */
const DESKS = new Map();

/** @param {Model} model */
function deskOf(model) {
  const uid = model.get("uid");
  const desk = DESKS.get(uid) ?? new Desk(model);
  DESKS.set(uid, desk);
  return desk;
}

/** @param {{model: Model}} context */
function initialize({ model }) {
  const desk = deskOf(model);
  return () => {
    DESKS.delete(model.get("uid"));
    desk.close();
  };
}

/** @param {{model: Model, el: HTMLElement}} context */
function render({ model, el }) {
  const view = new View(deskOf(model), el);
  return () => view.close();
}

export default { initialize, render };
