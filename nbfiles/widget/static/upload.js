// The browser's half of nbfiles.UploadWidget: it takes files from a person, brings their bytes to the kernel and shows
// how far they are on both hops. Only the kernel holds the key and talks to the Files API.
//
// A `Desk` per widget keeps rows, files and connections; any number of `View`s draw it and come and go. What a person
// named is data: it becomes text nodes, titles and labels only.

/**
 * What the kernel knows of a file.
 * @typedef {{key: string, name: string, path: string, size: number, mime: string, state: string, landed: number,
 *   sent: number, ready: boolean, reason: string, side: string, id: string, block: string, variable: string}} Known
 * @typedef {{file: File, path: string}} Choice
 * @typedef {{accept: string, multiple: boolean, max_files: number | null, max_bytes: number}} Limits
 * @typedef {{get(name: string): any, on(name: string, does: Function): void, off(name: string, does: Function): void,
 *   send(content: any, callbacks?: any, buffers?: ArrayBuffer[]): any}} Model
 */

const NB = "\u00a0";
const DOT = `${NB}· `;
const PIECE = 8 * 2 ** 20; // 10 MiB vanish without a word, see Jupyter's websocket_max_message_size
const SMALL_PIECE = 2 ** 20;
const IN_THE_AIR = 2;
const PUTS = 3;
const OFFERED = 1000; // rows in one message
const PATIENCE = 1500; // ms until an answer is missed
const UNDER_WAY = new Set(["queued", "uploading", "retrying", "checking", "cancelling"]);
const DONE = new Set(["done", "reused"]);
const BUSY = "waiting for the kernel: a cell is running";
const RESTARTED = "The kernel restarted. Choose the unfinished files again.";
const SLOWER = ["Slower route: this Jupyter server ", ", so files go through the notebook connection."];

// ---- figures and names ----------------------------------------------------------------------------------------------

/** Writes bytes with 3 significant digits: `96 B`, `412 kB`, `24.1 MB`. @param {number} bytes */
export function formatSize(bytes) {
  if (bytes < 1000) return `${Math.round(bytes)}${NB}B`;
  let value = bytes / 1000;
  let unit = 0;
  for (; value >= 999.5 && unit < 3; unit++) value /= 1000;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)}${NB}${["kB", "MB", "GB", "TB"][unit]}`;
}

/** Writes `25.9 of 144 MB`, the unit once if it is the same. @param {number} part @param {number} whole */
export function formatPart(part, whole) {
  const [value, unit] = formatSize(part).split(NB);
  const all = formatSize(whole);
  return `${all.endsWith(NB + unit) ? value : `${value}${NB}${unit}`} of ${all}`;
}

/** Writes what is left, rounded up: `8 s left`, `4 min left`. @param {number} seconds */
export function formatLeft(seconds) {
  if (seconds <= 59) return `${Math.max(Math.ceil(seconds), 1)}${NB}s left`;
  if (seconds <= 59 * 60) return `${Math.ceil(seconds / 60)}${NB}min left`;
  return `${Math.ceil(seconds / 3600)}${NB}h left`;
}

/** Writes how long it took: `38 ms`, `3.4 s`, `3 min 20 s`, `2 h 5 min`. @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 0.0995) return `${Math.max(Math.round(seconds * 1000), 1)}${NB}ms`;
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 ? 1 : 0)}${NB}s`;
  const long = seconds >= 3599.5;
  const all = Math.round(long ? seconds / 60 : seconds);
  const rest = all % 60 ? ` ${all % 60}${NB}${long ? "min" : "s"}` : "";
  return `${Math.floor(all / 60)}${NB}${long ? "h" : "min"}${rest}`;
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

/**
 * Cuts a name into a head that may give way and a tail that stays: the ending and the 4 characters before it.
 * @param {string} name @returns {[string, string]}
 */
export function splitName(name) {
  const chars = [...name];
  const ending = /[^/]\.([^./]{0,9})$/u.exec(name);
  const keep = 4 + (ending ? [...ending[1]].length + 1 : 0);
  let cut = chars.length;
  for (let width = 0; cut && chars.length - cut < keep; cut--) {
    width += visible(chars[cut - 1]).length;
    if (width > 14) break;
  }
  while (cut && cut < chars.length && /\p{M}/u.test(chars[cut])) cut--; // an accent stays with its letter
  return [chars.slice(0, cut).join(""), chars.slice(cut).join("")];
}

/** Says what may be chosen: `PDF only, up to 500 MB each`. @param {Limits} limits */
export function limitsText({ accept, multiple, max_files, max_bytes }) {
  const kinds = accept.split(",").filter(Boolean).map((token) => {
    if (token.startsWith(".")) return token.slice(1).toUpperCase();
    return token.endsWith("/*") ? token.slice(0, -2) : token;
  });
  const said = [];
  if (kinds.length) said.push(`${kinds.join(", ")} only`);
  if (multiple && max_files) said.push(`up to ${counted(max_files, "file")}`);
  said.push(`up to ${formatSize(max_bytes)}${multiple ? " each" : ""}`);
  const text = said.join(", ");
  return text[0].toUpperCase() + text.slice(1);
}

/** Names the moment for a pasted file: `14.02.31`. @param {Date} when */
export function clock(when) {
  return [when.getHours(), when.getMinutes(), when.getSeconds()].map((n) => String(n).padStart(2, "0")).join(".");
}

// ---- what a person hands over ---------------------------------------------------------------------------------------

/** Lists the files of an `<input>`, with their paths if a folder was chosen. @param {FileList | null} files */
export function chosen(files) {
  return [...(files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || "" }));
}

/**
 * Lists the files of a paste; a text becomes one, where there is no other.
 * @param {DataTransfer | null} data @param {Date} when @returns {Choice[]}
 */
export function pasted(data, when) {
  const files = [...(data?.files ?? [])].map((file) => {
    // A screenshot has no name of its own: browsers call it image.png.
    const generic = /^image\.(\w+)$/.exec(file.name);
    return generic ? new File([file], `Pasted image ${clock(when)}.${generic[1]}`, { type: file.type }) : file;
  });
  const text = files.length ? "" : (data?.getData("text/plain") ?? "");
  if (text) files.push(new File([text], `Pasted text ${clock(when)}.txt`, { type: "text/plain" }));
  return files.map((file) => ({ file, path: "" }));
}

/**
 * Lists the files of a drop, those in folders too, with their paths.
 * @param {DataTransfer | null} data @returns {Promise<Choice[]>}
 */
export async function dropped(data) {
  // The items are gone after the first await, so entries and files are taken first.
  const items = [...(data?.items ?? [])].filter((item) => item.kind === "file");
  const taken = items.map((item) => ({ entry: item.webkitGetAsEntry?.() ?? null, file: item.getAsFile() }));
  /** @type {Choice[]} */
  const found = [];
  for (const { entry, file } of taken) {
    if (entry?.isDirectory) await walk(entry, found);
    else if (file) found.push({ file, path: "" });
  }
  return found;
}

/** @param {FileSystemEntry} entry @param {Choice[]} found */
async function walk(entry, found) {
  try {
    if (entry.isDirectory) {
      const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
      for (;;) {
        // It hands over a hundred at a time, and an empty list at the end.
        const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!entries.length) return;
        for (const each of entries) await walk(each, found);
      }
    }
    const file = await new Promise((...both) => /** @type {FileSystemFileEntry} */ (entry).file(...both));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
  } catch {
    // Gone or locked since it was dropped: as if it had not been there.
  }
}

/** Whether a file can still be read: it may have moved or changed since it was chosen. @param {File} file */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}

// ---- speed, pieces, pace --------------------------------------------------------------------------------------------

/** How fast bytes move: the mean of the last 3 seconds. */
export class Speed {
  constructor() {
    /** @type {{at: number, bytes: number}[]} */
    this.seen = [];
    this.hop = "";
  }

  /** @param {string} hop which one moves; another starts anew @param {number} bytes @param {number} now */
  note(hop, bytes, now) {
    const last = this.seen.at(-1);
    if (hop !== this.hop || (last && bytes < last.bytes)) this.seen = [];
    this.hop = hop;
    this.seen.push({ at: now, bytes });
    while (this.seen.length > 2 && this.seen[1].at <= now - 3000) this.seen.shift();
  }

  /** Bytes per second; 0 as long as it cannot be told. */
  get rate() {
    const [first, last] = [this.seen[0], this.seen.at(-1)];
    return first && last && last.at - first.at >= 500 ? ((last.bytes - first.bytes) * 1000) / (last.at - first.at) : 0;
  }

  /** Whether there is enough to say what is left. */
  get sure() {
    return this.seen.length > 0 && (this.seen.at(-1)?.at ?? 0) - this.seen[0].at >= 2000;
  }
}

/** What is in the air on the comm lane, and what goes next. The kernel acknowledges by offset. */
export class Flight {
  /** @param {number} size @param {number} from @param {number} piece @param {number} now */
  constructor(size, from, piece, now) {
    this.size = size;
    this.piece = piece;
    this.received = from;
    this.next = from;
    this.round = 0; // a new one begins when pieces were lost
    this.heard = now;
    this.asked = 0;
    this.stuck = 0;
    /** @type {number[]} */
    this.ends = [];
  }

  /** Takes the next piece, if there is one to send now. @param {number} now @returns {[number, number] | null} */
  take(now) {
    if (this.ends.length >= IN_THE_AIR || this.next >= this.size) return null;
    if (!this.ends.length) this.heard = now;
    const start = this.next;
    this.next = Math.min(start + this.piece, this.size);
    this.ends.push(this.next);
    return [start, this.next];
  }

  /** Hears how far the kernel is; returns whether pieces turned out to be lost. @param {number} received @param {number} now */
  hear(received, now) {
    if (received > this.received) {
      this.received = received;
      this.next = Math.max(this.next, received);
      this.ends = this.ends.filter((end) => end > received);
      this.heard = now;
      this.asked = this.stuck = 0;
    } else if (this.asked && this.ends.length) {
      // The same answer again, a second later: nothing is on its way any more.
      if (!this.stuck) this.stuck = now;
      else if (now - this.stuck >= 1000) {
        this.piece = SMALL_PIECE;
        this.next = this.received;
        this.ends = [];
        this.round++;
        this.asked = this.stuck = 0;
        return true;
      }
    }
    return false;
  }

  /** Whether to ask the kernel how far it is; asking is then taken as done. @param {number} now */
  wantsWord(now) {
    if (!this.ends.length || now - this.heard < 4000 || now - this.asked < 2000) return false;
    this.asked = now;
    return true;
  }
}

/**
 * Returns a function that does `work` soon, at most once in `wait` ms.
 * @param {() => void} work @param {number} wait @param {(does: () => void) => void} [frame]
 */
export function throttle(work, wait, frame = (does) => requestAnimationFrame(does)) {
  let last = -Infinity;
  let due = false;
  const run = () => {
    due = false;
    last = Date.now();
    work();
  };
  return () => {
    if (!due) setTimeout(() => frame(run), Math.max(0, last + wait - Date.now()));
    due = true;
  };
}

/** What a screen reader says by the way: one text each 5 s at most, and the newest only. */
export class Voice {
  /** @param {(text: string) => void} write */
  constructor(write) {
    this.write = write;
    this.last = -Infinity;
    /** @type {(() => string) | null} */
    this.next = null;
  }

  /** @param {() => string} text asked for when it is said, so that it is true then */
  say(text) {
    const waits = this.next !== null;
    this.next = text;
    if (waits) return;
    setTimeout(() => {
      const said = this.next?.();
      this.next = null;
      this.last = Date.now();
      if (said) this.write(said);
    }, Math.max(200, this.last + 5000 - Date.now()));
  }
}

// ---- the way over the Jupyter server --------------------------------------------------------------------------------

/** Returns the page's own settings, if a Jupyter server made it. @returns {{baseUrl: string, token?: string} | null} */
function jupyter() {
  try {
    const config = JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "");
    return typeof config.baseUrl === "string" ? config : null;
  } catch {
    return null;
  }
}

/**
 * PUTs bytes where the kernel waits for them.
 * @param {string} landing @param {Blob} body @param {(bytes: number) => void} moved @param {number} [timeout] in ms
 * @returns {{abort: () => void, answer: Promise<{status: number, said: string}>}}
 */
function put(landing, body, moved, timeout = 0) {
  const { baseUrl = "/", token = "" } = jupyter() ?? {};
  const xhr = new XMLHttpRequest();
  xhr.open("PUT", `${baseUrl.replace(/\/*$/, "/")}nbfiles/landing/${encodeURIComponent(landing)}`);
  const xsrf = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie);
  if (xsrf) xhr.setRequestHeader("X-XSRFToken", xsrf[1]);
  if (token) xhr.setRequestHeader("Authorization", `token ${token}`);
  xhr.timeout = timeout;
  xhr.upload.onprogress = (event) => moved(event.loaded);
  const answer = new Promise((resolve) => {
    xhr.onloadend = () => resolve({ status: xhr.status, said: xhr.status ? xhr.responseText.slice(0, 200) : "" });
  });
  xhr.send(body);
  return { abort: () => xhr.abort(), answer };
}

// ---- the desk -------------------------------------------------------------------------------------------------------

/** A file on the list: what the kernel knows of it, and what only this page does. */
export class Row {
  /** @param {Known} known @param {File | null} file */
  constructor(known, file) {
    this.known = known;
    this.file = file;
    /** @type {"idle" | "begun" | "granted" | "sending" | "sent"} the first hop, as seen from here */
    this.phase = "idle";
    this.lane = "";
    this.landing = "";
    this.from = 0;
    this.up = 0; // bytes that have left the browser
    this.accepted = !file;
    this.held = false; // its end was asked for: nothing new is begun
    this.asked = 0; // since when the kernel owes an answer
    this.missed = false;
    this.timed = false;
    this.speed = new Speed();
    /** @type {(() => void) | null} */
    this.abort = null;
    /** @type {Flight | null} */
    this.flight = null;
    this.reading = false;
  }

  get label() {
    return visible(this.known.path || this.known.name);
  }

  get underWay() {
    return UNDER_WAY.has(this.known.state);
  }

  get landed() {
    return Math.min(this.known.size, Math.max(this.known.landed, this.known.sent, this.up));
  }

  /** Notes how far it is. @param {number} now */
  measure(now) {
    if (this.known.sent) this.speed.note("sent", this.known.sent, now);
    else this.speed.note("landed", this.landed, now);
  }

  /** Lets go of its way to the kernel. */
  drop() {
    this.phase = "idle";
    this.landing = "";
    this.flight = null;
    this.abort?.();
    this.abort = null;
  }
}

/** The files of one widget on this page, whatever views there are. */
export class Desk {
  /** @param {Model} model */
  constructor(model) {
    this.page = [...crypto.getRandomValues(new Uint8Array(8))].map((n) => n.toString(16).padStart(2, "0")).join("");
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {Set<{touch(key?: string): void, speak(text: string, urgent: boolean): void}>} */
    this.views = new Set();
    this.model = model;
    this.lane = "";
    this.slower = "";
    this.lost = false;
    this.count = 0;
    this.piece = PIECE;
    this.elapsed = 0;
    this.since = 0;
    this.gone = new Set();
    /** @type {Row[]} */
    this.bad = [];
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.ticking = undefined;
    this.voice = new Voice((text) => this.speak(text, false));
    for (const known of model.get("rows") ?? []) this.take(known);
    this.hear = (/** @type {any} */ message, /** @type {DataView[]} */ _buffers) => this.receive(message);
    this.parted = () => this.loseKernel();
    this.redraw = () => this.touch();
    this.leave = () => this.send({ kind: "leave", page: this.page });
    this.listens = /** @type {[string, () => void][]} */ ([
      ["msg:custom", this.hear], ["comm_live_update", this.parted], ["comm:close", this.parted],
      ["change:limits", this.redraw], ["change:local", this.redraw], ["change:note", this.redraw],
    ]);
    for (const [name, does] of this.listens) model.on(name, does);
    globalThis.addEventListener?.("pagehide", this.leave);
    this.send({ kind: "hello", page: this.page });
  }

  /** Ends all that is under way here. */
  close() {
    globalThis.removeEventListener?.("pagehide", this.leave);
    for (const [name, does] of this.listens) this.model.off(name, does);
    for (const row of this.rows.values()) row.drop();
    clearInterval(this.ticking);
    this.leave();
  }

  /** @returns {Limits} */
  get limits() {
    return this.model.get("limits") ?? { accept: "", multiple: true, max_files: null, max_bytes: 5e8 };
  }

  get local() {
    return Boolean(this.model.get("local"));
  }

  /** What stands under the target. @returns {[string, string][]} icon and text */
  get notices() {
    /** @type {[string, string][]} */
    const all = [];
    if (this.lost) all.push(["warning", RESTARTED]);
    else if (this.slower) all.push(["warning", this.slower]);
    if (this.local) all.push(["house", "Nothing leaves this machine: the local Files API takes the files."]);
    return all;
  }

  /** Whether *Retry* can help. @param {Row} row */
  canRetry({ known, file }) {
    return !this.lost && (known.state === "failed" || known.state === "cancelled") && (known.ready || file !== null);
  }

  // -- what a person asks

  /** @param {Choice[]} choices */
  offer(choices) {
    const rows = (this.limits.multiple ? choices : choices.slice(0, 1)).map(({ file, path }) => {
      const key = `${this.page}-${++this.count}`;
      const { name, size } = file;
      const known = { mime: "", landed: 0, sent: 0, ready: false, reason: "", side: "", id: "", block: "", variable: "" };
      const row = new Row({ key, name, path, size, state: "queued", ...known }, file);
      this.rows.set(key, row);
      return row;
    });
    if (!rows.length) return;
    this.voice.say(() => `${counted(rows.length, "file")} added.`);
    if (this.lost) rows.forEach((row) => this.fail(row, "The kernel restarted. Run the cell again, then choose the file."));
    else rows.forEach((row) => this.ask(row));
    for (let at = 0; at < rows.length; at += OFFERED) {
      const offered = rows.slice(at, at + OFFERED).map(({ known: { key, name, path, size } }) => ({ key, name, path, size }));
      this.send({ kind: "offer", rows: offered });
    }
    this.touch();
  }

  /** @param {Row[]} rows */
  cancel(rows) {
    for (const row of rows) {
      row.held = true;
      this.ask(row);
    }
    this.send({ kind: "cancel", keys: rows.map((row) => row.known.key) });
  }

  /** @param {Row} row */
  retry(row) {
    row.drop();
    this.ask(row);
    this.send({ kind: "retry", key: row.known.key });
  }

  /** Takes rows off the list at once; the kernel is told. @param {Row[]} rows */
  remove(rows) {
    const keys = rows.map((row) => row.known.key);
    for (const key of keys) {
      this.gone.add(key);
      this.rows.delete(key);
    }
    this.send({ kind: "remove", keys });
    this.touch();
  }

  // -- what the kernel says

  /** @param {any} message */
  receive(message) {
    const row = this.rows.get(message?.key);
    if (row) row.asked = 0;
    switch (message?.kind) {
      case "welcome":
        if (message.page === this.page) this.settle(message);
        break;
      case "rows":
        for (const key of message.removed ?? []) this.forget(key);
        for (const known of message.rows ?? []) this.take(known);
        if (message.order) this.sort(message.order);
        break;
      case "go":
        if (row?.phase !== "begun") break;
        row.phase = row.lane === this.lane ? "granted" : "idle"; // the lane may have changed meanwhile
        row.landing = message.landing;
        row.from = message.offset;
        break;
      case "ack":
        if (row?.flight && row.landing === message.landing) this.acknowledged(row, row.flight, message.received);
        break;
      case "stop":
        row?.drop();
        if (row) row.held = true;
        break;
      default:
        return;
    }
    this.touch(message.key);
    this.pump();
  }

  /** Takes the kernel's list for the truth, and finds the lane. @param {{probe: string | null, rows: Known[]}} welcome */
  async settle({ probe, rows }) {
    this.lost = false;
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, row] of this.rows) if (row.accepted && !keys.has(key)) this.forget(key);
    rows.forEach((known) => this.take(known));
    this.touch();
    if (this.lane) return;
    if (!probe || !jupyter()) this.lane = "comm";
    else {
      const { status, said } = await put(probe, new Blob(["0"]), () => {}, 5000).answer;
      if (status === 200) this.lane = "http";
      else this.fallBack(status, said);
    }
    this.touch();
    this.pump();
  }

  /** From now on files go over the comm. @param {number} status @param {string} said */
  fallBack(status, said) {
    const apart = status === 404 && said.includes("no such ticket");
    this.slower = SLOWER.join(apart ? "and the kernel share no disk" : "has no nbfiles extension");
    this.lane = "comm";
    this.touch();
  }

  /** Takes note of what the kernel knows of a row. @param {Known} known */
  take(known) {
    if (this.gone.has(known.key)) return;
    const row = this.rows.get(known.key) ?? new Row(known, null);
    const before = this.rows.has(known.key) ? row.known.state : "";
    this.rows.set(known.key, row);
    row.known = known;
    row.accepted = true;
    row.asked = 0;
    if (known.ready && row.phase !== "sending") row.phase = "sent";
    if (row.underWay) {
      row.measure(Date.now());
      row.timed = true;
      if (!UNDER_WAY.has(before)) row.held = false;
    } else {
      row.drop();
      row.up = 0;
      row.speed = new Speed();
      if (DONE.has(known.state) || known.state === "refused") row.file = null;
    }
    this.watch();
    this.touch(known.key);
    if (before && before !== known.state) this.announce(row);
  }

  /** @param {string} key */
  forget(key) {
    this.rows.get(key)?.drop();
    this.rows.delete(key);
    this.touch();
  }

  /** @param {string[]} order */
  sort(order) {
    const at = new Map(order.map((key, index) => [key, index]));
    const rank = (/** @type {string} */ key) => at.get(key) ?? order.length;
    this.rows = new Map([...this.rows].sort(([a], [b]) => rank(a) - rank(b)));
  }

  /** The kernel is gone, and with it whatever was under way. */
  loseKernel() {
    if (!this.lost) {
      this.lost = true;
      for (const row of this.rows.values()) if (row.underWay) this.fail(row, "The kernel restarted. Choose the file again.");
      this.touch();
    }
    this.send({ kind: "hello", page: this.page }); // if it is there after all, it answers
  }

  /** Ends a row without the kernel. @param {Row} row @param {string} reason */
  fail(row, reason) {
    this.take({ ...row.known, state: "failed", ready: false, reason });
  }

  // -- the first hop

  /** Begins with whatever may begin now. */
  pump() {
    if (!this.lane || this.lost) return;
    const slots = this.lane === "http" ? PUTS : 1;
    const rows = [...this.rows.values()];
    let sending = rows.filter(({ phase }) => phase === "sending").length;
    for (const row of rows) {
      if (row.phase === "granted" && sending < slots) {
        sending++;
        this.start(row);
      }
    }
    let begun = rows.filter(({ phase }) => phase === "begun" || phase === "granted").length + sending;
    for (const row of rows) {
      if (begun > slots) return; // one row ahead, so that no slot waits for an answer
      if (row.phase !== "idle" || !row.file || !row.accepted || row.held || row.known.state !== "queued") continue;
      begun++;
      row.phase = "begun";
      row.lane = this.lane;
      row.up = 0;
      this.ask(row);
      this.send({ kind: "begin", key: row.known.key, lane: row.lane });
    }
  }

  /** @param {Row} row */
  start(row) {
    row.phase = "sending";
    if (row.lane === "http") this.put(row);
    else {
      row.flight = new Flight(row.known.size, row.from, this.piece, Date.now());
      row.up = row.from;
      this.feed(row, row.flight);
    }
  }

  /** @param {Row} row */
  async put(row) {
    const { landing, file } = row;
    if (!file) return;
    let moved = false;
    const request = put(landing, file, (bytes) => {
      moved = true;
      row.up = bytes;
      row.measure(Date.now());
      this.touch(row.known.key);
    });
    row.abort = request.abort;
    const { status, said } = await request.answer;
    if (row.landing !== landing || row.phase !== "sending") return; // let go of meanwhile
    row.abort = null;
    if (status === 200) {
      row.up = row.known.size;
      row.phase = "sent";
    } else if (status === 0 && !(await readable(file))) this.broke(row, -1, "unreadable");
    else if (status === 404 || status === 405 || (status === 0 && !moved)) {
      if (this.lane === "http") this.fallBack(status, said);
      row.drop();
    } else this.broke(row, status, said);
    this.touch(row.known.key);
    this.pump();
  }

  /** Sends pieces as long as there is room in the air. @param {Row} row @param {Flight} flight */
  async feed(row, flight) {
    if (row.reading) return;
    row.reading = true;
    try {
      for (let span; row.flight === flight && row.file && (span = flight.take(Date.now())); ) {
        const { round } = flight;
        const bytes = await row.file.slice(...span).arrayBuffer();
        if (row.flight !== flight || flight.round !== round) continue;
        this.send({ kind: "piece", key: row.known.key, landing: row.landing, offset: span[0] }, [bytes]);
      }
    } catch {
      if (row.flight === flight) this.broke(row, -1, "unreadable");
    } finally {
      row.reading = false;
    }
    if (row.flight && row.flight !== flight) this.feed(row, row.flight); // begun again while this one was read
  }

  /** @param {Row} row @param {Flight} flight @param {number} received */
  acknowledged(row, flight, received) {
    if (flight.hear(received, Date.now())) this.piece = SMALL_PIECE;
    row.up = flight.received;
    row.measure(Date.now());
    if (flight.received < flight.size) this.feed(row, flight);
    else {
      row.flight = null;
      row.phase = "sent";
    }
  }

  /** @param {Row} row @param {number} status @param {string} said */
  broke(row, status, said) {
    this.ask(row);
    row.phase = "sent"; // nothing more of it will come; the kernel says what that means
    row.flight = null;
    this.send({ kind: "broke", key: row.known.key, landing: row.landing, status, said });
  }

  // -- odds and ends

  /** @param {any} message @param {ArrayBuffer[]} [buffers] */
  send(message, buffers = []) {
    if (this.lost && message.kind !== "hello") return;
    try {
      this.model.send(message, undefined, buffers);
    } catch {
      if (!this.lost) this.loseKernel();
    }
  }

  /** The kernel now owes an answer about `row`. @param {Row} row */
  ask(row) {
    row.asked ||= Date.now();
    this.watch();
  }

  /** Sees that time is looked at while something is under way. */
  watch() {
    this.ticking ??= setInterval(() => this.tick(), 250);
    if (this.since === 0 && this.busy) this.since = Date.now();
  }

  get busy() {
    for (const row of this.rows.values()) if (row.underWay) return true;
    return false;
  }

  tick() {
    const now = Date.now();
    for (const row of this.rows.values()) {
      if (row.flight?.wantsWord(now)) {
        this.ask(row);
        this.send({ kind: "where", key: row.known.key, landing: row.landing });
      }
      const missed = row.asked > 0 && now - row.asked >= PATIENCE;
      if (missed && row.held) row.drop(); // no answer, but at least no more bytes
      if (missed !== row.missed || row.known.state === "uploading") {
        row.missed = missed;
        row.measure(now);
        this.touch(row.known.key);
      }
    }
    if (!this.busy && ![...this.rows.values()].some((row) => row.asked)) {
      clearInterval(this.ticking);
      this.ticking = undefined;
    }
  }

  /** Says how a row ended. @param {Row} row */
  announce(row) {
    if (!this.busy && this.since) {
      this.elapsed += Date.now() - this.since;
      this.since = 0;
    }
    const { state } = row.known;
    if (state === "cancelled") this.voice.say(() => `Cancelled ${row.label}.`);
    else if (DONE.has(state)) this.voice.say(() => this.progress());
    else if (state === "failed" || state === "refused") {
      if (this.bad.push(row) === 1) setTimeout(() => this.alarm());
    }
  }

  /** Says at once what went wrong. */
  alarm() {
    const [row] = this.bad;
    const count = this.bad.length;
    const failed = this.bad.filter(({ known }) => known.state === "failed").length;
    this.bad = [];
    const retry = this.canRetry(row) ? " Retry is available." : "";
    if (count > 1) {
      const parts = [failed && `${counted(failed, "file")} failed.`, failed < count && `${counted(count - failed, "file")} not sent.`];
      this.speak(parts.filter(Boolean).join(" ") + retry, true);
    } else if (failed) {
      const [cause] = row.known.reason.replace(/ \(\d+\)| after \d+ tries/g, "").split(/\.(?: |$)/);
      this.speak(`${row.label} failed: ${visible(cause)}.${retry}`, true);
    } else {
      const over = row.known.size > this.limits.max_bytes && `over ${formatSize(this.limits.max_bytes)}.`;
      this.speak(`${row.label} was not sent: ${over || visible(row.known.reason.replace(/^Not sent: /, ""))}`, true);
    }
  }

  /** Counts the rows by how they stand. */
  tally() {
    const tally = { all: 0, busy: 0, done: 0, failed: 0, refused: 0, cancelled: 0, landed: 0, sent: 0, size: 0, kept: 0, timed: true };
    for (const row of this.rows.values()) {
      const { state, size, sent } = row.known;
      tally.all++;
      if (DONE.has(state)) {
        tally.done++;
        tally.kept += size;
        tally.timed &&= row.timed;
      } else if (state === "failed" || state === "refused" || state === "cancelled") tally[state]++;
      else tally.busy++;
      if (state === "refused" || state === "cancelled") continue;
      tally.size += size;
      tally.landed += DONE.has(state) || row.known.ready ? size : row.landed;
      tally.sent += DONE.has(state) ? size : Math.min(sent, size);
    }
    return tally;
  }

  /** How far it is, in words. */
  progress() {
    const { all, done, failed, refused } = this.tally();
    const first = [...this.rows.values()].find(({ known }) => DONE.has(known.state))?.known.variable ?? "";
    const name = /^[^[.]+/.exec(first)?.[0];
    const bound = name && !first.includes(".") ? `, bound to ${name}` : "";
    if (done === all) return `${all === 1 ? "1 file" : `All ${counted(all, "file")}`} done${bound}.`;
    return `${done} of ${counted(all, "file")} done${failed ? `, ${failed} failed` : ""}${refused ? `, ${refused} refused` : ""}.`;
  }

  /** @param {string} text @param {boolean} urgent */
  speak(text, urgent) {
    const [first] = this.views; // two views of one widget would say it twice
    first?.speak(text, urgent);
  }

  /** Has `key`, or only what stands around the rows, drawn anew. @param {string} [key] */
  touch(key) {
    for (const view of this.views) view.touch(key);
  }
}

// ---- how it is drawn ------------------------------------------------------------------------------------------------

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
/** Icon and tone of each state. @type {Record<string, [string, string]>} */
const STATES = {
  uploading: ["arrow", "accent"], done: ["check", "ok"], reused: ["equals", "dim"], failed: ["alert", "bad"],
  refused: ["slash", "warn"], cancelled: ["slash", "dim"],
};
/** @type {Record<string, number>} */
const STEPS = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag @param {Record<string, string>} [attributes] @param {...(Node | string)} children
 */
function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/** @param {string} shape @param {string} [tone] */
function icon(shape, tone = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [name, value] of [["class", `i ${tone}`], ["viewBox", "0 0 16 16"], ["aria-hidden", "true"]]) {
    svg.setAttribute(name, value);
  }
  path.setAttribute("d", ICONS[shape]);
  svg.append(path);
  return svg;
}

/** @param {string} does @param {string} cls @param {...(Node | string)} children */
function button(does, cls, ...children) {
  return make("button", { type: "button", class: cls, "data-do": does }, ...children);
}

/** Writes text as nodes, with a border around each mark. @param {string} text */
function marked(text) {
  const parts = visible(text).split(/(<U\+[0-9A-F]{4,6}>)/);
  return parts.map((part, at) => (at % 2 ? make("span", { class: "nbf-cc" }, part) : part));
}

/** Isolates a name, whose head gives way. @param {string} text @param {[string, string]} parts @param {string} cls */
function isolated(text, [head, tail], cls) {
  const style = `--t:${visible(tail).length}`;
  const spans = [make("span", { class: "h" }, ...marked(head)), make("span", { class: "t" }, ...marked(tail))];
  return make("bdi", { class: `nbf-name ${cls}`, title: visible(text), style }, ...spans);
}

/** @type {WeakMap<Element, string>} */
const written = new WeakMap();

/** Writes `text` into `node`, unless it is there. @param {Element} node @param {string} text */
function write(node, text) {
  if (written.get(node) !== text) node.replaceChildren(...marked(text));
  written.set(node, text);
}

/** Puts an icon first in `node`, unless it is there. @param {Element} node @param {string} shape @param {string} tone */
function mark(node, shape, tone) {
  if (written.get(node) === shape + tone) return;
  written.set(node, shape + tone);
  if (node.firstChild?.nodeName === "svg") node.firstChild.remove();
  node.prepend(icon(shape, tone));
}

/** @param {Element} node @param {string} text */
function label(node, text) {
  node.setAttribute("aria-label", text);
  node.setAttribute("title", text);
}

/** A file's line in one view. */
class Item {
  /** @param {Row} row */
  constructor({ known, label: name }) {
    const size = formatSize(known.size);
    this.name = isolated(known.path || known.name, splitName(known.path || known.name), "");
    this.small = make("span", { class: "small" }, size + DOT);
    this.said = make("span");
    this.line = make("div", { class: "c2b l2" }, this.small, this.said);
    this.side = make("span", { class: "side" });
    this.retry = button("retry", "btn quiet retry", "Retry");
    this.retry.setAttribute("aria-label", `Retry ${name}`);
    this.end = button("end", "ib", icon("cross"));
    this.landed = make("i", { class: "landed" });
    this.sent = make("i", { class: "sent" });
    const bar = { class: "nbf-bar", role: "progressbar", "aria-label": name, "aria-valuemin": "0", "aria-valuemax": "100" };
    this.bar = make("div", bar, this.landed, this.sent);
    /** @type {{variable: Element, equals: Element, all: Element} | null} */
    this.bound = null;
    this.element = make(
      "li", { class: "nbf-row", "data-key": known.key }, this.name,
      make("span", { class: "size", title: counted(known.size, "byte") }, size),
      this.line, this.side, make("div", { class: "acts" }, this.retry, this.end), this.bar,
    );
  }

  /** @param {Row} row @param {Desk} desk */
  draw(row, desk) {
    const { known, label: name, missed } = row;
    const { state, size, sent, mime } = known;
    const moving = row.underWay && state !== "queued";
    const plain = missed || state === "queued" || state === "uploading";
    const done = DONE.has(state);
    mark(this.element, ...(missed ? ["clock", "dim"] : STATES[state] ?? ["clock", "dim"]));
    const part = Math.min(sent / size || 0, 1);
    const landed = Math.min(row.landed / size || 0, 1);
    const percent = Math.floor(part * 100);
    if (plain) {
      const said = [mime, missed ? BUSY : state === "queued" ? "queued" : ""];
      const { rate, sure, seen, hop } = row.speed;
      if (!missed && moving && rate >= 1 && sent < size) {
        said.push(`${formatSize(rate)}/s`, sure ? formatLeft((size - (seen.at(-1)?.bytes ?? 0)) / rate) : "");
        if (hop !== "sent") said[2] = said[2] && said[2];
      }
      write(this.said, said.filter(Boolean).join(DOT));
    } else write(this.said, done ? "" : known.reason);
    this.line.classList.toggle("bad", state === "failed" && !missed);
    this.small.hidden = !plain;
    this.bind(known, name);
    write(this.side, state === "uploading" && !missed ? `${percent}${NB}%` : done ? known.side : "");
    this.retry.hidden = !desk.canRetry(row);
    label(this.end, row.underWay ? `Cancel ${name}` : `Remove ${name} from the list`);
    this.bar.hidden = !moving;
    this.landed.style.setProperty("--landed", String(Math.max(landed, part)));
    this.sent.style.setProperty("--sent", String(part));
    this.bar.setAttribute("aria-valuenow", String(percent));
    const there = desk.local ? "stored" : "at Claude";
    this.bar.setAttribute("aria-valuetext", `${Math.floor(landed * 100)} percent in the kernel, ${percent} percent ${there}`);
  }

  /** Shows the id that a done row has, as one would type it. @param {Known} known @param {string} name */
  bind({ id, variable, block, side }, name) {
    if (!id) {
      this.bound?.all.remove();
      this.bound = null;
      return;
    }
    if (!this.bound) {
      const variable = make("code", { class: "var nbf-code" });
      const equals = make("span", { class: "dim" }, "=");
      const copy = button("copy", "ib sm", icon("copy"));
      label(copy, `Copy the id of ${name}`);
      const all = make("span", { class: "bound" }, variable, equals, isolated(id, [id.slice(0, -6), id.slice(-6)], "mono"), copy);
      if (block) all.append(make("span", { class: "nbf-chip" }, block));
      if (side) all.append(make("span", { class: "small nw" }, "reused"));
      this.line.append(all);
      this.bound = { variable, equals, all };
    }
    write(this.bound.variable, variable);
    this.bound.variable.toggleAttribute("hidden", !variable);
    this.bound.equals.toggleAttribute("hidden", !variable);
  }
}

/** One place on the page where a desk is shown. */
class View {
  /** @param {Desk} desk @param {HTMLElement} el */
  constructor(desk, el) {
    this.desk = desk;
    /** @type {Set<string>} */
    this.dirty = new Set(desk.rows.keys());
    /** @type {Map<string, Item>} */
    this.items = new Map();
    /** @type {HTMLElement[]} names whose tails were not measured yet */
    this.raw = [];
    this.depth = 0;
    const hint = `nbf-${desk.page}-${views++}`;
    this.hit = button("choose", "hit");
    this.hit.setAttribute("aria-keyshortcuts", "Shift+Enter");
    this.hit.setAttribute("aria-describedby", hint);
    this.rest = make("p", { class: "sub rest", id: hint });
    const keys = make("p", { class: "sub keys", "aria-hidden": "true" }, "Enter for files, Shift+Enter for a folder, or paste.");
    const folder = button("folder", "btn quiet folder", icon("folder"), make("span", {}, "Folder"));
    folder.tabIndex = -1;
    folder.setAttribute("aria-label", "Choose a folder");
    this.target = make("div", { class: "nbf-drop" }, icon("tray"), make("div", { class: "txt" }, this.hit, this.rest, keys), folder);
    this.notices = make("div");
    this.list = make("ul", { class: "nbf-rows", "aria-label": "Files" });
    this.state = make("p");
    this.landed = make("span");
    this.sent = make("span");
    this.legend = make(
      "p", { class: "keys" },
      make("span", { class: "nw" }, make("span", { class: "nbf-key landed" }), this.landed),
      make("span", { class: "nw" }, make("span", { class: "nbf-key sent" }), this.sent),
    );
    this.note = make("p");
    this.clear = button("clear", "btn quiet");
    this.stop = button("stop", "btn", "Cancel all");
    this.sum = make(
      "div", { class: "nbf-sum" }, make("div", { class: "txt" }, this.state, this.legend, this.note),
      make("div", { class: "acts" }, this.clear, this.stop),
    );
    this.files = make("input", { type: "file", hidden: "" });
    this.folders = make("input", { type: "file", hidden: "", webkitdirectory: "" });
    this.polite = make("div", { class: "sr", role: "status", "aria-live": "polite" });
    this.urgent = make("div", { class: "sr", role: "alert", "aria-live": "assertive" });
    this.probe = make("i", { class: "ch", "aria-hidden": "true" });
    this.root = make(
      "div",
      { class: "nbf nbf-up", role: "group", "aria-label": "Upload files to Claude", "data-lm-suppress-shortcuts": "true" },
      make("div", { class: "nbf-box" }, this.target, this.notices, this.list, this.sum),
      this.files, this.folders, this.polite, this.urgent, this.probe,
    );
    this.paint = throttle(() => this.draw(), 100);
    this.blur = () => this.hover(0);
    this.resized = new ResizeObserver(() => this.fit());
    this.listen();
    el.append(this.root);
    this.resized.observe(this.root);
    desk.views.add(this);
    this.draw();
  }

  close() {
    this.desk.views.delete(this);
    this.resized.disconnect();
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
    region.textContent = region.textContent === text ? text + NB : text; // the same again is news only if it differs
  }

  // -- what a person does

  listen() {
    const { root, desk } = this;
    for (const input of [this.files, this.folders]) {
      input.addEventListener("change", () => {
        desk.offer(chosen(input.files));
        input.value = ""; // or the same file could not be chosen again
      });
    }
    root.addEventListener("click", (event) => {
      const on = /** @type {Element} */ (event.target).closest("[data-do]");
      if (on) this.act(on.getAttribute("data-do") ?? "", on.closest("li"));
    });
    root.addEventListener("keydown", (event) => {
      event.stopPropagation(); // no key is to reach the notebook
      this.key(event);
    });
    root.addEventListener("paste", (event) => {
      if (/** @type {Element} */ (event.target).closest("input, textarea")) return;
      event.stopPropagation();
      const choices = pasted(event.clipboardData, new Date());
      if (!choices.length) return;
      event.preventDefault();
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
    if (!event.dataTransfer?.types.includes("Files")) return false;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
    if (step) this.hover(Math.max(this.depth + step, 0), event.dataTransfer.items.length);
    return true;
  }

  /** Shows that files are held over the widget; `depth` elements of it were entered. @param {number} depth @param {number} [count] */
  hover(depth, count = 0) {
    const before = this.depth;
    this.depth = depth;
    if (!depth === !before) return;
    this.target.classList.toggle("over", depth > 0);
    this.held = count;
    this.greet();
  }

  /** @param {string} does @param {Element | null} line */
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
    else if (does === "retry") desk.retry(row);
    else if (row.underWay) desk.cancel([row]);
    else desk.remove([row]);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const on = /** @type {Element} */ (event.target);
    const line = on.closest("li");
    if (event.key === "Escape") this.hover(0);
    else if (event.key === "Enter" && event.shiftKey && on === this.hit) this.folders.click();
    else if (line && event.key === "Delete" && !event.repeat) this.act("end", line);
    else if (line && event.key in STEPS) {
      const lines = [...this.list.children];
      const to = lines.indexOf(line) + STEPS[event.key];
      this.focus(lines[Math.min(Math.max(to, 0), lines.length - 1)], on.getAttribute("data-do") ?? "end");
    } else return;
    event.preventDefault();
  }

  /** @param {Element | undefined} line @param {string} does */
  focus(line, does) {
    const same = line?.querySelector(`[data-do="${does}"]:not([hidden])`) ?? line?.querySelector('[data-do="end"]');
    /** @type {HTMLElement} */ (same ?? this.hit).focus();
  }

  /** @param {Row} row */
  async copy({ known: { id }, label: name }) {
    try {
      await navigator.clipboard.writeText(id);
    } catch {
      // Pages without https have no clipboard of that kind.
      const before = this.active;
      const area = make("textarea", { class: "sr" });
      area.value = id;
      this.root.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      before?.focus();
    }
    this.desk.voice.say(() => `Copied the id of ${name}.`);
  }

  /** What has the focus in here. */
  get active() {
    const { activeElement } = /** @type {Document | ShadowRoot} */ (this.root.getRootNode());
    return this.root.contains(activeElement) ? /** @type {HTMLElement} */ (activeElement) : null;
  }

  // -- what a person sees

  draw() {
    const { desk, active } = this;
    const line = active?.closest("li");
    const after = [];
    for (let next = line?.nextElementSibling; next; next = next.nextElementSibling) after.push(next);
    for (const [key, item] of this.items) {
      if (desk.rows.has(key)) continue;
      item.element.remove();
      this.items.delete(key);
    }
    let at = this.list.firstElementChild;
    for (const [key, row] of desk.rows) {
      let item = this.items.get(key);
      if (!item) {
        item = new Item(row);
        this.items.set(key, item);
        this.raw.push(item.name);
        this.dirty.add(key);
      }
      if (item.element === at) at = at.nextElementSibling;
      else this.list.insertBefore(item.element, at);
      if (this.dirty.has(key)) item.draw(row, desk);
    }
    this.dirty.clear();
    this.greet();
    this.inform();
    this.sumUp();
    this.fit();
    if (!active || (this.active === active && !active.closest("[hidden]"))) return;
    if (active.isConnected && !active.closest("[hidden]")) active.focus(); // its line was moved
    else this.focus(line?.isConnected ? line : after.find((each) => each.isConnected), "end");
  }

  /** Says on the target what it is for. */
  greet() {
    const { limits, local, rows } = this.desk;
    const { target } = this;
    const files = limits.multiple ? "files" : "a file";
    const thin = rows.size > 0;
    target.classList.toggle("thin", thin);
    this.root.classList.toggle("empty", !thin);
    if (this.depth) write(this.hit, `Release to upload ${this.held ? counted(this.held, "item") : ""}`.trim());
    else if (!thin) write(this.hit, `Drop ${files} here, paste, or click to choose`);
    else write(this.hit, `${limits.multiple ? "Add more" : "Replace"}: drop, paste, or click`);
    const where = local ? "are stored on this machine." : "pass through this kernel to Claude; the API key never leaves the kernel.";
    write(this.rest, this.depth ? limitsText(limits) : `${limitsText(limits)}. Files ${where}`);
    this.files.accept = limits.accept;
    this.files.multiple = limits.multiple;
  }

  inform() {
    const { notices } = this.desk;
    const text = notices.join("\n");
    if (written.get(this.notices) === text) return;
    written.set(this.notices, text);
    this.notices.replaceChildren(
      ...notices.map(([shape, said]) => {
        return make("div", { class: "nbf-notice", role: "note" }, icon(shape, shape === "warning" ? "warn" : ""), make("span", {}, said));
      }),
    );
  }

  sumUp() {
    const { desk } = this;
    const { all, busy, done, failed, refused, cancelled, landed, sent, size, kept, timed } = desk.tally();
    const took = timed && desk.elapsed ? ` in ${formatDuration(desk.elapsed / 1000)}` : "";
    const said = [];
    if (busy) said.push(`${done} of ${all} done`);
    else if (done) said.push(counted(done, "file"), formatSize(kept) + took);
    if (failed) said.push(`${failed} failed`);
    if (refused) said.push(`${refused} refused`);
    if (cancelled) said.push(`${cancelled} cancelled`);
    this.sum.hidden = !all;
    write(this.state, said.join(DOT));
    this.legend.hidden = !busy;
    write(this.landed, `in the kernel ${formatSize(landed)}`);
    write(this.sent, `${desk.local ? "stored" : "at Claude"} ${formatPart(sent, size)}`);
    write(this.note, desk.model.get("note") ?? "");
    this.clear.hidden = all - busy - failed === 0;
    write(this.clear, busy || failed ? "Clear finished" : "Clear");
    this.stop.hidden = !busy;
  }

  /** Measures the tails of new names, so that exactly the rest gives way. */
  fit() {
    const { width } = this.probe.getBoundingClientRect();
    if (!width || !this.raw.length) return; // not on the page yet: the observer comes back
    const tails = this.raw.map((name) => name.lastElementChild?.getBoundingClientRect().width ?? 0);
    this.raw.forEach((name, at) => name.style.setProperty("--t", (tails[at] / width + 0.1).toFixed(2)));
    this.raw = [];
  }
}

// ---- what anywidget calls -------------------------------------------------------------------------------------------

let views = 0;
/** The two get different proxies of a model, so its desk goes by the widget's uid. @type {Map<string, Desk>} */
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
