// The browser's half of nbfiles.UploadWidget: takes files, brings their bytes to the kernel, shows how far they are.
//
// A `Desk` per widget has a `Row` for each file; `View`s come and go. What a person named is data: it becomes text nodes,
// titles and labels only. The default of a parameter is also its type; further types are in `types.d.ts`.

import { DOT, NB, RING, announce, button, copy, counted, fitTails, formatSize, icon, isolated, keepKeys, make, set, splitName, throttle, visible, write } from "./common.js";

const PIECE = 8 * 2 ** 20; // 10 MiB vanish without a word
const SMALL_PIECE = 2 ** 20;
const UNDER_WAY = ["offered", "queued", "uploading", "retrying", "checking", "cancelling"];
const DONE = ["done", "reused"];
const LANDING = "nbfiles/landing/";
const LOST = "The kernel restarted. Choose the ";

// ---- figures and names

/** `25.9 of 144 MB`, `412 kB of 144 MB` */
export function formatPart(part = 0, whole = 0) {
	const [value, unit] = formatSize(part).split(NB);
	const all = formatSize(whole);
	return `${value}${all.endsWith(NB + unit) ? "" : NB + unit} of ${all}`;
}

/** `8 s left`, `4 min left`: rounded up */
export function formatLeft(seconds = 0) {
	const [per, unit] = seconds <= 59 ? [1, "s"] : seconds <= 59 * 60 ? [60, "min"] : [3600, "h"];
	return `${Math.max(Math.ceil(seconds / per), 1)}${NB}${unit} left`;
}

/** `3.4 s`, `42 s`, `3 min 20 s` */
export function formatDuration(seconds = 0) {
	if (seconds < 9.95) return `${Math.max(seconds, 0.1).toFixed(1)}${NB}s`;
	const all = Math.round(seconds);
	if (all < 60) return `${all}${NB}s`;
	return `${Math.floor(all / 60)}${NB}min${all % 60 ? ` ${all % 60}${NB}s` : ""}`;
}

/** `PDF only, up to 500 MB each` @param {Limits} limits */
export function limitsText({ accept, multiple, max_files, max_bytes }) {
	const kinds = accept.replace(/(^|,)\.([^,]+)/g, (_, comma, ending) => comma + ending.toUpperCase()).replaceAll("/*", "");
	const said = accept ? [`${kinds.replaceAll(",", ", ")} only`] : [];
	if (multiple && max_files) said.push(`up to ${counted(max_files, "file")}`);
	said.push(`up to ${formatSize(max_bytes)}${multiple ? " each" : ""}`);
	return said.join(", ").replace(/^./, (first) => first.toUpperCase());
}

// ---- what a person hands over

/** The files of an `<input>`, with their paths in a chosen folder. @param {Iterable<File> | null} files */
export function chosen(files) {
	return [...(files ?? [])].map((file) => ({ file, path: file.webkitRelativePath || "" }));
}

/** The files of a paste, or its text. @param {DataTransfer | null} data */
export function pasted(data, when = new Date()) {
	const time = when.toTimeString().slice(0, 8).replaceAll(":", ".");
	const files = [...(data?.files ?? [])].map((file) => {
		// What browsers call a screenshot.
		const ending = /^image(\.\w+)$/.exec(file.name)?.[1];
		return ending ? new File([file], `Pasted image ${time}${ending}`, { type: file.type }) : file;
	});
	const text = files.length ? "" : data?.getData("text/plain");
	return chosen(text ? [new File([text], `Pasted text ${time}.txt`, { type: "text/plain" })] : files);
}

/** The files of a drop, in folders too. @param {DataTransfer | null} data */
export async function dropped(data) {
	// All is taken before the first await: then it is gone.
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
			// A hundred at a time, and none at the end.
			const entries = await new Promise((...ends) => reader.readEntries(...ends));
			if (!entries.length) return;
			for (const each of entries) await walk(each, found);
		}
	} catch {
		// Gone or locked since.
	}
}

// ---- pace

/** How fast bytes move, as the mean of 3 s. */
export class Speed {
	/** @type {{at: number, bytes: number}[]} */
	seen = [];
	hop = "";

	/** Notes how far a hop is; another hop starts anew. */
	note(hop = "", bytes = 0, now = Date.now()) {
		if (hop !== this.hop || bytes < (this.seen.at(-1)?.bytes ?? 0)) this.seen = [];
		this.hop = hop;
		this.seen.push({ at: now, bytes });
		while (this.seen[1]?.at <= now - 3000) this.seen.shift();
	}

	/** `41.2 MB/s · 1 s left`, as much as can be told */
	text(size = 0) {
		const [first, last] = [this.seen[0], this.seen.at(-1)];
		if (!last || last.at - first.at < 500 || last.bytes >= size) return "";
		const rate = ((last.bytes - first.bytes) * 1000) / (last.at - first.at);
		if (rate < 1) return "";
		return `${formatSize(rate)}/s${last.at - first.at < 2000 ? "" : DOT + formatLeft((size - last.bytes) / rate)}`;
	}
}

/** What is in the air on the comm lane, and what goes next. */
export class Flight {
	constructor(size = 0, from = 0, piece = PIECE) {
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

	/** @returns {[number, number] | null} the next piece, if there is room for one */
	take(now = Date.now()) {
		if (this.ends.length > 1 || this.next >= this.size) return null;
		if (!this.ends.length) this.heard = now;
		const start = this.next;
		this.next = Math.min(start + this.piece, this.size);
		this.ends.push(this.next);
		return [start, this.next];
	}

	/** Returns whether pieces were lost: the same answer came twice. */
	hear(received = 0, now = Date.now()) {
		if (received > this.received) {
			this.received = received;
			this.next = Math.max(this.next, received);
			this.ends = this.ends.filter((end) => end > received);
			this.heard = now;
			this.asked = this.stuck = 0;
		} else if (this.asked && this.ends.length) {
			this.stuck ||= now;
			if (now - this.stuck < 1000) return false;
			this.piece = SMALL_PIECE;
			this.next = this.received;
			this.ends = [];
			this.round++;
			this.asked = this.stuck = 0;
			return true;
		}
		return false;
	}

	/** Whether to ask the kernel how far it is; yes is taken as done. */
	asks(now = Date.now()) {
		if (!this.ends.length || now - this.heard < 4000 || now - this.asked < 2000) return false;
		this.asked = now;
		return true;
	}
}

// ---- the way over the Jupyter server

/** @returns {Place | null} */
function jupyter() {
	try {
		return JSON.parse(document.getElementById("jupyter-config-data")?.textContent ?? "null");
	} catch {
		return null;
	}
}

/** Asks the Jupyter server. @param {XMLHttpRequest} xhr @param {Blob} [body] @returns {Promise<Answer>} */
function ask(xhr, path = "", body) {
	const { baseUrl = "/", token } = jupyter() ?? {};
	const xsrf = /(?:^|;\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1];
	xhr.open(body ? "PUT" : "GET", baseUrl.replace(/\/?$/, "/") + path);
	if (xsrf) xhr.setRequestHeader("X-XSRFToken", xsrf);
	if (token) xhr.setRequestHeader("Authorization", `token ${token}`);
	xhr.send(body);
	return new Promise((resolve) => {
		xhr.onloadend = () => resolve({ status: xhr.status, said: xhr.responseText.slice(0, 200) });
	});
}

// ---- rows

/** A file on the list, and how it goes from this page to the kernel. */
export class Row {
	/** @param {Desk} desk @param {Known} known @param {File | null} file */
	constructor(desk, known, file) {
		this.desk = desk;
		this.known = known;
		this.file = file;
	}

	phase = "idle"; // -> begun -> sending -> sent
	lane = "";
	landing = "";
	up = 0; // bytes that have left the browser
	held = false; // nothing new is begun
	asked = 0; // since when the kernel owes an answer
	missed = false; // for too long
	timed = false; // its time is in the desk's
	busy = false; // as drawn
	speed = new Speed();
	/** @type {Flight | null} */
	flight = null;
	/** @type {XMLHttpRequest | null} */
	xhr = null;

	get state() {
		return this.known.state;
	}

	get label() {
		return visible(this.known.path || this.known.name);
	}

	get underWay() {
		return UNDER_WAY.includes(this.state);
	}

	get done() {
		return DONE.includes(this.state);
	}

	get landed() {
		const { size, ready, landed, sent } = this.known;
		return this.done || ready ? size : Math.min(size, Math.max(landed, sent, this.up));
	}

	get sent() {
		return this.done ? this.known.size : Math.min(this.known.sent, this.known.size);
	}

	get canRetry() {
		const { desk, state, known, file } = this;
		return !desk.lost && (state === "failed" || state === "cancelled") && (known.ready || file !== null);
	}

	/** Tells the kernel, which then owes an answer. @param {string} kind @param {object} [more] @param {ArrayBuffer[]} [buffers] */
	tell(kind, more, buffers) {
		if (!buffers) this.asked ||= Date.now();
		this.desk.send({ kind, key: this.known.key, ...more }, buffers);
	}

	/** @param {Known} known */
	take(known) {
		const before = this.state;
		this.known = known;
		this.asked = 0;
		if (UNDER_WAY.includes(before) !== this.underWay) this.held = false;
		if (known.ready && this.phase !== "sending") this.phase = "sent";
		if (this.underWay) {
			this.timed = true;
			this.move();
		} else if (known.state !== "failed" || this.phase !== "sending") {
			// What failed on the second hop goes on landing, for a retry.
			this.drop();
			this.up = 0;
			this.speed = new Speed();
			if (this.done || known.state === "refused") this.file = null;
		}
		if (before !== this.state) this.desk.announce(this);
		this.desk.touch(known.key);
	}

	fail(reason = "") {
		this.drop();
		this.take({ ...this.known, state: "failed", ready: false, reason });
	}

	/** @param {any} message */
	hear({ kind, landing, offset, received }) {
		this.asked = 0;
		if (kind === "go" && this.phase === "begun") {
			this.landing = landing;
			if (this.lane === "http") this.put();
			else {
				this.phase = "sending";
				this.flight = new Flight(this.known.size, offset, this.desk.piece);
				this.feed();
			}
		} else if (kind === "ack" && landing === this.landing) this.acknowledge(received);
		else if (kind === "stop") {
			this.drop();
			this.held = true;
		}
	}

	move(up = this.up) {
		this.up = up;
		const { sent, key } = this.known;
		this.speed.note(sent ? "sent" : "landed", sent || this.landed);
		this.desk.touch(key);
	}

	drop() {
		this.phase = "idle";
		this.landing = "";
		this.flight = null;
		this.xhr?.abort();
		this.xhr = null;
	}

	begin(lane = "") {
		this.phase = "begun";
		this.lane = lane;
		this.up = 0;
		this.tell("begin", { lane });
	}

	async put() {
		const { landing, file, desk } = this;
		if (desk.lane !== "http" || !file) return this.drop(); // the lane has changed since
		const xhr = (this.xhr = new XMLHttpRequest());
		let moved = false;
		this.phase = "sending";
		xhr.upload.onprogress = ({ loaded }) => {
			moved = true;
			this.move(loaded);
		};
		const { status, said } = await ask(xhr, LANDING + landing, file);
		if (this.xhr !== xhr) return; // let go of meanwhile
		this.xhr = null;
		if (status === 200) {
			this.phase = "sent";
			this.move(this.known.size);
		} else if (!status && (await file.slice(0, 1).arrayBuffer().catch(() => true)) === true) this.broke(-1);
		else if (status === 404 || status === 405 || (!status && !moved)) {
			this.drop();
			desk.fallBack(status, said);
		} else this.broke(status);
		desk.step();
	}

	async feed() {
		const { flight, file, landing } = this;
		try {
			for (let span; file && (span = flight?.take()); ) {
				const { round } = flight ?? {};
				const bytes = await file.slice(...span).arrayBuffer();
				if (this.flight !== flight || flight?.round !== round) return; // lost or let go of meanwhile
				this.tell("piece", { landing, offset: span[0] }, [bytes]);
			}
		} catch {
			if (this.flight === flight) this.broke(-1);
		}
	}

	acknowledge(received = 0) {
		const { flight } = this;
		if (!flight) return;
		if (flight.hear(received)) this.desk.piece = SMALL_PIECE;
		this.move(flight.received);
		if (flight.received < flight.size) this.feed();
		else {
			this.flight = null;
			this.phase = "sent";
		}
	}

	/** Nothing more of it will come; the kernel says what that means. */
	broke(status = 0) {
		this.phase = "sent";
		this.flight = null;
		this.tell("broke", { landing: this.landing, status });
	}

	tick(now = Date.now()) {
		if (this.flight?.asks()) this.tell("where", { landing: this.landing });
		const missed = this.asked > 0 && now - this.asked >= 1500;
		if (missed && this.held) this.drop(); // no answer, but no more bytes
		if (missed !== this.missed || this.state === "uploading") this.move();
		this.missed = missed;
	}
}

// ---- the desk

/** The files of one widget on this page, whatever views there are. */
export class Desk {
	/** @param {Model} model */
	constructor(model) {
		this.model = model;
		for (const known of model.get("rows") ?? []) this.take(known);
		model.on("msg:custom", (/** @type {any} */ message) => this.receive(message));
		for (const name of ["comm_live_update", "comm:close"]) model.on(name, () => this.lose());
		for (const name of ["limits", "local", "note"]) model.on(`change:${name}`, () => this.touch());
		globalThis.addEventListener?.("pagehide", this.leave);
		this.call("hello");
	}

	page = crypto.getRandomValues(new BigUint64Array(1))[0].toString(16).padStart(16, "0");
	/** @type {Map<string, Row>} */
	rows = new Map();
	/** @type {Set<View>} */
	views = new Set();
	/** What a screen reader says by the way; asked for when it is said, to be true then. */
	news = () => "";
	voice = throttle(() => this.speak(this.news()), 5000, (does) => setTimeout(does, 200));
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
	ticking = false;
	heard = 0; // when the kernel was last known to be there
	away = false; // the server does not answer

	call = (kind = "") => this.send({ kind, page: this.page, lane: this.lane });
	leave = () => this.call("leave");

	close() {
		globalThis.removeEventListener?.("pagehide", this.leave);
		for (const row of this.list) row.drop();
		this.rows.clear();
		this.leave();
		this.lost = true; // anywidget takes our ears off the model
	}

	get list() {
		return [...this.rows.values()];
	}

	/** @returns {Limits} */
	get limits() {
		return this.model.get("limits");
	}

	/** @param {Choice[]} choices */
	offer(choices) {
		const blank = { mime: "", landed: 0, sent: 0, ready: false, reason: "", side: "", id: "", block: "", variable: "" };
		const rows = (this.limits.multiple ? choices : choices.slice(0, 1)).map(({ file, path }) => {
			const known = { key: `${this.page}-${++this.count}`, name: file.name, path, size: file.size, state: "offered", ...blank };
			const row = new Row(this, known, file);
			row.asked = Date.now();
			this.rows.set(known.key, row);
			if (this.lost) row.fail("The kernel restarted. Run the cell again, then choose the file.");
			return row;
		});
		if (!rows.length) return;
		this.say(() => `${counted(rows.length, "file")} added.`);
		const offered = rows.map(({ known: { key, name, path, size } }) => ({ key, name, path, size }));
		while (offered.length) this.send({ kind: "offer", rows: offered.splice(0, 1000) });
		this.step();
	}

	/** @param {Row[]} rows */
	cancel(rows) {
		for (const row of rows) {
			row.held = true;
			row.asked ||= Date.now();
		}
		this.send({ kind: "cancel", keys: rows.map((row) => row.known.key) });
	}

	/** Takes rows off the list at once. @param {Row[]} rows */
	remove(rows) {
		const keys = rows.map((row) => row.known.key);
		for (const key of keys) {
			this.gone.add(key);
			this.forget(key);
		}
		this.send({ kind: "remove", keys });
	}

	/** @param {any} message */
	receive(message) {
		this.heard = Date.now();
		this.away = false;
		const { kind, page, key, rows, removed, probe } = message ?? {};
		const welcome = kind === "welcome" && page === this.page;
		this.rows.get(key)?.hear(message);
		if (kind === "who") this.call("here");
		if (welcome || kind !== "welcome") {
			removed?.forEach(this.forget);
			rows?.forEach(this.take);
		}
		if (welcome) this.seek(probe);
		this.step(key);
	}

	forget = (key = "") => {
		this.rows.get(key)?.drop();
		this.rows.delete(key);
	};

	/** Finds the lane. @param {string | null} probe where one byte may land */
	async seek(probe) {
		this.lost = false;
		if (this.lane) return;
		if (probe && jupyter()?.baseUrl) {
			const xhr = new XMLHttpRequest();
			xhr.timeout = 5000;
			const { status, said } = await ask(xhr, LANDING + probe, new Blob(["0"]));
			if (status === 200) this.lane = "http";
			else this.fallBack(status, said);
		} else this.lane = "comm";
		this.step();
		setTimeout(this.call, 1000, "hello"); // by now it gets past running cells
	}

	fallBack(status = 0, said = "") {
		const apart = status === 404 && said.includes("no such ticket");
		const why = apart ? "and the kernel share no disk" : "has no nbfiles extension";
		this.slower ||= `Slower route: this Jupyter server ${why}, so files go through the notebook connection.`;
		this.lane = "comm";
	}

	take = (/** @type {Known} */ known) => {
		if (this.gone.has(known.key)) return;
		const row = this.rows.get(known.key) ?? new Row(this, known, null);
		this.rows.set(known.key, row);
		row.take(known);
	};

	/** The kernel is gone, and all that was under way. */
	lose() {
		for (const row of this.list) if (row.underWay) row.fail(`${LOST}file again.`);
		this.lost = true;
		this.step();
		this.call("hello"); // if it is there after all, it answers
	}

	/** @param {Message} message @param {ArrayBuffer[]} [buffers] */
	send(message, buffers) {
		if (this.lost && message.kind !== "hello") return;
		try {
			this.model.send(message, undefined, buffers);
		} catch {
			if (!this.lost) this.lose();
		}
	}

	/** Begins whatever may begin now, and keeps the time. */
	step(key = "") {
		const rows = this.list;
		const slots = !this.lane || this.lost ? 0 : this.lane === "http" ? 3 : 1;
		let begun = rows.filter(({ phase }) => phase === "begun" || phase === "sending").length;
		for (const row of rows) {
			if (begun >= slots) break;
			if (row.phase !== "idle" || !/offered|queued/.test(row.state) || row.held || !row.file) continue;
			row.begin(this.lane);
			begun++;
		}
		const now = Date.now();
		const busy = rows.some((row) => row.underWay);
		if (!busy && this.since) this.elapsed += now - this.since;
		this.since = busy ? this.since || now : 0;
		if (!this.ticking && (busy || rows.some((row) => row.asked))) {
			this.ticking = true;
			setTimeout(() => this.tick(), 250);
		}
		this.touch(key);
	}

	tick() {
		this.ticking = false;
		for (const row of this.list) row.tick();
		if (Date.now() - this.heard > 5000) this.check();
		this.step();
	}

	/** Sees whether the kernel is there: a server that was started anew knows none of before. */
	async check() {
		const kernel = this.model.get("kernel");
		this.heard = Date.now();
		if (!kernel || !jupyter()?.baseUrl) return;
		const { status } = await ask(new XMLHttpRequest(), `api/kernels/${kernel}`);
		this.away = !status;
		if (status === 404 && !this.lost) this.lose();
	}

	/** @param {Row} row that has come to another state */
	announce(row) {
		if (row.done) this.say(() => this.progress());
		else if (row.state === "cancelled") this.say(() => `Cancelled ${row.label}.`);
		else if (!row.underWay && this.bad.push(row) === 1) setTimeout(() => this.alarm(), 0);
	}

	alarm() {
		const [{ known, label, canRetry }, more] = this.bad;
		const { reason, state, size } = known;
		const { max_bytes } = this.limits;
		let said = `${label} was not sent: ${reason.replace("Not sent: ", "")}`;
		if (state === "failed") said = `${label} failed: ${reason.split(/ \(| after |\. |\.$/)[0]}.`;
		else if (size > max_bytes) said = `${label} was not sent: over ${formatSize(max_bytes)}.`;
		if (more) said = `${counted(this.bad.length, "file")} failed or not sent.`;
		this.speak(visible(said) + (canRetry ? " Retry is available." : ""), true);
		this.bad = [];
	}

	/** @param {...string} states */
	number(...states) {
		return this.list.filter(({ state }) => states.includes(state)).length;
	}

	progress() {
		const { size } = this.rows;
		const done = this.number(...DONE);
		const bound = /^\w+(?!.*\.)/.exec(this.list.find((row) => row.done)?.known.variable ?? "");
		const said = [`${done < size ? `${done} of ` : size > 1 ? "All " : ""}${counted(size, "file")} done`];
		if (done === size && bound) said.push(`bound to ${bound}`);
		return `${[...said, ...this.endings("failed", "refused")].join(", ")}.`;
	}

	/** `1 failed`, `2 refused` @param {...string} states */
	endings(...states) {
		return states.filter((state) => this.number(state)).map((state) => `${this.number(state)} ${state}`);
	}

	/** Two views would say it twice. */
	speak(text = "", urgent = false) {
		[...this.views][0]?.speak(text, urgent);
	}

	/** Only the newest is said. */
	say(news = this.news) {
		this.news = news;
		this.voice();
	}

	touch(key = "") {
		for (const view of this.views) view.touch(key);
	}
}

// ---- how it is drawn

const ICONS = {
	tray: "M8 11V3M4.8 6.2 8 3l3.2 3.2M2.5 11v2.5h11V11",
	folder: "M2 12.5v-9h4l1.5 2H14v7z",
	clock: `${RING}M8 4.8V8l2.2 1.6`,
	warning: "M8 2.5 14.2 13.5H1.8zM8 6.5v3.2M8 11.6v.1",
	house: "M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5",
	copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
	cross: "M4 4l8 8M12 4l-8 8",
};
/** Icon and tone of the states that are not a clock. @type {Record<string, string[]>} */
const STATES = {
	uploading: ["M8 13V3.5M4 7.5l4-4 4 4", "accent"],
	done: ["M3 8.5l3.2 3.2L13 5", "ok"],
	reused: ["M3 6h10M3 10h10", "dim"],
	failed: [`${RING}M8 5v3.6M8 10.9v.2`, "bad"],
	refused: [`${RING}M3.8 3.8l8.4 8.4`, "warn"],
	cancelled: [`${RING}M3.8 3.8l8.4 8.4`, "dim"],
};
/** @type {Record<string, number>} */
const STEPS = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** @param {Row} row */
function item(row) {
	const { label } = row;
	const { key, name, path, size } = row.known;
	const sign = icon(ICONS.clock);
	const title = isolated(splitName(path || name));
	const bytes = set(make("span", "size", formatSize(size)), { title: counted(size, "byte") });
	const small = make("span", "small", formatSize(size), DOT);
	const said = make("span");
	const bound = make("span", "bound");
	const line = make("div", "c2b l2", small, said, bound);
	const side = make("span", "side");
	const retry = set(button("retry", "btn quiet retry", "Retry"), { "aria-label": `Retry ${label}` });
	const end = button("end", "ib", icon(ICONS.cross));
	const [landed, sent] = [make("i", "landed"), make("i", "sent")];
	const bar = set(make("div", "nbf-bar", landed, sent), { role: "progressbar", "aria-label": label });
	const element = make("li", "nbf-row", sign, title, bytes, line, side, make("div", "acts", retry, end), bar);
	const [variable, equals] = [make("code", "var nbf-code"), make("span", "dim", "=")];

	const bind = (id = "") => {
		const says = `Copy the id of ${label}`;
		const copy = set(button("copy", "ib sm", icon(ICONS.copy)), { "aria-label": says, title: says });
		bound.append(variable, equals, isolated([id.slice(0, -6), id.slice(-6)], "mono"), copy);
		if (row.known.block) bound.append(make("span", "nbf-chip", row.known.block));
		if (row.known.side) bound.append(make("span", "small nw", "reused"));
	};

	const draw = (local = false) => {
		const { desk, known, state, missed, underWay, done } = row;
		const waits = state === "offered" || state === "queued";
		const figures = missed || waits || state === "uploading";
		const news = missed ? (desk.away ? "waiting for the Jupyter server" : "waiting for the kernel: a cell is running") : waits ? "queued" : row.speed.text(size);
		const ends = underWay ? `Cancel ${label}` : `Remove ${label} from the list`;
		const parts = [row.landed / size || 0, row.sent / size || 0];
		row.busy = underWay;
		const [here, there] = parts.map((part) => Math.floor(part * 100));
		const [shape, tone] = (!missed && STATES[state]) || [ICONS.clock, "dim"];
		icon(shape, tone, sign);
		write(said, figures ? [known.mime, news].filter(Boolean).join(DOT) : done ? "" : known.reason);
		line.classList.toggle("bad", state === "failed" && !missed);
		if (known.id && !bound.firstChild) bind(known.id);
		write(variable, known.variable);
		write(side, done ? known.side : state === "uploading" && !missed ? `${there}${NB}%` : "");
		set(end, { "aria-label": ends, title: ends });
		set(bar, {
			"aria-valuenow": `${there}`,
			"aria-valuetext": `${here} percent in the kernel, ${there} percent ${local ? "stored" : "at Claude"}`,
			style: `--landed:${parts[0]};--sent:${parts[1]}`,
		});
		small.hidden = !figures;
		variable.hidden = equals.hidden = !known.variable;
		retry.hidden = !row.canRetry;
		bar.hidden = !underWay || waits;
	};
	return { element: set(element, { "data-key": key }), title, draw };
}

function frame() {
	const [warning, house, landed, sent] = ["", "", "nbf-key landed", "nbf-key sent"].map((cls) => make("span", cls));
	const notices = [[ICONS.warning, "warn"], [ICONS.house, ""]].map(([shape, tone], at) => {
		return set(make("div", "", icon(shape, tone), at ? house : warning), { role: "note" });
	});
	const hit = set(button("files", "hit"), { "aria-keyshortcuts": "Shift+Enter" });
	const rest = make("p", "sub rest");
	const keys = make("p", "sub keys", "Enter for files, Shift+Enter for a folder, or paste.");
	const folder = button("folder", "btn quiet folder", icon(ICONS.folder), make("span", "", "Folder"));
	set(folder, { tabindex: "-1", "aria-label": "Choose a folder" });
	const target = make("div", "nbf-drop", icon(ICONS.tray), make("div", "txt", hit, rest, keys), folder);
	const list = set(make("ul", "nbf-rows"), { "aria-label": "Files" });
	const [state, note] = [make("p"), make("p")];
	const legend = make("p", "keys", landed, sent);
	const [clear, stop] = [button("clear", "btn quiet"), button("stop", "btn", "Cancel all")];
	const sum = make("div", "nbf-sum", make("div", "txt", state, legend, note), make("div", "acts", clear, stop));
	const [files, folders] = [make("input"), set(make("input"), { webkitdirectory: "" })];
	for (const input of [files, folders]) set(input, { type: "file", hidden: "" });
	const polite = set(make("div", "sr"), { role: "status", "aria-live": "polite" });
	const urgent = set(make("div", "sr"), { role: "alert", "aria-live": "assertive" });
	const zero = make("i", "ch"); // as wide as a 0
	const box = make("div", "nbf-box", target, ...notices, list, sum);
	const root = make("div", "nbf nbf-up", box, files, folders, polite, urgent, zero);
	set(root, { role: "group", "aria-label": "Upload files to Claude" });
	return { root, target, hit, rest, warning, house, list, sum, state, legend, landed, sent, note, clear, stop, files, folders, polite, urgent, zero };
}

/** One place on the page where a desk is shown. */
class View {
	/** @param {Desk} desk @param {HTMLElement} el */
	constructor(desk, el) {
		const { root, files, folders } = this.on;
		this.desk = desk;
		for (const input of [files, folders]) {
			input.onchange = () => {
				desk.offer(chosen(input.files));
				input.value = ""; // or the same file could not be chosen again
			};
		}
		this.listen();
		el.append(root);
		this.sight.observe(root);
		desk.views.add(this);
		this.draw();
	}

	on = frame();
	/** @type {Set<string>} */
	dirty = new Set();
	/** @type {Map<string, ReturnType<typeof item>>} */
	items = new Map();
	/** @type {HTMLElement[]} names whose tails were not measured yet */
	raw = [];
	depth = 0; // of the elements that something is held over
	held = 0;
	paint = throttle(() => this.draw());
	sight = new ResizeObserver(() => this.fit());
	blur = () => this.hover(0);

	close() {
		this.desk.views.delete(this);
		this.sight.disconnect();
		globalThis.removeEventListener("blur", this.blur);
		this.on.root.remove();
	}

	touch(key = "") {
		if (key) this.dirty.add(key);
		this.paint();
	}

	speak(text = "", urgent = false) {
		announce(urgent ? this.on.urgent : this.on.polite, text);
	}

	listen(root = this.on.root) {
		root.onclick = ({ target }) => {
			const on = target instanceof Element && target.closest("[data-do]");
			if (on) this.act(on.getAttribute("data-do"), on.closest("li"));
		};
		keepKeys(root, (event, on) => this.key(event, on));
		root.onpaste = (event) => {
			event.stopPropagation();
			const choices = pasted(event.clipboardData);
			if (choices.length) event.preventDefault();
			this.desk.offer(choices);
		};
		root.ondragenter = (event) => this.drag(event, 1);
		root.ondragover = (event) => this.drag(event, 0);
		root.ondragleave = (event) => this.drag(event, -1);
		root.ondrop = async (event) => {
			if (!this.drag(event, -Infinity)) return;
			this.desk.offer(await dropped(event.dataTransfer));
		};
		globalThis.addEventListener("blur", this.blur);
	}

	/** @param {DragEvent} event @param {number} step */
	drag(event, step) {
		const data = event.dataTransfer;
		if (!data?.types.includes("Files")) return false;
		event.preventDefault();
		event.stopPropagation();
		data.dropEffect = "copy";
		this.held = data.items.length;
		if (step) this.hover(Math.max(this.depth + step, 0));
		return true;
	}

	hover(depth = 0) {
		this.depth = depth;
		this.on.target.classList.toggle("over", depth > 0);
		this.greet();
	}

	/** @param {string | null} does @param {Element | null} line */
	act(does, line) {
		const { desk, on } = this;
		const row = desk.rows.get(line?.getAttribute("data-key") ?? "");
		if (does === "files") on.files.click();
		else if (does === "folder") on.folders.click();
		else if (does === "stop") desk.cancel(desk.list.filter((each) => each.underWay));
		else if (does === "clear") desk.remove(desk.list.filter((each) => !each.underWay && each.state !== "failed"));
		else if (!row) return;
		else if (does === "copy") this.copy(row);
		else if (does === "retry") row.tell("retry");
		else if (row.underWay) desk.cancel([row]);
		else if (!row.busy) desk.remove([row]); // or it still says Cancel
		desk.step();
	}

	/** Returns whether the key means anything here. @param {KeyboardEvent} event @param {Element} on */
	key({ key, shiftKey, repeat }, on) {
		const line = on.closest("li");
		if (key === "Escape") this.hover(0);
		else if (key === "Enter" && shiftKey && on === this.on.hit) this.act("folder", null);
		else if (line && key === "Delete" && !repeat) this.act("end", line);
		else if (line && key in STEPS) {
			const lines = [...this.on.list.children];
			const to = Math.min(Math.max(lines.indexOf(line) + STEPS[key], 0), lines.length - 1);
			this.focus(lines[to], on.getAttribute("data-do"));
		} else return false;
		return true;
	}

	/** @param {Element | undefined} line @param {string | null} [does] the action; without a line it is the target */
	focus(line, does) {
		/** @type {HTMLElement | null | undefined} */
		const to = line?.querySelector(`[data-do="${does}"]:not([hidden])`) ?? line?.querySelector('[data-do="end"]');
		(to ?? this.on.hit).focus();
	}

	/** @param {Row} row */
	async copy({ known: { id }, label }) {
		await copy(this.on.root, id);
		this.desk.say(() => `Copied the id of ${label}.`);
	}

	/** @returns {HTMLElement | null} what has the focus in here */
	get active() {
		return this.on.root.querySelector(":focus");
	}

	/** Brings the page up to date. The focus stays, or goes to the next line if its own is gone. */
	draw() {
		const { desk, active, items } = this;
		const at = active?.closest("li");
		const lines = [...this.on.list.children];
		for (const [key, { element }] of items) {
			if (!desk.rows.has(key) && items.delete(key)) element.remove();
		}
		for (const [key, row] of desk.rows) {
			let line = items.get(key);
			if (!line) {
				items.set(key, (line = item(row)));
				this.on.list.append(line.element);
				this.raw.push(line.title);
				this.dirty.add(key);
			}
			if (this.dirty.has(key)) line.draw(desk.model.get("local"));
		}
		this.dirty.clear();
		this.greet();
		this.sumUp();
		this.fit();
		if (!active || (active.isConnected && !active.closest("[hidden]"))) return;
		this.focus(at ? lines.slice(lines.indexOf(at)).find((each) => each.isConnected) : undefined);
	}

	/** Says what the target is for, and what a person should know. */
	greet() {
		const { limits, model, rows, lost, slower } = this.desk;
		const local = model.get("local");
		const { target, root, hit, rest, files, warning, house } = this.on;
		const [thin, over, many] = [rows.size > 0, this.depth > 0, limits.multiple];
		const empty = `Drop ${many ? "files" : "a file"} here, paste, or click to choose`;
		const more = `${many ? "Add more" : "Replace it"}: drop, paste, or click`;
		const way = local ? "are stored on this machine." : "pass through this kernel to Claude; the API key never leaves the kernel.";
		target.classList.toggle("thin", thin);
		root.classList.toggle("empty", !thin);
		write(hit, over ? `Release to upload ${counted(this.held, "item")}` : thin ? more : empty);
		write(rest, limitsText(limits) + (over ? "" : `. Files ${way}`));
		write(warning, lost ? `${LOST}unfinished files again.` : slower);
		write(house, local ? "Nothing leaves this machine: the local Files API takes the files." : "");
		for (const said of [warning, house]) said.parentElement?.classList.toggle("nbf-notice", said.textContent !== "");
		files.accept = limits.accept;
		files.multiple = many;
	}

	sumUp() {
		const { desk } = this;
		const { sum, state, legend, landed, sent, note, clear, stop } = this.on;
		const all = desk.rows.size;
		const [busy, done, failed] = [UNDER_WAY, DONE, ["failed"]].map((states) => desk.number(...states));
		const meant = desk.list.filter((row) => row.state !== "refused" && row.state !== "cancelled");
		const kept = meant.filter((row) => row.done);
		const bytes = (rows = meant, of = (/** @type {Row} */ row) => row.known.size) => rows.reduce((sum, row) => sum + of(row), 0);
		const took = desk.elapsed && kept.every((row) => row.timed) ? ` in ${formatDuration(desk.elapsed / 1000)}` : "";
		const said = busy ? [`${done} of ${all} done`] : done ? [counted(done, "file"), formatSize(bytes(kept)) + took] : [];
		write(state, [...said, ...desk.endings("failed", "refused", "cancelled")].join(DOT));
		write(landed, `in the kernel ${formatSize(bytes(meant, (row) => row.landed))}`);
		write(sent, `${desk.model.get("local") ? "stored" : "at Claude"} ${formatPart(bytes(meant, (row) => row.sent), bytes())}`);
		write(note, desk.model.get("note") ?? "");
		write(clear, busy || failed ? "Clear finished" : "Clear");
		sum.hidden = !all;
		legend.hidden = stop.hidden = !busy;
		clear.hidden = all === busy + failed;
	}

	/** Measures the tails of new names; where it is not on the page yet, `sight` comes back. */
	fit() {
		if (this.raw.length && fitTails(this.raw, this.on.zero)) this.raw = [];
	}
}

// ---- what anywidget calls

/** By uid: what the two below get for a model are not the same objects. @type {Map<string, Desk>} */
const DESKS = new Map();

/** @param {Model} model */
function deskOf(model) {
	const uid = model.get("uid");
	const desk = DESKS.get(uid) ?? new Desk(model);
	DESKS.set(uid, desk);
	return desk;
}

export default {
	/** @param {Context} context */
	initialize({ model }) {
		const desk = deskOf(model);
		return () => {
			DESKS.delete(model.get("uid"));
			desk.close();
		};
	},
	/** @param {Context} context */
	render({ model, el }) {
		const view = new View(deskOf(model), el);
		return () => view.close();
	},
};
