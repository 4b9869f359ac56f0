// The browser's half of nbfiles.FileBrowser: every row is in the page, so search, sort and selection ask nobody.
//
// A `Shelf` per widget holds the files and what is selected of them; `View`s come and go. Rows are numbers into the
// columns of one listing, which has a version: the kernel refuses numbers of another. The default of a parameter is also
// its type; further types are in `types.d.ts`.

import { DOT, NB, announce, button, copy, counted, fitTails, formatSize, icon, keepKeys, make, marked, set, splitName, throttle, visible, write } from "./common.js";

const ROW = 29; // px
const SEEN = 10; // rows of the table before it scrolls
const SPARE = 6; // rows drawn beyond each edge
const CONFIRM = 20; // files above which their count is typed
const DAY = 86_400_000;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const ORIGINS = ["Uploaded here", "Elsewhere", "Made by code"];
const AMONG = ["uploaded here", "uploaded elsewhere", "made by code"];
const UNDOWNLOADABLE = "Claude lets you download only files it made itself.";

// ---- times

/** `just now`, `3 min ago`, `5 hours ago`, `yesterday`, `3 days ago`, `12 Oct`, `12 Oct 2024` */
export function formatAgo(when = 0, now = Date.now()) {
	const passed = now - when;
	if (passed < 60_000 && passed > -3_600_000) return "just now";
	if (passed >= 0 && passed < 3_600_000) return `${Math.floor(passed / 60_000)}${NB}min ago`;
	if (passed >= 0 && passed < DAY) return `${counted(Math.floor(passed / 3_600_000), "hour")} ago`;
	const [there, here] = [new Date(when), new Date(now)];
	const days = Math.round((new Date(here).setHours(0, 0, 0, 0) - new Date(when).setHours(0, 0, 0, 0)) / DAY);
	if (days === 1) return "yesterday";
	if (days > 1 && days < 7) return `${days} days ago`;
	const date = `${there.getDate()}${NB}${MONTHS[there.getMonth()]}`;
	return there.getFullYear() === here.getFullYear() ? date : `${date} ${there.getFullYear()}`;
}

/** `in 20 min`, `in 3 hours`, `in 7 days`, `expired` */
export function formatUntil(when = 0, now = Date.now()) {
	const seconds = (when - now) / 1000;
	if (seconds <= 0) return "expired";
	if (seconds < 3570) return `in ${Math.max(Math.round(seconds / 60), 1)}${NB}min`;
	if (seconds < 172_800 - 1800) return `in ${counted(Math.round(seconds / 3600), "hour")}`;
	return `in ${counted(Math.round(seconds / 86_400), "day")}`;
}

// ---- the files

/** The files of one listing, column by column. */
export class Files {
	/** @param {Partial<Columns>} [columns] @param {number} [version] */
	constructor(columns = {}, version = 0) {
		const none = { id: [], name: [], mime: [], size: [], created: [], expires: [], variable: [], block: [], origin: [], downloadable: [] };
		/** @type {Columns} */
		this.columns = { ...none, ...columns };
		this.version = version;
		this.gone = new Uint8Array(this.columns.id.length);
		this.left = this.gone.length;
	}

	/** @type {string[] | null} */
	lower = null;
	/** @type {Map<string, Uint32Array>} */
	orders = new Map();

	/** Takes rows off. @param {Iterable<number>} rows */
	drop(rows) {
		for (const row of rows) {
			if (!this.gone[row]) this.left--;
			this.gone[row] = 1;
		}
	}

	/** What is searched: name, id and type of each file, in small letters. */
	get texts() {
		const { id, name, mime } = this.columns;
		return (this.lower ??= name.map((text, row) => `${text}\n${id[row]}\n${mime[row]}`.toLowerCase()));
	}

	/** The rows in rising order of a column. Names count as people do: 2 before 10. @param {keyof Columns} column */
	order(column) {
		const known = this.orders.get(column);
		if (known) return known;
		const rows = typeof this.columns[column][0] === "string" ? this.byText(column) : this.byNumber(column);
		this.orders.set(column, rows);
		return rows;
	}

	/** @param {keyof Columns} column */
	byText(column) {
		const texts = /** @type {string[]} */ (this.columns[column]);
		// Without a function of ours, and so without a call for each pair, sorting is some times quicker: the row is
		// part of the text. What has none comes last.
		const keys = texts.map((text, row) => `${natural(text) || "\uffff"}\0${`${row}`.padStart(7, "0")}`).sort();
		return Uint32Array.from(keys, (key) => Number(key.slice(-7)));
	}

	/** @param {keyof Columns} column */
	byNumber(column) {
		const values = /** @type {(number | null)[]} */ (this.columns[column]);
		const keys = Float64Array.from(values, (value) => value ?? Infinity);
		return Uint32Array.from(keys, (_, row) => row).sort((a, b) => keys[a] - keys[b] || a - b);
	}

	/** The rows that a person asks for, in order. @param {Query} query */
	find({ text, mime, origin, column, down }) {
		const words = text.toLowerCase().split(/\s+/).filter(Boolean);
		const texts = words.length ? this.texts : [];
		const { columns, gone } = this;
		const order = this.order(column);
		const found = new Uint32Array(order.length);
		let count = 0;
		for (let at = 0; at < order.length; at++) {
			const row = order[down ? order.length - 1 - at : at];
			if (gone[row] || (mime && columns.mime[row] !== mime) || (origin >= 0 && columns.origin[row] !== origin)) continue;
			if (words.every((word) => texts[row].includes(word))) found[count++] = row;
		}
		return found.subarray(0, count);
	}

	/** The types there are, the most common first. */
	get types() {
		/** @type {Map<string, number>} */
		const counts = new Map();
		this.columns.mime.forEach((mime, row) => this.gone[row] || counts.set(mime, (counts.get(mime) ?? 0) + 1));
		return [...counts].sort(([, a], [, b]) => b - a).map(([mime]) => mime);
	}

	/** @param {Iterable<number>} rows */
	bytes(rows) {
		let sum = 0;
		for (const row of rows) sum += this.columns.size[row];
		return sum;
	}
}

function natural(text = "") {
	return text.toLowerCase().replace(/\d+/g, (digits) => digits.padStart(12, "0"));
}

/** Unpacks what the kernel sent. @param {DataView} packed @returns {Promise<Columns>} */
async function unpacked(packed) {
	const stream = new Blob([/** @type {any} */ (packed)]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Response(stream).json();
}

/** The rows that the kernel names: 32-bit numbers, little endian. @param {DataView} buffer */
export function numbers(buffer) {
	return Array.from({ length: buffer.byteLength >> 2 }, (_, at) => buffer.getUint32(4 * at, true));
}

/** @param {Iterable<number>} rows */
function packed(rows) {
	const all = [...rows];
	const view = new DataView(new ArrayBuffer(4 * all.length));
	all.forEach((row, at) => view.setUint32(4 * at, row, true));
	return view.buffer;
}

// ---- the shelf

/** What one widget shows, whatever views there are. */
export class Shelf {
	/** @param {Model} model */
	constructor(model) {
		this.model = model;
		// One after the other: unpacking takes a moment, and what comes behind a listing is about it.
		model.on("msg:custom", (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
			this.heard = this.heard.then(() => this.receive(message, buffers ?? []));
		});
		for (const name of ["comm_live_update", "comm:close"]) model.on(name, () => this.lose());
		this.send({ kind: "hello" });
	}

	heard = Promise.resolve();
	files = new Files();
	/** @type {Set<number>} */
	selected = new Set();
	/** @type {Set<View>} */
	views = new Set();
	/** What stands in place of the selection bar. @type {Bar} */
	bar = { kind: "" };
	busy = "Listing the files…"; // what the kernel does now
	stoppable = false;
	error = ""; // why there is no list
	local = false;
	lost = false;
	tell = throttle(() => this.send({ kind: "select", version: this.files.version }, this.selected), 150, (does) => does());

	/** @param {any} message @param {DataView[]} buffers */
	async receive({ kind, ...said }, buffers) {
		this.lost = false;
		if (kind === "rows") await this.take(said, buffers[0]);
		else if (kind === "busy") Object.assign(this, { busy: said.text, stoppable: said.stoppable });
		else if (kind === "held" && said.version === this.files.version) {
			this.files.columns.variable.fill("");
			for (const [row, name] of said.held) this.files.columns.variable[row] = name;
			this.files.orders.delete("variable");
		} else if (kind === "gone" && said.version === this.files.version) {
			const rows = numbers(buffers[0]);
			this.files.drop(rows);
			this.select(rows, false);
		} else if (kind === "plan") this.show({ kind, ...said });
		else if (kind === "choose" && said.version === this.files.version) {
			this.selected = new Set(numbers(buffers[0]));
			this.touch(true);
		} else if (kind === "said") {
			this.busy = "";
			this.show({ kind: said.bad ? "bad" : "said", text: said.text });
			this.speak(said.text, said.bad);
		}
		this.touch(kind === "rows" || kind === "gone" || kind === "held");
	}

	/** @param {any} said @param {DataView} [buffer] */
	async take(said, buffer) {
		this.busy = "";
		this.error = said.error ?? "";
		this.local = said.local;
		if (!buffer || said.version === this.files.version) return;
		const before = new Set([...this.selected].map((row) => this.files.columns.id[row]));
		this.files = new Files(await unpacked(buffer), said.version);
		const { id } = this.files.columns;
		this.selected = new Set();
		if (before.size) id.forEach((one, row) => before.has(one) && this.selected.add(row));
		if (this.bar.kind === "plan" || this.bar.kind === "bind") this.bar = { kind: "" };
		this.tell();
	}

	/** @param {Iterable<number>} rows @param {boolean} on */
	select(rows, on) {
		for (const row of rows) {
			if (on && !this.files.gone[row]) this.selected.add(row);
			else this.selected.delete(row);
		}
		if (this.bar.kind) this.bar = { kind: "" };
		this.tell();
		this.touch(true);
	}

	/** Says how much is selected. */
	get sum() {
		const { size } = this.selected;
		return size ? `${size.toLocaleString("en")} selected${DOT}${formatSize(this.files.bytes(this.selected))}` : "";
	}

	/** @param {Bar} bar */
	show(bar) {
		this.bar = bar;
		for (const view of this.views) view.fresh = true;
		this.touch();
	}

	/** @param {object} message @param {Iterable<number>} [rows] */
	send(message, rows) {
		if (this.lost) return;
		try {
			this.model.send(message, undefined, rows && [packed(rows)]);
		} catch {
			this.lose();
		}
	}

	/** Has the kernel do something with what is selected. @param {string} kind @param {object} [more] */
	ask(kind, more) {
		this.send({ kind, version: this.files.version, ...more }, this.selected);
	}

	lose() {
		this.lost = true;
		this.busy = "";
		this.error = "The kernel restarted. Run the cell again to see the files.";
		this.touch(true);
	}

	speak(text = "", urgent = false) {
		for (const { on } of [...this.views].slice(0, 1)) announce(urgent ? on.urgent : on.polite, text);
	}

	/** @param {boolean} [rows] whether the table may look different too */
	touch(rows = false) {
		for (const view of this.views) view.touch(rows);
	}
}

// ---- how it is drawn

const ICONS = {
	search: "M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.4 10.4 14 14",
	refresh: "M12.8 6A5.2 5.2 0 1 0 13 9.5M13 3v3.2H9.8",
	down: "M4.5 6 8 10l3.5-4",
	up: "M4.5 10 8 6l3.5 4",
	copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
	bind: "M5 3.5c-2 3-2 6 0 9M11 3.5c2 3 2 6 0 9M6.5 6.5l3 4M9.5 6.5l-3 4",
	download: "M8 3v10M4.5 9.5 8 13l3.5-3.5",
	trash: "M3 4.5h10M6 4.5v-2h4v2M4.5 4.5l.6 9h5.8l.6-9",
	warning: "M8 2.5 14.2 13.5H1.8zM8 6.5v3.2M8 11.6v.1",
	house: "M2.5 7.5 8 3l5.5 4.5M4 6.5V13h8V6.5",
	stays: "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M3.8 3.8l8.4 8.4",
	cross: "M4 4l8 8M12 4l-8 8",
};
/** @type {{column: keyof Columns, title: string, cls: string}[]} */
const HEADS = [
	{ column: "name", title: "Name", cls: "name" },
	{ column: "size", title: "Size", cls: "num size" },
	{ column: "block", title: "Block", cls: "lo block" },
	{ column: "variable", title: "Variable", cls: "lo variable" },
	{ column: "created", title: "Created", cls: "lo created" },
	{ column: "expires", title: "Expires", cls: "expires" },
];
const RISING = ["name", "block", "variable", "expires"]; // first; the others begin with the largest or newest
/** @type {Record<string, number>} */
const STEPS = { ArrowUp: -1, ArrowDown: 1, PageUp: -SEEN, PageDown: SEEN, Home: -Infinity, End: Infinity };

/** Part of a name, with what was sought marked. @param {number[][]} hits from where to where in the whole name */
function lit(part = "", offset = 0, hits = [[0, 0]]) {
	/** @type {Child[]} */
	const nodes = [];
	let at = 0;
	for (const hit of hits) {
		const [from, to] = hit.map((place) => Math.min(Math.max(place - offset, at), part.length));
		if (from < to) nodes.push(...marked(part.slice(at, from)), make("mark", "", ...marked(part.slice(from, to))));
		at = Math.max(at, to);
	}
	return [...nodes, ...marked(part.slice(at))];
}

/** @param {number | null} when @param {(when: number, now?: number) => string} format */
function time(when, format) {
	if (when === null) return make("span", "dim", "–");
	const exact = new Date(when).toISOString().replace(/\.\d+Z$/, "+00:00");
	const node = set(make("time", "", format(when)), { datetime: exact, title: exact.replace("T", " ") });
	if (format === formatUntil && when - Date.now() < DAY) node.className = "warn";
	return node;
}

function labelled(text = "", node = make("select")) {
	return make("label", "", make("span", "sr", text), node);
}

function frame() {
	const search = set(make("input"), { type: "search", placeholder: "Search names, ids, types", spellcheck: "false" });
	const field = make("label", "nbf-field search", icon(ICONS.search), make("span", "sr", "Search names, ids and types"), search);
	const [type, origin] = [make("select"), make("select", "", ...["Everywhere", ...ORIGINS].map((text) => make("option", "", text)))];
	const count = make("span", "dim");
	const refresh = set(button("refresh", "ib", icon(ICONS.refresh)), { "aria-label": "Refresh", title: "Refresh" });
	const tools = make("div", "nbf-tools", field, labelled("Type", type), labelled("Origin", origin), make("span", "grp", count, refresh));
	set(tools, { role: "search", "aria-label": "Filter files" });

	const all = set(make("input"), { type: "checkbox", "data-do": "all" });
	const heads = HEADS.map(({ column, title, cls }) => {
		const sort = set(button("sort", "", title), { "data-column": column });
		return set(make("th", cls, sort), { scope: "col" });
	});
	const head = make("tr", "", set(make("th", "pick", all), { scope: "col" }), ...heads);
	const [above, below] = [make("td"), make("td")];
	const [upper, lower] = [above, below].map((cell) => {
		cell.colSpan = HEADS.length + 1;
		return set(make("tbody", "room", make("tr", "", cell)), { "aria-hidden": "true" });
	});
	const body = make("tbody");
	const table = set(make("table", "nbf-t", make("thead", "", head), upper, body, lower), { role: "grid", "aria-label": "Files", "aria-multiselectable": "true", tabindex: "0" });
	const scroll = make("div", "nbf-scroll", table);
	const empty = make("p", "nbf-none");
	const notice = set(make("div"), { role: "note" });
	const bar = make("div", "nbf-bar-place");
	const polite = set(make("div", "sr"), { role: "status", "aria-live": "polite" });
	const urgent = set(make("div", "sr"), { role: "alert", "aria-live": "assertive" });
	const zero = make("i", "ch"); // as wide as a 0
	const root = make("div", "nbf nbf-browse", make("div", "nbf-box", tools, notice, scroll, empty, bar), polite, urgent, zero);
	set(root, { role: "group", "aria-label": "Files in this workspace" });
	return { root, search, type, origin, count, refresh, all, heads, above, below, body, table, scroll, empty, notice, bar, polite, urgent, zero };
}

let views = 0;

/** One place on the page where a shelf is shown. */
export class View {
	/** @param {Shelf} shelf @param {HTMLElement} el */
	constructor(shelf, el) {
		this.shelf = shelf;
		this.listen();
		el.append(this.on.root);
		this.sight.observe(this.on.scroll);
		shelf.views.add(this);
		this.look();
	}

	on = frame();
	name = `nbf-${++views}`;
	/** @type {Query} */
	query = { text: "", mime: "", origin: -1, column: "created", down: true };
	found = new Uint32Array(0);
	/** @type {RegExp | null} */
	sought = null;
	/** @type {Map<number, HTMLTableRowElement>} */
	lines = new Map();
	known = new Files(); // whose types are in the list
	hidden = 0; // how many of the selected rows are not found
	able = false; // whether one of them can be downloaded
	at = 0; // of the rows found, the one that keys act on
	anchor = 0; // where a range begins
	fresh = false; // whether the bar has just come
	changed = true;
	paint = throttle(() => this.draw(), 16);
	slide = throttle(() => this.drawRows(), 16);
	seek = throttle(() => this.settle(), 150, (does) => does());
	sight = new ResizeObserver(() => this.touch(true));

	close() {
		this.shelf.views.delete(this);
		this.sight.disconnect();
		this.on.root.remove();
	}

	touch(rows = false) {
		this.changed ||= rows;
		this.paint();
	}

	listen({ root, search, type, origin, scroll, table } = this.on) {
		search.oninput = () => this.seek();
		type.onchange = origin.onchange = () => this.look(true);
		scroll.onscroll = () => this.slide();
		root.onclick = (event) => {
			const { target } = event;
			if (!(target instanceof Element)) return;
			const does = target.closest("[data-do]");
			const line = target.closest("tr[data-row]");
			if (does && !does.closest('[aria-disabled="true"]')) this.act(does.getAttribute("data-do") ?? "", does);
			else if (does) this.refuse(does);
			else if (line && !getSelection()?.toString()) this.pick(Number(line.getAttribute("data-at")), event.shiftKey);
		};
		root.onsubmit = (event) => event.preventDefault();
		keepKeys(root, (event, on) => (on === table ? this.key(event) : this.otherKey(event, on)));
		root.onpaste = (event) => event.stopPropagation();
		root.oninput = ({ target }) => {
			if (target instanceof HTMLInputElement && target.closest(".nbf-plan")) this.weigh();
		};
	}

	// -- what a person does

	/** Selects or lets go of the row found at a place. */
	pick(at = 0, range = false) {
		const { shelf, found } = this;
		const row = found[at];
		const on = !shelf.selected.has(row);
		this.at = at;
		if (range) shelf.select(found.subarray(Math.min(at, this.anchor), Math.max(at, this.anchor) + 1), true);
		else shelf.select([row], on);
		if (!range) this.anchor = at;
		this.on.table.focus({ preventScroll: true });
		this.report();
	}

	report = throttle(() => this.shelf.speak(`${this.shelf.sum.replace(DOT, ", ") || "Nothing selected"}.`), 600, (does) => does());

	/** @param {KeyboardEvent} event */
	key({ key, shiftKey, ctrlKey, metaKey, repeat }) {
		const { shelf, found } = this;
		if (key in STEPS && !ctrlKey && !metaKey) {
			if (!found.length) return true;
			const before = this.at;
			this.at = Math.min(Math.max(this.at + STEPS[key], 0), found.length - 1);
			if (shiftKey) {
				if (!shelf.selected.has(found[before])) this.anchor = before;
				shelf.select(found.subarray(Math.min(this.at, this.anchor), Math.max(this.at, this.anchor) + 1), true);
				this.report();
			}
			this.reveal();
		} else if (key === " " && found.length) this.pick(this.at, shiftKey);
		else if (key === "a" && (ctrlKey || metaKey)) {
			shelf.select(found, true);
			this.report();
		} else if (key === "Delete" && !repeat) this.act("plan", null);
		else return this.otherKey({ key, shiftKey, ctrlKey, metaKey, repeat }, this.on.table);
		return true;
	}

	/** Keys that mean the same wherever they are pressed. @param {Pick<KeyboardEvent, "key" | "shiftKey" | "ctrlKey" | "metaKey" | "repeat">} event @param {HTMLElement} on */
	otherKey({ key }, on) {
		const typing = on instanceof HTMLInputElement && on.type !== "checkbox";
		const { shelf } = this;
		if (key === "/" && !typing) this.on.search.focus();
		else if (key === "Enter" && on.closest(".nbf-plan") && typing) this.act(shelf.bar.kind === "bind" ? "bound" : "delete", on);
		else if (key === "ArrowDown" && on === this.on.search) {
			this.settle(); // the next key is for the rows that were asked for
			this.on.table.focus();
		} else if (key === "Escape") {
			if (shelf.bar.kind) this.act("close", null);
			else if (this.query.text || this.on.search.value) {
				this.on.search.value = "";
				this.look(true);
			} else if (shelf.selected.size) this.act("clear", null);
		} else return false;
		return true;
	}

	/** @param {string} does @param {Element | null} on */
	act(does, on) {
		const { shelf, query } = this;
		if (does === "sort") {
			const column = /** @type {keyof Columns} */ (on?.getAttribute("data-column"));
			const down = query.column === column ? !query.down : !RISING.includes(column);
			this.query = { ...query, column, down };
			this.look(true);
		} else if (does === "all") {
			shelf.select(this.found, !this.every);
			this.report();
		} else if (does === "refresh") {
			shelf.send({ kind: "refresh" });
		} else if (does === "everywhere") {
			this.on.origin.selectedIndex = this.on.type.selectedIndex = 0;
			this.look(true);
		} else if (does === "clear") {
			shelf.select([...shelf.selected], false);
			this.rest();
			this.report();
		} else if (does === "copy") {
			const { id } = shelf.files.columns;
			copy(this.on.root, [...shelf.selected].map((row) => id[row]).join("\n"));
			shelf.speak(`Copied ${counted(shelf.selected.size, "id")}.`);
			shelf.show({ kind: "said", text: `Copied ${counted(shelf.selected.size, "id")}.` });
		} else if (does === "bind") shelf.show({ kind: "bind" });
		else if (does === "bound") {
			const name = this.on.bar.querySelector("input")?.value.trim() ?? "";
			if (name) shelf.ask("bind", { name });
		} else if (does === "download") shelf.ask("download");
		else if (does === "plan") shelf.selected.size && shelf.ask("plan");
		else if (does === "delete") {
			if (this.weigh()) shelf.send({ kind: "delete", plan: shelf.bar.token, elsewhere: this.elsewhere });
		} else if (does === "stop") shelf.send({ kind: "stop" });
		else if (does === "close") {
			shelf.show({ kind: "" });
			this.rest();
		}
	}

	/** Whether the focus is on something of the view that is still there. */
	get here() {
		const { activeElement } = document;
		return activeElement !== null && this.on.root.contains(activeElement) && activeElement.getClientRects().length > 0;
	}

	/** Puts the focus where keys go on from: the rows, or what brings some back. */
	rest() {
		const { table, search } = this.on;
		(this.found.length ? table : search).focus({ preventScroll: true });
	}

	/** Says why a button does nothing. @param {Element} on */
	refuse(on) {
		if (on.getAttribute("data-do") === "download") this.shelf.speak(UNDOWNLOADABLE, true);
	}

	/** Whether the plan takes in what was not uploaded here. */
	get elsewhere() {
		return this.on.bar.querySelector("input:checked") !== null;
	}

	/** How many files the plan deletes as it stands. */
	get meant() {
		const { count = 0, elsewhere = 0 } = this.shelf.bar;
		return this.elsewhere ? count + elsewhere : count;
	}

	/** Brings the plan's button up to date; returns whether it may be pressed. */
	weigh() {
		const { bar } = this.on;
		const { meant } = this;
		const typed = bar.querySelector("input:not([type=checkbox])");
		const field = typed?.closest("label");
		const press = bar.querySelector('[data-do="delete"]');
		if (!press || this.shelf.bar.kind !== "plan") return false;
		if (field instanceof HTMLElement) field.hidden = meant <= CONFIRM;
		if (field?.firstElementChild) write(field.firstElementChild, `Type ${meant.toLocaleString("en")} to confirm`);
		const right = typed instanceof HTMLInputElement && typed.value.replace(/[^\d]/g, "") === `${meant}`;
		const may = meant > 0 && (meant <= CONFIRM || right);
		write(press, `Delete ${counted(meant, "file")}`);
		set(press, { "aria-disabled": `${!may}` });
		return may;
	}

	// -- how it looks

	/** Looks the rows up anew. @param {boolean} [say] whether a person has asked */
	look(say = false) {
		const { search, type, origin, scroll } = this.on;
		const { files } = this.shelf;
		if (this.known !== files) this.greet();
		const current = this.found[this.at];
		this.query = { ...this.query, text: search.value.trim(), mime: type.value, origin: origin.selectedIndex - 1 };
		this.found = files.find(this.query);
		const words = this.query.text.split(/\s+/).filter(Boolean);
		this.sought = words.length ? new RegExp(words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|"), "giu") : null;
		this.at = this.anchor = say ? 0 : Math.max(this.found.indexOf(current), 0);
		if (say) {
			scroll.scrollTop = 0;
			if (files.left) this.shelf.speak(`${this.share} match.`);
		}
		for (const line of this.lines.values()) line.remove();
		this.lines.clear();
		this.touch(true);
	}

	/** Looks for what the field says, unless that is what is shown. */
	settle() {
		if (this.on.search.value.trim() !== this.query.text) this.look(true);
	}

	/** Takes in a new listing. */
	greet() {
		const { type } = this.on;
		const { files } = this.shelf;
		const chosen = type.value;
		this.known = files;
		const options = files.types.slice(0, 100).map((mime) => set(make("option", "", visible(mime)), { value: mime }));
		type.replaceChildren(set(make("option", "", "All types"), { value: "" }), ...options);
		type.value = chosen;
		if (type.selectedIndex < 0) type.selectedIndex = 0;
	}

	get share() {
		const [found, left] = [this.found.length, this.shelf.files.left];
		return found === left ? counted(left, "file") : `${found.toLocaleString("en")} of ${counted(left, "file")}`;
	}

	get every() {
		return this.found.length > 0 && this.found.every((row) => this.shelf.selected.has(row));
	}

	draw() {
		const { shelf, on, found, query } = this;
		if (this.changed) {
			if (this.known !== shelf.files || found.some((row) => shelf.files.gone[row])) return this.look();
			const { every } = this;
			on.all.checked = every;
			on.all.indeterminate = !every && found.some((row) => shelf.selected.has(row));
			set(on.all, { "aria-label": `Select all ${counted(found.length, "matching file")}` });
			on.heads.forEach((head, at) => {
				const here = HEADS[at].column === query.column;
				if (here) head.setAttribute("aria-sort", query.down ? "descending" : "ascending");
				else head.removeAttribute("aria-sort");
				const sign = head.querySelector("svg");
				if (!here) sign?.remove();
				else if (sign) icon(query.down ? ICONS.down : ICONS.up, "", sign);
				else head.firstElementChild?.append(icon(query.down ? ICONS.down : ICONS.up));
			});
			this.hidden = shelf.selected.size - found.filter((row) => shelf.selected.has(row)).length;
			this.able = [...shelf.selected].some((row) => shelf.files.columns.downloadable[row]);
			write(on.count, shelf.files.version ? this.share.replace(/ files?$/, found.length === shelf.files.left ? "$&" : "") : "");
		}
		const { here } = this;
		on.scroll.hidden = !found.length;
		this.drawRows();
		this.drawNone();
		this.drawNotice();
		this.drawBar();
		if (here && !this.here) this.rest(); // else the notebook would take the next key for a command
		this.changed = false;
	}

	drawRows() {
		const { on, found, lines } = this;
		const top = Math.max(on.scroll.scrollTop, 0);
		const first = Math.max(Math.floor(top / ROW) - SPARE, 0);
		const last = Math.min(Math.ceil((top + (on.scroll.clientHeight || SEEN * ROW)) / ROW) + SPARE, found.length);
		const wanted = new Set(found.subarray(first, last));
		for (const [row, line] of lines) {
			if (wanted.has(row)) continue;
			line.remove();
			lines.delete(row);
		}
		/** @type {HTMLElement[]} */
		const raw = [];
		/** @type {Element | null} */
		let before = on.body.firstElementChild;
		for (let at = first; at < last; at++) {
			const row = found[at];
			let line = lines.get(row);
			if (!line) {
				lines.set(row, (line = this.line(row)));
				const name = line.querySelector(".nbf-name");
				if (name instanceof HTMLElement) raw.push(name);
			}
			if (line === before) before = line.nextElementSibling;
			else on.body.insertBefore(line, before);
			this.mark(line, row, at);
		}
		on.above.style.setProperty("height", `${first * ROW}px`);
		on.below.style.setProperty("height", `${(found.length - last) * ROW}px`);
		set(on.table, { "aria-rowcount": `${found.length + 1}` });
		if (found.length) set(on.table, { "aria-activedescendant": `${this.name}-${found[this.at]}` });
		fitTails(raw, on.zero);
	}

	/** @param {number} row */
	line(row) {
		const { columns } = this.shelf.files;
		const [name, size] = [columns.name[row], columns.size[row]];
		const [head, tail] = splitName(name);
		const hits = this.sought ? [...name.matchAll(this.sought)].map(({ index, 0: { length } }) => [index, index + length]) : [];
		const shown = make("bdi", "nbf-name", make("span", "h", ...lit(head, 0, hits)), make("span", "t", ...lit(tail, head.length, hits)));
		const about = `${visible(name)}\n${visible(columns.mime[row])}\n${visible(columns.id[row])}`;
		set(shown, { title: about, style: `--t:${visible(tail).length}` });
		const tick = set(make("input"), { type: "checkbox", tabindex: "-1", "aria-label": `Select ${visible(name)}` });
		const chip = columns.block[row] ? make("span", "nbf-chip", columns.block[row]) : make("span", "dim", "–");
		const variable = make("td", "lo variable");
		return set(
			make(
				"tr",
				"",
				make("td", "pick", tick),
				make("td", "name", shown),
				set(make("td", "num size", formatSize(size)), { title: counted(size, "byte") }),
				make("td", "lo block", chip),
				variable,
				make("td", "lo created", time(columns.created[row], formatAgo)),
				make("td", "expires", time(columns.expires[row], formatUntil)),
			),
			{ id: `${this.name}-${row}`, "data-row": `${row}` },
		);
	}

	/** Brings a row up to date with what is selected. @param {HTMLTableRowElement} line */
	mark(line, row = 0, at = 0) {
		const { selected, files } = this.shelf;
		const on = selected.has(row);
		const tick = line.querySelector("input");
		const variable = line.querySelector(".variable");
		const held = files.columns.variable[row];
		set(line, { "aria-rowindex": `${at + 2}`, "data-at": `${at}`, "aria-selected": `${on}` });
		line.classList.toggle("at", at === this.at);
		if (tick) tick.checked = on;
		if (variable && variable.textContent !== (visible(held) || "–")) {
			const ends = files.columns.expires[row];
			const name = make("code", "nbf-code", visible(held));
			variable.replaceChildren(!held ? make("span", "dim", "–") : ends !== null && ends <= Date.now() ? make("s", "", name) : name);
		}
	}

	/** Scrolls the row that keys act on into sight. */
	reveal() {
		const { scroll } = this.on;
		const head = this.on.heads[0].offsetHeight;
		const [top, room] = [this.at * ROW, scroll.clientHeight - head];
		if (top < scroll.scrollTop) scroll.scrollTop = top;
		else if (top + ROW > scroll.scrollTop + room) scroll.scrollTop = top + ROW - room;
		this.touch();
	}

	/** Says why there is no row. */
	drawNone() {
		const { shelf, on, found, query } = this;
		const { left, version } = shelf.files;
		on.empty.hidden = found.length > 0;
		if (found.length) return;
		const among = query.origin < 0 ? "" : ` among files ${AMONG[query.origin]}`;
		const filtered = query.origin >= 0 || query.mime !== "";
		let said = shelf.error || shelf.busy;
		if (version && left) said = query.text ? `No file matches “${query.text}”${among}.` : `No file of that kind${among}.`;
		else if (version && !shelf.error) said = "No file is stored yet. %upload report.pdf as report_id stores the first.";
		if (on.empty.getAttribute("data-said") === said) return;
		on.empty.replaceChildren(visible(said));
		set(on.empty, { "data-said": said });
		if (version && left && filtered) on.empty.append(" ", button("everywhere", "btn", "Search everywhere"));
	}

	drawNotice() {
		const { on, shelf } = this;
		const said = shelf.error && this.found.length ? shelf.error : shelf.local ? "These are the files of the local Files API, on this machine only." : "";
		on.notice.className = said ? "nbf-notice" : "";
		if (on.notice.getAttribute("data-said") === said) return;
		set(on.notice, { "data-said": said });
		on.notice.replaceChildren(...(said ? [icon(shelf.error ? ICONS.warning : ICONS.house), make("span", "", visible(said))] : []));
	}

	drawBar() {
		const { on, shelf, hidden, able } = this;
		const { bar, busy, stoppable } = shelf;
		const sum = shelf.sum + (hidden ? ` (${hidden.toLocaleString("en")} not shown)` : "");
		const state = JSON.stringify([busy, stoppable, bar, sum, able, shelf.lost]);
		set(on.refresh, { "aria-disabled": `${busy !== "" || shelf.lost}` }); // not disabled, which would take the focus away
		if (on.bar.getAttribute("data-state") === state) return;
		const held = on.bar.contains(document.activeElement);
		set(on.bar, { "data-state": state });
		let shown = null;
		if (busy && shelf.files.version) shown = line("nbf-selbar", busy, ...(stoppable ? [button("stop", "btn", "Stop")] : []));
		else if (bar.kind === "plan") shown = plan(bar, this.name);
		else if (bar.kind === "bind") shown = binding(shelf, this.name);
		else if (bar.kind === "said" || bar.kind === "bad") {
			const close = set(button("close", "ib", icon(ICONS.cross)), { "aria-label": "Close", title: "Close" });
			shown = line(`nbf-selbar said ${bar.kind}`, bar.text ?? "", close);
		} else if (sum && !shelf.lost) shown = selection(sum, able);
		on.bar.replaceChildren(...(shown ? [shown] : []));
		this.weigh();
		if ((this.fresh && (bar.kind === "plan" || bar.kind === "bind")) || held) {
			/** @type {HTMLElement | null} */
			const first = on.bar.querySelector("[data-first]");
			first?.focus({ preventScroll: true });
		}
		this.fresh = false;
	}
}

/** @param {string} cls @param {string} text @param {...Child} acts */
function line(cls, text, ...acts) {
	return make("div", cls, make("p", "txt", visible(text)), make("div", "acts", ...acts));
}

function selection(sum = "", may = false) {
	/** @param {string} does @param {string} shape @param {string} text @param {string} [cls] */
	const tool = (does, shape, text, cls = "btn") => button(does, cls, icon(shape), text);
	const download = tool("download", ICONS.download, "Download");
	if (!may) set(download, { "aria-disabled": "true", title: UNDOWNLOADABLE });
	return line(
		"nbf-selbar",
		sum,
		button("clear", "btn quiet", "Clear"),
		tool("copy", ICONS.copy, "Copy ids"),
		tool("bind", ICONS.bind, "Bind to…"),
		download,
		tool("plan", ICONS.trash, "Delete…", "btn danger-text"),
	);
}

/** @param {Shelf} shelf @param {string} name */
function binding(shelf, name) {
	const many = shelf.selected.size > 1;
	const input = set(make("input"), { type: "text", "data-first": "", spellcheck: "false", placeholder: many ? "file_ids" : "file_id", "aria-labelledby": `${name}-bind` });
	const title = set(make("p", "title", `Bind ${counted(shelf.selected.size, "id")} to a name`), { id: `${name}-bind` });
	const acts = make("div", "acts", make("label", "nbf-field", input), button("bound", "btn", "Bind"), button("close", "btn quiet", "Cancel"));
	return set(make("div", "nbf-plan", title, acts), { role: "group", "aria-labelledby": `${name}-bind` });
}

/** @param {Bar} bar @param {string} name */
function plan({ count = 0, size = 0, elsewhere = 0, elsewhere_size = 0, variables = [], more = 0 }, name) {
	/** @param {string} shape @param {string} tone @param {...Child} said */
	const item = (shape, tone, ...said) => make("li", "", icon(shape, tone), make("span", "", ...said));
	const items = [item(ICONS.warning, "warn", "Cannot be undone.")];
	if (variables.length) {
		const names = variables.flatMap((held, at) => [at ? ", " : "", make("code", "nbf-code", visible(held))]);
		const one = variables.length + more === 1;
		items.push(item(ICONS.bind, "dim", `Variable${one ? "" : "s"} `, ...names, more ? ` and ${more.toLocaleString("en")} more` : "", ` will hold ${one ? "a dead id" : "dead ids"}.`));
	}
	if (elsewhere) {
		const tick = set(make("input"), { type: "checkbox" });
		const label = make("label", "nw", tick, ` Delete ${elsewhere === 1 ? "it" : "them"}${count ? " too" : ""} (${formatSize(elsewhere_size)})`);
		const [were, stay] = elsewhere === 1 ? ["was", "stays"] : ["were", "stay"];
		const whole = (count + elsewhere).toLocaleString("en");
		const part = count ? `${elsewhere.toLocaleString("en")} of the ${whole} selected ${were}` : elsewhere === 1 ? "It was" : "They were";
		items.push(item(ICONS.stays, "dim", `${part} not uploaded here and ${stay}. `, label));
	}
	const asks = count ? `Delete ${counted(count, "file")}, ${formatSize(size)}?` : `Delete ${counted(elsewhere, "file")} that others may need?`;
	const title = set(make("p", "title", asks), { id: `${name}-plan` });
	const why = set(make("ul", "", ...items), { id: `${name}-why` });
	const typed = set(make("input"), { inputmode: "numeric", autocomplete: "off", style: "width:64px" });
	const field = make("label", "nbf-field", make("span", "nw"), typed);
	const keep = set(button("close", "btn", "Keep all"), { "data-first": "" });
	const shown = make("div", "nbf-plan", title, why, make("div", "acts", field, button("delete", "btn danger"), keep));
	return set(shown, { role: "alertdialog", "aria-labelledby": `${name}-plan`, "aria-describedby": `${name}-why` });
}

// ---- what anywidget calls

/** By uid: what the two below get for a model are not the same objects. @type {Map<string, Shelf>} */
const SHELVES = new Map();

/** @param {Model} model */
function shelfOf(model) {
	const uid = model.get("uid");
	const shelf = SHELVES.get(uid) ?? new Shelf(model);
	SHELVES.set(uid, shelf);
	return shelf;
}

export default {
	/** @param {Context} context */
	initialize({ model }) {
		shelfOf(model);
		return () => SHELVES.delete(model.get("uid"));
	},
	/** @param {Context} context */
	render({ model, el }) {
		const view = new View(shelfOf(model), el);
		return () => view.close();
	},
};
